package node

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/bus"
	"bettensor/node/chain"
	"bettensor/store"

	"github.com/google/go-cmp/cmp"
)

func TestAlarmIsSaidOnceAndOnceMoreWhenOver(t *testing.T) {
	var out bytes.Buffer
	now := t0
	a := NewAlarms(func() time.Time { return now }, slog.New(slog.NewJSONHandler(&out, nil)))
	lines := func() (got []map[string]any) {
		for line := range strings.Lines(out.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			got = append(got, m)
		}
		out.Reset()
		return got
	}

	a.Clear(AlarmForeignKey)
	if got := lines(); len(got) > 0 {
		t.Errorf("what was not raised is over: %v", got)
	}
	a.Raise(AlarmForeignKey, "nonce 7 is not ours", "block", 12)
	now = now.Add(time.Minute)
	a.Raise(AlarmForeignKey, "nonce 9 is not ours")
	got := lines()
	if len(got) != 1 || got[0]["level"] != "ERROR" || got[0]["code"] != "foreign_key" || got[0]["err"] != "nonce 7 is not ours" ||
		got[0]["runbook"] != "docs/runbook.md#foreign_key" || got[0]["fix"] == "" || got[0]["block"] != 12.0 {
		t.Errorf("raised twice: %v", got)
	}
	a.Raise(AlarmWeightsMissed, "two tempos")
	want := []Alarm{{AlarmWeightsMissed, now, "two tempos"}, {AlarmForeignKey, t0, "nonce 9 is not ours"}}
	if d := cmp.Diff(want, a.List()); d != "" {
		t.Error(d)
	}
	lines()
	a.Clear(AlarmForeignKey)
	a.Clear(AlarmForeignKey)
	if got := lines(); len(got) != 1 || got[0]["level"] != "INFO" || got[0]["code"] != "foreign_key" || got[0]["lasted"] != "1m0s" {
		t.Errorf("over: %v", got)
	}
	if a.Active(AlarmForeignKey) || !a.Active(AlarmWeightsMissed) || a.Raised(AlarmForeignKey) != 1 {
		t.Errorf("%v", a.List())
	}
	a.Set(AlarmForeignKey, true, "again")
	a.Set(AlarmWeightsMissed, false, "")
	if a.Raised(AlarmForeignKey) != 2 || a.List()[0].Why != "again" || len(a.List()) != 1 {
		t.Errorf("%v", a.List())
	}
}

func TestAlarmCodesHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for _, code := range AlarmCodes() {
		word := code.String()
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(word) || seen[word] || code.Fix() == "" {
			t.Errorf("alarm %d is %q, fix %q", code, word, code.Fix())
		}
		seen[word] = true
		var back AlarmCode
		if err := back.UnmarshalText([]byte(word)); err != nil || back != code {
			t.Errorf("%s reads as %v, %v", word, back, err)
		}
	}
	var code AlarmCode
	if err := code.UnmarshalText([]byte("nosuch")); err == nil {
		t.Error("nosuch is an alarm")
	}
	if alarmCount.String() != "alarm(18)" || alarmCount.Fix() != "" {
		t.Errorf("beyond the last: %v %q", alarmCount, alarmCount.Fix())
	}
}

// TestEveryAlarmIsInTheRunbook: a section for each code, in their order, and none
// for what is no alarm.
func TestEveryAlarmIsInTheRunbook(t *testing.T) {
	text, err := os.ReadFile("../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, code := range AlarmCodes() {
		want = append(want, code.String())
	}
	sections := regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatchIndex(string(text), -1)
	for i, m := range sections {
		got = append(got, string(text[m[2]:m[3]]))
		end := len(text)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		for _, part := range []string{"**Means:**", "**Look:**", "**Do:**"} {
			if !strings.Contains(string(text[m[3]:end]), part) {
				t.Errorf("%s does not say %s", got[i], part)
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// alarmed says which alarms a node has.
func (n *rigNode) alarmed() (codes []AlarmCode) {
	var s Stats
	if n.v != nil {
		s = n.v.Stats()
	} else {
		s = n.m.Stats()
	}
	for _, a := range s.Alarms {
		codes = append(codes, a.Code)
	}
	return codes
}

func TestSilentFeedIsAnAlarm(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0", func(c *ValidatorConfig) { c.FeedInterval = time.Minute })
	r.run(10 * time.Minute)
	if got := v.alarmed(); slices.Contains(got, AlarmFeedStale) {
		t.Fatalf("alarms %v while the feed answers", got)
	}
	r.feedDown = true
	r.run(4 * time.Minute)
	if got := v.alarmed(); slices.Contains(got, AlarmFeedStale) {
		t.Errorf("alarms %v after four polls", got)
	}
	r.run(6 * time.Minute)
	if got := v.alarmed(); !slices.Contains(got, AlarmFeedStale) {
		t.Errorf("alarms %v after ten polls", got)
	}
	r.feedDown = false
	r.run(3 * time.Minute)
	if got := v.alarmed(); slices.Contains(got, AlarmFeedStale) {
		t.Errorf("alarms %v though the feed answers again", got)
	}
}

func TestPanicIsAnAlarmUntilTheServiceIsBack(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0")
	r.run(time.Minute)
	r.poisoned = chain.OpSync
	r.until("the metagraph service panics", time.Hour, func() bool { return v.service("metagraph").State == "rebuilding" })
	if got := v.alarmed(); !slices.Contains(got, AlarmServiceFailed) {
		t.Errorf("alarms %v after a panic", got)
	}
	r.poisoned = 0
	r.until("it is built again", time.Hour, func() bool { return v.service("metagraph").State == "ok" })
	if got := v.alarmed(); slices.Contains(got, AlarmServiceFailed) {
		t.Errorf("alarms %v though it was built again", got)
	}
}

func TestFailedStoreIsAnAlarm(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0")
	r.run(time.Minute)
	v.silent = true
	core := v.v.core
	core.storeFailed(store.ErrUnknown)
	if !core.alarms.Active(AlarmStoreFailed) || core.working() {
		t.Errorf("alarms %v, working %t", core.alarms.List(), core.working())
	}
}

func TestCountsAreAnObjectInOrder(t *testing.T) {
	want := Counts{{"zebra", 1}, {"ant", 18446744073709551615}, {`quo"te`, 0}}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"zebra":1,"ant":18446744073709551615,"quo\"te":0}` {
		t.Fatalf("%s, %v", text, err)
	}
	var got Counts
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if v, ok := got.Get("ant"); v != 18446744073709551615 || !ok {
		t.Error(v, ok)
	}
	if _, ok := got.Get("nosuch"); ok {
		t.Error("nosuch is there")
	}
	for _, bad := range []string{`[]`, `{"a":-1}`, `{"a":"1"}`, `{"a":1.5}`, `7`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s reads as %v", bad, got)
		}
	}
	if err := json.Unmarshal([]byte("null"), &got); err != nil || got != nil {
		t.Errorf("null reads as %v, %v", got, err)
	}
}

func FuzzCounts(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":2}`))
	f.Add([]byte(`{"a":1e3,"a":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c, back Counts
		if json.Unmarshal(data, &c) != nil {
			return
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &back); err != nil || !slices.Equal(c, back) {
			t.Errorf("%v reads back as %v, %v", c, back, err)
		}
	})
}

func TestTimingsMatchCommitsToTheirEnd(t *testing.T) {
	var m timings
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	m.committed(3, at(0))
	m.committed(3, at(1)) // nothing new
	m.committed(5, at(2))
	m.durable(2, at(3)) // of the first group only a part
	if len(m.marks) != 2 || m.commit != (bus.Histogram{}) {
		t.Fatalf("%+v", m.marks)
	}
	m.durable(4, at(4)) // the first
	m.durable(5, at(7)) // the second
	var want bus.Histogram
	want.Add(4 * time.Second)
	want.Add(5 * time.Second)
	if d := cmp.Diff(want, m.commit); d != "" || len(m.marks) != 0 {
		t.Errorf("%s; %d left", d, len(m.marks))
	}
}

func TestValidatorTimesWhatItDoes(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0")
	r.run(3 * time.Hour)
	for _, x := range v.v.Stats().Timings {
		n := uint64(0)
		for _, c := range x.Took.Counts {
			n += c
		}
		if x.Name != "confirmation" && n == 0 {
			t.Errorf("%s was never timed", x.Name)
		}
		if x.Name == "commit" && x.Took.Max != time.Millisecond {
			t.Errorf("a commit took %v, the rig's disk takes 1 ms", x.Took.Max)
		}
	}
}

// TestEveryAlarmCanBeRaised: code that no test file holds raises each of them.
func TestEveryAlarmCanBeRaised(t *testing.T) {
	var text strings.Builder
	for _, pattern := range []string{"*.go", "web/*.go", "live/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
		}
	}
	source, err := os.ReadFile("alarm.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\t(Alarm\w+): +\{"`).FindAllStringSubmatch(string(source), -1)
	if len(names) != int(alarmCount) {
		t.Fatalf("%d of %d alarms are in the table", len(names), alarmCount)
	}
	for _, m := range names {
		if !regexp.MustCompile(`(Raise|Set|level|oneOf)\((node\.)?` + m[1] + `\b`).MatchString(text.String()) {
			t.Errorf("nothing raises %s", m[1])
		}
	}
}

// TestStatusLineSaysWhereANodeIs, once in so much of the wall's time.
func TestStatusLineSaysWhereANodeIs(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	var log bytes.Buffer
	n.core().ports.Log = slog.New(slog.NewTextHandler(&log, nil))
	n.core().log = n.core().ports.Log
	r.run(5 * time.Minute)
	for _, word := range []string{" block=", " epoch=", " uid=", " sessions=", " alarms=", " weights_set=", " weights="} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("no%s in\n%s", word, &log)
		}
	}
}
