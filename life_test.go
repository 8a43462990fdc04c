package writ

import "testing"

// TestLife says that the table and the bodies name the same kinds.
func TestLife(t *testing.T) {
	for name, k := range life {
		b, err := k.read([]byte("{}"))
		if err != nil || b.Kind() != name {
			t.Errorf("%s reads as %v, %v", name, b, err)
		}
	}
	for name, read := range others {
		b, err := read([]byte("{}"))
		if err != nil || b.Kind() != name {
			t.Errorf("%s reads as %v, %v", name, b, err)
		}
	}
}
