package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bettensor/node/chain"
	node "bettensor/node/cli"
	"bettensor/sched"
	"bettensor/sim"
	"bettensor/sim/invariant"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

// binary is the program, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bettensor-cli-test-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "bettensor")
	if out, err := exec.Command("go", "build", "-o", binary, "bettensor").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A small scenario that takes hundredths of a second.
const small = `name: small
duration: 1d
validators: [{name: v0}]
miners: [{kind: skilled, count: 2}, {kind: random, count: 2}, {kind: idle}]
node: {heartbeat: 30m, metagraph_interval: 1h, status_interval: 6h}
`

// folder is an empty one with some files in it.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// call runs the program in a folder.
func call(t testing.TB, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func listing(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestBadInput: what is wrong is told at its place, all of it at once, with the
// nearest name that is right; the exit code is 1, nothing runs and nothing is
// written.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const header = "kickoff,league,season,home,away,home_goals,away_goals,home_open,draw_open,away_open,home_close,draw_close,away_close\n"
	dir := folder(t, map[string]string{
		"ok.yaml": small,
		"many.yaml": "duration: -3h\nseed: many\nvalidators: [{name: v0, stak: 5}]\nminers: [{kind: skiled}]\n" +
			"network: {latency: 5}\nfaults: [{name: f, what: feed.outage, when: weight_set}]\n",
		"bench.yaml": "load: {what: bus}\n",
		"empty.yaml": "",
		"utf.yaml":   "validators: [{name: v0}]\nabout: caf\xe9\n",
		"tab.yaml":   "validators:\n\t- {name: v0}\n",
		"rows.csv": header + "2030-03-30 15:30:00,c,s,A,B,two,1,1,3,4,2,3,4\n" +
			"2030-03-31 15:30:00,c,s,A,B,2,1,1.5,0.9,4,2,3,4\n2030-04-01 15:30:00,c,s,A,B,2,1\n",
		"twice.csv":  header + "2030-03-30 15:30:00,c,s,A,B,2,1,2,3,4,2,3,4\n",
		"utf.csv":    header + "2030-03-30 15:30:00,c,s,A,B,2,1,2,3,4,2,3\xff,4\n",
		"header.csv": "kick_off" + strings.TrimPrefix(header, "kickoff"),
	})
	files := listing(t, dir)
	for _, tt := range []struct {
		name, args string
		want       []string // lines of stderr, or their beginnings
	}{
		{"many mistakes at once", "sim run many.yaml", []string{
			`many.yaml:1:11: duration: expected a duration from 1m to 3650d, got "-3h"`,
			`many.yaml:2:7: seed: expected a whole number, got "many"`,
			`many.yaml:3:25: validators[0].stak: unknown key (did you mean "stake"?)`,
			`many.yaml:4:17: miners[0].kind: expected one of skilled, `,
			`many.yaml:5:20: network.latency: expected a duration with a unit`,
			`many.yaml:6:45: faults[0].when: no event "weight_set" (did you mean "weights_set"?)`}},
		{"empty file", "sim run empty.yaml", []string{"empty.yaml:1:1: expected a scenario, got an empty file"}},
		{"not UTF-8", "sim run utf.yaml", []string{"utf.yaml:2:11: expected UTF-8 text, got the byte 0xe9"}},
		{"not YAML", "sim run tab.yaml", []string{"tab.yaml:2:"}},
		{"missing file", "sim run none.yaml", []string{"open none.yaml: no such file"}},
		{"a folder", "sim run .", []string{"read .: is a directory"}},
		{"no file", "sim run", []string{"expected one scenario file, got 0 arguments"}},
		{"two files", "sim run ok.yaml many.yaml", []string{"expected one scenario file, got 2 arguments"}},
		{"unknown --set paths", "sim run ok.yaml --set nope.x=3 --set miners.skilld.count=1 --set a --set miners.random.count=-1", []string{
			`--set nope.x: no such key`,
			`--set miners.skilld.count: no item of that name (did you mean "miners.skilled.count"?)`,
			`--set a: expected PATH=VALUE`,
			`--set miners.random.count: expected a whole number from 0 to 60000, got -1`}},
		{"unknown flag", "sim run ok.yaml --jsn x", []string{`unknown flag --jsn, did you mean --json?`, "try: "}},
		{"no such bug", "sim run ok.yaml --plant nope", []string{`--plant: no bug "nope"; `}},
		{"a benchmark", "sim run bench.yaml", []string{"bench.yaml: the file has load and is a benchmark of bus; measure it with: bettensor bench run bench.yaml"}},
		{"seed is no number", "sim run ok.yaml --seed x", []string{`--seed: expected a whole number from 0 to 18446744073709551615, got "x"`, "try: "}},
		{"seed below 0", "sim run ok.yaml --seed -1", []string{`--seed: expected a whole number from 0 to 18446744073709551615, got "-1"`, "try: "}},
		{"games twice", "sim run ok.yaml --games twice.csv --games twice.csv", []string{`twice.csv:1:1: expected each file of games once, got what is in twice.csv again`}},
		{"no value", "sim run ok.yaml --set miners=", []string{`--set miners: expected a list, got nothing`}},
		{"negative rows", "sim run ok.yaml --rows -1", []string{"--rows: expected at least 0, got -1"}},
		{"unknown command", "sim rum ok.yaml", []string{`unknown command "rum", did you mean "run"?`, "try: "}},
		{"rows of games", "sim run ok.yaml --games rows.csv", []string{
			`rows.csv:2:29: home_goals: expected goals from 0 to 99, got "two"`,
			`rows.csv:2:35: home_open: expected decimal odds above 1 and at most 10000, got "1"`,
			`rows.csv:3:37: draw_open: expected decimal odds above 1 and at most 10000, got "0.9"`,
			`rows.csv:4:32: expected 13 fields, got 7`}},
		{"games not UTF-8", "sim run ok.yaml --games utf.csv", []string{"utf.csv:2:42: expected UTF-8 text, got the byte 0xff"}},
		{"several files of games", "sim run ok.yaml --games utf.csv --games rows.csv", []string{"utf.csv:2:42: ", "rows.csv:2:29: ", "rows.csv:2:35: ", "rows.csv:3:37: ", "rows.csv:4:32: "}},
		{"header of games", "sim run ok.yaml --games header.csv", []string{`header.csv:1:1: expected a known column, got "kick_off" (nearest: kickoff)`, "header.csv:1:118: expected the column kickoff, which is missing"}},
		{"missing games", "sim run ok.yaml --games none.csv", []string{"ok.yaml: --games: open none.csv: no such file"}},
		{"no games to play", "sim run ok.yaml --set duration=1h", []string{"ok.yaml: make up a market: "}},
		{"--json into no folder", "sim run ok.yaml --json no/x.json", []string{"write no/x.json: no such file or directory"}},
		{"--json onto a folder", "sim run ok.yaml --json .", []string{"write .: is a directory"}},
		{"--trace into no folder", "sim run ok.yaml --json x.json --trace no/x", []string{"write no/x: no such file or directory"}},
		{"two outputs into one file", "sim run ok.yaml --json x --trace ./x", []string{"write x: two outputs of one command go there"}},
		{"no seeds", "sim sweep ok.yaml --seeds 0", []string{`--seeds "0": expected A..B with A <= B, or N for 1..N`}},
		{"seeds", "sim sweep ok.yaml --seeds 3..1", []string{`--seeds "3..1": expected A..B`}},
		{"--seed of a sweep", "sim sweep ok.yaml --seed 3", []string{"unknown flag --seed, did you mean --seeds?", "try: "}},
		{"--parallel", "sim sweep ok.yaml --parallel 0", []string{"--parallel: expected at least 1, got 0"}},
		{"--against nobody", "sim sweep ok.yaml --against sharp", []string{`--against: no miners of kind "sharp" in ok.yaml`}},
		{"sweep, bad file", "sim sweep many.yaml", []string{"many.yaml:1:11: ", "many.yaml:2:7: ", "many.yaml:3:25: ", "many.yaml:4:17: ", "many.yaml:5:20: ", "many.yaml:6:45: "}},
		{"describe", "sim describe empty.yaml", []string{"empty.yaml:1:1: "}},
		{"bench of nothing", "bench run", []string{"expected a file with load, as in: "}},
		{"bench of a scenario", "bench run ok.yaml", []string{"ok.yaml has no load, and is no benchmark; run it with: "}},
		{"bench of a bad file", "bench run empty.yaml", []string{"empty.yaml:1:1: "}},
		{"bench of an empty folder", "bench all nothing", []string{"no *.yaml in nothing; name the directory"}},
		{"compare with nothing", "bench compare ok.yaml", []string{"expected two reports that bench run --json wrote"}},
		{"compare with no report", "bench compare ok.yaml ok.yaml", []string{"ok.yaml is no report of bench run --json: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := call(t, dir, strings.Fields(tt.args)...)
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d, want 1; stdout %q", code, stdout)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			for i := range max(len(lines), len(tt.want)) {
				got, want := line(lines, i), line(tt.want, i)
				if !strings.HasPrefix(want, "try: ") {
					want = "error: " + want
				}
				if i >= len(tt.want) || !strings.HasPrefix(got, want) {
					t.Errorf("line %d of stderr is\n%q, want\n%q", i+1, got, want)
				}
			}
			if d := gocmp.Diff(files, listing(t, dir)); d != "" {
				t.Errorf("files were left (-before +after):\n%s", d)
			}
		})
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// TestResultFile: what others build on is in the file of --json, with its kinds.
func TestResultFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"small.yaml": small})
	stdout, stderr, code := call(t, dir, "sim", "run", "small.yaml", "--json", "out.json", "--trace", "out.trace", "--seed", "18446744073709551615")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&result); err != nil {
		t.Fatal(err)
	}
	const (
		text   = "text"
		whole  = "whole number"
		number = "number"
	)
	type fields map[string]string
	check := func(where string, m map[string]any, want fields) {
		t.Helper()
		for name, kind := range want {
			switch v := m[name].(type) {
			case string:
				if kind != text || v == "" {
					t.Errorf("%s.%s is text %q, want a %s", where, name, v, kind)
				}
			case json.Number:
				if kind == text || kind == whole && strings.ContainsAny(v.String(), ".eE") {
					t.Errorf("%s.%s is %s, want a %s", where, name, v, kind)
				}
				if f, err := v.Float64(); err != nil || math.IsInf(f, 0) {
					t.Errorf("%s.%s is %s", where, name, v)
				}
			default:
				t.Errorf("%s.%s is %T, want a %s", where, name, v, kind)
			}
		}
	}
	check("result", result, fields{"scenario": text, "seed": whole, "trace_hash": text, "virtual_seconds": number, "wall_seconds": number, "events": whole, "events_per_second": number})
	if result["seed"].(json.Number) != "18446744073709551615" || result["scenario"] != "small" || result["virtual_seconds"].(json.Number) != "86400" {
		t.Errorf("seed %v, scenario %v, %v s", result["seed"], result["scenario"], result["virtual_seconds"])
	}
	for _, list := range []struct {
		name string
		n    int // 0 for some
		want fields
	}{
		{"validators", 1, fields{"uid": whole, "hotkey": text, "weights_set": whole, "weights_failed": whole, "vtrust": number, "dividends": number}},
		{"miners", 5, fields{"uid": whole, "hotkey": text, "kind": text, "tier": whole, "predictions": whole, "accepted": whole, "rejected": whole,
			"wagered": whole, "roi": number, "clv": number, "score": number, "weight": number, "emission": whole}},
		{"invariants", len(invariant.Names()), fields{"name": text, "checked": whole, "violations": whole}},
		{"topics", 0, fields{"name": text, "published": whole, "delivered": whole, "errors": whole}},
		{"tasks", 0, fields{"name": text, "runs": whole, "failures": whole, "retries": whole}},
	} {
		rows, _ := result[list.name].([]any)
		if len(rows) == 0 || list.n > 0 && len(rows) != list.n {
			t.Errorf("%s has %d rows", list.name, len(rows))
		}
		for i, row := range rows {
			check(fmt.Sprintf("%s[%d]", list.name, i), row.(map[string]any), list.want)
		}
	}
	trace, err := os.ReadFile(filepath.Join(dir, "out.trace"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(trace), "\n"), "\n")
	var last struct {
		Hash          string
		Events, Lines int
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last.Hash != result["trace_hash"] || last.Lines != len(lines)-1 || fmt.Sprint(last.Events) != result["events"].(json.Number).String() {
		t.Errorf("the last of %d lines of the trace is %+v", len(lines), last)
	}
	if !strings.Contains(stdout, "trace hash "+last.Hash) || !strings.Contains(stdout, "rank") || !strings.Contains(stdout, "again: bettensor sim run small.yaml --seed 18446744073709551615\n") {
		t.Errorf("the report:\n%s", stdout)
	}
	if want := []string{"out.json", "out.trace", "small.yaml"}; !slices.Equal(listing(t, dir), want) {
		t.Errorf("files %v, want %v", listing(t, dir), want)
	}
}

// TestFlags: in any order, quiet, checked, with values that hold commas, into
// what is no file, and into what is one already.
func TestFlags(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"small.yaml": small, "old.json": "old"})
	hash := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := call(t, dir, append([]string{"sim", "run"}, args...)...)
		if code != 0 || stderr != "" {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr)
		}
		_, rest, _ := strings.Cut(stdout, "trace hash ")
		h, _, _ := strings.Cut(rest, "\n")
		if slices.Contains(args, "--quiet") == strings.Contains(stdout, "rank") || slices.Contains(args, "--check") != strings.Contains(stdout, "deterministic: two runs left the same trace") {
			t.Errorf("%v:\n%s", args, stdout)
		}
		return h
	}
	seven := hash("small.yaml", "--seed", "7", "--quiet")
	for _, args := range [][]string{{"--seed", "7", "small.yaml"}, {"--quiet", "--seed=7", "small.yaml"}, {"small.yaml", "--set", "seed=7"},
		{"small.yaml", "--set", "seed=1", "--seed", "7", "--check", "--quiet"}} {
		if h := hash(args...); h != seven || len(h) != 16 {
			t.Errorf("%v: hash %s, want %s", args, h, seven)
		}
	}
	if hash("small.yaml", "--quiet") == seven {
		t.Error("seed 1 leaves the hash of seed 7")
	}
	if h := hash("small.yaml", "--seed", "7", "--quiet", "--set", "network={latency: 300ms, jitter: 1s}"); h == seven || h == "" {
		t.Errorf("a value with a comma in it does nothing: hash %s", h)
	}
	if err := os.Symlink("old.json", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	hash("small.yaml", "--quiet", "--json", "link.json")
	if data, err := os.ReadFile(filepath.Join(dir, "old.json")); err != nil || !json.Valid(data) {
		t.Errorf("what the link leads to: %v\n%s", err, data)
	}
	if info, err := os.Lstat(filepath.Join(dir, "link.json")); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link: %v, %v", info, err)
	}
	// A pipe stays one. It is held open here, so that nobody waits for anybody.
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here: ", err)
	}
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	hash("small.yaml", "--quiet", "--json", "pipe")
	if info, err := os.Lstat(pipe); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Fatalf("the pipe: %v, %v", info.Mode(), err)
	}
	if err := json.NewDecoder(f).Decode(new(sim.Result)); err != nil {
		t.Errorf("what came through the pipe: %v", err)
	}
	if want := []string{"link.json", "old.json", "pipe", "small.yaml"}; !slices.Equal(listing(t, dir), want) {
		t.Errorf("files %v, want %v", listing(t, dir), want)
	}
}

// TestGamesFlag: several files merge, the run follows them, and a start or a
// duration of the scenario or of --set wins.
func TestGamesFlag(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"open.yaml": strings.Replace(small, "duration: 1d\n", "", 1)})
	market, err := filepath.Abs(filepath.Join("..", "..", "testdata", "market"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		set        string
		start, end string
	}{
		{"seed=1", "2030-01-04T12:30:00Z", "2030-10-29T16:30:00Z"},
		{"duration=2d", "2030-01-04T12:30:00Z", "2030-01-06T12:30:00Z"},
		{"start=2030-10-20", "2030-10-20T00:00:00Z", "2030-10-29T16:30:00Z"},
	} {
		_, stderr, code := call(t, dir, "sim", "run", "open.yaml", "--quiet", "--games", filepath.Join(market, "two-leagues.csv"),
			"--games", filepath.Join(market, "football-data.csv"), "--set", tt.set, "--json", "out.json", "--set", "node.heartbeat=6h")
		data, err := os.ReadFile(filepath.Join(dir, "out.json"))
		var r sim.Result
		if err = errors.Join(err, json.Unmarshal(data, &r)); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v: %s", code, err, stderr)
		}
		if start, end := r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339); r.Games != 8 || start != tt.start || end != tt.end {
			t.Errorf("--set %s: %d games from %s to %s, want 8 from %s to %s", tt.set, r.Games, start, end, tt.start, tt.end)
		}
	}
}

// TestSweep: how many runs go side by side changes no result; the table covers
// every kind; the file has what is shown.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"small.yaml": small})
	var tables [2]string
	var files [2][]byte
	for i := range tables {
		stdout, stderr, code := call(t, dir, "sim", "sweep", "small.yaml", "--seeds", "4..8", "--parallel", fmt.Sprint(i+1), "--json", "table.json")
		if code != 0 || stderr != "" {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		var err error
		if files[i], err = os.ReadFile(filepath.Join(dir, "table.json")); err != nil {
			t.Fatal(err)
		}
		tables[i] = stdout
	}
	var results [2]sim.SweepResult
	for i := range results {
		if err := json.Unmarshal(files[i], &results[i]); err != nil {
			t.Fatal(err)
		}
		if r := &results[i]; r.Seeds != 5 || r.Parallel != i+1 || r.Seconds <= 0 || r.SeedsPerSecond <= 0 {
			t.Errorf("%d seeds at %d times in %g s: %g seeds/s", r.Seeds, r.Parallel, r.Seconds, r.SeedsPerSecond)
		}
		results[i].Parallel, results[i].Seconds, results[i].SeedsPerSecond = 0, 0, 0
		var timed bool
		tables[i], _, timed = strings.Cut(tables[i], " events in ")
		if !timed {
			t.Errorf("no time in\n%s", tables[i])
		}
	}
	if d := gocmp.Diff(results[0], results[1]); d != "" || tables[0] != tables[1] {
		t.Errorf("--parallel 1:\n%s\n--parallel 2:\n%s%s", tables[0], tables[1], d)
	}
	kinds := map[string]int{}
	for _, r := range results[0].Kinds {
		kinds[r.Kind] = r.Miners
		if r.Runs != 5 {
			t.Errorf("%s has %d runs, want 5", r.Kind, r.Runs)
		}
	}
	if d := gocmp.Diff(map[string]int{"skilled": 2, "random": 2, "idle": 1}, kinds); d != "" {
		t.Errorf("kinds (-want +got):\n%s", d)
	}
}

// here runs a command line in this process, where bugs can be planted.
func here(t testing.TB, ctx context.Context, args ...string) (stdout string, code int) {
	t.Helper()
	var out bytes.Buffer
	app := &cli.App{Name: "bettensor", Writer: &out, ErrWriter: io.Discard, Commands: []*cli.Command{Sim(), Bench()}}
	node.Prepare(app, nil)
	code = node.Exit(app.RunContext(ctx, node.Arrange(app, append([]string{"bettensor"}, args...))), &out)
	return out.String(), code
}

// full is a disk that is: it takes so many writes and no more.
type full int

func (f *full) Write(p []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

// TestOutputLost: a report that could not be printed is a failure, whichever of
// its writes it was.
func TestOutputLost(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file := filepath.Join(dir, "small.yaml")
	for _, args := range [][]string{
		{"run", file}, {"run", "--quiet", file}, {"sweep", "--quiet", "--seeds", "1..2", file},
		{"validate", file}, {"describe", file}, {"list", dir},
	} {
		out := full(0)
		var errs bytes.Buffer
		app := &cli.App{Name: "bettensor", Writer: &out, ErrWriter: io.Discard, Commands: []*cli.Command{Sim()}}
		node.Prepare(app, nil)
		code := node.Exit(app.RunContext(t.Context(), append([]string{"bettensor", "sim"}, args...)), &errs)
		if code != exitBad || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("sim %v: exit code %d, want 1; %s", args, code, errs.String())
		}
	}
	// A later write that fails, and then one that would not.
	r := &sim.Result{Miners: make([]sim.MinerResult, 1000)}
	for writes := range 3 {
		out := full(writes)
		if err := r.WriteReport(&out, 0); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write %d failed: %v", writes+1, err)
		}
	}
}

// TestExitCodes: 2 where an invariant is broken, 4 where two runs of one seed
// differ, 1 where a run is stopped; what was asked for is written in the first case, because it tells of the bug.
func TestExitCodes(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file := filepath.Join(dir, "small.yaml")
	defer func() { plant = nil }()

	if _, code := here(t, t.Context(), "sim", "run", "--quiet", "--check", file); code != 0 {
		t.Errorf("nothing planted: exit code %d, want 0", code)
	}

	plant = func(w *sim.World) { // weights on a slot that nobody holds
		w.Sched.After(time.Hour, sched.Func(func() {
			w.Chain.Submit(w.Sched.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: w.Hosts[0].Hotkey,
				Weights: chain.Weights{UIDs: []chain.UID{200}, Values: []uint16{chain.MaxWeight}}})
		}))
	}
	written := filepath.Join(dir, "bad.json")
	if _, code := here(t, t.Context(), "sim", "run", "--quiet", "--json", written, file); code != sim.ExitSafety {
		t.Errorf("a broken invariant: exit code %d, want 2", code)
	}
	if data, err := os.ReadFile(written); err != nil || !bytes.Contains(data, []byte(`"first": "`)) {
		t.Errorf("the result with the violation: %v\n%s", err, data)
	}
	if _, code := here(t, t.Context(), "sim", "sweep", "--quiet", "--seeds", "1..2", file); code != sim.ExitSafety {
		t.Errorf("a sweep with a broken invariant: exit code %d, want 2", code)
	}

	var n atomic.Int32
	plant = func(w *sim.World) {
		if n.Add(1) == 2 { // one frame of the second run is doubled
			sent := 0
			w.Fate = func(_ *sim.Host, port sim.Port, _ uint64) sim.Fate {
				if port == sim.PortFrame {
					if sent++; sent == 100 {
						return sim.Doubled
					}
				}
				return sim.Normal
			}
		}
	}
	trace := filepath.Join(dir, "trace")
	said, code := here(t, t.Context(), "sim", "run", "--quiet", "--check", "--trace", trace, file)
	if code != sim.ExitDivergence || n.Load() != 2 {
		t.Errorf("two runs that differ: exit code %d after %d runs, want 4", code, n.Load())
	}
	if !strings.Contains(said, "the first difference is in line ") || strings.Count(said, `{"n":`) != 22 {
		t.Errorf("the first difference and the 20 lines before it:\n%s", said)
	}

	plant = nil
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, code := here(t, stopped, "sim", "run", "--quiet", "--trace", trace, file); code != exitBad {
		t.Errorf("a run that is stopped: exit code %d, want 1", code)
	}
	if _, code := here(t, stopped, "sim", "sweep", "--quiet", file); code != exitBad {
		t.Errorf("a sweep that is stopped: exit code %d, want 1", code)
	}
	if want := []string{"bad.json", "small.yaml", "trace"}; !slices.Equal(listing(t, dir), want) {
		t.Errorf("files %v, want %v: a command that fails leaves none half written but the trace", listing(t, dir), want)
	}
}

// TestCanary: the run that must fail does, with the exit code of a broken
// invariant; without its bug it passes.
func TestCanary(t *testing.T) {
	t.Parallel()
	const file = "testdata/canary.yaml"
	if out, errs, code := call(t, "../..", "sim", "run", file, "--quiet"); code != sim.ExitSafety || !strings.Contains(out+errs, "confirmed-is-durable") {
		t.Errorf("exit code %d, want %d: %s%s", code, sim.ExitSafety, out, errs)
	}
	if out, errs, code := call(t, "../..", "sim", "run", file, "--quiet", "--set", `plant=""`); code != sim.ExitPass {
		t.Errorf("without its bug: exit code %d, want 0: %s%s", code, out, errs)
	}
	if out, errs, code := call(t, "../..", "sim", "plants", "lost-correction"); code != sim.ExitPass || !strings.Contains(out, "settled-once") {
		t.Errorf("plants: exit code %d: %s%s", code, out, errs)
	}
}
