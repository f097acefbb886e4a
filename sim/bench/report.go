package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"bettensor/sim/metric"
)

// Version of the form of reports. It grows when a field changes its meaning.
const Version = 1

// Report is what `bench run` writes as JSON: the fields and their units are held
// stable, new ones may come.
type Report struct {
	Version    int          `json:"version"`
	Revision   string       `json:"revision"` // of the program; "" where it is not known
	Machine    Machine      `json:"machine"`
	Benchmarks []*Benchmark `json:"benchmarks"`
}

// Machine is where it was measured.
type Machine struct {
	CPU   string `json:"cpu"`   // as the system calls it; "" where it does not tell
	Cores int    `json:"cores"` // that the program uses
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
}

// Benchmark is one file's.
type Benchmark struct {
	Name     string `json:"name"`
	File     string `json:"file,omitempty"`
	What     string `json:"what"`     // load.what
	Arrivals string `json:"arrivals"` // open or closed
	// Rate of open arrivals, operations a second.
	Rate    float64 `json:"rate,omitempty"`
	Repeat  int     `json:"repeat"`
	Seconds float64 `json:"seconds"` // of wall time, all of it
	// Loads: the first is what the file asks for as a whole, then come the parts of
	// its mix where it has several, then the references.
	Loads      []Load      `json:"loads"`
	Thresholds []Threshold `json:"thresholds,omitempty"`
}

// Load is what one of a benchmark's loads came to.
type Load struct {
	Name      string `json:"name"`
	Reference bool   `json:"reference,omitempty"`
	// Operations of a repetition.
	Operations int `json:"operations"`
	// NsPerOp is wall time; with open arrivals it is the pace at which they came.
	NsPerOp Spread `json:"ns_per_op"`
	// UsedPerOp is processor time of the whole process, all cores together.
	UsedPerOp   Spread  `json:"processor_ns_per_op"`
	PerSecond   float64 `json:"per_second"`    // of the median repetition
	AllocsPerOp float64 `json:"allocs_per_op"` // median, of the whole process
	BytesPerOp  float64 `json:"bytes_per_op"`  // likewise
	// Latency over all repetitions, nil where operations are not timed alone.
	Latency *Latency `json:"latency_ns,omitempty"`
	Ratios  []Ratio  `json:"ratios,omitempty"`

	latency metric.Histogram
}

// Spread is a figure over the repetitions.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Values in the order of the repetitions.
	Values []float64 `json:"values"`
}

// Ratio is a load's cost by that of a reference, repetition by repetition.
type Ratio struct {
	To string `json:"to"`
	// Of is what is compared: processor time where the load only computes, which
	// other programs on the machine do not lengthen; wall time where it waits for a
	// disk or sockets; median latency with open arrivals.
	Of string `json:"of"`
	Spread
}

// Latency in nanoseconds, to one part in a hundred.
type Latency struct {
	Count uint64  `json:"count"`
	Min   int64   `json:"min"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p999"`
	Max   int64   `json:"max"`
}

func spreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{medianOf(sorted), sorted[0], sorted[len(sorted)-1], values}
}

// medianOf is the middle of sorted values, of which there is at least one.
func medianOf(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// report puts the samples of all loads into figures.
func (p *plan) report(loads []*load) *Benchmark {
	b := &Benchmark{Name: p.scenario.Name, What: p.What, Arrivals: "closed", Repeat: or(p.scenario.Repeat, defaultRepeats)}
	if p.open() {
		b.Arrivals, b.Rate = p.Arrivals, p.Rate
	}
	for _, l := range loads {
		f := Load{Name: l.name, Reference: l.reference}
		var ns, used, allocs, bytes, operations []float64
		for i := range l.samples {
			s := &l.samples[i]
			ns, allocs, bytes = append(ns, s.nsPerOp()), append(allocs, s.allocs), append(bytes, s.bytes)
			used, operations = append(used, s.usedPerOp()), append(operations, float64(s.n))
			f.latency.Merge(&s.latency)
		}
		f.Operations = int(spreadOf(operations).Median)
		f.NsPerOp, f.UsedPerOp = spreadOf(ns), spreadOf(used)
		f.PerSecond = float64(time.Second) / f.NsPerOp.Median
		f.AllocsPerOp, f.BytesPerOp = spreadOf(allocs).Median, spreadOf(bytes).Median
		if h := &f.latency; h.Count() > 0 {
			f.Latency = &Latency{h.Count(), h.Min(), h.Mean(), h.Percentile(50), h.Percentile(90), h.Percentile(99), h.Percentile(99.9), h.Max()}
		}
		for _, ref := range loads {
			if !ref.reference || l.reference {
				continue
			}
			if of, values := p.ratios(l, ref); len(values) > 0 {
				f.Ratios = append(f.Ratios, Ratio{ref.name, of, spreadOf(values)})
			}
		}
		b.Loads = append(b.Loads, f)
	}
	return b
}

// What ratios compare.
const (
	processorTimes = "processor time"
	wallTimes      = "wall time"
	latencies      = "latency"
)

// ratios are by turns. Where operations come at a rate, their pace is the
// arrivals', and what a load costs shows in the latency.
func (p *plan) ratios(l, ref *load) (of string, values []float64) {
	of = processorTimes
	switch {
	case p.open() && (l.samples[0].latency.Count() == 0 || ref.samples[0].latency.Count() == 0):
		return "", nil // nothing of both can be compared
	case p.open():
		of = latencies
	case p.What == "store" || p.What == "ingest":
		of = wallTimes
	}
	for i := range l.samples {
		a, b := &l.samples[i], &ref.samples[i]
		switch of {
		case latencies:
			values = append(values, float64(a.latency.Percentile(50))/float64(max(b.latency.Percentile(50), 1)))
		case wallTimes:
			values = append(values, a.nsPerOp()/b.nsPerOp())
		default:
			values = append(values, a.usedPerOp()/b.usedPerOp())
		}
	}
	return of, values
}

// NewReport is one without benchmarks yet, of this machine.
func NewReport(revision string) *Report {
	return &Report{Version: Version, Revision: revision, Machine: Machine{cpu(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version()}}
}

// cpu is the processor's name, where the system tells it in a file.
func cpu() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String is the machine on one line.
func (m Machine) String() string {
	if m.CPU == "" {
		return fmt.Sprintf("%d cores, %s/%s, %s", m.Cores, m.OS, m.Arch, m.Go)
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", m.CPU, m.Cores, m.OS, m.Arch, m.Go)
}

// Write is the benchmark as a table for people. The error is that of w.
func (b *Benchmark) Write(w io.Writer) error {
	out := bufio.NewWriter(w) // keeps the first error, so that only Flush is asked
	fmt.Fprintf(out, "%s (%s, %s arrivals, %d repetitions, %.1f s)\n", b.Name, b.What, b.Arrivals, b.Repeat, b.Seconds)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  load\tns/op\tspread\tB/op\tallocs/op\tper second\tp50\tp99\tp99.9\tratio")
	for i := range b.Loads {
		l := &b.Loads[i]
		quantiles := [3]string{"", "", ""}
		if q := l.Latency; q != nil {
			for k, ns := range []int64{q.P50, q.P99, q.P999} {
				quantiles[k] = rounded(time.Duration(ns)).String()
			}
		}
		var ratios []string
		for _, r := range l.Ratios {
			ratios = append(ratios, fmt.Sprintf("%.2f × %s", r.Median, r.To))
		}
		name := l.Name
		if l.Reference {
			name = "(" + name + ")"
		}
		fmt.Fprintf(t, "  %s\t%.1f\t±%.0f %%\t%.1f\t%.2f\t%.0f\t%s\t%s\t%s\t%s\n", name, l.NsPerOp.Median, 50*(l.NsPerOp.High-l.NsPerOp.Low)/l.NsPerOp.Median,
			l.BytesPerOp, l.AllocsPerOp, l.PerSecond, quantiles[0], quantiles[1], quantiles[2], strings.Join(ratios, ", "))
	}
	t.Flush()
	for _, t := range b.Thresholds {
		word := "ok  "
		if !t.OK {
			word = "FAIL"
		}
		fmt.Fprintf(out, "  %s  %s\n", word, t)
	}
	return out.Flush()
}

// rounded is a duration to three digits.
func rounded(d time.Duration) time.Duration {
	step := time.Duration(1)
	for d/step >= 1000 {
		step *= 10
	}
	return d.Round(step)
}

// Note is the benchmark on one line: its rate, and its ratios.
func (b *Benchmark) Note() string {
	l := &b.Loads[0]
	note := fmt.Sprintf("%s %.3g/s", l.Name, l.PerSecond)
	for _, r := range l.Ratios {
		note += fmt.Sprintf(", %.2f × %s", r.Median, r.To)
	}
	if l.Latency != nil {
		note += fmt.Sprintf(", p99 %s", rounded(time.Duration(l.Latency.P99)))
	}
	return note
}

// Check says what is wrong with a report that was read.
func (r *Report) Check() error {
	if r.Version != Version {
		return fmt.Errorf("a report of version %d; this program reads version %d: measure again with it", r.Version, Version)
	}
	for _, b := range r.Benchmarks {
		if b == nil || len(b.Loads) == 0 {
			return errors.New("a benchmark without loads")
		}
		for _, l := range b.Loads {
			for _, ratio := range append([]Ratio{{Spread: l.NsPerOp}, {Spread: l.UsedPerOp}}, l.Ratios...) {
				if len(ratio.Values) == 0 || !(ratio.Median > 0) {
					return fmt.Errorf("benchmark %s: load %s: no figures", b.Name, l.Name)
				}
			}
		}
	}
	return nil
}
