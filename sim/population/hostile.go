package population

import (
	"cmp"
	"math"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// Attacks that an honest miner's service carries out, for what it says is within
// the rules: only what is said is meant to be paid for nothing.

// Parameters of raw peers.
var (
	bait  = Param{"wager", 1, 0.01, 1000, "dollars", "wager of each of its predictions"}
	often = Param{"every", 10, 0.1, 1440, "minutes", "time from one attempt to the next"}
)

// raw are the kinds that the miner's service would refuse to be.
var raw = []Kind{
	{"latecomer", "Backs every game after its kick-off with a date before it, again a second, a minute and an hour later, and the winner once the result is told.",
		[]Param{{"after", 0, 0, 1440, "minutes", "time from kick-off to the first attempt"}, bait}, true},
	{"forger", "Takes prices that nobody offers: longer ones, those of the other side, no numbers, a tie where there is none.",
		[]Param{often, {"by", 0.5, 0.02, 100, "", "how much longer its prices are, as a share"}, bait}, true},
	{"skimmer", "Takes each price a little above the one offered, within the tolerance of the validator's comparison.",
		[]Param{often, bait}, true},
	{"duplicator", "Uses an id twice: its own for another wager, side or game, and those of other miners for its own predictions.",
		[]Param{often, bait}, true},
	{"overspender", "Wagers several budgets at once: over two connections, across midnight, and in its answers to polls where its transport is http.",
		[]Param{{"times", 3, 1, 50, "", "budgets it tries to wager at a time"}}, true},
	{"tamperer", "Backs games honestly, and says once the result is told that it was another side, a larger wager, a longer price.",
		[]Param{often, bait}, true},
	{"impersonator", "Speaks in other miners' names: opens sessions as them, signs predictions as them, writes their slots into its own.",
		[]Param{often, bait}, true},
	{"replayer", "Catches frames of all miners on their way, and sends them again: at once and days later, in its own session and behind a caught authentication.",
		[]Param{often}, true},
	{"flooder", "Sends heartbeats and predictions far above the rate that a session may.",
		[]Param{with(often, 60), {"rate", 1000, 10, 10000, "", "frames each second"}, {"length", 1, 0.1, 60, "minutes", "how long a flood lasts; every is from the beginning of one to that of the next"}}, true},
	{"stormer", "Opens connections to every validator, and never says who it is.",
		[]Param{with(often, 1), {"rate", 20, 1, 500, "", "connections at a time, to each validator"}}, true},
	{"oversizer", "Sends frames larger than the protocol takes, in a session and as the first of a connection.",
		[]Param{with(often, 1), {"kilobytes", 300, 1, 16000, "", "size of a frame, in 1,000 bytes"}}, true},
	{"garbler", "Sends what is no message: random bytes, half a message, deep nesting, numbers without end, wrong encodings.",
		[]Param{with(often, 0.5)}, true},
}

// dust makes the smallest wagers there are, on every game.
type dust struct {
	base
	wager bet.Cents
}

func (d *dust) Wake(now time.Time, _ *model.Book) time.Time { return now.Add(time.Hour) }

func (d *dust) Picks(now time.Time, b *model.Book) []model.Pick {
	left := b.Remaining
	var picks []model.Pick
	for _, g := range b.Games {
		if !within(now, g) || len(b.Placed(g.ID)) > 0 || left < d.wager {
			continue
		}
		o := bet.Home
		for k := bet.Away; k <= bet.Tie; k++ {
			if priced(g, k) && (!priced(g, o) || g.Odds[k] < g.Odds[o]) {
				o = k
			}
		}
		if priced(g, o) {
			left -= d.wager
			picks = append(picks, model.Pick{Game: g.ID, Outcome: o, Wager: d.wager, Confidence: -1})
		}
	}
	return d.post(now, picks)
}

// hedger backs every outcome of one game of each match day, so that whatever
// happens pays the same.
type hedger struct {
	base
	once  onceADay
	stake bet.Cents // a day
}

func (h *hedger) Wake(now time.Time, _ *model.Book) time.Time { return h.once.wake(now) }

func (h *hedger) Picks(now time.Time, b *model.Book) []model.Pick {
	days := h.once.days(now, b)
	if len(days) == 0 {
		return nil
	}
	stake := min(h.stake, b.Remaining) / bet.Cents(len(days))
	var picks []model.Pick
	for _, games := range days {
		g := games[h.noise.aim("", bet.DayOf(games[0].Start)).IntN(len(games))]
		picks = append(picks, h.all(g, stake)...)
	}
	return h.post(now, picks)
}

// all divides a stake over a game's outcomes by what their prices say of them.
func (h *hedger) all(g *bet.Game, stake bet.Cents) (picks []model.Pick) {
	var sum float64
	for o := bet.Home; o <= bet.Tie; o++ {
		if priced(g, o) {
			sum += 1 / g.Odds[o]
		}
	}
	for o := bet.Home; o <= bet.Tie; o++ {
		if priced(g, o) {
			if w := bet.Cents(float64(stake) / g.Odds[o] / sum); w > 0 {
				picks = append(picks, model.Pick{Game: g.ID, Outcome: o, Wager: w, Confidence: -1})
			}
		}
	}
	return picks
}

// colluding are members of one group that back different outcomes of the same
// games: one of them wins each, whatever happens.
func colluding(seat int) chooser {
	return func(b *base, _ bet.Day, games []*bet.Game) choice {
		// The group agrees on a game by what all of them know: its id.
		g := slices.MinFunc(games, func(x, y *bet.Game) int { return cmp.Compare(x.ID, y.ID) })
		var sides []bet.Outcome
		for o := bet.Home; o <= bet.Tie; o++ {
			if priced(g, o) {
				sides = append(sides, o)
			}
		}
		if len(sides) == 0 {
			return choice{}
		}
		return choice{g, sides[seat%len(sides)], -1}
	}
}

// Prices are the odds of the market at an instant: what the bookmakers show
// before a feed tells of it.
type Prices interface {
	Price(id bet.GameID, at time.Time) (bet.Odds, bool)
}

// sniper compares what its validators still offer with what the market asks by
// now, and takes what has become too long.
type sniper struct {
	base
	every time.Duration
	edge  float64
	wager bet.Cents
}

// snipes is how long before kick-off a sniper looks: that is when prices move.
const snipes = 24 * time.Hour

func (s *sniper) Wake(now time.Time, _ *model.Book) time.Time {
	return now.Truncate(s.every).Add(s.every)
}

func (s *sniper) Picks(now time.Time, b *model.Book) []model.Pick {
	prices, ok := s.world.Market.(Prices)
	if !ok {
		return nil
	}
	left := b.Remaining
	var picks []model.Pick
	for _, g := range b.Games {
		if g.Start.Sub(now) > snipes {
			break // they come by start
		}
		if !within(now, g) || len(b.Placed(g.ID)) > 0 {
			continue
		}
		odds, ok := prices.Price(g.ID, now)
		if !ok {
			continue
		}
		best, value := bet.Unfinished, 1+s.edge
		for o := bet.Home; o <= bet.Tie; o++ {
			// Against the market's own price, margin and all.
			if priced(g, o) && odds[o] >= bet.MinOdds && g.Odds[o]/odds[o] > value {
				best, value = o, g.Odds[o]/odds[o]
			}
		}
		if wager := min(s.wager, left); best != bet.Unfinished && wager > 0 {
			left -= wager
			picks = append(picks, model.Pick{Game: g.ID, Outcome: best, Wager: wager, Confidence: math.Min(1/odds[best], 1)})
		}
	}
	return s.post(now, picks)
}
