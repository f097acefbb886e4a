package localnet

import (
	"context"
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
	if r.Confirmed != 400 || r.PerSecond <= 0 || r.Mean <= 0 || r.P50 > r.P99 || r.P99 > r.Longest || r.Processor <= 0 {
		t.Errorf("%+v", r)
	}
	t.Logf("%+v", r)
}
