package substrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
)

// Waits between tries, once all endpoints have been tried.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = time.Minute
	// lookLazily is the time between two looks at the newest block of a chain on
	// this machine that makes one when something is submitted.
	lookLazily = 500 * time.Millisecond
	// settled is how long a connection must have been in use for the next failure to
	// count as the first: whoever was served that long is not refused, and its
	// endpoint is not flooded by one reconnect every so often. An accelerated chain
	// shows as much in a few of its blocks.
	settled = 5 * time.Second
	// maxLead is how far a best head may be above the finalised one, in blocks. A
	// live chain's is three above; where it is more than four eras, its finality is
	// broken or somebody lies, and what is signed over such a block is refused.
	maxLead = 4 * eraBlocks
)

// errStale: an endpoint answers, and its chain stands still.
var errStale = errors.New("no new head: the endpoint is stuck, or the chain is")

// errDone: the client has no more use for a connection.
var errDone = errors.New("closed by us")

// session is a connection that has passed the handshake.
type session struct {
	*conn
	url   string
	since time.Time
	final chain.Block // the newest that it called final itself; under the client's lock
}

// runtime is what the chain runs: its versions, and the metadata they go by.
type runtime struct {
	spec, transaction uint32
	meta              *scale.Metadata
	from              chain.Block // it is known to hold from here on; under the client's lock
}

// unseen is the from of a runtime that has been seen at no block yet.
const unseen = chain.Block(math.MaxUint64)

// run keeps the client connected until Close.
func (c *Client) run() {
	defer c.wg.Done()
	failures := 0
	for next := 0; c.ctx.Err() == nil; next = (next + 1) % len(c.opts.Endpoints) {
		url := c.opts.Endpoints[next]
		began := time.Now()
		err := c.serve(url)
		if c.ctx.Err() != nil {
			return
		}
		if time.Since(began) > min(settled, staleBlocks*c.opts.BlockTime) {
			failures = 0
		}
		failures++
		c.mu.Lock()
		c.status.Failures++
		c.status.Error = err.Error()
		c.misses++
		c.mu.Unlock()
		c.announce()
		c.log.Warn("chain endpoint given up", "endpoint", Redacted(url), "why", err)
		if rounds := failures / len(c.opts.Endpoints); failures%len(c.opts.Endpoints) == 0 {
			wait := min(firstBackoff<<min(rounds-1, 10), maxBackoff)
			c.pause(wait/2 + rand.N(wait/2)) // many nodes lose one endpoint at once
		}
	}
}

func (c *Client) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// serve connects to one endpoint and stays until it fails.
func (c *Client) serve(url string) error {
	ctx, cancel := context.WithTimeout(c.ctx, dialTimeout+3*c.opts.CallTimeout)
	defer cancel()
	k, err := open(ctx, url, c.alive, &c.drops)
	if err != nil {
		return err
	}
	s := &session{conn: k, url: url, since: time.Now()}
	defer k.close(errDone)
	stop := context.AfterFunc(c.ctx, func() { k.fail(errDone) })
	defer stop()
	feed, err := c.handshake(ctx, s)
	if err != nil {
		return err
	}
	if err := c.loadJournal(); err != nil {
		return err
	}
	c.mu.Lock()
	c.session = s
	c.status.Endpoint, c.status.Connections = Redacted(url), c.status.Connections+1
	c.misses = 0
	c.mu.Unlock()
	c.announce()
	c.log.Info("chain endpoint in use", "endpoint", Redacted(url), "spec_version", c.current().spec)
	defer func() {
		c.mu.Lock()
		c.session = nil
		c.mu.Unlock()
		c.announce()
	}()
	if c.opts.Signer != nil {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			c.settleEarlier()
		}()
	}
	return c.follow(s, feed)
}

// announce wakes whoever waits for a session or a head.
func (c *Client) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) current() *runtime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runtime
}

// feed is what an endpoint pushes; best and versions are nil where it does not.
type feed struct{ best, final, versions *subscription }

// handshake checks whose chain this is, reads what it runs and subscribes to its
// heads.
func (c *Client) handshake(ctx context.Context, s *session) (f feed, err error) {
	var genesis hexBytes
	if err := c.callOn(ctx, s, "chain_getBlockHash", []any{0}, &genesis); err != nil {
		return f, fmt.Errorf("genesis: %w", err)
	}
	if err := c.checkGenesis(genesis); err != nil {
		return f, err
	}
	if err := c.relearnOn(ctx, s); err != nil {
		return f, fmt.Errorf("runtime version: %w", err)
	}
	// What an endpoint does not push is asked for, time and again.
	if f.versions, err = c.subscribeOn(ctx, s, "state_subscribeRuntimeVersion"); err != nil && !refused(err) {
		return f, fmt.Errorf("runtime versions: %w", err)
	}
	if f.final, err = c.subscribeOn(ctx, s, "chain_subscribeFinalizedHeads"); err != nil && !refused(err) {
		return f, fmt.Errorf("finalised heads: %w", err)
	}
	if f.best, err = c.subscribeOn(ctx, s, "chain_subscribeNewHeads"); err != nil && !refused(err) {
		return f, fmt.Errorf("heads: %w", err)
	}
	// What an earlier endpoint said of blocks that are not final goes with it: one
	// that was made up is above all true ones.
	c.dropBest()
	// A chain that makes blocks on demand pushes none for now.
	return f, c.look(ctx, s)
}

// dropBest forgets the best head. Until there is another, it is the finalised one.
func (c *Client) dropBest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.best = c.final
}

// look asks for the newest blocks.
func (c *Client) look(ctx context.Context, s *session) error {
	best, err := c.headOn(ctx, s, false)
	if err != nil {
		return err
	}
	final, err := c.headOn(ctx, s, true)
	if c.opts.Lazy && refused(err) { // a chain for tests may know no finality
		final, err = best, nil
	}
	if err != nil {
		return err
	}
	c.accept(s, final, true)
	c.accept(s, best, false)
	return nil
}

// lookEvery is how often an endpoint is asked for its newest blocks where it does
// not tell them by itself.
func (c *Client) lookEvery() time.Duration {
	if c.opts.Lazy && c.budget.perSecond <= 0 {
		return lookLazily
	}
	return c.opts.BlockTime / 2
}

// checkGenesis holds an endpoint to the chain that is configured, or else to the
// one that the first endpoint was on.
func (c *Client) checkGenesis(b []byte) error {
	if len(b) != 32 {
		return fmt.Errorf("genesis hash of %d bytes", len(b))
	}
	got := [32]byte(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.genesis == ([32]byte{}) {
		c.genesis = got
	}
	if got != c.genesis {
		return fmt.Errorf("the endpoint is on another chain: its genesis is %s, ours %s; check --subtensor.network and --subtensor.chain_endpoint", hexText(got[:]), hexText(c.genesis[:]))
	}
	return nil
}

// learn reads the metadata, unless it is that of the version we have.
func (c *Client) learn(ctx context.Context, s *session, spec, transaction uint32) error {
	if r := c.current(); r != nil && r.spec == spec && r.transaction == transaction {
		return nil
	}
	meta, err := c.metadata(ctx, s)
	if err != nil {
		return fmt.Errorf("metadata of spec %d: %w", spec, err)
	}
	c.mu.Lock()
	before := c.runtime
	c.runtime = &runtime{spec, transaction, meta, unseen}
	if before != nil { // blocks before the upgrade are still read by it
		c.earlier = before
	}
	c.mu.Unlock()
	if before != nil {
		c.log.Info("the chain's runtime was upgraded", "from", before.spec, "to", spec)
	}
	return nil
}

// runtimeAt is the runtime that a block's state is of. Around an upgrade that is not
// the newest: it holds from some block on, and blocks before it, which may be the
// newest finalised ones, have other indexes of errors and another storage.
func (c *Client) runtimeAt(ctx context.Context, at head) (*runtime, error) {
	c.mu.Lock()
	r, earlier := c.runtime, c.earlier
	holds := r != nil && at.number >= r.from
	c.mu.Unlock()
	switch {
	case r == nil:
		return nil, fmt.Errorf("%w: the chain's runtime is not known", errUnsent)
	case holds:
		return r, nil
	}
	v, err := c.versionAt(ctx, at)
	if c.opts.Lazy && (refused(err) || err == nil && v.Spec == 0) { // a chain for tests may not tell
		return r, nil
	}
	if err != nil {
		return nil, c.pinned(at, fmt.Errorf("runtime of block %d: %w", at.number, err))
	}
	switch {
	case v.Spec == r.spec && v.Transaction == r.transaction:
		c.mu.Lock()
		defer c.mu.Unlock()
		r.from = min(r.from, at.number)
		return r, nil
	case earlier != nil && v.Spec == earlier.spec && v.Transaction == earlier.transaction:
		return earlier, nil
	}
	s, err := c.ready(ctx)
	if err != nil {
		return nil, err
	}
	meta, err := c.metadata(ctx, s, hexBytes(at.hash[:]))
	if c.opts.Lazy && refused(err) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("metadata of spec %d: %w", v.Spec, err)
	}
	older := &runtime{v.Spec, v.Transaction, meta, unseen}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earlier = older
	return older, nil
}

// version is state_getRuntimeVersion, as far as it matters.
type version struct {
	Spec        uint32 `json:"specVersion"`
	Transaction uint32 `json:"transactionVersion"`
}

func (c *Client) versionAt(ctx context.Context, at head) (v version, err error) {
	err = c.call(ctx, "state_getRuntimeVersion", []any{hexBytes(at.hash[:])}, &v)
	return v, err
}

// metadata asks for the newest version that we read and the runtime offers. V14,
// which has a method of its own, is what is left where it offers no choice. at is
// the hash of the block whose runtime is meant, the newest's if none is given.
func (c *Client) metadata(ctx context.Context, s *session, at ...any) (*scale.Metadata, error) {
	var offered hexBytes
	err := c.callOn(ctx, s, "state_call", append([]any{"Metadata_metadata_versions", "0x"}, at...), &offered)
	if err != nil && unanswered(err) {
		return nil, err
	}
	for _, version := range []byte{16, 15} {
		if err != nil || !offers(offered, version) {
			continue
		}
		var b hexBytes
		if err := c.callOn(ctx, s, "state_call", append([]any{"Metadata_metadata_at_version", hexText([]byte{version, 0, 0, 0})}, at...), &b); err != nil {
			if !unanswered(err) {
				continue
			}
			return nil, err
		}
		inner, err := scale.Unwrap(b)
		if err == nil && inner != nil {
			m, err := scale.Parse(inner)
			if err == nil {
				return m, nil
			}
			c.log.Warn("metadata not understood, trying an older form", "version", version, "why", err)
		}
	}
	var b hexBytes
	if err := c.callOn(ctx, s, "state_getMetadata", at, &b); err != nil {
		return nil, err
	}
	return scale.Parse(b)
}

// offers reads the Vec<u32> of metadata versions.
func offers(b []byte, version byte) bool {
	r := scale.NewReader(b)
	for range r.Count(4) {
		if r.U32() == uint32(version) {
			return true
		}
	}
	return false
}

// headOn asks for the newest block, finalised or not.
func (c *Client) headOn(ctx context.Context, s *session, final bool) (head, error) {
	var params []any
	var hash hexBytes
	if final {
		if err := c.callOn(ctx, s, "chain_getFinalizedHead", nil, &hash); err != nil {
			return head{}, fmt.Errorf("finalised head: %w", err)
		}
		params = []any{hash}
	}
	var h *header
	if err := c.callOn(ctx, s, "chain_getHeader", params, &h); err != nil {
		return head{}, fmt.Errorf("head: %w", err)
	}
	if h == nil {
		return head{}, errors.New("the endpoint does not know its own head")
	}
	if c.opts.Lazy && len(hash) == 32 {
		return head{chain.Block(h.Number), [32]byte(hash)}, nil
	}
	got, err := c.headOf(ctx, s, h)
	if err == nil && final && hexText(got.hash[:]) != hexText(hash) {
		err = fmt.Errorf("the endpoint names block %d %s, and its header hashes to %s", got.number, hexText(hash), hexText(got.hash[:]))
	}
	return got, err
}

// headOf is the block of a header. On a live chain its hash is that of the
// header. A chain for tests may have made its blocks' names up, of the genesis
// above all, so there the endpoint is asked.
func (c *Client) headOf(ctx context.Context, s *session, h *header) (head, error) {
	got, err := h.head()
	if !c.opts.Lazy {
		return got, err
	}
	var hash hexBytes
	if err := c.callOn(ctx, s, "chain_getBlockHash", []any{uint64(h.Number)}, &hash); err != nil && !refused(err) {
		return got, err
	}
	if len(hash) == 32 {
		return head{chain.Block(h.Number), [32]byte(hash)}, nil
	}
	return got, err
}

// follow takes in what an endpoint pushes until the connection ends or its chain
// stands still.
func (c *Client) follow(s *session, f feed) error {
	health := time.NewTicker(max(c.stale()/8, 50*time.Millisecond))
	defer health.Stop()
	look := time.NewTicker(c.lookEvery())
	defer look.Stop()
	if f.final != nil && f.best != nil && f.versions != nil {
		look.Stop()
	}
	var final, best, versions chan json.RawMessage
	if f.final != nil {
		final = f.final.pushes
	}
	if f.best != nil {
		best = f.best.pushes
	}
	if f.versions != nil {
		versions = f.versions.pushes
	}
	for {
		select {
		case <-s.done:
			return s.reason()
		case raw := <-final:
			c.pushed(s, raw, true)
		case raw := <-best:
			c.pushed(s, raw, false)
		case raw := <-versions:
			var v version
			if err := json.Unmarshal(raw, &v); err != nil || v.Spec == 0 {
				continue
			}
			ctx, cancel := context.WithTimeout(c.ctx, 3*c.opts.CallTimeout)
			err := c.learn(ctx, s, v.Spec, v.Transaction)
			cancel()
			if err != nil {
				return err
			}
		case <-look.C:
			ctx, cancel := context.WithTimeout(c.ctx, 3*c.opts.CallTimeout)
			var err error
			if f.final == nil || f.best == nil {
				err = c.look(ctx, s)
			}
			if err == nil && f.versions == nil {
				err = c.relearnOn(ctx, s)
			}
			cancel()
			if err != nil {
				return err
			}
		case <-health.C:
			if c.stuck(s) {
				return errStale
			}
		}
	}
}

func (c *Client) pushed(s *session, raw json.RawMessage, final bool) {
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		c.log.Warn("chain head not understood", "why", err)
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.CallTimeout)
	defer cancel()
	got, err := c.headOf(ctx, s, &h)
	if err != nil {
		c.log.Warn("chain head not understood", "why", err)
		return
	}
	c.accept(s, got, final)
}

// accept takes a head that is newer than the one we have, from whichever endpoint
// that was, but none that is further above the finalised one than can be.
func (c *Client) accept(s *session, h head, final bool) {
	c.mu.Lock()
	at := &c.best
	if final {
		at = &c.final
		s.final = max(s.final, h.number)
	} else if !c.opts.Lazy && h.number > c.final.number+maxLead {
		c.status.WildHeads++
		first, above := c.status.WildHeads == 1, h.number-c.final.number
		c.mu.Unlock()
		if first {
			c.log.Warn("a head far above the finalised one is ignored", "endpoint", Redacted(s.url), "block", h.number, "above", above)
		}
		return
	}
	if h.number <= at.number && *at != (head{}) {
		if h.number < at.number {
			c.status.OldHeads++
		} else if !final {
			*at = h // a fork of the same height: the endpoint's best block is what it says
		}
		c.mu.Unlock()
		return
	}
	*at = h
	if final {
		c.finalBy = s
		if h.number > c.best.number {
			c.best = h
		}
	}
	c.status.HeadAt = time.Now()
	c.mu.Unlock()
	c.announce()
}

// disown gives up an endpoint that does not know the very head that it
// announced, or one that an earlier endpoint announced and that is far above its
// own: one of the two lies. What was said of heads is forgotten: it must not make
// the others' look old.
func (c *Client) disown(h head, why error) {
	c.mu.Lock()
	s := c.session
	// One that is only behind another, by a few blocks, does no wrong.
	if s == nil || c.final != h || c.finalBy != s && s.final+maxLead >= h.number {
		c.mu.Unlock()
		return
	}
	c.final, c.best, c.finalBy = head{}, head{}, nil
	c.mu.Unlock()
	s.fail(fmt.Errorf("the endpoint cannot read the block it announced: %w", why))
}

// stuck says whether an endpoint has shown nothing new for too long.
func (c *Client) stuck(s *session) bool {
	if c.opts.Lazy {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.status.HeadAt
	if since.Before(s.since) {
		since = s.since
	}
	return time.Since(since) > c.stale()
}

// ready waits for a session.
func (c *Client) ready(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		s, changed, last := c.session, c.changed, c.status.Error
		c.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return nil, fmt.Errorf("%w: the chain client is closed", errUnsent)
		case <-ctx.Done():
			if last != "" {
				return nil, fmt.Errorf("%w: %w; last: %s", errUnsent, ctx.Err(), last)
			}
			return nil, fmt.Errorf("%w: %w", errUnsent, ctx.Err())
		}
	}
}

// maxTries of a read on as many connections.
const maxTries = 3

// call reads something, on another connection where one is lost.
func (c *Client) call(ctx context.Context, method string, params []any, result any) error {
	for try := 1; ; try++ {
		s, err := c.ready(ctx)
		if err != nil {
			return err
		}
		err = c.callOn(ctx, s, method, params, result)
		if err == nil || try == maxTries || !errors.Is(err, errLost) && !errors.Is(err, errUnsent) || ctx.Err() != nil {
			return err
		}
		select {
		case <-s.done: // and run sees it too
		case <-ctx.Done():
		}
		c.forget(s)
	}
}

// forget drops a session that has ended, before run has seen it.
func (c *Client) forget(s *session) {
	select {
	case <-s.done:
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
	}
}

// callOn makes one call within the budget, and counts it.
func (c *Client) callOn(ctx context.Context, s *session, method string, params []any, result any) error {
	return c.counted(ctx, method, params, func(ctx context.Context) error { return s.call(ctx, method, params, result) })
}

func (c *Client) subscribeOn(ctx context.Context, s *session, method string, params ...any) (sub *subscription, err error) {
	err = c.counted(ctx, method, params, func(ctx context.Context) error {
		sub, err = s.subscribe(ctx, method, params)
		return err
	})
	return sub, err
}

func (c *Client) counted(ctx context.Context, method string, params []any, do func(context.Context) error) error {
	if err := c.budget.take(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.CallTimeout)
	defer cancel()
	began := time.Now()
	err := do(ctx)
	key := callKey{method, "ok"}
	if method == "state_call" && len(params) > 0 {
		if name, ok := params[0].(string); ok {
			key.method += " " + name
		}
	}
	var refused *rpcError
	switch {
	case errors.As(err, &refused):
		key.outcome = "refused"
	case errors.Is(err, context.DeadlineExceeded):
		key.outcome = "timeout"
	case err != nil:
		key.outcome = "lost"
	}
	c.mu.Lock()
	s := c.calls[key]
	if s == nil {
		s = &CallStats{Method: key.method, Outcome: key.outcome}
		c.calls[key] = s
	}
	s.Count++
	c.status.Took.add(time.Since(began))
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", key.method, err)
	}
	return nil
}

// heads are the newest blocks and what changes when there are newer ones.
func (c *Client) heads() (best, final head, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best, c.final, c.changed
}

// at is the finalised head that reads are pinned to, and its runtime. A chain for
// tests that has never finalised a block is read at its best.
func (c *Client) at(ctx context.Context) (head, *runtime, error) {
	if _, err := c.ready(ctx); err != nil {
		return head{}, nil, err
	}
	at := c.newest()
	r, err := c.runtimeAt(ctx, at)
	return at, r, err
}

// newest is the newest block whose state is read.
func (c *Client) newest() head {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opts.Lazy && c.final.number == 0 {
		return c.best
	}
	return c.final
}

// hashOf is the hash of a block by its number, on the best chain.
func (c *Client) hashOf(ctx context.Context, n chain.Block) ([32]byte, error) {
	var h *hexBytes
	if err := c.call(ctx, "chain_getBlockHash", []any{uint64(n)}, &h); err != nil {
		return [32]byte{}, err
	}
	if h == nil || len(*h) != 32 {
		best, _, _ := c.heads()
		return [32]byte{}, fmt.Errorf("the endpoint does not know it: %w", &BlockError{n, best.number})
	}
	return [32]byte(*h), nil
}
