// Package audit says which requests an auditor has to look at, draws a sample
// that nobody could have steered, and tests what can be tested of all of them.
// It reads a ledger and trusts nothing but its key:
//
//	period.go      every record up to a checkpoint, hashed
//	population.go  the requests whose life touches a period
//	size.go        how many of them a sample needs
//	sample.go      which ones
//	attribute.go   what must hold of each
//
// docs/howto/audit.md says how to use it.
package audit
