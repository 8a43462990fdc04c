#!/bin/sh
# What the server needs once, run by somebody who may write policies and AppRoles
# there (BAO_ADDR or VAULT_ADDR, and a token). It prints the secret id of Writ's
# own AppRole. BAO names the program: bao, or vault.
set -eu
cd "$(dirname "$0")"
bao=${BAO:-bao}
{
	"$bao" policy write production-secrets production-secrets.hcl
	"$bao" policy write writ writ.hcl
	"$bao" auth list | grep -q '^approle/' || "$bao" auth enable approle
	"$bao" write auth/approle/role/writ token_policies=writ token_ttl=1h
	"$bao" write auth/approle/role/writ/role-id role_id=writ
} >&2
"$bao" write -f -field=secret_id auth/approle/role/writ/secret-id
