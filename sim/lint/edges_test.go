package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"strconv"
	"strings"
	"testing"
)

// touch is something outside a loop that only an edge may touch.
type touch uint8

const (
	clock  touch = 1 << iota // the wall clock, sleeping, real timers
	thread                   // goroutines, channels, locks
	system                   // files, sockets, processes, standard output
	chance                   // randomness that no seed repeats
)

var touches = []struct {
	kind touch
	name string
}{{clock, "the clock"}, {thread, "concurrency"}, {system, "the operating system"}, {chance, "unseeded randomness"}}

// exceptions are the edges: a package, or a file of one whose rest is pure.
// What exists here must need what it is granted.
var exceptions = []struct {
	at     string
	grants touch
	reason string
}{
	{"main.go", thread | system, "signals and the exit code"},
	{"sched/live.go", thread, "the live driver is one goroutine a loop; its clock is injected"},
	{"sched/inbox.go", thread, "the only way into a loop from other goroutines"},
	{"bus/watch.go", thread, "watchers live on goroutines of their own"},
	{"store/committer.go", thread | clock, "waits for the disk, so that the loop need not; bounds its own end"},
	{"store/pebble.go", thread | clock | system, "reads go on beside writes; opening a damaged log is given up after a while"},
	{"store/manifest.go", thread, "is told by Pebble's goroutines that its file list has changed"},
	{"store/mem.go", thread, "keeps the same contract as Pebble, snapshots on other goroutines included"},
	{"node/chain/substrate", clock | thread | system | chance, "the live chain client"},
	{"node/chain/wallet", thread | system | chance, "key files, a password typed in, randomness for keys; one derivation at a time"},
	{"node/wire/sock", clock | thread | system, "the sockets: two goroutines a connection"},
	{"node/feed/api", clock | thread | system, "fetches games over HTTP"},
	{"node/live", clock | thread | system | chance, "one node assembled: watches its loop, keeps its recording, draws its seed"},
	{"node/web", clock | thread | system, "serves pages"},
	{"node/cli", system, "reads arguments and files, prints"},
	{"node/cli/chain.go", clock | chance, "commands that wait for a chain, no longer than they were told to; the salt of a commit"},
	{"node/cli/chain_journal.go", clock | thread, "waits for another command with the same hotkey, no longer than it was told to"},
	{"node/cli/doctor.go", clock, "every check has a deadline"},
	{"node/cli/doctor_chain.go", clock, "compares our clock with others', and measures how long they take to answer"},
	{"node/cli/doctor_machine.go", clock | thread, "measures the disk; gives a store that takes too long to read up"},
	{"node/cli/explain.go", clock, "says how long ago something was; waits for a chain, no longer than half a minute"},
	{"node/cli/host.go", clock | thread, "a process with one node in it: the supervisor is told beside it, and its end is bounded"},
	{"node/cli/offset.go", thread, "the page and the alarms both measure our clock, each on a goroutine of its own"},
	{"node/cli/status.go", clock | thread, "looks for a node that starts, until a time that was given"},
	{"sim/localnet/rpc", clock | thread | system, "the chain's endpoint: blocks by the clock, two goroutines a connection"},
	{"sim/localnet", clock | thread | system | chance, "many nodes on real sockets; keys and a genesis that no other run has"},
	{"sim/crash", thread | system, "Pebble comes to its file system from goroutines of its own; images are recovered side by side; errors as a kernel names them"},
	{"sim/bench", clock | thread | system, "measures; asks the system what processor time was used"},
	{"sim/cli", clock | thread | system, "reads arguments and files, prints, tells how fast a run was; sweeps run worlds side by side"},
}

func excepted(file string, kind touch) (at string, ok bool) {
	for _, e := range exceptions {
		if (e.at == file || e.at == path.Dir(file)) && e.grants&kind != 0 {
			return e.at, true
		}
	}
	return "", false
}

// wallClock of package time; time.Unix, time.Date and durations are values.
const wallClock = " Now Since Until Sleep After AfterFunc Tick NewTimer NewTicker LoadLocation "

// seeded are the functions of math/rand/v2 that draw from what they are given.
const seeded = " New NewPCG NewChaCha8 NewZipf "

// touched calls f for all that a file touches outside its loop.
func touched(m *module, p *pkg, s *source, f func(n ast.Node, kind touch, what string)) {
	for _, i := range s.file.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		switch {
		case name == "math/rand" || name == "hash/maphash":
			f(i, chance, name)
		case name == "crypto/rand":
			f(i, chance, name)
		case name == "sync" || name == "sync/atomic":
			f(i, thread, name)
		case name == "net/netip": // addresses as values
		case name == "os" || name == "net" || name == "syscall" || name == "log" || name == "plugin",
			strings.HasPrefix(name, "os/"), strings.HasPrefix(name, "net/"), name == "golang.org/x/sys/unix":
			f(i, system, name)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			f(n, thread, "go statement")
		case *ast.SelectStmt:
			f(n, thread, "select")
		case *ast.SendStmt:
			f(n, thread, "channel")
		case *ast.ChanType:
			f(n, thread, "channel")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				f(n, thread, "channel")
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && p.info.Uses[id] != nil && p.info.Uses[id].Pkg() == nil &&
				(id.Name == "print" || id.Name == "println") {
				f(n, system, id.Name)
			}
		case *ast.Ident:
			o := p.info.Uses[n]
			if o == nil || o.Pkg() == nil {
				return true
			}
			_, fn := o.(*types.Func)
			if fn && o.Parent() != o.Pkg().Scope() {
				return true // a method
			}
			name := " " + o.Name() + " "
			switch at := o.Pkg().Path(); {
			case at == "time" && (fn && strings.Contains(wallClock, name) || o.Name() == "Local"):
				f(n, clock, "time."+o.Name())
			case at == "context" && fn && (strings.HasPrefix(o.Name(), "WithTimeout") || strings.HasPrefix(o.Name(), "WithDeadline")):
				f(n, clock, "context."+o.Name())
			case at == "math/rand/v2" && fn && !strings.Contains(seeded, name):
				f(n, chance, "rand."+o.Name()+" of the global source")
			case at == "fmt" && fn && strings.HasPrefix(o.Name(), "Print"):
				f(n, system, "fmt."+o.Name()+", which writes to standard output")
			case at == "runtime" && fn && (o.Name() == "NumGoroutine" || o.Name() == "NumCPU" || o.Name() == "GOMAXPROCS" || o.Name() == "Gosched"):
				f(n, thread, "runtime."+o.Name())
			}
		}
		return true
	})
}

// pureOutsideEdges is the rule that services and nouns touch nothing but their loop.
func pureOutsideEdges(m *module) []finding {
	var out []finding
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			touched(m, p, s, func(n ast.Node, kind touch, what string) {
				if _, ok := excepted(s.path, kind); !ok {
					out = append(out, finding{m.at(n), what + " outside an edge"})
				}
			})
		}
	}
	return out
}

func TestOnlyEdgesTouchTheOutside(t *testing.T) { report(t, pureOutsideEdges(whole(t))) }

func TestExceptionsAreNeeded(t *testing.T) {
	m := whole(t)
	used, exists := map[string]touch{}, map[string]bool{}
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			exists[s.path], exists[p.path] = true, true
			touched(m, p, s, func(_ ast.Node, kind touch, _ string) {
				if at, ok := excepted(s.path, kind); ok {
					used[at] |= kind
				}
			})
		}
	}
	for _, e := range exceptions {
		if !exists[e.at] {
			continue // drawn in the layout and not built yet
		}
		for _, k := range touches {
			if e.grants&k.kind != 0 && used[e.at]&k.kind == 0 {
				t.Errorf("%s is granted %s and does not need it", e.at, k.name)
			}
		}
		if e.reason == "" {
			t.Errorf("%s is excepted without a reason", e.at)
		}
	}
}

func TestOnlyEdgesTouchTheOutsideBites(t *testing.T) {
	body := func(imported, code string) string {
		if imported != "" {
			imported = fmt.Sprintf("import %q\n", imported)
		}
		return "package x\n" + imported + code + "\n"
	}
	bites(t, pureOutsideEdges, []bad{
		{"clock", "node/x.go", body("time", "var at = time.Now()"), "time.Now"},
		{"clock as a value", "node/x.go", body("time", "var now = time.Now"), "time.Now"},
		{"clock under another name", "node/x.go", "package x\nimport t \"time\"\nvar at = t.Now()\n", "time.Now"},
		{"sleep", "sched/loop.go", body("time", "func f() { time."+"Sleep(1) }"), "time.Sleep"},
		{"timer", "sim/x.go", body("time", "var t = time.NewTimer(1)"), "time.NewTimer"},
		{"local zone", "sim/x.go", body("time", "var at = time.Unix(0, 0).In(time.Local)"), "time.Local"},
		{"goroutine", "bus/topic.go", body("", "func f() { go f() }"), "go statement"},
		{"select", "node/x.go", body("", "func f() { select {} }"), "select"},
		{"channel", "store/table.go", body("", "var c chan int"), "channel"},
		{"receive", "store/table.go", body("", "func f[T interface{ ~<-chan int }](c T) {}"), "channel"},
		{"lock", "node/score/x.go", body("sync", "var mu sync.Mutex"), "sync outside"},
		{"atomic", "node/score/x.go", body("sync/atomic", "var n atomic.Int64"), "sync/atomic"},
		{"files", "node/bet/x.go", body("os", "var _ = os.Args"), "os outside"},
		{"sockets", "node/wire/x.go", body("net", "var _ net.IP"), "net outside"},
		{"standard output", "node/x.go", body("", "func f() { println(1) }"), "println"},
		{"old rand", "sim/cli/x.go", body("math/rand", "var n = rand.Int()"), "math/rand"},
		{"global source", "sim/x.go", body("math/rand/v2", "var n = rand.IntN(6)"), "rand.IntN"},
		{"key material", "node/cli/x.go", body("crypto/rand", "var r = rand.Reader"), "crypto/rand"},
		{"addresses are values", "node/x.go", body("net/netip", "var a netip.Addr"), ""},
		{"instants are values", "node/x.go", body("time", "var at = time.Unix(0, 0).Add(time.Second)"), ""},
		{"a method of that name", "node/x.go", body("", "type l struct{}\nfunc (l) Now() int { return 0 }\nvar at = l{}.Now()"), ""},
		{"a seeded source", "sim/x.go", body("math/rand/v2", "var r = rand.New(rand.NewPCG(1, 2))\nvar n = r.IntN(6)"), ""},
		{"an edge", "node/wire/sock/x.go", body("time", "func f() { go f(); _ = time.Now() }"), ""},
	})
}
