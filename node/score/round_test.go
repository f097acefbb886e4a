package score

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// roundOf is a round of n valid, active miners without any history.
func roundOf(n int) *Round {
	in := &Round{Slots: n, Valid: make([]bool, n), Active: make([]bool, n)}
	for m := range n {
		in.Valid[m], in.Active[m] = true, true
	}
	return in
}

// scores gives the miners today's composites.
func (in *Round) scores(composites ...float64) *Round {
	in.Daily[0] = composites
	return in
}

// wagers gives the miners money wagered so many days ago.
func (in *Round) wagers(daysAgo int, dollars ...float64) *Round {
	in.Wagered[daysAgo] = dollars
	return in
}

// publicTiers sets yesterday's tiers by their public numbers.
func (in *Round) publicTiers(tiers ...int) *Round {
	in.Yesterday = make([]Tier, len(tiers))
	for m, t := range tiers {
		if t > 0 {
			in.Yesterday[m] = TierFirst + Tier(t-1)
		}
	}
	return in
}

func run(t testing.TB, s Scheme, in *Round) *Result {
	t.Helper()
	out := new(Result)
	if err := s.Round(in, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func public(r *Result) []int {
	out := make([]int, len(r.Tiers))
	for m, t := range r.Tiers {
		out[m] = t.Public()
	}
	return out
}

// tierScheme is the standard without the rules about activity, so that a test
// of tiers need not fill histories.
func tierScheme() Scheme {
	s := Standard()
	s.InactivityDays, s.MinActiveShare = 0, 0
	return s
}

func TestPublicTier(t *testing.T) {
	got := []int{}
	for tier := TierNone; tier <= TierTop; tier++ {
		got = append(got, tier.Public())
	}
	if diff := cmp.Diff([]int{0, 0, 1, 2, 3, 4, 5}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTierRules(t *testing.T) {
	all := func(n int, x float64) []float64 { return slices.Repeat([]float64{x}, n) }
	for _, c := range []struct {
		rule string
		in   *Round
		want []int
	}{
		{"new miners enter at 1", roundOf(3), []int{1, 1, 1}},
		{"invalid ends in none", func() *Round {
			in := roundOf(3).publicTiers(5, 1, 0)
			in.Valid[0] = false
			return in
		}(), []int{0, 1, 1}},
		{"an invalid miner takes no place", func() *Round {
			// Ten slots, two places in tier 2: one is free once slot 0 is gone.
			in := roundOf(10).publicTiers(2, 2, 1, 1, 1, 1, 1, 1, 1, 1).wagers(0, 0, 4000, 4000, 0, 0, 0, 0, 0, 0, 0)
			in.Valid[0] = false
			return in
		}(), []int{0, 2, 2, 1, 1, 1, 1, 1, 1, 1}},
		{"a wager exactly at the minimum is enough", roundOf(10).wagers(0, 4000, 3999.99, 0, 0, 0, 0, 0, 0, 0, 0), []int{2, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"cents add up to the minimum", func() *Round {
			// Six times 666.66 and 0.04 are 4000, but not in floats.
			in := roundOf(10).wagers(0, 0.04, 0.03, 0, 0, 0, 0, 0, 0, 0, 0)
			for d := 1; d < 7; d++ {
				in.wagers(d, 666.66, 666.66, 0, 0, 0, 0, 0, 0, 0, 0)
			}
			return in
		}(), []int{2, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"a wager one day beyond the window does not count", roundOf(5).wagers(7, all(5, 4000)...), all1(5)},
		{"a wager on the window's first day counts", roundOf(5).wagers(6, 4000, 0, 0, 0, 0), []int{2, 1, 1, 1, 1}},
		{"demoted as far as needed at once", roundOf(20).publicTiers(append([]int{5, 5}, all1(18)...)...).
			wagers(0, append([]float64{9999, 0}, all(18, 0)...)...), append([]int{2, 1}, all1(18)...)},
		{"open places go to the best, lower UID first in ties", roundOf(10).
			wagers(0, all(10, 4000)...).scores(1, 5, 7, 7, 7, 0, 0, 0, 0, 0), []int{1, 1, 2, 2, 1, 1, 1, 1, 1, 1}},
		{"from the bottom to the top in one run", roundOf(20).wagers(0, append([]float64{35000}, all(19, 0)...)...),
			append([]int{5}, all1(19)...)},
		{"no places, no tier", roundOf(4).wagers(0, all(4, 35000)...), all1(4)},
		{"an open place means no swap", roundOf(10).publicTiers(2, 1, 1, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, all(10, 4000)...).scores(0, 9, 8, 0, 0, 0, 0, 0, 0, 0), []int{2, 2, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"a better candidate swaps with the worst member", roundOf(10).publicTiers(2, 2, 1, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, all(10, 4000)...).scores(5, 4, 4.5, 3, 0, 0, 0, 0, 0, 0), []int{2, 1, 2, 1, 1, 1, 1, 1, 1, 1}},
		{"equal is not better", roundOf(10).publicTiers(2, 2, 1, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, all(10, 4000)...).scores(5, 4, 4, 3, 0, 0, 0, 0, 0, 0), []int{2, 2, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"of equal members the lower UID leaves", roundOf(10).publicTiers(1, 2, 2, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, all(10, 4000)...).scores(9, 4, 4, 3, 0, 0, 0, 0, 0, 0), []int{2, 1, 2, 1, 1, 1, 1, 1, 1, 1}},
		{"the second candidate meets the second-worst member", roundOf(10).publicTiers(2, 2, 1, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, all(10, 4000)...).scores(1, 2, 9, 8, 0, 0, 0, 0, 0, 0), []int{1, 1, 2, 2, 1, 1, 1, 1, 1, 1}},
		{"a swapped member falls to the candidate's tier, however low", roundOf(20).
			publicTiers(append([]int{5, 1}, all1(18)...)...).
			// Tier 5 has one place; the fallen member has no wager to climb with in window 7.
			wagers(40, append([]float64{35000, 35000}, all(18, 0)...)...).scores(append([]float64{1, 2}, all(18, 0)...)...),
			append([]int{1, 5}, all1(18)...)},
		{"a tier over its places is not trimmed", roundOf(10).publicTiers(2, 2, 2, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, all(10, 4000)...), []int{2, 2, 2, 1, 1, 1, 1, 1, 1, 1}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if diff := cmp.Diff(c.want, public(run(t, tierScheme(), c.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func all1(n int) []int { return slices.Repeat([]int{1}, n) }

// A window's composite is its mean over all its days, present or not, newest
// first; every tier has its own.
func TestComposites(t *testing.T) {
	in := roundOf(1).scores(3)
	in.Daily[6] = []float64{7}  // the last day of window 7
	in.Daily[7] = []float64{15} // only from window 15 on
	in.Daily[44] = []float64{-2}
	out := run(t, tierScheme(), in)
	want := [][PublicTiers]float64{{3.0 / 3, 10.0 / 7, 25.0 / 15, 25.0 / 30, 23.0 / 45}}
	if diff := cmp.Diff(want, out.Composites, near); diff != "" {
		t.Error(diff)
	}
	if out.Score[0] != out.Composites[0][0] {
		t.Errorf("score %v is not the own tier's composite", out.Score[0])
	}
}

func TestInactivity(t *testing.T) {
	s := Standard()
	s.MinActiveShare = 0
	base := func() *Round {
		in := roundOf(10).publicTiers(2, 2, 1, 1, 1, 1, 1, 1, 1, 1).
			wagers(0, 4000, 4000, 4000, 0, 0, 0, 0, 0, 0, 0).
			scores(1, 5, 3, 0, 0, 0, 0, 0, 0, 0)
		in.Active[0] = false
		return in
	}
	t.Run("frees its place, keeps its tier, has no weight", func(t *testing.T) {
		out := run(t, s, base())
		if diff := cmp.Diff([]int{2, 2, 2, 1, 1, 1, 1, 1, 1, 1}, public(out)); diff != "" {
			t.Error(diff)
		}
		if out.Weights[0] != 0 || out.Weights[3] == 0 {
			t.Errorf("weights %v", out.Weights)
		}
	})
	t.Run("is not swapped", func(t *testing.T) {
		in := base().publicTiers(2, 2, 1, 2, 1, 1, 1, 1, 1, 1) // both places taken by active ones
		in.wagers(0, 4000, 4000, 4000, 4000, 0, 0, 0, 0, 0, 0).scores(-9, 5, 3, 1, 0, 0, 0, 0, 0, 0)
		if diff := cmp.Diff([]int{2, 2, 2, 1, 1, 1, 1, 1, 1, 1}, public(run(t, s, in))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("is no candidate", func(t *testing.T) {
		in := base().publicTiers(1, 1, 1, 1, 1, 1, 1, 1, 1, 1).scores(9, 5, 3, 0, 0, 0, 0, 0, 0, 0)
		if diff := cmp.Diff([]int{1, 2, 2, 1, 1, 1, 1, 1, 1, 1}, public(run(t, s, in))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("is still demoted", func(t *testing.T) {
		in := base().wagers(0, 0, 4000, 4000, 0, 0, 0, 0, 0, 0, 0)
		if got := run(t, s, in).Tiers[0].Public(); got != 1 {
			t.Errorf("tier %d", got)
		}
	})
	t.Run("an over-full tier is not trimmed on return", func(t *testing.T) {
		in := base().publicTiers(2, 2, 2, 1, 1, 1, 1, 1, 1, 1)
		in.Active[0] = true
		if diff := cmp.Diff([]int{2, 2, 2, 1, 1, 1, 1, 1, 1, 1}, public(run(t, s, in))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("off under 0 days", func(t *testing.T) {
		s := s
		s.InactivityDays = 0
		in := base()
		in.Active = nil
		if run(t, s, in).Weights[0] == 0 {
			t.Error("zeroed all the same")
		}
	})
}

func TestMinActiveShare(t *testing.T) {
	s := Standard()
	s.InactivityDays = 0
	// Seven days of window 2, of which the first `settled` had any settlement
	// and the miner predicted on the first `own` of them.
	in := func(settled, own int) *Round {
		in := roundOf(5).wagers(0, 4000, 0, 0, 0, 0)
		for d := range settled {
			in.AnySettled[d] = true
			in.Settled[d] = make([]uint16, 5)
			if d < own {
				in.Settled[d][0] = 3
			}
		}
		return in
	}
	for _, c := range []struct {
		rule         string
		settled, own int
		share        float64
		want         int
	}{
		{"half of four is two", 4, 2, 0.5, 2},
		{"half of four is not one", 4, 1, 0.5, 1},
		{"half of five is rounded up", 5, 2, 0.5, 1},
		{"half of five rounded up is enough", 5, 3, 0.5, 2},
		{"a whole product is not rounded up", 7, 7, 1, 2},
		{"a day without any settlement asks for one", 0, 0, 0.5, 1},
		{"off", 4, 0, 0, 2},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := s
			s.MinActiveShare = c.share
			if got := run(t, s, in(c.settled, c.own)).Tiers[0].Public(); got != c.want {
				t.Errorf("promoted to %d, want %d", got, c.want)
			}
			if got := run(t, s, in(c.settled, c.own).publicTiers(2, 1, 1, 1, 1)).Tiers[0].Public(); got != c.want {
				t.Errorf("demoted to %d, want %d", got, c.want)
			}
		})
	}
}

// Weights by hand: n miners in tier 1 have ranks 0 to 1.
func TestWeightRules(t *testing.T) {
	e := math.Exp
	share := func(ws ...float64) []float64 {
		sum := 0.0
		for _, w := range ws {
			sum += w
		}
		out := make([]float64, len(ws))
		for i, w := range ws {
			out[i] = w / sum
		}
		return out
	}
	uid := tierScheme()
	uid.TiesByUID = true
	keep := tierScheme()
	keep.ZeroedKeepRank = true
	steep := tierScheme()
	steep.TiesByUID, steep.ZeroedKeepRank, steep.RankExponent = true, true, -2000 // beyond what Validate allows
	for _, c := range []struct {
		rule   string
		scheme Scheme
		in     *Round
		want   []float64
	}{
		{"one miner takes all", tierScheme(), roundOf(1), []float64{1}},
		{"exponential in the rank", tierScheme(), roundOf(3).scores(2, 1, 3), share(e(3.5), e(0), e(7))},
		{"equals share their mean rank", tierScheme(), roundOf(4).scores(1, 5, 5, 5), share(e(0), e(14.0/3), e(14.0/3), e(14.0/3))},
		{"a day without scores pays all alike", tierScheme(), roundOf(4), share(1, 1, 1, 1)},
		{"ties by UID pay the high UIDs", uid, roundOf(3), share(e(0), e(3.5), e(7))},
		{"a higher tier ranks above any score, and has its bonus", tierScheme(),
			roundOf(5).publicTiers(2, 1, 1, 1, 1).wagers(0, 4000, 0, 0, 0, 0).scores(-5, 1, 2, 3, 4),
			share(e(7)+0.15, e(0), e(7*0.25), e(7*0.5), e(7*0.75))},
		{"the bonus goes by populated tiers", tierScheme(),
			roundOf(20).publicTiers(append([]int{5, 2}, all1(18)...)...).wagers(0, append([]float64{35000, 4000}, make([]float64, 18)...)...),
			share(append([]float64{e(7) + 0.3, e(7*18.0/19) + 0.15}, slices.Repeat([]float64{e(7 * 8.5 / 19)}, 18)...)...)},
		{"the zeroed leave the ranking", tierScheme(), func() *Round {
			in := roundOf(3).scores(1, 2, 3)
			in.Excluded = []bool{false, true, false}
			return in
		}(), share(e(0), 0, e(7))},
		{"the zeroed keep their rank", keep, func() *Round {
			in := roundOf(3).scores(1, 2, 3)
			in.Excluded = []bool{false, false, true}
			return in
		}(), share(e(0), e(3.5), 0)},
		{"invalid slots get nothing", tierScheme(), func() *Round {
			in := roundOf(3).scores(1, 2, 3)
			in.Valid[2] = false
			return in
		}(), share(e(0), e(7), 0)},
		{"a sum of 0 pays the eligible alike", steep, func() *Round {
			in := roundOf(3).scores(1, 2, 3)
			in.Excluded = []bool{true, false, false}
			return in
		}(), []float64{0, 0.5, 0.5}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			out := run(t, c.scheme, c.in)
			if diff := cmp.Diff(c.want, out.Weights, cmpopts.EquateApprox(1e-12, 1e-12)); diff != "" {
				t.Error(diff)
			}
			if out.Reason != "" {
				t.Errorf("reason %q", out.Reason)
			}
		})
	}
}

func TestNoOneEligible(t *testing.T) {
	for _, c := range []struct {
		rule string
		in   *Round
	}{
		{"no slots", roundOf(0)},
		{"nobody valid", func() *Round { in := roundOf(2); clear(in.Valid); return in }()},
		{"all excluded", func() *Round { in := roundOf(2); in.Excluded = []bool{true, true}; return in }()},
		{"all inactive", func() *Round { in := roundOf(2); clear(in.Active); return in }()},
	} {
		for _, s := range []Scheme{Standard(), Released()} {
			if s.Name == "released" && c.rule == "all inactive" {
				continue // it never zeroes the inactive
			}
			t.Run(c.rule+" "+s.Name, func(t *testing.T) {
				out := run(t, s, c.in)
				if out.Reason != ReasonNoOneEligible {
					t.Errorf("reason %q", out.Reason)
				}
				if diff := cmp.Diff(make([]float64, c.in.Slots), out.Weights, cmpopts.EquateEmpty()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestMalformedRound(t *testing.T) {
	for _, c := range []struct {
		rule  string
		spoil func(*Round)
	}{
		{"too many slots", func(in *Round) { in.Slots = MaxSlots + 1 }},
		{"valid short", func(in *Round) { in.Valid = in.Valid[:1] }},
		{"excluded short", func(in *Round) { in.Excluded = []bool{true} }},
		{"active missing", func(in *Round) { in.Active = nil }},
		{"tiers short", func(in *Round) { in.Yesterday = []Tier{2} }},
		{"tier 7", func(in *Round) { in.Yesterday = []Tier{2, 7} }},
		{"composites short", func(in *Round) { in.Daily[3] = []float64{1} }},
		{"wagers long", func(in *Round) { in.Wagered[44] = make([]float64, 3) }},
		{"settled short", func(in *Round) { in.Settled[0] = make([]uint16, 1) }},
		{"negative wager", func(in *Round) { in.Wagered[0] = []float64{0, -1} }},
		{"composite no number", func(in *Round) { in.Daily[44] = []float64{0, math.NaN()} }},
		{"wager infinite", func(in *Round) { in.Wagered[0] = []float64{math.Inf(1), 0} }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s, out := Standard(), new(Result)
			in := roundOf(2)
			if err := s.Round(in, out); err != nil {
				t.Fatal(err)
			}
			c.spoil(in)
			if err := s.Round(in, out); !errors.Is(err, ErrRound) {
				t.Fatalf("got %v, want ErrRound", err)
			}
			if len(out.Tiers)+len(out.Weights) != 0 || out.Reason != "" {
				t.Error("a refused round left something to set")
			}
		})
	}
}

// drawRound makes an arbitrary history. Composites and wagers are small whole
// numbers, so that sums are exact in any order and ties are common.
func drawRound(t *rapid.T, s *Scheme) *Round {
	n := rapid.IntRange(0, 14).Draw(t, "slots")
	flags := func(name string, often int) []bool {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bool {
			return rapid.IntRange(0, 9).Draw(t, name) < often
		}), n, n).Draw(t, name)
	}
	in := &Round{Slots: n, Valid: flags("valid", 9), Active: flags("active", 8), Excluded: flags("excluded", 1)}
	for range n {
		in.Yesterday = append(in.Yesterday, Tier(rapid.IntRange(0, int(TierTop)).Draw(t, "tier")))
	}
	for range rapid.IntRange(0, 8).Draw(t, "days with scores") {
		d := rapid.IntRange(0, Ring-1).Draw(t, "day")
		in.AnySettled[d] = rapid.Bool().Draw(t, "any settled")
		in.Daily[d], in.Wagered[d], in.Settled[d] = make([]float64, n), make([]float64, n), make([]uint16, n)
		for m := range n {
			in.Daily[d][m] = float64(rapid.IntRange(-2, 3).Draw(t, "composite"))
			in.Wagered[d][m] = float64(rapid.SampledFrom([]int{0, 500, 4000, 10000, 35000}).Draw(t, "wagered"))
			in.Settled[d][m] = uint16(rapid.IntRange(0, 1).Draw(t, "settled"))
		}
	}
	return in
}

// slowRound is the definition in steps as a person would carry them out.
func slowRound(s *Scheme, in *Round) (tiers []Tier, weights []float64) {
	n := in.Slots
	windowOf := func(t int) int { return s.Tiers[t].Window }
	composite := func(m, t int) float64 {
		sum := 0.0
		for d := range windowOf(t) {
			if in.Daily[d] != nil {
				sum += in.Daily[d][m]
			}
		}
		return sum / float64(windowOf(t))
	}
	qualifies := func(m, t int) bool {
		wagered, own, any := 0.0, 0, 0
		for d := range windowOf(t) {
			if in.Wagered[d] != nil {
				wagered += in.Wagered[d][m]
			}
			if in.Settled[d] != nil && in.Settled[d][m] > 0 {
				own++
			}
			if in.AnySettled[d] {
				any++
			}
		}
		if wagered < s.Tiers[t].MinWager {
			return false
		}
		if t == 0 || s.MinActiveShare == 0 {
			return true
		}
		return own >= int(math.Ceil(s.MinActiveShare*math.Max(1, float64(any))))
	}
	inactive := func(m int) bool { return s.InactivityDays > 0 && !in.Active[m] }

	public := make([]int, n) // -1: not valid; else 0 to 4
	for m := range public {
		switch {
		case !in.Valid[m]:
			public[m] = -1
		case in.Yesterday[m] >= 2:
			public[m] = int(in.Yesterday[m]) - 2
		}
	}
	for t := 4; t >= 1; t-- {
		for m := range public {
			if public[m] == t && !qualifies(m, t) {
				public[m] = t - 1
			}
		}
	}
	for t := 4; t >= 1; t-- {
		var candidates, members []int
		for m := range public {
			switch {
			case public[m] < 0 || inactive(m):
			case public[m] == t:
				members = append(members, m)
			case public[m] < t && qualifies(m, t):
				candidates = append(candidates, m)
			}
		}
		slices.SortStableFunc(candidates, func(a, b int) int {
			if composite(a, t) > composite(b, t) {
				return -1
			} else if composite(a, t) < composite(b, t) {
				return 1
			}
			return 0
		})
		slices.SortStableFunc(members, func(a, b int) int {
			if composite(a, t) < composite(b, t) {
				return -1
			} else if composite(a, t) > composite(b, t) {
				return 1
			}
			return 0
		})
		places := n * []int{100, 20, 20, 10, 5}[t] / 100
		if len(members) < places {
			for len(members) < places && len(candidates) > 0 {
				public[candidates[0]] = t
				members, candidates = append(members, candidates[0]), candidates[1:]
			}
			continue
		}
		for _, c := range candidates {
			if len(members) == 0 {
				break
			}
			if composite(c, t) > composite(members[0], t) {
				public[members[0]], public[c] = public[c], t
				members = members[1:]
			}
		}
	}

	zeroed := func(m int) bool { return in.Excluded[m] || inactive(m) }
	var ranked []int
	eligible := 0
	for t := range 5 {
		var tier []int
		for m := range public {
			if public[m] == t && (!zeroed(m) || s.ZeroedKeepRank) {
				tier = append(tier, m)
			}
			if public[m] == t && !zeroed(m) {
				eligible++
			}
		}
		slices.SortStableFunc(tier, func(a, b int) int {
			if composite(a, t) < composite(b, t) {
				return -1
			} else if composite(a, t) > composite(b, t) {
				return 1
			}
			return 0
		})
		ranked = append(ranked, tier...)
	}
	weights = make([]float64, n)
	for i, m := range ranked {
		rank, same := 0.0, 0.0
		for j, o := range ranked {
			tie := public[o] == public[m] && composite(o, public[m]) == composite(m, public[m])
			if s.TiesByUID {
				tie = i == j
			}
			if tie {
				rank, same = rank+float64(j), same+1
			}
		}
		rank /= same
		if len(ranked) > 1 {
			rank /= float64(len(ranked) - 1)
		}
		below := map[int]bool{}
		for _, o := range ranked {
			if public[o] < public[m] {
				below[public[o]] = true
			}
		}
		weights[m] = math.Exp(7*rank) + 0.15*float64(len(below))
	}
	sum := 0.0
	for m := range weights {
		if zeroed(m) {
			weights[m] = 0
		}
		sum += weights[m]
	}
	for m, t := range public {
		tiers = append(tiers, 0)
		if t >= 0 {
			tiers[m] = Tier(t + 2)
		}
		if eligible > 0 {
			weights[m] /= sum
		}
	}
	return tiers, weights
}

func TestRoundTwin(t *testing.T) {
	for _, s := range []Scheme{Standard(), Released(), tierScheme()} {
		t.Run(s.Name, func(t *testing.T) {
			out := new(Result)
			rapid.Check(t, func(t *rapid.T) {
				in := drawRound(t, &s)
				if err := s.Round(in, out); err != nil {
					t.Fatal(err)
				}
				tiers, weights := slowRound(&s, in)
				if diff := cmp.Diff(tiers, out.Tiers, cmpopts.EquateEmpty()); diff != "" {
					t.Fatal(diff)
				}
				if diff := cmp.Diff(weights, out.Weights, near, cmpopts.EquateEmpty()); diff != "" {
					t.Fatal(diff)
				}
				checkResult(t, in, out)
			})
		})
	}
}

// checkResult holds for every scheme and every history.
func checkResult(t *rapid.T, in *Round, out *Result) {
	sum := 0.0
	for m, w := range out.Weights {
		if !(w >= 0) || w > 0 && (!in.Valid[m] || in.Excluded[m]) {
			t.Fatalf("slot %d weighs %v", m, w)
		}
		if out.Tiers[m] == TierInvalid || in.Valid[m] != (out.Tiers[m] >= TierFirst) {
			t.Fatalf("slot %d: valid %v, tier %d", m, in.Valid[m], out.Tiers[m])
		}
		sum += w
	}
	if want := out.Reason == ""; want != (math.Abs(sum-1) < 1e-12) || !want && sum != 0 {
		t.Fatalf("sum %v, reason %q", sum, out.Reason)
	}
}

// A result's memory does not leak from one round into the next.
func TestRoundReusesItsResult(t *testing.T) {
	s, used := Standard(), new(Result)
	rapid.Check(t, func(t *rapid.T) {
		in, fresh := drawRound(t, &s), new(Result)
		if err := errors.Join(s.Round(in, used), s.Round(in, fresh)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fresh.Weights, used.Weights, cmpopts.EquateEmpty()); diff != "" || fresh.Reason != used.Reason {
			t.Fatal(diff)
		}
	})
}

func TestExpTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-300, 300).Draw(t, "x")
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 4e-16*want {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	})
	if exp(0) != 1 {
		t.Errorf("exp(0) = %v", exp(0))
	}
}

// Days from arrival to weights, each step against its twin: predictions arrive
// in an order of their own, their contributions are stored, the day is scored,
// and the tiers of one day are the next one's yesterday.
func TestFullRunTwin(t *testing.T) {
	for _, s := range []Scheme{Standard(), Released()} {
		t.Run(s.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				slots := rapid.IntRange(1, 12).Draw(t, "slots")
				in, out, comps := roundOf(slots), new(Result), new(Components)
				in.Yesterday, in.Excluded = make([]Tier, slots), make([]bool, slots)
				for range rapid.IntRange(1, 4).Draw(t, "days") {
					d := drawDay(t, slots)
					arrive(t, &s, d)
					if err := s.Components(d, comps); err != nil {
						t.Fatal(err)
					}
					clv, roi, risk, entropy := slowComponents(&s, d)
					copy(in.Daily[1:], in.Daily[:Ring-1])
					copy(in.Wagered[1:], in.Wagered[:Ring-1])
					copy(in.Settled[1:], in.Settled[:Ring-1])
					copy(in.AnySettled[1:], in.AnySettled[:Ring-1])
					daily, wagered, settled := make([]float64, slots), make([]float64, slots), make([]uint16, slots)
					for m := range slots {
						daily[m] = comps.Composite[m]
						if diff := cmp.Diff(s.Composite(clv[m], roi[m], risk[m], entropy[m]), daily[m], near); diff != "" {
							t.Fatal(diff)
						}
					}
					for i, m := range d.Miner {
						wagered[m] += 20 * d.Wager[i]
						settled[m]++
					}
					in.Daily[0], in.Wagered[0], in.Settled[0], in.AnySettled[0] = daily, wagered, settled, len(d.Miner) > 0
					if err := s.Round(in, out); err != nil {
						t.Fatal(err)
					}
					tiers, weights := slowRound(&s, in)
					if diff := cmp.Diff(tiers, out.Tiers); diff != "" {
						t.Fatal(diff)
					}
					if diff := cmp.Diff(weights, out.Weights, near); diff != "" {
						t.Fatal(diff)
					}
					in.Yesterday = slices.Clone(out.Tiers)
				}
			})
		})
	}
}

// arrive replaces the day's entropy by what Pools gives for it, the last
// miner's predictions first.
func arrive(t *rapid.T, s *Scheme, d *Day) {
	p := NewPools(s)
	var before []seen
	for i := len(d.Miner) - 1; i >= 0; i-- {
		a := seen{game: string(rune('a' + d.Game[i])), outcome: d.Outcome[i], odds: d.Odds[i], wager: d.Wager[i], at: noon.Add(time.Duration(i*i) * time.Minute)}
		a.contribution = p.Arrive(a.game, a.outcome, a.odds, a.wager, a.at)
		if want := slowArrive(s, before, a); math.Abs(a.contribution-want) > 1e-6 {
			t.Fatalf("contribution %v, want %v", a.contribution, want)
		}
		before = append(before, a)
		d.Raw[i] = a.contribution
	}
}
