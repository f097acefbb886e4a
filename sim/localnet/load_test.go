package localnet

import (
	"context"
	"slices"
	"testing"
	"time"
)

// A small load: what is confirmed is stored, and the figures hang together.
func TestLoadIsConfirmedAndStored(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Load{Dir: t.TempDir(), Miners: 4, Predictions: 400}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Confirmed != 400 || len(r.Latencies) != 400 || r.Latencies[0] <= 0 || !slices.IsSorted(r.Latencies) || r.Took < r.Latencies[399] || r.Processor <= 0 {
		t.Errorf("%d confirmed, %d latencies, %v of processor each, in %v", r.Confirmed, len(r.Latencies), r.Processor, r.Took)
	}
}

// What an echo sends comes back, with fewer frames than connections too.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, frames := range []int{3, 200} {
		if took, err := Echo(ctx, 4, frames, 300, 8); err != nil || took <= 0 {
			t.Errorf("%d frames: %v after %v", frames, err, took)
		}
	}
	cancel()
	if _, err := Echo(ctx, 4, 200, 300, 8); err == nil {
		t.Error("an echo that was cancelled before it began has no error")
	}
}
