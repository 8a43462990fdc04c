package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	cacheFor  = 5 * time.Minute // how long a key that an issuer withdrew may still count
	cacheSize = 4096            // tokens, twice
)

// A cache remembers verified tokens by their SHA-256 sum until they expire, and
// for cacheFor at the longest. It has two halves: when the young one is full or
// has grown old it becomes the old one, which is dropped. Only verified tokens
// get in, so strangers cannot push others out.
type cache struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]cached
	turned     time.Time
}

type cached struct {
	*token
	until time.Time
}

// get returns the token, or nil.
func (c *cache) get(sum [sha256.Size]byte, now time.Time) *token {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.young[sum]
	if !ok {
		e, ok = c.old[sum]
	}
	if !ok || !now.Before(e.until) || !now.Before(e.expires) {
		return nil
	}
	return e.token
}

// put remembers a token that was verified at now.
func (c *cache) put(sum [sha256.Size]byte, t *token, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheSize || now.Sub(c.turned) >= cacheFor {
		c.old, c.young, c.turned = c.young, map[[sha256.Size]byte]cached{}, now
	}
	c.young[sum] = cached{t, now.Add(cacheFor)}
}
