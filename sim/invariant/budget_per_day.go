package invariant

import (
	"time"

	"bettensor/node/bet"
)

var budgetDoc = Doc{"budget-per-day", "What a validator accepts of one hotkey on one UTC day of receipt is never more than $1,000.00, summed in whole cents from the submissions themselves.", "acceptances as they leave, and the rows of each day as the disk holds them"}

// budgetPerDay adds up what was acknowledged, and what was stored without the
// acknowledgement getting through.
type budgetPerDay struct{ rule }

func (r *budgetPerDay) count(at time.Time, v *validator, e *entry, d bet.Day) {
	if e.counted {
		return
	}
	e.counted = true
	b := e.owner.book(d)
	b.spent += e.said().wager
	if r.judge() && b.spent > bet.DailyBudget {
		r.violate(at, "%s takes its hotkey to %s on %s", e.who(v), b.spent, d)
	}
}
