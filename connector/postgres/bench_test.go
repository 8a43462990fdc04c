package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// BenchmarkGrantRevoke measures pairs of Grant and Revoke, and in turns with them
// what a script would do by hand on the same durable server: create a role with a
// password in the entitled role, and drop it. Looking before acting, the mark,
// ending sessions and the safe way to set a password come on top of that.
func BenchmarkGrantRevoke(b *testing.B) {
	s := siteOn(b, realtest.OwnPostgres(b, server.PostgresConfig{Sync: true}).DSN)
	c := s.open()
	byHand, err := pgxpool.New(b.Context(), s.super.Config().ConnString())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(byHand.Close)
	pair := func(ctx context.Context, name string) error {
		o := connector.Order{Request: "req-" + name, Kind: connector.Password, Until: time.Now().Add(time.Hour),
			Grant: json.RawMessage(`{"role": "deploy", "connectionLimit": 5}`)}
		r, err := c.Grant(ctx, o)
		if err != nil {
			return err
		}
		return c.Revoke(ctx, o, r)
	}
	bare := func(ctx context.Context, name string) error {
		_, err := byHand.Exec(ctx, fmt.Sprintf("create role %s login password %s valid until '2099-01-01' connection limit 5 in role deploy", ident(name), literal(rand.Text())))
		if err != nil {
			return err
		}
		_, err = byHand.Exec(ctx, "drop role "+ident(name))
		return err
	}
	for _, callers := range []int{1, 4} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var ours, theirs time.Duration
			for b.Loop() {
				ours += race(b, callers, pair)
				theirs += race(b, callers, bare)
			}
			n := float64(b.N * callers * turn)
			b.ReportMetric(n/ours.Seconds(), "pairs/s")
			b.ReportMetric(n/theirs.Seconds(), "bare-pairs/s")
			b.ReportMetric(100*float64(theirs)/float64(ours), "%ofbare")
		})
	}
}

// turn is how many pairs each caller makes before it is the other's turn.
const turn = 10

// race lets callers each call f a turn long, and returns how long it took.
func race(b *testing.B, callers int, f func(ctx context.Context, name string) error) time.Duration {
	var all sync.WaitGroup
	start := time.Now()
	for range callers {
		all.Go(func() {
			for range turn {
				if err := f(b.Context(), strings.ToLower(rand.Text())); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}
