package model

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bettensor/node/bet"
)

// Param is a knob of a model.
type Param struct {
	Name              string
	Default, Min, Max float64 // both bounds are allowed
	Unit              string
	Doc               string // what it does and why the default is what it is
}

// Info describes a model for help and documents.
type Info struct {
	Name, Doc string
	Params    []Param
}

// Errors of New, wrapped with what was asked and the nearest that exists.
var (
	ErrUnknownModel = errors.New("unknown model")
	ErrUnknownParam = errors.New("unknown parameter")
	ErrParamRange   = errors.New("parameter out of range")
)

// settings are a model's parameters, complete and checked.
type settings map[string]float64

func (s settings) cents(name string) bet.Cents { return bet.Cents(math.Round(s[name] * 100)) }

func (s settings) span(name string, unit time.Duration) time.Duration {
	return time.Duration(s[name] * float64(unit))
}

func (s settings) devig() Devig { return Devig(math.Round(s["devig"])) }

func (s settings) staking() Staking {
	return Staking{
		Fraction: s["kelly"],
		Bankroll: s.cents("bankroll"),
		MinEdge:  s["min_edge"],
		MinBet:   s.cents("min_bet"),
		MaxBet:   s.cents("max_bet"),
		MaxDay:   s.cents("max_day"),
		Pace:     s["pace"],
		Top:      int(s["top"]),
	}
}

func (s settings) opinion() opinion {
	d := s.devig()
	return opinion{
		devig:   d,
		weights: [sources]float64{s["market"], s["elo"], s["poisson"]},
		past: newHistory(
			&elo{k: s["elo_k"], home: s["elo_home"], tie: s["elo_tie"], least: int32(s["min_games"])},
			&poisson{
				rate: s["goals_rate"], base: math.Log(s["goals_away"]), home: math.Log(s["goals_home"] / s["goals_away"]),
				devig: d, least: int32(s["min_games"]),
			},
		),
	}
}

type entry struct {
	Info
	build func(s settings, rng *rand.Rand) Model
}

// dollars a day that can be wagered at all.
const budget = float64(bet.DailyBudget) / 100

func devigParam() Param {
	return Param{"devig", float64(Shin), 0, 2, "0 proportional, 1 power, 2 Shin", "how the bookmaker's margin is taken out; Shin allows for his shading of outsiders"}
}

func limits(minBet, maxBet, maxDay float64) []Param {
	return []Param{
		{"min_bet", minBet, 0.01, budget, "USD", "least wager: smaller ones are noise in the score"},
		{"max_bet", maxBet, 0.01, budget, "USD", "most on one game, so that one result does not make the day"},
		{"max_day", maxDay, 0.01, budget, "USD", "most on one UTC day, wagers by hand included"},
	}
}

func window(horizon, pace float64, top float64) []Param {
	return []Param{
		{"horizon", horizon, 0, 24 * 30, "hours", "how long before kick-off a game is looked at; early prices are the softest"},
		{"lead", 5, 0, 24 * 60, "minutes", "not later than this before kick-off: a pick must arrive and be stored"},
		{"pace", pace, 0, 24, "hours", "over which the day's money is released, so that later games find some; 0 at once"},
		{"top", top, 1, 1000, "picks", "most picks at one time"},
	}
}

func kelly() []Param {
	return []Param{
		{"kelly", 0.25, 0, 1, "share", "of the full Kelly wager; a quarter loses under half of the growth and forgives a wrong probability"},
		{"bankroll", budget, 1, 1e6, "USD", "what Kelly takes its share of; the day's budget, as it is renewed each day"},
		{"min_edge", 0.02, -1, 10, "profit per USD", "least expected profit: below it the edge is likely our own error"},
	}
}

func opinionParams(market, elo, poisson float64) []Param {
	return []Param{
		devigParam(),
		{"market", market, 0, 1, "weight", "of the de-vigged market in the pool"},
		{"elo", elo, 0, 1, "weight", "of the Elo rating (results) in the pool"},
		{"poisson", poisson, 0, 1, "weight", "of attack and defence (closing prices of past games) in the pool"},
		{"min_games", 6, 1, 1000, "games", "of either team before its rating counts"},
		{"elo_k", 20, 0, 200, "points", "most that one result moves a rating; 20 is usual for a league"},
		{"elo_home", 65, -400, 400, "points", "advantage of playing at home: about 45 to 30 in football"},
		{"elo_tie", 0.27, 0, 0.9, "probability", "of a tie between equals, in sports that can tie"},
		{"goals_rate", 0.15, 0, 1, "share", "of the difference to the closing price that is learnt from one game"},
		{"goals_home", 1.5, 0.1, 8, "goals", "of an average team at home"},
		{"goals_away", 1.2, 0.1, 8, "goals", "of an average team away"},
	}
}

func valueEntry(name, doc string, market, elo, poisson float64) entry {
	return entry{
		Info{name, doc, slices.Concat(opinionParams(market, elo, poisson), kelly(), limits(1, 100, budget), window(72, 18, 20))},
		func(s settings, _ *rand.Rand) Model {
			return &value{
				name: name, opinion: s.opinion(), staking: s.staking(),
				horizon: s.span("horizon", time.Hour), lead: s.span("lead", time.Minute),
			}
		},
	}
}

func kickoffParams(lead, jitter float64) []Param {
	return []Param{
		devigParam(),
		{"lead", lead, 1, 24 * 60, "minutes", "before kick-off at which a game is wagered on"},
		{"jitter", jitter, 0, 24 * 60, "minutes", "a game is wagered on up to this much earlier, so that miners do not all send at once"},
	}
}

func kickoffModel(name string, s settings, rng *rand.Rand, choose func(*bet.Game) (bet.Outcome, float64, bool)) Model {
	m := &kickoff{
		name: name, choose: choose, staking: s.staking(),
		lead: s.span("lead", time.Minute), jitter: s.span("jitter", time.Minute),
	}
	if rng != nil {
		m.salt = rng.Uint64()
	}
	return m
}

// catalogue is in order of name.
var catalogue = []entry{
	valueEntry("blend", "Wagers for value by the pool of market, Elo and attack and defence.", 0.5, 0.2, 0.3),
	{
		Info{
			"confidence", "The original's staking on our forecasts: the likeliest outcomes whatever their price, wagers by a sigmoid of the probability.",
			slices.Concat(opinionParams(0.5, 0.2, 0.3), limits(20, 250, budget), window(24, 12, 10)),
		},
		func(s settings, _ *rand.Rand) Model {
			return &confidence{
				opinion: s.opinion(), staking: s.staking(),
				horizon: s.span("horizon", time.Hour), lead: s.span("lead", time.Minute),
			}
		},
	},
	{
		Info{
			"contrarian", "Wagers little against clear favourites, on the longest price within a cap, some hours before kick-off.",
			slices.Concat(kickoffParams(360, 120), []Param{
				{"min_favourite", 0.5, 0, 1, "probability", "of the favourite from which it is worth being against"},
				{"max_odds", 6, 1.01, 1000, "decimal odds", "longest price taken: beyond it the margin on outsiders eats any profit"},
			}, limits(1, 20, 300)),
		},
		func(s settings, rng *rand.Rand) Model {
			return kickoffModel("contrarian", s, rng, contrarian(s.devig(), s["min_favourite"], s["max_odds"]))
		},
	},
	valueEntry("elo", "Wagers for value by an Elo rating of the results seen.", 0, 1, 0),
	{
		Info{
			"favourite", "Follows the closing line: wagers on the shortest price of every game shortly before kick-off.",
			slices.Concat(kickoffParams(15, 15), []Param{
				{"min_favourite", 0, 0, 1, "probability", "of the favourite below which a game is left out"},
			}, limits(1, 200, budget)),
		},
		func(s settings, rng *rand.Rand) Model {
			return kickoffModel("favourite", s, rng, favourite(s.devig(), s["min_favourite"]))
		},
	},
	{
		Info{
			"file", "Makes the picks of a file (see File), at once and as they stand; the file may be replaced while it runs.",
			[]Param{
				{"fuzzy", 80, 50, 100, "percent", "likeness from which a team's name in the file is taken for the feed's; 100 for the same words only"},
			},
		},
		func(s settings, _ *rand.Rand) Model { return &File{fuzzy: s["fuzzy"]} },
	},
	valueEntry("poisson", "Wagers for value by attack and defence ratings that follow the closing prices of past games.", 0, 0, 1),
	valueEntry("value", "Wagers for value by an Elo rating blended with the market.", 0.7, 0.3, 0),
}

// Names returns every model that New makes, by name.
func Names() []Info {
	infos := make([]Info, len(catalogue))
	for i, e := range catalogue {
		infos[i] = e.Info
	}
	return infos
}

// New makes a model. params override defaults by name; every one that is
// unknown or out of its range is reported, joined. rng may be nil; it is drawn
// from once, here, so that a model's later choices do not depend on how often it
// is asked. For "file" the Model is a *File.
func New(name string, params map[string]float64, rng *rand.Rand) (Model, error) {
	i := slices.IndexFunc(catalogue, func(e entry) bool { return e.Name == name })
	if i < 0 {
		known := make([]string, len(catalogue))
		for i, e := range catalogue {
			known[i] = e.Name
		}
		return nil, fmt.Errorf("%w %q, did you mean %q?", ErrUnknownModel, name, nearest(name, known))
	}
	e := &catalogue[i]
	s := make(settings, len(e.Params))
	known := make([]string, len(e.Params))
	var errs []error
	for i, p := range e.Params {
		known[i] = p.Name
		v, given := params[p.Name]
		if !given {
			v = p.Default
		}
		if !(v >= p.Min && v <= p.Max) {
			errs = append(errs, fmt.Errorf("model %s: %w: %s = %v, want %v to %v %s", name, ErrParamRange, p.Name, v, p.Min, p.Max, p.Unit))
		}
		s[p.Name] = v
	}
	if s["min_bet"] > s["max_bet"] || s["max_bet"] > s["max_day"] {
		errs = append(errs, fmt.Errorf("model %s: %w: want min_bet <= max_bet <= max_day, got %v, %v, %v",
			name, ErrParamRange, s["min_bet"], s["max_bet"], s["max_day"]))
	}
	var unknown []string
	for p := range params {
		if !slices.Contains(known, p) {
			unknown = append(unknown, p)
		}
	}
	slices.Sort(unknown)
	for _, p := range unknown {
		errs = append(errs, fmt.Errorf("model %s: %w %q, did you mean %q?", name, ErrUnknownParam, p, nearest(p, known)))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return e.build(s, rng), nil
}

// nearest is the known name with the fewest edits to s; of equal ones the first.
func nearest(s string, known []string) string {
	best, least := "", math.MaxInt
	for _, k := range known {
		if d := edits(s, k); d < least {
			best, least = k, d
		}
	}
	return best
}
