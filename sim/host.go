package sim

import (
	"fmt"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/sched"
)

// Host is a machine with a node on it. The disk outlives the node; the node
// can be killed and built again.
type Host struct {
	Name      string
	Kind      string // validator, or the kind of miner
	Hotkey    chain.Hotkey
	Loop      *sched.Loop     // of the running node; nil while down
	Validator *node.Validator // one of the two, nil while down and on a hostile host
	Miner     *node.Miner

	// Restarts counts how often the node was built after the first time.
	Restarts int
	// Downs says why the node went down by itself, each time.
	Downs []string
	fell  time.Time     // when it last went down by itself, or did not open
	wait  time.Duration // until it is started again after that
	// Unopened counts how often its store did not open (Config.FileSystem).
	Unopened int

	world       *World
	validator   *ValidatorSpec
	miner       *MinerSpec
	peer        *peer  // a hostile miner in the node's place, nil while down
	rogue       *rogue // a hostile validator in the node's place, nil while down
	sent        PeerStats
	callers     map[*Host]*caller // those who have dialled it
	strangers   strangers
	signer      wire.Signer
	address     string
	disk        *disk
	incarnation int
	counts      [ports]uint64      // requests so far
	ends        map[wire.Conn]*end // of its connections
	down        int                // crashes by faults that are not over: start does nothing
	active      []*active
	lens        lens    // of its feed
	reader      through // where a fault makes it a slow reader
}

func (w *World) addHost(name, kind string) (*Host, error) {
	if w.Host(name) != nil {
		return nil, fmt.Errorf("two nodes are called %q", name)
	}
	s, err := w.signer(name)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", name, err)
	}
	h := &Host{Name: name, Kind: kind, Hotkey: s.Hotkey(), world: w, signer: s, ends: map[wire.Conn]*end{}}
	h.disk = newDisk(h, kind == "validator")
	w.Hosts = append(w.Hosts, h)
	w.names[name] = h
	return h, nil
}

// moveTo gives a host its address.
func (h *Host) moveTo(address string) {
	h.address = address
	if h.world.places[address] == nil {
		h.world.places[address] = h
	}
}

// IsValidator tells the roles apart.
func (h *Host) IsValidator() bool { return h.validator != nil }

// Up says whether the node runs.
func (h *Host) Up() bool { return h.Loop != nil }

// start builds the node from what its disk holds and lets it begin.
func (h *Host) start() {
	if h.Up() || h.down > 0 {
		return
	}
	if a := h.suffers("store.read_only"); a != nil {
		a.bit(1)
		h.world.trace("host", "store_unopened", map[string]any{"node": h.Name, "err": failed(a).Error()})
		return // the end of the window starts it
	}
	w := h.world
	if h.hostile() {
		h.startHostile()
		return
	}
	storage, err := h.disk.open()
	if err != nil {
		if !h.disk.mayFail() {
			panic(fmt.Sprintf("sim: %s cannot open its store: %v", h.Name, err))
		}
		h.Unopened++
		w.trace("host", "store_unopened", map[string]any{"node": h.Name, "err": err.Error()})
		h.disk.engine = nil
		w.Sched.After(h.restartAfter(), sched.Func(h.start))
		return
	}
	if h.incarnation > 0 && h.IsValidator() && w.OnOpened != nil {
		w.OnOpened(h)
	}
	l := h.newLoop()
	ports := node.Ports{Chain: h.chainBackend(), Feed: h.feedBackend(), Net: &transport{w.net, h}, Signer: h.signer,
		Store: storage, Down: func(err error) { h.wentDown(l, err) }}
	if w.OnPorts != nil {
		w.OnPorts(h, &ports)
	}
	if h.validator != nil {
		h.Validator, err = node.NewValidator(l, h.validator.Node, ports, w.newOpener)
	} else {
		m, merr := h.miner.Model()
		if merr != nil {
			panic(fmt.Sprintf("sim: model of %s: %v", h.Name, merr))
		}
		h.Miner, err = node.NewMiner(l, h.miner.Node, ports, m, w.newOpener)
	}
	storage.Snapshot.Close()
	if err != nil {
		panic(fmt.Sprintf("sim: %s cannot load its store: %v", h.Name, err))
	}
	h.Loop = l
	if w.OnBuild != nil {
		w.OnBuild(h)
	}
	w.trace("host", "started", map[string]any{"node": h.Name, "incarnation": h.incarnation})
	if h.Validator != nil {
		h.Validator.Start()
	} else {
		h.Miner.Start()
	}
}

// newLoop makes the loop of the node's next incarnation.
func (h *Host) newLoop() *sched.Loop {
	w := h.world
	l := w.Sched.NewLoop(h.Name, h.incarnation)
	if h.incarnation > 0 {
		h.Restarts++
	}
	h.incarnation++
	l.SetTracer(w.tracer)
	h.Loop = l
	h.hook()
	if ahead, gain := h.clock(); ahead != 0 || gain != 0 {
		w.Sched.SetClock(l, ahead, gain)
	}
	if a := h.suffers("process.pause"); a != nil {
		a.hold()
	}
	return l
}

// hostile says whether something else than a node runs on the host.
func (h *Host) hostile() bool {
	if h.validator != nil {
		return h.validator.Rogue.Kind != ""
	}
	return h.miner.Model == nil
}

// startHostile lets a raw peer or a rogue begin.
func (h *Host) startHostile() {
	l := h.newLoop()
	h.Loop = l
	if h.validator != nil {
		h.rogue = newRogue(h, l)
	} else {
		a, err := newAttack(h.Kind, h.miner.Params)
		if err != nil {
			panic(fmt.Sprintf("sim: %s: %v", h.Name, err)) // NewWorld has made one before
		}
		h.peer = newPeer(h, l, a)
		if a, ok := a.(eavesdropper); ok {
			h.world.net.listen(h, a)
		}
	}
	h.world.trace("host", "started", map[string]any{"node": h.Name, "incarnation": h.incarnation})
	if h.rogue != nil {
		h.rogue.start()
	} else {
		h.peer.start()
	}
}

// inbox is where frames for the running node go.
func (h *Host) inbox() *sched.Inbox[wire.Event] {
	switch {
	case h.peer != nil:
		return h.peer.in
	case h.Validator != nil:
		return h.Validator.Inbound()
	case h.Miner != nil:
		return h.Miner.Inbound()
	}
	return nil
}

// Unsynced is how many batches of the node are under way to the disk.
func (h *Host) Unsynced() int { return h.disk.unsynced() }

// Crash kills the node between two events. Of the batches under way to the
// disk the first keep turn out to have reached it; the rest is lost.
func (h *Host) Crash(keep int) {
	if !h.Up() {
		return
	}
	w := h.world
	w.trace("host", "crashed", map[string]any{"node": h.Name, "unsynced": h.Unsynced(), "kept": keep})
	if s, ok := h.Stats(); ok && w.OnRetire != nil {
		w.OnRetire(h, s)
	}
	if h.Unsynced() > keep {
		w.reach("restart_with_unsynced_loss")
	}
	w.Sched.Kill(h.Loop)
	h.disk.crash(keep)
	w.net.reset(h)
	h.Loop, h.Validator, h.Miner, h.peer, h.rogue = nil, nil, nil, nil, nil
}

// CrashFor kills the node and starts it again after a while.
func (h *Host) CrashFor(keep int, d time.Duration) {
	h.Crash(keep)
	h.world.Sched.After(d, sched.Func(h.start))
}

// wentDown is the node's own word that it cannot go on.
func (h *Host) wentDown(l *sched.Loop, err error) {
	h.Downs = append(h.Downs, err.Error())
	h.world.reach("gave_up")
	h.world.trace("host", "down", map[string]any{"node": h.Name, "err": err.Error()})
	// Not inside its own handler: the loop ends with this event.
	h.world.Sched.After(0, sched.Func(func() {
		if h.Loop == l {
			h.CrashFor(0, h.restartAfter())
		}
	}))
}

const (
	// longestRestart is the longest wait of a supervisor before it starts a node
	// again that keeps going down.
	longestRestart = time.Minute
	// restartPeace is how long a node must have been well for the next wait to be the
	// shortest again.
	restartPeace = 10 * time.Minute
)

// restartAfter is how long the supervisor waits now that the node went down by
// itself: twice as long as the last time, where that was not long ago.
func (h *Host) restartAfter() time.Duration {
	now, first := h.world.now(), h.world.cfg.RestartAfter
	if h.fell.IsZero() || now.Sub(h.fell) > restartPeace {
		h.wait = first
	} else {
		h.wait = max(min(2*h.wait, longestRestart), first)
	}
	h.fell = now
	return h.wait
}

// Stats of the running node.
func (h *Host) Stats() (node.Stats, bool) {
	switch {
	case h.Validator != nil:
		return h.Validator.Stats(), true
	case h.Miner != nil:
		return h.Miner.Stats(), true
	}
	return node.Stats{}, false
}
