package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	randv2 "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/sim/mockchain"
	"bettensor/store"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// subnet is a chain and a feed in memory and in real time, for nodes on loopback.
type subnet struct {
	t     testing.TB
	mu    sync.Mutex
	chain *mockchain.Chain
	wg    sync.WaitGroup
	games []bet.Game
}

func seedOf(name string) (b [32]byte) {
	copy(b[:], name)
	return b
}

func hotkeyOf(t testing.TB, name string) chain.Hotkey {
	s, err := wire.NewSr25519(seedOf(name), wire.Random{Rand: sched.NewStream(1)})
	if err != nil {
		t.Fatal(err)
	}
	return s.Hotkey()
}

func newSubnet(t testing.TB, names ...string) *subnet {
	s := &subnet{t: t}
	cc := mockchain.Defaults(30, time.Now())
	cc.BlockTime, cc.Params.WeightsRateLimit, cc.FinalityLag, cc.AllowLoopback = 50*time.Millisecond, 3, 0, true
	for i, n := range names {
		x := mockchain.Neuron{Hotkey: hotkeyOf(t, n)}
		if i == 0 {
			x.Stake = 10_000e9
		}
		cc.Neurons = append(cc.Neurons, x)
	}
	s.chain = mockchain.New(cc)
	start := time.Now().Add(time.Hour)
	for i := range 5 {
		s.games = append(s.games, bet.Game{ID: bet.GameID(fmt.Sprint(100000 + i)), Sport: "Soccer", League: "Test", TeamA: fmt.Sprint("Reds ", i), TeamB: "Blues", CanTie: true, Active: true,
			Created: start.Add(-2 * time.Hour), Updated: start.Add(-2 * time.Hour), Start: start, Odds: bet.Odds{1.9, 4.2, 3.6},
			OddsAt: start.Add(-2 * time.Hour), Outcome: bet.Unfinished})
	}
	t.Cleanup(s.wg.Wait)
	return s
}

func (s *subnet) chainBackend(q chain.Request, reply func(sched.Result[chain.Reply])) {
	s.wg.Go(func() {
		s.mu.Lock()
		r := s.chain.Submit(time.Now(), q)
		s.mu.Unlock()
		reply(sched.Result[chain.Reply]{Res: r})
	})
}

func (s *subnet) feedBackend(_ feed.Request, reply func(sched.Result[feed.Batch])) {
	s.wg.Go(func() { reply(sched.Result[feed.Batch]{Res: feed.Batch{Games: s.games, At: time.Now()}}) })
}

func (s *subnet) options(name string) Options {
	dir := filepath.Join(s.t.TempDir(), name)
	return Options{Name: name, Store: filepath.Join(dir, "store"), Backups: filepath.Join(dir, "backups"), KeepBackups: 2, Seed: 7, Revision: "r1",
		Signer: func(random io.Reader) (wire.Signer, error) { return wire.NewSr25519(seedOf(name), random) },
		Chain:  s.chainBackend, Feed: s.feedBackend, Log: slog.New(slog.NewTextHandler(testWriter{s.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

// testWriter writes to the test's log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (s *subnet) validatorConfig(name string) node.ValidatorConfig {
	return node.ValidatorConfig{Hotkey: hotkeyOf(s.t, name), Axon: chain.Axon{IP: "127.0.0.1"}, FeedInterval: 100 * time.Millisecond, ScoringInterval: 200 * time.Millisecond,
		SettleDelay: 20 * time.Millisecond, MetagraphInterval: 100 * time.Millisecond, BlockTime: 50 * time.Millisecond, StatusInterval: time.Hour,
		BackupInterval: 300 * time.Millisecond}
}

func (s *subnet) minerConfig(name string) node.MinerConfig {
	return node.MinerConfig{Hotkey: hotkeyOf(s.t, name), MetagraphInterval: 100 * time.Millisecond, ThinkDelay: 10 * time.Millisecond,
		Heartbeat: 300 * time.Millisecond, StatusInterval: time.Hour}
}

// each picks one outcome of every game.
type each struct{ outcome bet.Outcome }

func (each) Name() string                               { return "each" }
func (each) Observe(time.Time, *bet.Game)               {}
func (each) Wake(time.Time, *model.Book) (at time.Time) { return at }
func (e each) Picks(_ time.Time, b *model.Book) []model.Pick {
	var out []model.Pick
	for _, g := range b.Games {
		if len(b.Placed(g.ID)) > 0 {
			continue
		}
		out = append(out, model.Pick{Game: g.ID, Outcome: e.outcome, Wager: 10_00, Confidence: 0.5})
	}
	return out
}

func eachMind(spec string) (Mind, error) {
	o := bet.Home
	if spec == "away" {
		o = bet.Away
	}
	return Mind{Spec: spec, New: func(*randv2.Rand) (model.Model, error) { return each{o}, nil }}, nil
}

func (s *subnet) validator(o Options) *Node {
	s.t.Helper()
	o.Listen = "127.0.0.1:0"
	n, err := StartValidator(o, s.validatorConfig(o.Name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.stop(n) })
	return n
}

func (s *subnet) miner(o Options, spec string) *Node {
	s.t.Helper()
	m, _ := eachMind(spec)
	n, err := StartMiner(o, s.minerConfig(o.Name), m)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.stop(n) })
	return n
}

func (s *subnet) stop(n *Node) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		s.t.Errorf("stop %s: %v", n.o.Name, err)
	}
}

// until polls what n's inspection says until it is true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
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

// stored is how many predictions a validator holds.
func stored(t *testing.T, n *Node) int {
	t.Helper()
	held := make(chan int, 1)
	switch err := n.Inspect(t.Context(), func(v View) { held <- v.Validator.State.Book.Len() }); {
	case errors.Is(err, ErrEnded):
		return -1
	case err != nil:
		t.Fatal(err)
	}
	return <-held
}

func allMet(reasons []Reason) bool {
	return !slices.ContainsFunc(reasons, func(r Reason) bool { return !r.Met })
}

func ready(t testing.TB, n *Node) bool {
	return allMet(n.Ready())
}

func TestNodesOnLoopback(t *testing.T) {
	s := newSubnet(t, "v0", "m0", "m1")
	v := s.validator(s.options("v0"))
	m0, m1 := s.miner(s.options("m0"), "home"), s.miner(s.options("m1"), "away")
	until(t, "all ready", func() bool { return ready(t, v) && ready(t, m0) && ready(t, m1) })
	until(t, "ten predictions stored", func() bool { return stored(t, v) == 10 })

	st, err := v.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Role != "validator" || st.Hotkey != hotkeyOf(t, "v0") || st.Loop.Events == 0 || st.Transport.Inbound < 2 || len(st.Node.Services) == 0 {
		t.Errorf("stats %+v: want a validator's, with events and two inbound connections", st)
	}
	// What is stopped in good order and begun again knows all it knew.
	o := v.o
	s.stop(v)
	if err := v.Inspect(t.Context(), func(View) {}); !errors.Is(err, ErrEnded) {
		t.Errorf("an inspection after the end: %v, want ErrEnded", err)
	}
	again := s.validator(o)
	if got := stored(t, again); got != 10 {
		t.Errorf("%d predictions after a restart, want 10", got)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	s := newSubnet(t, "v0")
	o := s.options("v0")
	s.validator(o)
	_, err := StartValidator(o, s.validatorConfig("v0"))
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("a second node on the same store: %v, want ErrLocked and the process that has it", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	s := newSubnet(t, "v0")
	for _, c := range []struct {
		name string
		bad  func(*Options)
		want string
	}{
		{"no store", func(o *Options) { o.Store = "" }, "no directory"},
		{"no signer", func(o *Options) { o.Signer = nil }, "needs a signer"},
		{"no feed", func(o *Options) { o.Feed = nil }, "needs a feed"},
		{"another key", func(o *Options) {
			o.Signer = func(r io.Reader) (wire.Signer, error) { return wire.NewSr25519(seedOf("x"), r) }
		}, "the configuration says"},
		{"address taken", func(o *Options) { o.Listen = "256.0.0.1:1" }, "listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := s.options("v0")
			c.bad(&o)
			if _, err := StartValidator(o, s.validatorConfig("v0")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if o.Store != "" { // nothing was left open
				e, err := store.OpenPebble(store.Options{Dir: o.Store})
				if err != nil {
					return // never made
				}
				e.Close()
			}
		})
	}
}

// quick makes a node come back at once.
func quick(t *testing.T) {
	was := comeback
	comeback = sched.Backoff{Base: time.Millisecond, Cap: time.Millisecond}
	t.Cleanup(func() { comeback = was })
}

func TestANodeThatFellIsBuiltAgain(t *testing.T) {
	quick(t)
	s := newSubnet(t, "v0", "m0")
	o := s.options("v0")
	o.Record = filepath.Join(t.TempDir(), "rec")
	v := s.validator(o)
	s.miner(s.options("m0"), "home")
	until(t, "five predictions stored", func() bool { return stored(t, v) == 5 })
	before := v.Addr().String()
	was := v.now.Load()
	was.fell <- errors.New("planned")
	until(t, "it is back", func() bool { return v.now.Load() != was && ready(t, v) && stored(t, v) == 5 })
	if got := v.Addr().String(); got != before {
		t.Errorf("it listens at %s, before at %s", got, before)
	}
	st, err := v.Stats(t.Context())
	if err != nil || st.Falls != 1 || st.Why != "planned" {
		t.Errorf("stats %d falls, %q, %v: want 1, planned", st.Falls, st.Why, err)
	}
	s.stop(v)
	dirs, err := Recordings(o.Record)
	if err != nil || len(dirs) != 2 {
		t.Fatalf("recordings %q, %v: want one for each incarnation", dirs, err)
	}
	for _, d := range dirs {
		r, err := Replay(d, ReplayOptions{Revision: "r1"})
		if err != nil || r.CutOff || r.Events == 0 {
			t.Errorf("replay of %s: %+v, %v", d, r, err)
		}
	}
}

// TestAStopOutlivesAFall: a validator that has stopped setting weights, because
// another process has its key, does not go on when its store fails.
func TestAStopOutlivesAFall(t *testing.T) {
	quick(t)
	s := newSubnet(t, "v0")
	cfg := s.validatorConfig("v0")
	cfg.BlockTime = time.Millisecond // an era is soon over
	o := s.options("v0")
	var foreign atomic.Bool
	var extrinsics atomic.Uint64
	o.Chain = func(q chain.Request, reply func(sched.Result[chain.Reply])) {
		s.chainBackend(q, func(r sched.Result[chain.Reply]) {
			if foreign.Load() {
				r.Res.Foreign = extrinsics.Add(1)
			}
			reply(r)
		})
	}
	v, err := StartValidator(o, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(v) })
	stopped := func() (why string) {
		if err := v.Inspect(t.Context(), func(x View) { why = x.Validator.Stopped() }); err != nil {
			return ""
		}
		return why
	}
	foreign.Store(true)
	until(t, "it has stopped", func() bool { return stopped() != "" })
	why := stopped()
	foreign.Store(false)
	was := v.now.Load()
	was.fell <- errors.New("planned")
	until(t, "it is back", func() bool { in := v.now.Load(); return in != nil && in != was })
	if got := stopped(); got != why {
		t.Errorf("after a fall: %q, before: %q", got, why)
	}
}

// TestAMinerIsReadyWithAValidator, and not before.
func TestAMinerIsReadyWithAValidator(t *testing.T) {
	s := newSubnet(t, "v0", "m0")
	m := s.miner(s.options("m0"), "home")
	against := func() (out []Condition) {
		for _, r := range m.Ready() {
			if !r.Met && r.Detail != "" {
				out = append(out, r.Condition)
			}
		}
		return out
	}
	until(t, "nothing but that is missing", func() bool { got := against(); return len(got) == 1 && got[0] == Reached })
	s.validator(s.options("v0"))
	until(t, "it is ready", func() bool { return len(against()) == 0 })
}

func TestANodeThatAlwaysFallsGivesUp(t *testing.T) {
	quick(t)
	s := newSubnet(t, "v0")
	o := s.options("v0")
	n, err := StartValidator(o, s.validatorConfig("v0"))
	if err != nil {
		t.Fatal(err)
	}
	planned := errors.New("planned")
	for range maxFalls + 1 {
		until(t, "it runs", func() bool { return n.now.Load() != nil })
		in := n.now.Load()
		in.fell <- planned
		until(t, "another or the end", func() bool {
			select {
			case <-n.Done():
				return true
			default:
				return n.now.Load() != nil && n.now.Load() != in
			}
		})
	}
	if err := n.Wait(); !errors.Is(err, ErrGaveUp) || !errors.Is(err, planned) {
		t.Errorf("it ended with %v, want ErrGaveUp and the last reason", err)
	}
}

func TestALoopThatStandsIsNoticed(t *testing.T) {
	s := newSubnet(t, "v0")
	v := s.validator(s.options("v0"))
	until(t, "ready", func() bool { return ready(t, v) })
	stands, goOn := make(chan struct{}), make(chan struct{})
	in := v.now.Load()
	done := make(chan struct{})
	go func() {
		in.live.Inspect(func() { close(stands); <-goOn })
		close(done)
	}()
	<-stands
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := v.Stats(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("figures of a loop that stands: %v, want the deadline", err)
	}
	// Long after the last answer it does not count as turning.
	v.pulse.mu.Lock()
	v.pulse.last.At = v.pulse.last.At.Add(-2 * loopStands)
	v.pulse.mu.Unlock()
	if got := v.Ready(); allMet(got) || got[1].Met || got[1].Condition != LoopTurns {
		t.Errorf("a node whose loop stands says %+v", got)
	}
	close(goOn)
	<-done
	until(t, "ready again", func() bool { return ready(t, v) })
}
