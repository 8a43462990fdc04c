// Package document reads the files in which people write documents: YAML, any
// number of documents to a file. What is wrong is shown with file, line and a caret.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/writhq/writ"
)

// marker is where a YAML document ends and the next begins (YAML 1.2, 9.2). It
// stands at the start of a line and cannot be part of a value.
var marker = regexp.MustCompile(`(?m)^---[ \t]*(?:#.*)?$\n?`)

// Parse reads the documents of one file, in order, as the API takes them.
func Parse(name string, data []byte) ([]json.RawMessage, error) {
	var out []json.RawMessage
	var errs []error
	start := 0
	for _, m := range append(marker.FindAllIndex(data, -1), []int{len(data), len(data)}) {
		text := data[start:m[0]]
		if line := bytes.Count(data[:start], []byte("\n")); !blank(text) {
			doc, err := parse(name, line, text)
			out, errs = append(out, doc), append(errs, err)
		}
		start = m[1]
	}
	return out, errors.Join(errs...)
}

// ParseFS reads every .yaml, .yml and .json file below root, in order of name.
func ParseFS(fsys fs.FS, root string) ([]json.RawMessage, error) {
	var out []json.RawMessage
	var errs []error
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		docs, err := Parse(name, data)
		out, errs = append(out, docs...), append(errs, err)
		return nil
	})
	return out, errors.Join(append(errs, err)...)
}

func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// kinds are what a document of each kind is read into. A policy's own text is
// read by package policy; here only its name is.
var kinds = map[string]func(io.Reader) (writ.Document, error){
	"identity":    strict[writ.Identity],
	"group":       strict[writ.Group],
	"target":      strict[writ.Target],
	"entitlement": strict[writ.Entitlement],
}

func strict[D writ.Document](r io.Reader) (writ.Document, error) {
	var doc D
	err := yaml.NewDecoder(r, yaml.Strict(), yaml.UseJSONUnmarshaler()).Decode(&doc)
	return doc, err
}

// parse reads the document that starts on a line of a file. Blank lines before
// it make the positions in errors those of the file.
func parse(name string, line int, text []byte) (json.RawMessage, error) {
	padded := append(bytes.Repeat([]byte("\n"), line), text...)
	var h struct{ Kind, Name string }
	if err := yaml.Unmarshal(padded, &h); err != nil {
		return nil, complaint(name, err)
	}
	if h.Kind == "policy" {
		return json.Marshal(writ.Policy{Header: writ.Header{Kind: h.Kind, Name: h.Name}, Source: string(text)})
	}
	read, ok := kinds[h.Kind]
	if !ok {
		return nil, writ.Errorf(writ.Invalid, "%s:%d: kind %q is not one of entitlement, group, identity, policy, target", name, line+1, h.Kind)
	}
	doc, err := read(bytes.NewReader(padded))
	if err != nil {
		return nil, complaint(name, err)
	}
	return json.Marshal(doc)
}

var position = regexp.MustCompile(`^\[(\d+):(\d+)\] `)

// complaint puts the file's name before the position that the YAML reader gives.
func complaint(name string, err error) error {
	text := strings.TrimRight(err.Error(), "\n ")
	if m := position.FindStringSubmatch(text); m != nil {
		return writ.Errorf(writ.Invalid, "%s:%s:%s: %s", name, m[1], m[2], text[len(m[0]):])
	}
	return writ.Errorf(writ.Invalid, "%s", fmt.Sprintf("%s: %s", name, text))
}
