package substrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Limits of one connection.
const (
	// maxMessage is the largest reply or push that is read. The largest there is
	// is a full block of 5 MiB in hex; metadata is under 1 MiB.
	maxMessage = 16 << 20
	// maxPending calls under way. Every call has a deadline; a node makes a few at
	// a time.
	maxPending = 64
	// maxSubscriptions held at once: heads, finalised heads, the runtime's version
	// and one extrinsic, with room for one that is being given up.
	maxSubscriptions = 8
	// maxPushes that wait for their reader. An extrinsic has at most a dozen
	// states; of heads, older ones are worth nothing.
	maxPushes = 64

	dialTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	// pingEvery and silence: a connection on which nothing came, no pong either,
	// for so long is dead, whatever TCP thinks of it.
	pingEvery = 10 * time.Second
	silence   = 25 * time.Second
)

// keepalive is how often a connection is tried, and how long it may be silent.
type keepalive struct{ ping, silence time.Duration }

// errLost: the connection ended before the answer came. What was asked may have
// been done.
var errLost = errors.New("connection to the chain lost")

// errUnsent: the connection was gone before anything was written.
var errUnsent = errors.New("not connected to the chain")

// rpcError is an error answer of the endpoint.
type rpcError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

func (e *rpcError) Error() string {
	if len(e.Data) > 0 {
		return fmt.Sprintf("endpoint answers %d %.200s: %.300s", e.Code, e.Message, e.Data)
	}
	return fmt.Sprintf("endpoint answers %d %.300s", e.Code, e.Message)
}

// methodUnknown is JSON-RPC's code for a method that the endpoint does not have.
const methodUnknown = -32601

func unknownMethod(err error) bool {
	var e *rpcError
	return errors.As(err, &e) && e.Code == methodUnknown
}

// refused says whether an endpoint has answered with an error.
func refused(err error) bool {
	var e *rpcError
	return errors.As(err, &e)
}

// unanswered says whether a call has failed for want of an answer: anything else
// is one, if not of the form that was expected.
func unanswered(err error) bool {
	return errors.Is(err, errLost) || errors.Is(err, errUnsent) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// conn is one WebSocket connection. Its two goroutines, a reader and a pinger,
// end when it fails or is closed.
type conn struct {
	ws      *websocket.Conn
	alive   keepalive
	writing sync.Mutex
	done    chan struct{}
	wg      sync.WaitGroup
	dropped *atomic.Uint64 // pushes that nobody took

	mu      sync.Mutex
	err     error // why it ended
	next    uint64
	pending map[uint64]*pendingCall
	subs    map[string]*subscription // by the endpoint's name for it
}

type pendingCall struct {
	answer chan answer // of one
	sub    *subscription
}

type answer struct {
	result json.RawMessage
	err    error
}

// subscription hands on pushes in order. A reader that is behind loses the
// oldest.
type subscription struct {
	id     string
	pushes chan json.RawMessage
}

// open connects. URLs are ws:// or wss://; what the other side says in a
// handshake that fails is not repeated, since a URL may hold a secret.
func open(ctx context.Context, url string, alive keepalive, dropped *atomic.Uint64) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// Over a connection that is made, a handshake looks at deadlines only: it is ended
	// by closing what is beneath it.
	var beneath atomic.Pointer[net.Conn]
	stop := context.AfterFunc(ctx, func() {
		if raw := beneath.Load(); raw != nil {
			_ = (*raw).Close()
		}
	})
	defer stop()
	d := websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if beneath.Store(&raw); ctx.Err() != nil { // too late to be closed from outside
				_ = raw.Close()
			}
			return raw, nil
		},
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: dialTimeout,
		ReadBufferSize:   64 << 10,
		WriteBufferSize:  64 << 10,
	}
	ws, reply, err := d.DialContext(ctx, url, nil)
	if err != nil {
		if reply != nil {
			return nil, fmt.Errorf("connect: the endpoint answers HTTP %d", reply.StatusCode)
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &conn{ws: ws, alive: alive, done: make(chan struct{}), dropped: dropped, pending: map[uint64]*pendingCall{}, subs: map[string]*subscription{}}
	ws.SetReadLimit(maxMessage)
	c.heard()
	ws.SetPongHandler(func(string) error { c.heard(); return nil })
	answer := ws.PingHandler()
	ws.SetPingHandler(func(text string) error { c.heard(); return answer(text) })
	c.wg.Add(2)
	go c.read()
	go c.ping()
	return c, nil
}

func (c *conn) heard() { _ = c.ws.SetReadDeadline(time.Now().Add(c.alive.silence)) }

// fail ends the connection; the first reason stands.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	pending := c.pending
	c.pending, c.subs = nil, nil
	c.mu.Unlock()
	close(c.done)
	_ = c.ws.Close()
	for _, p := range pending {
		p.answer <- answer{err: fmt.Errorf("%w: %w", errLost, err)}
	}
}

// close ends the connection and waits for its goroutines.
func (c *conn) close(reason error) {
	c.fail(reason)
	c.wg.Wait()
}

// reason is why the connection ended.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *conn) ping() {
	defer c.wg.Done()
	t := time.NewTicker(c.alive.ping)
	defer t.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-t.C:
			if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)); err != nil {
				c.fail(fmt.Errorf("ping: %w", err))
				return
			}
		}
	}
}

// message is anything an endpoint sends: an answer has an ID, a push a method.
type message struct {
	ID     *uint64         `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
	Params *struct {
		Subscription json.RawMessage `json:"subscription"`
		Result       json.RawMessage `json:"result"`
	} `json:"params"`
}

func (c *conn) read() {
	defer c.wg.Done()
	for {
		_, b, err := c.ws.ReadMessage()
		if err != nil {
			c.fail(fmt.Errorf("read: %w", err))
			return
		}
		c.heard()
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			c.fail(fmt.Errorf("read: no JSON-RPC: %w", err))
			return
		}
		switch {
		case m.Params != nil:
			c.push(string(m.Params.Subscription), m.Params.Result)
		case m.ID != nil:
			c.answered(*m.ID, &m)
		case m.Error != nil: // an answer to what it could not read at all
			c.fail(m.Error)
			return
		}
	}
}

func (c *conn) answered(id uint64, m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[id]
	if p == nil {
		return // its caller has given up
	}
	delete(c.pending, id)
	if m.Error != nil {
		p.answer <- answer{err: m.Error}
		return
	}
	if p.sub != nil { // before the next message is read, which may be its first push
		p.sub.id = string(m.Result)
		c.subs[p.sub.id] = p.sub
	}
	p.answer <- answer{result: m.Result}
}

func (c *conn) push(id string, result json.RawMessage) {
	c.mu.Lock()
	s := c.subs[id]
	c.mu.Unlock()
	if s == nil {
		c.dropped.Add(1)
		return
	}
	select {
	case s.pushes <- result:
		return
	default:
	}
	c.dropped.Add(1)
	select {
	case <-s.pushes:
	default:
	}
	select {
	case s.pushes <- result:
	default: // another took the place: only this goroutine pushes, so never
	}
}

// call asks and waits for the answer until ctx ends. errUnsent says that nothing
// was written; after any other failure but the endpoint's own error the request
// may have been carried out.
func (c *conn) call(ctx context.Context, method string, params []any, result any) error {
	raw, err := c.send(ctx, method, params, nil)
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("%s: unexpected answer %.100s: %w", method, raw, err)
	}
	return nil
}

// subscribe calls a method that answers with a subscription's name, and returns
// it. It ends with the connection, or with unsubscribe.
func (c *conn) subscribe(ctx context.Context, method string, params []any) (*subscription, error) {
	s := &subscription{pushes: make(chan json.RawMessage, maxPushes)}
	c.mu.Lock()
	full := len(c.subs) >= maxSubscriptions
	c.mu.Unlock()
	if full {
		return nil, fmt.Errorf("%w: %d subscriptions are held", errUnsent, maxSubscriptions)
	}
	if _, err := c.send(ctx, method, params, s); err != nil {
		return nil, err
	}
	return s, nil
}

// unsubscribe forgets a subscription and tells the endpoint, without waiting.
func (c *conn) unsubscribe(s *subscription, method string) {
	c.mu.Lock()
	delete(c.subs, s.id)
	c.next++
	id := c.next
	ended := c.err != nil
	c.mu.Unlock()
	if !ended {
		_ = c.write(id, method, []any{json.RawMessage(s.id)})
	}
}

func (c *conn) send(ctx context.Context, method string, params []any, sub *subscription) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	p := &pendingCall{answer: make(chan answer, 1), sub: sub}
	c.mu.Lock()
	switch {
	case c.err != nil:
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", errUnsent, c.err)
	case len(c.pending) >= maxPending:
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %d calls are under way", errUnsent, maxPending)
	}
	c.next++
	id := c.next
	c.pending[id] = p
	c.mu.Unlock()
	if err := c.write(id, method, params); err != nil {
		c.fail(fmt.Errorf("write: %w", err))
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	select {
	case a := <-p.answer:
		return a.result, a.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

func (c *conn) write(id uint64, method string, params []any) error {
	if params == nil {
		params = []any{}
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("request %s: %w", method, err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	return c.ws.WriteMessage(websocket.TextMessage, b)
}
