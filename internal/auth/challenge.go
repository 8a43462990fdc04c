package auth

import (
	"errors"
	"strings"
)

// Challenge returns the value of the WWW-Authenticate header for a 401 that err
// caused (RFC 6750, section 3): only a token that was sent is called invalid.
// metadata is the URL of the server's protected resource metadata (RFC 9728,
// section 5.1); it may be empty.
func Challenge(err error, metadata string) string {
	out := `Bearer realm="writ"`
	if metadata != "" {
		out += `, resource_metadata="` + quotable(metadata) + `"`
	}
	if !errors.Is(err, errNoToken) {
		out += `, error="invalid_token", error_description="` + quotable(err.Error()) + `"`
	}
	return out
}

// quotable returns text with what RFC 6750 keeps out of a description replaced.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ', r == '\\', r > '~':
			return '?'
		}
		return r
	}, text)
}
