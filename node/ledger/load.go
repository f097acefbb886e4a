package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/store"
)

// Validator is what a validator finds in its store when it starts.
type Validator struct {
	Games       []bet.Game   // by id
	Predictions []Prediction // in order of acceptance
	Budget      bet.Budget
	Scores      map[DayKey]Score
	Weights     []WeightRow // oldest first
	Node
}

// Node is what both roles find.
type Node struct {
	Metagraph *chain.Metagraph // nil where none was kept
	Counters  map[string]Counters
	Facts     map[string]string
}

// WeightRow is a weight set with its number.
type WeightRow struct {
	Number uint64
	WeightSet
}

// LoadValidator reads a validator's tables.
func LoadValidator(s store.Snapshot) (*Validator, error) {
	v := &Validator{Scores: map[DayKey]Score{}}
	err := firstError(
		func() error {
			return Games.Scan(s, nil, nil, func(_ bet.GameID, g *bet.Game) error { v.Games = append(v.Games, *g); return nil })
		},
		func() error {
			return Predictions.Scan(s, nil, nil, func(_ PredictionKey, p *Prediction) error {
				v.Predictions = append(v.Predictions, *p)
				return nil
			})
		},
		func() error {
			return Budgets.Scan(s, nil, nil, func(k DayKey, c *bet.Cents) error {
				if !v.Budget.Reserve(k.Hotkey, k.Day, *c) {
					return fmt.Errorf("budget of %s on %s is %s: more than a day allows", k.Hotkey, k.Day, *c)
				}
				return nil
			})
		},
		func() error {
			return Scores.Scan(s, nil, nil, func(k DayKey, r *Score) error { v.Scores[k] = *r; return nil })
		},
		func() error {
			return Weights.Scan(s, nil, nil, func(n uint64, w *WeightSet) error {
				v.Weights = append(v.Weights, WeightRow{n, *w})
				return nil
			})
		},
		func() error { return v.Node.load(s) },
	)
	slices.SortFunc(v.Predictions, func(a, b Prediction) int { return cmp.Compare(a.Arrived, b.Arrived) })
	return v, err
}

// Miner is what a miner finds in its store when it starts.
type Miner struct {
	Games  []bet.Game // by id
	Outbox []Outgoing // by time made, then id
	// Receipts is how many numbers of receipts each day has used.
	Receipts map[bet.Day]uint64
	Node
}

// LoadMiner reads a miner's tables.
func LoadMiner(s store.Snapshot) (*Miner, error) {
	m := &Miner{Receipts: map[bet.Day]uint64{}}
	err := firstError(
		func() error {
			return Games.Scan(s, nil, nil, func(_ bet.GameID, g *bet.Game) error { m.Games = append(m.Games, *g); return nil })
		},
		func() error {
			return Outbox.Scan(s, nil, nil, func(_ bet.PredictionID, o *Outgoing) error { m.Outbox = append(m.Outbox, *o); return nil })
		},
		func() error {
			return Receipts.Scan(s, nil, nil, func(k ReceiptKey, _ *Receipt) error { m.Receipts[k.Day] = k.Number + 1; return nil })
		},
		func() error { return m.Node.load(s) },
	)
	slices.SortFunc(m.Outbox, func(a, b Outgoing) int {
		return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.Submission.ID, b.Submission.ID))
	})
	return m, err
}

func (c *Node) load(s store.Snapshot) error {
	c.Counters, c.Facts = map[string]Counters{}, map[string]string{}
	if err := Facts.Scan(s, nil, nil, func(k string, v *string) error { c.Facts[k] = *v; return nil }); err != nil {
		return err
	}
	if err := Stats.Scan(s, nil, nil, func(k string, v *Counters) error { c.Counters[k] = *v; return nil }); err != nil {
		return err
	}
	m, ok, err := Metagraphs.Get(s, MetagraphKey)
	if ok {
		c.Metagraph = &m
	}
	return err
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("load the ledger: %w", err)
		}
	}
	return nil
}
