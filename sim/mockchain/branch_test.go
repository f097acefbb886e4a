package mockchain

import (
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
)

func read(who int) chain.Request {
	return chain.Request{Op: chain.OpReadWeights, Hotkey: key(who)}
}

// TestBranchIsItsOwn: what is submitted to a branch is not on the chain, what is
// submitted to the chain is not on the branch, and neither changes the other.
func TestBranchIsItsOwn(t *testing.T) {
	cfg := subnet(100, 50, 0)
	cfg.FinalityLag = 2
	c := New(cfg)
	seen := 0
	c.OnExtrinsic(func(_ time.Time, q chain.Request, p chain.Reply) { seen++ })
	must(t, c.Submit(at(5), setting(0, votes(1, 65535))).Code)
	f := c.Fork(at(10))
	p := f.Submit(at(10), setting(1, votes(0, 65535)))
	must(t, p.Code)
	if p.Included != 11 || seen != 1 {
		t.Errorf("%+v, %d extrinsics told of", p, seen)
	}
	must(t, c.Submit(at(11), setting(1, votes(0, 65535, 2, 9))).Code)
	f.SetStake(at(12), key(0), 7)
	if n := c.Metagraph(at(20)).Neurons; n[1].LastUpdate != 12 || n[0].Stake == 7 {
		t.Errorf("on the chain %+v", n)
	}
	if n := f.Metagraph(at(20)).Neurons; n[1].LastUpdate != 11 || n[0].Stake != 7 {
		t.Errorf("on the branch %+v", n)
	}
	if w := c.Submit(at(20), read(1)).Weights; !cmp.Equal(w, votes(0, 65535, 2, 9)) {
		t.Errorf("on the chain %v", w)
	}
	if m := f.Finalised(at(500)); m.Block != 8 || m.Neurons[1].LastUpdate != 0 {
		t.Errorf("the branch's finalised head is %d: %+v", m.Block, m.Neurons)
	}
	if w := f.Submit(at(500), read(1)); w.Head != 8 || len(w.Weights.UIDs) != 0 {
		t.Errorf("read of an unfinalised block: %+v", w)
	}
}

// TestBranchRunsEpochs: a branch pays and prunes by itself, and a chain that was
// forked goes on as one that was not.
func TestBranchRunsEpochs(t *testing.T) {
	run := func(fork bool) *chain.Metagraph {
		c := New(subnet(100, 50, 0))
		must(t, c.Submit(at(5), setting(0, votes(1, 65535, 2, 1000))).Code)
		if fork {
			f := c.Fork(at(60))
			f.SetStake(at(61), key(1), 0)
			f.Deregister(at(62), key(2))
			f.Advance(at(400))
			if f.Earned(key(2)) == c.Earned(key(2)) && f.Epochs() == c.Epochs() {
				t.Error("the branch ran no epoch")
			}
		}
		c.Advance(at(300))
		return c.Metagraph(at(400))
	}
	if d := cmp.Diff(run(false), run(true)); d != "" {
		t.Error(d)
	}
}

// TestReadsAsOfABlock: weights are read as they stood in the finalised block, in
// an older one at an endpoint that is behind, and in the best one where finality
// is not waited for.
func TestReadsAsOfABlock(t *testing.T) {
	cfg := subnet(100, 50, 0)
	cfg.FinalityLag, cfg.History, cfg.Params.WeightsRateLimit = 2, 10, 1
	c := New(cfg)
	must(t, c.Submit(at(9), setting(0, votes(1, 65535))).Code)
	must(t, c.Submit(at(19), setting(0, votes(2, 65535))).Code)
	for _, tt := range []struct {
		name   string
		now    chain.Block // ascending: time never goes back
		submit func(time.Time) chain.Reply
		head   chain.Block
		want   chain.Weights
	}{
		{"before the first", 19, func(t time.Time) chain.Reply { return c.SubmitStale(t, 9, read(0)) }, 8, chain.Weights{}},
		{"the best block", 20, func(t time.Time) chain.Reply { return c.SubmitUnfinalised(t, read(0)) }, 20, votes(2, 65535)},
		{"one block before it is final", 21, func(t time.Time) chain.Reply { return c.Submit(t, read(0)) }, 19, votes(1, 65535)},
		{"final", 22, func(t time.Time) chain.Reply { return c.Submit(t, read(0)) }, 20, votes(2, 65535)},
		{"behind", 22, func(t time.Time) chain.Reply { return c.SubmitStale(t, 5, read(0)) }, 15, votes(1, 65535)},
		{"no further back than is kept", 22, func(t time.Time) chain.Reply { return c.SubmitStale(t, 50, read(0)) }, 10, votes(1, 65535)},
	} {
		if p := tt.submit(at(tt.now)); p.Head != tt.head || !cmp.Equal(p.Weights, tt.want) {
			t.Errorf("%s: block %d, %v", tt.name, p.Head, p.Weights)
		}
	}
	if m := c.SubmitStale(at(22), 5, chain.Request{Op: chain.OpSync}).Metagraph; m.Block != 15 || m.Neurons[0].LastUpdate != 10 {
		t.Errorf("block %d, %+v", m.Block, m.Neurons[0])
	}
	if p := c.SubmitStale(at(40), 5, setting(0, votes(1, 65535))); p.Included != 41 {
		t.Errorf("an endpoint that is behind passes extrinsics on: %+v", p)
	}
}

// TestPulsesMissing: a commit whose pulse is missing is opened when it comes, and
// dropped where the reveal's epoch ends before. What the chain says of when it
// will be opened does not know of the outage.
func TestPulsesMissing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		resume  int
		reveal  chain.Block
		dropped bool
	}{{"late", 200, 202, false}, {"too late", 280, 0, true}} {
		c := sealing(nil)
		var opened []Reveal
		c.OnReveal(func(r Reveal) { opened = append(opened, r) })
		expired := 0
		c.OnExpired(func(Sealed) { expired++ })
		p := c.Submit(at(99), timelocked(0, votes(1, 65535)))
		c.StopPulses(at(150))
		if r := c.StoredRound(160); r != c.StoredRound(150) {
			t.Errorf("%s: round %d is stored", tt.name, r)
		}
		if p.RevealAt != 172 {
			t.Errorf("%s: due in block %d", tt.name, p.RevealAt)
		}
		c.Advance(at(chain.Block(tt.resume)))
		if len(opened) != 0 {
			t.Errorf("%s: opened without a pulse: %+v", tt.name, opened)
		}
		c.ResumePulses(at(chain.Block(tt.resume)))
		c.Advance(at(400))
		if dropped := len(opened) == 0; dropped != tt.dropped || dropped != (expired == 1) || !dropped && opened[0].Included != tt.reveal {
			t.Errorf("%s: %+v", tt.name, opened)
		}
		if n := len(c.TimelockedCommits()); n != 0 {
			t.Errorf("%s: %d wait", tt.name, n)
		}
		if c.StoredRound(chain.Block(tt.resume)+1) != uint64(tt.resume+1)*4+1 {
			t.Errorf("%s: round %d after the outage", tt.name, c.StoredRound(chain.Block(tt.resume)+1))
		}
	}
}

// TestScheduleAsState: from then on epochs come every tempo blocks, numbered on
// from where the fixed schedule was, and commits are revealed by it.
func TestScheduleAsState(t *testing.T) {
	c := sealing(nil)
	var epochs []chain.Block
	c.OnEpoch(func(e Epoch) { epochs = append(epochs, e.Block) })
	c.KeepSchedule(at(200))
	p := c.Submit(at(240), timelocked(0, votes(1, 65535)))
	must(t, p.Code)
	c.Advance(at(500))
	// Before, index 1 ended in block 168; then 99 blocks each.
	if d := cmp.Diff([]chain.Block{68, 168, 267, 366, 465}, epochs); d != "" {
		t.Error(d)
	}
	for b, want := range map[chain.Block]uint64{201: 2, 266: 2, 267: 3, 365: 3, 366: 4, 500: 5} {
		if got := c.EpochIndex(b); got != want {
			t.Errorf("block %d lies in epoch %d, want %d", b, got, want)
		}
	}
	if w, b := c.Weights(0); !cmp.Equal(w, votes(1, 65535)) || b < 267 || b >= 366 {
		t.Errorf("%v in block %d", w, b)
	}
}

func setting(who int, w chain.Weights) chain.Request {
	return chain.Request{Op: chain.OpSetWeights, Hotkey: key(who), Weights: w}
}
