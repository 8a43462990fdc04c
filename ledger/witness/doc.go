// Package witness lets somebody else vouch that a log only grew.
//
// A log's signer can sign two histories, and who restores an old copy of its
// database has another history without even meaning to. A witness is a small
// process in another's hands that remembers, for each log, the newest checkpoint
// it cosigned, and cosigns nothing that does not continue it:
//
//	request.go  what a log asks: POST /add-checkpoint, c2sp.org/tlog-witness@v1.0.0
//	witness.go  what a witness decides and remembers before it answers
//	serve.go    its HTTP interface
//	cosign.go   cosignatures, c2sp.org/tlog-cosignature, with Ed25519 or ML-DSA-44
//	policy.go   whose cosignatures are enough, c2sp.org/tlog-policy
//
// It works for every log that writes checkpoints as c2sp.org/tlog-checkpoint
// says, not only for ours. It keeps no state: that is its caller's [State].
package witness
