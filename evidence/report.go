package evidence

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger/witness"
)

// A Report says of a file that holds what it proves and what it does not, each
// in a sentence.
type Report struct {
	Request  writ.ID     `json:"request"`
	Status   writ.Status `json:"status"`
	Log      string      `json:"log"`  // origin
	Size     int64       `json:"size"` // records under the checkpoint
	Proved   []string    `json:"proved"`
	Unproved []string    `json:"unproved"`
}

// A telling is a report in the making.
type telling struct {
	Report
	*replay
	file File
	by   map[string]time.Time // witnesses, and when they cosigned
}

func report(f File, p *replay, at witness.Cosigned) Report {
	t := &telling{Report{Request: f.Request, Status: p.request.Status, Log: at.Origin, Size: at.Size}, p, f, at.By}
	t.log()
	t.judged()
	for _, e := range p.events {
		t.event(e)
	}
	t.limits()
	return t.Report
}

func (t *telling) prove(format string, args ...any) {
	t.Proved = append(t.Proved, sentence(format, args...))
}

func (t *telling) log() {
	r := t.request
	last := t.events[len(t.events)-1]
	for _, name := range slices.Sorted(maps.Keys(t.by)) {
		t.prove("witness %s, one of the quorum asked for, cosigned the checkpoint at %s: the log it saw only grew up to there", name, clock(t.by[name]))
	}
	t.prove("each of the %d records here is in log %s, at its signed checkpoint of %d records", len(t.file.Records), t.Log, t.Size)
	t.prove("the %d events of %s follow from each other without a gap up to %s at %s: it is %s", r.Seq, r.ID, last.Body.Kind(), clock(last.At), r.Status)
	t.prove("the digest of its terms is %s, computed anew; each approval is of the terms as they then were, and the writ of these", r.Digest)
}

func (t *telling) judged() {
	v := t.request.Verdict
	t.prove("the policy texts are here and have the digest %s that the terms name", v.Policy.Words())
	switch {
	case !alike(t.explanation.Verdict, v):
	case v.Allowed:
		t.prove("asked again on the documents of %s, policy allows it by route %s, with the same people to ask", clock(t.request.At), v.Route)
	default:
		t.prove("asked again on the documents of %s, policy refuses it", clock(t.request.At))
	}
	for _, text := range t.file.Texts {
		t.prove("the text %q is the one that was given", text.Name)
	}
}

// event says what an event proves, if it is one that proves something.
func (t *telling) event(e writ.Event) {
	switch b := e.Body.(type) {
	case writ.Approved:
		t.approved(e, b)
	case writ.Narrowed:
		t.prove("%s narrowed the terms at %s to revision %d, which allows nothing that the one before did not", e.Actor.Name, clock(e.At), b.Terms.Revision)
	case writ.Required:
		t.prove("%s asked at %s for one more approval: %s", e.Actor.Name, clock(e.At), b.Stage.Approvers[0].Name)
	case writ.Escalated:
		t.prove("nobody had answered by %s, so more people were asked in stage %s, as policy says", clock(e.At), b.Stage)
	case writ.Denied:
		t.prove("it was refused at %s by %s", clock(e.At), e.Actor.Name)
	case writ.Authorized:
		t.prove("with that it had every approval it needs, and got the bounds %s to %s", clock(b.From), clock(b.Until))
	case writ.GrantBegun:
		if b.Writ != "" {
			t.prove("the writ is signed with the key that the ledger names, and says exactly what was approved; it was there at %s, before access was", clock(e.At))
		}
	case writ.Granted:
		t.seen("access was made at "+clock(e.At)+" as "+b.Receipt.External, b.Seen, "present")
	case writ.Claimed:
		t.prove("the credential was handed out once, at %s, to %s", clock(e.At), e.Actor.Name)
	case writ.Ended:
		t.prove("access had to end from %s on: %s, by %s", clock(e.At), b.Cause, e.Actor.Name)
	case writ.Revoked:
		if b.KeptBy != "" {
			t.unprove("that the access is gone: %s held the same access and kept it at %s", b.KeptBy, clock(e.At))
			return
		}
		t.seen("access was taken away at "+clock(e.At), b.Seen, "absent")
	case writ.Strayed:
		t.prove("at %s access was found that should not be there (%s), and had to end again", clock(e.At), b.Found)
	}
}

func (t *telling) approved(e writ.Event, b writ.Approved) {
	key, signed := t.keys[e.Seq]
	how := "in a session"
	switch {
	case signed:
		how = sentence("with %s key %s, enrolled %s, whose signature over these terms holds", key.Method, key.Name, clock(key.Enrolled))
	case b.Evidence != nil:
		how = "by signing in again for it, with an ID token of an account of theirs that is of these terms"
	}
	if b.For.UID != "" {
		how = sentence("in the place of %s, by a delegation that stood then, ", b.For.Name) + how
	}
	t.prove("%s approved in stage %s at %s %s; they were asked there, and by the documents here would not have approved for themselves", e.Actor.Name, b.Stage, clock(e.At), how)
	if signed {
		t.unprove("that %s understood what they approved, or was shown it: a signature shows that their key was used", e.Actor.Name)
		t.unprove("that the nonce which %s signed was fresh: only the server knows when it gave it out", e.Actor.Name)
		return
	}
	if b.Evidence != nil {
		t.unprove("that the approval of %s in stage %s is theirs beyond the word of their issuer, and of the server that the key of the ID token was the issuer's", e.Actor.Name, b.Stage)
		return
	}
	t.unprove("that the approval of %s in stage %s is theirs: nothing was signed, so only the server says so", e.Actor.Name, b.Stage)
}

// seen says what a target showed.
func (t *telling) seen(what string, o writ.Observation, want string) {
	if o.State == writ.Unread {
		t.unprove("%s, as was reported: unverified, since this target cannot be read", what)
		return
	}
	t.prove("%s; whoever did it read it as %s (%s was due) and signed that", what, o.State, want)
}

func (t *telling) limits() {
	last := t.events[len(t.events)-1]
	t.unprove("that everything was logged: a log shows that what is in it was not changed, not that nothing is missing")
	t.unprove("that nothing happened to %s after event %d; look at the ledger, or take the evidence again", t.request.ID, last.Seq)
	t.unprove("that no version of a document was left out of this file; 'writ audit test' reads the whole ledger")
	if t.request.Receipt.External != "" {
		t.unprove("what the target really is: an observation is what the connector read there")
	}
	switch others := cosigners(t.file.Checkpoint, t.Log); {
	case len(t.by) > 0:
		t.unprove("that everybody sees the same log: only whoever asks the same witnesses")
	case len(others) > 0:
		t.unprove("that everybody sees the same log: the checkpoint has signatures of %s, which were not checked here", join(others, ""))
	default:
		t.unprove("that everybody sees the same log: no witness has signed the checkpoint")
	}
	t.Unproved = t.unproved
}

// cosigners are the names of other signatures on a checkpoint.
func cosigners(signed, origin string) (names []string) {
	_, err := note.Open([]byte(signed), note.VerifierList())
	if n, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		for _, s := range n.Note.UnverifiedSigs {
			if s.Name != origin {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// String tells the report to people.
func (r Report) String() string {
	var b strings.Builder
	for _, part := range []struct {
		title string
		lines []string
	}{{"proved:", r.Proved}, {"not proved:", r.Unproved}} {
		b.WriteString(part.title + "\n")
		for _, line := range part.lines {
			b.WriteString("  - " + line + "\n")
		}
	}
	return b.String()
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
