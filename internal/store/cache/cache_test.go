package cache

import "testing"

func TestWhatIsUsedStays(t *testing.T) {
	c := New[int, string]()
	c.Put(1, "used")
	c.Put(2, "not used")
	for n := 10; n < 40; n += 3 {
		c.Put(n, "x")
		c.Put(n+1, "x")
		c.Put(n+2, "x")
		c.Get(1)
		c.Age(2)
	}
	if v, ok := c.Get(1); !ok || v != "used" {
		t.Errorf("what is used was forgotten")
	}
	if _, ok := c.Get(2); ok {
		t.Error("what is not used was kept")
	}
	if n := len(c.young) + len(c.old); n > 10 {
		t.Errorf("%d entries after entries of two generations of three", n)
	}
}

func TestNothingGoesBeforeItsTime(t *testing.T) {
	c := New[int, int]()
	for n := range 100 {
		c.Put(n, n)
	}
	c.Age(100)
	c.Age(10)
	for n := range 100 {
		if v, ok := c.Get(n); !ok || v != n {
			t.Fatalf("%d: %d, %t", n, v, ok)
		}
	}
}
