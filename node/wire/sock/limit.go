package sock

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// limiter counts inbound TCP connections, in all and by address, from accept
// to close, so that what never becomes a WebSocket counts as well.
type limiter struct {
	cfg     *Config
	refused *atomic.Uint64

	mu    sync.Mutex
	total int
	addrs map[netip.Addr]*tally // only addresses with a connection
}

type tally struct{ open, unproved int }

// admit counts a connection, or says that there are too many.
func (l *limiter) admit(nc net.Conn) (*admitted, bool) {
	var addr netip.Addr
	if ap, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		addr = ap.Addr().Unmap()
	}
	open, unproved := l.cfg.MaxPerAddress, l.cfg.MaxUnproved
	if addr.IsLoopback() {
		open, unproved = l.cfg.MaxLoopback, l.cfg.MaxLoopback
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.addrs[addr]
	if n == nil {
		n = &tally{}
	}
	if l.total >= l.cfg.MaxInbound || n.open >= open || n.unproved >= unproved {
		l.refused.Add(1)
		return nil, false
	}
	l.total++
	n.open++
	n.unproved++
	l.addrs[addr] = n
	return &admitted{Conn: nc, limit: l, addr: addr}, true
}

// admitted is an inbound connection that was counted.
type admitted struct {
	net.Conn
	limit  *limiter
	addr   netip.Addr
	proved bool // these two guarded by limit.mu
	closed bool
}

// prove marks the connection as answered by the node.
func (a *admitted) prove() {
	a.limit.mu.Lock()
	defer a.limit.mu.Unlock()
	if !a.proved && !a.closed {
		a.proved = true
		a.limit.addrs[a.addr].unproved--
	}
}

// Close closes the connection and forgets it.
func (a *admitted) Close() error {
	a.limit.mu.Lock()
	if !a.closed {
		a.closed = true
		n := a.limit.addrs[a.addr]
		a.limit.total--
		if !a.proved {
			n.unproved--
		}
		if n.open--; n.open == 0 {
			delete(a.limit.addrs, a.addr)
		}
	}
	a.limit.mu.Unlock()
	return a.Conn.Close()
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
		if a, ok := l.limit.admit(nc); ok {
			return a, nil
		}
		nc.Close()
	}
}

// silent swallows net/http's line for every bad request: they are counted, and
// a hostile peer must not fill a log.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
