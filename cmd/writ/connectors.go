package main

import (
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer"
	"github.com/writhq/writ/connector/ldap"
	"github.com/writhq/writ/connector/openbao"
	"github.com/writhq/writ/connector/postgres"
	"github.com/writhq/writ/connector/redis"
)

// connectors are the kinds of system that this program knows, one line each.
func connectors(authority *issuer.Issuer) map[string]connector.Driver {
	return map[string]connector.Driver{
		"issuer":   issuer.Driver{Issuer: authority},
		"ldap":     ldap.Driver{},
		"openbao":  openbao.Driver{},
		"postgres": postgres.Driver{},
		"redis":    redis.Driver{},
	}
}
