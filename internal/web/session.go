package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/writhq/writ"
)

// signedIn is a browser in which a person is signed in.
type signedIn struct {
	who   writ.Party
	since time.Time
}

type sessionKey struct{}

func sessionOf(ctx context.Context) (signedIn, bool) {
	s, ok := ctx.Value(sessionKey{}).(signedIn)
	return s, ok
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
		who, since, err := s.Session(r)
		known := err == nil && who.UID != ""
		if known && r.Method != http.MethodGet && r.Method != http.MethodHead && !sameOrigin(r, s.Origin) {
			err = writ.Errorf(writ.Forbidden, "a browser session may only act from the pages of %s", s.Origin)
		}
		if err != nil {
			write(w, s.problem(r.Context(), err))
			return
		}
		if known {
			r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, signedIn{who, since}))
		}
		next.ServeHTTP(w, r)
	})
}

func sameOrigin(r *http.Request, origin string) bool {
	sent := r.Header.Values("Origin")
	return origin != "" && len(sent) == 1 && sent[0] == origin
}
