package database

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

func (d *DB) connectSQLite(readOnly bool) (err error) {
	path := strings.TrimPrefix(d.dsn, "sqlite:")
	if path == "" || strings.ContainsRune(path, 0) {
		return errors.New("sqlite: which file? give its path as the database")
	}
	read := url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)", "cache_size(-4000)", "temp_store(memory)"}}
	if readOnly {
		read.Set("mode", "ro")
		if unwritable(path) {
			read.Set("immutable", "1") // no shared memory can be made beside it, and nobody can write it
		}
	} else if d.lock, err = lockFile(path); err != nil {
		return err
	}
	_, _ = sqlite.Fdatasync(true) // as SQLite itself does where there is one; it saves a third of a commit
	if d.Read, err = sql.Open("sqlite", fileURL(path, read)); err != nil {
		return err
	}
	d.Read.SetMaxOpenConns(4)
	d.Read.SetMaxIdleConns(4)
	if readOnly {
		return nil
	}
	write := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "cache_size(-16000)", "temp_store(memory)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)"},
		"_txlock": {"immediate"},
	}
	d.Write, err = sql.Open("sqlite", fileURL(path, write))
	if err == nil {
		d.Write.SetMaxOpenConns(1)
	}
	return err
}

var parameter = regexp.MustCompile(`\$[0-9]+`)

// unnumbered writes parameters that stand in their order as "?". SQLite finds
// the name of a numbered one by counting, which takes long where there are
// hundreds.
func unnumbered(text string) string {
	n, ordered := 0, true
	plain := parameter.ReplaceAllStringFunc(text, func(p string) string {
		n++
		ordered = ordered && p == "$"+strconv.Itoa(n)
		return "?"
	})
	if ordered {
		return plain
	}
	return text
}

// fileURL writes a path so that no character of it is taken for an option.
func fileURL(path string, options url.Values) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "file://" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + options.Encode()
}

// unwritable reports whether a database lies where nobody writes beside it:
// there it has no write-ahead log either.
func unwritable(path string) bool {
	if _, err := os.Stat(path + "-wal"); err == nil {
		return false
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".writ-")
	if err != nil {
		return true
	}
	probe.Close()
	os.Remove(probe.Name())
	return false
}

const sqliteIO = 10 // after this, what SQLite wrote may or may not be on the disk

// explainSQLite explains primary result codes, https://sqlite.org/rescode.html.
var explainSQLite = map[int]string{
	5:        "sqlite: the database is locked by another program; end that one and try again",
	6:        "sqlite: a table is locked by another program; end that one and try again",
	8:        "sqlite: the database is read-only; let this user write the file and its folder",
	sqliteIO: "sqlite: reading or writing the disk failed; look at the disk and the system's log",
	11:       "sqlite: the database is damaged; restore a backup and run 'writ verify'",
	13:       "sqlite: the disk is full; nothing was changed: make room and try again",
	14:       "sqlite: the file cannot be opened; make its folder, and let this user read and write there",
	26:       "sqlite: the file is not a SQLite database; give the path of one, or of a file that does not exist yet",
}
