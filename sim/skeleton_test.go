package sim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/model"
	"bettensor/sched"
	"bettensor/sim/mockchain"

	gocmp "github.com/google/go-cmp/cmp"
)

// The walking skeleton: one validator, two miners, one game. Everything a
// prediction passes through is real; only the world around it is not.

var skeletonStart = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// oneGame is a feed with one fixture: priced, played, resulted.
type oneGame struct{}

func (oneGame) Changes(since, now time.Time) []bet.Game {
	g := bet.Game{ID: "100000", Sport: "Soccer", League: "Test", TeamA: "Reds", TeamB: "Blues", CanTie: true, Active: true,
		Created: skeletonStart, Updated: skeletonStart, Start: skeletonStart.Add(40 * time.Minute),
		Odds: bet.Odds{1.9, 4.2, 3.6}, OddsAt: skeletonStart, Outcome: bet.Unfinished}
	if result := g.Start.Add(50 * time.Minute); !now.Before(result) {
		g.Updated, g.Status, g.Outcome, g.ResultAt, g.Active = result, bet.Finished, bet.Home, result, false
	}
	if !g.Updated.After(since) {
		return nil
	}
	return []bet.Game{g}
}

// once backs one outcome of every game, once.
type once struct {
	outcome bet.Outcome
	wager   bet.Cents
}

func (once) Name() string                              { return "once" }
func (once) Observe(time.Time, *bet.Game)              {}
func (once) Wake(time.Time, *model.Book) (t time.Time) { return t }
func (o once) Picks(_ time.Time, b *model.Book) (picks []model.Pick) {
	for _, g := range b.Games {
		if len(b.Placed(g.ID)) == 0 {
			picks = append(picks, model.Pick{Game: g.ID, Outcome: o.outcome, Wager: o.wager, Confidence: 0.5})
		}
	}
	return picks
}

func skeleton(seed uint64) Config {
	miner := node.MinerConfig{Heartbeat: 20 * time.Minute, MetagraphInterval: 10 * time.Minute, StatusInterval: 12 * time.Hour}
	cc := mockchain.Defaults(30, skeletonStart)
	return Config{Seed: seed, Start: skeletonStart, Chain: cc, Feed: oneGame{},
		Validators: []ValidatorSpec{{Name: "v0", Stake: 10_000e9, Node: node.ValidatorConfig{
			FeedInterval: 10 * time.Minute, ScoringInterval: 20 * time.Minute, MetagraphInterval: 15 * time.Minute,
			StatusInterval: 12 * time.Hour, SessionTimeout: time.Hour}}},
		Miners: []MinerSpec{
			{Name: "m0", Kind: "home", Node: miner, Model: func() (model.Model, error) { return once{bet.Home, 100_00}, nil }},
			{Name: "m1", Kind: "away", Node: miner, Model: func() (model.Model, error) { return once{bet.Away, 50_00}, nil }},
		}}
}

const skeletonLength = 3 * time.Hour

func newSkeleton(t testing.TB, cfg Config) *World {
	t.Helper()
	w, err := NewWorld(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func runSkeleton(t testing.TB) books {
	w := newSkeleton(t, skeleton(1))
	w.Run(skeletonStart.Add(skeletonLength))
	return booksOf(t, w)
}

// TestSkeletonBooks pins what the undisturbed run must end in, so that the
// gates below compare with something true.
func TestSkeletonBooks(t *testing.T) {
	b := runSkeleton(t)
	if len(b.Predictions) != 2 || !strings.Contains(b.Predictions[0]+b.Predictions[1], "won $190.00") || !strings.Contains(b.Predictions[0]+b.Predictions[1], "lost $0.00") {
		t.Errorf("predictions: %q", b.Predictions)
	}
	if len(b.Budgets) != 2 || len(b.Games) != 1 || !strings.Contains(b.Games[0], "finished home [1.9 4.2 3.6]") {
		t.Errorf("budgets %q, games %q", b.Budgets, b.Games)
	}
	// Two ranks in one tier: exp(7) to 1 (docs/scoring.md), so 65535/exp(7) for the loser.
	if want := (chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 60}}); gocmp.Diff(want, b.Weights) != "" {
		t.Errorf("weights on the chain: %v, want nearly all on the winner", b.Weights)
	}
}

// Gate 1: the trace is byte-equal in two processes at GOMAXPROCS 1, 2 and 8.
func TestGateTraceIsByteEqualAcrossProcesses(t *testing.T) {
	if out := os.Getenv("SKELETON_TRACE"); out != "" { // we are the child
		w := newSkeleton(t, skeleton(1))
		f, err := os.Create(out)
		if err != nil {
			t.Fatal(err)
		}
		tr := NewTrace(f, w)
		w.Run(skeletonStart.Add(skeletonLength))
		if err := errors.Join(tr.Close(""), f.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
	var first []byte
	for i, procs := range []string{"1", "2", "8"} {
		file := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "SKELETON_TRACE="+file, "GOMAXPROCS="+procs)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("child at GOMAXPROCS=%s: %v\n%s", procs, err, out)
		}
		trace, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = trace
			if n := bytes.Count(first, []byte("\n")); n < 50 || !bytes.Contains(first, []byte(`"weights_set"`)) {
				t.Fatalf("the trace has %d lines and tells too little:\n%s", n, first)
			}
		} else if !bytes.Equal(first, trace) {
			t.Errorf("trace at GOMAXPROCS=%s differs from that at 1", procs)
		}
	}
}

// Gate 2: a crash at every loop event, dropping every suffix of unsynced
// batches, ends in the same books and weights. Each event is tried twice: the
// crash comes before it is handled, and right after.
func TestGateCrashAtEveryEvent(t *testing.T) {
	want := runSkeleton(t)
	points, lossy := 0, 0
	try := func(node, event, keep int, after bool) (most int, reached bool) {
		w := newSkeleton(t, skeleton(1))
		defer w.Close()
		n := 0
		w.OnInput = func(h *Host) {
			if h != w.Hosts[node] {
				return
			}
			if n++; n != event {
				return
			}
			reached = true
			crash := func() {
				most = h.Unsynced()
				h.CrashFor(keep, w.cfg.RestartAfter)
			}
			if after {
				w.Sched.After(0, sched.Func(crash))
			} else {
				crash()
			}
		}
		w.Run(skeletonStart.Add(skeletonLength))
		w.OnInput = nil
		if reached {
			points++
			if keep < most {
				lossy++
			}
			name := fmt.Sprintf("%s crashed at its event %d (after it: %v), %d of %d unsynced batches kept", w.Hosts[node].Name, event, after, keep, most)
			if !sameBooks(t, name, want, booksOf(t, w)) {
				t.FailNow()
			}
		}
		return most, reached
	}
	for node := range 3 {
		for event, more := 1, true; more; event++ {
			for _, after := range []bool{false, true} {
				most, reached := try(node, event, 0, after)
				for keep := 1; keep <= most; keep++ {
					try(node, event, keep, after)
				}
				more = reached
			}
		}
	}
	if points < 400 || lossy < 15 {
		t.Errorf("only %d crash points, %d of them losing something: the skeleton does too little", points, lossy)
	}
	t.Logf("%d crash points, %d of them losing unsynced batches", points, lossy)
}

// Gate 3: each port's completion lost, doubled, and applied-but-reported-lost
// ends in equal books. Frames count as completions of the network.
func TestGateEveryCompletionLostOrDoubled(t *testing.T) {
	want := runSkeleton(t)
	type request struct {
		host string
		port Port
		n    uint64
	}
	var all []request
	w := newSkeleton(t, skeleton(1))
	w.Fate = func(h *Host, port Port, n uint64) Fate {
		all = append(all, request{h.Name, port, n})
		return Normal
	}
	w.Run(skeletonStart.Add(skeletonLength))
	seen := map[Port]bool{}
	for _, r := range all {
		seen[r.port] = true
		for _, fate := range []Fate{Lost, AppliedLost, Doubled, Failed, AppliedFailed} {
			w := newSkeleton(t, skeleton(1))
			w.Fate = func(h *Host, port Port, n uint64) Fate {
				if (request{h.Name, port, n}) == r {
					return fate
				}
				return Normal
			}
			w.Run(skeletonStart.Add(skeletonLength))
			if !sameBooks(t, fmt.Sprintf("%s: request %d of port %s %s", r.host, r.n, r.port, fate), want, booksOf(t, w)) {
				return
			}
			w.Close()
		}
	}
	for port := range Port(ports) {
		if !seen[port] {
			t.Errorf("no request of port %s was tried", port)
		}
	}
	t.Logf("%d requests, each with five fates", len(all))
}
