package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"bettensor/sim"
	"bettensor/sim/report"
)

// evil is what a name of a scenario may be.
const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>"'&`

var began = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// largest is a run of the greatest size that a page may have, with a name that
// means harm wherever one is shown.
func largest() *report.Run {
	r := &sim.Result{Scenario: evil, Seed: 7, Scheme: evil, TraceHash: "0123456789abcdef", Start: began, End: began.AddDate(0, 0, 100), Replay: "sim run " + evil,
		Chosen: []string{evil}, Stopped: evil, FaultWindows: 900}
	s := &sim.Series{WindowsLeft: 400, MarksLeft: 3}
	for i := range report.Samples {
		s.At = append(s.At, began.Add(time.Duration(i+1)*100*24*time.Hour/report.Samples))
		s.Accepted, s.Refused, s.Waiting, s.Down = append(s.Accepted, i*1000), append(s.Refused, i*10), append(s.Waiting, i%7), append(s.Down, i%2)
	}
	for k := range 24 {
		kind := sim.KindSeries{Kind: fmt.Sprint(evil, k), Count: 40}
		for i := range report.Samples {
			x := float64(i*k+1) / 7919
			kind.Low, kind.Median, kind.High = append(kind.Low, x/3), append(kind.Median, x/2), append(kind.High, x)
			kind.Emission, kind.Tiers = append(kind.Emission, x), append(kind.Tiers, []int{10, 10, 10, 5, 3, 2})
		}
		s.Kinds = append(s.Kinds, kind)
		for i := range 40 {
			r.Miners = append(r.Miners, sim.MinerResult{UID: 40*k + i, Name: fmt.Sprintf("%s-%d-%d", evil, k, i), Kind: kind.Kind, Accepted: 5, Emission: uint64(k+i) * 1e9})
		}
	}
	for i := range 500 {
		s.Windows = append(s.Windows, sim.FaultWindow{ID: fmt.Sprintf("%s#%d", evil, i), Fault: evil, What: evil, Target: evil, From: began, Until: began.Add(time.Hour), Nodes: []string{evil, evil, evil, evil}})
	}
	for i := range 4000 {
		s.Marks = append(s.Marks, sim.Mark{Lane: evil, What: evil, At: began.Add(time.Duration(i) * time.Minute), N: i})
	}
	for range 200 {
		s.Alarms = append(s.Alarms, sim.AlarmSpan{Node: evil, Code: evil, Why: evil, From: began, Until: began.Add(time.Hour)})
	}
	s.Distributions = []sim.Distribution{{Metric: evil, Unit: evil, Count: 1, Bins: []sim.Bin{{Low: 1, High: 2, N: 1}}}}
	r.Series = s
	r.Validators = []sim.ValidatorResult{{Name: evil}}
	r.Invariants = []sim.InvariantResult{{Name: evil, Violations: 1, Checked: 5, First: evil, At: began}, {Name: "off", Disabled: evil}, {Name: "idle"}, {Name: "good", Checked: 3}}
	r.Metrics = []sim.MetricResult{{Metric: evil, Type: "value", Values: map[string]float64{"value": 3}},
		{Metric: evil, Type: "distribution", Unit: "s", Values: map[string]float64{"count": 1, "min": 1, "med": 1, "p(95)": 1, "p(99)": 1, "max": 1}}}
	r.Thresholds = []sim.ThresholdResult{{Name: evil, Metric: evil, Expect: evil}}
	r.Expect = []sim.ExpectResult{{Name: evil, That: evil, OK: true}}
	r.Sometimes = []sim.PropertyResult{{Name: evil, Wanted: true}, {Name: evil}}
	r.Liveness = []sim.LivenessCheck{{Name: evil, Phase: evil, Checked: 9, Failed: 1, First: evil}, {Name: "books-equal", Phase: "heal", Checked: 4}}
	r.Topics, r.Tasks = []sim.TopicResult{{Name: evil, Published: 1}}, []sim.TaskResult{{Name: evil}}
	led := &report.Led{Failure: sim.Failure{Kind: evil, By: evil, First: evil}, At: began, There: evil, Smaller: evil, Safety: true}
	for i := range 3 * report.Lines {
		led.Lines = append(led.Lines, fmt.Sprintf("line %d %s %s", i, evil, strings.Repeat("x", 200)))
	}
	return &report.Run{Result: r, About: evil, Revision: evil, Led: led}
}

func write(t *testing.T, r *report.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestNamesAreText: whatever a name holds, a page has the elements that it has for
// any other name, and runs no script but its own.
func TestNamesAreText(t *testing.T) {
	page := write(t, largest())
	for _, bad := range []string{"<script>alert", "</script><script>", "<img", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("%d elements of script, want the data and the page's own", n)
	}
	if n := strings.Count(page, "&lt;script&gt;alert(1)"); n < 300 {
		t.Errorf("the name is shown %d times", n)
	}
}

// TestPageIsBounded: the greatest run makes a page of less than 2 MB, and says
// what it leaves out.
func TestPageIsBounded(t *testing.T) {
	page := write(t, largest())
	if len(page) >= 2<<20 {
		t.Errorf("%d bytes", len(page))
	}
	excerpt := page[strings.Index(page, `id="excerpt"`):]
	excerpt = excerpt[:strings.Index(excerpt, "</pre>")]
	if n := strings.Count(excerpt, "<span>"); n != report.Lines || !strings.Contains(excerpt, "line 599 ") {
		t.Errorf("%d lines of the trace, want the last %d", n, report.Lines)
	}
	for _, want := range []string{"The 300 that earned most; 660 more are in", "403 more windows and marks are not drawn", "500 windows of faults as a table (the first of 900)"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// sweepOf and comparisonOf make pages with a name that means harm wherever one is
// shown, and with more of everything than is shown.
func sweepOf(t *testing.T, name string) string {
	t.Helper()
	r := &sim.SweepResult{Seeds: 9000, Failed: 9000, Exit: sim.ExitSafety, Against: name, Parallel: 2, ByInvariant: map[string]int{name: 3, "books-equal": 5}}
	r.Scenarios = []sim.SweptScenario{{File: name, Scenario: name, Seeds: 9000, Stopped: true}}
	for i := range 9000 {
		r.Failures = append(r.Failures, sim.SeedFailure{File: name, Seed: uint64(i), Failure: sim.Failure{Exit: sim.ExitSafety, Kind: "invariant", By: fmt.Sprint(name, i%300), First: name}, Replay: "sim run " + name})
	}
	r.Sometimes = []sim.SweptProperty{{Scenario: name, Name: name}, {Scenario: name, Name: "settled", Seeds: 4, Reached: 5000}}
	r.Kinds = []sim.KindSpread{{Scenario: name, Kind: name, Miners: 2, Runs: 9000, Mean: 3e9, Share: 0.25, CLV: 1}, {Scenario: name, Kind: "idle", Runs: 9000}}
	var b bytes.Buffer
	if err := report.WriteSweep(&b, &report.Sweep{Result: r, Revision: name, Smaller: func(f sim.SeedFailure) string { return "sim shrink " + f.File }}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func comparisonOf(t *testing.T, name string) string {
	t.Helper()
	half := 0.5
	c := &sim.Comparison{A: sim.Side{File: name, Scenario: name, Scheme: name, Replay: name}, B: sim.Side{File: name, Scenario: name, Scheme: name, Replay: name}, Seeds: 50, From: 1, To: 50, PerMiner: "TAO",
		Differs: []string{name}, SkillCorrelation: sim.Pair{B: &half}, Trust: []sim.ValidatorPair{{Validator: name}}, Exit: sim.ExitThreshold}
	c.Kinds = []sim.KindComparison{{Kind: name, Miners: 3, A: &sim.Share{Share: 0.25, Low: 0.125, High: 0.5, Emission: 12}, B: &sim.Share{Share: 0.5, Low: 0.25, High: 1, Random: &sim.Interval{Mean: 4, Low: 3, High: 5}}, Difference: &sim.Interval{Mean: 0.25, Low: -0.125, High: 0.5}},
		{Kind: "absent", A: &sim.Share{Share: 0.1}}}
	for i := range 300 {
		c.Failures = append(c.Failures, sim.ComparedFailure{Side: "a", Seed: uint64(i), Failure: sim.Failure{Exit: sim.ExitThreshold, Kind: "threshold", By: name, First: name}, Replay: "sim run " + name})
	}
	var b bytes.Buffer
	if err := report.WriteComparison(&b, c, name); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPagesOfManyRuns: the pages of a sweep and of a comparison take names as text,
// load nothing, run one script, and are bounded; they tell what failed with its
// commands, what was not reached, and what was not measured.
func TestPagesOfManyRuns(t *testing.T) {
	for _, c := range []struct {
		page string
		want []string
	}{
		{sweepOf(t, evil), []string{"exit code 2", "30 of 9000 seeds", " and 10 more", "200 more are in", "sim shrink ", "not reached</span>", "reached</span><td class=\"number\" data-v=\"4\">4", "9000, stopped",
			`<rect class="fill" width="25.0" height="8"/>`, `<th scope="row">books-equal`}},
		{comparisonOf(t, evil), []string{"300 failures, exit code 5", "200 more are in", "b: does not play", "<td class=\"number\">–<td class=\"number\">0.500</tr>", "4.00 (3.00 to 5.00)", "&#43;25.0\u202f%", "-12.5\u202f% to &#43;50.0\u202f%",
			`<rect class="fill" width="25.0" height="8"/><rect class="interval" x="12.5" y="3" width="37.5" height="2"/>`, `<span class="warn">differ</span>`}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.page, want) {
				t.Errorf("the page does not hold %q", want)
			}
		}
		for _, bad := range []string{"<script>alert", "</script><script>", "<img", "ZgotmplZ"} {
			if strings.Contains(c.page, bad) {
				t.Errorf("the page holds %q", bad)
			}
		}
		if n := strings.Count(c.page, "<script"); n != 1 || len(c.page) > 500_000 {
			t.Errorf("%d scripts, %d bytes", n, len(c.page))
		}
	}
}

// TestPageNeedsNothing: no page loads anything from anywhere.
func TestPageNeedsNothing(t *testing.T) {
	page := write(t, &report.Run{Result: &sim.Result{Scenario: "x", Start: began, End: began}})
	all := page + sweepOf(t, "x") + comparisonOf(t, "x")
	for _, loads := range []string{`(?i)<link`, `(?i)\bsrc=`, `(?i)@import`, `(?i)\burl\((?:[^#$]|$)`, `(?i)fetch\(`, `XMLHttpRequest`, `WebSocket\(`} {
		if m := regexp.MustCompile(loads).FindString(all); m != "" {
			t.Errorf("the page holds %q", m)
		}
	}
	if !strings.Contains(page, `content="default-src &#39;none&#39;; `) {
		t.Error("the page does not forbid all that is not its own")
	}
	for _, absent := range []string{`id="course"`, `id="failed"`, `id="data"`} {
		if strings.Contains(page, absent) {
			t.Errorf("a run without a course and a failure has %s", absent)
		}
	}
}

// TestPageTellsResults: each way that a check can end is told in words.
func TestPageTellsResults(t *testing.T) {
	r := largest()
	r.Result.Scenario, r.About = "plain", "of a test"
	page := write(t, r)
	for _, want := range []string{"<title>FAILED: plain, seed 7</title>", "</span> violated</span> first at 2026-03-01 00:00:00", "</span> disabled</span>: ", "</span> nothing to check</span>",
		"</span> holds</span>", "</span> broken</span>", "</span> kept</span>", "</span> not settled</span>: ", "</span> settled</span>", "never reached</li>", "<code>0123456789abcdef</code>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	good := write(t, &report.Run{Result: &sim.Result{Scenario: "x", Start: began, End: began}})
	if !strings.Contains(good, "<title>passed: x, seed 0</title>") || !strings.Contains(good, `class="good"><span aria-hidden="true">✓</span> Passed`) {
		t.Error("a run that passed is not said to have")
	}
}

// TestTimeline: violations come first and in order of time, then faults by
// target, then nodes; a lane's marks are those of one kind after another.
func TestTimeline(t *testing.T) {
	at := func(h int) time.Time { return began.Add(time.Duration(h) * time.Hour) }
	r := &sim.Result{Scenario: "x", Start: began, End: at(48), Validators: []sim.ValidatorResult{{Name: "v0"}}}
	r.Invariants = []sim.InvariantResult{{Name: "b", Violations: 2, At: at(9)}, {Name: "off", Violations: 1, Disabled: "why", At: at(1)}, {Name: "a", Violations: 1, At: at(2)}}
	r.Series = &sim.Series{At: []time.Time{at(24), at(48)}, Accepted: []int{5, 12}, Refused: []int{0, 1}, Waiting: []int{3, 0}, Down: []int{1, 0},
		Windows: []sim.FaultWindow{{ID: "cut#1", Fault: "cut", What: "miner.disconnect", Target: "validators", From: at(3), Until: at(4), Nodes: []string{"v0"}},
			{ID: "lag#1", Fault: "lag", What: "network.delay", Target: "miners", From: at(5), Until: at(6), Nodes: []string{"a", "b", "c", "d"}},
			{ID: "cut#2", Fault: "cut", What: "miner.disconnect", Target: "validators", From: at(7), Until: at(8), Nodes: []string{"v0"}}},
		Marks:  []sim.Mark{{Lane: "v0", What: "crashed", At: at(3), N: 1}, {Lane: "v0", What: "weights_set", At: at(2), N: 4}},
		Alarms: []sim.AlarmSpan{{Node: "v0", Code: "chain_stale", Why: "no block", From: at(10), Until: at(11)}}}
	page := write(t, &report.Run{Result: r})
	_, data, _ := strings.Cut(page, `id="data">`)
	data, _, _ = strings.Cut(data, "</script>")
	var got struct {
		Counts []struct{ V []int }
		Lanes  []struct {
			Name, Class string
			Spans       []struct{ Text string }
			Marks       []struct {
				At int64
				N  int
			}
		}
	}
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, l := range got.Lanes {
		text += l.Class + " " + l.Name
		for _, s := range l.Spans {
			text += ", " + s.Text
		}
		for _, m := range l.Marks {
			text += fmt.Sprintf(", %dh ×%d", m.At/3600e3, m.N)
		}
		text += "\n"
	}
	want := `violation violations, 2h ×1, 9h ×2
fault lag, lag#1 network.delay, a and 3 more
fault cut, cut#1 miner.disconnect, v0, cut#2 miner.disconnect, v0
node v0, 3h ×1, 2h ×4
alarm v0 alarms, chain_stale: no block
`
	if text != want {
		t.Errorf("lanes\n%swant\n%s", text, want)
	}
	if fmt.Sprint(got.Counts) != "[{[5 7]} {[0 1]} {[3 0]} {[1 0]}]" {
		t.Errorf("counts %v", got.Counts)
	}
}

// full is a disk with so much room.
type full struct{ room int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestWriteFails: a page that could not be written is a failure.
func TestWriteFails(t *testing.T) {
	r := &report.Run{Result: &sim.Result{Scenario: "x", Start: began, End: began}}
	size := len(write(t, r))
	for room, want := range map[int]error{0: errFull, size - 1: errFull, size: nil} {
		if err := report.Write(&full{room}, r); !errors.Is(err, want) {
			t.Errorf("room for %d of %d bytes: error %v, want %v", room, size, err, want)
		}
	}
}
