package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/store"
)

// A forger adds to a ledger as whoever took over the server and its keys could:
// what is recorded follows the rules of the ledger, but nobody signed it.
type forger struct {
	*testing.T
	*server.Server
	key      ssh.Signer
	enrolled writ.Key
	request  writ.Request
}

func newForger(t *testing.T) *forger {
	t.Helper()
	cfg, err := config.Config{Dev: true, Data: t.TempDir(), Listen: "127.0.0.1:0"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{T: t}
	if f.Server, err = server.Open(t.Context(), parts(cfg, slog.New(slog.DiscardHandler), nil)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if f.key, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	f.enrol("human/max")
	f.request, err = f.Door.Submit(t.Context(), f.as("human/ann"), door.Ask{Subject: "service/ci-deployer", Entitlement: "orders-db/deploy", For: writ.Of(time.Hour), Why: "release 42 of the shop"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *forger) as(name writ.Ref) door.Caller {
	return door.Caller{Party: f.Store.Directory().Identities[name].Party()}
}

func (f *forger) enrol(who writ.Ref) {
	f.Helper()
	c, err := f.Door.EnrolChallenge(f.Context(), f.as(who))
	if err != nil {
		f.Fatal(err)
	}
	f.enrolled, err = f.Door.Enrol(f.Context(), f.as(who), door.Enrolment{
		Method: writ.BySSH, Public: string(ssh.MarshalAuthorizedKey(f.key.PublicKey())), Nonce: c.Nonce,
		Proof: f.sign(f.key, assent.EnrolNamespace, c),
	})
	if err != nil {
		f.Fatal(err)
	}
}

func (f *forger) sign(key ssh.Signer, namespace string, c door.Challenge) []byte {
	f.Helper()
	message, err := base64.RawURLEncoding.DecodeString(c.Challenge)
	if err != nil {
		f.Fatal(err)
	}
	proof, err := assent.SignSSH(rand.Reader, key, namespace, message)
	if err != nil {
		f.Fatal(err)
	}
	return proof
}

// record puts an approval on record past every rule but those of the ledger.
func (f *forger) record(by writ.Ref, e writ.Evidence) {
	f.Helper()
	_, err := f.Store.Update(f.Context(), store.Change{ID: f.request.ID, Decide: func(r writ.Request, facts writ.Facts) ([]writ.Event, error) {
		return []writ.Event{{
			Stream: string(r.ID), Seq: r.Seq + 1, At: facts.Now, Actor: facts.Directory.Identities[by].Party(),
			Body: writ.Approved{Stage: r.Verdict.Stages[0].Name, Digest: r.Digest, Evidence: &e},
		}}, nil
	}})
	if err != nil {
		f.Fatal(err)
	}
}

// TestVerifyChecksSignatures years later, with nothing but the ledger.
func TestVerifyChecksSignatures(t *testing.T) {
	for name, c := range map[string]struct {
		by    writ.Ref
		forge func(*forger, *writ.Evidence)
		says  string
	}{
		"as it was signed":            {"human/max", func(*forger, *writ.Evidence) {}, ""},
		"and the key is removed":      {"human/max", nil, ""},
		"of another nonce":            {"human/max", func(_ *forger, e *writ.Evidence) { e.Nonce = make([]byte, 16) }, "does not hold"},
		"by nobody":                   {"human/max", func(_ *forger, e *writ.Evidence) { e.Proof = nil }, "no SSH signature"},
		"by a key that was never his": {"human/max", func(_ *forger, e *writ.Evidence) { e.KeyUID = "key-none" }, "was not enrolled then"},
		"with max's key, by sue":      {"human/sue", func(*forger, *writ.Evidence) {}, "human/sue approved with key"},
		"with a key that was removed": {"human/max", func(f *forger, _ *writ.Evidence) { f.remove() }, "was not enrolled then"},
		"with the one before": {"human/max", func(f *forger, e *writ.Evidence) {
			f.remove()
			f.enrol("human/sue")
		}, "was not enrolled then"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForger(t)
			given, err := f.Door.Challenge(t.Context(), f.as("human/max"), f.request.ID, writ.Yes)
			if err != nil {
				t.Fatal(err)
			}
			e := writ.Evidence{Method: writ.BySSH, Nonce: given.Nonce, Key: f.enrolled.Name, KeyUID: f.enrolled.UID, Proof: f.sign(f.key, assent.ApprovalNamespace, given)}
			if c.forge != nil {
				c.forge(f, &e)
			}
			f.record(c.by, e)
			if c.forge == nil {
				f.remove()
			}
			_, err = f.Verify(context.Background())
			var broken store.Broken
			if c.says == "" && err != nil || c.says != "" && (!errors.As(err, &broken) || !strings.Contains(broken.What, c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func (f *forger) remove() {
	f.Helper()
	if err := f.Door.Disenrol(f.Context(), f.as("human/max"), f.enrolled.Name); err != nil {
		f.Fatal(err)
	}
}
