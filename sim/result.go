package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bettensor/bus"
	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/sched"
)

// Result is a run as data. Its JSON is held stable: others build on it. Numbers
// throughout: wagered in cents, emission in rao over the run, weight a share,
// tier public (0 none), clv the mean of odds taken / closing odds and roi
// profit / wager over the run's settled predictions.
type Result struct {
	Scenario        string            `json:"scenario"`
	Seed            uint64            `json:"seed"`
	Scheme          string            `json:"scheme"`
	TraceHash       string            `json:"trace_hash"`
	Start           time.Time         `json:"start"`
	End             time.Time         `json:"end"`
	VirtualSeconds  float64           `json:"virtual_seconds"`
	WallSeconds     float64           `json:"wall_seconds"`
	Events          uint64            `json:"events"`
	EventsPerSecond float64           `json:"events_per_second"`
	Games           int               `json:"games"`
	Validators      []ValidatorResult `json:"validators"`
	Miners          []MinerResult     `json:"miners"`
	Invariants      []InvariantResult `json:"invariants"`
	Liveness        []LivenessCheck   `json:"liveness,omitempty"`
	Topics          []TopicResult     `json:"topics"`
	Tasks           []TaskResult      `json:"tasks"`
	FaultWindows    int               `json:"fault_windows"`
	Faults          []FaultResult     `json:"faults,omitempty"`
	Restarts        int               `json:"restarts"`
	Epochs          uint64            `json:"epochs"`
	// Metrics are all that were measured: each whole, and by each of its labels
	// that the scenario's groups, kinds and validators give sense.
	Metrics    []MetricResult    `json:"metrics"`
	Thresholds []ThresholdResult `json:"thresholds,omitempty"`
	Expect     []ExpectResult    `json:"expect,omitempty"`
	// Sometimes is every property, with those that the scenario wants marked.
	Sometimes []PropertyResult `json:"sometimes"`
	Replay    string           `json:"replay,omitempty"`
	// Chosen names what a swarm's seed has chosen: faults, and miners with their
	// number.
	Chosen []string `json:"chosen,omitempty"`
	// Stopped says what ended the run before its time; "" for a run to its end.
	Stopped string `json:"stopped,omitempty"`
	// Unended says of a run that was stopped by RunOptions.Limit what it was doing.
	Unended string `json:"unended,omitempty"`
	// Checked: a second run left the same trace.
	Checked bool `json:"checked,omitempty"`
	// Last lines of the trace, as many as the options asked for.
	Last []string `json:"-"`
	// Series is the course of the run, where the options asked for it.
	Series *Series `json:"-"`
	// Checkpoints of the running hash, one every 65,536 events: two runs that
	// differ are bisected by them.
	Checkpoints []uint64 `json:"-"`
}

// FirstDifference says where two runs parted.
func FirstDifference(a, b *Result) string {
	for i := range min(len(a.Checkpoints), len(b.Checkpoints)) {
		if a.Checkpoints[i] != b.Checkpoints[i] {
			return fmt.Sprintf("between events %d and %d", i*65536, (i+1)*65536)
		}
	}
	if a.TraceHash == b.TraceHash {
		return "in what the trace shows, not in what entered the loops"
	}
	return fmt.Sprintf("after event %d", min(len(a.Checkpoints), len(b.Checkpoints))*65536)
}

// ValidatorResult is one validator's part of a Result.
type ValidatorResult struct {
	UID           int     `json:"uid"`
	Hotkey        string  `json:"hotkey"`
	Name          string  `json:"name"`
	WeightsSet    uint64  `json:"weights_set"`
	WeightsFailed uint64  `json:"weights_failed"`
	VTrust        float64 `json:"vtrust"`
	Dividends     float64 `json:"dividends"`
	Emission      uint64  `json:"emission"`
	Restarts      int     `json:"restarts"`
}

// MinerResult is one miner's part of a Result.
type MinerResult struct {
	UID         int     `json:"uid"`
	Hotkey      string  `json:"hotkey"`
	Name        string  `json:"name"`
	Kind        string  `json:"kind"`
	Tier        int     `json:"tier"`
	Predictions int     `json:"predictions"`
	Accepted    int     `json:"accepted"`
	Rejected    int     `json:"rejected"`
	Wagered     int64   `json:"wagered"`
	ROI         float64 `json:"roi"`
	CLV         float64 `json:"clv"`
	Score       float64 `json:"score"`
	Weight      float64 `json:"weight"`
	Emission    uint64  `json:"emission"`
	// Attack is a raw peer's own count of what it did and what came of it.
	Attack *PeerStats `json:"attack,omitempty"`
}

// InvariantResult is one invariant's part of a Result.
type InvariantResult struct {
	Name       string `json:"name"`
	Checked    uint64 `json:"checked"`
	Violations uint64 `json:"violations"`
	First      string `json:"first,omitempty"`
	Disabled   string `json:"disabled,omitempty"`
	// At is when the first violation was found; the zero time where there is none.
	At time.Time `json:"at,omitzero"`
}

// MetricResult is one metric, narrowed by labels or not.
type MetricResult struct {
	Metric string `json:"metric"` // a selector, as in reward_share{group:random}
	Type   string `json:"type"`
	Unit   string `json:"unit,omitempty"`
	// Values by what a condition may ask: value, count, max, or for a distribution
	// count, min, avg, med, p(95), p(99) and max, of which only count is there
	// where nothing was measured.
	Values map[string]float64 `json:"values"`
}

// ThresholdResult is one condition of one threshold.
type ThresholdResult struct {
	Name   string  `json:"name"`
	Metric string  `json:"metric"`
	Expect string  `json:"expect"`
	Value  float64 `json:"value"` // what it was asked for; 0 where Missing
	Unit   string  `json:"unit,omitempty"`
	// Missing: the metric never got a sample, and so the condition is not kept.
	Missing bool `json:"missing,omitempty"`
	OK      bool `json:"ok"`
}

// ExpectResult is one comparison.
type ExpectResult struct {
	Name    string  `json:"name"`
	That    string  `json:"that"`
	A       float64 `json:"a"` // the sides, factors included
	B       float64 `json:"b"`
	Missing string  `json:"missing,omitempty"` // the metric that never got a sample
	OK      bool    `json:"ok"`
}

// PropertyResult is one property of the closed set.
type PropertyResult struct {
	Name    string `json:"name"`
	Reached uint64 `json:"reached"` // how often
	Wanted  bool   `json:"wanted,omitempty"`
}

// TopicResult sums a topic over all nodes and restarts.
type TopicResult struct {
	Name      string `json:"name"`
	Published uint64 `json:"published"`
	Delivered uint64 `json:"delivered"`
	Errors    uint64 `json:"errors"`
}

// TaskResult sums a task over all nodes and restarts.
type TaskResult struct {
	Name     string `json:"name"`
	Runs     uint64 `json:"runs"`
	Failures uint64 `json:"failures"`
	Retries  uint64 `json:"retries"`
}

// Violated counts the violations of invariants that are not disabled.
func (r *Result) Violated() (n uint64) {
	for _, i := range r.Invariants {
		if i.Disabled == "" {
			n += i.Violations
		}
	}
	return n
}

func (r *recorder) result() *Result {
	w, p := r.w, r.p
	r.totals = r.sumCounts()
	now := w.now()
	res := &Result{Scenario: p.Scenario.Name, Seed: p.Scenario.Seed, Scheme: p.Scenario.Scoring.Scheme,
		TraceHash: HashText(w.Sched.Hash()), Start: p.Start, End: p.End, VirtualSeconds: p.End.Sub(p.Start).Seconds(),
		Events: w.Sched.Events(), Games: len(p.Market.Fixtures()), FaultWindows: w.FaultWindows, Faults: w.faultResults(), Epochs: w.Chain.Epochs(), Chosen: p.Chosen}
	meta := w.Chain.Metagraph(now)
	shares := map[chain.UID]float64{}
	for i, h := range w.Hosts {
		res.Restarts += h.Restarts
		if !h.IsValidator() {
			continue
		}
		v := ValidatorResult{UID: -1, Hotkey: string(h.Hotkey), Name: h.Name, WeightsSet: r.votes[i].set, WeightsFailed: r.votes[i].failed,
			Restarts: h.Restarts, Emission: uint64(w.Chain.Earned(h.Hotkey).Total())}
		if uid, ok := meta.UIDOf(h.Hotkey); ok {
			v.UID, v.VTrust, v.Dividends = int(uid), w.Chain.VTrust(uid), w.Chain.Dividends(uid)
			if i == 0 {
				set, _ := w.Chain.Weights(uid)
				total := 0.0
				for _, x := range set.Values {
					total += float64(x)
				}
				for k, x := range set.Values {
					shares[set.UIDs[k]] = float64(x) / total
				}
			}
		}
		res.Validators = append(res.Validators, v)
	}
	for _, h := range w.Hosts {
		if h.IsValidator() {
			continue
		}
		t := r.miners[h.Hotkey]
		m := MinerResult{UID: -1, Hotkey: string(h.Hotkey), Name: h.Name, Kind: h.Kind, Predictions: t.made, Accepted: t.accepted,
			Rejected: t.rejected, Wagered: int64(t.wagered), Emission: uint64(w.Chain.Earned(h.Hotkey).Total())}
		if h.hostile() {
			sent := h.sent
			m.Attack, m.Predictions = &sent, int(sent.Predictions)
		}
		if uid, ok := meta.UIDOf(h.Hotkey); ok {
			m.UID, m.Weight = int(uid), shares[uid]
		}
		if t.settledWager > 0 {
			m.ROI = float64(t.profit) / float64(t.settledWager)
		}
		if t.priced > 0 {
			m.CLV = t.clv / float64(t.priced)
		}
		if v := w.Hosts[0].Validator; v != nil {
			s := v.Standing(h.Hotkey)
			m.Tier, m.Score = s.Tier, s.Score
		}
		res.Miners = append(res.Miners, m)
	}
	for _, c := range r.final {
		res.Invariants = append(res.Invariants, InvariantResult{Name: c.Name, Checked: c.Checked, Violations: c.Violations, First: c.First, At: c.At, Disabled: c.Disabled})
	}
	res.Metrics = r.everything()
	res.Sometimes = r.reached()
	all := r.gone
	for _, h := range w.Hosts {
		if s, ok := h.Stats(); ok {
			all = append(all, s)
		}
	}
	res.Checkpoints, res.Liveness = r.checkpoints, r.liveness
	res.Topics = sumTopics(all)
	res.Tasks = sumTasks(all)
	return res
}

func sumTopics(all []node.Stats) []TopicResult {
	return sum(all, func(s node.Stats) []bus.TopicStats { return s.Topics },
		func(t bus.TopicStats) string { return t.Name },
		func(name string) TopicResult { return TopicResult{Name: name} },
		func(r *TopicResult, t bus.TopicStats) {
			r.Published += t.Published
			r.Delivered += t.Delivered
			r.Errors += t.Errors
		}, func(r TopicResult) string { return r.Name })
}

func sumTasks(all []node.Stats) []TaskResult {
	return sum(all, func(s node.Stats) []sched.TaskStats { return s.Tasks },
		func(t sched.TaskStats) string { return t.Name },
		func(name string) TaskResult { return TaskResult{Name: name} },
		func(r *TaskResult, t sched.TaskStats) {
			r.Runs += t.Runs
			r.Failures += t.Failures
			r.Retries += t.Retries
		}, func(r TaskResult) string { return r.Name })
}

// sum adds up rows of the same name, sorted by name.
func sum[S, R any](all []node.Stats, rows func(node.Stats) []S, name func(S) string, make func(string) R, add func(*R, S), of func(R) string) []R {
	index := map[string]int{}
	var out []R
	for _, s := range all {
		for _, row := range rows(s) {
			i, ok := index[name(row)]
			if !ok {
				i = len(out)
				index[name(row)] = i
				out = append(out, make(name(row)))
			}
			add(&out[i], row)
		}
	}
	slices.SortFunc(out, func(a, b R) int { return cmp.Compare(of(a), of(b)) })
	return out
}

// String is the condition with what it was held against, in words.
func (t ThresholdResult) String() string {
	if t.Missing {
		return fmt.Sprintf("%s: %s: no sample, nothing was measured", t.Metric, t.Expect)
	}
	return fmt.Sprintf("%s: %s, is %s", t.Metric, t.Expect, figure(t.Value, t.Unit))
}

// String is the comparison with both sides' values, in words.
func (e ExpectResult) String() string {
	if e.Missing != "" {
		return fmt.Sprintf("%s: no sample of %s, nothing was measured", e.That, e.Missing)
	}
	return fmt.Sprintf("%s, is %s against %s", e.That, figure(e.A, ""), figure(e.B, ""))
}

// figure is a number as people read it; times are durations.
func figure(x float64, unit string) string {
	if unit == "s" {
		return time.Duration(x * 1e9).Round(time.Microsecond).String()
	}
	text := strconv.FormatFloat(x, 'g', 6, 64)
	if unit != "" {
		text += " " + unit
	}
	return text
}
