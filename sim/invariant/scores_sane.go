package invariant

import (
	"math"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/score"
	"bettensor/store"
)

var saneDoc = Doc{"scores-sane", "A scored day is finite: every component is a number, every tier exists, every share lies between 0 and 1, and where nobody came or went the shares of the day are 1 together, or nobody has one.", "the score rows of each day that is over"}

// scoresSane reads each day's scores once, when the day is over.
type scoresSane struct{ rule }

// shareSlack is what shares may be off in sum: a rounding of each.
const shareSlack = 1e-6

func (r *scoresSane) audit(s *Set, at time.Time, v *validator, snap store.Snapshot) error {
	if at.Before(v.excused) {
		return nil
	}
	for ; !at.Before(dayEnd(v.judged).Add(s.facts.Slack)); v.judged++ {
		sum, n := 0.0, 0
		from, to := ledger.DayKey{Day: v.judged}, ledger.DayKey{Day: v.judged + 1}
		err := ledger.Scores.Scan(snap, &from, &to, func(k ledger.DayKey, row *ledger.Score) error {
			if k.Hotkey == "" {
				return nil // of the day itself
			}
			n++
			sum += row.Weight
			r.row(at, v, k, row)
			s.left.score(s, at, v, k, row)
			return nil
		})
		if err != nil {
			return err
		}
		if still := s.slots.moved.IsZero() || bet.DayOf(s.slots.moved) < v.judged; n > 0 && still && r.judge() &&
			math.Abs(sum-1) > shareSlack && sum > shareSlack {
			r.violate(at, "%s shares out %.7f on %s", v.name, sum, v.judged)
		}
	}
	return nil
}

func (r *scoresSane) row(at time.Time, v *validator, k ledger.DayKey, row *ledger.Score) {
	if !r.judge() {
		return
	}
	for _, x := range [...]float64{row.CLV, row.ROI, row.Risk, row.Entropy, row.Composite, row.OwnScore} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			r.violate(at, "%s scores %s on %s with %v", v.name, k.Hotkey, k.Day, *row)
			return
		}
	}
	if !(row.Weight >= 0 && row.Weight <= 1+shareSlack) || score.Tier(row.Tier).Public() > score.PublicTiers {
		r.violate(at, "%s gives %s on %s a share of %v in tier %d", v.name, k.Hotkey, k.Day, row.Weight, score.Tier(row.Tier).Public())
	}
}
