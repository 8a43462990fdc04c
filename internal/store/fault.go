package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/writhq/writ"
)

// explain says what a database's error means and what to do. Those that pass,
// or that an operator can end, are writ.Unavailable.
func explain(err error) error {
	if err == nil || isFault(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what := ""
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		what = sqliteSays[e.Code()&0xff]
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		what = postgresSays(e)
	}
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok && what == "" {
		what = "postgres: " + e.Config.Host + " cannot be reached; start it, or correct the database URL"
	}
	if what == "" && lost(err) {
		what = "the connection to the database was lost; it is made again with the next call"
	}
	switch _, committing := errors.AsType[uncertain](err); {
	case what != "" && committing:
		what += ". Whether the change is on record is not known: look before asking again"
	case what == "":
		return err
	}
	return &unavailable{what, err}
}

// unavailable is shown with its text; the cause is for the log.
type unavailable struct {
	text  string
	cause error
}

func (u *unavailable) Error() string   { return u.text }
func (u *unavailable) Unwrap() []error { return []error{writ.Unavailable, u.cause} }

// sqliteSays explains primary result codes of SQLite.
var sqliteSays = map[int]string{
	5:  "sqlite: the database is locked by another program; end that one and try again",
	6:  "sqlite: a table is locked by another program; end that one and try again",
	8:  "sqlite: the database is read-only; let this user write the file and its folder",
	10: "sqlite: reading or writing the disk failed; look at the disk and the system's log",
	11: "sqlite: the database is damaged; restore a backup and run 'writ verify'",
	13: "sqlite: the disk is full; nothing was changed: make room and try again",
	14: "sqlite: the file cannot be opened; make its folder, and let this user read and write there",
	26: "sqlite: the file is not a SQLite database; give the path of one, or of a file that does not exist yet",
}

func postgresSays(e *pgconn.PgError) string {
	switch {
	case e.Code == "53100":
		return "postgres: the disk is full; nothing was changed: make room and try again"
	case e.Code == "53300":
		return "postgres: too many connections; raise max_connections or run fewer servers"
	case e.Code == "25006":
		return "postgres: the database is read-only; connect to the primary"
	case e.Code == "28P01", e.Code == "28000":
		return "postgres: the user or password is wrong; correct the database URL"
	case e.Code == "3D000":
		return "postgres: the database does not exist; create it, or correct the database URL"
	case e.Code == "42501":
		return "postgres: " + e.Message + "; grant the user its own schema, or make it the owner of the database"
	case e.Code == "55P03", e.Code == "40001", e.Code == "40P01":
		return "postgres: the database is busy; try again"
	case strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"), e.Code == "25P03", e.Code == "57014":
		return "postgres: the server ended the connection; try again"
	}
	return ""
}

// lost reports whether the database did not answer.
func lost(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed)
}
