package sim

import (
	"slices"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/sim/scenario"
	"bettensor/store"

	gocmp "github.com/google/go-cmp/cmp"
)

// The real validator and miners, with one bug planted from outside: in a frame
// under way, in the feed, on the disk of a validator that is down, at the chain.
// The invariants named must say so, and no others.

const plantedScenario = `
name: planted
seed: 3
duration: 5d
node: {heartbeat: 20m}
validators:
  - {name: v0, stake: 10000}
miners:
  - {kind: random, count: 3}
  - {kind: late, count: 3}
`

// lyingFeed passes games on as somebody has changed them.
type lyingFeed struct {
	Feed
	lie func(*bet.Game)
}

func (f lyingFeed) Changes(since, now time.Time) []bet.Game {
	games := f.Feed.Changes(since, now)
	for i := range games {
		f.lie(&games[i])
	}
	return games
}

// rewrite hands a frame to f opened; what f returns travels instead, nil for
// the frame as it was.
func rewrite(w *World, f func(from, to *Host, m *wire.Message) []byte) {
	opener := w.newOpener()
	w.Mutate = func(from, to *Host, frame []byte) []byte {
		m, err := opener.Open(frame)
		if err != nil {
			return frame
		}
		if other := f(from, to, &m); other != nil {
			return other
		}
		return frame
	}
}

// tamper kills the validator a while after the start, changes what its disk
// holds, and starts it again.
func tamper(w *World, after time.Duration, change func(s store.Snapshot, b *store.Batch) error) {
	h := w.Hosts[0]
	fail := func(err error) {
		if err != nil {
			panic("planted: " + err.Error())
		}
	}
	w.Sched.Push(w.cfg.Start.Add(after), sched.Func(func() {
		h.Crash(h.Unsynced())
		s, err := h.disk.open()
		fail(err)
		var b store.Batch
		fail(change(s.Snapshot, &b))
		fail(s.Snapshot.Close())
		fail(h.disk.engine.Apply(h.disk.engine.Durable()+1, []*store.Batch{&b}, true))
		h.disk.close()
		w.Sched.After(time.Second, sched.Func(h.start))
	}))
}

// newestOpen is the prediction accepted last of those whose game is not over.
func newestOpen(s store.Snapshot) (newest ledger.Prediction, err error) {
	err = ledger.Predictions.Scan(s, nil, nil, func(_ ledger.PredictionKey, p *ledger.Prediction) error {
		if p.State == bet.Open && p.Arrived > newest.Arrived {
			newest = *p
		}
		return nil
	})
	return newest, err
}

// lower takes a wager out of its day's budget row.
func lower(s store.Snapshot, b *store.Batch, p *ledger.Prediction, by bet.Cents) error {
	k := ledger.DayKey{Day: bet.DayOf(p.Received), Hotkey: p.Hotkey}
	spent, _, err := ledger.Budgets.Get(s, k)
	spent -= by
	ledger.Budgets.Put(b, k, &spent)
	return err
}

func TestPlantedBugsAreFound(t *testing.T) {
	const midday = 36 * time.Hour // of the second day
	for _, test := range []struct {
		name  string
		plant func(w *World)
		want  []string
	}{
		{"none", func(*World) {}, nil},
		{"a refusal is told as an acceptance", func(w *World) {
			rewrite(w, func(from, to *Host, m *wire.Message) []byte {
				switch {
				case m.Kind == wire.Prediction && from.Name == "random-0":
					m.Submission.OddsA.Number += 0.5
					return wire.AppendPrediction(nil, from.signer, m.Timestamp, m.Nonce, m.Submission)
				case m.Kind == wire.ConfirmationMessage && m.Confirmation.Code == bet.OddsMismatch:
					m.Confirmation.OK, m.Confirmation.Code = true, ""
					return wire.AppendConfirmation(nil, from.signer, m.Timestamp, m.Nonce, &m.Confirmation)
				}
				return nil
			})
		}, []string{"acknowledged-is-stored", "confirmed-is-durable"}},
		{"an acceptance of what nobody sent", func(w *World) {
			rewrite(w, func(from, to *Host, m *wire.Message) []byte {
				if m.Kind != wire.HeartbeatAck {
					return nil
				}
				return wire.AppendConfirmation(nil, from.signer, m.Timestamp, m.Nonce, &wire.Confirmation{ID: "made-up", OK: true, At: m.Timestamp})
			})
		}, []string{"one-acknowledgement"}},
		{"an acknowledged row is lost in a crash", func(w *World) {
			tamper(w, midday, func(s store.Snapshot, b *store.Batch) error {
				p, err := newestOpen(s)
				if err != nil {
					return err
				}
				ledger.Predictions.Delete(b, p.Key())
				ledger.IDs.Delete(b, ledger.IDKey{Hotkey: p.Hotkey, ID: p.ID})
				return lower(s, b, &p, p.Wager)
			})
		}, []string{"acknowledged-is-stored"}},
		{"a wager changes on the disk", func(w *World) {
			tamper(w, midday, func(s store.Snapshot, b *store.Batch) error {
				p, err := newestOpen(s)
				if err != nil {
					return err
				}
				p.Wager--
				ledger.Predictions.Put(b, p.Key(), &p)
				return lower(s, b, &p, 1)
			})
		}, []string{"acknowledged-is-stored"}},
		{"a prediction is settled before its game", func(w *World) {
			tamper(w, midday, func(s store.Snapshot, b *store.Batch) error {
				p, err := newestOpen(s)
				if err != nil {
					return err
				}
				p.State, p.Settled = bet.Lost, p.Received
				ledger.Predictions.Put(b, p.Key(), &p)
				return nil
			})
		}, []string{"settled-once"}},
		{"the budget is forgotten in a crash", func(w *World) {
			tamper(w, midday, func(s store.Snapshot, b *store.Batch) error {
				return ledger.Budgets.Scan(s, nil, nil, func(k ledger.DayKey, _ *bet.Cents) error {
					ledger.Budgets.Delete(b, k)
					return nil
				})
			})
			// Somebody tries it on: $900 in place of the next heartbeats.
			n := 0
			rewrite(w, func(from, to *Host, m *wire.Message) []byte {
				if m.Kind != wire.Heartbeat || from.IsValidator() || to.Restarts == 0 || n == 3 || !to.Up() {
					return nil
				}
				for _, g := range to.Validator.State.SortedGames(func(g *bet.Game) bool { return g.Bettable(w.now().Add(time.Hour)) }) {
					n++
					number := func(x float64) bet.Value { return bet.Value{Kind: bet.Number, Number: x} }
					return wire.AppendPrediction(nil, from.signer, m.Timestamp, m.Nonce, &bet.Submission{ID: bet.PredictionID("try-" + string(rune('0'+n))),
						Game: g.ID, TeamA: g.TeamA, TeamB: g.TeamB, Outcome: number(0), Odds: number(g.Odds[0]), Wager: number(999),
						OddsA: number(g.Odds[0]), OddsB: number(g.Odds[1]), OddsTie: number(g.Odds[2])})
				}
				return nil
			})
		}, []string{"budget-per-day", "budget-row"}},
		{"the validator believes in a later kick-off", func(w *World) {
			w.cfg.Feed = lyingFeed{w.cfg.Feed, func(g *bet.Game) {
				if g.Status == bet.Scheduled {
					g.Start, g.Active = g.Start.Add(time.Hour), true
				}
			}}
		}, []string{"no-late-acceptance"}},
		{"the validator settles the other way", func(w *World) {
			w.cfg.Feed = lyingFeed{w.cfg.Feed, func(g *bet.Game) {
				if g.Status == bet.Finished {
					g.Outcome = 1 - min(g.Outcome, 1)
				}
			}}
		}, []string{"settled-once"}},
		{"weights on a slot nobody holds", func(w *World) {
			w.Sched.Push(w.cfg.Start.Add(midday), sched.Func(func() {
				w.Chain.Submit(w.now(), chain.Request{Op: chain.OpSetWeights, Hotkey: w.Hosts[0].Hotkey,
					Weights: chain.Weights{UIDs: []chain.UID{200}, Values: []uint16{65535}}})
			}))
		}, []string{"weights-after-intent", "weights-valid"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, problems := scenario.Parse("planted.yaml", []byte(plantedScenario), nil, ScenarioOption())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p, files, err := NewPlan(s, nil)
			if err != nil || len(files) > 0 {
				t.Fatal(err, files)
			}
			r, err := p.Run(RunOptions{Prepare: test.plant})
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, i := range r.Invariants {
				if i.Violations > 0 {
					found = append(found, i.Name)
					t.Logf("%s: %d: %s", i.Name, i.Violations, i.First)
				}
			}
			slices.Sort(found)
			if d := gocmp.Diff(test.want, found); d != "" {
				t.Errorf("violated invariants (-want +got):\n%s", d)
			}
		})
	}
}
