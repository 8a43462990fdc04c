package writ

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "0d0h": "0s", "15m": "15m", "60m": "1h", "24h": "24h", "1d": "24h", "47h": "47h", "48h": "2d", "2d": "2d",
		"49h": "49h", "90d": "90d", "1h30m": "1h30m", "90m": "1h30m", "1d1h1m1s": "25h1m1s", "007h": "7h", "3600s": "1h",
		"36500d": "36500d", "876000h": "36500d",
	} {
		if d, err := ParseDuration(text); err != nil || d.String() != want {
			t.Errorf("%s: got %s, %v", text, d, err)
		}
	}
	for _, text := range []string{
		"", "1", "h", "-1h", "+1h", "1.5h", "1h1h", "1m1h", "1 h", "1H", "1w", "1ms", "１h", "1h\n", " 1h", "PT1H",
		"36501d", "99999d999999h", "99999d", "876000h1s", "100000000000000000000s",
	} {
		if d, err := ParseDuration(text); !errors.Is(err, Invalid) {
			t.Errorf("%q: got %s, %v", text, d, err)
		}
	}
	if got := Of(1999 * time.Millisecond); got != Duration(time.Second) || got.Std() != time.Second {
		t.Errorf("in whole seconds: %s", got)
	}
	if got := Duration(-90 * time.Minute).String(); got != "-1h30m" {
		t.Errorf("negative: %s", got)
	}
}

func TestDurationInJSON(t *testing.T) {
	var v struct{ For Duration }
	for _, text := range []string{`{"For":3600}`, `{"For":true}`, `{"For":"1"}`, `{"For":["1h"]}`} {
		if err := json.Unmarshal([]byte(text), &v); !errors.Is(err, Invalid) {
			t.Errorf("%s: got %s, %v", text, v.For, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"For":"1d"}`), &v); err != nil || v.For != 24*hour {
		t.Errorf("a day: got %s, %v", v.For, err)
	}
	if out, err := json.Marshal(v); err != nil || string(out) != `{"For":"24h"}` {
		t.Errorf("written: %s, %v", out, err)
	}
}

// TestOneLengthHasOneText: terms are hashed, so it must.
func TestOneLengthHasOneText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, int64(longest/time.Second)).Draw(t, "seconds")) * Duration(time.Second)
		back, err := ParseDuration(d.String())
		if err != nil || back != d {
			t.Fatalf("%s reads as %s, %v", d, back, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"", "0s", "15m", "24h", "1h30m", "90d", "1d1h1m1s", "99999d999999h9999999m999999999s", "-1h", "1.5h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			if !errors.Is(err, Invalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if back, err := ParseDuration(d.String()); err != nil || back != d || d < 0 {
			t.Fatalf("%q is %s, which reads as %s, %v", text, d, back, err)
		}
	})
}
