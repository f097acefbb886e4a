package node

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/sim/mockchain"
)

// Attacks on the services, by the numbers of docs/attacks.md; what concerns one
// service alone lies beside that service.

// TestA10OnlyStrangersArePolled: an address inside our own network, which anybody
// can announce as his, is never dialled.
func TestA10OnlyStrangersArePolled(t *testing.T) {
	inside := []string{"10.0.0.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::ffff:10.0.0.9", "fd00::1", "fe80::1"}
	for _, ip := range append(slices.Clone(inside), "198.51.101.9") {
		t.Run(ip, func(t *testing.T) {
			r := newRig(t)
			v := r.addValidator("v0")
			a := chain.Axon{IP: ip, Port: 8091}
			dialled := 0
			r.axons[addressOf(a)] = &rawPeer{rig: r, signer: rigSigner("m0"), reply: func(q *wire.Message) []byte {
				dialled++
				return answering(hotkeyOf("m0"))(q)
			}}
			r.announce("m0", a)
			r.run(time.Hour)
			if want := !slices.Contains(inside, ip); (dialled > 0) != want || (v.count("poll", "asked") > 0) != want {
				t.Errorf("asked %d times, %d polls; want any: %v", dialled, v.count("poll", "asked"), want)
			}
		})
	}
}

// TestA11SealedUntilTheReveal: between a timelocked commit and its reveal, what
// the chain shows of our weights is the set before, to everybody.
func TestA11SealedUntilTheReveal(t *testing.T) {
	r := newRig(t, timelocked)
	n := setter(r)
	copied := func() string {
		p := r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpReadWeights, Hotkey: hotkeyOf("v0")})
		return fmt.Sprint(p.Weights.UIDs, p.Weights.Values)
	}
	for i, want := range []struct{ before, after string }{
		{"[] []", "[2] [65535]"},
		{"[2] [65535]", "[3] [65535]"},
	} {
		n.round(float64(1-i), float64(i), 0)
		r.until("a commit", 120*block, func() bool { return strings.HasSuffix(n.phases(), "committed") })
		set := n.v.State.Weights[len(n.v.State.Weights)-1]
		if set.RevealAt < set.Committed+10 {
			t.Fatalf("committed in block %d, revealed in %d: the test shows nothing", set.Committed, set.RevealAt)
		}
		for r.chain.BlockAt(r.w.Now()) < set.RevealAt-1 {
			if got := copied(); got != want.before || n.onChain() != want.before {
				t.Fatalf("set %d can be read in block %d, before block %d: %s", i, r.chain.BlockAt(r.w.Now()), set.RevealAt, got)
			}
			r.run(block)
		}
		r.until("the reveal", 20*block, func() bool { return copied() == want.after })
		r.until("it is read back", 40*block, func() bool { return strings.HasSuffix(n.phases(), "included") })
	}
	if got := r.extrinsics(chain.OpSetWeights) + r.extrinsics(chain.OpCommitWeights); got != 0 {
		t.Errorf("%d sets that are not sealed", got)
	}
}

// TestA12NewOwnerInheritsLittle: our next set leaves out a slot that was taken over
// after the last one. In the clear its new owner is paid nothing by what was meant
// for another. With sealed weights it is paid for one epoch at most: what stands
// names the slot until the next reveal, and the chain takes our next commit, which
// is younger than the registration, for a sign that we know of it.
func TestA12NewOwnerInheritsLittle(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*mockchain.Config)
		phase  string // of our set, when the slot changes hands
		epochs int    // in which the new owner may be paid
	}{
		{"in the clear", func(*mockchain.Config) {}, "included", 0},
		{"sealed", timelocked, "committed", 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t, x.change, func(c *mockchain.Config) { c.Params.MaxUIDs = 5 })
			n := setter(r)
			n.round(1, 1, 0)
			r.until("a set", 90*block, func() bool { return n.phases() == x.phase })
			r.chain.Deregister(r.w.Now(), hotkeyOf("m1"))
			r.run(2 * block)
			heir := r.chain.Metagraph(r.w.Now()).Neurons[3].Hotkey
			if heir == hotkeyOf("m1") || heir == "" {
				t.Fatalf("slot 3 is held by %q", heir)
			}
			paid := 0
			r.chain.OnEpoch(func(mockchain.Epoch) {
				if r.chain.Incentive(3) > 0 {
					paid++
				}
			})
			n.do(n.v.refresh)
			r.until("a set without it", 400*block, func() bool { return n.onChain() == "[2] [65535]" })
			r.run(300 * block)
			r.chain.Advance(r.w.Now())
			if paid > x.epochs || (paid == 0) != (r.chain.Earned(heir).Incentive == 0) {
				t.Errorf("the new owner was paid in %d epochs, %d rao; want %d at most", paid, r.chain.Earned(heir).Incentive, x.epochs)
			}
			if r.chain.Earned(hotkeyOf("m0")).Incentive == 0 {
				t.Error("m0 earns nothing either: the test shows nothing")
			}
			if got := n.phases(); got != "included included" {
				t.Errorf("phases %q", got)
			}
		})
	}
}

// TestA13OthersPredictionsAreNotTold: a miner in session with the validator that
// takes, confirms and settles another's predictions hears nothing of them; and a
// miner's axon does not answer another miner.
func TestA13OthersPredictionsAreNotTold(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	v := r.addValidator("v0", func(c *ValidatorConfig) { c.SettleDelay = time.Minute })
	r.run(time.Second)
	victim, thief := r.session("m0", v), r.session("m1", v)
	pick := submission("a-secret-id", g, bet.Home, 77)
	victim.send(victim.predict(pick))
	if got := victim.confirmations(); len(got) == 0 || !slices.Contains(got, "a-secret-id ok") {
		t.Fatalf("the prediction was not taken: %v", got)
	}
	thief.send(thief.predict(pick)) // the same id: not answered as a duplicate of another's
	r.run(2 * time.Minute)
	heard := thief.got
	r.run(2 * time.Hour)
	thief = r.session("m1", v)
	r.finish("100", bet.Home)
	r.poll()
	r.until("it is settled", 2*time.Minute, func() bool { return v.v.State.Book.Game(g.ID)[0].State != bet.Open })
	r.run(10 * time.Second)
	if rows := v.v.State.Book.Game(g.ID); len(rows) != 2 || thief.closed() != "" {
		t.Fatalf("%d rows, m1's session ended by %q: want two, and that it hears all", len(rows), thief.closed())
	}
	heard = append(heard, thief.got...)
	confirmed := 0
	for _, e := range heard {
		if e.Kind == wire.Received && e.Message.Kind == wire.ConfirmationMessage {
			confirmed++
			continue // its own
		}
		for _, secret := range []string{"a-secret-id", string(hotkeyOf("m0"))} {
			if bytes.Contains(e.Raw, []byte(secret)) {
				t.Errorf("m1 is told of %s: %s", secret, e.Raw)
			}
		}
	}
	if confirmed != 1 {
		t.Errorf("m1 heard %d confirmations, want its own", confirmed)
	}

	_, _, m := predicting(t)
	c := m.caller("m1", m)
	c.told = []*bet.Game{&g}
	if a := c.ask(c.poll(m.w.Now())); a != nil {
		t.Errorf("m0's axon tells m1: %+v", a)
	}
}

// TestA14ForgedTime: what counts is when a prediction was received. A date of its
// sender's makes none early, late, or another day's.
func TestA14ForgedTime(t *testing.T) {
	for _, date := range []string{"2024-02-01T00:00:00+00:00", "2024-03-01T12:00:00+00:00", "2031-01-01T00:00:00+00:00", "yesterday", ""} {
		t.Run(date, func(t *testing.T) {
			r := newRig(t)
			g := r.offer("100", t0.Add(time.Hour))
			v := r.addValidator("v0")
			r.run(time.Second)
			m := r.session("m0", v)
			early, late := submission("early", g, bet.Home, 5), submission("late", g, bet.Home, 5)
			early.Date, late.Date = date, date
			at := r.w.Now()
			m.send(m.predict(early))
			rows := v.v.State.Book.Game(g.ID)
			if len(rows) != 1 || rows[0].Received.Before(at) || rows[0].Received.After(r.w.Now()) {
				t.Fatalf("sent at %v: %v, rows %+v", at, m.confirmations(), rows)
			}
			r.run(time.Hour)
			m = r.session("m0", v)
			m.send(m.predict(late))
			if got := m.confirmations(); len(v.v.State.Book.Game(g.ID)) != 1 || len(got) != 1 || strings.HasSuffix(got[0], " ok") {
				t.Errorf("after the start: %v", got)
			}
			if spent := v.v.State.Book.Spent(hotkeyOf("m0"), bet.DayOf(t0)); spent != 5_00 {
				t.Errorf("spent %v today", spent)
			}
		})
	}
}

// TestA17EveryMinerIsAsked, not some chosen ones: each that announces an axon is
// polled as often as the next.
func TestA17EveryMinerIsAsked(t *testing.T) {
	r := newRig(t)
	r.addValidator("v0")
	asked := map[string]int{}
	for _, name := range []string{"m0", "m1", "m2"} {
		r.axon(name, func(q *wire.Message) []byte {
			if q.Kind == wire.Poll {
				asked[name]++
			}
			return answering(hotkeyOf(name))(q)
		})
	}
	r.run(12 * time.Hour)
	if asked["m0"] < 2 || max(asked["m0"], asked["m1"], asked["m2"])-min(asked["m0"], asked["m1"], asked["m2"]) > 1 {
		t.Errorf("polls of each: %v", asked)
	}
}

// TestA17WhatStandsIsShownBesideOurs: where the chain holds other weights for our
// hotkey than those of our round, the report says in which slots and by how much.
// The weights of other validators are not looked at.
func TestA17WhatStandsIsShownBesideOurs(t *testing.T) {
	r := newRig(t)
	n := setter(r, func(c *ValidatorConfig) { c.Shadow = true })
	for _, name := range []string{"v0", "v1"} {
		w := chain.Weights{UIDs: []chain.UID{4}, Values: []uint16{65535}}
		if name == "v1" {
			w.UIDs = []chain.UID{1}
		}
		r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: hotkeyOf(name), Weights: w})
	}
	n.round(1, 1, 0)
	r.run(120 * block)
	w := n.service("weights").Weights
	got := map[chain.UID][2]float64{}
	for _, s := range w.Slots {
		got[s.UID] = [2]float64{s.Ours, s.Chain}
	}
	if len(got) != 3 || got[2] != [2]float64{0.5, 0} || got[3] != [2]float64{0.5, 0} || got[4] != [2]float64{0, 1} || w.Variation == nil || *w.Variation != 1 {
		t.Errorf("slots %v, variation %v", got, w.Variation)
	}
}

// TestA18RevealMissed: a beacon that is silent over the reveal's epoch loses the
// commit. That is an alarm, nothing is set in the clear instead, the newest
// weights are committed anew, and the alarm ends with their reveal.
func TestA18RevealMissed(t *testing.T) {
	const never = 1 << 40 // a round that will not be published in time
	r := newRig(t, timelocked)
	n := setter(r)
	lost := 0
	r.reply(chain.OpCommitTimelocked, func(q chain.Request) (sched.Result[chain.Reply], bool) {
		if lost++; lost > 1 {
			return sched.Result[chain.Reply]{}, false
		}
		p := r.chain.CommitSealed(r.w.Now(), q.Hotkey, []byte("sealed"), never, r.chain.Params().RevealVersion)
		p.Round, p.RevealAt = 0, 0
		return sched.Result[chain.Reply]{Res: p}, true
	})
	n.round(1, 1, 0)
	r.until("a commit", 90*block, func() bool { return n.phases() == "committed" })
	n.round(0, 0, 1) // newer, while the first is under way
	r.until("the alarm", 300*block, func() bool { return strings.Contains(n.alarms(), "reveal_missed") })
	if n.onChain() != "[] []" {
		t.Errorf("on the chain %s", n.onChain())
	}
	r.until("the next commit", 20*block, func() bool { return n.phases() == "superseded committed" })
	r.until("its reveal", 300*block, func() bool { return n.phases() == "superseded included" })
	if n.onChain() != "[4] [65535]" || n.alarms() != "" {
		t.Errorf("on the chain %s, alarms %q", n.onChain(), n.alarms())
	}
	if got := r.extrinsics(chain.OpCommitTimelocked); got != 2 || r.extrinsics(chain.OpSetWeights) != 0 {
		t.Errorf("%d commits, %d sets in the clear", got, r.extrinsics(chain.OpSetWeights))
	}
}
