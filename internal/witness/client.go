package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger/witness"
)

const (
	answerIn  = 5 * time.Second // one witness, connecting and all
	maxAnswer = 64 << 10        // bytes
)

// NewClient returns a client that speaks to the configured URLs and to nothing
// that these send it to: no redirects, no proxy from the environment, nothing
// long or slow.
func NewClient() *http.Client {
	return &http.Client{
		Timeout: answerIn,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: answerIn}).DialContext,
			TLSHandshakeTimeout: answerIn, ResponseHeaderTimeout: answerIn, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConnsPerHost: 1,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CheckURL refuses what a witness cannot be asked at: it is https, and http only
// on this very machine.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return fmt.Errorf("%q is no URL of a witness; write it as https://witness.example.org, without user, query or fragment", raw)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return fmt.Errorf("%q must begin with https; http is for loopback hosts alone", raw)
}

// answer is what a witness said: its status, and at most maxAnswer bytes.
type answer struct {
	status int
	kind   string
	body   string
}

// ask posts a request to cosign. Its error is that nobody knows what the
// witness says.
func ask(ctx context.Context, c *http.Client, prefix string, r witness.Request) (answer, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(prefix, "/")+"/add-checkpoint", strings.NewReader(r.String()))
	if err != nil {
		return answer{}, err
	}
	q.Header.Set("Content-Type", "text/plain; charset=utf-8")
	return send(c, q)
}

// Newest returns the newest checkpoint that a witness says it cosigned of a log.
// What stands in it is not checked.
func Newest(ctx context.Context, c *http.Client, prefix, origin string) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(prefix, "/")+"/"+witness.Path(origin), nil)
	if err != nil {
		return "", err
	}
	a, err := send(c, q)
	if err == nil && a.status != http.StatusOK {
		err = writ.Errorf(writ.Unavailable, "it answers %d", a.status)
	}
	return a.body, err
}

func send(c *http.Client, q *http.Request) (answer, error) {
	res, err := c.Do(q)
	if err != nil {
		return answer{}, writ.Errorf(writ.Unavailable, "%v", errors.Unwrap(err)) // without the URL, which the caller knows
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return answer{}, writ.Errorf(writ.Unavailable, "its answer broke off, or is longer than %d bytes", maxAnswer)
	}
	return answer{res.StatusCode, res.Header.Get("Content-Type"), string(body)}, nil
}

// size reads the body of a 409.
func (a answer) size() (int64, error) {
	text, ok := strings.CutSuffix(a.body, "\n")
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 0 || strconv.FormatInt(n, 10) != text || a.kind != "text/x.tlog.size" {
		return 0, writ.Errorf(writ.Unavailable, "it answers 409 without a size")
	}
	return n, nil
}
