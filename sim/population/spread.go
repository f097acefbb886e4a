package population

import (
	"math"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
	"bettensor/sim/market"
)

const (
	// reach is how far ahead a miner looks: as far as games are offered.
	reach = market.OpensBefore
	// headway is left before kick-off for a prediction to arrive.
	headway = time.Minute
)

// priced tells whether an outcome of a game can be backed.
func priced(g *bet.Game, o bet.Outcome) bool {
	return (o != bet.Tie || g.CanTie) && g.Odds[o] >= bet.MinOdds && !math.IsInf(g.Odds[o], 0)
}

// within tells whether a game kicks off soon enough to be looked at, and late
// enough to be backed.
func within(now time.Time, g *bet.Game) bool {
	return g.Start.Sub(now) >= headway && g.Start.Sub(now) <= reach
}

// onceADay paces a model that decides once each UTC day, at its own minute.
type onceADay struct {
	minute int
	asked  bool // since the model was built
	next   bet.Day
}

func (o *onceADay) at(d bet.Day) time.Time {
	return d.Start().Add(time.Duration(o.minute) * time.Minute)
}

// due tells whether today's decision is to be made now. A model that was built
// anew (its miner restarted) sees from the budget that today's has been made.
func (o *onceADay) due(now time.Time, b *model.Book) bool {
	today := bet.DayOf(now)
	if !o.asked {
		o.asked = true
		o.next = today
		if b.Remaining < bet.DailyBudget {
			o.next = today + 1
		}
	}
	return today >= o.next && !now.Before(o.at(today))
}

// done records that today's decision has been made.
func (o *onceADay) done(now time.Time) { o.next = bet.DayOf(now) + 1 }

// days are the match days within reach where today's decision is to be made now
// and there is something to decide on; it is made then.
func (o *onceADay) days(now time.Time, b *model.Book) [][]*bet.Game {
	if !o.due(now, b) {
		return nil
	}
	days := matchDays(now, b.Games)
	if len(days) > 0 {
		o.done(now)
	}
	return days
}

// wake is the next decision. One that is overdue, because there was no game to
// decide on, waits for news.
func (o *onceADay) wake(now time.Time) time.Time {
	today := bet.DayOf(now)
	if at := o.at(today); now.Before(at) && today >= o.next {
		return at
	}
	return o.at(today + 1)
}

// choice is what to back on one match day.
type choice struct {
	game    *bet.Game
	outcome bet.Outcome
	p       float64 // believed probability, -1 for none
}

// chooser picks one outcome over the games of one match day, all within reach; the
// game is nil if none will do. Of equals the first counts, in the book's order.
type chooser func(b *base, today bet.Day, games []*bet.Game) choice

// spread decides once a day: an equal stake on each match day within reach.
type spread struct {
	base
	once   onceADay
	stake  bet.Cents // a day
	choose chooser
}

func (s *spread) Wake(now time.Time, _ *model.Book) time.Time { return s.once.wake(now) }

func (s *spread) Picks(now time.Time, b *model.Book) []model.Pick {
	days := s.once.days(now, b)
	if len(days) == 0 {
		return nil
	}
	wager := min(s.stake, b.Remaining) / bet.Cents(len(days))
	if wager <= 0 {
		return nil
	}
	picks := make([]model.Pick, 0, len(days))
	for _, games := range days {
		if c := s.choose(&s.base, bet.DayOf(now), games); c.game != nil {
			picks = append(picks, model.Pick{Game: c.game.ID, Outcome: c.outcome, Wager: wager, Confidence: c.p})
		}
	}
	return s.post(now, picks)
}

// matchDays cuts the games within reach, which come by start, into UTC days.
func matchDays(now time.Time, games []*bet.Game) [][]*bet.Game {
	var days [][]*bet.Game
	for i := 0; i < len(games); {
		if !within(now, games[i]) {
			i++
			continue
		}
		j := i + 1
		for j < len(games) && within(now, games[j]) && bet.DayOf(games[j].Start) == bet.DayOf(games[i].Start) {
			j++
		}
		days = append(days, games[i:j])
		i = j
	}
	return days
}

// Which odds a belief starts from.
func opening(l Lines, id bet.GameID) (bet.Odds, bool) { o, _, ok := l.Line(id); return o, ok }
func closing(l Lines, id bet.GameID) (bet.Odds, bool) { _, c, ok := l.Line(id); return c, ok }

// bestValue backs the best believed probability × odds offered, among odds of at
// most most (0: any), whatever the edge.
func bestValue(knows func(Lines, bet.GameID) (bet.Odds, bool), sd, most float64) chooser {
	return func(b *base, _ bet.Day, games []*bet.Game) (best choice) {
		var value float64
		for _, g := range games {
			odds, ok := knows(b.world.Market, g.ID)
			if !ok {
				continue
			}
			p := b.noise.belief(g.ID, odds, sd)
			for o := bet.Home; o <= bet.Tie; o++ {
				if !priced(g, o) || most > 0 && g.Odds[o] > most {
					continue
				}
				if v := p[o] * g.Odds[o]; v > value {
					value, best = v, choice{g, o, p[o]}
				}
			}
		}
		return best
	}
}

// shortest backs the shortest price.
func shortest(_ *base, _ bet.Day, games []*bet.Game) (best choice) {
	for _, g := range games {
		for o := bet.Home; o <= bet.Tie; o++ {
			if priced(g, o) && (best.game == nil || g.Odds[o] < best.game.Odds[best.outcome]) {
				best = choice{g, o, -1}
			}
		}
	}
	return best
}

// anything backs a random outcome of a random game, drawn anew each day: the
// outcome that draws the highest ticket of its game, of the game that does.
func anything(b *base, today bet.Day, games []*bet.Game) (best choice) {
	var highest float64
	for _, g := range games {
		sides := make([]bet.Outcome, 0, 3)
		for o := bet.Home; o <= bet.Tie; o++ {
			if priced(g, o) {
				sides = append(sides, o)
			}
		}
		r := b.noise.aim(g.ID, today)
		ticket := r.Float64()
		if len(sides) > 0 && (best.game == nil || ticket > highest) {
			highest, best = ticket, choice{g, sides[r.IntN(len(sides))], -1}
		}
	}
	return best
}
