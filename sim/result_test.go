package sim

import (
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sched"
)

// TestEmissionAddsUp: what the result says the miners and validators earned is
// what the chain has paid, to the rao, faults or not.
func TestEmissionAddsUp(t *testing.T) {
	t.Parallel()
	for _, p := range []*Plan{planOf(t, faultedDay), planOf(t, "faults.yaml"), planOf(t, faultedDay, "validators.v0.count=3", "chain.commit_reveal=true", "chain.tempo=30")} {
		var w *World
		r := ran(t, p, RunOptions{Prepare: func(x *World) { w = x }})
		var miners, validators uint64
		for _, m := range r.Miners {
			miners += m.Emission
		}
		for _, v := range r.Validators {
			validators += v.Emission
		}
		paid := w.Chain.Paid()
		if miners+validators != uint64(paid.Incentive+paid.Dividends) || miners == 0 || validators == 0 {
			t.Errorf("%s: miners earned %d and validators %d, the chain has paid %d", r.Scenario, miners, validators, paid.Incentive+paid.Dividends)
		}
		if paid.Emission != paid.Owner+paid.Incentive+paid.Dividends+paid.Withheld {
			t.Errorf("%s: the chain's payout does not add up: %+v", r.Scenario, paid)
		}
		weight := 0.0
		for _, m := range r.Miners {
			weight += m.Weight
		}
		if weight < 1-1e-9 || weight > 1+1e-9 {
			t.Errorf("%s: shares of weight add up to %v", r.Scenario, weight)
		}
	}
}

// TestResultCountsWhatIsStored: a validator that is killed between writing and
// telling, and a miner likewise, loses no prediction from the result.
func TestResultCountsWhatIsStored(t *testing.T) {
	t.Parallel()
	p := planOf(t, faultedDay)
	rows, wagered := map[chain.Hotkey]int{}, map[chain.Hotkey]bet.Cents{}
	made := map[chain.Hotkey]int{}
	kills := 0
	var w *World
	r := ran(t, p, RunOptions{Prepare: func(x *World) {
		w = x
		busy := map[*Host]int{}
		w.OnInput = func(h *Host) {
			if h.Unsynced() == 0 {
				return
			}
			if busy[h]++; busy[h]%3 == 0 {
				kills++
				h.CrashFor(h.Unsynced(), 5*time.Second) // all of it had reached the disk
			}
		}
		w.Sched.Push(p.End, sched.Func(func() {
			for _, h := range w.Hosts {
				if h.IsValidator() {
					for _, row := range predictionsOf(t, h) {
						rows[row.Hotkey]++
						wagered[row.Hotkey] += row.Wager
					}
				} else {
					made[h.Hotkey] = len(outboxOf(t, h))
				}
			}
		}))
	}})
	if kills < 20 {
		t.Fatalf("only %d nodes were killed", kills)
	}
	for _, m := range r.Miners {
		h := chain.Hotkey(m.Hotkey)
		if m.Accepted != rows[h] || m.Wagered != int64(wagered[h]) || m.Predictions != made[h] {
			t.Errorf("%s: %d made, %d accepted, %d cents wagered; on the disks %d, %d and %d", m.Name, m.Predictions, m.Accepted, m.Wagered, made[h], rows[h], wagered[h])
		}
	}
	if n := r.Violated(); n > 0 {
		t.Errorf("%d violations", n)
	}
}

// TestSlackFollowsFaults: a validator that a fault keeps from its work to the end
// of a run breaks no invariant by it.
func TestSlackFollowsFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []string{
		"{name: f, what: feed.outage, at: 1h}",
		"{name: f, what: feed.outage, every: 1h, for: 1h}",
	} {
		p := planOf(t, "validators: [{name: v0}]\nminers: [{kind: favourite, count: 2}]\nfaults: ["+f+"]\n", "start=2024-08-16", "duration=5d", "node.heartbeat=1h")
		if r := ran(t, p, RunOptions{}); r.Violated() > 0 {
			t.Errorf("%s: %+v", f, r.Invariants)
		}
	}
}

// TestShellQuoting: the command that repeats a run survives a shell.
func TestShellQuoting(t *testing.T) {
	p := planOf(t, "validators: [{name: v0}]\n", "duration=1d", "seed=7")
	got := p.Command("bettensor", "my files/a.yaml", []string{"it's.csv"}, []string{"network={loss: 0.1}", "seed=1"})
	if want := `bettensor sim run 'my files/a.yaml' --seed 7 --games 'it'\''s.csv' --set 'network={loss: 0.1}' --set seed=1`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
