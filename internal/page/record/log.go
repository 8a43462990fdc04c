package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/door/journal"
	"github.com/writhq/writ/internal/page/frame"
)

// A Line is one event in a list.
type Line struct {
	Pos    int64
	At     time.Time
	Stream string
	Kind   writ.Kind
	Actor  writ.Ref
}

func (p Pages) journal() journal.Journal { return journal.Journal{Door: p.Door} }

func (p Pages) log(r *http.Request, who door.Caller) (frame.Answer, error) {
	ctx, q := r.Context(), strings.TrimSpace(r.FormValue("q"))
	note, err := p.journal().Ledger(ctx)
	if err != nil {
		return frame.Answer{}, err
	}
	data := map[string]any{"Ledger": note, "Root": base64.StdEncoding.EncodeToString(note.Root[:]), "Witnesses": cosigners(note), "Query": q}
	out := frame.Answer{Page: "log", Data: data}
	if pos, err := strconv.ParseInt(q, 10, 64); err == nil {
		return frame.Answer{To: "/log/" + strconv.FormatInt(pos, 10)}, nil
	}
	data["Lines"], err = p.lines(r, who, q)
	switch {
	case errors.Is(err, writ.Forbidden) && q == "":
		data["Limited"] = true
	case errors.Is(err, writ.Forbidden), errors.Is(err, writ.NotFound):
		data["Problem"] = err.Error()
	case err != nil:
		return out, err
	}
	if q == "" || strings.HasPrefix(q, "req-") || !strings.Contains(q, "/") {
		return out, nil
	}
	found, err := p.Door.List(ctx, who, door.Filter{Subject: writ.Ref(q), Limit: 50})
	if err != nil && !errors.Is(err, writ.NotFound) {
		return out, err
	}
	data["Requests"] = found.Requests
	return out, nil
}

// lines are the events of what is looked for: of a request, or of an identity's
// document; the newest of all where nothing is.
func (p Pages) lines(r *http.Request, who door.Caller, q string) (out []Line, err error) {
	ctx := r.Context()
	stream := q
	if !strings.HasPrefix(q, "req-") && !strings.Contains(q, ":") {
		stream = "identity:" + q
	}
	entries, err := p.journal().Newest(ctx, who)
	if q != "" {
		entries, err = p.journal().History(ctx, who, stream)
	}
	for _, e := range entries {
		out = append(out, Line{e.Pos, e.Event.At, e.Event.Stream, e.Event.Body.Kind(), e.Event.Actor.Name})
	}
	return out, err
}

// cosigners are the names on the cosigned checkpoint besides the log's own:
// lines "— name signature", c2sp.org/signed-note.
func cosigners(l journal.Ledger) (names []string) {
	_, signatures, _ := strings.Cut(l.Cosigned, "\n\n")
	for line := range strings.SplitSeq(signatures, "\n") {
		name, _, ok := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		if ok && name != l.Origin {
			names = append(names, name)
		}
	}
	return names
}

// event is one record, with what a browser needs to find it in the tree.
func (p Pages) event(r *http.Request, who door.Caller) (frame.Answer, error) {
	pos, err := strconv.ParseInt(r.PathValue("pos"), 10, 64)
	if err != nil || pos < 0 {
		return frame.Answer{}, writ.Errorf(writ.NotFound, "%q is no position in the ledger", r.PathValue("pos"))
	}
	e, err := p.journal().Record(r.Context(), who, pos)
	if err != nil {
		return frame.Answer{}, err
	}
	note, err := p.journal().Ledger(r.Context())
	if err != nil {
		return frame.Answer{}, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, e.Record, "", "  "); err != nil {
		return frame.Answer{}, err
	}
	request := ""
	if strings.HasPrefix(e.Event.Stream, "req-") {
		request = e.Event.Stream
	}
	return frame.Answer{Page: "event", Data: map[string]any{
		"Line":   Line{e.Pos, e.Event.At, e.Event.Stream, e.Event.Body.Kind(), e.Event.Actor.Name},
		"Record": strings.Split(pretty.String(), "\n"), "Bytes": base64.StdEncoding.EncodeToString(e.Record),
		"Ledger": note, "Request": request, "Last": note.Size - 1,
	}}, nil
}
