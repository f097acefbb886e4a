package node

import (
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
	"bettensor/sim/mockchain"
)

// TestDoubtAsksGently: while nobody knows what became of a set, the chain is read
// every other block, and not as fast as it answers.
func TestDoubtAsksGently(t *testing.T) {
	r := newRig(t)
	n := setter(r, func(c *ValidatorConfig) { c.MetagraphInterval = time.Hour })
	syncs := 0
	r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
		if q.Op == chain.OpSync {
			syncs++
		}
		return p, q.Op == chain.OpSetWeights, true
	}
	n.round(1, 1, 0)
	r.run(60 * block) // within its era
	if got := n.count("weights", "unknown"); got != 1 {
		t.Fatalf("%d unknown outcomes", got)
	}
	if syncs < 10 || syncs > 35 {
		t.Errorf("the metagraph was read %d times in 60 blocks", syncs)
	}
}

// TestOwnUpdateIsNotForeign: an update that the chain shows may be our own though
// an endpoint has said that it refused it, or another block that it held it.
func TestOwnUpdateIsNotForeign(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(r *rig, q chain.Request) chain.Reply
	}{
		{"refused and passed on", func(r *rig, q chain.Request) chain.Reply {
			r.chain.Submit(r.w.Now(), q)
			return chain.Reply{Code: chain.ImmediatelyDropped}
		}},
		{"dropped with its block and taken up again", func(r *rig, q chain.Request) chain.Reply {
			p := r.chain.Fork(r.w.Now()).Submit(r.w.Now(), q)
			r.w.After(8*block, sched.Func(func() { r.chain.Submit(r.w.Now(), q) }))
			return p
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n := setter(r)
			first := true
			r.reply(chain.OpSetWeights, func(q chain.Request) (sched.Result[chain.Reply], bool) {
				if !first {
					return sched.Result[chain.Reply]{}, false
				}
				first = false
				return sched.Result[chain.Reply]{Res: tc.answer(r, q)}, true
			})
			n.round(1, 1, 0)
			r.run(60 * block)
			if a := n.alarms(); strings.Contains(a, "foreign_key") || n.v.Stopped() != "" {
				t.Fatalf("alarms %q: %s", a, n.v.Stopped())
			}
			n.round(1, 3, 0)
			r.run(60 * block)
			if n.onChain() != "[2 3] [21845 65535]" {
				t.Errorf("on the chain %s", n.onChain())
			}
			if _, at := r.chain.Weights(0); n.v.State.Weights[len(n.v.State.Weights)-1].Block != at {
				t.Errorf("believed to be set in block %d, and are in %d", n.v.State.Weights[len(n.v.State.Weights)-1].Block, at)
			}
		})
	}
}

// TestSameWeightsOfADroppedBlock: where the block that renewed weights was dropped,
// the same ones from before stand, and are renewed again before they no longer
// count.
func TestSameWeightsOfADroppedBlock(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		r := newRig(t, func(c *mockchain.Config) {
			c.Params.ActivityCutoff, c.Params.Tempo = 400, 20
			if sealed {
				c.Params.CommitReveal, c.Params.RevealVersion = true, 4
			}
		})
		n := setter(r)
		n.round(1, 1, 0)
		r.run(100 * block)
		if got := n.phases(); got != "included" {
			t.Fatalf("sealed %v: %s", sealed, got)
		}
		dropped := false
		r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
			if q.Op != chain.OpSetWeights && q.Op != chain.OpCommitTimelocked || dropped {
				return
			}
			dropped = true
			return sched.Result[chain.Reply]{Res: r.chain.Fork(r.w.Now()).Submit(r.w.Now(), q)}, true, false
		}
		r.run(300 * block) // renewed after 200, and given up after an era
		if !dropped || n.phases() != "included superseded included" {
			t.Errorf("sealed %v: dropped %v, %s", sealed, dropped, n.phases())
		}
	}
}

// TestUnlikelyMetagraphs: an answer that cannot be of the chain that is known is
// not believed, unless what is known was the lie.
func TestUnlikelyMetagraphs(t *testing.T) {
	type answer struct {
		block chain.Block
		slots int // since the chain's block 100
	}
	for _, tc := range []struct {
		name    string
		answers []answer
		want    chain.Block // that is believed in the end
		odd     uint64
	}{
		{"as they should be", []answer{{100, 0}, {125, 25}, {150, 50}}, 150, 0},
		{"slots without blocks", []answer{{100, 0}, {105, 25}, {130, 50}}, 130, 0},
		{"behind", []answer{{100, 0}, {50, -50}, {51, -49}, {52, -48}, {53, -47}}, 100, 0},
		{"ahead of its time, again and again", []answer{{100, 0}, {1125, 25}, {1150, 50}, {1175, 75}, {1200, 100}, {225, 125}}, 225, 4},
		{"ahead at first", []answer{{1100, 0}, {125, 25}, {150, 50}, {175, 75}}, 175, 2},
		{"one lie in between", []answer{{100, 0}, {1125, 25}, {150, 50}, {1175, 75}, {200, 100}, {225, 125}}, 225, 2},
		{"a chain that is faster than ours", []answer{{100, 0}, {600, 25}, {1100, 50}, {1600, 75}}, 1600, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			at, left, told := t0.Add(100*block), tc.answers, 0
			r.reply(chain.OpSync, func(q chain.Request) (sched.Result[chain.Reply], bool) {
				m := *r.chain.Submit(r.w.Now(), q).Metagraph
				m.Block, m.At = left[0].block, at.Add(time.Duration(left[0].slots)*block)
				left = left[min(1, len(left)-1):] // one that is not believed is asked for again at once
				told++
				return sched.Result[chain.Reply]{Res: chain.Reply{Head: m.Block, HeadAt: m.At, Metagraph: &m}}, true
			})
			n := setter(r, func(c *ValidatorConfig) { c.MetagraphInterval = 1000 * time.Hour })
			for told < len(tc.answers) {
				n.do(n.v.refresh)
				r.run(time.Minute)
			}
			if got := n.v.State.Meta.Block; got != tc.want || n.count("metagraph", "odd") != tc.odd {
				t.Errorf("block %d is believed, want %d; %d were odd, want %d", got, tc.want, n.count("metagraph", "odd"), tc.odd)
			}
		})
	}
}

// TestForeignUpdateBehindOurOwn: somebody else's weights are told from our own that
// came in a later block, whether our own were seen before or not.
func TestForeignUpdateBehindOurOwn(t *testing.T) {
	for _, seen := range []bool{true, false} {
		r := newRig(t, func(c *mockchain.Config) { c.Params.WeightsRateLimit = 1 })
		n := setter(r)
		deaf := chain.OpReadWeights // it cannot read back
		if !seen {
			deaf = chain.OpSync
		}
		r.reply(deaf, func(chain.Request) (sched.Result[chain.Reply], bool) { return sched.Failed[chain.Reply](errRig), true })
		n.round(1, 1, 0)
		r.run(8 * block)
		if n.phases() != "in_block" || n.v.State.Weights[0].Block != 1 {
			t.Fatalf("%s", n.phases())
		}
		r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: hotkeyOf("v0"), Weights: chain.Weights{UIDs: []chain.UID{4}, Values: []uint16{65535}}})
		r.run(4 * block)
		r.answer = nil
		r.run(40 * block)
		if !strings.Contains(n.alarms(), "foreign_key") {
			t.Errorf("seen before %v: alarms %q, %s", seen, n.alarms(), n.phases())
		}
	}
}
