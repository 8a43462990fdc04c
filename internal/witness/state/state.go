// Package state keeps what a witness must never forget: its keys, and the newest
// checkpoint that it cosigned of each log.
//
// Checkpoints are in SQLite and not in files of their own because "compare with
// the last one and replace it, on the disk before anybody hears of it" is exactly
// what one of its transactions is, also when somebody starts two witnesses on one
// directory, and on every system alike.
package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver

	"github.com/writhq/writ/ledger/witness"
)

// Keys are those of one witness, in the order in which it signs.
type Keys struct {
	Secret []string `json:"secret"`
	Public []string `json:"public"` // verifier keys
}

// OpenKeys reads the key file of a directory. If there is none it makes one, for
// a witness with this name. The directory must be there.
func OpenKeys(dir, name string) (Keys, error) {
	path := filepath.Join(dir, "witness.keys")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeys(path, name); err != nil {
			return Keys{}, err
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return Keys{}, fmt.Errorf("key file: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return Keys{}, fmt.Errorf("key file %s can be read by others (mode %v); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	var k Keys
	if err := json.Unmarshal(data, &k); err != nil || len(k.Secret) == 0 || len(k.Secret) != len(k.Public) {
		return Keys{}, fmt.Errorf("key file %s is damaged; restore it from its backup", path)
	}
	return k, nil
}

// makeKeys writes a file of fresh keys. The link makes it appear whole or not at
// all, and never over one that another process made meanwhile.
func makeKeys(path, name string) error {
	var k Keys
	var err error
	if k.Secret, k.Public, err = witness.NewKey(name); err != nil {
		return err
	}
	data, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

// A DB is a witness.State. Its methods are safe for concurrent use, also by
// several processes.
type DB struct{ db *sql.DB }

// Open opens the database of a directory, and makes one if there is none.
func Open(ctx context.Context, dir string) (*DB, error) {
	path, err := filepath.Abs(filepath.Join(dir, "witness.db"))
	if err != nil {
		return nil, err
	}
	// The rollback journal with synchronous=extra: the directory entry is on the
	// disk, too, when a transaction returns.
	options := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(delete)", "synchronous(extra)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, fmt.Errorf("witness database: %w", err)
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, note TEXT NOT NULL)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("witness database %s: %w", path, err), db.Close())
	}
	return &DB{db}, nil
}

// Close closes the database.
func (d *DB) Close() error { return d.db.Close() }

// Latest implements witness.State.
func (d *DB) Latest(ctx context.Context, origin string) (note string, err error) {
	err = d.db.QueryRowContext(ctx, "SELECT note FROM cosigned WHERE origin = ?", origin).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return note, err
}

// Swap implements witness.State.
func (d *DB) Swap(ctx context.Context, origin, was, note string) error {
	text, args := "UPDATE cosigned SET note = ? WHERE origin = ? AND note = ?", []any{note, origin, was}
	if was == "" {
		text, args = "INSERT INTO cosigned (note, origin) VALUES (?, ?) ON CONFLICT DO NOTHING", args[:2]
	}
	done, err := d.db.ExecContext(ctx, text, args...)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, witness.Moved)
	}
	return nil
}
