package cache

import (
	"slices"

	"github.com/writhq/writ"
)

// A Roll keeps lists of live requests by a key: what a decision about one may
// know of others. A list is as the database has it until Set. It is for one
// goroutine.
type Roll[K ~string] struct{ lists Cache[K, []writ.Live] }

// A Reader calls f for each live request with one of these keys, which are
// strings, each there once.
type Reader[K ~string] func(keys []any, f func(K, writ.Live)) error

// NewRoll returns a Roll that remembers nothing yet.
func NewRoll[K ~string]() Roll[K] { return Roll[K]{New[K, []writ.Live]()} }

// Load reads the lists that are not remembered, all at once. That of the empty
// key is empty.
func (r *Roll[K]) Load(read Reader[K], keys ...K) error {
	var missing []any
	for _, key := range keys {
		if _, ok := r.lists.Get(key); !ok && key != "" {
			r.lists.Put(key, nil) // and is not asked for twice: each row would count twice
			missing = append(missing, string(key))
		}
	}
	return read(missing, func(key K, l writ.Live) {
		all, _ := r.lists.Get(key)
		r.lists.Put(key, append(all, l))
	})
}

// Get returns the list of a key. It changes with the next Set.
func (r *Roll[K]) Get(read Reader[K], key K) ([]writ.Live, error) {
	err := r.Load(read, key)
	all, _ := r.lists.Get(key)
	return all, err
}

// Set puts a request, as it is, into the list of key, or takes it out once it
// lives no more. The list has been loaded.
func (r *Roll[K]) Set(key K, is writ.Live) {
	all, _ := r.lists.Get(key)
	i := place(all, is.ID)
	switch {
	case key == "":
		return
	case !is.Status.Live() && i >= 0:
		all = slices.Delete(all, i, i+1)
	case is.Status.Live() && i >= 0:
		all[i] = is
	case is.Status.Live():
		all = append(all, is)
	}
	r.lists.Put(key, all)
}

// Age forgets lists that were not used lately, as cache.Cache does.
func (r *Roll[K]) Age(max int) { r.lists.Age(max) }

// Find returns a request of a list.
func Find(all []writ.Live, id writ.ID) (writ.Live, bool) {
	i := place(all, id)
	if i < 0 {
		return writ.Live{}, false
	}
	return all[i], true
}

// Others returns a copy of a list without one request.
func Others(all []writ.Live, id writ.ID) (out []writ.Live) {
	for _, l := range all {
		if l.ID != id {
			out = append(out, l)
		}
	}
	return out
}

func place(all []writ.Live, id writ.ID) int {
	return slices.IndexFunc(all, func(l writ.Live) bool { return l.ID == id })
}
