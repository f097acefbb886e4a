package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pkg is one package of the module, read from source.
type pkg struct {
	path  string // inside the module; "" is the top level
	files []*source
	info  *types.Info // of the files that are not tests
	err   error       // the first of type checking
}

// source is one Go file.
type source struct {
	path string // inside the module, with slashes
	file *ast.File
	test bool
}

// module is all that the rules look at.
type module struct {
	root  string
	name  string // of go.mod
	fset  *token.FileSet
	pkgs  []*pkg
	texts []text
}

// text is a file that people read, Go or not.
type text struct {
	path string
	data []byte
}

// finding is a rule that is broken somewhere.
type finding struct {
	at   string // file:line, or a file or package
	what string
}

func (f finding) String() string { return f.at + ": " + f.what }

func (m *module) at(n ast.Node) string {
	p := m.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// load reads the module once for all tests.
var load = sync.OnceValues(func() (*module, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &module{root: root, fset: token.NewFileSet()}
	first, _, _ := strings.Cut(string(mod), "\n")
	m.name = strings.TrimSpace(strings.TrimPrefix(first, "module "))
	dirs := map[string]*pkg{}
	err = filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "testdata" || rel != "." && isModule(full) {
				return fs.SkipDir
			}
			return nil
		}
		if !readable(rel) {
			return nil
		}
		data, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		m.texts = append(m.texts, text{rel, data})
		if path.Ext(rel) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(m.fset, rel, data, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := strings.TrimPrefix(path.Dir(rel), ".")
		p := dirs[dir]
		if p == nil {
			p = &pkg{path: dir}
			dirs[dir] = p
			m.pkgs = append(m.pkgs, p)
		}
		p.files = append(p.files, &source{rel, f, strings.HasSuffix(rel, "_test.go")})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(m.pkgs, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	lookup, err := exports(root, "./...")
	if err != nil {
		return nil, err
	}
	im := importer.ForCompiler(m.fset, "gc", lookup)
	for _, p := range m.pkgs {
		p.check(m.fset, im)
	}
	return m, nil
})

// isModule says whether a folder has a go.mod of its own.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// readable says whether a file is text that people read.
func readable(rel string) bool {
	switch path.Ext(rel) {
	case ".go", ".md", ".yaml", ".yml", ".mod", ".sh", ".service":
		return true
	}
	return strings.HasPrefix(rel, ".ci/") || rel == "LICENSE" || path.Base(rel) == "Dockerfile"
}

// exports asks the go command for what the compiler knows of each package, so
// that types can be told without type-checking the dependencies again.
func exports(root string, patterns ...string) (importer.Lookup, error) {
	args := append([]string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, file, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[name] = file
		}
	}
	return func(name string) (io.ReadCloser, error) {
		file, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("%s does not build", name)
		}
		return os.Open(file)
	}, nil
}

// check finds the types of a package's own files, tests aside.
func (p *pkg) check(fset *token.FileSet, im types.Importer) {
	p.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	var files []*ast.File
	for _, s := range p.files {
		if !s.test {
			files = append(files, s.file)
		}
	}
	if len(files) == 0 {
		return
	}
	conf := types.Config{Importer: im, Error: func(err error) {
		if p.err == nil {
			p.err = err
		}
	}}
	conf.Check(p.path, fset, files, p.info) // its error is the first that Error was told
}

// whole is the module, or the end of the test.
func whole(t *testing.T) *module {
	t.Helper()
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// report fails the test for each finding.
func report(t *testing.T, findings []finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// stdlib is what the samples of bad source may import.
var stdlib = sync.OnceValues(func() (importer.Lookup, error) {
	return exports(".", "bytes", "crypto/rand", "log/slog", "maps", "math/rand", "math/rand/v2", "net", "net/netip", "os", "reflect", "slices", "sort", "sync", "sync/atomic", "time")
})

// sample makes a module of one file from a few lines of source.
func sample(t *testing.T, file, code string) *module {
	t.Helper()
	lookup, err := stdlib()
	if err != nil {
		t.Fatal(err)
	}
	m := &module{name: "bettensor", fset: token.NewFileSet()}
	f, err := parser.ParseFile(m.fset, file, code, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	p := &pkg{path: strings.TrimPrefix(path.Dir(file), "."), files: []*source{{file, f, strings.HasSuffix(file, "_test.go")}}}
	p.check(m.fset, importer.ForCompiler(m.fset, "gc", lookup))
	m.pkgs = []*pkg{p}
	m.texts = []text{{file, []byte(code)}}
	return m
}

// bad is source that a rule must find fault with, or must not.
type bad struct {
	name string
	file string
	code string
	want string // part of the only finding; empty for none
}

// bites shows that a rule finds what it must, and nothing else.
func bites(t *testing.T, rule func(*module) []finding, cases []bad) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := sample(t, c.file, c.code)
			got := rule(m)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("found fault with good source: %v", got)
			case c.want != "" && len(got) == 0:
				t.Errorf("did not bite; want a finding of %q", c.want)
			case c.want != "" && !strings.Contains(got[0].String(), c.want):
				t.Errorf("found %v; want %q", got[0], c.want)
			case len(got) > 1:
				t.Errorf("found %v; want one", got)
			}
		})
	}
}

// TestModuleTypeChecks keeps the rules that need types from passing over what
// they could not see.
func TestModuleTypeChecks(t *testing.T) {
	for _, p := range whole(t).pkgs {
		if p.err != nil {
			t.Errorf("%s: %v", p.path, p.err)
		}
	}
}
