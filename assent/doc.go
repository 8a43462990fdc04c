// Package assent checks that evidence of a decision holds: that a key which was
// enrolled made it over the challenge for exactly these terms and this decision.
// It reads no clock and does no I/O, so whoever has the ledger can check every
// approval again, with nothing of a running server. Whether the evidence counts,
// now and for this person, is for the core to say.
//
// There is one file per method.
package assent
