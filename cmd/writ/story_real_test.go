//go:build unix

package main

import (
	"context"

	"github.com/writhq/writ/internal/realtest/server"
)

// real starts a system for the rest of the story. Who may do what in a directory
// stands in the file access.
func (s *story) real(args []string) {
	switch args[0] {
	case "redis":
		r, err := server.StartRedis(context.Background(), server.RedisConfig{})
		s.Check(err)
		s.Defer(r.Stop)
		s.Setenv("REDIS_ADDR", r.Addr)
		s.Setenv("REDIS_ADMIN", r.Password)
	case "ldap":
		l, err := server.StartLDAP(context.Background(), server.LDAPConfig{Access: s.ReadFile("access")})
		s.Check(err)
		s.Defer(l.Stop)
		s.Setenv("LDAP_ADDR", l.Addr)
		s.Setenv("LDAP_ADMIN", l.Password)
	default:
		s.Fatalf("no system %s", args[0])
	}
}
