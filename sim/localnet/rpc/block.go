package rpc

import (
	"encoding/binary"
	"fmt"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"

	"golang.org/x/crypto/blake2b"
)

// block is one block as it is kept.
type block struct {
	number       uint64
	time         time.Time // node time
	made         time.Time // wall time
	hash, parent [32]byte
	state, body  [32]byte // roots
	extrinsics   [][]byte
	subnet       *chain.Metagraph // as of this block; nil once the state is gone
	included     []*pending
}

// scale is the header in SCALE. Its hash is the block's: clients hash headers
// themselves, for the era of what they sign.
func (b *block) scale() []byte {
	out := append([]byte(nil), b.parent[:]...)
	out = scale.AppendCompact(out, b.number)
	out = append(out, b.state[:]...)
	out = append(out, b.body[:]...)
	return append(out, 0) // no digest: there is one producer
}

// header is the header in JSON.
func (b *block) header() any {
	return map[string]any{
		"parentHash":     hexed(b.parent[:]),
		"number":         quantity(b.number),
		"stateRoot":      hexed(b.state[:]),
		"extrinsicsRoot": hexed(b.body[:]),
		"digest":         map[string]any{"logs": []string{}},
	}
}

func (s *Server) best() *block { return s.blocks[len(s.blocks)-1] }

func (s *Server) finalised() *block { return s.at(s.final) }

// at is a block by number, nil where none is kept.
func (s *Server) at(n uint64) *block {
	if first := s.blocks[0].number; n >= first && n-first < uint64(len(s.blocks)) {
		return s.blocks[n-first]
	}
	return nil
}

// makeGenesis is block 0: no extrinsic, no parent, and a state root that no other
// run has, for the beacon's key is in the state.
func (s *Server) makeGenesis() error {
	b := &block{time: s.cfg.Subnet.Genesis, made: time.Now()}
	s.ledger.begin(0)
	s.genesisState()
	s.render(b)
	if s.ledger.err != nil {
		return s.ledger.err
	}
	b.state = s.ledger.state.root([32]byte{}, 0)
	b.body = bodyRoot(nil)
	s.keep(b)
	s.genesis = b.hash
	return nil
}

func bodyRoot(extrinsics [][]byte) [32]byte {
	var all []byte
	for _, x := range extrinsics {
		all = binary.LittleEndian.AppendUint32(all, uint32(len(x)))
		all = append(all, x...)
	}
	return blake2b.Sum256(all)
}

// keep hashes a block and makes it the best one.
func (s *Server) keep(b *block) {
	b.hash = blake2b.Sum256(b.scale())
	s.blocks = append(s.blocks, b)
	s.byHash[b.hash] = b
	s.hashes = append(s.hashes, b.hash)
	if len(s.blocks) > keepBlocks {
		if s.blocks[0].number > 0 { // everybody asks for the genesis, at any time
			delete(s.byHash, s.blocks[0].hash)
		}
		s.blocks[0] = nil
		s.blocks = s.blocks[1:]
	}
	if b.number >= keepStates {
		s.ledger.state.forget(b.number - keepStates + 1)
		if old := s.at(b.number - keepStates); old != nil {
			old.subnet = nil
		}
	}
}

// makeBlock executes what the pool holds in the next block. Its own timestamp is
// the first extrinsic, as on the chain.
func (s *Server) makeBlock() error {
	before := s.best()
	n := before.number + 1
	b := &block{
		number: n,
		time:   s.chain.TimeOf(chain.Block(n)),
		made:   time.Now(),
		parent: before.hash,
	}
	s.reveals = s.reveals[:0]
	s.ledger.begin(n)
	inherent, err := s.meta.AppendCall(nil, "Timestamp", "set", b.time.UnixMilli())
	if err != nil {
		return fmt.Errorf("the block's timestamp: %w", err)
	}
	b.extrinsics = append(b.extrinsics, scale.AppendBytes(nil, append([]byte{4}, inherent...)))
	run := &execution{meta: s.meta}
	run.succeeded(0, "Mandatory")

	dropped := s.include(b, run)
	// Reveals and the epoch of this block come before its extrinsics; where there
	// were none the chain has not been asked for it yet.
	s.chain.Advance(b.time)
	run.revealed(s.cfg.Subnet.Netuid, s.chain, s.reveals)
	s.dirty = s.dirty || len(b.extrinsics) > 1 || len(s.reveals) > 0
	s.blockState(b, before, run)
	s.render(b)
	if err := s.ledger.err; err != nil {
		return err
	}
	if run.err != nil {
		return run.err
	}
	b.state = s.ledger.state.root(before.state, n)
	b.body = bodyRoot(b.extrinsics)
	s.keep(b)
	s.announce(b, dropped)
	return nil
}

// announce pushes what a new block has for subscribers.
func (s *Server) announce(b *block, dropped []*pending) {
	for _, method := range []string{"chain_newHead", "chain_allHead"} {
		s.each(method, func(sub *subscription) { s.push(sub, b.header()) })
	}
	s.each("state_storage", func(sub *subscription) {
		var changed []string
		for _, k := range sub.keys {
			if s.ledger.state.changedIn(b.number, k) {
				changed = append(changed, k)
			}
		}
		if len(changed) > 0 {
			s.push(sub, s.changes(b, changed))
		}
	})
	for _, t := range b.included {
		s.status(t, map[string]any{"inBlock": hexed(b.hash[:])}, false)
	}
	for _, t := range dropped {
		s.status(t, "invalid", true)
	}
}

// status tells who watches an extrinsic; last ends the watching.
func (s *Server) status(t *pending, status any, last bool) {
	s.each("author_extrinsicUpdate", func(sub *subscription) {
		if sub.tx == t {
			s.push(sub, status)
		}
	})
	if !last {
		return
	}
	kept := s.subs[:0]
	for _, sub := range s.subs {
		if sub.tx != t {
			kept = append(kept, sub)
		}
	}
	clear(s.subs[len(kept):])
	s.subs = kept
}

// finalise moves the finalised head to the newest block that is deep and old
// enough, block by block.
func (s *Server) finalise(wall time.Time) {
	s.final = max(s.final, s.blocks[0].number) // after a jump of thousands of blocks
	for {
		next := s.at(s.final + 1)
		if next == nil || next.number+uint64(s.cfg.Subnet.FinalityLag) > s.best().number || wall.Sub(next.made) < s.cfg.FinalityAge {
			return
		}
		s.final = next.number
		s.each("chain_finalizedHead", func(sub *subscription) { s.push(sub, next.header()) })
		for _, t := range next.included {
			s.status(t, map[string]any{"finalized": hexed(next.hash[:])}, true)
		}
		next.included = nil
	}
}
