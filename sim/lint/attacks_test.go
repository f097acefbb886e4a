package lint

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The attacks that are answered by something not being there, and the page that
// tells of all of them.

// attacksPage is where each attack and each hole has a row with its tests.
const attacksPage = "docs/attacks.md"

// attacks and holes are numbered from 1 on.
const (
	attacks = 18
	holes   = 16
)

// testName is a test in code quotes.
var testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")

// untold is the rule that attacks.md has a row of each attack and each hole, with
// the name of a test in it, and names no test that is not there.
func untold(m *module) []finding {
	tests := map[string]bool{}
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if !s.test {
				continue
			}
			for _, d := range s.file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
					tests[f.Name.Name] = true
				}
			}
		}
	}
	var out []finding
	told := map[string]bool{}
	for _, f := range m.texts {
		if f.path != attacksPage {
			continue
		}
		n := 0
		for line := range strings.Lines(string(f.data)) {
			n++
			at := fmt.Sprintf("%s:%d", f.path, n)
			exist := 0
			for _, name := range testName.FindAllStringSubmatch(line, -1) {
				if exist++; !tests[name[1]] {
					out = append(out, finding{at, "names " + name[1] + ", which is no test"})
				}
			}
			if cells := strings.Split(line, "|"); len(cells) > 2 && exist > 0 {
				told[strings.TrimSpace(cells[1])] = true
			}
		}
	}
	for _, kind := range []struct {
		letter string
		n      int
	}{{"A", attacks}, {"H", holes}} {
		for i := 1; i <= kind.n; i++ {
			if id := kind.letter + strconv.Itoa(i); !told[id] {
				out = append(out, finding{attacksPage, "has no row of " + id + " with a test"})
			}
		}
	}
	return out
}

func TestAttacksAreTold(t *testing.T) { report(t, untold(whole(t))) }

func TestAttacksAreToldBites(t *testing.T) {
	var page strings.Builder
	for i := range attacks {
		fmt.Fprintf(&page, "| A%d | x | `TestOne` |\n", i+1)
	}
	for i := range holes {
		fmt.Fprintf(&page, "| H%d | x | `TestOne`, `TestTwo` |\n", i+1)
	}
	good := page.String()
	for _, c := range []struct{ name, page, want string }{
		{"good", good, ""},
		{"a test that is not there", strings.Replace(good, "`TestTwo`", "`TestThree`", 1), "names TestThree"},
		{"a row without a test", strings.Replace(good, "| A7 | x | `TestOne` |", "| A7 | x | none |", 1), "no row of A7"},
		{"a row missing", strings.Replace(good, "| H16 | x | `TestOne`, `TestTwo` |\n", "", 1), "no row of H16"},
		{"told outside of a table", strings.Replace(good, "| A1 | x | `TestOne` |\n", "A1: `TestOne`\n", 1), "no row of A1 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sample(t, "node/x_test.go", "package x\nimport \"testing\"\nfunc TestOne(*testing.T) {}\nfunc TestTwo(*testing.T) {}\n")
			m.texts = append(m.texts, text{attacksPage, []byte(c.page)})
			one(t, untold(m), c.want)
		})
	}
}

// starts are what puts another program in a process's place, or beside it,
// besides what is not imported at all (foreignCode).
var starts = map[string]bool{
	"os.StartProcess": true, "syscall.StartProcess": true, "syscall.Exec": true, "syscall.ForkExec": true, "unix.Exec": true, "windows.CreateProcess": true,
}

// asksItsOwnPath are the places that may ask which file the program is.
var asksItsOwnPath = map[string]string{
	"node/cli/revision.go": "hashes it, so that a recording says what made it",
	"sim/cli/localnet.go":  "prints the words by which it is called again",
}

// selfUpdates is the rule that the program neither starts another nor writes
// itself anew: nothing starts a program, and nobody needs the path of its own file.
func selfUpdates(m *module) []finding {
	out := foreignCode(m)
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				of, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				switch name := of.Name + "." + sel.Sel.Name; {
				case starts[name]:
					out = append(out, finding{m.at(n), name + " starts a program"})
				case name == "os.Executable" && asksItsOwnPath[s.path] == "":
					out = append(out, finding{m.at(n), "asks for the program's own file"})
				}
				return true
			})
		}
	}
	return out
}

func TestA15NothingUpdatesItself(t *testing.T) { report(t, selfUpdates(whole(t))) }

func TestH14NothingUpdatesItself(t *testing.T) { report(t, selfUpdates(whole(t))) }

func TestH14NothingUpdatesItselfBites(t *testing.T) {
	body := func(imported, call string) string {
		return "package x\nimport \"" + imported + "\"\nvar _ = " + path.Base(imported) + "." + call + "\n"
	}
	bites(t, selfUpdates, []bad{
		{"another process", "node/x.go", body("os", "StartProcess"), "starts a program"},
		{"in its own place", "node/live/x.go", body("syscall", "Exec"), "starts a program"},
		{"beside it", "node/cli/x.go", body("syscall", "ForkExec"), "starts a program"},
		{"its own file", "node/cli/x.go", body("os", "Executable"), "own file"},
		{"a command", "node/cli/x.go", body("os/exec", "Command"), "runs other programs"},
		{"where it is meant", "node/cli/revision.go", body("os", "Executable"), ""},
		{"a file", "node/cli/x.go", body("os", "Open"), ""},
		{"a test", "node/cli/x_test.go", body("os", "Executable"), ""},
	})
	for at, why := range asksItsOwnPath { // reported by name
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(at))); err != nil || why == "" {
			t.Errorf("%s may ask for its own file: %q, %v", at, why, err)
		}
	}
}

// unpinned is the rule that what is built is what was looked at: every module that
// go.mod asks for has its hashes in go.sum, and none is taken from elsewhere.
func unpinned(mod, sum string) []finding {
	var out []finding
	for line := range strings.Lines(mod) {
		line, _, _ = strings.Cut(line, "//")
		word := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		switch {
		case strings.Contains(line, "=>") || len(word) > 0 && word[0] == "replace":
			out = append(out, finding{"go.mod", "takes a module from elsewhere: " + strings.TrimSpace(line)})
		case len(word) == 2 && strings.HasPrefix(word[1], "v"):
			lines := slices.Collect(strings.Lines(sum))
			for _, want := range []string{word[0] + " " + word[1] + " h1:", word[0] + " " + word[1] + "/go.mod h1:"} {
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
					out = append(out, finding{"go.sum", "does not hold " + strings.TrimSuffix(want, " h1:")})
				}
			}
		}
	}
	return out
}

func TestA15ModulesArePinned(t *testing.T) {
	var read [2]string
	for i, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(whole(t).root, name))
		if err != nil {
			t.Fatal(err)
		}
		read[i] = string(data)
	}
	report(t, unpinned(read[0], read[1]))
}

func TestA15ModulesArePinnedBites(t *testing.T) {
	const mod = "module x\n\ngo 1.26\n\nrequire (\n\texample.org/a v1.2.3\n\texample.org/b v0.1.0 // indirect\n)\n"
	const sum = "example.org/a v1.2.3 h1:x=\nexample.org/a v1.2.3/go.mod h1:x=\nexample.org/b v0.1.0 h1:x=\nexample.org/b v0.1.0/go.mod h1:x=\n"
	for _, c := range []struct{ name, mod, sum, want string }{
		{"good", mod, sum, ""},
		{"no hash", mod, strings.Replace(sum, "example.org/b v0.1.0 h1:x=\n", "", 1), "does not hold example.org/b v0.1.0"},
		{"another version's", strings.Replace(mod, "a v1.2.3", "a v1.2.4", 1), sum + "example.org/a v1.2.4/go.mod h1:x=\n", "does not hold example.org/a v1.2.4"},
		{"replaced", mod + "\nreplace example.org/a => ../a\n", sum, "from elsewhere"},
		{"one line", "require example.org/c v1.0.0\n", "example.org/c v1.0.0 h1:x=\n", "does not hold example.org/c v1.0.0/go.mod"},
	} {
		t.Run(c.name, func(t *testing.T) { one(t, unpinned(c.mod, c.sum), c.want) })
	}
}

// TestA16NothingIsUnpickled: no package unpacks what says itself how it is to be
// unpacked.
func TestA16NothingIsUnpickled(t *testing.T) { report(t, foreignCode(whole(t))) }
