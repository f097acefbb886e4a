package sock

import (
	"container/list"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// limiter counts inbound TCP connections from accept to close, so that what never
// becomes a WebSocket counts as well. Strangers, whom the node has not proved,
// have places of their own: however many there are, they take none from those
// who are proved, and the oldest of them makes room for the newest.
type limiter struct {
	cfg   *Config
	count *counters

	mu        sync.Mutex
	proved    int
	strangers list.List                // *admitted, oldest first
	returning list.List                // the same, of addresses that were proved lately
	addrs     map[netip.Addr]*tally    // only addresses with a connection
	rates     map[netip.Addr]pace      // of accepts, lately
	lately    map[netip.Addr]time.Time // when a peer of an address was last proved
}

type tally struct{ open, unproved int }

// Bounds of what is remembered of addresses that have no connection.
const (
	// maxRates bounds the addresses whose accepts are counted. Beyond it those that
	// keep to the rate are forgotten, and where none does, all: the worst that
	// comes of that is another burst for each.
	maxRates = 4096
	// maxLately bounds the addresses that are let in first: four times a subnet.
	maxLately = 1024
	// latelyFor is how long an address is one: a night's outage, and slack.
	latelyFor = 24 * time.Hour
)

func newLimiter(cfg *Config, count *counters) *limiter {
	return &limiter{cfg: cfg, count: count, addrs: map[netip.Addr]*tally{}, rates: map[netip.Addr]pace{}, lately: map[netip.Addr]time.Time{}}
}

// addressOf is what limits go by: an IPv4 address, or the 64 bits of an IPv6
// address that one customer of a provider has.
func addressOf(nc net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	return addr
}

// admit counts a connection, or says that there are too many of its address.
func (l *limiter) admit(nc net.Conn, now time.Time) (*admitted, bool) {
	a := &admitted{Conn: nc, limit: l, addr: addressOf(nc)}
	open, unproved, accepts := l.cfg.MaxPerAddress, l.cfg.MaxUnproved, allowance{l.cfg.AcceptRate, l.cfg.AcceptBurst}
	if a.addr.IsLoopback() {
		open, unproved = l.cfg.MaxLoopback, l.cfg.MaxLoopback
		accepts = allowance{max(l.cfg.AcceptRate, l.cfg.MaxLoopback/8), max(l.cfg.AcceptBurst, l.cfg.MaxLoopback)}
	}
	l.mu.Lock()
	n := l.addrs[a.addr]
	if n == nil {
		n = &tally{}
	}
	if n.open >= open || n.unproved >= unproved || !l.within(a.addr, accepts, now) {
		l.mu.Unlock()
		l.count.refused.Add(1)
		return nil, false
	}
	var victim *admitted
	in := &l.strangers
	if at, ok := l.lately[a.addr]; ok && now.Sub(at) < latelyFor {
		in = &l.returning
	}
	if l.strangers.Len()+l.returning.Len() >= l.cfg.MaxStrangers {
		if victim = l.oldest(&l.strangers); victim == nil && in == &l.returning {
			victim = l.oldest(in)
		}
		if victim == nil { // all places are those of addresses that come first
			l.mu.Unlock()
			l.count.refused.Add(1)
			return nil, false
		}
		victim.forget()
	}
	n.open++
	n.unproved++
	l.addrs[a.addr] = n
	a.list, a.place = in, in.PushBack(a)
	l.mu.Unlock()
	if victim != nil {
		l.count.evicted.Add(1)
		victim.Conn.Close()
	}
	return a, true
}

// oldest is who makes room: the oldest of an address that has others, or where
// none has, the oldest.
func (l *limiter) oldest(in *list.List) *admitted {
	for e := in.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*admitted); l.addrs[a.addr].unproved > 1 {
			return a
		}
	}
	if e := in.Front(); e != nil {
		return e.Value.(*admitted)
	}
	return nil
}

// within takes an accept out of what an address is allowed.
func (l *limiter) within(addr netip.Addr, accepts allowance, now time.Time) bool {
	p := l.rates[addr]
	if p.over(1, accepts, now) > 0 {
		return false // and what was refused is not counted against it
	}
	if _, known := l.rates[addr]; !known && len(l.rates) >= maxRates {
		for k, p := range l.rates { // order cannot matter: each is judged alone
			if !p.full.After(now) {
				delete(l.rates, k)
			}
		}
		if len(l.rates) >= maxRates {
			clear(l.rates)
		}
	}
	l.rates[addr] = p
	return true
}

// remember notes that a peer of an address was proved.
func (l *limiter) remember(addr netip.Addr, now time.Time) {
	if _, known := l.lately[addr]; !known && len(l.lately) >= maxLately {
		var first netip.Addr
		for k, at := range l.lately { // the oldest; of equals whichever
			if !first.IsValid() || at.Before(l.lately[first]) {
				first = k
			}
		}
		delete(l.lately, first)
	}
	l.lately[addr] = now
}

// admitted is an inbound connection that was counted.
type admitted struct {
	net.Conn
	limit  *limiter
	addr   netip.Addr
	list   *list.List    // these four guarded by limit.mu: where it waits for proof,
	place  *list.Element // nil once it has it
	proved bool
	closed bool
}

// prove marks the connection as one whose peer the node knows, or says that
// there is no place for another one.
func (a *admitted) prove(now time.Time) bool {
	l := a.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.proved || a.closed:
		return true
	case l.proved >= l.cfg.MaxInbound:
		return false
	}
	a.list.Remove(a.place)
	a.proved = true
	l.proved++
	l.addrs[a.addr].unproved--
	l.remember(a.addr, now)
	return true
}

// vouch keeps a connection that was found worth waiting for from making room for
// a stranger.
func (a *admitted) vouch() {
	l := a.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	if !a.proved && !a.closed && a.list == &l.strangers {
		a.list.Remove(a.place)
		a.list = &l.returning
		a.place = a.list.PushBack(a)
	}
}

// forget takes the connection out of all counts. The caller holds limit.mu.
func (a *admitted) forget() {
	if a.closed {
		return
	}
	a.closed = true
	n := a.limit.addrs[a.addr]
	if a.proved {
		a.limit.proved--
	} else {
		a.list.Remove(a.place)
		n.unproved--
	}
	if n.open--; n.open == 0 {
		delete(a.limit.addrs, a.addr)
	}
}

// Close closes the connection and forgets it.
func (a *admitted) Close() error {
	a.limit.mu.Lock()
	a.forget()
	a.limit.mu.Unlock()
	return a.Conn.Close()
}

// waiting is how many connections are not proved.
func (l *limiter) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strangers.Len() + l.returning.Len()
}

// allowance is a number of things a second in the long run, and of them at once
// after a silence.
type allowance struct{ perSecond, burst int }

// pace is what of an allowance is used, as the instant at which all of it is
// there again. The zero value is unused.
type pace struct{ full time.Time }

// over uses cost of an allowance and returns how far beyond it that goes, as the
// time until it is made good; 0 is within.
func (p *pace) over(cost int, a allowance, now time.Time) time.Duration {
	every := time.Second / time.Duration(a.perSecond)
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(time.Duration(cost) * every)
	return max(0, p.full.Sub(now)-time.Duration(a.burst)*every)
}

// admittedKey finds the admitted connection of a request.
type admittedKey struct{}

// withAdmitted notes the admitted connection below a connection of the server's.
func withAdmitted(ctx context.Context, c net.Conn) context.Context {
	if s, ok := c.(*tls.Conn); ok {
		c = s.NetConn()
	}
	return context.WithValue(ctx, admittedKey{}, c)
}

func admittedOf(r *http.Request) *admitted {
	a, _ := r.Context().Value(admittedKey{}).(*admitted)
	return a
}

// listener admits what it accepts, and closes the rest at once.
type listener struct {
	net.Listener
	limit *limiter
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if a, ok := l.limit.admit(nc, time.Now()); ok {
			return a, nil
		}
		nc.Close()
	}
}

// silent swallows net/http's line for every bad request: they are counted, and
// a hostile peer must not fill a log.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
