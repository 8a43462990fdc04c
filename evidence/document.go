package evidence

import (
	"regexp"

	"github.com/writhq/writ"
)

// nameWord is what the name of a group looks like.
var nameWord = regexp.MustCompile(`[a-z0-9]([a-z0-9._-]*[a-z0-9])?`)

// documentOf returns the version of a document that an event made, or nil.
func documentOf(e Entry) writ.Document {
	b, ok := e.Event.Body.(writ.Changed)
	if !ok {
		return nil
	}
	doc, err := writ.ParseDocument(b.Content)
	if err != nil {
		return nil
	}
	return doc
}

// streamOf returns the stream of an identity or a group.
func streamOf(ref writ.Ref) string {
	if ref.IsGroup() {
		return "group:" + string(ref[len("group/"):])
	}
	return "identity:" + string(ref)
}
