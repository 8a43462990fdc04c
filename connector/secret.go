package connector

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// A Secret is text that prints, logs and marshals masked. Only Reveal gives it
// out, so that every place that does can be found.
type Secret struct{ text string }

const mask = "[secret]"

// Conceal makes a secret of text.
func Conceal(text string) Secret { return Secret{text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// String returns a mask.
func (Secret) String() string { return mask }

// Format writes a mask, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, mask) }

// LogValue logs a mask.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalJSON writes a mask.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(mask) }
