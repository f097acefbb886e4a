package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/sched"
	"bettensor/sim/fault"
)

// votingDay is a small subnet whose two validators set weights every twenty
// minutes or so.
const votingDay = `
start: 2024-08-17T12:00:00Z
duration: 9h
chain: {tempo: 30, weights_rate_limit: 30, activity_cutoff: 200}
validators: [{name: v0, stake: 10000}, {name: v1, stake: 8000}]
miners: [{kind: busy, count: 3, parameters: {picks: 24}}, {kind: skilled, count: 2}]
node: {weights_move: 0}
`

// votingRun is a run of it, as the tests of the chain's faults look at it.
type votingRun struct {
	*Result
	w      *World
	fates  map[string]int   // by the trace's words
	events map[string]int   // of the chain and of the bus, by name
	set    []time.Duration  // when v0 said that its weights are set
	last   [2]time.Duration // when v0, v1 said so last
	odd    uint64           // metagraphs that v0 did not believe
	slots  int              // at the end
	alarms []string
}

// The window of most faults in it.
const (
	votingAt  = 3 * time.Hour
	votingEnd = 5 * time.Hour
)

func voting(t testing.TB, faults string, sets ...string) *votingRun {
	t.Helper()
	p := planOf(t, votingDay+faults, sets...)
	r := &votingRun{fates: map[string]int{}, events: map[string]int{}}
	r.Result = ran(t, p, RunOptions{Prepare: func(w *World) {
		r.w = w
		w.OnBuild = func(h *Host) {
			if h.Validator == nil {
				return
			}
			i := slices.Index(w.Hosts, h)
			h.Validator.WeightsSet.Subscribe(h.Loop.Scope("probe"), func(*node.WeightsSet) {
				r.last[i] = w.now().Sub(p.Start)
				if i == 0 {
					r.set = append(r.set, r.last[0])
				}
			})
		}
		w.SetTracer(votingTracer{r})
	}, Done: func(w *World) error {
		for _, h := range w.Hosts[:2] {
			s, _ := h.Stats()
			for _, a := range s.Alarms {
				r.alarms = append(r.alarms, h.Name+" "+a.Code.String())
			}
		}
		s, _ := w.Hosts[0].Stats()
		r.odd, r.slots = count(s, "metagraph", "odd"), len(w.Chain.Metagraph(p.End).Neurons)
		return nil
	}})
	if n := r.Violated(); n > 0 {
		t.Errorf("%d violations: %+v", n, r.Invariants)
	}
	return r
}

type votingTracer struct{ r *votingRun }

func (c votingTracer) Trace(_ *sched.Loop, kind, name string, v any) {
	switch kind {
	case "fate":
		c.r.fates[v.(map[string]any)["fate"].(string)]++
	case "chain", "bus":
		c.r.events[name]++
	}
}

// during counts v0's sets in the window, less the half hour in which those from
// before are still read back.
func (r *votingRun) during() (n int) {
	for _, at := range r.set {
		if at >= votingAt+30*time.Minute && at < votingEnd {
			n++
		}
	}
	return n
}

// TestEveryFaultOfTheChainBites: each kind does what its sentence says, no
// invariant is broken, and when it is over weights are set as before.
func TestEveryFaultOfTheChainBites(t *testing.T) {
	t.Parallel()
	const (
		timelocked = "chain.commit_reveal=true"
		hashed     = "chain.timelock=false"
	)
	base, tried := voting(t, ""), map[string]bool{}
	if base.during() < 3 || len(base.fates) > 0 || base.odd > 0 || base.events["weights_failed"] > 0 {
		t.Fatalf("the quiet day is not quiet: %+v", base)
	}
	for _, tt := range []struct {
		what, more string
		sets       []string
		bites      func(r *votingRun) bool
	}{
		{"chain.outage", "", nil, func(r *votingRun) bool { return r.during() == 0 && r.fates["failed"] > 20 }},
		{"chain.slow", "parameters: {delay: 1m, jitter: 0s}", nil, func(r *votingRun) bool { return r.during() < base.during() }},
		{"chain.rate_limited", "parameters: {budget: 1, per: 10m}", nil, func(r *votingRun) bool { return r.fates["failed"] > 20 && r.during() <= base.during() }},
		{"chain.stale_head", "parameters: {blocks: 90}", nil, func(r *votingRun) bool { return r.during() < base.during() }},
		{"chain.lying_head", "", nil, func(r *votingRun) bool { return r.odd > 10 }},
		{"chain.lying_head", "parameters: {claim: unfinalised}", nil, func(r *votingRun) bool { return r.TraceHash != base.TraceHash && r.odd == 0 }},
		{"chain.reorg", "every: 31m, for: 8blk, parameters: {again: 1}", nil, func(r *votingRun) bool { return r.events["dropped"] > 0 && r.events["weights_failed"] == 0 }},
		{"chain.reorg", "every: 31m, for: 8blk, parameters: {again: 0}", nil, func(r *votingRun) bool { return r.events["dropped"] > 0 && r.events["weights_failed"] > 0 }},
		{"chain.reorg", "every: 31m, for: 8blk, parameters: {again: 0}", []string{timelocked}, func(r *votingRun) bool { return r.events["dropped"] > 0 }},
		{"chain.set_weights_failed", "", nil, func(r *votingRun) bool { return r.during() == 0 && r.fates["lost"] > 0 }},
		{"chain.set_weights_unreported", "", nil, func(r *votingRun) bool { return r.during() > 0 && r.fates["applied_but_lost"] > 2 }},
		{"chain.set_weights_unreported", "", []string{timelocked, hashed}, func(r *votingRun) bool { return r.fates["applied_but_lost"] > 2 }},
		{"chain.set_weights_refused", "", nil, func(r *votingRun) bool { return r.during() == 0 && r.fates["refused"] > 2 }},
		{"chain.set_weights_misreported", "", nil, func(r *votingRun) bool {
			return r.during() == 0 && r.fates["applied_but_refused"] > 2 && r.Validators[0].WeightsSet >= base.Validators[0].WeightsSet
		}},
		{"chain.set_weights_misreported", "", []string{timelocked, hashed}, func(r *votingRun) bool { return r.fates["applied_but_refused"] > 2 }},
		{"chain.set_weights_pretended", "", nil, func(r *votingRun) bool { return r.during() == 0 && r.fates["pretended"] > 0 }},
		{"chain.set_weights_pretended", "", []string{timelocked}, func(r *votingRun) bool { return r.during() == 0 && r.fates["pretended"] > 0 }},
		{"chain.set_weights_reverted", "", nil, func(r *votingRun) bool { return r.during() == 0 && r.fates["reverted"] > 2 }},
		{"chain.nonce_clash", "", nil, func(r *votingRun) bool { return r.during() == 0 && r.fates["refused"] > 2 }},
		{"chain.hyperparameters", "parameters: {weights_rate_limit: 500, activity_cutoff: 5000}", nil, func(r *votingRun) bool { return r.during() <= 1 }},
		{"chain.hyperparameters", "parameters: {commit_reveal: hash}", nil, func(r *votingRun) bool { return r.TraceHash != base.TraceHash && r.during() > 0 }},
		{"chain.hyperparameters", "parameters: {commit_reveal: off}", []string{timelocked}, func(r *votingRun) bool { return r.during() > 0 }},
		{"chain.hyperparameters", "parameters: {version_key: 7, min_allowed_weights: 4, tempo: 50}", nil, func(r *votingRun) bool { return r.during() > 0 && r.TraceHash != base.TraceHash }},
		{"chain.upgrade", "parameters: {schedule: state, version_key: 7}", nil, func(r *votingRun) bool {
			p := r.w.Chain.Params()
			return r.during() == 0 && r.fates["refused"] > 2 && p.Stateful() && p.WeightsVersionKey == 7
		}},
		{"chain.upgrade", "parameters: {schedule: state}", []string{timelocked}, func(r *votingRun) bool { p := r.w.Chain.Params(); return p.Stateful() }},
		{"chain.deregistered", "target: validators.v0", nil, func(r *votingRun) bool { return r.during() == 0 && r.slots == base.slots+1 }},
		{"chain.hotkey_swapped", "target: validators.v0", nil, func(r *votingRun) bool { return r.during() == 0 && r.slots == base.slots }},
		{"chain.permit_lost", "target: validators.v0", nil, func(r *votingRun) bool { return r.during() == 0 }},
		{"chain.registration_burst", "parameters: {count: 7}", nil, func(r *votingRun) bool { return r.slots == base.slots+7 }},
		{"chain.drand_missing", "", []string{timelocked}, func(r *votingRun) bool { return r.during() < base.during() && r.events["weights_failed"] > 0 }},
	} {
		t.Run(fmt.Sprint(tt.what, " ", tt.more, tt.sets), func(t *testing.T) {
			line := fmt.Sprintf("name: f, what: %s, at: %s", tt.what, votingAt)
			if tt.more != "" {
				line += ", " + tt.more
			}
			if strings.Contains(line, "every:") {
				line += fmt.Sprintf(", until: %s", votingEnd)
			} else {
				line += fmt.Sprintf(", for: %s", votingEnd-votingAt)
			}
			r := voting(t, "faults: [{"+line+"}]\n", tt.sets...)
			if !tt.bites(r) {
				t.Errorf("%d sets in the window (of %d), fates %v, %d odd, %d slots, dropped %d, failed %d", r.during(), base.during(), r.fates, r.odd, r.slots,
					r.events["dropped"], r.events["weights_failed"])
			}
			if len(r.Faults) != 1 || r.Faults[0].Windows == 0 || r.Faults[0].Idle() {
				t.Errorf("%v", r.Faults)
			}
			for i, at := range r.last {
				if at < 8*time.Hour { // three hours after the window, an hour before the end
					t.Errorf("v%d has set weights at %s for the last time", i, at)
				}
			}
			if len(r.alarms) > 0 {
				t.Errorf("alarms at the end: %v", r.alarms)
			}
		})
		tried[tt.what] = true
	}
	for _, k := range fault.Kinds() {
		if strings.HasPrefix(k.What, "chain.") && !tried[k.What] {
			t.Errorf("%s is not tried", k.What)
		}
	}
}
