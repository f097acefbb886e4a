package sim

import (
	"cmp"
	"slices"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sim/metric"
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
