package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

// demoFor is how long access lasts in the demo. The sample policy allows a day
// and ninety days; nobody wants to watch that.
const demoFor = writ.Duration(6 * time.Second)

// deploy is the first job: a pipeline's service account gets into the orders
// database after its manager and security approved.
func (s *stage) deploy(ctx context.Context) error {
	s.title("Job 1: a pipeline gets into the orders database")
	const ci = "service/ci-deployer"
	r, err := s.ask(ctx, ci, client.Ask{Entitlement: "orders-db/deploy", For: demoFor, Why: "release 42 of the order service"})
	if err != nil {
		return err
	}
	for _, who := range []writ.Ref{ci, "human/ann"} { // the requester, and who owns it
		c, err := s.as(ctx, who)
		if err != nil {
			return err
		}
		_, err = c.Approve(ctx, r.ID, r.Digest)
		if err := s.refusal(string(who)+" tries to approve", err, writ.Forbidden); err != nil {
			return err
		}
	}
	if err := s.approve(ctx, r, "human/max", "human/sue"); err != nil {
		return err
	}
	d, err := s.reach(ctx, ci, r.ID, writ.StatusActive)
	if err != nil {
		return err
	}
	s.tell("Access exists: %s, seen as %s, until %s", d.Receipt.External, d.Seen.State, d.Until.Format(time.TimeOnly))
	credential, err := s.claim(ctx, ci, r.ID)
	if err != nil {
		return err
	}
	return s.use(ctx, ci, d, func() (string, error) { return s.orders.use(ctx, s, credential) })
}

// partner is the second job: an API key for a third party, for one service,
// with a change ticket.
func (s *stage) partner(ctx context.Context) error {
	s.title("Job 2: a partner gets an API key for one service")
	const ann = "human/ann"
	ask := client.Ask{
		Subject: "service/partner-sync", Entitlement: "billing-api/client", Scope: map[string]string{"service": "invoices"},
		For: demoFor, Why: "monthly invoice export for the partner",
	}
	c, err := s.as(ctx, ann)
	if err != nil {
		return err
	}
	_, err = c.Submit(ctx, ask, "")
	if err := s.refusal(ann+" asks without a change ticket", err, writ.Forbidden); err != nil {
		return err
	}
	ask.Ticket = "CHG-1234"
	r, err := s.ask(ctx, ann, ask)
	if err != nil {
		return err
	}
	if err := s.approve(ctx, r, "human/max"); err != nil {
		return err
	}
	d, err := s.reach(ctx, ann, r.ID, writ.StatusActive)
	if err != nil {
		return err
	}
	credential, err := s.claim(ctx, ann, r.ID)
	if err != nil {
		return err
	}
	key := credential.Env["WRIT_API_KEY"]
	if answer, err := s.show(ctx, key, "payments"); err == nil {
		return fmt.Errorf("the key for invoices opened payments: %s", answer)
	}
	s.tell("The key shown to another service of the API, payments: refused")
	return s.use(ctx, ann, d, func() (string, error) { return s.show(ctx, key, "invoices") })
}

// claim takes the credential, and tries to take it twice.
func (s *stage) claim(ctx context.Context, who writ.Ref, id writ.ID) (*client.Credential, error) {
	c, err := s.as(ctx, who)
	if err != nil {
		return nil, err
	}
	got, err := c.Claim(ctx, id)
	if err != nil {
		return nil, err
	}
	s.tell("%s claims the credential, once", who)
	_, err = c.Claim(ctx, id)
	return got.Credential, s.refusal("Claiming it a second time", err, writ.Conflict)
}

// use uses the credential, lets it expire, and shows that it works no more.
func (s *stage) use(ctx context.Context, who writ.Ref, d client.Dossier, use func() (string, error)) error {
	answer, err := use()
	if err != nil {
		return fmt.Errorf("the credential does not work: %w", err)
	}
	s.tell("The credential works: %s", answer)
	s.tell("Nobody does anything until it is over …")
	closed, err := s.reach(ctx, who, d.ID, writ.StatusClosed)
	if err != nil {
		return err
	}
	lag := closed.ClosedAt.Sub(closed.Until).Round(time.Millisecond)
	s.tell("It ended (%s) and was read back as %s, %s after its time", closed.End.Cause, closed.Seen.State, lag)
	if answer, err := use(); err == nil {
		return fmt.Errorf("the credential still works after its end: %s", answer)
	} else {
		s.tell("The credential works no more: %q", oneLine(err))
	}
	s.say("     its life: %s", lifeOf(closed))
	return nil
}

func lifeOf(d client.Dossier) string {
	var kinds []string
	for _, e := range d.Events {
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " → ")
}

// oneLine is what a system said, without the way there.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if i := strings.LastIndex(text, "FATAL: "); i >= 0 {
		text = text[i:]
	}
	return text[:min(len(text), 120)]
}

// show is the billing API: it lets a key in if Writ says that the key is good,
// and good for this service.
func (s *stage) show(ctx context.Context, key, service string) (string, error) {
	return s.check(ctx, key, "billing-api", map[string]string{"service": service})
}

// check asks Writ about a key, as any protected service does.
func (s *stage) check(ctx context.Context, key, audience string, scope map[string]string) (string, error) {
	gate, err := s.as(ctx, "service/billing-api")
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"token": key, "audience": audience, "scope": scope})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/issuer/verify", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+gate.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var said struct {
		Active  bool
		Subject string
		Scope   map[string]string
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		return "", err
	}
	if !said.Active {
		return "", fmt.Errorf("the key is not active for %s %v", audience, scope)
	}
	return fmt.Sprintf("%s is let in to %s %v", said.Subject, audience, said.Scope), nil
}

// verify walks the whole ledger.
func (s *stage) verify(ctx context.Context) error {
	s.title("The ledger proves all of it")
	n, err := s.server.Verify(ctx)
	if err != nil {
		return err
	}
	s.say("writ verify: %d events, every hash, signature, writ and table holds", n)
	s.say("\nBoth jobs ran to their proven end.")
	return nil
}
