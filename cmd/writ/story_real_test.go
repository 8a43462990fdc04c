//go:build unix

package main

import (
	"context"

	"github.com/writhq/writ/internal/realtest/server"
)

// real starts a system for the rest of the story.
func (s *story) real(args []string) {
	switch args[0] {
	case "redis":
		r, err := server.StartRedis(context.Background(), server.RedisConfig{})
		s.Check(err)
		s.Defer(r.Stop)
		s.Setenv("REDIS_ADDR", r.Addr)
		s.Setenv("REDIS_ADMIN", r.Password)
	default:
		s.Fatalf("no system %s", args[0])
	}
}
