package openbao

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/writhq/writ/connector/openbao/rest"
)

// A right is one line of the policy of Writ's own account.
type right struct {
	path string
	can  []string // capabilities
}

// rights are all that Writ's account needs, besides the policy "default". The
// reference page shows the same lines.
var rights = []right{
	{"sys/policies/acl/*", []string{"read"}},
	{"auth/token/roles/writ-*", []string{"create", "read", "update", "delete"}},
	{"auth/token/create/writ-*", []string{"update"}},
	{"auth/token/lookup-accessor", []string{"update"}},
	{"auth/token/accessors", []string{"list", "sudo"}},
	{"sys/capabilities-accessor", []string{"update"}},
	{"sys/leases/lookup/auth/token/create/writ-*", []string{"list", "sudo"}},
	{"sys/leases/revoke-prefix/auth/token/create/writ-*", []string{"update", "sudo"}},
	{"identity/entity/name", []string{"list"}},
	{"identity/entity/name/*", []string{"read"}},
	{"identity/group/name", []string{"list"}},
	{"identity/group/name/*", []string{"read"}},
	{"identity/group/id/*", []string{"read"}},
	{"identity/group/name/writ-*", []string{"read", "update", "delete"}},
}

// String returns the line as it stands in a policy.
func (r right) String() string {
	return fmt.Sprintf("path %q { capabilities = [%s] }", r.path, `"`+strings.Join(r.can, `", "`)+`"`)
}

// rightFor returns the right that covers a path: the most exact one.
func rightFor(path string) (best right) {
	for _, r := range rights {
		prefix, open := strings.CutSuffix(r.path, "*")
		if (path == prefix || open && strings.HasPrefix(path, prefix)) && len(r.path) > len(best.path) {
			best = r
		}
	}
	return best
}

// call asks with Writ's own account, which logs in anew if its login has ended.
// Where the account may not, the error says which line its policy lacks.
func (s *server) call(ctx context.Context, method, path string, body any) (rest.Answer, error) {
	for again := false; ; again = true {
		token, err := s.me.Speak(ctx)
		if err != nil {
			return rest.Answer{}, err
		}
		a, err := s.client.Ask(ctx, token, method, path, body)
		if !rest.Denied(err) {
			return a, err
		}
		can, why := s.may(ctx, token, path)
		switch {
		case rest.Denied(why) && !again && s.me.Forget(ctx, token):
		case rest.Denied(why):
			return a, fmt.Errorf("%w; Writ's own token has ended or its policies lack \"default\"; renew it where tokenFrom or secretIdFrom points", err)
		case why != nil:
			return a, why
		default:
			return a, lacks(path, can)
		}
	}
}

// may returns the capabilities that a token has on a path.
func (s *server) may(ctx context.Context, token, path string) ([]string, error) {
	a, err := s.client.Ask(ctx, token, http.MethodPost, "sys/capabilities-self", map[string]any{"paths": []string{path}})
	if err != nil {
		return nil, err
	}
	var can struct{ Capabilities []string }
	if err := json.Unmarshal(a.Data, &can); err != nil || len(can.Capabilities) == 0 {
		return nil, errors.New("sys/capabilities-self: the answer cannot be read")
	}
	return can.Capabilities, nil
}

// lacks says which line of a policy would let an account do what it may not.
func lacks(path string, can []string) error {
	need := rightFor(path)
	missing := slices.DeleteFunc(slices.Clone(need.can), func(c string) bool { return slices.Contains(can, c) })
	if len(missing) == 0 {
		return final("Writ's account may use %s, but not with these parameters; look for allowed_parameters in its policy", path)
	}
	return final("Writ's account lacks %s on %s; its policy needs the line: %s", strings.Join(missing, ", "), path, need)
}

// read asks for the data at a path.
func (s *server) read(ctx context.Context, method, path string, body, data any) error {
	a, err := s.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.Data, data); err != nil {
		return fmt.Errorf("%s: the answer cannot be read", path)
	}
	return nil
}

// keys lists what is below a path, which may be nothing.
func (s *server) keys(ctx context.Context, path string) ([]string, error) {
	var below struct{ Keys []string }
	err := s.read(ctx, rest.List, path, nil, &below)
	if errors.Is(err, rest.ErrMissing) {
		err = nil
	}
	return below.Keys, err
}
