// Package sock is the live transport of node/wire: WebSocket connections on
// gorilla/websocket and HTTP exchanges, inbound at the paths of one server and
// dialled. It is an edge, one of the few places with goroutines: each WebSocket
// has a read pump, which opens frames (limits, JSON, signature) and offers them to
// the loop in their order, and a write pump behind a bounded queue. Of a stranger
// one frame is opened; the node then proves it or hangs up. An exchange is
// a connection of the same kind to the node: one frame in and one out, the packed
// forms of node/wire/synapse. The package decides nothing about peers but what
// limits say; who may stay is the node's decision.
//
// Read sock.go for configuration and lifecycle, conn.go for one WebSocket,
// serve.go and ask.go for the two sides of an exchange, verify.go for how
// signatures are checked, limit.go for who gets in. Only the packages that put a
// live node together make one.
package sock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"

	"github.com/gorilla/websocket"
)

// Path is where the protocol's server listens for WebSockets.
const Path = "/ws"

// Config is the transport's manual. A zero field takes the default.
type Config struct {
	// Frame is the largest frame read, in bytes. Default wire.MaxFrame; more
	// only costs memory, since Open refuses it.
	Frame int
	// MaxInbound bounds inbound TCP connections whose peers the node has proved.
	// Default 512: a subnet has 256 neurons, and a reconnect overlaps with its
	// predecessor.
	MaxInbound int
	// MaxStrangers bounds the others, upgraded or not. Beyond it the oldest of them
	// makes room for the newest, those last whose address was proved lately. Default
	// 512: at 1,000 newcomers a second each has half a second to prove itself, and
	// all of them cost some 12 MiB.
	MaxStrangers int
	// MaxDialled bounds connections that we made. Default 512, as above.
	MaxDialled int
	// MaxPerAddress bounds inbound connections of one address. Default 16:
	// several miners behind one router.
	MaxPerAddress int
	// MaxUnproved bounds inbound connections of one address that are not yet
	// proved. Default 5.
	MaxUnproved int
	// AcceptRate and AcceptBurst bound the new connections of one address, in
	// connections per second and at once after a silence. Defaults 2 and 16: as many
	// miners as may be behind one router come back at once when we were away.
	AcceptRate, AcceptBurst int
	// MaxLoopback takes the place of MaxPerAddress, MaxUnproved and AcceptBurst for
	// 127.0.0.0/8 and ::1, where a whole subnet may live on one machine, and an
	// eighth of it that of AcceptRate. Default 256.
	MaxLoopback int
	// ProveTimeout is how long an inbound connection may stay unproved. Default 5 s.
	ProveTimeout time.Duration
	// FrameRate and FrameBurst bound the frames of one inbound connection, in frames
	// per second and at once after a silence; 4 KiB more count as another one. What
	// goes beyond is not opened, and a connection that goes as far beyond again is
	// closed. Defaults 100 and 300: five times what a validator takes of a session
	// (node.ValidatorConfig.MessageRate), so that it is the node that answers whoever
	// is only hasty, and what piled up behind a stalled link gets through.
	FrameRate, FrameBurst int
	// DialTimeout bounds connecting and the handshake. Default 10 s.
	DialTimeout time.Duration
	// DialFrom is the address of this machine from which is dialled. Default: the
	// system picks one. Of many nodes on one machine it gives each its own.
	DialFrom netip.Addr
	// PingEvery is the time between WebSocket pings. Default 20 s. A peer that
	// sends nothing at all for two and a half times as long is gone.
	PingEvery time.Duration
	// WriteTimeout bounds writing one frame: a reader slower than that is
	// dropped. Default 10 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a closing handshake may take. Default 1 s.
	CloseTimeout time.Duration
	// QueueFrames and QueueBytes bound what waits to be written to one peer.
	// Defaults 256 frames and 4 MiB: a burst of confirmations, or a whole
	// season's games in pages.
	QueueFrames, QueueBytes int
	// MaxAsking bounds the inbound HTTP requests whose bodies are held at once, each
	// of another hotkey that may ask. Default 16: each may have synapse.MaxRequest
	// bytes, and a subnet's few validators ask every few minutes.
	MaxAsking int
	// BodyTimeout and BodyRate bound reading one request's body: so long, and a
	// second more for so many bytes. Defaults 2 s and 512 KiB: the largest has 10 s.
	BodyTimeout time.Duration
	BodyRate    int
	// AnswerTimeout is how long the node may take to answer a request. Default
	// 10 s: an fsync, and a peer that waits twice as long.
	AnswerTimeout time.Duration
	// CertFile and KeyFile, PEM, make the listener speak TLS (wss and https) and
	// nothing else. Files that change are read again within a minute. Default: none
	// of both, and no TLS.
	CertFile, KeyFile string
	// Roots are trusted when dialling wss:// and https://. Default: the system's.
	Roots *x509.CertPool
	// DialPlain goes on with ws:// or http:// where a peer does not do TLS as it was
	// dialled to. Default: no, since whoever is on the way can make it look so.
	DialPlain bool
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *Config) fill() {
	fill(&c.Frame, wire.MaxFrame)
	fill(&c.MaxInbound, 512)
	fill(&c.MaxStrangers, 512)
	fill(&c.MaxDialled, 512)
	fill(&c.MaxPerAddress, 16)
	fill(&c.MaxUnproved, 5)
	fill(&c.AcceptRate, 2)
	fill(&c.AcceptBurst, 16)
	fill(&c.MaxLoopback, 256)
	fill(&c.FrameRate, 100)
	fill(&c.FrameBurst, 300)
	fill(&c.ProveTimeout, 5*time.Second)
	fill(&c.DialTimeout, 10*time.Second)
	fill(&c.PingEvery, 20*time.Second)
	fill(&c.WriteTimeout, 10*time.Second)
	fill(&c.CloseTimeout, time.Second)
	fill(&c.QueueFrames, 256)
	fill(&c.QueueBytes, 4<<20)
	fill(&c.MaxAsking, 16)
	fill(&c.BodyTimeout, 2*time.Second)
	fill(&c.BodyRate, 512<<10)
	fill(&c.AnswerTimeout, 10*time.Second)
}

// dialer connects from DialFrom; its deadline is its context's.
func (c *Config) dialer() *net.Dialer {
	d := &net.Dialer{}
	if c.DialFrom.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.DialFrom, 0))
	}
	return d
}

// Stats are counts since New.
type Stats struct {
	Inbound, Dialled     uint64 // connections that stood
	Refused              uint64 // inbound over a limit, closed before a byte was read or when proved
	Evicted              uint64 // inbound of strangers that made room for others
	DialFailed           uint64
	FramesIn, FramesOut  uint64
	BytesIn, BytesOut    uint64
	Malformed            uint64 // frames in that Open refused
	Limited              uint64 // frames in beyond the rate of their connection, not opened
	Outside              uint64 // frames in that say they are another's or of another time, not opened
	Shed                 uint64 // frames in that the loop's inbox had no room for
	QueueFull            uint64 // frames out that the peer's queue had no room for
	Unproved, Slow, Dead uint64 // dropped: not proved in time, not reading, silent
	Asked, Answered      uint64 // HTTP requests in that went to the node, and its answers
	Unverified           uint64 // HTTP requests in that were refused before the node saw them
	Unanswered           uint64 // HTTP requests in that the node left without an answer
	Overloaded           uint64 // HTTP requests in beyond MaxAsking, or beside another one of their hotkey
	Signed, Forged       uint64 // signatures checked that were good, and that were not
	Open, Asking         int    // WebSocket connections and HTTP requests in, now
	TLSRenewed, TLSStale uint64 // changed certificates taken, and looks at some that could not be
	Downgraded           uint64 // dials that went on without TLS
	Strangers            int    // inbound TCP connections that are not proved, now
}

// judged counts what came of a frame's signature.
func (t *Transport) judged(e *wire.Event) {
	switch {
	case e.Err == wire.ErrSignature:
		t.count.forged.Add(1)
	case e.Err == nil && e.Message.Sender != "":
		t.count.signed.Add(1)
	}
}

type counters struct {
	inbound, dialled, refused, evicted, limited, outside, dialFailed, framesIn, framesOut, bytesIn, bytesOut,
	malformed, shed, queueFull, unproved, slow, dead,
	asked, answered, unverified, unanswered, overloaded, signed, forged, tlsRenewed, tlsStale, downgraded atomic.Uint64
}

// Transport is a wire.Transport over real sockets. Its methods may be called
// from any goroutine.
type Transport struct {
	cfg   Config
	open  func() *wire.Opener
	offer func(wire.Event) bool

	ctx    context.Context // ends when Stop begins
	cancel context.CancelFunc
	count  counters
	next   atomic.Uint64
	limit  *limiter
	writes sync.Pool     // write buffers, held only while a frame is written
	stage  *stage        // nil where signatures are not checked in batches
	opened sync.Pool     // openers of exchanges
	asking chan struct{} // holds one for each request of MaxAsking
	client *http.Client
	askers atomic.Pointer[map[chain.Hotkey]*asker] // who may ask; nil is nobody

	mu      sync.Mutex // guards what follows; never held while waiting
	stopped bool
	conns   map[wire.Conn]link
	dialled int
	server  *http.Server
	addr    net.Addr
	pumps   sync.WaitGroup
}

var (
	_ wire.Transport = (*Transport)(nil)
	_ wire.Gate      = (*Transport)(nil)
)

// link is a connection as the node's calls see it.
type link interface {
	send(frame []byte)
	close(code int, reason string)
	prove(h chain.Hotkey) // the peer is who it says
	abort()               // cuts it off
}

// New makes a transport; it listens to nothing yet. open makes one Opener for
// each connection. offer is the loop's inbox: it must return at once, and may
// be called from many goroutines. A frame it refuses is lost and counted, as on
// a bad line; the end of a connection it knows of is offered until it is taken.
func New(cfg Config, open func() *wire.Opener, offer func(wire.Event) bool) *Transport {
	cfg.fill()
	t := &Transport{cfg: cfg, offer: offer, conns: make(map[wire.Conn]link), stage: newStage(), asking: make(chan struct{}, cfg.MaxAsking)}
	t.open = t.stage.opens(open)
	t.opened.New = func() any { return t.open() }
	t.client = newClient(&t.cfg)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.limit = newLimiter(&t.cfg, &t.count)
	return t
}

// ErrStopped is the error of a Listen after Stop.
var ErrStopped = errors.New("sock: stopped")

// Listen begins to accept at address and returns; ":0" picks a port that Addr
// tells. A transport listens at one address at most.
func (t *Transport) Listen(address string) error {
	secure, err := t.serverTLS()
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for peers: %w", err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(t.handle),
		ReadHeaderTimeout: t.cfg.ProveTimeout, // with the header limit, an end to slow and endless headers
		WriteTimeout:      t.cfg.ProveTimeout, // of the answer to what is neither an upgrade nor a request to the node
		IdleTimeout:       t.cfg.ProveTimeout,
		MaxHeaderBytes:    synapse.MaxHeader,
		ErrorLog:          silent(),
		ConnContext:       withAdmitted,
	}
	server.SetKeepAlivesEnabled(false)

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.server != nil {
		ln.Close()
		if t.stopped {
			return fmt.Errorf("listen for peers at %s: %w", address, ErrStopped)
		}
		return fmt.Errorf("listen for peers at %s: already listening at %s", address, t.addr)
	}
	t.server, t.addr = server, ln.Addr()
	t.pumps.Add(1)
	go func() {
		defer t.pumps.Done()
		var counted net.Listener = &listener{Listener: ln, limit: t.limit}
		if secure != nil {
			counted = tls.NewListener(counted, secure)
		}
		server.Serve(counted)
	}()
	return nil
}

// handle tells upgrades from exchanges.
func (t *Transport) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == Path {
		t.upgrade(w, r)
		return
	}
	t.serve(w, r)
}

// Addr is where Listen listens, nil before.
func (t *Transport) Addr() net.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addr
}

// upgrade makes a connection of a request.
func (t *Transport) upgrade(w http.ResponseWriter, r *http.Request) {
	u := websocket.Upgrader{
		HandshakeTimeout: t.cfg.ProveTimeout,
		WriteBufferPool:  &t.writes,
		WriteBufferSize:  writeBuffer,
		// A page from anywhere may connect: it cannot sign, and there is no
		// cookie for it to misuse.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	ws, err := u.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := t.newConn(wire.Conn(t.next.Add(1)), true)
	c.ws = ws
	c.admitted = admittedOf(r)
	if !t.add(c.id, true, c) {
		ws.Close()
		return
	}
	t.count.inbound.Add(1)
	go func() {
		defer t.pumps.Done()
		c.run(r.RemoteAddr)
	}()
}

// Dial begins to connect to host:port, or to a ws:// or wss:// URL; one without
// a path gets the protocol's. An http:// or https:// URL makes an exchange: it is
// open at once, and connects when its one frame, a packed request, is sent.
func (t *Transport) Dial(id wire.Conn, address string) {
	scheme, host, ok := strings.Cut(address, "://")
	switch {
	case !ok:
		address = "ws://" + address + Path
	case scheme == "http" || scheme == "https":
		t.ask(id, address)
		return
	case !strings.Contains(host, "/"):
		address += Path
	}
	c := t.newConn(id, false)
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.DialTimeout)
	c.cancelDial = cancel
	if !t.add(id, false, c) {
		cancel()
		t.tooMany(id)
		return
	}
	go func() {
		defer t.pumps.Done()
		defer cancel()
		ws, resp, err := t.handshake(ctx, address)
		if plain, ok := t.withoutTLS(address, err); ok {
			ws, resp, err = t.handshake(ctx, plain)
		}
		if err != nil {
			if resp != nil {
				err = fmt.Errorf("%w (%s)", err, resp.Status)
			}
			err = t.explain(err)
			t.count.dialFailed.Add(1)
			t.remove(c.id, false)
			t.deliver(wire.Event{Conn: c.id, Kind: wire.Closed, Raw: []byte("dial: " + err.Error())})
			return
		}
		t.count.dialled.Add(1)
		c.ws = ws
		c.run(ws.RemoteAddr().String())
	}()
}

// handshake connects to a WebSocket's address.
func (t *Transport) handshake(ctx context.Context, address string) (*websocket.Conn, *http.Response, error) {
	// The dialer heeds the context while it connects, but not while it waits for
	// the answer to the handshake: closing the socket under it does.
	var stop func() bool
	d := websocket.Dialer{
		HandshakeTimeout: t.cfg.DialTimeout,
		NetDialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			nc, err := t.cfg.dialer().DialContext(ctx, network, addr)
			if err == nil {
				stop = context.AfterFunc(ctx, func() { nc.Close() })
			}
			return nc, err
		},
		TLSClientConfig: t.cfg.clientTLS(),
		WriteBufferPool: &t.writes,
		WriteBufferSize: writeBuffer,
		ReadBufferSize:  readBuffer,
	}
	ws, resp, err := d.DialContext(ctx, address, nil)
	if stop != nil && !stop() { // given up or out of time: that is why it failed
		if err == nil {
			ws.Close()
		}
		err = ctx.Err()
	}
	return ws, resp, err
}

// later runs f on a goroutine that Stop waits for.
func (t *Transport) later(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	t.pumps.Add(1)
	go func() {
		defer t.pumps.Done()
		f()
	}()
}

// tooMany tells the node that a dial was one too many. The caller is the loop:
// offering from here could wait for ourselves.
func (t *Transport) tooMany(id wire.Conn) {
	t.count.dialFailed.Add(1)
	t.later(func() { t.deliver(wire.Event{Conn: id, Kind: wire.Closed, Raw: []byte("too many connections")}) })
}

// add registers a connection and its pump, unless we are stopping or it is one
// dialled too many.
func (t *Transport) add(id wire.Conn, inbound bool, l link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || !inbound && t.dialled >= t.cfg.MaxDialled {
		return false
	}
	if !inbound {
		t.dialled++
	}
	t.conns[id] = l
	t.pumps.Add(1)
	return true
}

func (t *Transport) remove(id wire.Conn, inbound bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, id)
	if !inbound {
		t.dialled--
	}
}

func (t *Transport) conn(id wire.Conn) link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns[id]
}

// Send queues a frame. It may be called before Opened: the frame goes out first.
// A peer whose queue is full is cut off.
func (t *Transport) Send(id wire.Conn, frame []byte) {
	if c := t.conn(id); c != nil {
		c.send(frame)
	}
}

// Close ends a connection after what is queued for it has been written.
func (t *Transport) Close(id wire.Conn, code int, reason string) {
	if c := t.conn(id); c != nil {
		c.close(code, reason)
	}
}

// Prove says that an inbound peer has authenticated: what it sends is read from
// now on, and it gives up its place among strangers.
func (t *Transport) Prove(id wire.Conn, h chain.Hotkey) {
	if c := t.conn(id); c != nil {
		c.prove(h)
	}
}

// retryOffer is the pause before an event that must not be lost is offered
// again: long enough for a loop to empty its inbox, short for a person.
const retryOffer = 10 * time.Millisecond

// deliver offers an event until it is taken, or the transport stops.
func (t *Transport) deliver(e wire.Event) {
	for !t.offer(e) {
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(retryOffer):
		}
	}
}

// Stats returns the counts so far.
func (t *Transport) Stats() Stats {
	n := &t.count
	t.mu.Lock()
	open := len(t.conns)
	t.mu.Unlock()
	return Stats{
		Inbound: n.inbound.Load(), Dialled: n.dialled.Load(), Refused: n.refused.Load(), DialFailed: n.dialFailed.Load(),
		Evicted: n.evicted.Load(), Limited: n.limited.Load(), Outside: n.outside.Load(), Strangers: t.limit.waiting(),
		TLSRenewed: n.tlsRenewed.Load(), TLSStale: n.tlsStale.Load(), Downgraded: n.downgraded.Load(),
		FramesIn: n.framesIn.Load(), FramesOut: n.framesOut.Load(), BytesIn: n.bytesIn.Load(), BytesOut: n.bytesOut.Load(),
		Malformed: n.malformed.Load(), Shed: n.shed.Load(), QueueFull: n.queueFull.Load(),
		Unproved: n.unproved.Load(), Slow: n.slow.Load(), Dead: n.dead.Load(),
		Asked: n.asked.Load(), Answered: n.answered.Load(), Unverified: n.unverified.Load(),
		Unanswered: n.unanswered.Load(), Overloaded: n.overloaded.Load(),
		Signed: n.signed.Load(), Forged: n.forged.Load(), Open: open, Asking: len(t.asking),
	}
}

// Stop accepts and dials no more, closes every connection with code 1012 after
// its queue is written, and waits for that until ctx ends; then it cuts them
// off. It returns when no goroutine is left: nil, or ctx's error where someone
// had to be cut off. Events are offered once meanwhile, and none follows.
func (t *Transport) Stop(ctx context.Context) error {
	t.mu.Lock()
	again := t.stopped
	t.stopped = true
	server := t.server
	all := make([]link, 0, len(t.conns))
	for _, c := range t.conns {
		all = append(all, c)
	}
	t.mu.Unlock()

	t.cancel()
	if server != nil {
		server.Close() // the listener and what was not upgraded
	}
	for _, c := range all {
		c.close(wire.CloseRestart, wire.ReasonServerShutdown)
	}
	done := make(chan struct{})
	go func() {
		t.pumps.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("stop talking to peers: %w", ctx.Err())
	}
	for _, c := range all {
		c.abort()
	}
	<-done
	if !again {
		t.stage.close()
	}
	return err
}
