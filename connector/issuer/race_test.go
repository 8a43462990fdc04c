//go:build race

package issuer

// issuances is how many credentials the search for secrets makes: fewer here,
// because SQLite is many times slower under the race detector.
const issuances = 150
