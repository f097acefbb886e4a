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

	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
)

// exchange is one HTTP request and its reply, of either side, as a connection.
type exchange struct {
	frame chan []byte   // the one frame that the node sends
	ended chan struct{} // the node has closed it
	once  sync.Once
	code  int // these two hold once ended is closed
	why   string
}

func newExchange() *exchange {
	return &exchange{frame: make(chan []byte, 1), ended: make(chan struct{})}
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

func (x *exchange) abort() { x.close(wire.CloseRestart, wire.ReasonServerShutdown) }

// refusal is an answer that the node had no part in.
type refusal struct {
	status int
	text   string
}

// unverified is the one answer to all whose request proves nothing or whom the
// node does not want: a stranger must not learn which.
var unverified = &refusal{http.StatusUnauthorized, synapse.TextNotVerified}

func (r *refusal) write(w http.ResponseWriter) {
	body, _ := json.Marshal(map[string]string{"message": r.text}) // text cannot fail
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("bt_header_axon_status_code", fmt.Sprint(r.status))
	h.Set("bt_header_axon_status_message", r.text)
	w.WriteHeader(r.status)
	w.Write(body)
}

// serve takes a request: what is cheap to refuse first, then the signature, then
// the body, then the node.
func (t *Transport) serve(w http.ResponseWriter, r *http.Request) {
	if !t.enter() {
		return
	}
	defer t.pumps.Done()
	began := time.Now()
	q, no := t.headers(r, began)
	if no != nil {
		t.count.unverified.Add(1)
		no.write(w)
		return
	}
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	default:
		t.count.overloaded.Add(1)
		(&refusal{http.StatusServiceUnavailable, synapse.TextOverloaded}).write(w)
		return
	}
	deadlines := http.NewResponseController(w)
	deadlines.SetReadDeadline(began.Add(t.cfg.BodyTimeout))
	deadlines.SetWriteDeadline(began.Add(t.cfg.BodyTimeout + t.cfg.AnswerTimeout + t.cfg.WriteTimeout))
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
func (t *Transport) headers(r *http.Request, now time.Time) (*synapse.Request, *refusal) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case name != synapse.GameData && name != synapse.Ping:
		return nil, &refusal{http.StatusNotFound, synapse.NotFound(name)}
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		return nil, &refusal{http.StatusMethodNotAllowed, "Method Not Allowed"}
	case r.ContentLength > synapse.MaxRequest:
		return nil, &refusal{http.StatusRequestEntityTooLarge, synapse.TextTooLarge}
	case r.Header.Get("Content-Encoding") != "":
		return nil, &refusal{http.StatusUnsupportedMediaType, "compressed requests are not taken"}
	}
	q, err := synapse.ReadRequest(name, r.Header)
	if errors.Is(err, synapse.ErrHeader) {
		return nil, &refusal{http.StatusBadRequest, synapse.TextBadHeaders}
	}
	if err != nil || synapse.Check(q.Nonce, now) != nil {
		return nil, unverified
	}
	o := t.opened.Get().(*wire.Opener)
	defer t.opened.Put(o)
	if !o.VerifyRequest(&q) {
		t.count.forged.Add(1)
		return nil, unverified
	}
	return &q, nil
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
	x := newExchange()
	if !t.add(e.Conn, true, x) {
		return nil, &refusal{http.StatusServiceUnavailable, wire.ReasonServerShutdown}
	}
	defer t.pumps.Done()
	if !t.offer(wire.Event{Conn: e.Conn, Kind: wire.Opened, Inbound: true, Remote: r.RemoteAddr}) {
		t.remove(e.Conn, true)
		t.count.shed.Add(1)
		return nil, &refusal{http.StatusServiceUnavailable, synapse.TextOverloaded}
	}
	reason := "answered"
	defer func() {
		t.remove(e.Conn, true)
		t.deliver(wire.Event{Conn: e.Conn, Kind: wire.Closed, Raw: []byte(reason)})
	}()
	if !t.offer(*e) {
		t.count.shed.Add(1)
		reason = "overloaded"
		return nil, &refusal{http.StatusServiceUnavailable, synapse.TextOverloaded}
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
	if a := admittedOf(r); a != nil {
		a.prove()
	}
	reply, err := synapse.UnpackReply(frame)
	if err != nil {
		reason = err.Error()
		return nil, &refusal{http.StatusInternalServerError, "Internal Server Error"}
	}
	return &reply, nil
}
