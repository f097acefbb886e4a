package chaintest

import (
	"testing"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
)

func commitReveal(s *Setup) { s.Params.CommitReveal = true }

// hashed is a hash commit of weights and its reveal.
func hashed(t testing.TB, who int, w chain.Weights, salt ...uint16) (commit, reveal chain.Request) {
	t.Helper()
	hash, err := chain.CommitHash(Hotkey(who), chain.StorageIndex(Netuid, 0), w, salt, 0)
	if err != nil {
		t.Fatal(err)
	}
	return chain.Request{Op: chain.OpCommitWeights, Hotkey: Hotkey(who), Commit: hash},
		chain.Request{Op: chain.OpRevealWeights, Hotkey: Hotkey(who), Weights: w, Salt: salt}
}

// following is the first block of the epoch that comes n epochs after block b's.
func (r *rule) following(b chain.Block, n uint64) chain.Block {
	p := &r.setup.Params
	return p.EpochStart(Netuid, p.Epoch(Netuid, b)+n)
}

var rules = []struct {
	name  string
	setup func(*Setup)
	test  func(rule)
}{
	{name: "a sync shows neurons, parameters and owner at one block", setup: func(s *Setup) {
		s.Owner = Hotkey(2)
		s.Params.WeightsVersionKey, s.Params.MinAllowedWeights, s.Params.StakeThreshold = 7, 2, 5
	}, test: func(r rule) {
		m := r.sync()
		if m.Netuid != Netuid || m.Owner != Hotkey(2) {
			r.Errorf("subnet %d of %s", m.Netuid, m.Owner)
		}
		got := m.Params
		got.LastEpoch, got.EpochIndex = 0, 0
		if d := cmp.Diff(r.setup.Params, got); d != "" {
			r.Errorf("parameters (-want +got):\n%s", d)
		}
		if len(m.Neurons) != len(r.setup.Stakes) {
			r.Fatalf("%d neurons, want %d", len(m.Neurons), len(r.setup.Stakes))
		}
		for i, n := range m.Neurons {
			if n.UID != chain.UID(i) || n.Hotkey != Hotkey(i) || n.Coldkey == "" || n.Stake != r.setup.Stakes[i] || n.LastUpdate != 0 || n.Axon != (chain.Axon{}) {
				r.Errorf("neuron %d: %+v", i, n)
			}
			if want := i == 0 || i == 2; n.Permit != want {
				r.Errorf("neuron %d: permit %v, want %v", i, n.Permit, want)
			}
		}
	}},
	{name: "weights in the clear are read back and move LastUpdate", test: func(r rule) {
		r.same("before", r.weights(0), chain.Weights{})
		p := r.accepted(r.set(0, votes(1, 65535, 3, 32768)))
		r.same("read back", r.weights(0), votes(1, 65535, 3, 32768))
		m := r.sync()
		if n := m.Neurons[0]; n.LastUpdate != p.Included {
			r.Errorf("LastUpdate is %d, the extrinsic was in block %d", n.LastUpdate, p.Included)
		}
		if m.Block < p.Included {
			r.Errorf("state of block %d after an extrinsic in block %d", m.Block, p.Included)
		}
	}},
	{name: "weights are scaled up", test: func(r rule) {
		r.accepted(r.set(0, votes(1, 5, 2, 7)))
		r.same("read back", r.weights(0), votes(1, 46811, 2, 65535))
	}},
	{name: "weights of a slot that set none are empty, nobody's are refused", test: func(r rule) {
		r.same("a miner's", r.weights(1), chain.Weights{})
		r.refused(r.chain.Submit(r, chain.Request{Op: chain.OpReadWeights, Hotkey: Hotkey(9)}), chain.HotKeyNotRegisteredInSubNet)
	}},
	{name: "the rate limit holds, and ends", setup: func(s *Setup) { s.Params.WeightsRateLimit = 20 }, test: func(r rule) {
		p := r.accepted(r.set(0, votes(1, 65535)))
		r.refused(r.set(0, votes(2, 65535)), chain.SettingWeightsTooFast)
		r.same("a refused set changes nothing", r.weights(0), votes(1, 65535))
		r.chain.Reach(r, p.Included+20)
		r.accepted(r.set(0, votes(2, 65535)))
	}},
	{name: "the version key is a minimum", setup: func(s *Setup) { s.Params.WeightsVersionKey = 3 }, test: func(r rule) {
		q := chain.Request{Op: chain.OpSetWeights, Hotkey: Hotkey(0), Weights: votes(1, 65535), VersionKey: 2}
		r.refused(r.chain.Submit(r, q), chain.IncorrectWeightVersionKey)
		q.VersionKey = 3
		r.accepted(r.chain.Submit(r, q))
	}},
	{name: "stake under the threshold is refused", setup: func(s *Setup) { s.Params.StakeThreshold = 2000 * tao }, test: func(r rule) {
		r.refused(r.set(0, votes(1, 65535)), chain.NotEnoughStakeToSetWeights)
	}},
	{name: "without a permit only oneself", test: func(r rule) {
		r.refused(r.set(1, votes(2, 65535)), chain.NeuronNoValidatorPermit)
		r.accepted(r.set(1, votes(1, 65535)))
		r.same("on oneself", r.weights(1), votes(1, 65535))
	}},
	{name: "the owner needs no stake for its permit", setup: func(s *Setup) { s.Owner = Hotkey(3) }, test: func(r rule) {
		r.accepted(r.set(3, votes(1, 65535)))
	}},
	{name: "a slot that does not exist", test: func(r rule) {
		r.refused(r.set(0, votes(1, 1, 4, 1)), chain.UidVecContainInvalidOne)
	}},
	{name: "a slot twice", test: func(r rule) {
		r.refused(r.set(0, votes(1, 1, 1, 1)), chain.DuplicateUids)
	}},
	{name: "as many values as slots", test: func(r rule) {
		r.refused(r.set(0, chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{1}}), chain.WeightVecNotEqualSize)
	}},
	{name: "more weights than slots", test: func(r rule) {
		r.refused(r.set(0, votes(0, 1, 1, 1, 2, 1, 3, 1, 4, 1)), chain.UidsLengthExceedUidsInSubNet)
	}},
	{name: "fewer weights than the minimum", setup: func(s *Setup) { s.Params.MinAllowedWeights = 3 }, test: func(r rule) {
		r.refused(r.set(0, votes(1, 1, 2, 1)), chain.WeightVecLengthIsLow)
		r.accepted(r.set(0, votes(0, 65535)))
	}},
	{name: "a share over the limit", setup: func(s *Setup) { s.Params.MaxWeightsLimit = 32767 }, test: func(r rule) {
		r.refused(r.set(0, votes(1, 1, 2, 1)), chain.MaxWeightExceeded)
		r.accepted(r.set(0, votes(1, 1, 2, 1, 3, 1)))
	}},
	{name: "weights of a hotkey without a slot", test: func(r rule) {
		r.refused(r.set(9, votes(1, 65535)), chain.HotKeyNotRegisteredInSubNet)
	}},
	{name: "commits where they are not wanted", test: func(r rule) {
		commit, reveal := hashed(r, 0, votes(1, 65535), 1)
		r.refused(r.chain.Submit(r, commit), chain.CommitRevealDisabled)
		r.refused(r.chain.Submit(r, reveal), chain.CommitRevealDisabled, chain.NoWeightsCommitFound)
	}},
	{name: "weights in the clear where commits are wanted", setup: commitReveal, test: func(r rule) {
		r.refused(r.set(0, votes(1, 65535)), chain.CommitRevealEnabled)
	}},
	{name: "a hash is revealed in the epoch after, not before", setup: commitReveal, test: func(r rule) {
		w := votes(1, 65535, 2, 300)
		commit, reveal := hashed(r, 0, w, 1, 2, 3)
		// Early in an epoch, so that there is time to be too early in.
		r.chain.Reach(r, r.following(r.sync().Block, 2))
		p := r.accepted(r.chain.Submit(r, commit))
		if n := r.sync().Neurons[0]; n.LastUpdate != p.Included {
			r.Errorf("LastUpdate is %d, the commit was in block %d", n.LastUpdate, p.Included)
		}
		r.refused(r.chain.Submit(r, reveal), chain.RevealTooEarly)
		due := r.following(p.Included, 1)
		r.chain.Reach(r, due)
		wrong := reveal
		wrong.Salt = []uint16{1, 2, 4}
		r.refused(r.chain.Submit(r, wrong), chain.InvalidRevealCommitHashNotMatch, chain.NoWeightsCommitFound)
		r.same("before the reveal", r.weights(0), chain.Weights{})
		r.accepted(r.chain.Submit(r, reveal))
		r.same("revealed", r.weights(0), w)
		r.refused(r.chain.Submit(r, reveal), chain.NoWeightsCommitFound)
		if n := r.sync().Neurons[0]; n.LastUpdate != p.Included {
			r.Errorf("the reveal moved LastUpdate to %d, the commit was in block %d", n.LastUpdate, p.Included)
		}
	}},
	{name: "a hash is not revealed later", setup: commitReveal, test: func(r rule) {
		commit, reveal := hashed(r, 0, votes(1, 65535), 9)
		p := r.accepted(r.chain.Submit(r, commit))
		r.chain.Reach(r, r.following(p.Included, 2))
		r.refused(r.chain.Submit(r, reveal), chain.ExpiredWeightCommit, chain.NoWeightsCommitFound, chain.RevealTooEarly)
	}},
	{name: "commits are rate limited", setup: func(s *Setup) { commitReveal(s); s.Params.WeightsRateLimit = 20 }, test: func(r rule) {
		first, _ := hashed(r, 0, votes(1, 65535), 1)
		second, _ := hashed(r, 0, votes(2, 65535), 2)
		r.accepted(r.chain.Submit(r, first))
		r.refused(r.chain.Submit(r, second), chain.CommittingWeightsTooFast)
	}},
	{name: "a timelocked commit is revealed by the chain", setup: commitReveal, test: func(r rule) {
		w := votes(1, 65535, 3, 12345)
		p := r.accepted(r.chain.Submit(r, chain.Request{Op: chain.OpCommitTimelocked, Hotkey: Hotkey(0), Weights: w}))
		if p.Round == 0 || p.RevealAt <= p.Included {
			r.Fatalf("committed in block %d: round %d, revealed in block %d", p.Included, p.Round, p.RevealAt)
		}
		if n := r.sync().Neurons[0]; n.LastUpdate != p.Included {
			r.Errorf("LastUpdate is %d, the commit was in block %d", n.LastUpdate, p.Included)
		}
		r.same("sealed", r.weights(0), chain.Weights{})
		// A few blocks later than it can be: the pulse comes with the clock.
		r.chain.Reach(r, p.RevealAt+6)
		r.same("revealed", r.weights(0), w)
	}},
	{name: "a timelocked commit where none are wanted", test: func(r rule) {
		q := chain.Request{Op: chain.OpCommitTimelocked, Hotkey: Hotkey(0), Weights: votes(1, 65535)}
		r.refused(r.chain.Submit(r, q), chain.CommitRevealDisabled)
	}},
	{name: "a timelocked commit of a hotkey without a slot", setup: commitReveal, test: func(r rule) {
		q := chain.Request{Op: chain.OpCommitTimelocked, Hotkey: Hotkey(9), Weights: votes(1, 65535)}
		r.refused(r.chain.Submit(r, q), chain.HotKeyNotRegisteredInSubNet)
	}},
	{name: "an axon is shown", test: func(r rule) {
		axon := chain.Axon{IP: "203.0.113.7", Port: 8091}
		r.accepted(r.chain.Submit(r, chain.Request{Op: chain.OpServeAxon, Hotkey: Hotkey(1), Axon: axon}))
		if got := r.sync().Neurons[1].Axon; got != axon {
			r.Errorf("the metagraph shows %+v", got)
		}
		six := chain.Axon{IP: "2001:db8::7", Port: 9}
		r.accepted(r.chain.Submit(r, chain.Request{Op: chain.OpServeAxon, Hotkey: Hotkey(2), Axon: six}))
		if got := r.sync().Neurons[2].Axon; got != six {
			r.Errorf("the metagraph shows %+v", got)
		}
	}},
	{name: "an axon that cannot be", test: func(r rule) {
		for _, x := range []struct {
			axon chain.Axon
			want chain.Code
		}{
			{chain.Axon{IP: "203.0.113.7"}, chain.InvalidPort},
			{chain.Axon{IP: "255.255.255.255", Port: 1}, chain.InvalidIpAddress},
		} {
			r.refused(r.chain.Submit(r, chain.Request{Op: chain.OpServeAxon, Hotkey: Hotkey(1), Axon: x.axon}), x.want)
		}
		if got := r.sync().Neurons[1].Axon; got != (chain.Axon{}) {
			r.Errorf("the metagraph shows %+v", got)
		}
	}},
	{name: "axons are rate limited", setup: func(s *Setup) { s.ServingRateLimit = 50 }, test: func(r rule) {
		q := chain.Request{Op: chain.OpServeAxon, Hotkey: Hotkey(1), Axon: chain.Axon{IP: "203.0.113.7", Port: 1}}
		r.accepted(r.chain.Submit(r, q))
		q.Axon.Port = 2
		r.refused(r.chain.Submit(r, q), chain.ServingRateLimitExceeded)
	}},
	{name: "an axon of a hotkey without a slot", test: func(r rule) {
		q := chain.Request{Op: chain.OpServeAxon, Hotkey: Hotkey(9), Axon: chain.Axon{IP: "203.0.113.7", Port: 1}}
		r.refused(r.chain.Submit(r, q), chain.HotKeyNotRegisteredInNetwork)
	}},
}

// Probe asks a chain, whose subnet is as somebody else made it, for what every
// subnet must do for a permitted validator. It sets weights once.
func Probe(t *testing.T, c Chain, validator chain.Hotkey) {
	r := rule{T: t, chain: c}
	submit := func(q chain.Request) chain.Reply { q.Hotkey = validator; return c.Submit(t, q) }
	p := submit(chain.Request{Op: chain.OpSync})
	m := p.Metagraph
	if m == nil || len(m.Neurons) == 0 || p.Head != m.Block {
		t.Fatalf("no metagraph: %+v", p)
	}
	me, ok := m.UIDOf(validator)
	if !ok {
		t.Fatalf("%s holds no slot of subnet %d", validator, m.Netuid)
	}
	if !m.Neurons[me].Permit {
		t.Fatalf("%s holds no permit", validator)
	}
	set := func(w chain.Weights) chain.Reply {
		return submit(chain.Request{Op: chain.OpSetWeights, Weights: w, VersionKey: m.Params.WeightsVersionKey})
	}
	if m.Params.CommitReveal {
		r.refused(set(votes(uint16(me), 65535)), chain.CommitRevealEnabled)
		return
	}
	beyond := uint16(len(m.Neurons))
	r.refused(set(chain.Weights{UIDs: []chain.UID{0, 1}, Values: []uint16{1}}), chain.WeightVecNotEqualSize)
	if m.Neurons[me].LastUpdate == 0 || uint64(m.Block-m.Neurons[me].LastUpdate) >= m.Params.WeightsRateLimit {
		r.refused(set(votes(0, 1, 0, 1)), chain.DuplicateUids)
		r.refused(set(votes(0, 1, beyond, 1)), chain.UidVecContainInvalidOne)
		w := chain.Weights{}
		for i := range m.Neurons {
			w.UIDs, w.Values = append(w.UIDs, chain.UID(i)), append(w.Values, chain.MaxWeight)
		}
		p := r.accepted(set(w))
		read := submit(chain.Request{Op: chain.OpReadWeights})
		r.same("read back", read.Weights, w)
		after := submit(chain.Request{Op: chain.OpSync}).Metagraph
		if got := after.Neurons[me].LastUpdate; got != p.Included {
			t.Errorf("LastUpdate is %d, the extrinsic was in block %d", got, p.Included)
		}
	}
	if m.Params.WeightsRateLimit > 1 {
		r.refused(set(votes(0, chain.MaxWeight)), chain.SettingWeightsTooFast)
	}
}
