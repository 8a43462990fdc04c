package door

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// A Put is a change of documents: all of it happens or nothing.
type Put struct {
	Documents []json.RawMessage `json:"documents,omitempty" doc:"documents as they shall be"`
	Remove    []writ.Header     `json:"remove,omitempty" doc:"kind and name of documents that shall be no more"`
	DryRun    bool              `json:"dryRun,omitempty" doc:"say what would change and change nothing"`
}

// A Change says what became of one document.
type Change struct {
	writ.Header
	Change    string `json:"change" doc:"created, changed, unchanged or removed"`
	Unchecked string `json:"unchecked,omitempty" doc:"what could not be checked here"`
}

// Put changes documents.
func (d *Door) Put(ctx context.Context, who Caller, in Put) ([]Change, error) {
	c := writ.Put{Remove: in.Remove}
	for _, data := range in.Documents {
		doc, err := writ.ParseDocument(data)
		if err != nil {
			return nil, err
		}
		c.Documents = append(c.Documents, doc)
		c.UIDs = append(c.UIDs, writ.UID(newID(doc.Head().Kind[:3])))
	}
	if err := d.checkTargets(ctx, c); err != nil {
		return nil, err
	}
	if err := d.checkUnused(ctx, in.Remove); err != nil {
		return nil, err
	}
	var changes []Change
	decide := func(_ writ.Request, f writ.Facts) (events []writ.Event, err error) {
		f.Actor = who.Party
		f.Authority = d.Judge.Authority(f.Directory, who.Name)
		f.Authority.Administer = f.Authority.Administer || who.Party == writ.System
		events, changes, err = put(c, f)
		d.unchecked(changes)
		return events, err
	}
	if in.DryRun {
		_, err := decide(writ.Request{}, d.facts(who))
		return changes, err
	}
	_, err := d.Store.Update(ctx, store.Change{Decide: decide})
	return changes, err
}

func put(c writ.Put, f writ.Facts) ([]writ.Event, []Change, error) {
	events, next, err := writ.DecidePut(c, f)
	if err != nil {
		return nil, nil, err
	}
	if err := checkPolicy(next, slices.ContainsFunc(events, ofPolicy)); err != nil {
		return nil, nil, err
	}
	var out []Change
	for _, doc := range c.Documents {
		h := doc.Head()
		now, _ := next.Get(h.Kind, h.Name)
		out = append(out, Change{Header: now.Head(), Change: changeOf(f.Directory, now.Head())})
	}
	for _, h := range c.Remove {
		out = append(out, Change{Header: h, Change: "removed"})
	}
	return events, out, nil
}

// unchecked says of which targets the configuration is taken as it is, because
// only another process has what it takes to open them.
func (d *Door) unchecked(changes []Change) {
	for i, c := range changes {
		if d.Target == nil && c.Kind == "target" && c.Change != "removed" && c.Change != "unchanged" {
			changes[i].Unchecked = "its config and secrets, which only the provisioner can open"
		}
	}
}

func changeOf(before *writ.Directory, now writ.Header) string {
	old, ok := before.Get(now.Kind, now.Name)
	switch {
	case !ok:
		return "created"
	case old.Head().Version == now.Version:
		return "unchanged"
	}
	return "changed"
}

func ofPolicy(e writ.Event) bool {
	switch b := e.Body.(type) {
	case writ.Changed:
		return b.Of != "target" && b.Of != "entitlement"
	case writ.Removed:
		return true
	}
	return false
}

// checkPolicy refuses documents whose policy does not compile, and those after
// which nobody could change them any more.
func checkPolicy(d *writ.Directory, relevant bool) error {
	if !relevant || len(d.Policies) == 0 {
		return nil
	}
	p, err := policy.Compile(policyFiles(d)...)
	if err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	for _, i := range d.Identities {
		if i.Human() && i.Active() && p.Authority(d, i.Ref()).Administer {
			return nil
		}
	}
	return writ.Errorf(writ.Invalid, "after this change no active human could administer; name one under authority.administer of the policy")
}

// Check refuses documents that this program cannot work with: a policy that it
// cannot read would deny everything, and so end all access that there is.
func (d *Door) Check() error {
	if err := checkPolicy(d.Store.Directory(), true); err != nil {
		return writ.Errorf(writ.Unavailable, "this program cannot serve these documents: %v; start the version that could, and change them there", err)
	}
	return nil
}

// checkTargets refuses a target whose configuration its connector does not
// accept, and an entitlement whose grant it could not carry out.
func (d *Door) checkTargets(ctx context.Context, c writ.Put) error {
	targets := map[string]writ.Target{}
	for _, doc := range c.Documents {
		t, ok := doc.(writ.Target)
		if !ok {
			continue
		}
		targets[t.Name] = t
		if _, known := d.Drivers[t.Connector]; !known {
			return writ.Errorf(writ.Invalid, "target %s: there is no connector %q", t.Name, t.Connector)
		}
		if d.Target == nil {
			continue
		}
		if err := d.Target(ctx, t); err != nil {
			return writ.Errorf(writ.Invalid, "target %s: %v", t.Name, err)
		}
	}
	for _, doc := range c.Documents {
		e, ok := doc.(writ.Entitlement)
		if !ok {
			continue
		}
		t, ok := targets[e.Target]
		if !ok {
			t = d.Store.Directory().Targets[e.Target]
		}
		if err := d.checkGrant(e, t); err != nil {
			return err
		}
	}
	return nil
}

func (d *Door) checkGrant(e writ.Entitlement, t writ.Target) error {
	driver, ok := d.Drivers[t.Connector]
	if !ok {
		return writ.Errorf(writ.Invalid, "entitlement %s: target %q does not exist; apply it first or in the same call", e.Name, e.Target)
	}
	kind := connector.Kind(e.Credential)
	if kinds := driver.Manifest().Kinds; !slices.Contains(kinds, kind) {
		return writ.Errorf(writ.Invalid, "entitlement %s: connector %s issues %v, not %q", e.Name, t.Connector, kinds, e.Credential)
	}
	if err := driver.Check(e.Grant, kind); err != nil {
		return writ.Errorf(writ.Invalid, "entitlement %s: %v", e.Name, err)
	}
	return nil
}

// checkUnused refuses to remove what a live request still needs: what is to be
// revoked must still be known.
func (d *Door) checkUnused(ctx context.Context, remove []writ.Header) error {
	dir := d.Store.Directory()
	for _, h := range remove {
		if _, ok := dir.Get(h.Kind, h.Name); !ok {
			continue // nothing can use it, and the decision will say so
		}
		uid := dir.Identities[writ.Ref(h.Name)].UID
		for _, q := range map[string][]store.Query{
			"identity":    {{Subject: uid}, {Requester: uid}},
			"target":      {{Target: h.Name}},
			"entitlement": {{Entitlement: h.Name}},
		}[h.Kind] {
			q.Status, q.Limit = liveStatuses, 1
			live, err := d.Store.List(ctx, q)
			if err != nil {
				return err
			}
			if len(live) > 0 {
				return writ.Errorf(writ.Conflict, "%s %s is in use by %s; end that first, or retire the identity", h.Kind, h.Name, live[0].ID)
			}
		}
	}
	return nil
}

// Documents returns the documents of a kind and name; of all kinds or names if empty.
func (d *Door) Documents(kind, name string) []writ.Document {
	return slices.DeleteFunc(d.Store.Directory().All(), func(doc writ.Document) bool {
		h := doc.Head()
		return kind != "" && h.Kind != kind || name != "" && h.Name != name
	})
}

func policyFiles(d *writ.Directory) (files []policy.File) {
	for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
		files = append(files, policy.File{Name: "policy/" + name, Source: d.Policies[name].Source})
	}
	return files
}
