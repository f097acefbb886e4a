package mockchain

import (
	"fmt"
	"math"
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// first is the block of the first epoch of netuid 30 at tempo 99.
const first = chain.Block(68)

func near(a, b float64) bool { return math.Abs(a-b) <= 2.0/65535 }

// TestYumaByHand: the numbers beside the cases were worked out with pen and
// paper from the rule.
func TestYumaByHand(t *testing.T) {
	type want struct{ incentive, dividends, vtrust map[int]float64 }
	honest := votes(5, 1, 6, 1)
	for _, x := range []struct {
		name   string
		stakes []int
		votes  map[int]chain.Weights
		want   want
	}{
		{
			name: "one validator decides alone", stakes: []int{10, 0, 0},
			votes: map[int]chain.Weights{0: votes(1, 3, 2, 1)},
			want:  want{map[int]float64{1: 0.75, 2: 0.25}, map[int]float64{0: 1}, map[int]float64{0: 1}},
		},
		{
			name: "its vote on itself does not count", stakes: []int{10, 0, 0},
			votes: map[int]chain.Weights{0: votes(0, 2, 1, 3, 2, 1)},
			want:  want{map[int]float64{1: 0.75, 2: 0.25}, map[int]float64{0: 1}, map[int]float64{0: 1}},
		},
		{
			name: "half the stake is a majority, so two equals clip nothing", stakes: []int{10, 10, 0, 0},
			votes: map[int]chain.Weights{0: votes(2, 1), 1: votes(3, 1)},
			want:  want{map[int]float64{2: 0.5, 3: 0.5}, map[int]float64{0: 0.5, 1: 0.5}, map[int]float64{0: 1, 1: 1}},
		},
		{
			name: "of two unequals the larger decides", stakes: []int{11, 10, 0, 0},
			votes: map[int]chain.Weights{0: votes(2, 1), 1: votes(3, 1)},
			want:  want{map[int]float64{2: 1}, map[int]float64{0: 1}, map[int]float64{0: 1, 1: 0}},
		},
		{
			name: "a fifth that votes for its own miner is clipped to nothing", stakes: []int{1, 1, 1, 1, 1, 0, 0, 0},
			votes: map[int]chain.Weights{0: honest, 1: honest, 2: honest, 3: honest, 4: votes(7, 1)},
			want: want{map[int]float64{5: 0.5, 6: 0.5}, map[int]float64{0: 0.25, 1: 0.25, 2: 0.25, 3: 0.25},
				map[int]float64{0: 1, 1: 1, 2: 1, 3: 1, 4: 0}},
		},
		{
			// Votes 3:1 where the others vote 1:1. What is over 1/2 is cut, 1/4
			// stays: trust 3/4. Ranks 0.5 and 0.8/2+0.2/4 = 0.45. Bonds 1/5 in
			// slot 5 and 0.05/0.45 in slot 6.
			name: "a fifth that leans is cut by what it leans", stakes: []int{1, 1, 1, 1, 1, 0, 0, 0},
			votes: map[int]chain.Weights{0: honest, 1: honest, 2: honest, 3: honest, 4: votes(5, 3, 6, 1)},
			want: want{map[int]float64{5: 0.5 / 0.95, 6: 0.45 / 0.95},
				map[int]float64{0: 4. / 19, 1: 4. / 19, 2: 4. / 19, 3: 4. / 19, 4: 3. / 19},
				map[int]float64{0: 1, 1: 1, 2: 1, 3: 1, 4: 0.75}},
		},
		{
			name: "without weights stake is paid", stakes: []int{30, 10, 0},
			want: want{dividends: map[int]float64{0: 0.75, 1: 0.25}},
		},
		{
			name: "weights on itself alone are none", stakes: []int{30, 10, 0},
			votes: map[int]chain.Weights{0: votes(0, 1)},
			want:  want{dividends: map[int]float64{0: 0.75, 1: 0.25}},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := New(subnet(x.stakes...))
			for i, w := range x.votes {
				must(t, set(c, 1, key(i), w))
			}
			c.Advance(at(first))
			for i := range x.stakes {
				uid := chain.UID(i)
				if !near(c.Incentive(uid), x.want.incentive[i]) || !near(c.Dividends(uid), x.want.dividends[i]) || !near(c.VTrust(uid), x.want.vtrust[i]) {
					t.Errorf("uid %d: incentive %.5f, dividends %.5f, trust %.5f; want %.5f, %.5f, %.5f", i,
						c.Incentive(uid), c.Dividends(uid), c.VTrust(uid), x.want.incentive[i], x.want.dividends[i], x.want.vtrust[i])
				}
			}
		})
	}
}

// The first to back a miner keeps most of its bonds: a tenth is new each epoch.
func TestBondsMoveByATenth(t *testing.T) {
	c := New(subnet(10, 10, 0))
	must(t, set(c, 1, key(0), votes(2, 1)))
	c.Advance(at(first))
	must(t, set(c, first, key(1), votes(2, 1)))
	for i, want := range []float64{0.05, 0.095, 0.1355} { // 0.1·0.5 + 0.9·before
		c.Advance(at(first + 100*chain.Block(i+1)))
		if got := c.Dividends(1); math.Abs(got-want) > 1e-4 {
			t.Errorf("epoch %d: dividends %.5f, want %.5f", i+2, got, want)
		}
	}
}

func TestInactiveStakeDoesNotVote(t *testing.T) {
	cfg := subnet(11, 10, 0, 0)
	cfg.Params.ActivityCutoff = 300
	c := New(cfg)
	must(t, set(c, 1, key(0), votes(2, 1))) // in block 2, so active up to 302
	for b := chain.Block(1); b <= 201; b += 100 {
		must(t, set(c, b, key(1), votes(3, 1)))
	}
	if m := c.Metagraph(at(268)); !m.Neurons[0].Active || c.Incentive(2) < 0.99 {
		t.Errorf("active, the larger stake does not decide: incentive %v", c.Incentive(2))
	}
	if m := c.Metagraph(at(368)); m.Neurons[0].Active || c.Incentive(3) < 0.99 {
		t.Errorf("inactive, the larger stake decides: incentive %v", c.Incentive(2))
	}
}

// Stake of exactly kappa is enough.
func TestMajorityIsReachedExactly(t *testing.T) {
	for _, x := range []struct {
		kappa uint16
		want  float64
	}{{1, 0.5}, {2, 0}} {
		cfg := subnet(1, 65534, 0, 0) // together 65535
		cfg.Yuma.Kappa = x.kappa
		c := New(cfg)
		must(t, set(c, 1, key(0), votes(2, 1)))
		must(t, set(c, 1, key(1), votes(3, 1)))
		c.Advance(at(first))
		if got := c.VTrust(0); got != 2*x.want {
			t.Errorf("kappa %d of 65535: the stake of 1 has trust %v, want %v", x.kappa, got, 2*x.want)
		}
	}
}

func TestWeightsOnAPredecessorDoNotCount(t *testing.T) {
	t.Run("set in the block of the registration", func(t *testing.T) {
		c := New(subnet(10, 0, 0))
		must(t, set(c, 10, key(0), votes(1, 1, 2, 1)))
		must(t, c.Deregister(at(10), key(1)))
		if c.Advance(at(first)); c.Incentive(1) != 0 || c.Incentive(2) < 0.99 {
			t.Errorf("incentive %v and %v", c.Incentive(1), c.Incentive(2))
		}
	})
	t.Run("set in the block after it", func(t *testing.T) {
		c := New(subnet(10, 0, 0))
		must(t, c.Deregister(at(10), key(1)))
		must(t, set(c, 11, key(0), votes(1, 1, 2, 1)))
		if c.Advance(at(first)); !near(c.Incentive(1), 0.5) {
			t.Errorf("incentive %v and %v", c.Incentive(1), c.Incentive(2))
		}
	})
	// Weights of the first commit stand, the second waits to be revealed, a
	// third moved LastUpdate past the registration: what stands is still older.
	t.Run("with a commit from before it pending", func(t *testing.T) {
		for _, second := range []bool{true, false} {
			cfg := subnet(10, 0, 0)
			cfg.Params.CommitReveal = true
			c := New(cfg)
			commit, reveal := commitment(t, c, key(0), votes(1, 1, 2, 1), 1)
			must(t, c.Submit(at(4), commit).Code)
			if second {
				commit, _ := commitment(t, c, key(0), votes(2, 1), 2)
				must(t, c.Submit(at(104), commit).Code)
			}
			must(t, c.Submit(at(110), reveal).Code)
			must(t, c.Deregister(at(150), key(1)))
			commit, _ = commitment(t, c, key(0), votes(1, 1), 3)
			must(t, c.Submit(at(204), commit).Code)
			c.Advance(at(268))
			if got := c.Incentive(1); (got == 0) != second {
				t.Errorf("pending %v: the newcomer's incentive is %v", second, got)
			}
		}
	})
}

func TestPermitsFollowStake(t *testing.T) {
	cfg := subnet(10, 9, 8, 0)
	cfg.Params.MaxValidators, cfg.Params.StakeThreshold = 2, 5*tao
	c := New(cfg)
	must(t, set(c, 1, key(0), votes(1, 1, 3, 1)))
	permits := func(b chain.Block) (p string) {
		for _, n := range c.Metagraph(at(b)).Neurons {
			p += fmt.Sprint(map[bool]int{true: 1}[n.Permit])
		}
		return p
	}
	c.SetStake(at(1), key(2), 20*tao)
	c.SetStake(at(1), key(1), 4*tao)
	if got := permits(first - 1); got != "1100" {
		t.Errorf("before the epoch %s", got)
	}
	if got := permits(first); got != "1010" {
		t.Errorf("after the epoch %s", got)
	}
	if c.slots[0].bonds[1] == 0 {
		t.Fatal("0 holds no bonds in 1")
	}
	c.SetStake(at(first), key(1), 30*tao)
	c.SetStake(at(first), key(3), 30*tao)
	if got := permits(first + 100); got != "0101" {
		t.Errorf("after the second epoch %s", got)
	}
	if c.slots[0].bonds[1] != 0 {
		t.Error("0 lost its permit and keeps its bonds")
	}
	// Of equal stakes the higher UID goes first.
	for i := range 4 {
		c.SetStake(at(first+100), key(i), 6*tao)
	}
	if got := permits(first + 200); got != "0011" {
		t.Errorf("equal stakes: %s", got)
	}
	// Under the threshold nobody may vote, but the owner.
	c.cfg.Owner = key(1)
	c.SetParams(at(first+200), func(p *chain.Hyperparameters) { p.StakeThreshold = 7 * tao })
	if got := permits(first + 300); got != "0100" {
		t.Errorf("all under the threshold: %s", got)
	}
}

func TestOwner(t *testing.T) {
	cfg := subnet(10, 0, 0)
	cfg.Owner = key(1)
	c := New(cfg)
	must(t, set(c, 1, key(0), votes(1, 1, 2, 1)))
	var e Epoch
	c.OnEpoch(func(x Epoch) { e = x })
	c.Advance(at(first))
	if got := c.Earned(key(1)).Incentive; got != 0 {
		t.Errorf("the owner mines %d", got)
	}
	if half := c.Earned(key(2)).Incentive; e.Withheld != half || e.Incentive != half || half == 0 {
		t.Errorf("the other miner earned %d, withheld is %d", half, e.Withheld)
	}
}

// One alpha a block, 68 blocks: 18 %, 41 %, 41 %, and the single rao.
func TestEmissionByHand(t *testing.T) {
	c := New(subnet(10, 0, 0, 0))
	must(t, set(c, 1, key(0), votes(1, 1, 2, 1, 3, 1)))
	var got []Epoch
	c.OnEpoch(func(e Epoch) { got = append(got, e) })
	c.Advance(at(first + 100))
	want := []Epoch{
		{68, Payout{Emission: 68_000_000_000, Owner: 12_240_000_000, Incentive: 27_880_000_000, Dividends: 27_880_000_000}},
		{168, Payout{Emission: 100_000_000_000, Owner: 18_000_000_000, Incentive: 41_000_000_000, Dividends: 41_000_000_000}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// 27,880,000,000 and 41,000,000,000 in three: 1 and 2 rao are left over for
	// the first of the equals.
	for i, want := range []Earned{{0, 68_880_000_000}, {9_293_333_334 + 13_666_666_668, 0}, {9_293_333_333 + 13_666_666_666, 0}} {
		if got := c.Earned(key(i)); got != want {
			t.Errorf("uid %d earned %+v, want %+v", i, got, want)
		}
	}
	n := c.Metagraph(at(first + 100)).Neurons
	if n[0].Emission != 41_000_000_000 || n[2].Emission != 13_666_666_666 {
		t.Errorf("emission of the last epoch: %d and %d", n[0].Emission, n[2].Emission)
	}
	if c.Stake(key(1)) != 0 {
		t.Error("emission was staked unasked")
	}
}

func TestEmissionWithoutWeightsGoesToStake(t *testing.T) {
	cfg := subnet(30, 10, 0)
	cfg.EmissionPerBlock = 7 // 476 by the first epoch; 18 % of it is 85.68
	c := New(cfg)
	c.Advance(at(first))
	if got, want := c.Paid(), (Payout{Emission: 476, Owner: 85, Dividends: 391}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if a, b := c.Earned(key(0)).Dividends, c.Earned(key(1)).Dividends; a != 294 || b != 97 { // 293.25 and 97.75
		t.Errorf("%d and %d", a, b)
	}
}

func TestStakeEmission(t *testing.T) {
	cfg := subnet(10, 0)
	cfg.StakeEmission = true
	c := New(cfg)
	must(t, set(c, 1, key(0), votes(1, 1)))
	c.Advance(at(first))
	if got, want := c.Stake(key(1)), c.Earned(key(1)).Total(); got != want || want == 0 {
		t.Errorf("stake %d, earned %d", got, want)
	}
}

func TestNobodyToPay(t *testing.T) {
	for _, cfg := range []Config{subnet(), subnet(0, 0)} {
		c := New(cfg)
		c.Advance(at(first))
		if p := c.Paid(); p.Withheld != p.Emission-p.Owner || p.Emission == 0 {
			t.Errorf("%+v", p)
		}
	}
}

// twin is the epoch of block b done the slow way from the rule's text, over
// dense matrices, from the state before it.
func twin(c *Chain, b chain.Block) (incentive, dividends, vtrust []float64, permits []bool) {
	n := len(c.slots)
	p := c.params
	stake, votingStake := make([]float64, n), make([]float64, n)
	whole := make([]uint64, n)
	var total uint64
	for i, s := range c.slots {
		if s.account.stake >= p.StakeThreshold || s.hotkey == c.cfg.Owner {
			stake[i] = float64(s.account.stake)
		}
		if (s.permit || s.hotkey == c.cfg.Owner) && s.lastUpdate+chain.Block(p.ActivityCutoff) >= b {
			votingStake[i] = stake[i]
			whole[i] = uint64(stake[i])
			total += whole[i]
		}
	}
	permits = make([]bool, n)
	for i := range permits {
		ahead := 0
		for j := range permits {
			if stake[j] > stake[i] || stake[j] == stake[i] && j > i {
				ahead++
			}
		}
		permits[i] = stake[i] > 0 && ahead < int(p.MaxValidators) || c.slots[i].hotkey == c.cfg.Owner
	}
	unit := func(x []float64) {
		sum := 0.0
		for _, v := range x {
			sum += v
		}
		for i := range x {
			if sum > 0 {
				x[i] /= sum
			}
		}
	}
	matrix := func() [][]float64 {
		m := make([][]float64, n)
		for i := range m {
			m[i] = make([]float64, n)
		}
		return m
	}
	unitColumns := func(m [][]float64) {
		for j := range n {
			col := make([]float64, n)
			for i := range col {
				col[i] = m[i][j]
			}
			unit(col)
			for i := range col {
				m[i][j] = col[i]
			}
		}
	}
	unit(votingStake)
	w := matrix()
	for i, s := range c.slots {
		if !s.permit && s.hotkey != c.cfg.Owner {
			continue
		}
		for k, u := range s.weights.UIDs {
			if int(u) != i && s.lastUpdate > c.slots[u].registeredAt {
				w[i][u] = float64(s.weights.Values[k])
			}
		}
		if s.hotkey == c.cfg.Owner {
			for k, u := range s.weights.UIDs {
				if int(u) == i && s.lastUpdate > s.registeredAt {
					w[i][u] = float64(s.weights.Values[k])
				}
			}
		}
		unit(w[i])
	}
	clipped := matrix()
	vtrust, incentive, dividends = make([]float64, n), make([]float64, n), make([]float64, n)
	for j := range n {
		agreed := 0.0
		for k := range n {
			candidate, behind := w[k][j], uint64(0)
			for i := range n {
				if w[i][j] >= candidate {
					behind += whole[i]
				}
			}
			if total > 0 && behind*65535 >= uint64(c.cfg.Yuma.Kappa)*total {
				agreed = max(agreed, candidate)
			}
		}
		for i := range n {
			clipped[i][j] = min(w[i][j], agreed)
			vtrust[i] += clipped[i][j]
			incentive[j] += votingStake[i] * clipped[i][j]
		}
	}
	unit(incentive)
	old, fresh, bonds := matrix(), matrix(), matrix()
	penalty := float64(c.cfg.Yuma.BondsPenalty) / 65535
	for i := range n {
		for j := range n {
			if j < len(c.slots[i].bonds) {
				old[i][j] = float64(c.slots[i].bonds[j])
			}
			fresh[i][j] = votingStake[i] * ((1-penalty)*w[i][j] + penalty*clipped[i][j])
		}
	}
	unitColumns(old)
	unitColumns(fresh)
	keep := float64(c.cfg.Yuma.BondsMovingAverage) / 1e6
	for i := range n {
		for j := range n {
			bonds[i][j] = keep*old[i][j] + (1-keep)*fresh[i][j]
		}
	}
	unitColumns(bonds)
	for i := range n {
		for j := range n {
			dividends[i] += bonds[i][j] * incentive[j]
		}
	}
	unit(dividends)
	if total == 0 && !nonzero(incentive) && !nonzero(dividends) {
		copy(dividends, stake)
		unit(dividends)
	} else if !nonzero(incentive) && !nonzero(dividends) {
		copy(dividends, votingStake)
	}
	return incentive, dividends, vtrust, permits
}

// order is one step of a random run. Orders are never drawn by the chain's
// state, so that two chains can be given the same ones.
type order struct {
	block chain.Block
	name  string
	run   func(c *Chain) any
}

const people = 12 // hotkeys there are; some hold slots, some wait

func genConfig(t *rapid.T) Config {
	stakes := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 1, 5, 5, 20, 100}), 1, 8).Draw(t, "stakes")
	cfg := subnet(stakes...)
	cfg.Params.Tempo = uint16(rapid.IntRange(3, 30).Draw(t, "tempo"))
	cfg.Params.WeightsRateLimit = uint64(rapid.IntRange(0, 20).Draw(t, "rate"))
	cfg.Params.ActivityCutoff = uint16(rapid.IntRange(5, 80).Draw(t, "cutoff"))
	cfg.Params.ImmunityPeriod = uint16(rapid.IntRange(0, 60).Draw(t, "immunity"))
	cfg.Params.MaxUIDs = uint16(rapid.IntRange(len(stakes), 10).Draw(t, "slots"))
	cfg.Params.MaxValidators = uint16(rapid.IntRange(1, 5).Draw(t, "seats"))
	cfg.Params.StakeThreshold = chain.Rao(rapid.IntRange(0, 3).Draw(t, "threshold")) * tao
	cfg.FinalityLag = chain.Block(rapid.IntRange(0, 4).Draw(t, "lag"))
	cfg.StakeEmission = rapid.Bool().Draw(t, "staked")
	cfg.EmissionPerBlock = chain.Rao(rapid.Uint64Range(0, 2_000_000_000).Draw(t, "emission"))
	cfg.Yuma.BondsPenalty = rapid.SampledFrom([]uint16{0, 32768, 65535}).Draw(t, "penalty")
	cfg.Yuma.BondsMovingAverage = rapid.SampledFrom([]uint32{0, 500_000, 900_000, 1_000_000}).Draw(t, "average")
	if rapid.Bool().Draw(t, "owned") {
		cfg.Owner = key(0)
	}
	return cfg
}

func genOrders(t *rapid.T) []order {
	var orders []order
	var b chain.Block
	who := func() chain.Hotkey { return key(rapid.IntRange(0, people-1).Draw(t, "who")) }
	for range rapid.IntRange(1, 60).Draw(t, "orders") {
		b += chain.Block(rapid.IntRange(0, 15).Draw(t, "wait"))
		h, now := who(), at(b)
		o := order{block: b}
		switch o.name = rapid.SampledFrom([]string{"set", "set", "set", "set", "register", "deregister", "swap", "stake", "tempo"}).Draw(t, "what"); o.name {
		case "set":
			var w chain.Weights
			for u := range 10 {
				if v := rapid.IntRange(-2, 3).Draw(t, "weight"); v >= 0 {
					w.UIDs, w.Values = append(w.UIDs, chain.UID(u)), append(w.Values, uint16(v))
				}
				if rapid.IntRange(0, 5).Draw(t, "stop") == 0 {
					break
				}
			}
			o.run = func(c *Chain) any {
				return c.Submit(now, chain.Request{Op: chain.OpSetWeights, Hotkey: h, Weights: w})
			}
		case "register":
			o.run = func(c *Chain) any { u, code := c.Register(now, h, "cold"); return fmt.Sprint(u, code) }
		case "deregister":
			o.run = func(c *Chain) any { return c.Deregister(now, h) }
		case "swap":
			other := who()
			o.run = func(c *Chain) any { return c.SwapHotkey(now, h, other) }
		case "stake":
			s := chain.Rao(rapid.SampledFrom([]int{0, 1, 5, 5, 20, 100}).Draw(t, "stake")) * tao
			o.run = func(c *Chain) any { c.SetStake(now, h, s); return nil }
		case "tempo":
			p := uint16(rapid.IntRange(0, 30).Draw(t, "tempo"))
			o.run = func(c *Chain) any {
				c.SetParams(now, func(x *chain.Hyperparameters) { x.Tempo = p })
				return nil
			}
		}
		orders = append(orders, o)
	}
	return orders
}

func TestEpochEqualsTheSlowTwin(t *testing.T) {
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		c := New(genConfig(t))
		step := func(to chain.Block) {
			for {
				e, ok := c.NextEpoch(c.done)
				if !ok || e > to {
					break
				}
				incentive, dividends, vtrust, permits := twin(c, e)
				c.runTo(e)
				if c.done != e {
					t.Fatalf("the epoch of %d did not run", e)
				}
				compared++
				for i := range c.slots {
					u := chain.UID(i)
					if !near(c.Incentive(u), incentive[i]) || !near(c.Dividends(u), dividends[i]) || !near(c.VTrust(u), vtrust[i]) || c.slots[i].permit != permits[i] {
						t.Fatalf("block %d, uid %d: incentive %v, dividends %v, trust %v, permit %v; the twin has %v, %v, %v, %v", e, i,
							c.Incentive(u), c.Dividends(u), c.VTrust(u), c.slots[i].permit, incentive[i], dividends[i], vtrust[i], permits[i])
					}
				}
			}
		}
		for _, o := range genOrders(t) {
			step(o.block + 1)
			o.run(c)
		}
		step(c.done + 100)
	})
	if compared == 0 {
		t.Error("no epoch was compared")
	}
}

func TestEmissionIsConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		c := New(cfg)
		var last chain.Block
		c.OnEpoch(func(e Epoch) {
			if e.Owner+e.Incentive+e.Dividends+e.Withheld != e.Emission {
				t.Fatalf("%+v does not add up", e)
			}
			if e.Emission != cfg.EmissionPerBlock*chain.Rao(e.Block-last) {
				t.Fatalf("%+v, the epoch before was in %d", e, last)
			}
			last = e.Block
			var shown chain.Rao
			for i := range c.slots {
				shown += c.slots[i].emission
			}
			if shown != e.Incentive+e.Dividends {
				t.Fatalf("%+v, but the slots show %d", e, shown)
			}
		})
		for _, o := range genOrders(t) {
			o.run(c)
		}
		c.Advance(at(c.done + 100))
		var earned Earned
		for _, a := range c.accounts {
			earned.Incentive += a.earned.Incentive
			earned.Dividends += a.earned.Dividends
		}
		p := c.Paid()
		if earned.Incentive != p.Incentive || earned.Dividends != p.Dividends || p.Emission != cfg.EmissionPerBlock*chain.Rao(last) {
			t.Fatalf("earned %+v of %+v", earned, p)
		}
	})
}

func TestLazyAdvanceEqualsStepping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := genConfig(t)
		lazy, stepped := New(cfg), New(cfg)
		var a, b []Epoch
		lazy.OnEpoch(func(e Epoch) { a = append(a, e) })
		stepped.OnEpoch(func(e Epoch) { b = append(b, e) })
		look := rapid.Bool().Draw(t, "look each time")
		var block chain.Block
		compare := func(now time.Time) {
			if d := cmp.Diff(stepped.Metagraph(now), lazy.Metagraph(now)); d != "" {
				t.Fatal(d)
			}
			if d := cmp.Diff(stepped.Finalised(now), lazy.Finalised(now)); d != "" {
				t.Fatal(d)
			}
		}
		for _, o := range genOrders(t) {
			for ; block < o.block; block++ {
				stepped.Advance(at(block))
				stepped.Metagraph(at(block))
				if m := stepped.Finalised(at(block)); m.Block != block-min(block, cfg.FinalityLag) {
					t.Fatalf("finalised at %d is %d", block, m.Block)
				}
			}
			if d := cmp.Diff(o.run(stepped), o.run(lazy)); d != "" {
				t.Fatalf("%s in %d: %s", o.name, o.block, d)
			}
			if look {
				compare(at(o.block))
			}
			if len(stepped.past) > int(cfg.FinalityLag)+2 || len(lazy.past) > int(cfg.FinalityLag)+2 {
				t.Fatalf("%d and %d old states are kept", len(stepped.past), len(lazy.past))
			}
		}
		end := block + 80
		for ; block <= end; block++ {
			stepped.Advance(at(block))
		}
		compare(at(end))
		if d := cmp.Diff(a, b); d != "" {
			t.Fatal(d)
		}
		if lazy.Paid() != stepped.Paid() {
			t.Fatalf("%+v and %+v", lazy.Paid(), stepped.Paid())
		}
	})
}

// busy is a subnet in which v validators vote on all n slots.
func busy(t testing.TB, n, v int) *Chain {
	stakes := make([]int, n)
	for i := range v {
		stakes[i] = 100 + i
	}
	cfg := subnet(stakes...)
	cfg.Params.Tempo = 360
	cfg.Params.ActivityCutoff = 65535
	c := New(cfg)
	for i := range v {
		var w chain.Weights
		for j := range n {
			w.UIDs = append(w.UIDs, chain.UID(j))
			w.Values = append(w.Values, uint16(1+(j*7919+i*104729)%60000))
		}
		must(t, set(c, 1, key(i), w))
	}
	c.Advance(at(1000))
	return c
}

func TestEpochDoesNotAllocate(t *testing.T) {
	c := busy(t, 65, 5)
	b := chain.Block(1000)
	if got := testing.AllocsPerRun(100, func() {
		b += 361
		c.Advance(at(b))
	}); got != 0 {
		t.Errorf("%v allocations an epoch", got)
	}
}

func BenchmarkEpoch(b *testing.B) {
	for _, x := range []struct{ n, v int }{{65, 1}, {65, 5}, {256, 1}, {256, 16}, {256, 64}} {
		b.Run(fmt.Sprintf("neurons=%d/validators=%d", x.n, x.v), func(b *testing.B) {
			c := busy(b, x.n, x.v)
			block := chain.Block(1000)
			b.ReportAllocs()
			for b.Loop() {
				block += 361
				c.Advance(at(block))
			}
		})
	}
}

// A thousand days of twenty epochs, as one lazy step.
func BenchmarkThousandDays(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c := busy(b, 65, 1)
		c.Advance(genesis.AddDate(0, 0, 1000))
		if c.Epochs() < 19_900 {
			b.Fatalf("%d epochs", c.Epochs())
		}
	}
}

func BenchmarkSubmitSetWeights(b *testing.B) {
	c := busy(b, 256, 1)
	c.SetParams(at(1000), func(p *chain.Hyperparameters) { p.WeightsRateLimit = 0 })
	w, _ := c.Weights(0)
	q := chain.Request{Op: chain.OpSetWeights, Hotkey: key(0), Weights: w}
	block := chain.Block(1000)
	b.ReportAllocs()
	for b.Loop() {
		block++
		if p := c.Submit(at(block), q); p.Code != chain.OK {
			b.Fatal(p.Code)
		}
	}
}
