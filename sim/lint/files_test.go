package lint

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// topLevel is all that may lie at the top, dot files aside.
const topLevel = " main.go sim node bus sched store scenarios testdata go.mod go.sum README.md docs LICENSE CHANGELOG.md "

// tidy is the rule about what lies where: the top level, the first line of a
// scenario, sleeping tests.
func tidy(m *module) []finding {
	var out []finding
	for _, f := range m.texts {
		first, _, _ := strings.Cut(f.path, "/")
		if !strings.HasPrefix(first, ".") && !strings.Contains(topLevel, " "+first+" ") {
			out = append(out, finding{f.path, "lies at the top level, where nothing is added"})
		}
		if path.Dir(f.path) == "scenarios" && path.Ext(f.path) == ".yaml" && !strings.HasPrefix(string(f.data), "# Shows:") {
			out = append(out, finding{f.path, "does not open with a comment that says what it shows"})
		}
		if sleep := "time." + "Sleep("; strings.HasSuffix(f.path, "_test.go") && strings.Contains(string(f.data), sleep) {
			out = append(out, finding{f.path, "sleeps: wait for what you wait for, or turn a virtual clock"})
		}
	}
	return out
}

func TestEverythingHasItsPlace(t *testing.T) {
	m := whole(t)
	report(t, tidy(m))
	entries, err := os.ReadDir(m.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && e.Name() != "main.go" {
			t.Errorf("%s: main.go is the only Go file at the top level", e.Name())
		}
	}
}

func TestEverythingHasItsPlaceBites(t *testing.T) {
	for _, c := range []struct{ name, file, data, want string }{
		{"folder", "internal/x.go", "package x\n", "lies at the top"},
		{"file", "run.sh", "", "lies at the top"},
		{"scenario", "scenarios/x.yaml", "seed: 1\n", "does not open"},
		{"sleep", "bus/x_test.go", "package x\nfunc f() { time." + "Sleep(1) }\n", "sleeps"},
		{"dot file", ".ci/run", "", ""},
		{"good scenario", "scenarios/x.yaml", "# Shows: a day.\nseed: 1\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			one(t, tidy(&module{texts: []text{{c.file, []byte(c.data)}}}), c.want)
		})
	}
}

// one checks that there is one finding that holds want, or none where it is empty.
func one(t *testing.T, got []finding, want string) {
	t.Helper()
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), want)) {
		t.Errorf("found %v, want %q", got, want)
	}
}

var (
	link = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	// named is a path of ours in code quotes: `store/backup.go`, `sim/market`.
	named   = regexp.MustCompile("`((?:sim|node|bus|sched|store|scenarios|testdata|docs|\\.ci)/[A-Za-z0-9_./-]*|main\\.go|go\\.mod|README\\.md|CHANGELOG\\.md)`")
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
)

// brokenLinks is the rule that what a document points to is there: relative
// links with their anchors, and paths in code quotes. exists is told a path
// inside the module.
func brokenLinks(m *module, exists func(string) bool) []finding {
	anchors := map[string]map[string]bool{}
	for _, f := range m.texts {
		if path.Ext(f.path) == ".md" {
			anchors[f.path] = anchorsOf(string(f.data))
		}
	}
	var out []finding
	for _, f := range m.texts {
		if path.Ext(f.path) != ".md" {
			continue
		}
		n := 0
		fenced := false
		for line := range strings.Lines(string(f.data)) {
			n++
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			if fenced || strings.HasPrefix(line, "    ") {
				continue
			}
			at := fmt.Sprintf("%s:%d", f.path, n)
			for _, l := range link.FindAllStringSubmatch(line, -1) {
				target, anchor, _ := strings.Cut(l[1], "#")
				if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
					continue
				}
				file := f.path
				if target != "" {
					file = path.Join(path.Dir(f.path), target)
				}
				switch {
				case !exists(file):
					out = append(out, finding{at, "links to " + l[1] + ", which is not there"})
				case anchor != "" && path.Ext(file) == ".md" && !anchors[file][anchor]:
					out = append(out, finding{at, "links to " + l[1] + ", which has no such heading"})
				}
			}
			for _, p := range named.FindAllStringSubmatch(line, -1) {
				if !exists(strings.TrimSuffix(p[1], "/")) {
					out = append(out, finding{at, "names " + p[1] + ", which is not there"})
				}
			}
		}
	}
	return out
}

// anchorsOf are the fragments that a page's headings make.
func anchorsOf(page string) map[string]bool {
	out := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(h[1]) {
			switch {
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				b.WriteRune(r)
			case r == ' ':
				b.WriteByte('-')
			}
		}
		out[b.String()] = true
	}
	return out
}

func TestDocumentsPointToWhatIsThere(t *testing.T) {
	m := whole(t)
	report(t, brokenLinks(m, func(p string) bool {
		_, err := os.Stat(filepath.Join(m.root, filepath.FromSlash(p)))
		return err == nil
	}))
}

func TestDocumentsPointToWhatIsThereBites(t *testing.T) {
	there := map[string]bool{"README.md": true, "docs/a.md": true, "docs/b.md": true, "store/backup.go": true}
	for _, c := range []struct{ name, line, want string }{
		{"missing page", "see [b](c.md)", "links to c.md"},
		{"from the wrong folder", "see [b](docs/b.md)", "links to docs/b.md"},
		{"missing heading", "see [b](b.md#nowhere)", "no such heading"},
		{"missing heading here", "see [above](#nowhere)", "no such heading"},
		{"missing file in quotes", "read `store/gone.go` first", "names store/gone.go"},
		{"good", "# A page\nsee [b](b.md#two-words-2), [up](../README.md), [web](https://example.org/x), [here](#a-page) and `store/backup.go`", ""},
		{"an example", "```\n[x](gone.md)\n```\n    [y](gone.md)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &module{texts: []text{{"docs/a.md", []byte(c.line)}, {"docs/b.md", []byte("## Two, words: 2\n")}}}
			one(t, brokenLinks(m, func(p string) bool { return there[p] }), c.want)
		})
	}
}
