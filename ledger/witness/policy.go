package witness

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ/ledger"
)

// A Policy says which logs are meant, and whose cosignatures on a checkpoint are
// enough: c2sp.org/tlog-policy.
type Policy struct {
	Logs      []string // verifier keys; none stands for any log that the caller knows
	Witnesses []Known
	quorum    string           // name of a witness or group, or none
	groups    map[string]group // by name
}

// A Known is a witness that a policy names.
type Known struct {
	Name string // in the policy
	Key  string // verifier key
	URL  string // prefix of its interface; may be empty
}

type group struct {
	need    int
	members []string
}

const none = "none" // the quorum that needs nobody

// NewPolicy returns the policy that this many of these witnesses must cosign,
// one at least.
func NewPolicy(need int, witnesses ...Known) (Policy, error) {
	p := newPolicyFile()
	p.quorum = "the quorum" // no name in a file has a space
	quorum := []string{p.quorum, strconv.Itoa(need)}
	for _, w := range witnesses {
		if err := p.witness([]string{w.Name, w.Key, w.URL}); err != nil {
			return Policy{}, fmt.Errorf("witness %q: %w", w.Name, err)
		}
		quorum = append(quorum, w.Name)
	}
	if err := p.group(quorum); err != nil {
		return Policy{}, fmt.Errorf("witnesses: %w", err)
	}
	return p.Policy, nil
}

// ParsePolicy reads a policy file. It refuses what the specification refuses,
// and names the line.
func ParsePolicy(text string) (Policy, error) {
	p := newPolicyFile()
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(line); err != nil {
			return Policy{}, fmt.Errorf("policy, line %d: %w", i+1, err)
		}
	}
	if p.quorum == "" {
		return Policy{}, errors.New("policy: it has no quorum line; write 'quorum <name>' with a witness or group, or 'quorum none'")
	}
	return p.Policy, nil
}

// A policyFile is a policy while it is read.
type policyFile struct {
	Policy
	keys   map[string]bool // public keys of logs and witnesses so far
	member map[string]bool // names that are in a group already
}

func newPolicyFile() *policyFile {
	return &policyFile{Policy: Policy{groups: map[string]group{}}, keys: map[string]bool{}, member: map[string]bool{}}
}

func (p *policyFile) line(line string) error {
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return errors.New("it has a control character; lines end in one newline, without carriage return")
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	args := words[1:]
	switch keyword := words[0]; keyword {
	case "log":
		return p.log(args)
	case "witness":
		return p.witness(args)
	case "group":
		return p.group(args)
	case "quorum":
		return p.setQuorum(args)
	default:
		return fmt.Errorf("%q is no keyword; a line begins with log, witness, group or quorum", keyword)
	}
}

func (p *policyFile) log(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("write 'log <verifier key> [<url>]'")
	}
	if _, err := newLogVerifier(args[0]); err != nil {
		return err
	}
	p.Logs = append(p.Logs, args[0])
	return p.once("log "+material(args[0]), "this log's key")
}

func (p *policyFile) witness(args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("write 'witness <name> <verifier key> [<url>]'")
	}
	if _, err := NewVerifier(args[1]); err != nil {
		return err
	}
	if err := p.free(args[0]); err != nil {
		return err
	}
	w := Known{Name: args[0], Key: args[1]}
	if len(args) == 3 {
		w.URL = args[2]
	}
	p.Witnesses = append(p.Witnesses, w)
	return p.once("witness "+material(w.Key), "the key of witness "+w.Name)
}

func (p *policyFile) once(key, what string) error {
	if p.keys[key] {
		return fmt.Errorf("%s stands here twice; one key counts once", what)
	}
	p.keys[key] = true
	return nil
}

// free refuses a name that is taken.
func (p *policyFile) free(name string) error {
	if name == "" || name == none || p.defined(name) {
		return fmt.Errorf("the name %q is taken; give each witness and group its own", name)
	}
	return nil
}

func (p *Policy) defined(name string) bool {
	_, isGroup := p.groups[name]
	return isGroup || slices.ContainsFunc(p.Witnesses, func(w Known) bool { return w.Name == name })
}

func (p *policyFile) group(args []string) error {
	if len(args) < 3 {
		return errors.New("write 'group <name> all|any|<number> <member>…'")
	}
	if err := p.free(args[0]); err != nil {
		return err
	}
	g := group{members: args[2:]}
	switch args[1] {
	case "all":
		g.need = len(g.members)
	case "any":
		g.need = 1
	default:
		g.need, _ = strconv.Atoi(args[1])
	}
	if g.need < 1 || g.need > len(g.members) || strings.HasPrefix(args[1], "+") {
		return fmt.Errorf("%s of %d members cannot cosign; write all, any, or a number from 1 to %d", args[1], len(g.members), len(g.members))
	}
	for _, name := range g.members {
		if name == none || !p.defined(name) {
			return fmt.Errorf("%q is no witness or group of an earlier line", name)
		}
		if p.member[name] {
			return fmt.Errorf("%s is in a group already; each counts in one way", name)
		}
		p.member[name] = true
	}
	p.groups[args[0]] = g
	return nil
}

func (p *policyFile) setQuorum(args []string) error {
	switch {
	case len(args) != 1:
		return errors.New("write 'quorum <name>' with one witness or group, or 'quorum none'")
	case p.quorum != "":
		return errors.New("there is one quorum line in a policy")
	case args[0] != none && !p.defined(args[0]):
		return fmt.Errorf("%q is no witness or group of an earlier line", args[0])
	}
	p.quorum = args[0]
	return nil
}

// Open returns what a signed note says, if it is a checkpoint of the log with
// this verifier key, and which witnesses of the policy cosigned it. It returns
// an error if a signature of any of these does not hold, and also, with what it
// found, if those that do are no quorum.
func (p Policy) Open(signed, logKey string) (Cosigned, error) {
	c, err := ledger.OpenCheckpoint(signed, logKey)
	if err != nil {
		return Cosigned{}, err
	}
	names := map[note.Verifier]string{}
	var verifiers []note.Verifier
	for _, w := range p.Witnesses {
		v, err := NewVerifier(w.Key)
		if err != nil {
			return Cosigned{}, err
		}
		verifiers, names[v] = append(verifiers, v), w.Name
	}
	out := Cosigned{Checkpoint: c, By: map[string]time.Time{}}
	n, err := note.Open([]byte(signed), note.VerifierList(verifiers...))
	if _, nobody := errors.AsType[*note.UnverifiedNoteError](err); err != nil && !nobody {
		return Cosigned{}, fmt.Errorf("witness: checkpoint of %d records: %w", c.Size, err)
	}
	for v, name := range names {
		if at, ok := signature(n, v); ok {
			out.By[name] = at
		}
	}
	if !p.Enough(func(name string) bool { _, ok := out.By[name]; return ok }) {
		return out, fmt.Errorf("witness: the checkpoint of %d records is cosigned by %d of the %d witnesses; that is no quorum", c.Size, len(out.By), len(p.Witnesses))
	}
	return out, nil
}

// signature returns when a note was signed with a key, if it was. One without a
// time does not say that this is the newest the witness knows.
func signature(n *note.Note, v note.Verifier) (time.Time, bool) {
	if n == nil {
		return time.Time{}, false
	}
	for _, s := range n.Sigs {
		if s.Name == v.Name() && s.Hash == v.KeyHash() {
			at := signedAt(s)
			return at, at.Unix() > 0
		}
	}
	return time.Time{}, false
}

// Enough reports whether the witnesses for which has says yes are a quorum.
func (p Policy) Enough(has func(name string) bool) bool {
	return p.quorum == none || p.holds(p.quorum, has)
}

func (p Policy) holds(name string, has func(string) bool) bool {
	g, ok := p.groups[name]
	if !ok {
		return has(name)
	}
	n := 0
	for _, m := range g.members {
		if p.holds(m, has) {
			n++
		}
	}
	return n >= g.need
}

// Decisive reports whether the witnesses for which has says yes meet every
// quorum: whatever any quorum cosigned, one of them knows.
func (p Policy) Decisive(has func(name string) bool) bool {
	return p.quorum == none || !p.Enough(func(name string) bool { return !has(name) })
}
