package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sim/metric"
	"bettensor/sim/scenario"
)

// measured is what metrics are made of besides a Result's own figures. The
// recorder fills it from bus events, frames and the chain's books.
type measured struct {
	waiting   map[bet.PredictionID]asked // predictions on which no word has come
	latency   map[whose]*metric.Histogram
	games     map[bet.GameID]bool
	corrected int
	voided    int
	ages      []metric.Histogram // of validators, in blocks
	recovery  []metric.Histogram // of validators, in nanoseconds
	back      []time.Time        // of validators that have started again and said nothing yet
	depth     int                // of the validators' inboxes
	looks     uint64             // chances to look at them
	slots     []chain.Hotkey     // by UID, when last compared
	tiered    bet.Day            // whose tiers have been compared
	totals    totals             // of all nodes' figures, as far as they have been summed
}

// asked is a prediction that its miner waits to hear of.
type asked struct {
	at  time.Time
	who *tally
}

// whose is a group of miners, for what is kept by group.
type whose struct {
	group, kind, transport string
}

func newMeasured(validators int) measured {
	return measured{waiting: map[bet.PredictionID]asked{}, latency: map[whose]*metric.Histogram{},
		games: map[bet.GameID]bool{}, ages: make([]metric.Histogram, validators), recovery: make([]metric.Histogram, validators),
		back: make([]time.Time, validators)}
}

// generated begins to wait for words on a miner's predictions.
func (r *recorder) generated(t *tally, e *node.PredictionsGenerated) {
	for _, id := range e.IDs {
		r.waiting[id] = asked{r.w.now(), t}
	}
}

// heard ends the waiting: the first word counts.
func (r *recorder) heard(t *tally, e *node.PredictionConfirmed) {
	a, ok := r.waiting[e.ID]
	if !ok {
		return
	}
	delete(r.waiting, e.ID)
	if e.OK {
		t.confirmed++
	}
	h := r.latency[t.whose]
	if h == nil {
		h = &metric.Histogram{}
		r.latency[t.whose] = h
	}
	h.Add(int64(r.w.now().Sub(a.at)))
}

// settledGame counts games.
func (r *recorder) settledGame(e *node.GameSettled) {
	if r.games[e.Game.ID] {
		r.corrected++
		r.reach("result_corrected")
	}
	r.games[e.Game.ID] = true
	if e.Game.Status == bet.Void {
		r.voided++
		r.reach("game_voided")
	}
}

// lookEvery is how many frames go by between two looks at a validator's inbox: a
// look at each would cost more than the frame, and a burst is many frames.
const lookEvery = 16

// scored compares the miners' tiers with those of the day before.
func (r *recorder) scored(h *Host, e *node.ScoringComplete) {
	if len(e.Weights) > 0 {
		r.reach("scored")
	} else {
		r.reach("fallback_used")
	}
	if e.Day == r.tiered {
		return
	}
	for _, t := range r.order {
		tier := h.Validator.Standing(t.host.Hotkey).Tier
		if r.tiered != 0 && tier != t.tier {
			t.tierChanges++
		}
		t.tier = tier
	}
	r.tiered = e.Day
}

// compareSlots notes UIDs that have passed to others since it last looked.
func (r *recorder) compareSlots() {
	now := r.w.Chain.Metagraph(r.w.now()).Neurons
	for i := range r.slots {
		if i >= len(now) || now[i].Hotkey != r.slots[i] {
			r.reach("deregistered")
			if i < len(now) {
				r.reach("uid_reused")
			}
		}
	}
	r.slots = r.slots[:0]
	for i := range now {
		r.slots = append(r.slots, now[i].Hotkey)
	}
}

// spoke notes a frame of a validator: what was down is back.
func (r *recorder) spoke(from, to *Host) {
	switch {
	case to.Validator != nil:
		if r.looks++; r.looks%lookEvery == 0 {
			r.depth = max(r.depth, to.Validator.Inbound().Waiting())
		}
	case from.validator != nil:
		if i := r.index(from); i >= 0 && !r.back[i].IsZero() {
			r.recovery[i].Add(int64(r.w.now().Sub(r.back[i])))
			r.back[i] = time.Time{}
		}
	}
}

// edge is what a prediction was worth by the closing line: the margin-free
// closing probability of its outcome times the odds taken, less 1.
func edge(odds float64, close bet.Odds, outcome bet.Outcome) (float64, bool) {
	sum := 0.0
	for _, o := range close {
		if o > 1 {
			sum += 1 / o
		}
	}
	if int(outcome) >= len(close) || close[outcome] <= 1 || sum <= 0 {
		return 0, false
	}
	return odds/(close[outcome]*sum) - 1, true
}

// totals are counters of nodes' services, summed over nodes and restarts.
type totals struct {
	validators, miners map[string]uint64 // by SERVICE.COUNT
	panics             uint64
}

// sessionsLost are the connections that a miner says have ended.
func (t *tally) sessionsLost() int {
	s, _ := t.host.Stats()
	return t.lost + int(count(s, "communication", "lost"))
}

// sumCounts adds up the figures of nodes that are gone and of those that run.
func (r *recorder) sumCounts() totals {
	t := totals{validators: map[string]uint64{}, miners: map[string]uint64{}}
	add := func(validator bool, s *node.Stats) {
		to := t.miners
		if validator {
			to = t.validators
		}
		for i := range s.Services {
			for _, c := range s.Services[i].Counts {
				to[s.Services[i].Name+"."+c.Name] += c.Value
			}
		}
		t.panics += s.Panics
	}
	for i := range r.gone {
		add(r.retired[i], &r.gone[i])
	}
	for _, h := range r.w.Hosts {
		if s, ok := h.Stats(); ok {
			add(h.IsValidator(), &s)
		}
	}
	return t
}

// measures makes each metric's sample; false where nothing was measured.
var measures = map[string]func(*recorder, *metric.Selector) (metric.Sample, bool){
	"reward_share": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		total := r.reward(nil)
		return single(r.reward(s)/total, total > 0)
	},
	"reward_per_miner": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		n := len(r.those(s))
		return single(r.reward(s)/1e9/float64(n), n > 0)
	},
	"reward_ratio": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		per := func(key string) float64 {
			q := metric.Selector{Labels: []metric.Pair{{Key: "group", Value: s.Get(key)}}}
			return r.reward(&q) / float64(max(len(r.those(&q)), 1))
		}
		return single(per("of")/per("to"), per("to") > 0)
	},
	"skill_correlation": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		var skill, paid []float64
		for _, t := range r.those(nil) {
			skill, paid = append(skill, t.edge()), append(paid, r.earned(t))
		}
		rho, ok := spearman(skill, paid)
		return single(rho, ok)
	},
	"gini": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		paid := r.payments()
		return single(gini(paid), r.reward(nil) > 0)
	},
	"hhi": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		sum, total := 0.0, r.reward(nil)
		for _, x := range r.payments() {
			sum += x / total * (x / total)
		}
		return single(sum, total > 0)
	},
	"roi": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		var profit, wager float64
		for _, t := range r.those(s) {
			profit, wager = profit+float64(t.profit), wager+float64(t.settledWager)
		}
		return single(profit/wager, wager > 0)
	},
	"clv": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		sum, n := 0.0, 0
		for _, t := range r.those(s) {
			sum, n = sum+t.clv, n+t.priced
		}
		return single(sum/float64(n), n > 0)
	},
	"edge": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		var sum, wager float64
		for _, t := range r.those(s) {
			sum, wager = sum+t.edges, wager+t.edged
		}
		return single(sum/wager, wager > 0)
	},
	"predictions": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, func(t *tally) int {
			switch s.Get("what") {
			case "made":
				return t.made
			case "rejected":
				return t.rejected
			case "confirmed":
				return t.confirmed
			}
			return t.accepted
		})
	},
	"rejected": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		code := bet.Code(s.Get("code"))
		return r.sum(s, func(t *tally) int {
			n := 0
			for c, k := range t.refused { // a sum: order cannot matter
				if code == "" || c == code {
					n += k
				}
			}
			return n
		})
	},
	"unconfirmed": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		those, n := r.those(s), 0
		for _, a := range r.waiting { // a count: order cannot matter
			if slices.Contains(those, a.who) {
				n++
			}
		}
		return single(float64(n), true)
	},
	"ack_latency": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		all := &metric.Histogram{}
		for w, h := range r.latency { // merging adds: order cannot matter
			if matches(s, "group", w.group) && matches(s, "kind", w.kind) && matches(s, "transport", w.transport) {
				all.Merge(h)
			}
		}
		return metric.Sample{Dist: all, Scale: 1e-9}, true
	},
	"weights_age": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		all := &metric.Histogram{}
		for i := range r.ages {
			if matches(s, "validator", r.w.Hosts[i].Name) {
				all.Merge(&r.ages[i])
				if v := r.votes[i]; v.set > 0 {
					all.Add(int64(r.w.Chain.BlockAt(r.w.now()) - v.block))
				}
			}
		}
		return metric.Sample{Dist: all, Scale: 1}, true
	},
	"weights_sets":      func(r *recorder, s *metric.Selector) (metric.Sample, bool) { return r.voters(s, voter.sets) },
	"weights_failed":    func(r *recorder, s *metric.Selector) (metric.Sample, bool) { return r.voters(s, voter.failures) },
	"weights_deviation": (*recorder).deviation,
	"trust": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		uid, ok := r.uid(s.Get("validator"))
		return single(r.w.Chain.VTrust(uid), ok)
	},
	"dividends": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		uid, ok := r.uid(s.Get("validator"))
		return single(r.w.Chain.Dividends(uid), ok)
	},
	"dividend_share": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		own, total := 0.0, 0.0
		for _, h := range r.w.Hosts {
			if h.IsValidator() {
				earned := float64(r.w.Chain.Earned(h.Hotkey).Total())
				total += earned
				if matches(s, "validator", h.Name) {
					own += earned
				}
			}
		}
		return single(own/total, total > 0)
	},
	"tier_changes": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, func(t *tally) int { return t.tierChanges })
	},
	"epochs": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.w.Chain.Epochs()), true)
	},
	"games": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		switch s.Get("what") {
		case "corrected":
			return single(float64(r.corrected), true)
		case "voided":
			return single(float64(r.voided), true)
		}
		return single(float64(len(r.games)), true)
	},
	"settled": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, func(t *tally) int { return t.settled })
	},
	"fault_windows": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.w.FaultWindows), true)
	},
	"restarts": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.hosts(s, func(h *Host) int { return h.Restarts })
	},
	"downs": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.hosts(s, func(h *Host) int { return len(h.Downs) })
	},
	"recovery_time": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		all := &metric.Histogram{}
		for i := range r.recovery {
			if matches(s, "validator", r.w.Hosts[i].Name) {
				all.Merge(&r.recovery[i])
			}
		}
		return metric.Sample{Dist: all, Scale: 1e-9}, true
	},
	"sessions": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.totals.validators["communication.opened"]), true)
	},
	"sessions_lost": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, (*tally).sessionsLost)
	},
	"dropped": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.totals.validators["core.frames_shed"]), true)
	},
	"queue_depth": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.depth), true)
	},
	"events": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.w.Sched.Events()), true)
	},
}

// single is a sample of one number; not one where its making has no sense.
func single(x float64, ok bool) (metric.Sample, bool) {
	if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
		return metric.Sample{}, false
	}
	return metric.Sample{Value: x}, true
}

func matches(s *metric.Selector, key, value string) bool {
	want := s.Get(key)
	return want == "" || want == value
}

// those are the tallies of the miners that a selector means; nil means all. They
// come in the order of the hosts.
func (r *recorder) those(s *metric.Selector) []*tally {
	if s == nil {
		s = &metric.Selector{}
	}
	var out []*tally
	for _, t := range r.order {
		if matches(s, "group", t.whose.group) && matches(s, "kind", t.whose.kind) {
			out = append(out, t)
		}
	}
	return out
}

func (r *recorder) sum(s *metric.Selector, of func(*tally) int) (metric.Sample, bool) {
	n := 0
	for _, t := range r.those(s) {
		n += of(t)
	}
	return single(float64(n), true)
}

func (r *recorder) hosts(s *metric.Selector, of func(*Host) int) (metric.Sample, bool) {
	n := 0
	for _, h := range r.w.Hosts {
		if role := s.Get("role"); role == "" || h.IsValidator() == (role == "validator") {
			n += of(h)
		}
	}
	return single(float64(n), true)
}

func (v voter) sets() uint64     { return v.set }
func (v voter) failures() uint64 { return v.failed }

func (r *recorder) voters(s *metric.Selector, of func(voter) uint64) (metric.Sample, bool) {
	n := uint64(0)
	for i, v := range r.votes {
		if matches(s, "validator", r.w.Hosts[i].Name) {
			n += of(v)
		}
	}
	return single(float64(n), true)
}

// earned is what a miner earned over the run, in rao.
func (r *recorder) earned(t *tally) float64 { return float64(r.w.Chain.Earned(t.host.Hotkey).Total()) }

// reward sums it over miners.
func (r *recorder) reward(s *metric.Selector) (sum float64) {
	for _, t := range r.those(s) {
		sum += r.earned(t)
	}
	return sum
}

func (r *recorder) payments() (list []float64) {
	for _, t := range r.order {
		list = append(list, r.earned(t))
	}
	return list
}

// uid is the slot of a validator by name; false if it has none.
func (r *recorder) uid(name string) (chain.UID, bool) {
	h := r.w.Host(name)
	if h == nil {
		return 0, false
	}
	return r.w.Chain.Metagraph(r.w.now()).UIDOf(h.Hotkey)
}

// deviation is the total variation of two validators' weights on the chain.
func (r *recorder) deviation(s *metric.Selector) (metric.Sample, bool) {
	shares := map[chain.UID]float64{}
	for i, key := range []string{"of", "to"} {
		uid, ok := r.uid(s.Get(key))
		set, _ := r.w.Chain.Weights(uid)
		total := 0.0
		for _, x := range set.Values {
			total += float64(x)
		}
		if !ok || total == 0 {
			return metric.Sample{}, false
		}
		for k, x := range set.Values {
			shares[set.UIDs[k]] += float64(1-2*i) * float64(x) / total
		}
	}
	off := 0.0
	for _, uid := range sorted(shares) {
		off += math.Abs(shares[uid])
	}
	return single(off/2, true)
}

// sorted are a map's keys in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// edge is a miner's skill: the mean edge of its predictions, weighed by wager.
func (t *tally) edge() float64 {
	if t.edged == 0 {
		return 0
	}
	return t.edges / t.edged
}

// spearman is the rank correlation of two lists; false where one has no two
// different values. Equal values share the mean of their ranks.
func spearman(a, b []float64) (rho float64, ok bool) {
	x, y := ranks(a), ranks(b)
	mean := float64(len(a)+1) / 2
	var xy, xx, yy float64
	for i := range x {
		dx, dy := x[i]-mean, y[i]-mean
		xy, xx, yy = xy+dx*dy, xx+dx*dx, yy+dy*dy
	}
	if xx == 0 || yy == 0 {
		return 0, false
	}
	return xy / math.Sqrt(xx*yy), true
}

func ranks(list []float64) []float64 {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(list[a], list[b]) })
	out := make([]float64, len(list))
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && list[order[to]] == list[order[from]] {
			to++
		}
		for k := from; k < to; k++ {
			out[order[k]] = float64(from+to+1) / 2
		}
		from = to
	}
	return out
}

// gini is 0 where all have alike, towards 1 where one has all.
func gini(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	var sum, weighed float64
	for i, x := range s {
		sum += x
		weighed += float64(i+1) * x
	}
	if sum == 0 {
		return 0
	}
	n := float64(len(s))
	return 2*weighed/(n*sum) - (n+1)/n
}

// sample measures one selector.
func (r *recorder) sample(s *metric.Selector) (metric.Sample, bool) { return measures[s.Name](r, s) }

// everything measures every metric, whole and by each value of each label.
func (r *recorder) everything() []MetricResult {
	var out []MetricResult
	for _, d := range metric.Definitions() {
		if d.Bench {
			continue
		}
		list := []metric.Selector{{Name: d.Name}}
		for _, l := range d.Labels {
			if l.Must {
				list = list[:0]
			}
		}
		if len(d.Labels) > 0 && d.Name != "reward_ratio" && d.Name != "weights_deviation" {
			for _, l := range d.Labels {
				for _, v := range r.labelValues(l) {
					list = append(list, metric.Selector{Name: d.Name, Labels: []metric.Pair{{Key: l.Key, Value: v}}})
				}
			}
		}
		for i := range list {
			s, ok := r.sample(&list[i])
			if !ok || i > 0 && s.Dist == nil && s.Value == 0 && d.Type == metric.Counter {
				continue
			}
			if s.Dist != nil && s.Dist.Count() == 0 {
				continue
			}
			out = append(out, MetricResult{Metric: list[i].String(), Type: d.Type.String(), Unit: d.Unit, Values: values(d.Type, s)})
		}
	}
	return out
}

// labelValues are the values that a label can have in the run.
func (r *recorder) labelValues(l metric.Label) (names []string) {
	switch l.Names {
	case metric.Group:
		for _, g := range r.p.Scenario.Miners {
			names = append(names, g.Name)
		}
	case metric.Kind: // where a kind is one group, that says it
		groups := map[string]int{}
		for _, g := range r.p.Scenario.Miners {
			if groups[g.Kind]++; groups[g.Kind] == 2 {
				names = append(names, g.Kind)
			}
		}
	case metric.Validator:
		for _, h := range r.w.Hosts {
			if h.IsValidator() {
				names = append(names, h.Name)
			}
		}
	case metric.Code:
		for _, c := range bet.Codes() {
			names = append(names, string(c))
		}
	case metric.OneOf:
		names = l.Enum
	}
	return names
}

// values are a sample by everything that may be asked of it.
func values(t metric.Type, s metric.Sample) map[string]float64 {
	asked := map[metric.Type][]metric.Aggregate{
		metric.Counter: {{Word: "count"}}, metric.Value: {{Word: "value"}}, metric.Peak: {{Word: "max"}},
		metric.Distribution: {{Word: "count"}, {Word: "min"}, {Word: "avg"}, {Word: "med"}, {Word: "p", P: 95}, {Word: "p", P: 99}, {Word: "max"}},
	}
	out := map[string]float64{}
	for _, a := range asked[t] {
		if v, ok := s.Ask(a); ok {
			out[a.String()] = v
		}
	}
	return out
}

// judge holds a run's metrics against what the scenario wants of them.
func (r *recorder) judge() ([]ThresholdResult, []ExpectResult, error) {
	var thresholds []ThresholdResult
	for i := range r.p.Scenario.Thresholds {
		list, err := r.threshold(&r.p.Scenario.Thresholds[i])
		if err != nil {
			return nil, nil, err
		}
		thresholds = append(thresholds, list...)
	}
	var expected []ExpectResult
	for _, e := range r.p.Scenario.Expect {
		c, err := metric.ParseComparison(e.That)
		if err != nil {
			return nil, nil, fmt.Errorf("expect %s: %w", e.Name, err)
		}
		one := ExpectResult{Name: e.Name, That: c.String()}
		for i, t := range c.Terms() {
			x, ok := r.term(t)
			if !ok && one.Missing == "" {
				one.Missing = t.Selector.String()
			}
			*[]*float64{&one.A, &one.B}[i] = x
		}
		one.OK = one.Missing == "" && c.Holds(one.A, one.B)
		expected = append(expected, one)
	}
	return thresholds, expected, nil
}

func (r *recorder) term(t *metric.Term) (float64, bool) {
	if t.Selector.Name == "" {
		return t.Factor, true
	}
	s, ok := r.sample(&t.Selector)
	if !ok {
		return 0, false
	}
	x, ok := s.Ask(t.Aggregate)
	return t.Factor * x, ok
}

func (r *recorder) threshold(t *scenario.Threshold) ([]ThresholdResult, error) {
	sel, err := metric.ParseSelector(t.Metric)
	if err != nil {
		return nil, fmt.Errorf("threshold %s: %w", t.Name, err)
	}
	of, _ := metric.Find(sel.Name)
	conditions, err := metric.ParseConditions(t.Expect, of)
	if err != nil {
		return nil, fmt.Errorf("threshold %s: %w", t.Name, err)
	}
	var out []ThresholdResult
	for i := range conditions {
		c := &conditions[i]
		one := ThresholdResult{Name: t.Name, Metric: sel.String(), Expect: c.Text, Unit: of.Unit}
		if s, ok := r.sample(&sel); ok {
			one.Value, one.OK, ok = c.Holds(s)
			one.Missing = !ok
		} else {
			one.Missing = true
		}
		out = append(out, one)
	}
	return out, nil
}

// crossed names the first threshold with abort that is broken already; "" for
// none. What was not measured yet may still come.
func (r *recorder) crossed() string {
	summed := false
	for i := range r.p.Scenario.Thresholds {
		t := &r.p.Scenario.Thresholds[i]
		if !t.Abort {
			continue
		}
		if !summed {
			r.totals, summed = r.sumCounts(), true
		}
		list, err := r.threshold(t)
		if err != nil {
			continue // the judgement at the end says it
		}
		for _, one := range list {
			if !one.OK && !one.Missing {
				return "threshold " + one.Name + ": " + one.Expect
			}
		}
	}
	return ""
}
