package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers is who may import whom inside the module, lowest first. A package that
// is not here may not exist: whoever adds one decides where it stands.
var layers = []struct{ pkg, imports string }{
	// Engines know nothing of betting.
	{"sched", ""},
	{"bus", "sched"},
	{"store", "sched"},

	// Nouns are pure: no engine, no edge.
	{"node/pack", ""},
	{"node/typo", ""},
	{"node/chain", "node/pack"},
	{"node/chain/timelock", "node/chain"},
	{"node/chain/chaintest", "node/chain"},
	{"node/chain/scale", ""},
	{"node/bet", "node/chain node/pack"},
	{"node/score", "node/bet node/chain"},
	{"node/wire/synapse", "node/chain node/pack"},
	{"node/wire", "node/bet node/chain node/pack node/wire/synapse"},
	{"node/feed", "node/bet node/chain node/pack"},
	{"node/model", "node/bet node/chain"},
	{"node/ledger", "store node/bet node/chain node/pack"},

	// The services, on the three engines.
	{"node", "sched bus store node/bet node/chain node/feed node/ledger node/model node/pack node/score node/wire node/wire/synapse"},

	// Edges, which only a program that runs for real may know: see edges.
	{"node/chain/wallet", "node/chain node/wire"},
	{"node/chain/substrate", "sched node/chain node/chain/scale node/chain/timelock"},
	{"node/wire/sock", "node/bet node/chain node/wire node/wire/synapse"},
	{"node/feed/api", "sched node/bet node/feed"},
	{"node/live", "sched store node " + nouns + " node/wire/sock"},
	{"node/web", "sched bus node node/bet node/chain node/ledger node/wire"},
	{"node/cli", "sched bus store node node/..."},

	// The world around it.
	{"sim/fault", ""},
	{"sim/market", "node/bet node/chain node/typo"},
	{"sim/mockchain", "node/chain"},
	{"sim/population", "node/bet node/chain node/model sim/market"},
	{"sim/invariant", "store node/bet node/chain node/ledger node/score node/wire"},
	{"sim/metric", ""},
	{"sim/scenario", "node/bet node/chain node/typo sim/fault sim/market sim/metric sim/population"},
	{"sim", "sched bus store node " + nouns + " sim/fault sim/invariant sim/market sim/metric sim/mockchain sim/population sim/scenario"},
	{"sim/report", "node/bet sim sim/invariant"},
	{"sim/crash", "sched store node/bet node/chain node/ledger node/wire sim sim/mockchain"},
	{"sim/localnet/rpc", "node/chain node/chain/scale node/chain/timelock sim/mockchain"},
	{"sim/localnet", "sched bus store node node/... sim sim/localnet/... sim/market sim/mockchain sim/population sim/scenario"},
	{"sim/bench", "sched bus store node/score sim sim/localnet sim/metric sim/scenario"},
	{"sim/cli", "sched sim sim/bench sim/crash sim/fault sim/invariant sim/localnet sim/market sim/report sim/scenario"},
	{"sim/lint", ""},

	{"", "node/cli sim/cli"},
}

const nouns = "node/bet node/chain node/feed node/ledger node/model node/pack node/score node/wire"

// edges do I/O. node/cli and sim/localnet alone put them in place; node/live, one
// itself, puts the sockets under its nodes.
var edges = []string{"node/chain/substrate", "node/chain/wallet", "node/wire/sock", "node/feed/api", "node/live", "node/web", "node/cli"}

// importDirections is the rule that imports point one way. Tests may also look
// sideways and reach for edges, but an engine's tests know nothing of node or
// sim, and node's nothing of sim but the chain in memory: the weights service is
// tested against the chain's own rules, not against a list of answers.
func importDirections(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		allowed, known := layerOf(p.path)
		if !known {
			out = append(out, finding{p.path, "is not in the table of layers; say there what it may import"})
			continue
		}
		for _, s := range p.files {
			for _, i := range s.file.Imports {
				name, _ := strconv.Unquote(i.Path.Value)
				to, inside := strings.CutPrefix(name, m.name+"/")
				switch {
				case name == "C" || name == "unsafe":
					out = append(out, finding{m.at(i), fmt.Sprintf("imports %s", name)})
				case !inside || to == p.path:
				case s.test && !climbs(p.path, to):
				case !s.test && allowed(to):
				default:
					out = append(out, finding{m.at(i), fmt.Sprintf("%s imports %s", p.path, to)})
				}
			}
		}
	}
	return out
}

func layerOf(path string) (allowed func(string) bool, known bool) {
	for _, l := range layers {
		if l.pkg != path {
			continue
		}
		list := strings.Fields(l.imports)
		return func(to string) bool {
			return slices.Contains(list, to) || slices.ContainsFunc(list, func(x string) bool {
				below, ok := strings.CutSuffix(x, "...")
				return ok && strings.HasPrefix(to, below)
			})
		}, true
	}
	return nil, false
}

// climbs says whether even a test of from must not import to.
func climbs(from, to string) bool {
	top := func(s string) string { first, _, _ := strings.Cut(s, "/"); return first }
	switch top(from) {
	case "sched", "bus", "store":
		return top(to) == "node" || top(to) == "sim"
	case "node":
		return top(to) == "sim" && to != "sim/mockchain"
	}
	return false
}

func TestImportsPointOneWay(t *testing.T) { report(t, importDirections(whole(t))) }

func TestEdgesAreKnownByFew(t *testing.T) {
	for _, l := range layers {
		allowed, _ := layerOf(l.pkg)
		for _, e := range edges {
			may := l.pkg == "node/cli" || l.pkg == "sim/localnet" || l.pkg == "" && e == "node/cli" || l.pkg == "node/live" && e == "node/wire/sock"
			if allowed(e) && !may {
				t.Errorf("the table of layers lets %q import the edge %s", l.pkg, e)
			}
		}
	}
}

func TestImportsPointOneWayBites(t *testing.T) {
	file := func(imported string) string { return "package x\n\nimport _ \"" + imported + "\"\n" }
	bites(t, importDirections, []bad{
		{"engine imports node", "bus/x.go", file("bettensor/node/bet"), "bus imports node/bet"},
		{"engine's test imports node", "store/x_test.go", file("bettensor/node/ledger"), "store imports node/ledger"},
		{"engine imports an engine above it", "sched/x.go", file("bettensor/bus"), "sched imports bus"},
		{"noun imports an engine", "node/bet/x.go", file("bettensor/store"), "node/bet imports store"},
		{"noun imports the services", "node/score/x.go", file("bettensor/node"), "node/score imports node"},
		{"services import an edge", "node/x.go", file("bettensor/node/wire/sock"), "node imports node/wire/sock"},
		{"node imports the simulator", "node/cli/x.go", file("bettensor/sim"), "node/cli imports sim"},
		{"node's test imports the simulator", "node/x_test.go", file("bettensor/sim"), "node imports sim"},
		{"simulator imports an edge", "sim/x.go", file("bettensor/node/wire/sock"), "sim imports node/wire/sock"},
		{"main imports more than the commands", "main.go", file("bettensor/node"), " imports node"},
		{"unknown package", "node/extra/x.go", "package x\n", "not in the table"},
		{"cgo", "node/bet/x.go", file("unsafe"), "imports unsafe"},
		{"simulator's test imports an edge", "sim/x_test.go", file("bettensor/node/wire/sock"), ""},
		{"services import the engines", "node/x.go", file("bettensor/bus"), ""},
		{"commands import an edge", "node/cli/x.go", file("bettensor/node/wire/sock"), ""},
		{"only the name begins alike", "bus/x.go", file("bettensorious/node"), ""},
	})
}
