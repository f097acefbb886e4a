package lint

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The holes of the original's deployment that are closed by something not being
// there at all. H12 is what was built into it, secrets above all; H13 a state that
// was pulled from anywhere and run; H14 code that fetched code. H16, a coldkey on
// the host, is tested where wallets are used, in sim/localnet.

// secretive is a name of something that must come from whoever runs the program.
var secretive = regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|api_?key|private_?key|credential)`)

// notSecret are literals under such names that give nothing away.
var notSecret = []struct{ at, name, reason string }{
	{"node/chain/errors.go", "subtokendisabled", "the chain's name of a refusal"},
	{"node/chain/wallet/password.go", "credential", "the name under which systemd passes a password, not one"},
}

func isNotSecret(file, name string) bool {
	for _, e := range notSecret {
		if e.at == file && strings.Contains(strings.ToLower(name), e.name) {
			return true
		}
	}
	return false
}

// literal is a string literal's value.
func literal(e ast.Expr) (string, bool) {
	if p, ok := e.(*ast.ParenExpr); ok {
		return literal(p.X)
	}
	if c, ok := e.(*ast.CallExpr); ok && len(c.Args) == 1 { // a conversion: Key("…"), []byte("…")
		switch c.Fun.(type) {
		case *ast.Ident, *ast.ArrayType, *ast.SelectorExpr:
			if id, ok := c.Fun.(*ast.Ident); ok && !ast.IsExported(id.Name) && id.Name != "string" {
				return "", false // of an ordinary function
			}
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && !strings.HasPrefix(s.Sel.Name, "New") && !strings.HasSuffix(s.Sel.Name, "Key") {
				return "", false
			}
			return literal(c.Args[0])
		}
	}
	b, ok := e.(*ast.BasicLit)
	if !ok || b.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(b.Value)
	return s, err == nil && s != ""
}

// builtInSecrets is the rule that no secret has a value in the source: no
// constant, variable, field or default of a flag.
func builtInSecrets(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			found := func(n ast.Node, name string, value ast.Expr) {
				if strings.HasPrefix(strings.ToLower(name), "err") { // a text for people
					return
				}
				if _, ok := literal(value); ok && secretive.MatchString(name) && !isNotSecret(s.path, name) {
					out = append(out, finding{m.at(n), name + " has a value in the source"})
				}
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					for i, id := range n.Names {
						if i < len(n.Values) {
							found(n, id.Name, n.Values[i])
						}
					}
				case *ast.AssignStmt:
					if len(n.Lhs) != len(n.Rhs) {
						break
					}
					for i, e := range n.Lhs {
						switch e := e.(type) {
						case *ast.Ident:
							found(n, e.Name, n.Rhs[i])
						case *ast.SelectorExpr:
							found(n, e.Sel.Name, n.Rhs[i])
						}
					}
				case *ast.CompositeLit:
					flag := ""
					for _, e := range n.Elts {
						kv, ok := e.(*ast.KeyValueExpr)
						if !ok {
							continue
						}
						key, ok := kv.Key.(*ast.Ident)
						if !ok {
							continue
						}
						if v, ok := literal(kv.Value); ok && key.Name == "Name" {
							flag = v
						}
						if key.Name == "Value" && flag != "" {
							found(n, flag, kv.Value)
							continue
						}
						found(n, key.Name, kv.Value)
					}
				case *ast.CallExpr: // a row of the settings: name, role, default, …
					if len(n.Args) < 3 {
						break
					}
					if name, ok := literal(n.Args[0]); ok {
						if fun, isName := n.Fun.(*ast.Ident); isName && (fun.Name == "text" || fun.Name == "word" || fun.Name == "list" || fun.Name == "hidden") {
							if v, has := literal(n.Args[2]); has && !isNotSecret(s.path, v) {
								found(n, name, n.Args[2])
							}
						}
					}
				}
				return true
			})
		}
	}
	return out
}

func TestH12NoSecretIsBuiltIn(t *testing.T) { report(t, builtInSecrets(whole(t))) }

func TestH12NoSecretIsBuiltInBites(t *testing.T) {
	bites(t, builtInSecrets, []bad{
		{"constant", "node/x.go", "package x\nconst dbPassword = \"letmein\"\n", "dbPassword"},
		{"variable", "node/x.go", "package x\nvar readToken = \"sv=2039\"\n", "readToken"},
		{"converted", "node/x.go", "package x\ntype Key string\nvar apiKey = Key(\"abc\")\n", "apiKey"},
		{"bytes", "node/x.go", "package x\nvar jwtSecret = []byte(\"abc\")\n", "jwtSecret"},
		{"field", "node/x.go", "package x\ntype c struct{ Password string }\nvar d = c{Password: \"x\"}\n", "Password"},
		{"assigned", "node/x.go", "package x\ntype c struct{ APIKey string }\nfunc f(d *c) { d.APIKey = \"x\" }\n", "APIKey"},
		{"flag", "node/x.go", "package x\ntype flag struct{ Name, Value string }\nvar d = flag{Name: \"wallet.password\", Value: \"x\"}\n", "wallet.password"},
		{"setting", "node/x.go", "package x\nfunc text(name string, r int, def string) int { return r }\nvar d = text(\"db.secret\", 1, \"x\")\n", "db.secret"},
		{"empty", "node/x.go", "package x\nvar password = \"\"\n", ""},
		{"computed", "node/x.go", "package x\nfunc read(string) string { return \"\" }\nvar password = read(\"file\")\n", ""},
		{"an error", "node/x.go", "package x\nimport \"errors\"\nvar ErrPassword = errors.New(\"wrong password\")\n", ""},
		{"another name", "node/x.go", "package x\nvar key = \"games\"\n", ""},
		{"a test's", "node/x_test.go", "package x\nvar password = \"x\"\n", ""},
	})
}

// openAddress is one at which all the world can connect.
var openAddress = regexp.MustCompile(`^(tcp://|https?://)?(0\.0\.0\.0|\[::\]|:)(:?\d+)?$`)

// listensToAll are the places where it is meant.
var listensToAll = []struct{ at, name, reason string }{
	{"node/cli/settings_table.go", "[::]", "the axon is there for peers"},
}

// openByDefault is the rule that nothing listens at all addresses by itself.
func openByDefault(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				b, ok := n.(*ast.BasicLit)
				if !ok || b.Kind != token.STRING {
					return true
				}
				v, _ := strconv.Unquote(b.Value)
				if v == ":" || !openAddress.MatchString(v) || slices.ContainsFunc(listensToAll, func(e struct{ at, name, reason string }) bool { return e.at == s.path && e.name == v }) {
					return true
				}
				out = append(out, finding{m.at(n), v + " is open to everybody"})
				return true
			})
		}
	}
	return out
}

func TestH12NothingListensToAllByDefault(t *testing.T) { report(t, openByDefault(whole(t))) }

func TestH12NothingListensToAllByDefaultBites(t *testing.T) {
	body := func(address string) string { return "package x\nvar at = \"" + address + "\"\n" }
	bites(t, openByDefault, []bad{
		{"all of IPv4", "node/web/x.go", body("0.0.0.0:8095"), "0.0.0.0:8095"},
		{"all of IPv6", "node/web/x.go", body("[::]:8095"), "[::]"},
		{"a port alone", "node/web/x.go", body(":8095"), ":8095"},
		{"the axon's", "node/cli/settings_table.go", body("[::]"), ""},
		{"loopback", "node/web/x.go", body("127.0.0.1:8095"), ""},
		{"a separator", "node/web/x.go", body(":"), ""},
	})
}

// banned are packages that run, unpack or load what comes from elsewhere.
var banned = map[string]string{
	"os/exec":      "runs other programs",
	"plugin":       "loads code",
	"encoding/gob": "unpacks what its sender chose",
	"net/rpc":      "calls what its caller chose",
	"net/http/cgi": "runs other programs",
}

// speaksHTTP are the edges that may import net/http, and what for. None of them
// fetches anything that is run, or that takes the place of a store.
var speaksHTTP = map[string]string{
	"node/chain/substrate": "the handshake of WebSockets to the chain",
	"node/wire/sock":       "the axon, and polls of miners' axons",
	"node/feed/api":        "games, which are parsed and checked",
	"node/web":             "the page on loopback, and `status` reading it",
	"node/cli":             "doctor asks whether addresses answer",
	"sim/localnet":         "the games API of a local network, and one look whether it answers",
	"sim/localnet/rpc":     "the chain's endpoint of a local network",
}

// foreignCode is the rule that no program is run, no code is loaded or fetched and
// nothing is unpacked by its own description; and that the store, where backups
// are taken and restored, knows no network: a backup is a directory of this machine.
func foreignCode(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			for _, i := range s.file.Imports {
				name, _ := strconv.Unquote(i.Path.Value)
				if why := banned[name]; why != "" {
					out = append(out, finding{m.at(i), name + " " + why})
				}
				if (name == "net/http" || strings.HasPrefix(name, "net/http/")) && speaksHTTP[p.path] == "" && banned[name] == "" {
					out = append(out, finding{m.at(i), "net/http where nothing is fetched"})
				}
				if (name == "net" || strings.HasPrefix(name, "net/")) && path.Clean(p.path) == "store" {
					out = append(out, finding{m.at(i), "the store reaches for the network"})
				}
			}
		}
	}
	return out
}

func TestH13H14NothingFetchesLoadsOrRunsCode(t *testing.T) { report(t, foreignCode(whole(t))) }

func TestH13H14NothingFetchesLoadsOrRunsCodeBites(t *testing.T) {
	body := func(imported string) string { return "package x\nimport _ \"" + imported + "\"\n" }
	bites(t, foreignCode, []bad{
		{"a program", "node/x.go", body("os/exec"), "runs other programs"},
		{"a pickle", "node/ledger/x.go", body("encoding/gob"), "unpacks"},
		{"a plugin", "node/model/x.go", body("plugin"), "loads code"},
		{"a download", "node/live/x.go", body("net/http"), "net/http where"},
		{"a store from elsewhere", "store/x.go", body("net"), "reaches for the network"},
		{"an edge", "node/feed/api/x.go", body("net/http"), ""},
		{"a test", "node/x_test.go", body("os/exec"), ""},
	})
}

func TestHolesExceptionsHaveReasons(t *testing.T) {
	m := whole(t)
	exists := map[string]bool{}
	for _, p := range m.pkgs {
		exists[p.path] = true
		for _, s := range p.files {
			exists[s.path] = true
		}
	}
	for _, e := range append(slices.Clone(notSecret), listensToAll...) {
		if e.reason == "" || !exists[e.at] {
			t.Errorf("the exception of %s in %s: %q", e.name, e.at, e.reason)
		}
	}
	for p, why := range speaksHTTP { // reported by name
		if why == "" || !exists[p] {
			t.Errorf("%s may speak HTTP: %q", p, why)
		}
	}
}
