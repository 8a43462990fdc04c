package database

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

func (d *DB) connectPostgres(readOnly bool) error {
	c, err := pgx.ParseConfig(d.dsn)
	if err != nil { // its text may hold the password
		return errors.New("postgres: the database URL cannot be read; write it as postgres://user:password@host:5432/name")
	}
	for name, value := range map[string]string{
		"application_name":                    "writ",
		"lock_timeout":                        "15s",
		"idle_in_transaction_session_timeout": "30s", // a process that hangs must not keep what others wait for
	} {
		if c.RuntimeParams[name] == "" {
			c.RuntimeParams[name] = value
		}
	}
	d.Read = stdlib.OpenDB(*c)
	d.Read.SetMaxOpenConns(16)
	d.Read.SetMaxIdleConns(8)
	if !readOnly {
		d.Write = stdlib.OpenDB(*c)
		d.Write.SetMaxOpenConns(1)
	}
	return nil
}

// explainPostgres explains error codes of appendix A of PostgreSQL's manual.
func explainPostgres(e *pgconn.PgError) string {
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
	case ended(e):
		return "postgres: the server ended the connection; try again"
	}
	return ""
}

// ended reports whether the server ended the connection, at whatever moment.
func ended(e *pgconn.PgError) bool {
	return strings.HasPrefix(e.Code, "57") || strings.HasPrefix(e.Code, "08") || e.Code == "25P03"
}
