// Package bench measures how fast the engines and the scoring core are on the
// machine at hand: short loads, repeated, with the median of the repeats. It is
// what `bench bus|sched|score|store` prints, and an edge: it reads the wall clock
// and starts goroutines.
//
// The loads of one group run in turns, so that what else the machine does slows
// all of them, and ratios between them hold where times do not. Read measure for
// how, then bus.go, sched.go, score.go and store.go for what. Only commands call
// it.
package bench

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Result is what one load came to. Where a load has no Against, Ratio is 0.
type Result struct {
	Name        string
	N           int     // operations of one repeat
	NsPerOp     float64 // median of the repeats
	AllocsPerOp float64 // of the median repeat, whole process
	BytesPerOp  float64
	PerSecond   float64 // operations a second
	Ratio       float64 // median over the repeats of this load's time to Against's
	Against     string  // the name of another load of the group
}

// Limits of one group of loads.
const (
	repeats    = 9
	minRepeats = 3
	// slice of time that one repeat of one load aims at: long against a timer's
	// grain and the scheduler's, short enough to have several.
	slice = 20 * time.Millisecond
	// budget of a group, after which no further repeat begins.
	budget = 2 * time.Second
	// maxOps bounds the calibration of a load that does nothing.
	maxOps = 1 << 26
)

// load is something to be done n times.
type load struct {
	name    string
	run     func(n int) error
	against string
}

type sample struct {
	ns     float64
	allocs float64
	bytes  float64
}

// measure runs the loads of a group. Each is first run with growing n until it
// fills a slice of time, twice so that a hiccup does not count, which also warms
// it up.
func measure(loads []load) ([]Result, error) {
	began := time.Now()
	out := make([]Result, len(loads))
	samples := make([][]sample, len(loads))
	for i, l := range loads {
		out[i] = Result{Name: l.name, Against: l.against}
		for n := 1; ; n *= 2 {
			s, err := once(l, n)
			if err != nil {
				return nil, err
			}
			out[i].N = n
			took := s.ns * float64(n)
			if took >= float64(slice) {
				if s, err = once(l, n); err != nil {
					return nil, err
				}
				took = s.ns * float64(n)
			}
			if took >= float64(slice) || n >= maxOps {
				break
			}
			if took < float64(slice)/64 {
				n *= 8 // far away: fewer steps
			}
		}
	}
	for r := 0; r < repeats && (r < minRepeats || time.Since(began) < budget); r++ {
		for i, l := range loads {
			s, err := once(l, out[i].N)
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], s)
		}
	}
	for i := range out {
		r := &out[i]
		sorted := slices.Clone(samples[i])
		slices.SortFunc(sorted, func(a, b sample) int {
			if a.ns < b.ns {
				return -1
			}
			return 1
		})
		m := sorted[len(sorted)/2]
		r.NsPerOp, r.AllocsPerOp, r.BytesPerOp = m.ns, m.allocs, m.bytes
		r.PerSecond = float64(time.Second) / m.ns
		if base := slices.IndexFunc(loads, func(l load) bool { return l.name == r.Against }); r.Against != "" && base >= 0 {
			var ratios []float64
			for k, s := range samples[i] {
				ratios = append(ratios, s.ns/samples[base][k].ns)
			}
			slices.Sort(ratios)
			r.Ratio = ratios[len(ratios)/2]
		}
	}
	return out, nil
}

func once(l load, n int) (sample, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	err := l.run(n)
	took := max(time.Since(began), 1)
	runtime.ReadMemStats(&after)
	if err != nil {
		return sample{}, fmt.Errorf("bench %s: %w", l.name, err)
	}
	each := 1 / float64(n)
	return sample{
		ns:     float64(took.Nanoseconds()) * each,
		allocs: float64(after.Mallocs-before.Mallocs) * each,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) * each,
	}, nil
}

// done checks that a load did its work: else its time says nothing.
func done(what string, got, want int) error {
	if got != want {
		return fmt.Errorf("%d of %d %s", got, want, what)
	}
	return nil
}
