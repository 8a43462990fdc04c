package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// A Checkpoint is the statement of a log's signer that the log has this size and
// this root.
type Checkpoint struct {
	Origin string // the log's name: its URL without scheme and without trailing slash
	Size   int64
	Root   Hash
}

// A Signer signs the checkpoints of one log with Ed25519.
type Signer struct {
	key  noteKey
	vkey string
}

// NewSigner returns the signer of the log named origin with the key of this
// 32-byte seed. The origin must not be empty nor hold white space, control
// characters or a plus sign: it is also the name of the key.
func NewSigner(origin string, seed []byte) (*Signer, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("ledger: the seed of a signing key has %d bytes, this one has %d", ed25519.SeedSize, len(seed))
	}
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' }
	if origin == "" || !utf8.ValidString(origin) || strings.ContainsFunc(origin, bad) {
		return nil, fmt.Errorf("ledger: origin %q cannot name a log; use its URL without scheme, such as log.example.com/writ", origin)
	}
	private := ed25519.NewKeyFromSeed(seed)
	vkey, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("ledger: verifier key of %s: %w", origin, err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("ledger: verifier key of %s: %w", origin, err)
	}
	sign := func(text []byte) []byte { return ed25519.Sign(private, text) }
	return &Signer{key: noteKey{origin, verifier.KeyHash(), sign}, vkey: vkey}, nil
}

// VerifierKey returns what others need to check this signer's checkpoints, as
// c2sp.org/signed-note writes it: the origin, the key's id and the public key.
func (s *Signer) VerifierKey() string { return s.vkey }

// Sign returns the checkpoint of a size and root as a signed note. The same size
// and root always give the same bytes.
//
// Whoever calls it promises that the log only grew since the last call; the
// signer does not remember what it signed.
func (s *Signer) Sign(size int64, root Hash) (string, error) {
	text := Checkpoint{s.key.name, size, root}.text()
	if _, err := parseCheckpoint(text); err != nil {
		return "", err // never sign what nobody would open
	}
	signed, err := note.Sign(&note.Note{Text: text}, s.key)
	if err != nil {
		return "", fmt.Errorf("ledger: sign checkpoint of %s: %w", s.key.name, err)
	}
	return string(signed), nil
}

// OpenCheckpoint returns what a signed note says, if it is a checkpoint of the
// log whose verifier key this is, signed with that key. Signatures of others,
// such as witnesses, may stand beside it and are not checked. Extension lines,
// which c2sp.org/tlog-checkpoint allows but nobody can audit, are refused, and
// so is every number or hash written otherwise than Sign writes it.
func OpenCheckpoint(signed, vkey string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: verifier key %q: %w; it reads <origin>+<id>+<public key>", vkey, err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	var stranger *note.UnverifiedNoteError
	if errors.As(err, &stranger) {
		return Checkpoint{}, refuseStranger(stranger.Note, verifier)
	}
	if _, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return Checkpoint{}, fmt.Errorf("ledger: the signature of %s on this checkpoint is not valid: it was changed after signing, or forged", keyName(verifier.Name(), verifier.KeyHash()))
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint: %w; it must be a text, a blank line and only signature lines after it", err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint is of log %q, not of %q", c.Origin, verifier.Name())
	}
	return c, nil
}

// refuseStranger explains a checkpoint without a signature of the key: it is of
// another log, or of this log with another key.
func refuseStranger(n *note.Note, verifier note.Verifier) error {
	if origin, _, _ := strings.Cut(n.Text, "\n"); origin != verifier.Name() {
		return fmt.Errorf("ledger: checkpoint is of log %q, not of %q", origin, verifier.Name())
	}
	var by []string
	for _, s := range n.UnverifiedSigs {
		by = append(by, keyName(s.Name, s.Hash))
	}
	return fmt.Errorf("ledger: checkpoint is not signed with key %s; it is signed with %s", keyName(verifier.Name(), verifier.KeyHash()), strings.Join(by, ", "))
}

// parseCheckpoint reads the text of a note, without its signatures.
func parseCheckpoint(text string) (Checkpoint, error) {
	var c log.Checkpoint
	rest, err := c.Unmarshal([]byte(text))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint: %w", err)
	}
	if len(rest) > 0 {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint of %q has extension lines, which this log never writes: %q", c.Origin, rest)
	}
	if len(c.Hash) != sha256.Size || c.Size > MaxSize || c.Size == 0 && Hash(c.Hash) != emptyRoot() {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint of %q: no log has size %d and the root %x", c.Origin, c.Size, c.Hash)
	}
	checkpoint := Checkpoint{c.Origin, int64(c.Size), Hash(c.Hash)}
	if checkpoint.text() != text {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint of %q is not in the one form that is allowed: size without leading zero, root in standard base64", c.Origin)
	}
	return checkpoint, nil
}

// text returns the three lines that are signed.
func (c Checkpoint) text() string {
	return string(log.Checkpoint{Origin: c.Origin, Size: uint64(c.Size), Hash: c.Root[:]}.Marshal())
}

func keyName(name string, id uint32) string { return fmt.Sprintf("%q (id %08x)", name, id) }

// noteKey is a note.Signer. The library's own takes the private key as text,
// which would stay in memory; this one hides it in a closure, so that nothing
// prints it.
type noteKey struct {
	name string
	id   uint32
	sign func(text []byte) []byte
}

func (k noteKey) Name() string                     { return k.name }
func (k noteKey) KeyHash() uint32                  { return k.id }
func (k noteKey) Sign(text []byte) ([]byte, error) { return k.sign(text), nil }
