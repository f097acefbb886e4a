package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"strings"
	"testing"
	"unicode"
)

// vague words say that a thing has no name yet. They are not used in names of
// ours, of files or of packages.
var vague = map[string]bool{"manager": true, "helper": true, "helpers": true, "util": true, "utils": true, "common": true, "misc": true}

// vagueNames is the rule about words in what is declared, in files and packages.
func vagueNames(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			base := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
			for _, w := range append(strings.Split(base, "_"), s.file.Name.Name) {
				if vague[strings.ToLower(w)] {
					out = append(out, finding{s.path, fmt.Sprintf("is called %q", w)})
				}
			}
			declared(s.file, func(id *ast.Ident) {
				for _, w := range words(id.Name) {
					if vague[w] {
						out = append(out, finding{m.at(id), fmt.Sprintf("%s holds the word %q", id.Name, w)})
					}
				}
			})
			ast.Inspect(s.file, func(n ast.Node) bool {
				if ts, ok := n.(*ast.TypeSpec); ok {
					if _, is := ts.Type.(*ast.InterfaceType); is && hungarian(ts.Name.Name) {
						out = append(out, finding{m.at(ts), ts.Name.Name + " says with an I that it is an interface"})
					}
				}
				return true
			})
		}
	}
	return out
}

// hungarian says whether a name begins with an I that is no word: IStore, not IP or Inbox.
func hungarian(name string) bool {
	return len(name) > 2 && name[0] == 'I' && unicode.IsUpper(rune(name[1])) && unicode.IsLower(rune(name[2]))
}

// declared calls f for each name that a file declares, but for the methods of
// interfaces, which may be another's.
func declared(f *ast.File, call func(*ast.Ident)) {
	fields := func(l *ast.FieldList) {
		if l == nil {
			return
		}
		for _, x := range l.List {
			for _, id := range x.Names {
				call(id)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			call(n.Name)
			fields(n.Recv)
		case *ast.FuncType:
			fields(n.Params)
			fields(n.Results)
		case *ast.TypeSpec:
			call(n.Name)
		case *ast.StructType:
			fields(n.Fields)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				call(id)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, x := range n.Lhs {
					if id, ok := x.(*ast.Ident); ok {
						call(id)
					}
				}
			}
		}
		return true
	})
}

// words splits a name at its capitals: TaskManager is task, manager.
func words(name string) []string {
	var out []string
	start := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || name[i] == '_' ||
			unicode.IsUpper(rune(name[i])) && (unicode.IsLower(rune(name[i-1])) || i+1 < len(name) && unicode.IsLower(rune(name[i+1]))) {
			out = append(out, strings.ToLower(strings.Trim(name[start:i], "_")))
			start = i
		}
	}
	return out
}

// unfinished and machine are spelled in pieces, so that this file may be looked at too.
var (
	unfinished = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"}
	machine    = []string{"/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/", "/tm" + "p/", `C:` + `\`}
)

// samplesOf reads real matches where they lie on the machines that have them,
// and is skipped elsewhere: the one path that leads out of the module.
const samplesOf = "sim/market/file_test.go"

// finishedText is the rule that nothing is left unfinished and nothing names a
// machine's own paths.
func finishedText(m *module) []finding {
	var out []finding
	for _, f := range m.texts {
		n := 0
		for line := range strings.Lines(string(f.data)) {
			n++
			for _, w := range unfinished {
				if strings.Contains(line, w) {
					out = append(out, finding{fmt.Sprintf("%s:%d", f.path, n), "unfinished: " + w})
				}
			}
			outside := ".." + "/shared"
			for _, w := range append(machine[:len(machine):len(machine)], outside) {
				if strings.Contains(line, w) && !(w == outside && f.path == samplesOf) {
					out = append(out, finding{fmt.Sprintf("%s:%d", f.path, n), "names a path of one machine: " + w})
				}
			}
		}
	}
	return out
}

func TestNamesSayWhatThingsAre(t *testing.T) { report(t, vagueNames(whole(t))) }

func TestNothingIsLeftUnfinished(t *testing.T) { report(t, finishedText(whole(t))) }

func TestNamesSayWhatThingsAreBites(t *testing.T) {
	bites(t, vagueNames, []bad{
		{"type", "node/x.go", "package x\ntype TaskManager struct{}\n", "TaskManager holds the word \"manager\""},
		{"function", "node/x.go", "package x\nfunc helperOf() {}\n", "helper"},
		{"field", "node/x.go", "package x\ntype a struct{ peerManager int }\n", "peerManager"},
		{"local", "node/x.go", "package x\nfunc f() { utils := 1; _ = utils }\n", "utils"},
		{"acronym before it", "node/x.go", "package x\nvar HTTPManager int\n", "manager"},
		{"file", "node/util.go", "package x\n", "is called \"util\""},
		{"test file", "node/test_helpers_test.go", "package x\n", "is called \"helpers\""},
		{"package", "node/x.go", "package common\n", "is called \"common\""},
		{"interface", "node/x.go", "package x\ntype IStore interface{}\n", "IStore says"},
		{"another's method", "node/x_test.go", "package x\nimport \"testing\"\nfunc f(t *testing.T) { t.Helper() }\n", ""},
		{"part of a word", "node/x.go", "package x\ntype Utility int\nvar uncommon, IPs int\ntype Inbox interface{}\n", ""},
	})
}

func TestNothingIsLeftUnfinishedBites(t *testing.T) {
	line := func(s string) string { return "package x // " + s + "\n" }
	bites(t, finishedText, []bad{
		{"promise", "node/x.go", line(unfinished[0] + " later"), "x.go:1: unfinished"},
		{"admission", "node/x.go", line(unfinished[1]), "unfinished"},
		{"somebody's folder", "node/x.go", line(machine[1] + "me/bettensor"), "path of one machine"},
		{"beside the module", "node/x.go", line(".." + "/shared/data"), "path of one machine"},
		{"a system's folder", "node/x.go", line("/var/lib/bettensor"), ""},
	})
}
