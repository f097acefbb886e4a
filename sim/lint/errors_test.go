package lint

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// errorFields are what every line of level ERROR says beside its words: a stable
// code to look for, what to do, and where to read more.
var errorFields = []string{"code", "fix", "runbook"}

// chainJournal speaks of what the node's alarms say with code and runbook.
const chainJournal = "node/chain/substrate/write.go"

// errorLines is the rule about lines of level ERROR of a node; those of a
// simulation are read by who runs it. Fields that come as a slice
// must be made by a literal that holds them, in the call or in a variable of the
// package.
func errorLines(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test || strings.HasPrefix(s.path, "sim/") || s.path == chainJournal {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !logsError(p, call) {
					return true
				}
				have := constants(p, call)
				for _, field := range errorFields {
					if !slices.Contains(have, field) {
						out = append(out, finding{m.at(call), "a line of level ERROR without \"" + field + "\""})
					}
				}
				return true
			})
		}
	}
	return out
}

// logsError says whether a call is log/slog's Error or ErrorContext.
func logsError(p *pkg, call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	f, ok := p.info.Uses[sel.Sel].(*types.Func)
	return ok && f.Pkg() != nil && f.Pkg().Path() == "log/slog" && strings.HasPrefix(f.Name(), "Error")
}

// constants are the texts written out in a call, and in variables it spreads.
func constants(p *pkg, call *ast.CallExpr) (out []string) {
	gather := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok {
				out = append(out, strings.Trim(l.Value, "\"`"))
			}
			return true
		})
	}
	gather(call)
	if id, ok := call.Args[len(call.Args)-1].(*ast.Ident); ok && call.Ellipsis.IsValid() {
		for _, s := range p.files {
			for _, d := range s.file.Decls {
				if g, ok := d.(*ast.GenDecl); ok {
					for _, spec := range g.Specs {
						if v, ok := spec.(*ast.ValueSpec); ok && len(v.Names) == 1 && p.info.Defs[v.Names[0]] == p.info.Uses[id] {
							gather(v)
						}
					}
				}
			}
		}
	}
	return out
}

func TestErrorLinesHaveCodes(t *testing.T) { report(t, errorLines(whole(t))) }

func TestErrorLinesHaveCodesBites(t *testing.T) {
	of := func(code string) string {
		return "package x\nimport \"log/slog\"\nvar fields = []any{\"code\", \"x\", \"fix\", \"y\"}\nfunc f(l *slog.Logger) { " + code + " }\n"
	}
	bites(t, errorLines, []bad{
		{"no code", "node/x.go", of(`l.Error("gone", "fix", "x", "runbook", "y")`), "without \"code\""},
		{"no fix", "node/x.go", of(`l.Error("gone", "code", "x", "runbook", "y")`), "without \"fix\""},
		{"fields spread", "node/x.go", of(`l.Error("gone", fields...)`), "without \"runbook\""},
	})
}
