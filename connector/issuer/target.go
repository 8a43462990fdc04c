package issuer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer/mint"
)

// Driver makes targets of an Issuer. Without one it describes and checks, but
// opens nothing.
type Driver struct{ Issuer *Issuer }

// Manifest says what the authority can do. It reads back from its database and
// lists every credential in it. Sessions opened with a credential are the
// business of whoever let it in.
func (Driver) Manifest() connector.Manifest {
	return connector.Manifest{
		Name:         "issuer",
		Summary:      "API keys, access tokens and short-lived X.509 and SSH certificates issued by Writ itself",
		Kinds:        slices.Clone(mint.Kinds),
		SelfExpiring: true,
		Readable:     true,
		ListsAll:     true,
	}
}

// Check says what is wrong with a grant section for credentials of the kind.
func (Driver) Check(grant json.RawMessage, kind connector.Kind) error {
	_, err := mint.ParseSection(grant, kind)
	return err
}

// Open returns the part of the Issuer that belongs to the target env.Target.
func (d Driver) Open(_ context.Context, config json.RawMessage, env connector.Env) (connector.Connector, error) {
	if d.Issuer == nil {
		return nil, errors.New("issuer: this server has no built-in authority; enable it before adding a target of it")
	}
	settings, err := mint.ParseSettings(config)
	if err != nil {
		return nil, err
	}
	return &target{issuer: d.Issuer, name: env.Target, settings: settings}, nil
}

type target struct {
	issuer   *Issuer
	name     string
	settings mint.Settings
}

// Grant issues the credential. One issued before for the same request ends in
// the same transaction.
func (t *target) Grant(ctx context.Context, o connector.Order) (connector.Receipt, error) {
	if err := here(o); err != nil {
		return connector.Receipt{}, err
	}
	section, err := t.settings.Section(o)
	if err != nil {
		return connector.Receipt{}, err
	}
	made, err := t.issuer.mint.Make(o, section)
	if err != nil {
		return connector.Receipt{}, err
	}
	r := t.row(o, section)
	r.id, r.fingerprint, r.pubkey = made.ID, made.Fingerprint, made.PublicKey
	if mint.Bearer(o.Kind) {
		r.mac = t.issuer.mint.MAC(made.Text.Reveal(), r.terms())
	}
	if err := t.issuer.replace(ctx, o.Request, &r); err != nil {
		return connector.Receipt{}, err
	}
	return connector.Receipt{
		External:    o.Request,
		Fingerprint: made.Fingerprint,
		Detail:      map[string]string{"id": made.ID},
		Credential:  &connector.Credential{Kind: o.Kind, Env: made.Env, Files: made.Files, Until: at(r.until)},
	}, nil
}

// row is what the order asks to be stored.
func (t *target) row(o connector.Order, s mint.Section) row {
	r := row{
		target: t.name, request: o.Request, writ: o.Serial, kind: o.Kind,
		subject: o.Subject, uid: o.SubjectUID, entitlement: o.Entitlement, environment: o.Environment,
		section: s, scope: o.Scope, starts: micros(mint.From(o, t.issuer.cfg.Now())), until: micros(mint.Until(o)),
	}
	if r.scope == nil {
		r.scope = map[string]string{} // none is stored in one way only
	}
	return r
}

// Revoke ends the credential of the request. From then on it is not active,
// here at once and in every other process within a second.
func (t *target) Revoke(ctx context.Context, o connector.Order, _ connector.Receipt) error {
	if err := here(o); err != nil {
		return err
	}
	return t.issuer.replace(ctx, o.Request, nil)
}

// Observe reads what the database says of the request.
func (t *target) Observe(ctx context.Context, o connector.Order, receipt connector.Receipt) (connector.Observation, error) {
	if err := here(o); err != nil {
		return connector.Observation{State: connector.Unread}, err
	}
	rows, err := t.issuer.read(ctx, selectRows+`WHERE request = $1 ORDER BY changed`, o.Request)
	if err != nil {
		return connector.Observation{State: connector.Unread}, err
	}
	if len(rows) == 0 {
		return connector.Observation{External: o.Request, State: connector.Absent}, nil
	}
	now := micros(t.issuer.cfg.Now())
	latest := rows[len(rows)-1]
	for _, r := range rows {
		if r.live(now) {
			latest = r
		}
	}
	seen := t.issuer.observe(latest, now)
	for _, r := range rows { // also what was replaced may still be honoured
		if r.ended != 0 && mint.Offline(r.kind) && r.until > now && at(r.until).After(seen.Residual) {
			seen.Residual = at(r.until)
		}
	}
	if seen.State == connector.Present {
		seen.Differs = t.differs(latest, o, receipt)
	}
	return seen, nil
}

func (i *Issuer) observe(r row, now int64) connector.Observation {
	seen := connector.Observation{
		External: cmp.Or(r.request, r.id), // a row without a request was not made here
		Request:  r.request,
		State:    connector.Absent,
		Until:    at(r.until),
		LastUsed: i.lastUse(r),
		Detail: map[string]string{
			"id": r.id, "kind": string(r.kind), "fingerprint": r.fingerprint, "subject": r.subject, "subjectUID": r.uid,
			"target": r.target, "entitlement": r.entitlement, "environment": r.environment, "writ": r.writ,
			"grant": text(r.section), "scope": text(r.scope), "from": stamp(r.starts),
		},
	}
	if r.live(now) {
		seen.State = connector.Present
	}
	if r.ended != 0 {
		seen.Detail["ended"] = stamp(r.ended)
	}
	if r.pubkey != "" {
		seen.Detail["publicKey"] = r.pubkey
	}
	return seen
}

// differs says in words how what is stored is not what was ordered.
func (t *target) differs(r row, o connector.Order, receipt connector.Receipt) (ways []string) {
	section, err := t.settings.Section(o)
	if err != nil {
		return []string{"the order could not be granted now: " + err.Error()}
	}
	want := t.row(o, section)
	if o.From.IsZero() { // it began with the grant
		want.starts = r.starts
	}
	want.fingerprint = r.fingerprint
	if receipt.Fingerprint != "" {
		want.fingerprint = receipt.Fingerprint
	}
	if want.pubkey, err = mint.PublicKey(o); err != nil {
		ways = append(ways, "the public key of the order: "+err.Error())
	}
	for _, f := range []struct{ name, has, wants string }{
		{"target", r.target, want.target},
		{"kind", string(r.kind), string(want.kind)},
		{"subject", r.subject, want.subject},
		{"subject uid", r.uid, want.uid},
		{"entitlement", r.entitlement, want.entitlement},
		{"environment", r.environment, want.environment},
		{"writ", r.writ, want.writ},
		{"grant", text(r.section), text(want.section)},
		{"scope", text(r.scope), text(want.scope)},
		{"public key", r.pubkey, want.pubkey},
		{"fingerprint", r.fingerprint, want.fingerprint},
		{"from", stamp(r.starts), stamp(want.starts)},
		{"until", stamp(r.until), stamp(want.until)},
	} {
		if f.has != f.wants {
			ways = append(ways, fmt.Sprintf("%s is %s, ordered was %s", f.name, f.has, f.wants))
		}
	}
	return ways
}

// List calls f for every credential of the authority that lives, in the order of
// their ids. Like every view of one system it shows what all its targets made,
// also those that are no longer configured.
func (t *target) List(ctx context.Context, f func(connector.Observation) error) error {
	for after, more := "", true; more; {
		now := micros(t.issuer.cfg.Now())
		rows, err := t.issuer.read(ctx, selectRows+`WHERE id > $1 AND ended = 0 AND until > $2 ORDER BY id LIMIT $3`,
			after, now, pageSize)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := f(t.issuer.observe(r, now)); err != nil {
				return err
			}
			after = r.id
		}
		more = len(rows) == pageSize
	}
	return nil
}

// instance is the one authority there is, whatever the configuration.
const instance = "built-in issuer"

// Instance returns its name.
func (t *target) Instance(ctx context.Context) (string, error) { return instance, ctx.Err() }

// here refuses an order that is for elsewhere.
func here(o connector.Order) error {
	if o.Instance != "" && o.Instance != instance {
		return fmt.Errorf("issuer: this is the %s, but the order is for %s", instance, o.Instance)
	}
	return nil
}

// Close does nothing: the Issuer is shared and outlives its targets.
func (t *target) Close() error { return nil }

func stamp(micros int64) string { return at(micros).Format(time.RFC3339Nano) }
