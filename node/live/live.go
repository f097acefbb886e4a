// Package live assembles one node that runs for real and keeps it going: the
// store, the loop, the services, the sockets, backups and a recording. It is an
// edge: it has goroutines and files, and decides nothing about predictions,
// games or weights. What the node reaches (chain, feed, key) comes in through
// Options, so that a node beside the real chain, one in a local network and one
// in a test are assembled by the same code.
//
// Read live.go for what a caller sees, incarnation.go for how a node is put
// together and taken apart, pulse.go for how one knows that it is alive,
// ready.go for when it is ready, recording.go for what is written of it, and
// replay.go for how that is run again. node/cli and sim/localnet call it.
package live

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	randv2 "math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/node/wire/sock"
	"bettensor/sched"
	"bettensor/store"

	"github.com/benbjohnson/clock"
)

// Options are what a node is assembled from. A zero field takes the default
// named in its comment.
type Options struct {
	// Name of the node, in recordings and as the name of its random streams.
	// Default: its role.
	Name string
	// Store is the directory of its store; it is made where it is missing.
	Store string
	// Hold is the caller's hold of the store, which the caller releases when the
	// node has ended. Default: the node takes its own.
	Hold *Hold
	// AcceptLoss opens a store that has lost confirmed rows. An operator's
	// decision, never a default.
	AcceptLoss bool
	// Backups is the directory of the store's copies; "" keeps none.
	Backups string
	// KeepBackups is how many copies stay. Default 8: two days of one every six hours.
	KeepBackups int
	// Limits of what waits for the disk.
	Limits store.Limits
	// Seed of the random streams; every incarnation draws its own from it.
	// Default 0: drawn from the system.
	Seed uint64
	// Signer makes what signs as the node's hotkey. The randomness is that of the
	// node's loop. It is called once an incarnation.
	Signer func(random io.Reader) (wire.Signer, error)
	// Chain answers requests to the subtensor.
	Chain sched.Backend[chain.Request, chain.Reply]
	// Feed answers what has changed in the games; a validator's only.
	Feed sched.Backend[feed.Request, feed.Batch]
	// Sock configures the transport.
	Sock sock.Config
	// Listen is the address of the axon; ":0" picks a port. "" listens nowhere, as
	// a miner may that only dials.
	Listen string
	// Opener makes what opens frames, one for each connection. Default: limits of
	// the protocol and real signatures.
	Opener func() *wire.Opener
	// Record is the directory of recordings; "" records nothing.
	Record string
	// RecordLimit bounds one incarnation's recording, in bytes, the copy of the
	// store aside. Default 8 GiB: some days of a busy validator. Beyond it the
	// recording ends, and the node goes on.
	RecordLimit int64
	// Revision of the program, kept in recordings.
	Revision string
	// Clock is the wall clock of the loop. Default: the system's.
	Clock clock.Clock
	// Node is the node's clock as a function of the wall clock. Default: the same.
	Node sched.NodeClock
	// Checks are conditions of readiness beside the node's own, such as the age of
	// the chain's head. They are called from any goroutine and must not wait.
	Checks []func() Reason
	// Log takes lines for people. Default: none.
	Log *slog.Logger
}

func (o *Options) fill(role string) {
	o.Name = cmp.Or(o.Name, role)
	o.KeepBackups = cmp.Or(o.KeepBackups, 8)
	o.RecordLimit = cmp.Or(o.RecordLimit, 8<<30)
	if o.Opener == nil {
		o.Opener = func() *wire.Opener { return &wire.Opener{Verifier: &wire.Sr25519Verifier{}} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for o.Seed == 0 {
		var b [8]byte
		rand.Read(b[:])
		o.Seed = binary.LittleEndian.Uint64(b[:])
	}
}

func (o *Options) check() error {
	switch {
	case o.Store == "":
		return errors.New("live: no directory for the store")
	case o.Signer == nil || o.Chain == nil:
		return errors.New("live: a node needs a signer and a chain")
	}
	return nil
}

// Mind is a miner's model: how it is called, and how it is made. A node that is
// built again begins with a new one.
type Mind struct {
	// Spec names the model and its parameters, as a recording keeps it.
	Spec string
	// New makes it. random is a stream of the node's loop.
	New func(random *randv2.Rand) (model.Model, error)
}

// Limits of coming back. A node whose store fails again and again is better
// noticed than hidden behind restarts.
const (
	// maxFalls within fallWindow before the node gives up.
	maxFalls   = 5
	fallWindow = 10 * time.Minute
	// stopWithin is how long an orderly end may take in all.
	stopWithin = 10 * time.Second
	// drainWithin of it is for what waits for the disk, so that it is confirmed.
	drainWithin = time.Second
)

// frameSlack is how many times the frames that a validator takes of a session may
// come in before they are not even opened; see sock.Config.FrameRate.
const frameSlack = 5

// comeback is the pause before a node is built again.
var comeback = sched.Backoff{Base: time.Second, Cap: time.Minute}

// ErrGaveUp is the end of a node that fell too often.
var ErrGaveUp = errors.New("the node went down too often")

// ErrEnded is the error of an inspection of a node that does not run.
var ErrEnded = errors.New("the node does not run")

// Node is one running node. Its methods may be called from any goroutine.
type Node struct {
	o       Options
	role    role
	started time.Time
	hold    *Hold // its own, nil where the caller holds the store
	pulse   pulse

	stop     chan struct{} // closed by the first Stop
	stopOnce sync.Once
	done     chan struct{} // closed when nothing of the node is left
	err      error         // why it ended; read after done

	now   atomic.Pointer[incarnation] // nil while it is down
	looks chan struct{}               // holds one: an inspection is under way

	stopped string // why an earlier incarnation set no weights any more; keep's alone

	mu    sync.Mutex
	addr  net.Addr // of the axon, kept from one incarnation to the next
	falls int
	why   string // of the last fall
}

// role is what tells a validator from a miner.
type role struct {
	name   string
	hotkey chain.Hotkey
	model  string // a miner's
	config func(axon net.Addr) any
	build  func(l *sched.Loop, config any, p node.Ports, open func() *wire.Opener) (View, error)
}

// service is what both roles can do.
type service interface {
	Offer(wire.Event) bool
	Start()
	Stats() node.Stats
	Totals() []node.Totals
	Waiting() int
	Close() error
}

// View is what an inspection sees: the loop and one of the two.
type View struct {
	Loop      *sched.Loop
	Validator *node.Validator
	Miner     *node.Miner
}

func (v View) service() service {
	if v.Validator != nil {
		return v.Validator
	}
	return v.Miner
}

func (v View) state() *node.State {
	if v.Validator != nil {
		return &v.Validator.State
	}
	return &v.Miner.State
}

// StartValidator assembles a validator and lets it run. Where cfg.Axon has an
// address and no port, it takes the port that is listened on. An error means
// that nothing runs: store.ErrLocked where another process has the store.
func StartValidator(o Options, cfg node.ValidatorConfig) (*Node, error) {
	if o.Feed == nil {
		return nil, errors.New("live: a validator needs a feed")
	}
	// The sockets stop far above what the node itself refuses, which has an answer.
	o.Sock.FrameRate = cmp.Or(o.Sock.FrameRate, frameSlack*cfg.MessageRate)
	o.Sock.FrameBurst = cmp.Or(o.Sock.FrameBurst, frameSlack*cfg.MessageBurst)
	return start(o, validatorRole(cfg))
}

// StartMiner assembles a miner and lets it run. Its axon's port is taken as a
// validator's.
func StartMiner(o Options, cfg node.MinerConfig, m Mind) (*Node, error) {
	if m.New == nil {
		return nil, errors.New("live: a miner needs a model")
	}
	return start(o, minerRole(cfg, m))
}

func validatorRole(cfg node.ValidatorConfig) role {
	return role{name: "validator", hotkey: cfg.Hotkey,
		config: func(axon net.Addr) any {
			cfg := cfg
			cfg.Axon = bound(cfg.Axon, axon)
			return cfg
		},
		build: func(l *sched.Loop, config any, p node.Ports, open func() *wire.Opener) (View, error) {
			v, err := node.NewValidator(l, config.(node.ValidatorConfig), p, open)
			return View{Loop: l, Validator: v}, err
		}}
}

func minerRole(cfg node.MinerConfig, m Mind) role {
	return role{name: "miner", hotkey: cfg.Hotkey, model: m.Spec,
		config: func(axon net.Addr) any {
			cfg := cfg
			cfg.Axon = bound(cfg.Axon, axon)
			return cfg
		},
		build: func(l *sched.Loop, config any, p node.Ports, open func() *wire.Opener) (View, error) {
			thinker, err := m.New(l.Stream("model"))
			if err != nil {
				return View{}, fmt.Errorf("model %s: %w", m.Spec, err)
			}
			n, err := node.NewMiner(l, config.(node.MinerConfig), p, thinker, open)
			return View{Loop: l, Miner: n}, err
		}}
}

// bound is an announcement with the port that is listened at, where it has none.
func bound(a chain.Axon, at net.Addr) chain.Axon {
	if t, ok := at.(*net.TCPAddr); ok && a.IP != "" && a.Port == 0 {
		a.Port = uint16(t.Port)
	}
	return a
}

func start(o Options, r role) (*Node, error) {
	o.fill(r.name)
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &Node{o: o, role: r, started: time.Now(), stop: make(chan struct{}), done: make(chan struct{}), looks: make(chan struct{}, 1)}
	if o.Hold == nil {
		var err error
		if n.hold, err = Take(o.Store); err != nil {
			return nil, err
		}
	}
	in, err := n.assemble(0)
	if err != nil {
		return nil, errors.Join(err, n.release())
	}
	n.now.Store(in)
	go n.keep(in)
	return n, nil
}

// keep builds the node again when it falls, until it is stopped or gives up.
func (n *Node) keep(in *incarnation) {
	defer close(n.done)
	defer func() { n.err = errors.Join(n.err, n.release()) }()
	var falls []time.Time
	for number := 1; ; number++ {
		select {
		case <-n.stop:
			n.now.Store(nil)
			n.err = in.finish()
			return
		case why := <-in.fell:
			n.now.Store(nil)
			n.fell(why)
			if err := in.dismantle(); err != nil {
				n.err = fmt.Errorf("%w; and then: %w", why, err)
				return
			}
			if v := in.view.Validator; v != nil {
				n.stopped = v.Stopped()
			}
			in = nil
			n.pulse.forget()
			for attempt := 0; in == nil; attempt++ {
				now := time.Now()
				falls = append(slices.DeleteFunc(falls, func(t time.Time) bool { return now.Sub(t) > fallWindow }), now)
				if len(falls) > maxFalls {
					n.err = fmt.Errorf("%w: %d times in %v, last: %w", ErrGaveUp, len(falls), fallWindow, why)
					return
				}
				wait := comeback.Delay(len(falls)-1, sched.NewStream(n.o.Seed, "comeback", fmt.Sprint(number, attempt)))
				n.o.Log.Warn("node is built again", "in", wait, "falls", len(falls))
				pause := time.NewTimer(wait)
				select {
				case <-n.stop:
					pause.Stop()
					return // it was down in good order
				case <-pause.C:
				}
				built, err := n.assemble(number)
				if err == nil {
					in = built
					break
				}
				if lasting(err) {
					n.err = fmt.Errorf("build the node again: %w", err)
					return
				}
				why = err
				n.fell(err)
			}
			n.now.Store(in)
		}
	}
}

// release lets go of the store, where the node took hold of it itself.
func (n *Node) release() error {
	if n.hold == nil {
		return nil
	}
	return n.hold.Release()
}

// lasting errors do not pass by waiting.
func lasting(err error) bool {
	var lost store.ErrLostRows
	var newer store.ErrNewer
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNoTail) || errors.As(err, &lost) || errors.As(err, &newer)
}

func (n *Node) fell(why error) {
	n.o.Log.Error("node went down", "err", why, "code", "node_down", "fix", "nothing by hand where it is built again; else see the error", "runbook", node.AlarmStoreFailed.Runbook())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.falls++
	n.why = why.Error()
}

// Addr is where the axon listens; nil where it does not.
func (n *Node) Addr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// Done is closed when the node has ended by itself or was stopped.
func (n *Node) Done() <-chan struct{} { return n.done }

// Wait waits for the end and says why: nil after an orderly Stop.
func (n *Node) Wait() error {
	<-n.done
	return n.err
}

// Stop ends the node in good order: what waits for the disk is waited for and
// confirmed, sessions are hung up, the store is closed. It takes ten seconds at
// most, and no longer than ctx allows; what it leaves behind then a restart
// mends. It returns what Wait does, or ctx's error.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() { close(n.stop) })
	select {
	case <-n.done:
		return n.err
	case <-ctx.Done():
		return fmt.Errorf("stop the node: %w", ctx.Err())
	}
}

// Inspect runs f on the loop between two events and waits for it, as long as
// ctx allows: ctx's error says that f has perhaps not run yet and still may. f
// looks at the services' state and must not change it, and hands out what it
// saw by value.
func (n *Node) Inspect(ctx context.Context, f func(View)) error {
	select { // one at a time: a loop that stands must not gather goroutines
	case n.looks <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	in := n.now.Load()
	if in == nil {
		<-n.looks
		return ErrEnded
	}
	return in.ask(ctx, func() { f(in.view) }, func() { <-n.looks })
}

// Stats are a node's figures: its services', its loop's and its sockets'.
type Stats struct {
	Name    string
	Role    string
	Hotkey  chain.Hotkey
	Started time.Time // of the first incarnation, wall clock
	// Falls counts how often the node went down and was built again; Why is the
	// last time's reason.
	Falls int
	Why   string

	Loop Progress
	Node node.Stats
	// Totals are the counters since the store was made.
	Totals []node.Totals
	// UID is the hotkey's slot at the newest metagraph, where it is Registered.
	UID        chain.UID
	Registered bool
	// Block and BlockAt are the metagraph's, its own time by the chain's clock; 0
	// before there is one.
	Block     chain.Block
	BlockAt   time.Time
	Transport sock.Stats
	Recording *RecordingStats // nil where nothing is recorded
}

// Stats asks the loop for the figures.
func (n *Node) Stats(ctx context.Context) (Stats, error) {
	found := make(chan Stats, 1)
	in := n.now.Load()
	err := n.Inspect(ctx, func(v View) {
		s := Stats{Node: v.service().Stats(), Totals: v.service().Totals()}
		s.UID, s.Registered = v.state().UID(n.role.hotkey)
		if meta := v.state().Meta; meta != nil {
			s.Block, s.BlockAt = meta.Block, meta.At
		}
		if in != nil {
			s.Transport, s.Recording = in.transport.Stats(), in.recording.stats()
		}
		found <- s
	})
	if err != nil {
		return Stats{}, err
	}
	s := <-found
	s.Name, s.Role, s.Hotkey, s.Started, s.Loop = n.o.Name, n.role.name, n.role.hotkey, n.started, n.pulse.progress()
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Falls, s.Why = n.falls, n.why
	return s, nil
}
