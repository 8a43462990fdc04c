package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/writhq/writ"
)

// A Session is a browser in which a person is signed in.
type Session struct {
	Party writ.Party
	At    time.Time // when they signed in
}

type sessionKey struct{}

func sessionOf(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

// sessions lets the API be called in a browser session, in place of a token. A
// browser sends its cookies along with what any page makes it send, so what
// changes something must say that it comes from a page of ours: Origin, which
// no page can forge (Fetch standard, section 3.2).
func (s *server) sessions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Session == nil || !strings.HasPrefix(r.URL.Path, "/v1/") || r.Header.Get("Authorization") != "" {
			next.ServeHTTP(w, r)
			return
		}
		in, err := s.Session(r)
		if err == nil && in != nil && r.Method != http.MethodGet && r.Method != http.MethodHead && !sameOrigin(r, s.Origin) {
			err = writ.Errorf(writ.Forbidden, "a browser session may only act from the pages of %s", s.Origin)
		}
		if err != nil {
			write(w, s.problem(r.Context(), err))
			return
		}
		if in != nil {
			r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, in))
		}
		next.ServeHTTP(w, r)
	})
}

func sameOrigin(r *http.Request, origin string) bool {
	sent := r.Header.Values("Origin")
	return origin != "" && len(sent) == 1 && sent[0] == origin
}
