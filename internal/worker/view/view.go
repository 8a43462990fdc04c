// Package view reads a ledger from its beginning and finds out for itself what
// it says, so that whoever acts on it need not believe the tables beside it.
package view

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// A Source is where the ledger is read.
type Source interface {
	// Checkpoint returns the newest checkpoint, a signed note.
	Checkpoint(ctx context.Context) (string, error)
	// Entries returns the records from, from+1, … to-1.
	Entries(ctx context.Context, from, to int64) ([][]byte, error)
}

// ErrBroken says that the ledger is not what its key signed, or not what it was
// before. It stays so: nothing that it says is believed any more.
var ErrBroken = errors.New("the ledger does not hold")

// A View is what the ledger says up to a position: every record of it was read
// once, and together they have the root that the ledger's key signed. Its
// methods are safe for concurrent use.
type View struct {
	from Source
	key  string // verifier key of the checkpoints

	runs    atomic.Int64 // that have begun
	reading sync.Mutex   // by one at a time; of what follows
	done    int64        // runs
	last    error        // of the last run

	mu     sync.RWMutex // of what follows
	edge   ledger.Edge
	dir    *writ.Directory
	keys   map[writ.UID]writ.Key     // all that were ever enrolled
	open   map[writ.ID][]ledger.Hash // leaves of requests that can still lead to access
	broken error
	borne  [2]*writ.Directory // the last two that were found to be the same
}

// New returns a view of a ledger that this key signs. Nothing is read yet.
func New(from Source, key string) *View {
	return &View{from: from, key: key, dir: writ.NewDirectory(), keys: map[writ.UID]writ.Key{}, open: map[writ.ID][]ledger.Hash{}}
}

// page is how many records are read at once.
const page = 1000

// Catch reads all that was in the ledger when it was called. It returns ErrBroken
// if the ledger does not hold, and another error if it could not be read.
func (v *View) Catch(ctx context.Context) error {
	came := v.runs.Load()
	v.reading.Lock()
	defer v.reading.Unlock()
	if v.done > came {
		return v.last // a run that began after we came has read it
	}
	v.done = v.runs.Add(1)
	v.last = v.run(ctx)
	return v.last
}

func (v *View) run(ctx context.Context) error {
	note, err := v.from.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if v.broken != nil {
		return v.broken
	}
	if err = v.follow(ctx, note); errors.Is(err, ErrBroken) {
		v.mu.Lock()
		v.broken = err
		v.mu.Unlock()
	}
	return err
}

// follow reads up to a checkpoint. What it read counts once the root is right.
func (v *View) follow(ctx context.Context, note string) error {
	head, err := ledger.OpenCheckpoint(note, v.key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	edge := v.edge
	if head.Size < edge.Size() {
		return fmt.Errorf("%w: it had %d events and has %d now; somebody put an older copy in its place", ErrBroken, edge.Size(), head.Size)
	}
	var news news
	for edge.Size() < head.Size {
		records, err := v.from.Entries(ctx, edge.Size(), min(edge.Size()+page, head.Size))
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("%w: event %d is missing", ErrBroken, edge.Size())
		}
		for i, record := range records {
			if err := news.read(record); err != nil {
				return fmt.Errorf("%w: event %d: %w", ErrBroken, edge.Size()+int64(i), err)
			}
		}
		if edge, _, err = edge.Append(records); err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
	}
	if edge.Root() != head.Root {
		return fmt.Errorf("%w: its %d events do not have the root that was signed; run 'writ verify'", ErrBroken, head.Size)
	}
	return v.take(edge, news)
}

func (v *View) take(edge ledger.Edge, n news) error {
	dir, err := v.dir.With(n.documents...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.edge, v.dir = edge, dir
	maps.Copy(v.keys, n.keys)
	for _, e := range n.steps {
		if e.over {
			delete(v.open, e.id)
			continue
		}
		v.open[e.id] = append(v.open[e.id], e.leaf)
	}
	return nil
}

// news is what records say that were not read before.
type news struct {
	documents []writ.Event
	keys      map[writ.UID]writ.Key
	steps     []step
}

type step struct {
	id   writ.ID
	leaf ledger.Hash
	over bool
}

// over are the events after which nothing more of a request is granted.
var over = map[writ.Kind]bool{"denied": true, "withdrawn": true, "lapsed": true, "granted": true, "ended": true}

func (n *news) read(record []byte) error {
	var h struct {
		Stream string
		Kind   writ.Kind
	}
	if err := json.Unmarshal(record, &h); err != nil {
		return err
	}
	switch h.Kind {
	case "opened":
	case "document-changed", "document-removed":
		e, err := writ.Decode(record)
		if err != nil {
			return err
		}
		n.documents = append(n.documents, e)
		return n.key(e)
	default:
		n.steps = append(n.steps, step{writ.ID(h.Stream), ledger.LeafHash(record), over[h.Kind]})
	}
	return nil
}

// key remembers a key that was enrolled: what it has signed stays signed when it
// is taken away.
func (n *news) key(e writ.Event) error {
	b, ok := e.Body.(writ.Changed)
	if !ok || b.Of != "key" {
		return nil
	}
	doc, err := writ.ParseDocument(b.Content)
	if err != nil {
		return err
	}
	if n.keys == nil {
		n.keys = map[writ.UID]writ.Key{}
	}
	k, _ := doc.(writ.Key)
	k.UID = b.UID
	n.keys[b.UID] = k
	return nil
}

// Key returns a key that was enrolled at any time.
func (v *View) Key(name string, uid writ.UID) (writ.Key, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	k, ok := v.keys[uid]
	return k, ok && k.Name == name
}

// Size returns the number of events that were read.
func (v *View) Size() int64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.edge.Size()
}

// Request returns what the records of a request make it. They must be all there
// are in the ledger, in their order, and the request must not be over.
func (v *View) Request(id writ.ID, records [][]byte) (r writ.Request, err error) {
	v.mu.RLock()
	leaves := v.open[id]
	v.mu.RUnlock()
	if len(records) != len(leaves) {
		return r, fmt.Errorf("the ledger has %d events of %s that lead to access, and the table %d", len(leaves), id, len(records))
	}
	for i, record := range records {
		if ledger.LeafHash(record) != leaves[i] {
			return r, fmt.Errorf("event %d of %s is not the one in the ledger", i+1, id)
		}
		e, err := writ.Decode(record)
		if err == nil {
			r, err = r.Apply(e)
		}
		if err != nil {
			return r, fmt.Errorf("event %d of %s: %w", i+1, id, err)
		}
	}
	return r, nil
}

// Directory returns the documents as the ledger has them.
func (v *View) Directory() *writ.Directory {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.dir
}

// Bears refuses documents that are not those of the ledger as far as it was
// read. Documents that were changed a moment ago differ as well: catch up, and
// look again at documents that were read after that.
func (v *View) Bears(dir *writ.Directory) error {
	v.mu.RLock()
	own, borne := v.dir, v.borne
	v.mu.RUnlock()
	if own == dir || borne == [2]*writ.Directory{own, dir} {
		return nil
	}
	mine, theirs := own.All(), dir.All()
	for _, doc := range theirs {
		h := doc.Head()
		if have, ok := own.Get(h.Kind, h.Name); !ok || !equal(have, doc) {
			return fmt.Errorf("%s %s is not what the ledger says", h.Kind, h.Name)
		}
	}
	if len(mine) != len(theirs) {
		return fmt.Errorf("there are %d documents, and the ledger has %d", len(theirs), len(mine))
	}
	v.mu.Lock()
	v.borne = [2]*writ.Directory{own, dir}
	v.mu.Unlock()
	return nil
}

func equal(a, b writ.Document) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
