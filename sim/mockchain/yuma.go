package mockchain

import (
	"math"
	"math/bits"
	"slices"

	"bettensor/node/chain"
)

// round is the working memory of an epoch, kept between epochs so that none
// allocates. A row is a slot with a validator permit, in UID order; matrices
// are row-major, one column a slot.
type round struct {
	slots       int
	stake       []chain.Rao // by slot: what counts of its stake
	total       chain.Rao   // sum of stake
	permits     []bool      // by slot: the permits that follow from stake
	rows        []int       // by row: the slot
	voting      []chain.Rao // by row: its stake if it is active, else 0
	votingTotal chain.Rao
	share       []float64   // by row: voting over votingTotal
	weight      []float64   // row × slot: weights as shares of the row
	clipped     []float64   // row × slot: those up to what the majority backs
	bond        []float64   // by row: one column at a time
	order       []backed    // one column's weights, largest first
	vtrust      []float64   // by row: sum of the clipped row
	incentive   []float64   // by slot, sums to 1 or is all 0
	dividends   []float64   // by slot, sums to 1 or is all 0
	score       []float64   // by slot: pruning score before scaling
	part        []chain.Rao // by slot: of the pool being cut
	paid        []chain.Rao // by slot: of both pools
}

// backed is a weight and the stake behind it.
type backed struct {
	weight float64
	stake  chain.Rao
}

// resize gives the scratch room for n slots and v rows; what a step needs
// zeroed it zeroes itself.
func (r *round) resize(n, v int) {
	r.slots = n
	r.stake = sized(r.stake, n)
	r.permits = sized(r.permits, n)
	r.rows = sized(r.rows, v)
	r.voting = sized(r.voting, v)
	r.share = sized(r.share, v)
	r.weight = sized(r.weight, v*n)
	r.clipped = sized(r.clipped, v*n)
	r.bond = sized(r.bond, v)
	r.order = sized(r.order, v)[:0]
	r.vtrust = sized(r.vtrust, v)
	r.incentive = sized(r.incentive, n)
	r.dividends = sized(r.dividends, n)
	r.score = sized(r.score, n)
	r.part = sized(r.part, n)
	r.paid = sized(r.paid, n)
}

func sized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// runEpoch is the epoch of block b: who may vote next, what the votes amount
// to, who is paid. It follows the chain's order, in which the permits of the
// epoch before decide whose weights count now.
func (c *Chain) runEpoch(b chain.Block) {
	r := &c.round
	rows := 0
	for i := range c.slots {
		if c.mayVote(i) {
			rows++
		}
	}
	r.resize(len(c.slots), rows)
	c.filterStake()
	c.grantPermits()

	r.rows = r.rows[:0]
	for i := range c.slots {
		c.slots[i].active = c.slots[i].lastUpdate+chain.Block(c.params.ActivityCutoff) >= b
		if c.mayVote(i) {
			r.rows = append(r.rows, i)
		}
	}
	c.countVotes()
	c.loadWeights(b)
	r.clip(c.cfg.Yuma.Kappa)
	r.rank()
	c.moveBonds()
	e := c.pay(b)
	c.store()
	c.epochs++
	if c.params.Stateful() {
		c.params.LastEpoch, c.params.EpochIndex = b, c.params.Epoch(c.cfg.Netuid, b)
	}
	if c.onEpoch != nil {
		c.onEpoch(e)
	}
}

// mayVote tells whether a slot's weights on others count.
func (c *Chain) mayVote(i int) bool { return c.slots[i].permit || c.owns(i) }

// filterStake takes each slot's stake, and nothing where it is under the
// threshold; the owner's counts whatever it is.
func (c *Chain) filterStake() {
	r := &c.round
	r.total = 0
	for i := range c.slots {
		s := c.slots[i].account.stake
		if s < c.params.StakeThreshold && !c.owns(i) {
			s = 0
		}
		r.stake[i] = s
		r.total = addRao(r.total, s)
	}
}

// grantPermits gives permits to the MaxValidators largest stakes that are not
// zero, and to the owner. Of equal stakes the higher UID goes first, which is
// what comes of the chain's ascending stable sort.
func (c *Chain) grantPermits() {
	r := &c.round
	staked := 0
	for i := range r.permits {
		r.permits[i] = r.stake[i] > 0
		if r.permits[i] {
			staked++
		}
	}
	seats := int(c.params.MaxValidators)
	if staked > seats {
		for i, s := range r.stake {
			ahead := 0
			for j, t := range r.stake {
				if t > s || t == s && j > i {
					ahead++
				}
			}
			r.permits[i] = r.permits[i] && ahead < seats
		}
	}
	for i := range r.permits {
		r.permits[i] = r.permits[i] || c.owns(i)
	}
}

// countVotes takes the stake of the rows that are active.
func (c *Chain) countVotes() {
	r := &c.round
	r.votingTotal = 0
	for v, i := range r.rows {
		r.voting[v] = 0
		if c.slots[i].active {
			r.voting[v] = r.stake[i]
		}
		r.votingTotal = addRao(r.votingTotal, r.voting[v])
	}
	for v := range r.rows {
		r.share[v] = 0
		if r.votingTotal > 0 {
			r.share[v] = float64(r.voting[v]) / float64(r.votingTotal)
		}
	}
}

// loadWeights lays the rows' weights out as shares of what is left of each row
// when three kinds are dropped: on oneself (but for the owner), on a slot that
// was registered in or after the block of the row's last update, and, with
// commit-reveal, on a slot registered after the row's earliest commit that is
// still to be revealed.
func (c *Chain) loadWeights(b chain.Block) {
	r := &c.round
	clear(r.weight)
	for v, i := range r.rows {
		s := &c.slots[i]
		committed, pending := c.earliestCommit(s, b)
		row := r.weight[v*r.slots : (v+1)*r.slots]
		var sum float64
		for k, u := range s.weights.UIDs {
			j := int(u)
			registered := c.slots[j].registeredAt
			if j == i && !c.owns(i) || s.lastUpdate <= registered || pending && committed < registered {
				continue
			}
			row[j] = float64(s.weights.Values[k])
			sum += row[j]
		}
		if sum == 0 {
			continue
		}
		for j := range row {
			row[j] /= sum
		}
	}
}

// earliestCommit is the block of a slot's first commit that has not expired.
func (c *Chain) earliestCommit(s *slot, b chain.Block) (chain.Block, bool) {
	if !c.params.CommitReveal {
		return 0, false
	}
	first, found := chain.Block(0), false
	for _, k := range s.account.commits {
		if !c.expired(k, b) {
			first, found = k.block, true
			break
		}
	}
	for i := range c.sealed {
		if k := &c.sealed[i]; k.Hotkey == s.hotkey && (!found || k.Block < first) {
			first, found = k.Block, true
		}
	}
	return first, found
}

// clip finds for every slot the largest weight that at least kappa of the
// voting stake gives it or exceeds, the consensus, and cuts the weights there.
// A row's trust is what is left of it. Stakes are compared as integers: no
// rounding decides a majority.
func (r *round) clip(kappa uint16) {
	majority := majorityOf(r.votingTotal, kappa)
	clear(r.vtrust)
	for j := range r.slots {
		agreed := r.consensus(j, majority)
		for v := range r.rows {
			w := min(r.weight[v*r.slots+j], agreed)
			r.clipped[v*r.slots+j] = w
			r.vtrust[v] += w
		}
	}
}

// consensus is the stake-weighted median of column j at the given majority.
func (r *round) consensus(j int, majority chain.Rao) float64 {
	r.order = r.order[:0]
	for v := range r.rows {
		w := r.weight[v*r.slots+j]
		if w == 0 || r.voting[v] == 0 {
			continue
		}
		r.order = append(r.order, backed{w, r.voting[v]})
		k := len(r.order) - 1
		for ; k > 0 && r.order[k-1].weight < w; k-- {
			r.order[k] = r.order[k-1]
		}
		r.order[k] = backed{w, r.voting[v]}
	}
	var behind chain.Rao
	for _, o := range r.order {
		behind = addRao(behind, o.stake)
		if behind >= majority {
			return o.weight
		}
	}
	return 0
}

// majorityOf is the least stake that is kappa/65535 of the total.
func majorityOf(total chain.Rao, kappa uint16) chain.Rao {
	hi, lo := bits.Mul64(uint64(total), uint64(kappa))
	q, rest := bits.Div64(hi, lo, chain.MaxWeight)
	if rest > 0 {
		q++
	}
	return chain.Rao(q)
}

// rank makes the incentive of each slot: its clipped weights by the stake
// behind them, as shares.
func (r *round) rank() {
	clear(r.incentive)
	for v := range r.rows {
		if r.share[v] == 0 {
			continue
		}
		row := r.clipped[v*r.slots : (v+1)*r.slots]
		for j, w := range row {
			r.incentive[j] += float64(r.share[v] * w)
		}
	}
	normalise(r.incentive)
}

// moveBonds moves every column of bonds a step towards the weights of this
// epoch by the stake behind them, and makes the dividends: a row's bonds in
// each slot by what the slot earned. A slot that keeps its permit keeps its
// bonds, as u16 with the column's largest at 65535; one that loses it loses
// them.
func (c *Chain) moveBonds() {
	r := &c.round
	fresh := 1 - float64(c.cfg.Yuma.BondsMovingAverage)/1e6
	penalty := float64(c.cfg.Yuma.BondsPenalty) / chain.MaxWeight
	clear(r.dividends)
	for _, i := range r.rows {
		s := &c.slots[i]
		for len(s.bonds) < r.slots {
			s.bonds = append(s.bonds, 0)
		}
	}
	for j := range r.slots {
		var held, bought float64
		for v, i := range r.rows {
			held += float64(c.slots[i].bonds[j])
			w := r.weight[v*r.slots+j]
			w += float64(penalty * (r.clipped[v*r.slots+j] - w))
			r.bond[v] = r.share[v] * w
			bought += r.bond[v]
		}
		var sum, top float64
		for v, i := range r.rows {
			var bond float64
			if bought > 0 {
				bond = float64(fresh * r.bond[v] / bought)
			}
			if held > 0 {
				bond += float64((1 - fresh) * float64(c.slots[i].bonds[j]) / held)
			}
			r.bond[v] = bond
			sum += bond
			top = max(top, bond)
		}
		for v, i := range r.rows {
			kept := uint16(0)
			if sum > 0 {
				r.dividends[i] += float64(r.bond[v] / sum * r.incentive[j])
				kept = toUint16(r.bond[v] / top)
			}
			if !r.permits[i] {
				kept = 0
			}
			c.slots[i].bonds[j] = kept
		}
	}
	normalise(r.dividends)
}

// store writes what the epoch found to the slots. Slots without a row have no
// trust.
func (c *Chain) store() {
	r := &c.round
	top := 0.0
	for _, s := range r.score {
		top = max(top, s)
	}
	for i := range c.slots {
		s := &c.slots[i]
		s.vtrust = 0
		s.incentive = toUint16(r.incentive[i])
		s.dividends = toUint16(r.dividends[i])
		s.emission = r.paid[i]
		s.permit = r.permits[i]
		s.pruning = 0
		if top > 0 {
			s.pruning = uint16(math.Round(r.score[i] / top * chain.MaxWeight))
		}
	}
	for v, i := range r.rows {
		c.slots[i].vtrust = toUint16(r.vtrust[v])
	}
}

// normalise makes x sum to 1, unless all of it is zero.
func normalise(x []float64) {
	var sum float64
	for _, v := range x {
		sum += v
	}
	if sum == 0 {
		return
	}
	for i := range x {
		x[i] /= sum
	}
}

// noise is what float64 may fall short of an exact share by; toUint16 forgives
// it, so that a share which is a whole number of 65535ths is kept as that.
const noise = 1e-7

// toUint16 is the chain's form of a share: of 65535, rounded down.
func toUint16(share float64) uint16 {
	return uint16(min(float64(share*chain.MaxWeight)+noise, chain.MaxWeight))
}

// addRao adds, and stays at the largest number where the sum would pass it.
func addRao(a, b chain.Rao) chain.Rao {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxUint64
}
