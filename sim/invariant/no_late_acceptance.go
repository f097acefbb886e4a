package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

var lateDoc = Doc{"no-late-acceptance", "No prediction is accepted that was received at or after the kick-off as it was then known.", "acceptances and rows, against the kick-offs that the world, or a lying feed, has told"}

// noLateAcceptance looks twice: when a prediction is acknowledged, whether it
// was already too late when it was first sent; and at the row, which says when
// it was received.
type noLateAcceptance struct{ rule }

func (r *noLateAcceptance) acknowledged(s *Set, at time.Time, v *validator, e *entry) {
	// What it learned while the submission was under way it goes by, too: a game that
	// its feed told of later than another's, a kick-off put off.
	if sent := unix(e.first); r.judge() && s.started(v, bet.GameID(e.said().game), sent, at) {
		r.violate(at, "%s was first sent %s, at or after kick-off, and acknowledged", e.who(v), sent.Format(time.RFC3339Nano))
	}
}

func (r *noLateAcceptance) row(s *Set, at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	if !r.judge() {
		return
	}
	if received := row.Received; s.started(v, row.Game, received, received) {
		r.violate(at, "%s was received %s, at or after kick-off, and stored", e.who(v), received.Format(time.RFC3339Nano))
	}
}

// started tells whether a validator must have known that a game had started at an
// instant, or that there is no such game, by what was told until then and until a
// later instant. A kick-off moved forward takes newsLag to become known, and so does
// one that a feed no longer lies about.
func (s *Set) started(v *validator, id bet.GameID, at, later time.Time) bool {
	skew := s.facts.ClockSkew
	early := at.Add(-skew)
	open := func(asOf time.Time) bool {
		start, ok := s.kickOff(v, id, asOf)
		return ok && early.Before(start)
	}
	for _, asOf := range [...]time.Time{later, at.Add(skew), at, early, early.Add(-newsLag)} {
		if open(asOf) {
			return false
		}
	}
	return !s.lately(v, id, early.Add(-newsLag), later, open)
}
