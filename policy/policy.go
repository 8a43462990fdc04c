package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gowebpki/jcs"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/source"
)

// An Error is one thing that is wrong with a policy file, with its Line and
// Col. Its text shows the line with a caret.
type Error = source.Error

// A File is the text of one policy document. Name is what errors call it.
type File struct{ Name, Source string }

// A Policy is what the policy documents say together. It never changes and may
// be used from several goroutines at once.
type Policy struct {
	digest     writ.Digest
	authority  authority
	guardrails []*rule
	routes     []*rule
	examples   []example
	err        error // why it does not compile: then nothing is allowed
}

// authority names who may do what beside their own business.
type authority struct{ administer, revoke, audit []writ.Ref }

// Compile reads policy files. Their guardrails all apply, their routes are
// tried in the order of the documents' names, and who has authority in one has
// it. The error holds everything that is wrong, as one *Error each.
func Compile(files ...File) (*Policy, error) {
	p := compile(files)
	if p.err != nil {
		return nil, p.err
	}
	return p, nil
}

// A reader makes rules of one file.
type reader struct {
	*source.Source
	form document
}

// compile returns a policy in any case. One that is wrong allows nothing, but
// knows who has authority as far as that can be read.
func compile(files []File) *Policy {
	p := &Policy{}
	var readers []reader
	for _, f := range files {
		s := reader{Source: source.New(f.Name, f.Source)}
		s.Parse(&s.form)
		readers = append(readers, s)
	}
	slices.SortStableFunc(readers, func(a, b reader) int { return strings.Compare(a.form.Name.Value, b.form.Name.Value) })
	var texts []string
	var errs []*Error
	names := map[string]string{}
	for _, s := range readers {
		texts = append(texts, s.Text)
		p.add(s, names)
		errs = append(errs, s.Errors...)
	}
	if p.digest, p.err = digest(texts); len(files) == 0 {
		p.err = writ.Errorf(writ.Invalid, "there is no policy, so nothing is allowed; apply a policy document")
	} else if len(errs) > 0 {
		p.err = source.Join(errs)
	}
	return p
}

// add compiles one file into the policy. Where holds the place of each name.
func (p *Policy) add(s reader, where map[string]string) {
	d := s.form
	if len(s.Errors) > 0 && !d.Kind.Set() {
		return // the text could not be read at all
	}
	if d.Kind.Value != "policy" {
		s.Fail(nil, "kind is %q; a policy file starts with kind: policy", d.Kind.Value)
	}
	s.Word(d.Name, nil, "policy")
	s.unique(where, "policy "+d.Name.Value, nil)
	if d.Authority != nil {
		var form authorityForm
		s.Decode(d.Authority, &form)
		p.authority.administer = append(p.authority.administer, s.Refs(form.Administer)...)
		p.authority.revoke = append(p.authority.revoke, s.Refs(form.Revoke)...)
		p.authority.audit = append(p.authority.audit, s.Refs(form.Audit)...)
	}
	for _, n := range d.Guardrails {
		if r := s.guardrail(n); r != nil {
			s.unique(where, "rule "+r.name, n)
			p.guardrails = append(p.guardrails, r)
		}
	}
	for _, n := range d.Routes {
		if r := s.route(n); r != nil {
			s.unique(where, "rule "+r.name, n)
			p.routes = append(p.routes, r)
		}
	}
	for _, n := range d.Tests {
		p.examples = append(p.examples, s.example(n))
	}
}

// unique refuses a second thing of one name, in any file.
func (s reader) unique(where map[string]string, what string, n source.Node) {
	if first, taken := where[what]; taken {
		s.Fail(n, "%s is there already, at %s; give it another name", what, first)
		return
	}
	where[what] = fmt.Sprintf("%s:%d", s.Name, source.Start(n).Line)
}

// Authority says what an identity may do beside its own business, by the
// authority sections alone: whoever has to end access or mend a policy can do
// so whatever the state of its rules.
func (p *Policy) Authority(d *writ.Directory, who writ.Ref) writ.Authority {
	if d == nil || !d.Identities[who].Active() || d.Identities[who].Name == "" {
		return writ.Authority{}
	}
	return writ.Authority{
		Administer: d.In(who, p.authority.administer...),
		Revoke:     d.In(who, p.authority.revoke...),
		Audit:      d.In(who, p.authority.audit...),
	}
}

// Digest returns SHA-256("writ/policy/v1\n" || JCS(sources)), where sources is
// the array of the texts in the order of the documents' names.
func (p *Policy) Digest() writ.Digest { return p.digest }

func digest(sources []string) (writ.Digest, error) {
	data, err := json.Marshal(sources)
	if err == nil {
		data, err = jcs.Transform(data)
	}
	sum := sha256.Sum256(append([]byte("writ/policy/v1\n"), data...))
	return writ.Digest("sha256:" + hex.EncodeToString(sum[:])), err
}
