// Package auth answers one question: who calls?
//
// A call carries a bearer token (RFC 6750): a JWT that a configured OpenID
// Connect issuer signed for this server alone. The token says who its holder
// is at that issuer; the accounts of the identity documents say which identity
// that is. Nothing in a token is believed before the key that signed it was
// found at an issuer named in the configuration: no header of a token can
// bring or point to a key.
//
// The rules are those of RFC 8725 (JWT best current practice) and OpenID Connect
// Core 1.0, section 3.1.3.7, the stricter where there is a choice. Whoever is
// refused learns what to do; why a token was not believed goes to the log.
package auth
