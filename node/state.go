package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/score"
	"bettensor/node/wire"
	"bettensor/store"
)

// State is what the services of a node share. Each field has one service that
// writes it; every other may read it. It lives on the loop.
type State struct {
	// Meta is the newest metagraph, nil before the first sync. Metagraph writes.
	Meta  *chain.Metagraph
	own   chain.Hotkey
	uid   chain.UID // of own, where it has one
	has   bool
	slots map[chain.Hotkey]chain.UID // of all, nil until somebody else's is asked for: most miners never do

	// Sessions that stand, by the peer's hotkey. Communication writes.
	Sessions map[chain.Hotkey]wire.Conn

	// Games by id; a game is replaced, never changed. Games writes.
	Games   map[bet.GameID]*bet.Game
	ordered []*bet.Game // the same, by start and then id
	told    store.Seq   // the commit that makes all of Games durable: before it they are told to nobody

	// Book of accepted predictions. Predictions writes. Validator only.
	Book Book

	// Scores are the scored days. Scoring writes. Validator only.
	Scores Scores

	// Round is the newest round's result, nil before the first of this run.
	// Scoring writes. Validator only.
	Round *ScoringComplete

	// Weights set so far, oldest first. Weights writes.
	Weights []ledger.WeightRow
}

func newState(own chain.Hotkey) State {
	return State{own: own, Scores: Scores{byHotkey: map[chain.Hotkey]*history{}}, Games: map[bet.GameID]*bet.Game{}, Sessions: map[chain.Hotkey]wire.Conn{}, Book: Book{
		byID: map[ledger.IDKey]*ledger.Prediction{}, byGame: map[bet.GameID][]*ledger.Prediction{}}}
}

// setMeta puts a newer metagraph in place; moved says that slots changed hands.
func (s *State) setMeta(m *chain.Metagraph, moved bool) {
	s.Meta = m
	if !moved {
		return
	}
	s.slots, s.has = nil, false
	for i := range m.Neurons {
		if m.Neurons[i].Hotkey == s.own {
			s.uid, s.has = chain.UID(i), true
		}
	}
}

// UID is a hotkey's slot at the newest metagraph.
func (s *State) UID(h chain.Hotkey) (chain.UID, bool) {
	if h == s.own {
		return s.uid, s.has
	}
	if s.slots == nil && s.Meta != nil {
		s.slots = make(map[chain.Hotkey]chain.UID, len(s.Meta.Neurons))
		for i := range s.Meta.Neurons {
			s.slots[s.Meta.Neurons[i].Hotkey] = chain.UID(i)
		}
	}
	u, ok := s.slots[h]
	return u, ok
}

// Head estimates the chain's head from the newest metagraph and the clock.
func (s *State) Head(now time.Time, blockTime time.Duration) chain.Block {
	if s.Meta == nil {
		return 0
	}
	return s.Meta.Block + chain.Block(max(now.Sub(s.Meta.At), 0)/blockTime)
}

// SortedGames returns the games that pass, by start and then id.
func (s *State) SortedGames(pass func(*bet.Game) bool) []*bet.Game {
	return s.gamesFrom(time.Time{}, pass)
}

// gamesFrom returns the games that start at or after an instant and pass, by
// start and then id.
func (s *State) gamesFrom(start time.Time, pass func(*bet.Game) bool) []*bet.Game {
	var out []*bet.Game
	for _, g := range s.startingFrom(start) {
		if pass(g) {
			out = append(out, g)
		}
	}
	return out
}

// firstFrom is the first of those that gamesFrom returns, nil where there is none.
func (s *State) firstFrom(start time.Time, pass func(*bet.Game) bool) *bet.Game {
	from := s.startingFrom(start)
	if i := slices.IndexFunc(from, pass); i >= 0 {
		return from[i]
	}
	return nil
}

// startingFrom is all games that start at an instant or later.
func (s *State) startingFrom(start time.Time) []*bet.Game {
	i, _ := slices.BinarySearchFunc(s.ordered, start, func(g *bet.Game, t time.Time) int { return g.Start.Compare(t) })
	return s.ordered[i:]
}

// putGame adds a game or replaces what was known of it.
func (s *State) putGame(g *bet.Game) {
	if old := s.Games[g.ID]; old != nil {
		i, _ := slices.BinarySearchFunc(s.ordered, old, byStart)
		if old.Start.Equal(g.Start) {
			s.ordered[i], s.Games[g.ID] = g, g
			return
		}
		s.ordered = slices.Delete(s.ordered, i, i+1)
	}
	s.Games[g.ID] = g
	i, _ := slices.BinarySearchFunc(s.ordered, g, byStart)
	s.ordered = slices.Insert(s.ordered, i, g)
}

// dropGame forgets a game.
func (s *State) dropGame(id bet.GameID) {
	if old := s.Games[id]; old != nil {
		i, _ := slices.BinarySearchFunc(s.ordered, old, byStart)
		s.ordered = slices.Delete(s.ordered, i, i+1)
		delete(s.Games, id)
	}
}

func byStart(a, b *bet.Game) int {
	if c := a.Start.Compare(b.Start); c != 0 {
		return c
	}
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}

// Book is a validator's accepted predictions in memory. A row is replaced,
// never changed: events point to it.
type Book struct {
	byID    map[ledger.IDKey]*ledger.Prediction
	byGame  map[bet.GameID][]*ledger.Prediction // in order of acceptance
	budget  bet.Budget
	arrived uint64
}

// Len is how many predictions are held.
func (b *Book) Len() int { return len(b.byID) }

// Get returns a prediction, or nil.
func (b *Book) Get(h chain.Hotkey, id bet.PredictionID) *ledger.Prediction {
	return b.byID[ledger.IDKey{Hotkey: h, ID: id}]
}

// Game returns a game's predictions in order of acceptance; do not change it.
func (b *Book) Game(id bet.GameID) []*ledger.Prediction { return b.byGame[id] }

// Spent is what a hotkey has wagered on a day of receipt.
func (b *Book) Spent(h chain.Hotkey, d bet.Day) bet.Cents { return b.budget.Spent(h, d) }

func (b *Book) add(p *ledger.Prediction) {
	b.byID[ledger.IDKey{Hotkey: p.Hotkey, ID: p.ID}] = p
	b.byGame[p.Game] = append(b.byGame[p.Game], p)
	b.arrived = max(b.arrived, p.Arrived)
}

func (b *Book) replace(i int, p *ledger.Prediction) {
	b.byID[ledger.IDKey{Hotkey: p.Hotkey, ID: p.ID}] = p
	b.byGame[p.Game][i] = p
}

// drop forgets a prediction whose game's predictions are all to go.
func (b *Book) drop(game bet.GameID) {
	for _, p := range b.byGame[game] {
		delete(b.byID, ledger.IDKey{Hotkey: p.Hotkey, ID: p.ID})
	}
	delete(b.byGame, game)
}

// historyDays is the length of a ring of days: what the ledger keeps of scores,
// and a power of two.
const historyDays = 128

// Scores are the scored days of every hotkey, and under the empty hotkey the
// days themselves (ledger.DayKey). They are what the ledger holds, so that a
// Scoring service that is built again finds them here.
type Scores struct {
	byHotkey map[chain.Hotkey]*history
	from     bet.Day         // ledger.FactTiersFrom, 0 where no tiers were ever made
	newest   bet.Day         // with tiers
	stale    []ledger.DayKey // rows on disk that are too old to be here
}

// history is the scored days of one hotkey. A row is replaced, never changed.
type history struct {
	days [historyDays]bet.Day
	rows [historyDays]ledger.Score
}

// at returns the row of a day, nil where there is none.
func (h *history) at(d bet.Day) *ledger.Score {
	if h == nil || h.days[d&(historyDays-1)] != d {
		return nil
	}
	return &h.rows[d&(historyDays-1)]
}

func (s *Scores) of(h chain.Hotkey) *history {
	x := s.byHotkey[h]
	if x == nil {
		x = &history{}
		for i := range x.days {
			x.days[i] = -1
		}
		s.byHotkey[h] = x
	}
	return x
}

// load takes in what the ledger holds.
func (s *Scores) load(found *ledger.Validator) error {
	for k, row := range found.Scores { // order cannot matter: of two days in one place the newer one stays
		x, i := s.of(k.Hotkey), k.Day&(historyDays-1)
		switch old := x.days[i]; {
		case old > k.Day:
			s.stale = append(s.stale, k)
			continue
		case old >= 0:
			s.stale = append(s.stale, ledger.DayKey{Day: old, Hotkey: k.Hotkey})
		}
		x.days[i], x.rows[i] = k.Day, row
		if row.Tier > 0 {
			s.newest = max(s.newest, k.Day)
		}
	}
	slices.SortFunc(s.stale, func(a, b ledger.DayKey) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Hotkey, b.Hotkey))
	})
	if text, ok := found.Facts[ledger.FactTiersFrom]; ok {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return fmt.Errorf("fact %s: %w", ledger.FactTiersFrom, err)
		}
		s.from = bet.DayOf(at)
	}
	return nil
}

// hotkeys is everybody with a scored day, in order.
func (s *Scores) hotkeys() []chain.Hotkey {
	out := make([]chain.Hotkey, 0, len(s.byHotkey))
	for h := range s.byHotkey {
		if h != "" {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out
}

// daysSettled counts the days with settled predictions among those that tiers
// look at.
func (s *Scores) daysSettled(today bet.Day) int {
	seen := map[bet.Day]bool{}
	for h, x := range s.byHotkey { // order cannot matter: days are counted
		for i, d := range x.days {
			if h != "" && d > today-score.Ring && d <= today && x.rows[i].Settled > 0 {
				seen[d] = true
			}
		}
	}
	return len(seen)
}

// anySettled says whether a game was settled on a day.
func (s *Scores) anySettled(d bet.Day) bool {
	row := s.byHotkey[""].at(d)
	return row != nil && row.Settled > 0
}
