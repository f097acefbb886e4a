package lint

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

// orderFree marks a loop over a map whose order is nobody's business. The rest
// of the comment says why: "order cannot matter: each line is judged alone".
const orderFree = "order cannot matter"

// mapOrder is the rule that map order reaches no output. A loop over a map must
// gather what it finds and sort it in the same function, or carry the mark on
// its line or the one above. Edges are not bound by it.
func mapOrder(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if _, edge := excepted(s.path, system); s.test || edge && !strings.HasPrefix(s.path, "store/") {
				continue
			}
			marked := marks(m, s)
			ast.Inspect(s.file, func(n ast.Node) bool {
				body := bodyOf(n)
				if body == nil {
					return true
				}
				ast.Inspect(body, func(n ast.Node) bool {
					if bodyOf(n) != nil {
						return false // has its own turn
					}
					if line := m.fset.Position(nodePos(n)).Line; n == nil || marked[line] || marked[line-1] {
						return true
					}
					switch n := n.(type) {
					case *ast.RangeStmt:
						if isMap(p.info.TypeOf(n.X)) && !gathered(p, body, n) {
							out = append(out, finding{m.at(n), "ranges over a map: sort what it gathers, or say why \"" + orderFree + "\""})
						}
					case *ast.CallExpr:
						if name := unordered(p, n); name != "" && !sortedAtOnce(p, body, n) {
							out = append(out, finding{m.at(n), name + " in map order: sort it, or say why \"" + orderFree + "\""})
						}
					}
					return true
				})
				return true
			})
		}
	}
	return out
}

func nodePos(n ast.Node) token.Pos {
	if n == nil {
		return token.NoPos
	}
	return n.Pos()
}

func bodyOf(n ast.Node) *ast.BlockStmt {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return n.Body
	case *ast.FuncLit:
		return n.Body
	}
	return nil
}

// marks are the lines of a file that end a comment with the mark.
func marks(m *module, s *source) map[int]bool {
	lines := map[int]bool{}
	for _, g := range s.file.Comments {
		if strings.Contains(g.Text(), orderFree) {
			lines[m.fset.Position(g.End()).Line] = true
		}
	}
	return lines
}

func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// gathered says whether all that a loop does is to append to lists, perhaps
// under a condition, each of which is sorted after it in the same function.
func gathered(p *pkg, body *ast.BlockStmt, loop *ast.RangeStmt) bool {
	var lists []string
	if !appends(loop.Body.List, &lists) || len(lists) == 0 {
		return false
	}
	for _, list := range lists {
		found := false
		ast.Inspect(body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && call.Pos() > loop.End() && len(call.Args) > 0 && sorts(p, call) && types.ExprString(call.Args[0]) == list {
				found = true
			}
			return true
		})
		if !found {
			return false
		}
	}
	return true
}

// appends says whether statements do nothing but x = append(x, …), under
// conditions or not, and gathers the names of the lists.
func appends(stmts []ast.Stmt, lists *[]string) bool {
	for _, st := range stmts {
		switch st := st.(type) {
		case *ast.AssignStmt:
			if len(st.Lhs) != 1 || len(st.Rhs) != 1 {
				return false
			}
			call, ok := st.Rhs[0].(*ast.CallExpr)
			if !ok || len(call.Args) < 2 || types.ExprString(call.Fun) != "append" || types.ExprString(call.Args[0]) != types.ExprString(st.Lhs[0]) {
				return false
			}
			*lists = append(*lists, types.ExprString(st.Lhs[0]))
		case *ast.IfStmt:
			if st.Else != nil || !appends(st.Body.List, lists) {
				return false
			}
		case *ast.BranchStmt:
			if st.Tok != token.CONTINUE {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// callee is the package path and name of a function that is called, and the
// method's where it is one.
func callee(p *pkg, call *ast.CallExpr) string {
	fun := call.Fun
	if x, ok := fun.(*ast.IndexExpr); ok {
		fun = x.X
	}
	var id *ast.Ident
	switch fun := fun.(type) {
	case *ast.SelectorExpr:
		id = fun.Sel
	case *ast.Ident:
		id = fun
	default:
		return ""
	}
	f, ok := p.info.Uses[id].(*types.Func)
	if !ok || f.Pkg() == nil {
		return ""
	}
	return f.Pkg().Path() + "." + f.Name()
}

func sorts(p *pkg, call *ast.CallExpr) bool {
	name := callee(p, call)
	return strings.HasPrefix(name, "slices.Sort") || name == "sort.Slice" || name == "sort.Strings" || name == "sort.Ints" || name == "sort.Sort"
}

// unordered names a call that yields what is in a map in its order.
func unordered(p *pkg, call *ast.CallExpr) string {
	switch name := callee(p, call); name {
	case "maps.Keys", "maps.Values", "maps.All", "reflect.MapKeys", "reflect.MapRange":
		return name
	}
	return ""
}

// sortedAtOnce says whether an iterator goes straight into slices.Sorted or one
// of its kin.
func sortedAtOnce(p *pkg, body *ast.BlockStmt, iterator *ast.CallExpr) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if ok && len(call.Args) > 0 && call.Args[0] == iterator && strings.HasPrefix(callee(p, call), "slices.Sorted") {
			found = true
		}
		return true
	})
	return found
}

func TestMapOrderReachesNoOutput(t *testing.T) { report(t, mapOrder(whole(t))) }

func TestMapOrderReachesNoOutputBites(t *testing.T) {
	body := func(code string) string {
		return "package x\nimport (\n\"maps\"\n\"slices\"\n)\nvar _, _ = maps.Clone[map[int]int], slices.Max[[]int]\n" +
			"type named map[string]int\ntype holder struct{ m map[string]float64 }\n" + code + "\n"
	}
	bites(t, mapOrder, []bad{
		{"a sum of floats", "sim/x.go", body("func f(h *holder) (s float64) { for _, v := range h.m { s += v }; return }"), "ranges over a map"},
		{"a named map", "node/x.go", body("func f(m named) (last string) { for k := range m { last = k }; return }"), "ranges over a map"},
		{"gathered and not sorted", "node/x.go", body("func f(m named) (out []string) { for k := range m { out = append(out, k) }; return }"), "ranges over a map"},
		{"gathered, another one sorted", "node/x.go", body("func f(m named) (out, two []string) { for k := range m { out = append(out, k) }; slices.Sort(two); return }"), "ranges over a map"},
		{"sorted before it is gathered", "node/x.go", body("func f(m named) (out []string) { slices.Sort(out); for k := range m { out = append(out, k) }; return }"), "ranges over a map"},
		{"gathered and more", "node/x.go", body("func f(m named) (out []string) { for k := range m { out = append(out, k); print(k) }; slices.Sort(out); return }"), "ranges over a map"},
		{"inside a closure", "bus/x.go", body("var f = func(m named) { for k := range m { print(k) } }"), "ranges over a map"},
		{"keys unsorted", "node/x.go", body("func f(m named) []string { return slices.Collect(maps.Keys(m)) }"), "maps.Keys in map order"},
		{"reflection", "sim/scenario/x.go", "package x\nimport \"reflect\"\nfunc f(v reflect.Value) []reflect.Value { return v.MapKeys() }\n", "reflect.MapKeys in map order"},
		{"the mark far above", "node/x.go", body("// order cannot matter: no\n\nfunc f(m named) { for k := range m { print(k) } }"), "ranges over a map"},
		{"the mark", "node/x.go", body("func f(m named) (n int) {\n\tfor _, v := range m { // order cannot matter: whole numbers\n\t\tn += v\n\t}\n\treturn\n}"), ""},
		{"the mark above", "node/x.go", body("func f(m named) (n int) {\n\t// order cannot matter: whole numbers\n\tfor _, v := range m {\n\t\tn += v\n\t}\n\treturn\n}"), ""},
		{"gathered and sorted", "node/x.go", body("func f(m named) (out []string) { for k, v := range m { if v > 0 { out = append(out, k) } }; slices.Sort(out); return }"), ""},
		{"keys sorted", "node/x.go", body("func f(m named) []string { return slices.Sorted(maps.Keys(m)) }"), ""},
		{"a list", "node/x.go", body("func f(l []int) { for _, v := range l { print(v) } }"), ""},
		{"an edge", "node/wire/sock/x.go", body("func f(m named) { for k := range m { print(k) } }"), ""},
	})
}
