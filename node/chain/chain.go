// Package chain holds the Bittensor nouns a node speaks of, and the chain's
// requests and replies as plain data. It imports no engine, no os, no sockets: the
// live client (node/chain/substrate) and the mock (sim/mockchain) both answer
// the same Request.
//
// Read chain.go for the nouns, call.go for what can be asked and answered,
// errors.go for what a refusal means, quantise.go for the u16 form of weights,
// commit.go for the hash of a commit, ss58.go for the text of keys, reach.go for
// which hosts others can reach, codec.go for the packed form of all of it.
package chain

import (
	"math/bits"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Hotkey is the SS58 text of the key that signs and serves. What a node keeps
// is kept by Hotkey: a UID is reused, a hotkey is not.
type Hotkey string

// Coldkey is the SS58 text of the key that holds funds.
type Coldkey string

// UID is a slot number in a subnet, reused after deregistration.
type UID uint16

// Netuid is a subnet's number.
type Netuid uint16

// Block is a block number.
type Block uint64

// Rao is chain money: 1 TAO (or alpha) is 1e9 rao.
type Rao uint64

// BlockTime is the chain's slot duration on finney.
const BlockTime = 12 * time.Second

// Axon is where a neuron says it serves. The zero value means none announced.
type Axon struct {
	IP   string // text form, "" when none is announced
	Port uint16
}

// Neuron is one slot of a subnet at a block.
type Neuron struct {
	UID          UID
	Hotkey       Hotkey
	Coldkey      Coldkey
	Stake        Rao
	Permit       bool // may set weights on others
	Active       bool // set weights within the activity cutoff
	RegisteredAt Block
	LastUpdate   Block // block of the last weights set or committed
	Axon         Axon
	Incentive    uint16 // shares in u16 form, as the chain keeps them
	Dividends    uint16
	VTrust       uint16
	Emission     Rao // paid at the last epoch
}

// Hyperparameters of one subnet, read from the chain and never guessed.
type Hyperparameters struct {
	Tempo             uint16 // blocks between epochs, less one: an epoch comes every Tempo+1 blocks
	WeightsRateLimit  uint64 // blocks between two weight sets of one hotkey
	WeightsVersionKey uint64
	MinAllowedWeights uint16
	MaxWeightsLimit   uint16
	ImmunityPeriod    uint16 // blocks during which a new UID is not pruned
	ActivityCutoff    uint16 // blocks after which weights no longer count
	MaxUIDs           uint16
	MaxValidators     uint16
	CommitReveal      bool
	RevealPeriod      uint64 // epochs between commit and reveal
	StakeThreshold    Rao    // stake below which weights are refused
	RevealVersion     uint16 // form of a timelocked commit that the chain takes; 0 where it takes none, and wants a hash
	LastEpoch         Block  // block of the last epoch, where the chain keeps its schedule as state; 0 where epochs follow from the block's number
	EpochIndex        uint64 // number of the epoch under way, where LastEpoch is kept
}

// Metagraph is a snapshot of all neurons at a block. Neurons are in UID order
// and Neurons[i].UID == i. It is shared between services and never changed.
type Metagraph struct {
	Netuid  Netuid
	Block   Block
	At      time.Time // the block's timestamp
	Owner   Hotkey    // hotkey of the subnet's owner, "" where it has none or the chain does not say
	Params  Hyperparameters
	Neurons []Neuron
	// OwnStake: the neurons' Stake is their stake in the subnet only, without the
	// root's part that counts with it, since the endpoint does not tell that. For
	// whoever shows it; a node does not decide by it, and it is not recorded.
	OwnStake bool
	// Digest is what Content returns, kept by whoever made the snapshot; 0 where
	// nobody has. Many nodes of one simulation are handed the same state block
	// after block.
	Digest uint64
}

// Content hashes what the snapshot says of the subnet, whatever the block.
func (m *Metagraph) Content() uint64 {
	if m.Digest != 0 {
		return m.Digest
	}
	same := Metagraph{Netuid: m.Netuid, Owner: m.Owner, Params: m.Params, Neurons: m.Neurons}
	return max(xxhash.Sum64(AppendMetagraph(nil, &same)), 1)
}

// Sum hashes all that the snapshot says; 0 for none.
func (m *Metagraph) Sum() uint64 {
	if m == nil {
		return 0
	}
	return bits.RotateLeft64(m.Content(), 17) ^ uint64(m.Block)*0x9e3779b97f4a7c15 ^ uint64(m.At.UnixNano())
}

// UIDOf returns the slot of a hotkey at the snapshot's block.
func (m *Metagraph) UIDOf(h Hotkey) (UID, bool) {
	if m == nil {
		return 0, false
	}
	i := slices.IndexFunc(m.Neurons, func(n Neuron) bool { return n.Hotkey == h })
	if i < 0 {
		return 0, false
	}
	return UID(i), true
}

// Weights is what a validator sends to the chain: UIDs ascending and unique,
// Values in u16 form with the largest at 65535 (Quantise makes it).
type Weights struct {
	UIDs   []UID
	Values []uint16
}
