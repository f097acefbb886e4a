package bet

import (
	"slices"
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBudget(t *testing.T) {
	var b Budget
	const day Day = 20_000
	steps := []struct {
		name  string
		do    func() bool
		want  bool
		spent Cents
	}{
		{"release of nothing", func() bool { return b.Release("a", day, 1) }, false, 0},
		{"the whole budget", func() bool { return b.Reserve("a", day, DailyBudget) }, true, DailyBudget},
		{"a cent more", func() bool { return b.Reserve("a", day, 1) }, false, DailyBudget},
		{"another day", func() bool { return b.Reserve("a", day+1, 1) }, true, DailyBudget},
		{"another hotkey", func() bool { return b.Reserve("b", day, 1) }, true, DailyBudget},
		{"a cent back", func() bool { return b.Release("a", day, 1) }, true, DailyBudget - 1},
		{"more back than taken", func() bool { return b.Release("a", day, DailyBudget) }, false, DailyBudget - 1},
		{"zero", func() bool { return b.Reserve("a", day, 0) }, false, DailyBudget - 1},
		{"less than zero", func() bool { return b.Reserve("a", day, -1) }, false, DailyBudget - 1},
		{"less than zero back", func() bool { return b.Release("a", day, -1) }, false, DailyBudget - 1},
		{"all that overflows", func() bool { return b.Reserve("a", day, 1<<63-1) }, false, DailyBudget - 1},
		{"all back", func() bool { return b.Release("a", day, DailyBudget-1) }, true, 0},
	}
	for _, s := range steps {
		if got := s.do(); got != s.want || b.Spent("a", day) != s.spent {
			t.Fatalf("%s: %t with %v spent, want %t with %v", s.name, got, b.Spent("a", day), s.want, s.spent)
		}
	}
	if b.Len() != 2 {
		t.Errorf("%d lines, want 2: a line of nothing is no line", b.Len())
	}
	if n := b.Forget(day + 1); n != 1 || b.Spent("b", day) != 0 || b.Spent("a", day+1) != 1 {
		t.Errorf("Forget dropped %d lines", n)
	}
}

func TestBudgetOrder(t *testing.T) {
	var b Budget
	for _, h := range []chain.Hotkey{"c", "a", "b"} {
		for _, d := range []Day{2, 1, -1} {
			b.Reserve(h, d, Cents(d+10))
		}
	}
	want := []Spend{
		{-1, "a", 9}, {-1, "b", 9}, {-1, "c", 9},
		{1, "a", 11}, {1, "b", 11}, {1, "c", 11},
		{2, "a", 12}, {2, "b", 12}, {2, "c", 12},
	}
	if diff := cmp.Diff(want, slices.Collect(b.All())); diff != "" {
		t.Error(diff)
	}
}

// TestBudgetIsNeverExceeded: whatever is submitted, in whatever order, what was
// admitted for a hotkey on a day is at most $1,000, and what the budget says is
// what was admitted.
func TestBudgetIsNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Budget
		g := sampleGame()
		g.Start = noon.AddDate(0, 0, 5)
		type line struct {
			day    Day
			hotkey chain.Hotkey
		}
		admitted := map[line][]Prediction{}
		total := map[line]Cents{}
		hotkeys := []chain.Hotkey{"a", "b"}
		for range rapid.IntRange(1, 60).Draw(t, "submissions") {
			h := rapid.SampledFrom(hotkeys).Draw(t, "hotkey")
			now := noon.Add(rapid.SampledFrom([]time.Duration{0, 12*hour - 1, 12 * hour, 36 * hour}).Draw(t, "after"))
			at := line{DayOf(now), h}
			if held := admitted[at]; len(held) > 0 && rapid.IntRange(0, 9).Draw(t, "lost commit") == 0 {
				last := held[len(held)-1]
				if !b.Release(h, at.day, last.Wager) {
					t.Fatalf("%v of %v not released", last.Wager, b.Spent(h, at.day))
				}
				admitted[at], total[at] = held[:len(held)-1], total[at]-last.Wager
				continue
			}
			s := sampleSubmission()
			s.Wager = num(rapid.OneOf(rapid.Float64Range(0, 400), rapid.SampledFrom([]float64{0.01, 0.005, 999.995, 1000, 1000.004, 500})).Draw(t, "wager"))
			p, r := Admit(&Offer{Now: now, Hotkey: h, Registered: true, Game: &g, Spent: b.Spent(h, at.day)}, &s)
			if r != nil {
				if r.Code != DailyLimitExceeded && r.Code != InvalidWager {
					t.Fatal(r)
				}
				continue
			}
			if !b.Reserve(h, at.day, p.Wager) {
				t.Fatalf("admitted %v with %v spent, but it cannot be reserved", p.Wager, b.Spent(h, at.day))
			}
			admitted[at], total[at] = append(admitted[at], p), total[at]+p.Wager
			if total[at] > 1000_00 {
				t.Fatalf("%v admitted on %v", total[at], at.day)
			}
		}
		lines := 0
		for s := range b.All() {
			lines++
			if s.Spent != total[line{s.Day, s.Hotkey}] || s.Spent <= 0 {
				t.Fatalf("%+v, want %v", s, total[line{s.Day, s.Hotkey}])
			}
		}
		for _, c := range total {
			if c > 0 {
				lines--
			}
		}
		if lines != 0 {
			t.Fatalf("%d lines more than spenders", lines)
		}
	})
}
