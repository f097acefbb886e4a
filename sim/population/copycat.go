package population

import (
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// copycat repeats its leader's picks once they are old enough to be seen.
type copycat struct {
	base
	after time.Duration
	seen  int // posts of the leader dealt with
}

// Wake comes when the next post can be seen. While there is none it looks again
// after the same delay: whatever is posted meanwhile is then still too fresh, so
// no post is seen late.
func (c *copycat) Wake(now time.Time, _ *model.Book) time.Time {
	list, _ := c.world.Board.Since(c.world.leader(), c.seen)
	if len(list) > 0 {
		if at := list[0].At.Add(c.after); at.After(now) {
			return at
		}
	}
	return now.Add(max(c.after, time.Minute))
}

func (c *copycat) Picks(now time.Time, b *model.Book) []model.Pick {
	leader := c.world.leader()
	if leader == c.miner {
		return nil // its own posts would multiply
	}
	list, next := c.world.Board.Since(leader, c.seen)
	first := next - len(list)
	left := b.Remaining
	var picks []model.Pick
	for i, p := range list {
		if p.At.Add(c.after).After(now) {
			break
		}
		c.seen = first + i + 1
		k := slices.IndexFunc(b.Games, func(g *bet.Game) bool { return g.ID == p.Game })
		if k < 0 || !priced(b.Games[k], p.Outcome) || b.Games[k].Start.Sub(now) < headway || c.copied(p, b) {
			continue
		}
		wager := min(p.Wager, left)
		if wager <= 0 {
			continue
		}
		left -= wager
		picks = append(picks, model.Pick{Game: p.Game, Outcome: p.Outcome, Wager: wager, Confidence: -1})
	}
	return c.post(now, picks)
}

// copied tells whether a post was repeated before the miner restarted.
func (c *copycat) copied(p Post, b *model.Book) bool {
	return slices.ContainsFunc(b.Placed(p.Game), func(q model.Placed) bool {
		return q.Outcome == p.Outcome && !q.At.Before(p.At.Add(c.after))
	})
}
