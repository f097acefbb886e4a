package sim

import (
	"fmt"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/sched"
)

// traceFunc is a tracer that is a function.
type traceFunc func(l *sched.Loop, kind, name string, v any)

func (f traceFunc) Trace(l *sched.Loop, kind, name string, v any) { f(l, kind, name, v) }

// predictionsOf are the rows on a validator's disk.
func predictionsOf(t testing.TB, h *Host) []ledger.Prediction {
	t.Helper()
	snap, err := h.disk.engine.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	found, err := ledger.LoadValidator(snap)
	if err != nil {
		t.Fatal(err)
	}
	return found.Predictions
}

// TestDegradedOperation: what still works while a part is out, end to end; and
// what is made good when it is back.
func TestDegradedOperation(t *testing.T) {
	t.Parallel()
	const (
		from = 14 * time.Hour // of a Saturday: games begin, end and are predicted on
		for_ = 5 * time.Hour
	)
	for _, tt := range []struct {
		what, more string
		// In the hours of the fault: what comes, and what does not.
		comes, misses []string
		state         string // of the service that is hit, in the middle of it
		service       string
	}{
		{"chain.outage", "", []string{"prediction_stored", "prediction_confirmed", "games_updated", "game_settled", "prediction_settled", "scoring_complete", "weights_failed"},
			[]string{"weights_set"}, "degraded", "metagraph"},
		{"feed.outage", "", []string{"prediction_stored", "prediction_confirmed", "metagraph_updated", "scoring_complete"},
			[]string{"game_settled"}, "degraded", "games"},
		{"store.slow", ", parameters: {delay: 12s, jitter: 6s}", []string{"prediction_stored", "prediction_confirmed", "game_settled", "prediction_settled", "scoring_complete", "weights_set"}, nil, "ok", "predictions"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := planOf(t, faultedDay+fmt.Sprintf("faults: [{name: f, what: %s, target: validators, at: %s, for: %s%s}]\n", tt.what, from, for_, tt.more), "duration=30h")
			during, after := map[string]int{}, map[string]int{}
			var lost, open int
			r := ran(t, p, RunOptions{Prepare: func(w *World) {
				begin, end := p.Start.Add(from), p.Start.Add(from+for_)
				w.SetTracer(traceFunc(func(_ *sched.Loop, kind, name string, _ any) {
					switch now := w.now(); {
					case kind != "bus" || now.Before(begin.Add(time.Minute)): // what was under way comes in
					case now.Before(end):
						during[name]++
					default:
						after[name]++
					}
				}))
				w.Sched.Push(begin.Add(for_/2), sched.Func(func() {
					for _, s := range statsOf(w.Hosts[0]).Services {
						if s.Name == tt.service && s.State != tt.state {
							t.Errorf("in the middle of it, %s is %s (%s), want %s", s.Name, s.State, s.Reason, tt.state)
						}
					}
				}))
				w.Sched.Push(p.End, sched.Func(func() {
					for _, h := range w.Hosts {
						if h.Miner != nil {
							lost += len(unanswered(t, h))
							continue
						}
						for _, row := range predictionsOf(t, h) {
							if g, ok := p.Market.Game(row.Game, p.End.Add(-time.Hour)); ok && g.Resulted() && row.State == bet.Open {
								open++
							}
						}
					}
				}))
			}})
			for _, name := range tt.comes {
				if during[name] == 0 {
					t.Errorf("no %s while it lasts", name)
				}
			}
			for _, name := range tt.misses {
				if during[name] > 0 {
					t.Errorf("%d %s while it lasts", during[name], name)
				}
				if after[name] == 0 {
					t.Errorf("no %s afterwards", name)
				}
			}
			if after["weights_set"] == 0 || after["prediction_settled"] == 0 {
				t.Errorf("afterwards %d weights set and %d predictions settled", after["weights_set"], after["prediction_settled"])
			}
			if lost > 0 || open > 0 {
				t.Errorf("%d predictions were never answered, %d never settled", lost, open)
			}
			if r.Violated() > 0 || r.Validators[0].Restarts > 0 {
				t.Errorf("%d violations, %d restarts", r.Violated(), r.Validators[0].Restarts)
			}
		})
	}
}
