package sim

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Case is one line of a report on many: a scenario, a seed or a benchmark, and
// whether it passed.
type Case struct {
	Suite    string    `json:"suite"`   // what it belongs to: a folder, or the scenario of a seed
	Name     string    `json:"name"`    // of the scenario
	File     string    `json:"file"`    // that it came from; "" for none
	Seconds  float64   `json:"seconds"` // of wall time
	Failures []Failure `json:"failures,omitempty"`
	Warnings []string  `json:"warnings,omitempty"` // what did not go as wished and fails nothing
	Again    string    `json:"again"`              // the command line that repeats it
	Note     string    `json:"note"`               // a few figures, on one line
	Seeds    string    `json:"seeds,omitempty"`    // that it ran with, as in 1..20
	Events   uint64    `json:"events,omitempty"`   // of its runs together; 0 for a benchmark
	NotRun   bool      `json:"not_run,omitempty"`  // because all was stopped before: neither passed nor failed
}

// Exit is the exit code of a case: that of its worst failure.
func (c *Case) Exit() int {
	worst := ExitPass
	for _, f := range c.Failures {
		worst = WorstExit(worst, f.Exit)
	}
	return worst
}

// Line is the case on one line for people: PASS or FAIL, name, seconds, and what
// failed.
func (c *Case) Line() string {
	word := "PASS"
	switch {
	case c.NotRun:
		word = "----"
	case len(c.Failures) > 0:
		word = "FAIL"
	}
	line := fmt.Sprintf("%s  %-28s %6.1f s", word, c.Name, c.Seconds)
	if c.Note != "" {
		line += "  " + c.Note
	}
	for _, f := range c.Failures {
		line += "; " + f.Signature()
	}
	for _, w := range c.Warnings {
		line += "; warning: " + w
	}
	return line
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	seconds  float64
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	File    string       `xml:"file,attr,omitempty"`
	Time    string       `xml:"time,attr"`
	Skipped *junitDetail `xml:"skipped"`
	Failure *junitDetail `xml:"failure"`
	Error   *junitDetail `xml:"error"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitDetail struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes cases as JUnit XML, one suite for each of their Suite in
// order of appearance. A case that failed by an invariant, a property or a
// threshold is a failure; one that could not be run is an error. The error is
// that of w.
func WriteJUnit(w io.Writer, name string, cases []Case) error {
	all := junitSuites{Name: name}
	index := map[string]int{}
	seconds := 0.0
	for i := range cases {
		c := &cases[i]
		k, ok := index[c.Suite]
		if !ok {
			k = len(all.Suites)
			index[c.Suite] = k
			all.Suites = append(all.Suites, junitSuite{Name: c.Suite})
		}
		s := &all.Suites[k]
		x := junitCase{Class: c.Suite, Name: c.Name, File: c.File, Time: junitSeconds(c.Seconds), Out: c.Note}
		for _, warning := range c.Warnings {
			x.Out = strings.TrimSpace(x.Out + "\nwarning: " + warning)
		}
		if len(c.Failures) > 0 {
			d := &junitDetail{Type: c.Failures[0].Signature(), Message: c.Failures[0].First, Text: c.detail()}
			if c.Exit() == ExitBad {
				x.Error = d
				s.Errors++
				all.Errors++
			} else {
				x.Failure = d
				s.Failures++
				all.Failures++
			}
		}
		if c.NotRun {
			x.Skipped = &junitDetail{Type: "stopped", Message: cmp.Or(c.Note, "not run")}
			s.Skipped++
		}
		s.Tests++
		all.Tests++
		s.seconds += c.Seconds
		s.Time = junitSeconds(s.seconds)
		seconds += c.Seconds
		s.Cases = append(s.Cases, x)
	}
	all.Time = junitSeconds(seconds)
	b := bufio.NewWriter(w)
	b.WriteString(xml.Header)
	e := xml.NewEncoder(b)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	b.WriteString("\n")
	return b.Flush()
}

func junitSeconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// detail is all that a case failed by, and how to see it again.
func (c *Case) detail() string {
	var b strings.Builder
	for _, f := range c.Failures {
		fmt.Fprintf(&b, "%s: %s\n", f.Signature(), f.First)
	}
	if c.Again != "" {
		fmt.Fprintf(&b, "again: %s\n", c.Again)
	}
	return b.String()
}

// WriteMarkdown writes cases as a summary for a build's page: how many passed,
// a table, and what each failure says. The error is that of w.
func WriteMarkdown(w io.Writer, title string, cases []Case) error {
	b := bufio.NewWriter(w)
	passed := 0
	for i := range cases {
		if len(cases[i].Failures) == 0 && !cases[i].NotRun {
			passed++
		}
	}
	fmt.Fprintf(b, "### %s: %d of %d passed\n\n| | name | seconds | what |\n|---|---|---:|---|\n", title, passed, len(cases))
	for i := range cases {
		c := &cases[i]
		word, what := "✅", []string{}
		if c.Note != "" {
			what = append(what, c.Note)
		}
		if c.NotRun {
			word = "not run"
		}
		for _, f := range c.Failures {
			word = "❌"
			what = append(what, "**"+f.Signature()+"**")
		}
		for _, warning := range c.Warnings {
			what = append(what, "⚠️ "+warning)
		}
		fmt.Fprintf(b, "| %s | %s | %.1f | %s |\n", word, cell(c.Name), c.Seconds, cell(strings.Join(what, "; ")))
	}
	for i := range cases {
		if c := &cases[i]; len(c.Failures) > 0 {
			fmt.Fprintf(b, "\n<details><summary>%s</summary>\n\n```\n%s```\n\n</details>\n", cell(c.Name), strings.ReplaceAll(c.detail(), "```", "'''"))
		}
	}
	return b.Flush()
}

// cell is text that can stand in a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", ">", "&gt;").Replace(s)
}
