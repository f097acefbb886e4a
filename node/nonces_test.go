package node

import (
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
)

// TestNoncesOutliveARestart, whatever the clock says then: what a peer has seen
// once it would refuse.
func TestNoncesOutliveARestart(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00))
	r.run(3 * time.Hour)
	for _, n := range []*rigNode{v, m} {
		last := n.core().nonces.Last
		if now := uint64(r.w.Now().UnixMilli()); last > now || last+uint64(10*time.Minute/time.Millisecond) < now {
			t.Fatalf("%s: the last nonce is %d, now is %d", n.name, last, now)
		}
		written := n.core().store.Last()
		for at := r.w.Now(); at.Before(r.w.Now().Add(time.Second)); at = at.Add(time.Millisecond) {
			last = n.core().nonces.Last
			n.core().nonce(at)
		}
		if commits := n.core().store.Last() - written; commits > 1 {
			t.Errorf("%s: a thousand nonces made %d commits", n.name, commits)
		}
		n.run(time.Second) // on disk
		n.crash()
		c := n.core()
		if c.nonces.Last < last || c.nonces.Last > last+uint64(frameReserve/time.Millisecond) {
			t.Errorf("%s: after a crash nonces go on from %d, the last one was %d", n.name, c.nonces.Last, last)
		}
		if next := c.nonce(t0); next <= n.text(last) {
			t.Errorf("%s: with the clock set back the next is %s, the last one was %d", n.name, next, last)
		}
		last = c.nonces.Last
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		n.crash()
		if got := n.core().nonces.Last; got != last {
			t.Errorf("%s: after an end in good order nonces go on from %d, the last one was %d", n.name, got, last)
		}
	}
}

// text is a number of milliseconds as a nonce of today's length.
func (n *rigNode) text(ms uint64) string {
	w := wire.Nonces{Last: ms - 1}
	return w.Next(time.Time{})
}

// TestH11WelcomeWaitsForTheDisk: whoever is welcomed cannot be welcomed again by
// the same frame, whatever becomes of us.
func TestH11WelcomeWaitsForTheDisk(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(30*time.Hour))
	n := r.addValidator("v0")
	r.run(time.Minute)
	p := r.peer("m0", n)
	n.commit.hold = true
	p.send(p.auth(n.validator.Hotkey))
	r.offer("101", t0.Add(30*time.Hour))
	r.poll()
	if len(p.got) != 1 || n.v.State.Sessions[hotkeyOf("m0")] != 0 || n.count("communication", "sessions") != 1 {
		t.Errorf("before it is on disk: %q", p.kinds())
	}
	n.commit.hold = false
	n.do(n.commit.flush)
	r.run(time.Second)
	if got := p.kinds(); len(p.got) < 3 || p.got[1].Message.Kind != wire.Welcome || n.v.State.Sessions[hotkeyOf("m0")] == 0 {
		t.Errorf("when it is on disk: %q", got)
	}
	p.send(p.predict(submission("a", g, bet.Home, 1)))
	if got := p.confirmations(); len(got) != 1 || got[0] != "a ok" {
		t.Errorf("%q", got)
	}

	// One that ended meanwhile is no session.
	late := r.peer("m1", n)
	n.commit.hold = true
	late.send(late.auth(n.validator.Hotkey))
	r.cut(late.end, "bye")
	r.run(time.Second)
	n.commit.hold = false
	n.do(n.commit.flush)
	r.run(time.Second)
	if n.v.State.Sessions[hotkeyOf("m1")] != 0 || n.count("communication", "sessions") != 1 {
		t.Error("a session with nobody")
	}
}

// TestAuthenticationsAreForgotten of hotkeys that left, when what they have signed
// is too old to be taken.
func TestAuthenticationsAreForgotten(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	r.run(time.Minute)
	for _, name := range []string{"m0", "m1"} {
		r.cut(r.session(name, n).end, "bye")
	}
	if code := r.chain.Deregister(r.w.Now(), hotkeyOf("m0")); code != chain.OK {
		t.Fatal(code)
	}
	r.run(5 * time.Minute)
	n.crash()
	r.run(wire.AuthMemory + time.Minute)
	r.session("m2", n)
	n.kill()
	kept := map[string]bool{}
	for name := range ledgerOn(t, n).Facts {
		if h, ok := strings.CutPrefix(name, ledger.FactAuth); ok {
			kept[h] = true
		}
	}
	if kept[string(hotkeyOf("m0"))] || !kept[string(hotkeyOf("m1"))] || !kept[string(hotkeyOf("m2"))] {
		t.Errorf("kept %v", kept)
	}
}
