// Package bench measures how fast the parts are on the machine at hand, as files
// with `load` say: the event bus, the scheduler, the scoring core, the store,
// ingest over loopback sockets, the whole simulator. It is an edge: it reads the
// wall clock and starts goroutines.
//
// What a file asks for and references, such as a Go channel or a plain loop, run
// in turns, so that what else the machine does slows all of them, and the ratio
// of two that ran in one turn holds where times do not. Read measure.go for how,
// bus.go and its like for what, report.go for the figures, judge.go for a file's
// thresholds, compare.go for the noise model by which two reports are judged.
// Only commands call it.
package bench

import (
	"context"
	"fmt"
	"time"

	"bettensor/sim/scenario"
)

// Options of a measurement.
type Options struct {
	// Dir is where stores are kept while they are measured; on the disk that is
	// meant. The caller removes it.
	Dir string
}

// Defaults of a file that names none.
const (
	defaultRepeats = 5
	// defaultFor is long against a timer's grain and a scheduler's slice, short
	// enough to be repeated.
	defaultFor = 100 * time.Millisecond
)

// Run measures what a scenario's load asks for. The scenario must have one and
// hold together, as scenario.Parse sees to.
func Run(ctx context.Context, s *scenario.Scenario, o Options) (*Benchmark, error) {
	build := map[string]func(*plan) ([]*load, error){
		"bus": busLoads, "sched": schedLoads, "score": scoreLoads, "store": storeLoads, "ingest": ingestLoads, "sim": simLoads}[s.Load.What]
	if build == nil {
		return nil, fmt.Errorf("the scenario has no load; run it with: sim run")
	}
	p := &plan{ctx: ctx, Load: s.Load, scenario: s, dir: o.Dir}
	began := time.Now()
	loads, err := build(p)
	defer func() {
		for _, l := range loads {
			if l.close != nil {
				l.close()
			}
		}
	}()
	if err == nil {
		err = p.measure(loads)
	}
	if err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", s.Name, err)
	}
	b := p.report(loads)
	if err := b.judge(s.Thresholds); err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", s.Name, err)
	}
	b.Seconds = time.Since(began).Seconds()
	return b, nil
}

// plan is a load with what its parts need to be built.
type plan struct {
	scenario.Load
	ctx      context.Context
	scenario *scenario.Scenario
	dir      string
}

func (p *plan) open() bool { return p.Arrivals == "open" }

// length of one repetition.
func (p *plan) length() time.Duration {
	if p.For > 0 {
		return p.For
	}
	return defaultFor
}

// or is a number of the file, or its default.
func or(n, byDefault int) int {
	if n > 0 {
		return n
	}
	return byDefault
}

// done checks that a load did its work: else its time says nothing.
func done(what string, got, want int) error {
	if got != want {
		return fmt.Errorf("%d of %d %s", got, want, what)
	}
	return nil
}
