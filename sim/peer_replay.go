package sim

import (
	"time"

	"bettensor/node/wire"
)

// replayer says again what was said: its own frames and those of others, at
// once and days later, in its own session and over connections that it begins
// with another's authentication.
type replayer struct {
	deaf
	every time.Duration
	turn  int
	first []capture // the first it caught, for as long as it runs
	last  []capture // the newest, oldest first
	extra map[wire.Conn][]capture
}

// capture is a frame to a validator that was caught under way.
type capture struct {
	from, to *Host
	auth     bool
	frame    []byte
}

// What a replayer keeps: enough of a day for the first, of an hour for the last.
const (
	firstCaptures = 32
	lastCaptures  = 64
)

func (a *replayer) overheard(from, to *Host, e *wire.Event) {
	if e.Err != nil || !to.IsValidator() || e.Message.Kind != wire.Auth && e.Message.Kind != wire.Prediction {
		return
	}
	c := capture{from, to, e.Message.Kind == wire.Auth, e.Raw}
	if len(a.first) < firstCaptures {
		a.first = append(a.first, c)
	}
	if len(a.last) == lastCaptures {
		a.last = a.last[1:]
	}
	a.last = append(a.last, c)
}

func (a *replayer) act(p *peer) time.Duration {
	from := a.last
	if a.turn++; a.turn%2 == 0 {
		from = a.first
	}
	if len(from) == 0 {
		return a.every
	}
	c := from[p.rng.IntN(len(from))]
	// Again in its own session: its own frames, and others'.
	for _, l := range p.ready() {
		if l.to == c.to || !c.auth {
			p.send(l.conn, c.frame)
		}
	}
	// Over a connection of its own, behind the authentication that it caught, to
	// whom it was meant for and to the others.
	for _, l := range p.lines {
		if script := a.script(c, l.to); len(script) > 0 && len(a.extra) < lastCaptures {
			a.extra[p.connect(l.to)] = script
		}
	}
	return a.every
}

// script is an authentication of a capture's sender and what else was caught of
// it.
func (a *replayer) script(c capture, to *Host) (out []capture) {
	for _, auth := range [...]bool{true, false} {
		for _, x := range a.last {
			if x.from == c.from && x.auth == auth && (x.to == to || c.to != to) {
				out = append(out, x)
			}
		}
	}
	if len(out) == 0 || !out[0].auth {
		return nil
	}
	return out
}

func (a *replayer) event(p *peer, e *wire.Event) bool {
	script, ok := a.extra[e.Conn]
	if !ok {
		return false
	}
	switch e.Kind {
	case wire.Opened:
		for _, c := range script {
			p.send(e.Conn, c.frame)
		}
	case wire.Closed:
		p.stats.Refused++
		delete(a.extra, e.Conn)
	case wire.Received:
		if e.Err == nil && e.Message.Kind == wire.Welcome {
			p.stats.Sessions++ // it must never come to this
		}
	}
	return true
}
