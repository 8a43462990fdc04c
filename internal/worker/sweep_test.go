package worker

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
)

func TestChangedDocumentsEndAccess(t *testing.T) {
	retired := func(state string) func(*writ.Identity) {
		return func(i *writ.Identity) { i.State = state }
	}
	for name, c := range map[string]struct {
		change []writ.Document
		cause  writ.Cause // of the end; empty: it goes on
	}{
		"owner disabled":     {[]writ.Document{with(identity(leo, ""), retired("disabled"))}, writ.OwnerLeft},
		"identity retired":   {[]writ.Document{with(identity(own, leo), retired("retired"))}, writ.IdentityRetired},
		"identity disabled":  {[]writ.Document{with(identity(own, leo), retired("disabled"))}, writ.IdentityRetired},
		"policy denies":      {[]writ.Document{policyDocument(twoStages + "guardrails: [{name: frozen, when: 'target.name == \"keys\"', deny: frozen}]\n")}, writ.PolicyTightened},
		"policy allows less": {[]writ.Document{policyDocument(twoStages + "guardrails: [{name: brief, maxFor: 1h}]\n")}, writ.PolicyTightened},
		"policy asks more":   {[]writ.Document{policyDocument(strings.Replace(twoStages, "{name: security,", "{name: security, quorum: 2,", 1))}, writ.PolicyTightened},
		"another owner":      {[]writ.Document{identity(own, ann)}, ""},
		"another policy":     {[]writ.Document{policyDocument(twoStages + "guardrails: [{name: brief, maxFor: 3h}]\n")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{}, faults{})
				w.work(t)
				r := w.active(t, own, stagedKey, 2*time.Hour)
				later := w.authorized(t, own, stagedKey, 2*time.Hour, func(a *door.Ask) { a.StartAt = time.Now().Add(time.Hour) })
				pending, err := w.ask(t.Context(), own, stagedKey, 2*time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				key := w.claim(t, own, r.ID)[envKey]
				w.put(t, c.change...)
				time.Sleep(3 * time.Second)
				for _, id := range []writ.ID{r.ID, later.ID} {
					now := w.get(t, id)
					if c.cause == "" && !now.Status.Holds() || c.cause != "" && (now.Status != writ.StatusClosed || now.End.Cause != c.cause) {
						t.Errorf("%s, was %s: it is %s, ended by %+v", id, writ.StatusActive, now.Status, now.End)
					}
				}
				if w.works(t, key) != (c.cause == "") {
					t.Errorf("the key works: %t", c.cause != "")
				}
				denied := w.get(t, pending.ID).Status == writ.StatusDenied
				if want := c.cause != "" && name != "policy asks more"; denied != want {
					t.Errorf("what nobody decided yet is denied: %t", denied)
				}
			})
		})
	}
}

func TestChangeWhileNobodyWorksIsSeenAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: t.TempDir()}, faults{})
		stop := w.work(t)
		r := w.active(t, own, someKey, 2*time.Hour)
		stop()
		w.put(t, with(identity(own, leo), func(i *writ.Identity) { i.State = "retired" }))
		w.shut(t)
		w = newWorld(t, w.setup, faults{})
		w.work(t)
		time.Sleep(3 * time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed || now.End.Cause != writ.IdentityRetired {
			t.Errorf("it is %s", now.Status)
		}
	})
}

// TestOneBadRequestHidesNoOther damages one request so that nothing can be
// recorded of it any more, and then changes the policy for all.
func TestOneBadRequestHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: t.TempDir()}, faults{})
		stop := w.work(t)
		var all []writ.Request
		for n := range 5 {
			all = append(all, w.active(t, machine(n), someKey, 2*time.Hour))
		}
		stop()
		bad := all[2] // in the middle, whatever the order
		w.shut(t)
		alter(t, w.setup, bad.ID, func(r *writ.Request) { r.Seq-- }) // the next event has the number of one that exists
		w, err := open(t.Context(), w.setup, faults{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.shut(t)
		defer w.work(t)()
		w.put(t, policyDocument(twoStages+"guardrails: [{name: frozen, deny: frozen}]\n"))
		time.Sleep(5 * time.Second)
		for _, r := range all {
			if now := w.get(t, r.ID); r.ID != bad.ID && now.Status != writ.StatusClosed {
				t.Errorf("%s is %s", r.ID, now.Status)
			}
		}
		if w.log.count("recheck failed", string(bad.ID)) == 0 {
			t.Error("nobody is told of the one that cannot be rechecked")
		}
	})
}

func TestConditionThatComesTrueEndsAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		w.work(t)
		incident := func(a *door.Ask) { a.Ends = []string{"incident/INC-7"} }
		var keys []string
		for n := range 3 {
			r := w.active(t, machine(n), someKey, time.Hour, incident)
			keys = append(keys, w.claim(t, machine(n), r.ID)[envKey])
		}
		other := w.active(t, machine(1), someKey, time.Hour)
		pending, err := w.ask(t.Context(), machine(1), stagedKey, time.Hour, incident)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.door.Meet(t.Context(), w.as(machine(9)), "incident/INC-7"); !errors.Is(err, writ.NotFound) && !errors.Is(err, writ.Forbidden) {
			t.Errorf("a stranger ended it: %v", err)
		}
		ended, err := w.door.Meet(t.Context(), door.System, "incident/INC-7")
		if err != nil || len(ended) != 4 {
			t.Fatalf("%d ended: %v", len(ended), err)
		}
		for _, r := range ended {
			if r.ID == pending.ID {
				continue
			}
			if r = w.reach(t, r.ID, writ.StatusClosed); r.End.Cause != writ.IncidentResolved {
				t.Errorf("%s ended because of %s", r.ID, r.End.Cause)
			}
		}
		for _, key := range keys {
			if w.works(t, key) {
				t.Error("a key works after the incident")
			}
		}
		if now := w.get(t, pending.ID); now.Status != writ.StatusDenied {
			t.Errorf("what nobody decided yet is %s", now.Status)
		}
		if now := w.get(t, other.ID); now.Status != writ.StatusActive {
			t.Errorf("access for something else is %s", now.Status)
		}
	})
}
