package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/evidence"
)

// A drawing is what says of a sample how it came about; index.json in its folder.
type drawing struct {
	Format     string           `json:"format"` // writ-sample/v1
	LogKey     string           `json:"logKey"`
	Period     audit.Period     `json:"period"`
	Filter     string           `json:"filter"`
	Population int              `json:"population"`
	Plan       audit.Plan       `json:"plan"`
	Size       int64            `json:"size"`
	Deviations int64            `json:"deviations"` // as many in the sample still support the conclusion
	Nonce      string           `json:"nonce"`
	Committed  audit.Commitment `json:"committed"`
	Items      []drawn          `json:"items"` // in the order drawn
}

type drawn struct {
	audit.Item
	File string `json:"file"`
}

type sampling struct {
	span
	plan       audit.Plan
	nonce, dir string
	size       int64
}

func (s session) sampleCmd(at Place) *cobra.Command {
	o := sampling{span: span{Place: at}}
	cmd := &cobra.Command{
		Use:   "sample",
		Short: "Draw a sample of a period that nobody could have steered",
		Long: `Draw requests of a period by the ledger's root at its end and a nonce that was
committed before; anybody who has both draws the same. How many follows from the
confidence, the tolerable rate of deviations and the expected one, by the exact
hypergeometric distribution, or is said with --size. With --dir the evidence of
each is written into a new folder, with index.json, which says how it was drawn.`,
		Example: `  writ audit sample --nonce-file nonce.txt --from 2026-01-01 --data /var/lib/writ
  writ audit sample --nonce-file nonce.txt --confidence 90 --data /var/lib/writ`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.sample(cmd.Context(), o) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.nonce, "nonce-file", "", "`FILE` with the nonce that was committed")
	f.StringVar(&o.plan.Confidence, "confidence", "95", "`PERCENT` of confidence")
	f.StringVar(&o.plan.Tolerable, "tolerable", "5", "`PERCENT` of deviations that can be tolerated")
	f.StringVar(&o.plan.Expected, "expected", "0", "`PERCENT` of deviations that are expected")
	f.Int64Var(&o.size, "size", 0, "draw this many, whatever follows from the rates")
	f.StringVar(&o.dir, "dir", "", "write the evidence of each into this new or empty `DIR`")
	_ = cmd.MarkFlagRequired("nonce-file")
	return cmd
}

func (s session) sample(ctx context.Context, o sampling) error {
	nonce, err := readNonce(o.nonce, false)
	if err != nil {
		return err
	}
	l, key, found, err := o.population(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	out, err := o.draw(found, nonce)
	if err != nil {
		return err
	}
	if out.LogKey = key; o.dir != "" {
		if err := o.write(ctx, l, out); err != nil {
			return err
		}
	}
	if s.Machine() {
		return s.Encode(out)
	}
	for i, item := range out.Items {
		s.Out.Say("%d. %s  record %d", i+1, item.Request, item.Position)
	}
	s.Err.Say("%d of %d requests, for %s %% confidence that at most %s %% deviate, with up to %d deviations among them", out.Size, out.Population, out.Plan.Confidence, out.Plan.Tolerable, out.Deviations)
	s.Err.Say("drawn by the root of record %d and the nonce committed in record %d", out.Period.To.Size, out.Committed.Position)
	return nil
}

// draw draws, and says how.
func (o sampling) draw(found audit.Population, nonce string) (drawing, error) {
	out := drawing{
		Format: "writ-sample/v1", Period: found.Period, Filter: found.Filter, Population: len(found.Requests), Plan: o.plan, Nonce: nonce, Items: []drawn{},
	}
	if len(found.Requests) == 0 {
		return out, writ.Errorf(writ.NotFound, "no request touches the period; there is nothing to draw from")
	}
	var err error
	if out.Size, out.Deviations, err = o.plan.Size(int64(len(found.Requests))); err != nil {
		return out, err
	}
	if o.size > 0 {
		out.Size, out.Deviations = o.size, 0
	}
	items, err := found.Draw(nonce, out.Size)
	if err != nil {
		return out, err
	}
	for _, item := range items {
		out.Items = append(out.Items, drawn{item, string(item.Request) + ".json"})
	}
	out.Size = int64(len(items))
	out.Committed, err = found.Committed(nonce)
	return out, err
}

// write makes the folder: first the evidence, then the index that names it.
func (o sampling) write(ctx context.Context, l Ledger, d drawing) error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	if there, err := os.ReadDir(o.dir); err != nil || len(there) > 0 {
		return writ.Errorf(writ.Invalid, "%s is not an empty directory; name a new one", o.dir)
	}
	source := upTo{l, d.Period.To}
	for _, item := range d.Items {
		f, err := evidence.Build(ctx, source, item.Request, evidence.Keys{Log: d.LogKey}, nil)
		if err != nil {
			return fmt.Errorf("the evidence of %s does not hold: %w", item.Request, err)
		}
		var data bytes.Buffer
		if _, err := f.WriteTo(&data); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.dir, item.File), data.Bytes(), 0o600); err != nil {
			return writ.Errorf(writ.Invalid, "%v", err)
		}
	}
	index, err := json.MarshalIndent(d, "", "\t")
	return errors.Join(err, os.WriteFile(filepath.Join(o.dir, "index.json"), append(index, '\n'), 0o600))
}

// upTo is a ledger as it was at a point.
type upTo struct {
	Ledger
	point audit.Point
}

// Checkpoint returns the point's.
func (u upTo) Checkpoint(context.Context) (string, error) { return u.point.Note, nil }

// Events returns a stream as it was then.
func (u upTo) Events(ctx context.Context, stream string) ([]evidence.Entry, error) {
	all, err := u.Ledger.Events(ctx, stream)
	i := slices.IndexFunc(all, func(e evidence.Entry) bool { return e.Pos >= u.point.Size })
	if i >= 0 {
		all = all[:i]
	}
	return all, err
}
