package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/door"
)

// BenchmarkStart starts the real program on a database of 100,000 requests, and
// reports when it first answers and how much memory it has then.
func BenchmarkStart(b *testing.B) {
	data := b.TempDir()
	fillDatabase(b, data, 100_000)
	bin := filepath.Join(b.TempDir(), "writ")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var first time.Duration
	var memory float64
	for b.Loop() {
		took, kb := startOnce(b, bin, data)
		first, memory = first+took, max(memory, float64(kb)/1024)
	}
	b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "first-answer-ms")
	b.ReportMetric(memory, "resident-MB")
}

// fillDatabase asks many times, for many identities, and withdraws each.
func fillDatabase(b *testing.B, data string, n int64) {
	b.Helper()
	cfg, err := config.Config{Dev: true, Data: data, Listen: "127.0.0.1:1"}.Complete()
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	s, err := server.Open(ctx, parts(cfg, slog.New(slog.DiscardHandler), nil))
	if err != nil {
		b.Fatal(err)
	}
	const services = 64
	var docs []json.RawMessage
	for i := range services {
		docs = append(docs, json.RawMessage(fmt.Sprintf(`{"kind":"identity","name":"service/s%d","owner":"human/ann","environment":"production"}`, i)))
	}
	if _, err := s.Door.Put(ctx, door.System, door.Put{Documents: docs}); err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(n)
	var asking sync.WaitGroup
	for i := range 256 {
		who := door.Caller{Party: s.Store.Directory().Identities[writ.Ref(fmt.Sprintf("service/s%d", i%services))].Party()}
		asking.Go(func() {
			for left.Add(-1) >= 0 {
				r, err := s.Door.Submit(ctx, who, door.Ask{Entitlement: "orders-db/deploy", For: writ.Of(time.Hour), Why: "one of many requests"})
				if err == nil {
					_, err = s.Door.Withdraw(ctx, who, r.ID)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	asking.Wait()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func startOnce(b *testing.B, bin, data string) (time.Duration, int) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", "--dev", "--data", data, "--listen", address)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	for {
		res, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(begin) > 30*time.Second {
			b.Fatal("the server does not answer")
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin)
	time.Sleep(2 * time.Second) // idle
	return took, resident(b, cmd.Process.Pid)
}

// resident returns the resident memory of a process in kB.
func resident(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("the memory of a process is read from /proc")
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}
