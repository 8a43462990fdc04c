package writ

import (
	"maps"
	"slices"
)

// A Directory is every document at one position of the ledger. It is never
// changed once it is shared: with returns another.
type Directory struct {
	Identities   map[Ref]Identity
	Groups       map[Ref]Group // by reference: "group/security"
	Targets      map[string]Target
	Entitlements map[string]Entitlement
	Policies     map[string]Policy
	Keys         map[string]Key
	Delegations  map[string]Delegation

	member map[Ref][]Ref  // groups of an identity
	seqs   map[string]int // last event of each document's stream, also of removed ones

	configs map[string]Digest // of targets' configurations: each decision asks for one
}

// NewDirectory returns a directory of these documents as they are.
func NewDirectory(docs ...Document) *Directory {
	d := (&Directory{}).clone()
	for _, doc := range docs {
		d.put(doc)
	}
	return d
}

func (d *Directory) clone() *Directory {
	c := &Directory{
		maps.Clone(d.Identities), maps.Clone(d.Groups), maps.Clone(d.Targets), maps.Clone(d.Entitlements),
		maps.Clone(d.Policies), maps.Clone(d.Keys), maps.Clone(d.Delegations), maps.Clone(d.member), maps.Clone(d.seqs), maps.Clone(d.configs),
	}
	if c.Identities == nil {
		return &Directory{
			map[Ref]Identity{}, map[Ref]Group{}, map[string]Target{},
			map[string]Entitlement{}, map[string]Policy{}, map[string]Key{}, map[string]Delegation{}, map[Ref][]Ref{}, map[string]int{}, map[string]Digest{},
		}
	}
	return c
}

func (d *Directory) put(doc Document) {
	switch doc := doc.(type) {
	case Identity:
		d.Identities[doc.Ref()] = doc
	case Group:
		d.unlink(GroupRef(doc.Name))
		d.Groups[GroupRef(doc.Name)] = doc
		for _, m := range doc.Members {
			d.member[m] = append(slices.Clip(d.member[m]), GroupRef(doc.Name))
		}
	case Target:
		d.Targets[doc.Name] = doc
		delete(d.configs, doc.Name)
		if sum, err := digest("writ/config/v1", doc.Config); err == nil { // else Define says what is wrong
			d.configs[doc.Name] = sum
		}
	case Entitlement:
		d.Entitlements[doc.Name] = doc
	case Policy:
		d.Policies[doc.Name] = doc
	case Key:
		d.Keys[doc.Name] = doc
	case Delegation:
		d.Delegations[doc.Name] = doc
	}
}

func (d *Directory) remove(kind, name string) {
	switch kind {
	case "identity":
		delete(d.Identities, Ref(name))
	case "group":
		d.unlink(GroupRef(name))
		delete(d.Groups, GroupRef(name))
	case "target":
		delete(d.Targets, name)
	case "entitlement":
		delete(d.Entitlements, name)
	case "policy":
		delete(d.Policies, name)
	case "key":
		delete(d.Keys, name)
	case "delegation":
		delete(d.Delegations, name)
	}
}

// unlink forgets who the members of a group were.
func (d *Directory) unlink(group Ref) {
	for _, m := range d.Groups[group].Members {
		d.member[m] = slices.DeleteFunc(slices.Clone(d.member[m]), func(g Ref) bool { return g == group })
	}
}

// GroupRef returns the reference to a group of this name.
func GroupRef(name string) Ref { return Ref("group/" + name) }

// Get returns the document of a kind and name.
func (d *Directory) Get(kind, name string) (doc Document, ok bool) {
	switch kind {
	case "identity":
		doc, ok = d.Identities[Ref(name)]
	case "group":
		doc, ok = d.Groups[GroupRef(name)]
	case "target":
		doc, ok = d.Targets[name]
	case "entitlement":
		doc, ok = d.Entitlements[name]
	case "policy":
		doc, ok = d.Policies[name]
	case "key":
		doc, ok = d.Keys[name]
	case "delegation":
		doc, ok = d.Delegations[name]
	}
	return doc, ok
}

// All returns every document, ordered by kind and name.
func (d *Directory) All() []Document {
	return slices.Concat(
		documentsOf(d.Delegations), documentsOf(d.Entitlements), documentsOf(d.Groups), documentsOf(d.Identities),
		documentsOf(d.Keys), documentsOf(d.Policies), documentsOf(d.Targets),
	)
}

func documentsOf[K ~string, D Document](m map[K]D) []Document {
	var out []Document
	for _, doc := range sorted(m) {
		out = append(out, doc)
	}
	return out
}

func sorted[K ~string, V any](m map[K]V) []V {
	var out []V
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

// Who returns the identity that a party is. A party whose name now belongs to
// another UID is nobody.
func (d *Directory) Who(p Party) (Identity, bool) {
	i, ok := d.Identities[p.Name]
	return i, ok && i.UID == p.UID
}

// In reports whether the identity is, or is a member of, any of refs.
func (d *Directory) In(who Ref, refs ...Ref) bool {
	if slices.Contains(refs, who) {
		return true
	}
	for _, g := range d.member[who] {
		if slices.Contains(refs, g) {
			return true
		}
	}
	return false
}

// GroupsOf returns the groups that the identity is a member of, sorted.
func (d *Directory) GroupsOf(who Ref) []Ref { return slices.Sorted(slices.Values(d.member[who])) }

// Expand returns the identities that refs name, groups by their members.
func (d *Directory) Expand(refs ...Ref) []Identity {
	var out []Identity
	seen := map[Ref]bool{}
	add := func(ref Ref) {
		if i, ok := d.Identities[ref]; ok && !seen[ref] {
			seen[ref] = true
			out = append(out, i)
		}
	}
	for _, ref := range refs {
		if !ref.IsGroup() {
			add(ref)
			continue
		}
		for _, m := range d.Groups[ref].Members {
			add(m)
		}
	}
	return out
}

// Answers reports whether who is accountable for the identity: its owner or deputy.
func (d *Directory) Answers(who Ref, identity Ref) bool {
	i, ok := d.Identities[identity]
	return ok && who != "" && (i.Owner == who || i.Deputy == who)
}

// Accountable returns the live humans that answer for an identity: a human
// for themselves, else its owner and deputy.
func (d *Directory) Accountable(i Identity) []Identity {
	refs := []Ref{i.Owner, i.Deputy}
	if i.Human() {
		refs = []Ref{i.Ref()}
	}
	return slices.DeleteFunc(d.Expand(refs...), func(h Identity) bool { return !h.Active() })
}

// Speaks returns the one active identity that a token of this issuer, subject
// and claims speaks for. Two that match are refused: neither can be meant.
func (d *Directory) Speaks(issuer, subject string, claim func(string) string) (Identity, error) {
	var found []Identity
	for _, i := range d.Identities {
		for _, a := range i.Accounts {
			if a.Issuer == issuer && (a.Subject == "" || a.Subject == subject) && a.claims(claim) {
				found = append(found, i)
				break
			}
		}
	}
	switch {
	case len(found) == 0:
		return Identity{}, Errorf(Unauthenticated, "no identity has an account for subject %q of %s; add one to its accounts", subject, issuer)
	case len(found) > 1:
		return Identity{}, Errorf(Unauthenticated, "subject %q of %s matches %d identities; make their accounts exact", subject, issuer, len(found))
	case !found[0].Active():
		return Identity{}, Errorf(Unauthenticated, "%s is %s", found[0].Name, found[0].State)
	}
	return found[0], nil
}

func (a Account) claims(claim func(string) string) bool {
	for name, want := range a.Claims {
		if claim(name) != want {
			return false
		}
	}
	return true
}

func (d *Directory) checkRefs(what, field string, refs []Ref) error {
	for _, ref := range refs {
		_, identity := d.Identities[ref]
		_, group := d.Groups[ref]
		if !identity && !group {
			return Errorf(Invalid, "%s: %s: there is no %s; apply it first or in the same call", what, field, ref)
		}
	}
	return nil
}

func (d *Directory) checkHuman(name, field string, ref Ref) error {
	if ref == "" {
		return nil
	}
	i, ok := d.Identities[ref]
	if !ok {
		return Errorf(Invalid, "identity %s: %s: there is no %s; apply it first or in the same call", name, field, ref)
	}
	if !i.Human() || string(ref) == name {
		return Errorf(Invalid, "identity %s: %s %s must be another human", name, field, ref)
	}
	return nil
}
