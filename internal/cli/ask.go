package cli

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

// An Asking is an ask as a command line gives it.
type Asking struct {
	client.Ask
	subject, startAt, startBy, publicKey string
	scope                                []string
}

// Span is a duration flag in the words of the API: 15m, 24h, 90d.
type Span writ.Duration

// Set reads what writ.ParseDuration reads.
func (s *Span) Set(text string) error { return (*writ.Duration)(s).UnmarshalText([]byte(text)) }

// Type names what help says the flag takes.
func (*Span) Type() string { return "duration" }

// String returns the value for help: none where there is none.
func (s *Span) String() string {
	if *s == 0 {
		return ""
	}
	return writ.Duration(*s).String()
}

// Flags adds what every ask can say.
func (a *Asking) Flags(s *Session, cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var((*Span)(&a.For), "for", "how long access lasts from its start: 15m, 24h, 90d")
	f.StringVar(&a.subject, "as", "", "`IDENTITY` that is to get access (default: the caller)")
	f.StringArrayVar(&a.scope, "scope", nil, "scope parameter, as `NAME=VALUE`; can be repeated")
	f.StringVar(&a.Why, "why", "", "`TEXT` for the people who decide")
	f.StringVar(&a.Ticket, "ticket", "", "`ID` of the change or incident ticket")
	f.StringVar(&a.startAt, "start-at", "", "not before this `MOMENT`: 2026-11-23T20:00:00Z, or a duration from now")
	f.StringVar(&a.startBy, "start-by", "", "not after this `MOMENT`; later approval or start is refused")
	f.StringArrayVar(&a.Ends, "ends", nil, "what ends access sooner, as `KIND/NAME`; can be repeated")
	f.StringVar(&a.publicKey, "public-key", "", "`FILE` with the certificate request or SSH public key that a certificate is for")
	Complete(cmd, "as", s.Documents("identity"))
	Complete(cmd, "for", Fixed("15m", "1h", "24h"))
}

// Read returns the ask for an entitlement.
func (a *Asking) Read(entitlement string, now time.Time) (client.Ask, error) {
	ask := a.Ask
	ask.Entitlement, ask.Subject = entitlement, writ.Ref(a.subject)
	var err error
	if ask.Scope, err = Scope(a.scope); err != nil {
		return ask, err
	}
	if ask.StartAt, err = Moment("--start-at", a.startAt, now); err != nil {
		return ask, err
	}
	if ask.StartBy, err = Moment("--start-by", a.startBy, now); err != nil {
		return ask, err
	}
	if a.publicKey == "" {
		return ask, nil
	}
	data, err := os.ReadFile(a.publicKey)
	if err != nil {
		return ask, writ.Errorf(writ.Invalid, "--public-key: %v", err)
	}
	ask.PublicKey = string(data)
	return ask, nil
}

// Scope reads what --scope says: nothing is nil.
func Scope(given []string) (map[string]string, error) {
	var scope map[string]string
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := scope[name]; !ok || name == "" || twice {
			return nil, writ.Errorf(writ.Invalid, "--scope %q: write it as NAME=VALUE, each name once", text)
		}
		if scope == nil {
			scope = map[string]string{}
		}
		scope[name] = value
	}
	return scope, nil
}

// Moment reads a moment, or a duration from now.
func Moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := writ.ParseDuration(strings.TrimPrefix(text, "+")); err == nil {
		return now.Add(d.Std()).UTC().Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, writ.Errorf(writ.Invalid, "%s %q is not a moment; write it as 2026-11-23T20:00:00Z, or as a duration from now such as 2h", flag, text)
	}
	return t, nil
}
