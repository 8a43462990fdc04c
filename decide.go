// Commands ask for a change, in the imperative; events are what happened.
package writ

// A Command asks for a change of a request.
type Command interface {
	decide(Request, Facts) ([]Body, error)
}

// Decide answers a command with the events that follow from it, or refuses it.
// It reads no clock, does no I/O and changes nothing. No events and no error
// means that the command asks for what is already so.
func Decide(r Request, id ID, c Command, f Facts) (events []Event, err error) {
	if r.Seq == 0 {
		r.ID = id
	}
	bodies, err := c.decide(r, f)
	if err != nil {
		return nil, err
	}
	for _, b := range bodies {
		e := Event{Stream: string(id), Seq: r.Seq + 1, At: f.Now, Actor: f.Actor, Body: b}
		if r, err = r.Apply(e); err != nil { // what cannot be applied is not decided
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
