package cli

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/term"
)

// Poll is how long one call waits for news.
const Poll = 50 * time.Second

// Follow tells what happens to a request, on standard error, until done says
// that it has come far enough. It outlasts a server that is down for a while.
// Of what happened so far it tells what comes after the first told events.
func (s *Session) Follow(ctx context.Context, c *client.Client, id writ.ID, told int, done func(writ.Request) bool) (d client.Dossier, err error) {
	var down time.Duration // how long to leave a server alone that does not answer
	for {
		next, err := c.Show(ctx, id)
		if err == nil {
			s.tell(next, told, d.Request)
			if d, told, down = next, next.Seq, 0; done(d.Request) {
				return d, nil
			}
			_, err = c.Wait(ctx, id, d.Seq, Poll)
		}
		switch {
		case ctx.Err() != nil:
			return d, Stopped(ctx)
		case err == nil:
			continue
		case !errors.Is(err, writ.Unavailable):
			return d, err
		case down == 0:
			s.Err.Say("%s: %v; trying again", id, err)
		}
		down = min(max(2*down, time.Second), 30*time.Second)
		Sleep(ctx, down)
	}
}

// tell says what happened after the first told events, and for whom the request
// waits if that is news.
func (s *Session) tell(d client.Dossier, told int, before writ.Request) {
	for _, e := range d.Events {
		if e.Seq > told {
			s.Err.Say("%s: %s", d.ID, term.Event(e))
		}
	}
	if d.Status == writ.StatusPending && term.Waiting(d.Request) != term.Waiting(before) {
		s.Err.Say("%s: %s; lapses %s", d.ID, term.Waiting(d.Request), s.Err.When(d.LapseAt))
	}
}

// Sleep reports whether it slept for d, rather than until ctx ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Stopped returns why a context ended: its own fault, or an interruption.
func Stopped(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, Late) {
		return cause
	}
	return Interrupted
}

// Within bounds waiting, unless limit is zero. Late is what happened when it is over.
func Within(ctx context.Context, limit writ.Duration, late error) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit.Std(), late)
}

// Settled reports whether waiting for access is over: it is there, or it will
// not come.
func Settled(r writ.Request) bool {
	return r.Status == writ.StatusActive || r.Status == writ.StatusRevoking || !r.Status.Live()
}

// causes say which fault it is when access ended for a cause.
var causes = map[writ.Cause]writ.Fault{
	writ.Expired: Late, writ.LateStart: Late,
	writ.Released: writ.Conflict, writ.GrantRefused: writ.Conflict,
	writ.IncidentResolved: writ.Conflict, writ.TicketClosed: writ.Conflict, writ.ConditionMet: writ.Conflict,
	writ.DefinitionChanged: writ.Stale,
}

// Outcome says why a settled request gives no access, or nothing if it does.
func Outcome(d client.Dossier) error {
	switch d.Status {
	case writ.StatusActive:
		return nil
	case writ.StatusDenied:
		return writ.Errorf(writ.Forbidden, "%s was denied%s; 'writ show %s' says by whom", d.ID, reason(d), d.ID)
	case writ.StatusWithdrawn:
		return writ.Errorf(writ.Conflict, "%s was withdrawn; ask again if access is still needed", d.ID)
	case writ.StatusLapsed:
		return writ.Errorf(Late, "%s lapsed, nobody decided in time; ask again if access is still needed", d.ID)
	}
	fault, cause := writ.Forbidden, writ.Ended{}
	if d.End != nil {
		cause = *d.End
	}
	if f, ok := causes[cause.Cause]; ok {
		fault = f
	}
	text := string(cause.Cause)
	if cause.Detail != "" {
		text += ": " + cause.Detail
	}
	return writ.Errorf(fault, "%s gives no access any more: %s; 'writ show %s' says more", d.ID, text, d.ID)
}

func reason(d client.Dossier) string {
	if text := cmp.Or(d.Problem, d.Texts["deny"]); text != "" {
		return ": " + text
	}
	return ""
}
