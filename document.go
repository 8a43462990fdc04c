package writ

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Document describes what Writ governs: an identity, a group, a target, an
// entitlement or a policy. Documents are versioned, and each change of one is
// an event of the ledger.
type Document interface {
	Head() Header
	// check refuses what cannot stand, alone or beside the other documents.
	check(d *Directory) error
	withHead(Header) Document
}

// A Header names a document. UID and Version are Writ's: whoever sends a
// document may leave them out; a Version that is sent must be the current one.
type Header struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	UID     UID    `json:"uid,omitempty"`
	Version int    `json:"version,omitempty"`
	Digest  Digest `json:"digest,omitempty"`
}

// Head returns the header.
func (h Header) Head() Header { return h }

// Stream is the name under which the ledger keeps the document's events.
func (h Header) Stream() string { return h.Kind + ":" + h.Name }

// An Identity is whoever may hold access or answer for it. Its name starts
// with its kind: human, service, workload, agent, application.
type Identity struct {
	Header      `yaml:",inline"`
	Title       string            `json:"title,omitempty"`   // for people
	Purpose     string            `json:"purpose,omitempty"` // what a non-human identity is there for
	Owner       Ref               `json:"owner,omitempty"`   // the accountable human of a non-human identity
	Deputy      Ref               `json:"deputy,omitempty"`
	Manager     Ref               `json:"manager,omitempty"` // of a human
	Person      string            `json:"person,omitempty"`  // the same for every account of one human
	Environment string            `json:"environment,omitempty"`
	State       string            `json:"state,omitempty"`    // active (default), disabled or retired
	Accounts    []Account         `json:"accounts,omitempty"` // the tokens that speak for it
	Askers      []Ref             `json:"askers,omitempty"`   // who else may ask for access for it
	Labels      map[string]string `json:"labels,omitempty"`
}

// An Account says which tokens speak for an identity: those of exactly this
// issuer with exactly this subject and these claims.
type Account struct {
	Issuer  string            `json:"issuer"`
	Subject string            `json:"subject,omitempty"`
	Claims  map[string]string `json:"claims,omitempty"`
}

// A Group is a set of identities.
type Group struct {
	Header  `yaml:",inline"`
	Title   string `json:"title,omitempty"`
	Members []Ref  `json:"members"`
	Claims  []Fed  `json:"claims,omitempty"` // of whom an issuer says one of these when they sign in is a member, too

	Joined map[Ref]Joined `json:"joined,omitempty"` // Writ's: since when each is a member
}

// Joined says since when somebody is a member of a group, and who put them there.
type Joined struct {
	UID  UID       `json:"uid"` // of the member
	At   time.Time `json:"at"`
	By   Party     `json:"by"`
	From string    `json:"from,omitempty"` // issuer whose claim put them there
}

// A Fed is a value of the claim in which an issuer says what groups a person is in.
type Fed struct {
	Issuer string `json:"issuer"`
	Value  string `json:"value"`
}

// Since returns since when an identity is a member. It is false for one that
// was made again under a name that is: that one never joined.
func (g Group) Since(who Identity) (Joined, bool) {
	j, known := g.Joined[who.Ref()]
	return j, !known || j.UID == who.UID
}

// A Target is one configured real system.
type Target struct {
	Header      `yaml:",inline"`
	Title       string          `json:"title,omitempty"`
	Connector   string          `json:"connector"` // name of the connector
	Environment string          `json:"environment"`
	Owners      []Ref           `json:"owners,omitempty"`
	Config      json.RawMessage `json:"config,omitempty"` // the connector's; secrets only by reference
}

// An Entitlement is one requestable unit of access at a target. Its name
// starts with the target's.
type Entitlement struct {
	Header      `yaml:",inline"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Target      string            `json:"target"`
	Credential  string            `json:"credential"` // kind of credential
	Grant       json.RawMessage   `json:"grant"`      // the connector's
	Scope       map[string]Param  `json:"scope,omitempty"`
	MaxFor      Duration          `json:"maxFor"`
	Owners      []Ref             `json:"owners,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// ConfigDigest returns what Definition.Config has of a target.
func (t Target) ConfigDigest() (Digest, error) { return digest("writ/config/v1", t.Config) }

// A Param is one scope parameter of an entitlement. It is required unless it
// has a default.
type Param struct {
	Title   string   `json:"title,omitempty"`
	OneOf   []string `json:"oneOf,omitempty"`
	Pattern string   `json:"pattern,omitempty"` // the whole value must match
	Default string   `json:"default,omitempty"`
	Covers  Covers   `json:"covers,omitempty"` // which values give less than another
}

// Covers says which values of a scope parameter give less than a value does:
// an approver may narrow to them.
type Covers map[string][]string

// Has reports whether narrow is wide, or gives less by one or more steps.
func (c Covers) Has(wide, narrow string) bool {
	known, next := map[string]bool{wide: true}, []string{wide}
	for len(next) > 0 {
		value := next[0]
		next = next[1:]
		for _, less := range c[value] {
			if !known[less] {
				known[less], next = true, append(next, less)
			}
		}
	}
	return known[narrow]
}

// A Policy is the text of a policy file. Package policy reads it.
type Policy struct {
	Header `yaml:",inline"`
	Source string `json:"source"`
}

// The kinds of document, and an empty one of each.
var documents = map[string]func([]byte) (Document, error){
	"identity":    strict[Identity],
	"group":       strict[Group],
	"target":      strict[Target],
	"entitlement": strict[Entitlement],
	"policy":      strict[Policy],
	"key":         strict[Key],
	"delegation":  strict[Delegation],
}

// personal are the documents that only people make, for themselves: an
// administrator who could would decide in their place.
var personal = map[string]string{
	"key":        "its person enrols it with 'writ key add'",
	"delegation": "who is away makes it with 'writ delegation add'",
}

// maxDocument bounds a document's bytes, so that its event fits a ledger entry
// of 65,535 bytes.
const maxDocument = 48 << 10

// ParseDocument reads a document from JSON. Unknown kinds and fields are refused.
func ParseDocument(data []byte) (Document, error) {
	var h struct{ Kind, Name string }
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, Errorf(Invalid, "document: %v; send a JSON object with kind and name", err)
	}
	read, ok := documents[h.Kind]
	if !ok {
		return nil, Errorf(Invalid, "document %q: kind %q is not one of entitlement, group, identity, policy, target", h.Name, h.Kind)
	}
	if len(data) > maxDocument {
		return nil, Errorf(Invalid, "%s %s: %d bytes; a document has at most %d: split it", h.Kind, h.Name, len(data), maxDocument)
	}
	if err := exact(data); err != nil {
		return nil, Errorf(Invalid, "%s %s: %v", h.Kind, h.Name, err)
	}
	doc, err := read(data)
	if err != nil {
		return nil, Errorf(Invalid, "%s %s: %s", h.Kind, h.Name, strings.TrimPrefix(err.Error(), "json: "))
	}
	return doc, nil
}

// exact refuses what two readers may read as two things: two members of one
// name, text that is no Unicode, an integer that a double cannot hold.
func exact(data []byte) error {
	if _, err := canonical(json.RawMessage(data)); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return nil // the end: it is JSON, or it would have no canonical form
		}
		n, _ := token.(json.Number)
		if f, err := n.Float64(); err == nil && math.Abs(f) >= 1<<53 && !strings.ContainsAny(n.String(), ".eE") {
			return fmt.Errorf("%s is too long a number to be exact everywhere; write it as text", n)
		}
	}
}

func strict[D Document](data []byte) (Document, error) {
	var doc D
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands after the document")
	}
	return doc, nil
}

func (i Identity) withHead(h Header) Document    { i.Header = h; return i }
func (g Group) withHead(h Header) Document       { g.Header = h; return g }
func (t Target) withHead(h Header) Document      { t.Header = h; return t }
func (e Entitlement) withHead(h Header) Document { e.Header = h; return e }
func (p Policy) withHead(h Header) Document      { p.Header = h; return p }

// body returns a document's canonical bytes, without what Writ adds, and their digest.
func body(doc Document) (json.RawMessage, Digest, error) {
	h := doc.Head()
	data, err := canonical(doc.withHead(Header{Kind: h.Kind, Name: h.Name}))
	if err != nil {
		return nil, "", Errorf(Invalid, "%s %s: %v", h.Kind, h.Name, err)
	}
	return data, sum(append([]byte("writ/document/v1\n"), data...)), nil
}

// Ref returns the identity's name as a reference.
func (i Identity) Ref() Ref { return Ref(i.Name) }

// Party returns the identity as it stands in events and terms.
func (i Identity) Party() Party { return Party{i.Ref(), i.UID} }

// Active reports whether the identity may hold access and act.
func (i Identity) Active() bool { return i.State == "" || i.State == "active" }

// Human reports whether the identity is a person's.
func (i Identity) Human() bool { return i.Ref().Kind() == Human }

func (i Identity) check(d *Directory) error {
	if err := checkName("identity", i.Name, 2); err != nil {
		return err
	}
	if !slices.Contains(identityKinds, i.Ref().Kind()) {
		return Errorf(Invalid, "identity %s: the kind is one of %s", i.Name, strings.Join(identityKinds, ", "))
	}
	if !slices.Contains([]string{"", "active", "disabled", "retired"}, i.State) {
		return Errorf(Invalid, "identity %s: state %q is not active, disabled or retired", i.Name, i.State)
	}
	if i.Human() && (i.Owner != "" || i.Deputy != "") {
		return Errorf(Invalid, "identity %s: a human answers for themselves; remove owner and deputy", i.Name)
	}
	if !i.Human() && i.Owner == "" && i.State != "retired" {
		return Errorf(Invalid, "identity %s: a %s needs an accountable owner; set owner to a human", i.Name, i.Ref().Kind())
	}
	humans := map[string]Ref{"owner": i.Owner, "deputy": i.Deputy, "manager": i.Manager}
	for _, field := range sortedKeys(humans) {
		if err := d.checkHuman(i.Name, field, humans[field]); err != nil {
			return err
		}
	}
	if err := i.checkAccounts(); err != nil {
		return err
	}
	return d.checkRefs("identity "+i.Name, "askers", i.Askers)
}

// checkAccounts refuses an account that says less than who exactly it is.
func (i Identity) checkAccounts() error {
	for _, a := range i.Accounts {
		if a.Issuer == "" || a.Subject == "" && len(a.Claims) == 0 {
			return Errorf(Invalid, "identity %s: an account needs an issuer and a subject or claims that name exactly one caller", i.Name)
		}
		if strings.ContainsAny(a.Subject, "*?") {
			return Errorf(Invalid, "identity %s: account subject is %q; subjects are compared exactly, without wildcards", i.Name, a.Subject)
		}
		for _, name := range sortedKeys(a.Claims) {
			if value := a.Claims[name]; value == "" || strings.ContainsAny(value, "*?") {
				return Errorf(Invalid, "identity %s: account claim %s is %q; claims are compared exactly, without wildcards", i.Name, name, value)
			}
		}
	}
	return nil
}

func (g Group) check(d *Directory) error {
	if err := checkName("group", g.Name, 1); err != nil {
		return err
	}
	for _, m := range g.Members {
		if m.IsGroup() {
			return Errorf(Invalid, "group %s: member %s is a group; list its members", g.Name, m)
		}
	}
	for _, c := range g.Claims {
		if c.Issuer == "" || c.Value == "" {
			return Errorf(Invalid, "group %s: a claim needs an issuer and the value that stands for the group there", g.Name)
		}
	}
	return d.checkRefs("group "+g.Name, "members", g.Members)
}

func (t Target) check(d *Directory) error {
	if err := checkName("target", t.Name, 1); err != nil {
		return err
	}
	if t.Connector == "" || t.Environment == "" {
		return Errorf(Invalid, "target %s: connector and environment are required", t.Name)
	}
	return d.checkRefs("target "+t.Name, "owners", t.Owners)
}

func (e Entitlement) check(d *Directory) error {
	if err := checkName("entitlement", e.Name, 2); err != nil {
		return err
	}
	if _, ok := d.Targets[e.Target]; !ok || !strings.HasPrefix(e.Name, e.Target+"/") {
		return Errorf(Invalid, "entitlement %s: target %q must exist and be the first part of the name", e.Name, e.Target)
	}
	if e.MaxFor <= 0 {
		return Errorf(Invalid, "entitlement %s: maxFor is required; access without an end is not given", e.Name)
	}
	if e.Credential == "" || len(e.Grant) == 0 || string(e.Grant) == "null" {
		return Errorf(Invalid, "entitlement %s: credential and grant are required", e.Name)
	}
	for _, name := range sortedKeys(e.Scope) {
		if err := e.Scope[name].check(e.Name, name); err != nil {
			return err
		}
	}
	return d.checkRefs("entitlement "+e.Name, "owners", e.Owners)
}

func (p Param) check(entitlement, name string) error {
	if len(p.OneOf) == 0 && p.Pattern == "" {
		return Errorf(Invalid, "entitlement %s: scope.%s needs oneOf or pattern; anything at all is no scope", entitlement, name)
	}
	if _, err := p.regexp(); err != nil {
		return Errorf(Invalid, "entitlement %s: scope.%s.pattern: %v", entitlement, name, err)
	}
	for _, wide := range sortedKeys(p.Covers) {
		for _, value := range append([]string{wide}, p.Covers[wide]...) {
			if !p.allows(value) {
				return Errorf(Invalid, "entitlement %s: scope.%s.covers names %q, which the parameter itself does not allow", entitlement, name, value)
			}
		}
	}
	if p.Default != "" && !p.allows(p.Default) {
		return Errorf(Invalid, "entitlement %s: scope.%s.default %q is not allowed by the parameter itself", entitlement, name, p.Default)
	}
	return nil
}

// regexp anchors the pattern, which is whole by itself: a parenthesis too many
// must not close the anchors'.
func (p Param) regexp() (*regexp.Regexp, error) {
	if _, err := regexp.Compile(p.Pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`^(?:` + p.Pattern + `)$`)
}

func (p Param) allows(value string) bool {
	if len(p.OneOf) > 0 && !slices.Contains(p.OneOf, value) {
		return false
	}
	re, err := p.regexp()
	return err == nil && (p.Pattern == "" || re.MatchString(value))
}

func (p Policy) check(*Directory) error {
	if err := checkName("policy", p.Name, 1); err != nil {
		return err
	}
	if strings.TrimSpace(p.Source) == "" {
		return Errorf(Invalid, "policy %s: source is empty", p.Name)
	}
	return nil
}
