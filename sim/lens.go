package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"bettensor/node/bet"
)

// gamesSource is a feed that can be asked about one game, as sim/market's can. With
// another, faults that change what is told of a game do nothing.
type gamesSource interface {
	Feed
	Game(id bet.GameID, at time.Time) (bet.Game, bool)
}

type lot = *rand.Rand

// lens is how a validator's feed tells games: as they are, but for what faults
// make of them. It remembers what it told that is not so, since whoever judges
// the validator must know.
type lens struct {
	edits  map[bet.GameID]*edit     // what became of games otherwise than planned; looked up only
	twins  map[bet.GameID]bool      // games that have a second id; looked up only
	held   map[bet.GameID]time.Time // results that are not told before; looked up only
	news   []retelling              // by time
	told   map[bet.GameID][]telling // looked up only
	opened map[bet.GameID]time.Time // when a game was told first; looked up only
}

// edit is what becomes of a game otherwise than the market has it, from at on.
type edit struct {
	at        time.Time
	void      bool
	calledOff bool
	moved     time.Time     // when the new kick-off is told; zero for never
	by        time.Duration // from the old kick-off
}

// retelling is a time at which a game is news again.
type retelling struct {
	at time.Time
	id bet.GameID
}

// telling is a game as it was told from an instant on.
type telling struct {
	at   time.Time
	game bet.Game
	lied bool
}

// twinOf is the second id of a game.
func twinOf(id bet.GameID) bet.GameID { return id + "-2" }

// again makes a game news at an instant.
func (l *lens) again(id bet.GameID, at time.Time) {
	n := retelling{at, id}
	i, _ := slices.BinarySearchFunc(l.news, n, func(a, b retelling) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	l.news = slices.Insert(l.news, i, n)
}

// amend decides what becomes of a game, and when that is news.
func (l *lens) amend(m gamesSource, id bet.GameID, e edit) {
	if l.edits == nil {
		l.edits = map[bet.GameID]*edit{}
	}
	l.edits[id] = &e
	l.again(id, e.at)
	if e.moved.IsZero() {
		return
	}
	l.again(id, e.moved)
	if g, ok := m.Game(id, e.at.Add(feedBack)); ok {
		l.again(id, g.Start.Add(e.by))
		if !g.ResultAt.IsZero() {
			l.again(id, g.ResultAt.Add(e.by))
		}
	}
}

// game is the game as it is at an instant, g being what the market has.
func (e *edit) game(m gamesSource, g bet.Game, now time.Time) bet.Game {
	switch {
	case now.Before(e.at):
	case e.void:
		g.Status, g.Outcome, g.ResultAt, g.Active = bet.Void, bet.Unfinished, time.Time{}, false
	case e.calledOff && (e.moved.IsZero() || now.Before(e.moved)):
		g, _ = m.Game(g.ID, e.at)
		g.Status, g.Active, g.Closing = bet.Postponed, false, bet.Odds{}
	default: // played later or earlier, and all that happens to it with it
		then := now.Add(-e.by)
		if then.Before(e.at) {
			then = e.at
		}
		g, _ = m.Game(g.ID, then)
		g.Start = g.Start.Add(e.by)
		g.Updated = earlier(g.Updated.Add(e.by), now)
		g.OddsAt = earlier(g.OddsAt.Add(e.by), g.Updated)
		if !g.ResultAt.IsZero() {
			g.ResultAt = g.ResultAt.Add(e.by)
		}
	}
	return g
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// saw says whether a game had been told before an instant.
func (l *lens) saw(id bet.GameID, before time.Time) bool {
	at, ok := l.opened[id]
	return ok && at.Before(before)
}

// changes is what the host's feed answers at now: games with news after since.
func (h *Host) changes(since, now time.Time) []bet.Game {
	w, l := h.world, &h.lens
	m, ok := w.cfg.Feed.(gamesSource)
	if !ok || !w.feedLies {
		return w.cfg.Feed.Changes(since, now)
	}
	at := now
	if a := h.suffers("feed.stale"); a != nil {
		at = now.Add(-a.f.Params.Delay)
		a.bit(1)
	}
	games := w.cfg.Feed.Changes(since, at)
	dated := map[bet.GameID]time.Time{} // looked up only
	for _, n := range l.news {
		if !n.at.After(since) || n.at.After(at) {
			continue
		}
		dated[n.id] = n.at
		if !slices.ContainsFunc(games, func(g bet.Game) bool { return g.ID == n.id }) {
			if g, ok := m.Game(n.id, at); ok {
				games = append(games, g)
			}
		}
	}
	var out []bet.Game
	for _, g := range games {
		out = append(out, h.tell(m, g, dated[g.ID], at, now)...)
	}
	slices.SortStableFunc(out, func(a, b bet.Game) int { return cmp.Compare(a.ID, b.ID) })
	if a := h.suffers("feed.malformed"); a != nil {
		out = a.garble(out)
	}
	if a := h.suffers("feed.truncated"); a != nil {
		kept := int(float64(len(out)) * a.f.Params.Games)
		a.bit(len(out) - kept)
		out = out[:kept]
	}
	return out
}

// tell is a game as the host is told of it, and its second form where it has two.
// dated is when it was made news, zero where the market did; the answer is as of
// at, and leaves now.
func (h *Host) tell(m gamesSource, g bet.Game, dated, at, now time.Time) []bet.Game {
	l := &h.lens
	if l.opened == nil {
		l.opened, l.twins = map[bet.GameID]time.Time{}, map[bet.GameID]bool{}
		l.told, l.held = map[bet.GameID][]telling{}, map[bet.GameID]time.Time{}
	}
	if _, ok := l.opened[g.ID]; !ok {
		l.opened[g.ID] = now
	}
	lied := false
	if e := l.edits[g.ID]; e != nil && !at.Before(e.at) {
		g, lied = e.game(m, g, at), true
	}
	if h.withheld(&g, at) {
		lied = true
	}
	if dated.After(g.Updated) {
		g.Updated = dated
	}
	teamA, teamB := g.TeamA, g.TeamB
	if h.distort(&g) {
		lied = true
	}
	l.note(g, lied, now)
	if a := h.suffers("feed.duplicates"); a != nil && !l.twins[g.ID] && a.picks(g.ID) {
		l.twins[g.ID] = true
		a.bit(1)
	}
	if !l.twins[g.ID] {
		return []bet.Game{g}
	}
	twin := g
	twin.ID = twinOf(g.ID)
	if _, ok := l.opened[twin.ID]; !ok { // names change, they are not wrong from the first
		l.opened[twin.ID], twin.TeamA, twin.TeamB = now, teamA, teamB
	}
	l.note(twin, true, now)
	return []bet.Game{g, twin}
}

// withheld takes the result from a game where it is told later.
func (h *Host) withheld(g *bet.Game, at time.Time) bool {
	l := &h.lens
	if !g.Resulted() || g.ResultAt.IsZero() {
		return false
	}
	until, held := l.held[g.ID]
	if a := h.suffers("feed.late_results"); a != nil && !held && a.picks(g.ID) {
		until, held = g.Updated.Add(a.f.Params.Delay), true
		a.bit(1)
		l.held[g.ID] = until
		l.again(g.ID, until)
	}
	if !held || !at.Before(until) {
		return false
	}
	g.Status, g.Outcome, g.ResultAt = bet.Scheduled, bet.Unfinished, time.Time{}
	return true
}

// note remembers what was told where it is not so, and when the truth was again.
func (l *lens) note(g bet.Game, lied bool, now time.Time) {
	before := l.told[g.ID]
	if !lied && (len(before) == 0 || !before[len(before)-1].lied) {
		return
	}
	l.told[g.ID] = append(before, telling{now, g, lied})
}

// told is a game as the validator's feed had told it by an instant, where that was
// not the truth.
func (w *World) told(validator string, id bet.GameID, at time.Time) (bet.Game, bool) {
	h := w.Host(validator)
	if h == nil {
		return bet.Game{}, false
	}
	list := h.lens.told[id]
	i, _ := slices.BinarySearchFunc(list, at, func(x telling, at time.Time) int {
		if x.at.After(at) {
			return 1
		}
		return -1
	})
	if i == 0 {
		return bet.Game{}, false
	}
	return list[i-1].game, list[i-1].lied
}

// retold are the instants from which on the validator's feed told something else of
// a game than before, between two instants.
func (w *World) retold(validator string, id bet.GameID, from, to time.Time) (out []time.Time) {
	if h := w.Host(validator); h != nil {
		for _, t := range h.lens.told[id] {
			if !t.at.Before(from) && !t.at.After(to) {
				out = append(out, t.at)
			}
		}
	}
	return out
}
