package writ

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// words are what follows a verb in a story: plain words, and name=value.
type words struct {
	rest  []string
	named map[string]string
	order []string // of the names
}

func parse(text []string) words {
	w := words{named: map[string]string{}}
	for _, word := range text {
		if name, value, ok := strings.Cut(word, "="); ok {
			w.named[name] = strings.ReplaceAll(value, "_", " ")
			w.order = append(w.order, name)
			continue
		}
		w.rest = append(w.rest, word)
	}
	return w
}

// take returns the value of a name, once, or another where it is not given.
func (w words) take(name, other string) string {
	if value, ok := w.named[name]; ok {
		delete(w.named, name)
		return value
	}
	return other
}

func (w words) list(name string) []string {
	if text := w.take(name, ""); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

func (w words) duration(name string) Duration {
	d, err := ParseDuration(w.take(name, "0s"))
	if err != nil {
		panic(err) // the story says what nobody understands
	}
	return d
}

// act gives the command that a verb and its words mean.
//
//	submit a db/deploy for=24h [subject=service/ci] [startAt=+1h] [startBy=+2h] [ends=incident/INC-7] [ticket=CHG-1] [scope…]
//	approve a [digest=other]    deny a    withdraw a    lapse a    claim a    release a    revoke a
//	narrow a [for=1h] [startBy=+2h] [ends=review/2026] [scope…]   require a human/gus   remind a   escalate a
//	delegate human/gus until=+72h                                return ann-to-gus
//	meet a incident/INC-7       expire a  recheck a     find a [present]
//	begin-grant a [writ=none] [witnessed=yes]   report-grant a [absent] [attempt=1] [failed=the_target_is_down] [refused]
//	begin-revoke a              report-revoke a [present] [attempt=3] [failed=the_target_is_down]
func (s *story) act(by Ref, id ID, verb string, w words) ([]Event, error) {
	r := s.request(id)
	attempt, _ := strconv.Atoi(w.take("attempt", strconv.Itoa(r.Attempt)))
	digest := Digest(w.take("digest", string(r.Digest)))
	seen := func(usual State) Observation {
		for _, word := range w.rest[1:] {
			if word != "refused" {
				usual = State(word)
			}
		}
		return Observation{State: usual}
	}
	refused := strings.Contains(strings.Join(w.rest, " "), "refused")
	switch verb {
	case "submit":
		return s.ask(by, id, s.wish(w))
	case "narrow":
		return s.do(by, id, s.narrower(digest, w))
	case "require":
		return s.do(by, id, Require{digest, Ref(w.rest[1])})
	case "meet":
		return s.do(by, id, Meet{w.rest[1]})
	case "begin-grant":
		return s.do(by, id, BeginGrant{strings.TrimPrefix(w.take("writ", "jws"), "none"), w.take("at", ""), w.take("witnessed", "") != ""})
	case "report-grant":
		return s.do(by, id, ReportGrant{attempt, Receipt{}, seen(Present), w.take("failed", ""), refused, ""})
	case "report-revoke":
		return s.do(by, id, ReportRevoke{attempt, seen(Absent), w.take("at", ""), w.take("failed", ""), ""})
	case "find":
		return s.do(by, id, Find{seen(Present)})
	}
	c, ok := map[string]Command{
		"approve": Approve{Digest: digest}, "deny": Deny{Digest: digest}, "withdraw": Withdraw{}, "lapse": Lapse{}, "claim": Claim{},
		"release": Release{}, "revoke": Revoke{}, "expire": Expire{}, "recheck": Recheck{}, "begin-revoke": BeginRevoke{},
		"remind": Remind{}, "escalate": Escalate{},
	}[verb]
	if !ok {
		return nil, fmt.Errorf("the story says %q, and nobody understands", verb)
	}
	return s.do(by, id, c)
}

// wish is what somebody asks for.
func (s *story) wish(w words) Ask {
	a := Ask{
		Subject: Ref(w.take("subject", "service/ci")), Entitlement: w.rest[1], For: w.duration("for"), Ends: w.list("ends"),
		Ticket: w.take("ticket", ""), PublicKey: w.take("publicKey", ""), Recipient: w.take("recipient", ""),
	}
	if at := w.take("startAt", ""); at != "" {
		a.StartAt = s.time(at)
	}
	if by := w.take("startBy", ""); by != "" {
		a.StartBy = s.time(by)
	}
	a.Scope = w.named
	return a
}

// narrower is what an approver gives instead.
func (s *story) narrower(digest Digest, w words) Narrow {
	n := Narrow{Digest: digest, For: w.duration("for"), Ends: w.list("ends")}
	if by := w.take("startBy", ""); by != "" {
		n.StartBy = s.time(by)
	}
	n.Scope = w.named
	return n
}

// narrows asks whether changed terms give nothing that the approved ones do not.
func (s *story) narrows(id ID, w words) string {
	was := s.request(id).Terms
	next := was.clone()
	next.Revision++
	if d := w.duration("for"); d > 0 {
		next.For = d
	}
	if by := w.take("startBy", ""); by != "" {
		next.StartBy = s.time(by)
	}
	next.Ends = append(next.Ends, w.list("ends")...)
	if w.take("endless", "") != "" {
		next.Ends = nil
	}
	maps.Copy(next.Scope, w.named)
	return fmt.Sprint(next.Narrows(was))
}

// rules reads a policy: its stages as name:quorum=who,who (and owner! for the
// stage that asks the owner), and what it limits.
func (w words) rules() rules {
	r := rules{
		Deny: w.take("deny", ""), MaxFor: w.duration("max"), Ends: w.list("ends"),
		DecideIn: w.duration("decideIn"), StartWithin: w.duration("startWithin"),
		Like:      Stage{Proof: Method(w.take("proof", "")), Repeat: w.take("repeat", "") != "", Remind: w.duration("remind")},
		LateAfter: w.duration("escalate"), Witnessed: w.take("witnessed", "") != "",
	}
	for _, who := range w.list("late") {
		r.Late = append(r.Late, Ref(who))
	}
	if from := w.take("from", ""); from != "" {
		r.Like.Hours = []Hours{{Zone: "Europe/Berlin", From: from, To: w.take("to", "24:00")}}
	}
	for _, name := range w.order {
		stage, quorum, ok := strings.Cut(name, ":")
		n, _ := strconv.Atoi(quorum)
		if !ok {
			continue
		}
		s := rule{Name: strings.TrimSuffix(stage, "!"), Quorum: n, Owner: strings.HasSuffix(stage, "!")}
		for _, who := range strings.Split(w.named[name], ",") {
			s.Refs = append(s.Refs, Ref(who))
		}
		r.Stages = append(r.Stages, s)
	}
	return r
}

// bring takes a request the usual way until it has a status.
func (s *story) bring(id ID, to Status) {
	for range 8 {
		r := s.request(id).Request
		if r.Status == to {
			return
		}
		by, c := writ, Command(Recheck{})
		switch r.Status {
		case StatusPending:
			by, c = r.Waiting()[0].Name, Approve{Digest: r.Digest}
		case StatusAuthorized:
			c = BeginGrant{Writ: "jws"}
		case StatusGranting:
			c = ReportGrant{Attempt: r.Attempt, Seen: Observation{State: Present}}
		case StatusActive:
			by, c = sol, Revoke{}
		case StatusRevoking:
			c = BeginRevoke{}
			if r.InFlight {
				c = ReportRevoke{Attempt: r.Attempt, Seen: Observation{State: Absent}}
			}
		}
		if _, err := s.do(by, id, c); err != nil {
			panic(err) // the story brings it where it cannot go
		}
	}
}

// refusal tells a refusal: its kind, and the words.
func (s *story) refusal(err error) string {
	var kind Fault
	if !errors.As(err, &kind) {
		return "BROKEN: " + err.Error()
	}
	return string(kind) + ": " + err.Error()
}
