package bet

import "time"

// Offers tells whether odds can be shown to anybody: both sides priced between
// MinOdds and MaxOdds, the tie as well or zero, and zero where there is none.
func (o *Odds) Offers(canTie bool) bool {
	return sane(o[Home]) && sane(o[Away]) && (o[Tie] == 0 || canTie && sane(o[Tie]))
}

// sane is false for NaN and infinities too.
func sane(price float64) bool { return price >= MinOdds && price <= MaxOdds }

// priced tells whether an outcome can be taken at all.
func (g *Game) priced(o Outcome) bool { return g.Odds[o] != 0 && (o != Tie || g.CanTie) }

// Bettable tells whether predictions on the game can be accepted now.
func (g *Game) Bettable(now time.Time) bool {
	return g.Status == Scheduled && g.Active && now.Before(g.Start) && g.Odds.Offers(g.CanTie)
}

// ClosingFrom is what the closing odds are once odds made at an instant, later
// than all before, are known: those, if made no later than the start, else what
// they were.
func (g *Game) ClosingFrom(odds Odds, at time.Time) Odds {
	if at.IsZero() || g.Start.IsZero() || at.After(g.Start) {
		return g.Closing
	}
	return odds
}

// Resulted tells whether the game's predictions can be settled: it has an
// outcome, or is void.
func (g *Game) Resulted() bool {
	return g.Status == Void || g.Status == Finished && g.Outcome <= Tie
}

// Settle returns the prediction as the game now has it, and whether that is
// news. It depends on nothing but what was admitted and the game, so that it is
// idempotent and corrections may come in any order: a corrected result reverses
// the earlier settlement, a withdrawn one opens the prediction again. A void
// game pushes; a postponed one stays open. The settlement day is the UTC date
// of Settled, which is the result's own time (the time of the news where the
// feed gave none).
func Settle(p *Prediction, g *Game) (next Prediction, changed bool) {
	next = *p
	if p.Game != g.ID {
		return next, false
	}
	next.State, next.Payout, next.Settled = Open, 0, time.Time{}
	switch {
	case !g.Resulted():
	case g.Status == Void:
		next.State = Pushed
	case g.Outcome == p.Outcome:
		next.State = Won
		next.Payout, _ = Payout(p.Wager, p.Odds) // admitted predictions have one
	default:
		next.State = Lost
	}
	if next.State != Open {
		next.Settled = g.ResultAt
		if g.ResultAt.IsZero() {
			next.Settled = g.Updated
		}
	}
	return next, next.State != p.State || next.Payout != p.Payout || !next.Settled.Equal(p.Settled)
}

// Profit is what the prediction has brought: payout less wager, nothing while
// it is open or where it was pushed.
func (p *Prediction) Profit() Cents {
	switch p.State {
	case Won, Lost:
		return p.Payout - p.Wager
	}
	return 0
}
