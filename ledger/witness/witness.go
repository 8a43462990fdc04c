package witness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ/ledger"
)

// A State keeps the newest cosigned checkpoint of each log.
type State interface {
	// Latest returns the note that was kept last for a log, "" if there is none.
	Latest(ctx context.Context, origin string) (string, error)

	// Swap keeps a note in place of the one that was there, and returns Moved,
	// keeping nothing, if another is there by now. Both happen as one, also
	// between processes, and what is kept is on the disk before it returns. After
	// any other error the note may or may not be kept.
	Swap(ctx context.Context, origin, was, note string) error
}

// Moved says that somebody else changed the state meanwhile.
var Moved = errors.New("witness: another process cosigned a checkpoint meanwhile; try again")

// A Witness cosigns checkpoints of the logs it knows, none of which contradicts
// one that it cosigned before. It is safe for concurrent use.
type Witness struct {
	state   State
	signers []note.Signer
	logs    map[string]*known // by origin
}

// known is a log that a witness knows.
type known struct {
	sync.Mutex // one decision at a time
	keys       []note.Verifier
}

// New returns a witness that signs with all of these keys, for the logs with
// these verifier keys. A log may have several.
func New(state State, signers []note.Signer, logs []string) (*Witness, error) {
	w := &Witness{state: state, signers: signers, logs: map[string]*known{}}
	if len(signers) == 0 || len(logs) == 0 {
		return nil, errors.New("witness: it needs a key of its own, and the verifier key of a log at least")
	}
	for _, vkey := range logs {
		v, err := newLogVerifier(vkey)
		if err != nil {
			return nil, err
		}
		if w.logs[v.Name()] == nil {
			w.logs[v.Name()] = &known{}
		}
		w.logs[v.Name()].keys = append(w.logs[v.Name()].keys, v)
	}
	return w, nil
}

// A Refusal is why a witness does not cosign.
type Refusal struct {
	Status int   // of HTTP: 400, 403, 404, 409 or 422
	Size   int64 // of the checkpoint that was cosigned last, with 409
	Why    string
}

// Error says why.
func (r Refusal) Error() string { return "witness: " + r.Why }

func refuse(status int, format string, args ...any) error {
	return Refusal{Status: status, Why: fmt.Sprintf(format, args...)}
}

// Add returns the cosignatures on a request's checkpoint, one signature line of
// a note for each key, or a Refusal. What it returns is remembered by then, and
// nothing that contradicts it will ever be cosigned. The order of its checks is
// that of the specification.
func (w *Witness) Add(ctx context.Context, r Request) (string, error) {
	text := r.Checkpoint
	if end := strings.Index(text, "\n\n"); end >= 0 {
		text = text[:end+1]
	}
	next, err := parse(text)
	if err != nil {
		return "", refuse(400, "%s", strings.TrimPrefix(err.Error(), "witness: "))
	}
	log, ok := w.logs[next.Origin]
	if !ok {
		return "", refuse(404, "log %q is not known here; its operator has to be asked to add it", next.Origin)
	}
	n, err := note.Open([]byte(r.Checkpoint), note.VerifierList(log.keys...))
	if _, foreign := errors.AsType[*note.UnverifiedNoteError](err); foreign {
		return "", refuse(403, "the checkpoint is not signed with a key of %q that is known here", next.Origin)
	}
	if _, forged := errors.AsType[*note.InvalidSignatureError](err); forged {
		return "", refuse(403, "a signature on the checkpoint is not valid")
	}
	if err != nil || n.Text != text {
		return "", refuse(400, "the checkpoint is not a signed note")
	}
	if r.Old > next.Size {
		return "", refuse(400, "the old size, %d, is larger than that of the checkpoint, %d", r.Old, next.Size)
	}
	n.UnverifiedSigs = nil // nobody here vouches for them
	log.Lock()
	defer log.Unlock()
	return w.cosign(ctx, r, next, n)
}

// cosign decides against what was cosigned last, and remembers what it signs
// before anybody gets to see it.
func (w *Witness) cosign(ctx context.Context, r Request, next ledger.Checkpoint, n *note.Note) (string, error) {
	was, err := w.state.Latest(ctx, next.Origin)
	if err != nil {
		return "", err
	}
	last, err := kept(was)
	if err != nil {
		return "", err
	}
	if r.Old != last.Size {
		return "", Refusal{Status: 409, Size: last.Size, Why: fmt.Sprintf("the checkpoint cosigned last has size %d, not %d", last.Size, r.Old)}
	}
	if was == "" {
		last.Root = noRoot()
	}
	if next.Size == 0 && next.Root != noRoot() {
		return "", refuse(422, "an empty log does not have the root %s", next.Root)
	}
	if err := ledger.CheckConsistency(r.Proof, r.Old, next.Size, last.Root, next.Root); err != nil {
		return "", refuse(422, "%s", strings.TrimPrefix(err.Error(), "ledger: "))
	}
	cosigned, err := note.Sign(&note.Note{Text: n.Text}, w.signers...)
	if err != nil {
		return "", fmt.Errorf("witness: %w", err)
	}
	lines := string(cosigned[len(n.Text)+1:])
	whole, err := note.Sign(n)
	if err != nil {
		return "", fmt.Errorf("witness: %w", err)
	}
	if err := w.state.Swap(ctx, next.Origin, was, string(whole)+lines); err != nil {
		return "", err
	}
	return lines, nil
}

// kept reads what the state has. What cannot be read must not pass for nothing:
// the witness would start anew.
func kept(was string) (ledger.Checkpoint, error) {
	if was == "" {
		return ledger.Checkpoint{}, nil
	}
	text, _, _ := strings.Cut(was, "\n\n")
	c, err := parse(text + "\n")
	if err != nil {
		return c, errors.New("witness: what was kept of a log cannot be read; restore the witness's own database")
	}
	return c, nil
}

// Latest returns the newest cosigned checkpoint of a log, with the log's
// signature and the witness's, or "" if it cosigned none.
func (w *Witness) Latest(ctx context.Context, origin string) (string, error) {
	return w.state.Latest(ctx, origin)
}

func noRoot() ledger.Hash { return ledger.Edge{}.Root() }
