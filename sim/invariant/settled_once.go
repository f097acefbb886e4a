package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

var settledDoc = Doc{"settled-once", "No prediction is settled before its game has a result; in time after the result each is settled as the result says, on the result's day; and a corrected result is followed.", "rows of games with a result, against the result as told"}

type settledOnce struct{ rule }

// verdict is what a result makes of a pick.
func verdict(pick, outcome bet.Outcome, void bool) bet.State {
	switch {
	case void:
		return bet.Pushed
	case pick == outcome:
		return bet.Won
	}
	return bet.Lost
}

// early looks at a row in passing: one that is settled must have a result
// behind it. Which one is for due to say, when corrections have had their time.
func (r *settledOnce) early(s *Set, at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	if row.State == bet.Open || e.early || !r.judge() {
		return
	}
	// A result that was withdrawn is believed for as long as news may take.
	resulted := func(asOf time.Time) bool {
		_, _, known := s.result(v, row.Game, asOf)
		return known
	}
	for back := time.Duration(0); back <= s.facts.Slack; back += s.facts.Slack / looksBack {
		if resulted(at.Add(-back)) {
			return
		}
	}
	if s.lately(v, row.Game, at.Add(-s.facts.Slack), at, resulted) {
		return
	}
	e.early = true
	r.violate(at, "%s is %s, and its game has no result", e.who(v), row.State)
}

// looksBack is how often within Slack a withdrawn result is looked for. It is
// nearly always the first look that finds one.
const looksBack = 24

// due looks at a row that follows the result, or has had its time to.
func (r *settledOnce) due(s *Set, at time.Time, v *validator, e *entry, g *game, row *ledger.Prediction) {
	if !r.judge() {
		return
	}
	switch want := verdict(row.Outcome, g.outcome, g.void); {
	case row.State != want:
		r.violate(at, "%s is %s and should be %s, since %s at least", e.who(v), row.State, want, at.Add(-s.facts.Slack).Format(time.RFC3339))
	case row.Settled.IsZero():
		r.violate(at, "%s is %s on no day", e.who(v), row.State)
	case !g.void:
		if t, ok := s.resultAt(v, g.id, at); ok && bet.DayOf(t) != bet.DayOf(row.Settled) {
			r.violate(at, "%s is settled on %s, and the result is of %s", e.who(v), bet.DayOf(row.Settled), bet.DayOf(t))
		}
	}
}
