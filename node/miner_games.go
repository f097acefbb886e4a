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
	n     *Miner
	prune *sched.Timer
	stats struct{ told, changed, refused uint64 }
}

// gamesKept is how long after its start a game stays in memory.
const gamesKept = 10 * 24 * time.Hour

func newMinerGames(n *Miner, s *sched.Scope) *minerGames {
	g := &minerGames{named: "games", n: n}
	for i := range n.found.Games {
		known := &n.found.Games[i]
		n.State.putGame(known)
	}
	now := n.loop.Now()
	for _, known := range n.State.SortedGames(func(*bet.Game) bool { return true }) {
		n.model.Observe(now, known)
	}
	g.prune = s.Timer("prune", g.forget)
	n.GameNews.Subscribe(s, g.learn)
	return g
}

func (g *minerGames) start() { g.prune.Arm(24 * time.Hour) }

func (g *minerGames) learn(e *GameNews) {
	var update GamesUpdated
	now := g.n.loop.Now()
	batch := g.n.store.Batch()
	for i := range e.Games {
		g.stats.told++
		old := g.n.State.Games[e.Games[i].ID]
		next, change, err := feed.Merge(old, e.Games[i])
		if err != nil {
			g.stats.refused++
			continue
		}
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
			ledger.Games.Put(batch, game.ID, game)
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

func (g *minerGames) forget() {
	before := g.n.loop.Now().Add(-gamesKept)
	for _, old := range g.n.State.SortedGames(func(x *bet.Game) bool { return x.Start.Before(before) }) {
		g.n.State.dropGame(old.ID)
	}
	g.prune.Arm(24 * time.Hour)
}

func (g *minerGames) Stats() ServiceStats {
	return ServiceStats{Name: g.name(), State: "ok", Counts: []Count{
		{"known", uint64(len(g.n.State.Games))}, {"told", g.stats.told}, {"changed", g.stats.changed}, {"refused", g.stats.refused}}}
}
