package bench

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// The noise model by which two reports are judged.
//
// A load is compared by its ratio to a reference that ran in the same turns, the
// first that it has, so that a machine that is slower or busier cancels out, and
// reports of two machines can be compared at all. Turns are the samples. A load
// has become slower where both hold:
//
//   - the samples of both reports are unlikely to be of one distribution: the
//     two-sided p of Mann and Whitney's rank test is below significance. It takes
//     no shape of the noise for granted, and with fewer than 5 turns against 5 it
//     can never say so: such reports are told to be too short.
//   - the medians differ by more than tolerance and by more than noise times the
//     spread that the reference itself has, the greater of both reports: where a
//     loop that cannot change moved by a tenth from turn to turn, a tenth says nothing.
//
// Allocations are counted, not timed: more than a tenth and a half of one is a
// regression whatever the noise.
const (
	significance   = 0.01
	tolerance      = 0.05
	noise          = 2
	moreAllocs     = 1.1
	allocGrain     = 0.5
	leastTurns     = 5
	maxExactTurns  = 64 // of both reports; above it the normal distribution is near enough
	quartileToHalf = 2  // a spread is half of what lies between the quartiles
)

// Verdict on one load of two reports.
type Verdict string

// Verdicts.
const (
	Same     Verdict = "same"
	Faster   Verdict = "faster"
	Slower   Verdict = "slower"
	Allocs   Verdict = "more allocations"
	TooShort Verdict = "too few repetitions" // to tell
	Missing  Verdict = "missing"             // in the new report
	Added    Verdict = "added"               // to the new report
)

// Change is what became of one load from one report to another.
type Change struct {
	Benchmark string  `json:"benchmark"`
	Load      string  `json:"load"`
	To        string  `json:"to,omitempty"` // the reference; "" where times are compared
	Old       float64 `json:"old"`          // ratio, or ns where To is ""
	New       float64 `json:"new"`
	By        float64 `json:"by"`    // new by old
	P         float64 `json:"p"`     // that both are of one distribution
	Noise     float64 `json:"noise"` // change that says nothing
	Verdict   Verdict `json:"verdict"`
}

// Regression says whether the change is one for the worse.
func (c *Change) Regression() bool {
	return c.Verdict == Slower || c.Verdict == Allocs || c.Verdict == Missing
}

// Compare judges each load of two reports. References are not judged.
func Compare(before, after *Report) []Change {
	var out []Change
	for _, old := range before.Benchmarks {
		now := after.named(old.Name)
		for i := range old.Loads {
			l := &old.Loads[i]
			if l.Reference {
				continue
			}
			c := Change{Benchmark: old.Name, Load: l.Name, Verdict: Missing}
			if now != nil {
				if x := now.load(l.Name); x != nil {
					c.judge(old, l, now, x)
				}
			}
			out = append(out, c)
		}
	}
	for _, b := range after.Benchmarks {
		if before.named(b.Name) == nil {
			out = append(out, Change{Benchmark: b.Name, Load: b.Loads[0].Name, Verdict: Added})
		}
	}
	return out
}

// named finds a benchmark, nil if there is none.
func (r *Report) named(name string) *Benchmark {
	if i := slices.IndexFunc(r.Benchmarks, func(b *Benchmark) bool { return b.Name == name }); i >= 0 {
		return r.Benchmarks[i]
	}
	return nil
}

// load finds a load by name, nil if there is none.
func (b *Benchmark) load(name string) *Load {
	if i := slices.IndexFunc(b.Loads, func(l Load) bool { return l.Name == name }); i >= 0 {
		return &b.Loads[i]
	}
	return nil
}

func (c *Change) judge(before *Benchmark, old *Load, after *Benchmark, now *Load) {
	a, b := old.NsPerOp, now.NsPerOp
	var quiet float64
	for _, r := range old.Ratios {
		if k := slices.IndexFunc(now.Ratios, func(x Ratio) bool { return x.To == r.To }); k >= 0 {
			c.To, a, b = r.To, r.Spread, now.Ratios[k].Spread
			quiet = max(before.unrest(r), after.unrest(r))
			break
		}
	}
	c.Old, c.New, c.By = a.Median, b.Median, b.Median/a.Median
	c.P = rankTest(a.Values, b.Values)
	c.Noise = max(tolerance, noise*quiet)
	switch {
	case now.AllocsPerOp > old.AllocsPerOp*moreAllocs+allocGrain:
		c.Verdict = Allocs
	case min(len(a.Values), len(b.Values)) < leastTurns:
		c.Verdict = TooShort
	case c.P >= significance || math.Abs(math.Log(c.By)) <= math.Log1p(c.Noise):
		c.Verdict = Same
	case c.By > 1:
		c.Verdict = Slower
	default:
		c.Verdict = Faster
	}
}

// unrest is the spread of a reference's own time from turn to turn: half of what
// lies between its quartiles, as a share of its median.
func (b *Benchmark) unrest(r Ratio) float64 {
	l := b.load(r.To)
	if l == nil || r.Of == latencies { // a reference's latency is all noise: the samples tell
		return 0
	}
	own := l.UsedPerOp.Values
	if r.Of == wallTimes {
		own = l.NsPerOp.Values
	}
	v := slices.Sorted(slices.Values(own))
	n := len(v)
	return (v[(3*n-1)/4] - v[n/4]) / quartileToHalf / medianOf(v)
}

// rankTest is the two-sided p of Mann and Whitney's test that a and b are of one
// distribution. It is exact for few samples; those that are equal count half.
func rankTest(a, b []float64) float64 {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 1
	}
	u := 0.0 // pairs in which a is the greater
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				u++
			case x == y:
				u += 0.5
			}
		}
	}
	u = math.Floor(min(u, float64(n*m)-u))
	if n+m > maxExactTurns {
		mean, sd := float64(n*m)/2, math.Sqrt(float64(n*m*(n+m+1))/12)
		return min(math.Erfc((mean-u-0.5)/sd/math.Sqrt2), 1)
	}
	// ways[k][v]: how many orders of k samples of a among those of b so far have a
	// statistic of v. A sample of a that is put behind j of b adds j to it.
	ways := make([][]float64, n+1)
	for k := range ways {
		ways[k] = make([]float64, n*m+1)
	}
	ways[0][0] = 1
	for j := range m + 1 {
		for k := 1; k <= n; k++ {
			for v := j; v <= n*m; v++ {
				ways[k][v] += ways[k-1][v-j]
			}
		}
	}
	all, least := 0.0, 0.0
	for v, w := range ways[n] {
		all += w
		if float64(v) <= u {
			least += w
		}
	}
	return min(2*least/all, 1)
}

// WriteChanges is a table of changes for people. The error is that of w.
func WriteChanges(w io.Writer, changes []Change) error {
	out := bufio.NewWriter(w)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "benchmark\tload\tby\told\tnew\tchange\tp\tnoise\tverdict")
	for _, c := range changes {
		if c.Old == 0 {
			fmt.Fprintf(t, "%s\t%s\t\t\t\t\t\t\t%s\n", c.Benchmark, c.Load, c.Verdict)
			continue
		}
		by := "ns/op"
		if c.To != "" {
			by = "× " + c.To
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.3g\t%.3g\t%+.0f %%\t%.3f\t±%.0f %%\t%s\n", c.Benchmark, c.Load, by, c.Old, c.New, 100*(c.By-1), c.P, 100*c.Noise, c.Verdict)
	}
	t.Flush()
	return out.Flush()
}
