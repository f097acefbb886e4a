package api

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
)

// lookBack is how much earlier than the first the second may have told of a
// result: providers differ by hours, seldom by a day.
const lookBack = 48 * time.Hour

// quorum hands on a result only where a second provider tells the same: wagers
// are settled by it, and one provider that errs, or is taken over, would settle
// them all. Everything else is the first's. A result that is held back keeps the
// batch from moving Request.Since beyond it, so that it is asked for again.
type quorum struct {
	first, second provider
	held          atomic.Uint64 // of the last fetch
}

func newQuorum(first, second provider) *quorum { return &quorum{first: first, second: second} }

func (q *quorum) fetch(ctx context.Context, r feed.Request) (answer, error) {
	a, err := q.first.fetch(ctx, r)
	if err != nil {
		return answer{}, err
	}
	since := r.Since
	if !since.IsZero() {
		since = since.Add(-lookBack)
	}
	b, err := q.second.fetch(ctx, feed.Request{Since: since})
	if err != nil {
		return answer{}, fmt.Errorf("second feed: %w", err)
	}
	told := make(map[bet.GameID]*bet.Game, len(b.batch.Games))
	for i := range b.batch.Games {
		told[b.batch.Games[i].ID] = &b.batch.Games[i]
	}
	kept, held := a.batch.Games[:0], uint64(0)
	for i := range a.batch.Games {
		g := &a.batch.Games[i]
		other := told[g.ID]
		if g.Resulted() && (other == nil || other.Status != g.Status || other.Outcome != g.Outcome) {
			held++
			if before := g.Updated.Add(-time.Second); a.batch.At.After(before) {
				a.batch.At = before
			}
			continue
		}
		kept = append(kept, *g)
	}
	a.batch.Games = kept
	q.held.Store(held)
	return a, nil
}

func (q *quorum) check(ctx context.Context) error {
	if err := q.first.check(ctx); err != nil {
		return err
	}
	if err := q.second.check(ctx); err != nil {
		return fmt.Errorf("second feed: %w", err)
	}
	return nil
}

func (q *quorum) stats(s *Stats) {
	q.first.stats(s)
	s.Held = q.held.Load()
	s.Second = &Stats{Age: -1}
	q.second.stats(s.Second)
}

func (q *quorum) close() {
	q.first.close()
	q.second.close()
}
