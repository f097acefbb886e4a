package localnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"bettensor/node/web"

	"go.uber.org/goleak"
)

// patience bounds every wait: far more than any should take on a busy machine.
const patience = 30 * time.Second

// What is asked for by variables: BETTENSOR_KILLS is how often a validator is
// killed, a thousand times take about ten minutes; BETTENSOR_SLOW adds what takes a
// minute because blocks do. The nodes that run here must not see them: to a node a
// variable it does not know is a mistake.
var killsAsked, slow = taken("BETTENSOR_KILLS"), taken("BETTENSOR_SLOW")

func taken(name string) string {
	v := os.Getenv(name)
	os.Unsetenv(name)
	return v
}

func TestMain(m *testing.M) {
	// Tests here wait for wall clocks and processes, not for a core.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// built is the folder of the program, "" where no test has asked for it.
var built string

var build = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "bettensor-localnet-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "bettensor")
	if out, err := exec.Command("go", "build", "-o", path, "bettensor").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// program is the binary, for tests that run it as everybody does.
func program(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// begin starts a network in this process. It is ended with the test, where the
// test does not.
func begin(t testing.TB, o Options) *Network {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "a net") // a name that must be quoted
	}
	n, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.cancel(); stop(t, n) })
	return n
}

func stop(t testing.TB, n *Network) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// lines is a log that many write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// process is the program with a command.
type process struct {
	cmd  *exec.Cmd
	log  lines // both outputs
	done chan struct{}
}

// launch starts one. It is killed with the test, where it still runs.
func launch(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program(t), args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.cmd.Wait() // the state tells
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// wait waits for its end and returns its exit code.
func (p *process) wait(t testing.TB, most time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(most):
		t.Fatalf("%v still runs after %v:\n%s", p.cmd.Args[1:], most, p.log.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// interrupt asks for an orderly end.
func (p *process) interrupt(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t, patience)
}

// call runs a command to its end.
func call(t testing.TB, env []string, args ...string) (out string, code int) {
	t.Helper()
	p := launch(t, env, args...)
	code = p.wait(t, patience)
	return p.log.String(), code
}

// waitFor waits for a condition that others bring about.
func waitFor(t testing.TB, most time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", most, what)
		}
	}
}

// page is a node's page at an address, "" while it does not answer.
func page(address, path string) string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(address + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	return string(b)
}

// statistics is what tests look at of a node's /stats.
type statistics struct {
	Alarms []struct {
		Code string `json:"code"`
	} `json:"alarms"`
	Node struct {
		Services []struct {
			Name   string            `json:"name"`
			Counts map[string]uint64 `json:"counts"`
		} `json:"services"`
	} `json:"node"`
}

func stats(address string) (s statistics) {
	json.Unmarshal([]byte(page(address, "/stats")), &s) // nothing, while it does not answer
	return s
}

func (s statistics) count(service, name string) uint64 {
	for _, x := range s.Node.Services {
		if x.Name == service {
			return x.Counts[name]
		}
	}
	return 0
}

func (s statistics) alarm(code string) bool {
	for _, a := range s.Alarms {
		if a.Code == code {
			return true
		}
	}
	return false
}

// freePort is one that nobody listens at just now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// pageOf waits until the node of a store says where its page is.
func pageOf(t testing.TB, store string, p *process) (address string) {
	t.Helper()
	waitFor(t, patience, "the node tells where it listens", func() bool {
		ports, err := web.ReadPorts(store + "-run")
		if err == nil && (p == nil || ports.PID == p.cmd.Process.Pid) {
			address = "http://" + ports.HTTP
			return true
		}
		if p != nil {
			select {
			case <-p.done:
				t.Fatalf("it ended:\n%s", p.log.String())
			default:
			}
		}
		return false
	})
	return address
}

// outside are the arguments of a validator that runs beside a network.
func (n *Network) outside(name, store string, more ...string) []string {
	args := append([]string{"validator"}, n.Flags(name)...)
	args = append(args, "--store.dir", store, "--http.listen", "127.0.0.1:0", "--axon.ip", "127.0.0.1", "--feed.url", n.Feed(), "--feed.interval", n.nodeTime(time.Second),
		"--metagraph.interval", n.nodeTime(time.Second/2), "--scoring.interval", n.nodeTime(2*time.Second))
	return append(args, more...)
}

// ended says that a run came to its end because it was asked to.
func ended(err error) bool { return err == nil || errors.Is(err, context.Canceled) }
