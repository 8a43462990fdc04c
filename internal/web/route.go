package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
)

// A Signed input carries who calls. Every route's input embeds one.
type Signed struct {
	Authorization string `header:"Authorization" hidden:"true" json:"-"`
}

func (s Signed) token() string {
	scheme, token, _ := strings.Cut(s.Authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

func (Signed) key() string { return "" }

// A Repeatable input may carry a key that makes the call safe to repeat.
type Repeatable struct {
	Signed
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"the same key with the same content has one effect" json:"-"`
}

func (r Repeatable) key() string { return r.Key }

type input interface {
	token() string
	key() string
}

// An Output is what a route answers with.
type Output[T any] struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     T
}

// route adds one operation: identify the caller, do, answer.
func route[I input, O any](s *server, api huma.API, op huma.Operation, do func(context.Context, door.Caller, I) (O, error)) {
	op.Security = []map[string][]string{{"bearer": {}}}
	op.Errors = []int{401, 403, 404, 409, 412, 422, 503}
	huma.Register(api, op, func(ctx context.Context, in *I) (*Output[O], error) {
		who, err := s.caller(ctx, op, *in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		body, err := do(ctx, who, *in)
		if err != nil {
			p := s.problem(ctx, err)
			if r, ok := any(body).(writ.Request); ok {
				p.Request = r.ID
			}
			return nil, p
		}
		out := &Output[O]{Body: body}
		if r, ok := any(body).(writ.Request); ok {
			out.ETag, out.Location = etag(r.Digest), "/v1/requests/"+string(r.ID)
		}
		return out, nil
	})
}

func (s *server) caller(ctx context.Context, op huma.Operation, in input) (door.Caller, error) {
	c := door.Caller{Key: in.key()}
	browser, ok := sessionOf(ctx)
	switch token := in.token(); {
	case token != "":
		var err error
		if c.Party, err = s.Who(ctx, token); err != nil {
			return c, err
		}
	case ok:
		c.Party, c.SignedIn = browser.who, browser.since
	default:
		return c, writ.Errorf(writ.Unauthenticated, "send a token: Authorization: Bearer …; 'writ login' gets one")
	}
	if c.Key == "" {
		return c, nil
	}
	content, err := json.Marshal(in) // all of it but who sends it
	if err != nil {
		return c, err
	}
	sum := sha256.Sum256(append([]byte(op.OperationID+"\n"), content...))
	c.Fingerprint = writ.Digest("sha256:" + hex.EncodeToString(sum[:]))
	return c, nil
}

func etag(d writ.Digest) string { return `"` + string(d) + `"` }

// seen reads the terms digest that an approver saw. Without one nothing is
// approved: a yes is to exact terms.
func seen(ifMatch string) (writ.Digest, error) {
	d, ok := strings.CutPrefix(ifMatch, `"`)
	d, ok2 := strings.CutSuffix(d, `"`)
	if !ok || !ok2 || d == "" {
		return "", &Problem{
			Type: "urn:writ:problem:precondition-required", Title: "precondition required", Status: http.StatusPreconditionRequired,
			Detail: `say which terms you saw: If-Match: "<digest>", as GET of the request shows it`,
		}
	}
	return writ.Digest(d), nil
}
