package writ

import (
	"testing"
	"time"
)

func TestHours(t *testing.T) {
	office := Hours{Zone: "Europe/Berlin", Days: []time.Weekday{time.Monday, time.Friday}, From: "08:00", To: "18:00"}
	for at, want := range map[string]bool{
		"2026-11-02T07:00:00Z": true, // 08:00 there
		"2026-11-02T06:59:59Z": false,
		"2026-11-02T16:59:59Z": true,
		"2026-11-02T17:00:00Z": false,
		"2026-11-03T09:00:00Z": false, // a Tuesday
		"2026-10-23T06:00:00Z": true,  // in summer time
		"2026-10-23T16:00:00Z": false,
		"2026-11-06T23:30:00Z": false,
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil || office.Has(moment) != want {
			t.Errorf("%s: got %v (%v)", at, !want, err)
		}
	}
	if late := (Hours{Zone: "UTC", From: "22:00", To: "24:00"}); !late.Has(time.Date(2026, 11, 1, 23, 59, 59, 0, time.UTC)) {
		t.Error("24:00 is the end of the day")
	}
	for words, h := range map[string]Hours{
		"no time zone": {Zone: "Middle/Earth", From: "08:00", To: "18:00"},
		"time zone":    {Zone: "Local", From: "08:00", To: "18:00"},
		"time of day":  {Zone: "UTC", From: "8", To: "18:00"},
		"no time at":   {Zone: "UTC", From: "18:00", To: "08:00"},
	} {
		refused(t, words, h.Check(), Invalid, words)
		if h.Has(monday) {
			t.Errorf("%s: hours that are none always hold", words)
		}
	}
}
