package issuer

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/connector/issuer/mint"
)

const (
	pollEvery  = 250 * time.Millisecond
	trustFor   = time.Second // how long the cache is believed after a read of the changes
	flushEvery = 5 * time.Second
	patience   = 2 * time.Second // with a database that does not answer
	pageSize   = 1000
	cacheSize  = 100_000
	loadsMax   = 32 // look-ups of unknown ids that may be in the database at once
)

// An entry is a row in memory. Only its use changes.
type entry struct {
	row
	terms mint.Digest
	reply []byte       // what POST /verify answers when it is active
	used  atomic.Int64 // last use seen by this process
	dirty atomic.Bool  // that use waits to be written
}

func newEntry(r row) *entry {
	return &entry{row: r, terms: r.terms(), reply: []byte(text(r.answer()))}
}

// cache holds rows by credential id. It never decides anything: rows enter it in
// the order of the issuer_clock, and whoever reads one still compares the time.
type cache struct {
	mu    sync.RWMutex
	rows  map[string]*entry
	size  int
	whole bool   // nothing was ever put out, so what is not here does not exist
	epoch uint64 // counts the changes taken over
}

func (c *cache) get(id string) (e *entry, whole bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.rows[id], c.whole
}

func (c *cache) now() (epoch uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.epoch
}

// take takes over changed rows.
func (c *cache) take(rows []row) {
	entries := make([]*entry, len(rows))
	for n, r := range rows {
		if mint.Bearer(r.kind) { // nothing else is ever looked up
			entries[n] = newEntry(r)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for n, r := range rows {
		if entries[n] != nil {
			c.put(entries[n])
		} else {
			delete(c.rows, r.id)
		}
	}
}

// keep adds a row read on its own, unless a change was taken over since epoch:
// the row may then be older than that change.
func (c *cache) keep(e *entry, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		c.put(e)
	}
}

func (c *cache) put(e *entry) {
	old := c.rows[e.id]
	if old != nil && old.changed >= e.changed {
		return
	}
	if old == nil {
		c.makeRoom()
	}
	c.rows[e.id] = e
}

// makeRoom puts out one entry of a full cache: of a few that the map offers in
// its random order, preferably one that can never be active again.
func (c *cache) makeRoom() {
	if len(c.rows) < c.size {
		return
	}
	var victim *entry
	seen := 0
	for _, e := range c.rows {
		if seen++; victim == nil || e.ended != 0 || e.until < victim.until {
			victim = e
		}
		if victim.ended != 0 || seen == 8 {
			break
		}
	}
	delete(c.rows, victim.id)
	c.whole = false
}

// catchUp reads every change after the last one seen into the cache. When it
// fails the cache is not believed until a later one, begun after that, succeeds.
func (i *Issuer) catchUp(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			i.doubts.Add(1)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case i.polling <- struct{}{}:
		defer func() { <-i.polling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began, doubts := i.cfg.Now(), i.doubts.Load()
	if err := i.takeChanges(ctx, began); err != nil {
		return err
	}
	i.fresh.Store(int64(began.Sub(i.opened)))
	i.settled.Store(doubts)
	return nil
}

// takeChanges takes over the changes up to the present number of the clock. A
// row that somebody numbered higher by hand must not make later changes look as
// if they had been seen.
func (i *Issuer) takeChanges(ctx context.Context, began time.Time) error {
	var newest int64
	if err := i.cfg.DB.QueryRowContext(ctx, `SELECT n FROM issuer_clock WHERE id = 1`).Scan(&newest); err != nil {
		return fmt.Errorf("issuer: the database does not answer: %w", err)
	}
	if newest < i.seen {
		return fmt.Errorf("issuer: the database went back from change %d to %d; restart all that use it", i.seen, newest)
	}
	gone := int64(0)
	if i.seen == 0 { // at first, what has run out can stay where it is
		gone = micros(began)
	}
	for i.seen < newest {
		rows, err := i.read(ctx, selectRows+`WHERE changed > $1 AND changed <= $2 AND until > $3 ORDER BY changed LIMIT $4`,
			i.seen, newest, gone, pageSize)
		if err != nil {
			return err
		}
		i.cache.take(rows)
		if i.seen = newest; len(rows) == pageSize {
			i.seen = rows[len(rows)-1].changed
		}
	}
	return nil
}

// trusted says whether the cache shows the database as it is, or was at most
// trustFor ago where other processes write to it too.
func (i *Issuer) trusted(now time.Time) bool {
	return i.settled.Load() == i.doubts.Load() &&
		(i.cfg.Sole || now.Sub(i.opened)-time.Duration(i.fresh.Load()) <= trustFor)
}

// find returns the credential with this id, nil if there is none.
func (i *Issuer) find(ctx context.Context, id string, now time.Time) (*entry, error) {
	if i.trusted(now) {
		if e, whole := i.cache.get(id); e != nil || whole && i.cfg.Sole {
			return e, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select { // ids nobody issued must not take the whole database
	case i.loads <- struct{}{}:
		defer func() { <-i.loads }()
	case <-ctx.Done():
		return nil, fmt.Errorf("issuer: too many unknown credentials are being looked up: %w", ctx.Err())
	}
	epoch := i.cache.now()
	rows, err := i.read(ctx, selectRows+`WHERE id = $1`, id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	e := newEntry(rows[0])
	i.cache.keep(e, epoch)
	return e, nil
}

// touch notes a use. It is written later: a verification never waits for a write.
func (i *Issuer) touch(e *entry, now int64) {
	e.used.Store(now)
	if e.dirty.CompareAndSwap(false, true) {
		i.using.Lock()
		i.uses[e.id] = e
		i.using.Unlock()
	}
}

// lastUse is the newest use of the credential known here.
func (i *Issuer) lastUse(r row) time.Time {
	i.using.Lock()
	defer i.using.Unlock()
	used := r.used
	if e := i.uses[r.id]; e != nil {
		used = max(used, e.used.Load())
	}
	return at(used)
}

// flush writes the uses noted since the last flush.
func (i *Issuer) flush(ctx context.Context) error {
	i.using.Lock()
	uses := i.uses
	i.uses = map[string]*entry{}
	i.using.Unlock()
	ids := slices.Sorted(maps.Keys(uses)) // one order in all processes, so that none waits in a circle
	for len(ids) > 0 {
		batch := ids[:min(len(ids), pageSize)]
		if err := i.writeUses(ctx, batch, uses); err != nil {
			i.remember(ids, uses)
			return fmt.Errorf("issuer: the last uses could not be stored and are kept for later: %w", err)
		}
		ids = ids[len(batch):]
	}
	return nil
}

func (i *Issuer) writeUses(ctx context.Context, ids []string, uses map[string]*entry) error {
	return transact(ctx, i.cfg.DB, func(tx *sql.Tx) error {
		statement, err := tx.PrepareContext(ctx, `UPDATE issuer_credential SET used = $1 WHERE id = $2 AND used < $3`)
		if err != nil {
			return err
		}
		defer statement.Close()
		for _, id := range ids {
			uses[id].dirty.Store(false) // before reading: a use from here on is noted again
			used := uses[id].used.Load()
			if _, err := statement.ExecContext(ctx, used, id, used); err != nil {
				return err
			}
		}
		return nil
	})
}

// remember notes again uses that could not be written.
func (i *Issuer) remember(ids []string, uses map[string]*entry) {
	i.using.Lock()
	defer i.using.Unlock()
	for _, id := range ids {
		if _, newer := i.uses[id]; !newer {
			uses[id].dirty.Store(true)
			i.uses[id] = uses[id]
		}
	}
}
