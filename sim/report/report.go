// Package report makes one page of HTML of a simulated run: verdict, what failed
// first, faults and events on one axis of time, weights and tiers by kind of
// miner, reward, latency, what was checked. The page is whole in itself: it asks
// no network for anything, and reads from a disk as it does from a server.
//
// Read report.go for what goes into a page and its bounds, draw.go for what the
// script of the page is given, page/ for the page. sim/cli calls it.
package report

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
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

//go:embed page
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"grouped": grouped, "percent": percent, "signed": signed, "ratio": ratio, "tao": tao, "dollars": dollars, "date": date, "bar": bar,
	"figure": figure, "add": func(a, b int) int { return a + b },
}).ParseFS(files, "page/page.html"))

// Write writes the page. The error is w's, or a value's that cannot be shown.
func Write(w io.Writer, r *Run) error {
	v, err := newView(r)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	if err := page.Execute(b, v); err != nil {
		return fmt.Errorf("report of %s: %w", r.Result.Scenario, err)
	}
	return b.Flush()
}

// view is the page's data in the words of its template.
type view struct {
	*sim.Result
	About, Revision string
	Passed          bool
	Failures        []sim.Failure
	Led             *Led
	Rows            []kindRow
	Most            float64 // earned by each miner of the richest kind, in rao
	Shown           []sim.MinerResult
	MinersLeft      int
	Docs            map[string]string // of the invariants
	Checks          uint64
	Latencies       []sim.MetricResult
	Measured        []sim.MetricResult
	Wanted, Other   []sim.PropertyResult
	Drawing         *drawing
	Style           template.CSS
	Script          template.JS
	Policy          string
}

// kindRow is a kind of miner as a row.
type kindRow struct {
	sim.KindResult
	Each float64 // emission of one of its miners, in rao
}

func newView(r *Run) (*view, error) {
	style, err := files.ReadFile("page/page.css")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	script, err := files.ReadFile("page/page.js")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	script = bytes.ReplaceAll(script, []byte("\r\n"), []byte("\n")) // as a browser reads it: its sum is taken
	sum := sha256.Sum256(script)
	v := &view{Result: r.Result, About: r.About, Revision: r.Revision, Failures: r.Result.Failures(), Docs: map[string]string{},
		Drawing: newDrawing(r.Result), Style: template.CSS(style), Script: template.JS(script),
		Policy: "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}
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

// bar is the length of a bar of at most 100 for a part of a whole.
func bar(part, whole float64) string {
	if whole <= 0 {
		return "0"
	}
	return strconv.FormatFloat(min(max(100*part/whole, 0), 100), 'f', 1, 64)
}

func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func percent(v float64) string { return fmt.Sprintf("%.1f\u202f%%", 100*v) }

// signed is a share that may be a loss, of n things; "–" of none.
func signed(v float64, n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%+.1f\u202f%%", 100*v)
}

func ratio(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}

// tao is an amount of rao.
func tao(rao any) string {
	switch x := rao.(type) {
	case uint64:
		return fmt.Sprintf("%.2f", float64(x)/1e9)
	case float64:
		return fmt.Sprintf("%.2f", x/1e9)
	}
	return "–"
}

func dollars(cents int64) string { return bet.Cents(cents).String() }

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// figure is a number of a unit; times are durations.
func figure(x float64, unit string) string {
	if unit == "s" {
		d := time.Duration(x * 1e9)
		switch {
		case d >= time.Minute:
			d = d.Round(time.Second)
		case d >= time.Second:
			d = d.Round(10 * time.Millisecond)
		default:
			d = d.Round(10 * time.Microsecond)
		}
		return d.String()
	}
	return strconv.FormatFloat(x, 'g', 5, 64)
}
