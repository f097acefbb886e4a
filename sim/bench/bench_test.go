package bench

import (
	"errors"
	"math"
	"testing"
	"time"
)

func check(t *testing.T, rs []Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range rs {
		t.Logf("%-36s %12.1f ns/op %9.2f allocs/op %10.0f B/op %14.0f /s  x%.2f of %s", r.Name, r.NsPerOp, r.AllocsPerOp, r.BytesPerOp, r.PerSecond, r.Ratio, r.Against)
		if r.N < 1 || r.NsPerOp <= 0 || math.Abs(r.PerSecond*r.NsPerOp-1e9) > 1 || r.AllocsPerOp < 0 || r.BytesPerOp < 0 {
			t.Errorf("no measurement: %+v", r)
		}
		if names[r.Name] {
			t.Errorf("two loads are called %q", r.Name)
		}
		names[r.Name] = true
	}
	for _, r := range rs {
		if r.Against != "" && (!names[r.Against] || r.Ratio <= 0) {
			t.Errorf("%s relates to %q: ratio %v", r.Name, r.Against, r.Ratio)
		}
	}
}

func TestGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for several seconds")
	}
	t.Run("bus", func(t *testing.T) { r, err := Bus(); check(t, r, err) })
	t.Run("sched", func(t *testing.T) { r, err := Sched(); check(t, r, err) })
	t.Run("score", func(t *testing.T) { r, err := Score(); check(t, r, err) })
	t.Run("store", func(t *testing.T) { r, err := Store(t.TempDir()); check(t, r, err) })
}

var errLoad = errors.New("no work done")

func TestLoadThatFailsIsNoResult(t *testing.T) {
	calls := 0
	_, err := measure([]load{{name: "bad", run: func(int) error {
		if calls++; calls > 3 {
			return errLoad
		}
		return nil
	}}})
	if !errors.Is(err, errLoad) {
		t.Errorf("got %v", err)
	}
	if done("things", 2, 3) == nil {
		t.Error("work that was not done passed")
	}
}

// Ratios and allocations are those of the work done.
func TestMeasureTellsLoadsApart(t *testing.T) {
	var kept []*[64]byte
	spin := func(d time.Duration) {
		for began := time.Now(); time.Since(began) < d; {
		}
	}
	rs, err := measure([]load{
		{name: "one", run: func(n int) error {
			for range n {
				spin(50 * time.Microsecond)
			}
			return nil
		}},
		{name: "four", against: "one", run: func(n int) error {
			for range n {
				kept = append(kept[:0], new([64]byte), new([64]byte))
				spin(200 * time.Microsecond)
			}
			return nil
		}},
	})
	check(t, rs, err)
	if r := rs[1]; r.Ratio < 2 || r.Ratio > 8 || r.AllocsPerOp < 1.9 || r.AllocsPerOp > 3 || r.BytesPerOp < 128 {
		t.Errorf("four times the work and two allocations of 64 bytes: %+v", r)
	}
	if r := rs[0]; r.AllocsPerOp > 0.5 {
		t.Errorf("no allocation: %+v", r)
	}
}
