package population

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
	"bettensor/sim/market"
)

// boardKeeps is how long a post can be seen: longer than a game is offered, so
// that no open game is missed.
const boardKeeps = market.OpensBefore + 24*time.Hour

// Post is a pick as the public feed shows it.
type Post struct {
	Game    bet.GameID
	Outcome bet.Outcome
	Wager   bet.Cents
	At      time.Time
}

// Board is what miners see of each other: what the public web feed shows. Models
// post what they decide, whether or not a validator takes it. The zero Board is
// empty and ready; it belongs to the run's loop.
type Board struct {
	miners map[string]*posts
}

// posts of one miner, oldest first; dropped counts those no longer kept.
type posts struct {
	kept    []Post
	dropped int
}

func (b *Board) post(miner string, now time.Time, picks []model.Pick) {
	if b == nil || len(picks) == 0 {
		return
	}
	if b.miners == nil {
		b.miners = map[string]*posts{}
	}
	p := b.miners[miner]
	if p == nil {
		p = &posts{}
		b.miners[miner] = p
	}
	old := 0
	for old < len(p.kept) && now.Sub(p.kept[old].At) > boardKeeps {
		old++
	}
	// Moved down only when half is old: each post is moved once or so.
	if old > len(p.kept)/2 {
		p.kept = append(p.kept[:0], p.kept[old:]...)
		p.dropped += old
	}
	for _, k := range picks {
		p.kept = append(p.kept, Post{k.Game, k.Outcome, k.Wager, now})
	}
}

// Since lists a miner's posts from number from on (0 is its first ever), and the
// number that follows. Posts too old to be kept are left out. The slice is valid
// until the miner posts again.
func (b *Board) Since(miner string, from int) (list []Post, next int) {
	if b == nil || b.miners[miner] == nil {
		return nil, from
	}
	p := b.miners[miner]
	i := min(max(from-p.dropped, 0), len(p.kept))
	return p.kept[i:], p.dropped + len(p.kept)
}
