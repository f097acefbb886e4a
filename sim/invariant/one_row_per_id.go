package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

var oneRowDoc = Doc{"one-row-per-id", "An id of a hotkey stands in one row only, of one game and one day of receipt, however often it was sent and however often the validator began anew.", "the rows of each day, each time they are read"}

type oneRowPerID struct{ rule }

// again judges a row of an id that was found in the store before.
func (r *oneRowPerID) again(at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	if r.judge() && (bet.DayOf(row.Received) != e.day || string(row.Game) != e.said().game) {
		r.violate(at, "%s has a row of %s, and another on game %s of %s", e.who(v), e.day, row.Game, bet.DayOf(row.Received))
	}
}
