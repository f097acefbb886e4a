package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/wire"
)

var trueDoc = Doc{"budget-refusal-is-true", "A prediction is refused for the day's budget only where everything its hotkey has sent for that day, counted once, could not fit into $1,000.00.", "refusals, against all that was sent for the day"}

// budgetRefusalIsTrue sums what was claimed, accepted or not: an upper bound of
// what a validator can have reserved.
type budgetRefusalIsTrue struct{ rule }

// claims notes what a submission may take of the days it may be received on.
func (r *budgetRefusalIsTrue) claims(s *Set, at time.Time, e *entry, c *variant) {
	for _, d := range [...]bet.Day{bet.DayOf(at.Add(-s.facts.ClockSkew)), bet.DayOf(at), bet.DayOf(at.Add(closing + s.facts.ClockSkew))} {
		if d > c.claimed {
			c.claimed = d
			e.owner.book(d).claims += c.wager
		}
	}
}

func (r *budgetRefusalIsTrue) refused(at time.Time, v *validator, e *entry, k *wire.Confirmation, decided time.Time) {
	if k.Code != bet.DailyLimitExceeded || e == nil || e.owner.lossy || len(e.variants) == maxVariants || !r.judge() {
		return
	}
	if b := e.owner.find(bet.DayOf(decided)); b == nil || b.claims <= bet.DailyBudget {
		var claims bet.Cents
		if b != nil {
			claims = b.claims
		}
		r.violate(at, "%s is refused for the budget of %s, and its hotkey has asked for %s that day", e.who(v), bet.DayOf(decided), claims)
	}
}
