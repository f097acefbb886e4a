package sim

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/sim/invariant"
	"bettensor/sim/mockchain"
	"bettensor/sim/scenario"
	"bettensor/store"
)

// RunOptions say what a run leaves besides its result.
type RunOptions struct {
	// Trace takes the trace; nil for none.
	Trace io.Writer
	// Progress is called about PerRun times with how far the run is.
	Progress func(Progress)
	// Wall is a clock for the figures of speed; nil leaves them 0.
	Wall func() time.Time
	// Stopped, where set, is asked as often; its error ends the run.
	Stopped func() error
	// Prepare, where set, is called with the world before it turns.
	Prepare func(*World)
	// Done, where set, is called with the world when it has turned to its end and
	// before it is closed; its error is the run's.
	Done func(*World) error
	// FailFast ends the run at the first violation of an invariant. Like every run
	// that is stopped, it is not audited at its end.
	FailFast bool
	// Limit ends the run as a failure after so many events, the world's own among
	// them; 0 is no limit. Like every run that is stopped, it is not audited.
	Limit uint64
	// Until ends the run at a moment; the zero Moment lets it go on to its end.
	Until Moment
	// Last is how many of the last lines of the trace the result keeps, for people.
	Last int
	// Series is how many samples of its course the result keeps, at even distances
	// of virtual time; 0 keeps none.
	Series int
	// Revision of the program and Games, the names of the files of matches, for the
	// head of the trace.
	Revision string
	Games    []string
}

// Progress is how far a run is.
type Progress struct {
	At     time.Time // virtual
	Share  float64   // 0 to 1
	Events uint64
}

// progressSteps is how often a run reports.
const progressSteps = 500

// Run builds a world of the plan and turns it to its end.
func (p *Plan) Run(o RunOptions) (res *Result, err error) {
	w, err := p.NewWorld()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if o.Prepare != nil {
		o.Prepare(w)
	}
	var trace *Trace
	if o.Trace != nil {
		trace = NewTrace(o.Trace, w)
		trace.head(p, &o)
		defer func() {
			if res == nil { // what it holds so far is worth keeping
				why := "the simulator panicked"
				if err != nil {
					why = err.Error()
				}
				trace.Cut(why) // whose error is the lesser news
			}
		}()
	}
	r := &recorder{w: w, p: p, miners: map[chain.Hotkey]*tally{}, settled: map[uint64]outcome{}, properties: map[string]uint64{},
		measured: newMeasured(len(w.cfg.Validators))}
	w.Sched.Checkpoint = func(_, hash uint64) { r.checkpoints = append(r.checkpoints, hash) }
	r.attach()
	r.watch()
	last := newLastLines(w, o.Last)
	course := newSampler(r, o.Series)
	end := newStop(&o, w, r.checks)
	crossed := ""
	began := wallOf(o.Wall)
	length := p.End.Sub(p.Start)
	nextDay := bet.DayOf(p.Start) + 1
	deadlines := p.deadlines()
turning:
	for i := 1; i <= progressSteps; i++ {
		until := p.Start.Add(length / progressSteps * time.Duration(i))
		if i == progressSteps {
			until = p.End
		}
		for {
			day, due := nextDay.Start(), len(deadlines) > 0 && !deadlines[0].at.After(until)
			switch {
			case due && !deadlines[0].at.After(day):
				if end.turn(deadlines[0].at) {
					break turning
				}
				r.settles(deadlines[0])
				deadlines = deadlines[1:]
				continue
			case !day.After(until):
				if end.turn(day) {
					break turning
				}
				r.audit(false)
				nextDay++
				continue
			}
			break
		}
		if end.turn(until) {
			break
		}
		course.step(i)
		if crossed = r.crossed(); crossed != "" {
			break
		}
		if o.Stopped != nil {
			if err := o.Stopped(); err != nil {
				return nil, fmt.Errorf("stopped at %s: %w", until.Format(time.DateTime), err)
			}
		}
		if o.Progress != nil {
			o.Progress(Progress{At: until, Share: float64(i) / progressSteps, Events: w.Sched.Events()})
		}
	}
	w.Chain.Advance(w.now())
	stopped := crossed != "" || end.reached()
	if stopped { // in the middle of what its nodes do: their disks say nothing yet
		r.final = r.checks.Finish(w.now())
	} else {
		r.audit(true)
	}
	result := r.result()
	if result.Thresholds, result.Expect, err = r.judge(); err != nil {
		return nil, err
	}
	if stopped {
		if result.Stopped = crossed; crossed == "" {
			result.Stopped = end.why()
		}
		result.End = w.now()
		result.VirtualSeconds = result.End.Sub(result.Start).Seconds()
	}
	result.Last = last.lines()
	if end.limited() {
		result.Unended = end.runaway.text(p.Start, p.End)
		result.Last = end.runaway.last.lines()
	}
	result.Series = course.finish()
	if o.Done != nil {
		if err := o.Done(w); err != nil {
			return nil, err
		}
	}
	if took := wallOf(o.Wall) - began; took > 0 {
		result.WallSeconds = took.Seconds()
		result.EventsPerSecond = float64(result.Events) / took.Seconds()
	}
	if trace != nil {
		if err := trace.Close(result.Stopped); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func wallOf(clock func() time.Time) time.Duration {
	if clock == nil {
		return 0
	}
	return time.Duration(clock().UnixNano())
}

// recorder gathers what a result is made of, from outside: bus events of the
// nodes, the chain's own books, frames.
type recorder struct {
	w           *World
	p           *Plan
	miners      map[chain.Hotkey]*tally
	votes       []voter
	arrived     uint64             // of the last prediction counted at the first validator
	settled     map[uint64]outcome // by order of acceptance at the first validator
	checks      *invariant.Set
	final       []invariant.Check
	gone        []node.Stats // of nodes that were killed
	retired     []bool       // which of them were validators
	order       []*tally     // of the miners, in the order of the hosts
	properties  map[string]uint64
	liveness    []LivenessCheck // of each healing phase
	checkpoints []uint64
	measured
}

// tally is one miner's account.
type tally struct {
	whose                    whose
	host                     *Host
	made, accepted, rejected int
	refused                  map[bet.Code]int // also by passing refusals
	confirmed, settled       int
	lost                     int // connections, by runs of the node that were killed
	tier, tierChanges        int
	edges, edged             float64 // closing-line edges, weighed by wager, and those wagers
	forgotten                uint64  // by runs of the node that were killed
	wagered                  bet.Cents
	settledWager, profit     bet.Cents
	clv                      float64
	priced                   int
}

type outcome struct {
	state  bet.State
	profit bet.Cents
	clv    float64
	day    bet.Day
}

type voter struct {
	set, failed uint64
	block       chain.Block // of the last weights that took effect
	failing     bool        // since then
}

// attach listens to the nodes as they are built.
func (r *recorder) attach() {
	r.w.OnReached = r.reach
	r.votes = make([]voter, len(r.w.cfg.Validators))
	for _, h := range r.w.Hosts {
		if !h.IsValidator() {
			t := &tally{host: h, whose: whose{h.miner.Group, h.Kind, "websocket"}, refused: map[bet.Code]int{}}
			if h.miner.Polled {
				t.whose.transport = "http"
			}
			r.miners[h.Hotkey] = t
			r.order = append(r.order, t)
		}
	}
	before := r.w.OnBuild
	r.w.OnBuild = func(h *Host) {
		if before != nil {
			before(h)
		}
		if h.hostile() {
			return
		}
		s := h.Loop.Scope("observer")
		if h.Restarts > 0 {
			r.reach("node_restarted")
		}
		if h.Miner != nil {
			t := r.miners[h.Hotkey]
			t.restarted(h)
			h.Miner.PredictionsGenerated.Subscribe(s, func(e *node.PredictionsGenerated) {
				t.made += len(e.IDs)
				r.generated(t, e)
			})
			h.Miner.PredictionConfirmed.Subscribe(s, func(e *node.PredictionConfirmed) { r.heard(t, e) })
			return
		}
		i := r.index(h)
		if h.Restarts > 0 {
			r.reach("store_reopened")
			r.back[i] = r.w.now()
		}
		h.Validator.WeightsFailed.Subscribe(s, func(*node.WeightsFailed) {
			r.votes[i].failed++
			r.votes[i].failing = true
		})
		if i > 0 { // predictions are counted where all miners are heard: at the first
			return
		}
		h.Validator.PredictionStored.Subscribe(s, func(e *node.PredictionStored) {
			if !e.Duplicate {
				r.accept(e.Row)
			}
		})
		h.Validator.PredictionRejected.Subscribe(s, func(e *node.PredictionRejected) {
			r.refuse(e)
		})
		h.Validator.GameSettled.Subscribe(s, r.settledGame)
		h.Validator.ScoringComplete.Subscribe(s, func(e *node.ScoringComplete) { r.scored(h, e) })
		h.Validator.PredictionSettled.Subscribe(s, func(e *node.PredictionSettled) { r.settle(h, e.Row) })
	}
	r.w.OnRetire = func(h *Host, s node.Stats) {
		r.gone, r.retired = append(r.gone, s), append(r.retired, h.IsValidator())
		if t := r.miners[h.Hotkey]; t != nil {
			t.forgotten += count(s, "predictions", "forgotten")
			t.lost += int(count(s, "communication", "lost"))
		}
	}
}

// accept counts a prediction that the first validator has on disk. They come
// in the order of their acceptance.
func (r *recorder) accept(row *ledger.Prediction) {
	r.arrived = row.Arrived
	if t := r.miners[row.Hotkey]; t != nil {
		t.accepted++
		t.wagered += row.Wager
		if _, close, ok := r.p.Market.Line(row.Game); ok {
			if e, ok := edge(row.Odds, close, row.Outcome); ok {
				t.edges += e * float64(row.Wager)
				t.edged += float64(row.Wager)
			}
		}
	}
}

// refuse counts a refusal of the first validator.
func (r *recorder) refuse(e *node.PredictionRejected) {
	switch e.Code {
	case bet.DailyLimitExceeded:
		r.reach("budget_refused_at_limit")
	case bet.GameStarted:
		r.reach("late_refused")
	case bet.RateLimited:
		r.reach("rate_limited")
	}
	if t := r.miners[e.Hotkey]; t != nil {
		t.refused[e.Code]++
		if !e.Code.Temporary() {
			t.rejected++
		}
	}
}

// catchUp counts what the first validator had written and not yet told of when
// it went down.
func (r *recorder) catchUp(h *Host) error {
	snap, err := h.disk.engine.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	var missed []ledger.Prediction
	err = ledger.Predictions.Scan(snap, nil, nil, func(_ ledger.PredictionKey, row *ledger.Prediction) error {
		if row.Arrived > r.arrived {
			missed = append(missed, *row)
		}
		return nil
	})
	slices.SortFunc(missed, func(a, b ledger.Prediction) int { return cmp.Compare(a.Arrived, b.Arrived) })
	for i := range missed {
		r.accept(&missed[i])
	}
	return err
}

// restarted counts what a miner had written and not yet told of when it went
// down.
func (t *tally) restarted(h *Host) {
	if s, ok := h.Stats(); ok {
		t.made = max(t.made, int(t.forgotten+count(s, "predictions", "held")))
	}
}

// count is a service's figure of a name, 0 if it has none.
func count(s node.Stats, service, name string) uint64 {
	for i := range s.Services {
		if s.Services[i].Name != service {
			continue
		}
		for _, c := range s.Services[i].Counts {
			if c.Name == name {
				return c.Value
			}
		}
	}
	return 0
}

func (r *recorder) index(h *Host) int {
	for i, x := range r.w.Hosts {
		if x == h {
			return i
		}
	}
	return -1
}

// settle counts a settled prediction, or replaces what it counted as before.
func (r *recorder) settle(h *Host, row *ledger.Prediction) {
	t := r.miners[row.Hotkey]
	if t == nil {
		return
	}
	was, before := r.settled[row.Arrived]
	if !before {
		t.settled++
		r.reach("settled")
	}
	if before && was.state != bet.Pushed {
		t.settledWager -= row.Wager
		t.profit -= was.profit
		if was.clv != 0 {
			t.clv -= was.clv
			t.priced--
		}
	}
	now := outcome{state: row.State, day: bet.DayOf(row.Settled)}
	if row.State == bet.Won || row.State == bet.Lost {
		now.profit = row.Payout - row.Wager
		t.settledWager += row.Wager
		t.profit += now.profit
		if g := h.Validator.State.Games[row.Game]; g != nil && g.Closing[row.Outcome] > 0 {
			now.clv = row.Odds / g.Closing[row.Outcome]
			t.clv += now.clv
			t.priced++
		}
	}
	r.settled[row.Arrived] = now
}

// watch feeds the invariants with what leaves nodes and enters the chain.
func (r *recorder) watch() {
	w := r.w
	disabled := map[string]string{}
	for _, d := range r.p.Scenario.Invariants.Disable {
		disabled[d.Name] = d.Reason
	}
	r.checks = invariant.New(r.facts(), disabled)
	before := w.OnFrame
	w.OnFrame = func(from, to *Host, e *wire.Event) {
		if before != nil {
			before(from, to, e)
		}
		r.checks.Frame(w.now(), party(from), party(to), e)
		r.spoke(from, to)
	}
	w.OnEvent = func(l *sched.Loop) { r.checks.Event(w.now(), l.Name()) }
	w.Chain.OnExtrinsic(func(now time.Time, q chain.Request, a chain.Reply) {
		r.checks.Extrinsic(now, q, a, w.Chain.Metagraph(now))
		if a.Code == chain.OK && (q.Op == chain.OpSetWeights || q.Op == chain.OpRevealWeights) {
			r.voted(q.Hotkey)
			if q.Op == chain.OpRevealWeights {
				r.reach("commit_revealed")
			}
		}
	})
	w.Chain.OnExpired(func(mockchain.Sealed) { r.reach("reveal_failed") })
	w.Chain.OnReveal(func(v mockchain.Reveal) {
		if v.Code != chain.OK {
			r.reach("reveal_failed")
			return
		}
		r.reach("commit_revealed")
		r.voted(v.Hotkey)
	})
	w.OnOpened = func(h *Host) {
		if h == w.Hosts[0] {
			if err := r.catchUp(h); err != nil {
				panic("sim: rows of " + h.Name + ": " + err.Error())
			}
		}
		r.look(h, r.checks.Reopened)
	}
}

// voted counts weights that took effect.
func (r *recorder) voted(h chain.Hotkey) {
	for i, x := range r.w.Hosts {
		if x.Hotkey == h && i < len(r.votes) {
			v, now := &r.votes[i], r.w.Chain.BlockAt(r.w.now())
			if v.set > 0 {
				r.ages[i].Add(int64(now - v.block))
			}
			r.reach("weights_set")
			if v.failing {
				r.reach("weights_resent")
			}
			v.set++
			v.block, v.failing = now, false
		}
	}
}

// party is a host as the invariants know it.
func party(h *Host) invariant.Node {
	return invariant.Node{Name: h.Name, Hotkey: h.Hotkey, Validator: h.IsValidator()}
}

func (r *recorder) audit(final bool) {
	r.compareSlots()
	for _, h := range r.w.Hosts {
		if h.IsValidator() {
			r.look(h, r.checks.Store)
		}
		r.checks.Figures(r.w.now(), party(h), h.figures())
	}
	if final {
		r.final = r.checks.Finish(r.w.now())
	} else {
		r.forget(bet.DayOf(r.w.now()) - ledger.RetentionDays)
	}
}

// look shows a validator's durable rows to the invariants.
func (r *recorder) look(h *Host, show func(time.Time, invariant.Node, store.Snapshot) error) {
	if h.disk.engine == nil {
		return // down; looked at when it is opened again
	}
	snap, err := h.disk.engine.Snapshot()
	if err != nil {
		panic("sim: snapshot of " + h.Name + ": " + err.Error())
	}
	defer snap.Close()
	if err := show(r.w.now(), party(h), snap); err != nil {
		panic("sim: audit of " + h.Name + ": " + err.Error())
	}
}

// forget drops settlements too old to be corrected.
func (r *recorder) forget(before bet.Day) {
	for k, o := range r.settled { // each is judged alone: order cannot matter
		if o.day < before {
			delete(r.settled, k)
		}
	}
}

// ScenarioOption is what scenario.Parse checks names against.
func ScenarioOption() scenario.Option {
	var codes []string
	for _, c := range bet.Codes() {
		codes = append(codes, string(c))
	}
	return scenario.Option{Bugs: BugNames(), Codes: codes, Coefficients: CoefficientNames(), Coefficient: CheckCoefficient, Invariants: invariant.Names(), Events: slices.Clone(events)}
}
