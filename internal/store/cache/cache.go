// Package cache keeps what was used lately.
package cache

// A Cache holds entries in two generations. It is for one goroutine.
type Cache[K comparable, V any] struct{ young, old map[K]V }

// New returns an empty cache.
func New[K comparable, V any]() Cache[K, V] { return Cache[K, V]{young: map[K]V{}} }

// Get returns what was put under k, unless it was forgotten.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	v, ok := c.young[k]
	if !ok {
		if v, ok = c.old[k]; ok {
			c.young[k] = v
		}
	}
	return v, ok
}

// Put keeps v under k.
func (c *Cache[K, V]) Put(k K, v V) { c.young[k] = v }

// Age begins a new generation when this one has more than max entries. What
// was not used in this one or the one before is forgotten.
func (c *Cache[K, V]) Age(max int) {
	if len(c.young) > max {
		c.old, c.young = c.young, make(map[K]V, max)
	}
}
