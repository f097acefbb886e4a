package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/node/wire"
	"bettensor/sim/mockchain"
	"bettensor/store"
)

// TestChainDown: predictions are still collected and days are still scored,
// from the first moment where the ledger knows who is registered; somebody is
// told; and weights come when the chain is back.
func TestChainDown(t *testing.T) {
	for _, restart := range []bool{false, true} {
		name := "while it runs"
		if restart {
			name = "at the start"
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.offer("100", t0.Add(time.Hour))
			n := r.addValidator("v0")
			m := r.addMiner("m0", once(bet.Home, 100_00))
			r.run(10 * time.Minute)
			r.chainDown = true
			if restart {
				n.crash()
				m.crash()
			}
			r.offer("101", r.w.Now().Add(time.Hour))
			r.run(2 * time.Hour)
			r.finish("100", bet.Home)
			r.finish("101", bet.Home)
			r.run(time.Hour)
			if got := n.v.State.Book.Len(); got != 2 {
				t.Errorf("%d predictions collected", got)
			}
			if s := n.v.Standing(hotkeyOf("m0")); s.Score <= 0 {
				t.Errorf("standing %+v: nothing was scored", s)
			}
			if s := n.service("metagraph"); s.State != "degraded" || !strings.Contains(s.Reason, errRig.Error()) {
				t.Errorf("metagraph: %s %q", s.State, s.Reason)
			}
			before, _ := r.chain.Weights(0)
			r.chainDown = false
			r.run(time.Hour)
			if n.service("metagraph").State != "ok" || n.service("weights").State != "ok" {
				t.Errorf("afterwards: %+v", n.core().Stats().Services)
			}
			if after, _ := r.chain.Weights(0); len(after.UIDs) == 0 || len(before.UIDs) > 0 && restart && len(n.downs) > 0 {
				t.Errorf("weights %v, before %v", after, before)
			}
			if len(n.downs)+len(m.downs) > 0 {
				t.Errorf("downs %v %v", n.downs, m.downs)
			}
		})
	}
}

// TestNoChainYet: a first start without a chain scores days and waits with the
// tiers, and does all of it when the chain is there.
func TestNoChainYet(t *testing.T) {
	r := newRig(t)
	r.chainDown = true
	r.offer("100", t0.Add(-3*time.Hour))
	r.finish("100", bet.Home)
	n := r.addValidator("v0")
	r.run(time.Hour)
	if s := n.service("scoring"); s.State != "degraded" || n.count("scoring", "days_scored") == 0 || n.count("scoring", "days_tiered") != 0 {
		t.Errorf("without a chain: %+v", s)
	}
	r.chainDown = false
	r.run(time.Hour)
	if s := n.service("scoring"); s.State != "ok" || n.count("scoring", "days_tiered") == 0 {
		t.Errorf("with it: %+v", s)
	}
}

// TestChainThatBeganAnew, as a local one does, is believed after a restart,
// though the ledger knows a later block.
func TestChainThatBeganAnew(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	r.run(time.Hour)
	known := n.v.State.Meta.Block
	cc := mockchain.Defaults(30, r.w.Now())
	cc.Neurons = []mockchain.Neuron{{Hotkey: hotkeyOf("m0")}, {Hotkey: hotkeyOf("v0"), Stake: 10_000e9}}
	r.chain = mockchain.New(cc)
	n.crash()
	r.run(time.Second)
	if meta := n.v.State.Meta; meta.Block >= known || len(meta.Neurons) != 2 {
		t.Errorf("block %d with %d neurons, the ledger knew %d", meta.Block, len(meta.Neurons), known)
	}
	if uid, ok := n.v.State.UID(hotkeyOf("v0")); !ok || uid != 1 {
		t.Errorf("slot %d %t", uid, ok)
	}
}

// TestNewsFromTheFuture, of a feed whose clock is wrong, hides nothing that is
// told afterwards, of other games and of the same.
func TestNewsFromTheFuture(t *testing.T) {
	for _, crash := range []bool{false, true} {
		r := newRig(t)
		n := r.addValidator("v0")
		r.run(time.Second)
		ahead := r.offer("100", t0.Add(100*time.Hour))
		ahead.Updated = t0.Add(300 * 24 * time.Hour)
		r.games = nil
		n.do(func() {
			for i := range n.v.services {
				if g, ok := n.v.services[i].service.(*games); ok {
					g.learn(&feed.Batch{Games: []bet.Game{ahead}, At: t0.Add(48 * time.Hour)})
				}
			}
		})
		r.run(time.Minute)
		if n.v.State.Games["100"] != nil || n.count("games", "refused_ahead") != 1 {
			t.Errorf("crash %t: news of a year to come was believed", crash)
		}
		if crash {
			n.crash()
		}
		r.offer("100", t0.Add(100*time.Hour))
		r.offer("101", t0.Add(100*time.Hour))
		r.run(20 * time.Minute)
		if n.v.State.Games["100"] == nil || n.v.State.Games["101"] == nil {
			t.Errorf("crash %t: known are %v", crash, n.v.State.Games)
		}
		r.run(101 * time.Hour)
		r.finish("100", bet.Tie)
		r.run(20 * time.Minute)
		if g := n.v.State.Games["100"]; g == nil || !g.Resulted() {
			t.Errorf("crash %t: the result did not get through: %+v", crash, g)
		}
	}
}

// TestFeedDown: what is known is settled and can be predicted on; somebody is
// told; and what was missed comes when the feed is back.
func TestFeedDown(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(2*time.Hour))
	r.offer("101", t0.Add(10*time.Hour))
	n := r.addValidator("v0")
	r.run(time.Second)
	r.feedDown = true
	r.addMiner("m0", once(bet.Home, 100_00))
	r.run(3 * time.Hour)
	r.finish("100", bet.Home)
	r.run(time.Hour)
	if got := n.v.State.Book.Len(); got != 2 {
		t.Errorf("%d predictions while the feed is down", got)
	}
	if s := n.service("games"); s.State != "degraded" || !strings.Contains(s.Reason, errRig.Error()) {
		t.Errorf("games: %s %q", s.State, s.Reason)
	}
	if n.count("scoring", "rounds") < 3 || n.service("scoring").State != "ok" {
		t.Error("scoring waits for the feed")
	}
	r.feedDown = false
	r.run(30 * time.Minute)
	if n.service("games").State != "ok" || n.count("predictions", "settled") != 1 {
		t.Errorf("afterwards: %+v", n.service("games"))
	}
}

// TestSilentDisk: a commit that nobody answers for too long stops the node;
// nothing was said that rests on it.
func TestSilentDisk(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(2*time.Hour))
	n := r.addValidator("v0")
	n.silent = true
	r.run(time.Second)
	p := r.session("m0", n)
	n.commit.hold = true
	p.send(p.predict(submission("a", g, bet.Home, 10)))
	r.run(commitDeadline + time.Second)
	if len(n.downs) != 1 || !errors.Is(n.downs[0], store.ErrUnknown) || len(p.confirmations()) != 0 {
		t.Errorf("downs %v, said %q", n.downs, p.confirmations())
	}
}

// TestCloseInGoodOrder: what was committed is on disk, sessions are hung up,
// totals are kept, and nothing is taken any more.
func TestCloseInGoodOrder(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(2*time.Hour))
	n := r.addValidator("v0")
	r.run(time.Second)
	p := r.session("m0", n)
	n.commit.hold = true
	p.send(p.predict(submission("a", g, bet.Home, 10)))
	n.do(func() {
		if err := n.v.Close(); err != nil {
			t.Error(err)
		}
		if err := n.v.Close(); err != nil {
			t.Errorf("again: %v", err)
		}
	})
	r.run(time.Second)
	if p.closed() != "restarting" {
		t.Errorf("the session: %q", p.closed())
	}
	opened := n.count("communication", "opened")
	p.connect(n)
	p.send(p.auth(n.validator.Hotkey))
	if n.count("communication", "opened") != opened || p.last(wire.Welcome) != nil || len(n.downs) != 0 || n.service("core").Reason != "closed" {
		t.Errorf("after the end: %q, downs %v", p.kinds(), n.downs)
	}
	n.kill()
	found := ledgerOn(t, n)
	if len(found.Predictions) != 1 || len(found.Counters) != 3 {
		t.Errorf("on disk: %d predictions, %d rows of totals", len(found.Predictions), len(found.Counters))
	}
}
