//go:build race

package writ

// raced says that this is a slow build, in which fewer random lives are lived.
const raced = true
