package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

var storedDoc = Doc{"acknowledged-is-stored", "Every prediction acknowledged as accepted is in the store with the content that was submitted, however often the validator crashed, and stays until retention; nothing is stored that nobody submitted.", "acceptances, against rows and ids on the disk: daily, at each reopening, four days later and before retention ends"}

type acknowledgedIsStored struct{ rule }

// content compares a row with what was submitted, and finds which of several
// contents under one id it is.
func (r *acknowledgedIsStored) content(at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	judged := r.judge()
	for i := range e.variants {
		c := &e.variants[i]
		if !c.unreadable && c.game == string(row.Game) && c.side == row.Outcome && priced(c.odds, row.Odds) && c.wager == row.Wager &&
			c.model == row.Model && c.confidence == row.Confidence {
			e.accepted, c.price = i, row.Odds
			return
		}
	}
	e.accepted = 0
	was := e.variants[0]
	if judged {
		r.violate(at, "%s is stored as %s at %v for %s on game %s: not what was submitted", e.who(v), row.Outcome, row.Odds, row.Wager, row.Game)
	}
	// Said once; the other invariants go on with what is stored.
	was.game, was.side, was.odds, was.wager = string(row.Game), row.Outcome, row.Odds, row.Wager
	was.price = row.Odds
	e.variants[0] = was
}

// unasked is a row that no frame accounts for.
func (r *acknowledgedIsStored) unasked(at time.Time, v *validator, o *owner, id bet.PredictionID) {
	if r.judge() && !o.forgot {
		r.violate(at, "prediction %s of %s is stored at %s, and nobody submitted it", id, o.hotkey, v.name)
	}
}

// keyless is a row that an id does not lead to: sent again, the prediction
// would be taken a second time.
func (r *acknowledgedIsStored) keyless(at time.Time, v *validator, e *entry) {
	if r.judge() {
		r.violate(at, "%s is in the store, and its id is not", e.who(v))
	}
}

// missing is a row that must be there and is not.
func (r *acknowledgedIsStored) missing(at time.Time, v *validator, e *entry, why string) {
	if e.gone {
		return
	}
	e.gone = true
	if r.judge() {
		r.violate(at, "%s is not in the store: %s", e.who(v), why)
	}
}

// priced tells whether a row may hold a price for the one that was submitted: that
// one, or the one offered where it is shorter within the tolerance.
func priced(said, held float64) bool {
	return held == said || held < said && said-held <= bet.OddsTolerance
}

// taken is the price that a content is paid at: the one it was stored at.
func (v *variant) taken() float64 {
	if v.price > 0 {
		return v.price
	}
	return v.odds
}
