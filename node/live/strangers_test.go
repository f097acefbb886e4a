package live

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/node/wire/sock"
	"bettensor/node/wire/synapse"
	"bettensor/sched"

	"github.com/gorilla/websocket"
)

func signerOf(t testing.TB, name string) *wire.Sr25519 {
	t.Helper()
	s, err := wire.NewSr25519(seedOf(name), wire.Random{Rand: sched.NewStream(1, name)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pollOf is a poll as a peer would sign it now.
func pollOf(t *testing.T, s wire.Signer, asked chain.Hotkey, at time.Time) []byte {
	t.Helper()
	games, _ := wire.AppendGames(nil, []*bet.Game{{ID: "1", TeamA: "Reds", TeamB: "Blues", Created: at, Updated: at, Start: at, Outcome: bet.Unfinished}})
	return wire.AppendPoll(nil, s, &wire.Asking{Asked: asked, Nonce: uint64(at.UnixNano()), At: at}, games)
}

// post carries a packed request to a node's axon.
func post(t *testing.T, n *Node, frame []byte, change func(http.Header)) (int, string) {
	t.Helper()
	q, err := synapse.UnpackRequest(frame)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.Addr().String()+"/GameData", bytes.NewReader(q.Body))
	if err != nil {
		t.Fatal(err)
	}
	q.Headers(20, r.Header.Set)
	if change != nil {
		change(r.Header)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func sockets(t *testing.T, n *Node) sock.Stats { return statsOf(t, n).Transport }

func statsOf(t testing.TB, n *Node) Stats {
	t.Helper()
	s, err := n.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const oneAnswer = `{"message":"` + synapse.TextNotVerified + `"}`

// TestA7OneAnswerOfAMiner: whoever a miner does not answer is told the same, by
// its real listener and its real services; and a validator is answered.
func TestA7OneAnswerOfAMiner(t *testing.T) {
	s := newSubnet(t, "v0", "m0", "m1")
	o := s.options("m0")
	o.Listen = "127.0.0.1:0"
	n := s.miner(o, "home")
	v0, m0, m1 := signerOf(t, "v0"), hotkeyOf(t, "m0"), signerOf(t, "m1")
	var last []byte
	until(t, "the validator is answered", func() bool {
		last = pollOf(t, v0, m0, time.Now())
		status, body := post(t, n, last, nil)
		if status != http.StatusOK && (status != http.StatusUnauthorized || body != oneAnswer) {
			t.Fatalf("%d %s", status, body)
		}
		return status == http.StatusOK
	})
	checked := sockets(t, n)
	for _, c := range []struct {
		name   string
		frame  []byte
		change func(http.Header)
	}{
		{"said again", last, nil},
		{"nobody of the subnet", pollOf(t, signerOf(t, "x"), m0, time.Now()), nil},
		{"a miner", pollOf(t, m1, m0, time.Now()), nil},
		{"meant for another", pollOf(t, v0, m1.Hotkey(), time.Now()), nil},
		{"of yesterday", pollOf(t, v0, m0, time.Now().Add(-24*time.Hour)), nil},
		{"not signed", pollOf(t, v0, m0, time.Now()), func(h http.Header) { h.Del("bt_header_dendrite_signature") }},
		{"in another's name", pollOf(t, m1, m0, time.Now()), func(h http.Header) { h.Set("bt_header_dendrite_hotkey", string(v0.Hotkey())) }},
	} {
		if status, body := post(t, n, c.frame, c.change); status != http.StatusUnauthorized || body != oneAnswer {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	// The signatures of those who may not ask were not even looked at: those of the
	// one said again, the one meant for another, and the forged one were.
	now := sockets(t, n)
	if forged := now.Forged - checked.Forged; forged != 1 {
		t.Errorf("%d bad signatures, want that of the one in another's name", forged)
	}
	if asked := now.Asked - checked.Asked; asked != 1 {
		t.Errorf("the node was asked %d times, want by the one meant for another", asked)
	}
}

// TestValidatorsTakeNoRequests: a validator's axon is for WebSockets; whoever
// asks it, a neighbour of the subnet too, has the one answer, and is not proved.
func TestValidatorsTakeNoRequests(t *testing.T) {
	s := newSubnet(t, "v0", "m0")
	n := s.validator(s.options("v0"))
	until(t, "ready", func() bool { return ready(t, n) })
	for _, name := range []string{"m0", "v0", "x"} {
		if status, body := post(t, n, pollOf(t, signerOf(t, name), hotkeyOf(t, "v0"), time.Now()), nil); status != http.StatusUnauthorized || body != oneAnswer {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if st := sockets(t, n); st.Asked != 0 || st.Signed != 0 || st.Unverified != 3 {
		t.Errorf("%+v", st)
	}
}

// TestOnlyAuthenticationProves: one that is turned away was answered, and is a
// stranger all the same; one that is let in is none. What the sockets keep from
// the node is no part of its recording.
func TestOnlyAuthenticationProves(t *testing.T) {
	s := newSubnet(t, "v0", "m0")
	o := s.options("v0")
	o.Record = filepath.Join(t.TempDir(), "rec")
	n := s.validator(o)
	until(t, "ready", func() bool { return ready(t, n) })
	connect := func(name string) *websocket.Conn {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+n.Addr().String()+sock.Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.Close() })
		var nonces wire.Nonces
		now := time.Now()
		ws.WriteMessage(websocket.TextMessage, wire.AppendAuth(nil, signerOf(t, name), now, nonces.Next(now), hotkeyOf(t, "v0")))
		return ws
	}
	turned := connect("x")
	var closed *websocket.CloseError
	for {
		_, _, err := turned.ReadMessage()
		if err == nil {
			continue
		}
		if !errors.As(err, &closed) || closed.Code != wire.CloseUnregistered {
			t.Fatal(err)
		}
		break
	}
	if st := sockets(t, n); st.Strangers != 1 || st.Unproved != 0 { // it has not gone yet
		t.Errorf("%+v", st)
	}
	turned.Close()
	ws := connect("m0")
	until(t, "it is let in, and the other gone", func() bool { st := sockets(t, n); return st.Open == 1 && st.Strangers == 0 })
	m0, at := signerOf(t, "m0"), time.Now()
	for _, frame := range [][]byte{
		wire.AppendHeartbeat(nil, signerOf(t, "x"), at, "9999999999990"),
		wire.AppendHeartbeat(nil, m0, at.Add(-time.Hour), "9999999999991"),
		wire.AppendHeartbeat(nil, m0, at, "9999999999992"),
	} {
		ws.WriteMessage(websocket.TextMessage, frame)
	}
	errs := 0
	for ack := false; !ack; {
		ws.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, b, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		m, _ := (&wire.Opener{Verifier: &wire.Sr25519Verifier{}}).Open(b)
		ack = m.Kind == wire.HeartbeatAck
		if m.Kind == wire.ErrorMessage {
			errs++
		}
	}
	if st := sockets(t, n); errs != 2 || st.Outside != 2 || st.Unproved != 0 {
		t.Errorf("%d errors, %+v", errs, st)
	}
	s.stop(n)
	dirs, err := Recordings(o.Record)
	if err != nil || len(dirs) != 1 {
		t.Fatalf("recordings %q, %v", dirs, err)
	}
	if r, err := Replay(dirs[0], ReplayOptions{Revision: "r1"}); err != nil || r.Events == 0 {
		t.Errorf("replay: %+v, %v", r, err)
	}
}
