package sim

import (
	"testing"
	"time"

	"bettensor/sim/fault"
)

// TestTroubled: what faults excuse is the time while they are felt and no more: one
// that is over in a moment, or long ago, excuses nothing, and two at once count
// once.
func TestTroubled(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(0, 0).UTC().Add(d) }
	const more = 5 * time.Minute
	h := time.Hour
	w := &World{troubles: []trouble{{at(1 * h), at(2 * h)}, {at(1*h + 30*time.Minute), at(3 * h)}, {at(5 * h), at(5 * h)}, {at(6 * h), at(7 * h)}}}
	for _, c := range []struct {
		from, to, want time.Duration
	}{
		{0, h, 0}, {0, h + time.Minute, time.Minute}, {h, 4 * h, 2*h + more}, {0, 10 * h, 3*h + 3*more}, {90 * time.Minute, 2 * h, 30 * time.Minute},
		{5 * h, 6 * h, more}, {7*h + more, 9 * h, 0}, {3*h + 2*time.Minute, 4 * h, 3 * time.Minute},
	} {
		if got := w.troubled(at(c.from), at(c.to), more); got != c.want {
			t.Errorf("from %s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
	p := planOf(t, `
validators: [{name: v0}]
miners: [{kind: random}]
faults:
  - {name: cut, what: network.mass_disconnect, target: all, at: 1h}
  - {name: panics, what: process.panic, target: validators, every: 1h, for: 1h}
  - {name: rules, what: chain.hyperparameters, at: 1h, parameters: {tempo: 50}}
  - {name: theirs, what: process.crash, target: miners, at: 3h}
  - {name: out, what: feed.outage, at: 2h, for: 90m}
  - {name: jump, what: clock.jump, target: validators, at: 6h, for: 1h, parameters: {ahead: 30m}}
`, "duration=1d", "node.heartbeat=1h")
	w, err := p.NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if got := w.hindered(p.Scenario.Faults, 24*h); got != 150*time.Minute {
		t.Errorf("the validator is kept from its work for %s, want those of out and jump", got)
	}
	w.Run(p.End)
	if got := w.troubled(p.Start.Add(8*h), p.Start.Add(8*h+30*time.Minute), more); got != 30*time.Minute { // theirs lasts
		t.Errorf("%s of half an hour while a fault lasts", got)
	}
	w.troubles = w.troubles[:0]
	w.note(&fault.Fault{What: "clock.jump", Params: fault.Params{Ahead: 30 * time.Minute}}, h)
	w.note(&fault.Fault{What: "process.panic"}, h)
	if a, b := w.troubles[0], w.troubles[1]; a.to.Sub(a.from) != 2*h || b.to != b.from {
		t.Errorf("a clock that was half an hour ahead is felt for %s, a panic for %s", a.to.Sub(a.from), b.to.Sub(b.from))
	}
}
