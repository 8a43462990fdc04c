package writ

import (
	"strings"
	"testing"
	"time"
)

// TestCommitNonce: only who audits, only a digest, once, and not as often as it
// takes to find one that suits.
func TestCommitNonce(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	hash := func(digit string) Digest { return Digest("sha256:" + strings.Repeat(digit, 64)) }
	sue := Facts{Now: now, Actor: Party{"human/sue", "ide-1"}, Authority: Authority{Audit: true}}
	stream := []Event{{Stream: LedgerStream, Seq: 1, At: now, Actor: System, Body: Opened{}}}
	events, err := DecideCommit(CommitNonce{hash("a")}, stream, sue)
	if err != nil || len(events) != 1 || events[0].Seq != 2 || !events[0].OfLedger() || events[0].Stream != LedgerStream {
		t.Fatalf("decided %v, %v", events, err)
	}
	stream = append(stream, events...)
	if again, err := DecideCommit(CommitNonce{hash("a")}, stream, sue); err != nil || len(again) != 0 {
		t.Errorf("a hash that is on record was recorded again: %v, %v", again, err)
	}
	for _, bad := range []Digest{"", "sha256:ab", Digest(strings.Repeat("a", 64)), hash("A"), hash("x")} {
		_, err := DecideCommit(CommitNonce{bad}, stream, sue)
		refused(t, string(bad), err, Invalid, "is no digest")
	}
	bob := sue
	bob.Authority = Authority{Administer: true, Revoke: true}
	_, err = DecideCommit(CommitNonce{hash("b")}, stream, bob)
	refused(t, "no auditor", err, Forbidden, "may not commit to an audit")
	for i := range maxCommitments - 1 {
		e, err := DecideCommit(CommitNonce{hash(string("0123456789"[i]))}, stream, sue)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, e...)
	}
	_, err = DecideCommit(CommitNonce{hash("c")}, stream, sue)
	refused(t, "too many", err, Conflict, "within a day")
	sue.Now = now.Add(24 * time.Hour)
	if _, err = DecideCommit(CommitNonce{hash("c")}, stream, sue); err != nil {
		t.Errorf("the next day: %v", err)
	}
}
