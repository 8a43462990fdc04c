// Package ledger is the tamper-evident log: it turns records, which are bytes
// it does not look into, into a Merkle tree that can only grow, and lets an
// outsider check what is said about it.
//
// # The tree
//
// Record i is leaf i, counted from 0 without gaps. Leaves and nodes are hashed
// with SHA-256 as RFC 6962 section 2.1 says (RFC 9162 section 2.1.1 says the
// same), so proofs work with every verifier of that standard. A record is at
// most [MaxRecord] bytes.
//
// # What is stored
//
// Hashes are kept as the tiles of c2sp.org/tlog-tiles: tile n of level l holds
// up to 256 hashes, the roots of 256^l records each. Only the rightmost tile of
// a level may hold fewer; it is overwritten until it is full and never again.
// Tiles, records and checkpoints belong to the caller, who keeps them where it
// likes; this package has no storage and no clock, and [Signer] keeps the only
// secret.
//
//	next, tiles, err := edge.Append(records) // edge itself does not change
//	note, err := signer.Sign(next.Size(), next.Root())
//	// in one transaction: store records, tiles and note
//	edge = next                              // only when that is committed
//
// [OpenEdge] makes the edge again from the stored tiles. It cannot see that a
// stored tile was changed: compare the edge's root with that of the newest
// checkpoint before trusting it.
//
// # What is proven
//
// A checkpoint (c2sp.org/tlog-checkpoint) is the signed statement that the log
// has this size and this root. [Inclusion] shows that a record is under a root,
// [Consistency] that one tree is the beginning of another, and [Proof] carries
// an inclusion and its checkpoint as one text (c2sp.org/tlog-proof) that is
// checked offline with nothing but the record and the log's verifier key.
//
// [Verifier] reads a whole log once, from its first record to its last, and
// names the first position that does not hold.
//
// # What is not proven
//
// A log does not show that everything that happened was recorded, and its
// signer can sign two histories. Whoever must exclude the second gives each
// checkpoint to a witness, or keeps old ones and hands them to a Verifier.
//
// # Safety for concurrent use
//
// An [Edge] never changes and a [Signer] holds no state, so both may be used
// from several goroutines at once. A Verifier may not.
package ledger
