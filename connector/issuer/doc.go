// Package issuer is the built-in target: a small credential authority. It issues
// API keys, access tokens and short-lived X.509 and SSH certificates, says of
// keys and tokens whether they are good, and keeps all of it in a database of
// its own. What it stores does not follow from Writ's ledger, so reading it back
// proves something.
//
// The database decides, at every use: a credential is good while its row says
// so, and the time is right. What is in memory is a copy with a known age (see
// cache). Package mint makes the credentials themselves.
//
//	target.go  grant, revoke, observe, list: the connector
//	verify.go  is this key or token good? also over HTTP (http.go)
//	store.go   the tables, and the one way in which they change
//	cache.go   the copy in memory, how it stays true, and last uses
//	krl.go     SSH certificates that ended early
package issuer
