package writ

import (
	"slices"
	"testing"
)

// TestLastOneOutWhoeverItIs has two subjects hold one membership, begun and ended
// in every order: it is there for as long as one of them holds it, and no longer.
func TestLastOneOutWhoeverItIs(t *testing.T) {
	const begin, end = true, false
	type step struct {
		who  int
		what bool
	}
	for _, order := range [][]step{
		{{0, begin}, {0, end}, {1, begin}, {1, end}},
		{{0, begin}, {1, begin}, {0, end}, {1, end}},
		{{0, begin}, {1, begin}, {1, end}, {0, end}},
	} {
		w, must := newWorld(), must(t)
		w.rule(rules{})
		ids, subjects, askers := []ID{"req-a", "req-b"}, []Ref{ci, "service/robot"}, []Ref{dee, "human/hal"}
		var holders []int
		there := false
		for _, s := range order {
			id := ids[s.who]
			if s.what == begin {
				holders = append(holders, s.who)
				must(w.ask(askers[s.who], id, Ask{Subject: subjects[s.who], Entitlement: "db/readers", For: hour}))
				must(w.do(writ, id, BeginGrant{Writ: "jws"}))
				must(w.do(writ, id, ReportGrant{Attempt: w.request(id).Attempt, Receipt: Receipt{External: "x"}, Seen: seen(Present)}))
				there = true
			} else {
				holders = slices.DeleteFunc(holders, func(who int) bool { return who == s.who })
				must(w.do(askers[s.who], id, Release{}))
				must(w.do(writ, id, BeginRevoke{}))
				there = there && w.request(id).KeptBy != ""
				is := Present
				if !there {
					is = Absent
				}
				must(w.do(writ, id, ReportRevoke{Attempt: w.request(id).Attempt, Seen: seen(is)}))
				if w.request(id).Status != StatusClosed {
					t.Errorf("%v: %s is %s", order, id, w.request(id).Status)
				}
			}
			if there != (len(holders) > 0) {
				t.Errorf("%v: held by %v, it is there: %t", order, holders, there)
			}
		}
	}
}
