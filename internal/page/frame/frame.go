// Package frame is what the pages and what stands around all of them agree on:
// a part of the pages answers who is signed in, and knows nothing of sessions.
package frame

import (
	"net/http"

	"github.com/writhq/writ/internal/door"
)

// An Answer is a page to show, or a place to go to.
type Answer struct {
	Page   string         // name of its template
	Data   map[string]any // of the template; who looks at it is added as Viewer
	Status int            // of HTTP; 200 if zero
	To     string         // a path of ours, in place of a page
	Notice string         // what to say there
}

// A Handler answers somebody who is signed in and speaks for an active identity.
type Handler func(*http.Request, door.Caller) (Answer, error)
