// Package sim is the world around the real thing: a chain in memory, a games
// feed, a network, disks, faults and observers, on one virtual clock. It builds
// the same node.Validator and node.Miner that run live, and one seed replays a
// run bit for bit.
//
// Read world.go for what a world is made of, host.go for a machine with a node
// on it, peer.go and rogue.go for hostile miners and validators in its place, then its surroundings: network.go, disk.go, endpoints.go. run.go turns
// a scenario into a world and a world into a result; trace.go, report.go and
// invariant/ look on. sim/cli and tests call it.
package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/sim/mockchain"
	"bettensor/store"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Feed is what the games feed knows. sim/market has one; tests have smaller ones.
type Feed interface {
	// Changes returns every game with news in (since, now], as it stands at now.
	Changes(since, now time.Time) []bet.Game
}

// Config describes a world in plain data, below any scenario file.
type Config struct {
	Seed       uint64
	Start      time.Time
	Chain      mockchain.Config // Neurons are filled in from Validators and Miners
	Feed       Feed
	Network    Network
	Disk       Disk
	Latency    Latency
	Sr25519    bool // real signatures instead of a keyed hash
	Validators []ValidatorSpec
	Miners     []MinerSpec
	// Quiet are times in which no fault begins or lasts, in order.
	Quiet []Span
	// RestartAfter is how long a node that went down by itself stays away; twice as
	// long each time it does so again, up to a minute, as a supervisor has it.
	// Default 2 s.
	RestartAfter time.Duration
	// SliceCost is the virtual time of one slice of long work; default 0.
	SliceCost time.Duration
	// Explore permutes, by the seed, what falls due at one instant and is not
	// ordered in production either (sched.World.Explore).
	Explore bool
	// FileSystem, where set, gives what a validator's store lies on, nil for memory
	// as ever. It may fail: a store that does not open is tried again after
	// RestartAfter, as a supervisor would.
	FileSystem func(host string) vfs.FS
}

// Latency of the services around a node.
type Latency struct {
	Chain time.Duration // of a chain request; default 150 ms
	Feed  time.Duration // of a feed request; default 400 ms
}

// ValidatorSpec is one validator of the world.
type ValidatorSpec struct {
	Name  string
	Group string // of the scenario; faults address it. Default: the name
	Stake chain.Rao
	Node  node.ValidatorConfig // Hotkey and Axon are filled in
	// Rogue, where its Kind is set, is what takes the node's place.
	Rogue Rogue
}

// MinerSpec is one miner of the world.
type MinerSpec struct {
	Name  string
	Kind  string
	Group string           // of the scenario; faults address it
	Node  node.MinerConfig // Hotkey is filled in
	// Polled makes it answer HTTP polls at an axon of its own and dial nobody, as
	// the original's miners do.
	Polled bool
	// Model of the miner's service. Nil for a raw peer of its Kind.
	Model func() (model.Model, error)
	// Params of a raw peer, the defaults of its kind where they are missing.
	Params map[string]float64
	// Owner of the hotkey: those of one owner have one coldkey. Default: its own.
	Owner string
}

// World is a simulated subnet.
type World struct {
	cfg      Config
	Sched    *sched.World
	Chain    *mockchain.Chain
	Hosts    []*Host // validators first, then miners, in the order of the config
	names    map[string]*Host
	places   map[string]*Host // by address
	net      *network
	tracer   sched.Tracer
	triggers []*trigger
	feedLies bool // some fault may change what feeds tell

	faults   []*FaultResult // in the order of the scenario
	silent   *active        // chain.drand_missing: the window that lasts
	troubles []trouble      // in the order of their beginnings

	// FaultWindows counts the windows of faults that have begun.
	FaultWindows int

	// Fate, where set, decides what becomes of a request of a port; n counts
	// them per host and port from 1. It is how faults and the tests of the
	// engine's gates reach the ports.
	Fate func(h *Host, port Port, n uint64) Fate
	// OnBuild, where set, is told of each node that was built, before it starts.
	OnBuild func(h *Host)
	// OnInput, where set, is told of each event about to enter a node's loop.
	OnInput func(h *Host)
	// OnEvent, where set, is told of each event about to enter any loop.
	OnEvent func(l *sched.Loop)
	// OnRetire, where set, is given the figures of a node that was killed.
	OnRetire func(h *Host, s node.Stats)
	// OnOpened, where set, is told of a store that was opened again, before its
	// node begins.
	OnOpened func(h *Host)
	// Mutate, where set, changes frames under way: it is how tests plant bugs.
	Mutate func(from, to *Host, frame []byte) []byte
	// Plant, where set, puts something between a node and its store, each time
	// that is opened: it is how tests plant a store that lies. Invariants read what
	// is behind it.
	Plant func(h *Host, e store.Engine) store.Engine
	// OnPorts, where set, is given the ways out of a node that is about to be
	// built, each time, and may put something in between: it is how bugs are
	// planted that lie in an adapter. See plant.go.
	OnPorts func(h *Host, p *node.Ports)
	// OnReached, where set, is told of each property (sim/metric) that the world
	// itself sees reached.
	OnReached func(property string)
	// OnFrame, where set, is told of each frame that leaves, as opened by a reader
	// that is no node's.
	OnFrame func(from, to *Host, e *wire.Event)
}

// Port is a way out of a node.
type Port uint8

const (
	PortStore   Port = iota
	PortChain        // reads
	PortWeights      // extrinsics that set, commit or reveal weights
	PortAxon         // extrinsics that announce an axon
	PortFeed
	PortFrame
	ports int = iota
)

// String is the word used in traces.
func (p Port) String() string {
	return [...]string{"store", "chain", "weights", "axon", "feed", "frame"}[p]
}

// Fate of one request.
type Fate uint8

const (
	Normal         Fate = iota
	Lost                // never carried out, never answered
	AppliedLost         // carried out, never answered
	Doubled             // carried out once, answered twice
	Failed              // not carried out, and the answer says so
	AppliedFailed       // carried out, and the answer says that it failed
	Refused             // not carried out, and the chain says no
	AppliedRefused      // carried out, and the answer is a no
	Pretended           // not carried out, and the answer says that it was
	Reverted            // taken into a block, and undone there
)

// NewWorld builds a world. Nodes start when it runs.
func NewWorld(cfg Config) (*World, error) {
	orDefault(&cfg.RestartAfter, 2*time.Second)
	orDefault(&cfg.Latency.Chain, 150*time.Millisecond)
	orDefault(&cfg.Latency.Feed, 400*time.Millisecond)
	cfg.Network.fill()
	cfg.Disk.fill()
	w := &World{cfg: cfg, Sched: sched.NewWorld(cfg.Start, cfg.Seed), names: map[string]*Host{}, places: map[string]*Host{}}
	w.Sched.SliceCost = cfg.SliceCost
	if cfg.Explore {
		w.Sched.Explore()
	}
	w.net = newNetwork(w)
	cc := cfg.Chain
	for i := range cfg.Validators {
		s := &w.cfg.Validators[i]
		h, err := w.addHost(s.Name, "validator")
		if err != nil {
			return nil, err
		}
		h.validator = s
		s.Node.Hotkey, s.Node.Axon = h.Hotkey, chain.Axon{IP: fmt.Sprintf("198.51.%d.%d", i/250, i%250+1), Port: 8091}
		h.moveTo(fmt.Sprintf("%s:%d", s.Node.Axon.IP, s.Node.Axon.Port))
		cc.Neurons = append(cc.Neurons, mockchain.Neuron{Hotkey: h.Hotkey, Coldkey: coldkeyOf(s.Name), Stake: s.Stake})
	}
	for i := range cfg.Miners {
		s := &w.cfg.Miners[i]
		h, err := w.addHost(s.Name, s.Kind)
		if err != nil {
			return nil, err
		}
		h.miner = s
		if s.Model == nil {
			if _, err := newAttack(s.Kind, s.Params); err != nil {
				return nil, fmt.Errorf("miner %s: %w", s.Name, err)
			}
		}
		orDefault(&s.Owner, s.Name)
		s.Node.Hotkey = h.Hotkey
		address := fmt.Sprintf("203.0.%d.%d:0", i/250, i%250+1)
		if s.Polled {
			s.Node.PollOnly, s.Node.Axon = true, chain.Axon{IP: fmt.Sprintf("203.0.%d.%d", i/250, i%250+1), Port: 12345}
			address = fmt.Sprintf("%s:%d", s.Node.Axon.IP, s.Node.Axon.Port)
		}
		h.moveTo(address)
		cc.Neurons = append(cc.Neurons, mockchain.Neuron{Hotkey: h.Hotkey, Coldkey: coldkeyOf(s.Owner)})
	}
	if err := w.rogues(); err != nil {
		return nil, err
	}
	w.Chain = mockchain.New(cc)
	for _, h := range w.Hosts {
		w.Sched.Push(cfg.Start, sched.Func(h.start))
	}
	return w, nil
}

// Close releases what the hosts hold.
func (w *World) Close() {
	for _, h := range w.Hosts {
		h.disk.close()
	}
}

// Host finds a host by name, nil if there is none.
func (w *World) Host(name string) *Host { return w.names[name] }

// SetTracer sets who is told what passes through all loops.
func (w *World) SetTracer(t sched.Tracer) {
	if old, ok := t.(triggering); ok {
		t = old.next
	}
	if w.tracer = t; len(w.triggers) > 0 {
		w.tracer = triggering{w, t}
	}
	for _, h := range w.Hosts {
		if h.Loop != nil {
			h.Loop.SetTracer(w.tracer)
		}
	}
}

// tracing is the tracer as it was set; nil for none.
func (w *World) tracing() sched.Tracer {
	if t, ok := w.tracer.(triggering); ok {
		return t.next
	}
	return w.tracer
}

// Trace tells the tracer of something that no loop saw.
func (w *World) trace(kind, name string, v any) {
	if w.tracer != nil {
		w.tracer.Trace(nil, kind, name, v)
	}
}

// Run turns the world up to an instant.
func (w *World) Run(until time.Time) { w.Sched.Run(until) }

func (w *World) after(d time.Duration, f func()) { w.Sched.After(d, sched.Func(f)) }

func (w *World) now() time.Time { return w.Sched.Now() }

// fate decides about one request of a host's port. It is asked for every frame:
// with no fault active it costs a counter. Where a fault decided, it is the second
// value, and marks the errors that follow (active.injected).
func (w *World) fate(h *Host, port Port) (Fate, *active) {
	h.counts[port]++
	if len(h.active) == 0 && w.Fate == nil {
		return Normal, nil
	}
	f, by := h.faultFate(port)
	if f == Normal && w.Fate != nil {
		f = w.Fate(h, port, h.counts[port])
	}
	if f != Normal {
		switch port {
		case PortStore:
			w.reach("commit_failed")
		case PortChain:
			w.reach("chain_failed")
		case PortFeed:
			w.reach("feed_failed")
		}
		v := map[string]any{"node": h.Name, "n": h.counts[port], "fate": f.String()}
		if by != nil {
			v["fault"] = by.id
		}
		w.trace("fate", port.String(), v)
	}
	return f, by
}

// reach tells of a property.
func (w *World) reach(property string) {
	if w.OnReached != nil {
		w.OnReached(property)
	}
}

// String is the word used in traces.
func (f Fate) String() string {
	return [...]string{"normal", "lost", "applied_but_lost", "doubled", "failed", "applied_but_failed",
		"refused", "applied_but_refused", "pretended", "reverted"}[f]
}

// keyOf makes the 32 bytes that stand for a name's secret in this seed.
func (w *World) keyOf(name string) (b [32]byte) {
	for i := range 4 {
		binary.LittleEndian.PutUint64(b[8*i:], xxhash.Sum64String(fmt.Sprintf("%d|%d|%s", w.cfg.Seed, i, name)))
	}
	return b
}

func coldkeyOf(name string) chain.Coldkey {
	var b [32]byte
	for i := range 4 {
		binary.LittleEndian.PutUint64(b[8*i:], xxhash.Sum64String(fmt.Sprintf("coldkey|%d|%s", i, name)))
	}
	return chain.Coldkey(chain.EncodeSS58(b))
}

func (w *World) signer(name string) (wire.Signer, error) {
	key := w.keyOf(name)
	if !w.cfg.Sr25519 {
		return wire.Keyed{Key: w.cfg.Seed, Name: chain.EncodeSS58(key)}, nil
	}
	return wire.NewSr25519(key, wire.Random{Rand: sched.NewStream(w.cfg.Seed, "sr25519", name)})
}

func (w *World) newOpener() *wire.Opener {
	if w.cfg.Sr25519 {
		return &wire.Opener{Verifier: &wire.Sr25519Verifier{}}
	}
	return &wire.Opener{Verifier: wire.Keyed{Key: w.cfg.Seed}}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
