package node

import (
	"errors"
	"fmt"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/sched"
)

// readBack asks what the chain holds of ours in its finalised state.
func (w *weights) readBack() {
	w.sent = true
	w.stats.read++
	w.port.Start(chain.Request{Op: chain.OpReadWeights, Hotkey: w.v.hotkey})
}

// ask reads what the chain holds without a set under way.
func (w *weights) ask() {
	if !w.asked {
		w.asked = true
		w.stats.read++
		w.port.Start(chain.Request{Op: chain.OpReadWeights, Hotkey: w.v.hotkey})
	}
}

// read takes what the chain holds, or no answer.
func (w *weights) read(r chain.Reply, err error) {
	heard := err == nil && r.Code == chain.OK
	if heard {
		w.shown, w.shownAt = r.Weights, max(r.Head, 1)
	}
	if w.asked {
		w.asked = false
		if w.v.cfg.Shadow {
			w.compared(heard)
		} else {
			w.again(1)
		}
		return
	}
	if w.now == nil || !w.sent || w.v.State.Meta == nil {
		return
	}
	w.sent = false
	p := &w.v.State.Meta.Params
	switch same := heard && chain.TotalVariation(w.now.Weights, r.Weights) <= sameWeights; {
	case w.now.Phase == ledger.Committed: // sealed
		if heard && same && r.Head >= w.revealAt(p) && w.marked() >= w.now.Committed {
			w.stands(r.Head)
			return
		}
		if end := p.EpochStart(w.v.cfg.Netuid, p.Epoch(w.v.cfg.Netuid, w.revealAt(p))+1); heard && r.Head >= end {
			w.lost("the chain did not reveal our timelocked weights in their epoch; new ones are committed")
			return
		}
	case w.now.Phase == ledger.InBlock:
		// The weights that stood before may have been the same.
		if heard && same && r.Head >= w.now.Block && (len(w.now.Salt) > 0 || w.marked() >= w.now.Block) {
			w.stands(w.now.Block)
			return
		}
		if mark := w.marked(); heard && !same && len(w.now.Salt) == 0 && mark >= w.now.Block && r.Head >= mark {
			w.v.foreignKey(fmt.Sprintf("block %d holds weights of our hotkey that this node did not send", mark))
		}
		if head := w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime); head >= w.now.Block+eraBlocks {
			w.unconfirmed(heard)
			return
		}
	}
	w.reads++
	w.again(chain.Block(min(1<<min(w.reads, 8), maxReadWait)))
}

// stands: the chain's finalised state holds now's weights.
func (w *weights) stands(at chain.Block) {
	w.over(ledger.Included, at, chain.OK)
	w.stats.set++
	w.v.alarms.Clear(AlarmRevealMissed)
	w.epochs.set(&w.last.WeightSet, w.v.loop.Now())
	w.v.WeightsSet.Publish(WeightsSet{Block: at, UIDs: len(w.last.Weights.UIDs)})
	w.again(1)
}

// unconfirmed: a block was said to hold the weights, and after an era the
// finalised state still does not, or could not be read. Where at least the
// update is shown, and nobody has read anything else, that is taken for it.
func (w *weights) unconfirmed(heard bool) {
	at := w.now.Block
	if !heard && w.marked() >= w.now.Updated() && len(w.now.Salt) == 0 {
		w.stands(at)
		return
	}
	w.update = w.marked() // what was said to be one of ours is none
	why := fmt.Sprintf("block %d was to hold our weights, but the finalised state does not", at)
	if !heard {
		why = fmt.Sprintf("block %d was to hold our weights, but the finalised state cannot be read", at)
	}
	w.refusal = why
	w.fail(chain.OK, true, why)
	w.epochs.note(UnconfirmedEpoch, why)
	w.over(ledger.Superseded, at, chain.OK)
	w.again(1)
}

func (w *weights) done(_ sched.Ticket, q chain.Request, r chain.Reply, err error) {
	if err == nil {
		w.v.foreignCount(r.Foreign)
	}
	if q.Op == chain.OpReadWeights {
		w.read(r, err)
		return
	}
	if w.now == nil {
		return
	}
	switch {
	case errors.Is(err, sched.ErrUnknown):
		w.stats.unknown++
		w.fail(chain.OK, true, err.Error())
		w.epochs.note(UnconfirmedEpoch, err.Error())
		if w.reveal {
			// A reveal leaves no mark in LastUpdate; sent again it is either
			// taken or refused because it has been.
			w.sent, w.maybe = false, true
			w.reads++
			w.again(chain.Block(min(1<<min(w.reads, 8), maxReadWait)))
			return
		}
		w.doubt = true
		w.v.refresh()
		w.again(2)
	case err != nil: // certainly not sent
		w.stats.unsent++
		w.unsent++
		w.fail(chain.OK, false, err.Error())
		w.epochs.note(MissedEpoch, err.Error())
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
		w.accepted(r.Included, r)
	}
}

// accepted: a block holds what was sent last. r is the answer that said so, the
// zero value where the chain's state did.
func (w *weights) accepted(at chain.Block, r chain.Reply) {
	w.sent, w.failed, w.refusal = false, 0, ""
	w.v.alarms.Clear(AlarmWeightsRefused)
	if !w.reveal { // which is no update
		w.update = max(w.update, at)
	}
	if r.Extrinsic != ([32]byte{}) {
		w.now.Extrinsic = r.Extrinsic
	}
	if w.now.Phase == ledger.Planned && (w.now.Sealed || len(w.now.Salt) > 0) {
		w.now.Phase, w.now.Committed = ledger.Committed, at
		w.now.Round, w.now.RevealAt = r.Round, r.RevealAt
		if meta := w.v.State.Meta; meta != nil {
			w.now.Epoch = meta.Params.Epoch(w.v.cfg.Netuid, at)
		}
		w.write()
		w.epochs.committed(&w.now.WeightSet)
		w.consider()
		return
	}
	w.now.Phase, w.now.Block, w.reads = ledger.InBlock, at, 0
	w.reveal, w.maybe = false, false
	w.write()
	w.consider()
}

func (w *weights) refused(code chain.Code) {
	if w.reveal && w.maybe && code == chain.NoWeightsCommitFound {
		// Revealed by a request whose answer was lost: nothing is left to reveal.
		w.accepted(w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime), chain.Reply{})
		return
	}
	why := code.Meaning() + ": " + code.Advice()
	w.stats.refused++
	w.fail(code, false, why)
	w.epochs.refused(code, why)
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
	case chain.Resync, chain.SwitchPath: // both are read again with the rest
	case chain.Upgrade: // the version key too; a key above ours may be a mistake of a moment
		w.v.alarms.Raise(AlarmWeightsRefused, string(code)+": "+why)
	default:
		w.failed = maxRefusals // a person must act; the next round tries once more
		w.v.alarms.Raise(AlarmWeightsRefused, string(code)+": "+why)
	}
	if !code.Known() || code == chain.CallFiltered {
		w.v.alarms.Raise(AlarmWeightsRefused, string(code)+": "+why)
	}
	w.reread = true
	w.hold = w.v.loop.Now().Add(time.Duration(wait) * w.v.cfg.BlockTime)
	w.again(wait)
}

// over ends the open set.
func (w *weights) over(phase ledger.Phase, at chain.Block, code chain.Code) {
	w.now.Phase, w.now.Block, w.now.Code = phase, at, code
	w.write()
	if phase == ledger.Included {
		w.last = w.now
	}
	w.now, w.sent, w.reveal, w.maybe, w.doubt = nil, false, false, false, false
}

func (w *weights) fail(code chain.Code, unknown bool, message string) {
	next := chain.Block(0)
	if meta := w.v.State.Meta; meta != nil {
		next = w.nextBlock(meta)
	}
	line := []any{"code", code, "unknown", unknown, "err", message, "next_block", next}
	if code != chain.OK { // which has nothing to advise
		line = append(line, "fix", code.Advice())
	}
	w.v.log.Warn("weights not set", line...)
	w.v.WeightsFailed.Publish(WeightsFailed{Code: code, Unknown: unknown, Message: message})
}
