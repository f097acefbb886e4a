package population

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// sharp decides once a day, game by game: what it believes underpriced, best edge
// first, until the budget is used up.
type sharp struct {
	base
	once    onceADay
	error   float64 // of its belief, in ln(probability)
	staking model.Staking
	found   []model.Candidate // kept between days for its room
}

func (s *sharp) Wake(now time.Time, _ *model.Book) time.Time { return s.once.wake(now) }

func (s *sharp) Picks(now time.Time, b *model.Book) []model.Pick {
	if !s.once.due(now, b) {
		return nil
	}
	found := s.found[:0]
	for _, g := range b.Games {
		if !within(now, g) {
			continue
		}
		s.once.done(now)
		_, odds, ok := s.world.Market.Line(g.ID)
		if !ok || len(b.Placed(g.ID)) > 0 {
			continue
		}
		p := s.noise.belief(g.ID, odds, s.error)
		for o := bet.Home; o <= bet.Tie; o++ {
			if c := (model.Candidate{Game: g.ID, Start: g.Start, Outcome: o, P: p[o], Odds: g.Odds[o]}); priced(g, o) && c.Edge() >= s.staking.MinEdge {
				found = append(found, c)
			}
		}
	}
	s.found = found
	return s.post(now, s.staking.Stake(found, s.staking.Allowance(now, b.Remaining)))
}
