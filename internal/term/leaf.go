package term

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Leaves returns every leaf of a JSON value as a row, in the order of the
// text: known or unknown, empty or not, nothing is left out. The path of a leaf
// and its value are unambiguous, whatever they contain.
func Leaves(data []byte) ([]Row, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	w := &walk{dec: dec}
	if err := w.value(""); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands after the JSON value")
	}
	return w.rows, nil
}

type walk struct {
	dec  *json.Decoder
	rows []Row
}

func (w *walk) value(path string) error {
	t, err := w.dec.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		return w.children(path, t)
	case string:
		w.add(path, quote(t))
	case nil:
		w.add(path, "null")
	default:
		w.add(path, fmt.Sprint(t))
	}
	return nil
}

func (w *walk) children(path string, open json.Delim) error {
	n := 0
	for ; w.dec.More(); n++ {
		child := fmt.Sprintf("%s[%d]", path, n)
		if open == '{' {
			key, err := w.dec.Token()
			if err != nil {
				return err
			}
			child = join(path, key.(string))
		}
		if err := w.value(child); err != nil {
			return err
		}
	}
	if n == 0 {
		w.add(path, map[json.Delim]string{'{': "{}", '[': "[]"}[open])
	}
	_, err := w.dec.Token()
	return err
}

func (w *walk) add(path, value string) { w.rows = append(w.rows, Row{path, Markup(value)}) }

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func join(path, key string) string {
	if !plainKey.MatchString(key) {
		return path + "[" + strconv.QuoteToASCII(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// quote returns a string as it is, or in quotes where it could pass for
// something else or hides something.
func quote(text string) string {
	quoted := strconv.Quote(text)
	if text == "" || quoted != `"`+text+`"` || text != strings.TrimSpace(text) || json.Valid([]byte(text)) {
		return quoted
	}
	return text
}
