package mockchain

import (
	"fmt"
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
)

var genesis = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

const tao = chain.Rao(1_000_000_000)

// key is the hotkey of a made-up neuron.
func key(i int) chain.Hotkey { return chain.EncodeSS58([32]byte{1, byte(i >> 8), byte(i)}) }

// subnet is a configuration with the given stakes in TAO, one neuron each.
func subnet(stakes ...int) Config {
	cfg := Defaults(30, genesis)
	for i, s := range stakes {
		cfg.Neurons = append(cfg.Neurons, Neuron{Hotkey: key(i), Coldkey: "demo", Stake: chain.Rao(s) * tao})
	}
	return cfg
}

// at is the time of a block, and a little more.
func at(b chain.Block) time.Time {
	return genesis.Add(time.Duration(b)*chain.BlockTime + 5*time.Second)
}

// votes makes weights of pairs of uid and value.
func votes(pairs ...uint16) (w chain.Weights) {
	for i := 0; i+1 < len(pairs); i += 2 {
		w.UIDs = append(w.UIDs, chain.UID(pairs[i]))
		w.Values = append(w.Values, pairs[i+1])
	}
	return w
}

// set submits weights in the clear.
func set(c *Chain, b chain.Block, h chain.Hotkey, w chain.Weights) chain.Code {
	return c.Submit(at(b), chain.Request{Op: chain.OpSetWeights, Hotkey: h, Weights: w}).Code
}

// must fails the test where a step of its setting was refused.
func must(t testing.TB, code chain.Code) {
	t.Helper()
	if code != chain.OK {
		t.Fatalf("refused: %s", code)
	}
}

func TestBlocksAreAFunctionOfTime(t *testing.T) {
	c := New(subnet(1))
	for _, x := range []struct {
		after time.Duration
		want  chain.Block
	}{{-time.Hour, 0}, {0, 0}, {12*time.Second - 1, 0}, {12 * time.Second, 1}, {24 * time.Hour, 7200}} {
		if got := c.BlockAt(genesis.Add(x.after)); got != x.want {
			t.Errorf("%v after genesis: block %d, want %d", x.after, got, x.want)
		}
	}
	if got := c.BlockAt(c.TimeOf(12345)); got != 12345 {
		t.Errorf("block 12345 is best at its own time, not %d", got)
	}
}

// The first epoch blocks are the runtime's own table (tempo, netuid, block).
func TestEpochSchedule(t *testing.T) {
	for _, x := range []struct {
		tempo  uint16
		netuid chain.Netuid
		first  chain.Block
	}{{1, 1, 1}, {2, 0, 1}, {100, 0, 99}, {100, 1, 98}, {99, 30, 68}} {
		cfg := subnet(1)
		cfg.Netuid, cfg.Params.Tempo = x.netuid, x.tempo
		c := New(cfg)
		var got []chain.Block
		c.OnEpoch(func(e Epoch) { got = append(got, e.Block) })
		step := chain.Block(x.tempo) + 1
		c.Advance(at(x.first + 2*step))
		if want := []chain.Block{x.first, x.first + step, x.first + 2*step}; !cmp.Equal(got, want) {
			t.Errorf("tempo %d, netuid %d: epochs in %v, want %v", x.tempo, x.netuid, got, want)
		}
		if c.EpochIndex(x.first)+1 != c.EpochIndex(x.first+1) {
			t.Errorf("tempo %d, netuid %d: block %d is not the last of its index", x.tempo, x.netuid, x.first)
		}
	}
	cfg := subnet(1)
	cfg.Params.Tempo = 0
	c := New(cfg)
	if c.Advance(at(100_000)); c.Epochs() != 0 {
		t.Errorf("tempo 0 ran %d epochs", c.Epochs())
	}
}

func TestChangesShowFromTheirBlockOn(t *testing.T) {
	cfg := subnet(10, 0)
	c := New(cfg)
	w := votes(1, 100)
	p := c.Submit(at(10), chain.Request{Op: chain.OpSetWeights, Hotkey: key(0), Weights: w})
	must(t, p.Code)
	if p.Head != 10 || p.Included != 11 || !p.HeadAt.Equal(c.TimeOf(10)) {
		t.Fatalf("reply %+v", p)
	}
	for _, x := range []struct {
		at, best, finalised chain.Block
	}{{10, 0, 0}, {11, 11, 0}, {12, 11, 0}, {13, 11, 11}, {900, 11, 11}} {
		m := c.Metagraph(at(x.at))
		if m.Block != x.at || !m.At.Equal(c.TimeOf(x.at)) || m.Neurons[0].LastUpdate != x.best {
			t.Errorf("best at %d: block %d, LastUpdate %d, want %d", x.at, m.Block, m.Neurons[0].LastUpdate, x.best)
		}
		r := c.Submit(at(x.at), chain.Request{Op: chain.OpSync})
		f := r.Metagraph
		if r.Head != x.at-2 || f.Block != x.at-2 || !r.HeadAt.Equal(f.At) || f.Neurons[0].LastUpdate != x.finalised {
			t.Errorf("finalised at %d: block %d, LastUpdate %d, want %d", x.at, f.Block, f.Neurons[0].LastUpdate, x.finalised)
		}
	}
	if len(c.past) > 4 {
		t.Errorf("%d old states are kept", len(c.past))
	}
}

func TestEachBlockKeepsItsState(t *testing.T) {
	cfg := subnet(0)
	c := New(cfg)
	stake := func(m *chain.Metagraph) chain.Rao { return m.Neurons[0].Stake / tao }
	for b := chain.Block(1); b < 100; b++ { // with an epoch on the way
		c.SetStake(at(b), key(0), chain.Rao(b)*tao) // shows in b+1
		if got := stake(c.Metagraph(at(b))); got != chain.Rao(b-1) {
			t.Fatalf("best at %d: %d", b, got)
		}
		if got := stake(c.Finalised(at(b))); b > 3 && got != chain.Rao(b-3) {
			t.Fatalf("finalised at %d: %d", b, got)
		}
	}
}

func TestMetagraphIsNeverChanged(t *testing.T) {
	c := New(subnet(10, 0))
	m := c.Metagraph(at(10))
	if again := c.Metagraph(at(10)); again != m {
		t.Error("the same state was made twice")
	}
	before := *m
	before.Neurons = append([]chain.Neuron(nil), m.Neurons...)
	must(t, set(c, 10, key(0), votes(1, 1)))
	c.SetStake(at(10), key(1), 5*tao)
	must(t, c.SwapHotkey(at(20), key(1), key(7)))
	c.SetParams(at(20), func(p *chain.Hyperparameters) { p.Tempo = 50 })
	c.Advance(at(2000))
	if d := cmp.Diff(&before, m); d != "" {
		t.Error(d)
	}
	if now := c.Metagraph(at(2000)); now.Params.Tempo != 50 || now.Neurons[1].Hotkey != key(7) || now.Neurons[1].Stake != 5*tao {
		t.Errorf("changes are lost: %+v", now)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	c := New(subnet(10, 0))
	c.Advance(at(500))
	if p := c.Submit(at(3), chain.Request{Op: chain.OpSetWeights, Hotkey: key(0), Weights: votes(1, 1)}); p.Included != 501 {
		t.Errorf("an extrinsic of the past is in block %d", p.Included)
	}
}

func TestGenesisPermits(t *testing.T) {
	cfg := subnet(5, 0, 9, 7)
	cfg.Params.MaxValidators = 2
	m := New(cfg).Metagraph(at(0))
	for i, want := range []bool{false, false, true, true} {
		if n := m.Neurons[i]; n.Permit != want || n.LastUpdate != 0 || n.RegisteredAt != 0 {
			t.Errorf("uid %d: %+v, want permit %v", i, n, want)
		}
	}
}

// Each refusal by the rule that gives it, and the request next to it that
// passes.
func TestSetWeightsRefusals(t *testing.T) {
	type step func(c *Chain, cfg *Config)
	request := func(who int, w chain.Weights) chain.Request {
		return chain.Request{Op: chain.OpSetWeights, Hotkey: key(who), Weights: w}
	}
	version := func(q chain.Request, v uint64) chain.Request { q.VersionKey = v; return q }
	for _, x := range []struct {
		name   string
		params func(*Config)
		before step
		q      chain.Request
		want   chain.Code
	}{
		{name: "a permitted validator may vote", q: request(0, votes(1, 9, 2, 1))},
		{name: "commits are wanted", params: func(c *Config) { c.Params.CommitReveal = true }, q: request(0, votes(1, 1)), want: chain.CommitRevealEnabled},
		{name: "commits are wanted is said to strangers too", params: func(c *Config) { c.Params.CommitReveal = true }, q: request(77, votes(1, 1)), want: chain.CommitRevealEnabled},
		{name: "sizes differ", q: request(77, chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{1}}), want: chain.WeightVecNotEqualSize},
		{name: "more uids than slots", q: request(77, votes(0, 1, 1, 1, 2, 1, 3, 1, 4, 1)), want: chain.UidsLengthExceedUidsInSubNet},
		{name: "no slot", q: request(77, votes(1, 1)), want: chain.HotKeyNotRegisteredInSubNet},
		{name: "stake under the threshold", params: func(c *Config) { c.Params.StakeThreshold = 101 * tao }, q: request(0, votes(1, 1)), want: chain.NotEnoughStakeToSetWeights},
		{name: "stake at the threshold", params: func(c *Config) { c.Params.StakeThreshold = 100 * tao }, q: request(0, votes(1, 1))},
		{name: "stake under the threshold comes before the version", params: func(c *Config) { c.Params.StakeThreshold, c.Params.WeightsVersionKey = 101*tao, 3 }, q: request(0, votes(1, 1)), want: chain.NotEnoughStakeToSetWeights},
		{name: "version below the subnet's", params: func(c *Config) { c.Params.WeightsVersionKey = 3 }, q: version(request(0, votes(1, 1)), 2), want: chain.IncorrectWeightVersionKey},
		{name: "version at the subnet's", params: func(c *Config) { c.Params.WeightsVersionKey = 3 }, q: version(request(0, votes(1, 1)), 3)},
		{name: "version above the subnet's", params: func(c *Config) { c.Params.WeightsVersionKey = 3 }, q: version(request(0, votes(1, 1)), 4)},
		{name: "one block too fast", before: func(c *Chain, _ *Config) { set(c, 100, key(0), votes(1, 1)) }, q: request(0, votes(1, 1)), want: chain.SettingWeightsTooFast},
		{name: "just in time", before: func(c *Chain, _ *Config) { set(c, 99, key(0), votes(1, 1)) }, q: request(0, votes(1, 1))},
		{name: "a refused set does not count as an update", before: func(c *Chain, _ *Config) { set(c, 150, key(0), votes(9, 1)) }, q: request(0, votes(1, 1))},
		{name: "too fast comes before the permit", before: func(c *Chain, _ *Config) { set(c, 150, key(2), votes(2, 1)) }, q: request(2, votes(1, 1)), want: chain.SettingWeightsTooFast},
		{name: "no permit", q: request(2, votes(1, 1)), want: chain.NeuronNoValidatorPermit},
		{name: "no permit, on itself and another", q: request(2, votes(1, 1, 2, 1)), want: chain.NeuronNoValidatorPermit},
		{name: "no permit, on itself alone", q: request(2, votes(2, 1))},
		{name: "the owner needs no permit", params: func(c *Config) { c.Owner = key(2) }, q: request(2, votes(1, 1))},
		{name: "a uid twice", q: request(0, votes(1, 1, 1, 1)), want: chain.DuplicateUids},
		{name: "a uid twice, out of order", q: request(0, votes(2, 1, 0, 1, 1, 1, 2, 1)), want: chain.DuplicateUids},
		{name: "out of order is no duplicate", q: request(0, votes(2, 1, 0, 1, 1, 1))},
		{name: "a uid twice comes before one that does not exist", q: request(0, votes(9, 1, 9, 1)), want: chain.DuplicateUids},
		{name: "a uid that does not exist", q: request(0, votes(1, 1, 4, 1)), want: chain.UidVecContainInvalidOne},
		{name: "too few", params: func(c *Config) { c.Params.MinAllowedWeights = 3 }, q: request(0, votes(1, 1, 2, 1)), want: chain.WeightVecLengthIsLow},
		{name: "no weights at all", q: request(0, votes()), want: chain.WeightVecLengthIsLow},
		{name: "one on oneself is not too few", params: func(c *Config) { c.Params.MinAllowedWeights = 3 }, q: request(0, votes(0, 1))},
		{name: "the minimum is no more than the slots", params: func(c *Config) { c.Params.MinAllowedWeights = 200 }, q: request(0, votes(0, 1, 1, 1, 2, 1, 3, 1))},
		{name: "a share over the limit", params: func(c *Config) { c.Params.MaxWeightsLimit = 32767 }, q: request(0, votes(1, 50, 2, 50)), want: chain.MaxWeightExceeded},
		{name: "a share at the limit", params: func(c *Config) { c.Params.MaxWeightsLimit = 32768 }, q: request(0, votes(1, 50, 2, 50))},
		{name: "oneself over the limit", params: func(c *Config) { c.Params.MaxWeightsLimit = 1 }, q: request(0, votes(0, 1))},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := subnet(100, 50, 0, 0)
			if x.params != nil {
				x.params(&cfg)
			}
			c := New(cfg)
			if x.before != nil {
				x.before(c, &cfg)
			}
			// In block 200: LastUpdate 100 is just far enough, 101 is not.
			p := c.Submit(at(199), x.q)
			if p.Code != x.want {
				t.Fatalf("got %s, want %s", p.Code, x.want)
			}
			uid, known := c.Metagraph(at(200)).UIDOf(x.q.Hotkey)
			if !known {
				return
			}
			w, block := c.Weights(uid)
			if accepted := p.Code == chain.OK; accepted != (block == 200) || accepted && !cmp.Equal(w.UIDs, x.q.Weights.UIDs) {
				t.Errorf("%s, and the slot holds %v of block %d", p.Code, w, block)
			}
		})
	}
}

func TestWeightsAreMaxUpscaled(t *testing.T) {
	c := New(subnet(10, 0, 0))
	q := chain.Request{Op: chain.OpSetWeights, Hotkey: key(0), Weights: votes(1, 5, 2, 7)}
	must(t, c.Submit(at(1), q).Code)
	got, _ := c.Weights(0)
	if want := votes(1, 46811, 2, 65535); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	q.Weights.UIDs[0] = 0 // the caller's slices are its own again
	if got, _ := c.Weights(0); got.UIDs[0] != 1 {
		t.Error("the chain kept the caller's slice")
	}
}

func TestServeAxonRefusals(t *testing.T) {
	axon := func(who int, ip string, port uint16) chain.Request {
		return chain.Request{Op: chain.OpServeAxon, Hotkey: key(who), Axon: chain.Axon{IP: ip, Port: port}}
	}
	loopback := func(c *Config) { c.AllowLoopback = true }
	limit := func(c *Config) { c.ServingRateLimit = 50 }
	serve := func(b chain.Block) func(*Chain) {
		return func(c *Chain) { c.Submit(at(b), axon(0, "9.9.9.9", 1)) }
	}
	for _, x := range []struct {
		name   string
		params func(*Config)
		before func(*Chain)
		q      chain.Request
		want   chain.Code
	}{
		{name: "IPv4", q: axon(0, "203.0.113.7", 8091)},
		{name: "IPv6", q: axon(0, "2001:db8::1", 8091)},
		{name: "a private address is not refused", q: axon(0, "10.0.0.1", 8091)},
		{name: "no slot", q: axon(9, "203.0.113.7", 8091), want: chain.HotKeyNotRegisteredInNetwork},
		{name: "no address", q: axon(0, "", 8091), want: chain.InvalidIpType},
		{name: "a name", q: axon(0, "example.org", 8091), want: chain.InvalidIpType},
		{name: "an address with a zone", q: axon(0, "fe80::1%eth0", 8091), want: chain.InvalidIpType},
		{name: "loopback", q: axon(0, "127.0.0.1", 8091), want: chain.InvalidIpAddress},
		{name: "loopback of IPv6", q: axon(0, "::1", 8091), want: chain.InvalidIpAddress},
		{name: "broadcast", q: axon(0, "255.255.255.255", 8091), want: chain.InvalidIpAddress},
		{name: "loopback where it is allowed", params: loopback, q: axon(0, "127.0.0.1", 8091)},
		{name: "broadcast is never allowed", params: loopback, q: axon(0, "255.255.255.255", 8091), want: chain.InvalidIpAddress},
		{name: "too soon", params: limit, before: serve(51), q: axon(0, "203.0.113.7", 8091), want: chain.ServingRateLimitExceeded},
		{name: "just late enough", params: limit, before: serve(50), q: axon(0, "203.0.113.7", 8091)},
		{name: "another's announcement does not count", params: limit, before: serve(99), q: axon(1, "203.0.113.7", 8091)},
		{name: "port 0", q: axon(0, "203.0.113.7", 0), want: chain.InvalidPort},
		{name: "an unknown call", q: chain.Request{Op: 200, Hotkey: key(0)}, want: chain.CallDisabled},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := subnet(1, 1)
			if x.params != nil {
				x.params(&cfg)
			}
			c := New(cfg)
			if x.before != nil {
				x.before(c)
			}
			if p := c.Submit(at(100), x.q); p.Code != x.want {
				t.Fatalf("got %s, want %s", p.Code, x.want)
			}
			m := c.Metagraph(at(101))
			if uid, ok := m.UIDOf(x.q.Hotkey); ok && x.want == chain.OK && m.Neurons[uid].Axon != x.q.Axon {
				t.Errorf("the metagraph shows %v", m.Neurons[uid].Axon)
			}
		})
	}
}

// commitment is a commit and its reveal.
func commitment(t testing.TB, c *Chain, h chain.Hotkey, w chain.Weights, salt uint16) (commit, reveal chain.Request) {
	t.Helper()
	hash, err := chain.CommitHash(h, uint16(c.cfg.Netuid), w, []uint16{salt}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return chain.Request{Op: chain.OpCommitWeights, Hotkey: h, Commit: hash},
		chain.Request{Op: chain.OpRevealWeights, Hotkey: h, Weights: w, Salt: []uint16{salt}}
}

// With netuid 30 and tempo 99 the epoch indexes change at 69, 169, 269, …
func TestCommitReveal(t *testing.T) {
	with := func(change func(*Config)) *Chain {
		cfg := subnet(100, 0, 0)
		cfg.Params.CommitReveal = true
		if change != nil {
			change(&cfg)
		}
		return New(cfg)
	}
	t.Run("revealed in the epoch after", func(t *testing.T) {
		for _, x := range []struct {
			submitted chain.Block
			want      chain.Code
		}{{101, chain.RevealTooEarly}, {167, chain.RevealTooEarly}, {168, chain.OK}, {267, chain.OK}, {268, chain.ExpiredWeightCommit}, {900, chain.ExpiredWeightCommit}} {
			c := with(nil)
			commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
			must(t, c.Submit(at(100), commit).Code)
			if got := c.Submit(at(x.submitted), reveal).Code; got != x.want {
				t.Errorf("in block %d: %s, want %s", x.submitted+1, got, x.want)
			}
			w, _ := c.Weights(0)
			if (len(w.UIDs) > 0) != (x.want == chain.OK) {
				t.Errorf("in block %d: %s, and the slot holds %v", x.submitted+1, x.want, w)
			}
			if lu := c.Metagraph(at(1000)).Neurons[0].LastUpdate; lu != 101 {
				t.Errorf("LastUpdate is %d, want the commit's block", lu)
			}
		}
	})
	t.Run("a longer reveal period", func(t *testing.T) {
		c := with(func(cfg *Config) { cfg.Params.RevealPeriod = 3 })
		commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		must(t, c.Submit(at(100), commit).Code)
		if got := c.Submit(at(367), reveal).Code; got != chain.RevealTooEarly {
			t.Errorf("early: %s", got)
		}
		must(t, c.Submit(at(368), reveal).Code)
	})
	t.Run("switched off", func(t *testing.T) {
		c := New(subnet(100, 0))
		commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		if got := c.Submit(at(1), commit).Code; got != chain.CommitRevealDisabled {
			t.Errorf("commit: %s", got)
		}
		if got := c.Submit(at(1), reveal).Code; got != chain.CommitRevealDisabled {
			t.Errorf("reveal: %s", got)
		}
	})
	t.Run("commit without a slot", func(t *testing.T) {
		c := with(nil)
		commit, _ := commitment(t, c, key(9), votes(1, 1), 7)
		if got := c.Submit(at(1), commit).Code; got != chain.HotKeyNotRegisteredInSubNet {
			t.Error(got)
		}
	})
	t.Run("commits are rate limited, reveals are not", func(t *testing.T) {
		c := with(nil)
		commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		must(t, c.Submit(at(100), commit).Code)
		again, _ := commitment(t, c, key(0), votes(2, 65535), 8)
		if got := c.Submit(at(199), again).Code; got != chain.CommittingWeightsTooFast {
			t.Errorf("99 blocks later: %s", got)
		}
		must(t, c.Submit(at(200), again).Code)
		must(t, c.Submit(at(201), reveal).Code)
	})
	t.Run("nothing to reveal", func(t *testing.T) {
		c := with(nil)
		_, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		if got := c.Submit(at(1), reveal).Code; got != chain.NoWeightsCommitFound {
			t.Errorf("never committed: %s", got)
		}
		commit, _ := commitment(t, c, key(0), votes(2, 65535), 7)
		must(t, c.Submit(at(100), commit).Code)
		if got := c.Submit(at(400), reveal).Code; got != chain.NoWeightsCommitFound {
			t.Errorf("another's commit expired: %s", got)
		}
	})
	t.Run("the hash must match", func(t *testing.T) {
		c := with(nil)
		commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		must(t, c.Submit(at(100), commit).Code)
		for _, change := range []func(*chain.Request){
			func(q *chain.Request) { q.Salt = []uint16{8} },
			func(q *chain.Request) { q.Weights = votes(1, 65534) },
			func(q *chain.Request) { q.VersionKey = 1 },
		} {
			q := reveal
			change(&q)
			if got := c.Submit(at(200), q).Code; got != chain.InvalidRevealCommitHashNotMatch {
				t.Errorf("%+v: %s", q, got)
			}
		}
		must(t, c.Submit(at(200), reveal).Code)
		if got := c.Submit(at(201), reveal).Code; got != chain.NoWeightsCommitFound {
			t.Errorf("a second time: %s", got)
		}
	})
	t.Run("a reveal uses up the commits before it", func(t *testing.T) {
		c := with(func(cfg *Config) { cfg.Params.WeightsRateLimit = 0 })
		first, revealFirst := commitment(t, c, key(0), votes(1, 65535), 1)
		second, revealSecond := commitment(t, c, key(0), votes(2, 65535), 2)
		must(t, c.Submit(at(100), first).Code)
		must(t, c.Submit(at(101), second).Code)
		must(t, c.Submit(at(200), revealSecond).Code)
		if got := c.Submit(at(200), revealFirst).Code; got != chain.NoWeightsCommitFound {
			t.Error(got)
		}
	})
	t.Run("the same hash committed twice", func(t *testing.T) {
		c := with(nil)
		commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		must(t, c.Submit(at(100), commit).Code)
		must(t, c.Submit(at(200), commit).Code)
		must(t, c.Submit(at(300), reveal).Code) // the commit of 101 is expired, that of 201 is due
	})
	t.Run("ten at most, expired ones not counted", func(t *testing.T) {
		c := with(func(cfg *Config) { cfg.Params.WeightsRateLimit = 0 })
		for i := range chain.MaxUnrevealedCommits {
			commit, _ := commitment(t, c, key(0), votes(1, 65535), uint16(i))
			must(t, c.Submit(at(100), commit).Code)
		}
		commit, _ := commitment(t, c, key(0), votes(1, 65535), 99)
		if got := c.Submit(at(267), commit).Code; got != chain.TooManyUnrevealedCommits {
			t.Errorf("the eleventh: %s", got)
		}
		must(t, c.Submit(at(268), commit).Code)
	})
	t.Run("what is revealed is checked like any weights, and refused changes nothing", func(t *testing.T) {
		c := with(nil)
		commit, reveal := commitment(t, c, key(0), votes(1, 1, 1, 1), 7)
		must(t, c.Submit(at(100), commit).Code)
		for range 2 {
			if got := c.Submit(at(200), reveal).Code; got != chain.DuplicateUids {
				t.Error(got)
			}
		}
	})
	t.Run("a deregistered hotkey cannot reveal", func(t *testing.T) {
		c := with(nil)
		commit, reveal := commitment(t, c, key(0), votes(1, 65535), 7)
		must(t, c.Submit(at(100), commit).Code)
		must(t, c.Deregister(at(150), key(0)))
		if got := c.Submit(at(200), reveal).Code; got != chain.HotKeyNotRegisteredInSubNet {
			t.Error(got)
		}
	})
}

func TestRegister(t *testing.T) {
	cfg := subnet(10, 0)
	cfg.Params.MaxUIDs = 3
	cfg.Params.ImmunityPeriod = 100
	c := New(cfg)
	uid, code := c.Register(at(10), key(5), "cold")
	must(t, code)
	n := c.Metagraph(at(11)).Neurons[2]
	want := chain.Neuron{UID: 2, Hotkey: key(5), Coldkey: "cold", Active: true, RegisteredAt: 11, LastUpdate: 11}
	if uid != 2 || n != want {
		t.Errorf("uid %d: %+v, want %+v", uid, n, want)
	}
	if _, code := c.Register(at(12), key(5), "cold"); code != chain.HotKeyAlreadyRegisteredInSubNet {
		t.Errorf("twice: %s", code)
	}
	cfg.Params.MaxUIDs = 0
	if _, code := New(cfg).Register(at(12), key(5), "cold"); code != chain.NoNeuronIdAvailable {
		t.Errorf("no slots: %s", code)
	}
}

// Four slots, all full: 0 votes for 1 and 2, so that 3 earns nothing.
func TestPruning(t *testing.T) {
	start := func(change func(*Config)) *Chain {
		cfg := subnet(10, 0, 0, 0)
		cfg.Params.MaxUIDs, cfg.Params.ImmunityPeriod = 4, 300
		if change != nil {
			change(&cfg)
		}
		c := New(cfg)
		must(t, set(c, 1, key(0), votes(1, 3, 2, 1)))
		return c
	}
	register := func(c *Chain, b chain.Block, who int) chain.UID {
		t.Helper()
		uid, code := c.Register(at(b), key(who), "cold")
		must(t, code)
		return uid
	}
	t.Run("the lowest score goes", func(t *testing.T) {
		c := start(nil)
		if uid := register(c, 500, 9); uid != 3 {
			t.Errorf("slot %d was given away", uid)
		}
		if _, ok := c.Metagraph(at(501)).UIDOf(key(3)); ok {
			t.Error("the pruned hotkey still holds a slot")
		}
	})
	t.Run("the young are immune", func(t *testing.T) {
		c := start(nil)
		register(c, 500, 9) // slot 3, immune until 801
		if uid := register(c, 600, 10); uid != 2 {
			t.Errorf("slot %d was given away, want the least of those outside immunity", uid)
		}
	})
	t.Run("immunity ends", func(t *testing.T) {
		c := start(nil)
		register(c, 500, 9)
		if uid := register(c, 799, 10); uid != 2 {
			t.Errorf("in the last immune block slot %d", uid)
		}
		c = start(nil)
		register(c, 500, 9)
		if uid := register(c, 800, 10); uid != 3 {
			t.Errorf("in the first block after it slot %d", uid)
		}
	})
	t.Run("where all are immune the least of them goes", func(t *testing.T) {
		c := start(func(cfg *Config) { cfg.Params.ImmunityPeriod = 60000 })
		if uid := register(c, 500, 9); uid != 3 {
			t.Errorf("slot %d", uid)
		}
	})
	t.Run("of equals the earliest goes, then the lowest uid", func(t *testing.T) {
		cfg := subnet(10, 0, 0)
		cfg.Params.MaxUIDs, cfg.Params.ImmunityPeriod = 4, 0
		c := New(cfg)
		register(c, 1, 9) // slot 3, later than 1 and 2; scores are all 0 but 0's after an epoch
		c.Advance(at(100))
		for i, want := range []chain.UID{1, 2, 3} {
			if uid := register(c, chain.Block(100+i), 20+i); uid != want {
				t.Errorf("%d. slot %d, want %d", i, uid, want)
			}
		}
	})
	t.Run("the owner is never pruned", func(t *testing.T) {
		c := start(func(cfg *Config) { cfg.Owner = key(3) })
		if uid := register(c, 500, 9); uid != 2 {
			t.Errorf("slot %d", uid)
		}
		cfg := subnet(10)
		cfg.Params.MaxUIDs, cfg.Owner = 1, key(0)
		if _, code := New(cfg).Register(at(1), key(1), ""); code != chain.NoNeuronIdAvailable {
			t.Errorf("the owner's is the only slot: %s", code)
		}
	})
}

func TestNewcomerInheritsNothing(t *testing.T) {
	cfg := subnet(10, 9, 0, 0)
	cfg.Params.MaxUIDs, cfg.Params.ImmunityPeriod, cfg.Params.WeightsRateLimit = 4, 0, 0
	c := New(cfg)
	must(t, set(c, 1, key(0), votes(1, 1, 2, 5)))
	must(t, set(c, 1, key(1), votes(0, 1, 2, 5)))
	c.Submit(at(1), chain.Request{Op: chain.OpServeAxon, Hotkey: key(1), Axon: chain.Axon{IP: "9.9.9.9", Port: 1}})
	c.Advance(at(400))
	if m := c.Metagraph(at(400)); m.Neurons[1].Dividends == 0 || m.Neurons[1].Axon.Port == 0 || c.slots[0].bonds[1] == 0 || c.slots[1].bonds[2] == 0 {
		t.Fatal("there is nothing to inherit")
	}
	earned := c.Earned(key(1))
	must(t, c.Deregister(at(400), key(1)))
	m := c.Metagraph(at(401))
	n := m.Neurons[1]
	if n.Hotkey == key(1) || n.Hotkey == "" {
		t.Fatalf("the slot is %q's", n.Hotkey)
	}
	if _, err := n.Hotkey.PublicKey(); err != nil {
		t.Error(err)
	}
	if want := (chain.Neuron{UID: 1, Hotkey: n.Hotkey, Coldkey: n.Coldkey, Active: true, RegisteredAt: 401, LastUpdate: 401}); n != want {
		t.Errorf("%+v, want %+v", n, want)
	}
	if w, b := c.Weights(1); len(w.UIDs) != 0 || b != 0 {
		t.Errorf("weights %v", w)
	}
	for j, b := range c.slots[1].bonds {
		if b != 0 || c.slots[j].bonds != nil && c.slots[j].bonds[1] != 0 {
			t.Errorf("bonds between 1 and %d remain", j)
		}
	}
	// The vote of 0 for slot 1 was for another; until 0 votes again it counts
	// for nobody.
	c.Advance(at(600))
	if e := c.Earned(n.Hotkey); e != (Earned{}) {
		t.Errorf("the newcomer earned %+v", e)
	}
	if e := c.Earned(key(1)); e != earned {
		t.Errorf("the deregistered hotkey had %+v and has %+v", earned, e)
	}
	must(t, set(c, 600, key(0), votes(1, 1)))
	c.Advance(at(800))
	if e := c.Earned(n.Hotkey); e.Incentive == 0 {
		t.Error("voted for anew, the newcomer earns nothing")
	}
	// The old hotkey returns, with its stake and without its axon.
	uid, code := c.Register(at(900), key(1), "")
	must(t, code)
	if n := c.Metagraph(at(901)).Neurons[uid]; n.Stake != 9*tao || n.Axon != (chain.Axon{}) {
		t.Errorf("it returns as %+v", n)
	}
	if code := c.Deregister(at(901), key(44)); code != chain.HotKeyNotRegisteredInSubNet {
		t.Errorf("a stranger: %s", code)
	}
}

func TestSwapHotkeyKeepsTheSlot(t *testing.T) {
	c := New(subnet(10, 0))
	must(t, set(c, 1, key(0), votes(1, 1)))
	c.Submit(at(1), chain.Request{Op: chain.OpServeAxon, Hotkey: key(0), Axon: chain.Axon{IP: "9.9.9.9", Port: 1}})
	c.Advance(at(300))
	before := c.Metagraph(at(300)).Neurons[0]
	earned := c.Earned(key(0))
	must(t, c.SwapHotkey(at(300), key(0), key(7)))
	want := before
	want.Hotkey = key(7)
	if after := c.Metagraph(at(301)).Neurons[0]; after != want {
		t.Errorf("%+v, want %+v", after, want)
	}
	if w, _ := c.Weights(0); len(w.UIDs) != 1 {
		t.Errorf("weights %v", w)
	}
	c.Advance(at(500))
	if now := c.Earned(key(0)); now != earned || earned.Dividends == 0 {
		t.Errorf("the old hotkey had earned %+v and has %+v", earned, now)
	}
	if c.Earned(key(7)).Dividends == 0 {
		t.Error("the new hotkey earns nothing")
	}
	if c.Stake(key(0)) != 0 || c.Stake(key(7)) != 10*tao {
		t.Errorf("stakes %d and %d", c.Stake(key(0)), c.Stake(key(7)))
	}
	for _, x := range []struct {
		before, after int
		want          chain.Code
	}{
		{7, 7, chain.NewHotKeyIsSameWithOld},
		{0, 8, chain.HotKeyNotRegisteredInSubNet},
		{7, 1, chain.HotKeyAlreadyRegisteredInSubNet},
	} {
		if code := c.SwapHotkey(at(600), key(x.before), key(x.after)); code != x.want {
			t.Errorf("%d to %d: %s, want %s", x.before, x.after, code, x.want)
		}
	}
	if code := set(c, 700, key(0), votes(1, 1)); code != chain.HotKeyNotRegisteredInSubNet {
		t.Errorf("the old hotkey sets weights: %s", code)
	}
	must(t, set(c, 700, key(7), votes(1, 1)))
}

func TestHooksSeeEverything(t *testing.T) {
	c := New(subnet(10, 0))
	var log []string
	c.OnExtrinsic(func(now time.Time, q chain.Request, p chain.Reply) {
		log = append(log, fmt.Sprintf("%d op %d in %d: %s", c.BlockAt(now), q.Op, p.Included, p.Code))
	})
	c.OnEpoch(func(e Epoch) { log = append(log, fmt.Sprintf("epoch in %d", e.Block)) })
	set(c, 67, key(0), votes(1, 1)) // executed in 68, behind its epoch
	set(c, 90, key(0), votes(1, 1))
	c.Submit(at(90), chain.Request{Op: chain.OpSync})
	want := []string{"epoch in 68", "67 op 2 in 68: OK", "90 op 2 in 91: SettingWeightsTooFast"}
	if d := cmp.Diff(want, log); d != "" {
		t.Error(d)
	}
}
