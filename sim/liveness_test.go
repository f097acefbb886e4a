package sim

import (
	"strings"
	"testing"
	"time"

	"bettensor/sched"
)

// TestLivenessIsNotVacuous: where nothing was done there is nothing to disagree
// with, and that is said.
func TestLivenessIsNotVacuous(t *testing.T) {
	t.Parallel()
	const run = `
name: quiet
start: 2024-08-17T11:30:00Z
duration: 6h
validators: [{name: v0, stake: 10000}]
miners: [{kind: busy}]
chain: {tempo: 60, weights_rate_limit: 60}
faults: [{name: f, what: FAULT, target: validators, at: AT}]
phases: [{name: faults, until: 5h50m}, {name: heal, faults: off, settle_within: 1m}]
`
	for what, at := range map[string]string{"feed.outage": "0s", "process.crash": "10m"} {
		res := ran(t, planOf(t, strings.NewReplacer("FAULT", what, "AT", at).Replace(run)), RunOptions{})
		if f := res.Failures(); len(f) != 1 || f[0].By != "weights-fresh" || !strings.Contains(f[0].First, "v0 has never set weights") {
			t.Errorf("%s: %v", what, f)
		}
	}
}

// TestRestartsBackOff: a node that goes down again and again is started after ever
// longer waits, and after the shortest once it was well for a while.
func TestRestartsBackOff(t *testing.T) {
	w := &World{Sched: sched.NewWorld(time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC), 1), cfg: Config{RestartAfter: 2 * time.Second}}
	h := &Host{world: w}
	for i, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
		if got := h.restartAfter(); got != want*time.Second {
			t.Errorf("wait %d is %s, want %ds", i, got, want)
		}
	}
	h.fell = h.fell.Add(-restartPeace - 1)
	if got := h.restartAfter(); got != 2*time.Second {
		t.Errorf("after peace %s", got)
	}
}
