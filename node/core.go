package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bettensor/bus"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/pack"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/sched"
	"bettensor/store"
)

// Limits of what waits for a node. Each is a drop counted at the inbox, never
// a queue without end.
const (
	// inboundLimit of frames: a second of the load we hold.
	inboundLimit = 16384
	// commitLimit of reports of the store: one a group, and a failure.
	commitLimit = 4096
	// commitDeadline after which a commit's fate counts as unknown. An fsync that
	// takes half a minute is a dying disk.
	commitDeadline = 30 * time.Second
)

// kinds of effects in the loop's hash.
const (
	effectFrame = 1
	effectDial  = 2
	effectClose = 3
)

// core is what both roles stand on: a loop, a bus, a store, connections.
type core struct {
	loop    *sched.Loop
	scope   *sched.Scope // of the core itself: a panic in it stops the node
	bus     *bus.Bus
	store   *store.Store
	ports   Ports
	hotkey  chain.Hotkey
	nonces  wire.Nonces    // of frames; nonce makes the next
	calls   synapse.Nonces // of requests over HTTP; call makes the next
	log     *slog.Logger
	alarms  *Alarms
	timings timings
	inbound *sched.Inbox[wire.Event]
	topics
	watch    *sched.Timer // on a commit that is not answered
	services []held
	acceptor int       // which of them takes what connections do that peers made
	dialler  int       // and which those that the node dialled
	dialled  wire.Conn // connections dialled so far
	downErr  error
	closed   bool // in good order, by Close
	rebuilds sched.Backoff
	totals   totals

	nonceMark, callMark mark
}

// service is one part of a node. Its file holds its state, its handlers and
// its statistics.
type service interface {
	// name is the service's word in statistics.
	name() string
	// start is called on the loop once all services exist.
	start()
	// durable tells that all batches up to a number are on disk.
	durable(upTo store.Seq)
	// receive takes what a connection did; see the traits.
	receive(*wire.Event)
	// Stats are the service's figures.
	Stats() ServiceStats
}

// idle is a service that does not care.
type idle struct{}

func (idle) start()              {}
func (idle) durable(store.Seq)   {}
func (idle) receive(*wire.Event) {}

func newCore(l *sched.Loop, hotkey chain.Hotkey, p Ports, found ledger.Node, opener func() *wire.Opener) *core {
	c := &core{loop: l, ports: p, hotkey: hotkey, log: p.Log, totals: totals{before: found.Counters},
		rebuilds: sched.Backoff{Base: time.Second, Cap: time.Minute}}
	c.nonceMark = loadMark(found.Facts, ledger.FactNonce, time.Millisecond, frameReserve)
	c.callMark = loadMark(found.Facts, ledger.FactCall, 1, callReserve)
	c.nonces.Last, c.calls.Last = c.nonceMark.upTo, c.callMark.upTo
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.alarms = NewAlarms(l.Now, c.log)
	c.scope = l.Scope("core")
	c.bus = bus.New(l, 0)
	c.inbound = sched.NewInbox(c.scope, "frames", inboundLimit, eventCodec(opener), c.receive)
	reports := sched.NewInbox(c.scope, "commits", commitLimit, reportCodec, func(e *store.Event) { c.store.Deliver(*e) })
	c.store = store.New(p.Store.Committer(func(e store.Event) { reports.Offer(e) }), p.Store.At)
	c.watch = c.scope.Timer("commit-deadline", func() {
		if c.store.Pending() > 0 {
			c.storeFailed(fmt.Errorf("commit %d: no answer from the disk in %v: %w", c.store.Durable()+1, commitDeadline, store.ErrUnknown))
		}
	})
	l.AfterEvent(func() {
		if c.store.Pending() > 0 {
			c.timings.committed(c.store.Last(), c.loop.Now())
		}
		if c.store.Pending() > 0 && c.working() {
			if _, armed := c.watch.Armed(); !armed {
				c.watch.ArmWall(commitDeadline)
			}
		}
	})
	c.store.OnDurable(func(store.Seq) { c.watch.Stop() }) // armed again after this event, if more is pending
	c.store.OnDurable(func(upTo store.Seq) { c.timings.durable(upTo, c.loop.Now()) })
	c.store.OnDurable(func(upTo store.Seq) {
		if c.working() {
			for i := range c.services {
				c.services[i].told(upTo)
			}
		}
	})
	c.store.OnFailed(func(from store.Seq, err error) {
		c.storeFailed(fmt.Errorf("commit %d and what followed: %w", from, err))
	})
	l.OnPanic(c.panicked)
	l.OnTask(c.task)
	return c
}

// Offer hands over what a connection did. Safe from any goroutine; false means
// shed and counted.
func (c *core) Offer(e wire.Event) bool { return c.inbound.Offer(e) }

// Inbound is the inbox behind Offer; a simulated link delivers to it directly.
func (c *core) Inbound() *sched.Inbox[wire.Event] { return c.inbound }

func (c *core) receive(e *wire.Event) {
	if c.working() {
		to := c.acceptor
		if e.Conn&wire.Dialled != 0 {
			to = c.dialler
		}
		c.services[to].guarded(e)
	}
}

// working says whether the node still takes anything in.
func (c *core) working() bool { return c.downErr == nil && !c.closed }

// storeFailed stops the node because the store did.
func (c *core) storeFailed(err error) {
	if c.working() {
		c.alarms.Raise(AlarmStoreFailed, err.Error())
	}
	c.down(err)
}

// down stops the node: nothing final leaves it any more.
func (c *core) down(err error) {
	if !c.working() {
		return
	}
	c.downErr = err
	c.log.Error("node is down", "err", err, "code", "node_down", "fix", "nothing by hand where it is built again; else see the error", "runbook", AlarmStoreFailed.Runbook())
	c.detachAll()
	if c.ports.Down != nil {
		c.ports.Down(err)
	}
}

var errPanic = errors.New("a service panicked")

func (c *core) send(to wire.Conn, frame []byte) {
	c.loop.Effect(effectFrame, frame)
	c.ports.Net.Send(to, frame)
}

func (c *core) dial(address string) wire.Conn {
	c.dialled++
	conn := wire.Dialled | c.dialled
	c.loop.Effect(effectDial, []byte(address))
	c.ports.Net.Dial(conn, address)
	return conn
}

// prove tells the sockets that an inbound peer is who it says: it is no stranger
// any more.
func (c *core) prove(conn wire.Conn, h chain.Hotkey) {
	if g, ok := c.ports.Net.(wire.Gate); ok {
		g.Prove(conn, h)
	}
}

// admit tells the sockets whose HTTP requests are to be taken.
func (c *core) admit(hotkeys []chain.Hotkey) {
	if g, ok := c.ports.Net.(wire.Gate); ok {
		g.Admit(hotkeys)
	}
}

func (c *core) hangUp(conn wire.Conn, code int, reason string) {
	c.loop.Effect(effectClose, []byte(reason))
	c.ports.Net.Close(conn, code, reason)
}

func (c *core) task(e sched.TaskEvent) {
	if !e.Done {
		return
	}
	t := TaskEnded{Task: e.Task, Took: e.Took, Attempt: e.Attempt}
	if e.Err != nil {
		t.Err = e.Err.Error()
		c.taskFail.Publish(t)
		c.log.Warn("task failed", "task", e.Task, "err", e.Err, "attempt", e.Attempt, "retry_in", e.Retry)
		return
	}
	c.taskDone.Publish(t)
}

// eventCodec is the recorded form of what a transport says: reading it opens
// the frame anew, as the edge did.
func eventCodec(opener func() *wire.Opener) sched.Codec[wire.Event] {
	var o *wire.Opener
	return sched.Codec[wire.Event]{
		Append: func(dst []byte, e *wire.Event) []byte { return wire.AppendEvent(dst, e) },
		Hash:   (*wire.Event).Sum,
		Read: func(b []byte) (wire.Event, error) {
			if o == nil {
				o = opener()
			}
			return wire.ReadEvent(pack.NewReader(b), o)
		},
	}
}

var reportCodec = sched.Codec[store.Event]{
	Append: func(dst []byte, e *store.Event) []byte {
		dst = binary.AppendUvarint(dst, uint64(e.UpTo))
		dst = binary.AppendUvarint(dst, uint64(e.From))
		if e.Err != nil {
			dst = append(dst, e.Err.Error()...)
		}
		return dst
	},
	Read: func(b []byte) (e store.Event, err error) {
		upTo, n := binary.Uvarint(b)
		if n <= 0 {
			return e, errors.New("node: damaged report of the store")
		}
		from, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return e, errors.New("node: damaged report of the store")
		}
		e.UpTo, e.From = store.Seq(upTo), store.Seq(from)
		if text := b[n+m:]; len(text) > 0 {
			e.Err = errors.New(string(text))
		}
		return e, nil
	},
}
