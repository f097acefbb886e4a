package web

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bettensor/node"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace is the first word of every series.
const namespace = "bettensor_"

// maxSeries of one name: the slots of the subnet. No label we have takes more
// values; a source that errs must not fill a Prometheus.
const maxSeries = 256

// series is one name on /metrics and where it comes from. docs/metrics.md is
// the same list for people, and a test compares the two.
type series struct {
	name   string // without namespace
	help   string
	kind   prometheus.ValueType
	labels []string
	of     func(s *Snapshot, emit emitter)
	// took is the distribution of a histogram, whose of is nil.
	took func(s *Snapshot) (Histogram, bool)
}

// emitter takes a value and the values of the labels, in their order.
type emitter func(value float64, labels ...string)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var allSeries = []series{
	{name: "build_info", help: "Always 1; the labels tell the program's version, the Go it was built with, and the node's role.", kind: gauge,
		labels: []string{"version", "go_version", "role"}, of: func(s *Snapshot, emit emitter) { emit(1, s.Version, runtime.Version(), s.Role) }},
	{name: "start_timestamp_seconds", help: "When the node was started.", kind: gauge,
		of: func(s *Snapshot, emit emitter) { instant(emit, s.Started) }},

	{name: "chain_head_timestamp_seconds", help: "Time of the newest block that is known.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if s.Chain != nil {
				instant(emit, s.Chain.HeadAt)
			}
		}},
	{name: "chain_head_block", help: "Number of the newest block that is known.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if s.Chain != nil {
				emit(float64(s.Chain.Head))
			}
		}},
	{name: "chain_finalized_block", help: "Number of the newest finalised block that is known.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if s.Chain != nil {
				emit(float64(s.Chain.Finalized))
			}
		}},
	{name: "chain_endpoint_up", help: "1 while the chain endpoint in use is connected and answers.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if s.Chain != nil {
				emit(truth(s.Chain.Up))
			}
		}},
	{name: "chain_requests_total", help: "Requests to the chain that have ended, by method and by how they ended.", kind: counter, labels: []string{"method", "outcome"},
		of: func(s *Snapshot, emit emitter) {
			if s.Chain != nil {
				for _, r := range s.Chain.Requests {
					emit(float64(r.Count), r.Method, r.Outcome)
				}
			}
		}},
	{name: "chain_request_duration_seconds", help: "How long a request to the chain took, however it ended.",
		took: func(s *Snapshot) (Histogram, bool) {
			if s.Chain == nil {
				return Histogram{}, false
			}
			return s.Chain.Took, true
		}},

	{name: "weights_attempts_total", help: "Epochs of the chain that are over, by what came of our weights in them.", kind: counter, labels: []string{"outcome"},
		of: func(s *Snapshot, emit emitter) { prefixed(emit, s, "weights", "epochs_") }},
	{name: "weights_last_success_timestamp_seconds", help: "When it was last learnt that weights of ours stand on the chain.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if w := s.weights(); w != nil {
				instant(emit, w.SetAt)
			}
		}},
	{name: "weights_blocks_since_update", help: "Blocks since the chain took weights or a commitment of ours.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if w := s.weights(); w != nil && w.Update > 0 {
				emit(float64(w.Since))
			}
		}},
	{name: "weights_missed_epochs", help: "Epochs in a row without weights of ours.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if w := s.weights(); w != nil {
				emit(float64(w.Missed))
			}
		}},
	{name: "weights_reveal_due_block", help: "Block at which committed weights are revealed; 0 while none are committed.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if w := s.weights(); w != nil {
				emit(float64(w.RevealAt))
			}
		}},
	{name: "weights_share_ratio", help: "Part of our weights that a slot is given; only with --http.per_uid.", kind: gauge, labels: []string{"uid"},
		of: func(s *Snapshot, emit emitter) {
			if w := s.weights(); w != nil {
				for _, x := range w.Slots {
					emit(x.Ours, strconv.FormatUint(uint64(x.UID), 10))
				}
			}
		}},

	{name: "predictions_total", help: "Predictions by their outcome, the reason of a refusal, and how they came or went.", kind: counter, labels: []string{"outcome", "reason", "transport"}, of: predictions},
	{name: "confirmation_duration_seconds", help: "From a prediction's receipt until it is durable and confirmed, by the node's clock.", took: timing("confirmation")},
	{name: "signature_checks_total", help: "Signatures checked, by outcome.", kind: counter, labels: []string{"outcome"},
		of: func(s *Snapshot, emit emitter) {
			if s.Sockets != nil {
				each(emit, s.Sockets.Signatures)
			}
		}},
	{name: "replays_rejected_total", help: "Messages refused because their nonce had been used.", kind: counter,
		of: func(s *Snapshot, emit emitter) {
			if s.Sockets != nil {
				emit(float64(s.Sockets.Replays))
			}
		}},
	{name: "connections", help: "Connections that are open, by transport.", kind: gauge, labels: []string{"transport"},
		of: func(s *Snapshot, emit emitter) {
			if s.Sockets != nil {
				each(emit, s.Sockets.Connections)
			}
		}},
	{name: "queue_length", help: "What waits in a queue.", kind: gauge, labels: []string{"queue"},
		of: func(s *Snapshot, emit emitter) {
			for _, q := range s.queues() {
				emit(float64(q.Length), q.Name)
			}
		}},
	{name: "queue_dropped_total", help: "What a queue had no room for.", kind: counter, labels: []string{"queue"},
		of: func(s *Snapshot, emit emitter) {
			for _, q := range s.queues() {
				emit(float64(q.Dropped), q.Name)
			}
		}},

	{name: "feed_age_seconds", help: "Time since a games feed last answered well.", kind: gauge, labels: []string{"feed"},
		of: func(s *Snapshot, emit emitter) {
			for _, f := range s.Feeds {
				if !f.Good.IsZero() {
					emit(max(0, s.At.Sub(f.Good).Seconds()), f.Name)
				}
			}
		}},
	{name: "feed_quota_remaining", help: "Requests left of a games feed's quota, where it has one.", kind: gauge, labels: []string{"feed"},
		of: func(s *Snapshot, emit emitter) {
			for _, f := range s.Feeds {
				if f.QuotaLeft != nil {
					emit(*f.QuotaLeft, f.Name)
				}
			}
		}},
	{name: "feed_corrections", help: "Changed results: heard, held now, taken, withdrawn.", kind: gauge, labels: []string{"state"},
		of: func(s *Snapshot, emit emitter) { prefixed(emit, s, "games", "corrections_") }},
	{name: "feed_requests_total", help: "Requests to a games feed, by how they ended.", kind: counter, labels: []string{"feed", "outcome"},
		of: func(s *Snapshot, emit emitter) {
			for _, f := range s.Feeds {
				for _, n := range f.Requests {
					emit(float64(n.Value), f.Name, n.Name)
				}
			}
		}},
	{name: "games_unsettled", help: "Games that have begun and have no result, by the time since their start.", kind: gauge, labels: []string{"age"},
		of: func(s *Snapshot, emit emitter) { prefixed(emit, s, "games", "unsettled_") }},
	{name: "scoring_duration_seconds", help: "How long a round of scoring took, by the node's clock.", took: timing("scoring")},
	{name: "store_commit_duration_seconds", help: "From a commit until it is durable, by the node's clock.", took: timing("commit")},
	{name: "store_free_bytes", help: "Free space on the store's disk.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if s.Store != nil {
				emit(float64(s.Store.Free))
			}
		}},

	{name: "loop_lag_seconds", help: "How long the newest thing handed to the loop had to wait.", kind: gauge,
		of: func(s *Snapshot, emit emitter) { emit(s.Loop.Lag.Seconds()) }},
	{name: "loop_events_total", help: "Events that the loop has handled.", kind: counter,
		of: func(s *Snapshot, emit emitter) { emit(float64(s.Loop.Events)) }},
	{name: "clock_offset_seconds", help: "Our clock less others'.", kind: gauge,
		of: func(s *Snapshot, emit emitter) {
			if s.Clock != nil {
				emit(s.Clock.Offset.Seconds())
			}
		}},
	{name: "service_ok", help: "1 while a service is in order.", kind: gauge, labels: []string{"service"},
		of: func(s *Snapshot, emit emitter) {
			if s.Node != nil {
				for _, x := range s.Node.Services {
					emit(truth(x.State == "ok"), x.Name)
				}
			}
		}},
	{name: "service_panics_total", help: "Panics of services.", kind: counter,
		of: func(s *Snapshot, emit emitter) {
			if s.Node != nil {
				emit(float64(s.Node.Panics))
			}
		}},
	{name: "task_runs_total", help: "Runs of a periodic task, retries included.", kind: counter, labels: []string{"task"},
		of: func(s *Snapshot, emit emitter) {
			if s.Node != nil {
				for _, t := range s.Node.Tasks {
					emit(float64(t.Runs), t.Name)
				}
			}
		}},
	{name: "task_failures_total", help: "Runs of a periodic task that failed.", kind: counter, labels: []string{"task"},
		of: func(s *Snapshot, emit emitter) {
			if s.Node != nil {
				for _, t := range s.Node.Tasks {
					emit(float64(t.Failures), t.Name)
				}
			}
		}},
	{name: "node_falls_total", help: "How often the node went down and was built again.", kind: counter,
		of: func(s *Snapshot, emit emitter) { emit(float64(s.Falls)) }},
	{name: "events_total", help: "Events published by the services, by topic.", kind: counter, labels: []string{"topic"},
		of: func(s *Snapshot, emit emitter) {
			if s.Node != nil {
				for _, t := range s.Node.Topics {
					emit(float64(t.Published), t.Name)
				}
			}
		}},
	{name: "alarm_active", help: "1 while an alarm is raised; docs/runbook.md says what to do about each code.", kind: gauge, labels: []string{"code"},
		of: func(s *Snapshot, emit emitter) {
			for _, code := range node.AlarmCodes() {
				on := false
				for _, a := range s.Alarms {
					on = on || a.Code == code
				}
				emit(truth(on), code.String())
			}
		}},
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// instant emits a time, and nothing for one that is not known.
func instant(emit emitter, t time.Time) {
	if !t.IsZero() {
		emit(float64(t.UnixMilli()) / 1e3)
	}
}

func each(emit emitter, counts node.Counts) {
	for _, c := range counts {
		emit(float64(c.Value), c.Name)
	}
}

// prefixed emits a service's counts whose names begin alike, by the rest.
func prefixed(emit emitter, s *Snapshot, service, prefix string) {
	if s.Node == nil {
		return
	}
	for _, c := range s.Node.Service(service).Counts {
		if rest, ok := strings.CutPrefix(c.Name, prefix); ok {
			emit(float64(c.Value), rest)
		}
	}
}

func timing(name string) func(*Snapshot) (Histogram, bool) {
	return func(s *Snapshot) (Histogram, bool) {
		if s.Node != nil {
			for i := range s.Node.Timings {
				if t := &s.Node.Timings[i]; t.Name == name {
					return Durations(&t.Took), true
				}
			}
		}
		return Histogram{}, false
	}
}

// collector makes series of a snapshot. Counters never go back, also where a
// node was built again and counts from nothing.
type collector struct {
	server *Server
	descs  []*prometheus.Desc
	up     *prometheus.Desc
	ready  *prometheus.Desc

	mu    sync.Mutex // one scrape at a time, so that snapshots come in order
	kept  map[string]*kept
	took  map[string]*keptHistogram
	round uint64
}

// kept is a counter as it was last told.
type kept struct {
	base, last float64
	round      uint64
}

type keptHistogram struct{ base, last Histogram }

// newMetrics makes the handler of /metrics, on a registry of its own.
func newMetrics(s *Server) http.Handler {
	c := &collector{server: s, kept: make(map[string]*kept), took: make(map[string]*keptHistogram),
		up:    prometheus.NewDesc(namespace+"up", "1 while the loop answers. Where it is 0, what comes from the loop is missing.", nil, nil),
		ready: prometheus.NewDesc(namespace+"ready", "1 while nothing stands against the node being ready.", nil, nil)}
	for _, x := range allSeries {
		c.descs = append(c.descs, prometheus.NewDesc(namespace+x.name, x.help, x.labels, nil))
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, Timeout: answerTimeout})
}

// Describe is of prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.up
	out <- c.ready
	for _, d := range c.descs {
		out <- d
	}
}

// Collect is of prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
	out <- prometheus.MustNewConstMetric(c.ready, gauge, truth(len(c.server.src.Ready()) == 0))
	s, err := c.server.snapshot(context.Background())
	out <- prometheus.MustNewConstMetric(c.up, gauge, truth(err == nil))
	if err != nil {
		return
	}
	for i := range allSeries {
		if x := &allSeries[i]; c.server.o.PerUID || !slices.Contains(x.labels, "uid") {
			c.collect(x, c.descs[i], &s, out)
		}
	}
}

func (c *collector) collect(x *series, desc *prometheus.Desc, s *Snapshot, out chan<- prometheus.Metric) {
	if x.took != nil {
		h, ok := x.took(s)
		if !ok || len(h.Counts) != len(h.Bounds)+1 {
			return
		}
		h = c.onwards(x.name, h)
		buckets, below := make(map[float64]uint64, len(h.Bounds)), uint64(0)
		for i, b := range h.Bounds {
			below += h.Counts[i]
			buckets[b] = below
		}
		if m, err := prometheus.NewConstHistogram(desc, below+h.Counts[len(h.Bounds)], h.Sum, buckets); err == nil {
			out <- m
		}
		return
	}
	n := 0
	x.of(s, func(value float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "?")
		}
		if n >= maxSeries {
			return
		}
		key := x.name + "\x00" + strings.Join(labels, "\x00")
		k := c.kept[key]
		if k == nil {
			if len(c.kept) >= maxSeries*len(allSeries) {
				return // a source whose labels never come twice
			}
			k = &kept{}
			c.kept[key] = k
		}
		if k.round == c.round {
			return // told twice
		}
		n++
		k.round = c.round
		if x.kind == counter {
			if value < k.last {
				k.base += k.last
			}
			k.last = value
			value += k.base
		}
		if m, err := prometheus.NewConstMetric(desc, x.kind, value, labels...); err == nil {
			out <- m
		}
	})
}

// onwards is a histogram on top of what was counted before it began anew.
func (c *collector) onwards(name string, h Histogram) Histogram {
	k := c.took[name]
	if k == nil || len(k.last.Counts) != len(h.Counts) {
		k = &keptHistogram{}
		c.took[name] = k
	}
	for i := range k.last.Counts {
		if h.Counts[i] < k.last.Counts[i] {
			k.base = k.last.plus(k.base)
			break
		}
	}
	k.last = h
	return h.plus(k.base)
}

// plus adds what was counted at the same bounds.
func (h Histogram) plus(b Histogram) Histogram {
	sum := Histogram{Bounds: h.Bounds, Counts: make([]uint64, len(h.Counts)), Sum: h.Sum + b.Sum}
	copy(sum.Counts, h.Counts)
	for i := range min(len(sum.Counts), len(b.Counts)) {
		sum.Counts[i] += b.Counts[i]
	}
	return sum
}

// predictions are a validator's by what became of them, and a miner's by what
// validators said. What is not told apart by transport came over WebSocket.
func predictions(s *Snapshot, emit emitter) {
	if s.Node == nil {
		return
	}
	if s.Role == "miner" {
		counts := s.Node.Service("communication").Counts
		for _, outcome := range []string{"submitted", "resubmitted", "confirmed", "rejected"} {
			if n, ok := counts.Get(outcome); ok {
				emit(float64(n), outcome, "", "")
			}
		}
		return
	}
	counts := s.Node.Service("predictions").Counts
	both := func(count, outcome, reason string) {
		all, ok := counts.Get(count)
		if !ok {
			return
		}
		polled, _ := counts.Get("polled_" + count)
		emit(float64(all-min(all, polled)), outcome, reason, "websocket")
		emit(float64(polled), outcome, reason, "http")
	}
	both("stored", "stored", "")
	both("duplicates", "duplicate", "")
	for _, c := range counts {
		if reason, ok := strings.CutPrefix(c.Name, "rejected_"); ok {
			both(c.Name, "rejected", reason)
		}
	}
}
