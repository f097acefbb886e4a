package bench

import (
	"fmt"
	"math"
	"runtime"
	"syscall"
	"time"

	"bettensor/sim/metric"
	"bettensor/sim/scenario"
)

// load is something to be done n times.
type load struct {
	name      string
	reference bool
	// run does n operations. It may tell in the sample how many they were and how
	// long they took, where not all of its time is theirs, and how long each took.
	run func(n int, s *sample) error
	// fixed, where set, is the number of operations whatever they take.
	fixed   int
	close   func()
	n       int // of each repetition
	samples []sample
}

// sample is one repetition of one load. Latency is in nanoseconds.
type sample struct {
	n       int
	took    time.Duration
	used    time.Duration // of all cores, by the whole process
	allocs  float64       // of the whole process
	bytes   float64
	latency metric.Histogram
}

func (s *sample) nsPerOp() float64   { return float64(s.took.Nanoseconds()) / float64(s.n) }
func (s *sample) usedPerOp() float64 { return float64(s.used.Nanoseconds()) / float64(s.n) }

// maxOps bounds the calibration of a load that does nothing.
const maxOps = 1 << 28

// measure warms the loads up, finds how many operations fill a repetition, and
// then runs all of them in turns.
func (p *plan) measure(loads []*load) error {
	for _, l := range loads {
		if err := p.calibrate(l); err != nil {
			return err
		}
	}
	for range or(p.scenario.Repeat, defaultRepeats) {
		for _, l := range loads {
			if err := p.ctx.Err(); err != nil {
				return err
			}
			s, err := once(l, l.n)
			if err != nil {
				return err
			}
			l.samples = append(l.samples, s)
		}
	}
	return nil
}

// calibrate runs a load with growing n until it fills a repetition, twice so that
// a hiccup does not count, which also warms it up; and then for the warmup.
func (p *plan) calibrate(l *load) error {
	switch {
	case l.fixed > 0:
		l.n = l.fixed
	case p.open():
		l.n = max(arrivals{p.Rate, p.Ramp}.within(p.length()), 1)
		if p.Operations > 0 {
			l.n = p.Operations
		}
	case p.Operations > 0:
		l.n = p.Operations
	default:
		if err := p.fill(l); err != nil {
			return err
		}
	}
	for began := time.Now(); time.Since(began) < p.scenario.Warmup; {
		if _, err := once(l, l.n); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) fill(l *load) error {
	want := float64(p.length())
	for n := 1; ; {
		s, err := once(l, n)
		if err == nil && float64(s.took) >= want {
			s, err = once(l, n)
		}
		if err != nil {
			return err
		}
		took := float64(s.took)
		l.n = n
		if took >= 0.9*want || n >= maxOps {
			return nil
		}
		// Towards the goal in steps: the first operations are the slowest.
		n = min(max(int(float64(n)*min(want/took, 16)), n+1), maxOps)
	}
}

func once(l *load, n int) (sample, error) {
	runtime.GC() // what came before is not this one's
	var s sample
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, began := processorTime(), time.Now()
	err := l.run(n, &s)
	took := max(time.Since(began), 1)
	used = processorTime() - used
	runtime.ReadMemStats(&after)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", l.name, err)
	}
	if s.n == 0 {
		s.n = n
	}
	if s.took == 0 {
		s.took = took
	}
	s.used = max(used, 1)
	each := 1 / float64(s.n)
	s.allocs = float64(after.Mallocs-before.Mallocs) * each
	s.bytes = float64(after.TotalAlloc-before.TotalAlloc) * each
	return s, nil
}

// processorTime is what this process has used of all cores.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rounds is into how many pieces a mixture cuts each of its parts.
const rounds = 16

// mixed puts the whole before its parts: each share of a round comes in one
// piece. With one part there is no other whole.
func mixed(name string, mix []scenario.Part, part func(name string) (*load, error)) ([]*load, error) {
	var parts []*load
	for _, m := range mix {
		l, err := part(m.Name)
		if err != nil {
			return parts, err
		}
		l.name = m.Name
		parts = append(parts, l)
	}
	if len(parts) < 2 {
		return parts, nil
	}
	least := 1 // operations of which each part is one
	for _, m := range mix {
		if m.Share > 0 {
			least = max(least, int(math.Ceil(1/m.Share)))
		}
	}
	whole := &load{name: name, run: func(n int, s *sample) error {
		n = max(n, least)
		given := make([]int, len(parts))
		for r := range rounds {
			for i, l := range parts {
				k := int(math.Round(mix[i].Share*float64(n)*float64(r+1)/rounds)) - given[i]
				if k == 0 {
					continue
				}
				given[i] += k
				s.n += k
				if err := l.run(k, &sample{}); err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
			}
		}
		return nil
	}}
	return append([]*load{whole}, parts...), nil
}

// mixOr is the mix of the file, or one operation alone.
func (p *plan) mixOr(byDefault string) []scenario.Part {
	if len(p.Mix) > 0 {
		return p.Mix
	}
	return []scenario.Part{{Name: byDefault, Share: 1}}
}
