package lint

import (
	"fmt"
	"go/ast"
	"go/types"
	"strings"
	"testing"
)

// standard are methods whose meaning is another package's: saying it again adds
// nothing.
const standard = " Error Unwrap Is As String MarshalJSON UnmarshalJSON MarshalText UnmarshalText Len Less Swap Write Read Close Fire "

// documented is the rule that each package and each exported name has a doc comment.
func documented(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		said, own := false, false
		for _, s := range p.files {
			if s.test {
				continue
			}
			own = true
			said = said || strings.TrimSpace(s.file.Doc.Text()) != ""
			for _, d := range s.file.Decls {
				undocumented(p, d, func(n ast.Node, name string) {
					out = append(out, finding{m.at(n), fmt.Sprintf("%s has no doc comment", name)})
				})
			}
		}
		if own && !said {
			out = append(out, finding{p.path, "package has no doc comment"})
		}
	}
	return out
}

func undocumented(p *pkg, d ast.Decl, f func(n ast.Node, name string)) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			of := receiver(d.Recv.List[0].Type)
			if !ast.IsExported(of) || strings.Contains(standard, " "+name+" ") {
				return
			}
			name = of + "." + name
		}
		if d.Name.IsExported() && d.Doc == nil {
			f(d, name)
		}
	case *ast.GenDecl:
		// The comment of a group speaks for its values, not for its types.
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Lparen.IsValid() || d.Doc == nil) {
					f(s, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if id.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil && !enumerated(p, id) {
						f(id, id.Name)
					}
				}
			}
		}
	}
}

// enumerated says whether a constant is one of the values of a type of the same
// package, whose comment says what they are.
func enumerated(p *pkg, id *ast.Ident) bool {
	c, ok := p.info.Defs[id].(*types.Const)
	if !ok {
		return false
	}
	of, ok := c.Type().(*types.Named)
	return ok && of.Obj().Pkg() == c.Pkg()
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestExportedNamesAreDocumented(t *testing.T) { report(t, documented(whole(t))) }

func TestExportedNamesAreDocumentedBites(t *testing.T) {
	bites(t, documented, []bad{
		{"package", "node/x.go", "package x\n", "package has no doc comment"},
		{"function", "node/x.go", "// Package x.\npackage x\nfunc F() {}\n", "F has no doc"},
		{"method", "node/x.go", "// Package x.\npackage x\n// T is.\ntype T[K any] struct{}\nfunc (t *T[K]) Do() {}\n", "T.Do has no doc"},
		{"type", "node/x.go", "// Package x.\npackage x\ntype T struct{}\n", "T has no doc"},
		{"type in a group", "node/x.go", "// Package x.\npackage x\n// Some types.\ntype (\nT struct{}\n)\n", "T has no doc"},
		{"constant", "node/x.go", "// Package x.\npackage x\nconst Limit = 1\n", "Limit has no doc"},
		{"method of our own type", "node/x.go", "// Package x.\npackage x\ntype t struct{}\nfunc (t) Do() {}\n", ""},
		{"standard method", "node/x.go", "// Package x.\npackage x\n// T is.\ntype T struct{}\nfunc (T) String() string { return \"\" }\n", ""},
		{"group of values", "node/x.go", "// Package x.\npackage x\n// Bounds.\nconst (\nLow = 1\nHigh = 2\n)\n", ""},
		{"constants of another type", "node/x.go", "// Package x.\npackage x\nconst A int = 1\n", "A has no doc"},
		{"enumeration", "node/x.go", "// Package x.\npackage x\n// T is one of these.\ntype T int\nconst (\nA T = iota\nB\n)\n", ""},
		{"test", "node/x_test.go", "package x\nfunc F() {}\n", ""},
	})
}
