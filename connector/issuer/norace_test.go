//go:build !race

package issuer

const issuances = 1000
