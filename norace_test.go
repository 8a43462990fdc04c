//go:build !race

package writ

const raced = false
