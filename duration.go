package writ

import (
	"encoding/json"
	"regexp"
	"strconv"
	"time"
)

// A Duration is a length of time in whole seconds. As text it is "90d",
// "24h", "1h30m": always the same text for the same length, because terms are
// hashed.
type Duration time.Duration

// Of returns d in whole seconds.
func Of(d time.Duration) Duration { return Duration(d.Truncate(time.Second)) }

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

var (
	durationForm  = regexp.MustCompile(`^(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$`)
	durationUnits = []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
)

// longest is a hundred years: what is longer has no end worth the name, and
// might not fit.
const longest = 36500 * 24 * time.Hour

// ParseDuration reads text such as "24h" or "90d".
func ParseDuration(text string) (Duration, error) {
	m := durationForm.FindStringSubmatch(text)
	if m == nil || text == "" {
		return 0, Errorf(Invalid, "%q is not a duration; write it as 15m, 24h, 1h30m or 90d", text)
	}
	var d time.Duration
	for i, u := range durationUnits {
		n, _ := strconv.Atoi("0" + m[i+1]) // the form bounds the digits, and so each part
		if d += time.Duration(n) * u.size; d > longest {
			return 0, Errorf(Invalid, "%q is too long; the longest duration is %s", text, Duration(longest))
		}
	}
	return Duration(d), nil
}

// String returns the one text for d, with days only for whole days of two or more.
func (d Duration) String() string {
	rest, out := time.Duration(d).Truncate(time.Second), ""
	if rest < 0 {
		return "-" + Duration(-rest).String()
	}
	for _, u := range durationUnits {
		if u.name == "d" && (rest < 48*time.Hour || rest%u.size != 0) {
			continue
		}
		if n := rest / u.size; n > 0 {
			out += strconv.FormatInt(int64(n), 10) + u.name
			rest -= n * u.size
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}

// MarshalText writes d as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// UnmarshalJSON refuses a bare number: its unit would be a guess.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return Errorf(Invalid, "%s is not a duration; write it as text: \"24h\"", data)
	}
	return d.UnmarshalText([]byte(text))
}
