package sim

import (
	"bytes"
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bettensor/node/wire"
	"bettensor/sched"
)

// Network is how frames travel. It is a scenario's network section.
type Network struct {
	// Latency one way. Default 20 ms: neighbours on one continent.
	Latency time.Duration
	// Jitter adds up to this much to each frame, uniformly. Order per direction
	// of a connection is kept, as a stream keeps it. Default 0.
	Jitter time.Duration
	// Loss is the share of packets that are lost. Connections are streams: what is
	// lost is sent again after Retransmit, twice that the second time and so on,
	// and what was sent behind it waits. A packet lost maxRetransmits times breaks
	// the connection.
	Loss float64
	// Retransmit is the first delay before a lost packet is sent again. Default
	// 200 ms, the least that Linux waits.
	Retransmit time.Duration
	// Duplication is the share of frames that arrive twice. A stream does not do
	// that; a replaying attacker does.
	Duplication float64
	// Reordering is the share of frames that arrive later by up to two latencies,
	// so that later ones overtake them. A stream does not do that either; a peer
	// with several threads of its own does.
	Reordering float64
	// Bandwidth of each direction of a connection in bytes per second: a frame
	// leaves when those before it have left. 0 is without limit.
	Bandwidth int64
}

// stalledFrames is what a send buffer holds while nothing passes.
const stalledFrames = 1024

// sendBuffer is how many bytes wait for a narrow link before the sender gives its
// peer up: what a kernel takes, a sixteenth of what the live edge queues.
const sendBuffer = 256 << 10

// maxRetransmits breaks a connection, as a kernel gives up on a peer.
const maxRetransmits = 8

func (n *Network) fill() {
	orDefault(&n.Latency, 20*time.Millisecond)
	orDefault(&n.Retransmit, 200*time.Millisecond)
}

// network carries frames between hosts.
type network struct {
	w      *World
	next   wire.Conn
	rngs   map[[2]*Host]*rand.Rand // by direction: no link's draws shift another's
	opener *wire.Opener
	ears   []ear

	// ev holds the last frame opened: a broadcast is opened once for all who get
	// it. It is copied into each receiver's inbox.
	ev wire.Event
}

// end is one side of a connection.
type end struct {
	id          wire.Conn
	host        *Host
	incarnation int
	peer        *end
	open        bool
	arrives     time.Time // of the last frame sent from here: order is kept
	stalled     [][]byte  // held up by a partition
	rng         *rand.Rand
	lane        uint64  // of what arrives here: a stream keeps its order
	proved      bool    // inbound, of a peer that has authenticated
	line        through // where bandwidth is limited
	gone        bool    // half open: nothing passes, and nobody is told
}

func newNetwork(w *World) *network {
	return &network{w: w, rngs: map[[2]*Host]*rand.Rand{}, opener: w.newOpener()}
}

// ear is a host that hears all frames.
type ear struct {
	host *Host
	eavesdropper
}

// listen lets an attack hear all frames, in the place of what the host's last
// incarnation ran.
func (n *network) listen(h *Host, a eavesdropper) {
	n.ears = append(slices.DeleteFunc(n.ears, func(e ear) bool { return e.host == h }), ear{h, a})
}

// transport is a host's view of the network.
type transport struct {
	net  *network
	host *Host
}

var _ wire.Transport = (*transport)(nil)

// newEnd makes a host's side of a connection with a peer.
func (n *network) newEnd(id wire.Conn, h, peer *Host) *end {
	key := [2]*Host{h, peer}
	rng := n.rngs[key]
	name := "nobody"
	if peer != nil {
		name = peer.Name
	}
	if rng == nil {
		rng = sched.NewStream(n.w.cfg.Seed, "network", h.Name, name)
		n.rngs[key] = rng
	}
	e := &end{id: id, host: h, incarnation: h.incarnation, rng: rng, lane: sched.Lane("network", name, h.Name)}
	h.ends[id] = e
	return e
}

func (e *end) alive() bool { return e.host.Up() && e.host.incarnation == e.incarnation }

// delay is how long something from this end is under way.
func (n *network) delay(e *end) time.Duration {
	d := n.w.cfg.Network.Latency
	if j := n.w.cfg.Network.Jitter; j > 0 {
		d += time.Duration(e.rng.Int64N(int64(j) + 1))
	}
	return d
}

// leaving is how long a frame waits for those before it, and takes to leave. It is
// false where the sender holds too many back already.
func (n *network) leaving(from, to *end, size int) (time.Duration, bool) {
	b, reader := n.w.cfg.Network.Bandwidth, int64(0)
	if len(from.host.active)+len(to.host.active) > 0 {
		if x, by := narrowest("network.bandwidth", from.host, to.host); x > 0 && (b <= 0 || x < b) {
			b = x
			by.bit(1)
		}
		var by *active
		if reader, by = narrowest("network.slow_reader", to.host); reader > 0 {
			by.bit(1)
		}
	}
	var left, read time.Duration
	fits := true
	if b > 0 {
		left, fits = from.line.take(size, b, n.w.now())
	}
	if reader > 0 && fits {
		read, fits = to.host.reader.take(size, reader, n.w.now().Add(left))
	}
	return left + read, fits
}

// separated says whether what a sends cannot reach b.
func (n *network) separated(a, b *Host) bool { return n.parting(a, b) != nil }

// parting is the partition for which what a sends cannot reach b, nil for none.
func (n *network) parting(a, b *Host) *active {
	if by := a.partitioned("out", b); by != nil {
		return by
	}
	return b.partitioned("in", a)
}

// tell gives an event to an end's node after a delay.
func (n *network) tell(to *end, after time.Duration, ev *wire.Event) {
	at := n.w.now().Add(after)
	if p := to.peer; p != nil {
		if at.Before(p.arrives) {
			at = p.arrives
		}
		p.arrives = at
	}
	n.arrive(to, at, ev)
}

// overtaken gives an event to an end's node after a delay, whatever comes before.
func (n *network) overtaken(to *end, after time.Duration, ev *wire.Event) {
	n.arrive(to, n.w.now().Add(after), ev)
}

func (n *network) arrive(to *end, at time.Time, ev *wire.Event) {
	if in := to.host.inbox(); in != nil && to.alive() {
		ev.Conn = to.id
		sched.DeliverOn(n.w.Sched, in, to.lane, at, ev)
	}
}

// Dial connects to whoever listens at an address. An HTTP exchange is a
// connection like any other: a stream, over which one frame goes each way.
func (t *transport) Dial(id wire.Conn, address string) {
	n := t.net
	where := address
	if _, host, ok := strings.Cut(address, "://"); ok {
		where = host
	}
	to := n.w.places[where]
	a := n.newEnd(id, t.host, to)
	there := n.delay(a)
	n.w.Sched.After(there, sched.Func(func() {
		if !a.alive() {
			return
		}
		if to != nil {
			if by := cmp.Or(n.parting(t.host, to), n.parting(to, t.host)); by != nil {
				by.bit(1)
				return // nothing comes back: the dialler gives up by itself
			}
		}
		if to == nil || !to.Up() || n.refusing(t.host) || n.refusing(to) || !n.lets(to, t.host) {
			delete(t.host.ends, a.id)
			n.tell(a, n.delay(a), &wire.Event{Kind: wire.Closed, Raw: []byte("connection refused")})
			return
		}
		n.next++
		b := n.newEnd(n.next, to, t.host)
		a.peer, b.peer, a.open, b.open = b, a, true, true
		to.enter(b)
		n.tell(b, 0, &wire.Event{Kind: wire.Opened, Inbound: true, Remote: t.host.address})
		n.tell(a, n.delay(b), &wire.Event{Kind: wire.Opened, Remote: address})
	}))
}

// Send puts a frame on its way.
func (t *transport) Send(c wire.Conn, frame []byte) {
	n := t.net
	from := t.host.ends[c]
	if from == nil || !from.open {
		return // its Closed is on the way
	}
	n.send(from, frame)
}

func (n *network) send(from *end, frame []byte) {
	to := from.peer
	if from.gone {
		return
	}
	if by := n.parting(from.host, to.host); by != nil {
		by.bit(1)
		// A stream keeps what it could not deliver, up to the kernel's buffer.
		if len(from.stalled) < stalledFrames {
			from.stalled = append(from.stalled, frame)
		} else {
			n.breakEnd(from, n.delay(from), "send buffer full")
		}
		return
	}
	if !to.open { // closed while nothing could pass
		n.breakEnd(from, n.delay(from), "connection reset")
		return
	}
	fate, _ := n.w.fate(from.host, PortFrame)
	left, fits := n.leaving(from, to, len(frame))
	if !fits {
		n.breakEnd(from, n.delay(from), "send buffer full")
		return
	}
	delay := n.delay(from) + left
	faulty := len(from.host.active)+len(to.host.active) > 0
	if faulty {
		delay += from.host.faultDelay("network.delay") + to.host.faultDelay("network.delay")
	}
	loss := n.w.cfg.Network.Loss
	if faulty {
		if a := struck(from.host, to.host, "network.truncation"); a != nil {
			n.breakEnd(from, delay, a.injected("connection reset in the middle of a frame").Error())
			return
		}
		loss = 1 - (1-loss)*(1-from.host.faultLoss())*(1-to.host.faultLoss())
	}
	if loss > 0 {
		for again := 0; from.rng.Float64() < loss; again++ {
			if again == 0 && faulty {
				from.host.lost()
				to.host.lost()
			}
			if again == maxRetransmits {
				fate = Lost
				break
			}
			delay += n.w.cfg.Network.Retransmit << again
		}
	}
	if fate == Lost || fate == AppliedLost || fate == Failed || fate == AppliedFailed {
		// A frame is only lost with its connection.
		n.breakEnd(from, n.delay(from), "connection reset")
		return
	}
	if n.w.Mutate != nil {
		frame = n.w.Mutate(from.host, to.host, frame)
	}
	ev := n.open(frame)
	if n.w.OnFrame != nil {
		n.w.OnFrame(from.host, to.host, ev)
	}
	for _, e := range n.ears {
		e.overheard(from.host, to.host, ev)
	}
	var late *active
	doubled := fate == Doubled
	if faulty {
		if f := corrupted(from.host, to.host, frame); !bytes.Equal(f, frame) {
			ev = n.open(f)
		}
		late = struck(from.host, to.host, "network.reordering")
		doubled = struck(from.host, to.host, "network.duplication") != nil || doubled
	}
	n.deliver(from, delay, ev, late)
	if d := n.w.cfg.Network.Duplication; doubled || d > 0 && from.rng.Float64() < d {
		n.tell(to, n.delay(from), ev)
	}
}

// deliver brings a frame to the other end: in its order, or so late that others
// overtake it.
func (n *network) deliver(from *end, delay time.Duration, ev *wire.Event, late *active) {
	switch r := n.w.cfg.Network.Reordering; {
	case r > 0 && from.rng.Float64() < r:
		n.overtaken(from.peer, delay+time.Duration(from.rng.Int64N(int64(2*n.w.cfg.Network.Latency)+1)), ev)
	case late != nil:
		n.overtaken(from.peer, delay+late.delay(), ev)
	default:
		n.tell(from.peer, delay, ev)
	}
}

// heal sends on, over a host's connections, what a partition has held up.
func (n *network) heal(h *Host) {
	for _, id := range h.conns() {
		e := h.ends[id]
		if e == nil || e.peer == nil {
			continue
		}
		for _, side := range []*end{e, e.peer} {
			if n.separated(side.host, side.peer.host) {
				continue
			}
			frames := side.stalled
			side.stalled = nil
			for _, f := range frames {
				if side.open {
					n.send(side, f)
				}
			}
		}
	}
}

// open does at the edge what the live edge does: it is pure, so it may as well
// be done when the frame leaves.
func (n *network) open(frame []byte) *wire.Event {
	if len(frame) == 0 || len(n.ev.Raw) != len(frame) || &n.ev.Raw[0] != &frame[0] {
		n.ev.Message, n.ev.Err = n.opener.Open(frame)
		n.ev.Kind, n.ev.Raw = wire.Received, frame
	}
	return &n.ev
}

// Close ends a connection from this side.
func (t *transport) Close(c wire.Conn, _ int, reason string) {
	n := t.net
	e := t.host.ends[c]
	if e == nil {
		return
	}
	e.shut()
	n.tell(e, 0, &wire.Event{Kind: wire.Closed, Raw: []byte(reason)})
	if p := e.peer; p != nil && p.open && !e.gone && !n.separated(t.host, p.host) {
		p.shut()
		n.tell(p, n.delay(e), &wire.Event{Kind: wire.Closed, Raw: []byte(reason)})
	}
}

// reset breaks all connections of a host whose node died: the peers see it
// after a delay, the dead node sees nothing.
func (n *network) reset(h *Host) { n.breakAll(h, "connection reset") }

// breakAll returns how many of the connections stood.
func (n *network) breakAll(h *Host, reason string) (broken int) {
	for _, id := range h.conns() {
		if e := h.ends[id]; e != nil {
			if e.open {
				broken++
			}
			n.breakEnd(e, 0, reason)
		}
	}
	return broken
}

// conns lists a host's connections in order.
func (h *Host) conns() []wire.Conn {
	return slices.Sorted(maps.Keys(h.ends))
}

// breakEnd ends a connection that nobody closed: this side sees it after a
// delay, the other one a way later.
func (n *network) breakEnd(e *end, after time.Duration, reason string) {
	if !e.open {
		delete(e.host.ends, e.id)
		return
	}
	e.shut()
	n.tell(e, after, &wire.Event{Kind: wire.Closed, Raw: []byte(reason)})
	if p := e.peer; p.open && !e.gone && !n.separated(e.host, p.host) {
		p.shut()
		n.tell(p, after+n.delay(e), &wire.Event{Kind: wire.Closed, Raw: []byte(reason)})
	}
}
