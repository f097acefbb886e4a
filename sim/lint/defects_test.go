package lint

import (
	"fmt"
	"go/ast"
	"strings"
	"testing"
)

// planters are where a planted bug may be named: its declaration, the services
// that ask for it, and the simulator. Whatever runs for real says nothing of it.
func planters(file string) bool {
	rest, ok := strings.CutPrefix(file, "node/")
	if ok {
		return !strings.Contains(rest, "/") // the services themselves, but no edge
	}
	rest, ok = strings.CutPrefix(file, "sim/")
	return ok && !strings.HasPrefix(rest, "localnet/")
}

// unplanted is the rule that no node that runs for real has a defect: nothing
// but the simulator sets node.Ports.Defects.
func unplanted(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			services := strings.HasPrefix(s.path, "node/") && planters(s.path)
			if !services && planters(s.path) {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				id, ok := n.(*ast.Ident)
				switch {
				case !ok:
				case services && !s.test && sets(s.file, id):
					out = append(out, finding{m.at(id), "a service sets Defects: only the simulator plants bugs"})
				case !services && (id.Name == "Defects" || strings.HasPrefix(id.Name, "Defect") && p.path != "node"):
					out = append(out, finding{m.at(id), fmt.Sprintf("%s: what runs for real has no planted bugs", id.Name)})
				}
				return true
			})
		}
	}
	return out
}

// sets says whether an identifier is Defects where a value is given to it.
func sets(f *ast.File, id *ast.Ident) (found bool) {
	if id.Name != "Defects" {
		return false
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			found = found || n.Key == id
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				s, ok := l.(*ast.SelectorExpr)
				found = found || ok && s.Sel == id
			}
		}
		return !found
	})
	return found
}

func TestNothingThatRunsForRealIsDefective(t *testing.T) { report(t, unplanted(whole(t))) }

func TestNothingThatRunsForRealIsDefectiveBites(t *testing.T) {
	const types = "package x\ntype ports struct{ Defects int }\n"
	for _, c := range []struct{ name, file, code, want string }{
		{"an edge", "node/live/x.go", "package x\ntype ports struct{ Defects int }\n", "no planted bugs"},
		{"the command line", "node/cli/x.go", "package x\nconst DefectOne = 1\n", "no planted bugs"},
		{"the localnet", "sim/localnet/x.go", "package x\nvar DefectOne = 1\n", "no planted bugs"},
		{"a service, by key", "node/x.go", types + "var p = ports{Defects: 1}\n", "only the simulator"},
		{"a service, by assignment", "node/x.go", types + "func f(p *ports) { p.Defects = 1 }\n", "only the simulator"},
		{"a service that asks", "node/x.go", types + "func f(p *ports) bool { return p.Defects&1 != 0 }\n", ""},
		{"the simulator", "sim/x.go", types + "func f(p *ports) { p.Defects = 1 }\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) { one(t, unplanted(sample(t, c.file, c.code)), c.want) })
	}
}
