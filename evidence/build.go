package evidence

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// An Entry is an event at its place in the ledger.
type Entry struct {
	Pos    int64
	Record []byte
	Event  writ.Event
}

// A Source reads a ledger.
type Source interface {
	ledger.Tiles
	// Checkpoint returns a signed checkpoint that covers what was read before.
	Checkpoint(ctx context.Context) (string, error)
	// Events returns the history of a stream in its order, none if there is no
	// such stream.
	Events(ctx context.Context, stream string) ([]Entry, error)
	// Streams returns the names of the streams of all documents of a kind, also
	// of those that were removed.
	Streams(ctx context.Context, kind string) ([]string, error)
}

// Build makes the file about a request, with these free texts, ordered by name.
// It refuses to make one that would not hold.
func Build(ctx context.Context, s Source, id writ.ID, k Keys, texts []Text) (File, error) {
	g := &gathering{ctx: ctx, source: s, id: id, taken: map[int64]Entry{}, depth: map[string]int{}, read: map[string][]Entry{}}
	if err := g.all(); err != nil {
		return File{}, err
	}
	f := File{Format: Format, Request: id, Status: g.request.Status, Texts: texts}
	for _, pos := range slices.Sorted(maps.Keys(g.taken)) {
		f.Records = append(f.Records, Record{pos, string(g.taken[pos].Record)})
	}
	var err error
	if f.Checkpoint, err = s.Checkpoint(ctx); err != nil {
		return File{}, err
	}
	at, err := ledger.OpenCheckpoint(f.Checkpoint, k.Log)
	if err != nil {
		return File{}, err
	}
	if f.Proof, err = ledger.InclusionTogether(ctx, s, f.indexes(), at.Size); err != nil {
		return File{}, err
	}
	events, err := f.decode()
	if err != nil {
		return File{}, err
	}
	p, err := f.replay(events, k)
	if err != nil {
		return File{}, err
	}
	if f.Explanation, err = trace(p.explanation); err != nil {
		return File{}, err
	}
	_, err = Verify(f, k)
	return f, err
}

// A gathering finds the records that a request depends on.
type gathering struct {
	ctx         context.Context
	source      Source
	id          writ.ID
	request     writ.Request
	events      []Entry
	first, last int64 // positions of its events

	taken map[int64]Entry
	read  map[string][]Entry // by stream: what counted while the request lived
	depth map[string]int     // how far a stream was looked into, plus one
}

// Who is how far from the request. Whose manager or deputy somebody is matters
// for those who might approve, and no further.
const (
	near = 3 // asked, is to get access, may approve: who asks for them matters, too
	far  = 0 // is only named
)

func (g *gathering) all() error {
	for _, part := range []func() error{g.life, g.parties, g.groups, g.named} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// life takes the events of the request itself, and the first of the ledger.
func (g *gathering) life() error {
	var err error
	if g.events, err = g.source.Events(g.ctx, string(g.id)); err != nil {
		return err
	}
	opened, err := g.source.Events(g.ctx, writ.LedgerStream)
	if err != nil {
		return err
	}
	if len(g.events) == 0 || len(opened) == 0 {
		return writ.Errorf(writ.NotFound, "there is no request %q", g.id)
	}
	for _, e := range g.events {
		if g.request, err = g.request.Apply(e.Event); err != nil {
			return err
		}
		g.taken[e.Pos] = e
	}
	g.taken[opened[0].Pos] = opened[0]
	g.first, g.last = g.events[0].Pos, g.events[len(g.events)-1].Pos
	return nil
}

// parties takes who has a part in the request, what it is about, and policy.
func (g *gathering) parties() error {
	t := g.request.Terms
	refs := []writ.Ref{t.Requester.Name, t.Subject.Name}
	for _, e := range g.events {
		if refs = append(refs, e.Event.Actor.Name); e.Event.Actor == writ.System {
			refs = refs[:len(refs)-1]
		}
		if b, ok := e.Event.Body.(writ.Approved); ok && b.Evidence != nil && b.Evidence.Key != "" {
			if err := g.want("key:"+b.Evidence.Key, far); err != nil {
				return err
			}
		}
	}
	for _, s := range g.request.Asked().Stages {
		people := s.Approvers
		if s.Escalate != nil {
			people = slices.Concat(people, s.Escalate.To)
		}
		for _, a := range people {
			refs = append(refs, a.Name)
		}
	}
	for _, stream := range []string{"entitlement:" + t.Entitlement.Name, "target:" + t.Entitlement.Target} {
		if err := g.want(stream, near); err != nil {
			return err
		}
	}
	if err := g.each("policy", func(string, []Entry) int { return far }); err != nil {
		return err
	}
	return g.refs(near, refs...)
}

// groups takes those whose name policy says, with their members, and those that
// somebody here is a member of.
func (g *gathering) groups() error {
	words := g.policyWords()
	for range 2 { // the members of a group that policy names may be in others
		err := g.each("group", func(stream string, versions []Entry) int {
			switch {
			case words[stream[len("group:"):]]:
				return near
			case slices.ContainsFunc(versions, g.hasMember):
				return far
			}
			return -1
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// named takes the delegations of those who are here.
func (g *gathering) named() error {
	return g.each("delegation", func(_ string, versions []Entry) int {
		if slices.ContainsFunc(versions, func(e Entry) bool {
			d, ok := documentOf(e).(writ.Delegation)
			return ok && (g.has(d.From) || g.has(d.To))
		}) {
			return far
		}
		return -1
	})
}

// each looks at all documents of a kind that counted; how far to look into one
// is for choose to say, -1 leaves it out.
func (g *gathering) each(kind string, choose func(stream string, versions []Entry) int) error {
	streams, err := g.source.Streams(g.ctx, kind)
	if err != nil {
		return err
	}
	slices.Sort(streams)
	for _, stream := range streams {
		versions, err := g.versions(stream)
		if err != nil {
			return err
		}
		if depth := choose(stream, versions); len(versions) > 0 && depth >= 0 {
			if err := g.want(stream, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// versions are those of a document that were in force at any time from the
// first event of the request to its last.
func (g *gathering) versions(stream string) ([]Entry, error) {
	if known, ok := g.read[stream]; ok {
		return known, nil
	}
	all, err := g.source.Events(g.ctx, stream)
	if err != nil {
		return nil, err
	}
	from, _ := slices.BinarySearchFunc(all, g.first, func(e Entry, pos int64) int { return cmp.Compare(e.Pos, pos) })
	to, _ := slices.BinarySearchFunc(all, g.last, func(e Entry, pos int64) int { return cmp.Compare(e.Pos, pos) })
	in := all[max(0, from-1):to]
	if len(in) == 1 && documentOf(in[0]) == nil { // removed long ago
		in = nil
	}
	g.read[stream] = in
	return in, nil
}

// want takes a document, and what it names as far as depth says.
func (g *gathering) want(stream string, depth int) error {
	if g.depth[stream] > depth {
		return nil
	}
	g.depth[stream] = depth + 1
	versions, err := g.versions(stream)
	if err != nil {
		return err
	}
	for _, e := range versions {
		g.taken[e.Pos] = e
		if err := g.follow(documentOf(e), depth); err != nil {
			return err
		}
	}
	return nil
}

// follow takes what a document names.
func (g *gathering) follow(doc writ.Document, depth int) error {
	if depth == far {
		return nil
	}
	switch d := doc.(type) {
	case writ.Identity:
		if depth >= near-1 {
			if err := g.refs(depth-1, d.Askers...); err != nil {
				return err
			}
		}
		return g.refs(depth-1, d.Owner, d.Deputy, d.Manager)
	case writ.Group:
		return g.refs(depth, d.Members...)
	case writ.Target:
		return g.refs(depth, d.Owners...)
	case writ.Entitlement:
		return g.refs(depth, d.Owners...)
	}
	return nil
}

func (g *gathering) refs(depth int, refs ...writ.Ref) error {
	for _, ref := range refs {
		if ref == "" {
			continue
		}
		if err := g.want(streamOf(ref), depth); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) has(ref writ.Ref) bool { return g.depth[streamOf(ref)] > 0 }

func (g *gathering) hasMember(e Entry) bool {
	group, ok := documentOf(e).(writ.Group)
	return ok && slices.ContainsFunc(group.Members, g.has)
}

// policyWords are all words of the policy texts: a group may be among them.
func (g *gathering) policyWords() map[string]bool {
	words := map[string]bool{}
	for _, e := range g.taken {
		p, ok := documentOf(e).(writ.Policy)
		if !ok {
			continue
		}
		for _, word := range nameWord.FindAllString(p.Source, -1) {
			words[word] = true
		}
	}
	return words
}
