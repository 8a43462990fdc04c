package auth

import (
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// claim returns the claim of a token that an account names, as text.
//
// A name is that of a top-level claim, exactly, dots and all:
// "repository_id", "https://example.com/tenant". A name that starts with a
// slash is a JSON pointer (RFC 6901) through objects:
// "/kubernetes.io/serviceaccount/uid"; in it "~1" stands for "/" and "~0" for
// "~". Lists have no names in them, as their order identifies nobody.
//
// A string is returned as it is, a number as the issuer wrote it, a boolean as
// true or false. Anything else is no claim, and "".
func claim(claims map[string]any, name string) string { return asText(find(claims, name)) }

// claimList returns a claim that is a list, or one value, as texts; never nil.
func claimList(claims map[string]any, name string) []string {
	value := find(claims, name)
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	out := []string{}
	for _, v := range list {
		if text := asText(v); text != "" {
			out = append(out, text)
		}
	}
	return out
}

func find(claims map[string]any, name string) any {
	var value any = claims
	steps := []string{name}
	if path, ok := strings.CutPrefix(name, "/"); ok {
		steps = strings.Split(path, "/")
		for i := range steps {
			steps[i] = unescape.Replace(steps[i])
		}
	}
	for _, step := range steps {
		members, _ := value.(map[string]any)
		value = members[step]
	}
	return value
}

func asText(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		if value {
			return "true"
		}
		return "false"
	}
	return ""
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")
