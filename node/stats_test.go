package node

import (
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

// TestStatsSayWhatHappened: the figures of a small run, service by service,
// against what is known of it.
func TestStatsSayWhatHappened(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(30*time.Minute))
	r.offer("101", t0.Add(30*time.Minute))
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(45 * time.Minute)
	r.finish("100", bet.Home)
	r.finish("101", bet.Away)
	r.run(30 * time.Minute)
	for _, want := range []struct {
		n              *rigNode
		service, count string
		value          uint64
	}{
		{n, "games", "known", 2}, {n, "games", "changed", 4}, {n, "games", "refused", 0},
		{n, "communication", "opened", 1}, {n, "communication", "sessions", 1}, {n, "communication", "predictions", 2},
		{n, "communication", "confirmed", 2}, {n, "communication", "rejected", 0},
		{n, "predictions", "held", 2}, {n, "predictions", "received", 2}, {n, "predictions", "stored", 2}, {n, "predictions", "settled", 2},
		{n, "weights", "set", 1}, {n, "weights", "refused", 0}, {n, "metagraph", "axon_served", 1}, {n, "status", "due", 75},
		{m, "predictions", "held", 2}, {m, "predictions", "picks", 2}, {m, "predictions", "settled", 2},
		{m, "communication", "submitted", 2}, {m, "communication", "resubmitted", 0}, {m, "communication", "confirmed", 2},
		{m, "communication", "sessions", 1}, {m, "communication", "validators", 1}, {m, "games", "known", 2}, {m, "games", "kept", 2},
	} {
		if got := want.n.count(want.service, want.count); got != want.value {
			t.Errorf("%s %s %s: %d, want %d", want.n.name, want.service, want.count, got, want.value)
		}
	}
	for _, x := range []struct {
		n     *rigNode
		brier float64
	}{{n, 0.25}, {m, 0.25}} { // both were told 0.5
		acc := x.n.service("predictions").Accuracy
		if acc.Settled != 2 || acc.Won != 1 || acc.WinRate != 0.5 || acc.Brier != x.brier || acc.CLV != 0 || acc.ROI != (90.0-100)/200 {
			t.Errorf("%s: %+v", x.n.name, acc)
		}
	}
	for _, x := range []*rigNode{n, m} {
		s := x.core().Stats()
		if s.Panics != 0 || !s.At.After(t0) || len(s.Topics) == 0 || len(s.Tasks) == 0 {
			t.Errorf("%s: %+v", x.name, s)
		}
		for _, v := range s.Services {
			if v.State != "ok" {
				t.Errorf("%s %s is %s: %s", x.name, v.Name, v.State, v.Reason)
			}
		}
	}
}

func total(n *rigNode, set, name string) uint64 {
	for _, s := range n.core().Totals() {
		for _, c := range s.Counts {
			if s.Set == set && c.Name == name {
				return c.Value
			}
		}
	}
	return 0
}

// TestTotalsSurviveARestart: in good order all of them, after a crash all but
// those of the last totalsEvery.
func TestTotalsSurviveARestart(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	r.run(3*time.Hour + 30*time.Minute)
	polls, games := total(n, "tasks", "update_game_data.runs"), total(n, "events", "metagraph_updated.published")
	if polls < 18 || games < 30 {
		t.Fatalf("%d polls, %d metagraphs: the run says nothing", polls, games)
	}
	n.do(func() {
		if err := n.v.Close(); err != nil {
			t.Error(err)
		}
	})
	n.crash()
	if got := total(n, "tasks", "update_game_data.runs"); got != polls {
		t.Errorf("%d polls after a restart in good order, want %d", got, polls)
	}
	r.run(10 * time.Minute)
	if got := total(n, "events", "metagraph_updated.published"); got <= games {
		t.Errorf("%d metagraphs, want more than %d", got, games)
	}
	r.run(2*totalsEvery + time.Hour)
	before := total(n, "tasks", "update_game_data.runs")
	n.crash()
	if got := total(n, "tasks", "update_game_data.runs"); got > before || got+uint64(totalsEvery/(10*time.Minute))+1 < before || got < before/2 {
		t.Errorf("%d polls after a crash, %d before: more than one interval of saving is gone", got, before)
	}
	own := Stats{Tasks: n.core().Stats().Tasks}
	for _, task := range own.Tasks {
		if task.Runs > 1 {
			t.Errorf("the run's own figures begin with %d runs of %s", task.Runs, task.Name)
		}
	}
}

// TestTotalsKeepNamesOfEarlierPrograms: a counter that is gone is still told.
func TestTotalsKeepNamesOfEarlierPrograms(t *testing.T) {
	a := Totals{Set: "x", Counts: []Count{{"new", 1}, {"both", 2}}}
	a.add(ledger.Counters{Names: []string{"both", "old"}, Values: []uint64{10, 20}})
	want := []Count{{"new", 1}, {"both", 12}, {"old", 20}}
	for i, c := range want {
		if len(a.Counts) != len(want) || a.Counts[i] != c {
			t.Errorf("%v, want %v", a.Counts, want)
		}
	}
}
