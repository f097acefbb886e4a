package sim

import (
	"testing"
	"time"

	"bettensor/node/wire"
	"bettensor/sim/scenario"
)

// linkRun plays two days of a small subnet over links as given. It returns the
// longest time from the first sending of a prediction to its confirmation on the
// way back, and the violations of invariants.
func linkRun(t *testing.T, network string) (slowest time.Duration, violations uint64) {
	t.Helper()
	s, problems := scenario.Parse("links", []byte(`
duration: 2d
validators: [{name: v0}]
miners: [{kind: busy, count: 4, parameters: {picks: 96}}]
network: {latency: 40ms, jitter: 0s, `+network+`}
`), nil, ScenarioOption())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plan, _, err := NewPlan(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]time.Time{}
	res, err := plan.Run(RunOptions{Prepare: func(w *World) {
		w.OnFrame = func(_, _ *Host, e *wire.Event) {
			switch m := &e.Message; m.Kind {
			case wire.Prediction:
				if _, ok := sent[string(m.Submission.ID)]; !ok {
					sent[string(m.Submission.ID)] = w.now()
				}
			case wire.ConfirmationMessage:
				slowest = max(slowest, w.now().Sub(sent[string(m.Confirmation.ID)]))
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) < 100 {
		t.Fatalf("only %d predictions were sent", len(sent))
	}
	return slowest, res.Violated()
}

// TestLinksDoWhatTheScenarioSays holds each property of a link against the one
// that has none of it.
func TestLinksDoWhatTheScenarioSays(t *testing.T) {
	plain, broken := linkRun(t, "loss: 0")
	if plain < 40*time.Millisecond || plain > 60*time.Millisecond || broken != 0 {
		t.Fatalf("a plain link took %v one way and the disk, with %d violations", plain, broken)
	}
	for _, c := range []struct {
		name, network string
		least         time.Duration
	}{
		{"loss is delay", "loss: 0.1", 200 * time.Millisecond},
		{"bandwidth makes frames wait", "bandwidth: 2kB", 300 * time.Millisecond},
		{"reordering delays some", "reordering: 0.5", 80 * time.Millisecond},
		{"duplication delays none", "duplication: 0.5", 40 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			slowest, violations := linkRun(t, c.network)
			if slowest < c.least || violations != 0 {
				t.Errorf("the slowest prediction arrived after %v, want at least %v; %d violations", slowest, c.least, violations)
			}
		})
	}
}
