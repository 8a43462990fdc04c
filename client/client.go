// Package client is the Go client of Writ's API. Every method answers a
// refusal with a writ.Fault, so that errors.Is(err, writ.Forbidden) works here
// as it does in the server.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/seal"
)

// What the API speaks of.
type (
	Ask        = door.Ask
	Preview    = door.Preview
	Dossier    = door.Dossier
	Event      = door.Event
	Page       = door.Page
	Filter     = door.Filter
	Claimed    = door.Delivery
	Put        = door.Put
	Change     = door.Change
	Challenge  = door.Challenge
	Enrolment  = door.Enrolment
	Credential = seal.Credential
)

// A Client calls one server as one identity. It is safe for concurrent use.
type Client struct {
	Server string // base URL
	Token  string // bearer token
	HTTP   *http.Client
}

// New returns a client of the server at a base URL.
func New(server, token string) *Client {
	return &Client{Server: strings.TrimRight(server, "/"), Token: token, HTTP: &http.Client{Timeout: 2 * time.Minute}}
}

// A Refusal is a problem document (RFC 9457) that the server answered with. It
// unwraps to its writ.Fault.
type Refusal struct {
	Type    string  `json:"type"`
	Title   string  `json:"title"`
	Status  int     `json:"status"`
	Detail  string  `json:"detail"`
	Request writ.ID `json:"request"`
	LogID   string  `json:"logId"`
}

// Error returns what was refused and what to do.
func (r *Refusal) Error() string {
	if r.Detail != "" {
		return r.Detail
	}
	return fmt.Sprintf("the server answered %d %s", r.Status, r.Title)
}

// Unwrap returns the kind of fault, or nil for an error inside the server.
func (r *Refusal) Unwrap() error {
	switch r.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return writ.Invalid
	case http.StatusUnauthorized:
		return writ.Unauthenticated
	case http.StatusForbidden:
		return writ.Forbidden
	case http.StatusNotFound:
		return writ.NotFound
	case http.StatusConflict:
		return writ.Conflict
	case http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		return writ.Stale
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return writ.Unavailable
	}
	return nil
}

type call struct {
	method, path string
	in           any
	header       http.Header
}

func do[T any](ctx context.Context, c *Client, k call) (out T, err error) {
	var body io.Reader
	if k.in != nil {
		data, err := json.Marshal(k.in)
		if err != nil {
			return out, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.Server+k.path, body)
	if err != nil {
		return out, writ.Errorf(writ.Invalid, "server %q is no URL: %v", c.Server, err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if k.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		return out, writ.Errorf(writ.Unavailable, "no answer from %s: %v; is the server running?", c.Server, errors.Unwrap(err))
	}
	defer res.Body.Close()
	return out, decode(res, &out)
}

// maxAnswer bounds what a server can make a client keep.
const maxAnswer = 64 << 20

func decode(res *http.Response, out any) error {
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return writ.Errorf(writ.Unavailable, "the answer broke off: %v; look at the request before repeating the call", err)
	}
	if res.StatusCode < 300 {
		return json.Unmarshal(data, out)
	}
	r := &Refusal{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
	if strings.HasSuffix(strings.SplitN(res.Header.Get("Content-Type"), ";", 2)[0], "json") {
		_ = json.Unmarshal(data, r) // the status alone says enough if it is no problem document
	}
	r.Status = res.StatusCode
	return r
}

// Submit asks for access. With the same key and content it asks once, however
// often it is called; an empty key makes each call its own.
func (c *Client) Submit(ctx context.Context, a Ask, key string) (writ.Request, error) {
	h := http.Header{}
	if key != "" {
		h.Set("Idempotency-Key", key)
	}
	return do[writ.Request](ctx, c, call{"POST", "/v1/requests", a, h})
}

// Preview says what would become of an ask.
func (c *Client) Preview(ctx context.Context, a Ask) (Preview, error) {
	return do[Preview](ctx, c, call{"POST", "/v1/preview", a, nil})
}

// Show returns the dossier of a request.
func (c *Client) Show(ctx context.Context, id writ.ID) (Dossier, error) {
	return do[Dossier](ctx, c, call{"GET", path(id, ""), nil, nil})
}

// Evidence returns what shows anybody, offline, what became of a request.
func (c *Client) Evidence(ctx context.Context, id writ.ID, texts bool) (evidence.File, error) {
	q := url.Values{"texts": {strconv.FormatBool(texts)}}
	return do[evidence.File](ctx, c, call{"GET", path(id, "evidence") + "?" + q.Encode(), nil, nil})
}

// CommitNonce puts the hash of an auditor's nonce on record.
func (c *Client) CommitNonce(ctx context.Context, hash writ.Digest) (audit.Commitment, error) {
	return do[audit.Commitment](ctx, c, call{"POST", "/v1/audit/commitments", map[string]writ.Digest{"hash": hash}, nil})
}

// Wait returns the dossier, without texts and events, once the request has more
// than after events, or when wait is over, whichever comes first.
func (c *Client) Wait(ctx context.Context, id writ.ID, after int, wait time.Duration) (Dossier, error) {
	q := url.Values{"after": {strconv.Itoa(after)}, "for": {writ.Of(wait).String()}}
	return do[Dossier](ctx, c, call{"GET", path(id, "wait") + "?" + q.Encode(), nil, nil})
}

// Reach returns the dossier, without texts and events, once the request has
// the status or can no longer get it, or when wait is over.
func (c *Client) Reach(ctx context.Context, id writ.ID, status writ.Status, wait time.Duration) (Dossier, error) {
	q := url.Values{"until": {string(status)}, "for": {writ.Of(wait).String()}}
	return do[Dossier](ctx, c, call{"GET", path(id, "wait") + "?" + q.Encode(), nil, nil})
}

// List returns a page of the requests that the caller may see.
func (c *Client) List(ctx context.Context, f Filter) (Page, error) {
	q := url.Values{}
	for _, s := range f.Status {
		q.Add("status", string(s))
	}
	for name, value := range map[string]string{
		"subject": string(f.Subject), "entitlement": f.Entitlement, "target": f.Target, "before": string(f.Before),
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return do[Page](ctx, c, call{"GET", "/v1/requests?" + q.Encode(), nil, nil})
}

// Inbox returns what waits for the caller.
func (c *Client) Inbox(ctx context.Context) (Page, error) {
	return do[Page](ctx, c, call{"GET", "/v1/inbox", nil, nil})
}

// Approve says yes to the terms with this digest.
func (c *Client) Approve(ctx context.Context, id writ.ID, digest writ.Digest) (writ.Request, error) {
	return do[writ.Request](ctx, c, call{"POST", path(id, "approve"), nil, ifMatch(digest)})
}

// Deny says no to the terms with this digest.
func (c *Client) Deny(ctx context.Context, id writ.ID, digest writ.Digest, note string) (writ.Request, error) {
	return do[writ.Request](ctx, c, call{"POST", path(id, "deny"), noted{note}, ifMatch(digest)})
}

// Withdraw takes a pending request back.
func (c *Client) Withdraw(ctx context.Context, id writ.ID) (writ.Request, error) {
	return do[writ.Request](ctx, c, call{"POST", path(id, "withdraw"), nil, nil})
}

// Release ends access that is no longer needed.
func (c *Client) Release(ctx context.Context, id writ.ID) (writ.Request, error) {
	return do[writ.Request](ctx, c, call{"POST", path(id, "release"), nil, nil})
}

// Revoke takes access away.
func (c *Client) Revoke(ctx context.Context, id writ.ID, note string) (writ.Request, error) {
	return do[writ.Request](ctx, c, call{"POST", path(id, "revoke"), noted{note}, nil})
}

// RevokeIdentity takes away everything an identity has or asks for.
func (c *Client) RevokeIdentity(ctx context.Context, identity writ.Ref, note string) (Page, error) {
	in := map[string]string{"identity": string(identity), "note": note}
	return do[Page](ctx, c, call{"POST", "/v1/revocations", in, nil})
}

// Meet says that an end condition has come true.
func (c *Client) Meet(ctx context.Context, condition string) (Page, error) {
	return do[Page](ctx, c, call{"POST", "/v1/conditions", map[string]string{"condition": condition}, nil})
}

// Claim takes the credential, once.
func (c *Client) Claim(ctx context.Context, id writ.ID) (Claimed, error) {
	return do[Claimed](ctx, c, call{"POST", path(id, "claim"), nil, nil})
}

// Put changes documents: all of them or none.
func (c *Client) Put(ctx context.Context, p Put) ([]Change, error) {
	out, err := do[struct{ Changes []Change }](ctx, c, call{"PUT", "/v1/documents", p, nil})
	return out.Changes, err
}

// Documents returns documents of a kind and name as they are now; of all if empty.
func (c *Client) Documents(ctx context.Context, kind, name string) ([]json.RawMessage, error) {
	q := url.Values{}
	if kind != "" {
		q.Set("kind", kind)
	}
	if name != "" {
		q.Set("name", name)
	}
	out, err := do[struct{ Documents []json.RawMessage }](ctx, c, call{"GET", "/v1/documents?" + q.Encode(), nil, nil})
	return out.Documents, err
}

// Whoami returns whom the token speaks for.
func (c *Client) Whoami(ctx context.Context) (writ.Party, error) {
	return do[writ.Party](ctx, c, call{"GET", "/v1/whoami", nil, nil})
}

// A Login is a token of a development server.
type Login struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// DevLogin asks a development server on this machine for a token of an identity.
func (c *Client) DevLogin(ctx context.Context, as writ.Ref) (Login, error) {
	return do[Login](ctx, c, call{"POST", "/dev/login", map[string]string{"as": string(as)}, nil})
}

type noted struct {
	Note string `json:"note,omitempty"`
}

func path(id writ.ID, verb string) string {
	p := "/v1/requests/" + url.PathEscape(string(id))
	if verb != "" {
		p += "/" + verb
	}
	return p
}

func ifMatch(d writ.Digest) http.Header { return http.Header{"If-Match": {`"` + string(d) + `"`}} }
