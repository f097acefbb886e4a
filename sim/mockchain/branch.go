package mockchain

import (
	"maps"
	"slices"
	"time"

	"bettensor/node/chain"
)

// Fork returns a branch that shares all blocks up to the best one of now and
// then goes its own way: what is submitted to one is not in the other. Its best
// head moves on with time; its finalised head stands where it is, since a branch
// that is dropped was never final. The branch tells no observers. Whoever drops
// it and submits again to the chain what was in it has made a reorganisation.
func (c *Chain) Fork(now time.Time) *Chain {
	c.Advance(now)
	f := *c
	f.branch, f.base = true, c.finalised()
	f.onExtrinsic, f.onEpoch, f.onReveal, f.onExpired = nil, nil, nil, nil
	f.accounts = maps.Clone(c.accounts)
	for h, a := range f.accounts { // order cannot matter: each is copied by itself
		own := *a
		own.commits = slices.Clone(a.commits)
		f.accounts[h] = &own
	}
	f.slots = slices.Clone(c.slots)
	for i := range f.slots {
		s := &f.slots[i]
		s.account, s.bonds = f.accounts[s.hotkey], slices.Clone(s.bonds)
	}
	f.past, f.sealed, f.silences = slices.Clone(c.past), slices.Clone(c.sealed), slices.Clone(c.silences)
	f.round = round{}
	f.round.resize(len(f.slots), 0)
	return &f
}

// SubmitStale is Submit at an endpoint whose finalised head is behind by some
// blocks, at most Config.History. What it is given to pass on it passes on.
func (c *Chain) SubmitStale(now time.Time, behind chain.Block, q chain.Request) chain.Reply {
	if !reads(q.Op) {
		return c.Submit(now, q)
	}
	c.Advance(now)
	b := c.finalised()
	return c.read(max(b-min(b, behind), c.oldest()), &q)
}

// SubmitUnfinalised is Submit at an endpoint that takes its best block for the
// finalised one.
func (c *Chain) SubmitUnfinalised(now time.Time, q chain.Request) chain.Reply {
	if !reads(q.Op) {
		return c.Submit(now, q)
	}
	c.Advance(now)
	return c.read(c.BlockAt(c.now), &q)
}

// KeepSchedule has the chain keep its schedule of epochs as state from the block
// after now on, as newer runtimes do: epochs go on to be numbered as before, and
// the next one runs tempo blocks after the last. There is no way back.
func (c *Chain) KeepSchedule(now time.Time) {
	b := c.execute(now)
	if c.params.Stateful() || c.params.Tempo == 0 {
		return
	}
	index := c.EpochIndex(b)
	c.params.LastEpoch, c.params.EpochIndex = max(c.epochStart(index), 2)-1, index
}
