package chain

import (
	"time"

	"bettensor/node/pack"

	"github.com/cespare/xxhash/v2"
)

// Op says what a Request asks.
type Op uint8

const (
	// OpSync reads the metagraph with its hyperparameters at the newest
	// finalised block. Reply.Metagraph is set.
	OpSync Op = iota + 1
	// OpSetWeights sends Weights in the clear. Refused with
	// CommitRevealEnabled where the subnet wants commits.
	OpSetWeights
	// OpCommitWeights sends Commit, the hash of a later reveal.
	OpCommitWeights
	// OpRevealWeights sends Weights with the Salt of an earlier commit.
	OpRevealWeights
	// OpServeAxon announces Axon.
	OpServeAxon
	// OpCommitTimelocked sends Weights sealed until a future beacon round, after
	// which the chain reveals them itself. Reply.Round and Reply.RevealAt say when.
	OpCommitTimelocked
	// OpReadWeights reads the weights that Hotkey's slot has on the chain at the
	// newest finalised block. Reply.Weights is set, empty where there are none.
	OpReadWeights
	lastOp = OpReadWeights
)

// String is the word in traces.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

var opNames = [...]string{"none", "sync", "set_weights", "commit_weights", "reveal_weights", "serve_axon", "commit_timelocked", "read_weights"}

// Request is one question or extrinsic. It is data: a port carries it, a
// recording holds its bytes.
type Request struct {
	Op         Op
	Hotkey     Hotkey // who asks; the live client signs with this key
	Weights    Weights
	VersionKey uint64
	Commit     [32]byte
	Salt       []uint16
	Axon       Axon
}

// Reply answers a Request. A refusal by the chain is data too (Code), so that
// it survives a recording; the port's own error says only that the outcome is
// unknown or that nothing was sent.
type Reply struct {
	Code      Code // OK or the chain's refusal
	Head      Block
	HeadAt    time.Time
	Included  Block      // the block the extrinsic is in; one refused on dispatch is in a block too
	Metagraph *Metagraph // OpSync only
	Weights   Weights    // OpReadWeights only
	Round     uint64     // OpCommitTimelocked: the beacon round that opens the commit
	RevealAt  Block      // OpCommitTimelocked: the first block that can hold what is revealed
	Extrinsic [32]byte   // hash of the extrinsic; zero where the chain has none, as in the simulator
	// Foreign counts extrinsics signed by our hotkey that this node did not send,
	// seen since it started: another process holds the key.
	Foreign uint64
}

// Sum is a hash of all the reply says.
func (p *Reply) Sum() uint64 {
	var b [64]byte
	head := pack.AppendTime(pack.AppendUint(b[:0], uint64(p.Head)), p.HeadAt)
	head = pack.AppendText(pack.AppendUint(head, uint64(p.Included)), p.Code)
	sum := xxhash.Sum64(head) ^ p.Metagraph.Sum()*0x9e3779b97f4a7c15
	if p.Round|uint64(p.RevealAt)|p.Foreign != 0 || p.Extrinsic != [32]byte{} || len(p.Weights.UIDs) > 0 {
		sum ^= xxhash.Sum64(appendOutcome(nil, p)) * 0xbf58476d1ce4e5b9
	}
	return sum
}
