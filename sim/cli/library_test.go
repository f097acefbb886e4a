package cli

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bettensor/sim"
	"bettensor/sim/fault"
	"bettensor/sim/metric"
	"bettensor/sim/population"
	"bettensor/sim/scenario"

	gocmp "github.com/google/go-cmp/cmp"
)

var measure = flag.Bool("measure", false, "with -update: run each scenario and write into README.md how much processor time it took")

// library are the files of scenarios/ by their paths in it, in order.
func library(t *testing.T) (files []string, read map[string]*scenario.Scenario, text map[string]string) {
	t.Helper()
	read, text = map[string]*scenario.Scenario{}, map[string]string{}
	const dir = "../../scenarios"
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, problems := scenario.Parse(path, data, nil, scenario.Option{})
		if len(problems) > 0 {
			return problems
		}
		near, err := filepath.Rel(dir, path)
		near = filepath.ToSlash(near)
		files, read[near], text[near] = append(files, near), s, string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, read, text
}

// TestLibraryTellsWhatItIs: every scenario opens with what it shows, what should
// happen and what breaks otherwise, and is named as its file is.
func TestLibraryTellsWhatItIs(t *testing.T) {
	t.Parallel()
	files, read, text := library(t)
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".yaml"); read[f].Name != name {
			t.Errorf("%s: its name is %q", f, read[f].Name)
		}
		if about := read[f].About; about == "" || strings.ContainsAny(about, "|\n") {
			t.Errorf("%s: about is %q, want a sentence that fits into a table", f, about)
		}
		head, rest := "", text[f]
		for line := range strings.Lines(rest) {
			if !strings.HasPrefix(line, "#") {
				break
			}
			head += line
		}
		at := -1
		for _, part := range []string{"# Shows: ", "# Expect: ", "# Without the defence: "} {
			next := strings.Index(head, part)
			if next <= at && !(at < 0 && next == 0) {
				t.Errorf("%s: the comment that it opens with lacks %q, or has it out of order", f, part)
			}
			at = next
		}
	}
	for _, held := range []string{"quickstart.yaml", "season.yaml", "smoke.yaml", "mainnet-week.yaml", "bench/bus.yaml", "bench/score.yaml"} {
		if read[held] == nil {
			t.Errorf("scenarios/%s is gone, and others build on its name", held)
		}
	}
	if smoke := read["smoke.yaml"]; smoke != nil && smoke.Duration > 6*time.Hour {
		t.Errorf("smoke.yaml lasts %v, want at most six hours", smoke.Duration)
	}
}

// TestLibraryHasEachKind: what no scenario has, no sweep over the folder tries.
func TestLibraryHasEachKind(t *testing.T) {
	t.Parallel()
	_, read, _ := library(t)
	had := map[string]bool{}
	for _, s := range read {
		for i := range s.Faults {
			had["fault "+s.Faults[i].What] = true
		}
		for i := range s.Swarm.Faults {
			had["fault of a swarm "+s.Swarm.Faults[i].What] = true
		}
		for i := range s.Miners {
			had["miner "+s.Miners[i].Kind] = true
		}
		for i := range s.Validators {
			had["validator "+s.Validators[i].Kind] = true
		}
		for _, p := range s.Sometimes {
			had["property "+p] = true
		}
	}
	var want []string
	for _, k := range fault.Kinds() {
		want = append(want, "fault "+k.What, "fault of a swarm "+k.What)
	}
	for _, k := range population.Kinds() {
		want = append(want, "miner "+k.Name)
	}
	for _, k := range population.Voters() {
		want = append(want, "validator "+k.Name)
	}
	for _, p := range metric.Properties() {
		want = append(want, "property "+p.Name)
	}
	for _, w := range want {
		if !had[w] {
			t.Errorf("no scenario has %s", w)
		}
	}
}

// TestLibraryIsValid: every file of the folder can be run.
func TestLibraryIsValid(t *testing.T) {
	t.Parallel()
	files, _, _ := library(t)
	args := []string{"sim", "validate"}
	for _, f := range files {
		args = append(args, filepath.Join("scenarios", f))
	}
	if stdout, stderr, code := call(t, "../..", args...); code != 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// chapters are the parts of the table: a title, and how the paths of its files
// begin, in the order of the rows.
var chapters = []struct {
	title  string
	begins []string
}{
	{"**To begin with**", []string{"quickstart", "smoke", "season", "mainnet-week"}},
	{"**Faults**", []string{"faults", "registration", "upgrade-", "swarm", "crashpoints"}},
	{"**Attacks**: each passes where the attack is not worth it", []string{"attack-"}},
	{"**Incentives**", []string{"incentive-"}},
	{"**Size**", []string{"stress-"}},
	{"**Benchmarks**, for `bench run`", []string{"bench/"}},
}

// TestReadmeListsTheLibrary holds the table of README.md against the files. How
// long they take stays as it was measured last.
func TestReadmeListsTheLibrary(t *testing.T) {
	const page, begins, ends = "../../README.md", "<!-- made from scenarios/: go test ./sim/cli -run Readme -update -->\n", "<!-- end -->"
	readme, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begins)
	table, after, closed := strings.Cut(rest, ends)
	if !found || !closed {
		t.Fatal("README.md has no table of scenarios")
	}
	files, read, _ := library(t)
	want := before + begins + scenarioTable(t, files, read, secondsOf(table)) + ends + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(readme) != want {
		t.Errorf("README.md lists other scenarios; go test ./sim/cli -run Readme -update\n%s", gocmp.Diff(string(readme), want))
	}
}

// secondsOf reads the last column of a table back, by the file that its row is of.
func secondsOf(table string) map[string]string {
	seconds := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if _, rest, ok := strings.Cut(line, "](scenarios/"); ok && len(cells) == 5 {
			file, _, _ := strings.Cut(rest, ")")
			seconds[file] = strings.TrimSpace(cells[3])
		}
	}
	return seconds
}

func scenarioTable(t *testing.T, files []string, read map[string]*scenario.Scenario, seconds map[string]string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprint(&b, "\n| scenario | what it is | seconds |\n|---|---|---|\n")
	listed := 0
	for _, c := range chapters {
		titled := false
		for _, begins := range c.begins {
			for _, f := range files {
				if !strings.HasPrefix(f, begins) {
					continue
				}
				if !titled {
					fmt.Fprintf(&b, "| %s | | |\n", c.title)
					titled = true
				}
				fmt.Fprintf(&b, "| [%s](scenarios/%s) | %s | %s |\n", strings.TrimSuffix(f, ".yaml"), f, read[f].About, took(t, f, seconds[f]))
				listed++
			}
		}
	}
	if listed != len(files) {
		t.Errorf("the table has %d rows for %d scenarios: a new one needs its place in chapters", listed, len(files))
	}
	return b.String() + "\n"
}

// took is what the table says of a scenario's time: what it said before, or with
// -measure, and for a new one, how much processor time a run takes now, which a
// busy machine hardly moves. A benchmark's time is its own matter.
func took(t *testing.T, file, before string) string {
	t.Helper()
	switch {
	case strings.HasPrefix(file, "bench/"):
		return ""
	case !*update, before != "" && !*measure:
		return before
	}
	cmd := exec.Command(binary, "sim", "run", filepath.Join("scenarios", file), "--quiet")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", file, err, out)
	}
	return fmt.Sprintf("%.1f", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
}

// tries is how a scenario's comment says what to take away to see it fail.
var tries = regexp.MustCompile("[Tt]ry `([^`]+)`: it breaks `([^`]+)`")

// TestLibraryBreaksWithoutTheDefence: what the comment of a scenario says to try
// breaks what it says it breaks.
func TestLibraryBreaksWithoutTheDefence(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs half of the library")
	}
	_, _, text := library(t)
	found := 0
	for file, text := range text { // order cannot matter: each is a test of its own
		head := strings.Join(strings.Fields(strings.ReplaceAll(text, "\n#", "\n")), " ")
		m := tries.FindStringSubmatch(head)
		if m == nil {
			continue
		}
		found++
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"sim", "run", filepath.Join("scenarios", file), "--quiet"}, strings.Fields(m[1])...)
			stdout, stderr, code := call(t, "../..", args...)
			broken := regexp.MustCompile(`(?m)^(?:error: )?(?:invariant|threshold|expect|liveness) ` + regexp.QuoteMeta(m[2]) + ": ")
			if code < sim.ExitSafety || !broken.MatchString(stderr) {
				t.Errorf("%s: exit code %d, and %s is not told as broken\n%s%s", m[1], code, m[2], stdout, stderr)
			}
		})
	}
	if found < 20 {
		t.Errorf("%d scenarios say what to try", found)
	}
}
