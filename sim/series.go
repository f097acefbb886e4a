package sim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/sched"
	"bettensor/sim/metric"
)

// Bounds of a Series, so that a page of any run stays small enough to be mailed.
const (
	maxSamples = progressSteps
	maxWindows = 500
	maxMarks   = 4000
	maxAlarms  = 200
	// markBins is into how many stretches of time the run is cut: equal marks of one
	// lane and stretch are one mark with a number.
	markBins = 1000
)

// Series is the course of a run, as a report draws it: samples at even distances
// of virtual time, and what happened between them. It is gathered from outside,
// and only where RunOptions.Series asks for it; it changes no event of the run.
type Series struct {
	At    []time.Time // of the samples
	Kinds []KindSeries
	// Accepted and Refused predictions so far, for good; Waiting are those on which
	// no word had come; Down are the most nodes at once that did not run since the
	// last sample. One a sample.
	Accepted, Refused, Waiting, Down []int
	Windows                          []FaultWindow // in order of their beginning
	WindowsLeft                      int           // that are not in Windows, for their number
	Marks                            []Mark        // in order of their lane's and kind's first, then of time
	MarksLeft                        int           // marks that are not in Marks
	Alarms                           []AlarmSpan   // of validators, as the samples saw them
	Distributions                    []Distribution
}

// KindSeries is the course of one kind of miner. All lists are by sample.
type KindSeries struct {
	Kind  string
	Count int // miners
	// Low, Median and High are the 10th, 50th and 90th percentile of the miners'
	// shares of the first validator's weights on the chain.
	Low, Median, High []float64
	Emission          []float64 // of all of them so far, in TAO
	Tiers             [][]int   // miners by public tier, from 0 (none)
}

// FaultWindow is one window of a fault. Until is the end of the run where it was
// still open.
type FaultWindow struct {
	ID, Fault, What, Target string
	From, Until             time.Time
	Open                    bool
	Nodes                   []string // that it hit
	lasting                 int      // on so many of them
}

// Mark is something that happened N times in one stretch of time in one lane,
// first at At. Lanes are the validators' names, and "miners" for all of those.
type Mark struct {
	Lane, What string
	At         time.Time
	N          int
}

// AlarmSpan is an alarm of a validator from when it was raised to the first sample
// that did not see it, or to the end of the run.
type AlarmSpan struct {
	Node, Code, Why string
	From, Until     time.Time
	open            bool
}

// Distribution is a metric's values by size.
type Distribution struct {
	Metric, Unit string
	Count        uint64
	Bins         []Bin
}

// Bin counts values above Low, or from it in the first bin, up to High.
type Bin struct {
	Low, High float64
	N         uint64
}

// sampler gathers a Series. A nil one does nothing.
type sampler struct {
	r        *recorder
	series   *Series
	most     int
	next     sched.Tracer // that the lines are passed on to; nil for none
	kinds    map[string]int
	tiers    []int // of the miners, in their order, as last known
	windows  map[string]int
	marks    map[markKey]int
	down     map[string]bool // by node, of those that have started
	downs    int             // nodes that are
	mostDown int
	shares   map[chain.UID]float64
}

type markKey struct {
	lane, what string
	bin        int64
}

// newSampler is nil for 0 samples.
func newSampler(r *recorder, samples int) *sampler {
	if samples <= 0 {
		return nil
	}
	k := &sampler{r: r, series: &Series{}, most: min(samples, maxSamples), next: r.w.tracing(), kinds: map[string]int{},
		tiers: make([]int, len(r.order)), windows: map[string]int{}, marks: map[markKey]int{}, down: map[string]bool{}, shares: map[chain.UID]float64{}}
	for _, t := range r.order {
		i, ok := k.kinds[t.host.Kind]
		if !ok {
			i = len(k.series.Kinds)
			k.kinds[t.host.Kind] = i
			k.series.Kinds = append(k.series.Kinds, KindSeries{Kind: t.host.Kind})
		}
		k.series.Kinds[i].Count++
	}
	r.w.SetTracer(k)
	return k
}

// step samples where step i of progressSteps is one of the evenly spread.
func (k *sampler) step(i int) {
	if k != nil && i*k.most/progressSteps != (i-1)*k.most/progressSteps {
		k.sample()
	}
}

// sample looks at the world as it stands. It reads the chain as far as it has
// been turned, and does not turn it.
func (k *sampler) sample() {
	r, s := k.r, k.series
	s.At = append(s.At, r.w.now())
	k.readWeights()
	weights := make([][]float64, len(s.Kinds))
	emission := make([]float64, len(s.Kinds))
	tiers := make([][]int, len(s.Kinds))
	accepted, refused := 0, 0
	for i, t := range r.order {
		kind := k.kinds[t.host.Kind]
		share := 0.0
		if uid, ok := r.w.Chain.UIDOf(t.host.Hotkey); ok {
			share = k.shares[uid]
		}
		weights[kind] = append(weights[kind], share)
		emission[kind] += r.earned(t) / 1e9
		if v := r.w.Hosts[0].Validator; v != nil {
			k.tiers[i] = v.Standing(t.host.Hotkey).Tier
		}
		for len(tiers[kind]) <= k.tiers[i] {
			tiers[kind] = append(tiers[kind], 0)
		}
		tiers[kind][k.tiers[i]]++
		accepted, refused = accepted+t.accepted, refused+t.rejected
	}
	for i := range s.Kinds {
		x := &s.Kinds[i]
		slices.Sort(weights[i])
		x.Low, x.Median, x.High = append(x.Low, quantile(weights[i], .1)), append(x.Median, quantile(weights[i], .5)), append(x.High, quantile(weights[i], .9))
		x.Emission, x.Tiers = append(x.Emission, emission[i]), append(x.Tiers, tiers[i])
	}
	s.Accepted, s.Refused = append(s.Accepted, accepted), append(s.Refused, refused)
	s.Waiting, s.Down = append(s.Waiting, len(r.waiting)), append(s.Down, k.mostDown)
	k.mostDown = k.downs
	k.readAlarms()
}

// readWeights reads the first validator's weights on the chain, as shares.
func (k *sampler) readWeights() {
	clear(k.shares)
	uid, ok := k.r.w.Chain.UIDOf(k.r.w.Hosts[0].Hotkey)
	if !ok {
		return
	}
	set, _ := k.r.w.Chain.Weights(uid)
	total := 0.0
	for _, x := range set.Values {
		total += float64(x)
	}
	for i, x := range set.Values {
		k.shares[set.UIDs[i]] = float64(x) / max(total, 1)
	}
}

// readAlarms compares the validators' alarms with those of the last sample. A
// node that is down raises none.
func (k *sampler) readAlarms() {
	s, now := k.series, k.r.w.now()
	raised := map[[2]string]node.Alarm{}
	var order [][2]string
	for _, h := range k.r.w.Hosts {
		if h.Validator == nil {
			continue
		}
		figures, _ := h.Stats()
		for _, a := range figures.Alarms {
			key := [2]string{h.Name, a.Code.String()}
			raised[key] = a
			order = append(order, key)
		}
	}
	for i := range s.Alarms {
		x := &s.Alarms[i]
		if !x.open {
			continue
		}
		key := [2]string{x.Node, x.Code}
		a, on := raised[key]
		x.Until = now
		if x.open = on && a.Since.Equal(x.From); x.open {
			x.Why = a.Why
			delete(raised, key)
		}
	}
	for _, key := range order {
		if a, ok := raised[key]; ok && len(s.Alarms) < maxAlarms {
			s.Alarms = append(s.Alarms, AlarmSpan{Node: key[0], Code: key[1], Why: a.Why, From: a.Since, Until: now, open: true})
		}
	}
}

// quantile of a sorted list, by the nearest rank.
func quantile(list []float64, q float64) float64 { return list[int(q*float64(len(list)-1)+.5)] }

// markedEvents are the bus events that become marks.
var markedEvents = []string{"scoring_complete", "weights_failed", "weights_set"}

// Trace implements sched.Tracer.
func (k *sampler) Trace(l *sched.Loop, kind, name string, v any) {
	fields, _ := v.(map[string]any)
	switch kind {
	case "bus":
		if slices.Contains(markedEvents, name) {
			k.mark(l.Name(), name)
		}
	case "host":
		k.host(text(fields["node"]), name)
	case "fault":
		k.open(text(fields["fault"]), name, text(fields["node"]))
	case "fault_end":
		k.close(text(fields["fault"]))
	}
	if k.next != nil {
		k.next.Trace(l, kind, name, v)
	}
}

// host notes what a node's machine tells. Its first start is no news.
func (k *sampler) host(name, what string) {
	down, known := k.down[name]
	switch what {
	case "started":
		k.down[name] = false
	case "crashed":
		k.down[name] = true
	}
	if down != k.down[name] {
		if k.downs--; !down {
			k.downs += 2
		}
		k.mostDown = max(k.mostDown, k.downs)
	}
	if what != "started" || known {
		k.mark(name, what)
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// mark counts something that happened at a node.
func (k *sampler) mark(name, what string) {
	lane, r := "miners", k.r
	if h := r.w.Host(name); h == nil || h.IsValidator() {
		lane = name
	}
	now := r.w.now()
	key := markKey{lane, what, int64(now.Sub(r.p.Start) / max(r.p.End.Sub(r.p.Start)/markBins, 1))}
	i, ok := k.marks[key]
	switch {
	case ok:
		k.series.Marks[i].N++
	case len(k.series.Marks) >= maxMarks:
		k.series.MarksLeft++
	default:
		k.marks[key] = len(k.series.Marks)
		k.series.Marks = append(k.series.Marks, Mark{Lane: lane, What: what, At: now, N: 1})
	}
}

// open notes that a window began at a node.
func (k *sampler) open(id, what, name string) {
	s := k.series
	i, ok := k.windows[id]
	if !ok {
		i = -1
		if len(s.Windows) < maxWindows {
			i = len(s.Windows)
			w := FaultWindow{ID: id, What: what, From: k.r.w.now(), Open: true}
			w.Fault, _, _ = strings.Cut(id, "#")
			for j := range k.r.p.Scenario.Faults {
				if f := &k.r.p.Scenario.Faults[j]; f.Name == w.Fault {
					w.Target = f.Target
				}
			}
			s.Windows = append(s.Windows, w)
		} else {
			s.WindowsLeft++
		}
		k.windows[id] = i
	}
	if i >= 0 {
		s.Windows[i].Nodes = append(s.Windows[i].Nodes, name)
		s.Windows[i].lasting++
	}
}

// close notes that a window ended at a node.
func (k *sampler) close(id string) {
	i, ok := k.windows[id]
	if !ok || i < 0 {
		return
	}
	w := &k.series.Windows[i]
	if w.lasting--; w.lasting == 0 {
		w.Until, w.Open = k.r.w.now(), false
	}
}

// finish is the Series of a run that has ended.
func (k *sampler) finish() *Series {
	if k == nil {
		return nil
	}
	s, now := k.series, k.r.w.now()
	if len(s.At) == 0 || s.At[len(s.At)-1].Before(now) {
		k.sample()
	}
	for i := range s.Windows {
		if w := &s.Windows[i]; w.Open || !w.Until.Before(now) {
			w.Until, w.Open = now, true
		}
	}
	slices.SortStableFunc(s.Marks, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.What, b.What), a.At.Compare(b.At))
	})
	for _, d := range metric.Definitions() {
		if d.Type != metric.Distribution || d.Bench {
			continue
		}
		if x, ok := k.r.sample(&metric.Selector{Name: d.Name}); ok && x.Dist.Count() > 0 {
			s.Distributions = append(s.Distributions, distribution(d, x))
		}
	}
	return s
}

// mostBins of a distribution: a bar of each can still be pointed at on a phone.
const mostBins = 48

// distribution puts a sample into bins of equal ratio, as narrow as mostBins
// allow.
func distribution(d metric.Definition, x metric.Sample) Distribution {
	out := Distribution{Metric: d.Name, Unit: d.Unit, Count: x.Dist.Count()}
	low := max(x.Dist.Min(), 1)
	edges := []int64{}
	for _, ratio := range []float64{1.05, 1.1, 1.2, 1.5, 2, 4, 16} {
		edges = edges[:0]
		for e := float64(low); ; {
			next := max(e*ratio, e+1)
			edges = append(edges, int64(next))
			if e = next; int64(e) >= x.Dist.Max() || len(edges) > mostBins {
				break
			}
		}
		if len(edges) <= mostBins {
			break
		}
	}
	from := x.Dist.Min()
	for i, n := range x.Dist.Bins(edges) {
		out.Bins = append(out.Bins, Bin{float64(from) * x.Scale, float64(edges[i]) * x.Scale, n})
		from = edges[i]
	}
	return out
}
