// Package writ governs how a non-human identity gets access to a real system,
// and how that access ends.
//
// The life of a request, on one page:
//
//	submit ─▶ pending ─▶ approve… ─▶ authorized ─▶ granting ─▶ active
//	             │                        │            │          │
//	             ├▶ denied                └────────────┴── ended ─┤
//	             ├▶ withdrawn                                     ▼
//	             └▶ lapsed                    closed ◀─ revoked ─ revoking ◀─ strayed
//
// Somebody asks for access of an identity to an entitlement. Policy gives a
// Verdict, which is frozen into the request with the Terms, the exact thing to
// be approved. People approve the Digest of those terms. When the last stage
// has its quorum the request is authorized: an Order exists, with absolute
// bounds, and once signed it is the writ. Whoever touches the target checks the
// writ, says in the ledger what it is about to do, does it, reads it back, and
// says what came of it. Whatever ends access leads through revoking, and only a
// read-back that shows nothing leads to closed.
//
// The rules are pure: Decide answers a Command with events, Apply folds events
// into a Request, Todo says what a request waits for. Neither reads a clock,
// does I/O or changes its arguments. The table life in life.go holds every kind
// of event and every legal step.
//
// The tour of the tree:
//
//	policy/          policy file + facts -> Verdict, with reasons
//	ledger/          Merkle log of the exact event bytes: tiles, checkpoints, proofs
//	connector/       what is asked of a real system, and one folder for each
//	client/          Go client of the API
//	internal/store   events and their projections in SQLite or PostgreSQL
//	internal/door    the one door: every action of every caller, with its rules of access
//	internal/worker  carries out what is due
//	internal/web     API over HTTP
//	internal/page    pages: sign in, read what waits, decide
//	internal/auth    who calls
//	cmd/writ         the program
package writ
