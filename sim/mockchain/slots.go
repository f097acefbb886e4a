package mockchain

import (
	"encoding/binary"
	"time"

	"bettensor/node/chain"

	"golang.org/x/crypto/blake2b"
)

// slot is one UID. What belongs to the hotkey and outlives the slot is in its
// account.
type slot struct {
	hotkey       chain.Hotkey
	coldkey      chain.Coldkey
	account      *account
	registeredAt chain.Block
	lastUpdate   chain.Block
	weights      chain.Weights
	weightsAt    chain.Block
	bonds        []uint16 // on every slot; nil where there are none
	permit       bool
	active       bool
	incentive    uint16
	dividends    uint16
	vtrust       uint16
	pruning      uint16
	emission     chain.Rao
}

func (s *slot) vtrustShare() float64    { return float64(s.vtrust) / chain.MaxWeight }
func (s *slot) dividendShare() float64  { return float64(s.dividends) / chain.MaxWeight }
func (s *slot) incentiveShare() float64 { return float64(s.incentive) / chain.MaxWeight }

func (c *Chain) account(h chain.Hotkey) *account {
	a := c.accounts[h]
	if a == nil {
		a = &account{}
		c.accounts[h] = a
	}
	return a
}

// holder is the account of a hotkey that holds a slot, or nil.
func (c *Chain) holder(h chain.Hotkey) *account {
	if a := c.accounts[h]; a != nil && a.holds {
		return a
	}
	return nil
}

// seat gives slot i to a hotkey at block b. The newcomer inherits nothing:
// weights, bonds to and from the slot, permit and scores begin empty.
// Registration writes LastUpdate, so that weights set by others up to and in
// this block do not count for the newcomer.
//
// The chain masks bonds to a newcomer at the next epoch instead of clearing
// them, and misses one who registered in the very block of an epoch. Here
// nobody is missed.
func (c *Chain) seat(i int, h chain.Hotkey, cold chain.Coldkey, b chain.Block) {
	for j := range c.slots {
		if row := c.slots[j].bonds; i < len(row) {
			row[i] = 0
		}
	}
	bonds := c.slots[i].bonds
	clear(bonds)
	a := c.account(h)
	a.uid, a.holds = chain.UID(i), true
	c.slots[i] = slot{
		hotkey:       h,
		coldkey:      cold,
		account:      a,
		registeredAt: b,
		lastUpdate:   b,
		bonds:        bonds,
		active:       true,
	}
}

// vacate takes the slot from its hotkey: its axon goes with it, its stake and
// what it has earned stay its own.
func (c *Chain) vacate(i int) {
	a := c.slots[i].account
	a.holds = false
	a.axon, a.servedAt = chain.Axon{}, 0
}

// immune tells whether a slot may not be pruned for its youth at block b.
func (c *Chain) immune(i int, b chain.Block) bool {
	return b-c.slots[i].registeredAt < chain.Block(c.params.ImmunityPeriod)
}

// prunable is the slot a newcomer gets when none is free: of those outside
// immunity the one with the lowest pruning score, ties to the earliest
// registration and then to the lowest UID; where all are immune, the same
// among the immune. The owner's slot is never given away.
func (c *Chain) prunable(b chain.Block) (int, bool) {
	best, bestImmune := -1, false
	for i := range c.slots {
		if c.owns(i) {
			continue
		}
		immune := c.immune(i, b)
		if best >= 0 {
			if immune && !bestImmune {
				continue
			}
			if immune == bestImmune {
				s, t := &c.slots[i], &c.slots[best]
				if s.pruning > t.pruning || s.pruning == t.pruning && s.registeredAt >= t.registeredAt {
					continue
				}
			}
		}
		best, bestImmune = i, immune
	}
	return best, best >= 0
}

// owns tells whether slot i is the subnet owner's.
func (c *Chain) owns(i int) bool {
	return c.cfg.Owner != "" && c.slots[i].hotkey == c.cfg.Owner
}

// Register gives a hotkey a slot in the block after now: a fresh one while
// there are fewer than MaxUIDs, else the prunable one, whose hotkey is then
// deregistered. Refusals: HotKeyAlreadyRegisteredInSubNet, NoNeuronIdAvailable.
func (c *Chain) Register(now time.Time, h chain.Hotkey, cold chain.Coldkey) (chain.UID, chain.Code) {
	b := c.execute(now)
	if c.holder(h) != nil {
		return 0, chain.HotKeyAlreadyRegisteredInSubNet
	}
	if c.params.MaxUIDs == 0 {
		return 0, chain.NoNeuronIdAvailable
	}
	if len(c.slots) < int(c.params.MaxUIDs) {
		c.slots = append(c.slots, slot{})
		i := len(c.slots) - 1
		c.seat(i, h, cold, b)
		return chain.UID(i), chain.OK
	}
	i, ok := c.prunable(b)
	if !ok {
		return 0, chain.NoNeuronIdAvailable
	}
	c.vacate(i)
	c.seat(i, h, cold, b)
	return chain.UID(i), chain.OK
}

// Deregister takes a hotkey's slot in the block after now, as when a
// newcomer's registration prunes it. The newcomer is a hotkey nobody runs: on
// the chain no slot is ever empty. Refusal: HotKeyNotRegisteredInSubNet.
func (c *Chain) Deregister(now time.Time, h chain.Hotkey) chain.Code {
	b := c.execute(now)
	a := c.holder(h)
	if a == nil {
		return chain.HotKeyNotRegisteredInSubNet
	}
	i := int(a.uid)
	c.vacate(i)
	nobody := c.nobody(a.uid, b)
	c.seat(i, nobody, chain.Coldkey(nobody), b)
	return chain.OK
}

// nobody is the address of a key that no one holds, different for every slot
// and block.
func (c *Chain) nobody(uid chain.UID, b chain.Block) chain.Hotkey {
	seed := []byte("mockchain newcomer")
	seed = binary.LittleEndian.AppendUint16(seed, uint16(c.cfg.Netuid))
	seed = binary.LittleEndian.AppendUint16(seed, uint16(uid))
	seed = binary.LittleEndian.AppendUint64(seed, uint64(b))
	return chain.EncodeSS58(blake2b.Sum256(seed))
}

// SwapHotkey puts a new hotkey in the place of an old one in the block after
// now: it keeps the slot with all that is the slot's (UID, registration,
// weights, bonds, permit, scores) and takes over stake, axon and commits. What
// the old hotkey earned stays counted as the old one's. Refusals:
// NewHotKeyIsSameWithOld, HotKeyNotRegisteredInSubNet,
// HotKeyAlreadyRegisteredInSubNet.
func (c *Chain) SwapHotkey(now time.Time, before, after chain.Hotkey) chain.Code {
	c.execute(now)
	if before == after {
		return chain.NewHotKeyIsSameWithOld
	}
	a := c.holder(before)
	if a == nil {
		return chain.HotKeyNotRegisteredInSubNet
	}
	if c.holder(after) != nil {
		return chain.HotKeyAlreadyRegisteredInSubNet
	}
	n := c.account(after)
	n.stake = min(n.stake+a.stake, MaxStake)
	n.axon, n.servedAt = a.axon, a.servedAt
	n.commits = a.commits
	for i := range c.sealed {
		if c.sealed[i].Hotkey == before {
			c.sealed[i].Hotkey = after
		}
	}
	n.uid, n.holds = a.uid, true
	*a = account{earned: a.earned}
	c.slots[n.uid].hotkey, c.slots[n.uid].account = after, n
	if c.cfg.Owner == before {
		c.cfg.Owner = after
	}
	return chain.OK
}

// SetStake sets the stake behind a hotkey, registered or not, in the block
// after now, at most MaxStake. Permits follow at the next epoch.
func (c *Chain) SetStake(now time.Time, h chain.Hotkey, stake chain.Rao) {
	c.execute(now)
	c.account(h).stake = min(stake, MaxStake)
}

// Stake is the stake behind a hotkey.
func (c *Chain) Stake(h chain.Hotkey) chain.Rao {
	if a := c.accounts[h]; a != nil {
		return a.stake
	}
	return 0
}

// SetParams changes hyperparameters in the block after now. Another tempo
// moves the next epoch; a smaller MaxUIDs takes no slot away.
func (c *Chain) SetParams(now time.Time, change func(*chain.Hyperparameters)) {
	c.execute(now)
	change(&c.params)
}
