// Package database makes SQLite and PostgreSQL one kind of database: the same
// statements, the same schema, errors in the same words. It knows nothing of
// what is kept in it.
package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// A DB is an open database with the schema of this program.
type DB struct {
	Read   *sql.DB
	Write  *sql.DB // one connection; nil if opened for reading only
	Shared bool    // other processes may write, too

	dsn  string
	lock *fileLock // on a SQLite file
}

// Open opens a database, given as the path of a SQLite file, "sqlite:PATH" or
// "postgres://…", and brings its schema up to date. It refuses one that a newer
// program has changed and a SQLite file that another process may write. With
// readOnly it changes nothing, and the database may be in use.
func Open(ctx context.Context, dsn string, readOnly bool) (*DB, error) {
	d := &DB{dsn: dsn, Shared: strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")}
	connect := d.connectSQLite
	if d.Shared {
		connect = d.connectPostgres
	}
	err := connect(readOnly)
	if err == nil {
		err = d.migrate(ctx, readOnly)
	}
	if err != nil {
		return nil, errors.Join(Explain(err), d.Close())
	}
	return d, nil
}

// Close closes all connections.
func (d *DB) Close() error {
	var errs []error
	for _, pool := range []*sql.DB{d.Read, d.Write} { // the last one out tidies up a SQLite file
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(append(errs, d.lock.release())...)
}

// String is what people call the database: without its password.
func (d *DB) String() string {
	u, err := url.Parse(d.dsn)
	if err != nil || !d.Shared {
		return strings.TrimPrefix(d.dsn, "sqlite:")
	}
	return "database " + strings.TrimPrefix(u.Path, "/") + " on " + u.Host
}

//go:embed migration/*.sql
var migrations embed.FS

// versions is the table of the migrations that were run.
const versions = "schema_versions"

// migrate brings the schema up to date.
func (d *DB) migrate(ctx context.Context, readOnly bool) error {
	files, err := fs.Sub(migrations, "migration")
	if err != nil {
		return err
	}
	dialect, pool := goose.DialectSQLite3, d.Write
	options := []goose.ProviderOption{goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if d.Shared {
		dialect = goose.DialectPostgres
		one, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60)) // several servers may start at once
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(one))
	}
	if readOnly {
		pool = d.Read
	}
	p, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return err
	}
	all := p.ListSources()
	current, err := d.compare(ctx, pool, all[len(all)-1].Version, readOnly)
	if err != nil || current || readOnly {
		return err // whoever may not change the schema can use one that is current
	}
	_, err = p.Up(ctx)
	return err
}

// compare reports whether a schema is this program's. It refuses one that is
// newer, and for reading one that is older.
func (d *DB) compare(ctx context.Context, pool *sql.DB, own int64, readOnly bool) (current bool, err error) {
	if err := pool.PingContext(ctx); err != nil {
		return false, err
	}
	var is sql.NullInt64
	err = pool.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versions).Scan(&is)
	switch {
	case err != nil && readOnly:
		return false, fmt.Errorf("%s is no database of writ, or cannot be read: %w", d, err)
	case err != nil:
		return false, nil // there is none yet; what else is wrong shows when it is made
	case is.Int64 > own:
		return false, fmt.Errorf("%s was changed by a newer version of writ: its schema is version %d, this program knows version %d; upgrade the program", d, is.Int64, own)
	case is.Int64 < own && readOnly:
		return false, fmt.Errorf("%s has schema version %d, this program reads version %d; start the server once to bring it up to date", d, is.Int64, own)
	}
	return is.Int64 == own, nil
}
