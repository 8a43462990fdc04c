package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// A Proof shows offline that a record is in a log, c2sp.org/tlog-proof. The
// record itself is not part of it.
type Proof struct {
	Index      int64  // of the record
	Hashes     []Hash // the proof of inclusion, as Inclusion gives it
	Checkpoint string // the signed note, as the log issued it
}

// Prove returns the proof that the record has this index in the log at the
// checkpoint, which is checked with the log's verifier key. It reads the tiles,
// and refuses to return a proof that does not hold.
func Prove(ctx context.Context, tiles Tiles, index int64, record []byte, checkpoint, vkey string) (Proof, error) {
	c, err := OpenCheckpoint(checkpoint, vkey)
	if err != nil {
		return Proof{}, err
	}
	hashes, err := Inclusion(ctx, tiles, index, c.Size)
	if err != nil {
		return Proof{}, err
	}
	if err := CheckInclusion(hashes, index, c.Size, LeafHash(record), c.Root); err != nil {
		return Proof{}, err
	}
	return Proof{index, hashes, checkpoint}, nil
}

// Verify returns the checkpoint under which the record is, if the proof holds
// and the checkpoint is signed with the log's verifier key.
func (p Proof) Verify(record []byte, vkey string) (Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, vkey)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := CheckInclusion(p.Hashes, p.Index, c.Size, LeafHash(record), c.Root); err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}

// String returns the proof as text, to be kept in a file named *.tlog-proof.
func (p Proof) String() string {
	text := proof.TLogProof{Index: uint64(p.Index), Checkpoint: []byte(p.Checkpoint)}
	for _, h := range p.Hashes {
		text.Hashes = append(text.Hashes, h)
	}
	return string(text.Marshal())
}

// ParseProof reads the text of a proof and checks nothing but its form, which is
// the one that String writes. An "extra" line, which the standard allows, is
// refused: nothing signs it.
func ParseProof(text string) (Proof, error) {
	var parsed proof.TLogProof
	if err := parsed.Unmarshal([]byte(text)); err != nil {
		return Proof{}, fmt.Errorf("ledger: proof: %w", err)
	}
	if parsed.ExtraData != nil {
		return Proof{}, errors.New("ledger: proof has an extra line, which nothing signs; remove it")
	}
	if parsed.Index >= MaxSize {
		return Proof{}, fmt.Errorf("ledger: proof is of record %d; a log holds at most %d", parsed.Index, int64(MaxSize))
	}
	p := Proof{Index: int64(parsed.Index), Checkpoint: string(parsed.Checkpoint)}
	for _, h := range parsed.Hashes {
		p.Hashes = append(p.Hashes, tlog.Hash(h))
	}
	if p.String() != text {
		return Proof{}, fmt.Errorf("ledger: proof of record %d is not in the one form that is allowed: one newline after each line, hashes in standard base64, one blank line before the checkpoint", p.Index)
	}
	return p, nil
}
