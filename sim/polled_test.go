package sim

import (
	"testing"
	"time"

	"bettensor/node/ledger"
	"bettensor/sched"
)

// polledDay is a subnet in which half of the miners speak HTTP alone, on bad
// lines, with nodes that crash.
const polledDay = `
start: 2024-08-17
duration: 1d12h
validators: [{name: v0}, {name: v1}]
miners:
  - {kind: busy, name: dialling, count: 4, parameters: {picks: 24}}
  - {kind: busy, name: polled, count: 4, transport: http, parameters: {picks: 24}}
network: {loss: 0.02, jitter: 50ms}
node: {weights_move: 0}
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 15h, for: 5m}
  - {name: fall, what: process.crash, target: miners.polled, at: 17h, for: 3m}
  - {name: loss, what: network.loss, target: miners, at: 19h, for: 2h, parameters: {loss: 0.2}}
  - {name: slow, what: store.slow, target: miners.polled, at: 22h, for: 1h, parameters: {delay: 3s}}
`

// TestPolledMiners: what comes by polls holds every invariant that what comes
// over sessions does, and is about as much; and what a miner holds as confirmed
// is in the books of that validator.
func TestPolledMiners(t *testing.T) {
	t.Parallel()
	p := planOf(t, polledDay)
	confirmed := map[string]int{}
	var polled, told uint64
	r := ran(t, p, RunOptions{Prepare: func(w *World) {
		w.Sched.Push(p.End.Add(-time.Minute), sched.Func(func() {
			for _, h := range w.Hosts {
				if h.IsValidator() {
					s := h.Validator.Stats()
					n, _ := s.Service("poll").Counts.Get("predictions")
					m, _ := s.Service("poll").Counts.Get("told")
					polled, told = polled+n, told+m
					continue
				}
				for _, o := range outboxOf(t, h) {
					for _, d := range o.Deliveries {
						if d.State != ledger.Confirmed {
							continue
						}
						confirmed[h.miner.Group]++
						for _, v := range w.Hosts[:2] {
							if v.Hotkey == d.Validator && v.Validator.State.Book.Get(h.Hotkey, o.Submission.ID) == nil {
								t.Errorf("%s holds %s as confirmed by %s, which does not have it", h.Name, o.Submission.ID, v.Name)
							}
						}
					}
				}
			}
		}))
	}})
	for _, i := range r.Invariants {
		if i.Violations > 0 {
			t.Errorf("%s: %d violations, the first: %+v", i.Name, i.Violations, i.First)
		}
	}
	if confirmed["polled"] < confirmed["dialling"]*2/3 || confirmed["polled"] == 0 {
		t.Errorf("confirmed: %v", confirmed)
	}
	if polled < uint64(confirmed["polled"])/2 || told == 0 {
		t.Errorf("%d predictions in replies, words told %d times", polled, told)
	}
}
