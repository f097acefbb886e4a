package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bettensor/sim/invariant"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/invariants.md anew")

const invariantsPage = "../docs/invariants.md"

// TestEachBugIsFound: every planted bug is found by what is kept to find it,
// within as many seeds as it says; and docs/invariants.md tells of each
// invariant, of each bug, and of the seed that found it.
func TestEachBugIsFound(t *testing.T) {
	page, err := os.ReadFile(invariantsPage)
	if err != nil {
		t.Fatal(err)
	}
	seeds := map[string]uint64{}
	for _, b := range Bugs() {
		t.Run(b.Name, func(t *testing.T) {
			seed, by := toldSeed(string(page), b.Name), []string(nil)
			if seed > 1 && !*update { // the first that finds it, as it was looked for once
				by = b.Found(ran(t, mustPlan(t, &b, seed), RunOptions{}))
			}
			if len(by) == 0 {
				var err error
				if seed, by, err = b.Find(uint64(b.Seeds)); err != nil {
					t.Fatal(err)
				}
			}
			if seed == 0 {
				t.Fatalf("not found within %d seeds; want %v", b.Seeds, b.Finds)
			}
			if !slices.Contains(by, b.Finds[0]) {
				t.Errorf("seed %d: found by %v, want %s among them", seed, by, b.Finds[0])
			}
			for next := seed; ; next++ { // who has not found it yet may with another seed
				left := slices.DeleteFunc(slices.Clone(b.Finds), func(f string) bool { return slices.Contains(by, f) })
				if len(left) == 0 {
					break
				}
				if next == uint64(b.Seeds) {
					t.Errorf("not found within %d seeds by %v", b.Seeds, left)
					break
				}
				by = append(by, b.Found(ran(t, mustPlan(t, &b, next+1), RunOptions{}))...)
			}
			seeds[b.Name] = seed
		})
	}
	if t.Failed() {
		return
	}
	head, rest, ok := strings.Cut(string(page), " -update -->\n")
	_, tail, end := strings.Cut(rest, "<!-- end -->")
	if !ok || !end {
		t.Fatal("the page has no place for its tables")
	}
	want := head + " -update -->\n" + tables(seeds) + "<!-- end -->" + tail
	if *update {
		if err := os.WriteFile(invariantsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := gocmp.Diff(want, string(page)); d != "" {
		t.Errorf("docs/invariants.md is not what it was made from; go test ./sim -run EachBugIsFound -update\n%s", d)
	}
}

func mustPlan(t *testing.T, b *Bug, seed uint64) *Plan {
	t.Helper()
	p, err := b.Plan(seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// toldSeed is the seed that the page says has found a bug, 0 for one it does not
// know.
func toldSeed(page, bug string) (seed uint64) {
	_, row, _ := strings.Cut(page, "\n| `"+bug+"` |")
	row, _, _ = strings.Cut(row, "\n")
	cells := strings.Split(row, "|")
	if len(cells) > 3 {
		seed, _ = strconv.ParseUint(strings.TrimSpace(cells[2]), 10, 64)
	}
	return seed
}

// TestNoBugIsFoundWhereThereIsNone: the scenario of each bug, with what the bug
// needs to show and without the bug, is clean; and between them these runs have
// something to look at for every invariant and every check of liveness.
func TestNoBugIsFoundWhereThereIsNone(t *testing.T) {
	t.Parallel()
	looked, tried := map[string]uint64{}, map[string]bool{}
	try := func(name string, p *Plan, provoke func(*World)) {
		res := ran(t, p, RunOptions{Prepare: provoke})
		for _, f := range res.Failures() {
			t.Errorf("%s: %s: %s", name, f.Signature(), f.First)
		}
		for _, i := range res.Invariants {
			looked[i.Name] += i.Checked
		}
		for _, c := range res.Liveness {
			looked[c.Name] += c.Checked
		}
	}
	for _, b := range Bugs() {
		if b.provoke != nil || !tried[b.Scenario()] {
			tried[b.Scenario()] = tried[b.Scenario()] || b.provoke == nil
			try(b.Name, planOf(t, b.Scenario()), b.provoke)
		}
	}
	try("registration", planOf(t, "registration.yaml"), nil) // newcomers who bet
	for _, name := range append(invariant.Names(), LivenessNames()...) {
		if looked[name] == 0 {
			t.Errorf("%s has looked at nothing", name)
		}
	}
}

func tables(seeds map[string]uint64) string {
	var b strings.Builder
	by := map[string][]string{}
	for _, bug := range Bugs() {
		for _, name := range bug.Finds {
			by[name] = append(by[name], "`"+bug.Name+"`")
		}
	}
	b.WriteString("\n| Invariant | What it says | By what it is judged | Planted bugs |\n|---|---|---|---|\n")
	for _, d := range invariant.Docs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Doc, d.Seen, strings.Join(by[d.Name], ", "))
	}
	b.WriteString("\n| Liveness | What must have settled | Planted bugs |\n|---|---|---|\n")
	for _, d := range livenessDocs {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.name, d.doc, strings.Join(by[d.name], ", "))
	}
	b.WriteString("\n| Bug | What is wrong | Found by | Seeds it took |\n|---|---|---|---|\n")
	for _, bug := range Bugs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d |\n", bug.Name, bug.Doc, strings.Join(bug.Finds, ", "), seeds[bug.Name])
	}
	b.WriteString("\n")
	return b.String()
}

// TestBugsArePlain: names are words with dashes, told once, and found by what there is.
func TestBugsArePlain(t *testing.T) {
	known := append(invariant.Names(), LivenessNames()...)
	names := BugNames()
	if len(names) < 20 || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("%d bugs, some named alike", len(names))
	}
	found := map[string]bool{}
	for _, b := range Bugs() {
		for _, f := range b.Finds {
			if !slices.Contains(known, f) {
				t.Errorf("%s is to be found by %q, which there is not", b.Name, f)
			}
		}
		for _, f := range b.Finds {
			found[f] = true
		}
		if p := planOf(t, b.File()); p.Scenario.Plant != b.Name {
			t.Errorf("%s: its file plants %q", b.Name, p.Scenario.Plant)
		}
		if len(b.Doc) < 30 || len(b.Finds) == 0 || b.Seeds < 1 || b.Seeds > 1000 {
			t.Errorf("%s: doc %q, found by %v within %d seeds", b.Name, b.Doc, b.Finds, b.Seeds)
		}
	}
	for _, name := range known {
		if !found[name] {
			t.Errorf("no bug is planted that %s must find", name)
		}
	}
	if _, ok := FindBug("no-such-bug"); ok {
		t.Error("a bug of no name is found")
	}
}
