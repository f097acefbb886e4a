package sim

import (
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/wire"
	"bettensor/sim/scenario"
)

// TestIngestNeverWaitsForScoring makes every slice of long work cost half
// a minute. A validator that comes back after a month scores all its days again,
// which then takes a quarter of an hour, and meanwhile confirms predictions as fast as ever.
func TestIngestNeverWaitsForScoring(t *testing.T) {
	s, problems := scenario.Parse("slices", []byte(`
duration: 30d
validators: [{name: v0}]
miners: [{kind: busy, count: 6, parameters: {picks: 96}}]
node: {heartbeat: 1h, metagraph_interval: 6h, status_interval: 1d, feed_poll: 1h, scoring_interval: 1h}
`), nil, ScenarioOption())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plan, _, err := NewPlan(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	plan.Config.SliceCost = 30 * time.Second
	w, err := plan.NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	back := plan.Start.Add(29 * 24 * time.Hour)
	w.Run(back.Add(-time.Minute))
	w.Hosts[0].CrashFor(0, time.Minute)

	sent := map[bet.PredictionID]time.Time{}
	var slowest, round time.Duration
	confirmed := 0
	w.OnFrame = func(from, to *Host, e *wire.Event) {
		switch e.Message.Kind {
		case wire.Prediction:
			if _, ok := sent[e.Message.Submission.ID]; !ok {
				sent[e.Message.Submission.ID] = w.now()
			}
		case wire.ConfirmationMessage:
			if at, ok := sent[e.Message.Confirmation.ID]; ok && round == 0 {
				confirmed++
				slowest = max(slowest, w.now().Sub(at))
			}
		}
	}
	w.OnBuild = func(h *Host) {
		if h.Validator != nil {
			h.Validator.ScoringComplete.Subscribe(h.Loop.Scope("test"), func(*node.ScoringComplete) {
				if round == 0 {
					round = w.now().Sub(back)
				}
			})
		}
	}
	w.Run(back.Add(6 * time.Hour))
	if round < time.Minute {
		t.Fatalf("the first round ended after %v: it was not long work", round)
	}
	if confirmed < 3 {
		t.Fatalf("%d predictions were confirmed while the round went on", confirmed)
	}
	if slowest > time.Second {
		t.Errorf("a confirmation took %v during a round of %v", slowest, round)
	}
	t.Logf("round of %v, %d confirmations meanwhile, the slowest after %v", round, confirmed, slowest)
}
