package sim

import (
	"math"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/sched"
)

var feedPortFaults = []portFault{
	{port: PortFeed, what: "feed.outage", fate: Failed},
	{port: PortFeed, what: "feed.rate_limited", fate: Failed, only: (*active).overBudget},
}

// feedWindow is what a window of a fault of the feed keeps while it lasts: the
// games of which it has told something else than is so, in order.
type feedWindow struct{ touched []bet.GameID }

// beginFeed does what a fault of the games feed does at once: what becomes of
// games otherwise than planned is decided then.
func (a *active) beginFeed() {
	h, now := a.h, a.h.world.now()
	m, ok := h.world.cfg.Feed.(gamesSource)
	if !ok {
		return
	}
	hours := time.Duration(a.f.Params.Hours) * time.Hour
	for _, g := range a.kickingOff() {
		e := edit{at: now, by: hours}
		switch a.f.What {
		case "feed.postponed":
			e.calledOff = true
			if hours > 0 {
				e.moved = now.Add(a.length)
			}
		case "feed.moved_kick_off":
			if e.moved = now; !g.Start.Add(hours).After(now) {
				continue // it would have begun
			}
		case "feed.void":
			e.at, e.void = g.Start.Add(time.Hour), true
		}
		h.lens.amend(m, g.ID, e)
		a.bit(1)
	}
}

// kickingOff are the games that are to kick off in the window and are hit.
func (a *active) kickingOff() (out []bet.Game) {
	switch a.f.What {
	case "feed.postponed", "feed.moved_kick_off", "feed.void":
	default:
		return nil
	}
	w := a.h.world
	for _, g := range w.cfg.Feed.Changes(time.Time{}, w.now()) {
		if g.Status == bet.Scheduled && !g.Start.Before(w.now()) && g.Start.Before(w.now().Add(a.length)) && a.picks(g.ID) && a.h.lens.edits[g.ID] == nil {
			out = append(out, g)
		}
	}
	return out
}

// endFeed has the truth told of what lies were told of.
func (a *active) endFeed() {
	for _, id := range a.feed.touched {
		a.h.lens.again(id, a.h.world.now())
	}
}

// picks says whether a game is among those of the window. It depends on nothing but
// the window and the game's id.
func (a *active) picks(id bet.GameID) bool {
	return a.f.Params.Games >= 1 || a.lot(id).Float64() < a.f.Params.Games
}

// touch notes that the truth about a game is to be told when the window ends.
func (a *active) touch(id bet.GameID) {
	if !slices.Contains(a.feed.touched, id) {
		a.bit(1)
		a.feed.touched = append(a.feed.touched, id)
	}
}

// distort makes of a game, as it is to be told, what active faults tell of it.
// known is that something else was told of what is believed: garbage is not.
func (h *Host) distort(g *bet.Game) (known bool) {
	for _, a := range h.active {
		if a.f.Family() != "feed" || !a.picks(g.ID) {
			continue
		}
		switch p := &a.f.Params; a.f.What {
		case "feed.wrong_results":
			if g.Status == bet.Finished && g.Outcome <= bet.Tie {
				g.Outcome = map[bet.Outcome]bet.Outcome{bet.Home: bet.Away, bet.Away: bet.Home, bet.Tie: bet.Home}[g.Outcome]
				a.touch(g.ID)
				known = true
			}
		case "feed.clock_zone":
			by := time.Duration(p.Hours) * time.Hour
			g.Start = g.Start.Add(by)
			if !g.ResultAt.IsZero() {
				g.ResultAt = g.ResultAt.Add(by)
			}
			a.touch(g.ID)
			known = true
		case "feed.bad_odds":
			badOdds(g, p.Odds)
			a.touch(g.ID)
		case "feed.renamed":
			if g.Created.Before(a.began) && h.lens.saw(g.ID, a.began) {
				g.TeamA, g.TeamB = "Sporting "+g.TeamA, "Sporting "+g.TeamB
				a.touch(g.ID)
			}
		}
	}
	return known
}

func badOdds(g *bet.Game, how string) {
	switch how {
	case "jump":
		g.Odds[bet.Home], g.Odds[bet.Away] = max(g.Odds[bet.Home]/2, bet.MinOdds), g.Odds[bet.Away]*2
	case "vanish":
		g.Odds = bet.Odds{}
	case "nan":
		g.Odds[bet.Home] = math.NaN()
	case "low":
		g.Odds[bet.Away] = 0.5
	case "huge":
		g.Odds[bet.Home] = math.Inf(1)
	}
}

// garble replaces games by what a broken provider may tell, and adds some that
// are none.
func (a *active) garble(games []bet.Game) []bet.Game {
	n := len(games)
	for i := range n {
		g := &games[i]
		if !a.picks(g.ID) {
			continue
		}
		a.touch(g.ID)
		none := *g
		none.ID, none.TeamB = "none-"+g.ID, g.TeamA
		games = append(games, none)
		g = &games[i]
		switch a.lot(g.ID).IntN(7) {
		case 0:
			g.TeamA = ""
		case 1:
			g.Start = time.Date(1789, 7, 14, 0, 0, 0, 0, time.UTC)
		case 2:
			g.Status, g.Outcome = bet.Finished, 7
		case 3:
			g.Status = 9
		case 4:
			g.Updated = g.Updated.AddDate(1, 0, 0)
		case 5:
			g.League = "\x00\x1b[2J"
		case 6:
			g.ID = ""
		}
	}
	return games
}

// lot is a stream of the window for one game.
func (a *active) lot(id bet.GameID) lot { return sched.NewStream(a.seed, string(id)) }
