package invariant

import (
	"time"

	"bettensor/node/bet"
)

var budgetRowDoc = Doc{"budget-row", "The budget row of a hotkey's day is the sum of the wagers of that day's rows, so that wagered and remaining are $1,000.00 together after every restart.", "budget rows, against the day's rows, daily and at each reopening"}

type budgetRow struct{ rule }

// day compares the budget row with the rows it sums.
func (r *budgetRow) day(at time.Time, v *validator, o *owner, b *dayBook, rows, budget bet.Cents) {
	if r.judge() && rows != budget && !b.unequal {
		b.unequal = true
		r.violate(at, "%s of %s at %s: the day's rows wager %s, the budget says %s", b.day, o.hotkey, v.name, rows, budget)
	}
}
