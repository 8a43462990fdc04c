package proof

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/cli"
)

// A Ledger is an open database that is only read.
type Ledger interface {
	audit.Ledger
	evidence.Source
	// Kept returns a checkpoint that was kept: the newest that covers no more
	// than size records and nothing later than at; or, if after is set, the
	// oldest that covers that many and everything until then.
	Kept(ctx context.Context, size int64, at time.Time, after bool) (note string, err error)
	Close() error
}

// A Place says which database to read, by flags that it adds, and which key its
// ledger is held against.
type Place interface {
	Flags(cmd *cobra.Command)
	Open(ctx context.Context) (l Ledger, key string, err error)
}

// Audit returns the command that holds those for auditors. Each call of at makes
// the place of one of them.
func Audit(common *cli.Session, at func() Place) *cobra.Command {
	s := session{common}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Say what there is to audit, draw a sample, test all of it",
		Long: `For auditors: the complete list of the requests of a period, a sample of them
that nobody could have steered, with evidence, and what can be tested of all of
them. All but 'commit' read a database, without a server and without changing it.
docs/howto/audit.md shows an audit from the first step to the last.`,
		Example: `  writ audit commit --nonce-file nonce.txt
  writ audit population --from 2026-01-01 --to 2026-04-01 --data /var/lib/writ
  writ audit sample --nonce-file nonce.txt --dir sample --data /var/lib/writ
  writ audit test --from 2026-01-01 --to 2026-04-01 --data /var/lib/writ`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.commitCmd(), s.populationCmd(at()), s.sampleCmd(at()), s.testCmd(at()))
	return cmd
}

// A span is what a command reads: from one checkpoint to another.
type span struct {
	Place
	from, to string
}

func (p *span) flags(cmd *cobra.Command) {
	p.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&p.from, "from", "0", "`POINT` where the period begins: a number of records, a time, or\na file with a checkpoint; the newest checkpoint before it is taken")
	f.StringVar(&p.to, "to", "", "`POINT` where it ends, the next checkpoint after it (default the newest)")
}

// population opens the database and finds the population. The caller closes it.
func (p *span) population(ctx context.Context) (l Ledger, key string, out audit.Population, err error) {
	if l, key, err = p.Open(ctx); err != nil {
		return nil, "", out, err
	}
	var period audit.Period
	period.From, err = p.point(ctx, l, key, p.from, false)
	if err == nil {
		period.To, err = p.point(ctx, l, key, p.to, true)
	}
	if err == nil {
		out, err = audit.Find(ctx, l, period)
	}
	if err != nil {
		err = errors.Join(err, l.Close())
	}
	return l, key, out, err
}

// point returns the checkpoint that a flag means.
func (p *span) point(ctx context.Context, l Ledger, key, text string, end bool) (audit.Point, error) {
	size, at := int64(math.MaxInt64), time.UnixMicro(math.MaxInt64)
	if end {
		size, at = 0, time.UnixMicro(0)
	}
	switch n, t, file := parsePoint(text); {
	case text == "" || end && n == 0 && file == "" && t.IsZero():
		size = math.MaxInt64
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return audit.Point{}, writ.Errorf(writ.Invalid, "%q is no number of records, no time such as 2026-03-31 or 2026-03-31T12:00:00Z, and no file with a checkpoint", text)
		}
		return audit.At(string(data), key)
	case !t.IsZero():
		at = t
	default:
		size = n
	}
	note, err := l.Kept(ctx, size, at, end)
	if err == nil && note == "" && end {
		note, err = l.Checkpoint(ctx)
	}
	if err != nil || note == "" {
		return audit.Start(), err
	}
	return audit.At(note, key)
}

// parsePoint reads a number of records, a time or, else, the name of a file.
func parsePoint(text string) (n int64, at time.Time, file string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, at, ""
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return 0, at, ""
		}
	}
	return 0, at, text
}

func (s session) commitCmd() *cobra.Command {
	var file, hash string
	cmd := &cobra.Command{
		Use:   "commit",
		Short: "Commit to a nonce, before the period ends that it will sample",
		Long: `Put the SHA-256 of a nonce on record, before the end of the period that is to be
sampled with it. Without the nonce nobody can know the sample; with it on record
nobody can choose another. A file that does not exist is made, with a fresh nonce:
keep it to yourself until the sample is drawn. Policy names who audits.`,
		Example: `  writ audit commit --nonce-file nonce.txt
  writ audit commit --commit "sha256:$(tr -d "\n" < nonce.txt | sha256sum | cut -c -64)"`,
		Args: cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			digest := writ.Digest(hash)
			if file != "" {
				nonce, err := readNonce(file, true)
				if err != nil {
					return err
				}
				if digest, err = audit.Commit(nonce); err != nil {
					return err
				}
			}
			got, err := c.CommitNonce(ctx, digest)
			if err != nil {
				return err
			}
			return s.Answer(func() error {
				s.Out.Say("%s is committed: record %d, %s, by %s", got.Hash, got.Position, clock(got.At), got.By.Name)
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(&file, "nonce-file", "", "`FILE` with the nonce; made with a fresh one if there is none")
	cmd.Flags().StringVar(&hash, "commit", "", "`DIGEST` of a nonce that is kept elsewhere: sha256:…")
	cmd.MarkFlagsOneRequired("nonce-file", "commit")
	cmd.MarkFlagsMutuallyExclusive("nonce-file", "commit")
	return cmd
}

// readNonce reads a nonce, without white space around it, or makes one.
func readNonce(path string, fresh bool) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && fresh {
		random := make([]byte, 32)
		rand.Read(random) // never fails: crypto/rand
		data = []byte(hex.EncodeToString(random) + "\n")
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return "", writ.Errorf(writ.Invalid, "nonce: %v", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func (s session) populationCmd(at Place) *cobra.Command {
	p := span{Place: at}
	cmd := &cobra.Command{
		Use:   "population",
		Short: "List every request whose life touches a period, provably all",
		Long: `List every request that was asked for before the end of a period and was not over
before its beginning. Every record from the ledger's first to the period's end is
hashed, and both checkpoints are signed: what is not listed did not happen, as far
as the ledger knows. With -o json the answer holds both checkpoints and the proof
that the later ledger continues the earlier.`,
		Example: `  writ audit population --from 2026-01-01 --to 2026-04-01 --data /var/lib/writ
  writ audit population --from december.checkpoint --db postgres://writ@db/writ -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, key, found, err := p.population(cmd.Context())
			if err != nil {
				return err
			}
			if err := l.Close(); err != nil {
				return err
			}
			if s.Machine() {
				return s.Encode(found)
			}
			for _, item := range found.Requests {
				s.Out.Say("%s  record %d, asked for %s, last %s", item.Request, item.Position, clock(item.Submitted), item.Kind)
			}
			s.Err.Say("%d requests, from record %d to record %d; all %d records were hashed and hold", len(found.Requests), found.Period.From.Size, found.Period.To.Size, found.Records)
			s.Err.Say("held against the key %s", key)
			return nil
		},
	}
	p.flags(cmd)
	return cmd
}

func (s session) testCmd(at Place) *cobra.Command {
	p := span{Place: at}
	objective := "15m"
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Test every request of a period against every attribute",
		Long: `Test what must hold of each request of a period, of all of them, on the documents
as they were at each event: approved before granted, by who was asked, independent
of who asked, of the same terms throughout, within its limits, with somebody
accountable, and gone in time. The exit code is 6 if anything does not hold; each
request is named, with the reason.`,
		Example: `  writ audit test --from 2026-01-01 --to 2026-04-01 --data /var/lib/writ
  writ audit test --objective 1h --db postgres://writ@db/writ -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			within, err := writ.ParseDuration(objective)
			if err != nil && objective != "0" {
				return writ.Errorf(writ.Invalid, "--objective: %v", err)
			}
			l, _, found, err := p.population(cmd.Context())
			if err != nil {
				return err
			}
			result, err := audit.Test(cmd.Context(), l, found, within)
			if err = errors.Join(err, l.Close()); err != nil {
				return err
			}
			return s.tested(result)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&objective, "objective", objective, "how long access may take from when it has to end to be seen gone")
	return cmd
}

func (s session) tested(r audit.Result) error {
	if s.Machine() {
		if err := s.Encode(r); err != nil {
			return err
		}
	} else {
		for _, a := range r.Attributes {
			s.Out.Say("%s: %d tested, %d failed: %s", a.Name, a.Tested, a.Failed, a.Says)
		}
		for _, f := range r.Failures {
			s.Out.Say("%v %s, record %d, %s: %s", s.Out.Bad("failed"), f.Request, f.Position, f.Attribute, f.Why)
		}
	}
	if len(r.Failures) > 0 {
		return writ.Errorf(writ.Conflict, "%d of %d requests fail; look at the evidence of each with 'writ evidence'", failing(r), r.Requests)
	}
	s.Err.Say("%d requests; all that was tested holds", r.Requests)
	return nil
}

func failing(r audit.Result) int {
	seen := map[writ.ID]bool{}
	for _, f := range r.Failures {
		seen[f.Request] = true
	}
	return len(seen)
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
