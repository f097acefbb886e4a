package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

var convergesDoc = Doc{"settlement-converges", "A prediction whose result was corrected, voided or withdrawn and told again stands in the same row, in time, as if the last word had been the first: state, payout, day and stake.", "rows of games whose result has changed, against a settlement made once"}

type settlementConverges struct{ rule }

// due compares a row of a game whose result has changed with the row that a
// first settlement would have left.
func (r *settlementConverges) due(s *Set, at time.Time, v *validator, e *entry, g *game, row *ledger.Prediction) {
	if !g.corrected || !r.judge() {
		return
	}
	c := e.said()
	want := verdict(c.side, g.outcome, g.void)
	var pays bet.Cents
	if want == bet.Won {
		pays, _ = bet.Payout(c.wager, c.taken())
	}
	on, known := s.resultAt(v, g.id, at)
	switch {
	case row.State != want || row.Payout != pays || row.Wager != c.wager || row.Odds != c.taken():
		r.violate(at, "%s is %s for %s and pays %s after a correction; settled once it would be %s for %s and pay %s", e.who(v), row.State, row.Wager, row.Payout, want, c.wager, pays)
	case known && !g.void && bet.DayOf(row.Settled) != bet.DayOf(on):
		r.violate(at, "%s is settled on %s after a correction; settled once it would be on %s", e.who(v), bet.DayOf(row.Settled), bet.DayOf(on))
	}
}
