package writ

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// saying is a command as somebody gives it, to a request as it then is.
type saying struct {
	name string
	by   Ref
	c    func(r Request) Command
}

func always(c Command) func(Request) Command { return func(Request) Command { return c } }

func seen(s State) Observation { return Observation{State: s} }

var sayings = []saying{
	{"submit again", fay, func(r Request) Command { return Submit{r.Terms} }},
	{"approve", ann, func(r Request) Command { return Approve{Digest: r.Digest} }},
	{"approve other terms", ann, always(Approve{Digest: "sha256:other"})},
	{"narrow", ann, func(r Request) Command { return Narrow{Digest: r.Digest, For: hour} }},
	{"narrow to more", ann, func(r Request) Command { return Narrow{Digest: r.Digest, For: 200 * hour} }},
	{"require one more", ann, func(r Request) Command { return Require{r.Digest, gus} }},
	{"remind", writ, always(Remind{})},
	{"escalate", writ, always(Escalate{})},
	{"deny", cyd, func(r Request) Command { return Deny{Digest: r.Digest} }},
	{"withdraw", fay, always(Withdraw{})},
	{"lapse", writ, always(Lapse{})},
	{"begin grant", writ, always(BeginGrant{Writ: "jws"})},
	{"report grant", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt, Seen: seen(Present)} }},
	{"report grant, unread", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt, Seen: seen(Unread)} }},
	{"report grant, not there", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt, Seen: seen(Absent)} }},
	{"report grant, other than ordered", writ, func(r Request) Command {
		return ReportGrant{Attempt: r.Attempt, Seen: Observation{State: Present, Differs: []string{"role is admin"}}}
	}},
	{"report grant, failed", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt, Problem: "down"} }},
	{"report grant, refused", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt, Problem: "no", Refused: true} }},
	{"report grant, refused without a word", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt, Refused: true} }},
	{"report grant, earlier attempt", writ, func(r Request) Command { return ReportGrant{Attempt: r.Attempt - 1, Seen: seen(Present)} }},
	{"claim", fay, always(Claim{})},
	{"release", fay, always(Release{})},
	{"revoke", sol, always(Revoke{})},
	{"meet its end", writ, always(Meet{"incident/INC-7"})},
	{"meet another end", writ, always(Meet{"incident/INC-8"})},
	{"expire", writ, always(Expire{})},
	{"recheck", writ, always(Recheck{})},
	{"begin revoke", writ, always(BeginRevoke{})},
	{"report revoke", writ, func(r Request) Command { return ReportRevoke{Attempt: r.Attempt, Seen: seen(Absent)} }},
	{"report revoke, still there", writ, func(r Request) Command { return ReportRevoke{Attempt: r.Attempt, Seen: seen(Present)} }},
	{"report revoke, unread", writ, func(r Request) Command { return ReportRevoke{Attempt: r.Attempt, Seen: seen(Unread)} }},
	{"report revoke, failed", writ, func(r Request) Command {
		return ReportRevoke{Attempt: r.Attempt, Seen: seen(Absent), Problem: "down"}
	}},
	{"report revoke, earlier attempt", writ, func(r Request) Command { return ReportRevoke{Attempt: r.Attempt - 1, Seen: seen(Absent)} }},
	{"find it there", writ, always(Find{seen(Present)})},
	{"find it gone", writ, always(Find{seen(Absent)})},
}

// moments are requests in every status, and with a call under way or without.
var moments = []struct {
	name   string
	status Status
	begin  Command
	later  time.Duration
}{
	{"pending", StatusPending, nil, 0},
	{"pending, a week later", StatusPending, nil, 7 * 24 * time.Hour},
	{"denied", StatusDenied, nil, 0},
	{"withdrawn", StatusWithdrawn, nil, 0},
	{"lapsed", StatusLapsed, nil, 0},
	{"authorized", StatusAuthorized, nil, 0},
	{"authorized, an hour before", StatusAuthorized, nil, -time.Hour},
	{"authorized, a day later", StatusAuthorized, nil, 24 * time.Hour},
	{"granting", StatusGranting, nil, 0},
	{"granting, a day later", StatusGranting, nil, 24 * time.Hour},
	{"active", StatusActive, nil, 0},
	{"active, a day later", StatusActive, nil, 24 * time.Hour},
	{"revoking", StatusRevoking, nil, 0},
	{"revoking, under way", StatusRevoking, BeginRevoke{}, 0},
	{"closed", StatusClosed, nil, 0},
}

// TestEveryVerbAtEveryMoment is the whole table: what each command does to a
// request in each status, by somebody who may give it.
func TestEveryVerbAtEveryMoment(t *testing.T) {
	refusals := map[string]bool{}
	text := "What each command does to a request of each status, given by somebody who may.\n"
	for _, m := range moments {
		outcomes := map[string][]string{}
		for _, s := range sayings {
			a := deploy
			a.Ends = []string{"incident/INC-7"}
			w := in(t, m.status, a)
			if m.begin != nil {
				must(t)(w.do(writ, "req-a", m.begin))
			}
			w.now = w.now.Add(m.later)
			events, err := w.do(s.by, "req-a", s.c(w.request("req-a").Request))
			what := answer(w, "req-a", events, err)
			outcomes[what] = append(outcomes[what], s.name)
			if err != nil {
				refusals[err.Error()] = true
			} else if err := w.request("req-a").history.audit(w.request("req-a").Request); err != nil {
				t.Errorf("%s when %s: %v", s.name, m.name, err)
			}
		}
		text += fmt.Sprintf("\n## %s\n\n", m.name)
		for _, what := range slices.Sorted(maps.Keys(outcomes)) {
			text += fmt.Sprintf("- **%s**: %s\n", what, strings.Join(outcomes[what], " · "))
		}
	}
	text += "\n## What is said when it is refused\n\n- " + strings.Join(slices.Sorted(maps.Keys(refusals)), "\n- ") + "\n"
	golden(t, "verbs.md", text)
}

// TestWhoMay is the other table: who may give each command. Fay asked; Dee owns
// the subject, Eli is her deputy; Ann and security approve; Gus owns the
// database and changes documents, Sol may revoke; Ivy has no part in it.
func TestWhoMay(t *testing.T) {
	type row struct {
		status Status
		saying
	}
	rows := []row{
		{StatusPending, saying{"approve", "", func(r Request) Command { return Approve{Digest: r.Digest} }}},
		{StatusPending, saying{"deny", "", func(r Request) Command { return Deny{Digest: r.Digest} }}},
		{StatusPending, saying{"withdraw", "", always(Withdraw{})}},
		{StatusPending, saying{"revoke a pending request", "", always(Revoke{})}},
		{StatusActive, saying{"claim", "", always(Claim{})}},
		{StatusActive, saying{"release", "", always(Release{})}},
		{StatusActive, saying{"revoke", "", always(Revoke{})}},
		{StatusActive, saying{"meet its end", "", always(Meet{"incident/INC-7"})}},
	}
	actors := append(slices.Sorted(maps.Keys(worldDocuments().Identities)), writ, "human/nobody")
	refusals := map[string]bool{}
	text := "Who may give each command; all others are refused.\n"
	for _, row := range rows {
		var may, mayNot []string
		for _, by := range actors {
			a := deploy
			a.Ends = []string{"incident/INC-7"}
			w := in(t, row.status, a)
			_, err := w.do(by, "req-a", row.c(w.request("req-a").Request))
			if err == nil {
				may = append(may, string(by))
				continue
			}
			refused(t, row.name+" by "+string(by), err, Forbidden, "")
			mayNot = append(mayNot, string(by))
			refusals[strings.ReplaceAll(err.Error(), string(by), "human/x")] = true
		}
		text += fmt.Sprintf("\n## %s\n\n- **may**: %s\n- **may not**: %s\n", row.name, strings.Join(may, ", "), strings.Join(mayNot, ", "))
	}
	text += "\n## What the others are told\n\n- " + strings.Join(slices.Sorted(maps.Keys(refusals)), "\n- ") + "\n"
	golden(t, "who.md", text)
}
