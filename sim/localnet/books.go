package localnet

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/store"
)

const (
	// maxDifferences are written out; the rest is counted.
	maxDifferences = 100
	// keptForSure is the age up to which both sides still hold a prediction. Beyond
	// it each drops its own on a day of its own.
	keptForSure = (ledger.RetentionDays - 2) * 24 * time.Hour
	// sameWeights is the total variation up to which weights are the same: the chain
	// scales values, and rounds.
	sameWeights = 1e-4
)

// Books is what came of comparing the books of validators and miners, from
// their stores, after the end of both.
type Books struct {
	// Equal: nothing is confirmed that is not stored, nothing is stored otherwise
	// than its miner made it, every budget is the sum of its wagers, and the chain
	// holds the weights that were set last.
	Equal bool `json:"equal"`
	// Confirmed counts what miners hold as confirmed, for each validator, Stored
	// what validators hold of these miners.
	Confirmed int `json:"confirmed"`
	Stored    int `json:"stored"`
	// Waiting are stored and not confirmed yet: the word on them was lost, and the
	// miner sends them again, because their game has not begun.
	Waiting int `json:"waiting"`
	// Over are stored and were never confirmed before their game began: a miner
	// sends nothing after that.
	Over int `json:"over"`
	// Outside is what miners hold as confirmed by validators that did not run here:
	// it is compared with nothing.
	Outside int `json:"outside"`
	// Wagers of all that is stored, in cents.
	Wagers bet.Cents `json:"wagers_cents"`
	// WeightSets on the chain that were compared: of validators that have set any.
	WeightSets int `json:"weight_sets"`
	// Differences say what is not equal, a line each, Found how many there are.
	Differences []string `json:"differences"`
	Found       int      `json:"found"`
}

// String is a line for people.
func (b Books) String() string {
	word := "equal"
	if !b.Equal {
		word = fmt.Sprintf("NOT EQUAL, %d differences", b.Found)
	}
	line := fmt.Sprintf("%s, %d confirmed, %d stored (%d of them wait for their confirmation, %d began without one), %s wagered, weight sets on the chain: %d",
		word, b.Confirmed, b.Stored, b.Waiting, b.Over, b.Wagers, b.WeightSets)
	if b.Outside > 0 {
		line += fmt.Sprintf("; %d confirmed by validators outside, whose books are theirs", b.Outside)
	}
	return line
}

// validatorBooks is a validator's side.
type validatorBooks struct {
	name   string
	hotkey chain.Hotkey
	held   *ledger.Validator
	// shown are the weights that the chain holds; asked says whether it was asked.
	shown chain.Weights
	asked bool
}

// minerBooks is a miner's.
type minerBooks struct {
	name   string
	hotkey chain.Hotkey
	held   *ledger.Miner
}

// compare holds the books of both sides against each other. now is the node's
// clock at the end. What a miner has with a validator that is not among these is
// left out, and the other way round.
func compare(validators []validatorBooks, miners []minerBooks, now time.Time) Books {
	b := Books{Differences: []string{}}
	differ := func(format string, args ...any) {
		if b.Found++; len(b.Differences) < maxDifferences {
			b.Differences = append(b.Differences, fmt.Sprintf(format, args...))
		}
	}
	ours := map[chain.Hotkey]map[bet.PredictionID]*ledger.Outgoing{}
	names := map[chain.Hotkey]string{}
	for _, m := range miners {
		rows := map[bet.PredictionID]*ledger.Outgoing{}
		for i := range m.held.Outbox {
			rows[m.held.Outbox[i].Submission.ID] = &m.held.Outbox[i]
		}
		ours[m.hotkey], names[m.hotkey] = rows, m.name
	}
	here := map[chain.Hotkey]bool{}
	for _, v := range validators {
		here[v.hotkey] = true
	}
	for _, m := range miners {
		for i := range m.held.Outbox {
			for _, d := range m.held.Outbox[i].Deliveries {
				if d.State == ledger.Confirmed && !here[d.Validator] {
					b.Outside++
				}
			}
		}
	}
	for _, v := range validators {
		stored := map[ledger.IDKey]*ledger.Prediction{}
		spent := map[ledger.DayKey]bet.Cents{}
		for i := range v.held.Predictions {
			p := &v.held.Predictions[i]
			key := ledger.IDKey{Hotkey: p.Hotkey, ID: p.ID}
			if stored[key] != nil {
				differ("%s holds %s of %s twice", v.name, p.ID, p.Hotkey)
			}
			stored[key] = p
			spent[ledger.DayKey{Day: bet.DayOf(p.Received), Hotkey: p.Hotkey}] += p.Wager
			rows, known := ours[p.Hotkey]
			if !known {
				continue
			}
			b.Stored++
			b.Wagers += p.Wager
			o := rows[p.ID]
			if o == nil {
				if now.Sub(p.Received) < keptForSure {
					differ("%s holds %s of %s, which made no such prediction", v.name, p.ID, names[p.Hotkey])
				}
				continue
			}
			if why := otherContent(p, o); why != "" {
				differ("%s holds %s of %s otherwise: %s", v.name, p.ID, names[p.Hotkey], why)
			}
			switch d := delivery(o, v.hotkey); {
			case d == nil && o.Start.After(now):
				b.Waiting++
			case d == nil:
				b.Over++
			case d.State != ledger.Confirmed:
				differ("%s holds %s of %s, to which it answered no (%s)", v.name, p.ID, names[p.Hotkey], d.Code)
			}
		}
		for _, m := range miners {
			for i := range m.held.Outbox {
				o := &m.held.Outbox[i]
				d := delivery(o, v.hotkey)
				if d == nil || d.State != ledger.Confirmed {
					continue
				}
				b.Confirmed++
				if stored[ledger.IDKey{Hotkey: m.hotkey, ID: o.Submission.ID}] == nil && now.Sub(d.At) < keptForSure {
					differ("%s was told that %s is stored, and %s does not hold it", m.name, o.Submission.ID, v.name)
				}
			}
		}
		for line := range v.held.Budget.All() {
			key := ledger.DayKey{Day: line.Day, Hotkey: line.Hotkey}
			if sum := spent[key]; sum != line.Spent && now.Sub(line.Day.Start()) < keptForSure {
				differ("%s has %s of the budget of %s on %s as spent, and predictions of %s", v.name, line.Spent, line.Hotkey, line.Day, sum)
			}
			delete(spent, key)
		}
		left := slices.SortedFunc(maps.Keys(spent), func(x, y ledger.DayKey) int {
			return cmp.Or(cmp.Compare(x.Day, y.Day), strings.Compare(string(x.Hotkey), string(y.Hotkey)))
		})
		for _, key := range left {
			differ("%s holds predictions of %s of %s on %s, and no budget", v.name, spent[key], key.Hotkey, key.Day)
		}
		if v.asked {
			compareWeights(&b, &v, differ)
		}
	}
	b.Equal = b.Found == 0
	return b
}

// otherContent says what a validator holds otherwise than its miner made it.
func otherContent(p *ledger.Prediction, o *ledger.Outgoing) string {
	switch {
	case p.Game != o.Submission.Game:
		return fmt.Sprintf("game %s, not %s", p.Game, o.Submission.Game)
	case p.Outcome != o.Outcome:
		return fmt.Sprintf("outcome %s, not %s", p.Outcome, o.Outcome)
	case p.Odds > o.Odds || o.Odds-p.Odds > bet.OddsTolerance: // of two within the tolerance the offered one counts
		return fmt.Sprintf("odds %v, not %v", p.Odds, o.Odds)
	case p.Wager != o.Wager:
		return fmt.Sprintf("wager %s, not %s", p.Wager, o.Wager)
	case p.Content != o.Submission.Fingerprint():
		return "another content"
	}
	return ""
}

// delivery is a validator's final word on a prediction, nil where there is none.
func delivery(o *ledger.Outgoing, validator chain.Hotkey) *ledger.Delivery {
	for i := range o.Deliveries {
		if o.Deliveries[i].Validator == validator {
			return &o.Deliveries[i]
		}
	}
	return nil
}

// compareWeights holds what the chain has of a validator against what it set
// last. While a set is under way, what stands may be it or the one before.
func compareWeights(b *Books, v *validatorBooks, differ func(string, ...any)) {
	var may []chain.Weights
	for _, row := range slices.Backward(v.held.Weights) {
		if row.Phase.Open() || row.Phase == ledger.Included {
			may = append(may, row.Weights)
		}
		if row.Phase == ledger.Included {
			break
		}
	}
	settled := len(may) > 0 && v.held.Weights[len(v.held.Weights)-1].Phase == ledger.Included
	switch {
	case len(v.shown.UIDs) == 0:
		if settled {
			differ("%s has set weights, and the chain holds none", v.name)
		}
		return
	case !slices.ContainsFunc(may, func(w chain.Weights) bool { return chain.TotalVariation(w, v.shown) <= sameWeights }):
		differ("the chain holds weights of %s that are not those it set last", v.name)
	}
	b.WeightSets++
}

// Books compares the books of all nodes that ran here. Call it after Stop.
func (n *Network) Books() (Books, error) {
	var validators []validatorBooks
	var miners []minerBooks
	for _, r := range n.nodes {
		if r.role == "validator" {
			v, err := n.validatorBooks(r.name, n.storeOf(r.name))
			if err != nil {
				return Books{}, err
			}
			validators = append(validators, v)
			continue
		}
		held, err := loadMiner(n.storeOf(r.name))
		if err != nil {
			return Books{}, fmt.Errorf("%s: %w", r.name, err)
		}
		miners = append(miners, minerBooks{r.name, n.keys[r.name], held})
	}
	return compare(validators, miners, n.now()), nil
}

// validatorBooks reads a validator's store and what the chain has of it.
func (n *Network) validatorBooks(name, dir string) (validatorBooks, error) {
	held, err := loadValidator(dir)
	if err != nil {
		return validatorBooks{}, fmt.Errorf("%s: %w", name, err)
	}
	v := validatorBooks{name: name, hotkey: n.keys[name], held: held, asked: true}
	v.shown = n.weightsOf(v.hotkey)
	return v, nil
}

func loadMiner(dir string) (out *ledger.Miner, err error) {
	err = snapshot(dir, func(s store.Snapshot) error { out, err = ledger.LoadMiner(s); return err })
	return out, err
}

func loadValidator(dir string) (out *ledger.Validator, err error) {
	err = snapshot(dir, func(s store.Snapshot) error { out, err = ledger.LoadValidator(s); return err })
	return out, err
}

// snapshot reads a store that no node has open.
func snapshot(dir string, read func(store.Snapshot) error) (err error) {
	e, err := store.OpenPebble(store.Options{Dir: dir, Schema: ledger.Schema(), MustExist: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	snap, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	return read(snap)
}
