// Package mockchain is one subnet in memory: slots and hotkeys, stake and
// permits, weights with their rate limit, version key and commit-reveal,
// epochs that pay emission by the chain's own consensus rule, and the chain's
// refusals by name. It is a pure state machine: the time goes in with every
// call, nothing runs by itself, and the same calls give the same subnet.
//
// Blocks are a function of time and never an event. What is submitted at a
// time is executed in the first block after it, behind the epoch of that block
// if it has one, as on the chain; readers see it when that block's time has
// come. Epochs are run lazily, in order, by whichever call comes next, and
// that is not to be told from running them block by block.
//
// Read this file for the configuration, the clock and the snapshots, slots.go
// for registration and pruning, extrinsic.go for what a node may submit and
// why it is refused, timelock.go for commits that the chain opens itself,
// branch.go for blocks that do not last and endpoints that are behind, commits.go for hashes and what a pool refuses beforehand, yuma.go for
// consensus, emission.go for the money.
//
// Facts follow the public source of the chain's runtime with the fixed epoch
// schedule, liquid alpha off and Yuma 2 (the specification's spec 393). Left
// out: root stake and childkeys, prices, registration cost and limits. The chain reckons shares in 32.32 fixed point and this
// package in float64, so that shares may differ by about 1e-9 of the whole.
package mockchain

import (
	"slices"
	"time"

	"bettensor/node/chain"
)

// Config describes a subnet at its genesis. Start from Defaults.
type Config struct {
	Netuid chain.Netuid
	// Genesis is the time of block 0.
	Genesis time.Time
	// BlockTime is the slot duration; 0 stands for chain.BlockTime.
	BlockTime time.Duration
	Params    chain.Hyperparameters
	// Neurons hold the slots 0, 1, … from block 0 on, with LastUpdate 0, and
	// with a permit where the chain's rule on stake gives one: the subnet does
	// not begin with an epoch in which nobody may vote. MaxUIDs should hold them.
	Neurons []Neuron
	// Owner is the hotkey of the subnet's owner, "" for none. While it holds a
	// slot it always has a permit, may weight itself, is never pruned, and what
	// it would earn as a miner is withheld.
	Owner chain.Hotkey
	// EmissionPerBlock is all the subnet emits in a block, in rao: about 18 %
	// for the owner, the rest half to miners and half to validators (see
	// OwnerPercent).
	EmissionPerBlock chain.Rao
	// StakeEmission adds what a hotkey earns to its stake, as on the chain.
	// Off, stakes stay what the scenario says.
	StakeEmission bool
	// FinalityLag is how many blocks the finalised head, at which OpSync and
	// OpReadWeights read, trails the best block.
	FinalityLag chain.Block
	// History is how many blocks before the finalised head can still be asked for
	// (SubmitStale). It costs a copy of each state that lies in them.
	History chain.Block
	// ServingRateLimit is the least number of blocks between two axon
	// announcements of one hotkey; 0 for no limit.
	ServingRateLimit uint64
	// AllowLoopback accepts 127.0.0.1 and ::1 as axon addresses, which the real
	// chain refuses.
	AllowLoopback bool
	// Yuma are the consensus constants; the zero value stands for DefaultYuma.
	Yuma Yuma
	// Beacon is when the rounds of timelocked commits are.
	Beacon Beacon
	// Open reads a commit that was submitted as bytes (CommitSealed), once its
	// round has come. An error drops the commit; so does nil for all of them.
	Open func(Sealed) (w chain.Weights, versionKey uint64, err error)
}

// Neuron is a slot of the genesis.
type Neuron struct {
	Hotkey  chain.Hotkey
	Coldkey chain.Coldkey
	Stake   chain.Rao
}

// Yuma holds the consensus constants that are not among the hyperparameters a
// node reads.
type Yuma struct {
	// Kappa is the share of stake, of 65535, that must back a weight for it to
	// count in full.
	Kappa uint16
	// BondsMovingAverage is how much of the old bonds an epoch keeps, in
	// millionths.
	BondsMovingAverage uint32
	// BondsPenalty is how far bonds are made of clipped weights rather than of
	// the weights as set, of 65535.
	BondsPenalty uint16
}

// DefaultYuma is what the chain gives a new subnet: half the stake decides, a
// tenth of the bonds is new each epoch, bonds come from clipped weights.
var DefaultYuma = Yuma{Kappa: 32767, BondsMovingAverage: 900_000, BondsPenalty: 65535}

const (
	// OwnerPercent of emission is the subnet owner's. The chain's figure is
	// 11796/65535, which is 18 % but for two thousandths of a per cent.
	OwnerPercent = 18
	// MaxStake bounds the stake of one hotkey: the supply there can ever be of
	// TAO or of one alpha.
	MaxStake = chain.Rao(21_000_000_000_000_000)
	// MaxEmissionPerBlock bounds Config.EmissionPerBlock, so that the totals of
	// seventy years of blocks fit their integers. The chain's own figure is a
	// hundredth of it.
	MaxEmissionPerBlock = chain.Rao(100_000_000_000)
)

// Defaults is a subnet with the hyperparameters of the project's localnet,
// empty slots, and 1 alpha a block.
func Defaults(netuid chain.Netuid, genesis time.Time) Config {
	return Config{
		Netuid:    netuid,
		Genesis:   genesis,
		BlockTime: chain.BlockTime,
		Params: chain.Hyperparameters{
			Tempo:             99,
			WeightsRateLimit:  100,
			MinAllowedWeights: 1,
			MaxWeightsLimit:   chain.MaxWeight,
			ImmunityPeriod:    4096,
			ActivityCutoff:    5000,
			MaxUIDs:           256,
			MaxValidators:     64,
			RevealPeriod:      1,
		},
		EmissionPerBlock: 1_000_000_000,
		FinalityLag:      2,
		Yuma:             DefaultYuma,
	}
}

// Chain is the subnet. It is not safe for concurrent use.
type Chain struct {
	cfg      Config
	params   chain.Hyperparameters
	slots    []slot
	accounts map[chain.Hotkey]*account // looked up, never ranged over

	now       time.Time   // latest time seen; earlier ones count as this one
	done      chain.Block // epochs up to here have run
	revealed  chain.Block // timelocked commits due up to here have been opened
	lastEpoch chain.Block // emission up to here has been shared out

	from   chain.Block      // the block whose execution made the state what it is
	shot   *chain.Metagraph // the state as data, nil until somebody asks
	past   []version        // states that may still be asked for, oldest first
	round  round            // scratch of an epoch
	totals Payout
	epochs uint64

	onExtrinsic func(now time.Time, q chain.Request, p chain.Reply)
	onEpoch     func(Epoch)
	onReveal    func(Reveal)
	onExpired   func(Sealed)

	sealed   []sealed  // timelocked commits that wait, in the order they were made in
	silences []silence // of the beacon, in order
	safeMode bool

	branch bool        // made by Fork
	base   chain.Block // of a branch: its finalised head, for good
}

// version is a state that held from a block until the next version's.
type version struct {
	from  chain.Block
	shot  *chain.Metagraph
	votes []vote
}

// vote is the weights that a slot has set.
type vote struct {
	uid     chain.UID
	weights chain.Weights
	at      chain.Block
}

// account is what the chain keeps by hotkey. It outlives the slot.
type account struct {
	stake    chain.Rao
	axon     chain.Axon
	servedAt chain.Block
	commits  []commit
	earned   Earned
	uid      chain.UID
	holds    bool // holds slot uid
}

// New makes the subnet at block 0. The configuration is copied.
func New(cfg Config) *Chain {
	if cfg.BlockTime <= 0 {
		cfg.BlockTime = chain.BlockTime
	}
	if cfg.Yuma == (Yuma{}) {
		cfg.Yuma = DefaultYuma
	}
	if cfg.Beacon.Genesis.IsZero() {
		cfg.Beacon.Genesis = cfg.Genesis
	}
	if cfg.Beacon.Period <= 0 {
		cfg.Beacon.Period = quicknetPeriod
	}
	cfg.EmissionPerBlock = min(cfg.EmissionPerBlock, MaxEmissionPerBlock)
	c := &Chain{
		cfg:      cfg,
		params:   cfg.Params,
		accounts: make(map[chain.Hotkey]*account, len(cfg.Neurons)),
		now:      cfg.Genesis,
	}
	for _, n := range cfg.Neurons {
		a := c.account(n.Hotkey)
		if a.holds {
			continue // a hotkey holds one slot
		}
		a.stake = min(n.Stake, MaxStake)
		c.slots = append(c.slots, slot{})
		c.seat(len(c.slots)-1, n.Hotkey, n.Coldkey, 0)
	}
	c.cfg.Neurons = nil
	c.round.resize(len(c.slots), 0)
	c.filterStake()
	c.grantPermits()
	for i := range c.slots {
		c.slots[i].permit = c.round.permits[i]
	}
	return c
}

// BlockAt is the best block at a time: 0 from genesis on and before, the next
// one every BlockTime.
func (c *Chain) BlockAt(t time.Time) chain.Block {
	d := t.Sub(c.cfg.Genesis)
	if d < 0 {
		return 0
	}
	return chain.Block(d / c.cfg.BlockTime)
}

// TimeOf is the time from which a block is the best one.
func (c *Chain) TimeOf(b chain.Block) time.Time {
	return c.cfg.Genesis.Add(time.Duration(b) * c.cfg.BlockTime)
}

// NextEpoch is the first block after b that runs an epoch under the present
// tempo; false where tempo 0 means that none ever does. An epoch runs in the
// last block of its index: when (block+netuid+1) mod (tempo+1) is tempo.
//
// On a schedule that is state (KeepSchedule) one runs tempo blocks after the one
// before.
func (c *Chain) NextEpoch(b chain.Block) (chain.Block, bool) {
	if c.params.Tempo == 0 {
		return 0, false
	}
	if c.params.Stateful() {
		return c.params.EpochStart(c.cfg.Netuid, c.params.Epoch(c.cfg.Netuid, b)+1), true
	}
	tempo := chain.Block(c.params.Tempo)
	next := b + 1
	return next + tempo - (next+chain.Block(c.cfg.Netuid)+1)%(tempo+1), true
}

// EpochIndex numbers the epoch a block lies in: (block+netuid+1)/(tempo+1) on the
// fixed schedule. Commits and reveals are reckoned by it.
func (c *Chain) EpochIndex(b chain.Block) uint64 {
	if c.params.Stateful() {
		return c.params.Epoch(c.cfg.Netuid, b)
	}
	return uint64(b+chain.Block(c.cfg.Netuid)+1) / (uint64(c.params.Tempo) + 1)
}

// Advance runs the epochs that are due up to now. Calling it is never needed
// for a right answer, every call that takes a time does it; a world calls it
// so that OnEpoch is not late.
func (c *Chain) Advance(now time.Time) {
	c.observe(now)
	c.runTo(c.BlockAt(c.now))
}

// observe moves the chain's clock; it never goes back.
func (c *Chain) observe(now time.Time) {
	if now.After(c.now) {
		c.now = now
	}
}

// runTo runs the reveals and epochs up to and in block b. A reveal comes before
// the epoch of its block.
func (c *Chain) runTo(b chain.Block) {
	for {
		e, ok := c.NextEpoch(c.done)
		ok = ok && e <= b
		if r, waits := c.nextReveal(c.revealed); waits && r <= b && (!ok || r <= e) {
			c.touch(r)
			c.reveal(r)
			c.revealed = r
			continue
		}
		if !ok {
			break
		}
		c.touch(e)
		c.runEpoch(e)
		c.done = e
	}
	c.done = max(c.done, b)
	c.revealed = max(c.revealed, b)
}

// execute opens the block after now for a change: its epoch has run, and what
// readers may still ask for is kept. It returns the block.
func (c *Chain) execute(now time.Time) chain.Block {
	c.observe(now)
	b := c.BlockAt(c.now) + 1
	c.runTo(b)
	c.touch(b)
	return b
}

// finalised is the newest block that no other can take the place of any more.
func (c *Chain) finalised() chain.Block {
	if c.branch {
		return c.base
	}
	head := c.BlockAt(c.now)
	return head - min(head, c.cfg.FinalityLag)
}

// oldest is the oldest block a reader can ask for, now or later.
func (c *Chain) oldest() chain.Block {
	b := c.finalised()
	return b - min(b, c.cfg.History)
}

// touch is called before block b changes the state. The state so far is kept
// as data only if it may still be asked for, so that a year of lazy epochs
// copies nothing.
func (c *Chain) touch(b chain.Block) {
	if b > c.from {
		oldest := c.oldest()
		if b > oldest {
			c.past = append(c.past, version{from: c.from, shot: c.snapshot(), votes: c.votes()})
		}
		c.from = b
		stale := 0
		for stale+1 < len(c.past) && c.past[stale+1].from <= oldest {
			stale++
		}
		if len(c.past) > 0 && stale == len(c.past)-1 && c.from <= oldest {
			stale++
		}
		c.past = slices.Delete(c.past, 0, stale)
	}
	c.shot = nil
}

// snapshot is the present state as data, made once per state.
func (c *Chain) snapshot() *chain.Metagraph {
	if c.shot != nil {
		return c.shot
	}
	m := &chain.Metagraph{
		Netuid:  c.cfg.Netuid,
		Block:   c.from,
		At:      c.TimeOf(c.from),
		Owner:   c.cfg.Owner,
		Params:  c.params,
		Neurons: make([]chain.Neuron, len(c.slots)),
	}
	for i := range c.slots {
		s := &c.slots[i]
		m.Neurons[i] = chain.Neuron{
			UID:          chain.UID(i),
			Hotkey:       s.hotkey,
			Coldkey:      s.coldkey,
			Stake:        s.account.stake,
			Permit:       s.permit,
			Active:       s.active,
			RegisteredAt: s.registeredAt,
			LastUpdate:   s.lastUpdate,
			Axon:         s.account.axon,
			Incentive:    s.incentive,
			Dividends:    s.dividends,
			VTrust:       s.vtrust,
			Emission:     s.emission,
		}
	}
	m.Digest = m.Content()
	c.shot = m
	return m
}

// stateAt is the metagraph as of block b. Neurons are shared between the
// blocks of one state; only the head of the snapshot is made anew.
func (c *Chain) stateAt(b chain.Block) *chain.Metagraph {
	at := &c.shot
	if v := c.versionAt(b); v != nil {
		at = &v.shot
	} else {
		c.snapshot()
	}
	if (*at).Block != b {
		m := **at
		m.Block, m.At = b, c.TimeOf(b)
		*at = &m
	}
	return *at
}

// versionAt is the past state that held in block b, nil where the present one did.
func (c *Chain) versionAt(b chain.Block) *version {
	if b >= c.from || len(c.past) == 0 {
		return nil
	}
	i := len(c.past) - 1
	for i > 0 && c.past[i].from > b {
		i--
	}
	return &c.past[i]
}

// votes are the weights of the present state, by UID.
func (c *Chain) votes() []vote {
	var out []vote
	for i := range c.slots {
		if s := &c.slots[i]; len(s.weights.UIDs) > 0 {
			out = append(out, vote{chain.UID(i), s.weights, s.weightsAt})
		}
	}
	return out
}

// weightsIn are the weights that a slot had in block b.
func (c *Chain) weightsIn(b chain.Block, uid chain.UID) (chain.Weights, chain.Block) {
	v := c.versionAt(b)
	if v == nil {
		return c.Weights(uid)
	}
	i, ok := slices.BinarySearchFunc(v.votes, uid, func(v vote, u chain.UID) int { return int(v.uid) - int(u) })
	if !ok {
		return chain.Weights{}, 0
	}
	return v.votes[i].weights, v.votes[i].at
}

// Metagraph is the subnet at the best block of now. It is never changed
// afterwards and may be shared.
func (c *Chain) Metagraph(now time.Time) *chain.Metagraph {
	c.Advance(now)
	return c.stateAt(c.BlockAt(c.now))
}

// Finalised is the subnet at the finalised block of now, as OpSync reads it.
func (c *Chain) Finalised(now time.Time) *chain.Metagraph {
	c.Advance(now)
	return c.stateAt(c.finalised())
}

// Weights are the weights a slot has set, scaled as the chain keeps them, and
// the block they were set or revealed in. They are never changed afterwards.
// A slot that set none, or does not exist, has none.
func (c *Chain) Weights(uid chain.UID) (chain.Weights, chain.Block) {
	if int(uid) >= len(c.slots) {
		return chain.Weights{}, 0
	}
	return c.slots[uid].weights, c.slots[uid].weightsAt
}

// VTrust is a slot's validator trust of the last epoch, from 0 to 1: how much
// of its weights the majority of stake backs.
func (c *Chain) VTrust(uid chain.UID) float64 { return c.share(uid, (*slot).vtrustShare) }

// Dividends is a slot's share of what validators earned in the last epoch.
func (c *Chain) Dividends(uid chain.UID) float64 { return c.share(uid, (*slot).dividendShare) }

// Incentive is a slot's share of what miners earned in the last epoch.
func (c *Chain) Incentive(uid chain.UID) float64 { return c.share(uid, (*slot).incentiveShare) }

func (c *Chain) share(uid chain.UID, of func(*slot) float64) float64 {
	if int(uid) >= len(c.slots) {
		return 0
	}
	return of(&c.slots[uid])
}

// OnExtrinsic has f called for every extrinsic a node submits, executed or
// refused, in order. It is called at submission, and the reply tells the block.
func (c *Chain) OnExtrinsic(f func(now time.Time, q chain.Request, p chain.Reply)) { c.onExtrinsic = f }

// OnEpoch has f called after every epoch, in order.
func (c *Chain) OnEpoch(f func(Epoch)) { c.onEpoch = f }
