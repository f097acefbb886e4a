package node

import (
	"fmt"
	"slices"
	"time"

	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"
)

const (
	// maxRebuilds of one service in a row, without peace in between, before the
	// node gives up: a service that always fails hides behind restarts.
	maxRebuilds = 8
	// peace after which a panic is a new one.
	peace = time.Hour
)

// held is a service with its hold on the loop.
type held struct {
	service
	trait trait
	scope *sched.Scope
	build func(*sched.Scope) service
	again *sched.Timer // when it will be built again

	panics uint64
	streak int       // panics in a row
	last   time.Time // panic
}

// guarded gives a service what a connection did.
func (h *held) guarded(e *wire.Event) {
	defer h.scope.Recover()
	h.scope.Enter()
	h.receive(e)
}

// told tells a service what is durable.
func (h *held) told(upTo store.Seq) {
	defer h.scope.Recover()
	h.scope.Enter()
	h.durable(upTo)
}

// figures asks a service for its own. A service whose state makes even that
// impossible is in no better state than one that cannot handle an event.
func (h *held) figures() (s ServiceStats) {
	s = ServiceStats{Name: h.name(), State: "rebuilding", Reason: "panicked"}
	defer h.scope.Recover()
	return h.Stats()
}

// begin lets a service start.
func (h *held) begin() {
	defer h.scope.Recover()
	h.start()
}

// trait is what a node must know of a service that it holds.
type trait uint8

const (
	// rebuildable services find their state again in State, in the store or with
	// their peers. The others hold the books.
	rebuildable trait = 1 << iota
	// accepts: what connections do that peers made goes there.
	accepts
	// dials: what connections do that the node dialled goes there.
	dials
)

// add builds a service and remembers how, so that it can be built again. A
// panic here is a mistake of the program and goes on.
func (c *core) add(name string, t trait, build func(*sched.Scope) service) {
	i := len(c.services)
	if t&accepts != 0 {
		c.acceptor = i
	}
	if t&dials != 0 {
		c.dialler = i
	}
	again := c.scope.Timer("rebuild-"+name, func() { c.rebuild(i) })
	scope := c.loop.Scope(name)
	c.services = append(c.services, held{service: build(scope), trait: t, scope: scope, build: build, again: again})
}

func (c *core) startAll(e NodeStarted) {
	for i := range c.services {
		c.services[i].begin()
	}
	c.started.Publish(e)
	c.bus.Drain()
}

// panicked decides about a service that panicked: its state is in doubt, so it
// is detached and, where its state can be had again, rebuilt with backoff while
// the others go on.
func (c *core) panicked(p sched.Panic) {
	name := p.Scope.Name()
	c.log.Error("service panicked", "service", name, "err", p.Value, "stack", p.Stack,
		"code", AlarmServiceFailed.String(), "fix", AlarmServiceFailed.Fix(), "runbook", AlarmServiceFailed.Runbook())
	c.loop.Trace("panic", name, fmt.Sprint(p.Value))
	i := slices.IndexFunc(c.services, func(s held) bool { return s.scope == p.Scope })
	if i < 0 || c.services[i].trait&rebuildable == 0 {
		if i >= 0 {
			c.services[i].panics++
		}
		c.down(fmt.Errorf("%s: %w: %v", name, errPanic, p.Value))
		return
	}
	h, now := &c.services[i], c.loop.Now()
	if h.panics++; now.Sub(h.last) >= peace {
		h.streak = 0
	}
	h.streak, h.last = h.streak+1, now
	c.alarms.Raise(AlarmServiceFailed, fmt.Sprintf("%s panicked: %v", name, p.Value), "service", name)
	h.service = detached{named: named(name), why: fmt.Sprintf("panicked: %v", p.Value)}
	h.scope.Close()
	if h.streak > maxRebuilds {
		c.down(fmt.Errorf("%s: %w %d times: %v", name, errPanic, h.streak, p.Value))
		return
	}
	if c.working() {
		h.again.ArmWall(c.rebuilds.Delay(h.streak-1, c.scope.Stream("rebuild")))
	}
}

// rebuild builds a service again. It may panic like any other part of it.
func (c *core) rebuild(i int) {
	if !c.working() {
		return
	}
	h := &c.services[i]
	h.scope = c.loop.Scope(h.name())
	defer h.scope.Recover()
	c.log.Info("service is built again", "service", h.name())
	c.loop.Trace("rebuild", h.name(), h.streak)
	h.service = h.build(h.scope)
	h.start()
	// Not reached where it panics again.
	if !slices.ContainsFunc(c.services, func(s held) bool { _, out := s.service.(detached); return out }) {
		c.alarms.Clear(AlarmServiceFailed, "service", h.name())
	}
}

// detachAll ends all services, those that depend on others first.
func (c *core) detachAll() {
	for i := len(c.services) - 1; i >= 0; i-- {
		c.services[i].scope.Close()
		c.services[i].again.Stop()
	}
}

// detached stands in for a service between its panic and its rebuild.
type detached struct {
	idle
	named
	why string
}

type named string

func (n named) name() string { return string(n) }

func (d detached) Stats() ServiceStats {
	return ServiceStats{Name: d.name(), State: "rebuilding", Reason: d.why}
}

var _ service = detached{}

// Waiting counts what has been taken in and is not yet done with: frames that
// the loop has not come to, and commits that the disk has not confirmed.
func (c *core) Waiting() int { return c.inbound.Waiting() + c.store.Pending() }

// Close ends the node in good order: statistics are kept, sessions are hung up,
// services let go, and the store closes when it has written what was committed,
// or after its own deadline. What was not confirmed by then is asked for again.
// Call it on the loop, before the loop is stopped; it waits for the disk.
func (c *core) Close() error {
	if c.working() {
		c.saveTotals(true)
		c.detachAll()
		c.closed = true
	}
	return c.store.Close()
}
