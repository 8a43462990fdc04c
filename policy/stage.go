package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/people"
	"github.com/writhq/writ/policy/internal/source"
)

func (s reader) stage(r *rule, n source.Node) (st people.Stage) {
	var form stageForm
	if !s.Decode(n, &form) {
		return st
	}
	st.Name, st.Quorum = s.Word(form.Name, n, "stage"), s.Number(form.Quorum, 1)
	if slices.ContainsFunc(r.stages, func(o people.Stage) bool { return o.Name == st.Name }) {
		s.Fail(n, "route %s has two stages %s; name them apart", r.name, st.Name)
	}
	if strings.HasPrefix(st.Name, writ.ExtraStage) {
		s.Fail(form.Name.At, "stage %s: names that start with %s are for stages that approvers add", st.Name, writ.ExtraStage)
	}
	if len(form.Approvers) == 0 {
		s.Fail(n, "stage %s names no approvers", st.Name)
	}
	st.Entries = s.entries(form.Approvers)
	st.Repeat, st.KeyAge, st.MemberAge, st.Remind = s.Flag(form.Repeat), s.Duration(form.KeyAge), s.Duration(form.MemberAge), s.Duration(form.Remind)
	if st.Proof = writ.Method(form.Proof.Value); st.Proof != "" && !st.Proof.Valid() {
		s.Fail(form.Proof.At, "proof %q is not session, oidc-fresh, ssh or passkey", st.Proof)
	}
	if st.KeyAge > 0 && !st.Proof.Meets(writ.BySSH) {
		s.Fail(form.KeyAge.At, "keyAge says how long a key must be known; the stage needs proof: ssh or proof: passkey with it")
	}
	if form.Hours != nil {
		st.Hours = s.hours(form.Hours)
	}
	if form.Escalate != nil {
		s.escalate(&st, form.Escalate)
	}
	return st
}

func (s reader) escalate(st *people.Stage, n source.Node) {
	var form escalateForm
	if !s.Decode(n, &form) {
		return
	}
	st.Escalate, st.Late = &writ.Escalation{After: s.Duration(form.After)}, s.entries(form.Approvers)
	if st.Escalate.After == 0 || len(st.Late) == 0 {
		s.Fail(n, "stage %s: escalate says after how long, and which approvers are asked then, too", st.Name)
	}
}

var weekdays = map[string][]time.Weekday{
	"sun": {time.Sunday}, "mon": {time.Monday}, "tue": {time.Tuesday}, "wed": {time.Wednesday},
	"thu": {time.Thursday}, "fri": {time.Friday}, "sat": {time.Saturday},
	"workdays": {time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday},
}

func (s reader) hours(n source.Node) []writ.Hours {
	var form hoursForm
	if !s.Decode(n, &form) {
		return nil
	}
	h := writ.Hours{Zone: form.Zone.Value, From: form.From.Value, To: form.To.Value}
	for _, t := range form.Days {
		days, ok := weekdays[t.Value]
		if !ok {
			s.Fail(t.At, "%q is no day; write mon, tue, wed, thu, fri, sat, sun or workdays", t.Value)
		}
		h.Days = append(h.Days, days...)
	}
	if err := h.Check(); err != nil {
		s.Fail(n, "hours: %v", err)
	}
	return []writ.Hours{h}
}

func (s reader) entries(list []source.Node) (out []people.Entry) {
	for _, n := range list {
		out = append(out, s.entry(n))
	}
	return out
}

func (s reader) entry(n source.Node) (e people.Entry) {
	var form approverForm
	if !s.Decode(n, &form) {
		return e
	}
	set, of := 0, ""
	for _, t := range []source.Text{form.ManagerOf, form.OwnerOf, form.Group, form.Identity} {
		if t.Set() {
			set++
			of = t.Value
		}
	}
	ok := set == 1
	switch ref := writ.Ref(of); {
	case form.ManagerOf.Set() && (of == "requester" || of == "subject"):
		e = people.ManagerOf(of)
	case form.OwnerOf.Set() && of == "subject":
		e = people.OwnerOfSubject()
	case form.OwnerOf.Set() && of == "entitlement":
		e = people.OwnerOfEntitlement()
	case form.Group.Set() && source.IsWord(of):
		e = people.Group(of)
	case form.Identity.Set() && ref.Kind() == writ.Human && ref != writ.Human:
		e = people.Person(of)
	default:
		ok = false
	}
	if !ok {
		s.Fail(n, "write one of: manager-of: requester, manager-of: subject, owner-of: subject, owner-of: entitlement, group: NAME, identity: human/NAME")
	}
	return e
}
