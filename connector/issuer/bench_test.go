package issuer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
)

// BenchmarkVerifyHTTP compares POST /verify, over loopback with connections kept
// alive and the clients in the same process, to a bare handler that does one
// HMAC and one map look-up on a request and reply of the same size.
func BenchmarkVerifyHTTP(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			i, target := open(b, Config{DB: sqliteDB(b), Sole: true})
			bodies := make([][]byte, 1000)
			var answer []byte
			for n := range bodies {
				o := order(b, fmt.Sprintf("req-%d", n), connector.APIKey, time.Now())
				_, key := grant(b, target, o)
				bodies[n], _ = json.Marshal(map[string]any{"token": key, "scope": map[string]string{"service": "billing"}})
				e, _ := i.cache.get(key[keyAt : keyAt+10])
				answer = e.reply
			}
			bareServer := httptest.NewServer(bare(b, bodies, answer))
			defer bareServer.Close()
			ours := httptest.NewServer(i.Handler())
			defer ours.Close()
			b.ResetTimer()
			// in turns, so that whatever else the machine does hits both alike
			var spent, bareSpent time.Duration
			const turns = 4
			for range turns {
				bareSpent += drive(b, bareServer.URL+"/verify", clients, b.N/turns+1, bodies)
				spent += drive(b, ours.URL+"/verify", clients, b.N/turns+1, bodies)
			}
			n := float64(turns * (b.N/turns + 1))
			b.ReportMetric(n/spent.Seconds(), "verify/s")
			b.ReportMetric(n/bareSpent.Seconds(), "bare/s")
			b.ReportMetric(bareSpent.Seconds()/spent.Seconds(), "ratio")
		})
	}
}

// BenchmarkVerify is the same without HTTP.
func BenchmarkVerify(b *testing.B) {
	i, target := open(b, Config{DB: sqliteDB(b), Sole: true})
	_, key := grant(b, target, order(b, "req-1", connector.APIKey, time.Now()))
	want := map[string]string{"service": "billing"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if v, err := i.Verify(b.Context(), key, want); !v.Active || err != nil {
				b.Error(v, err)
			}
		}
	})
}

const keyAt = len("writ_live_")

func bare(b *testing.B, bodies [][]byte, answer []byte) http.Handler {
	known := map[[sha256.Size]byte][]byte{}
	sum := func(body []byte) (sum [sha256.Size]byte) {
		h := hmac.New(sha256.New, testKeys().Pepper)
		h.Write(body)
		h.Sum(sum[:0])
		return sum
	}
	for _, body := range bodies {
		known[sum(body)] = answer
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(known[sum(body)])
	})
}

// drive sends n requests from so many clients at once and returns how long it took.
func drive(b *testing.B, url string, clients, n int, bodies [][]byte) time.Duration {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var sent atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range clients {
		all.Go(func() {
			buf := make([]byte, 4096)
			for k := sent.Add(1); k <= int64(n); k = sent.Add(1) {
				if err := ask(client, url, bodies[k%int64(len(bodies))], buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func ask(client *http.Client, url string, body, buf []byte) error {
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Caller", "gateway")
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	n, err := io.ReadFull(reply.Body, buf)
	if err != io.ErrUnexpectedEOF || !bytes.HasPrefix(buf[:n], []byte(`{"active":true`)) {
		return fmt.Errorf("status %s: %s (%v)", reply.Status, buf[:n], err)
	}
	return nil
}
