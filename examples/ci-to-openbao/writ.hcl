# What Writ's own account may do: make tokens that have policy production-secrets
# and no other, find and end those, and read what else there is.
path "auth/token/roles/writ-*" {
  capabilities       = ["create", "read", "update", "delete"]
  allowed_parameters = { "allowed_policies" = ["production-secrets"], "*" = [] }
}
path "auth/token/create/writ-*"                          { capabilities = ["update"] }
path "sys/leases/lookup/auth/token/create/writ-*"        { capabilities = ["list", "sudo"] }
path "sys/leases/revoke-prefix/auth/token/create/writ-*" { capabilities = ["update", "sudo"] }
path "auth/token/lookup-accessor"                        { capabilities = ["update"] }
path "auth/token/accessors"                              { capabilities = ["list", "sudo"] }
path "sys/capabilities-accessor"                         { capabilities = ["update"] }
path "sys/policies/acl/*"                                { capabilities = ["read"] }
path "identity/entity/name"                              { capabilities = ["list"] }
path "identity/entity/name/*"                            { capabilities = ["read"] }
path "identity/group/name"                               { capabilities = ["list"] }
path "identity/group/name/*"                             { capabilities = ["read"] }
