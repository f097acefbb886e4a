package population

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// busy makes load: a fixed number of small wagers spread over the UTC day, each
// on a random outcome of a random game.
type busy struct {
	base
	stake bet.Cents // a day
	picks int       // a day
	// offset moves a miner's wagers within its slots, so that not all come at once.
	offset time.Duration
}

// slot is the time from one wager to the next.
func (m *busy) slot() time.Duration { return 24 * time.Hour / time.Duration(m.picks) }

func (m *busy) Wake(now time.Time, _ *model.Book) time.Time {
	into := now.Sub(bet.DayOf(now).Start()) - m.offset
	n := into/m.slot() + 1
	if into < 0 {
		n = 0
	}
	return bet.DayOf(now).Start().Add(m.offset + n*m.slot())
}

// Picks makes one wager at the moment of each slot, and nothing in between.
func (m *busy) Picks(now time.Time, b *model.Book) []model.Pick {
	into := now.Sub(bet.DayOf(now).Start()) - m.offset
	if into < 0 || into%m.slot() != 0 || len(b.Games) == 0 {
		return nil
	}
	wager := min(m.stake/bet.Cents(m.picks), b.Remaining)
	if wager <= 0 {
		return nil
	}
	draw := m.noise.aim("", bet.Day(now.Unix()/60)) // by the minute: slots are no shorter
	g := b.Games[draw.IntN(len(b.Games))]
	sides := []bet.Outcome{bet.Home, bet.Away}
	if g.CanTie {
		sides = append(sides, bet.Tie)
	}
	side := sides[draw.IntN(len(sides))]
	if g.Odds[side] < bet.MinOdds {
		return nil
	}
	return []model.Pick{{Game: g.ID, Outcome: side, Wager: wager, Confidence: 1 / g.Odds[side]}}
}
