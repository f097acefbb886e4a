package localnet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
)

const (
	validatorKey chain.Hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
	minerKey     chain.Hotkey = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
)

// bothSides are the books of a validator and a miner that agree: one prediction
// confirmed, one stored whose word was lost, one that the validator never saw.
func bothSides(now time.Time) (validatorBooks, minerBooks) {
	m := minerBooks{"m0", minerKey, &ledger.Miner{}}
	v := validatorBooks{name: "v0", hotkey: validatorKey, held: &ledger.Validator{}, asked: true}
	for i, id := range []bet.PredictionID{"confirmed", "lost", "unseen"} {
		s := bet.Submission{ID: id, Game: bet.GameID(rune('1' + i)), Outcome: bet.Value{Kind: bet.Number, Number: 0}, Odds: bet.Value{Kind: bet.Number, Number: 2},
			TeamA: "Alderton", TeamB: "Birchwick", Wager: bet.Value{Kind: bet.Number, Number: 10}}
		o := ledger.Outgoing{Submission: s, Outcome: bet.Home, Odds: 2, Wager: 1000, Made: now, Start: now.Add(time.Hour)}
		if id == "confirmed" {
			o.Deliveries = []ledger.Delivery{{Validator: validatorKey, State: ledger.Confirmed, At: now}}
		}
		m.held.Outbox = append(m.held.Outbox, o)
		if id == "unseen" {
			continue
		}
		v.held.Predictions = append(v.held.Predictions, ledger.Prediction{Prediction: bet.Prediction{ID: id, Hotkey: minerKey, Game: s.Game,
			Outcome: bet.Home, Odds: 2, Wager: 1000, Received: now, Content: s.Fingerprint()}})
		v.held.Budget.Reserve(minerKey, bet.DayOf(now), 1000)
	}
	set := chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{chain.MaxWeight}}
	v.held.Weights = []ledger.WeightRow{{Number: 1, WeightSet: ledger.WeightSet{Weights: set, Phase: ledger.Included, Block: 10}}}
	v.shown = set
	return v, m
}

// TestDifferencesInBooksAreFound: each way in which two honest sets of books can
// differ is a difference, and what a lost word leaves behind is none.
func TestDifferencesInBooksAreFound(t *testing.T) {
	now := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	other := chain.Weights{UIDs: []chain.UID{2}, Values: []uint16{chain.MaxWeight}}
	for _, c := range []struct {
		name  string
		plant func(*validatorBooks, *minerBooks)
		want  string // in the one difference, "" for none
	}{
		{"equal", func(*validatorBooks, *minerBooks) {}, ""},
		{"confirmed and not stored", func(v *validatorBooks, m *minerBooks) {
			m.held.Outbox[2].Deliveries = []ledger.Delivery{{Validator: validatorKey, State: ledger.Confirmed, At: now}}
		}, "m0 was told that unseen is stored, and v0 does not hold it"},
		{"stored and never made", func(v *validatorBooks, m *minerBooks) {
			m.held.Outbox = slices.Delete(m.held.Outbox, 1, 2)
		}, "v0 holds lost of m0, which made no such prediction"},
		{"stored and refused", func(v *validatorBooks, m *minerBooks) {
			m.held.Outbox[1].Deliveries = []ledger.Delivery{{Validator: validatorKey, State: ledger.Rejected, Code: bet.RateLimited, At: now}}
		}, "to which it answered no"},
		{"another wager", func(v *validatorBooks, m *minerBooks) { m.held.Outbox[0].Wager = 999 }, "otherwise: wager"},
		{"another outcome", func(v *validatorBooks, m *minerBooks) { m.held.Outbox[0].Outcome = bet.Away }, "otherwise: outcome"},
		{"another model", func(v *validatorBooks, m *minerBooks) { m.held.Outbox[0].Submission.Model = "x" }, "otherwise: another content"},
		{"stored twice", func(v *validatorBooks, m *minerBooks) {
			v.held.Predictions = append(v.held.Predictions, v.held.Predictions[0])
			v.held.Budget.Reserve(minerKey, bet.DayOf(now), 1000)
		}, "v0 holds confirmed of " + string(minerKey) + " twice"},
		{"budget too high", func(v *validatorBooks, m *minerBooks) { v.held.Budget.Reserve(minerKey, bet.DayOf(now), 1) }, "of the budget of"},
		{"no budget", func(v *validatorBooks, m *minerBooks) { v.held.Budget.Forget(bet.DayOf(now) + 1) }, "and no budget"},
		{"other weights on the chain", func(v *validatorBooks, m *minerBooks) { v.shown = other }, "not those it set last"},
		{"no weights on the chain", func(v *validatorBooks, m *minerBooks) { v.shown = chain.Weights{} }, "the chain holds none"},
		{"weights nobody set", func(v *validatorBooks, m *minerBooks) { v.held.Weights = nil }, "not those it set last"},
		{"a set under way", func(v *validatorBooks, m *minerBooks) {
			v.held.Weights = append(v.held.Weights, ledger.WeightRow{Number: 2, WeightSet: ledger.WeightSet{Weights: other, Phase: ledger.Planned}})
			v.shown = other
		}, ""},
		{"a set that was replaced", func(v *validatorBooks, m *minerBooks) {
			v.held.Weights = append(v.held.Weights, ledger.WeightRow{Number: 2, WeightSet: ledger.WeightSet{Weights: other, Phase: ledger.Included}})
		}, "not those it set last"},
		{"dropped after its time", func(v *validatorBooks, m *minerBooks) {
			m.held.Outbox[0].Deliveries[0].At = now.Add(-keptForSure)
			v.held.Predictions = v.held.Predictions[1:]
			v.held.Budget.Release(minerKey, bet.DayOf(now), 1000)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, m := bothSides(now)
			c.plant(&v, &m)
			b := compare([]validatorBooks{v}, []minerBooks{m}, now)
			if c.want == "" {
				if !b.Equal || b.Found != 0 {
					t.Errorf("%+v, want equal books", b)
				}
				return
			}
			if b.Equal || b.Found != 1 || !strings.Contains(strings.Join(b.Differences, "\n"), c.want) || !strings.Contains(b.String(), "NOT EQUAL, 1") {
				t.Errorf("found %d: %v\n%s; want one: %s", b.Found, b.Differences, b, c.want)
			}
		})
	}
	v, m := bothSides(now)
	b := compare([]validatorBooks{v}, []minerBooks{m}, now)
	if b.Confirmed != 1 || b.Stored != 2 || b.Waiting != 1 || b.Over != 0 || b.Wagers != 2000 || b.WeightSets != 1 {
		t.Errorf("%+v", b)
	}
	if b := compare([]validatorBooks{v}, []minerBooks{m}, now.Add(2*time.Hour)); b.Waiting != 0 || b.Over != 1 || !b.Equal {
		t.Errorf("after the kick-off: %+v", b)
	}
	if b := compare(nil, []minerBooks{m}, now); b.Outside != 1 || b.Confirmed != 0 || !b.Equal {
		t.Errorf("without its validator: %+v", b)
	}
}

// TestDifferencesAreBounded: a store that is lost makes as many differences as it
// had rows, and the first ones tell enough.
func TestDifferencesAreBounded(t *testing.T) {
	now := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	v, m := bothSides(now)
	row := m.held.Outbox[0]
	for i := range 3 * maxDifferences {
		row.Submission.ID = loadID(i)
		m.held.Outbox = append(m.held.Outbox, row)
	}
	b := compare([]validatorBooks{v}, []minerBooks{m}, now)
	if b.Found != 3*maxDifferences || len(b.Differences) != maxDifferences {
		t.Errorf("%d found, %d written out", b.Found, len(b.Differences))
	}
}
