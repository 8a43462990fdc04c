// Package once keeps what counts once: idempotency keys, and nonces that were
// given out to be signed. Who uses it holds the head row, so nobody else can use
// either meanwhile.
package once

import (
	"context"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

type (
	// A Key is an idempotency key of one caller.
	Key struct {
		Caller writ.UID
		Key    string
	}
	// A Use is what a key was first used for.
	Use struct {
		Fingerprint writ.Digest
		Request     writ.ID
	}
)

// Marks are what one transaction knows, and what it uses itself.
type Marks struct {
	keys   map[Key]Use // of earlier transactions and of this one
	used   []Key       // that are new in this one
	nonces map[string]writ.Nonce
	spent  [][]byte
}

var (
	repeats = database.Table{Name: "repeats", Columns: "caller, key, fingerprint, request, at"}
	nonces  = database.Table{Name: "nonces", Columns: "nonce, person, request, digest, decision, until"}
)

// Read returns what is known of these keys, as text, and nonces, as bytes.
func Read(ctx context.Context, q database.Querier, keys, values []any) (*Marks, error) {
	m := &Marks{keys: map[Key]Use{}, nonces: map[string]writ.Nonce{}}
	err := database.ScanIn(ctx, q, "SELECT caller, key, fingerprint, request FROM repeats WHERE key IN ", 1, keys, func(scan database.Scanner) error {
		var k Key
		var u Use
		err := scan(&k.Caller, &k.Key, &u.Fingerprint, &u.Request)
		m.keys[k] = u
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, database.ScanIn(ctx, q, "SELECT nonce, person, request, digest, decision, until FROM nonces WHERE nonce IN ", 1, values, func(scan database.Scanner) error {
		var n writ.Nonce
		var until int64
		err := scan(&n.Value, &n.Person, &n.Request, &n.Digest, &n.Decision, &until)
		n.Until = time.UnixMicro(until).UTC()
		m.nonces[string(n.Value)] = n
		return err
	})
}

// Used returns what a key was first used for, if it was.
func (m *Marks) Used(k Key) (Use, bool) {
	u, ok := m.keys[k]
	return u, ok
}

// Use says what a key is used for.
func (m *Marks) Use(k Key, u Use) {
	m.keys[k] = u
	m.used = append(m.used, k)
}

// Nonce returns what a nonce was given out for; nil if it was not, or is used up.
func (m *Marks) Nonce(value []byte) *writ.Nonce {
	n, ok := m.nonces[string(value)]
	if !ok {
		return nil
	}
	return &n
}

// Spend uses a nonce up, if there is one.
func (m *Marks) Spend(value []byte) {
	if m.Nonce(value) != nil {
		delete(m.nonces, string(value))
		m.spent = append(m.spent, value)
	}
}

// Write puts on record what was used, and reports whether keys were.
func (m *Marks) Write(c *database.Conn, now time.Time) bool {
	var rows []any
	for _, k := range m.used {
		u := m.keys[k]
		rows = append(rows, string(k.Caller), k.Key, string(u.Fingerprint), string(u.Request), now.UnixMicro())
	}
	c.Insert(repeats, rows)
	for _, value := range m.spent {
		c.Exec("DELETE FROM nonces WHERE nonce = $1", value)
	}
	return len(m.used) > 0
}

// Give keeps a nonce that is given out.
func Give(c *database.Conn, n writ.Nonce) {
	c.Insert(nonces, []any{n.Value, string(n.Person), string(n.Request), string(n.Digest), string(n.Decision), n.Until.UnixMicro()})
}

// repeatable is how long an idempotency key is known.
const repeatable = 48 * time.Hour

// Sweep forgets what nobody can use any more.
func Sweep(c *database.Conn, now time.Time) {
	c.Exec("DELETE FROM nonces WHERE until <= $1", now.UnixMicro())
	c.Exec("DELETE FROM repeats WHERE at < $1", now.Add(-repeatable).UnixMicro())
}
