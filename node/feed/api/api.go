// Package api fetches games: from the games API of the subnet, from The Odds
// API, from files. It is an edge: it dials, reads files and runs goroutines, and
// only the program that runs a node for real may know it. The Games service sees
// nothing of it but the backend of a port; what is fetched is decoded by
// node/feed and believed, or not, by feed.Timely and feed.Merge.
//
// Read config.go for what an operator can set and api.go for the life of a feed;
// games.go, odds.go and file.go are the providers, quorum.go two of them that
// must agree. client.go is how all of them speak HTTP: limits, retries, breaker,
// cache. quota.go is what is left of paid credits; errors.go the stable codes.
//
// A fetch is whole or it is an error: a page that fails fails the fetch, and
// nothing of it reaches the node. Single items that cannot be true are left out,
// counted and logged.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"bettensor/node/feed"
	"bettensor/sched"
)

const (
	// maxUnderWay bounds the fetches at one time: a port asks once, a closing
	// poll may overtake a slow one, and more would only pile up behind the
	// provider.
	maxUnderWay = 2
	// maxProblemLines bounds the log lines of one fetch: a feed that lies in
	// every item is told of once, with a count.
	maxProblemLines = 3
)

// provider is one place to ask for games. fetch is called by one goroutine at a
// time. It returns all games that changed after q.Since, by id, each once; on an
// error nothing of the answer counts.
type provider interface {
	fetch(ctx context.Context, q feed.Request) (answer, error)
	// check tells, as cheaply as the provider allows, whether it would answer.
	check(ctx context.Context) error
	// stats adds what the provider counts; from any goroutine.
	stats(*Stats)
	// close lets idle connections go.
	close()
}

// answer is what a provider brought.
type answer struct {
	batch    feed.Batch
	problems []feed.Problem
}

// Feed is one configured games feed. Its methods may be called from any
// goroutine.
type Feed struct {
	cfg Config
	p   provider

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	turn   chan struct{} // holds the provider's one turn

	mu       sync.Mutex // guards what follows; never held while waiting
	closed   bool
	underWay int
	count    counters
	lastOK   time.Time // of the node's clock
	lastErr  *Error
	errAt    time.Time
}

type counters struct {
	fetches, failed, shed uint64
	games                 uint64
	refused, warned       uint64
}

// New makes a feed of a configuration. It reads a key file, and dials nothing.
func New(cfg Config) (*Feed, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	p, err := newProvider(&cfg)
	if err != nil {
		return nil, err
	}
	f := &Feed{cfg: cfg, p: p, turn: make(chan struct{}, 1)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

func newProvider(cfg *Config) (p provider, err error) {
	switch cfg.Kind {
	case GamesAPI, JSON:
		p, err = newGames(cfg)
	case OddsAPI:
		p, err = newOdds(cfg)
	case Files:
		p = newFiles(cfg)
	}
	if err != nil || cfg.Second == nil {
		return p, err
	}
	second, err := newProvider(cfg.Second)
	if err != nil {
		return nil, fmt.Errorf("second feed: %w", err)
	}
	return newQuorum(p, second), nil
}

// Backend answers the Games service's port. It returns at once; a fetch runs on
// a goroutine of its own that ends at the latest after Config.Deadline.
func (f *Feed) Backend() sched.Backend[feed.Request, feed.Batch] {
	return func(q feed.Request, reply func(sched.Result[feed.Batch])) {
		if !f.begin() {
			reply(sched.Failed[feed.Batch](&Error{Code: CodeBusy, Err: errors.New("earlier fetches are still under way")}))
			return
		}
		go func() {
			defer f.end()
			b, err := f.fetch(f.ctx, q)
			if err != nil {
				reply(sched.Failed[feed.Batch](err))
				return
			}
			reply(sched.Result[feed.Batch]{Res: b})
		}()
	}
}

// Fetch asks the provider for what has changed since. The error is an *Error.
func (f *Feed) Fetch(ctx context.Context, q feed.Request) (feed.Batch, error) {
	if !f.begin() {
		return feed.Batch{}, &Error{Code: CodeBusy, Err: errors.New("earlier fetches are still under way, or the feed is closed")}
	}
	defer f.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	return f.fetch(ctx, q)
}

// Check tells whether the provider answers and takes the key, at the least price
// it has. The error is an *Error and says what to do.
func (f *Feed) Check(ctx context.Context) error {
	if !f.begin() {
		return &Error{Code: CodeBusy, Err: errors.New("a fetch is under way, or the feed is closed")}
	}
	defer f.end()
	ctx, cancel := context.WithTimeout(ctx, f.cfg.CallDeadline)
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.release()
	if err := f.p.check(ctx); err != nil {
		return f.cfg.scrubbed(err)
	}
	return nil
}

// Close ends fetches under way and waits for their goroutines until ctx ends.
func (f *Feed) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	done := make(chan struct{})
	go func() {
		f.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		f.p.close()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the feed: %w", ctx.Err())
	}
}

func (f *Feed) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.underWay >= maxUnderWay {
		f.count.shed++
		return false
	}
	f.underWay++
	f.wg.Add(1)
	return true
}

func (f *Feed) end() {
	f.mu.Lock()
	f.underWay--
	f.mu.Unlock()
	f.wg.Done()
}

// take waits for the provider's turn.
func (f *Feed) take(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return asError(ctx.Err(), "wait for an earlier fetch")
	}
}

func (f *Feed) release() { <-f.turn }

func (f *Feed) fetch(ctx context.Context, q feed.Request) (feed.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Deadline)
	defer cancel()
	a, err := f.turnOf(ctx, q)
	if err == nil && len(a.batch.Games) > feed.MaxBatch {
		err = &Error{Code: CodeTooLarge, Err: fmt.Errorf("%d games, at most %d", len(a.batch.Games), feed.MaxBatch)}
	}
	now := f.cfg.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.fetches++
	if err != nil {
		e := f.cfg.scrubbed(err)
		f.count.failed++
		f.lastErr, f.errAt = e, now
		f.cfg.Log.Debug("feed: nothing was taken", "code", string(e.Code), "err", e.Error())
		return feed.Batch{}, e
	}
	f.lastOK = now
	f.count.games += uint64(len(a.batch.Games))
	f.note(a.problems)
	return a.batch, nil
}

func (f *Feed) turnOf(ctx context.Context, q feed.Request) (answer, error) {
	if err := f.take(ctx); err != nil {
		return answer{}, err
	}
	defer f.release()
	return f.p.fetch(ctx, q)
}

// note counts and logs the items that were left out or doubted.
func (f *Feed) note(list []feed.Problem) {
	lines := 0
	for i := range list {
		p := &list[i]
		if p.Kept {
			f.count.warned++
		} else {
			f.count.refused++
		}
		if lines++; lines <= maxProblemLines {
			f.cfg.Log.Warn("feed: bad item", "item", p.Item, "game_id", f.cfg.scrub(string(p.Game)), "kept", p.Kept, "err", f.cfg.scrub(p.Err.Error()))
		}
	}
	if lines > maxProblemLines {
		f.cfg.Log.Warn("feed: more bad items", "count", lines-maxProblemLines)
	}
}

// Stats is what a feed did. Counters only grow.
type Stats struct {
	Kind  Kind          `json:"kind"`
	URL   string        `json:"url"`    // without keys
	Age   time.Duration `json:"age_ns"` // node time since the last whole answer; -1 where there was none
	Asked uint64        `json:"fetches"`
	// Failed fetches changed nothing; Shed ones were not begun.
	Failed uint64 `json:"failed"`
	Shed   uint64 `json:"shed"`
	// Games that were handed on, Refused items that were left out, and Warned
	// ones that were kept with a doubt.
	Games   uint64 `json:"games"`
	Refused uint64 `json:"refused"`
	Warned  uint64 `json:"warned"`
	// Held are results that the second feed does not confirm yet.
	Held uint64 `json:"held"`
	// Requests by how they ended, in the order of Outcomes.
	Requests []OutcomeCount `json:"requests,omitempty"`
	Breaker  string         `json:"breaker,omitempty"` // closed, open or half-open; of the worst host
	Quota    *Quota         `json:"quota,omitempty"`
	// ClockOffset is our clock less the server's by the Date of its last answer, to a
	// second; nil where none has told it.
	ClockOffset *time.Duration `json:"clock_offset_ns,omitempty"`
	// LastCode and LastError are of the last fetch that failed, LastErrorAt when
	// it did by the node's clock.
	LastCode    Code      `json:"last_code,omitempty"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Second is the feed that must agree, where there is one.
	Second *Stats `json:"second,omitempty"`
}

// Stats returns a copy of the counters.
func (f *Feed) Stats() Stats {
	now := f.cfg.Now()
	f.mu.Lock()
	s := Stats{Kind: f.cfg.Kind, URL: redactURL(f.cfg.URL), Age: -1,
		Asked: f.count.fetches, Failed: f.count.failed, Shed: f.count.shed,
		Games: f.count.games, Refused: f.count.refused, Warned: f.count.warned}
	if !f.lastOK.IsZero() {
		s.Age = max(now.Sub(f.lastOK), 0)
	}
	if f.lastErr != nil {
		s.LastCode, s.LastError, s.LastErrorAt = f.lastErr.Code, f.lastErr.Error(), f.errAt
	}
	f.mu.Unlock()
	f.p.stats(&s)
	return s
}

// scrub takes the key out of a text, however it got there.
func (c *Config) scrub(text string) string {
	for _, k := range c.secrets() {
		text = strings.ReplaceAll(text, k, redacted)
	}
	return text
}

// scrubbed is err as an *Error whose text holds no key.
func (c *Config) scrubbed(err error) *Error {
	e := asError(err, "")
	if text := e.Err.Error(); c.scrub(text) != text {
		e.Err = errors.New(c.scrub(text))
	}
	return e
}

var nowhere = slog.New(slog.DiscardHandler)
