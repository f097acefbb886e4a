package cli

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bettensor/sim"

	"github.com/urfave/cli/v2"
)

// TestCI: a folder runs as tests, a line each in the order of files; the exit code
// is that of the worst, and every form of the report tells it.
func TestCI(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.yaml": small, "b.yaml": strings.Replace(small, "name: small", "name: small\nseed: 3", 1), "c.yaml": "seed: x\n",
		"d.yaml": strings.Replace(small, "name: small", "thresholds: [{metric: gini, expect: value<0}]", 1),
	})
	if err := os.Mkdir(filepath.Join(dir, "bench"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bench", "bus.yaml"), []byte("load: {what: bus, operations: 100}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() { plant = nil }()
	plant = badWeights
	out := t.TempDir()
	junit, markdown, summary := filepath.Join(out, "j.xml"), filepath.Join(out, "m.md"), filepath.Join(out, "s.md")
	t.Setenv("GITHUB_STEP_SUMMARY", summary)
	idle := strings.Replace(small, "name: small", "name: small\nfaults: [{name: late, what: chain.set_weights_failed, at: 1s, for: 1s}]", 1)
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(idle), 0o644); err != nil {
		t.Fatal(err)
	}
	said, code := here(t, t.Context(), "sim", "ci", dir, "--junit", junit, "--markdown", markdown, "--summary", "--parallel", "3")
	if code != sim.ExitSafety {
		t.Errorf("exit code %d, want 2", code)
	}
	at := 0
	for _, want := range []string{"PASS  a ", "; warning: these faults did nothing: late\n", "FAIL  b ", "invariant weights-valid: ", "again: ", "PASS  bus ", "FAIL  c ", "error scenario: ", "FAIL  d ", "threshold gini"} {
		i := strings.Index(said[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place, in\n%s", want, said)
		}
		at += i
	}
	for file, wants := range map[string][]string{
		junit:    {`tests="5" failures="2" errors="1"`, `type="threshold gini"`, `file="` + filepath.Join(dir, "b.yaml")},
		markdown: {"### sim ci: 2 of 5 passed", "| ❌ | b |"},
		summary:  {"### sim ci: 2 of 5 passed"},
	} {
		data, err := os.ReadFile(file)
		for _, want := range wants {
			if err != nil || !strings.Contains(string(data), want) {
				t.Errorf("%s: %v, %q is missing in\n%s", file, err, want, data)
			}
		}
	}
	if said, code := here(t, t.Context(), "sim", "sweep", filepath.Join(dir, "a.yaml"), "--seeds", "2"); code != 0 || !strings.Contains(said, "small: these faults did nothing: late in any seed\n") {
		t.Errorf("a sweep: exit code %d\n%s", code, said)
	}
	figures, more := filepath.Join(out, "f.json"), filepath.Join(out, "more.json")
	if said, code := here(t, t.Context(), "sim", "ci", dir, "--only", "^a", "--json", figures); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	var was sim.Folder
	data, err := os.ReadFile(figures)
	if err == nil {
		err = json.Unmarshal(data, &was)
	}
	if err != nil || len(was.Cases) != 1 || was.Cases[0].Events == 0 {
		t.Fatalf("%v: %s", err, data)
	}
	was.Cases[0].Events = was.Cases[0].Events * 4 / 5 // now it has 1.25 times as many
	if data, err = json.Marshal(&was); err == nil {
		err = os.WriteFile(more, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
	}{
		{[]string{"--only", "^a", "--baseline", figures, "--tolerance", "0"}, sim.ExitPass}, {[]string{"--only", "^a", "--baseline", more}, sim.ExitThreshold},
		{[]string{"--only", "^a", "--baseline", more, "--tolerance", "0.3"}, sim.ExitPass}, {[]string{"--only", "^a", "--tolerance", "0.3"}, exitBad},
		{[]string{"--only", "^a", "--baseline", junit}, exitBad}, {[]string{"--only", "^a", "--baseline", filepath.Join(out, "none")}, exitBad},
		{[]string{"--only", "^a", "--budget", "1ns"}, sim.ExitThreshold}, {[]string{"--only", "^a", "--budget", "10h"}, sim.ExitPass}, {[]string{"--only", "^a", "--budget", "-1s"}, exitBad},
		{[]string{"--only", "^a"}, sim.ExitPass}, {[]string{"--only", "^(c|d)"}, sim.ExitThreshold}, {[]string{"--only", "^c"}, sim.ExitBad},
		{[]string{"--only", "z"}, exitBad}, {[]string{"--only", "("}, exitBad}, {[]string{"--parallel", "0"}, exitBad},
		{[]string{"--only", "^a", "--seeds", "1..2"}, sim.ExitPass}, {[]string{"--only", "^a", "--seeds", "2..3"}, sim.ExitSafety},
	} {
		if said, code := here(t, t.Context(), append([]string{"sim", "ci", dir}, c.args...)...); code != c.exit {
			t.Errorf("%v: exit code %d, want %d\n%s", c.args, code, c.exit, said)
		}
	}
}

// TestInterruptedCI: what was under way when all was stopped has not failed.
func TestInterruptedCI(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": small, "bench.yaml": "load: {what: bus, operations: 100}\n", "sim.yaml": small + "load: {what: sim}\n"})
	ctx, stop := context.WithCancel(t.Context())
	defer func() { plant = nil }()
	plant = func(*sim.World) { stop() }
	if said, code := here(t, ctx, "sim", "ci", dir, "--parallel", "1", "--only", "^(a|bench)"); code != exitBad || strings.Contains(said, "FAIL") || strings.Count(said, "----  ") != 2 || !strings.Contains(said, "interrupted") {
		t.Errorf("a run: exit code %d\n%s", code, said)
	}
	plant = nil
	c := cli.NewContext(&cli.App{}, flag.NewFlagSet("ci", flag.ContinueOnError), nil)
	c.Context = ctx
	for _, file := range []string{"bench.yaml", "sim.yaml"} {
		if x := (&suite{c: c}).one(filepath.Join(dir, file)); !x.NotRun || len(x.Failures) > 0 {
			t.Errorf("%s: %+v", file, x)
		}
	}
}

// TestOverspent: more events than the baseline's and the tolerance fail; what
// cannot be held against it is said.
func TestOverspent(t *testing.T) {
	old := &sim.Folder{Cases: []sim.Case{{File: "a", Seeds: "1", Events: 100}, {File: "bus"}}}
	for _, c := range []struct {
		now  sim.Case
		want string // the failure's words, or the warning
	}{
		{sim.Case{File: "a", Seeds: "1", Events: 120}, ""}, {sim.Case{File: "a", Seeds: "1", Events: 121}, "121 events, 1.21 × the 100 of the baseline; expected at most 1.20 ×"},
		{sim.Case{File: "a", Seeds: "1", Events: 50}, ""}, {sim.Case{File: "bus"}, ""}, {sim.Case{File: "a", Seeds: "1..2", Events: 200}, "the baseline has it with seeds 1, not 1..2"},
		{sim.Case{File: "b", Seeds: "1", Events: 50}, "the baseline has no events of it"}, {sim.Case{File: "a", Seeds: "1", Events: 500, NotRun: true}, ""},
	} {
		cases := []sim.Case{c.now}
		sim.Overspent(cases, old, 0.2)
		got := strings.Join(cases[0].Warnings, "")
		for _, f := range cases[0].Failures {
			got += f.First
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.now, got, c.want)
		}
	}
}

// TestShrinkCommand: a seed that fails is looked for, what is written runs and
// fails alike, and says how to run it.
func TestShrinkCommand(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	defer func() { plant = nil }()
	plant = badWeights
	file, to := filepath.Join(dir, "small.yaml"), filepath.Join(dir, "smaller.yaml")
	said, code := here(t, t.Context(), "sim", "shrink", file, "--seeds", "1..5", "--runs", "20", "-o", to)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	data, err := os.ReadFile(to)
	if err != nil || !strings.Contains(string(data), "# Shows: invariant weights-valid, ") || !strings.Contains(string(data), "small.yaml, seed 3: ") ||
		!strings.Contains(string(data), " sim run "+to+"\n") || strings.Contains(string(data), "\nminers") {
		t.Errorf("%v:\n%s", err, data)
	}
	if said, code := here(t, t.Context(), "sim", "run", "--quiet", to); code != sim.ExitSafety {
		t.Errorf("what was written: exit code %d\n%s", code, said)
	}
	for _, args := range [][]string{{file, "--seed", "1"}, {file, "--seeds", "1..2"}, {file, "--runs", "1"}, {file, "--seed", "3", "--by", "liveness x"}} {
		if said, code := here(t, t.Context(), append([]string{"sim", "shrink"}, args...)...); code != exitBad {
			t.Errorf("%v: exit code %d, want 1\n%s", args, code, said)
		}
	}
}

// TestFailureAndItsExplanationAgree: a run, what explains it and the scenario that is
// made smaller name the same invariant, also where nodes are stopped in the middle
// of a commit; what is written fails by what it says it shows.
func TestFailureAndItsExplanationAgree(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file, to := filepath.Join(dir, "small.yaml"), filepath.Join(dir, "smaller.yaml")
	said, code := here(t, t.Context(), "sim", "run", "--quiet", file, "--plant", "confirm-before-durable")
	_, rest, _ := strings.Cut(said, "FAILED ")
	signature := firstLine(rest)
	if code != sim.ExitSafety || !strings.HasPrefix(signature, "invariant ") || !strings.Contains(said, "error: "+signature+": ") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if said, code := here(t, t.Context(), "sim", "shrink", "--quiet", file, "--plant", "confirm-before-durable", "--runs", "10", "-o", to); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	data, err := os.ReadFile(to)
	if err != nil || !strings.HasPrefix(string(data), "# Shows: "+signature+", ") {
		t.Errorf("%v\n%s", err, data)
	}
	if said, code := here(t, t.Context(), "sim", "run", "--quiet", to); code != sim.ExitSafety || !strings.Contains(said, "FAILED "+signature+"\n") {
		t.Errorf("what was written: exit code %d\n%s", code, said)
	}
}

// TestTraces: a trace is made again from its first line; where it was changed the
// first difference is named, by replay and by diff; a replay stops where it is told.
// A trace that is not whole is told from one that is, and a run that does not end
// fails.
func TestTraces(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file, trace, other := filepath.Join(dir, "small.yaml"), filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if _, code := here(t, t.Context(), "sim", "run", "--quiet", file, "--seed", "4", "--trace", trace); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"name":"games_updated"`, `"name":"games_outdated"`, 1)
	if err := os.WriteFile(other, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	stopped, cut, empty := filepath.Join(dir, "stopped"), filepath.Join(dir, "cut"), filepath.Join(dir, "empty")
	if _, code := here(t, t.Context(), "sim", "run", file, "--seed", "4", "--until", "games_updated#2", "--trace", stopped); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if said, code := here(t, interrupted, "sim", "run", "--quiet", file, "--seed", "4", "--trace", cut); code != exitBad || !strings.Contains(said, ": interrupted\n") || !strings.Contains(said, cut+" holds the trace up to there") {
		t.Fatalf("a run that is interrupted: exit code %d\n%s", code, said)
	}
	for path, text := range map[string]string{empty: "", cut + ".short": string(data[:len(data)/2])} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"diff", empty, empty}, exitBad, empty + " is empty"},
		{[]string{"diff", cut, cut}, exitBad, "is cut after line "},
		{[]string{"diff", cut, trace}, exitBad, ": stopped at 2"},
		{[]string{"diff", cut + ".short", trace}, exitBad, "is cut in the middle of line "},
		{[]string{"diff", stopped, trace}, exitBad, "stopped at games_updated#2"},
		{[]string{"diff", stopped, stopped}, 0, "the traces are the same"},
		{[]string{"replay", cut}, 0, "as far as this one goes"},
		{[]string{"replay", cut + ".short"}, 0, "is cut in the middle of line "},
		{[]string{"replay", stopped}, 0, "stopped at games_updated#2"},
		{[]string{"replay", empty}, exitBad, "the file is empty"},
		{[]string{"replay", trace, "--json", other}, exitBad, "--json goes with --until"},
		{[]string{"replay", trace, "--until", "weights_failed#99"}, exitBad, "the run ended at "},
		{[]string{"replay", trace}, 0, "the same trace: small, seed 4"},
		{[]string{"replay", other}, sim.ExitDivergence, `name: "games_outdated", "games_updated"`},
		{[]string{"replay", trace, "--until", "games_updated#2"}, 0, "stopped at games_updated#2: "},
		{[]string{"replay", file}, exitBad, "a trace that begins with its scenario"},
		{[]string{"diff", trace, trace}, 0, "the traces are the same"},
		{[]string{"diff", trace, other}, sim.ExitDivergence, `name: "games_updated", "games_outdated"`},
		{[]string{"diff", trace}, exitBad, "expected two traces"},
		{[]string{"run", file, "--limit-events", "500"}, sim.ExitLiveness, "--seed 1 --limit-events 500\n"},
		{[]string{"run", file, "--limit-events", "500", "--until", "weights_set#9"}, sim.ExitLiveness, "FAILED limit events\n"},
		{[]string{"sweep", file, "--seeds", "2", "--limit-events", "500"}, sim.ExitLiveness, "FAILED limit events: 2 seeds, exit 3\n"},
		{[]string{"ci", dir, "--limit-events", "500"}, sim.ExitLiveness, "limit events: not at its end after 500 events"},
		{[]string{"run", file, "--quiet", "--limit-events", "0"}, 0, "0 violations"},
	} {
		if said, code := here(t, t.Context(), append([]string{"sim"}, c.args...)...); code != c.exit || !strings.Contains(said, c.want) {
			t.Errorf("%v: exit code %d, want %d\n%s", c.args, code, c.exit, said)
		}
	}
}
