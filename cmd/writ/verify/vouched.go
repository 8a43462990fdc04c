package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
	asker "github.com/writhq/writ/internal/witness"
	"github.com/writhq/writ/ledger/witness"
)

// A vouched is what others say of a ledger: checkpoints that an auditor kept,
// and those that the witnesses of a policy cosigned.
type vouched struct {
	file    string // of the policy
	offline bool
	kept    []string // files with checkpoints

	policy witness.Policy
	asks   bool     // there is a policy
	notes  []string // checkpoints from elsewhere, signed notes
	own    string   // the one that the database has
	silent []string // witnesses that did not answer, and why
}

// read reads the files.
func (v *vouched) read() error {
	for _, path := range v.kept {
		data, err := os.ReadFile(path)
		if err != nil {
			return writ.Errorf(writ.Invalid, "checkpoint: %v", err)
		}
		v.notes = append(v.notes, string(data))
	}
	if v.file == "" {
		return nil
	}
	data, err := os.ReadFile(v.file)
	if err != nil {
		return writ.Errorf(writ.Invalid, "policy: %v", err)
	}
	if v.policy, err = witness.ParsePolicy(string(data)); err != nil {
		return writ.Errorf(writ.Invalid, "%s: %v", v.file, err)
	}
	v.asks = true
	return nil
}

// names reports whether the policy names the key of the log, which an auditor
// trusts more than what stands beside the database.
func (v *vouched) names(logKey string) (bool, error) {
	if len(v.policy.Logs) == 0 {
		return false, nil
	}
	if !slices.Contains(v.policy.Logs, logKey) {
		return false, writ.Errorf(writ.Invalid, "%s names no log with the key of this ledger, %s; correct the policy, or this is another ledger", v.file, logKey)
	}
	return true, nil
}

// collect adds the checkpoint that the database has, and asks the witnesses for
// theirs. It comes before the database is read: what they have is in there then.
func (v *vouched) collect(ctx context.Context, db *store.DB, logKey string) error {
	var err error
	if _, v.own, err = db.Witnessed(ctx); err != nil {
		return err
	}
	client, answered, able := asker.NewClient(), map[string]bool{}, 0
	for _, w := range v.policy.Witnesses {
		if w.URL == "" || v.offline {
			continue
		}
		able++
		note, err := newest(ctx, client, w, logKey)
		if err != nil {
			v.silent = append(v.silent, fmt.Sprintf("witness %s at %s: %v", w.Name, w.URL, err))
			continue
		}
		answered[w.Name] = true
		v.notes = append(v.notes, note)
	}
	if len(answered) == able || v.policy.Decisive(func(name string) bool { return answered[name] }) {
		v.silent = nil // those who answered know of every quorum
	}
	return nil
}

// newest returns what a witness says it cosigned last, if it is of this log and
// it really did.
func newest(ctx context.Context, c *http.Client, w witness.Known, logKey string) (string, error) {
	if err := asker.CheckURL(w.URL); err != nil {
		return "", err
	}
	origin, _, _ := strings.Cut(logKey, "+")
	note, err := asker.Newest(ctx, c, w.URL, origin)
	if err != nil {
		return "", err
	}
	alone, err := witness.NewPolicy(1, w)
	if err == nil {
		_, err = alone.Open(note, logKey)
	}
	return note, err
}

// enough says which is the newest checkpoint that a quorum cosigned, of those
// that the ledger was held against.
func (v *vouched) enough(logKey string) (out witness.Cosigned, err error) {
	found := false
	for _, note := range v.merged() {
		if c, err := v.policy.Open(note, logKey); err == nil && (!found || c.Size > out.Size) {
			out, found = c, true
		}
	}
	switch {
	case !found:
		return out, errors.New("no checkpoint of this ledger is cosigned by the quorum of the policy: nobody vouches for it")
	case len(v.silent) > 0:
		return out, writ.Errorf(writ.Unavailable, "%s; try again, or pass --offline with the checkpoints that you kept", strings.Join(v.silent, "; "))
	}
	return out, nil
}

// merged returns the checkpoints with all cosignatures that anybody has on each.
func (v *vouched) merged() map[string]string {
	out := map[string]string{}
	for _, note := range append(v.notes, v.own) {
		text, lines, _ := strings.Cut(note, "\n\n")
		if out[text] == "" {
			out[text] = text + "\n\n"
		}
		for line := range strings.Lines(lines) {
			if !strings.Contains(out[text], line) {
				out[text] += line
			}
		}
	}
	return out
}

// A Witnessed says what of a ledger others have cosigned.
type Witnessed struct {
	Events int64                `json:"events"` // from the first
	By     map[string]time.Time `json:"by"`     // witness, and when
}

// String says it in one line.
func (w Witnessed) String() string {
	var by []string
	for _, name := range slices.Sorted(maps.Keys(w.By)) {
		by = append(by, name+" "+w.By[name].Format(time.RFC3339))
	}
	return fmt.Sprintf("witnessed: the first %d events, by %s", w.Events, strings.Join(by, ", "))
}
