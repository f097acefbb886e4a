package node

import (
	"fmt"
	"slices"

	"bettensor/node/bet"
	"bettensor/node/chain"
)

// want is what should stand on the chain, if that is worth an extrinsic.
func (w *weights) want(meta *chain.Metagraph, head chain.Block) (_ chain.Weights, fallback, ok bool) {
	old := w.old(meta, head)
	if w.nothing() != "" {
		// A first round gets its time.
		if !old || w.target == nil && w.v.loop.Now().Sub(w.began) < 2*w.v.cfg.ScoringInterval {
			return chain.Weights{}, true, false
		}
		want, ok := w.fallback(meta)
		return want, true, ok
	}
	next, ok := w.ideal(meta)
	if !ok || w.last != nil && !old && chain.TotalVariation(w.last.Weights, next) <= w.v.cfg.WeightsMove {
		return chain.Weights{}, false, false
	}
	return next, false, true
}

// nothing says why there is nothing to score, "" where the newest round stands
// for itself.
//
// A store that is new, or was restored empty, while the chain shows that the
// hotkey has set weights before, knows less than what stands there. Its rounds
// count once it holds settled predictions of as many days as the shortest window
// of the scheme: then the lowest tier, at least, is judged as elsewhere.
func (w *weights) nothing() string {
	switch {
	case w.target == nil:
		return "no round is complete yet"
	case len(w.target.Weights) == 0:
		if w.target.Reason != "" {
			return w.target.Reason
		}
		return "nobody is eligible"
	case w.older && !w.proved:
		want := w.v.cfg.WeightsMinDays
		if have := w.v.State.Scores.daysSettled(bet.DayOf(w.v.loop.Now())); have < want {
			return fmt.Sprintf("the store holds settled predictions of %d days, want %d: an earlier one has set weights and knew more", have, want)
		}
	}
	return ""
}

// owed is the newest round's weights. They were given to hotkeys: a slot that
// changed hands since must not inherit them.
func (w *weights) owed() (uids []chain.UID, shares []float64) {
	uids = make([]chain.UID, 0, len(w.target.UIDs))
	shares = make([]float64, 0, len(w.target.UIDs))
	for i, h := range w.target.Hotkeys {
		uid, ok := w.v.State.UID(h)
		if w.v.has(DefectKeepsSlot) {
			uid, ok = w.target.UIDs[i], true
		}
		if ok && uid == w.target.UIDs[i] && w.target.Weights[i] > 0 {
			uids, shares = append(uids, uid), append(shares, w.target.Weights[i])
		}
	}
	return uids, shares
}

// ideal is the newest round's weights in the chain's form.
func (w *weights) ideal(meta *chain.Metagraph) (chain.Weights, bool) {
	uids, shares := w.owed()
	return w.quantise(meta, uids, shares)
}

// fallback is what to set where there is nothing to score.
func (w *weights) fallback(meta *chain.Metagraph) (chain.Weights, bool) {
	switch w.v.cfg.WeightsFallback {
	case FallbackNone:
		return chain.Weights{}, false
	case FallbackOwner:
		uid, ok := w.v.State.UID(meta.Owner)
		if !ok || meta.Owner == w.v.hotkey {
			w.standing = "nothing to score, and the subnet's owner holds no slot but ours: nothing to fall back to"
			return chain.Weights{}, false
		}
		return w.quantise(meta, []chain.UID{uid}, []float64{1})
	}
	switch {
	case w.last != nil:
		set := w.last.Block
		if w.last.Committed > 0 { // whoever came after the commit was not meant
			set = w.last.Committed
		}
		return w.stillTheirs(meta, w.last.Weights, set)
	case w.shownAt > 0:
		return w.stillTheirs(meta, w.shown, w.update)
	case w.older:
		w.ask() // what stands there is ours, but only the chain still knows it
	}
	return chain.Weights{}, false
}

// stillTheirs is weights that were set in a block, without the slots that were
// given to somebody else since.
func (w *weights) stillTheirs(meta *chain.Metagraph, weights chain.Weights, set chain.Block) (chain.Weights, bool) {
	var uids []chain.UID
	var shares []float64
	for i, uid := range weights.UIDs {
		if int(uid) < len(meta.Neurons) && meta.Neurons[uid].RegisteredAt <= set {
			uids, shares = append(uids, uid), append(shares, float64(weights.Values[i]))
		}
	}
	return w.quantise(meta, uids, shares)
}

// quantise brings shares into the chain's form. Where they are fewer than the
// subnet takes, the first other slots get the least weight there is, as the SDK
// gives every slot a hundred-thousandth.
func (w *weights) quantise(meta *chain.Metagraph, uids []chain.UID, shares []float64) (chain.Weights, bool) {
	q, err := chain.Quantise(uids, shares)
	if err != nil || len(q.UIDs) == 0 {
		w.standing = fmt.Sprintf("the round's weights cannot be set: %d slots, %v", len(q.UIDs), err)
		return chain.Weights{}, false
	}
	for uid := 0; uid < len(meta.Neurons) && len(q.UIDs) < int(meta.Params.MinAllowedWeights); uid++ {
		u := chain.UID(uid)
		if i, ok := slices.BinarySearch(q.UIDs, u); !ok && meta.Neurons[u].Hotkey != w.v.hotkey {
			q.UIDs, q.Values = slices.Insert(q.UIDs, i, u), slices.Insert(q.Values, i, 1)
		}
	}
	return q, true
}
