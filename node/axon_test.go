package node

import (
	"fmt"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/sim/mockchain"
)

// caller asks a miner as a validator does, request by request.
type caller struct {
	*rig
	to     *rigNode
	signer wire.Keyed
	calls  synapse.Nonces
	told   []*bet.Game
	peer   *rawPeer
}

func (r *rig) caller(name string, to *rigNode) *caller {
	return &caller{rig: r, to: to, signer: rigSigner(name)}
}

func (c *caller) poll(at time.Time) []byte {
	games, _ := wire.AppendGames(nil, c.told)
	return wire.AppendPoll(nil, c.signer, &wire.Asking{Asked: c.to.miner.Hotkey, Nonce: c.calls.Next(at), At: at}, games)
}

// ask carries one request out; nil where it is refused.
func (c *caller) ask(frame []byte) *wire.Message {
	c.peer = &rawPeer{rig: c.rig, signer: c.signer}
	c.peer.connect(c.to)
	c.peer.send(frame)
	return c.peer.last(wire.Answer)
}

// predicting is a miner that holds one prediction on a game which v0 offers.
func predicting(t *testing.T, change ...func(*MinerConfig)) (*rig, *caller, *rigNode) {
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Hour))
	m := r.addMiner("m0", once(bet.Home, 10_00), append([]func(*MinerConfig){pollOnly}, change...)...)
	c := r.caller("v0", m)
	c.told = []*bet.Game{&g}
	r.run(time.Minute) // it reads the metagraph
	if a := c.ask(c.poll(r.w.Now())); a == nil || a.Text != "No predictions available" {
		t.Fatalf("the first answer: %+v", a)
	}
	r.run(time.Minute) // its model has seen the game
	return r, c, m
}

func TestAxonAnswersUntilConfirmed(t *testing.T) {
	r, c, m := predicting(t)
	var id bet.PredictionID
	for range 2 {
		a := c.ask(c.poll(r.w.Now()))
		if a == nil || len(a.Exchange.Submissions) != 1 || a.Sender != hotkeyOf("m0") || !a.Exchange.Bound {
			t.Fatalf("answer %+v", a)
		}
		if id != "" && a.Exchange.Submissions[0].ID != id {
			t.Errorf("told again as %s, first as %s", a.Exchange.Submissions[0].ID, id)
		}
		id = a.Exchange.Submissions[0].ID
	}
	receipts := func(w ...wire.Confirmation) {
		t.Helper()
		now := r.w.Now()
		if a := c.ask(wire.AppendReceipts(nil, c.signer, &wire.Asking{Asked: hotkeyOf("m0"), Nonce: c.calls.Next(now), At: now}, w, nil)); a == nil || a.Exchange.Status != 200 {
			t.Errorf("receipts: %+v", a)
		}
	}
	receipts(wire.Confirmation{ID: id, Code: bet.Overloaded})
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 1 {
		t.Errorf("after a word that was not final: %+v", a)
	}
	receipts(wire.Confirmation{ID: "other", OK: true}, wire.Confirmation{ID: id, OK: true})
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 0 || a.Text == "" {
		t.Errorf("after the last word: %+v", a)
	}
	other := r.caller("v1", m)
	other.told = c.told
	if a := other.ask(other.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 1 {
		t.Errorf("another validator: %+v", a)
	}
	m.crash()
	r.run(time.Minute)
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 0 {
		t.Errorf("after a restart: %+v", a)
	}
	if got := m.m.Deliveries(id); len(got) != 1 {
		t.Errorf("deliveries %+v", got)
	}
}

// TestSessionIsAnsweredThere: a validator that has a session and polls all the
// same gets nothing twice.
func TestSessionIsAnsweredThere(t *testing.T) {
	r, c, m := predicting(t)
	m.m.State.Sessions[hotkeyOf("v0")] = 1
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 0 {
		t.Errorf("with a session: %+v", a)
	}
	delete(m.m.State.Sessions, hotkeyOf("v0"))
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 1 {
		t.Errorf("without: %+v", a)
	}
}

// TestOriginalsDuplicateIsASuccess: the original refuses a prediction that it
// holds, and says so.
func TestOriginalsDuplicateIsASuccess(t *testing.T) {
	r, c, m := predicting(t)
	a := c.ask(c.poll(r.w.Now()))
	id := a.Exchange.Submissions[0].ID
	now := r.w.Now()
	c.ask(wire.AppendReceipts(nil, c.signer, &wire.Asking{Asked: hotkeyOf("m0"), Nonce: c.calls.Next(now), At: now},
		[]wire.Confirmation{{ID: id, Message: fmt.Sprintf("Prediction %s already exists in database", id)}}, nil))
	if m.m.delivered.confirmed != 1 || m.m.delivered.rejected != 0 {
		t.Errorf("%+v", m.m.delivered)
	}
}

// TestAxonWaitsForTheQuote as a session does: a validator that offers another
// price would refuse the prediction for good.
func TestAxonWaitsForTheQuote(t *testing.T) {
	r, c, _ := predicting(t)
	moved := *c.told[0]
	moved.Odds[bet.Home] += 0.3
	c.told = []*bet.Game{&moved}
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 0 {
		t.Errorf("at another price: %+v", a)
	}
	r.run(quoteWait)
	if a := c.ask(c.poll(r.w.Now())); a == nil || len(a.Exchange.Submissions) != 1 {
		t.Errorf("after quoteWait: %+v", a)
	}
}

// TestAxonRefuses: every one of these gets the same nothing.
func TestAxonRefuses(t *testing.T) {
	r, c, m := predicting(t)
	stranger := r.caller("nobody", m)
	poor := r.caller("m1", m)
	elsewhere := *c
	elsewhere.to = &rigNode{miner: &MinerConfig{Hotkey: hotkeyOf("m1")}}
	replayed := c.poll(r.w.Now())
	if c.ask(replayed) == nil {
		t.Fatal("a good request was refused")
	}
	for name, refused := range map[string]func() *wire.Message{
		"a stranger":      func() *wire.Message { return stranger.ask(stranger.poll(r.w.Now())) },
		"no permit":       func() *wire.Message { return poor.ask(poor.poll(r.w.Now())) },
		"another miner's": func() *wire.Message { return c.ask(elsewhere.poll(r.w.Now())) },
		"a replay":        func() *wire.Message { return c.ask(replayed) },
		"from before the window": func() *wire.Message {
			return c.ask((&caller{rig: r, to: m, signer: c.signer}).poll(r.w.Now().Add(-synapse.Past)))
		},
		"from the future": func() *wire.Message {
			return c.ask((&caller{rig: r, to: m, signer: c.signer}).poll(r.w.Now().Add(synapse.Future + time.Second)))
		},
		"a frame of a session": func() *wire.Message { return c.ask(wire.AppendHeartbeat(nil, c.signer, r.w.Now(), "1")) },
		"garbage":              func() *wire.Message { return c.ask([]byte{1, 2, 3}) },
	} {
		if a := refused(); a != nil {
			t.Errorf("%s: %+v", name, a)
		}
		for _, x := range []*caller{c, stranger, poor} {
			if x.peer != nil && len(x.peer.got) > 0 && x.peer.last(wire.Answer) == nil && x.peer.closed() != "refused" {
				t.Errorf("%s: told %q", name, x.peer.kinds())
			}
		}
	}
	if c.ask(c.poll(r.w.Now())) == nil {
		t.Error("a good request after them was refused")
	}
}

// TestA4ReplayAfterRestart: what was answered is remembered by the disk, so a
// captured request is worth nothing to whoever makes the miner restart; and what
// is not yet on the disk is not yet answered.
func TestA4ReplayAfterRestart(t *testing.T) {
	r, c, m := predicting(t)
	captured := c.poll(r.w.Now())
	if c.ask(captured) == nil {
		t.Fatal("a good request was refused")
	}
	m.crash()
	r.run(time.Second)
	if a := c.ask(captured); a != nil {
		t.Errorf("answered again after a restart: %+v", a)
	}
	if m.count("axon", "refused_replay") != 1 {
		t.Errorf("not refused as a replay: %+v", m.service("axon").Counts)
	}
	m.commit.hold = true
	captured = c.poll(r.w.Now())
	if a := c.ask(captured); a != nil {
		t.Errorf("answered before its nonce was durable: %+v", a)
	}
	m.commit.hold = false
	m.do(m.commit.flush)
	r.run(time.Second)
	if c.peer.last(wire.Answer) == nil {
		t.Error("not answered when it was")
	}
}

// TestA4Bounded: only validators are remembered, and those of the past are not.
func TestA4Bounded(t *testing.T) {
	r, c, m := predicting(t)
	for i := range 50 {
		s := r.caller(fmt.Sprint("stranger", i), m)
		s.ask(s.poll(r.w.Now()))
	}
	if got := len(m.m.asked); got != 1 {
		t.Errorf("%d remembered", got)
	}
	m.m.asked[hotkeyOf("long-gone")] = &asked{newest: 1}
	other := r.caller("v1", m)
	other.ask(other.poll(r.w.Now()))
	if _, there := m.m.asked[hotkeyOf("long-gone")]; there || len(m.m.asked) != 2 {
		t.Errorf("%d remembered", len(m.m.asked))
	}
	if c.ask(c.poll(r.w.Now())) == nil {
		t.Error("forgotten too much")
	}
}

// TestA9Floods: a validator that asks without end is not answered without end.
func TestA9Floods(t *testing.T) {
	r, c, m := predicting(t)
	answered := 0
	c.peer = &rawPeer{rig: r, signer: c.signer}
	for range 100 {
		c.peer.conns++
		c.peer.end = &rigEnd{key: endKey{"", c.peer.conns}, raw: c.peer}
		r.connect(c.peer.end, m)
		r.pass(c.peer.end, c.poll(r.w.Now()))
	}
	r.run(time.Second)
	for _, e := range c.peer.got {
		if e.Kind == wire.Received {
			answered++
		}
	}
	if answered > askRate.burst || answered == 0 || m.count("axon", "over_rate") == 0 {
		t.Errorf("answered %d of 100 at once", answered)
	}
	r.run(time.Minute)
	if c.ask(c.poll(r.w.Now())) == nil {
		t.Error("refused for ever")
	}
}

// TestReplaysCostTheirSenderNothing: who sends a captured poll again uses up
// nothing of what the validator it is of may ask.
func TestReplaysCostTheirSenderNothing(t *testing.T) {
	r, c, m := predicting(t)
	captured := c.poll(r.w.Now())
	if c.ask(captured) == nil {
		t.Fatal("not answered at all")
	}
	for range 3 * askRate.burst {
		if c.ask(captured) != nil {
			t.Fatal("answered twice")
		}
		r.run(10 * time.Millisecond)
	}
	if c.ask(c.poll(r.w.Now())) == nil || m.count("axon", "over_rate") != 0 {
		t.Errorf("the validator itself is refused; %d over the rate", m.count("axon", "over_rate"))
	}
	if got := m.service("axon"); got.State != "ok" || len(got.Troubles) > 0 {
		t.Errorf("replays of a validator that is answered: %+v", got)
	}
}

// TestAxonSaysWhomItRefuses: a validator with a clock of its own.
func TestAxonSaysWhomItRefuses(t *testing.T) {
	r, c, m := predicting(t)
	other := r.caller("v1", m)
	other.told = c.told
	other.ask(other.poll(r.w.Now().Add(-time.Minute)))
	got := m.service("axon")
	if got.State != "degraded" || len(got.Troubles) != 1 || got.Troubles[0].Hotkey != hotkeyOf("v1") || got.Troubles[0].Code != AskerStale {
		t.Errorf("%+v", got)
	}
	report := m.m.Report()
	for _, v := range report.Validators {
		if (v.Trouble != nil) != (v.Hotkey == hotkeyOf("v1")) {
			t.Errorf("trouble with %s: %+v", v.Hotkey, v.Trouble)
		}
	}
	other.calls.Last = 0
	if other.ask(other.poll(r.w.Now())) == nil || m.service("axon").State != "ok" {
		t.Errorf("when its clock is right: %+v", m.service("axon"))
	}
}

// TestH5FewSeePredictions: neither dialled nor answered is who has a permit but
// too little stake to lose.
func TestH5FewSeePredictions(t *testing.T) {
	r := newRig(t, func(c *mockchain.Config) {
		for i := range c.Neurons {
			if c.Neurons[i].Hotkey == hotkeyOf("v1") {
				c.Neurons[i].Stake = 999e9
			}
		}
	})
	g := r.offer("100", t0.Add(30*time.Hour))
	rich, poor := r.addValidator("v0"), r.addValidator("v1")
	m := r.addMiner("m0", once(bet.Home, 10_00))
	r.run(time.Hour)
	if len(rich.v.State.Book.Game(g.ID)) != 1 || len(poor.v.State.Book.Game(g.ID)) != 0 {
		t.Errorf("%d and %d predictions told", len(rich.v.State.Book.Game(g.ID)), len(poor.v.State.Book.Game(g.ID)))
	}
	if !m.m.State.Meta.Neurons[1].Permit {
		t.Fatal("v1 holds no permit: the test shows nothing")
	}
	if m.m.trusts(&chain.Neuron{Permit: false, Stake: 1e18}) {
		t.Error("stake without a permit is trusted")
	}
	p := r.caller("v1", m)
	p.told = []*bet.Game{&g}
	if a := p.ask(p.poll(r.w.Now())); a != nil {
		t.Errorf("a poll is answered: %+v", a)
	}
}

// TestH11AuthIsForOneValidatorOnce: an authentication that was captured opens no
// second session, here or at another validator, and a frame counts in its own
// session alone.
func TestH11AuthIsForOneValidatorOnce(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(3*time.Hour))
	v0, v1 := r.addValidator("v0"), r.addValidator("v1")
	r.run(time.Second)
	p := r.peer("m0", v0)
	auth := p.auth(v0.validator.Hotkey)
	p.send(auth)
	if p.last(wire.Welcome) == nil {
		t.Fatal("not welcomed")
	}
	prediction := p.predict(submission("a", g, bet.Home, 1))
	p.send(prediction)
	p.send(prediction)
	if n := v0.count("predictions", "received"); n != 1 {
		t.Errorf("a frame that came twice counted %d times", n)
	}
	for name, to := range map[string]*rigNode{"the same": v0, "another": v1} {
		thief := &rawPeer{rig: r, signer: rigSigner("m0")}
		thief.connect(to)
		thief.send(auth)
		thief.send(prediction)
		if thief.last(wire.Welcome) != nil || thief.closed() == "" {
			t.Errorf("%s validator: %q", name, thief.kinds())
		}
	}
	if n := v0.count("communication", "sessions"); n != 1 || p.closed() != "" {
		t.Errorf("the true session is gone: %d, %q", n, p.closed())
	}
	if n := v1.count("predictions", "received"); n != 0 {
		t.Errorf("the other validator took %d predictions", n)
	}
}
