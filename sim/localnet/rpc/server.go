// Package rpc is the endpoint of a chain in memory: Substrate's JSON-RPC over
// WebSocket and HTTP on loopback, with blocks, storage, events and a transaction
// pool in SCALE by the real chain's metadata. Clients that were not written for
// it (polkadot.js, the SDKs, our own live client) read, subscribe, sign and
// submit as they would on the real chain.
//
// What the subnet does is sim/mockchain's business; this package makes blocks
// from its time, gives it the calls it can decode and renders what it answers.
// There is one block producer, no fork, no fee, and no trie: a header's state
// root is a hash that stands for the state.
//
// Read server.go for the configuration and the life of an endpoint, methods.go
// for what may be asked, block.go for how a block is made, pool.go for what an
// extrinsic goes through before it, call.go for what it does, subnet.go for the
// storage, state.go for its history, jsonrpc.go and conn.go for the transport.
//
// All state is behind one lock: connections decode and wait outside it. Only
// sim/localnet and tests call this package.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"
	"bettensor/sim/mockchain"

	"github.com/gorilla/websocket"
)

// Limits. Each bounds what one client, or all of them, can make the endpoint
// hold; what is beyond is refused or dropped, and counted in Stats.
const (
	// maxConnections: a localnet of 256 nodes and as many clients of them.
	maxConnections = 512
	// maxFrame: the largest honest request is an extrinsic of 5 kB in hex, or a
	// batch of storage keys.
	maxFrame = 1 << 20
	// maxBatch requests in one batch; public nodes take as few as 10.
	maxBatch = 128
	// maxKeys of one storage question: three a neuron of a full subnet.
	maxKeys = 1024
	// maxPage is the largest page of keys, as in Substrate.
	maxPage = 1000
	// maxSubscriptions of one connection; polkadot.js opens about five.
	maxSubscriptions = 64
	// maxQueue frames wait for a client that does not read; then it is dropped.
	maxQueue = 1024
	// maxExtrinsic is what fits a call of the chain with room to spare.
	maxExtrinsic = 64 << 10
	// maxPool extrinsics wait for a block, maxPending of them of one signer.
	maxPool    = 2048
	maxPending = 64
	// maxInBlock extrinsics go into one block.
	maxInBlock = 512
	// keepStates is how many blocks back state can be read, keepBlocks how many
	// back headers and bodies: eras of the runtime reach back 2,400 blocks.
	keepStates = 512
	keepBlocks = 2400
	// maxCatchUp blocks are made under one lock when the clock has jumped.
	maxCatchUp = 64
)

// Times of the wall clock.
const (
	// tick is how often the node clock is looked at: the clock may run at any
	// speed and may jump, and at the highest speed a block takes 100 ms.
	tick = 10 * time.Millisecond
	// finalityAge is the least age of a finalised block. polkadot.js acts on
	// every status of an extrinsic, and loses inBlock if finalized comes while it
	// still fetches the block.
	finalityAge  = 250 * time.Millisecond
	writeTimeout = 5 * time.Second
	// idleTimeout ends connections whose peer answers no ping; pingEvery is well
	// within it.
	idleTimeout = 90 * time.Second
	pingEvery   = 30 * time.Second
)

// Config describes an endpoint.
type Config struct {
	// Subnet is the chain behind it. Localnet gives localnet's own. Coldkeys and
	// hotkeys must be addresses. Genesis counts in whole seconds, the block time in
	// whole milliseconds; Beacon and Open are set by the endpoint.
	Subnet mockchain.Config
	// Seed makes the beacon's key, and with it the genesis hash. Equal seeds make
	// equal chains: give a random one, or a client takes an old chain for this one.
	Seed [32]byte
	// Now is the node clock, by which blocks are made. It may run at another speed
	// than the wall's, may jump ahead, and is read every 10 ms. nil is the wall
	// clock.
	Now func() time.Time
	// FinalityAge is the least age, by the wall clock, at which a block is
	// finalised; it trails the best one by Subnet.FinalityLag blocks as well. 0 is
	// 250 ms, which polkadot.js needs. Less suits clients that read in order.
	FinalityAge time.Duration
	// Log, for what an operator should know; nil drops it.
	Log *slog.Logger
}

// Localnet is the subnet of a localnet: the defaults of the chain in memory, with
// loopback allowed and, where commitReveal is on, timelocked commits of the
// version the real chain takes.
func Localnet(netuid chain.Netuid, genesis time.Time, commitReveal bool, neurons []mockchain.Neuron) mockchain.Config {
	c := mockchain.Defaults(netuid, genesis)
	c.Neurons = neurons
	c.AllowLoopback = true
	c.Params.CommitReveal = commitReveal
	c.Params.RevealVersion = revealVersion
	return c
}

// revealVersion is the form of timelocked commits at the spec of the metadata.
const revealVersion = 4

// Stats counts what an endpoint did since it started.
type Stats struct {
	Connections   int    // open now
	Requests      uint64 // JSON-RPC calls, those of batches one by one
	Refused       uint64 // connections over the limit
	Dropped       uint64 // connections that did not read what was sent
	Submitted     uint64 // extrinsics taken into the pool
	Invalid       uint64 // extrinsics refused by the pool or dropped from it
	Best, Final   uint64 // block numbers
	Subscriptions int
}

// Server is one endpoint. Its methods may be called from any goroutine.
type Server struct {
	cfg     Config
	meta    *scale.Metadata
	v14     []byte // the metadata as it is published
	v15     []byte
	genesis [32]byte
	beacon  *timelock.Beacon
	now     func() time.Time
	log     *slog.Logger

	mu      sync.Mutex // guards all below
	chain   *mockchain.Chain
	ledger  *ledger
	blocks  []*block            // the last keepBlocks, by number
	byHash  map[[32]byte]*block // those, and block 0
	hashes  [][32]byte          // of every block, as the real chain keeps them: 32 bytes each
	final   uint64
	pool    []*pending
	nonces  map[chain.Hotkey]uint32
	served  map[chain.Hotkey]announced
	reveals []mockchain.Reveal // of the block being made
	dirty   bool               // the subnet changed since it was last rendered
	conns   map[*conn]struct{}
	subs    []*subscription
	lastSub uint64
	stalled bool
	stats   Stats

	delay    atomic.Int64 // fault: nanoseconds before each answer
	requests atomic.Uint64

	listener net.Listener
	http     *http.Server
	quit     chan struct{}
	running  sync.WaitGroup
	closing  sync.Once
}

// New makes the chain at its genesis. It binds nothing and starts nothing.
func New(cfg Config) (*Server, error) {
	s := &Server{
		cfg:    cfg,
		now:    cfg.Now,
		log:    cfg.Log,
		beacon: timelock.NewBeacon(cfg.Seed),
		byHash: map[[32]byte]*block{},
		nonces: map[chain.Hotkey]uint32{},
		served: map[chain.Hotkey]announced{},
		conns:  map[*conn]struct{}{},
		quit:   make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.cfg.FinalityAge <= 0 {
		s.cfg.FinalityAge = finalityAge
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	c := &s.cfg.Subnet
	if c.BlockTime <= 0 {
		c.BlockTime = chain.BlockTime
	}
	if c.BlockTime%time.Millisecond != 0 {
		return nil, fmt.Errorf("block time %v: give whole milliseconds, the chain's clock counts in them", c.BlockTime)
	}
	for _, n := range c.Neurons {
		if _, err := n.Hotkey.PublicKey(); err != nil {
			return nil, fmt.Errorf("hotkey of a neuron: %w", err)
		}
		if _, err := chain.Hotkey(n.Coldkey).PublicKey(); err != nil {
			return nil, fmt.Errorf("coldkey of %s: %w", n.Hotkey, err)
		}
	}
	c.Genesis = c.Genesis.Truncate(time.Second)
	c.Beacon = mockchain.Beacon{Genesis: c.Genesis, Period: timelock.Quicknet.Period}
	c.Open = s.open
	var err error
	if s.meta, err = runtimeMetadata(c.BlockTime); err != nil {
		return nil, err
	}
	if s.v14, err = s.meta.Append(nil, 14); err != nil {
		return nil, fmt.Errorf("metadata of the endpoint: %w", err)
	}
	if s.v15, err = s.meta.Append(nil, 15); err != nil {
		return nil, fmt.Errorf("metadata of the endpoint: %w", err)
	}
	s.chain = mockchain.New(*c)
	s.chain.OnReveal(func(r mockchain.Reveal) { s.reveals = append(s.reveals, r) })
	s.chain.OnEpoch(func(mockchain.Epoch) { s.dirty = true })
	s.ledger = newLedger(s.meta)
	if err := s.makeGenesis(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return s, nil
}

// Genesis is the hash of block 0.
func (s *Server) Genesis() [32]byte { return s.genesis }

// Listen binds addr, an address of the loopback (":0" is a free port of
// 127.0.0.1), and starts to make blocks and to answer. It returns at once.
func (s *Server) Listen(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if !chain.Loopback(host) {
		return fmt.Errorf("listen address %q: this chain is anybody's who reaches it, so it is served on loopback only; give 127.0.0.1", addr)
	}
	s.listener, err = net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("listen for the chain's clients: %w", err)
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.running.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the chain's endpoint stopped", "error", err)
		}
	})
	s.running.Go(s.run)
	return nil
}

// Addr is host and port it listens on, "" before Listen.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close ends all connections and stops making blocks. It returns when every
// goroutine has ended, or with ctx's error.
func (s *Server) Close(ctx context.Context) error {
	s.closing.Do(func() { close(s.quit) })
	if s.http != nil {
		s.http.Close()
	}
	s.DropConnections()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the chain's endpoint: %w", ctx.Err())
	}
}

// run looks at the clock until Close.
func (s *Server) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-t.C:
			for s.advance() {
			}
		}
	}
}

// advance makes the blocks that are due, and finalises those that are old
// enough. It returns true where more blocks are due than it made.
func (s *Server) advance() (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := uint64(s.chain.BlockAt(s.now()))
	for made := 0; !s.stalled && s.best().number < due; made++ {
		if made == maxCatchUp {
			more = true
			break
		}
		if err := s.makeBlock(); err != nil {
			s.log.Error("no block could be made", "number", s.best().number+1, "error", err)
			s.stalled = true
		}
	}
	s.finalise(time.Now())
	return more
}

// Change has f change the subnet in the next block, as a world does that
// registers, prunes or stakes. now is the time to hand to the chain's methods.
// f must not keep c.
func (s *Server) Change(f func(c *mockchain.Chain, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.chain, s.best().time)
	s.dirty = true
}

// Stats is what the endpoint did so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Requests = s.requests.Load()
	st.Connections, st.Subscriptions = len(s.conns), len(s.subs)
	st.Best, st.Final = s.best().number, s.final
	return st
}

// DropConnections cuts every WebSocket connection, as a node that restarts does,
// and returns how many there were.
func (s *Server) DropConnections() int {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.cut()
	}
	return len(conns)
}

// Stall stops the making of blocks, or lets it go on. Finality stops too, as
// soon as nothing is left to finalise.
func (s *Server) Stall(on bool) {
	s.mu.Lock()
	s.stalled = on
	s.mu.Unlock()
}

// Delay has every answer wait, as behind a slow line; 0 ends it.
func (s *Server) Delay(d time.Duration) { s.delay.Store(int64(d)) }

// upgrade takes any origin: a page of anybody's may look at this chain, which
// holds nothing.
var upgrade = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
