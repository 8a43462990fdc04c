package issuer

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer/mint"
)

// schemaVersion is that of the tables below. A database with a higher one is
// refused, because an older program would overlook what a newer one wrote.
const schemaVersion = 1

// The tables, in one text for SQLite and PostgreSQL. Times are microseconds
// since 1970, 0 for none.
//
// issuer_clock is one row that every change takes first: changes are serial
// across all processes, so their numbers become visible in order and a reader
// who has seen n has seen everything up to n.
//
// issuer_credential has a row for each credential ever issued. None is deleted.
// issuer_live makes the database itself keep one live credential per request.
var (
	clockTable = `CREATE TABLE IF NOT EXISTS issuer_clock (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, n BIGINT NOT NULL)`
	schema     = []string{
		`CREATE TABLE IF NOT EXISTS issuer_credential (
			id TEXT PRIMARY KEY, target TEXT NOT NULL, request TEXT NOT NULL, writ TEXT NOT NULL, kind TEXT NOT NULL,
			subject TEXT NOT NULL, uid TEXT NOT NULL, entitlement TEXT NOT NULL, environment TEXT NOT NULL,
			section TEXT NOT NULL, scope TEXT NOT NULL, pubkey TEXT NOT NULL, fingerprint TEXT NOT NULL, mac TEXT NOT NULL,
			starts BIGINT NOT NULL, until BIGINT NOT NULL, ended BIGINT NOT NULL, used BIGINT NOT NULL, changed BIGINT NOT NULL)`,
		`CREATE UNIQUE INDEX IF NOT EXISTS issuer_live ON issuer_credential (request) WHERE ended = 0`,
		`CREATE INDEX IF NOT EXISTS issuer_request ON issuer_credential (request)`,
		`CREATE INDEX IF NOT EXISTS issuer_early ON issuer_credential (kind, until) WHERE ended <> 0`,
		`CREATE UNIQUE INDEX IF NOT EXISTS issuer_changed ON issuer_credential (changed)`,
	}
)

const (
	columns = `id, target, request, writ, kind, subject, uid, entitlement, environment,
		section, scope, pubkey, fingerprint, mac, starts, until, ended, used, changed`
	selectRows = `SELECT ` + columns + ` FROM issuer_credential `
	insertRow  = `INSERT INTO issuer_credential (` + columns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
)

// A row is one credential, as stored.
type row struct {
	id          string // key id, jti or serial
	target      string
	request     string
	writ        string // serial of the writ
	kind        connector.Kind
	subject     string
	uid         string // immutable id of the subject
	entitlement string
	environment string
	section     mint.Section // with the defaults of the target
	scope       map[string]string
	pubkey      string // digest of the key that was certified
	fingerprint string
	mac         mint.MAC // of a key or token and terms
	starts      int64
	until       int64
	ended       int64
	used        int64
	changed     int64 // number of the last change, from issuer_clock
}

func (r *row) live(now int64) bool { return r.ended == 0 && now < r.until }

// terms is the digest of everything the credential was issued on. How it is
// written is frozen: the MACs in every database depend on it.
func (r *row) terms() mint.Digest {
	return sha256.Sum256([]byte(text([]any{
		"writ/issuer/v1", r.id, r.target, r.request, r.writ, r.kind, r.subject, r.uid, r.entitlement, r.environment,
		r.section, text(r.scope), r.starts, r.until,
	})))
}

// text is the one way in which sections and scopes are written.
func text(v any) string {
	out, _ := json.Marshal(v) // strings, lists and maps of them always marshal
	return string(out)
}

// create makes the tables, or refuses those of a newer program. Processes that
// start together may get in each other's way at the first table, and at that
// only: who has its row makes the others. Where the tables are this program's
// nothing is asked for, so who may not make tables can use them.
func create(ctx context.Context, db *sql.DB) error {
	var is, rows int64 // the table is made with its indexes, after the clock
	look := `SELECT version, (SELECT count(*) FROM (SELECT 1 FROM issuer_credential LIMIT 1) AS one) FROM issuer_clock WHERE id = 1`
	if err := db.QueryRowContext(ctx, look).Scan(&is, &rows); err == nil && is == schemaVersion {
		return nil
	}
	if _, err := db.ExecContext(ctx, clockTable); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `INSERT INTO issuer_clock (id, version, n) VALUES (1, $1, 0) ON CONFLICT (id) DO NOTHING`, schemaVersion)
	if err != nil {
		return err
	}
	return transact(ctx, db, func(tx *sql.Tx) error {
		var version int64
		if err := tx.QueryRowContext(ctx, `UPDATE issuer_clock SET n = n WHERE id = 1 RETURNING version`).Scan(&version); err != nil {
			return err
		}
		if version > schemaVersion {
			return fmt.Errorf("its schema is version %d and this program knows %d: %w", version, schemaVersion, errNewer)
		}
		for _, statement := range schema {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

var errNewer = errors.New("run a newer program")

// read returns the rows that a query built on selectRows finds.
func (i *Issuer) read(ctx context.Context, query string, args ...any) (found []row, err error) {
	rows, err := i.cfg.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("issuer: the database does not answer: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("issuer: the database stopped answering: %w", err)
	}
	return found, nil
}

func scan(rows *sql.Rows) (r row, err error) {
	var section, scope, sum string
	err = rows.Scan(&r.id, &r.target, &r.request, &r.writ, &r.kind, &r.subject, &r.uid, &r.entitlement, &r.environment,
		&section, &scope, &r.pubkey, &r.fingerprint, &sum, &r.starts, &r.until, &r.ended, &r.used, &r.changed)
	if err != nil {
		return r, fmt.Errorf("issuer: a stored credential cannot be read: %w", err)
	}
	digest, err := base64.RawStdEncoding.DecodeString(sum)
	copy(r.mac[:], digest)
	err = errors.Join(err, json.Unmarshal([]byte(section), &r.section), json.Unmarshal([]byte(scope), &r.scope))
	if err == nil && mint.Bearer(r.kind) && len(digest) != len(r.mac) {
		err = errDamaged
	}
	if err != nil {
		return r, fmt.Errorf("issuer: the stored credential %s of request %s is damaged; mend or delete its row: %w", r.id, r.request, err)
	}
	return r, nil
}

var errDamaged = errors.New("its mac is too short")

// number takes the next number of the clock, and with it the right to change.
func number(ctx context.Context, tx *sql.Tx) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE issuer_clock SET n = n + 1 WHERE id = 1 RETURNING n`).Scan(&n)
	return n, err
}

// replace ends the live credential of the request, if any, and stores r, if any,
// in one transaction. Whatever its outcome, the cache then catches up from the
// database, so that a commit whose reply was lost is seen like every other.
func (i *Issuer) replace(ctx context.Context, request string, r *row) error {
	err := transact(ctx, i.cfg.DB, func(tx *sql.Tx) error {
		n, err := number(ctx, tx)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx,
			`UPDATE issuer_credential SET ended = $1, changed = $2 WHERE request = $3 AND ended = 0`,
			micros(i.cfg.Now()), n, request)
		if err != nil || r == nil {
			return err
		}
		if ended, err := result.RowsAffected(); err != nil {
			return err
		} else if ended > 0 {
			if n, err = number(ctx, tx); err != nil {
				return err
			}
		}
		r.changed = n
		return insert(ctx, tx, r)
	})
	i.catchUp(ctx) // where it cannot, it leaves the cache untrusted
	if err != nil {
		return fmt.Errorf("issuer: the change for request %s is not known to be stored: %w", request, err)
	}
	return nil
}

func insert(ctx context.Context, tx *sql.Tx, r *row) error {
	_, err := tx.ExecContext(ctx, insertRow, r.id, r.target, r.request, r.writ, string(r.kind), r.subject, r.uid, r.entitlement, r.environment,
		text(r.section), text(r.scope), r.pubkey, r.fingerprint, base64.RawStdEncoding.EncodeToString(r.mac[:]),
		r.starts, r.until, r.ended, r.used, r.changed)
	return err
}

func transact(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // a connection that cannot roll back is given up
		return err
	}
	return tx.Commit()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
