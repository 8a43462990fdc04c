package connectortest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/writhq/writ/connector"
)

func grant(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	r := s.granted(c, o)
	count := s.target.Count()
	if count <= s.before {
		s.Errorf("the target counts %d pieces of access before and %d after", s.before, count)
	}
	if r.External == "" {
		s.Error("the receipt has no external name")
	}
	switch issued := r.Credential; {
	case s.kind == connector.Membership && issued != nil:
		s.Error("membership issues no credential, but there is one")
	case s.kind != connector.Membership && issued == nil:
		s.Error("no credential was issued")
	case issued != nil && (issued.Kind != s.kind || issued.Until.IsZero() || issued.Until.After(o.Until)):
		s.Errorf("the credential is of kind %q until %s, ordered was %q until %s", issued.Kind, issued.Until, o.Kind, o.Until)
	}
	seen := s.observed(c, o, r, connector.Present)
	if s.can.Readable && (seen.External != r.External || len(seen.Differs) > 0 || seen.Until.After(o.Until)) {
		s.Errorf("granted as %q until %s, but observed: %+v", r.External, o.Until, seen)
	}
	if got := s.target.Count(); got != count {
		s.Errorf("observing changed the count from %d to %d", count, got)
	}
	s.works(o, r.Credential)
}

func grantTwice(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	first := s.granted(c, o)
	once := s.target.Count() - s.before
	second := s.granted(c, o)
	s.counts(once)
	if first.External != second.External {
		s.Errorf("one request got the names %q and %q", first.External, second.External)
	}
	if s.kind == connector.Password || s.kind == connector.APIKey { // what is signed cannot be replaced
		s.gone(o, first.Credential)
	}
	if seen := s.observed(c, o, second, connector.Present); len(seen.Differs) > 0 {
		s.Errorf("observed after granting twice: %q", seen.Differs)
	}
	s.revoked(c, o, second)
	s.gone(o, first.Credential)
	s.counts(0)
}

func grantLate(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	o.From, o.Until = o.From.Add(-2*time.Hour), o.From.Add(-time.Hour)
	r, err := c.Grant(s.Context(), o)
	if err == nil {
		s.gone(o, r.Credential)
		s.revoked(c, o, r)
	}
	s.counts(0)
}

func revoke(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	r := s.granted(c, o)
	s.revoked(c, o, r)
	s.observed(c, o, r, connector.Absent)
	s.counts(0)
}

func revokeAgain(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	r := s.granted(c, o)
	if err := c.Revoke(s.Context(), o, connector.Receipt{}); err != nil {
		s.Fatalf("revoke without a receipt: %v", err)
	}
	s.gone(o, r.Credential)
	s.counts(0)
	for _, receipt := range []connector.Receipt{r, {}} {
		if err := c.Revoke(s.Context(), o, receipt); err != nil {
			s.Errorf("revoke again: %v", err)
		}
	}
	s.observed(c, o, connector.Receipt{}, connector.Absent)
	s.counts(0)
}

func revokeNothing(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	s.observed(c, o, connector.Receipt{}, connector.Absent)
	if err := c.Revoke(s.Context(), o, connector.Receipt{}); err != nil {
		s.Errorf("revoke: %v", err)
	}
	s.counts(0)
}

func revokeOpen(s *suite) {
	if !s.can.EndsOpen {
		return
	}
	c, o := s.open(s.target.Addr), s.order()
	r := s.granted(c, o)
	use, err := s.target.Session(s.Context(), o, r.Credential)
	if err == nil {
		err = use()
	}
	if err != nil {
		s.Fatalf("a session under granted access: %v", err)
	}
	s.revoked(c, o, r)
	err = s.eventually(func() error {
		if use() == nil {
			return errors.New("the session is still open after revoking")
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
}

func independent(s *suite) {
	c, o1, o2 := s.open(s.target.Addr), s.order(), s.order()
	r1, r2 := s.granted(c, o1), s.granted(c, o2)
	if r1.External == r2.External {
		s.Errorf("two requests share the name %q", r1.External)
	}
	s.works(o1, r1.Credential)
	s.revoked(c, o1, r1)
	s.works(o2, r2.Credential)
	s.observed(c, o1, r1, connector.Absent)
	if seen := s.observed(c, o2, r2, connector.Present); len(seen.Differs) > 0 {
		s.Errorf("revoking one changed the other: %q", seen.Differs)
	}
	s.revoked(c, o2, r2)
	s.counts(0)
}

// located holds a Locator to its word. A connector that is none has nothing to show.
func located(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	l, ok := c.(watched).Connector.(connector.Locator)
	if !ok {
		return
	}
	here, err := l.Instance(s.Context())
	if err != nil || here == "" {
		s.Fatalf("instance: %q, %v", here, err)
	}
	again, err := s.open(s.target.Addr).(watched).Connector.(connector.Locator).Instance(s.Context())
	if err != nil || again != here {
		s.Errorf("one target is instance %q and then %q, %v", here, again, err)
	}
	elsewhere := o
	o.Instance, elsewhere.Instance = here, here+" no more"
	if _, err := c.Grant(s.Context(), elsewhere); err == nil || errors.Is(err, connector.ErrRefused) {
		s.Errorf("a grant for another instance returned %v, want an error that another try can mend", err)
	}
	s.counts(0)
	r := s.granted(c, o)
	if err := c.Revoke(s.Context(), elsewhere, r); err == nil || errors.Is(err, connector.ErrRefused) {
		s.Errorf("a revoke for another instance returned %v, want an error that another try can mend", err)
	}
	s.works(o, r.Credential)
	s.revoked(c, o, r)
	if seen, err := c.Observe(s.Context(), elsewhere, r); err == nil && seen.State != connector.Unread {
		s.Errorf("what another instance has is observed here: %+v", seen)
	}
	s.observed(c, o, r, connector.Absent)
}

// shared grants one access to two subjects: which access it is, target, grant
// section and scope say by themselves.
func shared(s *suite) {
	if !s.kind.Shared() {
		return
	}
	c, o, other := s.open(s.target.Addr), s.order(), s.order()
	other.Grant, other.Scope, other.Subject, other.SubjectUID = o.Grant, o.Scope, "service/another", "another"
	r := s.granted(c, o)
	once := s.target.Count() - s.before
	second, err := c.Grant(s.Context(), other)
	if err != nil || second.External != r.External {
		s.Errorf("two subjects got %q and %q by one grant section: %v", r.External, second.External, err)
	}
	s.counts(once)
	s.revoked(c, o, r)
	s.counts(0)
}

// concurrent grants different requests at once, and one request many times at
// once, as two workers would whose leases overlapped.
func concurrent(s *suite) {
	c := s.open(s.target.Addr)
	orders := make([]connector.Order, 6)
	receipts := make([]connector.Receipt, len(orders))
	for i := range orders {
		orders[i] = s.order()
	}
	s.atOnce(len(orders), func(i int) (err error) {
		receipts[i], err = c.Grant(s.Context(), orders[i])
		return err
	})
	for i, o := range orders {
		s.works(o, receipts[i].Credential)
	}
	s.atOnce(len(orders), func(i int) error { return c.Revoke(s.Context(), orders[i], receipts[i]) })
	s.counts(0)

	same := s.order()
	s.granted(c, same)
	once := s.target.Count() - s.before
	s.atOnce(4, func(int) error {
		_, err := c.Grant(s.Context(), same)
		if errors.Is(err, connector.ErrRefused) {
			return err
		}
		return nil // another one won: the worker comes again
	})
	last := s.granted(c, same)
	s.counts(once)
	s.atOnce(4, func(i int) error {
		if i%2 == 0 {
			_, _ = c.Grant(s.Context(), same) // what it makes, the last revoke must find
			return nil
		}
		if err := c.Revoke(s.Context(), same, last); errors.Is(err, connector.ErrRefused) {
			return err
		}
		return nil
	})
	s.revoked(c, same, last)
	s.counts(0)
}

// atOnce calls f n times at once.
func (s *suite) atOnce(n int, f func(i int) error) {
	s.Helper()
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Fatalf("at once: %v", err)
	}
}

func expire(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	o.Until = time.Now().UTC().Add(s.Life)
	r := s.granted(c, o)
	seen := s.observed(c, o, r, connector.Present)
	switch {
	case s.can.SelfExpiring && s.can.Readable && seen.Until.IsZero() && !s.kind.Shared():
		s.Fatal("the manifest says that the target ends access by itself, the observation does not")
	case !s.can.SelfExpiring && !seen.Until.IsZero():
		s.Fatal("the observation says that the target ends access by itself, the manifest does not")
	case !s.can.SelfExpiring || s.kind.Shared() && seen.Until.IsZero():
		return
	}
	if seen.Until.After(o.Until) {
		s.Errorf("the target ends it at %s, later than %s", seen.Until, o.Until)
	}
	time.Sleep(time.Until(o.Until) + 50*time.Millisecond)
	s.gone(o, r.Credential)
	s.revoked(c, o, r)
	s.counts(0)
}

// altered lets access be changed in every way the harness knows. A connector that
// cannot take back what was changed must say so, and can once it was restored.
func altered(s *suite) {
	fits := 0
	for name, alter := range s.target.Alter {
		c, o := s.open(s.target.Addr), s.order()
		r := s.granted(c, o)
		if !alter(o, r) {
			s.revoked(c, o, r)
			continue
		}
		fits++
		if seen := s.observed(c, o, r, connector.Present); len(seen.Differs) == 0 {
			s.Errorf("%s: not noticed: %+v", name, seen)
		}
		if s.target.Restore != nil {
			if err := c.Revoke(s.Context(), o, r); err == nil {
				s.gone(o, r.Credential)
			}
			s.target.Restore(o, r)
		}
		s.revoked(c, o, r)
	}
	if s.can.Readable && fits == 0 {
		s.Error("the harness knows no way to alter access")
	}
	s.counts(0)
}

func list(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	r := s.granted(c, o)
	foreign := ""
	if s.can.ListsAll {
		foreign = s.target.Foreign()
	}
	listed := s.listed(c)
	ours, theirs := named(listed, r.External), named(listed, foreign)
	if len(ours) != 1 || ours[0].State != connector.Present || ours[0].Request != "" && ours[0].Request != o.Request {
		s.Errorf("granted as %q for %s, but listed: %+v", r.External, o.Request, ours)
	}
	if s.can.ListsAll && (len(theirs) != 1 || theirs[0].State != connector.Present || theirs[0].Request != "") {
		s.Errorf("made by hand as %q, but listed: %+v", foreign, theirs)
	}
	s.revoked(c, o, r)
	if left := named(s.listed(c), r.External); len(left) > 0 {
		s.Errorf("revoked, but listed: %+v", left)
	}
}

func (s *suite) listed(c connector.Connector) (all []connector.Observation) {
	s.Helper()
	err := c.List(s.Context(), func(seen connector.Observation) error {
		all = append(all, seen)
		return nil
	})
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	return all
}

func named(all []connector.Observation, external string) []connector.Observation {
	return slices.DeleteFunc(slices.Clone(all), func(seen connector.Observation) bool { return seen.External != external })
}

func listStops(s *suite) {
	c := s.open(s.target.Addr)
	s.granted(c, s.order())
	s.granted(c, s.order())
	enough, calls := fmt.Errorf("enough"), 0
	err := c.List(s.Context(), func(connector.Observation) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		s.Errorf("list called back %d times and returned %v, want once and the callback's error", calls, err)
	}
}
