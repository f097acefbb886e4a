package node

import (
	"errors"
	"fmt"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/sched"
	"bettensor/store"
)

// Limits of the weights state machine.
const (
	// eraBlocks is how long a sent extrinsic can still be included: the mortal
	// era we sign with. An outcome unknown is only given up after it.
	eraBlocks = 64
	// weightsHistory is how many weight sets are kept: a year of four a day.
	weightsHistory = 1500
	// maxRefusals of one class in a row before the next try waits for a new
	// round: retrying a refusal that does not pass is noise on the chain.
	maxRefusals = 3
)

// weights is the validator's Weights service: a state machine per set.
//
// scoring_complete ─► moved, or too old? due? ─► Planned, commit ─► (durable) chain
//
//	─► Included ─► weights_set
//	─► Refused  ─► weights_failed: wait, resync or alert by the refusal's class
//	─► unknown  ─► read the chain until it shows our update, or the era is over
//
// With commit-reveal the first extrinsic is a hash (Committed) and the weights
// follow when the chain's reveal epoch has come.
type weights struct {
	idle
	named
	v      *Validator
	scope  *sched.Scope
	port   *sched.Port[chain.Request, chain.Reply]
	due    *sched.Timer // next try, or next look at the chain
	target *ScoringComplete
	number uint64
	last   *ledger.WeightRow // newest Included
	now    *ledger.WeightRow // Planned or Committed, not over
	seq    store.Seq         // commit of now's plan, until durable
	sent   bool
	doubt  bool // outcome of what was sent is unknown
	reveal bool // what was sent is the reveal
	failed int  // refusals in a row
	update chain.Block
	stats  struct{ planned, set, refused, unknown, resolved, held uint64 }
	alert  string
}

func newWeights(v *Validator, s *sched.Scope) *weights {
	w := &weights{named: "weights", v: v, scope: s}
	w.port = chainPort(s, v.ports, v.cfg.ChainDeadline, w.done)
	w.due = s.Timer("weights-due", w.consider)
	rows := v.State.Weights
	for i := range rows {
		row := rows[i]
		w.number = row.Number
		switch row.Phase {
		case ledger.Included:
			w.last, w.update = &row, max(w.update, row.Block)
		case ledger.Planned, ledger.Committed:
			w.now = &row
			w.sent, w.doubt = row.Phase == ledger.Planned, row.Phase == ledger.Planned
			w.update = max(w.update, row.Head)
		}
	}
	v.ScoringComplete.Subscribe(s, func(e *ScoringComplete) {
		target := *e
		w.target, w.failed = &target, 0
		w.consider()
	})
	v.topics.metagraph.Subscribe(s, func(*MetagraphUpdated) { w.look(); w.consider() })
	return w
}

// look resolves an unknown outcome from the chain's own state.
func (w *weights) look() {
	uid, ok := w.v.State.UID(w.v.hotkey)
	if !ok || w.v.State.Meta == nil {
		return
	}
	meta := w.v.State.Meta
	if shown := meta.Neurons[uid].LastUpdate; shown > w.update {
		w.update = shown
	}
	if w.now == nil || !w.doubt {
		return
	}
	switch {
	case w.update > w.now.Head:
		w.stats.resolved++
		w.doubt = false
		w.accepted(w.update)
	case meta.Block > w.now.Head+eraBlocks && meta.At.After(w.now.Planned.Add(eraBlocks*w.v.cfg.BlockTime)):
		w.stats.resolved++
		w.doubt = false
		w.over(ledger.Superseded, 0, chain.OK)
	}
}

// consider decides whether something is to be done now, and when to look again.
func (w *weights) consider() {
	meta := w.v.State.Meta
	uid, registered := w.v.State.UID(w.v.hotkey)
	if meta == nil || !registered {
		w.alert = "not registered on the subnet"
		return
	}
	head := w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime)
	if w.now != nil {
		switch {
		case w.doubt:
			w.v.refresh()
			w.again(2)
		case w.now.Phase == ledger.Committed && !w.sent:
			w.considerReveal(meta, head)
		}
		return
	}
	if !meta.Neurons[uid].Permit {
		w.alert = "no validator permit"
		return
	}
	w.alert = ""
	want, ok := w.want(meta, head)
	if !ok {
		return
	}
	if limit := chain.Block(meta.Params.WeightsRateLimit); w.update > 0 && head < w.update+limit {
		w.stats.held++
		w.again(w.update + limit - head)
		return
	}
	w.plan(meta, want)
}

// want is what should stand on the chain, if that is worth an extrinsic.
func (w *weights) want(meta *chain.Metagraph, head chain.Block) (chain.Weights, bool) {
	age := w.v.cfg.WeightsMaxAge
	if age == 0 {
		age = chain.Block(meta.Params.ActivityCutoff) / 2
	}
	old := w.last != nil && age > 0 && head >= w.update+age
	if w.target == nil || w.failed >= maxRefusals {
		return chain.Weights{}, false
	}
	if len(w.target.Weights) == 0 {
		// Nobody is eligible: the last weights stand, and are set again before
		// the chain counts us as inactive.
		if w.last == nil || !old {
			return chain.Weights{}, false
		}
		return w.last.Weights, true
	}
	// A slot that changed hands since the round must not inherit its weight.
	uids := make([]chain.UID, 0, len(w.target.UIDs))
	shares := make([]float64, 0, len(w.target.UIDs))
	for i, h := range w.target.Hotkeys {
		if uid, ok := w.v.State.UID(h); ok && uid == w.target.UIDs[i] && w.target.Weights[i] > 0 {
			uids, shares = append(uids, uid), append(shares, w.target.Weights[i])
		}
	}
	next, err := chain.Quantise(uids, shares)
	if err != nil || len(next.UIDs) == 0 {
		w.alert = fmt.Sprintf("weights of the round cannot be set: %v", err)
		return chain.Weights{}, false
	}
	if w.last != nil && !old && chain.TotalVariation(w.last.Weights, next) <= w.v.cfg.WeightsMove {
		return chain.Weights{}, false
	}
	return next, true
}

func (w *weights) plan(meta *chain.Metagraph, want chain.Weights) {
	w.number++
	w.stats.planned++
	w.now = &ledger.WeightRow{Number: w.number, WeightSet: ledger.WeightSet{Planned: w.v.loop.Now(), Head: max(w.update, 0),
		Weights: want, VersionKey: meta.Params.WeightsVersionKey, Phase: ledger.Planned}}
	if meta.Params.CommitReveal {
		salt := w.scope.Stream("salt")
		for range 8 {
			w.now.Salt = append(w.now.Salt, uint16(salt.Uint32()))
		}
	}
	w.sent, w.doubt, w.reveal = false, false, false
	w.seq = w.write()
}

func (w *weights) write() store.Seq {
	b := w.v.store.Batch()
	ledger.Weights.Put(b, w.now.Number, &w.now.WeightSet)
	history := w.v.State.Weights
	if n := len(history); n > 0 && history[n-1].Number == w.now.Number {
		history[n-1] = *w.now
	} else {
		history = append(history, *w.now)
	}
	w.v.State.Weights = history[max(len(history)-weightsHistory, 0):]
	if w.now.Number > weightsHistory {
		ledger.Weights.Delete(b, w.now.Number-weightsHistory)
	}
	return w.v.store.Commit(b)
}

// durable sends what is planned, now that a restart would know of it.
func (w *weights) durable(upTo store.Seq) {
	if w.now == nil || w.sent || w.seq == 0 || w.seq > upTo || w.now.Phase != ledger.Planned {
		return
	}
	w.seq = 0
	w.sent = true
	r := chain.Request{Op: chain.OpSetWeights, Hotkey: w.v.hotkey, Weights: w.now.Weights, VersionKey: w.now.VersionKey}
	if len(w.now.Salt) > 0 {
		hash, err := chain.CommitHash(w.v.hotkey, chain.StorageIndex(w.v.cfg.Netuid, 0), w.now.Weights, w.now.Salt, w.now.VersionKey)
		if err != nil {
			w.alert = err.Error()
			w.over(ledger.Refused, 0, chain.OK)
			return
		}
		r = chain.Request{Op: chain.OpCommitWeights, Hotkey: w.v.hotkey, Commit: hash}
	}
	w.port.Start(r)
}

func (w *weights) considerReveal(meta *chain.Metagraph, head chain.Block) {
	epoch := func(b chain.Block) uint64 {
		return (uint64(b) + uint64(w.v.cfg.Netuid) + 1) / (uint64(meta.Params.Tempo) + 1)
	}
	due := epoch(w.now.Block) + meta.Params.RevealPeriod
	switch now := epoch(head + 1); { // the next block is the first that can hold it
	case now < due:
		first := due*(uint64(meta.Params.Tempo)+1) - uint64(w.v.cfg.Netuid) - 1
		w.again(chain.Block(first) - head)
	case now > due:
		w.alert = "the reveal's epoch has passed: those weights are lost"
		w.fail(chain.ExpiredWeightCommit, false, w.alert)
		w.over(ledger.Superseded, 0, chain.ExpiredWeightCommit)
	default:
		w.sent, w.reveal = true, true
		w.port.Start(chain.Request{Op: chain.OpRevealWeights, Hotkey: w.v.hotkey, Weights: w.now.Weights,
			Salt: w.now.Salt, VersionKey: w.now.VersionKey})
	}
}

func (w *weights) done(_ sched.Ticket, _ chain.Request, r chain.Reply, err error) {
	if w.now == nil {
		return
	}
	switch {
	case errors.Is(err, sched.ErrUnknown):
		w.stats.unknown++
		w.fail(chain.OK, true, err.Error())
		if w.reveal {
			// A reveal leaves no mark in LastUpdate; sent again it is either
			// taken or refused because it has been.
			w.sent = false
			w.again(2)
			return
		}
		w.doubt = true
		w.v.refresh()
		w.again(2)
	case err != nil: // certainly not sent
		w.fail(chain.OK, false, err.Error())
		w.sent = false
		if w.reveal {
			w.again(2)
			return
		}
		w.over(ledger.Refused, 0, chain.OK)
		w.again(2)
	case r.Code != chain.OK:
		w.refused(r.Code)
	default:
		w.failed = 0
		w.accepted(r.Included)
	}
}

// accepted: the chain holds what was sent last.
func (w *weights) accepted(at chain.Block) {
	w.update = max(w.update, at)
	if len(w.now.Salt) > 0 && w.now.Phase == ledger.Planned {
		w.now.Phase, w.now.Block = ledger.Committed, at
		w.sent = false
		w.write()
		w.consider()
		return
	}
	w.over(ledger.Included, at, chain.OK)
	w.stats.set++
	w.v.WeightsSet.Publish(WeightsSet{Block: at, UIDs: len(w.last.Weights.UIDs)})
	w.again(1)
}

func (w *weights) refused(code chain.Code) {
	w.stats.refused++
	w.failed++
	w.fail(code, false, code.Meaning()+": "+code.Advice())
	if w.reveal && code == chain.RevealTooEarly {
		w.sent = false
		w.again(1)
		return
	}
	if w.reveal && code == chain.NoWeightsCommitFound {
		// Revealed by a request whose answer was lost, or expired: either way
		// there is nothing left to reveal.
		w.over(ledger.Included, w.update, code)
		return
	}
	w.over(ledger.Refused, 0, code)
	switch code.Class() {
	case chain.Wait:
		w.v.refresh() // the limit may have been another one than we knew
		w.again(chain.Block(max(w.v.State.Meta.Params.WeightsRateLimit/4, 1)))
	case chain.Resync, chain.SwitchPath:
		w.v.refresh() // consider comes with the new metagraph
	default:
		w.failed = maxRefusals
		w.alert = string(code) + ": " + code.Advice()
	}
}

func (w *weights) over(phase ledger.Phase, at chain.Block, code chain.Code) {
	w.now.Phase, w.now.Block, w.now.Code = phase, at, code
	w.write()
	if phase == ledger.Included {
		w.last = w.now
	}
	w.now, w.sent, w.reveal = nil, false, false
}

func (w *weights) fail(code chain.Code, unknown bool, message string) {
	w.v.log.Warn("weights not set", "code", code, "unknown", unknown, "why", message)
	w.v.WeightsFailed.Publish(WeightsFailed{Code: code, Unknown: unknown, Message: message})
}

func (w *weights) again(blocks chain.Block) {
	w.due.Arm(time.Duration(blocks) * w.v.cfg.BlockTime)
}
