package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/sched"
	"bettensor/sim/mockchain"

	"github.com/google/go-cmp/cmp"
)

const block = chain.BlockTime

// setter is a validator whose rounds a test makes up.
func setter(r *rig, change ...func(*ValidatorConfig)) *rigNode {
	n := r.addValidator("v0", append([]func(*ValidatorConfig){func(c *ValidatorConfig) {
		c.ScoringInterval, c.SettleDelay = 100_000*time.Hour, 100_000*time.Hour
	}}, change...)...)
	r.run(time.Second)
	return n
}

// round publishes a round's result: shares of the miners m0, m1, m2.
func (n *rigNode) round(shares ...float64) {
	e := ScoringComplete{Block: n.v.State.Meta.Block}
	for i, s := range shares {
		if s > 0 {
			h := hotkeyOf(fmt.Sprint("m", i))
			if uid, ok := n.v.State.UID(h); ok {
				e.UIDs, e.Hotkeys, e.Weights = append(e.UIDs, uid), append(e.Hotkeys, h), append(e.Weights, s)
			}
		}
	}
	n.do(func() { n.v.State.Round = &e; n.v.ScoringComplete.Publish(e) })
}

// onChain is what stands there for v0.
func (n *rigNode) onChain() string {
	w, _ := n.chain.Weights(0)
	return fmt.Sprint(w.UIDs, w.Values)
}

// extrinsics counts what was submitted by operation.
func (r *rig) extrinsics(op chain.Op) (n int) {
	for _, q := range r.asked {
		if q.Op == op {
			n++
		}
	}
	return n
}

// phases is the history of sets, oldest first.
func (n *rigNode) phases() string {
	var words []string
	for _, w := range n.v.State.Weights {
		words = append(words, w.Phase.String())
	}
	return strings.Join(words, " ")
}

// TestWhenWeightsAreSet is what is worth an extrinsic, and when it may be sent.
func TestWhenWeightsAreSet(t *testing.T) {
	t.Run("the first round", func(t *testing.T) {
		n := setter(newRig(t))
		n.round(1, 1, 0)
		n.run(2 * block)
		if got := n.onChain(); got != "[2 3] [65535 65535]" {
			t.Errorf("on the chain %s", got)
		}
	})
	t.Run("a move of no more than a hundredth is not", func(t *testing.T) {
		n := setter(newRig(t))
		n.round(0.5, 0.5, 0)
		n.run(20 * block)
		n.round(0.505, 0.495, 0)
		n.run(20 * block)
		n.round(0.52, 0.48, 0)
		n.run(20 * block)
		if got := n.extrinsics(chain.OpSetWeights); got != 2 {
			t.Errorf("%d extrinsics", got)
		}
	})
	t.Run("what did not move is, when it is old", func(t *testing.T) {
		n := setter(newRig(t, func(c *mockchain.Config) { c.Params.ActivityCutoff = 200 }))
		n.round(0.5, 0.5, 0)
		n.run(90 * block)
		n.round(0.5, 0.5, 0)
		if got := n.extrinsics(chain.OpSetWeights); got != 1 {
			t.Errorf("%d extrinsics before half of the cutoff", got)
		}
		n.run(60 * block)
		if got := n.extrinsics(chain.OpSetWeights); got != 2 {
			t.Errorf("%d extrinsics after it", got)
		}
	})
	t.Run("not within the rate limit", func(t *testing.T) {
		n := setter(newRig(t))
		n.round(1, 0, 0)
		n.run(2 * block)
		n.round(0, 1, 0)
		n.run(5 * block)
		if got := n.extrinsics(chain.OpSetWeights); got != 1 || n.count("weights", "held_by_rate_limit") == 0 {
			t.Errorf("%d extrinsics within the limit", got)
		}
		n.run(10 * block)
		if got := n.onChain(); got != "[3] [65535]" || n.count("weights", "refused") != 0 {
			t.Errorf("on the chain %s, %d refused", got, n.count("weights", "refused"))
		}
	})
	t.Run("without a permit not at all", func(t *testing.T) {
		r := newRig(t)
		n := r.addValidator("m2", func(c *ValidatorConfig) { c.ScoringInterval, c.SettleDelay = 100_000*time.Hour, 100_000*time.Hour })
		r.run(time.Second)
		n.round(1, 1, 0)
		n.run(20 * block)
		if s := n.service("weights"); n.extrinsics(chain.OpSetWeights) != 0 || s.State != "degraded" || !strings.Contains(s.Reason, "permit") {
			t.Errorf("%d extrinsics, %s: %s", n.extrinsics(chain.OpSetWeights), s.State, s.Reason)
		}
	})
	t.Run("the minimum number is filled up", func(t *testing.T) {
		n := setter(newRig(t, func(c *mockchain.Config) { c.Params.MinAllowedWeights = 3 }))
		n.round(0, 0, 1)
		n.run(2 * block)
		if got := n.onChain(); got != "[1 2 4] [1 1 65535]" {
			t.Errorf("on the chain %s", got)
		}
	})
}

// TestNoOneEligible: the last weights stand, and are set again when half of the
// activity cutoff has passed, but not for whoever took a slot since.
func TestNoOneEligible(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before func(n *rigNode)
		want   string
		sets   int
	}{
		{"set again", func(n *rigNode) { n.round(1, 3, 0) }, "[2 3] [21845 65535]", 2},
		{"nothing to set again", func(*rigNode) {}, "[] []", 0},
		{"a slot changed hands", func(n *rigNode) {
			n.round(1, 3, 0)
			n.run(2 * block)
			n.chain.Deregister(n.w.Now(), hotkeyOf("m1"))
		}, "[2] [65535]", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := setter(newRig(t, func(c *mockchain.Config) { c.Params.ActivityCutoff, c.Params.MaxUIDs = 200, 5 }))
			tc.before(n)
			n.run(5 * block)
			n.round()
			n.run(80 * block)
			if got, want := n.extrinsics(chain.OpSetWeights), max(tc.sets-1, 0); got != want {
				t.Errorf("%d extrinsics before half of the cutoff, want %d", got, want)
			}
			n.run(60 * block)
			if got := n.extrinsics(chain.OpSetWeights); got != tc.sets || n.onChain() != tc.want {
				t.Errorf("%d extrinsics, on the chain %s; want %d, %s", got, n.onChain(), tc.sets, tc.want)
			}
		})
	}
}

// TestSlotThatChangedHandsGetsNoWeight, when that happened between the round and
// the set.
func TestSlotThatChangedHandsGetsNoWeight(t *testing.T) {
	n := setter(newRig(t, func(c *mockchain.Config) { c.Params.MaxUIDs = 5 }))
	n.round(1, 0, 0)
	n.run(3 * block)
	n.round(0, 1, 1) // waits for the rate limit
	n.chain.Deregister(n.w.Now(), hotkeyOf("m1"))
	n.do(n.v.refresh)
	n.run(5 * block)
	n.do(n.v.refresh)
	n.run(30 * block)
	if got := n.onChain(); got != "[4] [65535]" {
		t.Errorf("on the chain %s", got)
	}
}

// TestUnknownOutcome: the request was carried out or not, and nobody said so. It
// is found out from the chain, never by sending again blindly.
func TestUnknownOutcome(t *testing.T) {
	for _, tc := range []struct {
		applied, crash bool
		phases         string
		within         chain.Block // blocks until it is known
		sets           int
	}{
		{true, false, "included", 12, 1},
		{true, true, "included", 12, 1},
		{false, false, "superseded included", 90, 1},
		{false, true, "superseded included", 90, 1},
	} {
		t.Run(fmt.Sprintf("applied %t, crash %t", tc.applied, tc.crash), func(t *testing.T) {
			r := newRig(t)
			n := setter(r)
			tries := 0
			r.answer = func(_ *rigNode, q chain.Request) (_ sched.Result[chain.Reply], handled, silent bool) {
				if q.Op != chain.OpSetWeights {
					return
				}
				if tries++; tries > 1 {
					return
				}
				if tc.applied {
					r.chain.Submit(r.w.Now(), q)
				}
				return sched.Result[chain.Reply]{}, true, true
			}
			n.round(1, 1, 0)
			r.run(time.Second)
			if tc.crash {
				n.crash()
				r.run(time.Second)
			}
			n.round(1, 1, 0)
			r.run(60 * block) // the era is not over: whatever happened, no second one
			if tries != 1 {
				t.Fatalf("%d sends while the first may still be included", tries)
			}
			r.run(time.Duration(tc.within) * block)
			if got := n.phases(); got != tc.phases || r.extrinsics(chain.OpSetWeights) != tc.sets {
				t.Errorf("phases %q, %d extrinsics; want %q, %d", got, r.extrinsics(chain.OpSetWeights), tc.phases, tc.sets)
			}
			if got := n.onChain(); got != "[2 3] [65535 65535]" {
				t.Errorf("on the chain %s", got)
			}
			if n.count("weights", "resolved") != 1 {
				t.Errorf("resolved %d times", n.count("weights", "resolved"))
			}
		})
	}
}

// TestPlannedRowIsResumed: the intent is on disk and the crash came before
// anything was sent, or right after.
func TestPlannedRowIsResumed(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	n.commit.hold = true
	n.round(1, 1, 0)
	if r.extrinsics(chain.OpSetWeights) != 0 || len(n.commit.held) == 0 {
		t.Fatal("sent before the intent is durable, or no intent")
	}
	n.commit.hold = false
	if err := n.engine.Apply(n.commit.first, n.commit.held, true); err != nil { // durable, and nobody was told
		t.Fatal(err)
	}
	n.crash()
	r.run(time.Minute)
	if got := n.phases(); got != "planned" {
		t.Errorf("phases %q", got)
	}
	n.round(1, 1, 0)
	r.run(90 * block)
	if got := n.phases(); got != "superseded included" || n.onChain() != "[2 3] [65535 65535]" {
		t.Errorf("phases %q, on the chain %s", got, n.onChain())
	}
}

// TestRefusals: what is done about each class of refusal.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		code   chain.Code
		within int // blocks
		tries  int // in that time
		alert  bool
	}{
		{chain.SettingWeightsTooFast, 1, 1, false},
		{chain.SettingWeightsTooFast, 40, maxRefusals, false},
		{chain.NeuronNoValidatorPermit, 40, maxRefusals, true},
		{chain.UidVecContainInvalidOne, 40, maxRefusals, true},
		{chain.IncorrectWeightVersionKey, 40, maxRefusals, true},
		{chain.HotKeyNotRegisteredInSubNet, 40, 1, true},
		{chain.MaxWeightExceeded, 40, 1, true},
		{"SomethingNew", 40, maxRefusals, true},
	} {
		t.Run(fmt.Sprint(tc.code, tc.within), func(t *testing.T) {
			r := newRig(t)
			n := setter(r)
			tries := 0
			refuse := true
			r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
				if q.Op != chain.OpSetWeights || !refuse {
					return
				}
				tries++
				p.Res = chain.Reply{Code: tc.code, Included: 1}
				return p, true, false
			}
			n.round(1, 1, 0)
			r.run(time.Duration(tc.within) * block)
			if tries != tc.tries {
				t.Errorf("%d tries, want %d", tries, tc.tries)
			}
			if s := n.service("weights"); (s.State != "ok") != tc.alert || tc.alert && !strings.Contains(s.Reason, string(tc.code)) {
				t.Errorf("%s: %q", s.State, s.Reason)
			}
			if got := n.phases(); strings.ReplaceAll(got, "refused", "") != strings.Repeat(" ", tc.tries-1) {
				t.Errorf("phases %q", got)
			}
			refuse = false
			n.round(1, 1, 0) // a new round tries again
			r.run(10 * block)
			if s := n.service("weights"); s.State != "ok" || n.onChain() != "[2 3] [65535 65535]" {
				t.Errorf("after the next round: %s %q, on the chain %s", s.State, s.Reason, n.onChain())
			}
		})
	}
}

// TestSwitchesPath: the subnet turned commit-reveal on, or off, after the
// metagraph was read.
func TestSwitchesPath(t *testing.T) {
	for _, to := range []bool{true, false} {
		t.Run(fmt.Sprintf("to commit-reveal %t", to), func(t *testing.T) {
			r := newRig(t, func(c *mockchain.Config) { c.Params.CommitReveal = !to })
			n := setter(r)
			r.run(2 * time.Second)
			r.chain.SetParams(r.w.Now(), func(p *chain.Hyperparameters) { p.CommitReveal = to })
			n.round(1, 1, 0)
			r.run(250 * block)
			if got := n.onChain(); got != "[2 3] [65535 65535]" {
				t.Errorf("on the chain %s; %s", got, n.phases())
			}
		})
	}
}

// TestVersionKeyChange: the subnet asks for another key from now on.
func TestVersionKeyChange(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	r.chain.SetParams(r.w.Now(), func(p *chain.Hyperparameters) { p.WeightsVersionKey = 77 })
	n.round(1, 1, 0)
	r.run(10 * block)
	if got := n.onChain(); got != "[2 3] [65535 65535]" || n.count("weights", "refused") != 1 {
		t.Errorf("on the chain %s, %d refused", got, n.count("weights", "refused"))
	}
}

// TestCommitReveal is the way in two steps, whatever comes in between.
func TestCommitReveal(t *testing.T) {
	lose := func(op chain.Op, apply bool) func(*rig) {
		return func(r *rig) {
			lost := false
			r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
				if q.Op != op || lost {
					return
				}
				lost = true
				if apply {
					r.chain.Submit(r.w.Now(), q)
				}
				return p, true, true
			}
		}
	}
	for _, tc := range []struct {
		name    string
		first   func(r *rig)
		between func(r *rig, n *rigNode) // after the commit, before the reveal
		phases  string
		reveals int // that the chain saw
	}{
		{"undisturbed", nil, nil, "included", 1},
		{"restart", nil, func(r *rig, n *rigNode) { n.crash() }, "included", 1},
		{"chain down for a while", nil, func(r *rig, n *rigNode) { r.chainDown = true; r.run(20 * block); r.chainDown = false }, "included", 1},
		{"commit applied, reported lost", lose(chain.OpCommitWeights, true), nil, "included", 1},
		{"reveal applied, reported lost", lose(chain.OpRevealWeights, true), nil, "included", 2},
		{"reveal lost", lose(chain.OpRevealWeights, false), nil, "included", 1},
		{"crash after the reveal was carried out", nil, func(r *rig, n *rigNode) {
			r.until("the reveal", 250*block, func() bool { return r.extrinsics(chain.OpRevealWeights) == 1 })
			n.crash()
		}, "included", 2},
		{"version key change", nil, func(r *rig, n *rigNode) {
			r.chain.SetParams(r.w.Now(), func(p *chain.Hyperparameters) { p.WeightsVersionKey = 9 })
		}, "refused included", 2},
		{"away over the reveal's epoch", nil, func(r *rig, n *rigNode) { n.kill(); r.run(250 * block); n.start() }, "superseded included", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *mockchain.Config) { c.Params.CommitReveal = true })
			n := setter(r)
			if tc.first != nil {
				tc.first(r)
			}
			n.round(1, 1, 0)
			r.until("the commit is known to stand", 30*block, func() bool { return n.phases() == "committed" })
			if n.onChain() != "[] []" {
				t.Errorf("revealed at once: %s", n.onChain())
			}
			if tc.between != nil {
				tc.between(r, n)
				r.run(time.Second)
				n.round(1, 1, 0)
			}
			r.run(450 * block)
			if got := n.phases(); got != tc.phases {
				t.Errorf("phases %q, want %q", got, tc.phases)
			}
			if got := n.onChain(); got != "[2 3] [65535 65535]" {
				t.Errorf("on the chain %s", got)
			}
			if got := r.extrinsics(chain.OpRevealWeights); got != tc.reveals {
				t.Errorf("%d reveals, want %d", got, tc.reveals)
			}
			if n.service("weights").State != "ok" {
				t.Errorf("%+v", n.service("weights"))
			}
		})
	}
}

// TestNeverTwoSetsUnderWay watches a long run in which rounds come faster than
// answers, and answers are lost: at no time are two rows unfinished.
func TestNeverTwoSetsUnderWay(t *testing.T) {
	for _, reveal := range []bool{false, true} {
		t.Run(fmt.Sprintf("commit-reveal %t", reveal), func(t *testing.T) {
			r := newRig(t, func(c *mockchain.Config) { c.Params.CommitReveal = reveal })
			n := setter(r)
			asked := 0
			r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
				if q.Op == chain.OpSync {
					return
				}
				asked++
				switch asked % 4 {
				case 1:
					return p, true, true
				case 2:
					r.chain.Submit(r.w.Now(), q)
					return p, true, true
				}
				return
			}
			for i := range 150 {
				n.round(float64(1+i%3), 1, float64(i%2))
				r.run(7 * block)
				if i%20 == 19 {
					n.crash()
					r.run(time.Second)
				}
				open := 0
				for _, w := range n.v.State.Weights {
					if w.Phase == ledger.Planned || w.Phase == ledger.Committed {
						open++
					}
				}
				if open > 1 {
					t.Fatalf("round %d: %d sets under way", i, open)
				}
			}
			if sets := strings.Count(n.phases(), "included"); sets < 3 {
				t.Errorf("only %d sets: %s", sets, n.phases())
			}
			n.kill()
			onDisk := ledgerOn(t, n).Weights
			numbers := make([]uint64, len(onDisk))
			for i := range onDisk {
				numbers[i] = onDisk[i].Number
			}
			if want := slices.Compact(slices.Clone(numbers)); cmp.Diff(want, numbers) != "" || len(numbers) < 5 {
				t.Errorf("numbers on disk: %v", numbers)
			}
		})
	}
}

// TestOutageDoesNotFloodTheHistory: tries that never reach the chain back off,
// and the last set that it took is kept for the fallback.
func TestOutageDoesNotFloodTheHistory(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	n.round(1, 1, 0)
	r.run(3 * block)
	r.chainDown = true
	for range 24 {
		n.round(1, 0, 0)
		r.run(time.Hour)
	}
	if got := n.count("weights", "planned"); got < 10 || got > 150 {
		t.Errorf("%d sets planned in a day without a chain", got)
	}
	r.chainDown = false
	r.run(30 * time.Minute)
	if got := n.onChain(); got != "[2] [65535]" {
		t.Errorf("on the chain %s", got)
	}
	if s := n.service("weights"); s.State != "ok" {
		t.Errorf("%+v", s)
	}
}

// TestWeightsHistoryIsBounded, but keeps the last that was included.
func TestWeightsHistoryIsBounded(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	n.round(1, 1, 0)
	r.run(3 * block)
	i := slices.IndexFunc(n.core().services, func(h held) bool { return h.name() == "weights" })
	w := n.core().services[i].service.(*weights)
	n.do(func() {
		for range weightsHistory + 20 {
			w.number++
			w.now = &ledger.WeightRow{Number: w.number, WeightSet: ledger.WeightSet{Planned: n.loop.Now(), Phase: ledger.Planned}}
			w.over(ledger.Refused, 0, "X")
		}
	})
	r.run(time.Second)
	rows := n.v.State.Weights
	if len(rows) > weightsHistory+1 || rows[0].Phase != ledger.Included {
		t.Errorf("%d rows, the first %s", len(rows), rows[0].Phase)
	}
	n.kill()
	if onDisk := ledgerOn(t, n).Weights; len(onDisk) != len(rows) || onDisk[0].Phase != ledger.Included {
		t.Errorf("%d rows on disk", len(onDisk))
	}
}
