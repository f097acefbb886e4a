package rpc

import (
	"context"
	"flag"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
)

// A chain of anybody's can be held to what every subnet must do:
//
//	go test ./sim/localnet/rpc -run TestContractAtEndpoint -chain.endpoint ws://127.0.0.1:9944 -chain.netuid 1 -chain.uri //Alice
var (
	atEndpoint = flag.String("chain.endpoint", "", "hold the chain behind this URL to the contract")
	atNetuid   = flag.Uint("chain.netuid", uint(netuid), "the subnet at -chain.endpoint")
	atURI      = flag.String("chain.uri", "//Alice", "secret of a permitted validator at -chain.endpoint; weights are set with it")
)

// live is the chain behind an endpoint, asked by the live client: one client for
// each key, as there is one process for each.
type live struct {
	endpoint string
	netuid   chain.Netuid
	genesis  [32]byte
	signer   func(testing.TB, chain.Hotkey) substrate.Signer
	clients  map[chain.Hotkey]*substrate.Client
	patience time.Duration
	during   func(context.Context) // has blocks made while an answer is awaited
	reach    func(testing.TB, chain.Block)
}

func (l *live) client(t testing.TB, h chain.Hotkey) *substrate.Client {
	t.Helper()
	if c := l.clients[h]; c != nil {
		return c
	}
	c, err := substrate.New(substrate.Options{
		Endpoints: []string{l.endpoint}, Netuid: l.netuid, Genesis: l.genesis, Signer: l.signer(t, h), Lazy: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	l.clients[h] = c
	return c
}

func (l *live) Submit(t testing.TB, q chain.Request) chain.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), l.patience)
	defer cancel()
	c := l.client(t, q.Hotkey)
	moving, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.during(moving) }()
	defer func() { stop(); <-done }()
	p, err := c.Answer(ctx, q)
	if err != nil {
		t.Fatalf("%s: %v", q.Op, err)
	}
	// Reads are of the finalised state.
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for c.Health().Finalised < p.Included {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: block %d is not final: %+v", q.Op, p.Included, c.Health())
		case <-look.C:
		}
	}
	return p
}

func (l *live) Reach(t testing.TB, b chain.Block) { t.Helper(); l.reach(t, b) }

// unsettled tells whether an extrinsic waits for a block, or its block for being
// final.
func (s *Server) unsettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := s.final + 1; n <= s.best().number; n++ {
		if len(s.at(n).included) > 0 {
			return true
		}
	}
	return len(s.pool) > 0
}

func TestContractOverLiveClient(t *testing.T) { chaintest.Run(t, overLive) }

// The part of the contract for chains of others holds here too, on both paths.
func TestProbe(t *testing.T) {
	for _, commits := range []bool{false, true} {
		setup := chaintest.Base()
		setup.Params.CommitReveal = commits
		chaintest.Probe(t, overLive(t, setup), chaintest.Hotkey(0))
	}
}

// overLive is a new endpoint behind the live client.
func overLive(t *testing.T, setup chaintest.Setup) chaintest.Chain {
	s, clock := startLeaping(t, subnetOf(setup))
	o := &overRPC{s: s, clock: clock}
	o.Reach(t, 4)
	l := &live{
		endpoint: "ws://" + s.Addr(), netuid: chaintest.Netuid, genesis: s.Genesis(),
		signer:   func(t testing.TB, h chain.Hotkey) substrate.Signer { return keyOf(t, h) },
		clients:  map[chain.Hotkey]*substrate.Client{},
		patience: patience,
		during: func(ctx context.Context) {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					// A block at a time: the one before must be there.
					if st := s.Stats(); s.unsettled() && s.chain.BlockAt(clock.now()) == chain.Block(st.Best) {
						o.step()
					}
				}
			}
		},
	}
	l.reach = func(t testing.TB, b chain.Block) {
		o.Reach(t, b)
		// What clients read and sign at has caught up.
		o.wait(t, func(st Stats) bool {
			caught := !s.unsettled()
			for _, c := range l.clients {
				caught = caught && uint64(c.Health().Finalised) == st.Final
			}
			return caught
		})
	}
	return l
}

func TestContractAtEndpoint(t *testing.T) {
	if *atEndpoint == "" {
		t.Skip("no -chain.endpoint")
	}
	key, err := wallet.FromURI(*atURI)
	if err != nil {
		t.Fatal(err)
	}
	chaintest.Probe(t, atEndpointOf(t, *atEndpoint, chain.Netuid(*atNetuid), *atURI), key.Hotkey())
}

// atEndpointOf is somebody's chain, asked with one key.
func atEndpointOf(t *testing.T, endpoint string, netuid chain.Netuid, uri string) chaintest.Chain {
	key, err := wallet.FromURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return &live{
		endpoint: endpoint, netuid: netuid,
		signer:   func(testing.TB, chain.Hotkey) substrate.Signer { return key },
		clients:  map[chain.Hotkey]*substrate.Client{},
		patience: 5 * time.Minute, // blocks of 12 s, and finality behind them
		during:   func(context.Context) {},
		reach:    func(testing.TB, chain.Block) {},
	}
}
