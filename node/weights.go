package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"bettensor/node/bet"
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
	// weightsHistory is how many weight sets are kept, however young: fifty days
	// (ledger.RetentionDays) of one every tempo.
	weightsHistory = 1000
	// rereadBlocks is how long after a refusal the metagraph is read again: it is
	// read at a finalised block, which trails what made the chain refuse.
	rereadBlocks = 4
	// maxHold is the longest wait, in blocks, between tries that do not reach the
	// chain: at most so long after an outage it is heard of again.
	maxHold = 64
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
	maybe  bool // the reveal may have been carried out: an earlier try's outcome is unknown
	failed int  // refusals in a row
	unsent int  // tries in a row that did not reach the chain
	began  time.Time
	hold   time.Time // no new plan before
	reread bool      // and then not before the metagraph was read again
	update chain.Block
	stats  struct{ planned, set, refused, unsent, unknown, resolved, held, forgotten uint64 }

	standing string // why nothing can be set: no slot, no permit, weights that fit nothing
	refusal  string // why the chain refused last; until it accepts
}

func newWeights(v *Validator, s *sched.Scope) *weights {
	w := &weights{named: "weights", v: v, scope: s, target: v.State.Round, began: v.loop.Now()}
	w.port = chainPort(s, v.ports, v.cfg.ChainDeadline, w.done)
	w.due = s.Timer("weights-due", w.consider)
	rows := v.State.Weights
	for i := range rows {
		row := rows[i]
		w.number = row.Number
		switch row.Phase {
		case ledger.Included:
			w.last = &row
			if len(row.Salt) == 0 { // a reveal is no update
				w.update = max(w.update, row.Block)
			}
		case ledger.Planned, ledger.Committed:
			w.now = &row
			w.sent, w.doubt = row.Phase == ledger.Planned, row.Phase == ledger.Planned
			w.maybe = row.Phase == ledger.Committed
			w.update = max(w.update, row.Head)
		}
	}
	v.daily(s, "forget_weights", w.forget)
	v.ScoringComplete.Subscribe(s, func(e *ScoringComplete) {
		target := *e
		w.target, w.failed = &target, 0
		w.consider()
	})
	v.topics.metagraph.Subscribe(s, func(*MetagraphUpdated) { w.look(); w.consider() })
	return w
}

// start looks at what an earlier run left, and at the last round where this
// service was built again.
func (w *weights) start() {
	if w.now != nil || w.target != nil {
		w.again(1)
	}
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
	case meta.At.After(w.now.Planned.Add(eraBlocks*w.v.cfg.BlockTime + commitDeadline + w.v.cfg.ChainDeadline)):
		// Planned, on disk, signed: each may have taken its time. Then no block
		// could take it any more, and this one shows that none has.
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
		w.standing = "not registered on the subnet"
		return
	}
	w.standing = ""
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
		w.standing = "no validator permit"
		return
	}
	if now := w.v.loop.Now(); now.Before(w.hold) {
		w.due.ArmAt(w.hold)
		return
	}
	if w.reread {
		w.reread = false
		w.v.refresh() // and then we are here again
		return
	}
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
	if w.failed >= maxRefusals {
		return chain.Weights{}, false
	}
	if w.target == nil || len(w.target.Weights) == 0 {
		// Nobody is eligible, or rounds fail: the last weights stand, and are set
		// again before the chain counts us as inactive. A first round gets its time.
		if !old || w.target == nil && w.v.loop.Now().Sub(w.began) < 2*w.v.cfg.ScoringInterval {
			return chain.Weights{}, false
		}
		return w.stillTheirs(meta)
	}
	// A slot that changed hands since the round must not inherit its weight.
	uids := make([]chain.UID, 0, len(w.target.UIDs))
	shares := make([]float64, 0, len(w.target.UIDs))
	for i, h := range w.target.Hotkeys {
		if uid, ok := w.v.State.UID(h); ok && uid == w.target.UIDs[i] && w.target.Weights[i] > 0 {
			uids, shares = append(uids, uid), append(shares, w.target.Weights[i])
		}
	}
	next, ok := w.quantise(meta, uids, shares)
	if !ok || w.last != nil && !old && chain.TotalVariation(w.last.Weights, next) <= w.v.cfg.WeightsMove {
		return chain.Weights{}, false
	}
	return next, true
}

// stillTheirs is the last weights without the slots that were given to somebody
// else since.
func (w *weights) stillTheirs(meta *chain.Metagraph) (chain.Weights, bool) {
	var uids []chain.UID
	var shares []float64
	for i, uid := range w.last.Weights.UIDs {
		if int(uid) < len(meta.Neurons) && meta.Neurons[uid].RegisteredAt <= w.last.Block {
			uids, shares = append(uids, uid), append(shares, float64(w.last.Weights.Values[i]))
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
	w.sent, w.doubt, w.reveal, w.maybe = false, false, false, false
	w.seq = w.write()
}

// write puts the set under way into State and to the disk.
func (w *weights) write() store.Seq {
	b := w.v.store.Batch()
	ledger.Weights.Put(b, w.now.Number, &w.now.WeightSet)
	history := w.v.State.Weights
	if n := len(history); n > 0 && history[n-1].Number == w.now.Number {
		history[n-1] = *w.now
	} else {
		history = append(history, *w.now)
	}
	w.v.State.Weights = history
	w.trim(b, len(history)-weightsHistory)
	return w.v.store.Commit(b)
}

// trim drops the oldest n sets, but never the last that the chain took nor the
// one under way.
func (w *weights) trim(b *store.Batch, n int) {
	if n <= 0 {
		return
	}
	kept := make([]ledger.WeightRow, 0, len(w.v.State.Weights))
	for _, row := range w.v.State.Weights {
		if n > 0 && (w.last == nil || row.Number != w.last.Number) && (w.now == nil || row.Number != w.now.Number) {
			n--
			w.stats.forgotten++
			ledger.Weights.Delete(b, row.Number)
			continue
		}
		kept = append(kept, row)
	}
	w.v.State.Weights = kept
}

// forget drops sets that were planned long ago.
func (w *weights) forget(today bet.Day) (more bool) {
	n := 0
	for _, row := range w.v.State.Weights {
		if bet.DayOf(row.Planned) >= today-ledger.RetentionDays {
			break
		}
		n++
	}
	b := w.v.store.Batch()
	w.trim(b, n)
	w.v.store.Commit(b)
	return false
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
			w.standing = err.Error()
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
		w.refusal = "the reveal's epoch has passed: those weights are lost"
		w.fail(chain.ExpiredWeightCommit, false, w.refusal)
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
			w.sent, w.maybe = false, true
			w.again(2)
			return
		}
		w.doubt = true
		w.v.refresh()
		w.again(2)
	case err != nil: // certainly not sent
		w.stats.unsent++
		w.unsent++
		w.fail(chain.OK, false, err.Error())
		wait := chain.Block(min(1<<min(w.unsent, 30), maxHold))
		w.sent = false
		if !w.reveal {
			w.over(ledger.Refused, 0, chain.OK)
			w.hold = w.v.loop.Now().Add(time.Duration(wait) * w.v.cfg.BlockTime)
		}
		w.again(wait)
	case r.Code != chain.OK:
		w.unsent = 0
		w.refused(r.Code)
	default:
		w.failed, w.unsent, w.refusal = 0, 0, ""
		w.accepted(r.Included)
	}
}

// accepted: the chain holds what was sent last.
func (w *weights) accepted(at chain.Block) {
	if !w.reveal { // which is no update
		w.update = max(w.update, at)
	}
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
	if w.reveal && w.maybe && code == chain.NoWeightsCommitFound {
		// Revealed by a request whose answer was lost: nothing is left to reveal.
		w.failed, w.refusal = 0, ""
		w.accepted(w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime))
		return
	}
	w.stats.refused++
	w.fail(code, false, code.Meaning()+": "+code.Advice())
	if w.reveal && code.Class() == chain.Wait {
		w.sent = false // until its epoch is over
		w.again(1)
		return
	}
	w.failed++
	if code != chain.SettingWeightsTooFast && code != chain.CommittingWeightsTooFast {
		w.refusal = string(code) + ": " + code.Advice()
	}
	w.over(ledger.Refused, 0, code)
	wait := chain.Block(rereadBlocks)
	switch code.Class() {
	case chain.Wait: // the limit may have been another one than we knew
		wait = max(wait, chain.Block(w.v.State.Meta.Params.WeightsRateLimit/4))
	case chain.Resync, chain.SwitchPath, chain.Upgrade: // the version key is read again with the rest
	default:
		w.failed = maxRefusals // a person must act; the next round tries once more
	}
	w.reread = true
	w.hold = w.v.loop.Now().Add(time.Duration(wait) * w.v.cfg.BlockTime)
	w.again(wait)
}

func (w *weights) over(phase ledger.Phase, at chain.Block, code chain.Code) {
	w.now.Phase, w.now.Block, w.now.Code = phase, at, code
	w.write()
	if phase == ledger.Included {
		w.last = w.now
	}
	w.now, w.sent, w.reveal, w.maybe = nil, false, false, false
}

func (w *weights) fail(code chain.Code, unknown bool, message string) {
	w.v.log.Warn("weights not set", "code", code, "unknown", unknown, "why", message)
	w.v.WeightsFailed.Publish(WeightsFailed{Code: code, Unknown: unknown, Message: message})
}

func (w *weights) again(blocks chain.Block) {
	w.due.Arm(time.Duration(blocks) * w.v.cfg.BlockTime)
}
