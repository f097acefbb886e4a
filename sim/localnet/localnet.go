// Package localnet is a subnet on one machine, on real loopback sockets and in
// (perhaps accelerated) real time: the world of the simulator served to clients
// that know nothing of it.
//
// Read localnet.go for how it starts and ends, keys.go for its wallets, runner.go
// for the nodes that run in it, games.go for the games feed, relay.go and churn.go
// for lines that break, books.go for what both sides must have in their books at
// the end, load.go for how much one validator takes; the chain's endpoint is
// localnet/rpc. The command is in sim/cli.
package localnet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"bettensor/node/chain"
	node "bettensor/node/cli"
	"bettensor/node/live"
	"bettensor/sched"
	"bettensor/sim/localnet/rpc"
	"bettensor/sim/mockchain"
)

// Words and numbers of a local network that clients rely on.
const (
	Netuid     chain.Netuid = 30
	WalletName              = "demo"
	// leastMiners hotkeys m0…m7 and the validator's v0 are there whoever runs here,
	// so that they can be run from outside.
	leastMiners = 8
	// stake of each validator, in rao: enough for a permit.
	stake = chain.Rao(10_000e9)
	// past is how old the chain is when it starts, so that there are blocks, and
	// final ones, to be read at once.
	past = 4 * chain.BlockTime
	// MaxSpeed: at 120 a block takes a tenth of a second, little more than reading
	// a metagraph does.
	MaxSpeed = 120
	// MaxNodes of one kind in this process.
	MaxNodes = 64
)

// Options of a local network. The zero value of a field takes its default.
type Options struct {
	// Dir holds wallets, clock, ports and the nodes' stores. Required.
	Dir string
	// RPCListen and FeedListen are loopback addresses. Default 127.0.0.1:0.
	RPCListen, FeedListen string
	// Validators and Miners that run here; 0 for none.
	Validators, Miners int
	// Speed of the node clock against the wall's, 1 to MaxSpeed. Default 1.
	Speed float64
	// CommitReveal has the subnet ask for timelocked weights.
	CommitReveal bool
	// Churn is how often, by the wall clock, a connection between peers is cut, and
	// every tenth time those to the chain. Default never.
	Churn time.Duration
	// Record is a directory in which every validator that runs here is recorded,
	// each in one of its name. Default none is.
	Record string
	// Version of the program, as the nodes report it.
	Version string
	// Log takes what the network has to say. Default: nowhere.
	Log *slog.Logger

	subnet func(*mockchain.Config) // tests make another one
}

// Network is a local network that runs.
type Network struct {
	o      Options
	hold   *live.Hold // of the directory
	clock  sched.NodeClock
	chain  *rpc.Server
	games  *Games
	keys   map[string]chain.Hotkey
	names  []string // of the keys, in order of UID
	nodes  []*runner
	seed   uint64 // of what is left to chance here
	cancel context.CancelFunc
	wg     sync.WaitGroup

	stopped bool
	churned Churn // churn's own until Stop has waited for it
}

// Ports is what DIR/ports.json holds: where everything listens.
type Ports struct {
	RPC   string               `json:"rpc"`
	Feed  string               `json:"feed"`
	Nodes map[string]NodePorts `json:"nodes"`
}

// NodePorts are those of a node that runs here; Axon is "" where it has none.
type NodePorts struct {
	Axon string `json:"axon,omitempty"`
	HTTP string `json:"http"`
}

// Start makes keys, chain and games, starts the nodes, and returns when heads flow,
// the feed answers and every node that runs here listens. It waits for no node's
// readiness.
func Start(ctx context.Context, o Options) (*Network, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.RPCListen == "" {
		o.RPCListen = "127.0.0.1:0"
	}
	if o.FeedListen == "" {
		o.FeedListen = "127.0.0.1:0"
	}
	switch {
	case o.Churn < 0:
		return nil, fmt.Errorf("churn every %v: want a time above zero, or 0 for none", o.Churn)
	case !(o.Speed >= 1 && o.Speed <= MaxSpeed):
		return nil, fmt.Errorf("a speed of %v is not between 1 and %d", o.Speed, MaxSpeed)
	case o.Validators < 0 || o.Miners < 0 || o.Validators > MaxNodes || o.Miners > MaxNodes:
		return nil, fmt.Errorf("%d validators and %d miners: 0 to %d of each can run here", o.Validators, o.Miners, MaxNodes)
	}
	n := &Network{o: o, keys: map[string]chain.Hotkey{}}
	ctx, n.cancel = context.WithCancel(ctx)
	if err := n.start(ctx); err != nil {
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer done()
		return nil, errors.Join(err, n.Stop(stop))
	}
	return n, nil
}

func (n *Network) start(ctx context.Context) error {
	if err := os.MkdirAll(n.o.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if n.hold, err = live.Take(filepath.Join(n.o.Dir, "localnet")); err != nil {
		return fmt.Errorf("another localnet runs on this directory: %w", err)
	}
	again, err := n.ranBefore()
	if err != nil {
		return err
	}
	neurons, save, err := n.makeKeys(again)
	if err != nil {
		return err
	}
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	n.seed = binary.LittleEndian.Uint64(seed[:])
	wall := time.Now().UTC()
	n.clock = sched.NodeClock{Wall: wall, Node: wall, Speed: n.o.Speed}
	genesis := wall.Add(-past).Truncate(time.Second)
	subnet := rpc.Localnet(Netuid, genesis, n.o.CommitReveal, neurons)
	if n.o.subnet != nil {
		n.o.subnet(&subnet)
	}
	n.chain, err = rpc.New(rpc.Config{Subnet: subnet, Seed: seed, Now: n.now, Log: n.o.Log.With("component", "chain")})
	if err != nil {
		return err
	}
	if err := n.chain.Listen(n.o.RPCListen); err != nil {
		return fmt.Errorf("the chain's endpoint: %w", err)
	}
	n.games, err = NewGames(GamesConfig{Now: n.now, Seed: n.seed})
	if err != nil {
		return err
	}
	if err := n.games.Listen(n.o.FeedListen); err != nil {
		return fmt.Errorf("the games feed: %w", err)
	}
	if again { // it belongs to a chain that is gone, and nothing can fail any more that was asked for
		for _, old := range []string{"nodes", "ports.json"} {
			if err := os.RemoveAll(filepath.Join(n.o.Dir, old)); err != nil {
				return fmt.Errorf("clear what an earlier run left: %w", err)
			}
		}
	}
	if err := save(); err != nil {
		return err
	}
	hash := n.chain.Genesis()
	err = writeFile(filepath.Join(n.o.Dir, "clock.json"), node.ClockFile{Version: 1, Genesis: "0x" + hex.EncodeToString(hash[:]),
		WallOrigin: n.clock.Wall.UnixNano(), NodeOrigin: n.clock.Node.UnixNano(), Speed: n.o.Speed})
	if err != nil {
		return err
	}
	if err := n.answers(ctx); err != nil {
		return err
	}
	for i := range n.o.Validators {
		if err := n.addValidator(ctx, fmt.Sprint("v", i)); err != nil {
			return err
		}
	}
	for i := range n.o.Miners {
		n.addMiner(i)
	}
	for _, r := range n.nodes {
		if err := n.launch(ctx, r); err != nil {
			return err
		}
	}
	ports := n.ports()
	for _, r := range n.nodes {
		p, err := r.listens(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if r.relay != nil { // where peers come
			r.relay.aim(p.Axon)
			p.Axon = r.relay.addr().String()
		}
		ports.Nodes[r.name] = p
	}
	if n.o.Churn > 0 {
		n.wg.Go(func() { n.churn(ctx) })
	}
	return writeFile(filepath.Join(n.o.Dir, "ports.json"), ports)
}

func (n *Network) now() time.Time { return n.clock.At(time.Now()) }

// ranBefore tells whether an earlier localnet has left its files here. What is
// called like them and is not theirs is left alone.
func (n *Network) ranBefore() (bool, error) {
	b, err := os.ReadFile(filepath.Join(n.o.Dir, "clock.json"))
	var c node.ClockFile
	if err == nil && json.Unmarshal(b, &c) == nil && c.Version == 1 && c.Genesis != "" {
		return true, nil
	}
	for _, name := range []string{"clock.json", "ports.json", "nodes"} {
		if _, err := os.Lstat(filepath.Join(n.o.Dir, name)); err == nil {
			return false, fmt.Errorf("%s is not an earlier localnet's: move it away, or take another directory", filepath.Join(n.o.Dir, name))
		}
	}
	return false, nil
}

// Flags are those by which a node joins as one of the network's hotkeys, whoever
// runs it.
func (n *Network) Flags(name string) []string {
	f := []string{"--netuid", strconv.Itoa(int(Netuid))}
	if n.chain.Addr() == localAddress {
		f = append(f, "--subtensor.network", "local")
	} else {
		f = append(f, "--subtensor.chain_endpoint", n.RPC())
	}
	f = append(f, "--wallet.path", n.Wallets(), "--wallet.name", WalletName, "--wallet.hotkey", name)
	if n.o.Speed != 1 {
		f = append(f, "--clock.file", filepath.Join(n.o.Dir, "clock.json"))
	}
	return f
}

// Commands are the command lines by which a validator and a miner join from
// outside, of those whose hotkeys nobody uses here. program are the words by which
// this program is called.
func (n *Network) Commands(program []string) []string {
	var out []string
	line := func(role, name string, more ...string) {
		words := slices.Concat(program, []string{role}, n.Flags(name), more)
		out = append(out, node.ShellLine(words))
	}
	if n.o.Validators < 1 {
		line("validator", "v0", "--axon.port", "0", "--feed.url", n.Feed())
	}
	if m := n.o.Miners; m < leastMiners {
		line("miner", fmt.Sprint("m", m), "--axon.off", "--model", "value")
	}
	return out
}

// localAddress is what --subtensor.network local stands for.
const localAddress = "127.0.0.1:9944"

// RPC is the chain's endpoint.
func (n *Network) RPC() string { return "ws://" + n.chain.Addr() }

// Feed is what --feed.url takes.
func (n *Network) Feed() string { return n.games.URL() }

// weightsOf are the weights that the chain holds of a hotkey; none where it has
// no slot.
func (n *Network) weightsOf(h chain.Hotkey) (w chain.Weights) {
	n.chain.Change(func(c *mockchain.Chain, _ time.Time) {
		if uid, ok := c.UIDOf(h); ok {
			w, _ = c.Weights(uid)
		}
	})
	return w
}

func (n *Network) ports() Ports {
	return Ports{RPC: n.RPC(), Feed: n.Feed(), Nodes: map[string]NodePorts{}}
}

// How long things may take to come up.
const (
	comesUp    = 30 * time.Second
	lookEvery  = 20 * time.Millisecond
	stopWithin = 15 * time.Second // a node's own ten seconds, and some
)

// answers waits until heads flow and the feed answers.
func (n *Network) answers(ctx context.Context) error {
	err := until(ctx, func() (bool, error) { return n.chain.Stats().Final > 0, nil })
	if err != nil {
		return fmt.Errorf("the chain makes no blocks: %w", err)
	}
	client := http.Client{Timeout: comesUp, Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}
	defer client.CloseIdleConnections()
	url := n.Feed() + "/Games/TeamGames/Search?PageIndex=0&ItemsPerPage=1"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the games feed: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the games feed says %s", res.Status)
	}
	return nil
}

// until looks again and again, for comesUp at most.
func until(ctx context.Context, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, comesUp)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if ok, err := look(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends the nodes first, then feed and chain. A second time it does nothing.
func (n *Network) Stop(ctx context.Context) error {
	if n.stopped {
		return nil
	}
	n.stopped = true
	n.cancel()
	ended := make(chan struct{})
	go func() {
		n.wg.Wait()
		close(ended)
	}()
	var errs []error
	select {
	case <-ended:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("nodes still run: %w", ctx.Err()))
	}
	for _, r := range n.nodes {
		if r.relay != nil {
			errs = append(errs, r.relay.close())
		}
		if r.log == nil {
			continue
		}
		select {
		case <-r.done:
			if r.err != nil && !errors.Is(r.err, context.Canceled) {
				errs = append(errs, fmt.Errorf("%s: %w", r.name, r.err))
			}
			errs = append(errs, r.log.Close())
		default:
		}
	}
	if n.games != nil {
		errs = append(errs, n.games.Close(ctx))
	}
	if n.chain != nil {
		errs = append(errs, n.chain.Close(ctx))
	}
	if n.hold != nil {
		errs = append(errs, n.hold.Release())
	}
	return errors.Join(errs...)
}

// Free tells whether nobody listens at an address.
func Free(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// writeFile writes a value as JSON, so that a reader sees all of it or none.
func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
