package bench

import (
	"errors"
	"fmt"
	"time"

	"bettensor/sim"
)

// simLoads are the `event`s of the rest of the file, which is an ordinary
// scenario: each repetition is one run. The reference is a heap of the standard
// library, which is the least that a simulator of events does.
func simLoads(p *plan) ([]*load, error) {
	if len(p.scenario.Market.Files) > 0 {
		return nil, errors.New("market.file is not read by benchmarks; make the games up")
	}
	ordinary := *p.scenario
	ordinary.Thresholds = nil // they are the benchmark's
	pl, _, err := sim.NewPlan(&ordinary, nil)
	if err != nil {
		return nil, err
	}
	heap := plainHeap()
	return []*load{{name: "event", fixed: 1, run: func(_ int, s *sample) error {
		began := time.Now()
		r, err := pl.Run(sim.RunOptions{Stopped: p.ctx.Err})
		if err != nil {
			return err
		}
		s.n, s.took = int(r.Events), time.Since(began)
		for _, f := range r.Failures() {
			return fmt.Errorf("the run failed by %s: %s", f.Signature(), f.First)
		}
		return nil
	}}, heap}, nil
}
