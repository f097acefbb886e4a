package sock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"

	"github.com/gorilla/websocket"
)

// auth is the first frame of a connection.
func auth(h chain.Hotkey) []byte {
	return wire.AppendAuth(nil, wire.Keyed{Key: 1, Name: h}, noon, "1", validator)
}

// TestHungUpIsNotVerified: of one that the node has hung up on nothing is opened
// any more, whatever it goes on saying.
func TestHungUpIsNotVerified(t *testing.T) {
	for _, proved := range []bool{false, true} {
		v := listening(t, Config{FrameRate: 1 << 20, FrameBurst: 1 << 20})
		ws := rawDial(t, v)
		id := v.next(wire.Opened).Conn
		if proved {
			v.Prove(id, miner)
		}
		ws.WriteMessage(websocket.TextMessage, heartbeat(miner, 0))
		v.next(wire.Received)
		v.Close(id, wire.CloseAuth, wire.TextInvalidAuth)
		for i := 1; i <= 1000; i++ { // until it is gone
			if ws.WriteMessage(websocket.TextMessage, heartbeat(miner, i)) != nil {
				break
			}
		}
		if e := v.next(wire.Closed); string(e.Raw) != "closed: 4001 Invalid authentication" {
			t.Errorf("proved %v: %s", proved, e.Raw)
		}
		if s := v.Stats(); s.Signed != 1 || s.FramesIn != 1 {
			t.Errorf("proved %v: %d signatures of %d frames", proved, s.Signed, s.FramesIn)
		}
	}
}

// TestOneFrameOfAStranger: what follows an auth waits unread until the node has
// proved its sender, and then comes in order.
func TestOneFrameOfAStranger(t *testing.T) {
	v := listening(t, Config{})
	ws := rawDial(t, v)
	id := v.next(wire.Opened).Conn
	ws.WriteMessage(websocket.TextMessage, auth(miner))
	for i := range 20 {
		ws.WriteMessage(websocket.TextMessage, heartbeat(miner, i))
	}
	if e := v.next(wire.Received); e.Message.Kind != wire.Auth {
		t.Fatalf("%+v", e)
	}
	// Another connection's whole way is time enough for a pump that reads on.
	other := rawDial(t, v)
	v.next(wire.Opened)
	other.WriteMessage(websocket.TextMessage, auth(miner))
	v.next(wire.Received)
	if s := v.Stats(); s.FramesIn != 2 || s.Signed != 2 {
		t.Errorf("%d frames read, %d signatures checked before anybody was proved", s.FramesIn, s.Signed)
	}
	v.Prove(id, miner)
	for i := range 20 {
		if e := v.next(wire.Received); e.Conn != id || e.Message.Nonce != fmt.Sprint(i) {
			t.Fatalf("frame %d: %+v", i, e)
		}
	}
}

// A frame that no auth can be ends the connection of a stranger.
func TestLargeFrameOfAStranger(t *testing.T) {
	v := listening(t, Config{})
	ws := rawDial(t, v)
	v.next(wire.Opened)
	ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), strangerFrame+1))
	if code := closeCode(t, ws); code != wire.CloseTooBig {
		t.Errorf("closed with %d", code)
	}
}

// An auth that the loop had no room for is not waited over.
func TestShedAuthEndsTheConnection(t *testing.T) {
	v := New(Config{}, func() *wire.Opener { return &wire.Opener{Verifier: wire.Keyed{Key: 1}} },
		func(e wire.Event) bool { return e.Kind != wire.Received })
	defer v.Stop(context.Background())
	if err := v.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ws := rawDial(t, &side{Transport: v, t: t})
	ws.WriteMessage(websocket.TextMessage, auth(miner))
	if code := closeCode(t, ws); code != websocket.CloseTryAgainLater {
		t.Errorf("closed with %d", code)
	}
}

// TestRateBeforeSignature: frames beyond the rate cost no signature check, and a
// connection that goes on is closed. Large ones count for more, and pings too.
func TestRateBeforeSignature(t *testing.T) {
	large := []byte(`{"x": "` + strings.Repeat("x", 8*frameUnit) + `"}`)
	for _, c := range []struct {
		name string
		send func(ws *websocket.Conn, i int) error
		most uint64
	}{
		{"heartbeats", func(ws *websocket.Conn, i int) error {
			return ws.WriteMessage(websocket.TextMessage, heartbeat(miner, i))
		}, 12},
		{"large frames", func(ws *websocket.Conn, _ int) error { return ws.WriteMessage(websocket.TextMessage, large) }, 2},
		{"pings", func(ws *websocket.Conn, _ int) error {
			return ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience))
		}, 0},
	} {
		v := listening(t, Config{FrameRate: 1, FrameBurst: 10})
		ws := rawDial(t, v)
		v.admitted()
		go func() {
			for i := range 1000 {
				if c.send(ws, i) != nil {
					return
				}
			}
		}()
		if code := closeCode(t, ws); code != wire.CloseRate {
			t.Errorf("%s: closed with %d", c.name, code)
		}
		opened := uint64(0)
		for e := v.anyEvent(); e.Kind != wire.Closed; e = v.anyEvent() {
			opened++
		}
		if s := v.Stats(); opened > c.most || s.Limited == 0 || s.Limited > 15 {
			t.Errorf("%s: %d opened, %d limited", c.name, opened, s.Limited)
		}
	}
}

// TestOutsideIsNotOpened: a frame that says itself that it is another's, or of
// another day, is answered as the node would and costs no signature check.
func TestOutsideIsNotOpened(t *testing.T) {
	old := noon.Add(-time.Hour)
	sign := func(h chain.Hotkey) wire.Keyed { return wire.Keyed{Key: 1, Name: h} }
	t.Run("in a session", func(t *testing.T) {
		v := listening(t, Config{})
		ws := rawDial(t, v)
		id := v.admitted()
		for i, frame := range [][]byte{
			heartbeat(validator, 1),
			wire.AppendHeartbeat(nil, sign(miner), old, "2"),
			wire.AppendHeartbeat(nil, sign(miner), noon.Add(time.Hour), "3"),
		} {
			ws.WriteMessage(websocket.TextMessage, frame)
			ws.SetReadDeadline(time.Now().Add(patience))
			_, answer, err := ws.ReadMessage()
			if err != nil || !bytes.Contains(answer, []byte(wire.TextInvalidMessage)) {
				t.Errorf("frame %d: %s, %v", i, answer, err)
			}
		}
		// At the edge of the node's window it is the node that decides.
		ws.WriteMessage(websocket.TextMessage, wire.AppendHeartbeat(nil, sign(miner), noon.Add(-310*time.Second), "4"))
		if e := v.next(wire.Received); e.Conn != id || e.Err != nil {
			t.Errorf("%+v", e)
		}
		if s := v.Stats(); s.Outside != 3 || s.Signed != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("an auth", func(t *testing.T) {
		v := listening(t, Config{})
		ws := rawDial(t, v)
		v.next(wire.Opened)
		ws.WriteMessage(websocket.TextMessage, wire.AppendAuth(nil, sign(miner), old, "1", validator))
		_, answer, err := ws.ReadMessage()
		if err != nil || !bytes.Contains(answer, []byte(wire.TextInvalidAuth)) {
			t.Errorf("%s, %v", answer, err)
		}
		if code := closeCode(t, ws); code != wire.CloseAuth {
			t.Errorf("closed with %d", code)
		}
		if e := v.next(wire.Closed); v.Stats().Signed != 0 || v.Stats().Unproved != 0 {
			t.Errorf("%s: %+v", e.Raw, v.Stats())
		}
	})
}

// slowFor is a verifier that takes as long over one hotkey's as somebody wants.
type slowFor struct {
	hotkey chain.Hotkey
	hold   chan struct{}
	held   *atomic.Int32
}

func (s slowFor) Verify(h chain.Hotkey, _, _ []byte) bool {
	if h == s.hotkey {
		s.held.Add(1)
		<-s.hold
	}
	return true
}

func (s slowFor) VerifyBatch(all []*wire.Claim) {
	for _, c := range all {
		c.Good = s.Verify(c.Hotkey, c.Text, c.Signature)
	}
}

// TestStrangersDoNotStandInTheWay: however many strangers wait for their
// signatures, one that is known does not wait for them.
func TestStrangersDoNotStandInTheWay(t *testing.T) {
	s := newStage()
	slow := slowFor{hotkey: "stranger", hold: make(chan struct{}), held: &atomic.Int32{}}
	open := s.opens(func() *wire.Opener { return &wire.Opener{Verifier: slow} })
	var wg sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		wg.Go(func() { open().Verifier.Verify("stranger", nil, nil) })
	}
	until(t, "a worker is busy with them", func() bool { return slow.held.Load() > 0 })
	o := open()
	befriend(o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			o.Verifier.Verify("known", nil, nil)
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("one that is known waits for strangers")
	}
	if n := slow.held.Load(); n != 1 {
		t.Errorf("%d workers were busy with strangers", n)
	}
	close(slow.hold)
	wg.Wait()
	s.close()
	<-done
}

// dialFrom opens a connection from one of this machine's addresses, and skips the
// test where it has none but 127.0.0.1.
func dialFrom(t *testing.T, ip string, to net.Addr) (net.Conn, error) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: patience}
	nc, err := d.Dial("tcp", to.String())
	if err != nil && strings.Contains(err.Error(), "assign requested address") {
		t.Skipf("no such address here: %v", err)
	}
	return nc, err
}

// TestIdleStrangersLockNobodyOut: 2,000 sockets of 700 addresses that say nothing,
// and go on coming, leave room for one that says who it is.
func TestIdleStrangersLockNobodyOut(t *testing.T) {
	v := listening(t, Config{MaxLoopback: 5, ProveTimeout: time.Minute})
	var mu sync.Mutex
	var idle []net.Conn
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, nc := range idle {
			nc.Close()
		}
	})
	open := func(i int) bool {
		nc, err := dialFrom(t, fmt.Sprintf("127.1.%d.%d", i%700/250, 1+i%700%250), v.Addr())
		if err != nil {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		idle = append(idle, nc)
		return true
	}
	for i := range 2000 {
		if !open(i) {
			t.Skip("this machine does not take so many connections")
		}
	}
	until(t, "all places are taken", func() bool { return v.Stats().Strangers == 512 })
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // and they go on
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 2000; i < 4000; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				open(i)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	began := time.Now()
	ws := rawDial(t, v)
	in := v.next(wire.Opened)
	ws.WriteMessage(websocket.TextMessage, auth(miner))
	if e := v.next(wire.Received); e.Conn != in.Conn || e.Message.Kind != wire.Auth {
		t.Fatalf("%+v", e)
	}
	v.Prove(in.Conn, miner)
	v.Send(in.Conn, wire.AppendWelcome(nil, wire.Keyed{Key: 1, Name: validator}, noon, "1"))
	ws.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the honest one waited %v", time.Since(began))
	if s := v.Stats(); s.Evicted < 1488 || s.Strangers > 512 {
		t.Errorf("%+v", s)
	}
}

// TestStrangersTakeNoPlace: whoever may not ask costs neither a signature check
// nor a place, and whoever may has one place.
func TestStrangersTakeNoPlace(t *testing.T) {
	m := listening(t, Config{MaxAsking: 2})
	url := "http://" + m.Addr().String()
	ask := func(frame []byte, change func(*http.Request)) (int, string) {
		return do(t, httpRequest(t, url, frame, change))
	}
	if status, _ := ask(pollFrame(nonce()), nil); status != http.StatusUnauthorized { // nobody may
		t.Errorf("before anybody may: %d", status)
	}
	m.Admit([]chain.Hotkey{miner})
	if status, _ := ask(pollFrame(nonce()), nil); status != http.StatusUnauthorized {
		t.Errorf("one that may not: %d", status)
	}
	if s := m.Stats(); s.Signed+s.Forged != 0 || s.Unverified != 2 {
		t.Errorf("signatures of strangers were checked: %+v", s)
	}
	m.Admit([]chain.Hotkey{miner, validator})
	// Its body never comes to an end.
	body, never := io.Pipe()
	defer never.Close()
	slow := make(chan int, 1)
	first := pollFrame(nonce())
	go func() {
		r := httpRequest(t, url, first, nil)
		r.Body, r.ContentLength = body, 4096
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			slow <- 0
			return
		}
		resp.Body.Close()
		slow <- resp.StatusCode
	}()
	until(t, "the first one has its place", func() bool { return m.Stats().Asking == 1 })
	if status, _ := ask(pollFrame(nonce()), nil); status != http.StatusServiceUnavailable {
		t.Errorf("a second one beside it: %d", status)
	}
	if n := m.Stats().Overloaded; n != 1 {
		t.Errorf("overloaded %d", n)
	}
	never.CloseWithError(errors.New("given up"))
	<-slow
	until(t, "its place is free", func() bool { return m.Stats().Asking == 0 })
	// What somebody has caught of it and says again has none.
	if status, _ := ask(first, nil); status != http.StatusUnauthorized {
		t.Errorf("said again: %d", status)
	}
	done := make(chan int, 1)
	go func() {
		status, _ := ask(pollFrame(nonce()), nil)
		done <- status
	}()
	m.next(wire.Opened)
	e := m.next(wire.Received)
	m.Prove(e.Conn, validator)
	until(t, "it is no stranger any more", func() bool { return m.Stats().Strangers == 0 })
	m.Send(e.Conn, wire.AppendEcho(nil, signer(miner), &e.Message, 7, noon))
	if status := <-done; status != 200 {
		t.Errorf("the next one: %d", status)
	}
	m.next(wire.Closed)
	m.Admit([]chain.Hotkey{miner}) // and not any more
	if status, _ := ask(pollFrame(nonce()), nil); status != http.StatusUnauthorized {
		t.Errorf("one that may no more: %d", status)
	}
}

// TestBodyDeadlineGoesBySize: a short body that dribbles does not hold its place
// as long as the longest may take.
func TestBodyDeadlineGoesBySize(t *testing.T) {
	m := answering(t, Config{BodyTimeout: 100 * time.Millisecond, BodyRate: 64 << 10})
	for _, c := range []struct {
		size         int64
		least, below time.Duration
	}{{1 << 10, 100 * time.Millisecond, patience}, {64 << 10, time.Second, patience}} {
		body, never := io.Pipe()
		r := httpRequest(t, "http://"+m.Addr().String(), pollFrame(nonce()), nil)
		r.Body, r.ContentLength = body, c.size
		began := time.Now()
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("%d bytes: status %d", c.size, resp.StatusCode)
			}
		}
		if took := time.Since(began); took < c.least || took > c.below {
			t.Errorf("%d bytes: given up after %v", c.size, took)
		}
		never.Close()
	}
}

// TestErrorVectors: every case of the original's table of failures, on a real
// listener and with our own client.
func TestErrorVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			When   string
			Status int
			Body   struct{ Message string }
			Client bool `json:"client_side"`
			Theirs int  `json:"dendrite_status"`
		}
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "wire", "http_protocol_errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	m := answering(t, Config{AnswerTimeout: 50 * time.Millisecond})
	url := "http://" + m.Addr().String()
	answered := func(frame func(*wire.Message) []byte) func(*testing.T) (int, string) {
		return func(t *testing.T) (int, string) {
			go func() {
				m.next(wire.Opened)
				e := m.next(wire.Received)
				if out := frame(&e.Message); out != nil {
					m.Send(e.Conn, out)
				}
				m.next(wire.Closed)
			}()
			return do(t, httpRequest(t, url, pollFrame(nonce()), nil))
		}
	}
	asks := func(change func(*http.Request)) func(*testing.T) (int, string) {
		return func(t *testing.T) (int, string) { return do(t, httpRequest(t, url, pollFrame(nonce()), change)) }
	}
	server := map[string]struct {
		do     func(*testing.T) (int, string)
		status int    // 0: the table's
		begins string // of our text; "": what the table's begins with, up to what it leaves open
	}{
		"no route for path": {asks(func(r *http.Request) { r.URL.Path = "/X" }), 0, "Synapse name 'X' not found. Available synapses ['Synapse', 'GameData']"},
		// Stricter: a stranger is not told that it is one.
		"blacklist_fn returned true": {asks(func(r *http.Request) { r.Header.Set("bt_header_dendrite_hotkey", string(miner)) }), http.StatusUnauthorized, synapse.TextNotVerified},
		"verify failed":              {asks(func(r *http.Request) { r.Header.Set("bt_header_dendrite_uuid", "another") }), 0, ""},
		"headers unparsable":         {asks(func(r *http.Request) { r.Header.Set("bt_header_dendrite_nonce", "x") }), 0, "Improperly formatted request. Could not parse headers"},
		"priority timeout":           {answered(func(*wire.Message) []byte { return nil }), 0, "Response timeout after: 0.05s"},
		// Stricter: without the id, which would be another for every reader.
		"unhandled exception": {answered(func(*wire.Message) []byte { return []byte("no packed reply") }), 0, "Internal Server Error"},
	}
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	release := make(chan struct{})
	defer close(release)
	serving := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	// What a client of the SDK calls by a status, ours calls by a reason, and takes
	// nothing of it.
	client := map[string]struct {
		url    string
		theirs int
		reason string
	}{
		"connect refused": {"http://" + refused.Addr().String(), 503, "connection refused"},
		"timeout": {serving(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}), 408, "Timeout"},
		"unparsable reply":    {serving(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }), 422, ""},
		"server disconnected": {serving(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), 503, "EOF"},
	}
	found := 0
	for _, c := range v.Cases {
		if c.Client {
			want, ok := client[c.When]
			if !ok {
				continue
			}
			found++
			t.Run(c.When, func(t *testing.T) {
				if c.Theirs != want.theirs {
					t.Errorf("the table says %d", c.Theirs)
				}
				s := newSide(t, Config{})
				s.client.Timeout = 200 * time.Millisecond
				id := s.dial(want.url)
				s.next(wire.Opened)
				s.Send(id, pollFrame(nonce()))
				e := s.anyEvent()
				if want.reason == "" {
					if e.Kind != wire.Received || e.Err != wire.ErrShape {
						t.Errorf("%+v", e)
					}
					e = s.next(wire.Closed)
				}
				if e.Kind != wire.Closed || !strings.Contains(string(e.Raw), want.reason) {
					t.Errorf("event %d: %s", e.Kind, e.Raw)
				}
			})
			continue
		}
		want, ok := server[c.When]
		if !ok {
			continue
		}
		found++
		t.Run(c.When, func(t *testing.T) {
			if want.status == 0 {
				want.status = c.Status
			}
			if want.begins == "" {
				want.begins, _, _ = strings.Cut(c.Body.Message, "<")
			}
			status, body := want.do(t)
			var told struct{ Message string }
			if err := json.Unmarshal([]byte(body), &told); err != nil || status != want.status || !strings.HasPrefix(told.Message, want.begins) {
				t.Errorf("%d %s, want %d %s", status, body, want.status, want.begins)
			}
		})
	}
	if found != len(v.Cases) || found != len(server)+len(client) {
		t.Errorf("%d of %d cases were tried", found, len(v.Cases))
	}
}

// TestCertificateIsReadAgain when its files have changed, and stays where they
// hold none.
func TestCertificateIsReadAgain(t *testing.T) {
	certFile, keyFile, _ := certificate(t)
	var count counters
	k := &keypair{certFile: certFile, keyFile: keyFile, count: &count}
	at := noon
	k.seen = k.stamps()
	if err := k.load(); err != nil {
		t.Fatal(err)
	}
	first := k.pair
	look := func() *testing.T { at = at.Add(lookEvery); k.now(at); return t }
	if look(); k.pair != first {
		t.Error("read again though nothing has changed")
	}
	newCert, newKey, _ := certificate(t)
	replace := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(to, at, at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	replace(newCert, certFile) // one of two
	if look(); k.pair != first || count.tlsStale.Load() != 1 {
		t.Errorf("half of a pair was taken, or not counted: %d", count.tlsStale.Load())
	}
	replace(newKey, keyFile)
	if k.now(at.Add(lookEvery/2)) != first {
		t.Error("looked at too often")
	}
	if look(); k.pair == first || count.tlsRenewed.Load() != 1 {
		t.Errorf("the new pair was not taken: %d", count.tlsRenewed.Load())
	}
}

// TestPlainOnlyWhereAllowed: a peer without TLS is not talked to, unless we may.
func TestPlainOnlyWhereAllowed(t *testing.T) {
	for _, scheme := range []string{"wss://", "https://"} {
		for _, may := range []bool{false, true} {
			m := answering(t, Config{})
			v := newSide(t, Config{DialPlain: may})
			id := v.dial(scheme + m.Addr().String())
			if scheme == "https://" {
				v.next(wire.Opened)
				v.Send(id, pollFrame(nonce()))
			}
			if !may {
				if e := v.next(wire.Closed); !strings.Contains(string(e.Raw), "--axon.dial_plain") {
					t.Errorf("%s: %s", scheme, e.Raw)
				}
				if s := m.Stats(); s.Inbound+s.Asked != 0 || v.Stats().Downgraded != 0 {
					t.Errorf("%s: talked to without TLS", scheme)
				}
				continue
			}
			if scheme == "wss://" {
				v.next(wire.Opened)
			}
			m.next(wire.Opened)
			if n := v.Stats().Downgraded; n != 1 {
				t.Errorf("%s: %d downgraded", scheme, n)
			}
		}
	}
	if _, err := ReadRoots(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrCertificate) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	certFile, keyFile, _ := certificate(t)
	if _, err := ReadRoots(keyFile); !errors.Is(err, ErrCertificate) {
		t.Errorf("a key: %v", err)
	}
	if roots, err := ReadRoots(certFile); err != nil || roots == nil {
		t.Errorf("%v", err)
	}
}
