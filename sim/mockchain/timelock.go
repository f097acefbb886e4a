package mockchain

import (
	"math"
	"slices"
	"time"

	"bettensor/node/chain"
)

// quicknetPeriod is the time between two rounds of the beacon that the real
// chain follows.
const quicknetPeriod = 3 * time.Second

// revealMargin is how many blocks after the reveal epoch's first the round of a
// commit lies, as the public tools choose it: the epoch's own block and a late
// pulse are then behind it.
const revealMargin = 3

// Beacon is when the rounds are that timelocked commits wait for. Round 1 is
// published at Genesis, and a round's pulse is stored in the first block whose
// time is not before it.
type Beacon struct {
	Genesis time.Time     // zero stands for Config.Genesis
	Period  time.Duration // 0 stands for 3 s
}

// Sealed is a timelocked commit as the chain keeps it. Payload is what nobody
// can read before the round; weights that were submitted in the open to this
// package (OpCommitTimelocked) have none and are kept beside it.
type Sealed struct {
	Hotkey  chain.Hotkey
	Epoch   uint64 // the commit's; revealed RevealPeriod later
	Block   chain.Block
	Round   uint64
	Payload []byte
}

type sealed struct {
	Sealed
	weights    chain.Weights
	versionKey uint64
}

// Reveal is one timelocked commit opened by the chain itself. Code is the
// refusal of what was in it: the chain drops such a commit without an event.
type Reveal struct {
	Sealed
	Included chain.Block
	Code     chain.Code
}

// OnReveal has f called for every timelocked commit that is opened, in order.
func (c *Chain) OnReveal(f func(Reveal)) { c.onReveal = f }

// OnExpired has f called for every timelocked commit that is dropped, because its
// reveal's epoch is over and its pulse has not come.
func (c *Chain) OnExpired(f func(Sealed)) { c.onExpired = f }

// StoredRound is the newest round whose pulse block b holds; 0 before the first.
func (c *Chain) StoredRound(b chain.Block) uint64 {
	for i := len(c.silences) - 1; i >= 0; i-- { // backwards: one may begin where another ended
		if s := c.silences[i]; b >= s.from && (b < s.to || s.to == 0) {
			b = s.from - 1
		}
	}
	since := c.TimeOf(b).Sub(c.cfg.Beacon.Genesis)
	if since < 0 {
		return 0
	}
	return uint64(since/c.cfg.Beacon.Period) + 1
}

// silence is an outage of the beacon: what is published in it is stored in block
// to. With to 0 it lasts.
type silence struct{ from, to chain.Block }

// StopPulses has the chain store no pulse from the block after now on, until
// ResumePulses. Commits whose round falls into it are opened late, or dropped with
// their epoch.
func (c *Chain) StopPulses(now time.Time) {
	b := c.execute(now)
	if n := len(c.silences); n == 0 || c.silences[n-1].to > 0 {
		c.silences = append(c.silences, silence{from: b})
	}
}

// Waiting is how many timelocked commits have not been opened.
func (c *Chain) Waiting() int { return len(c.sealed) }

// ResumePulses has the block after now store all that StopPulses held up.
func (c *Chain) ResumePulses(now time.Time) {
	b := c.execute(now)
	if n := len(c.silences); n > 0 && c.silences[n-1].to == 0 {
		c.silences[n-1].to = b
	}
}

// far is a block that never comes.
const far = chain.Block(math.MaxInt64)

// blockOfRound is the first block that holds a round's pulse, far where the
// beacon is silent.
func (c *Chain) blockOfRound(round uint64) chain.Block {
	b := c.dueOfRound(round)
	for _, s := range c.silences {
		switch {
		case b < s.from:
		case s.to == 0:
			return far
		default:
			b = max(b, s.to)
		}
	}
	return b
}

// dueOfRound is the first block that should hold a round's pulse. A round beyond
// what a time.Duration can say is merely very far away.
func (c *Chain) dueOfRound(round uint64) chain.Block {
	period := c.cfg.Beacon.Period
	before := min(max(round, 1)-1, uint64(math.MaxInt64/2/period))
	since := c.cfg.Beacon.Genesis.Add(time.Duration(before) * period).Sub(c.cfg.Genesis)
	if since <= 0 {
		return 0
	}
	return chain.Block((since-1)/c.cfg.BlockTime) + 1
}

// epochStart is the first block of an epoch index.
func (c *Chain) epochStart(index uint64) chain.Block {
	if c.params.Stateful() {
		return c.params.EpochStart(c.cfg.Netuid, index)
	}
	at := index * (uint64(c.params.Tempo) + 1)
	return chain.Block(at - min(at, uint64(c.cfg.Netuid)+1))
}

// revealAt is the first block in which a commit of an epoch can be opened, the
// pulse of its round being in block pulse.
func (c *Chain) revealAt(epoch uint64, pulse chain.Block) chain.Block {
	return max(c.epochStart(epoch+c.params.RevealPeriod), pulse)
}

// roundFor is the round that the public tools seal for in block head: so that
// its pulse is there a few blocks into the reveal epoch.
func (c *Chain) roundFor(head chain.Block) uint64 {
	target := c.epochStart(c.EpochIndex(head)+c.params.RevealPeriod) + revealMargin
	return uint64(max(c.TimeOf(target).Sub(c.cfg.Beacon.Genesis)/c.cfg.Beacon.Period, 1))
}

// commitTimelocked keeps sealed weights until the chain opens them. Like a hash
// commit it counts as an update and is held to the rate limit.
func (c *Chain) commitTimelocked(b chain.Block, s sealed, version uint16) (chain.Code, chain.Block) {
	if c.safeMode {
		return chain.CallFiltered, 0
	}
	if !c.params.CommitReveal {
		return chain.CommitRevealDisabled, 0
	}
	if version != c.params.RevealVersion || version == 0 {
		return chain.IncorrectCommitRevealVersion, 0
	}
	a := c.holder(s.Hotkey)
	if a == nil {
		return chain.HotKeyNotRegisteredInSubNet, 0
	}
	at := &c.slots[a.uid]
	if !c.passesRateLimit(at, b) {
		return chain.CommittingWeightsTooFast, 0
	}
	s.Epoch, s.Block = c.EpochIndex(b), b
	waiting := 0
	for i := range c.sealed {
		if c.sealed[i].Hotkey == s.Hotkey && c.sealed[i].Epoch == s.Epoch {
			waiting++
		}
	}
	if waiting >= chain.MaxUnrevealedCommits {
		return chain.TooManyUnrevealedCommits, 0
	}
	c.sealed = append(c.sealed, s)
	at.lastUpdate = b
	return chain.OK, c.revealAt(s.Epoch, c.dueOfRound(s.Round))
}

// CommitSealed submits a timelocked commit as bytes, which Config.Open opens
// when the round has come. version must be the subnet's RevealVersion.
func (c *Chain) CommitSealed(now time.Time, h chain.Hotkey, payload []byte, round uint64, version uint16) chain.Reply {
	b := c.execute(now)
	head := c.BlockAt(c.now)
	p := chain.Reply{Head: head, HeadAt: c.TimeOf(head), Included: b}
	s := sealed{Sealed: Sealed{Hotkey: h, Round: round, Payload: slices.Clone(payload)}}
	p.Code, p.RevealAt = c.commitTimelocked(b, s, version)
	if p.Code == chain.OK {
		p.Round = round
	}
	if c.onExtrinsic != nil {
		c.onExtrinsic(c.now, chain.Request{Op: chain.OpCommitTimelocked, Hotkey: h}, p)
	}
	return p
}

// nextReveal is the first block after b in which a timelocked commit is opened
// or found to be too old; false where none waits.
func (c *Chain) nextReveal(b chain.Block) (chain.Block, bool) {
	var next chain.Block
	found := false
	for i := range c.sealed {
		s := &c.sealed[i]
		due := min(c.revealAt(s.Epoch, c.blockOfRound(s.Round)), c.epochStart(s.Epoch+c.params.RevealPeriod+1))
		if due = max(due, b+1); !found || due < next {
			next, found = due, true
		}
	}
	return next, found
}

// reveal opens in block b what is due, in the order of the commits, and forgets
// what is too old. The chain does it at the beginning of every block, before
// the block's epoch.
func (c *Chain) reveal(b chain.Block) {
	epoch := c.EpochIndex(b)
	var opened []sealed
	c.sealed = slices.DeleteFunc(c.sealed, func(s sealed) bool {
		switch due := s.Epoch + c.params.RevealPeriod; {
		case epoch > due:
			if c.onExpired != nil {
				c.onExpired(s.Sealed)
			}
			return true
		case epoch < due || c.blockOfRound(s.Round) > b:
			return false
		}
		opened = append(opened, s)
		return true
	})
	for i := range opened {
		s := &opened[i]
		code := chain.OK
		if s.Payload != nil {
			code = c.open(s)
		}
		if code == chain.OK {
			q := chain.Request{Hotkey: s.Hotkey, Weights: s.weights, VersionKey: s.versionKey}
			code = c.storeWeights(b, &q)
		}
		if c.onReveal != nil {
			c.onReveal(Reveal{Sealed: s.Sealed, Included: b, Code: code})
		}
	}
}

// Unreadable is the Code of a Reveal whose bytes could not be opened. The chain
// has no name for it: it logs and goes on.
const Unreadable chain.Code = "Unreadable"

func (c *Chain) open(s *sealed) chain.Code {
	if c.cfg.Open == nil {
		return Unreadable
	}
	w, version, err := c.cfg.Open(s.Sealed)
	if err != nil {
		return Unreadable
	}
	s.weights, s.versionKey = w, version
	return chain.OK
}

// TimelockedCommits are the commits that wait for their round, in the order they
// were made in.
func (c *Chain) TimelockedCommits() []Sealed {
	out := make([]Sealed, len(c.sealed))
	for i := range c.sealed {
		out[i] = c.sealed[i].Sealed
	}
	return out
}

// SetSafeMode switches the chain's safe mode in the block after now: weights in
// the clear and axons pass, commits and reveals are CallFiltered.
func (c *Chain) SetSafeMode(now time.Time, on bool) {
	c.execute(now)
	c.safeMode = on
}
