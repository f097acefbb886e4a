package population

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// late backs the shortest price of every game shortly before its kick-off.
type late struct {
	base
	stake  bet.Cents // a day
	before time.Duration
}

// moment is when a game's turn comes.
func (l *late) moment(g *bet.Game) time.Time { return g.Start.Add(-l.before) }

func (l *late) Wake(now time.Time, b *model.Book) time.Time {
	for _, g := range b.Games {
		if at := l.moment(g); at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// Picks divides what is left of the day's stake over the games whose turn is still
// to come today: an equal share, unless games are moved.
func (l *late) Picks(now time.Time, b *model.Book) []model.Pick {
	today := bet.DayOf(now)
	var turn []choice
	var games bet.Cents
	for _, g := range b.Games {
		if !g.Start.After(now) || len(b.Placed(g.ID)) > 0 {
			continue
		}
		at := l.moment(g)
		if bet.DayOf(at) > today {
			break // by start: the rest is later
		}
		c := shortest(nil, today, []*bet.Game{g})
		if c.game == nil {
			continue
		}
		games++
		if !at.After(now) {
			turn = append(turn, c)
		}
	}
	if len(turn) == 0 {
		return nil
	}
	spent := bet.DailyBudget - b.Remaining
	wager := min(l.stake-spent, b.Remaining) / games
	if wager <= 0 {
		return nil
	}
	picks := make([]model.Pick, len(turn))
	for i, c := range turn {
		picks[i] = model.Pick{Game: c.game.ID, Outcome: c.outcome, Wager: wager, Confidence: c.p}
	}
	return l.post(now, picks)
}
