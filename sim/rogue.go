package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
	"bettensor/sim/mockchain"
)

// Rogue is a hostile validator: it validates nothing, and sets weights of others'
// making. It announces no axon, so that no miner dials it.
type Rogue struct {
	// Kind of rogue: `copier` repeats the weights that its leader has on the chain;
	// `lazy` repeats the first it ever saw there; `biased` repeats the leader's with
	// those of its friends multiplied. Empty: an honest node.
	Kind string
	// Leader is the name of the validator whose weights it reads. Default: the
	// first.
	Leader string
	// Friends is the group of miners that a biased one favours.
	Friends string
	// Factor by which it favours them. Default 10.
	Factor float64
	// Every is how often it looks at the chain. Default 20 minutes.
	Every time.Duration
}

// RogueKinds are the kinds of hostile validators.
var RogueKinds = []string{"copier", "lazy", "biased"}

// rogue is a hostile validator while it runs. It acts through the chain as a node
// does: requests travel and are included in blocks.
type rogue struct {
	host   *Host
	spec   Rogue
	rng    *rand.Rand
	tick   *sched.Timer
	chain  sched.Backend[chain.Request, chain.Reply]
	leader chain.Hotkey
	first  chain.Weights // what a lazy one repeats
	sealed *promise
}

// promise is a commit that waits for its reveal.
type promise struct {
	weights chain.Weights
	salt    []uint16
	hash    [32]byte
}

// rogues checks the hostile validators of a world.
func (w *World) rogues() error {
	for i, h := range w.Hosts {
		if !h.IsValidator() || !h.hostile() {
			continue
		}
		r := h.validator.Rogue
		switch {
		case !slices.Contains(RogueKinds, r.Kind):
			return fmt.Errorf("validator %s: unknown kind %q (have: %s)", h.Name, r.Kind, strings.Join(RogueKinds, ", "))
		case i == 0:
			return fmt.Errorf("validator %s: the first validator must be honest: its books are the run's", h.Name)
		}
		if x := w.Host(r.Leader); r.Leader != "" && (x == nil || !x.IsValidator() || x.hostile()) {
			return fmt.Errorf("validator %s: leader %q is no honest validator", h.Name, r.Leader)
		}
		if friend := func(x *Host) bool { return x.miner != nil && x.miner.Group == r.Friends }; r.Kind == "biased" && !slices.ContainsFunc(w.Hosts, friend) {
			return fmt.Errorf("validator %s: friends: %q is no group of miners", h.Name, r.Friends)
		}
	}
	return nil
}

func newRogue(h *Host, l *sched.Loop) *rogue {
	v := &rogue{host: h, spec: h.validator.Rogue, chain: h.chainBackend()}
	orDefault(&v.spec.Every, 20*time.Minute)
	orDefault(&v.spec.Factor, 10)
	s := l.Scope("rogue")
	v.rng = s.Stream("salt")
	v.tick = s.Timer("vote", v.vote)
	v.leader = h.world.Hosts[0].Hotkey
	if x := h.world.Host(v.spec.Leader); x != nil {
		v.leader = x.Hotkey
	}
	return v
}

func (v *rogue) start() { v.tick.Arm(v.spec.Every) }

// vote sets weights as soon as the chain lets it: those of now, whatever they
// were the last time.
func (v *rogue) vote() {
	defer v.tick.Arm(v.spec.Every)
	c, now := v.host.world.Chain, v.host.world.now()
	params := c.Params()
	v.reveal(now)
	meta := c.Metagraph(now)
	uid, ok := meta.UIDOf(v.host.Hotkey)
	if !ok || uint64(c.BlockAt(now)-meta.Neurons[uid].LastUpdate) < params.WeightsRateLimit {
		return
	}
	w := v.ballot(c.Submit(now, chain.Request{Op: chain.OpReadWeights, Hotkey: v.leader}).Weights, meta)
	if len(w.UIDs) == 0 {
		return
	}
	q := chain.Request{Op: chain.OpSetWeights, Hotkey: v.host.Hotkey, Weights: w, VersionKey: params.WeightsVersionKey}
	switch {
	case params.CommitReveal && params.RevealVersion > 0:
		q.Op = chain.OpCommitTimelocked
	case params.CommitReveal && v.sealed != nil:
		return // one at a time
	case params.CommitReveal:
		p := &promise{weights: w, salt: []uint16{uint16(v.rng.Uint32()), uint16(v.rng.Uint32())}}
		hash, err := chain.CommitHash(v.host.Hotkey, chain.StorageIndex(meta.Netuid, 0), w, p.salt, params.WeightsVersionKey)
		if err != nil {
			return
		}
		p.hash, v.sealed = hash, p
		q = chain.Request{Op: chain.OpCommitWeights, Hotkey: v.host.Hotkey, Commit: hash}
	}
	v.chain(q, func(sched.Result[chain.Reply]) {})
}

// reveal opens a commit when its time has come, or gives it up.
func (v *rogue) reveal(now time.Time) {
	if v.sealed == nil {
		return
	}
	c := v.host.world.Chain
	i := slices.IndexFunc(c.Commits(v.host.Hotkey), func(k mockchain.Commit) bool { return k.Hash == v.sealed.hash })
	if i < 0 {
		v.sealed = nil
		return
	}
	k, next := c.Commits(v.host.Hotkey)[i], c.BlockAt(now)+1
	switch {
	case next > k.RevealTo:
		v.sealed = nil
	case next >= k.RevealFrom:
		v.chain(chain.Request{Op: chain.OpRevealWeights, Hotkey: v.host.Hotkey, Weights: v.sealed.weights, Salt: v.sealed.salt, VersionKey: c.Params().WeightsVersionKey}, func(sched.Result[chain.Reply]) {})
	}
}

// ballot is what a rogue makes of the leader's weights.
func (v *rogue) ballot(seen chain.Weights, meta *chain.Metagraph) chain.Weights {
	switch v.spec.Kind {
	case "lazy":
		if len(v.first.UIDs) == 0 {
			v.first = seen
		}
		return v.first
	case "biased":
		return v.favour(seen, meta)
	}
	return seen
}

// favour multiplies the weights of friends. One without any is given an equal
// share first: the friendship does not depend on its picks.
func (v *rogue) favour(seen chain.Weights, meta *chain.Metagraph) chain.Weights {
	if len(seen.UIDs) == 0 {
		return seen
	}
	share := make([]float64, len(meta.Neurons))
	var sum float64
	for i, uid := range seen.UIDs {
		if int(uid) < len(share) {
			share[uid] = float64(seen.Values[i])
			sum += share[uid]
		}
	}
	for _, h := range v.host.world.Hosts {
		if h.miner == nil || h.miner.Group != v.spec.Friends {
			continue
		}
		if uid, ok := meta.UIDOf(h.Hotkey); ok {
			share[uid] = max(share[uid], sum/float64(len(seen.UIDs))) * v.spec.Factor
		}
	}
	var uids []chain.UID
	var weights []float64
	for uid, x := range share {
		if x > 0 {
			uids, weights = append(uids, chain.UID(uid)), append(weights, x)
		}
	}
	w, err := chain.Quantise(uids, weights)
	if err != nil {
		return chain.Weights{}
	}
	return w
}
