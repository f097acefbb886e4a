package sock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

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

// conn is one connection. The goroutine in run owns ws for reading, the one in
// write for writing; control frames may come from both.
type conn struct {
	t          *Transport
	id         wire.Conn
	inbound    bool
	cancelDial context.CancelFunc // dialled: ends an attempt that is under way
	admitted   *admitted          // inbound: what the limiter counts
	answered   atomic.Bool        // something was sent: an inbound peer is proved

	ws *websocket.Conn // set before run, never changed

	wake chan struct{} // holds one: queue or closing changed

	mu       sync.Mutex // guards what follows, and read deadlines; never held while waiting
	standing bool       // ws is set
	queue    [][]byte
	bytes    int  // in queue and in the write pump's hands
	closing  bool // close was called: code and reason hold
	code     int
	reason   string
	closeBy  time.Time // all that is still to be written must be written by then
	leaving  bool      // the read deadline is the last one
	gone     bool      // the read pump has ended
	cut      bool      // abort was called
}

func (t *Transport) newConn(id wire.Conn, inbound bool) *conn {
	return &conn{t: t, id: id, inbound: inbound, wake: make(chan struct{}, 1)}
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
	first := !c.answered.Swap(true)
	c.mu.Unlock()
	if first && c.admitted != nil {
		c.admitted.prove()
		c.extend()
	}
	c.signal()
}

// close asks the write pump to finish. The first call decides code and reason.
func (c *conn) close(code int, reason string) {
	c.mu.Lock()
	if !c.closing {
		c.closing, c.code, c.reason = true, code, reason
		c.closeBy = time.Now().Add(c.t.cfg.WriteTimeout)
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

// extend puts the read deadline off: the peer was heard, or has been answered
// for the first time. Nothing an inbound peer says before that puts it off.
func (c *conn) extend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standing && !c.leaving && (!c.inbound || c.answered.Load()) {
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
// know is only waited for to go.
func (c *conn) read(known bool) error {
	opener := c.t.open()
	if c.inbound {
		c.mu.Lock()
		if !c.leaving && !c.answered.Load() {
			c.ws.SetReadDeadline(time.Now().Add(c.t.cfg.ProveTimeout))
		}
		c.mu.Unlock()
	}
	c.extend()
	c.ws.SetPongHandler(func(string) error { c.extend(); return nil })
	buf := make([]byte, 0, readBuffer)
	for {
		kind, r, err := c.ws.NextReader()
		if err == nil {
			buf, err = readFrame(buf[:0], r, c.t.cfg.Frame)
		}
		switch {
		case err == nil && kind != websocket.TextMessage:
			c.close(websocket.CloseUnsupportedData, errBinary.Error())
			return c.drain(errBinary)
		case errors.Is(err, errTooBig):
			c.t.count.malformed.Add(1)
			c.close(wire.CloseTooBig, errTooBig.Error())
			return c.drain(err)
		case timedOut(err) && c.inbound && !c.answered.Load():
			c.t.count.unproved.Add(1)
			c.close(wire.CloseAuth, wire.TextInvalidAuth)
			return errors.New("not authenticated in time")
		case timedOut(err):
			c.t.count.dead.Add(1)
			return errors.New("silent for too long")
		case err != nil:
			return err
		}
		c.extend()
		c.t.count.framesIn.Add(1)
		c.t.count.bytesIn.Add(uint64(len(buf)))
		if !known {
			continue
		}
		e := wire.Event{Conn: c.id, Kind: wire.Received, Raw: bytes.Clone(buf)}
		if e.Message, e.Err = opener.Open(e.Raw); e.Err != nil {
			c.t.count.malformed.Add(1)
		}
		c.t.judged(&e)
		if !c.t.offer(e) {
			c.t.count.shed.Add(1)
		}
		if cap(buf) > keepBuffer {
			buf = make([]byte, 0, readBuffer)
		}
	}
}

// timedOut is true of a deadline's error. The WebSocket package wraps it in a
// type of its own, so that os.ErrDeadlineExceeded is not found in it.
func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// drain leaves the peer CloseTimeout to take our close frame: closing a socket
// with unread bytes would reset the connection and lose it.
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
