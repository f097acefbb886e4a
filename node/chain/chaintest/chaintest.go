// Package chaintest is the contract of whatever answers a chain.Request: the
// chain in memory, the live client in front of a local endpoint, the live client
// in front of a runtime that somebody else runs. One list of rules, so that
// what the services learn from the one they do not unlearn with the others.
//
// Run takes a Subject that can make subnets to order. Probe asks a chain only
// for what any subnet must do, as it finds it. Only tests call this package.
package chaintest

import (
	"fmt"
	"slices"
	"testing"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
)

// Netuid is the number of the subnet that a Subject makes.
const Netuid chain.Netuid = 30

// Setup is the subnet that a rule needs. All of it holds from block 0.
type Setup struct {
	Params           chain.Hyperparameters // of Base, changed
	ServingRateLimit uint64
	Stakes           []chain.Rao // one neuron each, hotkey Hotkey(i), in UID order
	Owner            chain.Hotkey
}

// Base is a subnet with short epochs: one validator, UID 0, and three miners.
// Epochs change their index in blocks 69, 79, 89, … (tempo 9, netuid 30).
func Base() Setup {
	return Setup{
		Params: chain.Hyperparameters{
			Tempo:             9,
			WeightsRateLimit:  5,
			MinAllowedWeights: 1,
			MaxWeightsLimit:   chain.MaxWeight,
			ImmunityPeriod:    4096,
			ActivityCutoff:    5000,
			MaxUIDs:           256,
			MaxValidators:     64,
			RevealPeriod:      1,
			RevealVersion:     4,
		},
		Stakes: []chain.Rao{1000 * tao, 0, 0, 0},
	}
}

const tao = chain.Rao(1_000_000_000)

// Seed is the secret of neuron i, from which a Subject that signs makes its key:
// an sr25519 mini secret. Seeds of neurons past the last belong to nobody.
func Seed(i int) (seed [32]byte) {
	copy(seed[:], fmt.Sprintf("bettensor contract suite %d", i))
	return seed
}

// Hotkey is the address of Seed(i).
func Hotkey(i int) chain.Hotkey {
	seed := Seed(i)
	mini, err := sr25519.NewMiniSecretKeyFromBytes(seed[:])
	if err != nil {
		panic(err) // any 32 bytes are one
	}
	public, err := mini.ExpandEd25519().PublicKey().MarshalBinary()
	if err != nil {
		panic(err)
	}
	return chain.EncodeSS58([32]byte(public))
}

// Chain is one subnet under test.
type Chain interface {
	// Submit carries out a request and returns its answer when it is known. After
	// an extrinsic was accepted or refused in a block, the reads that follow show
	// what it did: an implementation waits for finality where reads are of
	// finalised state. q.Hotkey is one of Hotkey(0) to Hotkey(9).
	Submit(t testing.TB, q chain.Request) chain.Reply
	// Reach returns when extrinsics submitted next go into block b or later, and
	// into b itself where blocks are made to order. The chain may be past it.
	Reach(t testing.TB, b chain.Block)
}

// Subject makes a chain for one rule.
type Subject func(t *testing.T, s Setup) Chain

// Run holds a subject to every rule.
func Run(t *testing.T, subject Subject) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			s := Base()
			if r.setup != nil {
				r.setup(&s)
			}
			r.test(rule{t, subject(t, s), s})
		})
	}
}

// rule is a running test.
type rule struct {
	*testing.T
	chain Chain
	setup Setup
}

func (r *rule) sync() *chain.Metagraph {
	r.Helper()
	p := r.chain.Submit(r, chain.Request{Op: chain.OpSync, Hotkey: Hotkey(0)})
	m := p.Metagraph
	if m == nil {
		r.Fatalf("a sync brings no metagraph: %+v", p)
	}
	if p.Head != m.Block || !p.HeadAt.Equal(m.At) || p.Code != chain.OK {
		r.Errorf("reply of block %d at %v (%s), metagraph of block %d at %v", p.Head, p.HeadAt, p.Code, m.Block, m.At)
	}
	return m
}

func (r *rule) set(who int, w chain.Weights) chain.Reply {
	return r.chain.Submit(r, chain.Request{Op: chain.OpSetWeights, Hotkey: Hotkey(who), Weights: w})
}

func (r *rule) weights(who int) chain.Weights {
	r.Helper()
	p := r.chain.Submit(r, chain.Request{Op: chain.OpReadWeights, Hotkey: Hotkey(who)})
	if p.Code != chain.OK {
		r.Fatalf("reading weights: %s", p.Code)
	}
	return p.Weights
}

// accepted fails where a request was refused.
func (r *rule) accepted(p chain.Reply) chain.Reply {
	r.Helper()
	if p.Code != chain.OK {
		r.Fatalf("refused: %s", p.Code)
	}
	if p.Included == 0 {
		r.Fatalf("accepted in no block: %+v", p)
	}
	return p
}

// refused wants one of codes: a chain may refuse the same request before its
// block or in it, by different names.
func (r *rule) refused(p chain.Reply, codes ...chain.Code) {
	r.Helper()
	if !slices.Contains(codes, p.Code) {
		r.Errorf("got %s, want %v", p.Code, codes)
	}
}

func (r *rule) same(what string, got, want chain.Weights) {
	r.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		r.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// votes makes weights of pairs of uid and value.
func votes(pairs ...uint16) (w chain.Weights) {
	for i := 0; i+1 < len(pairs); i += 2 {
		w.UIDs = append(w.UIDs, chain.UID(pairs[i]))
		w.Values = append(w.Values, pairs[i+1])
	}
	return w
}
