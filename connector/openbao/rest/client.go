// Package rest speaks the HTTP API, version 1, that OpenBao and HashiCorp Vault
// share: one question and its answer, and the login of who asks.
package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer: the accessors of some 500,000 tokens.
const maxAnswer = 16 << 20

// A Client speaks to one address, whoever it speaks for.
type Client struct {
	http      *http.Client
	address   string
	namespace string
}

// New returns a client that goes nowhere but to the address: not through a proxy
// of this process's environment, and not where the server would send it. PEM
// certificates in caFile vouch for the server; empty: those of the system.
func New(address, caFile, namespace string) (*Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		if trust.RootCAs = x509.NewCertPool(); !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile %s holds no certificate", caFile)
		}
	}
	return &Client{
		http: &http.Client{
			Timeout: 30 * time.Second,
			Transport: &http.Transport{
				TLSClientConfig:     trust,
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSHandshakeTimeout: 10 * time.Second,
				MaxIdleConnsPerHost: 8,
				IdleConnTimeout:     time.Minute,
				ForceAttemptHTTP2:   true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		address:   strings.TrimSuffix(address, "/"),
		namespace: namespace,
	}, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An Answer is what the API answers with; which part is filled depends on the path.
type Answer struct {
	Data json.RawMessage `json:"data"`
	Auth *struct {
		Token     string `json:"client_token"`
		Accessor  string `json:"accessor"`
		Duration  int64  `json:"lease_duration"` // seconds
		Renewable bool   `json:"renewable"`
	} `json:"auth"`
	Errors *[]string `json:"errors"`
}

// A Refusal is what the server said instead of doing it.
type Refusal struct {
	Status int    // of HTTP
	Said   string // empty: nothing, or what answered was not the server
}

// Error says what the server said.
func (r Refusal) Error() string {
	if r.Said == "" {
		return fmt.Sprintf("the server answers %d %s", r.Status, http.StatusText(r.Status))
	}
	return fmt.Sprintf("the server says: %s (%d)", r.Said, r.Status)
}

// ErrMissing is that there is nothing at a path, in the server's own word.
var ErrMissing = errors.New("it is not there")

// List is the method that lists what is below a path.
const List = "LIST"

// Ask sends one question with a token and returns the answer. The errors are
// ErrMissing, a Refusal, and what happened on the way.
func (c *Client) Ask(ctx context.Context, token, method, path string, body any) (Answer, error) {
	status, data, err := c.Send(ctx, token, method, path, body)
	if err != nil {
		return Answer{}, err
	}
	var a Answer
	broken := len(data) > 0 && json.Unmarshal(data, &a) != nil
	switch {
	case status/100 == 2 && !broken:
		return a, nil
	case status/100 == 2:
		return a, errors.New("the answer is none of OpenBao's or Vault's; see where address leads")
	case status == http.StatusNotFound && !broken && a.Errors != nil && len(*a.Errors) == 0:
		return a, ErrMissing
	case a.Errors == nil:
		return a, Refusal{status, ""} // whatever a proxy before the server wrote is not repeated
	}
	return a, Refusal{status, plain(*a.Errors)}
}

// Send sends one question and returns what came back, which no redirect can bend.
func (c *Client) Send(ctx context.Context, token, method, path string, body any) (int, []byte, error) {
	u := c.address + "/v1/" + escape(path)
	if method == List {
		method, u = http.MethodGet, u+"?list=true"
	}
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, content)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Request", "true")
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	if c.namespace != "" && path != Health {
		req.Header.Set("X-Vault-Namespace", c.namespace)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, unwrapped(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 3 {
		return 0, nil, fmt.Errorf("the server sends on to another address (%d), where tokens are not carried; set address to the active node, or let standby nodes forward", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	}
	return res.StatusCode, data, err
}

// unwrapped returns err without the URL in front of it.
func unwrapped(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// Health is the path that answers without a token and in no namespace.
const Health = "sys/health"

// escape makes a URL of a path, whose elements may hold anything but a slash.
func escape(path string) string {
	elements := strings.Split(path, "/")
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	return strings.Join(elements, "/")
}

// plain makes a line of what the server said.
func plain(said []string) string {
	text := strings.Join(said, "; ")
	for _, frame := range []string{"1 error occurred:", "* ", "\n", "\t"} {
		text = strings.ReplaceAll(text, frame, " ")
	}
	return strings.Join(strings.Fields(text), " ")
}

// Says reports whether err is what the server said with these words.
func Says(err error, words string) bool {
	var r Refusal
	return errors.As(err, &r) && strings.Contains(r.Said, words)
}

// Denied reports whether err is that the server does not let the token do it. Some
// versions answer 403, too, where the token that was asked about is not there.
func Denied(err error) bool {
	var r Refusal
	return errors.As(err, &r) && r.Status == http.StatusForbidden && !Says(err, NoAccessor)
}

// NoAccessor is what the server says where no token has the accessor.
const NoAccessor = "invalid accessor"
