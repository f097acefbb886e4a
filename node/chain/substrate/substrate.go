// Package substrate is the live chain: it answers the chain requests of a node
// from a Substrate endpoint, over JSON-RPC on one WebSocket connection. It is an
// edge, with goroutines, clocks and files; node/cli and sim/localnet put it in
// place of the chain in memory, which answers the same requests.
//
// Read substrate.go for what it offers, connect.go for endpoints, heads and
// runtime versions, read.go for what is read at one finalised block, write.go for
// how an extrinsic is sent and its outcome proved, journal.go for what survives a
// crash, refusal.go for what a pool's refusals mean, rpc.go for the connection.
//
// # What it promises
//
// Every call has a deadline, and every queue a limit. Nothing of a runtime is
// compiled in: calls, storage, events and errors are found by name in the
// metadata that the endpoint publishes, again after each upgrade. All reads of one
// request are at one finalised block.
//
// An extrinsic is written to the journal, with its signed bytes, before it is
// sent, and never sent a second time. Its outcome is what the events of its block
// say, not what the endpoint's pool said. Where the connection is lost in between,
// the blocks up to the end of its era are searched, on whichever endpoint answers,
// and until that is done no other extrinsic of the key is sent.
package substrate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
)

// FinneyGenesis is the hash of the main network's block 0.
var FinneyGenesis = [32]byte{
	0x2f, 0x05, 0x55, 0xcc, 0x76, 0xfc, 0x28, 0x40, 0xa2, 0x5a, 0x6e, 0xa3, 0xb9, 0x63, 0x71, 0x46,
	0x80, 0x6f, 0x1f, 0x44, 0xb0, 0x90, 0xc1, 0x75, 0xff, 0xde, 0x2a, 0x7e, 0x5a, 0xb3, 0x6c, 0x03,
}

// Signer holds the key that extrinsics are signed with, sr25519 in the context
// "substrate". Sign may be called from several goroutines.
type Signer interface {
	PublicKey() [32]byte
	Sign(message []byte) ([64]byte, error)
}

// Options of a client. The zero value of a field is its default.
type Options struct {
	// Endpoints are ws:// and wss:// URLs, the best first. The next is tried where
	// one fails, is of another chain, or shows no new heads.
	Endpoints []string
	// Netuid is the subnet that requests are about.
	Netuid chain.Netuid
	// Mechanism of the subnet whose weights are read and set. Default 0.
	Mechanism uint8
	// Genesis is the hash of block 0 that an endpoint must have. Zero takes the
	// first endpoint's; the others must agree with it.
	Genesis [32]byte
	// Signer signs extrinsics. nil makes a client that only reads.
	Signer Signer
	// Dir is where extrinsics under way are kept across a crash. "" keeps them in
	// memory: for single commands that wait for their outcome.
	Dir string
	// BlockTime is how far apart blocks are by the wall clock. Default 12 s. It
	// scales what counts as an old head.
	BlockTime time.Duration
	// Lazy is for chains that make blocks only when something is submitted: no
	// head is ever too old. Such chains are for tests: their blocks' hashes need not
	// be those of their headers, a pool's word is taken for what became of an
	// extrinsic, and the newest block is asked for where nothing is pushed.
	Lazy bool
	// RequestsPerSecond to one endpoint, and how many at once after a pause. The
	// default is 1 and 20, which public endpoints bear; on loopback there is no
	// limit.
	RequestsPerSecond float64
	Burst             int
	// CallTimeout is how long one call waits for its answer. Default 20 s: metadata
	// is 600 kB of hex.
	CallTimeout time.Duration
	// OpTimeout is how long a read that a request needs may take in all. Default
	// 60 s. Writes may take until their era is over.
	OpTimeout time.Duration
	// Random seals timelocked commits. Default crypto/rand.
	Random io.Reader
	// Log takes changes of endpoint, runtime and health. Default: nowhere.
	Log *slog.Logger
}

// Limits of a client.
const (
	// maxOps under way at once, beyond which a request is not carried out. A node's
	// port has a smaller limit of its own.
	maxOps = 32
	// minStale: heads younger than this are never too old, however short blocks are.
	minStale = 5 * time.Second
	// staleBlocks is the age of the newest head in block times after which the next
	// endpoint is tried.
	staleBlocks = 3
	// readyTries of each endpoint, before Ready says that none answers.
	readyTries = 2
	// eraBlocks is how long an extrinsic of ours can be included.
	eraBlocks = 64
)

// Client is a connection to a chain, whichever endpoint it is to.
type Client struct {
	opts   Options
	log    *slog.Logger
	budget *budget
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ops    chan struct{} // one token per request under way
	write  chan struct{} // held by whoever makes an extrinsic
	start  sync.Once

	drops atomic.Uint64 // pushes nobody took

	mu      sync.Mutex
	session *session
	misses  int           // connections that failed since the last session
	changed chan struct{} // closed at a new session or head, and when a connection has failed
	status  Health
	genesis [32]byte // zero before the first endpoint
	runtime *runtime // the newest
	earlier *runtime // another that older blocks are of
	best    head
	final   head
	finalBy *session // whose word final is
	calls   map[callKey]*CallStats
	alive   keepalive
	floor   time.Duration // minStale
	soon    time.Duration // sendWithin

	nonces  nonces
	journal *journal
	known   []neuronKey // hotkeys by UID, as they were read last
	// ownStake: the last metagraph has the subnet's own stakes, and it has been said.
	ownStake bool
}

// New makes a client. It connects to nothing before Start.
func New(o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no chain endpoint is configured: set --subtensor.network or --subtensor.chain_endpoint")
	}
	local := true
	for _, e := range o.Endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
			if err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
				return nil, fmt.Errorf("chain endpoint %s: over HTTP nothing can be watched; most nodes take WebSocket at the same port: ws%s", Redacted(e), strings.TrimPrefix(Redacted(e), "http"))
			}
			return nil, fmt.Errorf("chain endpoint %s is no ws:// or wss:// URL", Redacted(e))
		}
		local = local && onLoopback(e)
	}
	if o.BlockTime <= 0 {
		o.BlockTime = chain.BlockTime
	}
	if o.RequestsPerSecond == 0 && !local {
		o.RequestsPerSecond = 1
	}
	if o.Burst <= 0 {
		o.Burst = 20
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = 20 * time.Second
	}
	if o.OpTimeout <= 0 {
		o.OpTimeout = time.Minute
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Client{
		opts: o, log: o.Log, ctx: ctx, cancel: cancel,
		budget:  &budget{perSecond: o.RequestsPerSecond, burst: float64(o.Burst)},
		ops:     make(chan struct{}, maxOps),
		write:   make(chan struct{}, 1),
		changed: make(chan struct{}),
		genesis: o.Genesis,
		calls:   map[callKey]*CallStats{},
		alive:   keepalive{pingEvery, silence},
		floor:   minStale,
		soon:    sendWithin,
	}, nil
}

// Start begins to connect, and returns at once.
func (c *Client) Start() {
	c.start.Do(func() {
		if c.begin() {
			go c.run()
		}
	})
}

// begin counts a goroutine, unless the client is closed.
func (c *Client) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.wg.Add(1)
	return true
}

// Close ends all that is under way and waits for it, at most until ctx ends. What
// was sent and not answered is resolved by the next client on the same Dir.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("chain client: %w", ctx.Err())
	}
}

// Ready waits until an endpoint answers and its newest finalised block is known,
// at most until all have failed readyTries times.
// The error is the last endpoint's.
func (c *Client) Ready(ctx context.Context) error {
	for {
		c.mu.Lock()
		s, misses, changed, last := c.session, c.misses, c.changed, c.status.Error
		c.mu.Unlock()
		switch {
		case s != nil:
			return nil
		case misses >= readyTries*len(c.opts.Endpoints):
			return errors.New(last)
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return fmt.Errorf("%w: the chain client is closed", errUnsent)
		case <-ctx.Done():
			if last != "" {
				return fmt.Errorf("%w; last: %s", ctx.Err(), last)
			}
			return ctx.Err()
		}
	}
}

// Health is how the client stands, for metrics and readiness.
type Health struct {
	Endpoint    string      `json:"endpoint"` // scheme and host; "" while none answers
	Connected   bool        `json:"connected"`
	Genesis     string      `json:"genesis"` // "" before the first endpoint answered
	SpecVersion uint32      `json:"spec_version"`
	Best        chain.Block `json:"best"`
	Finalised   chain.Block `json:"finalised"`
	HeadAt      time.Time   `json:"head_at"`     // when the newest head came, by the wall clock
	Stale       bool        `json:"stale"`       // over 3 block times, and 5 s: the next endpoint is tried
	Connections uint64      `json:"connections"` // made so far
	Failures    uint64      `json:"failures"`    // endpoints that did not answer, or were refused
	OldHeads    uint64      `json:"old_heads"`   // heads ignored because they were not newer
	WildHeads   uint64      `json:"wild_heads"`  // heads ignored because they were too far above the finalised one
	Dropped     uint64      `json:"dropped"`     // pushes that nobody took
	Foreign     uint64      `json:"foreign"`     // extrinsics of our key that this client did not send
	Error       string      `json:"error"`       // why the last endpoint was given up
	Calls       []CallStats `json:"calls"`       // by method, then outcome
	Took        Took        `json:"took"`        // of all calls
	Extrinsics  int         `json:"extrinsics"`  // in the journal: sent, and not final yet
	Metadata    byte        `json:"metadata"`    // version of the metadata in use
	Budget      float64     `json:"budget"`      // requests per second that are allowed, 0 for any
	BlockTime   float64     `json:"block_time"`  // seconds
}

// CallStats counts the calls of one method that ended one way.
type CallStats struct {
	Method  string `json:"method"`
	Outcome string `json:"outcome"` // ok, refused (by the endpoint), timeout, lost
	Count   uint64 `json:"count"`
}

// Took is how long calls took, whichever they were and however they ended, by
// powers of two: Counts[i] are those from 2^(i-1) up to but not including 2^i
// nanoseconds, and the last all that are longer.
type Took struct {
	Counts [40]uint64    `json:"counts"`
	Sum    time.Duration `json:"sum_ns"`
}

func (t *Took) add(d time.Duration) {
	d = max(d, 0)
	t.Counts[min(bits.Len64(uint64(d)), len(t.Counts)-1)]++
	t.Sum += d
}

type callKey struct{ method, outcome string }

// Health returns a snapshot.
func (c *Client) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.status
	h.Connected = c.session != nil
	if !h.Connected {
		h.Endpoint = ""
	}
	if c.genesis != ([32]byte{}) {
		h.Genesis = hexText(c.genesis[:])
	}
	h.Best, h.Finalised, h.Dropped, h.Foreign = c.best.number, c.final.number, c.drops.Load(), c.nonces.foreign
	if c.runtime != nil {
		h.SpecVersion, h.Metadata = c.runtime.spec, c.runtime.meta.Version
	}
	if !h.HeadAt.IsZero() {
		age := time.Since(h.HeadAt)
		h.Stale = !c.opts.Lazy && age > c.stale()
	}
	h.Budget, h.BlockTime = c.budget.perSecond, c.opts.BlockTime.Seconds()
	h.Extrinsics = c.nonces.open
	h.Calls = make([]CallStats, 0, len(c.calls))
	for _, s := range c.calls {
		h.Calls = append(h.Calls, *s)
	}
	slices.SortFunc(h.Calls, func(a, b CallStats) int {
		if d := strings.Compare(a.Method, b.Method); d != 0 {
			return d
		}
		return strings.Compare(a.Outcome, b.Outcome)
	})
	return h
}

func (c *Client) stale() time.Duration { return max(staleBlocks*c.opts.BlockTime, c.floor) }

// Backend answers a node's requests. It returns at once, and replies from another
// goroutine.
func (c *Client) Backend() sched.Backend[chain.Request, chain.Reply] {
	return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
		select {
		case c.ops <- struct{}{}:
		default:
			reply(sched.Failed[chain.Reply](fmt.Errorf("%d chain requests are under way", maxOps)))
			return
		}
		if !c.begin() {
			<-c.ops
			reply(sched.Failed[chain.Reply](errors.New("the chain client is closed")))
			return
		}
		go func() {
			defer c.wg.Done()
			defer func() { <-c.ops }()
			p, err := c.Answer(c.ctx, q)
			r := sched.Result[chain.Reply]{Res: p}
			if err != nil {
				r = sched.Failed[chain.Reply](err)
				r.Unknown = errors.Is(err, sched.ErrUnknown)
			}
			reply(r)
		}()
	}
}

// Answer carries out one request and waits for its answer. A refusal is the
// reply's Code; errors are sched.ErrUnknown where an extrinsic was sent and its
// outcome could not be found out, anything else where nothing was carried out.
func (c *Client) Answer(ctx context.Context, q chain.Request) (chain.Reply, error) {
	switch q.Op {
	case chain.OpSync, chain.OpReadWeights:
		ctx, cancel := context.WithTimeout(ctx, c.opts.OpTimeout)
		defer cancel()
		if q.Op == chain.OpSync {
			return c.answerSync(ctx)
		}
		return c.answerWeights(ctx, q.Hotkey)
	case chain.OpSetWeights, chain.OpCommitWeights, chain.OpRevealWeights, chain.OpServeAxon, chain.OpCommitTimelocked:
		ctx, cancel := context.WithTimeout(ctx, eraBlocks*c.opts.BlockTime+c.opts.OpTimeout)
		defer cancel()
		return c.answerWrite(ctx, q)
	}
	return chain.Reply{}, fmt.Errorf("%w: operation %s", sched.ErrNotSent, q.Op)
}

// Redacted is an endpoint without what may be a secret: user, path and query.
func Redacted(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return "(unreadable)"
	}
	return u.Scheme + "://" + u.Host
}

// onLoopback says whether an endpoint is on this machine.
func onLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && chain.Loopback(u.Hostname())
}
