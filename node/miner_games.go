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
	kept  []keptGame // on disk
	stats struct{ told, changed, refused uint64 }
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

func newMinerGames(n *Miner, s *sched.Scope) *minerGames {
	g := &minerGames{named: "games", n: n}
	for i := range n.found.Games {
		known := &n.found.Games[i]
		n.State.putGame(known)
		g.kept = append(g.kept, keptGame{known.ID, known.Start})
	}
	now := n.loop.Now()
	for _, known := range n.State.SortedGames(func(*bet.Game) bool { return true }) {
		n.model.Observe(now, known)
	}
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
			if old == nil || !old.Resulted() {
				g.kept = append(g.kept, keptGame{game.ID, game.Start})
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

// forget drops games from memory soon, and from the disk when no model can want
// them any more (ledger.ResultDays).
func (g *minerGames) forget(today bet.Day) (more bool) {
	before := today.Start().Add(-gamesKept)
	for _, old := range g.n.State.SortedGames(func(x *bet.Game) bool { return x.Start.Before(before) && !g.n.box.waits(x.ID) }) {
		g.n.State.dropGame(old.ID)
	}
	b := g.n.store.Batch()
	left := g.kept[:0]
	for _, x := range g.kept {
		if b.Len() < forgetRows && bet.DayOf(x.start) < today-ledger.ResultDays {
			ledger.Games.Delete(b, x.id)
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
	return ServiceStats{Name: g.name(), State: "ok", Counts: []Count{
		{"known", uint64(len(g.n.State.Games))}, {"told", g.stats.told}, {"changed", g.stats.changed}, {"refused", g.stats.refused}, {"kept", uint64(len(g.kept))}}}
}
