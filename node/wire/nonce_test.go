package wire

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"bettensor/node/chain"

	"pgregory.net/rapid"
)

func TestNoncesStrictlyIncrease(t *testing.T) {
	var n Nonces
	for i, c := range []struct {
		now  int64
		want string
	}{{1000, "1000"}, {1000, "1001"}, {1000, "1002"}, {900, "1003"}, {2000, "2000"}, {-5, "2001"}} {
		if got := n.Next(time.UnixMilli(c.now)); got != c.want {
			t.Errorf("nonce %d at %d ms: %s, want %s", i, c.now, got, c.want)
		}
	}
	restarted := Nonces{Last: n.Last}
	if got := restarted.Next(time.UnixMilli(0)); got != "2002" {
		t.Errorf("after a restart: %s", got)
	}
}

func TestFresh(t *testing.T) {
	for _, c := range []struct {
		ahead time.Duration
		want  error
	}{{0, nil}, {4 * time.Second, nil}, {4*time.Second + 1, ErrFuture}, {-300 * time.Second, nil}, {-300*time.Second - 1, ErrStale}} {
		if err := DefaultFresh.Check(noon.Add(c.ahead), noon); err != c.want {
			t.Errorf("%v ahead: %v, want %v", c.ahead, err, c.want)
		}
	}
}

func TestNonceWindow(t *testing.T) {
	var w NonceWindow
	for _, c := range []struct {
		nonce string
		want  error
	}{
		{"1741348800123.456", nil}, {"1741348800123.456", ErrReplay}, {"1741348800123.4560", ErrReplay}, {"1741348800123", nil},
		{"1741348800123.0", ErrReplay}, {"1741348800124", nil}, {"1741348800123.5", nil}, {"", ErrShape}, {".5", ErrShape},
		{"5.", ErrShape}, {"-5", ErrShape}, {"1e12", ErrShape}, {"12345678901234", ErrShape}, {"1.1234567", ErrShape}, {"5x", ErrShape},
		{"0", ErrStale}, {"9999999999999.999999", nil},
	} {
		if err := w.Accept(c.nonce); err != c.want {
			t.Errorf("%q: %v, want %v", c.nonce, err, c.want)
		}
	}
}

// Whatever is accepted is never accepted again, however much came between;
// and what increases is always accepted.
func TestNonceWindowNeverTakesANonceTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w NonceWindow
		taken := map[uint64]bool{}
		high := uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			v := rapid.Uint64Range(1, 120).Draw(t, "nonce")
			err := w.Accept(strconv.FormatUint(v, 10))
			switch {
			case err == nil && taken[v]:
				t.Fatalf("%d taken twice", v)
			case err != nil && v > high:
				t.Fatalf("%d refused after %d: %v", v, high, err)
			case err == nil:
				taken[v] = true
				high = max(high, v)
			}
		}
	})
}

func TestAuthNonces(t *testing.T) {
	var a AuthNonces
	steps := []struct {
		name  string
		h     chain.Hotkey
		nonce string
		want  error
	}{
		{"first", bob, "1000", nil},
		{"replayed on another connection", bob, "1000", ErrReplay},
		{"replayed in other digits", bob, "1000.0", ErrReplay},
		{"same nonce, another hotkey", alice, "1000", nil},
		{"later", bob, "1001.5", nil},
		{"between the two, never seen: captured, and held back", bob, "1001", ErrStale},
		{"no number", bob, "soon", ErrShape},
	}
	for _, s := range steps {
		if _, err := a.Accept(s.h, s.nonce, noon); err != s.want {
			t.Errorf("%s: %v, want %v", s.name, err, s.want)
		}
	}
	var restarted AuthNonces
	newest, err := a.Accept(bob, "1002", noon)
	restarted.Restore(bob, newest, noon)
	if _, again := restarted.Accept(bob, "1002", noon); err != nil || again != ErrReplay || !restarted.Known(bob) || restarted.Known(alice) {
		t.Errorf("replayed after a restart: %v, %v", err, again)
	}
	if _, err := restarted.Accept(bob, "1002.000001", noon); err != nil {
		t.Errorf("the next one after a restart: %v", err)
	}
}

func TestAuthNoncesAreBounded(t *testing.T) {
	var a AuthNonces
	for i := range MaxSenders {
		if _, err := a.Accept(chain.Hotkey(fmt.Sprint(i)), "1", noon); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(h chain.Hotkey) bool { return h == "1" }
	if gone := a.Forget(noon.Add(AuthMemory), keep); len(gone) > 0 {
		t.Errorf("%d forgotten while what they signed may be fresh", len(gone))
	}
	if _, err := a.Accept("one more", "1", noon.Add(AuthMemory)); err != ErrFull {
		t.Errorf("one more while all are remembered: %v", err)
	}
	if _, err := a.Accept("0", "2", noon.Add(AuthMemory)); err != nil {
		t.Errorf("a known one: %v", err)
	}
	if gone := a.Forget(noon.Add(AuthMemory+1), keep); len(gone) != MaxSenders-2 || !slices.IsSorted(gone) || !a.Known("0") || !a.Known("1") {
		t.Errorf("after their time %d were forgotten", len(gone))
	}
	if _, err := a.Accept("one more", "1", noon.Add(AuthMemory+1)); err != nil {
		t.Errorf("one more then: %v", err)
	}
}

func BenchmarkNonceWindow(b *testing.B) {
	b.ReportAllocs()
	var w NonceWindow
	var n Nonces
	for b.Loop() {
		if err := w.Accept(n.Next(noon)); err != nil {
			b.Fatal(err)
		}
	}
}

// A validator that serves more connections than a subnet has slots remembers as
// many hotkeys: its 1,025th miner is not turned away for ever.
func TestAuthNoncesHaveRoomForAllSessions(t *testing.T) {
	a := AuthNonces{Most: 3 * MaxSenders}
	for i := range 3*MaxSenders + 1 {
		_, err := a.Accept(chain.Hotkey(fmt.Sprint(i)), "1", noon)
		if full := i == 3*MaxSenders; full != (err == ErrFull) || a.Full() != (i >= 3*MaxSenders-1) {
			t.Fatalf("hotkey %d: %v, full %v", i, err, a.Full())
		}
	}
}
