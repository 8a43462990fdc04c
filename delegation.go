package writ

import "time"

// A Delegation lets somebody else decide in a person's place while they are
// away: in the stages that ask the person, until it ends, and never further.
type Delegation struct {
	Header `yaml:",inline"`
	From   Ref       `json:"from"` // who is away
	To     Ref       `json:"to"`   // who decides instead
	Who    [2]UID    `json:"who"`  // their UIDs
	Starts time.Time `json:"starts"`
	Until  time.Time `json:"until"`
}

// MaxAway is how long a delegation may last.
const MaxAway = Duration(90 * 24 * time.Hour)

// Delegate names who decides in the actor's place.
type Delegate struct {
	To     Ref
	Starts time.Time // zero: now
	Until  time.Time
	UID    UID // a fresh one
}

// DecideDelegate answers with the event that makes the delegation, or with
// those that put it in place of one to the same person.
func DecideDelegate(c Delegate, f Facts) ([]Event, error) {
	d := f.Directory
	from, ok := d.Who(f.Actor)
	to, known := d.Identities[c.To]
	starts := seconds(c.Starts)
	if starts.Before(f.Now) {
		starts = seconds(f.Now)
	}
	switch {
	case !ok || !from.Active() || !from.Human():
		return nil, Errorf(Forbidden, "%s cannot delegate: only a person can", f.Actor.Name)
	case !known || !to.Human() || !to.Active():
		return nil, Errorf(Invalid, "%s is no active person; delegate to one", c.To)
	case d.same(from, to):
		return nil, Errorf(Invalid, "%s is yourself; delegate to another person", c.To)
	case !c.Until.After(starts):
		return nil, Errorf(Invalid, "until when? give a time after %s", starts.Format(time.RFC3339))
	case c.Until.Sub(starts) > MaxAway.Std():
		return nil, Errorf(Invalid, "%s is more than %s away; delegate for less", c.Until.Format(time.RFC3339), MaxAway)
	}
	doc := Delegation{
		Header: Header{Kind: "delegation", Name: from.short() + "-to-" + to.short()},
		From:   from.Ref(), To: to.Ref(), Who: [2]UID{from.UID, to.UID}, Starts: starts, Until: seconds(c.Until),
	}
	if old, ok := d.Delegations[doc.Name]; ok {
		c.UID = old.UID
	}
	return d.add(doc, c.UID, f)
}

// DecideReturn answers with the event that ends a delegation: who is away may,
// and whoever may revoke or administer.
func DecideReturn(name string, f Facts) ([]Event, error) {
	d, ok := f.Directory.Delegations[name]
	if !ok || !f.may(Party{d.From, d.Who[0]}) {
		return nil, Errorf(NotFound, "you have no delegation %q; see 'writ delegation list'", name)
	}
	return f.Directory.drop(d, f)
}

// Stands reports whether somebody decides for another now.
func (d Delegation) Stands(now time.Time) bool { return !now.Before(d.Starts) && now.Before(d.Until) }

func (d Delegation) withHead(h Header) Document { d.Header = h; return d }

func (d Delegation) check(dir *Directory) error {
	if err := checkName("delegation", d.Name, 1); err != nil {
		return err
	}
	_, from := dir.Who(Party{d.From, d.Who[0]})
	_, to := dir.Who(Party{d.To, d.Who[1]})
	if !from || !to {
		return Errorf(Invalid, "delegation %s: %s or %s is no more; remove the delegation first", d.Name, d.From, d.To)
	}
	return nil
}

// short is an identity's name without its kind.
func (i Identity) short() string { return i.Name[len(i.Ref().Kind())+1:] }

// DelegatedTo returns the delegations to a person that stand now.
func (d *Directory) DelegatedTo(who Party, now time.Time) (out []Delegation) {
	for _, del := range sorted(d.Delegations) {
		if del.To == who.Name && del.Who[1] == who.UID && del.Stands(now) {
			out = append(out, del)
		}
	}
	return out
}
