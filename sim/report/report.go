// Package report makes pages of HTML: of a simulated run (verdict, what failed first,
// faults and events on one axis of time, weights and tiers by kind of miner, reward,
// latency, what was checked), of a sweep of seeds, and of a comparison of two
// mechanisms. A page is whole in itself: it asks no network for anything, and reads
// from a disk as it does from a server.
//
// Read report.go for what goes into a run's page and its bounds, draw.go for what
// the script of that page is given, sweep.go and compare.go for the other two,
// frame.go for what all have, page/ for the templates. sim/cli calls it.
package report

import (
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"bettensor/sim"
	"bettensor/sim/invariant"
)

// Bounds of a page, besides those of a sim.Series: it is mailed, and opened on
// telephones.
const (
	// Samples of a run's course that a page draws: more than a screen has columns to
	// tell apart.
	Samples   = 250
	maxMiners = 300
	// Lines of a trace that a page shows.
	Lines = 200
)

// Run is what a page tells of.
type Run struct {
	Result   *sim.Result // with its Series, which may be nil: then nothing is drawn over time
	About    string      // of the scenario
	Revision string      // of the program; "" where it is not known
	Led      *Led        // of a run that failed
}

// Led is what led to the first failure of a run.
type Led struct {
	Failure sim.Failure
	At      time.Time // virtual
	Event   uint64    // of all loops, the last before it
	Safety  bool      // the lines end at the failure; else at the end of the run
	Lines   []string  // the last of the trace before it; Write shows the newest
	There   string    // the command that stops there; "" for none
	Smaller string    // the command that looks for a smaller scenario; "" for none
}

// Write writes the page. The error is w's, or a value's that cannot be shown.
func Write(w io.Writer, r *Run) error {
	v, err := newView(r)
	if err != nil {
		return err
	}
	return v.write(w, "run.html", v, r.Result.Scenario)
}

// view is the page's data in the words of its template.
type view struct {
	*sim.Result
	frame
	About         string
	Passed        bool
	Failures      []sim.Failure
	Led           *Led
	Rows          []kindRow
	Most          float64 // earned by each miner of the richest kind, in rao
	Shown         []sim.MinerResult
	MinersLeft    int
	Docs          map[string]string // of the invariants
	Checks        uint64
	Latencies     []sim.MetricResult
	Measured      []sim.MetricResult
	Wanted, Other []sim.PropertyResult
	Drawing       *drawing
}

// kindRow is a kind of miner as a row.
type kindRow struct {
	sim.KindResult
	Each float64 // emission of one of its miners, in rao
}

func newView(r *Run) (*view, error) {
	f, err := newFrame(r.Revision, "page/page.js", "page/run.js")
	if err != nil {
		return nil, err
	}
	v := &view{frame: f, Result: r.Result, About: r.About, Failures: r.Result.Failures(), Docs: map[string]string{}, Drawing: newDrawing(r.Result)}
	v.Passed = len(v.Failures) == 0
	if r.Led != nil {
		led := *r.Led
		led.Lines = outdented(led.Lines[max(0, len(led.Lines)-Lines):])
		v.Led = &led
	}
	for _, k := range r.Result.Kinds() {
		row := kindRow{k, float64(k.Emission) / float64(k.Count)}
		v.Most = max(v.Most, row.Each)
		v.Rows = append(v.Rows, row)
	}
	v.Shown = r.Result.Ranked()
	if n := len(v.Shown); n > maxMiners {
		v.Shown, v.MinersLeft = v.Shown[:maxMiners], n-maxMiners
	}
	for _, d := range invariant.Docs() {
		v.Docs[d.Name] = d.Doc
	}
	for _, x := range r.Result.Invariants {
		v.Checks += x.Checked
	}
	for _, m := range r.Result.Metrics {
		if m.Type == "distribution" {
			v.Latencies = append(v.Latencies, m)
		} else {
			v.Measured = append(v.Measured, m)
		}
	}
	for _, p := range r.Result.Sometimes {
		if p.Wanted {
			v.Wanted = append(v.Wanted, p)
		} else {
			v.Other = append(v.Other, p)
		}
	}
	slices.SortStableFunc(v.Other, func(a, b sim.PropertyResult) int { return boolean(a.Reached == 0) - boolean(b.Reached == 0) })
	return v, nil
}

// outdented takes off the spaces that all lines begin with.
func outdented(lines []string) []string {
	least := math.MaxInt
	for _, l := range lines {
		least = min(least, len(l)-len(strings.TrimLeft(l, " ")))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[least:]
	}
	return out
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
