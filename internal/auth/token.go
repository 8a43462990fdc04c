package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/writhq/writ"
)

// A token is a bearer token that was verified.
type token struct {
	from    *trusted
	subject string
	expires time.Time // by exp or by the issuer's MaxAge, whichever is first
	claims  map[string]any
	last    atomic.Pointer[lookup]
}

// header is what we read of a token's JOSE header. Everything else in it is
// ignored (RFC 7515, section 4) or refused.
type header struct{ alg, kid, typ string }

// leeway is how far an issuer's clock may be ahead of ours. There is none for exp.
const leeway = time.Minute

// verify returns the token if a configured issuer signed it for us and it is
// neither too old nor too young. Errors other than faults are for the log.
func (a *Authenticator) verify(ctx context.Context, raw string, now time.Time) (*token, error) {
	head, claims, err := parse(raw)
	if err != nil {
		return nil, err
	}
	// Only the choice of the issuer rests on what is not yet verified.
	iss, _ := claims["iss"].(string)
	from, ok := a.issuers[iss]
	if !ok {
		return nil, fmt.Errorf("issuer %q is not configured", iss)
	}
	return from.verify(ctx, raw, head, claims, now)
}

// verify returns a token of this issuer, parsed already.
func (from *trusted) verify(ctx context.Context, raw string, head header, claims map[string]any, now time.Time) (*token, error) {
	if !slices.Contains(from.Algorithms, head.alg) {
		return nil, fmt.Errorf("%s: algorithm %q is not one of %q", from.URL, head.alg, from.Algorithms)
	}
	if !slices.Contains(from.Typ, mediaType(head.typ)) {
		return nil, fmt.Errorf("%s: typ %q is not one of %q", from.URL, head.typ, from.Typ)
	}
	found, err := from.keys(ctx, head)
	if err != nil {
		return nil, err
	}
	verifier := oidc.NewVerifier(from.URL, &oidc.StaticKeySet{PublicKeys: found}, &oidc.Config{
		ClientID: from.Audience, SupportedSigningAlgs: from.Algorithms, Now: func() time.Time { return now },
	})
	if _, err := verifier.Verify(ctx, raw); err != nil {
		if late, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
			return nil, expired(late.Expiry)
		}
		return nil, fmt.Errorf("%s: %w", from.URL, err)
	}
	return from.read(claims, now)
}

// parse reads a JWS in compact serialization (RFC 7515, section 7.1) without
// believing it.
func parse(raw string) (header, map[string]any, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.ContainsFunc(raw, unicode.IsSpace) { // decoders skip white space
		return header{}, nil, errors.New("it is not a signed JWT in compact form")
	}
	head, err := object(parts[0])
	if err != nil {
		return header{}, nil, fmt.Errorf("its header: %w", err)
	}
	// These bring or point to a key, or change what is signed. Nobody who
	// means well sends them here.
	for _, name := range []string{"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"} {
		if _, ok := head[name]; ok {
			return header{}, nil, fmt.Errorf("its header has %s", name)
		}
	}
	var h header
	for name, to := range map[string]*string{"alg": &h.alg, "kid": &h.kid, "typ": &h.typ} {
		value, sent := head[name]
		text, ok := value.(string)
		if sent && !ok {
			return header{}, nil, fmt.Errorf("its header's %s is not a string", name)
		}
		*to = text
	}
	claims, err := object(parts[1])
	if err != nil {
		return header{}, nil, fmt.Errorf("its claims: %w", err)
	}
	return h, claims, nil
}

// object reads a JSON object that has no member twice, so that no two readers
// can see different ones, and keeps its numbers as they are written.
func object(part string) (map[string]any, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	var members map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.SetNumberType(json.UnmarshalJSONNumber)
	if err := dec.Decode(&members); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || members == nil {
		return nil, errors.New("not one JSON object")
	}
	return members, nil
}

// read checks the claims of a token whose signature, issuer and expiry hold.
// It is stricter than OpenID Connect: claims are named exactly, iat is
// required, and there is one audience.
func (i *trusted) read(claims map[string]any, now time.Time) (*token, error) {
	t := &token{from: i, claims: claims}
	t.subject, _ = claims["sub"].(string)
	exp, hasExp := instant(claims["exp"])
	iat, hasIat := instant(claims["iat"])
	nbf, hasNbf := instant(claims["nbf"])
	var reason string
	switch {
	case t.subject == "":
		reason = "it has no sub"
	case !i.isAudience(claims["aud"]):
		reason = fmt.Sprintf("its aud is not %q alone", i.Audience)
	case !hasExp:
		reason = "it has no exp"
	case !hasIat:
		reason = "it has no iat"
	case iat.After(now.Add(leeway)):
		reason = fmt.Sprintf("its iat %s is in the future", iat.UTC().Format(time.RFC3339))
	case claims["nbf"] != nil && !hasNbf, nbf.After(now.Add(leeway)):
		reason = fmt.Sprintf("its nbf %v is in the future or no time", claims["nbf"])
	case claims["cnf"] != nil:
		reason = "it is bound to a key (cnf) whose possession cannot be proved here" // RFC 7800
	case claims["events"] != nil:
		reason = "it reports events and authenticates nobody" // logout tokens, RFC 8417
	}
	if reason != "" {
		return nil, fmt.Errorf("%s: %s", i.URL, reason)
	}
	if t.expires = iat.Add(i.MaxAge); exp.Before(t.expires) {
		t.expires = exp
	}
	if !now.Before(t.expires) {
		return nil, expired(t.expires)
	}
	return t, nil
}

func expired(at time.Time) error {
	return writ.Errorf(writ.Unauthenticated, "the bearer token expired at %s; get a new one", at.UTC().Format(time.RFC3339))
}

// isAudience reports whether aud is our audience and no other.
func (i *trusted) isAudience(aud any) bool {
	if list, ok := aud.([]any); ok && len(list) == 1 {
		aud = list[0]
	}
	return aud == i.Audience
}

// instant reads a NumericDate (RFC 7519, section 2), to the second before.
func instant(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(seconds)), 0), true
}
