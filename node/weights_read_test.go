package node

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/sched"
	"bettensor/sim/mockchain"

	"github.com/google/go-cmp/cmp"
)

// timelocked is a subnet that wants sealed commits, and opens them itself.
func timelocked(c *mockchain.Config) { c.Params.CommitReveal, c.Params.RevealVersion = true, 4 }

// epochsOf collects what a node tells of its epochs, over restarts.
func (n *rigNode) epochsOf() *[]WeightsEpoch {
	var all []WeightsEpoch
	watch := func(n *rigNode) {
		n.v.WeightsEpoch.Subscribe(n.loop.Scope("test"), func(e *WeightsEpoch) { all = append(all, *e) })
	}
	n.setup = watch
	watch(n)
	return &all
}

// outcomes are the words of what came of each epoch.
func outcomes(all []WeightsEpoch) string {
	var words []string
	for _, e := range all {
		words = append(words, e.Outcome.String())
	}
	return strings.Join(words, " ")
}

// alarms are the words of those raised.
func (n *rigNode) alarms() string {
	var words []string
	for _, a := range n.core().Stats().Alarms {
		if a.Code <= AlarmChainStale {
			words = append(words, a.Code.String())
		}
	}
	return strings.Join(words, " ")
}

// reply makes the chain answer an operation in the test's way.
func (r *rig) reply(op chain.Op, answer func(q chain.Request) (sched.Result[chain.Reply], bool)) {
	r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
		if q.Op != op {
			return
		}
		p, handled = answer(q)
		return p, handled, false
	}
}

// TestReadBack: weights count as set when the finalised state holds them, and
// not when a block was said to.
func TestReadBack(t *testing.T) {
	t.Run("a finalised state that trails", func(t *testing.T) {
		r := newRig(t)
		n := setter(r)
		r.run(10 * block)
		r.reply(chain.OpReadWeights, func(q chain.Request) (sched.Result[chain.Reply], bool) {
			p := r.chain.Submit(r.w.Now(), q)
			p.Head -= 3
			return sched.Result[chain.Reply]{Res: p}, true
		})
		n.round(1, 1, 0)
		r.run(2 * block)
		if got := n.phases(); got != "in_block" {
			t.Errorf("%s before the block is final", got)
		}
		r.run(10 * block)
		if got := n.phases(); got != "included" || n.count("weights", "set") != 1 {
			t.Errorf("%s after it", got)
		}
	})
	t.Run("an endpoint that cannot read", func(t *testing.T) {
		r := newRig(t)
		n := setter(r)
		r.reply(chain.OpReadWeights, func(chain.Request) (sched.Result[chain.Reply], bool) {
			return sched.Result[chain.Reply]{Res: chain.Reply{Code: chain.CallDisabled}}, true
		})
		n.round(1, 1, 0)
		r.run(100 * block)
		if got := n.phases(); got != "included" { // the update itself is shown
			t.Errorf("%s", got)
		}
	})
	t.Run("a block that was given up again", func(t *testing.T) {
		r := newRig(t)
		n := setter(r)
		lied := false
		r.reply(chain.OpSetWeights, func(chain.Request) (sched.Result[chain.Reply], bool) {
			if lied {
				return sched.Result[chain.Reply]{}, false
			}
			lied = true
			return sched.Result[chain.Reply]{Res: chain.Reply{Included: r.chain.BlockAt(r.w.Now()) + 1}}, true
		})
		all := n.epochsOf()
		n.round(1, 1, 0)
		r.run(60 * block)
		if n.onChain() != "[] []" || n.phases() != "in_block" {
			t.Fatalf("%s, on the chain %s", n.phases(), n.onChain())
		}
		r.run(30 * block)
		if n.phases() != "superseded included" || n.onChain() != "[2 3] [65535 65535]" {
			t.Errorf("%s, on the chain %s", n.phases(), n.onChain())
		}
		r.run(100 * block)
		if got := outcomes((*all)[:2]); got != "unconfirmed set" { // an era is nearly an epoch
			t.Errorf("outcomes %q", got)
		}
	})
	t.Run("restart in between", func(t *testing.T) {
		r := newRig(t)
		n := setter(r)
		down := true
		r.reply(chain.OpReadWeights, func(chain.Request) (sched.Result[chain.Reply], bool) {
			return sched.Failed[chain.Reply](errRig), down
		})
		n.round(1, 1, 0)
		r.run(3 * block)
		n.crash()
		r.run(3 * block)
		if got := n.phases(); got != "in_block" || r.extrinsics(chain.OpSetWeights) != 1 {
			t.Errorf("%s, %d extrinsics", got, r.extrinsics(chain.OpSetWeights))
		}
		down = false
		r.run(20 * block)
		if got := n.phases(); got != "included" || r.extrinsics(chain.OpSetWeights) != 1 {
			t.Errorf("%s, %d extrinsics", got, r.extrinsics(chain.OpSetWeights))
		}
	})
}

// TestTimelockedCommit: the chain reveals by itself, whatever comes in between;
// no commit is sent twice.
func TestTimelockedCommit(t *testing.T) {
	lose := func(apply bool) func(*rig) {
		return func(r *rig) {
			lost := false
			r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
				if q.Op != chain.OpCommitTimelocked || lost {
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
		between func(r *rig, n *rigNode)
		phases  string
		commits int
		alarm   string
	}{
		{"undisturbed", nil, nil, "included", 1, ""},
		{"restart", nil, func(_ *rig, n *rigNode) { n.crash() }, "included", 1, ""},
		{"chain down for a while", nil, func(r *rig, n *rigNode) { r.chainDown = true; r.run(40 * block); r.chainDown = false }, "included", 1, ""},
		{"commit applied, reported lost", lose(true), nil, "included", 1, ""},
		{"commit lost", lose(false), nil, "superseded included", 1, ""},
		{"away over the reveal", nil, func(r *rig, n *rigNode) { n.kill(); r.run(250 * block); n.start() }, "included", 1, ""},
		{"the chain drops it", nil, func(r *rig, n *rigNode) {
			r.chain.SetParams(r.w.Now(), func(p *chain.Hyperparameters) { p.WeightsVersionKey = 9 })
		}, "superseded included", 2, "reveal_missed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, timelocked)
			n := setter(r)
			if tc.first != nil {
				tc.first(r)
			}
			n.round(1, 1, 0)
			r.until("the commit is known to stand", 90*block, func() bool { return strings.HasSuffix(n.phases(), "committed") })
			if n.onChain() != "[] []" {
				t.Errorf("in the open at once: %s", n.onChain())
			}
			if w := n.v.State.Weights[len(n.v.State.Weights)-1]; tc.first == nil && (w.Round == 0 || w.RevealAt <= w.Committed) {
				t.Errorf("committed in %d, round %d due in block %d", w.Committed, w.Round, w.RevealAt)
			}
			if tc.between != nil {
				tc.between(r, n)
				r.run(time.Second)
				n.round(1, 1, 0)
			}
			alarm := ""
			for range 500 {
				if r.run(block); n.alarms() != "" {
					alarm = n.alarms()
				}
			}
			if got := n.phases(); got != tc.phases {
				t.Errorf("phases %q, want %q", got, tc.phases)
			}
			if got := n.onChain(); got != "[2 3] [65535 65535]" {
				t.Errorf("on the chain %s", got)
			}
			if got := r.extrinsics(chain.OpCommitTimelocked); got != tc.commits {
				t.Errorf("%d commits, want %d", got, tc.commits)
			}
			if alarm != tc.alarm || n.alarms() != "" || n.service("weights").State != "ok" {
				t.Errorf("alarm %q, at the end %q, %s", alarm, n.alarms(), n.service("weights").Reason)
			}
		})
	}
}

// TestCommitRevealVersionTurnsUp: a subnet goes from hashes to timelocks and
// back while a node runs.
func TestCommitRevealVersionTurnsUp(t *testing.T) {
	r := newRig(t, timelocked)
	n := setter(r)
	for i, version := range []uint16{0, 4, 5} {
		r.chain.SetParams(r.w.Now(), func(p *chain.Hyperparameters) { p.RevealVersion = version })
		n.round(1, float64(i+1), 0)
		r.run(320 * block)
		if want := fmt.Sprintf("[2 3] [%d 65535]", []int{65535, 32768, 21845}[i]); n.onChain() != want {
			t.Errorf("version %d: on the chain %s, want %s; %s", version, n.onChain(), want, n.phases())
		}
	}
}

// TestEpochOutcomes: each epoch of the chain ends in one event that says what
// came of weights in it.
func TestEpochOutcomes(t *testing.T) {
	refuse := func(code chain.Code) func(*rig, *rigNode) {
		return func(r *rig, n *rigNode) {
			r.reply(chain.OpSetWeights, func(chain.Request) (sched.Result[chain.Reply], bool) {
				return sched.Result[chain.Reply]{Res: chain.Reply{Code: code}}, true
			})
			n.round(1, 1, 0)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*mockchain.Config)
		do     func(r *rig, n *rigNode)
		want   string
		alarms string
	}{
		{"set, then nothing new", nil, func(_ *rig, n *rigNode) { n.round(1, 1, 0) }, "set unchanged unchanged", ""},
		{"nothing to score", nil, func(_ *rig, n *rigNode) { n.round() }, "unchanged unchanged unchanged", ""},
		{"the rate limit", func(c *mockchain.Config) { c.Params.WeightsRateLimit = 220 }, func(r *rig, n *rigNode) { n.round(1, 1, 0); r.run(5 * block); n.round(1, 0, 0) }, "set held set", ""},
		{"refused for good", nil, refuse(chain.MaxWeightExceeded), "refused refused refused", "weights_missed weights_refused"},
		{"refused for a while", nil, refuse(chain.NotEnoughStakeToSetWeights), "refused refused refused", "weights_missed"},
		{"upgrade wanted", nil, refuse(chain.IncorrectWeightVersionKey), "refused refused refused", "weights_missed weights_refused"},
		{"a refusal nobody knows", nil, refuse("SomethingNew"), "refused refused refused", "weights_missed weights_refused"},
		{"chain out of reach", nil, func(r *rig, n *rigNode) { r.chainDown = true; n.round(1, 1, 0) }, "missed missed missed", "weights_missed chain_stale"},
		{"no answer", nil, func(r *rig, n *rigNode) {
			r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
				return p, true, true
			}
			n.round(1, 1, 0)
		}, "unconfirmed unconfirmed unconfirmed", "weights_missed chain_stale"},
		{"commits that the chain opens", timelocked, func(_ *rig, n *rigNode) { n.round(1, 1, 0) }, "committed set unchanged", ""},
		{"commits by hash", func(c *mockchain.Config) { c.Params.CommitReveal = true }, func(_ *rig, n *rigNode) { n.round(1, 1, 0) }, "committed set unchanged", ""},
		{"no permit", func(c *mockchain.Config) { c.Neurons[0].Stake = 0 }, func(_ *rig, n *rigNode) { n.round(1, 1, 0) }, "held held held", "weights_missed no_permit"},
		{"no slot", nil, func(r *rig, n *rigNode) {
			r.chain.Deregister(r.w.Now(), hotkeyOf("v0"))
			n.round(1, 1, 0)
			n.do(n.v.refresh)
			r.run(3 * block)
			n.do(n.v.refresh)
		}, "refused held held", "weights_missed weights_refused not_registered"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *mockchain.Config) {
				if tc.change != nil {
					tc.change(c)
				}
			})
			n := setter(r)
			all := n.epochsOf()
			tc.do(r, n)
			r.until("three epochs", 330*block, func() bool { return len(*all) == 3 })
			if got := outcomes(*all); got != tc.want {
				t.Errorf("%q, want %q: %+v", got, tc.want, *all)
			}
			if got := n.alarms(); got != tc.alarms {
				t.Errorf("alarms %q, want %q", got, tc.alarms)
			}
			for i, e := range *all {
				if e.Epoch != uint64(i) || e.NextBlock == 0 {
					t.Errorf("event %d is of epoch %d, next block %d", i, e.Epoch, e.NextBlock)
				}
			}
		})
	}
}

// TestEpochsAreCountedByTheChain where it keeps their schedule as state.
func TestEpochsAreCountedByTheChain(t *testing.T) {
	r := newRig(t)
	r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
		if q.Op != chain.OpSync {
			return
		}
		p.Res = r.chain.Submit(r.w.Now(), q)
		meta := *p.Res.Metagraph
		meta.Digest = 0
		meta.Params.LastEpoch, meta.Params.EpochIndex = meta.Block/50*50, 1000+uint64(meta.Block/50)
		meta.Params.Tempo = 50
		p.Res.Metagraph = &meta
		return p, true, false
	}
	r.run(60 * block)
	n := setter(r)
	all := n.epochsOf()
	n.round(1, 1, 0)
	r.run(200 * block)
	var numbers []uint64
	for _, e := range *all {
		numbers = append(numbers, e.Epoch)
	}
	if d := cmp.Diff([]uint64{1001, 1002, 1003, 1004}, numbers); d != "" || outcomes(*all) != "set unchanged unchanged unchanged" {
		t.Errorf("%s %s", d, outcomes(*all))
	}
}

// TestCommitKeepsItsEpoch where the schedule is state: an epoch that was brought
// forward after the commit does not change which one the reveal is due in.
func TestCommitKeepsItsEpoch(t *testing.T) {
	r := newRig(t, timelocked)
	r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
		p.Res = r.chain.Submit(r.w.Now(), q)
		switch q.Op {
		case chain.OpSync:
			meta := *p.Res.Metagraph
			meta.Digest, meta.Params.LastEpoch, meta.Params.EpochIndex, meta.Params.Tempo = 0, 50, 7, 100
			p.Res.Metagraph = &meta
		case chain.OpCommitTimelocked:
			p.Res.RevealAt, p.Res.Round = 0, 0 // as where the answer was lost
		}
		return p, true, false
	}
	r.run(60 * block)
	n := setter(r)
	n.round(1, 1, 0)
	r.run(5 * block)
	if got := n.service("weights").Weights.RevealAt; got != 150 {
		t.Errorf("committed in epoch 7: due in block %d", got)
	}
	w := n.core().services[slices.IndexFunc(n.core().services, func(h held) bool { return h.name() == "weights" })].service.(*weights)
	for p, want := range map[chain.Hyperparameters]uint64{
		{Tempo: 100, LastEpoch: 90, EpochIndex: 9}: 7, // two have begun since
		{Tempo: 49}: 1, // the chain, too, reckons by today's tempo
	} {
		if got := w.committedIn(&p); got != want {
			t.Errorf("%+v: the commit of block %d was in epoch %d, want %d", p, w.now.Committed, got, want)
		}
	}
}

// TestAlarmAfterTwoMissedEpochs, not after one, and it ends with the next set.
func TestAlarmAfterTwoMissedEpochs(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	all := n.epochsOf()
	r.chainDown = true
	n.round(1, 1, 0)
	for i, want := range []string{"", "", "weights_missed"} { // the first was not seen whole
		r.until("an epoch", 110*block, func() bool { return len(*all) == i+1 })
		if got := strings.ReplaceAll(n.alarms(), " chain_stale", ""); strings.TrimPrefix(got, "chain_stale") != want {
			t.Errorf("after %d epochs %q, want %q", i+1, got, want)
		}
	}
	r.chainDown = false
	r.until("an epoch", 110*block, func() bool { return len(*all) == 4 })
	if got := n.alarms(); got != "" || outcomes((*all)[3:]) != "set" {
		t.Errorf("after a set %q, %s", got, outcomes(*all))
	}
}

// TestOneLineAnEpoch with what an operator needs, the refusal's meaning and the
// next possible block among it.
func TestOneLineAnEpoch(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	var lines strings.Builder
	n.core().log = slog.New(slog.NewTextHandler(&lines, nil))
	r.reply(chain.OpSetWeights, func(chain.Request) (sched.Result[chain.Reply], bool) {
		return sched.Result[chain.Reply]{Res: chain.Reply{Code: chain.NotEnoughStakeToSetWeights}}, true
	})
	n.round(1, 1, 0)
	r.run(75 * block)
	got := 0
	for line := range strings.Lines(lines.String()) {
		if strings.Contains(line, "msg=weights ") {
			got++
			for _, want := range []string{"epoch=0", "outcome=refused", "code=NotEnoughStakeToSetWeights", "add stake", "next_block="} {
				if !strings.Contains(line, want) {
					t.Errorf("the line does not say %s: %s", want, line)
				}
			}
		}
	}
	if got != 1 {
		t.Errorf("%d lines:\n%s", got, &lines)
	}
}

// TestForeignKey: another process sets weights with our hotkey.
func TestForeignKey(t *testing.T) {
	foreign := func(r *rig) {
		r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: hotkeyOf("v0"), Weights: chain.Weights{UIDs: []chain.UID{4}, Values: []uint16{65535}}})
	}
	counted := func(r *rig) {
		r.reply(chain.OpSync, func(q chain.Request) (sched.Result[chain.Reply], bool) {
			p := r.chain.Submit(r.w.Now(), q)
			p.Foreign = 2
			return sched.Result[chain.Reply]{Res: p}, true
		})
	}
	for _, tc := range []struct {
		name   string
		change func(*ValidatorConfig)
		before time.Duration
		act    func(*rig)
		alarm  bool
		stops  bool
	}{
		{"a foreign update", nil, 20 * block, foreign, true, true},
		{"foreign extrinsics", nil, 70 * block, counted, true, true},
		{"extrinsics of a run that was killed", nil, 20 * block, counted, false, false},
		{"a foreign update before the first look", nil, 0, foreign, false, true}, // but this store knows less than whoever set that
		{"in shadow", func(c *ValidatorConfig) { c.Shadow = true }, 20 * block, foreign, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			if tc.before == 0 {
				tc.act(r)
				r.run(5 * block)
			}
			n := setter(r, func(c *ValidatorConfig) {
				if tc.change != nil {
					tc.change(c)
				}
			})
			if tc.before > 0 {
				n.round(1, 1, 0)
				r.run(tc.before)
				tc.act(r)
			}
			r.run(30 * block) // well within a tempo
			if got := strings.Contains(n.alarms(), "foreign_key"); got != tc.alarm {
				t.Fatalf("alarm %v, want %v", got, tc.alarm)
			}
			r.answer = nil
			sent := r.extrinsics(chain.OpSetWeights)
			n.round(1, 3, 0)
			r.run(30 * block)
			if stops := r.extrinsics(chain.OpSetWeights) == sent; stops != tc.stops {
				t.Errorf("stops setting weights %v, want %v", stops, tc.stops)
			}
			if tc.alarm {
				n.validator.Stopped = n.v.Stopped() // built again within the process
				n.crash()
				r.run(block)
				n.round(1, 3, 0)
				r.run(30 * block)
				if r.extrinsics(chain.OpSetWeights) != sent || !strings.Contains(n.alarms(), "foreign_key") || n.v.Stopped() != n.validator.Stopped {
					t.Errorf("goes on in the same process: %q", n.alarms())
				}
				n.validator.Stopped = ""
				n.crash() // an operator has looked after it
				r.run(block)
				n.round(1, 3, 0)
				r.run(30 * block)
				if r.extrinsics(chain.OpSetWeights) == sent || n.alarms() != "" {
					t.Errorf("still stopped after a restart: %q", n.alarms())
				}
			}
		})
	}
}

// TestOwnExtrinsicIsNotForeign: a run that was killed between sending and
// hearing finds its own update, because the plan was durable before.
func TestOwnExtrinsicIsNotForeign(t *testing.T) {
	for _, change := range []func(*mockchain.Config){func(*mockchain.Config) {}, timelocked, func(c *mockchain.Config) { c.Params.CommitReveal = true }} {
		for wait := range 30 {
			r := newRig(t, change)
			n := setter(r)
			n.round(1, 1, 0)
			r.run(time.Duration(wait) * time.Second)
			n.crash()
			r.run(10 * time.Minute)
			n.round(1, 1, 0)
			r.run(260 * block)
			if n.alarms() != "" || n.onChain() != "[2 3] [65535 65535]" {
				t.Errorf("killed after %d s: alarms %q, on the chain %s, %s", wait, n.alarms(), n.onChain(), n.phases())
			}
		}
	}
}

// TestEmptyStoreDoesNotOverwrite: the chain has weights that an earlier store
// made, and the new one knows nothing yet.
func TestEmptyStoreDoesNotOverwrite(t *testing.T) {
	start := func(t *testing.T, change ...func(*ValidatorConfig)) (*rig, *rigNode) {
		r := newRig(t, func(c *mockchain.Config) { c.Params.ActivityCutoff = 400 })
		r.run(20 * block)
		r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: hotkeyOf("v0"), Weights: chain.Weights{UIDs: []chain.UID{2, 4}, Values: []uint16{65535, 4096}}})
		r.run(5 * block)
		n := setter(r, change...)
		r.run(block)
		return r, n
	}
	settled := func(n *rigNode, days int) {
		n.do(func() {
			b := n.v.store.Batch()
			for i := range days {
				d := bet.DayOf(n.loop.Now()) - bet.Day(i)
				x := n.v.State.Scores.of(hotkeyOf("m0"))
				x.days[d&(historyDays-1)], x.rows[d&(historyDays-1)] = d, ledger.Score{Settled: 3}
				ledger.Scores.Put(b, ledger.DayKey{Day: d, Hotkey: hotkeyOf("m0")}, &ledger.Score{Settled: 3})
			}
			n.v.store.Commit(b)
		})
		n.run(time.Second)
	}
	const before = "[2 4] [65535 4096]"
	t.Run("not before the shortest window is covered", func(t *testing.T) {
		r, n := start(t)
		for days, want := range []string{before, before, before, "[3] [65535]"} {
			settled(n, days)
			n.round(0, 1, 0)
			r.run(12 * block)
			if got := n.onChain(); got != want {
				t.Errorf("with settled predictions of %d days: %s, want %s", days, got, want)
			}
			n.crash() // nor does a restart change it
			r.run(block)
		}
	})
	t.Run("the chain's weights are kept alive", func(t *testing.T) {
		r, n := start(t)
		n.round(0, 1, 0)
		r.run(260 * block)
		if got := r.extrinsics(chain.OpSetWeights); got != 2 || n.onChain() != before {
			t.Errorf("%d sets, on the chain %s", got, n.onChain())
		}
		if !strings.Contains(n.alarms(), "weights_idle") {
			t.Errorf("alarms %q", n.alarms())
		}
		n.crash() // its own re-set does not prove anything
		r.run(block)
		n.round(0, 1, 0)
		r.run(20 * block)
		if n.onChain() != before {
			t.Errorf("after a restart: %s", n.onChain())
		}
	})
	t.Run("days as configured", func(t *testing.T) {
		r, n := start(t, func(c *ValidatorConfig) { c.WeightsMinDays = 1 })
		settled(n, 1)
		n.round(0, 1, 0)
		r.run(12 * block)
		if n.onChain() != "[3] [65535]" {
			t.Errorf("on the chain %s", n.onChain())
		}
	})
}

// TestFallback: what is set when there is nothing to score, and that a person is
// told at half of the activity cutoff.
func TestFallback(t *testing.T) {
	for _, tc := range []struct {
		fallback Fallback
		owner    string
		want     string
	}{
		{FallbackLast, "m2", "[2 3] [21845 65535]"},
		{FallbackOwner, "m2", "[4] [65535]"},
		{FallbackOwner, "", "[2 3] [21845 65535]"},
		{FallbackNone, "m2", "[2 3] [21845 65535]"},
	} {
		t.Run(string(tc.fallback)+tc.owner, func(t *testing.T) {
			r := newRig(t, func(c *mockchain.Config) {
				if c.Params.ActivityCutoff = 400; tc.owner != "" {
					c.Owner = hotkeyOf(tc.owner)
				}
			})
			n := setter(r, func(c *ValidatorConfig) { c.WeightsFallback = tc.fallback })
			n.round(1, 3, 0)
			r.run(5 * block)
			n.round()
			r.run(165 * block)
			if n.alarms() != "" || r.extrinsics(chain.OpSetWeights) != 1 {
				t.Errorf("before half of the cutoff: alarms %q, %d sets", n.alarms(), r.extrinsics(chain.OpSetWeights))
			}
			r.run(110 * block)
			sets := 2
			if tc.fallback == FallbackNone || tc.owner == "" {
				sets = 1
			}
			if !strings.Contains(n.alarms(), "weights_idle") || r.extrinsics(chain.OpSetWeights) != sets || n.onChain() != tc.want {
				t.Errorf("after it: alarms %q, %d sets, on the chain %s", n.alarms(), r.extrinsics(chain.OpSetWeights), n.onChain())
			}
			n.round(0, 0, 1)
			r.run(110 * block)
			if strings.Contains(n.alarms(), "weights_idle") || n.onChain() != "[4] [65535]" {
				t.Errorf("with something to score: alarms %q, on the chain %s", n.alarms(), n.onChain())
			}
		})
	}
	if _, err := NewValidator(nil, ValidatorConfig{WeightsFallback: "owners"}, Ports{}, nil); err == nil {
		t.Error("an unknown fallback was taken")
	}
}

// TestShadow computes and compares, and sends nothing.
func TestShadow(t *testing.T) {
	r := newRig(t)
	n := setter(r, func(c *ValidatorConfig) { c.Shadow = true })
	all := n.epochsOf()
	r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: hotkeyOf("v0"), Weights: chain.Weights{UIDs: []chain.UID{2, 3}, Values: []uint16{65535, 65535}}})
	n.round(1, 3, 0)
	r.run(280 * block)
	if len(r.asked) != 1 { // the one of the other process
		t.Errorf("%d extrinsics: %+v", len(r.asked), r.asked)
	}
	if len(*all) != 3 || n.alarms() != "" {
		t.Fatalf("%d epochs, alarms %q", len(*all), n.alarms())
	}
	for _, e := range *all {
		if e.Outcome != ShadowEpoch || e.Variation == nil || *e.Variation < 0.2499 || *e.Variation > 0.2501 || !strings.Contains(e.Reason, "uid 2 ours 0.2500 chain 0.5000") {
			t.Errorf("%+v", e)
		}
	}
}

// TestOneEffectiveSetAnEpoch: whatever is lost, wherever a crash comes, and
// however often rounds come, at most one update in any stretch of the rate limit
// reaches the chain: it has none to refuse.
func TestOneEffectiveSetAnEpoch(t *testing.T) {
	for name, change := range map[string]func(*mockchain.Config){
		"in the clear": func(c *mockchain.Config) { c.Params.WeightsRateLimit = 100 },
		"timelocked":   func(c *mockchain.Config) { timelocked(c); c.Params.WeightsRateLimit = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			var taken []chain.Block
			r.chain.OnExtrinsic(func(_ time.Time, q chain.Request, p chain.Reply) {
				if q.Op == chain.OpSetWeights || q.Op == chain.OpCommitTimelocked {
					taken = append(taken, p.Included)
				}
			})
			n := setter(r)
			asked := 0
			r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
				if q.Op == chain.OpSync {
					return
				}
				switch asked++; asked % 5 {
				case 1:
					return p, true, true
				case 2:
					r.chain.Submit(r.w.Now(), q)
					return p, true, true
				case 3:
					return sched.Failed[chain.Reply](errRig), true, false
				}
				return
			}
			for i := range 200 {
				n.round(float64(1+i%3), 1, float64(i%2))
				r.run(11 * block)
				if i%7 == 6 {
					n.crash()
					r.run(time.Second)
				}
			}
			if len(taken) < 5 {
				t.Errorf("only %d updates", len(taken))
			}
			for i := 1; i < len(taken); i++ {
				if taken[i] < taken[i-1]+100 {
					t.Errorf("updates in blocks %d and %d", taken[i-1], taken[i])
				}
			}
			if n.alarms() == "foreign_key" {
				t.Error("our own updates were taken for foreign ones")
			}
		})
	}
}

// TestEpochWordsReadBack: counters, events and the report use one word each.
func TestEpochWordsReadBack(t *testing.T) {
	for o := range epochOutcomes {
		text, err := o.MarshalText()
		var back EpochOutcome
		if err != nil || back.UnmarshalText(text) != nil || back != o || !strings.Contains(fmt.Sprint(epochWords), string(text)) {
			t.Errorf("%d is %q and reads as %d", uint8(o), text, uint8(back))
		}
	}
	if back := EpochOutcome(0); back.UnmarshalText([]byte("great")) == nil || EpochOutcome(99).String() != "outcome(99)" {
		t.Error("a word that is none was taken")
	}
}

// TestReportAndStore: a running node and its store, once it is stopped, tell the
// same of what stands.
func TestReportAndStore(t *testing.T) {
	r := newRig(t)
	n := setter(r)
	n.round(1, 3, 0)
	r.run(20 * block)
	live := n.service("weights").Weights
	want := []WeightDifference{{2, hotkeyOf("m0"), 0.25, 0.25}, {3, hotkeyOf("m1"), 0.75, 0.75}}
	if d := cmp.Diff(want, live.Slots, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-4 && b-a < 1e-4 })); d != "" || live.Set != 1 || live.ReadAt == 0 || live.Phase != "" {
		t.Errorf("%s %+v", d, live)
	}
	n.round(3, 1, 0)
	if got := n.service("weights").Weights; got.Variation == nil || *got.Variation < 0.49 || got.Phase != "planned" {
		t.Errorf("ours against the chain's before the set: %+v", got)
	}
	r.run(20 * block)
	set := n.service("weights").Weights.Set
	n.kill()
	if s := StoredWeights(ledgerOn(t, n)); s.Set != set || len(s.Slots) != 2 || s.Slots[0].Chain < 0.74 || s.Next != set+10 {
		t.Errorf("from the store: %+v", s)
	}
}

// TestCompareWeights puts shares side by side by UID.
func TestCompareWeights(t *testing.T) {
	meta := &chain.Metagraph{Neurons: make([]chain.Neuron, 4)}
	meta.Neurons[2].Hotkey = "two"
	w := func(uids []chain.UID, values ...uint16) chain.Weights {
		return chain.Weights{UIDs: uids, Values: values}
	}
	for _, tc := range []struct {
		name          string
		ours, onChain chain.Weights
		want          []WeightDifference
	}{
		{"nothing", chain.Weights{}, chain.Weights{}, nil},
		{"ours alone", w([]chain.UID{2}, 7), chain.Weights{}, []WeightDifference{{2, "two", 1, 0}}},
		{"both", w([]chain.UID{2, 9}, 3, 1), w([]chain.UID{1, 2}, 1, 1), []WeightDifference{{1, "", 0, 0.5}, {2, "two", 0.75, 0.5}, {9, "", 0.25, 0}}},
		{"zeros and a list cut short", w([]chain.UID{1, 2, 3}, 0, 4), chain.Weights{}, []WeightDifference{{2, "two", 1, 0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, CompareWeights(tc.ours, tc.onChain, meta)); d != "" {
				t.Error(d)
			}
		})
	}
	got := LargestDifferences([]WeightDifference{{UID: 1, Ours: 0.1}, {UID: 2}, {UID: 3, Chain: 0.4}, {UID: 4, Ours: 0.4}}, 2)
	if len(got) != 2 || got[0].UID != 3 || got[1].UID != 4 {
		t.Errorf("the largest are %+v", got)
	}
}

// TestShadowWithNothingToScore: a node that knows nothing agrees with nobody.
func TestShadowWithNothingToScore(t *testing.T) {
	r := newRig(t)
	n := setter(r, func(c *ValidatorConfig) { c.Shadow = true })
	all := n.epochsOf()
	r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: hotkeyOf("v0"), Weights: chain.Weights{UIDs: []chain.UID{2, 3}, Values: []uint16{65535, 65535}}})
	r.run(280 * block)
	if len(*all) == 0 {
		t.Fatal("no epoch ended")
	}
	for _, e := range *all {
		if text, err := json.Marshal(e); err != nil || e.Variation != nil || e.Reason == "" || !strings.Contains(string(text), `"variation":null`) {
			t.Errorf("%s, %v", text, err)
		}
	}
	none := func(from string, w *WeightsReport) {
		t.Helper()
		if w.Variation != nil || w.Unscored == "" {
			t.Errorf("%s: variation %v, ours none because %q", from, w.Variation, w.Unscored)
		}
		for _, s := range w.Slots {
			if s.Ours != 0 {
				t.Errorf("%s: the chain's weights are given out as ours: %+v", from, s)
			}
		}
	}
	live := n.service("weights").Weights
	if none("running", live); len(live.Slots) != 2 {
		t.Errorf("the chain's weights are not shown: %+v", live.Slots)
	}
	n.kill()
	none("stored", StoredWeights(ledgerOn(t, n)))
}
