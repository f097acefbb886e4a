package node

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/sched"
)

// EpochOutcome is what came of weights in one epoch of the chain. Of several
// that apply the greatest counts.
type EpochOutcome uint8

// The outcomes. Their words are held stable: events, log lines and counters use
// them.
const (
	// UnchangedEpoch: what stands on the chain is what we would set, or there was
	// nothing to set.
	UnchangedEpoch EpochOutcome = iota
	// ShadowEpoch: this node only compares.
	ShadowEpoch
	// HeldEpoch: there were weights to set and it was not yet, or never, allowed:
	// the rate limit, no permit, no slot, a foreign process with our key.
	HeldEpoch
	// MissedEpoch: there were weights to set, and nothing came of it.
	MissedEpoch
	// RefusedEpoch: the chain said no.
	RefusedEpoch
	// UnconfirmedEpoch: something was sent, and nobody knows what became of it.
	UnconfirmedEpoch
	// CommittedEpoch: a commit stands on the chain, its reveal is due later.
	CommittedEpoch
	// SetEpoch: the finalised state was read back and holds our weights.
	SetEpoch

	epochOutcomes
)

var epochWords = [epochOutcomes]string{"unchanged", "shadow", "held", "missed", "refused", "unconfirmed", "committed", "set"}

// String is the outcome's word.
func (o EpochOutcome) String() string {
	if o < epochOutcomes {
		return epochWords[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// MarshalText gives an outcome its word in JSON.
func (o EpochOutcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *EpochOutcome) UnmarshalText(text []byte) error {
	for i, word := range epochWords {
		if word == string(text) {
			*o = EpochOutcome(i)
			return nil
		}
	}
	return fmt.Errorf("unknown outcome of an epoch %q", text)
}

// WeightsEpoch is what came of weights in an epoch that has ended. There is one
// for each epoch of the chain that the node saw the end of.
type WeightsEpoch struct {
	Epoch   uint64
	Outcome EpochOutcome
	// Code of the chain's newest refusal in the epoch, OK for none.
	Code chain.Code
	// Block that holds what was set or committed, 0 for nothing.
	Block chain.Block
	// Extrinsic is its hash; zero where it is not known.
	Extrinsic [32]byte
	// Variation is the total variation, 0 to 1, between what stood on the chain
	// before and what was set; where nothing was, between what stands and what
	// we would set. Nil where either is not known: with nothing to score there is
	// nothing that we would set.
	Variation *float64
	// NextBlock is the first block that may take weights of ours.
	NextBlock chain.Block
	// Reason in words, "" where nothing is wrong.
	Reason string
	// Skipped is how many epochs before this one ended unseen: the machine slept.
	Skipped uint64
}

// MarshalJSON shows the hash as text, and not where it is unknown.
func (e WeightsEpoch) MarshalJSON() ([]byte, error) {
	m := map[string]any{"epoch": e.Epoch, "outcome": e.Outcome, "block": e.Block, "variation": e.Variation, "next_block": e.NextBlock}
	if h := hash(e.Extrinsic); h != "" {
		m["extrinsic"] = h
	}
	if e.Code != chain.OK {
		m["code"] = e.Code
	}
	if e.Reason != "" {
		m["reason"] = e.Reason
	}
	if e.Skipped > 0 {
		m["skipped"] = e.Skipped
	}
	return json.Marshal(m)
}

// alarmAfter is how many epochs in a row may end badly before a person is told:
// one may be a reorganisation or a restart.
const alarmAfter = 2

// largestDifferences is how many slots a comparison names: more is not read.
const largestDifferences = 5

// epochs is the account that the Weights service keeps of the chain's epochs.
type epochs struct {
	timer    *sched.Timer // at the end of the one under way
	known    bool
	partial  bool // the node was not there when it began
	tempo    uint16
	stateful bool
	now      WeightsEpoch // the one under way
	ended    WeightsEpoch // the newest that has ended
	first    chain.Block  // the chain's head when this run first saw it
	scored   chain.Block  // update by which the newest weights of a round were set
	lastSet  time.Time    // when weights were last known to stand
	bad      uint64       // epochs in a row that ended badly
	counts   [epochOutcomes]uint64
}

// note says what happened. An outcome that counts more stays.
func (x *epochs) note(o EpochOutcome, why string) {
	if o >= x.now.Outcome {
		x.now.Outcome, x.now.Reason = o, why
	}
}

func (x *epochs) refused(code chain.Code, why string) {
	x.now.Code = code
	x.note(RefusedEpoch, why)
}

// took takes in a set that an earlier run of the node made.
func (x *epochs) took(row *ledger.WeightSet) {
	x.lastSet = row.Planned
	if !row.Fallback {
		x.scored = max(x.scored, row.Updated())
	}
}

func (x *epochs) committed(row *ledger.WeightSet) {
	x.note(CommittedEpoch, "")
	if x.now.Outcome == CommittedEpoch {
		x.now.Block, x.now.Extrinsic = row.Committed, row.Extrinsic
	}
}

func (x *epochs) set(row *ledger.WeightSet, now time.Time) {
	x.took(row)
	x.lastSet = now
	x.note(SetEpoch, "")
	x.now.Block, x.now.Extrinsic = row.Block, row.Extrinsic
}

// turn ends the epoch under way when its blocks are over, and waits for the end
// of the next one. The head is an estimate by the clock, so that epochs also end
// when the chain cannot be reached.
func (w *weights) turn(meta *chain.Metagraph) {
	p, x := &meta.Params, &w.epochs
	if p.EpochBlocks() == 0 {
		return
	}
	head := w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime)
	e := p.Epoch(w.v.cfg.Netuid, head)
	switch {
	case !x.known || x.tempo != p.Tempo || x.stateful != p.Stateful(): // numbers of another schedule say nothing
		if !x.known {
			x.first = head
		}
		x.known, x.partial, x.tempo, x.stateful = true, true, p.Tempo, p.Stateful()
		x.now = WeightsEpoch{Epoch: e}
	case e > x.now.Epoch:
		x.now.Skipped = e - x.now.Epoch - 1
		w.end(meta, head)
		x.partial, x.now = false, WeightsEpoch{Epoch: e}
	}
	x.timer.ArmAt(meta.At.Add(time.Duration(p.EpochStart(w.v.cfg.Netuid, e+1)-meta.Block) * w.v.cfg.BlockTime))
}

// end judges the epoch that has ended.
func (w *weights) end(meta *chain.Metagraph, head chain.Block) {
	x := &w.epochs
	o := &x.now
	o.NextBlock = max(w.nextBlock(meta), head+1)
	w.settle(meta, head)
	why, since, half := w.nothing(), cmp.Or(x.scored, x.first), chain.Block(meta.Params.ActivityCutoff)/2
	w.v.alarms.Set(AlarmWeightsIdle, why != "" && half > 0 && head >= since+half,
		fmt.Sprintf("nothing to score for %d blocks, which is half of the activity cutoff: %s; fallback %s", half, why, w.v.cfg.WeightsFallback), "block", head)
	if o.Outcome == ShadowEpoch { // told when the chain's weights are read
		x.ended = *o
		w.ask()
		return
	}
	w.tell(o)
}

// settle finds the outcome of an epoch in which nothing happened, and how far
// the chain is from what we would set.
func (w *weights) settle(meta *chain.Metagraph, head chain.Block) {
	o := &w.epochs.now
	if w.v.cfg.Shadow {
		o.Outcome = ShadowEpoch
		return
	}
	if o.Outcome >= CommittedEpoch {
		return
	}
	if w.nothing() == "" {
		if ideal, ok := w.ideal(meta); ok {
			o.Variation = w.variation(ideal)
		}
	}
	if o.Outcome > UnchangedEpoch {
		return
	}
	_, _, wanted := w.want(meta, head)
	switch {
	case w.standing != "":
		o.Outcome, o.Reason = HeldEpoch, w.standing
	case w.now != nil && w.now.Phase == ledger.Committed:
		o.Outcome, o.Block, o.Extrinsic = CommittedEpoch, w.now.Committed, w.now.Extrinsic
	case w.now != nil:
		o.Outcome, o.Reason = UnconfirmedEpoch, "what was sent is not yet read back"
	case wanted && w.failed > 0:
		o.Outcome, o.Reason = RefusedEpoch, cmp.Or(w.refusal, "the chain has refused, and a new round is waited for")
	case wanted:
		o.Outcome, o.Reason = MissedEpoch, "the chain was not reached"
	default:
		o.Reason = w.nothing()
	}
}

// standingWeights is what we believe to stand on the chain.
func (w *weights) standingWeights() chain.Weights {
	if w.last != nil {
		return w.last.Weights
	}
	return w.shown
}

// known says whether standingWeights are those that stand: on a slot that never
// had any, none are.
func (w *weights) known() bool { return w.last != nil || w.shownAt > 0 || w.looked && w.update == 0 }

// variation is how far weights are from those that stand, nil where these are
// not known.
func (w *weights) variation(of chain.Weights) *float64 {
	if !w.known() {
		return nil
	}
	return new(chain.TotalVariation(w.standingWeights(), of))
}

// tell publishes an ended epoch, in one line for people and one event for
// everybody else, and raises or ends the alarm about missed ones.
func (w *weights) tell(o *WeightsEpoch) {
	x := &w.epochs
	x.ended = *o
	x.counts[o.Outcome]++
	bad := o.Outcome == MissedEpoch || o.Outcome == RefusedEpoch || o.Outcome == UnconfirmedEpoch || o.Outcome == HeldEpoch && w.standing != ""
	switch {
	case !bad:
		x.bad = 0
	case !x.partial:
		x.bad += 1 + o.Skipped
	}
	w.v.alarms.Set(AlarmWeightsMissed, x.bad >= alarmAfter,
		fmt.Sprintf("no weights for %d epochs: %s: %s; next possible block %d", x.bad, o.Outcome, o.Reason, o.NextBlock), "epoch", o.Epoch)
	line := []any{"epoch", o.Epoch, "outcome", o.Outcome.String(), "block", o.Block, "next_block", o.NextBlock}
	if o.Variation != nil {
		line = append(line, "variation", *o.Variation)
	}
	if h := hash(o.Extrinsic); h != "" {
		line = append(line, "extrinsic", h)
	}
	if o.Code != chain.OK {
		line = append(line, "code", string(o.Code), "fix", o.Code.Advice())
	}
	if o.Reason != "" {
		line = append(line, "why", o.Reason)
	}
	if bad {
		w.v.log.Warn("weights", line...)
	} else {
		w.v.log.Info("weights", line...)
	}
	w.v.WeightsEpoch.Publish(*o)
}

// compared ends an epoch in shadow: what the chain holds was read, or not.
func (w *weights) compared(heard bool) {
	o := &w.epochs.ended
	meta := w.v.State.Meta
	switch {
	case !heard || meta == nil:
		o.Reason = "the chain's weights could not be read"
	case w.nothing() != "":
		o.Reason = w.nothing()
	default:
		ours, ok := w.ideal(meta)
		if !ok {
			o.Reason = w.standing
			break
		}
		o.Variation = new(chain.TotalVariation(w.shown, ours))
		var words []string
		for _, d := range LargestDifferences(CompareWeights(ours, w.shown, meta), largestDifferences) {
			words = append(words, fmt.Sprintf("uid %d ours %.4f chain %.4f", d.UID, d.Ours, d.Chain))
		}
		o.Reason = strings.Join(words, ", ")
	}
	w.tell(o)
}
