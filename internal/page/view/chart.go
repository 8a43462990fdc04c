package view

import (
	"time"

	"github.com/writhq/writ"
)

// A Chart is a stretch of time, a quarter of it before now, that bars are drawn
// in. Its width is Wide, whatever it is shown at.
type Chart struct {
	Start, End time.Time
	Now        time.Time
	Span       writ.Duration
}

// Wide is the width of a chart in units of its own.
const Wide = 1000

// The stretches of time that a chart can show.
var spans = []writ.Duration{
	writ.Of(time.Hour), writ.Of(6 * time.Hour), writ.Of(24 * time.Hour), writ.Of(7 * 24 * time.Hour), writ.Of(30 * 24 * time.Hour), writ.Of(120 * 24 * time.Hour),
}

// NewChart returns the smallest chart that shows the end of half of the
// requests, so that one that lasts for months does not hide those of an hour.
func NewChart(now time.Time, rs []writ.Request) Chart {
	most := spans[len(spans)-1]
	for _, s := range spans {
		shown := 0
		for _, r := range rs {
			if !r.Until.After(now.Add(s.Std() / 4 * 3)) {
				shown++
			}
		}
		if 2*shown >= len(rs) {
			most = s
			break
		}
	}
	start := now.Add(-most.Std() / 4)
	return Chart{Start: start, End: start.Add(most.Std()), Now: now, Span: most}
}

// At returns where a moment is, within the chart.
func (c Chart) At(t time.Time) int {
	at := int(Wide * t.Sub(c.Start).Seconds() / c.Span.Std().Seconds())
	return min(max(at, 0), Wide)
}

// A Bar is how long access lasts, as a chart shows it. What is outside is cut off.
type Bar struct {
	X, Width int
	Later    bool // it goes on after the chart's end
}

const thinnest = 6 // of a bar, so that it can be seen

// Bar returns the bar of a request.
func (c Chart) Bar(r writ.Request) Bar {
	x, end := c.At(r.From), c.At(r.Until)
	if r.Status == writ.StatusRevoking {
		end = max(end, c.At(c.Now)) // it is still there
	}
	width := max(end-x, thinnest)
	return Bar{X: min(x, Wide-width), Width: width, Later: r.Until.After(c.End)}
}

// Ticks are the moments that the chart is labelled with: its start, now, and
// each quarter after that.
func (c Chart) Ticks() (out []time.Time) {
	for i := range 5 {
		out = append(out, c.Start.Add(c.Span.Std()/4*time.Duration(i)))
	}
	return out
}
