package node

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/sched"
)

// GameNews: a validator told of games. It is the miner's game_update.
type GameNews struct {
	Validator string
	Games     []bet.Game
}

// minerGames is the miner's Games service: what validators tell of games,
// merged by the newest news.
//
// game_update ─► Merge ─► State.Games ─► games_updated
type minerGames struct {
	idle
	named
	n    *Miner
	kept []keptGame // on disk
	// onDisk are the same by id: a result that is withdrawn and comes again is
	// still one row.
	onDisk map[bet.GameID]bool
	// alone are the games that one validator alone has told of, and how many those
	// of each validator are: what counts against it when there is no room.
	alone  map[bet.GameID]string
	counts map[string]int
	stats  struct{ told, changed, refused, ahead, outside, beyond, evicted uint64 }
}

// keptGame is a resulted game that the ledger holds.
type keptGame struct {
	id    bet.GameID
	start time.Time
}

// gamesKept is how long after its start a game stays in memory, beside those
// that predictions are open on: longer than validators tell of it. Models keep
// what they learn from it themselves.
const gamesKept = 10 * 24 * time.Hour

// Limits of what validators can make a miner remember.
const (
	// gamesSlack is how long before the window that validators tell of on connecting
	// a game may have started for the miner to take it in: their clocks and ours,
	// and the time that news takes.
	gamesSlack = 24 * time.Hour
	// gamesFar is how far ahead a game may start. Validators broadcast what a feed
	// announces when it does, and do not repeat it when it comes near.
	gamesFar = 46 * 24 * time.Hour
	// maxGames bounds the games in memory. Twenty leagues in season have below
	// 10,000 in 45 days.
	maxGames = feed.MaxBatch
	// maxKept bounds the resulted games on disk: a season of two hundred leagues.
	maxKept = 1 << 16
)

func newMinerGames(n *Miner, s *sched.Scope) *minerGames {
	g := &minerGames{named: "games", n: n, onDisk: map[bet.GameID]bool{}, alone: map[bet.GameID]string{}, counts: map[string]int{}}
	for i := range n.found.Games {
		known := &n.found.Games[i]
		n.State.putGame(known)
		g.onDisk[known.ID] = true
		g.kept = append(g.kept, keptGame{known.ID, known.Start})
	}
	now := n.loop.Now()
	for _, known := range n.State.SortedGames(func(*bet.Game) bool { return true }) {
		n.model.Observe(now, known)
	}
	g.drop(now) // what only the model wanted
	n.daily(s, "forget_games", g.forget)
	n.GameNews.Subscribe(s, g.learn)
	return g
}

func (g *minerGames) learn(e *GameNews) {
	var update GamesUpdated
	now := g.n.loop.Now()
	batch := g.n.store.Batch()
	for i := range e.Games {
		g.stats.told++
		in := &e.Games[i]
		old := g.n.State.Games[in.ID]
		if !g.takes(now, old, in) {
			continue
		}
		next, change, err := feed.Merge(old, *in)
		if err != nil {
			g.stats.refused++
			continue
		}
		if old == nil && len(g.n.State.Games) >= maxGames && !g.makeRoom(e.Validator) {
			g.stats.beyond++
			continue
		}
		g.credit(e.Validator, in.ID, old == nil)
		if change == 0 {
			continue
		}
		g.stats.changed++
		game := &next
		g.n.State.putGame(game)
		g.n.model.Observe(now, game)
		if game.Resulted() {
			// Models that learn from results find them here after a restart; what
			// is still open is told again by every validator.
			if g.onDisk[game.ID] || len(g.kept) < maxKept {
				ledger.Games.Put(batch, game.ID, game)
				if !g.onDisk[game.ID] {
					g.onDisk[game.ID] = true
					g.kept = append(g.kept, keptGame{game.ID, game.Start})
				}
			} else {
				g.stats.beyond++
			}
		}
		update.Games = append(update.Games, game)
		update.Changes = append(update.Changes, change)
	}
	if batch.Len() > 0 {
		g.n.store.Commit(batch)
	}
	if len(update.Games) > 0 {
		g.n.topics.games.Publish(update)
	}
}

// takes says whether news is looked at, and counts why not. What is known stays
// known wherever its start moves.
func (g *minerGames) takes(now time.Time, old *bet.Game, in *bet.Game) bool {
	switch {
	case feed.TimelyRelayed(now, in) != nil:
		g.stats.ahead++
	case old == nil && !inWindow(now, in.Start):
		g.stats.outside++
	default:
		return true
	}
	return false
}

// credit notes who told of a game. One that a second validator knows of as well
// counts against nobody.
func (g *minerGames) credit(validator string, id bet.GameID, isNew bool) {
	by, alone := g.alone[id]
	switch {
	case isNew:
		g.alone[id] = validator
		g.counts[validator]++
	case alone && by != validator:
		g.release(id)
	}
}

// release takes a game off whoever told of it alone.
func (g *minerGames) release(id bet.GameID) {
	by, alone := g.alone[id]
	if !alone {
		return
	}
	delete(g.alone, id)
	if g.counts[by]--; g.counts[by] == 0 {
		delete(g.counts, by)
	}
}

// makeRoom drops a game so that a validator can tell of another one: of the
// validator that tells most of what nobody else knows of, the game farthest
// ahead that no prediction is open on. It does not for whoever tells as much:
// one validator that makes games up thus pays for them with its own.
func (g *minerGames) makeRoom(validator string) bool {
	greedy := validator
	for by, n := range g.counts { // order cannot matter: equal ones are told apart by name
		if most := g.counts[greedy]; n > most || n == most && by < greedy {
			greedy = by
		}
	}
	if g.counts[greedy] <= g.counts[validator]+1 {
		return false
	}
	ordered := g.n.State.ordered
	for i := len(ordered) - 1; i >= 0; i-- {
		if id := ordered[i].ID; g.alone[id] == greedy && !g.n.box.waits(id) {
			g.release(id)
			g.n.State.dropGame(id)
			g.stats.evicted++
			return true
		}
	}
	return false
}

// inWindow says whether a validator may tell of a game with that start.
func inWindow(now, start time.Time) bool {
	return start.After(now.Add(-gamesBack-gamesSlack)) && start.Before(now.Add(gamesFar))
}

// drop drops from memory what started long ago, or moved out of sight.
func (g *minerGames) drop(now time.Time) {
	before, after := bet.DayOf(now).Start().Add(-gamesKept), now.Add(gamesFar)
	for _, old := range g.n.State.SortedGames(func(x *bet.Game) bool {
		return (x.Start.Before(before) || x.Start.After(after)) && !g.n.box.waits(x.ID)
	}) {
		g.release(old.ID)
		g.n.State.dropGame(old.ID)
	}
}

// forget drops games from memory soon, and from the disk when no model can want
// them any more (ledger.ResultDays).
func (g *minerGames) forget(today bet.Day) (more bool) {
	g.drop(g.n.loop.Now())
	b := g.n.store.Batch()
	left := g.kept[:0]
	for _, x := range g.kept {
		if b.Len() < forgetRows && bet.DayOf(x.start) < today-ledger.ResultDays {
			ledger.Games.Delete(b, x.id)
			delete(g.onDisk, x.id)
		} else {
			left = append(left, x)
		}
	}
	clear(g.kept[len(left):])
	g.kept, more = left, b.Len() >= forgetRows
	g.n.store.Commit(b)
	return more
}

func (g *minerGames) Stats() ServiceStats {
	s := ServiceStats{Name: g.name(), State: "ok", Counts: []Count{
		{"known", uint64(len(g.n.State.Games))}, {"told", g.stats.told}, {"changed", g.stats.changed}, {"refused", g.stats.refused},
		{"refused_ahead", g.stats.ahead}, {"outside_window", g.stats.outside}, {"beyond_limit", g.stats.beyond}, {"evicted", g.stats.evicted}, {"kept", uint64(len(g.kept))}}}
	if len(g.n.State.Games) >= maxGames {
		s.State, s.Reason = "degraded", "validators tell of more games than are kept in memory: those of whoever tells most alone make room"
	}
	return s
}
