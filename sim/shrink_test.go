package sim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
	"bettensor/sim/scenario"
)

// manyFaults is half a day with sixty faults on eight miners and two validators.
func manyFaults() string {
	var b strings.Builder
	b.WriteString(`
name: many
start: 2024-08-17T12:00:00Z
duration: 12h
validators: [{name: v0}, {name: v1}]
miners: [{kind: random, count: 2}, {kind: idle, count: 5}, {kind: skilled}]
node: {heartbeat: 1h, metagraph_interval: 2h, status_interval: 6h, feed_poll: 1h}
chain: {tempo: 500}
network: {latency: 30ms}
thresholds: [{metric: restarts, expect: "count<1000"}]
faults:
`)
	for i := range 60 {
		what := [...]string{"network.delay", "store.slow", "feed.outage", "store.slow", "network.delay"}[i%5]
		fmt.Fprintf(&b, "  - {name: f%d, what: %s, target: validators, at: %dm, for: 1h, every: 4h}\n", i, what, 60+5*i)
	}
	return b.String()
}

// needsTwo plants a bug that shows where two faults hit one validator at a time:
// it sets weights on a slot that nobody holds.
func needsTwo(a, b string) func(*World) {
	return func(w *World) {
		var look func()
		look = func() {
			for _, h := range w.Hosts {
				seen := 0
				for _, x := range h.active {
					if x.f.Name == a || x.f.Name == b {
						seen++
					}
				}
				if seen == 2 {
					w.Chain.Submit(w.now(), chain.Request{Op: chain.OpSetWeights, Hotkey: h.Hotkey,
						Weights: chain.Weights{UIDs: []chain.UID{200}, Values: []uint16{chain.MaxWeight}}})
				}
			}
			w.Sched.After(10*time.Minute, sched.Func(look))
		}
		w.Sched.After(0, sched.Func(look))
	}
}

// TestShrink: of sixty faults the two remain that the planted bug needs, at most
// three miners, within two hundred runs; what is written fails by the same
// invariant, and is no longer than it need be.
func TestShrink(t *testing.T) {
	t.Parallel()
	p := planOf(t, manyFaults(), "seed=9")
	plant := needsTwo("f17", "f26")
	var steps int
	s, err := p.Shrink(ShrinkOptions{Run: RunOptions{Prepare: plant}, Step: func(ShrinkStep) { steps++ }})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs, %d steps, %s\n%s", s.Runs, steps, s.After, s.Text("bettensor", "small.yaml", "many.yaml --seed 9"))
	if s.Runs > 200 || s.After.Faults != 2 || s.After.Windows > 2 || s.After.Miners > 3 || s.After.Validators != 1 || s.After.Duration > 8*time.Hour {
		t.Errorf("after %d runs: %s", s.Runs, s.After)
	}
	if s.Failure.Signature() != "invariant weights-valid" || steps == 0 || len(s.Cut) != steps {
		t.Errorf("it fails by %q, in %d steps", s.Failure.Signature(), steps)
	}
	text := string(s.Text("bettensor", "small.yaml", "many.yaml --seed 9"))
	for _, gone := range []string{"thresholds", "latency", "random", "heartbeat"} {
		if strings.Contains(string(s.File), gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	small, problems := scenario.Parse("small.yaml", []byte(text), nil, ScenarioOption())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	q, _, err := NewPlan(small, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := ran(t, q, RunOptions{Prepare: plant, FailFast: true})
	if f := r.Failures(); len(f) == 0 || f[0].Signature() != s.Failure.Signature() || r.Events != s.Event {
		t.Errorf("what was written fails by %v at event %d, want event %d", f, r.Events, s.Event)
	}
	if _, err := p.Shrink(ShrinkOptions{}); !errors.Is(err, ErrPassed) {
		t.Errorf("nothing to shrink: %v", err)
	}
	if _, err := p.Shrink(ShrinkOptions{Run: RunOptions{Prepare: plant}, Signature: "invariant x"}); !errors.Is(err, ErrPassed) {
		t.Errorf("another signature: %v", err)
	}
	few, err := p.Shrink(ShrinkOptions{Runs: 5, Run: RunOptions{Prepare: plant}})
	if err != nil || few.Runs > 5 || few.After.Faults <= 2 {
		t.Errorf("five runs: %v, %+v", err, few)
	}
}
