package bench

import (
	"fmt"
	"path/filepath"
	"time"

	"bettensor/sim/localnet"
)

// Defaults of ingest.
const (
	ingestMiners      = 50
	ingestPredictions = 5_000
	ingestWindow      = 64 // predictions of one miner under way
	// frameBytes is about what a prediction's frame has, as the echo sends it.
	frameBytes = 800
	// updates of games in one repetition of `update`.
	updates = 20
)

// ingestLoads are predictions that a real validator confirms, over WebSocket on
// loopback, signed, verified and durable: `prediction`; and where there are
// subscribers `update`, the time until the last of so many listening miners has
// an update of the games. The reference is an echo of as large frames over as many
// connections.
func ingestLoads(p *plan) ([]*load, error) {
	miners, predictions := or(p.Miners, ingestMiners), or(p.Predictions, ingestPredictions)
	if p.open() {
		predictions = arrivals{p.Rate, p.Ramp}.within(p.length())
	}
	if predictions < miners {
		return nil, fmt.Errorf("%d predictions are less than one for each of %d miners; raise predictions, or load.for", predictions, miners)
	}
	dir := func() func() string {
		k := 0
		return func() string { k++; return filepath.Join(p.dir, fmt.Sprintf("ingest-%d", k)) }
	}()
	var at func(int) time.Duration
	if p.open() {
		at = arrivals{p.Rate, p.Ramp}.at
	}
	loads := []*load{{name: "prediction", fixed: predictions, run: func(n int, s *sample) error {
		r, err := localnet.Load{Dir: dir(), Miners: miners, Predictions: n, At: at, Window: ingestWindow}.Run(p.ctx)
		if err != nil {
			return err
		}
		s.n, s.took = r.Confirmed, r.Took
		for _, d := range r.Latencies {
			s.latency.Add(d.Nanoseconds())
		}
		return nil
	}}}
	if p.Subscribers > 0 {
		loads = append(loads, &load{name: "update", fixed: updates, run: func(n int, s *sample) error {
			r, err := localnet.Broadcast(p.ctx, dir(), p.Subscribers, n)
			if err != nil {
				return err
			}
			for _, d := range r.Latencies {
				s.took += d
				s.latency.Add(d.Nanoseconds())
			}
			return nil
		}})
	}
	return append(loads, &load{name: "echo", reference: true, fixed: predictions, run: func(n int, s *sample) (err error) {
		s.took, err = localnet.Echo(p.ctx, miners, n, frameBytes, ingestWindow)
		s.n = (n + miners - 1) / miners * miners
		return err
	}}), nil
}
