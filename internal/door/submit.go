package door

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/seal"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// An Ask is what a caller asks for.
type Ask struct {
	Subject     writ.Ref          `json:"subject,omitempty" doc:"identity that is to get access; the caller if left out" example:"service/ci-deployer"`
	Entitlement string            `json:"entitlement" doc:"name of the entitlement" example:"orders-db/deploy"`
	Scope       map[string]string `json:"scope,omitempty" doc:"scope parameters of the entitlement"`
	For         writ.Duration     `json:"for" doc:"how long access lasts from its start" example:"24h"`
	StartAt     time.Time         `json:"startAt,omitzero" doc:"not before; at once if left out"`
	StartBy     time.Time         `json:"startBy,omitzero" doc:"not after; as policy allows if left out"`
	Ends        []string          `json:"ends,omitempty" doc:"what ends it sooner" example:"[\"incident/INC-7\"]"`
	Ticket      string            `json:"ticket,omitempty" example:"CHG-1234"`
	Why         string            `json:"why,omitempty" doc:"justification, for the people who decide"`
	Recipient   string            `json:"recipient,omitempty" doc:"age X25519 public key that the credential is sealed to"`
	PublicKey   string            `json:"publicKey,omitempty" doc:"PEM certificate request or OpenSSH public key that a certificate is for"`
}

func (a Ask) core(who Caller, why writ.Commitment) writ.Ask {
	if a.Subject == "" {
		a.Subject = who.Name
	}
	return writ.Ask{
		Subject: a.Subject, Entitlement: a.Entitlement, Scope: a.Scope, For: a.For, StartAt: a.StartAt,
		StartBy: a.StartBy, Ends: a.Ends, Ticket: a.Ticket, Why: why, Recipient: a.Recipient, PublicKey: a.PublicKey,
	}
}

// Submit asks for access. A request that policy refuses is on record all the
// same; the error then says why, and the request is returned with it.
func (d *Door) Submit(ctx context.Context, who Caller, a Ask) (writ.Request, error) {
	if err := a.checkKeys(); err != nil {
		return writ.Request{}, err
	}
	id := writ.ID(newID("req"))
	texts, why, err := text(id, "why", a.Why)
	if err != nil {
		return writ.Request{}, err
	}
	ask := a.core(who, why)
	r, err := d.Store.Update(ctx, store.Change{
		ID: id, Subject: ask.Subject, Texts: texts, Key: who.key(),
		Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
			f.Actor = who.Party
			return d.submit(r, id, ask, a.Why, f)
		},
	})
	if err == nil && r.Status == writ.StatusDenied && r.Problem != "" {
		err = writ.Errorf(writ.Forbidden, "policy refuses %s: %s", r.ID, r.Problem)
	}
	return r, err
}

func (d *Door) submit(r writ.Request, id writ.ID, ask writ.Ask, why string, f writ.Facts) ([]writ.Event, error) {
	if err := d.Safe(); err != nil { // policy may approve by itself
		return nil, err
	}
	terms, err := ask.Terms(id, f)
	if err != nil {
		return nil, err
	}
	f.Authority = d.Judge.Authority(f.Directory, f.Actor.Name)
	f.Verdict = d.Judge.Verdict(policy.Query{Terms: terms, Why: &why, Facts: f})
	return writ.Decide(r, id, writ.Submit{Terms: terms}, f)
}

// A Preview is what would become of an ask.
type Preview struct {
	Terms       writ.Terms         `json:"terms"`
	Verdict     writ.Verdict       `json:"verdict"`
	Explanation policy.Explanation `json:"explanation"`
}

// Preview says what would become of an ask, without asking.
func (d *Door) Preview(ctx context.Context, who Caller, a Ask) (Preview, error) {
	if err := a.checkKeys(); err != nil {
		return Preview{}, err
	}
	f := d.facts(who)
	_, why, err := text("req-preview", "why", a.Why)
	if err != nil {
		return Preview{}, err
	}
	ask := a.core(who, why)
	terms, err := ask.Terms("req-preview", f)
	if err != nil {
		return Preview{}, err
	}
	if f.Live, err = d.live(ctx, terms.Subject.UID); err != nil {
		return Preview{}, err
	}
	q := policy.Query{Terms: terms, Why: &a.Why, Facts: f}
	f.Verdict = d.Judge.Verdict(q)
	events, err := writ.Decide(writ.Request{}, terms.Request, writ.Submit{Terms: terms}, f)
	if err != nil {
		return Preview{}, err
	}
	if s, ok := events[0].Body.(writ.Submitted); ok {
		terms = s.Terms
	}
	return Preview{terms, f.Verdict, d.Judge.Explain(q)}, nil
}

func (d *Door) live(ctx context.Context, subject writ.UID) ([]writ.Live, error) {
	rs, err := d.Store.List(ctx, store.Query{Subject: subject, Status: liveStatuses, Limit: writ.MaxLive})
	var out []writ.Live
	for _, r := range rs {
		out = append(out, r.Live())
	}
	return out, err
}

var liveStatuses = []writ.Status{
	writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking,
}

// checkKeys refuses a key that the credential could not be made for, before
// anybody spends time on approving.
func (a Ask) checkKeys() error {
	if a.Recipient != "" {
		if _, err := seal.Parse(a.Recipient); err != nil {
			return err
		}
	}
	if a.PublicKey == "" {
		return nil
	}
	if block, _ := pem.Decode([]byte(a.PublicKey)); block != nil {
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || csr.CheckSignature() != nil {
			return writ.Errorf(writ.Invalid, "publicKey is PEM but no certificate request that its own key signed")
		}
		return nil
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(a.PublicKey))); err != nil {
		return writ.Errorf(writ.Invalid, "publicKey is neither a PEM certificate request nor an OpenSSH public key")
	}
	return nil
}
