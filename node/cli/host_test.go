package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
	"bettensor/node/live"
	"bettensor/node/web"
	"bettensor/sched"
	"bettensor/sim/mockchain"

	"github.com/urfave/cli/v2"
)

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

const testGenesis = "0xabc"

// mockDialer answers from a chain in memory on which //Alice is registered.
func mockDialer(t *testing.T) dialer {
	t.Helper()
	alice, err := wallet.FromURI("//Alice")
	if err != nil {
		t.Fatal(err)
	}
	cc := mockchain.Defaults(30, time.Now())
	cc.BlockTime, cc.AllowLoopback = 50*time.Millisecond, true
	cc.Neurons = []mockchain.Neuron{{Hotkey: alice.Hotkey(), Stake: 10_000e9}}
	c := mockchain.New(cc)
	var mu sync.Mutex
	return func(*Resolved, *wallet.Key, string, float64, *slog.Logger) (*link, error) {
		var calls sync.WaitGroup
		return &link{
			backend: func(q chain.Request, reply func(sched.Result[chain.Reply])) {
				calls.Go(func() {
					mu.Lock()
					r := c.Submit(time.Now(), q)
					mu.Unlock()
					reply(sched.Result[chain.Reply]{Res: r})
				})
			},
			ready:   func(context.Context) error { return nil },
			genesis: func() string { return testGenesis },
			health: func() web.Chain {
				return web.Chain{Endpoint: "mock", Up: true, Head: 1, HeadAt: time.Now(), BlockTime: 50 * time.Millisecond}
			},
			clock: func(context.Context) (time.Time, error) { return time.Now(), nil },
			close: func(context.Context) error { calls.Wait(); return nil },
		}, nil
	}
}

// launch runs a node's command until stop is called, which gives its error.
func launch(t *testing.T, r role, dial dialer, args ...string) (log *lines, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log = &lines{}
	app := &cli.App{Name: "bettensor", Version: "v9", Writer: &lines{}, ErrWriter: log, Commands: []*cli.Command{nodeCommand(r, "", "", dial)}}
	Prepare(app, nil)
	done := make(chan error, 1)
	all := append([]string{"bettensor", r.String(), "--subtensor.chain_endpoint", "ws://127.0.0.1:1", "--wallet.uri", "//Alice",
		"--axon.port", "0", "--axon.ip", "127.0.0.1", "--http.listen", "127.0.0.1:0"}, args...)
	go func() { done <- app.RunContext(ctx, Arrange(app, all)) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = <-done
		})
		return err
	}
	t.Cleanup(func() { stop() })
	return log, stop
}

// eventually waits for something of a process beside the test.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-patience.C:
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, b.String()
}

func TestANodeAsAProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	dial := mockDialer(t)
	log, stop := launch(t, forMiner, dial, "--store.dir", dir, "--model", "favourite", "--neuron.device", "cuda", "--record", filepath.Join(t.TempDir(), "rec"))
	var ports web.Ports
	eventually(t, "it tells where it is", func() (ok bool) {
		var err error
		ports, err = web.ReadPorts(dir + runSuffix)
		return err == nil && !ports.Starting
	})
	if ports.Role != "miner" || ports.PID != os.Getpid() || ports.Axon == "" || ports.HTTP == "" {
		t.Errorf("ports %+v", ports)
	}
	eventually(t, "it is ready but for a validator, of which there is none", func() bool {
		h, err := web.Client{Address: ports.HTTP}.Ready(t.Context())
		return err == nil && len(h.Reasons) == 1 && h.Reasons[0].Code == string(live.Reached)
	})
	var shown web.Snapshot
	_, body := get(t, "http://"+ports.HTTP+"/stats")
	if err := json.Unmarshal([]byte(body), &shown); err != nil || shown.Role != "miner" || shown.Version != "v9" || shown.UID == nil || *shown.UID != 0 || shown.Loop.Events == 0 || shown.Node == nil || shown.Store == nil {
		t.Errorf("/stats %s, %v", body, err)
	}
	if n := strings.Count(log.String(), "--neuron.device has no effect"); n != 1 {
		t.Errorf("%d notices, want one", n)
	}
	// A second process is told at once who has the store.
	second := &lines{}
	app := &cli.App{Name: "bettensor", ErrWriter: second, Commands: []*cli.Command{nodeCommand(forMiner, "", "", dial)}}
	Prepare(app, nil)
	err := app.Run([]string{"bettensor", "miner", "--subtensor.chain_endpoint", "ws://127.0.0.1:1", "--wallet.uri", "//Alice", "--store.dir", dir})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != File || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second process: %v, want exit code %d and the first one's number", err, File)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if _, err := web.ReadPorts(dir + runSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ports file after the end: %v", err)
	}
	if strings.Contains(log.String(), `"level":"ERROR"`) {
		t.Errorf("errors in the log:\n%s", log.String())
	}
	for line := range strings.Lines(log.String()) {
		var x struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &x); err != nil || len(x.Time) != len("2026-01-02T03:04:05.678Z") || x.Time[len(x.Time)-1] != 'Z' {
			t.Errorf("log line %s: want JSON with UTC milliseconds", line)
		}
	}
}

func TestTheDefaultPortIsLeftToWhoHasIt(t *testing.T) {
	key, err := wallet.FromURI("//Alice")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Resolved: mustSettle(t, forMiner, nil, nil), key: key, log: slog.New(slog.DiscardHandler)}
	h.HTTP.Listen = "127.0.0.1:0"
	if err := h.watch(); err != nil {
		t.Fatal(err)
	}
	defer h.web.Stop(t.Context())
	taken := h.web.Addr().String()
	other := &host{Resolved: mustSettle(t, forMiner, nil, nil), key: key, log: h.log}
	other.HTTP.Listen = taken // stands for the default: nobody has asked for it
	if err := other.watch(); err != nil {
		t.Fatalf("beside another node: %v", err)
	}
	defer other.web.Stop(t.Context())
	if other.web.Addr().String() == taken {
		t.Error("two nodes at one address")
	}
	asked := &host{Resolved: mustSettle(t, forMiner, []string{"--http.listen", taken}, nil), key: key, log: h.log}
	var exit *ExitError
	if err := asked.watch(); !errors.As(err, &exit) || exit.Code != Network {
		t.Errorf("a port that was asked for and is taken: %v, want exit code %d", err, Network)
	}
}

// Two nodes of one local network have the same default port for peers; one that
// was asked for is not changed, nor is any where others must find it.
func TestAxonPortBesideAnotherNode(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	local := []string{"--subtensor.network", "local", "--axon.ip", "127.0.0.1"}
	for _, c := range []struct {
		name string
		args []string
		same bool
	}{
		{"the default on a local network", local, false},
		{"asked for", append([]string{"--axon.port", strconv.Itoa(int(port))}, local...), true},
		{"another network", []string{"--axon.ip", "127.0.0.1"}, true},
	} {
		h := &host{Resolved: mustSettle(t, forMiner, c.args, nil), log: slog.New(slog.DiscardHandler)}
		h.Axon.Port = port // stands for the default
		h.settleAxon()
		if (h.Axon.Port == port) != c.same {
			t.Errorf("%s: port %d becomes %d", c.name, port, h.Axon.Port)
		}
	}
}

func TestAClockFile(t *testing.T) {
	now := time.Now()
	good := ClockFile{Version: 1, Genesis: testGenesis, WallOrigin: now.Add(-time.Minute).UnixNano(), NodeOrigin: now.Add(-10 * time.Minute).UnixNano(), Speed: 10}
	at := func(d time.Duration) *link {
		return &link{genesis: func() string { return testGenesis }, clock: func(context.Context) (time.Time, error) { return now.Add(d), nil }}
	}
	if got := good.clock().At(now); got.Sub(now).Abs() > time.Millisecond {
		t.Errorf("a minute at tenfold speed after ten minutes before now is %v off", got.Sub(now))
	}
	for _, c := range []struct {
		name string
		edit func(*ClockFile)
		off  time.Duration
		want string // "" where it is taken
	}{
		{"good", func(*ClockFile) {}, 0, ""},
		{"a block or two off", func(*ClockFile) {}, 2 * chain.BlockTime, ""},
		{"far off", func(*ClockFile) {}, -4 * chain.BlockTime, "more than 3 blocks"},
		{"another network", func(c *ClockFile) { c.Genesis = "0xdef" }, 0, "another network"},
		{"version", func(c *ClockFile) { c.Version = 2 }, 0, "expected version 1"},
		{"slower than time", func(c *ClockFile) { c.Speed = 0.5 }, 0, "expected a speed"},
		{"too fast", func(c *ClockFile) { c.Speed = 121 }, 0, "expected a speed"},
		{"no origin", func(c *ClockFile) { c.NodeOrigin = 0 }, 0, "expected both origins"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good
			c.edit(&f)
			b, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseClock(b)
			if err == nil {
				err = got.fits(t.Context(), at(c.off), func() time.Time { return got.clock().At(now) })
			}
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzClockFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"genesis":"0x1","wall_origin_unix_ns":1,"node_origin_unix_ns":1,"speed":60}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseClock(b)
		if err == nil && !(c.Speed >= 1 && c.Speed <= maxSpeed) {
			t.Fatalf("speed %v taken", c.Speed)
		}
	})
}

// TestAModelIsRecordedWhole: what a recording says of a model makes the same one,
// a file of picks included.
func TestAModelIsRecordedWhole(t *testing.T) {
	picks := writeFile(t, "picks.csv", "game_id,outcome,wager\n1,home,10\n", 0o600)
	for _, c := range []struct {
		name string
		set  []string
	}{{"value", []string{"kelly=0.5"}}, {"file:" + picks, nil}} {
		m, err := modelSpec(c.name, c.set)
		if err != nil {
			t.Fatal(err)
		}
		again, err := recordedMind(m.text())
		if err != nil || again.Spec != m.text() {
			t.Errorf("%s: recorded as %s, read as %s, %v", c.name, m.text(), again.Spec, err)
		}
		if _, err := again.New(sched.NewStream(1)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if m, err := modelSpec("file:"+picks, nil); err != nil || !strings.Contains(m.text(), "home") {
		t.Errorf("the picks are not in %s, %v", m.text(), err)
	}
}

func TestVerdictsHaveTheirExitCodes(t *testing.T) {
	c := cli.NewContext(&cli.App{}, nil, nil)
	c.Command = &cli.Command{Name: "replay", HelpName: "bettensor replay"}
	for _, x := range []struct {
		err  error
		code Code
	}{
		{&sched.Divergence{Event: 7, Source: "feed", Why: "x"}, Diverged},
		{fmt.Errorf("%w: y", live.ErrDamaged), Validation},
		{fmt.Errorf("%w: y", live.ErrRevision), Validation},
		{&os.PathError{Op: "open", Path: "p", Err: os.ErrNotExist}, File},
		{errors.New("z"), Other},
	} {
		if got := replayError(c, "d", x.err).Code; got != x.code {
			t.Errorf("%v: exit code %d, want %d", x.err, got, x.code)
		}
	}
	all := []error{replayError(c, "d", live.ErrDamaged), replayError(c, "d", &sched.Divergence{Event: 1})}
	if got := worst(all).(*ExitError).Code; got != Diverged {
		t.Errorf("the worst of two is %d, want %d", got, Diverged)
	}
}

// TestTLSFilesHaveTheirExitCode: a file of TLS that is missing and one that does
// not hold what it should are both errors of files, which the start tells.
func TestTLSFilesHaveTheirExitCode(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.pem")
	bad := writeFile(t, "bad.pem", "no PEM\n", 0o600)
	for _, args := range [][]string{
		{"--axon.tls_cert", missing, "--axon.tls_key", missing},
		{"--axon.tls_cert", bad, "--axon.tls_key", bad},
		{"--axon.tls_roots", missing},
		{"--axon.tls_roots", bad},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		app := &cli.App{Name: "bettensor", Version: "v9", Writer: &lines{}, ErrWriter: &lines{}, Commands: []*cli.Command{nodeCommand(forMiner, "", "", mockDialer(t))}}
		Prepare(app, nil)
		err := app.RunContext(ctx, Arrange(app, append([]string{"bettensor", "miner", "--subtensor.chain_endpoint", "ws://127.0.0.1:1", "--wallet.uri", "//Alice",
			"--axon.port", "0", "--axon.ip", "127.0.0.1", "--http.listen", "127.0.0.1:0", "--store.dir", filepath.Join(t.TempDir(), "s")}, args...)))
		cancel()
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != File {
			t.Errorf("%v: %v, want exit code %d", args[:1], err, File)
		}
	}
}

// TestAValidatorTellsEveryFigure: of a whole validator, /metrics has every name of
// docs/metrics.md that does not depend on what a node has or is asked for.
func TestAValidatorTellsEveryFigure(t *testing.T) {
	conditional := map[string]string{
		"bettensor_weights_share_ratio":                    "only with --http.per_uid",
		"bettensor_weights_last_success_timestamp_seconds": "there are no weights yet",
		"bettensor_weights_blocks_since_update":            "there are no weights yet",
		"bettensor_weights_attempts_total":                 "no epoch is over",
		"bettensor_feed_quota_remaining":                   "a file has no quota",
		"bettensor_feed_requests_total":                    "a file is not asked by requests",
		"bettensor_clock_offset_seconds":                   "a file has no clock, and the chain stands",
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(bettensor_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		if _, may := conditional[m[1]]; !may {
			want = append(want, m[1])
		}
	}
	if len(want) < 30 {
		t.Fatalf("%d names in docs/metrics.md", len(want))
	}
	games := t.TempDir()
	if err := os.WriteFile(filepath.Join(games, "games.json"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	dial := mockDialer(t)
	real := func(s *Resolved, key *wallet.Key, dir string, speed float64, log *slog.Logger) (*link, error) {
		l, err := dial(s, key, dir, speed, log)
		if err != nil {
			return nil, err
		}
		health := l.health
		l.health = func() web.Chain { // what a client has counted, over what the mock says of its head
			h, c := substrate.Health{Calls: []substrate.CallStats{{Method: "state_call", Outcome: "ok", Count: 2}}}, health()
			h.Took.Counts[20], h.Took.Sum = 2, 2*time.Millisecond
			f := chainFigures(h)
			c.Requests, c.Took, c.Counts = f.Requests, f.Took, f.Counts
			return c
		}
		return l, nil
	}
	store := filepath.Join(t.TempDir(), "store")
	_, stop := launch(t, forValidator, real, "--store.dir", store, "--feed.url", filepath.Join(games, "games.json"))
	var ports web.Ports
	eventually(t, "it tells where it is", func() bool {
		var err error
		ports, err = web.ReadPorts(store + runSuffix)
		return err == nil && !ports.Starting
	})
	began := time.Now()
	var missing []string
	var body string
	eventually(t, "it has run a while", func() bool {
		_, body = get(t, "http://"+ports.HTTP+"/metrics")
		missing = nil
		for _, name := range want {
			if !strings.Contains(body, "\n"+name) {
				missing = append(missing, name)
			}
		}
		return len(missing) == 0 || time.Since(began) > 10*time.Second
	})
	if len(missing) > 0 {
		t.Errorf("not on /metrics: %v", missing)
	}
	if want := "bettensor_chain_request_duration_seconds_count 2"; !strings.Contains(body, want) {
		t.Errorf("no %q", want)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestParseMoment: where a replay stops, as --until has it.
func TestParseMoment(t *testing.T) {
	for _, c := range []struct {
		text string
		want moment
		bad  bool
	}{
		{"", moment{}, false}, {"120000", moment{events: 120000}, false}, {"weights_set", moment{"weights_set", 1, 0}, false},
		{"weights_set#2", moment{"weights_set", 2, 0}, false}, {"#2", moment{}, true}, {"weights_set#0", moment{}, true},
		{"weights_set#x", moment{}, true}, {"0", moment{}, true}, {"-1", moment{}, true},
	} {
		if got, err := parseMoment(c.text); got != c.want || (err != nil) != c.bad {
			t.Errorf("%q is %+v, %v", c.text, got, err)
		}
	}
}

// TestReplayThatNeverStops: an event that does not come is no stop, and says so.
func TestReplayThatNeverStops(t *testing.T) {
	for _, c := range []struct {
		left          moment
		came, longest uint64
		want          string
	}{
		{moment{}, 0, 50, ""}, {moment{"weights_set", 0, 0}, 2, 50, ""}, {moment{events: 50}, 0, 50, ""},
		{moment{"nope", 1, 0}, 0, 50, "no event of that name"}, {moment{"weights_set", 1, 0}, 2, 50, "only 2 times"},
		{moment{events: 51}, 0, 50, "the longest part of the recording has 50 events"},
	} {
		if got := c.left.missed(c.came, c.longest); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%+v, came %d, of %d: %q, want %q", c.left, c.came, c.longest, got, c.want)
		}
	}
}
