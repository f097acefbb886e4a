package rpc

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// conn is one WebSocket client: a goroutine that reads and answers, and one that
// writes what is queued.
type conn struct {
	ws   *websocket.Conn
	out  chan []byte
	gone chan struct{}
	once sync.Once
	// opening are subscriptions of the frame that is being answered: they are in the
	// server's list only after their ids have gone out. Under the server's lock.
	opening int
}

// cut ends the connection; both goroutines notice.
func (c *conn) cut() {
	c.once.Do(func() {
		close(c.gone)
		c.ws.Close()
	})
}

// send queues a frame. A client that does not read is not waited for.
func (c *conn) send(frame []byte) bool {
	select {
	case c.out <- frame:
		return true
	default:
		c.cut()
		return false
	}
}

// serve is one HTTP request: an upgrade, or a POST with JSON-RPC in it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) {
		s.serveSocket(w, r)
		return
	}
	if r.Method != http.MethodPost {
		http.Error(w, "this is a JSON-RPC endpoint: open a WebSocket or POST", http.StatusMethodNotAllowed)
		return
	}
	frame, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFrame))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !s.wait() {
		return
	}
	s.answer(nil, frame, func(b []byte) { w.Write(b) })
}

func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	full := len(s.conns) >= maxConnections
	if full {
		s.stats.Refused++
	}
	s.mu.Unlock()
	if full {
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	ws, err := upgrade.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := &conn{ws: ws, out: make(chan []byte, maxQueue), gone: make(chan struct{})}
	s.mu.Lock()
	select {
	case <-s.quit:
		s.mu.Unlock()
		c.cut()
		return
	default:
	}
	s.conns[c] = struct{}{}
	s.running.Add(2) // under the lock with quit open, so before Close waits
	s.mu.Unlock()
	go func() { defer s.running.Done(); c.write() }()
	defer s.running.Done()
	s.read(c)
	c.cut()
	s.mu.Lock()
	delete(s.conns, c)
	s.unsubscribe(c, "")
	s.mu.Unlock()
}

// read answers frame after frame until the connection ends.
func (s *Server) read(c *conn) {
	c.ws.SetReadLimit(maxFrame)
	awake := func() { c.ws.SetReadDeadline(time.Now().Add(idleTimeout)) }
	awake()
	c.ws.SetPongHandler(func(string) error { awake(); return nil })
	for {
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		awake()
		if !s.wait() {
			return
		}
		s.answer(c, frame, func(b []byte) {
			if !c.send(b) {
				s.stats.Dropped++
			}
		})
	}
}

// write sends what is queued, and pings.
func (c *conn) write() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	defer c.cut()
	for {
		var err error
		select {
		case <-c.gone:
			return
		case frame := <-c.out:
			c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
			err = c.ws.WriteMessage(websocket.TextMessage, frame)
		case <-ping.C:
			err = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		}
		if err != nil {
			return
		}
	}
}

// wait is the fault that delays answers; false where the endpoint closes.
func (s *Server) wait() bool {
	d := time.Duration(s.delay.Load())
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.quit:
		return false
	}
}

// answer carries out a frame of one request or a batch and sends what there is
// to say, under the lock, so that no push of a new subscription can come before
// its id, and none is missed behind it.
func (s *Server) answer(c *conn, frame []byte, send func([]byte)) {
	calls, batch, bad := split(frame)
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad != nil {
		send(encode(refusal{"2.0", json.RawMessage("null"), bad}))
		return
	}
	var out []json.RawMessage
	var after []func()
	for i := range calls {
		s.requests.Add(1)
		b, then := s.call(c, &calls[i])
		if then != nil {
			after = append(after, then)
		}
		if b != nil {
			out = append(out, b)
		}
	}
	switch {
	case batch && len(out) > 0:
		send(encode(out))
	case len(out) > 0:
		send(out[0])
	}
	for _, then := range after {
		then()
	}
	if c != nil {
		c.opening = 0
	}
}

// call carries out one request; nil bytes for a notification.
func (s *Server) call(c *conn, q *request) (b []byte, then func()) {
	if q.Version != "2.0" || q.Method == "" {
		return encode(refusal{"2.0", idOf(q), &fault{Code: codeInvalid, Message: "Invalid request"}}), nil
	}
	result, then, f := s.dispatch(c, q)
	switch {
	case len(q.ID) == 0:
		return nil, then
	case f != nil:
		return encode(refusal{"2.0", q.ID, f}), nil
	}
	return encode(reply{"2.0", q.ID, result}), then
}

func idOf(q *request) json.RawMessage {
	if len(q.ID) == 0 {
		return json.RawMessage("null")
	}
	return q.ID
}

// encode is json.Marshal of what this package makes itself.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return encode(refusal{"2.0", json.RawMessage("null"), &fault{Code: codeUnanswered, Message: "Internal error", Data: err.Error()}})
	}
	return b
}

// subscription is one client's interest in something.
type subscription struct {
	id     string
	conn   *conn
	method string   // of its pushes, as chain_finalizedHead
	keys   []string // of state_storage
	tx     *pending // of author_extrinsicUpdate
}

// push sends a result to a subscriber.
func (s *Server) push(sub *subscription, result any) {
	p := push{Version: "2.0", Method: sub.method}
	p.Params.Subscription, p.Params.Result = sub.id, result
	if !sub.conn.send(encode(p)) {
		s.stats.Dropped++
	}
}

// each calls f for the subscriptions of a method, in the order they were made.
func (s *Server) each(method string, f func(*subscription)) {
	for _, sub := range s.subs {
		if sub.method == method {
			f(sub)
		}
	}
}
