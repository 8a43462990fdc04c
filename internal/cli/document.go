package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/document"
)

// ReadDocuments reads a file, all files below a directory, or standard input.
func ReadDocuments(path string, stdin io.Reader) ([]json.RawMessage, error) {
	if path == "-" {
		data, err := io.ReadAll(stdin)
		docs, errParse := document.Parse("stdin", data)
		return docs, errors.Join(err, errParse)
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return document.ParseFS(os.DirFS(path), ".")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "%v", err)
	}
	return document.Parse(path, data)
}
