package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/sim/mockchain"

	"github.com/google/go-cmp/cmp"
)

// pollOnly makes a miner that speaks HTTP alone, at an address of its own.
func pollOnly(c *MinerConfig) {
	c.PollOnly = true
	c.Axon = chain.Axon{IP: "198.51.102.200", Port: 12345}
}

// TestPoll: a miner that is only polled has its predictions stored, confirmed
// once, and settled; nothing goes over a WebSocket.
func TestPoll(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(3*time.Hour))
	v := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00), pollOnly)
	r.until("the prediction is confirmed", time.Hour, func() bool { return m.m.delivered.confirmed == 1 })
	row := v.v.State.Book.Game(g.ID)
	if len(row) != 1 || row[0].Hotkey != m.m.hotkey || row[0].Wager != 10_00 {
		t.Fatalf("stored %+v", row)
	}
	if got := m.m.Deliveries(row[0].ID); len(got) != 1 || got[0].Validator != v.v.hotkey {
		t.Errorf("deliveries %+v", got)
	}
	r.run(30 * time.Minute)
	for _, c := range []struct {
		n             *rigNode
		service, name string
		want          uint64
	}{
		{v, "poll", "predictions", 1}, {v, "poll", "words", 1}, {v, "poll", "told", 1}, {v, "poll", "failed", 0}, {v, "poll", "axons", 1},
		{v, "communication", "opened", 0}, {m, "axon", "predictions", 1}, {m, "axon", "receipts", 1}, {m, "communication", "dials", 0},
		{v, "predictions", "duplicates", 0},
	} {
		if got := c.n.count(c.service, c.name); got != c.want {
			t.Errorf("%s: %s %s is %d, want %d", c.n.name, c.service, c.name, got, c.want)
		}
	}
	if asked := v.count("poll", "asked"); asked < 4 {
		t.Errorf("asked %d times in more than half an hour", asked)
	}
	r.run(4 * time.Hour)
	r.finish("100", bet.Home)
	r.run(time.Hour)
	if s := m.m.box.byID[row[0].ID].State; s != bet.Won {
		t.Errorf("the miner knows its prediction as %v", s)
	}
}

// TestSessionIsNotPolled: a miner with a session says everything there, and is
// polled again when the session is lost.
func TestSessionIsNotPolled(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(10*time.Hour))
	v := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00), func(c *MinerConfig) { pollOnly(c); c.PollOnly = false })
	r.run(time.Hour)
	if v.count("poll", "axons") != 1 || v.count("poll", "asked") != 0 || m.m.delivered.confirmed != 1 {
		t.Errorf("%d axons, asked %d times, %d confirmed", v.count("poll", "axons"), v.count("poll", "asked"), m.m.delivered.confirmed)
	}
	m.m.cfg.PollOnly = true // it dials no more
	m.do(func() { m.m.services[m.m.dialler].service.(*minerCommunication).targets(m.m.State.Meta) })
	r.run(time.Hour)
	if v.count("poll", "asked") == 0 {
		t.Error("not polled though its session is lost")
	}
	if got := v.count("poll", "predictions"); got != 0 {
		t.Errorf("%d predictions told again though they are confirmed", got)
	}
}

// answering makes the reply of a hostile or an original miner: picks signed by
// nobody, with whatever it claims to be.
func answering(as chain.Hotkey, picks ...*bet.Submission) func(*wire.Message) []byte {
	return func(q *wire.Message) []byte {
		signer := wire.Keyed{Key: rigKey, Name: as}
		frame := wire.AppendEcho(nil, signer, q, 2, t0)
		if q.Kind == wire.Poll {
			frame = wire.AppendAnswer(nil, signer, q, 2, t0, picks, "none")
		}
		reply, err := synapse.UnpackReply(frame)
		if err != nil {
			panic(err)
		}
		reply.Binding = nil
		return reply.Append(nil)
	}
}

// TestH1ReplyCountsForWhomWasDialled: a reply that speaks for another hotkey
// counts for nobody, and what a reply says of itself otherwise changes nothing.
func TestH1ReplyCountsForWhomWasDialled(t *testing.T) {
	for _, c := range []struct {
		name string
		as   chain.Hotkey
		rows int
	}{{"itself", hotkeyOf("m0"), 1}, {"another", hotkeyOf("m1"), 0}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			g := r.offer("100", t0.Add(3*time.Hour))
			v := r.addValidator("v0")
			pick := submission("a", g, bet.Home, 1000)
			pick.MinerUID = "3" // m1's
			r.axon("m0", answering(c.as, pick))
			r.run(30 * time.Minute)
			rows := v.v.State.Book.Game(g.ID)
			if len(rows) != c.rows {
				t.Fatalf("%d rows, want %d", len(rows), c.rows)
			}
			for _, row := range rows {
				if row.Hotkey != hotkeyOf("m0") {
					t.Errorf("stored for %s", row.Hotkey)
				}
			}
			if got := v.v.State.Book.Spent(hotkeyOf("m1"), bet.DayOf(t0)); got != 0 {
				t.Errorf("m1 has spent %v", got)
			}
			if foreign := v.count("poll", "foreign"); (foreign == 0) != (c.rows == 1) {
				t.Errorf("foreign %d", foreign)
			}
		})
	}
}

// TestA8BoundReplies: who has once signed its replies is believed no unsigned
// one, and no signed one that was made for another request.
func TestA8BoundReplies(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	var first []byte
	polls := 0
	r.axon("m0", func(q *wire.Message) []byte {
		pick := submission(fmt.Sprint("id", polls), g, bet.Home, 1)
		bound := wire.AppendAnswer(nil, rigSigner("m0"), q, 2, t0, []*bet.Submission{pick}, "")
		if q.Kind == wire.Receipts {
			return wire.AppendEcho(nil, rigSigner("m0"), q, 2, t0)
		}
		switch polls++; polls {
		case 1:
			first = bound
			return bound
		case 2:
			return answering(hotkeyOf("m0"), pick)(q)
		case 3:
			return first
		}
		return bound
	})
	r.until("four polls", 10*time.Hour, func() bool { return polls == 4 })
	r.run(time.Minute)
	if rows := len(v.v.State.Book.Game(g.ID)); rows != 2 || v.count("poll", "unbound") != 2 {
		t.Errorf("%d rows and %d unbound replies, want those of the first and the fourth poll", rows, v.count("poll", "unbound"))
	}
}

// TestA8OutlivesRestartsAndAddresses: whoever answers elsewhere, or after we have
// started anew, is held to what the hotkey has once done.
func TestA8OutlivesRestartsAndAddresses(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	signs, polls := true, 0
	reply := func(q *wire.Message) []byte {
		if q.Kind == wire.Receipts {
			return wire.AppendEcho(nil, rigSigner("m0"), q, 2, t0)
		}
		polls++
		pick := submission(fmt.Sprint("id", polls), g, bet.Home, 1)
		if signs {
			return wire.AppendAnswer(nil, rigSigner("m0"), q, 2, t0, []*bet.Submission{pick}, "")
		}
		return answering(hotkeyOf("m0"), pick)(q)
	}
	r.axon("m0", reply)
	r.until("a signed reply", time.Hour, func() bool { return polls == 1 })
	r.run(time.Minute)
	signs = false
	v.crash()
	r.until("an unsigned one", 2*time.Hour, func() bool { return polls == 2 })
	r.run(time.Minute)
	r.run(2 * time.Hour) // the chain takes a new address now and then only
	delete(r.axons, "198.51.101.1:8091")
	r.axons["198.51.101.9:8091"] = &rawPeer{rig: r, signer: rigSigner("m0"), reply: reply}
	r.announce("m0", chain.Axon{IP: "198.51.101.9", Port: 8091})
	seen := polls
	r.until("one from elsewhere", 4*time.Hour, func() bool { return polls > seen })
	r.run(time.Minute)
	if rows := len(v.v.State.Book.Game(g.ID)); rows != 1 || v.count("poll", "unbound") != uint64(polls-1) {
		t.Errorf("%d rows of %d replies, %d refused", rows, polls, v.count("poll", "unbound"))
	}
	if got := v.service("poll"); got.State != "degraded" || len(got.Troubles) != 1 || got.Troubles[0].Code != PeerUnsigned {
		t.Errorf("%+v", got)
	}
	if code := r.chain.Deregister(r.w.Now(), hotkeyOf("m0")); code != chain.OK {
		t.Fatal(code)
	}
	r.run(30 * time.Minute)
	v.kill()
	for name := range ledgerOn(t, v).Facts {
		if strings.HasPrefix(name, ledger.FactSigns) {
			t.Errorf("%s is still kept", name)
		}
	}
}

// TestPollsGoOnAfterACrash: nonces are written ahead, and a miner that holds them
// against its clock is not asked with one from the future.
func TestPollsGoOnAfterACrash(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00), pollOnly)
	r.until("a poll", time.Hour, func() bool { return m.count("axon", "polls") == 1 })
	last := v.v.calls.Last
	for range 5 {
		v.crash()
		if v.v.calls.Last < last || v.v.calls.Last > last+uint64(callReserve) {
			t.Fatalf("the first nonce after a crash: %d, the last one before %d", v.v.calls.Last, last)
		}
		before := m.count("axon", "polls")
		r.until("a poll", 3*time.Minute, func() bool { return m.count("axon", "polls") > before })
		if last = v.v.calls.Last; m.count("axon", "refused_stale")+m.count("axon", "refused_replay") > 0 {
			t.Fatal("asked with a nonce from the future or from the past")
		}
	}
	if err := v.v.Close(); err != nil {
		t.Fatal(err)
	}
	v.crash()
	if v.v.calls.Last != last {
		t.Errorf("after an end in good order %d ahead", v.v.calls.Last-last)
	}
	// A clock that was set back by more than a crash explains is not waited for.
	if wait := v.v.callAfter(time.Unix(0, int64(last)).Add(-2 * callReserve)); wait != 0 {
		t.Errorf("waits %v for a clock that was set back", wait)
	}
}

// TestH9ReceiptClock: the miner's own date is for people.
func TestH9ReceiptClock(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(3*time.Hour))
	v := r.addValidator("v0")
	pick := submission("a", g, bet.Home, 1)
	pick.Date = "2024-02-01T00:00:00+00:00"
	r.axon("m0", answering(hotkeyOf("m0"), pick))
	late := submission("b", r.offer("200", t0.Add(30*time.Second)), bet.Home, 1)
	late.Date = "2024-02-01T00:00:00+00:00"
	r.axon("m1", answering(hotkeyOf("m1"), late))
	r.run(20 * time.Minute)
	rows := v.v.State.Book.Game(g.ID)
	if len(rows) != 1 || rows[0].Received.Before(t0) || v.v.State.Book.Spent(hotkeyOf("m0"), bet.DayOf(t0)) != 1_00 {
		t.Errorf("stored %+v", rows)
	}
	if late := v.v.State.Book.Game("200"); len(late) != 0 {
		t.Errorf("taken after the start: %+v", late)
	}
}

// TestH8OneBudget: what comes over a session and what comes in a reply at the
// same time, in whatever order, share one budget; equal parts are taken up to it.
func TestH8OneBudget(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(3*time.Hour))
	v := r.addValidator("v0")
	var picks []*bet.Submission
	for i := range 20 {
		picks = append(picks, submission(fmt.Sprint("p", i), g, bet.Home, 90))
	}
	r.axon("m0", answering(hotkeyOf("m0"), picks...))
	r.until("a poll is out", time.Hour, func() bool { return v.count("poll", "asked") == 1 })
	p := &rawPeer{rig: r, signer: rigSigner("m0")}
	p.conns++
	p.end = &rigEnd{key: endKey{"", p.conns}, raw: p}
	if !r.connect(p.end, v) {
		t.Fatal("the validator is down")
	}
	p.pass(p.end, p.auth(v.validator.Hotkey))
	for i := range 20 {
		p.pass(p.end, p.predict(submission(fmt.Sprint("s", i), g, bet.Away, 90)))
	}
	r.run(30 * time.Minute)
	rows := v.v.State.Book.Game(g.ID)
	spent := v.v.State.Book.Spent(hotkeyOf("m0"), bet.DayOf(t0))
	if len(rows) != 11 || spent != 11*90_00 {
		t.Errorf("%d rows, %v spent: want 11 of $90", len(rows), spent)
	}
	if got := v.count("predictions", "rejected_daily_limit_exceeded"); got < 29 {
		t.Errorf("%d refused for the budget, want the other 29", got)
	}
}

// TestH15IDsAreTheMiners: two miners may use one id, and neither blocks the other.
func TestH15IDsAreTheMiners(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(3*time.Hour))
	v := r.addValidator("v0")
	for _, name := range []string{"m0", "m1"} {
		r.axon(name, answering(hotkeyOf(name), submission("same", g, bet.Home, 1)))
	}
	r.run(time.Second)
	p := r.session("m2", v)
	p.send(p.predict(submission("same", g, bet.Away, 2)))
	r.run(30 * time.Minute)
	var who []chain.Hotkey
	for _, row := range v.v.State.Book.Game(g.ID) {
		who = append(who, row.Hotkey)
	}
	slices.Sort(who)
	want := []chain.Hotkey{hotkeyOf("m0"), hotkeyOf("m1"), hotkeyOf("m2")}
	slices.Sort(want)
	if d := cmp.Diff(want, who); d != "" {
		t.Error(d)
	}
	if got := v.count("predictions", "rejected_duplicate_conflict"); got != 0 {
		t.Errorf("%d conflicts", got)
	}
}

// TestWordsAfterTheDisk: the second request leaves when all it says is durable,
// in one piece; what is not final is left out and asked for again.
func TestWordsAfterTheDisk(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	var words []wire.Confirmation
	picks := []*bet.Submission{submission("a", g, bet.Home, 1), submission("b", g, bet.Home, 2000), submission("c", g, bet.Away, 2)}
	answer := answering(hotkeyOf("m0"), picks...)
	r.axon("m0", func(q *wire.Message) []byte {
		if q.Kind == wire.Receipts {
			words = append(words, q.Exchange.Words...)
		}
		return answer(q)
	})
	r.until("a poll is out", time.Hour, func() bool { return v.count("poll", "asked") == 1 })
	v.commit.hold = true
	r.run(10 * time.Second)
	if len(v.v.State.Book.Game(g.ID)) != 2 || len(words) != 0 {
		t.Fatalf("%d rows in memory, words %+v", len(v.v.State.Book.Game(g.ID)), words)
	}
	v.commit.hold = false
	v.do(v.commit.flush)
	r.run(time.Second)
	want := []wire.Confirmation{{ID: "a", OK: true, Message: "Prediction validated successfully"},
		{ID: "b", Code: bet.DailyLimitExceeded, Message: "Prediction would exceed daily limit (Current: $1.00, Attempted: $2000.00)"},
		{ID: "c", OK: true, Message: "Prediction validated successfully"}}
	if d := cmp.Diff(want, words); d != "" {
		t.Error(d)
	}
	// Told again, the same words come: a success is one for its duplicate too.
	words = nil
	r.run(10 * time.Minute)
	if len(words) != 3 || !words[0].OK || words[1].OK || !words[2].OK {
		t.Errorf("told again: %+v", words)
	}
	if rows := len(v.v.State.Book.Game(g.ID)); rows != 2 {
		t.Errorf("%d rows", rows)
	}
}

// TestWordsThatAreNotFinal are not told: the original takes every word as final.
func TestWordsThatAreNotFinal(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	var told []bet.PredictionID
	r.axon("m0", func(q *wire.Message) []byte {
		for _, w := range q.Exchange.Words {
			told = append(told, w.ID)
		}
		return answering(hotkeyOf("m0"))(q)
	})
	r.until("a poll", time.Hour, func() bool { return v.count("poll", "answered") == 1 })
	v.do(func() {
		p := v.v.services[v.v.dialler].service.(*poll)
		x := p.byKey[hotkeyOf("m0")]
		x.phase, x.waits = judging, map[bet.PredictionID]bool{"now": true, "later": true}
		p.word(x.hotkey, wire.Confirmation{ID: "later", Code: bet.Overloaded})
		p.word(x.hotkey, wire.Confirmation{ID: "now", OK: true})
		p.plan()
	})
	r.run(time.Minute)
	if d := cmp.Diff([]bet.PredictionID{"now"}, told); d != "" {
		t.Error(d)
	}
}

// TestPollsBackOff: an axon that does not answer is asked less and less, those
// beside it are not, and no more than PollParallel requests are ever out.
func TestPollsBackOff(t *testing.T) {
	r := newRig(t, func(c *mockchain.Config) {
		for i := range 40 {
			c.Neurons = append(c.Neurons, mockchain.Neuron{Hotkey: hotkeyOf(fmt.Sprint("x", i)), Coldkey: "cold"})
		}
	})
	v := r.addValidator("v0", func(c *ValidatorConfig) { c.PollParallel = 3 })
	good, dead := 0, 0
	r.axon("m0", func(q *wire.Message) []byte { good++; return answering(hotkeyOf("m0"))(q) })
	for i := range 40 { // they take the request and say nothing
		r.axon(fmt.Sprint("x", i), func(*wire.Message) []byte { dead++; return nil })
		r.run(20 * time.Second)
	}
	r.run(6 * time.Hour)
	if v.count("poll", "axons") != 41 {
		t.Fatalf("%d axons", v.count("poll", "axons"))
	}
	if perAxon := dead / 40; good < 35 || perAxon < 3 || perAxon > good/2 {
		t.Errorf("the one that answers was asked %d times, those that do not %d each", good, perAxon)
	}
	if v.count("poll", "failing") != 40 {
		t.Errorf("%d failing", v.count("poll", "failing"))
	}
}

func TestWhoIsPolled(t *testing.T) {
	p := &poll{v: &Validator{cfg: ValidatorConfig{Hotkey: "v"}}}
	p.v.cfg.fill()
	public := chain.Axon{IP: "198.51.102.7", Port: 8091}
	for _, c := range []struct {
		name string
		n    chain.Neuron
		own  string
		want bool
	}{
		{"a miner", chain.Neuron{Axon: public}, "", true},
		{"no axon", chain.Neuron{}, "", false},
		{"no port", chain.Neuron{Axon: chain.Axon{IP: public.IP}}, "", false},
		{"a validator", chain.Neuron{Axon: public, Permit: true, Stake: 5000e9}, "", false},
		{"a miner with some stake", chain.Neuron{Axon: public, Permit: true, Stake: 4096e9}, "", true},
		{"much stake without a permit", chain.Neuron{Axon: public, Stake: 5000e9}, "", true},
		{"our own loopback", chain.Neuron{Axon: chain.Axon{IP: "127.0.0.1", Port: 1}}, public.IP, false},
		{"our own network", chain.Neuron{Axon: chain.Axon{IP: "10.1.2.3", Port: 1}}, public.IP, false},
		{"a cloud's own service", chain.Neuron{Axon: chain.Axon{IP: "169.254.169.254", Port: 80}}, "", false},
		{"a carrier's", chain.Neuron{Axon: chain.Axon{IP: "100.64.0.1", Port: 80}}, "", false},
		{"IPv4 in IPv6", chain.Neuron{Axon: chain.Axon{IP: "::ffff:127.0.0.1", Port: 80}}, "", false},
		{"all of them", chain.Neuron{Axon: chain.Axon{IP: "0.0.0.0", Port: 80}}, "", false},
		{"an address within an address", chain.Neuron{Axon: chain.Axon{IP: "64:ff9b::10.0.0.1", Port: 80}}, public.IP, false},
		{"no address", chain.Neuron{Axon: chain.Axon{IP: "localhost", Port: 80}}, "", false},
		{"a subnet on one machine", chain.Neuron{Axon: chain.Axon{IP: "127.0.0.1", Port: 1}}, "127.0.0.1", true},
		{"IPv6", chain.Neuron{Axon: chain.Axon{IP: "2a00::1", Port: 1}}, "", true},
	} {
		p.v.cfg.Axon.IP = c.own
		if got := p.polls(&c.n); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestShadowTellsNothing: beside another validator that does.
func TestShadowTellsNothing(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0", func(c *ValidatorConfig) { c.Shadow = true })
	r.axon("m0", answering(hotkeyOf("m0"), submission("a", g, bet.Home, 1)))
	r.run(30 * time.Minute)
	if v.count("poll", "predictions") == 0 || v.count("poll", "words") != 0 {
		t.Errorf("%d predictions, %d words", v.count("poll", "predictions"), v.count("poll", "words"))
	}
}

// TestFigures: a miner of the original fails where one of its columns is missing.
func TestFigures(t *testing.T) {
	var v struct {
		Body struct {
			Words map[string]json.RawMessage `json:"confirmation_dict"`
		}
	}
	b, err := os.ReadFile(filepath.Join("..", "testdata", "wire", "http_confirmation_request.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(v.Body.Words["miner_stats"], &want); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Minute))
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00), pollOnly)
	r.until("confirmed", time.Hour, func() bool { return m.m.delivered.confirmed == 1 })
	got := map[string]string{}
	read := func() {
		for _, s := range n.v.services[n.v.dialler].service.(*poll).figures(hotkeyOf("m0")) {
			got[s.Name] = s.Value
		}
	}
	read()
	if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
		t.Error(d)
	}
	if got["miner_cash"] != "990.0" || got["miner_lifetime_predictions"] != "1" || got["miner_lifetime_wins"] != "0" {
		t.Errorf("before the game: %v", got)
	}
	r.run(time.Hour)
	r.finish("100", bet.Home)
	r.run(30 * time.Minute)
	read()
	if got["miner_lifetime_wins"] != "1" || got["miner_lifetime_earnings"] != pythonFloat(10*g.Odds[bet.Home]) || got["miner_lifetime_roi"] != "0.9" {
		t.Errorf("after the game: %v", got)
	}
}

// TestPollOutlivesItsService: a rebuild of Poll asks no axon with a nonce of before.
func TestPollOutlivesItsService(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	var nonces []uint64
	r.axon("m0", func(q *wire.Message) []byte {
		nonces = append(nonces, q.Exchange.Nonce)
		return answering(hotkeyOf("m0"))(q)
	})
	r.until("a poll", time.Hour, func() bool { return len(nonces) == 1 })
	v.do(func() { v.v.services[v.v.dialler].scope.Panicked("planted") })
	r.until("a poll after it", time.Hour, func() bool { return len(nonces) == 2 })
	if nonces[1] <= nonces[0] {
		t.Errorf("nonces %d", nonces)
	}
}

var _ model.Model = (*plan)(nil)
