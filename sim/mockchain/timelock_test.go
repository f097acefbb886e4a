package mockchain

import (
	"errors"
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
)

// sealing is a subnet that takes timelocked commits. With netuid 30 and tempo 99
// the epoch indexes change at 69, 169, 269, …
func sealing(change func(*Config)) *Chain {
	cfg := subnet(100, 50, 0)
	cfg.Params.CommitReveal, cfg.Params.RevealVersion = true, 4
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

func timelocked(who int, w chain.Weights) chain.Request {
	return chain.Request{Op: chain.OpCommitTimelocked, Hotkey: key(who), Weights: w}
}

func TestTimelockedCommitIsRevealedByTheChain(t *testing.T) {
	c := sealing(nil)
	var opened []Reveal
	c.OnReveal(func(r Reveal) { opened = append(opened, r) })
	p := c.Submit(at(99), timelocked(0, votes(1, 65535, 2, 7)))
	must(t, p.Code)
	// The round for three blocks into the next epoch: 172*12/3. It is published a
	// period before that, within block 171's time.
	if p.Included != 100 || p.Round != 688 || p.RevealAt != 172 {
		t.Fatalf("%+v", p)
	}
	if n := c.Metagraph(at(100)).Neurons[0]; n.LastUpdate != 100 {
		t.Errorf("LastUpdate %d", n.LastUpdate)
	}
	if got := c.TimelockedCommits(); len(got) != 1 || got[0].Epoch != 1 || got[0].Round != 688 {
		t.Errorf("%+v", got)
	}
	c.Advance(at(171))
	if w, _ := c.Weights(0); len(w.UIDs) != 0 {
		t.Errorf("revealed before its round: %v", w)
	}
	c.Advance(at(172))
	w, b := c.Weights(0)
	if !cmp.Equal(w, votes(1, 65535, 2, 7)) || b != 172 {
		t.Errorf("%v in block %d", w, b)
	}
	if len(opened) != 1 || opened[0].Included != 172 || opened[0].Code != chain.OK || opened[0].Hotkey != key(0) {
		t.Errorf("%+v", opened)
	}
	if n := c.Metagraph(at(172)).Neurons[0]; n.LastUpdate != 100 {
		t.Errorf("the reveal moved LastUpdate to %d", n.LastUpdate)
	}
	if got := c.TimelockedCommits(); len(got) != 0 {
		t.Errorf("still kept: %+v", got)
	}
}

// Whoever asks late finds the same chain as who asked at every block.
func TestRevealsAreRunLazily(t *testing.T) {
	eager, lazy := sealing(nil), sealing(nil)
	for _, c := range []*Chain{eager, lazy} {
		must(t, c.Submit(at(99), timelocked(0, votes(1, 65535))).Code)
		must(t, c.Submit(at(150), timelocked(1, votes(2, 65535))).Code)
	}
	for b := chain.Block(150); b < 400; b++ {
		eager.Advance(at(b))
	}
	if d := cmp.Diff(eager.Metagraph(at(400)), lazy.Metagraph(at(400))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(eager.Paid(), lazy.Paid()); d != "" || eager.Paid().Incentive == 0 {
		t.Error(d)
	}
}

func TestTimelockedRefusals(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Config)
		before func(*Chain)
		who    int
		want   chain.Code
	}{
		{name: "taken"},
		{name: "no commits wanted", change: func(c *Config) { c.Params.CommitReveal = false }, want: chain.CommitRevealDisabled},
		{name: "the chain takes hashes only", change: func(c *Config) { c.Params.RevealVersion = 0 }, want: chain.IncorrectCommitRevealVersion},
		{name: "no slot", who: 9, want: chain.HotKeyNotRegisteredInSubNet},
		{name: "too soon", before: func(c *Chain) { c.Submit(at(150), timelocked(0, votes(1, 1))) }, want: chain.CommittingWeightsTooFast},
		{name: "the eleventh of an epoch", change: func(c *Config) { c.Params.WeightsRateLimit = 0 }, before: func(c *Chain) {
			for i := range chain.Block(10) {
				c.Submit(at(180+i), timelocked(0, votes(1, 1)))
			}
		}, want: chain.TooManyUnrevealedCommits},
		{name: "those of the epoch before do not count", change: func(c *Config) { c.Params.WeightsRateLimit = 0 }, before: func(c *Chain) {
			for i := range chain.Block(10) {
				c.Submit(at(150+i), timelocked(0, votes(1, 1)))
			}
		}},
		{name: "safe mode", before: func(c *Chain) { c.SetSafeMode(at(150), true) }, want: chain.CallFiltered},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := sealing(x.change)
			if x.before != nil {
				x.before(c)
			}
			p := c.Submit(at(199), timelocked(x.who, votes(1, 65535)))
			if p.Code != x.want {
				t.Fatalf("got %s, want %s", p.Code, x.want)
			}
			if (p.Round > 0) != (x.want == chain.OK) || (p.RevealAt > 0) != (x.want == chain.OK) {
				t.Errorf("%s with round %d, block %d", p.Code, p.Round, p.RevealAt)
			}
		})
	}
	c := sealing(nil)
	if got := c.CommitSealed(at(5), key(0), []byte("x"), 700, 3).Code; got != chain.IncorrectCommitRevealVersion {
		t.Errorf("another version: %s", got)
	}
}

func TestSealedBytesAreOpenedAtTheirRound(t *testing.T) {
	secret := votes(1, 65535)
	var asked []Sealed
	open := func(s Sealed) (chain.Weights, uint64, error) {
		asked = append(asked, s)
		if string(s.Payload) != "sealed" {
			return chain.Weights{}, 0, errors.New("not ours")
		}
		return secret, 0, nil
	}
	start := func(open func(Sealed) (chain.Weights, uint64, error)) (*Chain, *[]Reveal) {
		asked = nil
		var seen []Reveal
		c := sealing(func(cfg *Config) { cfg.Open = open })
		c.OnReveal(func(r Reveal) { seen = append(seen, r) })
		return c, &seen
	}
	t.Run("opened", func(t *testing.T) {
		c, seen := start(open)
		payload := []byte("sealed")
		must(t, c.CommitSealed(at(99), key(0), payload, 700, 4).Code)
		payload[0] = 'x' // the caller's slice is its own again
		c.Advance(at(300))
		if w, b := c.Weights(0); !cmp.Equal(w, secret) || b != 175 { // round 700 is out 2,097 s after genesis
			t.Errorf("%v in block %d", w, b)
		}
		if len(asked) != 1 || asked[0].Round != 700 || len(*seen) != 1 {
			t.Errorf("asked %+v, seen %+v", asked, *seen)
		}
	})
	for _, x := range []struct {
		name    string
		open    func(Sealed) (chain.Weights, uint64, error)
		payload string
		w       chain.Weights
		want    chain.Code
	}{
		{"bytes that cannot be read", open, "junk", secret, Unreadable},
		{"nobody opens", nil, "sealed", secret, Unreadable},
		{"weights that the subnet refuses", open, "sealed", votes(1, 1, 1, 1), chain.DuplicateUids},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, seen := start(x.open)
			secret = x.w
			must(t, c.CommitSealed(at(99), key(0), []byte(x.payload), 700, 4).Code)
			c.Advance(at(300))
			if w, _ := c.Weights(0); len(w.UIDs) != 0 || len(*seen) != 1 || (*seen)[0].Code != x.want {
				t.Errorf("weights %v, seen %+v, want %s", w, *seen, x.want)
			}
		})
	}
}

func TestARoundThatComesTooLateIsForgotten(t *testing.T) {
	for _, round := range []uint64{1076, 1077, 1 << 40, 1<<64 - 1} {
		c := sealing(func(cfg *Config) {
			cfg.Open = func(Sealed) (chain.Weights, uint64, error) { return votes(1, 65535), 0, nil }
		})
		must(t, c.CommitSealed(at(99), key(0), []byte{1}, round, 4).Code)
		c.Advance(at(500))
		// Block 268 is the reveal epoch's last; round 1073 is the last whose pulse
		// it holds.
		if w, b := c.Weights(0); len(w.UIDs) != 0 || len(c.TimelockedCommits()) != 0 {
			t.Errorf("round %d: weights %v of block %d", round, w, b)
		}
	}
	c := sealing(func(cfg *Config) {
		cfg.Open = func(Sealed) (chain.Weights, uint64, error) { return votes(1, 65535), 0, nil }
	})
	must(t, c.CommitSealed(at(99), key(0), []byte{1}, 1073, 4).Code)
	c.Advance(at(500))
	if _, b := c.Weights(0); b != 268 {
		t.Errorf("in time for the last block: revealed in %d", b)
	}
	// That block runs an epoch too, behind the reveal.
	c = sealing(func(cfg *Config) {
		cfg.Open = func(Sealed) (chain.Weights, uint64, error) { return votes(2, 65535), 0, nil }
	})
	must(t, c.CommitSealed(at(99), key(0), []byte{1}, 1073, 4).Code)
	if n := c.Metagraph(at(268)).Neurons[2]; n.Incentive != 65535 {
		t.Errorf("the epoch of the reveal's block gives an incentive of %d", n.Incentive)
	}
}

func TestRoundsFollowBlockTime(t *testing.T) {
	c := sealing(func(cfg *Config) { cfg.Beacon = Beacon{Genesis: genesis.Add(-time.Hour), Period: 7 * time.Second} })
	for b := range chain.Block(200) {
		stored := c.StoredRound(b)
		if first := c.blockOfRound(stored); first > b {
			t.Errorf("block %d stores round %d, which is of block %d", b, stored, first)
		}
		if next := c.blockOfRound(stored + 1); next <= b {
			t.Errorf("block %d does not store round %d, which is of block %d", b, stored+1, next)
		}
	}
	c = sealing(func(cfg *Config) { cfg.Beacon.Genesis = genesis.Add(time.Hour) })
	if r := c.StoredRound(299); r != 0 {
		t.Errorf("round %d before the beacon began", r)
	}
	if r := c.StoredRound(300); r != 1 {
		t.Errorf("round %d when it began", r)
	}
}

// A newcomer is not voted for by weights that were sealed before it came.
func TestSealedWeightsDoNotCountForNewcomers(t *testing.T) {
	cfg := subnet(100, 0, 0)
	cfg.Params.CommitReveal, cfg.Params.RevealVersion, cfg.Params.MaxUIDs = true, 4, 3
	cfg.Params.ImmunityPeriod, cfg.Params.WeightsRateLimit = 0, 0
	c := New(cfg)
	must(t, c.Submit(at(20), timelocked(0, votes(1, 65535))).Code)
	must(t, c.Submit(at(100), timelocked(0, votes(1, 65535))).Code) // still sealed in the epoch of 168
	must(t, c.Deregister(at(120), key(1)))
	must(t, c.Submit(at(130), timelocked(0, votes(1, 65535))).Code)
	c.Advance(at(168))
	n := c.Metagraph(at(168)).Neurons[1]
	if n.Incentive != 0 {
		t.Errorf("the newcomer has incentive %d", n.Incentive)
	}
}

func TestSwapTakesSealedCommitsAlong(t *testing.T) {
	c := sealing(nil)
	must(t, c.Submit(at(99), timelocked(0, votes(1, 65535))).Code)
	must(t, c.SwapHotkey(at(110), key(0), key(7)))
	c.Advance(at(200))
	if w, _ := c.Weights(0); len(w.UIDs) != 1 {
		t.Errorf("weights %v", w)
	}
}

func TestRevealBatchIsAllOrNothing(t *testing.T) {
	c := sealing(func(cfg *Config) { cfg.Params.WeightsRateLimit = 0 })
	first, revealFirst := commitment(t, c, key(0), votes(1, 65535), 1)
	second, revealSecond := commitment(t, c, key(0), votes(2, 65535), 2)
	must(t, c.Submit(at(100), first).Code)
	must(t, c.Submit(at(101), second).Code)
	wrong := revealSecond
	wrong.Salt = []uint16{9}
	if p := c.RevealBatch(at(200), key(0), []chain.Request{revealFirst, wrong}); p.Code != chain.InvalidRevealCommitHashNotMatch {
		t.Errorf("got %s", p.Code)
	}
	if w, _ := c.Weights(0); len(w.UIDs) != 0 || len(c.Commits(key(0))) != 2 {
		t.Errorf("a refused batch left %v and %d commits", w, len(c.Commits(key(0))))
	}
	must(t, c.RevealBatch(at(200), key(0), []chain.Request{revealFirst, revealSecond}).Code)
	if w, _ := c.Weights(0); !cmp.Equal(w, votes(2, 65535)) || len(c.Commits(key(0))) != 0 {
		t.Errorf("%v and %d commits", w, len(c.Commits(key(0))))
	}
	if p := c.RevealBatch(at(200), key(9), []chain.Request{revealFirst}); p.Code != chain.NoWeightsCommitFound {
		t.Errorf("a stranger: %s", p.Code)
	}
}

func TestPrecheck(t *testing.T) {
	with := func(change func(*Config)) *Chain {
		return sealing(func(cfg *Config) {
			cfg.ServingRateLimit = 50
			if change != nil {
				change(cfg)
			}
		})
	}
	poor := func(cfg *Config) { cfg.Params.StakeThreshold = 1000 * tao }
	c := with(nil)
	commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
	committed := func(b chain.Block) *Chain {
		c := with(nil)
		must(t, c.Submit(at(b), commit).Code)
		return c
	}
	other := reveal
	other.Salt = []uint16{8}
	axon := chain.Request{Op: chain.OpServeAxon, Hotkey: key(1), Axon: chain.Axon{IP: "9.9.9.9", Port: 1}}
	for _, x := range []struct {
		name string
		c    *Chain
		q    chain.Request
		want chain.Code
	}{
		{"weights without a permit", with(nil), chain.Request{Op: chain.OpSetWeights, Hotkey: key(2), Weights: votes(1, 1)}, chain.OK},
		{"weights without stake", with(poor), chain.Request{Op: chain.OpSetWeights, Hotkey: key(0)}, chain.NotEnoughStakeToSetWeights},
		{"a commit without stake", with(poor), commit, chain.NotEnoughStakeToSetWeights},
		{"a timelocked commit without stake", with(poor), timelocked(0, votes(1, 1)), chain.NotEnoughStakeToSetWeights},
		{"a reveal without stake", with(poor), reveal, chain.NotEnoughStakeToSetWeights},
		{"a reveal in its epoch", committed(100), reveal, chain.OK},
		{"a reveal too early", committed(180), reveal, chain.RevealTooEarly},
		{"a reveal too late", committed(60), reveal, chain.ExpiredWeightCommit},
		{"a reveal of something else", committed(100), other, chain.NoWeightsCommitFound},
		{"a reveal of nothing", with(nil), reveal, chain.NoWeightsCommitFound},
		{"an axon", with(nil), axon, chain.OK},
		{"an axon of nobody", with(nil), chain.Request{Op: chain.OpServeAxon, Hotkey: key(9), Axon: axon.Axon}, chain.HotKeyNotRegisteredInNetwork},
		{"a sync", with(poor), chain.Request{Op: chain.OpSync, Hotkey: key(9)}, chain.OK},
	} {
		t.Run(x.name, func(t *testing.T) {
			before := *x.c.Metagraph(at(199))
			if got := x.c.Precheck(at(199), &x.q); got != x.want {
				t.Errorf("got %s, want %s", got, x.want)
			}
			if d := cmp.Diff(&before, x.c.Metagraph(at(199))); d != "" {
				t.Errorf("it changed the subnet: %s", d)
			}
		})
	}
}
