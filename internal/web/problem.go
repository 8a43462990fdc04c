package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writhq/writ"
)

// A Problem is an error as the API gives it: RFC 9457.
type Problem struct {
	Type    string  `json:"type"`
	Title   string  `json:"title"`
	Status  int     `json:"status"`
	Detail  string  `json:"detail,omitempty" doc:"what, which one, what to do now"`
	Request writ.ID `json:"request,omitempty" doc:"the request that it is about, where one was recorded"`
	LogID   string  `json:"logId,omitempty" doc:"finds an internal error in the server's log"`
	Errors  []Field `json:"errors,omitempty" doc:"each part of the input that was refused"`
}

// A Field is one part of the input that was refused. Its value is not repeated:
// it may be a secret.
type Field struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// statuses maps the kinds of fault. What is in no row is internal.
var statuses = map[writ.Fault]int{
	writ.Invalid:         http.StatusUnprocessableEntity,
	writ.Unauthenticated: http.StatusUnauthorized,
	writ.Forbidden:       http.StatusForbidden,
	writ.NotFound:        http.StatusNotFound,
	writ.Conflict:        http.StatusConflict,
	writ.Stale:           http.StatusPreconditionFailed,
	writ.Unavailable:     http.StatusServiceUnavailable,
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of a problem document.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders asks a caller who is not known for a token: RFC 6750, section 3.
func (p *Problem) GetHeaders() http.Header {
	if p.Status != http.StatusUnauthorized {
		return nil
	}
	return http.Header{"Www-Authenticate": {`Bearer realm="writ"`}}
}

// problem shows a fault to the caller, and hides and logs what is none.
func (s *server) problem(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if f, ok := errors.AsType[writ.Fault](err); ok {
		return &Problem{Type: "urn:writ:problem:" + slug(f), Title: string(f), Status: statuses[f], Detail: err.Error()}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Problem{Type: "urn:writ:problem:unavailable", Title: "no answer in time", Status: http.StatusServiceUnavailable, Detail: "the call took too long; try again"}
	}
	id := rand.Text()[:12]
	s.Logger.ErrorContext(ctx, "internal error", "id", id, "err", err)
	return &Problem{Type: "urn:writ:problem:internal", Title: "internal error", Status: http.StatusInternalServerError, LogID: id, Detail: "the server's log says more under " + id}
}

func slug(f writ.Fault) string {
	if f == writ.NotFound {
		return "not-found"
	}
	return string(f)
}

// newProblem is how what the framework refuses becomes a problem.
func newProblem(status int, message string, errs ...error) huma.StatusError {
	p := &Problem{Type: "urn:writ:problem:invalid", Title: http.StatusText(status), Status: status, Detail: message}
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			p.Errors = append(p.Errors, Field{d.Location, d.Message})
			p.Detail += "; " + d.Location + ": " + d.Message
		}
	}
	return p
}

func write(w http.ResponseWriter, p *Problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// Fail answers with what may be known of an error, for handlers outside the
// table of routes.
func Fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	s := &server{Config{Logger: log}}
	write(w, s.problem(r.Context(), err))
}
