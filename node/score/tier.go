package score

import (
	"cmp"
	"slices"
)

// Tier is a slot's standing in internal numbers, those of stored state and of
// vector files.
type Tier uint8

// Internal tier numbers. TierFirst + i is public tier 1 + i.
const (
	TierNone    Tier = 0 // empty slot, or a miner that is not valid
	TierInvalid Tier = 1 // not valid, while tiers are being managed; never an end state
	TierFirst   Tier = 2 // public tier 1, where miners enter
	TierTop     Tier = TierFirst + PublicTiers - 1
)

// Public is the number people see: 1 to 5, 0 for no tier.
func (t Tier) Public() int {
	if t < TierFirst {
		return 0
	}
	return int(t-TierFirst) + 1
}

// manage makes today's tiers of yesterday's: enter, demote, promote and swap,
// clear. Below, t counts from 0 for public tier 1, as in Scheme.Tiers.
func (s *Scheme) manage(in *Round, out *Result) {
	copy(out.Tiers, in.Yesterday)
	for m, valid := range in.Valid {
		switch {
		case !valid:
			out.Tiers[m] = TierInvalid
		case out.Tiers[m] < TierFirst:
			out.Tiers[m] = TierFirst
		}
	}
	for m, t := range out.Tiers {
		for t > TierFirst && !out.meetsTier(m, int(t-TierFirst)) {
			t--
		}
		out.Tiers[m] = t
	}
	for t := PublicTiers - 1; t > 0; t-- {
		s.promote(t, in.Slots, out)
	}
	for m, t := range out.Tiers {
		if t == TierInvalid {
			out.Tiers[m] = TierNone
		}
	}
}

func (r *Result) meetsTier(m, t int) bool { return r.meets[m]>>t&1 == 1 }

// promote fills the open places of tier t or, only where it had none to begin
// with, swaps better candidates against its worst members. Inactive miners are
// neither candidates nor members: they keep their tier, but not their place.
func (s *Scheme) promote(t, slots int, out *Result) {
	target := TierFirst + Tier(t)
	out.order, out.list = out.order[:0], out.list[:0]
	for m, have := range out.Tiers {
		switch {
		case out.idle[m]:
		case have == target:
			out.list = append(out.list, int32(m))
		case have >= TierFirst && have < target && out.meetsTier(m, t):
			out.order = append(out.order, int32(m))
		}
	}
	candidates, members := out.order, out.list
	slices.SortFunc(candidates, func(a, b int32) int {
		return cmp.Or(cmp.Compare(out.Composites[b][t], out.Composites[a][t]), cmp.Compare(a, b))
	})
	if open := s.capacity(t, slots) - len(members); open > 0 {
		for _, m := range candidates[:min(open, len(candidates))] {
			out.Tiers[m] = target
		}
		return
	}
	slices.SortFunc(members, func(a, b int32) int {
		return cmp.Or(cmp.Compare(out.Composites[a][t], out.Composites[b][t]), cmp.Compare(a, b))
	})
	for i, m := range candidates {
		// Candidates fall and members rise: the first that does not beat its
		// member ends it, because the ones after it are no better.
		if i == len(members) || !(out.Composites[m][t] > out.Composites[members[i]][t]) {
			return
		}
		out.Tiers[members[i]], out.Tiers[m] = out.Tiers[m], target
	}
}
