package sock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"

	"github.com/gorilla/websocket"
)

// Buffers of a dialled connection (an inbound one keeps the HTTP server's).
// Most frames fit; an idle connection should cost little.
const (
	readBuffer  = 1 << 10
	writeBuffer = 4 << 10
	keepBuffer  = 16 << 10 // a read buffer grown beyond this is let go again
)

// strangerFrame is the largest frame read of a peer that is not proved: an auth
// has some 400 bytes.
const strangerFrame = 4 << 10

// conn is one connection. The goroutine in run owns ws for reading, the one in
// write for writing; control frames may come from both.
type conn struct {
	t          *Transport
	id         wire.Conn
	inbound    bool
	cancelDial context.CancelFunc // dialled: ends an attempt that is under way
	admitted   *admitted          // inbound: what the limiter counts
	verdict    chan struct{}      // closed once the node has proved the peer, or given it up

	ws *websocket.Conn // set before run, never changed

	wake chan struct{} // holds one: queue or closing changed
	pace pace          // of the frames read; the read pump's

	mu       sync.Mutex // guards what follows, and read deadlines; never held while waiting
	standing bool       // ws is set
	queue    [][]byte
	bytes    int  // in queue and in the write pump's hands
	closing  bool // close was called: code and reason hold
	code     int
	reason   string
	closeBy  time.Time    // all that is still to be written must be written by then
	leaving  bool         // the read deadline is the last one
	gone     bool         // the read pump has ended
	cut      bool         // abort was called
	judged   bool         // verdict is closed
	peer     chain.Hotkey // inbound: who has proved to be there
}

func (t *Transport) newConn(id wire.Conn, inbound bool) *conn {
	return &conn{t: t, id: id, inbound: inbound, wake: make(chan struct{}, 1), verdict: make(chan struct{})}
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send queues a frame. A peer whose queue is full is cut off: it comes back and
// is told everything anew.
func (c *conn) send(frame []byte) {
	c.mu.Lock()
	if c.gone || c.closing {
		c.mu.Unlock()
		return
	}
	if len(c.queue) >= c.t.cfg.QueueFrames || c.bytes+len(frame) > c.t.cfg.QueueBytes && c.bytes > 0 {
		c.t.count.queueFull.Add(1)
		c.mu.Unlock()
		c.close(wire.CloseRate, "reads too slowly")
		c.abort()
		return
	}
	c.queue = append(c.queue, frame)
	c.bytes += len(frame)
	c.mu.Unlock()
	c.signal()
}

// prove makes the peer one that the node knows, and its frames are read.
func (c *conn) prove(h chain.Hotkey) {
	if c.admitted != nil && !c.admitted.prove(time.Now()) {
		c.t.count.refused.Add(1)
		c.close(websocket.CloseTryAgainLater, "no place")
		return
	}
	c.mu.Lock()
	if c.peer == "" && !c.closing {
		c.peer = h
		c.judge()
	}
	c.mu.Unlock()
	c.extend()
}

// stranger says whether the peer is not proved.
func (c *conn) stranger() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inbound && c.peer == ""
}

// judge wakes a read pump that waits for the verdict. The caller holds mu.
func (c *conn) judge() {
	if !c.judged {
		c.judged = true
		close(c.verdict)
	}
}

// close asks the write pump to finish. The first call decides code and reason.
func (c *conn) close(code int, reason string) {
	c.mu.Lock()
	if !c.closing {
		c.closing, c.code, c.reason = true, code, reason
		c.closeBy = time.Now().Add(c.t.cfg.WriteTimeout)
		c.judge()
	}
	standing := c.standing
	c.mu.Unlock()
	if !standing && c.cancelDial != nil {
		c.cancelDial() // nothing to write to yet
	}
	c.signal()
}

// abort cuts the connection off.
func (c *conn) abort() {
	c.mu.Lock()
	c.cut = true
	c.judge()
	standing := c.standing
	c.mu.Unlock()
	if standing {
		c.ws.Close()
	}
}

// run is the life of a connection: Opened, frames, Closed.
func (c *conn) run(remote string) {
	c.mu.Lock()
	c.standing = true
	cut := c.cut
	c.mu.Unlock()
	if cut { // while the dial was coming back
		c.ws.Close()
	}
	opened := wire.Event{Conn: c.id, Kind: wire.Opened, Inbound: c.inbound, Remote: remote}
	known := true
	if c.inbound {
		// Nobody waits for it: where the loop has no room for a newcomer, there is none.
		if known = c.t.offer(opened); !known {
			c.t.count.shed.Add(1)
			c.close(websocket.CloseTryAgainLater, "overloaded")
		}
	} else {
		c.t.deliver(opened)
	}
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		c.write()
	}()
	err := c.read(known)

	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing {
		<-writer // it has a close frame to send, and until closeBy for it
	}
	c.mu.Lock()
	c.gone = true
	c.queue = nil
	c.mu.Unlock()
	c.signal()
	c.ws.Close()
	<-writer
	c.t.remove(c.id, c.inbound)
	if known {
		c.t.deliver(wire.Event{Conn: c.id, Kind: wire.Closed, Raw: []byte(c.why(err))})
	}
}

var (
	errBinary = errors.New("binary frame")
	errTooBig = errors.New("frame too large")
)

// why names the end of a connection for the Closed event.
func (c *conn) why(err error) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && !c.closing:
		return fmt.Sprintf("closed by peer: %d %s", closed.Code, closed.Text)
	case c.closing:
		return fmt.Sprintf("closed: %d %s", c.code, c.reason)
	}
	return err.Error()
}

// extend puts the read deadline off: the peer was heard. Nothing that a stranger
// says does.
func (c *conn) extend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standing && !c.leaving && (!c.inbound || c.peer != "") {
		c.ws.SetReadDeadline(time.Now().Add(c.t.cfg.PingEvery * 5 / 2))
	}
}

// leave sets the last read deadline: the peer has CloseTimeout to go.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	c.ws.SetReadDeadline(time.Now().Add(c.t.cfg.CloseTimeout))
}

// read opens frames until the connection ends. A peer that the loop does not
// know, or has hung up on, is only waited for to go: nothing of it is looked at.
func (c *conn) read(known bool) error {
	if !known {
		return c.drain(errEnding)
	}
	opener := c.t.open()
	stranger := true
	proveBy := time.Now().Add(c.t.cfg.ProveTimeout)
	c.mu.Lock()
	if !c.leaving {
		c.ws.SetReadDeadline(proveBy)
	}
	c.mu.Unlock()
	c.extend()
	c.ws.SetPongHandler(func(string) error { c.extend(); return nil })
	c.ws.SetPingHandler(c.ponged)
	buf := make([]byte, 0, readBuffer)
	for {
		kind, r, err := c.ws.NextReader()
		if err == nil {
			limit := c.t.cfg.Frame
			if c.stranger() {
				limit = min(limit, strangerFrame)
			}
			buf, err = readFrame(buf[:0], r, limit)
		}
		ending := c.ending()
		if stranger && !c.stranger() {
			stranger = false
			befriend(opener)
		}
		switch {
		case err == nil && ending:
			return c.drain(errEnding)
		case err == nil && kind != websocket.TextMessage:
			c.close(websocket.CloseUnsupportedData, errBinary.Error())
			return c.drain(errBinary)
		case errors.Is(err, errTooBig):
			c.t.count.malformed.Add(1)
			c.close(wire.CloseTooBig, errTooBig.Error())
			return c.drain(err)
		case timedOut(err) && stranger && !ending:
			return c.unproved()
		case timedOut(err) && !ending:
			c.t.count.dead.Add(1)
			return errors.New("silent for too long")
		case err != nil:
			return err
		}
		c.extend()
		c.t.count.framesIn.Add(1)
		c.t.count.bytesIn.Add(uint64(len(buf)))
		if c.inbound && !c.worthOpening(opener, buf, stranger) {
			continue // one that is to end is found ending above
		}
		e := wire.Event{Conn: c.id, Kind: wire.Received, Raw: bytes.Clone(buf)}
		if e.Message, e.Err = opener.Open(e.Raw); e.Err != nil {
			c.t.count.malformed.Add(1)
		}
		c.t.judged(&e)
		if !c.t.offer(e) {
			c.t.count.shed.Add(1)
			if stranger { // its auth is lost, and another one would not be read
				c.close(websocket.CloseTryAgainLater, "overloaded")
			}
		}
		if stranger {
			wait := time.NewTimer(time.Until(proveBy))
			select {
			case <-c.verdict:
			case <-wait.C:
			}
			wait.Stop()
			if c.ending() {
				return c.drain(errEnding)
			}
			if c.stranger() {
				return c.unproved()
			}
		}
		if cap(buf) > keepBuffer {
			buf = make([]byte, 0, readBuffer)
		}
	}
}

var errEnding = errors.New("ending")

// ending says whether the connection is only waited for to end.
func (c *conn) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.cut
}

// unproved ends a connection whose peer was not proved in time.
func (c *conn) unproved() error {
	c.t.count.unproved.Add(1)
	c.close(wire.CloseAuth, wire.TextInvalidAuth)
	return errors.New("not authenticated in time")
}

const (
	// frameUnit is how many bytes of a frame cost as much as a frame: a prediction
	// has a quarter of them.
	frameUnit = 4 << 10
	// windowSlack is how far the node's clock, which decides what is fresh, may be
	// from ours when it comes to a frame.
	windowSlack = time.Minute
)

// within says whether a frame keeps to the rate. A connection that goes as far
// beyond it again as its burst allows is closed.
func (c *conn) within(cost int, now time.Time) bool {
	cfg := &c.t.cfg
	over := c.pace.over(cost, allowance{cfg.FrameRate, cfg.FrameBurst}, now)
	if over == 0 {
		return true
	}
	c.t.count.limited.Add(1)
	if over > time.Second*time.Duration(cfg.FrameBurst)/time.Duration(cfg.FrameRate) {
		c.close(wire.CloseRate, "too many messages")
	}
	return false
}

// ponged answers a ping, which costs of the rate what a frame does.
func (c *conn) ponged(text string) error {
	switch {
	case c.ending():
		return errEnding
	case c.inbound && !c.within(1, time.Now()):
		return nil
	}
	err := c.ws.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(c.t.cfg.CloseTimeout))
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) && !timedOut(err) {
		return err
	}
	c.extend()
	return nil
}

// worthOpening says whether an inbound frame may cost a signature check: it keeps
// to the rate, and it does not say itself that it is another's or of another
// time. What is not worth it never reaches the node, and is answered as the node
// would answer it.
func (c *conn) worthOpening(o *wire.Opener, frame []byte, stranger bool) bool {
	now := time.Now()
	if !c.within(1+len(frame)/frameUnit, now) {
		return false
	}
	sender, at, ok := o.Glance(frame)
	fresh := wire.DefaultFresh
	fresh.Past += windowSlack
	fresh.Future += windowSlack
	c.mu.Lock()
	foreign := c.peer != "" && sender != c.peer
	c.mu.Unlock()
	if !ok || !foreign && fresh.Check(at, now) == nil {
		return true
	}
	c.t.count.outside.Add(1)
	if stranger {
		c.send(wire.AppendStatus(nil, wire.TextInvalidAuth))
		c.close(wire.CloseAuth, wire.TextInvalidAuth)
	} else {
		c.send(wire.AppendError(nil, nil, now, "", wire.TextInvalidMessage))
	}
	return false
}

// timedOut is true of a deadline's error. The WebSocket package wraps it in a
// type of its own, so that os.ErrDeadlineExceeded is not found in it.
func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// drain leaves the peer CloseTimeout to take our close frame: closing a socket
// with unread bytes would reset the connection and lose it. What it says meanwhile
// is not even taken for frames.
func (c *conn) drain(why error) error {
	c.leave()
	io.Copy(io.Discard, io.LimitReader(c.ws.NetConn(), int64(4*c.t.cfg.Frame)))
	return why
}

// readFrame reads one frame into buf, which grows up to limit.
func readFrame(buf []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf, errTooBig
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// write writes what is queued, pings, and at the end says goodbye.
func (c *conn) write() {
	ping := time.NewTicker(c.t.cfg.PingEvery)
	defer ping.Stop()
	var batch [][]byte
	for {
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		gone, closing, closeBy := c.gone, c.closing, c.closeBy
		c.mu.Unlock()
		if gone {
			return
		}
		for i, frame := range batch {
			until := time.Now().Add(c.t.cfg.WriteTimeout)
			if closing && closeBy.Before(until) {
				until = closeBy
			}
			c.ws.SetWriteDeadline(until)
			if err := c.ws.WriteMessage(websocket.TextMessage, frame); err != nil {
				if timedOut(err) {
					c.t.count.slow.Add(1)
				}
				c.ws.Close() // the read pump sees it and cleans up
				return
			}
			batch[i] = nil
			c.t.count.framesOut.Add(1)
			c.t.count.bytesOut.Add(uint64(len(frame)))
			c.mu.Lock()
			c.bytes -= len(frame)
			c.mu.Unlock()
		}
		if len(batch) > 0 {
			continue // more may have come, and then closing is not yet due
		}
		if closing {
			c.goodbye()
			return
		}
		select {
		case <-c.wake:
		case <-ping.C:
			if c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.t.cfg.WriteTimeout)) != nil {
				c.ws.Close()
				return
			}
		}
	}
}

// goodbye sends the close frame and gives the peer CloseTimeout to answer it.
func (c *conn) goodbye() {
	c.mu.Lock()
	code, reason := c.code, c.reason
	c.mu.Unlock()
	// A reason takes 123 bytes at most.
	text := websocket.FormatCloseMessage(code, reason[:min(len(reason), 120)])
	c.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(c.t.cfg.CloseTimeout))
	c.leave()
}
