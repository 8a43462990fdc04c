package writ

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// record is an event as the ledger keeps and hashes it. Its form is frozen:
// what is added later is omitted when empty, and testdata/records holds bytes
// of every kind that must stay readable and unchanged.
type record struct {
	V      int             `json:"v"`
	Stream string          `json:"stream"`
	Seq    int             `json:"seq"`
	At     time.Time       `json:"at"`
	Actor  Party           `json:"actor"`
	Kind   Kind            `json:"kind"`
	Body   json.RawMessage `json:"body"`
}

// Encode returns the exact bytes of an event that the ledger keeps.
func Encode(e Event) ([]byte, error) {
	body, err := plain(e.Body)
	if err != nil {
		return nil, fmt.Errorf("event %s of %s: %w", e.Body.Kind(), e.Stream, err)
	}
	return plain(record{1, e.Stream, e.Seq, e.At, e.Actor, e.Body.Kind(), body})
}

// plain writes JSON without escaping <, > and &: canonical content in it stays
// canonical, and its digest can be taken from the record itself.
func plain(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// Decode reads them back.
func Decode(data []byte) (Event, error) {
	var c record
	if err := json.Unmarshal(data, &c); err != nil {
		return Event{}, fmt.Errorf("record: %w", err)
	}
	if c.V != 1 {
		return Event{}, fmt.Errorf("record of %s has version %d; this program reads version 1", c.Stream, c.V)
	}
	read := others[c.Kind]
	if k, ok := life[c.Kind]; ok {
		read = k.read
	}
	if read == nil {
		return Event{}, fmt.Errorf("record of %s has the unknown kind %q", c.Stream, c.Kind)
	}
	b, err := read(c.Body)
	if err != nil {
		return Event{}, fmt.Errorf("record %d of %s: %w", c.Seq, c.Stream, err)
	}
	return Event{c.Stream, c.Seq, c.At, c.Actor, b}, nil
}
