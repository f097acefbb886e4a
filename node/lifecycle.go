package node

import (
	"fmt"
	"slices"

	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"
)

// maxRebuilds of one service in a row, without an hour of peace in between,
// before the node gives up: a service that always fails hides behind restarts.
const maxRebuilds = 8

// held is a service with its hold on the loop.
type held struct {
	service
	scope *sched.Scope
}

// guarded gives a service what a connection did.
func (h *held) guarded(e *wire.Event) {
	defer h.scope.Recover()
	h.receive(e)
}

// told tells a service what is durable.
func (h *held) told(upTo store.Seq) {
	defer h.scope.Recover()
	h.durable(upTo)
}

// add builds a service and remembers how, so that it can be built again.
func (c *core) add(name string, build func(*sched.Scope) service) {
	c.builders[name] = build
	if name == "communication" {
		c.talker = len(c.services)
	}
	c.services = append(c.services, c.build(name))
}

func (c *core) build(name string) held {
	s := c.loop.Scope(name)
	return held{c.builders[name](s), s}
}

func (c *core) startAll(e NodeStarted) {
	for _, s := range c.services {
		s.start()
	}
	c.started.Publish(e)
	c.bus.Drain()
}

// panicked decides about a service that panicked: its state is in doubt, so it
// is detached and, where its state can be had again, rebuilt with backoff while
// the others go on.
func (c *core) panicked(p sched.Panic) {
	name := p.Scope.Name()
	c.panics[name]++
	c.log.Error("service panicked", "service", name, "err", p.Value, "stack", p.Stack)
	c.loop.Trace("panic", name, fmt.Sprint(p.Value))
	i := slices.IndexFunc(c.services, func(s held) bool { return s.scope == p.Scope })
	if i < 0 || !rebuildable[name] {
		c.down(fmt.Errorf("%s: %w: %v", name, errPanic, p.Value))
		return
	}
	c.services[i].scope.Close()
	c.services[i].service = detached{named: named(name)}
	n := int(c.panics[name]) - 1
	if n >= maxRebuilds {
		c.down(fmt.Errorf("%s: %w %d times: %v", name, errPanic, n+1, p.Value))
		return
	}
	again := c.scope.Timer("rebuild-"+name, func() {
		if c.downErr == nil {
			c.services[i] = c.build(name)
			c.services[i].start()
		}
	})
	again.Arm(c.rebuilds.Delay(n, c.scope.Stream("rebuild")))
}

// rebuildable services find their state again in State, in the store or with
// their peers. The others hold the books.
var rebuildable = map[string]bool{"metagraph": true, "communication": true, "scoring": true, "weights": true, "status": true}

// detached stands in for a service between its panic and its rebuild.
type detached struct {
	idle
	named
}

type named string

func (n named) name() string { return string(n) }

func (d detached) Stats() ServiceStats {
	return ServiceStats{Name: d.name(), State: "rebuilding"}
}

var _ service = detached{}

// Close ends the node's work with the store and hangs up. Call it on the loop,
// before the loop is stopped.
func (c *core) Close(conns []wire.Conn) error {
	for _, conn := range conns {
		c.hangUp(conn, wire.CloseNormal, "shutting down")
	}
	for _, s := range c.services {
		s.scope.Close()
	}
	return c.store.Close()
}
