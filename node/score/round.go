package score

import (
	"fmt"
	"math"
)

// Round is the input of one scoring run, by slot. History index 0 is today, 1
// yesterday, up to 44 days ago; the caller lays it out by hotkey, so that a
// slot that changed hands starts empty. A nil column is a day without anything.
type Round struct {
	Slots int
	// Valid marks slots that are scored: a registered miner. Others get
	// nothing and end in no tier.
	Valid []bool
	// Excluded marks valid slots that a rule of the caller's zeroes, such as
	// the minimum stake. They keep their tier and their place in it. Nil means
	// none.
	Excluded []bool
	// Active marks slots with a prediction accepted, by receipt, in the last
	// InactivityDays. Read only when that rule is on.
	Active []bool

	Daily      [Ring][]float64 // daily composite
	Wagered    [Ring][]float64 // dollars
	Doubt      [Ring][]float64 // daily Risk, in dollars; read only under ClosingEdge
	Settled    [Ring][]uint16  // settled predictions; read only when MinActiveShare is on
	AnySettled [Ring]bool      // whether any game was settled that day

	// Yesterday is the tiers the last run ended with; nil for a first run.
	Yesterday []Tier
}

// Result is what a run gives, by slot. The slices are reused from call to call.
type Result struct {
	Tiers      []Tier                 // TierNone for slots that are not valid
	Composites [][PublicTiers]float64 // mean composite over the window of each public tier; under ClosingEdge of what is proven
	Score      []float64              // composite of the own tier, 0 without a tier
	Weights    []float64              // not negative, sum 1; or all 0, and Reason says why
	Reason     string                 // "", ReasonNoOneEligible or ReasonNoEdge

	meets  []uint8   // bit t: the slot may be in Tiers[t] of the scheme
	sums   []float64 // running sum of composites
	square []float64 // running sum of squared doubt
	proven []float64 // edge proven over EdgeDays
	wagers []float64 // running sum of wagers
	days   []uint16  // running count of days with settled predictions
	idle   []bool    // zeroed as inactive
	order  []int32   // slots being ranked
	list   []int32   // members of a tier
}

// wagerSlack, in dollars, is half a cent: wagers are whole cents, but sums of
// their floats are not, and a miner exactly at a minimum must meet it.
const wagerSlack = 0.005

// Round makes tiers and weights of 45 days of history (docs/scoring.md, Tiers
// and Weights). Windows are added up afresh, so that no residue of a running
// sum decides a tie. It allocates only while out grows. On an error, always
// ErrRound, out is empty and nothing must be set.
func (s *Scheme) Round(in *Round, out *Result) error {
	err := s.round(in, out)
	if err != nil {
		out.size(0)
	}
	return err
}

func (s *Scheme) round(in *Round, out *Result) error {
	if err := s.checkRound(in); err != nil {
		return err
	}
	out.size(in.Slots)
	for m := range out.idle {
		out.idle[m] = in.Valid[m] && s.InactivityDays > 0 && !in.Active[m]
	}
	if err := s.windows(in, out); err != nil {
		return err
	}
	s.manage(in, out)
	for m, t := range out.Tiers {
		if p := t.Public(); p > 0 {
			out.Score[m] = out.Composites[m][p-1]
		}
	}
	if s.ClosingEdge {
		s.weighEdge(in, out)
	} else {
		s.weigh(in, out)
	}
	return nil
}

func (r *Result) size(n int) {
	r.Tiers = resize(r.Tiers, n)
	r.Composites = resize(r.Composites, n)
	r.Score = resize(r.Score, n)
	r.Weights = resize(r.Weights, n)
	r.Reason = ""
	r.meets = resize(r.meets, n)
	r.sums = resize(r.sums, n)
	r.square = resize(r.square, n)
	r.proven = resize(r.proven, n)
	r.wagers = resize(r.wagers, n)
	r.days = resize(r.days, n)
	r.idle = resize(r.idle, n)
	r.order, r.list = r.order[:0], r.list[:0]
}

// windows adds up the history once, newest day first, and takes each tier's
// composite, wager and active days as the sums pass the end of its window.
func (s *Scheme) windows(in *Round, out *Result) error {
	settledDays := 0
	for day := range Ring {
		for m, c := range in.Daily[day] {
			out.sums[m] += c
		}
		for m, w := range in.Wagered[day] {
			out.wagers[m] += w
		}
		if s.ClosingEdge {
			for m, x := range in.Doubt[day] {
				out.square[m] += float64(x * x)
			}
			if s.EdgeDays == day+1 {
				for m := range out.proven {
					out.proven[m] = s.proven(out.sums[m], out.square[m])
				}
			}
		}
		if s.MinActiveShare > 0 {
			for m, n := range in.Settled[day] {
				if n > 0 {
					out.days[m]++
				}
			}
		}
		if in.AnySettled[day] {
			settledDays++
		}
		for t := range s.Tiers {
			if s.Tiers[t].Window == day+1 {
				s.closeWindow(t, settledDays, out)
			}
		}
	}
	for m := range out.sums {
		if !finite(out.sums[m]) || !finite(out.wagers[m]) || !finite(out.square[m]) {
			return fmt.Errorf("%w: slot %d: composites or wagers are not finite numbers", ErrRound, m)
		}
	}
	return nil
}

func (s *Scheme) closeWindow(t, settledDays int, out *Result) {
	rule, needed := &s.Tiers[t], uint16(0)
	if s.MinActiveShare > 0 { // of no effect on tier 1, which nobody can fail
		// The nudge undoes a product a hair above a whole number.
		needed = uint16(math.Ceil(float64(s.MinActiveShare*float64(max(settledDays, 1))) - 1e-9))
	}
	for m := range out.sums {
		sum := out.sums[m]
		if s.ClosingEdge {
			sum = s.proven(sum, out.square[m])
		}
		out.Composites[m][t] = sum / float64(rule.Window)
		if out.wagers[m] >= rule.MinWager-wagerSlack && out.days[m] >= needed {
			out.meets[m] |= 1 << t
		}
	}
}

func (s *Scheme) checkRound(in *Round) error {
	n := in.Slots
	switch {
	case n < 0 || n > MaxSlots:
		return fmt.Errorf("%w: %d slots, want 0 to %d", ErrRound, n, MaxSlots)
	case len(in.Valid) != n:
		return fmt.Errorf("%w: valid: %d entries for %d slots", ErrRound, len(in.Valid), n)
	case in.Excluded != nil && len(in.Excluded) != n:
		return fmt.Errorf("%w: excluded: %d entries for %d slots", ErrRound, len(in.Excluded), n)
	case s.InactivityDays > 0 && len(in.Active) != n:
		return fmt.Errorf("%w: active: %d entries for %d slots", ErrRound, len(in.Active), n)
	case in.Yesterday != nil && len(in.Yesterday) != n:
		return fmt.Errorf("%w: yesterday: %d entries for %d slots", ErrRound, len(in.Yesterday), n)
	}
	for m, t := range in.Yesterday {
		if t > TierTop {
			return fmt.Errorf("%w: slot %d: yesterday's tier is %d", ErrRound, m, t)
		}
	}
	for day := range Ring {
		for _, l := range [...]int{len(in.Daily[day]), len(in.Wagered[day]), len(in.Doubt[day]), len(in.Settled[day])} {
			if l != 0 && l != n {
				return fmt.Errorf("%w: %d days ago: %d entries for %d slots", ErrRound, day, l, n)
			}
		}
		for m, w := range in.Wagered[day] {
			if w < 0 {
				return fmt.Errorf("%w: %d days ago, slot %d: wagered %v", ErrRound, day, m, w)
			}
		}
	}
	return nil
}
