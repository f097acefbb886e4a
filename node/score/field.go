package score

import (
	"fmt"
	"math"
	"strconv"
)

// Field describes one parameter of a scheme, for documents and for messages.
type Field struct {
	Name     string // snake_case, the same in YAML, flags and documents
	Value    string // in this scheme
	Standard string // default in the standard scheme
	Released string // default in the released scheme
	Robust   string // default in the robust scheme
	Unit     string // "" for a plain number
	Reason   string // what it does, one sentence
}

// knob is a parameter as Set, Fields and Validate see it: exactly one of the
// pointers is set. Numbers must lie in [lo, hi].
type knob struct {
	name         string
	number       *float64
	whole        *int
	flag         *bool
	lo, hi       float64
	unit, reason string
}

// Bounds that keep every formula finite.
const (
	maxCoefficient = 1e6 // far beyond any use, and products of two stay exact enough to rank
	maxExponent    = 100 // exp(100) × 65,536 slots is far below the largest float, exp(-100) far above the least
	maxPoolLimit   = 1 << 20
	maxDollars     = 1e12
	maxDoubt       = 1000 // far beyond any evidence
	maxCopyPool    = 4096 // eight million pairs a game
)

func (s *Scheme) knobs() []knob {
	coefficient := func(name string, p *float64, reason string) knob {
		return knob{name: name, number: p, lo: -maxCoefficient, hi: maxCoefficient, reason: reason}
	}
	flag := func(name string, p *bool, reason string) knob {
		return knob{name: name, flag: p, unit: "true or false", reason: reason}
	}
	ks := []knob{
		coefficient("clv_coefficient", &s.CLVCoefficient, "share of closing-line value in the daily composite"),
		coefficient("roi_coefficient", &s.ROICoefficient, "share of the return in the daily composite"),
		coefficient("risk_coefficient", &s.RiskCoefficient, "share of the risk ratio in the daily composite"),
		coefficient("entropy_coefficient", &s.EntropyCoefficient, "share of entropy in the daily composite; 0 makes scores independent of receipt times"),
		coefficient("clv_offset", &s.CLVOffset, "subtracted from the mean odds ratio; 1 leaves only the edge over the closing line"),
		{name: "vig", number: &s.Vig, lo: 0, hi: 1 - 1e-6, reason: "part of the implied probability that the risk ratio believes"},
		coefficient("risk_floor", &s.RiskFloor, "least that one lost prediction adds to the risk sum"),
		{name: "risk_epsilon", number: &s.RiskEpsilon, lo: 1e-12, hi: 1, reason: "keeps the divisor of a loss away from zero"},
		coefficient("entropy_time", &s.EntropyTime, "share of time in the similarity of two predictions"),
		coefficient("entropy_wager", &s.EntropyWager, "share of the wager in the similarity"),
		coefficient("entropy_odds", &s.EntropyOdds, "share of the odds in the similarity"),
		coefficient("entropy_similarity", &s.EntropySimilarity, "what similarity costs in the raw contribution"),
		coefficient("entropy_contrarian", &s.EntropyContrarian, "what backing a thin pool earns in the raw contribution"),
		coefficient("entropy_centre", &s.EntropyCentre, "subtracted from the contrarian root"),
		{name: "entropy_scale", number: &s.EntropyScale, lo: 0, hi: maxCoefficient, reason: "bound of a scaled contribution, either side of zero"},
		{name: "entropy_hour", number: &s.EntropyHour, lo: 1e-3, hi: 1e9, unit: "seconds", reason: "distance in time at which two predictions are half alike"},
		{name: "pool_limit", whole: &s.PoolLimit, lo: 1, hi: maxPoolLimit, unit: "predictions", reason: "latest predictions of a pool that a new one is compared with; bounds the cost of an arrival"},
	}
	for t := range s.Tiers {
		r, p := &s.Tiers[t], "tier"+strconv.Itoa(t+1)+"_"
		ks = append(ks,
			knob{name: p + "window", whole: &r.Window, lo: 1, hi: Ring, unit: "days", reason: "days over which the tier averages composites and sums wagers"},
			knob{name: p + "min_wager", number: &r.MinWager, lo: 0, hi: maxDollars, unit: "dollars", reason: "wagered in the window at least; exactly this much is enough"},
			knob{name: p + "capacity", number: &r.Capacity, lo: 0, hi: 1, unit: "share of slots", reason: "places in the tier, floored; not used for tier 1"},
			knob{name: p + "incentive", number: &r.Incentive, lo: 0, hi: 1, reason: "label shown to miners; no formula uses it"},
		)
	}
	return append(ks,
		knob{name: "rank_exponent", number: &s.RankExponent, lo: -maxExponent, hi: maxExponent, reason: "steepness: the first of the ranking gets exp of it times the last"},
		knob{name: "tier_bonus", number: &s.TierBonus, lo: 0, hi: maxCoefficient, reason: "added to the unnormalised weight for each populated tier below"},
		knob{name: "inactivity_days", whole: &s.InactivityDays, lo: 0, hi: 36500, unit: "days", reason: "without an accepted prediction the weight is 0 and the place in the tier is free; 0 = off"},
		knob{name: "min_active_share", number: &s.MinActiveShare, lo: 0, hi: 1, unit: "share of days", reason: "of the window's days with a settlement, on which tier 2 and above must have settled themselves; 0 = off"},
		knob{name: "min_stake", number: &s.MinStake, lo: 0, hi: maxDollars, unit: "TAO", reason: "alpha stake × price below which a UID gets no weight; 0 = off"},
		flag("closing_edge", &s.ClosingEdge, "pays the proven edge over the closing line in place of the composite and the ranking"),
		knob{name: "edge_hurdle", number: &s.EdgeHurdle, lo: 0, hi: 1, unit: "share of the probability", reason: "taken off every edge over the closing line"},
		knob{name: "edge_doubt", number: &s.EdgeDoubt, lo: 0, hi: maxDoubt, unit: "standard errors", reason: "taken off the sum of edges; 0 believes luck"},
		knob{name: "edge_least", number: &s.EdgeLeast, lo: 0, hi: maxDollars, unit: "dollars", reason: "that all miners together must have proven before there are weights, lest the first to be lucky take everything"},
		knob{name: "edge_days", whole: &s.EdgeDays, lo: 1, hi: Ring, unit: "days", reason: "window over which the edge is paid"},
		flag("edge_reprice", &s.EdgeReprice, "a price that was old when it was taken stands for the shorter one that the feed tells next; read under `closing_edge`"),
		knob{name: "copy_days", whole: &s.CopyDays, lo: 0, hi: Ring, unit: "days", reason: "how long games are evidence of who copies whom; 0 = off"},
		knob{name: "copy_similarity", number: &s.CopySimilarity, lo: 0, hi: 1, reason: "outcomes both backed over outcomes either did, above which the later of two loses credit"},
		knob{name: "copy_ramp", number: &s.CopyRamp, lo: 1e-6, hi: 1, reason: "similarity beyond that at which all credit is lost"},
		knob{name: "copy_prior", number: &s.CopyPrior, lo: 0, hi: maxCoefficient, unit: "outcomes", reason: "added to the outcomes either backed, so that a few in common are no evidence"},
		knob{name: "copy_pool", whole: &s.CopyPool, lo: 1, hi: maxCopyPool, unit: "miners", reason: "most backers of an outcome that is evidence; bounds the cost of a game"},
		flag("legacy_clv", &s.LegacyCLV, "defect 1: closing odds read from the wrong cell"),
		flag("legacy_entropy", &s.LegacyEntropy, "defect 2: contributions scaled on arrival against scaled ones"),
		flag("legacy_entropy_maximum", &s.LegacyEntropyMaximum, "defect 3: the day's entropy divided by its maximum, only if positive"),
		knob{name: "rescore_hours", whole: &s.RescoreHours, lo: 0, hi: 24 * Ring, unit: "hours", reason: "defect 4: games that ended in so many hours are scored again each day; 0 = each prediction once"},
		flag("wagers_by_receipt", &s.WagersByReceipt, "wagers of a day counted by receipt instead of by settlement"),
		flag("ties_by_uid", &s.TiesByUID, "equal composites ranked by UID instead of sharing their mean rank"),
		flag("zeroed_keep_rank", &s.ZeroedKeepRank, "miners zeroed by a rule stay in the ranking"),
	)
}

// Set changes one parameter by its name, from the text of a flag or of a YAML
// scalar. The error is ErrScheme; for an unknown name it gives the nearest one.
func (s *Scheme) Set(name, value string) error {
	ks := s.knobs()
	for _, k := range ks {
		if k.name == name {
			return k.set(value)
		}
	}
	names := make([]string, len(ks))
	for i, k := range ks {
		names[i] = k.name
	}
	return fmt.Errorf("%w: no parameter %q, did you mean %q?", ErrScheme, name, nearest(name, names))
}

// Fields lists every parameter in a fixed order, with its value in s and its
// defaults.
func (s *Scheme) Fields() []Field {
	std, rel, rob := Standard(), Released(), Robust()
	now, a, b, c := s.knobs(), std.knobs(), rel.knobs(), rob.knobs()
	fs := make([]Field, len(now))
	for i, k := range now {
		fs[i] = Field{Name: k.name, Value: k.text(), Standard: a[i].text(), Released: b[i].text(), Robust: c[i].text(), Unit: k.unit, Reason: k.reason}
	}
	return fs
}

func (k knob) text() string {
	switch {
	case k.number != nil:
		return strconv.FormatFloat(*k.number, 'g', -1, 64)
	case k.whole != nil:
		return strconv.Itoa(*k.whole)
	}
	return strconv.FormatBool(*k.flag)
}

// set leaves the scheme as it was when the value is refused.
func (k knob) set(value string) error {
	switch {
	case k.number != nil:
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("%w: %s: want a number, got %q", ErrScheme, k.name, value)
		}
		if err := k.inRange(v); err != nil {
			return err
		}
		*k.number = v
	case k.whole != nil:
		v, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%w: %s: want a whole number, got %q", ErrScheme, k.name, value)
		}
		if err := k.inRange(float64(v)); err != nil {
			return err
		}
		*k.whole = v
	default:
		switch value {
		case "true":
			*k.flag = true
		case "false":
			*k.flag = false
		default:
			return fmt.Errorf("%w: %s: want true or false, got %q", ErrScheme, k.name, value)
		}
	}
	return nil
}

func (k knob) check() error {
	switch {
	case k.number != nil:
		return k.inRange(*k.number)
	case k.whole != nil:
		return k.inRange(float64(*k.whole))
	}
	return nil
}

func (k knob) inRange(v float64) error {
	if math.IsNaN(v) || v < k.lo || v > k.hi {
		return fmt.Errorf("%w: %s: want %v to %v, got %v", ErrScheme, k.name, k.lo, k.hi, v)
	}
	return nil
}

// nearest is the valid name with the fewest edits to the given one; the first
// of equals.
func nearest(name string, valid []string) string {
	// A name longer than any real one cannot be near, and must not cost more.
	if len(name) > 64 {
		name = name[:64]
	}
	best, least := "", math.MaxInt
	for _, v := range valid {
		if d := edits(name, v); d < least {
			best, least = v, d
		}
	}
	return best
}

// edits counts insertions, deletions and replacements of bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
