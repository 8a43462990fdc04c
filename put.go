package writ

import (
	"encoding/json"
	"slices"
	"strings"
)

// Put changes documents: all of them or none. Documents that are as they were
// change nothing.
type Put struct {
	Documents []Document
	Remove    []Header // by kind and name
	UIDs      []UID    // fresh ones, at least one for each document
}

type (
	// Changed is a new version of a document, all of it.
	Changed struct {
		Of      string          `json:"kind"`
		Name    string          `json:"name"`
		UID     UID             `json:"uid"`
		Digest  Digest          `json:"digest"`
		Content json.RawMessage `json:"content"` // JCS
	}
	// Removed says that a document is no more. Its name is free for another.
	Removed struct {
		Of   string `json:"kind"`
		Name string `json:"name"`
		UID  UID    `json:"uid"`
	}
)

// DecidePut answers with the events of the change and the directory as it then is.
func DecidePut(c Put, f Facts) ([]Event, *Directory, error) {
	if !f.Authority.Administer {
		return nil, nil, Errorf(Forbidden, "%s may not change documents; policy names who administers", f.Actor.Name)
	}
	if len(c.UIDs) < len(c.Documents) {
		return nil, nil, Errorf(Invalid, "%d documents and %d fresh UIDs; each document needs one", len(c.Documents), len(c.UIDs))
	}
	next, out := f.Directory.clone(), []Event(nil)
	add := func(h Header, b Body) error {
		if err := impersonal(h); err != nil {
			return err
		}
		e := Event{Stream: h.Stream(), Seq: next.seqs[h.Stream()] + 1, At: f.Now, Actor: f.Actor, Body: b}
		out = append(out, e)
		return next.apply(e)
	}
	for _, h := range c.Remove {
		old, ok := next.Get(h.Kind, h.Name)
		if !ok {
			return nil, nil, Errorf(NotFound, "there is no %s %q", h.Kind, h.Name)
		}
		if err := add(h, Removed{h.Kind, h.Name, old.Head().UID}); err != nil {
			return nil, nil, err
		}
	}
	for _, i := range c.order() {
		doc := c.Documents[i]
		if g, ok := doc.(Group); ok {
			doc = next.join(g, f)
		}
		b, err := next.change(doc, c.UIDs[i])
		if err != nil {
			return nil, nil, err
		}
		if b == nil {
			continue
		}
		if err := add(doc.Head(), *b); err != nil {
			return nil, nil, err
		}
	}
	return out, next, next.checkAll(out, len(c.Remove) > 0)
}

// order puts identities first: what a group says of its members needs them.
func (c Put) order() []int {
	var first, then []int
	for i, doc := range c.Documents {
		if _, ok := doc.(Identity); ok {
			first = append(first, i)
		} else {
			then = append(then, i)
		}
	}
	return append(first, then...)
}

// join notes who is new in a group. Whatever was sent of it is not believed.
func (d *Directory) join(g Group, f Facts) Group {
	old := d.Groups[GroupRef(g.Name)]
	for m, j := range old.Joined { // whoever writes the document does not know of whom an issuer put there
		if j.UID == d.Identities[m].UID && g.fedBy(j.From) && !slices.Contains(g.Members, m) {
			g.Members = append(slices.Clip(g.Members), m)
		}
	}
	g.Joined = map[Ref]Joined{}
	for _, m := range g.Members {
		who := d.Identities[m]
		j, since := old.Since(who)
		if !since || !slices.Contains(old.Members, m) {
			j = Joined{UID: who.UID, At: seconds(f.Now), By: f.Actor}
		}
		if j.UID != "" {
			g.Joined[m] = j
		}
	}
	return g.ordered()
}

// impersonal refuses a document that only its person may change.
func impersonal(h Header) error {
	if how, ok := personal[h.Kind]; ok {
		return Errorf(Forbidden, "%s %s cannot be changed this way: %s", h.Kind, h.Name, how)
	}
	return nil
}

// change returns the event that makes doc current, or nothing if it is.
func (d *Directory) change(doc Document, fresh UID) (*Changed, error) {
	h := doc.Head()
	content, sum, err := body(doc)
	if err != nil {
		return nil, err
	}
	b := &Changed{h.Kind, h.Name, fresh, sum, content}
	old, ok := d.Get(h.Kind, h.Name)
	if !ok && (h.Version != 0 || h.UID != "") {
		return nil, Errorf(Stale, "%s %s is no more; leave out uid and version to make another", h.Kind, h.Name)
	}
	if !ok {
		return b, nil
	}
	was := old.Head()
	if h.Version != 0 && h.Version != was.Version {
		return nil, Errorf(Stale, "%s %s is at version %d, not %d; read it again", h.Kind, h.Name, was.Version, h.Version)
	}
	if h.UID != "" && h.UID != was.UID {
		return nil, Errorf(Stale, "%s %s is another one than %s by now", h.Kind, h.Name, h.UID)
	}
	if was.Digest == sum {
		return nil, nil
	}
	b.UID = was.UID
	return b, nil
}

// checkAll checks what was changed, and everything if something was removed:
// another document may have named it.
func (d *Directory) checkAll(changes []Event, removed bool) error {
	docs := d.All()
	if !removed {
		docs = nil
		for _, e := range changes {
			kind, name, _ := strings.Cut(e.Stream, ":")
			if doc, ok := d.Get(kind, name); ok {
				docs = append(docs, doc)
			}
		}
	}
	for _, doc := range docs {
		if err := doc.check(d); err != nil {
			return err
		}
	}
	return nil
}

// With returns the directory as it is after these events; those that are not
// of documents change nothing.
func (d *Directory) With(events ...Event) (*Directory, error) {
	if !slices.ContainsFunc(events, func(e Event) bool { return e.OfDocument() }) {
		return d, nil
	}
	next := d.clone()
	for _, e := range events {
		if err := next.apply(e); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// OfDocument reports whether the event changes the directory.
func (e Event) OfDocument() bool {
	switch e.Body.(type) {
	case Changed, Removed:
		return true
	}
	return false
}

func (d *Directory) apply(e Event) error {
	switch b := e.Body.(type) {
	case Changed:
		doc, err := ParseDocument(b.Content)
		if err != nil {
			return err
		}
		d.put(doc.withHead(Header{b.Of, b.Name, b.UID, e.Seq, b.Digest}))
		d.seqs[e.Stream] = e.Seq
	case Removed:
		d.remove(b.Of, b.Name)
		d.seqs[e.Stream] = e.Seq
	}
	return nil
}

// Kind returns "document-changed".
func (Changed) Kind() Kind { return "document-changed" }

// Kind returns "document-removed".
func (Removed) Kind() Kind { return "document-removed" }
