package sim

import (
	"fmt"
	"strings"
	"time"

	"bettensor/node/wire"
)

// Attacks on the machine: too much, too large, and not even messages.

// flooder says more than anybody may, for a while, again and again.
type flooder struct {
	deaf
	rate          int // frames each second
	length, every time.Duration
	began         time.Time
	sent          int
}

// floodStep is how finely a flood is spread over time.
const floodStep = 100 * time.Millisecond

func (a *flooder) act(p *peer) time.Duration {
	now := p.loop.Now()
	if a.began.IsZero() || now.Sub(a.began) >= a.every {
		a.began = now
	}
	into := now.Sub(a.began)
	if into >= a.length {
		return a.every - into
	}
	lines := p.ready()
	g, o, ok := p.pick()
	for range a.rate * int(floodStep) / int(time.Second) {
		if len(lines) == 0 {
			break
		}
		l := lines[0]
		switch a.sent++; {
		case a.sent%2 == 0 || !ok:
			p.send(l.conn, wire.AppendHeartbeat(nil, p.host.signer, p.loop.Wall(), p.nonce()))
		default:
			s := p.submission(p.id(), g, o, 1)
			p.submit(l, &s)
		}
	}
	return floodStep
}

// stormer opens connections and never says who it is.
type stormer struct {
	deaf
	rate  int // connections at a time
	every time.Duration
	open  map[wire.Conn]bool
}

// stormed bounds the connections that a stormer holds.
const stormed = 4096

func (a *stormer) act(p *peer) time.Duration {
	for _, l := range p.lines {
		for range a.rate {
			if len(a.open) < stormed {
				a.open[p.connect(l.to)] = true
			}
		}
	}
	return a.every
}

func (a *stormer) event(p *peer, e *wire.Event) bool {
	if !a.open[e.Conn] {
		return false
	}
	if e.Kind == wire.Closed {
		p.stats.Refused++
		delete(a.open, e.Conn)
	}
	return true
}

// oversizer says frames larger than the protocol takes, with a session and
// without.
type oversizer struct {
	deaf
	every time.Duration
	frame []byte
	extra map[wire.Conn]bool
}

func newOversizer(every time.Duration, size int) *oversizer {
	head := `{"data": {"prediction_id": "`
	return &oversizer{every: every, extra: map[wire.Conn]bool{}, frame: []byte(head + strings.Repeat("a", max(size-len(head)-3, 0)) + `"}}`)}
}

func (a *oversizer) act(p *peer) time.Duration {
	for _, l := range p.ready() {
		p.send(l.conn, a.frame)
		a.extra[p.connect(l.to)] = true
	}
	return a.every
}

func (a *oversizer) event(p *peer, e *wire.Event) bool {
	if !a.extra[e.Conn] {
		return false
	}
	switch e.Kind {
	case wire.Opened:
		p.send(e.Conn, a.frame)
	case wire.Closed:
		p.stats.Refused++
		delete(a.extra, e.Conn)
	}
	return true
}

// garbler says what is no message: random bytes, half a message, deep nesting,
// wrong encodings, numbers without end.
type garbler struct {
	deaf
	every time.Duration
	turn  int
	extra map[wire.Conn]bool
}

// act talks in its session, and now and then as the first on a new connection.
func (a *garbler) act(p *peer) time.Duration {
	for _, l := range p.ready() {
		p.send(l.conn, a.garbage(p))
		if p.rng.IntN(4) == 0 {
			a.extra[p.connect(l.to)] = true
		}
	}
	return a.every
}

func (a *garbler) event(p *peer, e *wire.Event) bool {
	if !a.extra[e.Conn] {
		return false
	}
	switch e.Kind {
	case wire.Opened:
		p.send(e.Conn, a.garbage(p))
	case wire.Closed:
		p.stats.Refused++
		delete(a.extra, e.Conn)
	}
	return true
}

// garbage is one frame of the kind whose turn it is.
func (a *garbler) garbage(p *peer) []byte {
	good := wire.AppendHeartbeat(nil, p.host.signer, p.loop.Wall(), p.nonce())
	if g, o, ok := p.pick(); ok {
		s := p.submission(p.id(), g, o, 1)
		good = wire.AppendPrediction(nil, p.host.signer, p.loop.Wall(), p.nonce(), &s)
	}
	switch a.turn++; a.turn % 10 {
	case 0: // random bytes
		b := make([]byte, 1+p.rng.IntN(2000))
		_, _ = wire.Random{Rand: p.rng}.Read(b)
		return b
	case 1: // half a message
		return good[:p.rng.IntN(len(good))]
	case 2: // deep nesting
		return []byte(strings.Repeat(`{"data": [`, 10000))
	case 3: // another encoding
		return append([]byte{0xff, 0xfe}, good...)
	case 4: // a number without end
		return []byte(`{"data": {"wager": 1` + strings.Repeat("0", 100000) + `}, "type": "prediction"}`)
	case 5: // a bit that is wrong
		b := append([]byte(nil), good...)
		b[p.rng.IntN(len(b))] ^= 1 << p.rng.IntN(8)
		return b
	case 6: // one member twice
		return []byte(`{"type": "heartbeat", ` + string(good[1:]))
	case 7: // nothing
		return nil
	case 8: // the shape of a message, of the wrong types
		return []byte(`{"data": "x", "nonce": -1, "sender": [1], "signature": true, "timestamp": null, "type": 1}`)
	}
	// More members than a message can have.
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `"k%d": null, `, i)
	}
	return []byte("{" + b.String() + string(good[1:]))
}
