package web

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bettensor/bus"
	"bettensor/node"

	"pgregory.net/rapid"
)

// scrape is what /metrics said: kinds and helps by name, values by series.
type scrape struct {
	kinds, helps map[string]string
	values       map[string]float64
}

func scraped(t *testing.T, s *Server) scrape {
	t.Helper()
	code, body, _ := get(t, s, "/metrics")
	if code != 200 {
		t.Fatalf("status %d: %s", code, body)
	}
	out := scrape{map[string]string{}, map[string]string{}, map[string]float64{}}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			out.helps[name] = help
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			out.kinds[name] = kind
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out.values[line[:i]] = v
	}
	return out
}

// promised are the series that dashboards and alerts may rest on, with their
// labels. Held stable.
var promised = []struct{ name, kind, labels string }{
	{"build_info", "gauge", "go_version role version"},
	{"chain_head_timestamp_seconds", "gauge", ""},
	{"chain_finalized_block", "gauge", ""},
	{"chain_endpoint_up", "gauge", ""},
	{"chain_requests_total", "counter", "method outcome"},
	{"chain_request_duration_seconds", "histogram", ""},
	{"weights_attempts_total", "counter", "outcome"},
	{"weights_last_success_timestamp_seconds", "gauge", ""},
	{"weights_blocks_since_update", "gauge", ""},
	{"weights_reveal_due_block", "gauge", ""},
	{"predictions_total", "counter", "outcome reason transport"},
	{"confirmation_duration_seconds", "histogram", ""},
	{"signature_checks_total", "counter", "outcome"},
	{"replays_rejected_total", "counter", ""},
	{"connections", "gauge", "transport"},
	{"queue_length", "gauge", "queue"},
	{"queue_dropped_total", "counter", "queue"},
	{"feed_age_seconds", "gauge", "feed"},
	{"feed_quota_remaining", "gauge", "feed"},
	{"games_unsettled", "gauge", "age"},
	{"scoring_duration_seconds", "histogram", ""},
	{"store_commit_duration_seconds", "histogram", ""},
	{"store_free_bytes", "gauge", ""},
	{"loop_lag_seconds", "gauge", ""},
	{"clock_offset_seconds", "gauge", ""},
	{"alarm_active", "gauge", "code"},
}

func TestEveryPromisedMetricIsThere(t *testing.T) {
	got := scraped(t, begin(t, running()))
	for _, p := range promised {
		name := namespace + p.name
		if got.kinds[name] != p.kind {
			t.Errorf("%s is a %q, want %q", name, got.kinds[name], p.kind)
		}
		if got.helps[name] == "" {
			t.Errorf("%s has no help", name)
		}
		sample := name
		if p.kind == "histogram" {
			sample += "_count"
		}
		labels, found := "", false
		for series := range got.values {
			if n, rest, _ := strings.Cut(series, "{"); n == sample {
				var names []string
				for _, m := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(rest, -1) {
					names = append(names, m[1])
				}
				slices.Sort(names)
				labels, found = strings.Join(names, " "), true
			}
		}
		if !found || labels != p.labels {
			t.Errorf("%s: there %t, labels %q, want %q", name, found, labels, p.labels)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes"} {
		if got.kinds[name] == "" {
			t.Errorf("no %s", name)
		}
	}
}

func TestMetricsAreMadeOfTheSnapshot(t *testing.T) {
	got := scraped(t, begin(t, running()))
	for series, want := range map[string]float64{
		`build_info{go_version="*",role="validator",version="v1.2.3"}`: 1,
		`up`:                           1,
		`ready`:                        1,
		`chain_head_timestamp_seconds`: 1772366396,
		`chain_head_block`:             5000,
		`chain_finalized_block`:        4997,
		`chain_endpoint_up`:            1,
		`chain_requests_total{method="author_submit",outcome="refused"}`:            2,
		`weights_attempts_total{outcome="set"}`:                                     5,
		`weights_last_success_timestamp_seconds`:                                    1772365200,
		`weights_blocks_since_update`:                                               100,
		`weights_reveal_due_block`:                                                  5100,
		`weights_missed_epochs`:                                                     2,
		`predictions_total{outcome="stored",reason="",transport="websocket"}`:       70,
		`predictions_total{outcome="stored",reason="",transport="http"}`:            30,
		`predictions_total{outcome="duplicate",reason="",transport="websocket"}`:    2,
		`predictions_total{outcome="rejected",reason="late",transport="http"}`:      2,
		`predictions_total{outcome="rejected",reason="late",transport="websocket"}`: 4,
		`signature_checks_total{outcome="bad"}`:                                     9,
		`replays_rejected_total`:                                                    4,
		`connections{transport="websocket"}`:                                        40,
		`queue_length{queue="frames"}`:                                              2,
		`queue_dropped_total{queue="frames"}`:                                       5,
		`feed_age_seconds{feed="odds_api"}`:                                         90,
		`feed_quota_remaining{feed="odds_api"}`:                                     412,
		`games_unsettled{age="3h"}`:                                                 4,
		`games_unsettled{age="older"}`:                                              1,
		`store_free_bytes`:                                                          8 << 30,
		`loop_lag_seconds`:                                                          0.002,
		`clock_offset_seconds`:                                                      -0.015,
		`service_ok{service="predictions"}`:                                         0,
		`service_ok{service="games"}`:                                               1,
		`alarm_active{code="no_permit"}`:                                            1,
		`alarm_active{code="foreign_key"}`:                                          0,
		`confirmation_duration_seconds_count`:                                       4,
		`confirmation_duration_seconds_bucket{le="0.000131072"}`:                    1,
		`confirmation_duration_seconds_bucket{le="0.001048576"}`:                    2,
		`confirmation_duration_seconds_bucket{le="0.004194304"}`:                    3,
		`confirmation_duration_seconds_bucket{le="137.438953472"}`:                  3,
		`confirmation_duration_seconds_bucket{le="+Inf"}`:                           4,
		`confirmation_duration_seconds_sum`:                                         3600.004001,
	} {
		found := false
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(namespace+series), `\*`, `[^"]*`) + "$")
		for name, v := range got.values {
			if pattern.MatchString(name) {
				found = true
				if math.Abs(v-want) > 1e-6*math.Max(1, math.Abs(want)) && !strings.Contains(name, "timestamp") || v != math.Trunc(v) && strings.Contains(name, "count") {
					t.Errorf("%s is %v, want %v", name, v, want)
				}
				if strings.Contains(name, "timestamp") && v != want {
					t.Errorf("%s is %f, want %f", name, v, want)
				}
			}
		}
		if !found {
			t.Errorf("no %s", series)
		}
	}
}

func TestSlotsAreSeriesOnlyOnRequest(t *testing.T) {
	slots := func(s scrape) (n int) {
		for name := range s.values {
			if strings.Contains(name, `uid="`) {
				n++
			}
		}
		return n
	}
	if n := slots(scraped(t, begin(t, running()))); n != 0 {
		t.Errorf("%d series with a uid, want none", n)
	}
	if n := slots(scraped(t, begin(t, running(), func(o *Options) { o.PerUID = true }))); n != 2 {
		t.Errorf("%d series with a uid, want 2", n)
	}
}

func TestMetricsOfASilentLoop(t *testing.T) {
	f := running()
	f.err, f.against = errSilent, []Reason{{"chain_head_fresh", "x"}}
	got := scraped(t, begin(t, f))
	if got.values["bettensor_up"] != 0 || got.values["bettensor_ready"] != 0 || got.kinds["bettensor_up"] == "" || got.kinds["go_goroutines"] == "" {
		t.Errorf("up %v, ready %v", got.values["bettensor_up"], got.values["bettensor_ready"])
	}
	if _, told := got.values["bettensor_chain_head_block"]; told {
		t.Error("tells of a head that it cannot know")
	}
}

func TestSeriesAreBounded(t *testing.T) {
	f := running()
	for i := range 3 * maxSeries {
		f.snap.Chain.Requests = append(f.snap.Chain.Requests, Requests{fmt.Sprint("m", i), "ok\xff", 1})
	}
	f.snap.Feeds = append(f.snap.Feeds, f.snap.Feeds...) // twice the same is told once
	s := begin(t, f)
	for range 2 {
		n := 0
		for name := range scraped(t, s).values {
			if strings.HasPrefix(name, "bettensor_chain_requests_total{") {
				n++
			}
		}
		if n != maxSeries {
			t.Errorf("%d series, want %d", n, maxSeries)
		}
	}
}

// TestCountersNeverGoBack: a node that is built again counts from nothing, and
// what is told of it goes on.
func TestCountersNeverGoBack(t *testing.T) {
	f := running()
	s := begin(t, f)
	first := scraped(t, s)
	f.set(func(f *fake) { f.snap = whole(); *f.snap.Node = node.Stats{Timings: []node.Timing{{Name: "commit"}}} }) // built again
	again := scraped(t, s)
	f.set(func(f *fake) { f.snap = whole() })
	third := scraped(t, s)
	rising := 0
	for name, before := range first.values {
		base, _, _ := strings.Cut(name, "{")
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !strings.HasPrefix(base, namespace) || first.kinds[base] == "gauge" {
			continue
		}
		if v, told := again.values[name]; told && v < before {
			t.Errorf("%s went from %v to %v", name, before, v)
		}
		if third.values[name] < before {
			t.Errorf("%s went from %v to %v", name, before, third.values[name])
		}
		rising++
	}
	if rising < 20 {
		t.Fatalf("only %d counters looked at", rising)
	}
	if got := third.values["bettensor_store_commit_duration_seconds_count"]; got != 8 {
		t.Errorf("4 commits before and 4 after are %v", got)
	}
}

// TestOnwardsIsTheSumOfItsLives: whatever a counter did, what is told is the sum
// of what each life reached.
func TestOnwardsIsTheSumOfItsLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &collector{took: map[string]*keptHistogram{}}
		var gone, here uint64
		var h bus.Histogram
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "built again") && here > 0 {
				// It is seen after it has counted something less.
				gone, here, h = gone+here, 0, bus.Histogram{}
			} else {
				h.Add(1)
				here++
			}
			got := c.onwards("x", Durations(&h))
			var sum uint64
			for _, n := range got.Counts {
				sum += n
			}
			if sum != gone+here {
				t.Fatalf("told %d, want %d and %d", sum, gone, here)
			}
		}
	})
}

func TestDurationsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h bus.Histogram
		times := rapid.SliceOf(rapid.Int64Range(0, 1<<42)).Draw(t, "ns")
		for _, ns := range times {
			h.Add(time.Duration(ns))
		}
		got := Durations(&h)
		if len(got.Counts) != len(got.Bounds)+1 || !slices.IsSorted(got.Bounds) {
			t.Fatalf("%d counts, %d bounds", len(got.Counts), len(got.Bounds))
		}
		below := uint64(0)
		for i, b := range got.Bounds {
			below += got.Counts[i]
			want := uint64(0)
			for _, ns := range times {
				if float64(ns)/1e9 < b {
					want++
				}
			}
			if below != want {
				t.Fatalf("%d below %g s, want %d", below, b, want)
			}
		}
		if total := below + got.Counts[len(got.Bounds)]; total != uint64(len(times)) {
			t.Fatalf("%d of %d", total, len(times))
		}
	})
}

// TestEverySeriesIsDocumented: docs/metrics.md is the same list.
func TestEverySeriesIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(bettensor_[a-z_]+)(?:\\{([a-z_, ]*)\\})?` \\| (\\w+) \\|").FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1]+" "+strings.ReplaceAll(m[2], " ", "")+" "+m[3])
	}
	kind := map[bool]string{true: "counter", false: "gauge"}
	for _, x := range allSeries {
		k := kind[x.kind == counter]
		if x.took != nil {
			k = "histogram"
		}
		want = append(want, namespace+x.name+" "+strings.Join(x.labels, ",")+" "+k)
	}
	want = append(want, namespace+"up  gauge", namespace+"ready  gauge")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("documented:\n%s\nexported:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNamesAreWellFormed: base units, suffixes by kind, a help that ends.
func TestNamesAreWellFormed(t *testing.T) {
	for _, x := range allSeries {
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(x.name) {
			t.Errorf("%s is no name", x.name)
		}
		if (x.kind == counter) != strings.HasSuffix(x.name, "_total") {
			t.Errorf("%s: counters, and they alone, end in _total", x.name)
		}
		if x.took != nil && !strings.HasSuffix(x.name, "_duration_seconds") {
			t.Errorf("%s: a histogram that is no duration", x.name)
		}
		if !strings.HasSuffix(x.help, ".") {
			t.Errorf("%s: %q is no sentence", x.name, x.help)
		}
		if (x.took == nil) == (x.of == nil) {
			t.Errorf("%s has no source, or two", x.name)
		}
	}
}

func BenchmarkMetrics(b *testing.B) {
	f := running()
	s, err := New(Options{}, f.source())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.metrics.ServeHTTP(discard{}, request(b))
	}
}
