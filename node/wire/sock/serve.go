package sock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
)

// exchange is one HTTP request and its reply, of either side, as a connection.
type exchange struct {
	from  *admitted     // inbound: the connection below; nil of one that we make
	frame chan []byte   // the one frame that the node sends
	ended chan struct{} // the node has closed it
	once  sync.Once
	code  int // these two hold once ended is closed
	why   string
}

func newExchange(from *admitted) *exchange {
	return &exchange{from: from, frame: make(chan []byte, 1), ended: make(chan struct{})}
}

// send takes the first frame; an exchange has no second one.
func (x *exchange) send(frame []byte) {
	select {
	case x.frame <- frame:
	default:
	}
}

func (x *exchange) close(code int, reason string) {
	x.once.Do(func() {
		x.code, x.why = code, reason
		close(x.ended)
	})
}

func (x *exchange) prove(chain.Hotkey) {
	if x.from != nil {
		x.from.prove(time.Now()) // where there is no place for it, it has its answer and goes
	}
}

func (x *exchange) abort() { x.close(wire.CloseRestart, wire.ReasonServerShutdown) }

// refusal is an answer that the node had no part in.
type refusal struct {
	status int
	text   string
}

// unverified is the one answer to all whose request proves nothing or whom the
// node does not want: a stranger must not learn which.
var unverified = &refusal{http.StatusUnauthorized, synapse.TextNotVerified}

// overloaded is the answer to those that may ask, where there is no place.
var overloaded = &refusal{http.StatusServiceUnavailable, synapse.TextOverloaded}

func (r *refusal) write(w http.ResponseWriter) {
	body, _ := json.Marshal(map[string]string{"message": r.text}) // text cannot fail
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("bt_header_axon_status_code", fmt.Sprint(r.status))
	h.Set("bt_header_axon_status_message", r.text)
	w.WriteHeader(r.status)
	w.Write(body)
}

// asker is a hotkey that may ask.
type asker struct {
	mu     sync.Mutex
	busy   bool   // a request of it holds a place
	newest uint64 // nonce of the requests that held one
}

// enter takes a place for a request that the asker has signed: none where it has
// one already, and never twice for the same request. The node's own memory of
// nonces, which outlives this one, decides; this only keeps what somebody has
// caught and says again from standing in its owner's way.
func (a *asker) enter(nonce uint64) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		return overloaded
	}
	if nonce <= a.newest {
		return unverified
	}
	a.busy, a.newest = true, nonce
	return nil
}

func (a *asker) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = false
}

// maxAskers bounds the hotkeys that may ask: more than a subnet has.
const maxAskers = 4096

// Admit replaces the hotkeys whose HTTP requests are taken. All others are told
// what those are whose signature is bad, and cost no signature check.
func (t *Transport) Admit(hotkeys []chain.Hotkey) {
	var old map[chain.Hotkey]*asker
	if p := t.askers.Load(); p != nil {
		old = *p
	}
	now := make(map[chain.Hotkey]*asker, len(hotkeys))
	for _, h := range hotkeys[:min(len(hotkeys), maxAskers)] {
		if now[h] = old[h]; now[h] == nil {
			now[h] = &asker{}
		}
	}
	t.askers.Store(&now)
}

// asker is the hotkey that may ask, nil for all others.
func (t *Transport) asker(h chain.Hotkey) *asker {
	if p := t.askers.Load(); p != nil {
		return (*p)[h]
	}
	return nil
}

// serve takes a request: what is cheap to refuse first, then the signature, then
// a place, the body and the node.
func (t *Transport) serve(w http.ResponseWriter, r *http.Request) {
	if !t.enter() {
		return
	}
	defer t.pumps.Done()
	began := time.Now()
	q, who, no := t.headers(r, began)
	if no == nil {
		no = who.enter(q.Nonce)
	}
	if no != nil {
		if no == overloaded {
			t.count.overloaded.Add(1)
		} else {
			t.count.unverified.Add(1)
		}
		no.write(w)
		return
	}
	defer who.leave()
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	default:
		t.count.overloaded.Add(1)
		overloaded.write(w)
		return
	}
	if a := admittedOf(r); a != nil {
		a.vouch()
	}
	size := r.ContentLength
	if size < 0 {
		size = synapse.MaxRequest
	}
	patience := t.cfg.BodyTimeout + time.Duration(size)*time.Second/time.Duration(t.cfg.BodyRate)
	deadlines := http.NewResponseController(w)
	deadlines.SetReadDeadline(began.Add(patience))
	deadlines.SetWriteDeadline(began.Add(patience + t.cfg.AnswerTimeout + t.cfg.WriteTimeout))
	e, no := t.body(w, r, q)
	if no != nil {
		t.count.unverified.Add(1)
		no.write(w)
		return
	}
	deadlines.SetReadDeadline(time.Time{}) // what is read from here on is only whether the peer is still there
	reply, no := t.put(r, e)
	if no != nil {
		no.write(w)
		return
	}
	t.count.answered.Add(1)
	t.count.framesOut.Add(1)
	t.count.bytesOut.Add(uint64(len(reply.Body)))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	reply.Headers(q, time.Since(began).Seconds(), h.Set)
	w.WriteHeader(reply.Status)
	w.Write(reply.Body)
}

// enter counts a handler in, unless we are stopping.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.pumps.Add(1)
	return true
}

// headers checks all that needs no body.
func (t *Transport) headers(r *http.Request, now time.Time) (*synapse.Request, *asker, *refusal) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	var no *refusal
	switch {
	case name != synapse.GameData && name != synapse.Ping:
		no = &refusal{http.StatusNotFound, synapse.NotFound(name)}
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		no = &refusal{http.StatusMethodNotAllowed, "Method Not Allowed"}
	case r.ContentLength > synapse.MaxRequest:
		no = &refusal{http.StatusRequestEntityTooLarge, synapse.TextTooLarge}
	case r.Header.Get("Content-Encoding") != "":
		no = &refusal{http.StatusUnsupportedMediaType, "compressed requests are not taken"}
	}
	if no != nil {
		return nil, nil, no
	}
	q, err := synapse.ReadRequest(name, r.Header)
	if errors.Is(err, synapse.ErrHeader) {
		return nil, nil, &refusal{http.StatusBadRequest, synapse.TextBadHeaders}
	}
	if err != nil || synapse.Check(q.Nonce, now) != nil {
		return nil, nil, unverified
	}
	who := t.asker(q.Asker)
	if who == nil {
		return nil, nil, unverified
	}
	o := t.opened.Get().(*wire.Opener)
	defer t.opened.Put(o)
	if !o.VerifyRequest(&q) {
		t.count.forged.Add(1)
		return nil, nil, unverified
	}
	return &q, who, nil
}

// body reads the body and makes an event of the whole.
func (t *Transport) body(w http.ResponseWriter, r *http.Request, q *synapse.Request) (*wire.Event, *refusal) {
	var err error
	if q.Body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, synapse.MaxRequest)); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return nil, &refusal{http.StatusRequestEntityTooLarge, synapse.TextTooLarge}
		}
		return nil, &refusal{http.StatusRequestTimeout, "Request body did not arrive in time"}
	}
	o := t.opened.Get().(*wire.Opener)
	defer t.opened.Put(o)
	e := &wire.Event{Kind: wire.Received, Raw: q.Append(nil)}
	t.count.framesIn.Add(1)
	t.count.bytesIn.Add(uint64(len(q.Body)))
	e.Message, e.Err = o.Open(e.Raw)
	t.judged(e)
	switch e.Err {
	case nil:
		return e, nil
	case wire.ErrSignature:
		return nil, unverified
	}
	t.count.malformed.Add(1)
	return nil, &refusal{http.StatusBadRequest, "Improperly formatted request. " + e.Err.Error()}
}

// put gives a request to the node and waits for its answer.
func (t *Transport) put(r *http.Request, e *wire.Event) (*synapse.Reply, *refusal) {
	e.Conn = wire.Conn(t.next.Add(1))
	x := newExchange(admittedOf(r))
	if !t.add(e.Conn, true, x) {
		return nil, &refusal{http.StatusServiceUnavailable, wire.ReasonServerShutdown}
	}
	defer t.pumps.Done()
	if !t.offer(wire.Event{Conn: e.Conn, Kind: wire.Opened, Inbound: true, Remote: r.RemoteAddr}) {
		t.remove(e.Conn, true)
		t.count.shed.Add(1)
		return nil, overloaded
	}
	reason := "answered"
	defer func() {
		t.remove(e.Conn, true)
		t.deliver(wire.Event{Conn: e.Conn, Kind: wire.Closed, Raw: []byte(reason)})
	}()
	if !t.offer(*e) {
		t.count.shed.Add(1)
		reason = "overloaded"
		return nil, overloaded
	}
	t.count.asked.Add(1)
	ctx, cancel := context.WithTimeout(r.Context(), t.cfg.AnswerTimeout)
	defer cancel()
	var frame []byte
	select {
	case frame = <-x.frame:
	case <-x.ended:
		select {
		case frame = <-x.frame: // sent, and then closed
		default:
		}
	case <-ctx.Done():
	}
	if frame == nil {
		t.count.unanswered.Add(1)
		select {
		case <-x.ended:
			reason = "closed: " + x.why
			if x.code == wire.CloseRestart {
				return nil, &refusal{http.StatusServiceUnavailable, x.why}
			}
			return nil, unverified
		default:
			reason = "not answered in time"
			return nil, &refusal{http.StatusRequestTimeout, fmt.Sprintf(synapse.TextTimeout, t.cfg.AnswerTimeout.Seconds())}
		}
	}
	reply, err := synapse.UnpackReply(frame)
	if err != nil {
		reason = err.Error()
		return nil, &refusal{http.StatusInternalServerError, "Internal Server Error"}
	}
	return &reply, nil
}
