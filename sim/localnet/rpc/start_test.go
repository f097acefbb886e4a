package rpc

import (
	"context"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/sim/mockchain"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	netuid chain.Netuid = 30
	tao                 = chain.Rao(1_000_000_000)
)

var origin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// neurons of the contract's keys: one validator and as many miners.
func neurons(miners int) []mockchain.Neuron {
	cold := chain.Coldkey(chaintest.Hotkey(99))
	out := []mockchain.Neuron{{Hotkey: chaintest.Hotkey(0), Coldkey: cold, Stake: 1000 * tao}}
	for i := range miners {
		out = append(out, mockchain.Neuron{Hotkey: chaintest.Hotkey(i + 1), Coldkey: cold})
	}
	return out
}

// running is a clock that runs faster than the wall's from a time on.
func running(from time.Time, speed float64) func() time.Time {
	wall := time.Now()
	return func() time.Time { return from.Add(time.Duration(float64(time.Since(wall)) * speed)) }
}

// start is a listening endpoint, closed with the test.
func start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}
