package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"

	"github.com/google/go-cmp/cmp"
)

// poisonedSigner panics while it is on.
type poisonedSigner struct {
	wire.Signer
	on *bool
}

func (s poisonedSigner) Sign(text []byte) [wire.SignatureSize]byte {
	if *s.on {
		panic("no key")
	}
	return s.Signer.Sign(text)
}

// poisonedLog panics at status lines while it is on.
type poisonedLog struct {
	slog.Handler
	on *bool
}

func (h poisonedLog) Enabled(context.Context, slog.Level) bool { return true }
func (h poisonedLog) Handle(_ context.Context, r slog.Record) error {
	if *h.on && r.Message == "status" {
		panic("no log")
	}
	return nil
}

// TestPanickedServiceIsRebuilt plants a panic in each service that can be built
// again, by what it reaches, and looks at what is left of it.
func TestPanickedServiceIsRebuilt(t *testing.T) {
	for _, tc := range []struct {
		service string
		plant   func(n *rigNode, on *bool)
		provoke func(n *rigNode)
		counts  string // that must move after the rebuild
	}{
		{"communication", func(n *rigNode, on *bool) { n.core().ports.Signer = poisonedSigner{n.signer, on} }, func(*rigNode) {}, "heartbeats"},
		{"metagraph", func(n *rigNode, _ *bool) { n.poisoned = chain.OpSync }, func(*rigNode) {}, "syncs"},
		{"scoring", func(n *rigNode, _ *bool) { n.v.cfg.Scheme = nil }, func(*rigNode) {}, "days_tiered"},
		{"weights", func(*rigNode, *bool) {}, func(n *rigNode) {
			n.loop.Scope("test").Timer("do", func() { // as no round would publish it
				n.v.ScoringComplete.Publish(ScoringComplete{Weights: []float64{1}, Hotkeys: []chain.Hotkey{hotkeyOf("m0")}})
			}).Arm(0)
		}, ""},
		{"status", func(n *rigNode, on *bool) {
			n.core().ports.Log = slog.New(poisonedLog{on: on})
			n.core().log = n.core().ports.Log
		}, func(*rigNode) {}, "due"},
	} {
		t.Run(tc.service, func(t *testing.T) {
			r := newRig(t)
			r.offer("100", t0.Add(2*time.Hour))
			n := r.addValidator("v0")
			r.addMiner("m0", once(bet.Home, 100_00))
			r.run(90 * time.Second)
			if got := n.count("predictions", "stored"); got != 1 {
				t.Fatalf("%d predictions stored before the panic", got)
			}
			on, scheme := true, n.v.cfg.Scheme
			tc.plant(n, &on)
			tc.provoke(n)
			r.until("a panic", time.Hour, func() bool { return n.core().Stats().Panics > 0 })
			r.poisoned = 0 // the miner asks as well
			if s := n.service(tc.service); s.State != "rebuilding" || !strings.Contains(s.Reason, "panicked") {
				t.Errorf("after the panic: %+v", s)
			}
			on, n.v.cfg.Scheme, r.poisoned = false, scheme, 0
			r.run(2 * time.Minute)
			before := n.count(tc.service, tc.counts)
			r.run(30 * time.Minute)
			if s := n.service(tc.service); s.State != "ok" {
				t.Errorf("after the rebuild: %+v", s)
			}
			if tc.counts != "" && n.count(tc.service, tc.counts) <= before {
				t.Errorf("it does not work after the rebuild: %+v", n.service(tc.service))
			}
			if len(n.downs) > 0 {
				t.Errorf("the node went down: %v", n.downs)
			}
			if n.count("communication", "sessions") != 1 || n.service("weights").State != "ok" {
				t.Errorf("the others: %+v", n.core().Stats().Services)
			}
		})
	}
}

// TestPanicInTheBooksStopsTheNode: what holds the books cannot be built again
// beside them; the node says so and its owner opens the store anew.
func TestPanicInTheBooksStopsTheNode(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	n.silent = true
	r.run(time.Minute)
	c := n.core()
	n.loop.Scope("test").Timer("do", func() { n.v.GameSettled.Publish(GameSettled{}) }).Arm(0) // no game in it
	r.run(0)
	if len(n.downs) != 1 || !errors.Is(n.downs[0], errPanic) || !strings.Contains(n.downs[0].Error(), "predictions") {
		t.Errorf("downs: %v", n.downs)
	}
	if c.working() || !c.services[0].scope.Closed() {
		t.Error("services still stand")
	}
}

// TestServiceThatAlwaysPanicsStopsTheNode, and an hour of peace makes a panic a
// first one again.
func TestServiceThatAlwaysPanicsStopsTheNode(t *testing.T) {
	poison := func(n *rigNode) {
		n.do(func() {
			n.v.ScoringComplete.Publish(ScoringComplete{Weights: []float64{1}, Hotkeys: []chain.Hotkey{hotkeyOf("m0")}})
		})
	}
	for _, tc := range []struct {
		name  string
		pause time.Duration
		down  bool
	}{{"in a row", 2 * time.Minute, true}, {"with peace in between", peace + 2*time.Minute, false}} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			n := r.addValidator("v0", func(c *ValidatorConfig) { c.ScoringInterval = 1000 * time.Hour })
			n.silent = true
			r.run(2 * time.Minute)
			for i := range maxRebuilds + 1 {
				if len(n.downs) > 0 {
					t.Fatalf("down after %d panics: %v", i, n.downs)
				}
				poison(n)
				if n.loop != nil {
					r.run(tc.pause)
				}
			}
			if down := len(n.downs) > 0; down != tc.down {
				t.Errorf("down: %t, want %t", down, tc.down)
			}
		})
	}
}

// TestRebuiltScoringEndsInTheSameScores: a panic in the middle of a round, after
// some of its slices, loses nothing of what the round would have found.
func TestRebuiltScoringEndsInTheSameScores(t *testing.T) {
	run := func(disturb func(r *rig, n *rigNode)) map[ledger.DayKey]ledger.Score {
		r := newRig(t)
		n := r.addValidator("v0")
		r.addMiner("m0", once(bet.Home, 100_00))
		r.addMiner("m1", once(bet.Away, 50_00))
		for day := range 4 {
			id := string(rune('a' + day))
			r.offer(id, r.w.Now().Add(2*time.Hour))
			r.run(4 * time.Hour)
			r.finish(id, bet.Outcome(day%2))
			if disturb != nil && day >= 2 {
				disturb(r, n)
			}
			r.run(20 * time.Hour)
		}
		n.kill()
		return scoresOn(t, n)
	}
	want := run(nil)
	if len(want) < 15 {
		t.Fatalf("only %d score rows: the run says nothing", len(want))
	}
	panics := uint64(0)
	got := run(func(r *rig, n *rigNode) {
		days, before := n.count("scoring", "days_scored"), n.core().Stats().Panics
		r.until("a slice", time.Hour, func() bool { return n.count("scoring", "days_scored") > days })
		scheme := n.v.cfg.Scheme
		n.v.cfg.Scheme = nil
		r.until("a panic", time.Hour, func() bool { return n.core().Stats().Panics > before })
		n.v.cfg.Scheme = scheme
		panics += n.core().Stats().Panics
	})
	if panics == 0 {
		t.Fatal("no round panicked")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("scores differ (-undisturbed +rebuilt):\n%s", d)
	}
}

// scoresOn reads the score rows of a node that is down.
func scoresOn(t *testing.T, n *rigNode) map[ledger.DayKey]ledger.Score {
	return ledgerOn(t, n).Scores
}
