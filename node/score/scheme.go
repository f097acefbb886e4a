package score

import (
	"fmt"
	"math"
)

// PublicTiers is the number of tiers a valid miner can be in.
const PublicTiers = 5

// TierRule is one row of the tier table (docs/scoring.md, Tiers).
type TierRule struct {
	// Window is the number of days, ending today, over which the tier's
	// composite is averaged and its wager is summed. 1 to Ring.
	Window int
	// MinWager is the money that must have been wagered in the window, in
	// dollars: exactly this much is enough.
	MinWager float64
	// Capacity is the share of all slots, valid or not, that the tier can
	// hold; the product is floored.
	Capacity float64
	// Incentive is the label shown to miners. No formula uses it.
	Incentive float64
}

// Scheme is one incentive mechanism: every constant of the formulas, each a
// field that a scenario or a flag can set by its snake_case name (Set, Fields).
// The zero value is not useful; start from Standard or Released. A Scheme is
// only read while scoring and may be shared.
type Scheme struct {
	// Name says where the scheme started from: one of Names.
	Name string

	// CLVCoefficient weighs closing-line value in the daily composite.
	CLVCoefficient float64
	// ROICoefficient weighs the return in the daily composite.
	ROICoefficient float64
	// RiskCoefficient weighs the risk ratio in the daily composite.
	RiskCoefficient float64
	// EntropyCoefficient weighs entropy in the daily composite. 0 makes scores
	// independent of receipt times.
	EntropyCoefficient float64

	// CLVOffset is subtracted from a miner's mean odds ratio. 0 pays about 1
	// for merely taking part; 1 leaves only the edge over the closing line.
	CLVOffset float64
	// Vig is the share of an implied probability that is believed: the risk
	// ratio takes Vig/odds as the probability of the outcome. In [0, 1), so
	// that no odds from 1 up give a zero risk.
	Vig float64
	// RiskFloor is the least that one losing prediction adds to the risk sum.
	RiskFloor float64
	// RiskEpsilon keeps the divisor of a loss away from zero.
	RiskEpsilon float64

	// EntropyTime, EntropyWager and EntropyOdds weigh the three similarities.
	EntropyTime, EntropyWager, EntropyOdds float64
	// EntropySimilarity is what similarity costs, EntropyContrarian what
	// standing apart earns, in the raw contribution.
	EntropySimilarity, EntropyContrarian float64
	// EntropyCentre is subtracted from the contrarian root.
	EntropyCentre float64
	// EntropyScale is the bound of a scaled contribution, either side of 0.
	EntropyScale float64
	// EntropyHour is the time after which two predictions are half alike, in
	// seconds.
	EntropyHour float64
	// PoolLimit is how many of a pool's latest predictions a new one is
	// compared with. It bounds the cost of an arrival when a miner spreads its
	// budget over thousands of one-cent wagers; honest pools stay below it,
	// and then every earlier prediction is compared.
	PoolLimit int

	// Tiers is the table of the public tiers 1 to 5, lowest first.
	Tiers [PublicTiers]TierRule

	// RankExponent is the steepness of the weights: the first of the ranking
	// gets exp(RankExponent) times the last.
	RankExponent float64
	// TierBonus is added to the unnormalised weight once for every populated
	// tier below the miner's.
	TierBonus float64
	// InactivityDays without an accepted prediction put the weight at 0 and
	// free the miner's place in its tier. 0 turns the rule off.
	InactivityDays int
	// MinActiveShare is the share of the window's days with a settlement on
	// which a miner must have settled predictions itself to be in tier 2 or
	// above. 0 turns the rule off.
	MinActiveShare float64
	// MinStake is the value of alpha stake, in TAO, below which a UID gets no
	// weight. 0 turns the rule off. The caller looks stakes up: see
	// BelowMinStake.
	MinStake float64

	// ClosingEdge pays the edge over the closing line that a miner has proven, in
	// dollars, in place of the four components and the ranking (edge.go).
	ClosingEdge bool
	// EdgeHurdle is taken off every edge, as a share of the probability taken: what
	// the closing one must exceed it by before it counts.
	EdgeHurdle float64
	// EdgeDoubt is how many standard errors are taken off the sum of edges.
	EdgeDoubt float64
	// EdgeLeast is what all miners together must have proven, in dollars, before
	// there are weights: the first to be lucky would else take everything until
	// others have proven something.
	EdgeLeast float64
	// EdgeDays is the window, ending today, over which the edge is paid. 1 to Ring.
	EdgeDays int
	// EdgeReprice has a price that was old when it was taken, because the feed had
	// yet to tell of a shorter one, stand for the shorter one. The caller does it.
	EdgeReprice bool
	// CopyDays is how long games are evidence of who copies whom. 0 credits
	// everybody with everything. It must stay below what the caller keeps
	// predictions for.
	CopyDays int
	// CopySimilarity is how alike two miners may be before the later one loses
	// credit: outcomes both backed over outcomes either did.
	CopySimilarity float64
	// CopyRamp is how much further the loss takes to be whole.
	CopyRamp float64
	// CopyPrior is added to the outcomes either backed: a few in common are no
	// evidence.
	CopyPrior float64
	// CopyPool is the most backers an outcome may have to be evidence. It bounds
	// the cost of a game, and what everybody backs tells nobody apart.
	CopyPool int

	// LegacyCLV reproduces defect 1: odds are divided by a cell of a table that
	// is indexed wrongly (Day.LegacyTable).
	LegacyCLV bool
	// LegacyEntropy reproduces defect 2: a contribution is scaled on arrival,
	// against already scaled ones, and the scaled one is stored.
	LegacyEntropy bool
	// LegacyEntropyMaximum reproduces defect 3: the day's entropy is divided by
	// its maximum only if that is positive, instead of by the largest absolute
	// value.
	LegacyEntropyMaximum bool
	// RescoreHours reproduces defect 4 when above 0: every game that ended in
	// the last so many hours is scored again each day. 0 counts a prediction
	// once, on the day its game is settled. The caller selects predictions.
	RescoreHours int
	// WagersByReceipt counts the wagers of a day by receipt, as the released
	// program did, instead of by settlement. The caller sums wagers.
	WagersByReceipt bool
	// TiesByUID breaks equal composites of one tier by UID, as the released
	// program did, instead of giving them their mean rank.
	TiesByUID bool
	// ZeroedKeepRank leaves miners whom a rule zeroed in the ranking, as the
	// released program did, instead of taking them out before it.
	ZeroedKeepRank bool
}

// Standard is the mechanism as it was meant: the formulas of docs/scoring.md
// without the defects of the released program.
func Standard() Scheme {
	return Scheme{
		Name:               "standard",
		CLVCoefficient:     0.3,
		ROICoefficient:     0.3,
		RiskCoefficient:    0.3,
		EntropyCoefficient: 0.1,
		Vig:                0.95,
		RiskFloor:          -10,
		RiskEpsilon:        1e-5,
		EntropyTime:        0.5,
		EntropyWager:       0.4,
		EntropyOdds:        0.1,
		EntropySimilarity:  0.6,
		EntropyContrarian:  0.4,
		EntropyCentre:      0.5,
		EntropyScale:       10,
		EntropyHour:        3600,
		PoolLimit:          2048,
		Tiers: [PublicTiers]TierRule{
			{Window: 3, MinWager: 0, Capacity: 1, Incentive: 0.02},
			{Window: 7, MinWager: 4000, Capacity: 0.2, Incentive: 0.05},
			{Window: 15, MinWager: 10000, Capacity: 0.2, Incentive: 0.23},
			{Window: 30, MinWager: 20000, Capacity: 0.1, Incentive: 0.27},
			{Window: 45, MinWager: 35000, Capacity: 0.05, Incentive: 0.43},
		},
		RankExponent:   7,
		TierBonus:      0.15,
		InactivityDays: 7,
		MinActiveShare: 0.5,

		EdgeHurdle:     0.015,
		EdgeDoubt:      1.5,
		EdgeLeast:      100,
		EdgeDays:       Ring,
		CopySimilarity: 0.8,
		CopyRamp:       0.1,
		CopyPrior:      1,
		CopyPool:       64,
	}
}

// Robust pays skill: the edge over the closing line, as far as it is more than
// luck and not another miner's (docs/incentive.md). Tiers, budgets and the rules
// of who is scored are those of Standard.
func Robust() Scheme {
	s := Standard()
	s.Name = "robust"
	s.ClosingEdge = true
	s.EdgeReprice = true
	s.CopyDays = 45
	return s
}

// Released is what the released program computed, its defects included where
// docs/scoring.md says so. A validator that must agree with Python validators
// needs it: the chain clips weights that stray from the majority.
func Released() Scheme {
	s := Standard()
	s.Name = "released"
	s.LegacyCLV = true
	s.LegacyEntropy = true
	s.LegacyEntropyMaximum = true
	s.RescoreHours = 48
	s.WagersByReceipt = true
	s.InactivityDays = 0
	s.MinActiveShare = 0
	s.TiesByUID = true
	s.ZeroedKeepRank = true
	return s
}

// Names lists the schemes ByName knows.
func Names() []string { return []string{"standard", "released", "robust"} }

// ByName returns a scheme with its defaults. An unknown name is ErrScheme and
// names the nearest one.
func ByName(name string) (Scheme, error) {
	switch name {
	case "standard":
		return Standard(), nil
	case "released":
		return Released(), nil
	case "robust":
		return Robust(), nil
	}
	return Scheme{}, fmt.Errorf("%w: no scheme %q, did you mean %q?", ErrScheme, name, nearest(name, Names()))
}

// Validate checks every parameter against its range and the table against
// itself. Components, Pools and Round expect a scheme that passed.
func (s *Scheme) Validate() error {
	for _, k := range s.knobs() {
		if err := k.check(); err != nil {
			return err
		}
	}
	return nil
}

// BelowMinStake reports whether the minimum-stake rule zeroes a UID, whose
// slot the caller then marks in Round.Excluded. alpha is its alpha stake, price
// TAO per alpha, both from the chain; a value that cannot be computed is below.
func (s *Scheme) BelowMinStake(alpha, price float64) bool {
	return s.MinStake > 0 && !(alpha*price >= s.MinStake)
}

// capacity is how many active miners tier t (0 = public tier 1) can hold.
func (s *Scheme) capacity(t, slots int) int {
	// The nudge keeps a whole product whole: 0.29 × 100 is 28.999… in floats.
	return int(math.Floor(float64(s.Tiers[t].Capacity*float64(slots)) + 1e-9))
}
