package sim

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestWorstExit: of many the worst in the order 2, 4, 3, 5, 1.
func TestWorstExit(t *testing.T) {
	for _, c := range []struct {
		codes []int
		want  int
	}{
		{nil, 0}, {[]int{0, 0}, 0}, {[]int{0, 1}, 1}, {[]int{1, 5}, 5}, {[]int{5, 3, 1}, 3},
		{[]int{3, 4, 5}, 4}, {[]int{4, 2}, 2}, {[]int{0, 1, 2, 3, 4, 5}, 2}, {[]int{0, 99}, 1},
	} {
		if got := WorstExit(c.codes...); got != c.want {
			t.Errorf("WorstExit(%v) = %d, want %d", c.codes, got, c.want)
		}
	}
}

// TestExitOfAResult: a violation fails a run, one that is disabled does not.
func TestExitOfAResult(t *testing.T) {
	r := &Result{Invariants: []InvariantResult{{Name: "a", Checked: 9}, {Name: "b", Violations: 1, Disabled: "on purpose"}}}
	if r.Exit() != ExitPass || r.Failures() != nil {
		t.Errorf("exit %d, failures %v of a run that passed", r.Exit(), r.Failures())
	}
	r.Invariants = append(r.Invariants, InvariantResult{Name: "c", Violations: 2, First: "here"})
	if d := gocmp.Diff([]Failure{{ExitSafety, "invariant", "c", "here"}}, r.Failures()); r.Exit() != ExitSafety || d != "" {
		t.Errorf("exit %d, failures (-want +got):\n%s", r.Exit(), d)
	}
}

var someCases = []Case{
	{Suite: "scenarios", Name: "good", File: "scenarios/good.yaml", Seconds: 1.5, Note: "9 events", Warnings: []string{"took <long>"}},
	{Suite: "scenarios", Name: "bad", Seconds: 0.25, Again: "bettensor sim run bad.yaml --seed 7",
		Failures: []Failure{{ExitSafety, "invariant", "budget-per-day", "too much <&> \x01 of it"}, {ExitThreshold, "threshold", "gini", "0.9"}}},
	{Suite: "scenarios/bench", Name: "broken|one", Failures: []Failure{{ExitBad, "error", "run", "no such file"}}},
}

// TestWriteJUnit: counts are right, text survives, failures and errors are told apart.
func TestWriteJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJUnit(&b, "sim ci", someCases); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &b)
	}
	if got.Tests != 3 || got.Failures != 1 || got.Errors != 1 || got.Time != "1.750" || len(got.Suites) != 2 ||
		got.Suites[0].Tests != 2 || got.Suites[0].Failures != 1 || got.Suites[1].Errors != 1 {
		t.Errorf("wrong counts:\n%s", &b)
	}
	bad := got.Suites[0].Cases[1]
	if f := bad.Failure; f == nil || f.Type != "invariant budget-per-day" || f.Message != "too much <&> \ufffd of it" ||
		!strings.Contains(f.Text, "threshold gini: 0.9\nagain: bettensor sim run bad.yaml --seed 7\n") {
		t.Errorf("the failure is %+v", bad.Failure)
	}
	if out := got.Suites[0].Cases[0].Out; out != "9 events\nwarning: took <long>" {
		t.Errorf("system-out is %q", out)
	}
}

// TestWriteMarkdown: the table has a row a case, cells stay cells.
func TestWriteMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := WriteMarkdown(&b, "sim ci", someCases); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### sim ci: 1 of 3 passed\n", "| ✅ | good | 1.5 | 9 events; ⚠️ took &lt;long&gt; |\n",
		"| ❌ | bad | 0.2 | **invariant budget-per-day**; **threshold gini** |\n", `| ❌ | broken\|one | 0.0 |`,
		"again: bettensor sim run bad.yaml --seed 7\n```"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &b)
		}
	}
}

// TestCaseLine: one line says what came out.
func TestCaseLine(t *testing.T) {
	for i, want := range []string{"PASS  good                            1.5 s  9 events; warning: took <long>",
		"FAIL  bad                             0.2 s; invariant budget-per-day; threshold gini",
		"FAIL  broken|one                      0.0 s; error run"} {
		if got := someCases[i].Line(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
