package mockchain

import (
	"slices"
	"time"

	"bettensor/node/chain"
)

// Commit is a hash that waits to be revealed.
type Commit struct {
	Hash       [32]byte
	Block      chain.Block
	RevealFrom chain.Block // first block that takes the reveal
	RevealTo   chain.Block // last one
}

// Commits are a hotkey's unrevealed hashes, oldest first, expired ones included
// until the next commit drops them.
func (c *Chain) Commits(h chain.Hotkey) []Commit {
	a := c.accounts[h]
	if a == nil {
		return nil
	}
	var out []Commit
	for _, k := range a.commits {
		due := c.epochOf(k) + c.params.RevealPeriod
		out = append(out, Commit{Hash: k.hash, Block: k.block, RevealFrom: c.epochStart(due), RevealTo: c.epochStart(due+1) - 1})
	}
	return out
}

// RevealBatch opens several commits of one hotkey in the block after now, in
// order. One refusal undoes them all: a call changes everything or nothing.
func (c *Chain) RevealBatch(now time.Time, h chain.Hotkey, reveals []chain.Request) chain.Reply {
	b := c.execute(now)
	head := c.BlockAt(c.now)
	p := chain.Reply{Head: head, HeadAt: c.TimeOf(head), Included: b}
	undo := func() {}
	if a := c.holder(h); a != nil {
		commits, before := slices.Clone(a.commits), c.slots[a.uid]
		undo = func() { a.commits, c.slots[a.uid] = commits, before }
	}
	for i := range reveals {
		q := reveals[i]
		q.Op, q.Hotkey = chain.OpRevealWeights, h
		if p.Code = c.revealWeights(b, &q); p.Code != chain.OK {
			undo()
			break
		}
	}
	if c.onExtrinsic != nil {
		c.onExtrinsic(c.now, chain.Request{Op: chain.OpRevealWeights, Hotkey: h}, p)
	}
	return p
}

// Precheck is what the chain refuses before a request is in a block, as of the
// block after now: a transaction pool does not take it then. It changes
// nothing. Permit, version key and rate limit of weights are not looked at
// before the block.
func (c *Chain) Precheck(now time.Time, q *chain.Request) chain.Code {
	c.Advance(now)
	b := c.BlockAt(c.now) + 1
	switch q.Op {
	case chain.OpSetWeights, chain.OpCommitWeights, chain.OpCommitTimelocked:
		return c.precheckStake(q.Hotkey)
	case chain.OpRevealWeights:
		if code := c.precheckStake(q.Hotkey); code != chain.OK {
			return code
		}
		return c.precheckReveal(b, q)
	case chain.OpServeAxon:
		_, code := c.checkAxon(b, q)
		return code
	}
	return chain.OK
}

func (c *Chain) precheckStake(h chain.Hotkey) chain.Code {
	if c.Stake(h) < c.params.StakeThreshold {
		return chain.NotEnoughStakeToSetWeights
	}
	return chain.OK
}

// precheckReveal looks the hash up, whoever committed it, and then at the epoch.
func (c *Chain) precheckReveal(b chain.Block, q *chain.Request) chain.Code {
	a := c.accounts[q.Hotkey]
	hash, err := chain.CommitHash(q.Hotkey, chain.StorageIndex(c.cfg.Netuid, 0), q.Weights, q.Salt, q.VersionKey)
	if a == nil || err != nil {
		return chain.NoWeightsCommitFound
	}
	code := chain.NoWeightsCommitFound
	for _, k := range a.commits {
		if k.hash != hash {
			continue
		}
		if c.EpochIndex(b) == c.epochOf(k)+c.params.RevealPeriod {
			return chain.OK
		}
		code = chain.RevealTooEarly
		if c.expired(k, b) {
			code = chain.ExpiredWeightCommit
		}
	}
	return code
}

// ServedAt is the block of a hotkey's last axon announcement, 0 for none.
func (c *Chain) ServedAt(h chain.Hotkey) chain.Block {
	if a := c.accounts[h]; a != nil {
		return a.servedAt
	}
	return 0
}

// UIDOf is the slot that a hotkey holds.
func (c *Chain) UIDOf(h chain.Hotkey) (chain.UID, bool) {
	if a := c.holder(h); a != nil {
		return a.uid, true
	}
	return 0, false
}

// Params are the hyperparameters of the newest state.
func (c *Chain) Params() chain.Hyperparameters { return c.params }
