package localnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Limits of a relay.
const (
	// relayDial bounds the way to the axon, which is on this machine.
	relayDial = 5 * time.Second
	// relayMost connections at once: as many as an axon takes.
	relayMost = 512
)

// relay stands before one axon and passes bytes on, so that connections can be
// cut as a bad line cuts them: in the middle of whatever is under way, and
// without a word. It comes to the axon from the address from which it was
// reached, so that limits by address count as they would without it.
type relay struct {
	ln   net.Listener
	wg   sync.WaitGroup
	ctx  context.Context
	quit context.CancelFunc

	mu     sync.Mutex // guards what follows
	target string     // "" until the axon is there; who comes before it is turned away
	next   uint64
	open   map[uint64][2]net.Conn
}

// newRelay listens on a port of its own. It passes nobody on before aim.
func newRelay(ctx context.Context) (*relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a relay before an axon: %w", err)
	}
	r := &relay{ln: ln, open: map[uint64][2]net.Conn{}}
	r.ctx, r.quit = context.WithCancel(ctx)
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) addr() *net.TCPAddr { return r.ln.Addr().(*net.TCPAddr) }

// aim says where the axon is.
func (r *relay) aim(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
}

func (r *relay) accept() {
	for {
		from, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		target, full := r.target, len(r.open) >= relayMost
		r.mu.Unlock()
		if target == "" || full {
			from.Close()
			continue
		}
		r.wg.Go(func() { r.pass(from, target) })
	}
}

// pass carries one connection until either end closes it, or it is cut.
func (r *relay) pass(from net.Conn, target string) {
	defer from.Close()
	d := net.Dialer{Timeout: relayDial}
	if a, ok := from.RemoteAddr().(*net.TCPAddr); ok {
		d.LocalAddr = &net.TCPAddr{IP: a.IP}
	}
	to, err := d.DialContext(r.ctx, "tcp", target)
	if err != nil {
		return
	}
	defer to.Close()
	r.mu.Lock()
	id := r.next
	r.next++
	r.open[id] = [2]net.Conn{from, to}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, id)
	}()
	if r.ctx.Err() != nil { // closed while we dialled
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		carry(from, to)
	}()
	carry(to, from)
	<-back
}

// carry copies one direction and passes its end on. An error is the end of both.
func carry(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if t, ok := to.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}

// connections are those that stand, the oldest first.
func (r *relay) connections() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]uint64, 0, len(r.open))
	for id := range r.open { // sorted below
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// cut ends one connection with a reset at both ends.
func (r *relay) cut(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pair, ok := r.open[id]
	delete(r.open, id)
	for _, c := range pair {
		if t, isTCP := c.(*net.TCPConn); isTCP {
			t.SetLinger(0) // what is under way is lost, as it is where a line breaks
		}
		if c != nil {
			c.Close()
		}
	}
	return ok
}

// close ends the relay and all it carries.
func (r *relay) close() error {
	r.quit()
	err := r.ln.Close()
	for _, id := range r.connections() {
		r.cut(id)
	}
	r.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
