package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/writhq/writ"
)

// Explain says what a database's error means and what to do. Those that pass,
// or that an operator can end, are writ.Unavailable; others are returned as
// they are.
func Explain(err error) error {
	if _, done := errors.AsType[writ.Fault](err); err == nil || done ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	text, told := say(err)
	_, doubt := errors.AsType[uncertain](err)
	switch {
	case doubt && !told && text == "":
		text = "the database failed"
	case text == "":
		return err
	}
	if doubt && !told {
		text += ". Whether the change is on record is not known: look before asking again"
	}
	return &unavailable{text, err}
}

// say finds words for an error. Told means that the database itself said that
// it did not do what it was asked.
func say(err error) (text string, told bool) {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		code := e.Code() & 0xff
		return explainSQLite[code], code != sqliteIO
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainPostgres(e), !ended(e)
	}
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "postgres: " + e.Config.Host + " cannot be reached; start it, or correct the database URL", true
	}
	if lost(err) {
		return "the connection to the database was lost; it is made again with the next call", false
	}
	return "", false
}

// unavailable is shown with its text; the cause is for the log.
type unavailable struct {
	text  string
	cause error
}

func (u *unavailable) Error() string   { return u.text }
func (u *unavailable) Unwrap() []error { return []error{writ.Unavailable, u.cause} }

// Cause returns what the database itself said of an error that Explain made,
// or the error.
func Cause(err error) error {
	if u, ok := errors.AsType[*unavailable](err); ok {
		return u.cause
	}
	return err
}

// lost reports whether the database did not answer.
func lost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// uncertain marks the one failure after which a change may be on record.
type uncertain struct{ error }

func (u uncertain) Unwrap() error { return u.error }
