// Package evidence makes one file about one request, which anybody can check
// with nothing but the published key of the ledger: no server, no database.
//
// A file holds records of the ledger, one proof that all of them are under one
// signed checkpoint, and nothing that does not follow from them but free texts,
// whose commitments are in the records. Verify lives the request's life again
// by the rules of package writ and says what that proves, and what it does not.
//
//	file.go    the form         build.go   which records belong in it
//	verify.go  the checks       replay.go  the decisions, made again
//	report.go  what they prove  writ.go    the signature of the writ
package evidence
