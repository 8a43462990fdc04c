package door

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

// perSubject is how many requests wait for each subject of a benchmark.
const perSubject = 20

// BenchmarkSignedApproval says yes with an Ed25519 signature, from checking it
// to its being durable, for 64 callers on SQLite; and the same together with
// giving out the challenge and signing it.
func BenchmarkSignedApproval(b *testing.B) {
	for _, whole := range []bool{false, true} {
		b.Run(map[bool]string{false: "approve", true: "challenge-sign-approve"}[whole], func(b *testing.B) {
			h, key := newHouse(b), newSigner(b)
			k := h.enrol("human/max", key)
			requests := h.many(b.N)
			evidence := make([]writ.Evidence, b.N)
			if !whole {
				each(b.N, func(i int) { evidence[i] = h.evidence("human/max", requests[i], k, key) })
			}
			b.ResetTimer()
			start := time.Now()
			each(b.N, func(i int) {
				e, r := evidence[i], requests[i]
				if whole {
					e = h.evidence("human/max", r, k, key)
				}
				if _, err := h.ApproveWith(context.Background(), h.as("human/max"), r.ID, r.Digest, e); err != nil {
					b.Error(err)
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "approvals/s")
		})
	}
}

// many returns n requests that wait for max.
func (h house) many(n int) []writ.Request {
	h.Helper()
	var docs []string
	for i := range n/perSubject + 1 {
		docs = append(docs, fmt.Sprintf(`{"kind":"identity","name":"service/bench-%d","owner":"human/ann","environment":"production"}`, i))
	}
	if err := h.put("human/pat", docs...); err != nil {
		h.Fatal(err)
	}
	out := make([]writ.Request, n)
	each(n, func(i int) {
		var err error
		if out[i], err = h.Submit(context.Background(), h.as("human/ann"), Ask{
			Subject: writ.Ref(fmt.Sprintf("service/bench-%d", i/perSubject)), Entitlement: "orders-db/deploy", For: writ.Of(time.Hour), Why: "release 42 of the shop",
		}); err != nil {
			h.Error(err)
		}
	})
	return out
}

// each calls f for 0 to n-1, 64 at a time.
func each(n int, f func(int)) {
	var next atomic.Int64
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	callers.Wait()
}

// BenchmarkVerify is the check of a signature alone.
func BenchmarkVerify(b *testing.B) {
	h, key := newHouse(b), newSigner(b)
	k := writ.Key{Header: writ.Header{Name: "k", UID: "u"}, Method: writ.BySSH, Public: string(ssh.MarshalAuthorizedKey(key.PublicKey()))}
	r := h.pending()
	nonce := make([]byte, 16)
	sum, err := writ.Challenge(nonce, r.Digest, writ.Yes)
	if err != nil {
		b.Fatal(err)
	}
	proof, err := assent.SignSSH(rand.Reader, key, assent.ApprovalNamespace, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	e := writ.Evidence{Method: writ.BySSH, Nonce: nonce, Key: "k", KeyUID: "u", Proof: proof}
	for b.Loop() {
		if err := assent.Verify(e, k, r.Digest, writ.Yes); err != nil {
			b.Fatal(err)
		}
	}
}
