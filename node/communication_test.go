package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
)

// TestAuthentication is who gets a session, and in what words the others are
// refused.
func TestAuthentication(t *testing.T) {
	for _, tc := range []struct {
		name   string
		try    func(p *rawPeer, n *rigNode)
		closed string // "" for a session
	}{
		{"registered", func(p *rawPeer, n *rigNode) { p.send(p.auth(n.validator.Hotkey)) }, ""},
		{"unregistered", func(p *rawPeer, n *rigNode) {
			p.signer = rigSigner("stranger")
			p.send(p.auth(n.validator.Hotkey))
		}, wire.TextUnregistered},
		{"names another validator", func(p *rawPeer, n *rigNode) { p.send(p.auth(hotkeyOf("v1"))) }, wire.TextInvalidAuth},
		{"names no validator", func(p *rawPeer, n *rigNode) { p.send(p.auth("")) }, wire.TextInvalidAuth},
		{"stale", func(p *rawPeer, n *rigNode) {
			frame := p.auth(n.validator.Hotkey)
			p.run(301 * time.Second)
			p.connect(n)
			p.send(frame)
		}, wire.TextInvalidAuth},
		{"from the future", func(p *rawPeer, n *rigNode) {
			p.send(wire.AppendAuth(nil, p.signer, p.w.Now().Add(time.Minute), p.nonce(), n.validator.Hotkey))
		}, wire.TextInvalidAuth},
		{"a captured one again", func(p *rawPeer, n *rigNode) {
			frame := p.auth(n.validator.Hotkey)
			p.send(frame)
			p.connect(n)
			p.send(frame)
		}, wire.TextInvalidAuth},
		{"a captured one after the service was built again", func(p *rawPeer, n *rigNode) {
			frame := p.auth(n.validator.Hotkey)
			p.send(frame)
			n.do(func() { n.core().services[n.core().acceptor].scope.Panicked("planted") })
			p.run(10 * time.Second)
			p.connect(n)
			p.send(frame)
		}, wire.TextInvalidAuth},
		{"a captured one after a restart", func(p *rawPeer, n *rigNode) {
			frame := p.auth(n.validator.Hotkey)
			p.send(frame)
			p.run(10 * time.Second)
			n.crash()
			p.run(time.Second)
			p.connect(n)
			p.send(frame)
		}, wire.TextInvalidAuth},
		{"a captured one that is stamped ahead, after a restart at once", func(p *rawPeer, n *rigNode) {
			frame := wire.AppendAuth(nil, p.signer, p.w.Now().Add(wire.DefaultFresh.Future), p.nonce(), n.validator.Hotkey)
			p.send(frame)
			n.crash()
			p.connect(n)
			p.send(frame)
		}, wire.TextInvalidAuth},
		{"a new one after a restart at once", func(p *rawPeer, n *rigNode) {
			p.send(p.auth(n.validator.Hotkey))
			n.crash()
			p.connect(n)
			p.send(p.auth(n.validator.Hotkey))
		}, ""},
		{"signed by somebody else", func(p *rawPeer, n *rigNode) {
			frame := string(p.auth(n.validator.Hotkey))
			p.send([]byte(strings.Replace(frame, string(hotkeyOf("m0")), string(hotkeyOf("m1")), 1)))
		}, wire.TextInvalidAuth},
		{"another message first", func(p *rawPeer, n *rigNode) {
			p.send(wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
		}, wire.TextInvalidAuth},
		{"no message at all", func(p *rawPeer, n *rigNode) { p.send([]byte("{")) }, wire.TextInvalidAuth},
		{"a good one right behind a refused one", func(p *rawPeer, n *rigNode) {
			p.pass(p.end, p.auth(hotkeyOf("v1")))
			p.send(p.auth(n.validator.Hotkey))
			if n.count("communication", "sessions") > 0 || n.count("communication", "frames") != 1 {
				p.t.Error("the refused connection got a session after all")
			}
		}, wire.TextInvalidAuth},
		{"silence", func(p *rawPeer, n *rigNode) { p.run(11 * time.Second) }, "no authentication in time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n := r.addValidator("v0")
			r.run(2 * time.Minute) // long between sweeps, as when nobody came for a while
			p := r.peer("m0", n)
			tc.try(p, n)
			if got := p.closed(); got != tc.closed {
				t.Errorf("closed %q, want %q (%q)", got, tc.closed, p.kinds())
			}
			if welcome := p.last(wire.Welcome) != nil; welcome != (tc.closed == "") {
				t.Errorf("welcomed: %t", welcome)
			}
		})
	}
}

// TestUnknownMetagraphTurnsAway: a validator that does not know who is
// registered sends miners away to come back, and one that knew before does not.
func TestUnknownMetagraphTurnsAway(t *testing.T) {
	r := newRig(t)
	r.chainDown = true
	n := r.addValidator("v0")
	r.run(time.Second)
	p := r.peer("m0", n)
	p.send(p.auth(n.validator.Hotkey))
	if p.closed() == "" || p.last(wire.Status) != nil {
		t.Errorf("without a metagraph: %q", p.kinds())
	}
	r.chainDown = false
	r.run(10 * time.Minute)
	r.chainDown = true
	n.crash()
	r.run(time.Second)
	r.session("m0", n)
}

// TestSecondSessionReplacesTheFirst, and its end is not the second's.
func TestSecondSessionReplacesTheFirst(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	n := r.addValidator("v0")
	r.run(time.Second)
	first := r.session("m0", n)
	second := r.session("m0", n)
	if first.closed() != wire.ReasonReplaced {
		t.Errorf("the first: %q", first.kinds())
	}
	second.send(second.predict(submission("a", g, bet.Home, 1)))
	if got := second.confirmations(); len(got) != 1 || n.count("communication", "sessions") != 1 || n.count("communication", "replaced") != 1 {
		t.Errorf("the second: %q, %d sessions", got, n.count("communication", "sessions"))
	}
	if len(first.confirmations()) != 0 {
		t.Error("the first still hears")
	}
}

// TestFramesOfASession is what an authenticated miner may send.
func TestFramesOfASession(t *testing.T) {
	for _, tc := range []struct {
		name   string
		frame  func(p *rawPeer, g bet.Game) []byte
		count  string // of the communication service, must move by one
		stored int
		answer wire.Kind
		signed bool
	}{
		{"prediction", func(p *rawPeer, g bet.Game) []byte { return p.predict(submission("a", g, bet.Home, 1)) }, "predictions", 1, wire.ConfirmationMessage, true},
		{"heartbeat", func(p *rawPeer, g bet.Game) []byte { return wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()) }, "heartbeats", 0, wire.HeartbeatAck, true},
		{"prediction of somebody else", func(p *rawPeer, g bet.Game) []byte {
			return wire.AppendPrediction(nil, rigSigner("m1"), p.w.Now(), p.nonce(), submission("a", g, bet.Home, 1))
		}, "refused_bad_signature", 0, wire.ErrorMessage, false},
		{"stale prediction", func(p *rawPeer, g bet.Game) []byte {
			return wire.AppendPrediction(nil, p.signer, p.w.Now().Add(-301*time.Second), p.nonce(), submission("a", g, bet.Home, 1))
		}, "refused_stale", 0, wire.ErrorMessage, false},
		{"broken JSON", func(p *rawPeer, g bet.Game) []byte { return []byte(`{"type": `) }, "refused_bad_json", 0, wire.ErrorMessage, true},
		{"a validator's message", func(p *rawPeer, g bet.Game) []byte {
			return wire.AppendWelcome(nil, p.signer, p.w.Now(), p.nonce())
		}, "unasked", 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			g := r.offer("100", t0.Add(time.Hour))
			n := r.addValidator("v0")
			r.run(400 * time.Second)
			p := r.session("m0", n)
			before := n.count("communication", tc.count)
			p.send(tc.frame(p, g))
			if got := n.count("communication", tc.count) - before; got != 1 {
				t.Errorf("%s moved by %d", tc.count, got)
			}
			if got := n.v.State.Book.Len(); got != tc.stored {
				t.Errorf("%d predictions stored", got)
			}
			if tc.answer != 0 {
				m := p.last(tc.answer)
				if m == nil || (m.Sender == hotkeyOf("v0")) != tc.signed {
					t.Errorf("answered %q", p.kinds())
				}
			}
			if p.closed() != "" {
				t.Errorf("closed: %s", p.closed())
			}
		})
	}
}

// TestReplayedFrameCountsOnce: the same bytes twice on one connection.
func TestReplayedFrameCountsOnce(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	n := r.addValidator("v0")
	r.run(time.Second)
	p := r.session("m0", n)
	frame := p.predict(submission("a", g, bet.Home, 1))
	p.send(frame)
	p.send(frame)
	if got := n.count("communication", "predictions"); got != 1 || n.count("communication", "refused_replay") != 1 {
		t.Errorf("%d predictions taken", got)
	}
}

// TestSessionsEnd: by silence, by deregistration, by one too many.
func TestSessionsEnd(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		r := newRig(t)
		n := r.addValidator("v0")
		r.run(time.Second)
		p := r.session("m0", n)
		r.run(140 * time.Second)
		if p.closed() != "" {
			t.Errorf("closed too early: %s", p.closed())
		}
		r.run(150 * time.Second)
		if p.closed() != wire.ReasonTimeout {
			t.Errorf("closed %q", p.closed())
		}
	})
	t.Run("deregistration", func(t *testing.T) {
		r := newRig(t)
		n := r.addValidator("v0")
		r.run(time.Second)
		sessions := map[string]*rawPeer{"m0": r.session("m0", n), "m1": r.session("m1", n), "m2": r.session("m2", n)}
		if code := r.chain.Deregister(r.w.Now(), hotkeyOf("m1")); code != chain.OK {
			t.Fatal(code)
		}
		for range 8 { // hearts beat until the next metagraph
			for _, name := range []string{"m0", "m1", "m2"} {
				p := sessions[name]
				p.send(wire.AppendHeartbeat(nil, p.signer, r.w.Now(), p.nonce()))
			}
			r.run(time.Minute)
		}
		for name, p := range sessions {
			if want := map[bool]string{true: wire.ReasonUnregistered}[name == "m1"]; p.closed() != want {
				t.Errorf("%s: closed %q, want %q", name, p.closed(), want)
			}
		}
	})
	t.Run("one too many", func(t *testing.T) {
		r := newRig(t)
		n := r.addValidator("v0", func(c *ValidatorConfig) { c.MaxSessions = 2 })
		r.run(time.Second)
		r.session("m0", n)
		r.session("m1", n)
		p := r.peer("m2", n)
		r.run(time.Second)
		if p.closed() != "too many sessions" || n.count("communication", "connections") != 2 {
			t.Errorf("closed %q", p.closed())
		}
	})
}

// TestSessionAboveItsRate: beyond the burst a prediction is put off, other frames
// are dropped, and a session that does not stop is closed.
func TestSessionAboveItsRate(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.MessageRate, c.MessageBurst = 10, 5 })
	r.run(time.Second)
	p := r.session("m0", n)
	for range 5 {
		p.pass(p.end, wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
	}
	p.pass(p.end, wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
	p.pass(p.end, []byte("{"))
	p.send(p.predict(submission("a", g, bet.Home, 1)))
	if got := p.confirmations(); len(got) != 1 || got[0] != "a rate_limited" || !bet.RateLimited.Temporary() {
		t.Errorf("the prediction beyond the burst: %q", got)
	}
	if beats, over := n.count("communication", "heartbeats"), n.count("communication", "over_rate"); beats != 5 || over != 3 || p.last(wire.ErrorMessage) != nil {
		t.Errorf("%d heartbeats taken, %d frames over the rate, %q", beats, over, p.kinds())
	}
	r.run(time.Second)
	p.send(p.predict(submission("a", g, bet.Home, 1)))
	if got := p.confirmations(); len(got) != 2 || got[1] != "a ok" {
		t.Errorf("a second later: %q", got)
	}
	r.run(time.Second)
	before := r.w.Now()
	for p.closed() == "" && r.w.Now().Sub(before) < 2*floodPatience {
		p.pass(p.end, wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
		p.run(50 * time.Millisecond)
	}
	if took := r.w.Now().Sub(before); p.closed() != "too many messages" || took < floodPatience || n.count("communication", "closed_over_rate") != 1 {
		t.Errorf("twice the rate: closed %q after %v", p.closed(), took)
	}
	p = r.session("m1", n)
	for before = r.w.Now(); r.w.Now().Sub(before) < 2*floodPatience; { // bursts that are too long, with rests
		for range 10 {
			p.pass(p.end, wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
		}
		p.run(5 * time.Second)
	}
	if p.closed() != "" {
		t.Errorf("somebody who rests between bursts: closed %q", p.closed())
	}
}

// TestAnswersAreLimitedToo: telling somebody that it sends too much costs a
// signature, so it is not told so each time.
func TestAnswersAreLimitedToo(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.MessageRate, c.MessageBurst = 1, 1 })
	r.run(time.Second)
	p := r.session("m0", n)
	for i := range 200 {
		p.pass(p.end, p.predict(submission(fmt.Sprint(i), g, bet.Home, 1)))
	}
	r.run(time.Second)
	if got := len(p.confirmations()); got < answerRate.burst || got > answerRate.burst+2 || n.count("communication", "over_rate") < 190 {
		t.Errorf("%d answers to %d frames over the rate", got, n.count("communication", "over_rate"))
	}
}

// TestNewSessionIsNoNewBurst: who comes back finds what it left of its rate.
func TestNewSessionIsNoNewBurst(t *testing.T) {
	for _, end := range []string{"replaced", "hung up", "hung up, and then a metagraph came"} {
		r := newRig(t)
		g := r.offer("100", t0.Add(time.Hour))
		n := r.addValidator("v0", func(c *ValidatorConfig) { c.MessageRate, c.MessageBurst = 1, 5 })
		r.run(time.Second)
		p := r.session("m0", n)
		for range 5 {
			p.pass(p.end, wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
		}
		r.run(2 * rigLatency)
		if end != "replaced" {
			r.cut(p.end, "bye")
			r.run(2 * rigLatency)
		}
		if strings.Contains(end, "metagraph") {
			n.do(func() { n.v.services[n.v.acceptor].service.(*communication).dropUnregistered() })
		}
		p = r.session("m0", n)
		p.send(p.predict(submission("a", g, bet.Home, 1)))
		r.run(10 * time.Minute)
		p = r.session("m0", n)
		p.send(p.predict(submission("b", g, bet.Home, 1)))
		if got := n.count("predictions", "received"); got != 1 || n.count("communication", "over_rate") != 1 {
			t.Errorf("%s: %d predictions taken, %d frames over the rate", end, got, n.count("communication", "over_rate"))
		}
	}
}

// TestGamesToldOnConnect: the window around now, in pages of what fits.
func TestGamesToldOnConnect(t *testing.T) {
	r := newRig(t)
	offered := map[string]bool{}
	for i, start := range []time.Duration{-5 * 24 * time.Hour, -3 * 24 * time.Hour, -time.Hour, time.Hour, 7 * 24 * time.Hour, 9 * 24 * time.Hour} {
		id := fmt.Sprint("w", i)
		r.offer(id, t0.Add(start))
		offered[id] = start > -gamesBack && start < gamesAhead
	}
	long := strings.Repeat("Ü", 80)
	for i := range 250 {
		g := r.offer(fmt.Sprintf("long%03d", i), t0.Add(time.Hour))
		g.TeamA, g.TeamB, g.League, g.Sport = long+fmt.Sprint("A", i), long+fmt.Sprint("B", i), long, long
		r.tell(g)
		offered[string(g.ID)] = true
	}
	n := r.addValidator("v0")
	r.run(time.Second)
	p := r.session("m0", n)
	told := map[string]bool{}
	pages := 0
	for _, e := range p.got {
		if e.Kind != wire.Received || e.Message.Kind != wire.GameUpdate {
			continue
		}
		pages++
		if len(e.Raw) > wire.MaxFrame {
			t.Errorf("a page of %d bytes", len(e.Raw))
		}
		if e.Message.Page != pages {
			t.Errorf("page %d came as %dth", e.Message.Page, pages)
		}
		for _, g := range e.Message.Games {
			told[string(g.ID)] = true
		}
	}
	for id, want := range offered {
		if told[id] != want {
			t.Errorf("%s told: %t, want %t", id, told[id], want)
		}
	}
	if pages < 3 {
		t.Errorf("%d pages", pages)
	}
}

// countingSigner counts what is signed.
type countingSigner struct {
	wire.Signer
	made int
}

func (s *countingSigner) Sign(text []byte) [wire.SignatureSize]byte {
	s.made++
	return s.Signer.Sign(text)
}

// TestFloodOutlivesItsSession: who is hung up for it and comes back finds neither
// a new burst nor a new minute.
func TestFloodOutlivesItsSession(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.MessageRate, c.MessageBurst = 10, 5 })
	r.run(time.Second)
	p := r.session("m0", n)
	began, back := r.w.Now(), 0
	for n.count("communication", "closed_over_rate") < 2 && r.w.Now().Sub(began) < 3*floodPatience {
		if p.closed() != "" || back == 0 && r.w.Now().Sub(began) > floodPatience/2 { // hung up, or it does so itself
			back++
			p = r.session("m0", n)
		}
		for range 2 {
			p.pass(p.end, wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
		}
		p.run(50 * time.Millisecond)
	}
	if took := r.w.Now().Sub(began); took > floodPatience+2*time.Second || back != 2 {
		t.Errorf("hung up for the second time after %v, having come back %d times", took, back)
	}
	r.run(time.Minute) // a rest makes it good
	p = r.session("m0", n)
	p.send(wire.AppendHeartbeat(nil, p.signer, p.w.Now(), p.nonce()))
	if p.last(wire.HeartbeatAck) == nil || p.closed() != "" {
		t.Errorf("after a rest: %q", p.kinds())
	}
}

// TestAuthenticationsAreLimited by hotkey: one that begins sessions without end is
// turned away for a while, and costs nobody else anything. What it was turned away
// with is used up all the same.
func TestAuthenticationsAreLimited(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	r.run(time.Second)
	var p *rawPeer
	var frame []byte
	turned := 0
	for range 3 * authRate.burst {
		p = r.peer("m0", n)
		r.run(time.Millisecond)
		p.nonces.Last = uint64(r.w.Now().UnixMilli())
		frame = p.auth(n.validator.Hotkey)
		p.send(frame)
		if p.closed() == "too many authentications" {
			turned++
		}
	}
	if turned < authRate.burst || turned > 2*authRate.burst || n.count("communication", "authentications_over_rate") != uint64(turned) {
		t.Errorf("%d of %d turned away", turned, 3*authRate.burst)
	}
	if n.count("communication", "sessions") != 1 {
		t.Error("the one that stands was ended by one that was turned away")
	}
	r.session("m1", n)
	for range 2 * authRate.burst { // captured: whoever sends it uses up nothing
		p.connect(n)
		p.send(frame)
		if p.closed() != wire.TextInvalidAuth {
			t.Fatalf("a captured one: %q", p.kinds())
		}
	}
	n.crash()
	r.run(time.Second)
	p.connect(n)
	p.send(frame)
	if p.closed() != wire.TextInvalidAuth {
		t.Errorf("a captured one that was never let in, after a restart: %q", p.kinds())
	}
	r.run(authRate.every)
	r.session("m0", n)
}

// TestOpeningIsSignedOnce for all that come back at once, and anew where a game
// has changed or what was signed gets old.
func TestOpeningIsSignedOnce(t *testing.T) {
	r := newRig(t)
	for i := range 250 {
		r.offer(fmt.Sprintf("g%03d", i), t0.Add(30*time.Hour))
	}
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.FeedInterval = 10 * time.Hour })
	signer := &countingSigner{Signer: n.signer}
	n.signer = signer
	n.crash()
	r.run(time.Minute)
	signed := func(name string) (made int, told int) {
		before := signer.made
		p := r.session(name, n)
		for _, e := range p.got {
			if e.Message.Kind == wire.GameUpdate {
				told += len(e.Message.Games)
				if err := wire.DefaultFresh.Check(e.Message.Timestamp, r.w.Now()); err != nil {
					t.Errorf("a page that is %v", err)
				}
			}
		}
		return signer.made - before, told
	}
	pages, told := signed("m0")
	if told != 250 || pages < 4 {
		t.Fatalf("%d signatures, %d games", pages, told)
	}
	for _, name := range []string{"m1", "m2"} {
		if made, told := signed(name); made != 1 || told != 250 {
			t.Errorf("%s: %d signatures, want that of its welcome; %d games", name, made, told)
		}
	}
	r.offer("new", t0.Add(30*time.Hour))
	r.poll()
	if made, told := signed("m1"); made != pages || told != 251 {
		t.Errorf("after a change: %d signatures, %d games", made, told)
	}
	r.run(openingFresh)
	if made, told := signed("m2"); made != pages || told != 251 {
		t.Errorf("after a while: %d signatures, %d games", made, told)
	}
}

// TestSessionBeginsWithDurableGames: what a new session is told of is not taken
// back by a crash, however slow the disk is. Found by the invariant
// games-told-are-known.
func TestSessionBeginsWithDurableGames(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	r.run(time.Second)
	r.offer("1", r.w.Now().Add(time.Hour))
	r.poll()
	p := r.peer("m0", n)
	n.commit.hold = true
	p.send(p.auth(n.validator.Hotkey))
	r.offer("2", r.w.Now().Add(time.Hour))
	r.poll()
	if len(n.commit.held) < 2 {
		t.Fatalf("%d batches wait, want the authentication and the game", len(n.commit.held))
	}
	all := n.commit.held
	n.commit.held = all[:1] // the disk has got so far
	n.commit.flush()
	n.commit.first, n.commit.held = n.commit.first+1, all[1:]
	r.run(time.Second)
	if m := p.last(wire.GameUpdate); m != nil {
		t.Errorf("told of %d games while one of them was not on disk", len(m.Games))
	}
	n.commit.hold = false
	n.commit.flush()
	r.run(time.Second)
	if m := p.last(wire.GameUpdate); p.last(wire.Welcome) == nil || m == nil {
		t.Errorf("no session when all was on disk: %v", p.kinds())
	}
}
