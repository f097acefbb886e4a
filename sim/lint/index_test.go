package lint

import (
	"path"
	"strings"
	"testing"
)

// missing is the rule that a reader finds everything where it is looked for:
// each package in the table of architecture.md, each direct module in
// dependencies.md, and no other there; each page in docs/README.md.
func missing(m *module) []finding {
	read := map[string]string{}
	for _, f := range m.texts {
		read[f.path] = string(f.data)
	}
	var out []finding
	lacks := func(page, what string) {
		out = append(out, finding{page, "does not tell of " + what})
	}
	for _, p := range m.pkgs {
		if p.path != "" && !strings.Contains(read["docs/architecture.md"], "\n| `"+p.path+"` |") {
			lacks("docs/architecture.md", p.path)
		}
	}
	direct := map[string]bool{}
	for line := range strings.Lines(read["go.mod"]) {
		word := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(word) < 2 || !strings.HasPrefix(word[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		if direct[word[0]] = true; !strings.Contains(read["docs/dependencies.md"], "\n| `"+word[0]+"` |") {
			lacks("docs/dependencies.md", word[0])
		}
	}
	for line := range strings.Lines(read["docs/dependencies.md"]) {
		name, row := strings.CutPrefix(line, "| `")
		if name, _, _ = strings.Cut(name, "`"); row && strings.Contains(name, ".") && !direct[name] {
			out = append(out, finding{"docs/dependencies.md", "tells of " + name + ", which is no direct module of go.mod"})
		}
	}
	for _, f := range m.texts {
		inside, ok := strings.CutPrefix(f.path, "docs/")
		if ok && path.Ext(f.path) == ".md" && inside != "README.md" && !strings.Contains(read["docs/README.md"], "]("+inside+")") {
			lacks("docs/README.md", inside)
		}
	}
	return out
}

func TestReadersFindEverything(t *testing.T) { report(t, missing(whole(t))) }

func TestReadersFindEverythingBites(t *testing.T) {
	for _, c := range []struct{ name, architecture, dependencies, index, want string }{
		{"good", "\n| `bus` | topics |", "\n| `example.org/a/v2` | `bus` |\n| `bus` | ours |", "[a](architecture.md) [d](dependencies.md)", ""},
		{"package", "\nthe `bus`", "\n| `example.org/a/v2` | `bus` |", "[a](architecture.md) [d](dependencies.md)", "tell of bus"},
		{"module", "\n| `bus` | topics |", "\nexample.org/a/v2", "[a](architecture.md) [d](dependencies.md)", "tell of example.org/a/v2"},
		{"indirect module", "\n| `bus` | topics |", "\n| `example.org/a/v2` | x |\n| `example.org/b` | x |", "[a](architecture.md) [d](dependencies.md)", "example.org/b, which is no direct"},
		{"page", "\n| `bus` | topics |", "\n| `example.org/a/v2` | x |", "[a](architecture.md)", "tell of dependencies.md"},
	} {
		t.Run(c.name, func(t *testing.T) {
			one(t, missing(&module{pkgs: []*pkg{{path: ""}, {path: "bus"}}, texts: []text{
				{"go.mod", []byte("module x\n\ngo 1.26\n\nrequire (\n\texample.org/a/v2 v2.0.0\n\texample.org/b v0.1.0 // indirect\n)\n")},
				{"docs/architecture.md", []byte(c.architecture)}, {"docs/dependencies.md", []byte(c.dependencies)}, {"docs/README.md", []byte(c.index)},
			}}), c.want)
		})
	}
}
