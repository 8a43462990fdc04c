package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // driver "sqlite"
)

//go:embed migration/*.sql
var migrations embed.FS

// connect opens the pools; most faults show only with the first statement.
func (db *DB) connect() error {
	if strings.HasPrefix(db.DSN, "postgres://") || strings.HasPrefix(db.DSN, "postgresql://") {
		db.postgres = true
		return db.connectPostgres()
	}
	return db.connectSQLite(strings.TrimPrefix(db.DSN, "sqlite:"))
}

func (db *DB) connectPostgres() error {
	c, err := pgx.ParseConfig(db.DSN)
	if err != nil {
		return errors.New("postgres: the database URL cannot be read; write it as postgres://user:password@host:5432/name")
	}
	for name, value := range map[string]string{
		"application_name":                    "writ",
		"lock_timeout":                        "15s", // on the head row, which is held for milliseconds
		"idle_in_transaction_session_timeout": "30s", // a process that hangs must not hold it for the others
	} {
		if c.RuntimeParams[name] == "" {
			c.RuntimeParams[name] = value
		}
	}
	db.read, db.write = stdlib.OpenDB(*c), stdlib.OpenDB(*c)
	db.read.SetMaxOpenConns(16)
	db.read.SetMaxIdleConns(8)
	db.write.SetMaxOpenConns(1)
	return nil
}

func (db *DB) connectSQLite(path string) error {
	if path == "" || strings.ContainsRune(path, 0) {
		return errors.New("sqlite: which file? give its path as the database")
	}
	if !db.ReadOnly {
		var err error
		if db.file, err = lockFile(path); err != nil {
			return err
		}
	}
	options := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "cache_size(-16000)", "temp_store(memory)", "wal_autocheckpoint(4000)"},
		"_txlock": {"immediate"},
	}
	read := url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)", "cache_size(-4000)", "temp_store(memory)"}}
	if db.ReadOnly {
		read.Set("mode", "ro")
		if unwritable(path) {
			read.Set("immutable", "1") // no shared memory file can be made beside it, and nobody can write it
		}
	}
	var err error
	if db.read, err = sql.Open("sqlite", fileURL(path, read)); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(4)
	db.read.SetMaxIdleConns(4)
	if db.ReadOnly {
		return nil
	}
	if db.write, err = sql.Open("sqlite", fileURL(path, options)); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	return nil
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

const versions = "schema_versions" // table of the migrations that were run

// migrate brings the schema up to date, or refuses one from the future.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migration")
	if err != nil {
		return err
	}
	dialect := goose.DialectSQLite3
	options := []goose.ProviderOption{goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if db.postgres {
		dialect = goose.DialectPostgres
		one, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60)) // several servers may start at once
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(one))
	}
	pool := db.write
	if db.ReadOnly {
		pool = db.read
	}
	p, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	if err := db.compare(ctx, pool, sources[len(sources)-1].Version); err != nil || db.ReadOnly {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// compare refuses a schema that is newer than this program's, and for reading
// one that is older.
func (db *DB) compare(ctx context.Context, pool *sql.DB, own int64) error {
	if err := pool.PingContext(ctx); err != nil {
		return err
	}
	var is sql.NullInt64
	err := pool.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versions).Scan(&is)
	switch {
	case err != nil && db.ReadOnly:
		return fmt.Errorf("%s is no database of writ: %w", db.name(), err)
	case err != nil:
		return nil // there is none yet; what else is wrong shows when it is made
	case is.Int64 > own:
		return fmt.Errorf("%s was changed by a newer version of writ: its schema is version %d, this program knows version %d; upgrade the program", db.name(), is.Int64, own)
	case is.Int64 < own && db.ReadOnly:
		return fmt.Errorf("%s has schema version %d, this program reads version %d; start the server once to bring it up to date", db.name(), is.Int64, own)
	}
	return nil
}

// name is what people call the database; without password.
func (db *DB) name() string {
	u, err := url.Parse(db.DSN)
	if err != nil || u.Host == "" {
		return strings.TrimPrefix(db.DSN, "sqlite:")
	}
	return "database " + strings.TrimPrefix(u.Path, "/") + " on " + u.Host
}

// patience bounds what one batch may take on a database that does not answer.
const patience = 30 * time.Second
