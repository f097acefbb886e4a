package mockchain

import "bettensor/node/chain"

// Payout is where emission went, in rao. Emission is the sum of the four
// others, always and exactly.
type Payout struct {
	Emission  chain.Rao // all that was emitted
	Owner     chain.Rao // the subnet owner's cut
	Incentive chain.Rao // paid to slots as miners
	Dividends chain.Rao // paid to slots as validators
	Withheld  chain.Rao // burned: the owner's own incentive, and what had nobody to go to
}

func (p *Payout) add(q Payout) {
	p.Emission += q.Emission
	p.Owner += q.Owner
	p.Incentive += q.Incentive
	p.Dividends += q.Dividends
	p.Withheld += q.Withheld
}

// Epoch says what one epoch paid.
type Epoch struct {
	Block chain.Block
	Payout
}

// Earned is what a hotkey was paid over the run, in rao.
type Earned struct {
	Incentive chain.Rao
	Dividends chain.Rao
}

// Total is both together.
func (e Earned) Total() chain.Rao { return e.Incentive + e.Dividends }

// Earned is what a hotkey was paid so far, over all the slots it has held.
func (c *Chain) Earned(h chain.Hotkey) Earned {
	if a := c.accounts[h]; a != nil {
		return a.earned
	}
	return Earned{}
}

// Paid is where the run's emission went so far.
func (c *Chain) Paid() Payout { return c.totals }

// Epochs is how many epochs have run.
func (c *Chain) Epochs() uint64 { return c.epochs }

// pay shares out the emission of the blocks since the last epoch, b's own
// included. Of it OwnerPercent, rounded down, is the owner's; half of the rest,
// rounded down, is incentive and the other half dividends. Where nobody has
// incentive or dividends, because no weights count, all of the rest goes to the
// voting stake, or to all stake where none votes; where there is no stake at
// all it is withheld. Only those who hold a slot now are paid.
//
// A part is its share of a pool rounded down; the few rao that rounding leaves
// go to the largest part, of equals the one with the lowest UID.
func (c *Chain) pay(b chain.Block) Epoch {
	r := &c.round
	e := Epoch{Block: b}
	e.Emission = c.cfg.EmissionPerBlock * chain.Rao(b-c.lastEpoch)
	c.lastEpoch = b
	e.Owner = e.Emission / 100 * OwnerPercent
	e.Owner += e.Emission % 100 * OwnerPercent / 100
	rest := e.Emission - e.Owner

	clear(r.paid)
	incentive, dividends := rest/2, rest-rest/2
	switch earning, bonded := nonzero(r.incentive), nonzero(r.dividends); {
	case earning && !bonded:
		incentive, dividends = rest, 0
	case !earning && bonded:
		incentive, dividends = 0, rest
	case !earning && !bonded:
		incentive, dividends = 0, rest
		c.shareStake()
	}
	for i := range r.score {
		r.score[i] = r.incentive[i] + r.dividends[i]
	}

	r.split(incentive, r.incentive)
	for i, part := range r.part {
		if c.owns(i) {
			continue // withheld
		}
		c.slots[i].account.earned.Incentive += part
		e.Incentive += part
		c.credit(i, part)
	}
	r.split(dividends, r.dividends)
	for i, part := range r.part {
		c.slots[i].account.earned.Dividends += part
		e.Dividends += part
		c.credit(i, part)
	}
	e.Withheld = rest - e.Incentive - e.Dividends
	c.totals.add(e.Payout)
	return e
}

// credit books a part on a slot, and on its hotkey's stake where emission is
// staked.
func (c *Chain) credit(i int, part chain.Rao) {
	c.round.paid[i] += part
	if a := c.slots[i].account; c.cfg.StakeEmission {
		a.stake = min(a.stake+part, MaxStake)
	}
}

// shareStake makes dividends of stake: of what votes, or of all where nothing
// votes. Without stake they stay zero.
func (c *Chain) shareStake() {
	r := &c.round
	if r.votingTotal > 0 {
		for v, i := range r.rows {
			r.dividends[i] = r.share[v]
		}
		return
	}
	for i, s := range r.stake {
		r.dividends[i] = float64(s)
	}
	normalise(r.dividends)
}

// split cuts a pool by shares that sum to 1, or gives nobody a part where all
// shares are zero.
func (r *round) split(pool chain.Rao, shares []float64) {
	left, largest := pool, -1
	for i, share := range shares {
		r.part[i] = min(chain.Rao(float64(pool)*share), left)
		left -= r.part[i]
		if share > 0 && (largest < 0 || share > shares[largest]) {
			largest = i
		}
	}
	if largest >= 0 {
		r.part[largest] += left
	}
}

// nonzero tells whether some share is not zero.
func nonzero(x []float64) bool {
	for _, v := range x {
		if v > 0 {
			return true
		}
	}
	return false
}
