// Package feed turns what a games feed says into games a node may believe: it
// decodes batches and the original's games API, and merges news into what is
// known. It is pure; fetching is node/feed/api's, keeping is node/ledger's.
//
// Read merge.go for the rules of believing, games_api.go for the original's
// JSON. The Games service, node/feed/api and the simulator's market call it.
package feed

import (
	"errors"
	"fmt"
	"time"

	"bettensor/node/bet"
	"bettensor/node/pack"
)

// MaxBatch bounds the games of one batch. The original's API pages by 100 over
// 45 days; twenty leagues in season stay below 10,000.
const MaxBatch = 1 << 14

// batchForm is the first byte of a batch, requestForm that of a request.
const (
	batchForm   = 1
	requestForm = 1
)

// leastGame is the fewest bytes a game takes in a batch (empty texts, zero
// times), so that a forged count is bounded by the bytes that came with it.
const leastGame = 60

// ErrMalformed is the error of bytes in an unknown form.
var ErrMalformed = errors.New("feed: malformed")

// Request asks a feed what has changed.
type Request struct {
	Since time.Time // only games updated after it; zero for all
}

// Append appends the binary form of a request.
func (q *Request) Append(dst []byte) []byte {
	return pack.AppendTime(append(dst, requestForm), q.Since)
}

// ReadRequest reads what Request.Append wrote.
func ReadRequest(r *pack.Reader) (Request, error) {
	form := r.Byte()
	q := Request{Since: r.Time()}
	if err := r.Err(); err != nil {
		return Request{}, fmt.Errorf("read feed request: %w", err)
	}
	if form != requestForm {
		return Request{}, fmt.Errorf("read feed request: form %d: %w", form, ErrMalformed)
	}
	return q, nil
}

// Batch is what a feed answered, as it came: nothing in it is believed before
// Merge has seen it.
type Batch struct {
	Games []bet.Game
	At    time.Time // the feed's instant: ask the next time since then
}

// Append appends the binary form of a batch. Games beyond MaxBatch would not be
// read again: the caller splits.
func (b *Batch) Append(dst []byte) []byte {
	dst = append(dst, batchForm)
	dst = pack.AppendTime(dst, b.At)
	dst = pack.AppendUint(dst, uint64(len(b.Games)))
	for i := range b.Games {
		dst = bet.AppendGame(dst, &b.Games[i])
	}
	return dst
}

// ReadBatch reads what Batch.Append wrote.
func ReadBatch(r *pack.Reader) (Batch, error) {
	form := r.Byte()
	b := Batch{At: r.Time()}
	n := r.Count(leastGame)
	if err := r.Err(); err != nil {
		return Batch{}, fmt.Errorf("read batch: %w", err)
	}
	if form != batchForm {
		return Batch{}, fmt.Errorf("read batch: form %d: %w", form, ErrMalformed)
	}
	if n > MaxBatch {
		return Batch{}, fmt.Errorf("read batch: %d games, at most %d: %w", n, MaxBatch, ErrMalformed)
	}
	if n > 0 {
		b.Games = make([]bet.Game, n)
	}
	for i := range b.Games {
		g, err := bet.ReadGame(r)
		if err != nil {
			return Batch{}, fmt.Errorf("read batch: game %d of %d: %w", i, n, err)
		}
		b.Games[i] = g
	}
	return b, nil
}
