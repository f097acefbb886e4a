package substrate

import (
	"context"
	"fmt"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
)

// LastUpdate is the block in which a slot's weights were last set or committed,
// as of the newest block: what was refused as too early goes by that one, and the
// last finalised one may not have it yet.
func (c *Client) LastUpdate(ctx context.Context, uid chain.UID) (chain.Block, error) {
	best, _, _ := c.heads()
	q := &query{meta: c.current().meta}
	s := q.add(subtensor, "LastUpdate", chain.StorageIndex(c.opts.Netuid, c.opts.Mechanism))
	if err := c.fetch(ctx, q, best); err != nil {
		return 0, fmt.Errorf("last update: %w", err)
	}
	list := q.list(s)
	if q.err != nil || int(uid) >= len(list) {
		return 0, fmt.Errorf("last update of slot %d: not among %d: %w", uid, len(list), q.err)
	}
	return chain.Block(numberAt(list, int(uid))), nil
}

// CommitEpoch is the subnet's epoch in which a hotkey's commit of a hash was made,
// as of the newest block. found is false where there is no such commit.
func (c *Client) CommitEpoch(ctx context.Context, hotkey chain.Hotkey, hash [32]byte, p *chain.Hyperparameters) (epoch uint64, found bool, err error) {
	key, err := hotkey.PublicKey()
	if err != nil {
		return 0, false, err
	}
	best, _, _ := c.heads()
	q := &query{meta: c.current().meta}
	s := q.add(subtensor, "WeightCommits", chain.StorageIndex(c.opts.Netuid, c.opts.Mechanism), key[:])
	if err := c.fetch(ctx, q, best); err != nil {
		return 0, false, fmt.Errorf("commits: %w", err)
	}
	for _, v := range q.list(s) {
		fields, _ := v.([]scale.Value)
		if len(fields) < 2 {
			continue
		}
		if b, _ := fields[0].([]byte); len(b) != len(hash) || [32]byte(b) != hash {
			continue
		}
		at, ok := number(fields[1])
		switch {
		case !ok:
			continue
		case !p.Stateful():
			at = p.Epoch(c.opts.Netuid, chain.Block(at))
		}
		// Where the chain keeps the schedule as state, it notes the epoch itself.
		return at, true, nil
	}
	return 0, false, q.err
}
