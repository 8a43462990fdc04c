package witness

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/writhq/writ/ledger"
)

// A Request asks a witness to cosign a checkpoint, c2sp.org/tlog-witness
// section add-checkpoint.
type Request struct {
	Old        int64         // size of the checkpoint that the witness cosigned last
	Proof      []ledger.Hash // that the one here continues it; none if Old is 0
	Checkpoint string        // signed note of the log
}

const (
	// maxRequest is the longest body in bytes that is read: 63 hashes, and a
	// note with many signatures.
	maxRequest = 128 << 10
	maxProof   = 63
)

// String returns the body of the request.
func (r Request) String() string {
	var b strings.Builder
	b.WriteString("old " + strconv.FormatInt(r.Old, 10) + "\n")
	for _, h := range r.Proof {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n" + r.Checkpoint)
	return b.String()
}

// ParseRequest reads what String writes, and nothing else. It does not look into
// the checkpoint.
func ParseRequest(body string) (Request, error) {
	head, checkpoint, ok := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	size, isOld := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(size, 10, 64)
	if !ok || !isOld || err != nil || old < 0 || strconv.FormatInt(old, 10) != size {
		return Request{}, errors.New("witness: a request begins with the line 'old <size>', then come the proof's hashes, a blank line and the checkpoint")
	}
	if len(lines)-1 > maxProof {
		return Request{}, errors.New("witness: a proof has at most 63 hashes")
	}
	r := Request{Old: old, Checkpoint: checkpoint}
	for _, line := range lines[1:] {
		data, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(data) != len(ledger.Hash{}) || base64.StdEncoding.EncodeToString(data) != line {
			return Request{}, errors.New("witness: each line of the proof is one hash of 32 bytes in standard base64")
		}
		r.Proof = append(r.Proof, ledger.Hash(data))
	}
	return r, nil
}
