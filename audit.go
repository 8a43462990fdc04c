package writ

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// AuditCommitted says that an auditor has chosen a nonce, by its SHA-256. Who
// draws a sample with it later cannot have chosen it to suit the sample, and
// nobody who knew the ledger's next root could have known the nonce.
type AuditCommitted struct {
	Hash Digest `json:"hash"`
}

// CommitNonce puts the hash of an auditor's nonce on record.
type CommitNonce struct {
	Hash Digest
}

// DecideCommit answers with the event, or with none if the hash is on record.
// Those are the events of the ledger's own stream so far.
func DecideCommit(c CommitNonce, stream []Event, f Facts) ([]Event, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(string(c.Hash), "sha256:"))
	switch {
	case !f.Authority.Audit:
		return nil, Errorf(Forbidden, "%s may not commit to an audit; policy names who audits", f.Actor.Name)
	case err != nil || len(raw) != sha256.Size || Digest("sha256:"+hex.EncodeToString(raw)) != c.Hash:
		return nil, Errorf(Invalid, "%q is no digest; it is sha256: and 64 hexadecimal digits", c.Hash)
	}
	today := 0
	for _, e := range stream {
		b, ok := e.Body.(AuditCommitted)
		if ok && b.Hash == c.Hash {
			return nil, nil
		}
		if ok && e.Actor == f.Actor && f.Now.Sub(e.At) < 24*time.Hour {
			today++
		}
	}
	if today >= maxCommitments {
		return nil, Errorf(Conflict, "%s committed %d nonces within a day; one for each sample is enough", f.Actor.Name, today)
	}
	return []Event{{Stream: LedgerStream, Seq: len(stream) + 1, At: f.Now, Actor: f.Actor, Body: AuditCommitted{c.Hash}}}, nil
}

// maxCommitments keeps an auditor from committing to so many nonces that one of
// them suits.
const maxCommitments = 10

// OfLedger reports whether the event is of the ledger itself.
func (e Event) OfLedger() bool {
	switch e.Body.(type) {
	case Opened, AuditCommitted:
		return true
	}
	return false
}

// Kind returns "audit-committed".
func (AuditCommitted) Kind() Kind { return "audit-committed" }
