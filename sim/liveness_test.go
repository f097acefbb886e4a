package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
)

// TestLivenessIsNotVacuous: where nothing was done there is nothing to disagree
// with, and that is said: what there was to see fails a run that did not look at
// it, and what there was not does not.
func TestLivenessIsNotVacuous(t *testing.T) {
	t.Parallel()
	const run = `
name: quiet
start: 2024-08-17T11:30:00Z
duration: 8h
validators: [{name: v0, stake: 10000}]
miners: [{kind: KIND}]
chain: {tempo: 60, weights_rate_limit: 60}
faults: [{name: f, what: process.crash, target: TARGET, at: 0s}]
phases: [{name: faults, until: UNTIL}, {name: heal, faults: off, settle_within: WITHIN}]
`
	muted := func(w *World) {
		onChain(w, func(_ *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply] {
			return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
				if q.Op != chain.OpSetWeights {
					honest(q, reply)
				}
			}
		})
	}
	for _, test := range []struct {
		name, kind, target string
		until, within      string
		prepare            func(*World)
		want, unlooked     []string
	}{
		{"all is well", "busy, parameters: {picks: 192}", "validators", "1m", "7h50m", nil, nil, nil},
		{"a validator that cannot vote", "busy, parameters: {picks: 192}", "validators", "1m", "7h50m", muted, []string{"liveness weights-fresh"}, nil},
		{"miners that were down until all games had begun", "busy", "miners", "6h", "90m", nil,
			[]string{"no-sample books-equal", "no-sample settlement-done", "no-sample scoring-up-to-date", "no-sample weights-fresh"},
			[]string{"predictions-answered", "books-equal", "settlement-done", "scoring-up-to-date", "weights-fresh"}},
		{"miners that never bet", "idle", "miners", "6h", "90m", nil, nil, []string{"predictions-answered", "books-equal", "settlement-done", "scoring-up-to-date", "weights-fresh"}},
	} {
		text := strings.NewReplacer("KIND", test.kind, "TARGET", test.target, "UNTIL", test.until, "WITHIN", test.within).Replace(run)
		res := ran(t, planOf(t, text), RunOptions{Prepare: test.prepare})
		var failed, unlooked []string
		for _, f := range res.Failures() {
			failed = append(failed, f.Signature())
		}
		for _, c := range res.Liveness {
			if c.Checked == 0 {
				unlooked = append(unlooked, c.Name)
			}
		}
		if !slices.Equal(failed, test.want) || !slices.Equal(unlooked, test.unlooked) {
			t.Errorf("%s: failed by %q, want %q; not looked at %q, want %q\n%v", test.name, failed, test.want, unlooked, test.unlooked, res.Failures())
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
