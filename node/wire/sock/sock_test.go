package sock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	validator chain.Hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
	miner     chain.Hotkey = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
)

// patience bounds every wait: far more than any should take on a busy machine.
const patience = 10 * time.Second

// noon is when every frame of a test says that it was made: now, as sockets look
// at the clock.
var noon = time.Now().UTC().Truncate(time.Microsecond)

// side is a transport with its inbox.
type side struct {
	*Transport
	t       *testing.T
	events  chan wire.Event
	dialled wire.Conn
}

// dial numbers connections as a node does.
func (s *side) dial(address string) wire.Conn {
	s.dialled++
	s.Dial(wire.Dialled|s.dialled, address)
	return wire.Dialled | s.dialled
}

func newSide(t *testing.T, cfg Config) *side {
	s := &side{t: t, events: make(chan wire.Event, 4096)}
	s.Transport = New(cfg,
		func() *wire.Opener { return &wire.Opener{Verifier: wire.Keyed{Key: 1}} },
		func(e wire.Event) bool {
			select {
			case s.events <- e:
				return true
			default:
				return false
			}
		})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Stop(ctx)
	})
	return s
}

func listening(t *testing.T, cfg Config) *side {
	s := newSide(t, cfg)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *side) next(kind wire.EventKind) wire.Event {
	s.t.Helper()
	select {
	case e := <-s.events:
		if e.Kind != kind {
			s.t.Fatalf("event %d %s of connection %d, want %d", e.Kind, e.Raw, e.Conn, kind)
		}
		return e
	case <-time.After(patience):
		s.t.Fatalf("no event, want %d", kind)
	}
	panic("unreachable")
}

// admitted takes in the next inbound connection, and proves it at once.
func (s *side) admitted() wire.Conn {
	s.t.Helper()
	e := s.next(wire.Opened)
	s.Prove(e.Conn, miner)
	return e.Conn
}

// pair connects a miner to a validator, which proves it, and returns both ends.
func pair(t *testing.T, v, m *side) (atV, atM wire.Conn) {
	t.Helper()
	id := m.dial(v.Addr().String())
	e := m.next(wire.Opened)
	if e.Conn != id || e.Inbound || e.Remote != v.Addr().String() {
		t.Fatalf("dialled %d, opened %+v", id, e)
	}
	in := v.next(wire.Opened)
	if !in.Inbound || !strings.HasPrefix(in.Remote, "127.0.0.1:") {
		t.Fatalf("accepted %+v", in)
	}
	v.Prove(in.Conn, miner)
	return in.Conn, id
}

func heartbeat(h chain.Hotkey, i int) []byte {
	return wire.AppendHeartbeat(nil, wire.Keyed{Key: 1, Name: h}, noon, fmt.Sprint(i))
}

// rawDial connects as a client of any make would.
func rawDial(t *testing.T, s *side) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+s.Addr().String()+Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return ws
}

// closeCode reads until the other side closes.
func closeCode(t *testing.T, ws *websocket.Conn) int {
	t.Helper()
	ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, _, err := ws.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return closed.Code
		}
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
	}
}

// until waits for a condition that another goroutine brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestFramesArriveOpenedAndInOrder(t *testing.T) {
	v, m := listening(t, Config{QueueFrames: 2000, FrameBurst: 2000}), newSide(t, Config{QueueFrames: 2000})
	id := m.dial(v.Addr().String())
	const n = 1000
	for i := range n { // the first before the connection stands
		m.Send(id, heartbeat(miner, i))
	}
	in := v.next(wire.Opened)
	v.Prove(in.Conn, miner)
	m.next(wire.Opened)
	for i := range n {
		e := v.next(wire.Received)
		if e.Err != nil || e.Conn != in.Conn || e.Message.Kind != wire.Heartbeat || e.Message.Sender != miner || e.Message.Nonce != fmt.Sprint(i) {
			t.Fatalf("frame %d: %+v", i, e)
		}
		if !bytes.Equal(e.Raw, heartbeat(miner, i)) {
			t.Fatalf("frame %d: %s", i, e.Raw)
		}
	}
	v.Send(in.Conn, []byte("what is this"))
	if e := m.next(wire.Received); e.Err != wire.ErrJSON || string(e.Raw) != "what is this" {
		t.Errorf("answer: %+v", e)
	}
	until(t, "the answer counted", func() bool { return v.Stats().FramesOut == 1 })
	m.Send(id, bytes.Replace(heartbeat(miner, n), []byte(fmt.Sprintf(`"%d"`, n)), []byte(`"1"`), 1))
	if e := v.next(wire.Received); e.Err != wire.ErrSignature {
		t.Errorf("forged: %+v", e)
	}
	if s := v.Stats(); s.FramesIn != n+1 || s.Inbound != 1 || s.Malformed != 1 || s.Signed != n || s.Forged != 1 || s.Open != 1 {
		t.Errorf("validator: %+v", s)
	}
	if s := m.Stats(); s.Dialled != 1 || s.Malformed != 1 {
		t.Errorf("miner: %+v", s)
	}
}

func TestCloseComesAfterWhatWasSent(t *testing.T) {
	v, m := listening(t, Config{}), newSide(t, Config{})
	atV, atM := pair(t, v, m)
	v.Send(atV, wire.AppendStatus(nil, wire.TextInvalidAuth))
	v.Close(atV, wire.ClosePolicy, wire.TextInvalidAuth)
	v.Close(atV, wire.CloseNormal, "too late to matter")
	v.Send(atV, heartbeat(validator, 1)) // on a closing connection: dropped
	if e := m.next(wire.Received); e.Message.Kind != wire.Status {
		t.Errorf("refusal: %+v", e)
	}
	if e := m.next(wire.Closed); e.Conn != atM || string(e.Raw) != "closed by peer: 1008 Invalid authentication" {
		t.Errorf("miner: %s", e.Raw)
	}
	if e := v.next(wire.Closed); string(e.Raw) != "closed: 1008 Invalid authentication" {
		t.Errorf("validator: %s", e.Raw)
	}
	v.Send(atV, nil) // on a connection that is gone: nothing
	v.Close(atV, wire.CloseNormal, "")
	if s := v.Stats(); s.FramesOut != 1 || s.QueueFull != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDialThatFailsIsClosed(t *testing.T) {
	m := newSide(t, Config{DialTimeout: patience})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Run("nobody there", func(t *testing.T) {
		gone, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		id := m.dial(gone.Addr().String())
		if e := m.next(wire.Closed); e.Conn != id || !strings.HasPrefix(string(e.Raw), "dial: ") {
			t.Errorf("%+v", e)
		}
	})
	t.Run("given up while it hangs", func(t *testing.T) {
		id := m.dial(ln.Addr().String()) // accepted by the kernel, never answered
		m.Close(id, wire.CloseNormal, "")
		if e := m.next(wire.Closed); e.Conn != id {
			t.Errorf("%+v", e)
		}
	})
	t.Run("no websocket", func(t *testing.T) {
		v := listening(t, Config{})
		m.dial("ws://" + v.Addr().String() + "/other")
		if e := m.next(wire.Closed); !strings.Contains(string(e.Raw), "404") {
			t.Errorf("%s", e.Raw)
		}
	})
	t.Run("one too many", func(t *testing.T) {
		few := newSide(t, Config{MaxDialled: 1, DialTimeout: patience})
		first := few.dial(ln.Addr().String())
		second := few.dial(ln.Addr().String())
		if e := few.next(wire.Closed); e.Conn != second || string(e.Raw) != "too many connections" {
			t.Errorf("%+v", e)
		}
		few.Close(first, wire.CloseNormal, "")
		few.next(wire.Closed)
	})
	if s := m.Stats(); s.DialFailed != 3 || s.Dialled != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFrameAboveTheLimitEndsTheConnection(t *testing.T) {
	v := listening(t, Config{Frame: 1000})
	ws := rawDial(t, v)
	v.admitted()
	if err := ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Fatal(err)
	}
	if e := v.next(wire.Received); e.Err != wire.ErrJSON {
		t.Errorf("frame of the limit: %v", e.Err)
	}
	ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), 1001))
	if code := closeCode(t, ws); code != wire.CloseTooBig {
		t.Errorf("closed with %d", code)
	}
	if e := v.next(wire.Closed); string(e.Raw) != "closed: 4009 frame too large" {
		t.Errorf("%s", e.Raw)
	}
}

func TestBinaryFrameEndsTheConnection(t *testing.T) {
	v := listening(t, Config{})
	ws := rawDial(t, v)
	v.next(wire.Opened)
	ws.WriteMessage(websocket.BinaryMessage, heartbeat(miner, 1))
	if code := closeCode(t, ws); code != websocket.CloseUnsupportedData {
		t.Errorf("closed with %d", code)
	}
	v.next(wire.Closed)
}

// Whatever an inbound peer says, it goes if the node does not prove it, and so it
// does if the node says something to it.
func TestUnprovedPeerIsClosed(t *testing.T) {
	v := listening(t, Config{ProveTimeout: 300 * time.Millisecond})
	silent, talking := rawDial(t, v), rawDial(t, v)
	v.next(wire.Opened)
	v.next(wire.Opened)
	talking.WriteMessage(websocket.TextMessage, heartbeat(miner, 1))
	v.Send(v.next(wire.Received).Conn, wire.AppendStatus(nil, "who are you?"))
	for name, ws := range map[string]*websocket.Conn{"silent": silent, "talking": talking} {
		if code := closeCode(t, ws); code != wire.CloseAuth {
			t.Errorf("%s: closed with %d", name, code)
		}
	}
	until(t, "both counted", func() bool { return v.Stats().Unproved == 2 })
}

// One that the node has hung up on is none of those, whether it has said something
// or not: it neither answers the close frame nor goes.
func TestHungUpIsNotUnproved(t *testing.T) {
	v := listening(t, Config{ProveTimeout: patience, CloseTimeout: 100 * time.Millisecond})
	for _, talks := range []bool{false, true} {
		ws := rawDial(t, v)
		id := v.next(wire.Opened).Conn
		if talks {
			ws.WriteMessage(websocket.TextMessage, heartbeat(miner, 1))
			v.next(wire.Received)
		}
		v.Close(id, wire.CloseUnregistered, wire.TextUnregistered)
		if e := v.next(wire.Closed); string(e.Raw) != "closed: 4003 "+wire.TextUnregistered {
			t.Errorf("%s", e.Raw)
		}
	}
	if s := v.Stats(); s.Unproved != 0 || s.Dead != 0 {
		t.Errorf("%+v", s)
	}
}

// Once proved, a peer stays as long as it answers pings, and goes when it
// does not.
func TestPingsFindTheDead(t *testing.T) {
	v := listening(t, Config{ProveTimeout: 300 * time.Millisecond, PingEvery: 200 * time.Millisecond})
	ws := rawDial(t, v)
	v.admitted()
	pings := make(chan struct{}, 1000)
	var answer atomic.Bool
	answer.Store(true)
	ws.SetPingHandler(func(string) error {
		pings <- struct{}{}
		if answer.Load() {
			return ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience))
		}
		return nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for range 4 { // longer than either timeout
		select {
		case <-pings:
		case e := <-v.events:
			t.Fatalf("answered pings, yet %s", e.Raw)
		}
	}
	answer.Store(false)
	if e := v.next(wire.Closed); string(e.Raw) != "silent for too long" || v.Stats().Dead != 1 {
		t.Errorf("%s, %+v", e.Raw, v.Stats())
	}
	<-done
}

// A peer that does not read is cut off when one frame takes too long.
func TestSlowReaderIsCutOffByTheClock(t *testing.T) {
	v := listening(t, Config{WriteTimeout: 100 * time.Millisecond, QueueBytes: 64 << 20})
	rawDial(t, v) // never reads
	id := v.next(wire.Opened).Conn
	frame := bytes.Repeat([]byte("x"), 200<<10)
	for range 100 { // more than the kernel's buffers take
		v.Send(id, frame)
	}
	if e := v.next(wire.Closed); e.Conn != id {
		t.Errorf("%+v", e)
	}
	if s := v.Stats(); s.Slow != 1 || s.QueueFull != 0 {
		t.Errorf("%+v", s)
	}
}

// A peer that does not read is cut off when its queue is full, at once.
func TestSlowReaderIsCutOffByItsQueue(t *testing.T) {
	v := listening(t, Config{WriteTimeout: time.Hour, QueueFrames: 8})
	rawDial(t, v) // never reads
	id := v.next(wire.Opened).Conn
	frame := bytes.Repeat([]byte("x"), 200<<10)
	until(t, "a full queue", func() bool {
		v.Send(id, frame)
		return v.Stats().QueueFull == 1
	})
	if e := v.next(wire.Closed); string(e.Raw) != "closed: 4008 reads too slowly" {
		t.Errorf("%s", e.Raw)
	}
}

func TestInboundLimits(t *testing.T) {
	t.Run("of one address", func(t *testing.T) {
		v := listening(t, Config{MaxLoopback: 2, AcceptRate: 100, AcceptBurst: 100})
		first := rawDial(t, v)
		rawDial(t, v)
		v.next(wire.Opened)
		v.next(wire.Opened)
		if ws, _, err := websocket.DefaultDialer.Dial("ws://"+v.Addr().String()+Path, nil); err == nil {
			ws.Close()
			t.Error("a third got in")
		}
		if v.Stats().Refused != 1 {
			t.Errorf("%+v", v.Stats())
		}
		first.Close()
		v.next(wire.Closed)
		rawDial(t, v)
		v.next(wire.Opened)
	})
	t.Run("of those who are proved", func(t *testing.T) {
		v := listening(t, Config{MaxInbound: 1})
		rawDial(t, v)
		v.admitted()
		second := rawDial(t, v)
		v.admitted()
		if code := closeCode(t, second); code != websocket.CloseTryAgainLater {
			t.Errorf("closed with %d", code)
		}
		v.next(wire.Closed)
		if s := v.Stats(); s.Refused != 1 || s.Open != 1 || s.Unproved != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("new ones of one address", func(t *testing.T) {
		v := listening(t, Config{MaxLoopback: 3, AcceptRate: 1, AcceptBurst: 3})
		for range 3 {
			ws := rawDial(t, v)
			v.next(wire.Opened)
			ws.Close()
			v.next(wire.Closed)
		}
		if ws, _, err := websocket.DefaultDialer.Dial("ws://"+v.Addr().String()+Path, nil); err == nil {
			ws.Close()
			t.Error("a fourth within a second")
		}
	})
}

// The addresses of tests are loopback, so the rule for others is tried below
// the sockets.
func TestLimiterCountsByAddress(t *testing.T) {
	tr := New(Config{MaxInbound: 100, MaxPerAddress: 3, MaxUnproved: 2, MaxLoopback: 50}, nil, nil)
	defer tr.cancel()
	l := tr.limit
	dial := func(addr string) (*admitted, bool) { return l.admit(fakeConn{addr: addr}, noon) }
	a, ok1 := dial("192.0.2.1:1")
	_, ok2 := dial("192.0.2.1:2")
	_, ok3 := dial("192.0.2.1:3")
	if !ok1 || !ok2 || ok3 {
		t.Fatalf("unproved of one address: %v %v %v", ok1, ok2, ok3)
	}
	if _, ok := dial("[::ffff:192.0.2.1]:4"); ok {
		t.Error("the same address in another form")
	}
	if _, ok := dial("192.0.2.2:1"); !ok {
		t.Error("another address")
	}
	a.prove(noon)
	a.prove(noon)
	b, ok := dial("192.0.2.1:5")
	if !ok {
		t.Fatal("room after one was proved")
	}
	b.prove(noon)
	if _, ok := dial("192.0.2.1:6"); ok {
		t.Error("a fourth of one address")
	}
	a.Close()
	a.Close()
	a.prove(noon)
	if c, ok := dial("192.0.2.1:7"); !ok {
		t.Error("room after one closed")
	} else {
		c.Close()
	}
	if l.open() != 3 || l.proved != 1 || len(l.addrs) != 2 {
		t.Errorf("%d connections, %d proved, of %d addresses", l.open(), l.proved, len(l.addrs))
	}
	first, ok1 := dial("[2001:db8:0:1::1]:1")
	_, ok2 = dial("[2001:db8:0:1:ffff::2]:1")
	_, ok3 = dial("[2001:db8:0:1::3]:1")
	if !ok1 || !ok2 || ok3 || first.addr.String() != "2001:db8:0:1::" {
		t.Errorf("addresses of one customer: %v %v %v", ok1, ok2, ok3)
	}
}

// TestLimiterMakesRoom: a stranger who comes is worth one who waits, of an address
// that has others first; who was proved is not touched, and comes back first.
func TestLimiterMakesRoom(t *testing.T) {
	tr := New(Config{MaxStrangers: 4, MaxUnproved: 2, AcceptBurst: 100}, nil, nil)
	defer tr.cancel()
	l := tr.limit
	now := noon
	dial := func(addr string) *admitted {
		a, ok := l.admit(fakeConn{addr: addr}, now)
		if !ok {
			t.Fatalf("%s was refused", addr)
		}
		return a
	}
	known := dial("192.0.2.9:1")
	known.prove(now)
	var in []*admitted
	for i, addr := range []string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.3:2"} {
		in = append(in, dial(addr))
		if l.waiting() != i+1 {
			t.Fatalf("%d wait", l.waiting())
		}
	}
	gone := func(want ...int) {
		t.Helper()
		for i, a := range in {
			if is := contains(want, i); a.closed != is {
				t.Errorf("connection %d: closed %v, want %v", i, a.closed, is)
			}
		}
	}
	in = append(in, dial("192.0.2.4:1")) // in the place of one of the two
	gone(2)
	in = append(in, dial("192.0.2.5:1")) // in the oldest's
	gone(2, 0)
	back := dial("192.0.2.9:2") // of an address that was proved
	gone(2, 0, 1)
	for i := range 20 {
		dial(fmt.Sprintf("198.51.100.%d:1", i))
	}
	if back.closed || known.closed || l.waiting() != 4 {
		t.Errorf("strangers took the place of one that was proved: %v %v, %d wait", back.closed, known.closed, l.waiting())
	}
	if n := l.count.evicted.Load(); n != 23 {
		t.Errorf("%d made room", n)
	}
	// Where all places are those of such addresses, a stranger finds none, and one
	// of them still does.
	for i := range 3 {
		a := dial(fmt.Sprintf("203.0.113.%d:1", i))
		a.prove(now)
		a.Close()
		dial(fmt.Sprintf("203.0.113.%d:1", i))
	}
	if _, ok := l.admit(fakeConn{addr: "192.0.2.77:1"}, now); ok {
		t.Error("a stranger before those who come back")
	}
	dial("192.0.2.9:3")
	// But not for ever.
	now = now.Add(latelyFor)
	if _, ok := l.admit(fakeConn{addr: "192.0.2.9:4"}, now); ok {
		t.Error("an address was remembered for longer than it should")
	}
}

func contains(all []int, one int) bool {
	for _, x := range all {
		if x == one {
			return true
		}
	}
	return false
}

// TestLimiterIsBounded: however many addresses come, what is remembered of them
// is not more.
func TestLimiterIsBounded(t *testing.T) {
	tr := New(Config{MaxStrangers: 8}, nil, nil)
	defer tr.cancel()
	l := tr.limit
	for i := range 3 * maxRates {
		a, ok := l.admit(fakeConn{addr: fmt.Sprintf("100.%d.%d.%d:1", i>>16, i>>8&255, i&255)}, noon.Add(time.Duration(i)*time.Microsecond))
		if !ok {
			t.Fatal("refused")
		}
		if i%3 == 0 {
			a.prove(noon.Add(time.Duration(i) * time.Microsecond))
			a.Close()
		}
	}
	if len(l.rates) > maxRates || len(l.lately) > maxLately || l.waiting() > 8 || len(l.addrs) > 8 {
		t.Errorf("%d rates, %d addresses lately, %d wait of %d addresses", len(l.rates), len(l.lately), l.waiting(), len(l.addrs))
	}
	if _, ok := l.lately[netip.MustParseAddr("100.0.0.0")]; ok {
		t.Error("the oldest is kept")
	}
}

// TestPace: so much at once, so much in the long run, and how far beyond.
func TestPace(t *testing.T) {
	a := allowance{perSecond: 10, burst: 5}
	var p pace
	now := noon
	for i := range 5 {
		if over := p.over(1, a, now); over != 0 {
			t.Errorf("%d of the burst: %v beyond", i, over)
		}
	}
	if over := p.over(1, a, now); over != 100*time.Millisecond {
		t.Errorf("the sixth: %v beyond", over)
	}
	now = now.Add(time.Second)
	if over := p.over(5, a, now); over != 0 {
		t.Errorf("after a second: %v beyond", over)
	}
	if over := p.over(10, a, now); over != time.Second {
		t.Errorf("ten more: %v beyond", over)
	}
}

type fakeConn struct {
	net.Conn
	addr string
}

func (c fakeConn) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", c.addr)
	return a
}
func (c fakeConn) Close() error { return nil }

// A full inbox loses frames but never the end of a connection it knows of, and
// takes no newcomer.
func TestFullInbox(t *testing.T) {
	var full atomic.Bool
	events := make(chan wire.Event, 100)
	v := New(Config{}, func() *wire.Opener { return &wire.Opener{} }, func(e wire.Event) bool {
		if full.Load() {
			return false
		}
		events <- e
		return true
	})
	defer v.Stop(context.Background())
	if err := v.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s := &side{Transport: v, t: t, events: events}
	ws := rawDial(t, s)
	s.admitted()
	full.Store(true)
	ws.WriteMessage(websocket.TextMessage, []byte("{}"))
	until(t, "a frame shed", func() bool { return v.Stats().Shed == 1 })
	late := rawDial(t, s)
	if code := closeCode(t, late); code != websocket.CloseTryAgainLater {
		t.Errorf("newcomer closed with %d", code)
	}
	ws.Close()
	until(t, "both gone", func() bool { return v.limit.open() == 0 })
	full.Store(false)
	s.next(wire.Closed)
	if n := len(events); n != 0 {
		t.Errorf("%d events too many", n)
	}
}

// open is how many connections are counted.
func (l *limiter) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proved + l.strangers.Len() + l.returning.Len()
}

func TestStopSaysGoodbye(t *testing.T) {
	v, m := listening(t, Config{}), newSide(t, Config{})
	atV, _ := pair(t, v, m)
	v.Send(atV, heartbeat(validator, 1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.Stop(ctx); err != nil {
		t.Error(err)
	}
	if e := m.next(wire.Received); e.Message.Kind != wire.Heartbeat {
		t.Errorf("%+v", e)
	}
	if e := m.next(wire.Closed); string(e.Raw) != "closed by peer: 1012 Server shutting down" {
		t.Errorf("%s", e.Raw)
	}
	if err := v.Listen("127.0.0.1:0"); !errors.Is(err, ErrStopped) {
		t.Errorf("listen after stop: %v", err)
	}
	if v.Send(v.dial("127.0.0.1:1"), nil); v.conn(wire.Dialled|1) != nil {
		t.Error("dialled after stop")
	}
	if err := v.Stop(ctx); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

// Nobody can hold Stop up: not a peer that does not read, not a dial that
// hangs, not an inbox that nobody empties.
func TestStopIsBounded(t *testing.T) {
	v := listening(t, Config{WriteTimeout: time.Hour, CloseTimeout: time.Hour, DialTimeout: time.Hour})
	rawDial(t, v)
	id := v.next(wire.Opened).Conn
	frame := bytes.Repeat([]byte("x"), 250<<10)
	for range 16 { // more than the kernel's buffers take, less than the queue
		v.Send(id, frame)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	v.dial(ln.Addr().String())
	for full := false; !full; {
		select {
		case v.events <- wire.Event{}:
		default:
			full = true
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := v.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
}

func TestListenOnce(t *testing.T) {
	v := listening(t, Config{})
	if err := v.Listen("127.0.0.1:0"); err == nil {
		t.Error("listened twice")
	}
	if err := newSide(t, Config{}).Listen(v.Addr().String()); err == nil {
		t.Error("listened where somebody is")
	}
	resp, err := http.Get("http://" + v.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("served %s beside the websocket", resp.Status)
	}
}

// BenchmarkOneWay sends heartbeats over one loopback connection.
func BenchmarkOneWay(b *testing.B) {
	got := make(chan struct{}, 1)
	left := b.N
	room := make(chan struct{}, 200) // under way: less than the queue takes
	var v *Transport
	v = New(Config{FrameRate: 1 << 30, FrameBurst: 1 << 30}, func() *wire.Opener { return &wire.Opener{Verifier: wire.Keyed{Key: 1}} }, func(e wire.Event) bool {
		if e.Kind == wire.Opened {
			v.Prove(e.Conn, miner)
		}
		if e.Kind == wire.Received {
			<-room
			if left--; left == 0 {
				got <- struct{}{}
			}
		}
		return true
	})
	defer v.Stop(context.Background())
	if err := v.Listen("127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	m := New(Config{}, func() *wire.Opener { return &wire.Opener{} }, func(wire.Event) bool { return true })
	defer m.Stop(context.Background())
	id := wire.Dialled | 1
	m.Dial(id, v.Addr().String())
	frame := heartbeat(miner, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		room <- struct{}{}
		m.Send(id, frame)
	}
	<-got
}

// BenchmarkIdle reports what an idle pair of connections costs, both ends.
func BenchmarkIdle(b *testing.B) {
	opened := make(chan struct{}, 1024)
	inbox := func(e wire.Event) bool {
		if e.Kind == wire.Opened {
			opened <- struct{}{}
		}
		return true
	}
	opener := func() *wire.Opener { return &wire.Opener{Verifier: wire.Keyed{Key: 1}} }
	for range b.N {
		v, m := New(Config{}, opener, inbox), New(Config{}, opener, inbox)
		if err := v.Listen("127.0.0.1:0"); err != nil {
			b.Fatal(err)
		}
		const pairs = 200
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range pairs {
			m.Dial(wire.Dialled|wire.Conn(i), v.Addr().String())
			<-opened
			<-opened
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/(2*pairs), "B/connection")
		m.Stop(context.Background())
		v.Stop(context.Background())
	}
}

// TestDialsFromItsAddress: both ways out of a transport leave from the address
// that it was given.
func TestDialsFromItsAddress(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.77")
	if ln, err := net.Listen("tcp", netip.AddrPortFrom(own, 0).String()); err != nil {
		t.Skipf("this system has no such loopback address: %v", err)
	} else {
		ln.Close()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := Config{DialFrom: own}
	cfg.fill()
	d, client := cfg.dialer(), newClient(&cfg)
	for name, dial := range map[string]func() (net.Conn, error){
		"WebSocket": func() (net.Conn, error) { return d.DialContext(t.Context(), "tcp", ln.Addr().String()) },
		"exchange": func() (net.Conn, error) {
			return client.Transport.(*http.Transport).DialContext(t.Context(), "tcp", ln.Addr().String())
		},
	} {
		out, err := dial()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := in.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != own {
			t.Errorf("%s comes from %s, want %s", name, got, own)
		}
		in.Close()
		out.Close()
	}
}
