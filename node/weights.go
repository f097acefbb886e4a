package node

import (
	"fmt"
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
	// maxReadWait is the longest wait, in blocks, between two looks for weights that
	// are to stand on the chain by now.
	maxReadWait = 16
	// sameWeights is the total variation up to which what was read back is what was
	// sent: the chain scales values again, and rounds.
	sameWeights = 1e-4
)

// weights is the validator's Weights service: a state machine per set.
//
// scoring_complete ─► moved, or too old? due? ─► Planned, commit ─► (durable) chain
//
//	─► InBlock ─► read back from finalised state ─► Included ─► weights_set
//	─► Refused ─► weights_failed: wait, resync or alert by the refusal's class
//	─► unknown ─► read the chain until it shows our update, or the era is over
//
// With commit-reveal the first extrinsic is a commit (Committed). Where the chain
// opens timelocks, it reveals by itself and the weights are read back when that
// is due; where it wants a hash, the reveal follows when its epoch has come, and
// goes the same way as weights in the clear. docs/weights.md has the picture.
//
// What came of each epoch of the chain is weights_epoch: see epoch.go.
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
	now    *ledger.WeightRow // the open one: Planned, Committed or InBlock
	seq    store.Seq         // commit of now's plan, until durable
	sent   bool              // a request of now is under way
	doubt  bool              // outcome of what was sent is unknown
	reveal bool              // what was sent is the reveal
	final  bool              // the finalised chain has shown now's update in its block
	maybe  bool              // the reveal may have been carried out: an earlier try's outcome is unknown
	failed int               // refusals in a row
	unsent int               // tries in a row that did not reach the chain
	reads  int               // looks in a row that did not find now's weights
	began  time.Time
	hold   time.Time // no new plan before
	reread bool      // and then not before the metagraph was read again
	stats  struct {
		planned, set, refused, unsent, unknown, resolved, held, forgotten, read uint64
	}

	update chain.Block // newest update of ours that we know of
	looked bool        // the chain's word on it was heard once in this run
	slot   chain.Block // when the slot we know of was registered
	proved bool        // the ledger holds a set that was made from a round
	older  bool        // the chain shows a set that the ledger knows nothing of

	shown   chain.Weights // what the chain had when it was read last
	shownAt chain.Block   // 0 before that
	asked   bool          // a read beside any set is under way

	epochs epochs

	standing string // why nothing can be set: no slot, no permit, weights that fit nothing
	refusal  string // why the chain refused last; until it accepts
}

func newWeights(v *Validator, s *sched.Scope) *weights {
	w := &weights{named: "weights", v: v, scope: s, target: v.State.Round, began: v.loop.Now()}
	w.port = chainPort(s, v.ports, v.cfg.ChainDeadline, w.done)
	w.due = s.Timer("weights-due", w.wake)
	w.epochs.timer = s.Timer("weights-epoch", w.consider)
	rows := v.State.Weights
	for i := range rows {
		row := rows[i]
		w.number = row.Number
		w.proved = w.proved || !row.Fallback
		w.update = max(w.update, row.Updated())
		switch {
		case row.Phase == ledger.Included:
			w.last = &row
			w.epochs.took(&row.WeightSet)
		case row.Phase.Open():
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

// look takes in what the newest metagraph shows of our slot: it resolves an
// unknown outcome, and notices updates that are not ours.
func (w *weights) look() {
	meta := w.v.State.Meta
	uid, ok := w.v.State.UID(w.v.hotkey)
	if !ok || meta == nil {
		return
	}
	slot := &meta.Neurons[uid]
	if shown := slot.LastUpdate; shown > w.update {
		if w.looked && slot.RegisteredAt == w.slot && !w.explains(slot) {
			w.v.foreignKey(fmt.Sprintf("weights of our hotkey changed in block %d, and this node did not send them", shown))
		}
		if w.now != nil && w.sentLately(slot) {
			w.moved(shown)
		}
		w.update = shown
	}
	if w.now != nil && slot.LastUpdate > 0 && slot.LastUpdate == w.now.Updated() {
		w.final = true
	}
	if !w.looked && !w.proved {
		before := slot.LastUpdate // when this store had set nothing yet
		if rows := w.v.State.Weights; len(rows) > 0 {
			before = rows[0].Head
		}
		w.older = before > slot.RegisteredAt
	}
	w.looked, w.slot = true, slot.RegisteredAt
	if w.now == nil || !w.doubt {
		return
	}
	switch {
	case w.update > w.now.Head:
		w.stats.resolved++
		w.doubt = false
		w.accepted(w.update, chain.Reply{})
	case meta.At.After(w.eraEnd(w.now.Planned)): // and this block shows that none has taken it
		w.stats.resolved++
		w.doubt = false
		w.over(ledger.Superseded, 0, chain.OK)
	}
}

// explains says whether an update that the chain shows is one that this node may
// have caused: by what it has sent and does not know the outcome of, by a
// timelock that the chain opens, or by its registration.
func (w *weights) explains(slot *chain.Neuron) bool {
	switch {
	case w.v.cfg.Shadow: // another process sets weights: that is why
		return true
	case slot.LastUpdate <= slot.RegisteredAt:
		return true
	case w.sentLately(slot):
		return true
	case w.last != nil && w.last.Sealed && slot.LastUpdate >= w.last.RevealAt && slot.LastUpdate <= w.last.Block:
		return true // it was found revealed before the metagraph told of it
	case w.now == nil:
		return false
	case w.now.Phase == ledger.Planned:
		return w.sent || w.doubt
	}
	// A reveal counts as an update where commit-reveal was switched off meanwhile.
	return w.now.Sealed && slot.LastUpdate >= w.now.RevealAt
}

// sentLately says whether an update that the chain shows may be what was sent last
// and is not known to stand: an endpoint has said that it was refused and passed it
// on, or the block that held it was dropped and a later one holds it. After its era
// no block can.
func (w *weights) sentLately(slot *chain.Neuron) bool {
	rows := w.v.State.Weights
	if len(rows) == 0 || rows[len(rows)-1].Phase == ledger.Included || w.now != nil && w.final {
		return false
	}
	meta := w.v.State.Meta
	at := meta.At.Add(-time.Duration(meta.Block-min(meta.Block, slot.LastUpdate)) * w.v.cfg.BlockTime)
	return !at.After(w.eraEnd(rows[len(rows)-1].Planned))
}

// eraEnd is when no block can take any more what was planned at an instant.
// Planned, on disk, signed: each may have taken its time.
func (w *weights) eraEnd(planned time.Time) time.Time {
	return planned.Add(eraBlocks*w.v.cfg.BlockTime + w.v.loop.Span(commitDeadline+w.v.cfg.ChainDeadline))
}

// moved: the block that held what we have under way was dropped, and a later one
// holds it.
func (w *weights) moved(to chain.Block) {
	p := &w.v.State.Meta.Params
	switch {
	case w.now.Phase == ledger.Committed && to > w.now.Committed:
		w.now.Committed, w.now.Epoch = to, p.Epoch(w.v.cfg.Netuid, to)
		w.now.RevealAt = max(w.now.RevealAt, p.EpochStart(w.v.cfg.Netuid, w.now.Epoch+p.RevealPeriod))
	case w.now.Phase == ledger.InBlock && len(w.now.Salt) == 0 && to > w.now.Block:
		w.now.Block = to
	default:
		return
	}
	w.write()
}

// wake considers when its time has come. Where only a newer metagraph can tell, it
// is read first: when it is here, it is considered again.
func (w *weights) wake() {
	if w.doubt || w.unseen() {
		w.v.refresh()
		w.again(2)
		return
	}
	w.consider()
}

// unseen says whether our metagraph is older than the block that is to hold our
// weights or our commit.
func (w *weights) unseen() bool {
	return w.now != nil && w.now.Phase != ledger.Planned && w.v.State.Meta != nil && w.v.State.Meta.Block < max(w.now.Block, w.now.Committed)
}

// marked is the update that our slot shows in the newest metagraph.
func (w *weights) marked() chain.Block {
	uid, ok := w.v.State.UID(w.v.hotkey)
	if !ok {
		return 0
	}
	return w.v.State.Meta.Neurons[uid].LastUpdate
}

// dropped says whether the block that held what was sent is none of the chain's,
// and no later one can hold it any more: the slot shows an earlier update.
func (w *weights) dropped(meta *chain.Metagraph) bool {
	return w.marked() < w.now.Updated() && meta.At.After(w.eraEnd(w.now.Planned))
}

// consider decides whether something is to be done now, and when to look again.
func (w *weights) consider() {
	meta := w.v.State.Meta
	uid, registered := w.v.State.UID(w.v.hotkey)
	w.v.alarms.Set(AlarmNotRegistered, meta != nil && !registered, "our hotkey holds no slot in the subnet")
	if meta == nil || !registered {
		w.standing = "not registered on the subnet"
		if meta != nil {
			w.turn(meta)
		}
		return
	}
	w.standing = ""
	permit := meta.Neurons[uid].Permit || meta.Owner == w.v.hotkey // the owner's hotkey needs none
	w.v.alarms.Set(AlarmNoPermit, !permit, "our hotkey holds no validator permit")
	head := w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime)
	switch {
	case w.v.foreign != "":
		w.standing = w.v.foreign
	case !permit:
		w.standing = "no validator permit"
	}
	w.turn(meta)
	if w.v.cfg.Shadow || w.v.foreign != "" {
		return
	}
	if w.now != nil {
		switch {
		case w.doubt:
			w.again(2) // see wake: each new metagraph brings us here, and none is asked for at once
		case w.sent:
		case w.unseen():
			w.again(2)
		case w.now.Phase == ledger.InBlock:
			w.readBack()
		case w.dropped(meta):
			w.lost("the block that held our commit was dropped, and no later one holds it; new ones are committed")
		case w.now.Phase == ledger.Committed && w.now.Sealed:
			w.awaitReveal(meta, head)
		case w.now.Phase == ledger.Committed:
			w.considerReveal(meta, head)
		}
		return
	}
	if !permit {
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
	want, fallback, ok := w.want(meta, head)
	if !ok || w.failed >= maxRefusals {
		return
	}
	if next := w.nextBlock(meta); head < next {
		w.stats.held++
		w.epochs.note(HeldEpoch, "the rate limit has not passed")
		w.again(next - head)
		return
	}
	w.plan(meta, want, fallback)
}

// nextBlock is the first block that may take weights of ours.
func (w *weights) nextBlock(meta *chain.Metagraph) chain.Block {
	if w.update == 0 {
		return 0
	}
	return w.update + chain.Block(meta.Params.WeightsRateLimit)
}

// old says whether what stands on the chain will soon no longer count.
func (w *weights) old(meta *chain.Metagraph, head chain.Block) bool {
	age := w.v.cfg.WeightsMaxAge
	if age == 0 {
		age = chain.Block(meta.Params.ActivityCutoff) / 2
	}
	switch {
	case age == 0:
		return false
	case w.update > 0:
		return head >= w.update+age
	}
	return w.v.loop.Now().Sub(w.began) >= time.Duration(age)*w.v.cfg.BlockTime
}

func (w *weights) plan(meta *chain.Metagraph, want chain.Weights, fallback bool) {
	w.number++
	w.stats.planned++
	w.now = &ledger.WeightRow{Number: w.number, WeightSet: ledger.WeightSet{Planned: w.v.loop.Now(), Head: w.update,
		Weights: want, VersionKey: meta.Params.WeightsVersionKey, Fallback: fallback, Phase: ledger.Planned}}
	switch {
	case meta.Params.CommitReveal && meta.Params.RevealVersion > 0:
		w.now.Sealed = true
	case meta.Params.CommitReveal:
		salt := w.scope.Stream("salt")
		for range 8 {
			w.now.Salt = append(w.now.Salt, uint16(salt.Uint32()))
		}
	}
	w.proved = w.proved || !fallback
	w.sent, w.doubt, w.reveal, w.maybe, w.final, w.reads = false, false, false, false, false, 0
	w.epochs.now.Variation = w.variation(want)
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
	if w.v.foreign != "" {
		w.over(ledger.Refused, 0, chain.OK)
		return
	}
	w.sent = true
	r := chain.Request{Op: chain.OpSetWeights, Hotkey: w.v.hotkey, Weights: w.now.Weights, VersionKey: w.now.VersionKey}
	switch {
	case w.now.Sealed:
		r.Op = chain.OpCommitTimelocked
	case len(w.now.Salt) > 0:
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

// committedIn is the epoch of now's commit. A schedule that is state does not
// tell later in which epoch a block lay, so it was kept; on the fixed one the
// chain itself reckons by today's tempo.
func (w *weights) committedIn(p *chain.Hyperparameters) uint64 {
	if p.Stateful() {
		return w.now.Epoch
	}
	return p.Epoch(w.v.cfg.Netuid, w.now.Committed)
}

func (w *weights) considerReveal(meta *chain.Metagraph, head chain.Block) {
	p := &meta.Params
	due := w.committedIn(p) + p.RevealPeriod
	switch now := p.Epoch(w.v.cfg.Netuid, head+1); { // the next block is the first that can hold it
	case now < due:
		w.again(max(p.EpochStart(w.v.cfg.Netuid, due), head+2) - 1 - head)
	case now > due:
		w.lost("the reveal's epoch has passed: those weights are lost, and new ones are committed")
	default:
		w.sent, w.reveal = true, true
		w.port.Start(chain.Request{Op: chain.OpRevealWeights, Hotkey: w.v.hotkey, Weights: w.now.Weights,
			Salt: w.now.Salt, VersionKey: w.now.VersionKey})
	}
}

// awaitReveal looks whether the chain has opened what is sealed, once that is
// due. The chain tries for as long as the reveal's epoch lasts.
func (w *weights) awaitReveal(meta *chain.Metagraph, head chain.Block) {
	if at := w.revealAt(&meta.Params); head < at+1 {
		w.again(at + 1 - head)
		return
	}
	w.readBack()
}

// revealAt is the first block that can hold what now's timelock hides.
func (w *weights) revealAt(p *chain.Hyperparameters) chain.Block {
	if w.now.RevealAt > 0 {
		return w.now.RevealAt
	}
	return p.EpochStart(w.v.cfg.Netuid, w.committedIn(p)+p.RevealPeriod)
}

// lost ends a commit that the chain does not reveal any more.
func (w *weights) lost(why string) {
	w.update = w.marked() // a dropped commit is none
	w.refusal = why
	w.v.alarms.Raise(AlarmRevealMissed, why, "committed", w.now.Committed, "round", w.now.Round)
	w.fail(chain.ExpiredWeightCommit, false, why)
	w.epochs.note(MissedEpoch, why)
	w.over(ledger.Superseded, 0, chain.ExpiredWeightCommit)
	w.again(1)
}

func (w *weights) again(blocks chain.Block) {
	w.due.Arm(time.Duration(blocks) * w.v.cfg.BlockTime)
}
