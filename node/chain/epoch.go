package chain

// A subnet's epochs come on one of two schedules. On the fixed one they follow
// from the block's number: epoch (block+netuid+1)/(tempo+1), tempo+1 blocks
// long. Newer runtimes keep the schedule as state (LastEpoch, EpochIndex): the
// next epoch begins tempo blocks after the last one did. Commits, reveals and
// what a validator reports of itself are reckoned in either.

// Stateful says whether the chain keeps the schedule as state.
func (p *Hyperparameters) Stateful() bool { return p.LastEpoch > 0 }

// EpochBlocks is the length of an epoch; 0 where none ever comes.
func (p *Hyperparameters) EpochBlocks() Block {
	switch {
	case p.Tempo == 0:
		return 0
	case p.Stateful():
		return Block(p.Tempo)
	}
	return Block(p.Tempo) + 1
}

// Epoch numbers the epoch a block lies in. On a stateful schedule, blocks far
// from LastEpoch are reckoned as if nothing moved the schedule in between.
func (p *Hyperparameters) Epoch(n Netuid, b Block) uint64 {
	length := p.EpochBlocks()
	switch {
	case length == 0:
		return 0
	case !p.Stateful():
		return uint64((b + Block(n) + 1) / length)
	case b >= p.LastEpoch:
		return p.EpochIndex + uint64((b-p.LastEpoch)/length)
	}
	return p.EpochIndex - min(p.EpochIndex, uint64((p.LastEpoch-b+length-1)/length))
}

// EpochStart is the first block of an epoch, 0 for one that began before the
// chain did.
func (p *Hyperparameters) EpochStart(n Netuid, epoch uint64) Block {
	length := p.EpochBlocks()
	if !p.Stateful() {
		first, lead := Block(epoch)*length, Block(n)+1
		return first - min(first, lead)
	}
	if epoch >= p.EpochIndex {
		return p.LastEpoch + Block(epoch-p.EpochIndex)*length
	}
	back := Block(p.EpochIndex-epoch) * length
	return p.LastEpoch - min(p.LastEpoch, back)
}
