// Package market is the world's games: fixtures, odds that move until kick-off,
// results. They are read from files of real matches (FromFiles) or made up
// (Synthetic); either way a Market is built whole before a run begins and never
// changes, so that what is known at an instant is a pure function of that
// instant and may be asked by several feeds, in any order.
//
// Read market.go for fixtures and news, path.go for how a line moves, file.go
// and its table.go and zone.go for files, synthetic.go for the made-up season. The simulator's
// games feed calls Changes; sim/population calls Line. It imports node/bet only.
package market

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
	"time"

	"bettensor/node/bet"
)

// FirstID is the number of the first game by kick-off; the others follow it.
const FirstID = 100000

const (
	// OpensBefore is how long before kick-off a game is offered.
	OpensBefore = 8 * 24 * time.Hour
	// Step is how often the odds of a game move.
	Step = 6 * time.Hour
	// ResultAfter is how long after kick-off the result is known.
	ResultAfter = 2 * time.Hour
	// SettleTail is how long a run of files goes on after the last result, so
	// that a scoring day can close over it.
	SettleTail = 2 * 24 * time.Hour
)

// Fixture is a game with everything that will become of it. Only Market.Changes
// and Market.Game tell what of it is known at an instant; Market.Line tells what
// a miner's model may know of it.
type Fixture struct {
	ID            bet.GameID
	Sport, League string
	TeamA, TeamB  string // A plays at home
	CanTie        bool

	Opens time.Time // first offered, at the odds Open
	Start time.Time // kick-off as first announced; IDs follow it
	Open  bet.Odds
	Close bet.Odds // the odds at the kick-off at which the game was played

	// Truth are the probabilities the result was drawn from; zero for games of files.
	Truth    [3]float64
	Result   bet.Outcome // Unfinished where the game was never played to its end
	ResultAt time.Time   // zero with an Unfinished result

	// PostponedAt is when the game was called off; zero for most games.
	PostponedAt time.Time
	// MovedAt is when the new kick-off MovedTo became known; both zero unless
	// the game was called off and played later.
	MovedAt, MovedTo time.Time
	// VoidAt is when the game was declared void; zero for most games.
	VoidAt time.Time
}

// KickOff is when the game is finally played: MovedTo if it was moved, else Start.
// A game called off for good keeps its Start.
func (f *Fixture) KickOff() time.Time {
	if !f.MovedTo.IsZero() {
		return f.MovedTo
	}
	return f.Start
}

// change is one piece of news of one fixture: from at on, these odds stand.
type change struct {
	at, oddsAt int64 // unix seconds
	odds       bet.Odds
}

// news points at a change in the order the world hears of them.
type news struct {
	at  int64
	fix int32
}

// Market holds all fixtures of a run. It is immutable, and safe to share.
type Market struct {
	fixtures   []Fixture // index + FirstID is the ID
	own        []change  // of fixture i: own[first[i]:first[i+1]], by time
	first      []int32
	index      []news // of all fixtures, by time and then fixture
	start, end time.Time
}

// newMarket orders and numbers the fixtures and lays out their news.
func newMarket(fixtures []Fixture, start, end time.Time, step time.Duration, noise float64, seed uint64) *Market {
	slices.SortFunc(fixtures, func(a, b Fixture) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.League, b.League),
			cmp.Compare(a.TeamA, b.TeamA), cmp.Compare(a.TeamB, b.TeamB))
	})
	m := &Market{fixtures: fixtures, first: make([]int32, 1, len(fixtures)+1), start: start, end: end}
	per := int(OpensBefore/step) + 4
	m.own = make([]change, 0, len(fixtures)*per)
	m.index = make([]news, 0, len(fixtures)*per)
	walk := newWalk(seed, noise)
	for i := range fixtures {
		f := &fixtures[i]
		f.ID = bet.GameID(strconv.Itoa(FirstID + i))
		from := len(m.own)
		m.own = walk.changes(m.own, f, step)
		m.first = append(m.first, int32(len(m.own)))
		for _, c := range m.own[from:] {
			m.index = append(m.index, news{at: c.at, fix: int32(i)})
		}
	}
	slices.SortFunc(m.index, func(a, b news) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.fix, b.fix))
	})
	return m
}

// Fixtures are all games by first announced kick-off, then league, then home
// team: the order of their IDs. Do not change them.
func (m *Market) Fixtures() []Fixture { return m.fixtures }

// Fixture finds a game by ID; nil if there is none.
func (m *Market) Fixture(id bet.GameID) *Fixture {
	i, ok := m.find(id)
	if !ok {
		return nil
	}
	return &m.fixtures[i]
}

func (m *Market) find(id bet.GameID) (int, bool) {
	n, err := strconv.Atoi(string(id))
	i := n - FirstID
	// The text is compared too: "0100000" is nobody's ID.
	if err != nil || i < 0 || i >= len(m.fixtures) || m.fixtures[i].ID != id {
		return 0, false
	}
	return i, true
}

// Line is what a model may know of a game beyond what the feed says: the opening
// odds (public) and the closing odds (what a skilled miner estimates). It never
// tells a result. ok is false for an unknown game.
func (m *Market) Line(id bet.GameID) (open, close bet.Odds, ok bool) {
	i, ok := m.find(id)
	if !ok {
		return bet.Odds{}, bet.Odds{}, false
	}
	return m.fixtures[i].Open, m.fixtures[i].Close, true
}

// Price is what the market asks for a game at an instant, before any feed tells of
// it; false for a game that is not offered.
func (m *Market) Price(id bet.GameID, at time.Time) (bet.Odds, bool) {
	g, ok := m.Game(id, at)
	return g.Odds, ok && g.Active
}

// Span is when a run over this market begins and ends: for files 8 days before
// the first kick-off and 2 days after the last result, for a made-up market what
// it was made for.
func (m *Market) Span() (start, end time.Time) { return m.start, m.end }

// Game is a game as the feed knows it at now; ok is false before it opens and for
// an unknown ID.
func (m *Market) Game(id bet.GameID, now time.Time) (g bet.Game, ok bool) {
	i, ok := m.find(id)
	if !ok || now.Unix() < m.fixtures[i].Opens.Unix() {
		return bet.Game{}, false
	}
	return m.game(i, now.Unix()), true
}

// Changes lists every game with news in (since, now], as it stands at now, by ID.
// The zero since means from the beginning. The caller owns the result; it is nil,
// and nothing is allocated, where there is no news.
func (m *Market) Changes(since, now time.Time) []bet.Game {
	lo, hi := since.Unix(), now.Unix()
	from := sort.Search(len(m.index), func(i int) bool { return m.index[i].at > lo })
	to := from + sort.Search(len(m.index)-from, func(i int) bool { return m.index[from+i].at > hi })
	if from == to {
		return nil
	}
	// An hourly poll sees a few dozen news at most: the index of fixtures stays
	// on the stack.
	var buf [128]int32
	fix := buf[:0]
	for _, n := range m.index[from:to] {
		fix = append(fix, n.fix)
	}
	slices.Sort(fix)
	fix = slices.Compact(fix)
	games := make([]bet.Game, len(fix))
	for k, i := range fix {
		games[k] = m.game(int(i), hi)
	}
	return games
}

// game is fixture i at now, which is not before it opened.
func (m *Market) game(i int, now int64) bet.Game {
	f := &m.fixtures[i]
	own := m.own[m.first[i]:m.first[i+1]]
	last := own[sort.Search(len(own), func(k int) bool { return own[k].at > now })-1]
	known := func(t time.Time) bool { return !t.IsZero() && t.Unix() <= now }
	g := bet.Game{
		ID: f.ID, Sport: f.Sport, League: f.League, TeamA: f.TeamA, TeamB: f.TeamB, CanTie: f.CanTie,
		Created: f.Opens, Updated: time.Unix(last.at, 0).UTC(),
		Start: f.Start, Odds: last.odds, OddsAt: time.Unix(last.oddsAt, 0).UTC(),
		Status: bet.Scheduled, Outcome: bet.Unfinished,
	}
	if known(f.MovedAt) {
		g.Start = f.MovedTo
	}
	switch {
	case known(f.VoidAt):
		g.Status = bet.Void
	case known(f.ResultAt):
		g.Status, g.Outcome, g.ResultAt = bet.Finished, f.Result, f.ResultAt
	case known(f.PostponedAt) && !known(f.MovedAt):
		g.Status = bet.Postponed
	}
	started := g.Start.Unix() <= now
	g.Active = g.Status == bet.Scheduled && !started
	// A game that was called off and not moved never closed.
	if started && (f.PostponedAt.IsZero() || known(f.MovedAt)) {
		g.Closing = f.Close
	}
	return g
}
