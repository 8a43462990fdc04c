package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/document"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/realtest"
)

// noop is a target that does what it is told at once, so that only Writ is measured.
type noop struct{}

func (noop) Manifest() connector.Manifest {
	return connector.Manifest{Name: "noop", Kinds: []connector.Kind{connector.Password}, Readable: true} // each grant is its own
}
func (noop) Check(json.RawMessage, connector.Kind) error { return nil }
func (noop) Open(context.Context, json.RawMessage, connector.Env) (connector.Connector, error) {
	return &noopTarget{}, nil
}

type noopTarget struct{ granted sync.Map }

func (t *noopTarget) Grant(_ context.Context, o connector.Order) (connector.Receipt, error) {
	t.granted.Store(o.Request, true)
	return connector.Receipt{External: "noop-" + o.Request}, nil
}

func (t *noopTarget) Revoke(_ context.Context, o connector.Order, _ connector.Receipt) error {
	t.granted.Delete(o.Request)
	return nil
}

func (t *noopTarget) Observe(_ context.Context, o connector.Order, _ connector.Receipt) (connector.Observation, error) {
	state := connector.Absent
	if _, ok := t.granted.Load(o.Request); ok {
		state = connector.Present
	}
	return connector.Observation{External: "noop-" + o.Request, State: state}, nil
}

func (t *noopTarget) List(context.Context, func(connector.Observation) error) error { return nil }
func (t *noopTarget) Close() error                                                  { return nil }

const benchDocuments = `
kind: target
name: noop
connector: noop
environment: production
---
kind: entitlement
name: noop/use
target: noop
credential: password
grant: {}
maxFor: 24h
owners: [human/max]
---
kind: policy
name: default
authority: {administer: [group/platform]}
routes:
  - name: all
    when: entitlement.target == "noop"
    stages: [{name: owner, approvers: [{owner-of: entitlement}]}]
`

// benchServer serves a development server with a no-op target and many
// identities, since one may have only so many live requests.
func benchServer(b *testing.B, db string) (*server.Server, string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	cfg, err := config.Config{Dev: true, Data: b.TempDir(), DB: db, Listen: ln.Addr().String()}.Complete()
	if err != nil {
		b.Fatal(err)
	}
	of := parts(cfg, slog.New(slog.DiscardHandler), nil)
	of.Connectors = withNoop
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, of)
	if err != nil {
		b.Fatal(err)
	}
	docs, err := document.Parse("bench.yaml", []byte(benchDocuments))
	if err != nil {
		b.Fatal(err)
	}
	for i := range 64 {
		docs = append(docs, json.RawMessage(fmt.Sprintf(`{"kind":"identity","name":"service/s%d","owner":"human/ann","environment":"production"}`, i)))
	}
	if _, err := s.Door.Put(ctx, door.System, door.Put{Documents: docs}); err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx, ln); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s, cfg.URL
}

func withNoop(authority *issuer.Issuer) map[string]connector.Driver {
	all := connectors(authority)
	all["noop"] = noop{}
	return all
}

// BenchmarkLife runs whole lives through the HTTP API: ask, approve, see it
// active, release, see it proven gone. The load generator shares the cores.
func BenchmarkLife(b *testing.B) {
	for name, db := range map[string]func() string{
		"sqlite":   func() string { return "" },
		"postgres": func() string { return realtest.Database(b) },
	} {
		b.Run(name, func(b *testing.B) {
			_, url := benchServer(b, db())
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprint(callers), func(b *testing.B) { lives(b, url, callers) })
			}
		})
	}
}

func lives(b *testing.B, url string, callers int) {
	transport := &http.Transport{MaxIdleConnsPerHost: callers, MaxConnsPerHost: 0}
	as := func(who writ.Ref) *client.Client {
		c := client.New(url, "")
		c.HTTP = &http.Client{Transport: transport}
		login, err := c.DevLogin(b.Context(), who)
		if err != nil {
			b.Fatal(err)
		}
		c.Token = login.Token
		return c
	}
	approver := as("human/max")
	var left, sum atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, callers)
	var running sync.WaitGroup
	clients := make([]*client.Client, callers)
	for i := range callers {
		clients[i] = as(writ.Ref(fmt.Sprintf("service/s%d", i%64)))
	}
	b.ResetTimer()
	for i := range callers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := life(b.Context(), clients[i], approver); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
				sum.Add(1)
			}
		})
	}
	running.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(sum.Load())/b.Elapsed().Seconds(), "lives/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

func life(ctx context.Context, c, approver *client.Client) error {
	r, err := c.Submit(ctx, client.Ask{Entitlement: "noop/use", For: writ.Of(time.Hour)}, "")
	if err != nil {
		return err
	}
	if _, err := approver.Approve(ctx, r.ID, r.Digest); err != nil {
		return err
	}
	if err := become(ctx, c, r.ID, writ.StatusActive); err != nil {
		return err
	}
	if _, err := c.Release(ctx, r.ID); err != nil {
		return err
	}
	return become(ctx, c, r.ID, writ.StatusClosed)
}

func become(ctx context.Context, c *client.Client, id writ.ID, want writ.Status) error {
	d, err := c.Reach(ctx, id, want, time.Minute)
	if err == nil && d.Status != want {
		err = fmt.Errorf("%s is %s, not %s: %s", id, d.Status, want, d.Problem)
	}
	return err
}
