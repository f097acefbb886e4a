// Package population is who plays. An honest kind is the real miner service with a
// model from here; a model decides what to back and knows exactly what its kind
// says it knows, never a result. The package is pure: noise is drawn by hash from
// (seed, miner, game, day), so a pick depends neither on the order in which games
// are shown nor on what other miners exist.
//
// Hostile kinds within the rules are models as well; those that the miner's
// service would refuse to be are only named here (Kind.Raw), and package sim plays
// them.
//
// Read population.go for the kinds, spread.go for those that decide once a day
// (skilled, average, random, favourite, underbudget) and sharp.go, which does too,
// late.go and copycat.go for those that follow the clock or another miner,
// hostile.go for attacks, board.go for what miners see of each other. The simulator calls New once a miner.
package population

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// Lines is what a model may know of games beyond what its miner was told: the
// opening and the closing odds. There is no way from here to a result.
type Lines interface {
	Line(bet.GameID) (open, close bet.Odds, ok bool)
}

// World is what the models of one run share. It belongs to the run's loop.
type World struct {
	Market Lines // a *market.Market
	Board  *Board
	// Leader is the name of the miner that copycats follow; "" for the first
	// skilled one built.
	Leader string
	// Group names the members of the miner's own group, in order: sybils and
	// colluders act together.
	Group []string

	firstSkilled string
}

// leader is the miner to follow, "" while there is none.
func (w *World) leader() string {
	if w.Leader != "" {
		return w.Leader
	}
	return w.firstSkilled
}

// Param is a number that tunes a kind.
type Param struct {
	Name              string
	Default, Min, Max float64
	Unit              string // "" for plain numbers
	About             string
}

// Kind is a way to play.
type Kind struct {
	Name   string
	About  string // what it knows and what it does
	Params []Param
	// Raw kinds are not models: package sim has them speak encoded frames.
	Raw bool
}

// Parameters that several kinds share.
var (
	daily  = Param{"daily", 900, 0, 1000, "dollars", "wagered each UTC day, spread evenly over the match days within reach"}
	minute = Param{"minute", -1, -1, lastMinute, "minutes", "minute of the UTC day at which it decides; -1 draws one per miner"}
	most   = Param{"max_odds", 2.2, 0, 10000, "", "longest odds it backs; 0 for any"}
)

func noiseOf(sd float64, of string) Param {
	return Param{"noise", sd, 0, 5, "", "standard deviation of the error in ln(probability) of each outcome, once per game, around those of the " + of + " odds"}
}

func with(p Param, value float64) Param {
	p.Default = value
	return p
}

var kinds = []Kind{
	{"skilled", "Knows the closing odds but for a small error. Each day spreads its stake over the match days of the next 8 days, on each backing the one outcome with the best probability × odds among odds ≤ 2.2, whatever the edge.",
		[]Param{noiseOf(0.05, "closing"), daily, most, minute}, false},
	{"sharp", "Knows what skilled knows. Each day backs the most underpriced outcome of every game, at any odds, by fractional Kelly, and no game twice.",
		[]Param{noiseOf(0.05, "closing"), minute,
			{"edge", 0.02, 0, 1, "", "least expected profit per dollar: probability × odds - 1"},
			{"kelly", 0.25, 0, 1, "", "fraction of the Kelly stake"},
			{"bankroll", 10000, 1, 1e6, "dollars", "what the Kelly fraction is taken of; fixed, it does not grow or shrink"},
			{"cap", 200, 0.01, 1000, "dollars", "most on one game"}}, false},
	{"average", "Knows the opening odds, which are public, and misjudges them. Stakes as skilled does, so that only the knowledge differs.",
		[]Param{noiseOf(0.15, "opening"), daily, most, minute}, false},
	{"random", "Knows nothing. On each match day backs a random outcome of a random game, at any odds.",
		[]Param{daily, minute}, false},
	{"favourite", "Knows nothing but the prices. On each match day backs the shortest one.",
		[]Param{daily, minute}, false},
	{"late", "Knows nothing but the prices. Ten minutes before each kick-off backs the shortest one, spreading its stake over the games of the day.",
		[]Param{daily, {"before", 10, 1, 1440, "minutes", "how long before kick-off"}}, false},
	{"copycat", "Sees what its leader backed an hour ago, as a public feed shows it, and backs the same with the same wager at the odds offered then.",
		[]Param{{"after", 60, 0, 1440, "minutes", "age of the leader's picks when it sees them; it looks once a minute at most"}}, false},
	{"underbudget", "Skilled in everything, with a tenth of the stake: what the tiers' minimum wagers cost.",
		[]Param{noiseOf(0.05, "closing"), with(daily, 90), most, minute}, false},
	{"busy", "Knows nothing, and makes load: backs random outcomes of random games, a fixed number each UTC day, evenly spread over it.",
		[]Param{daily, {"picks", 20, 1, 1440, "", "wagers each UTC day"}}, false},
	{"idle", "Is registered and connected, and never predicts.", nil, false},
	{"sybil", "One owner with many hotkeys, all of the group: skilled as one, all backing the same picks at the same minute, with the stake of one budget divided over them.",
		[]Param{noiseOf(0.05, "closing"), with(daily, 900), most, {"whole", 0, 0, 1, "", "1: each wagers the whole stake from its own budget, in place of a part of it"}}, false},
	{"colluder", "Backs another outcome of the same games than the others of its group, so that one of them has won each.",
		[]Param{daily}, false},
	{"hedger", "Backs every outcome of one random game of each match day, so that all pay the same.",
		[]Param{daily, minute}, false},
	{"dust", "Backs the shortest price of every game with the smallest wager.",
		[]Param{{"wager", 0.01, 0.01, 1, "dollars", "on each game"}}, false},
	{"squatter", "Wagers just what the second tier asks for in its window, on the shortest price of each match day, to hold a place there.",
		[]Param{with(daily, 575), minute}, false},
	{"sniper", "Sees the market before the validators' feed does and, on the last day before a kick-off, takes from them prices that have become too long.",
		[]Param{{"every", 5, 1, 60, "minutes", "time between looks"}, {"edge", 0.02, 0, 1, "", "least excess of the price offered over the market's"}, {"wager", 50, 0.01, 1000, "dollars", "on one game"}}, false},
}

// Kinds lists all kinds in the order of the documents.
func Kinds() []Kind {
	out := slices.Concat(kinds, raw)
	for i := range out {
		out[i].Params = slices.Clone(out[i].Params)
	}
	return out
}

// Values are a kind's parameters with those given put in; see New for errors.
func Values(kind string, params map[string]float64) (map[string]float64, error) {
	all := Kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == kind })
	if i < 0 {
		var names []string
		for _, k := range all {
			names = append(names, k.Name)
		}
		return nil, fmt.Errorf("unknown kind %q (have: %s)", kind, strings.Join(names, ", "))
	}
	value, err := all[i].values(params)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return value, nil
}

// Raw tells whether miners of a kind are raw peers.
func Raw(kind string) bool {
	return slices.ContainsFunc(raw, func(k Kind) bool { return k.Name == kind })
}

// New builds the model of one miner. Params not given take their kind's default;
// an unknown kind or parameter, or a value out of its range, is an error that
// names the valid ones. The name is the miner's: it must be unique in the run, for
// its noise is drawn by it and the board lists its picks under it.
func New(kind string, params map[string]float64, name string, seed uint64, w *World) (model.Model, error) {
	value, err := Values(kind, params)
	if err != nil {
		return nil, fmt.Errorf("miner %s: %w", name, err)
	}
	if Raw(kind) {
		return nil, fmt.Errorf("miner %s: a %s is no model", name, kind)
	}
	b := base{kind: kind, miner: name, noise: newNoise(seed, name), world: w}
	at := int(value["minute"])
	if at < 0 {
		at = b.noise.minute()
	}
	cents := func(param string) bet.Cents { return bet.Cents(math.Round(value[param] * 100)) }
	minutes := func(param string) time.Duration { return time.Duration(value[param] * float64(time.Minute)) }
	spreading := func(c chooser) model.Model {
		return &spread{base: b, once: onceADay{minute: at}, stake: cents("daily"), choose: c}
	}
	switch kind {
	case "skilled", "underbudget":
		if kind == "skilled" && w.firstSkilled == "" {
			w.firstSkilled = name
		}
		return spreading(bestValue(closing, value["noise"], value["max_odds"])), nil
	case "sharp":
		return &sharp{base: b, once: onceADay{minute: at}, error: value["noise"], staking: model.Staking{
			Fraction: value["kelly"], Bankroll: cents("bankroll"), MinEdge: value["edge"],
			MinBet: sharpLeast, MaxBet: cents("cap"), MaxDay: bet.DailyBudget, Top: sharpMost,
		}}, nil
	case "average":
		return spreading(bestValue(opening, value["noise"], value["max_odds"])), nil
	case "random":
		return spreading(anything), nil
	case "favourite":
		return spreading(shortest), nil
	case "late":
		return &late{base: b, stake: cents("daily"), before: minutes("before")}, nil
	case "copycat":
		return &copycat{base: b, after: minutes("after")}, nil
	case "dust":
		return &dust{base: b, wager: cents("wager")}, nil
	case "hedger":
		return &hedger{base: b, once: onceADay{minute: at}, stake: cents("daily")}, nil
	case "squatter":
		return spreading(shortest), nil
	case "sniper":
		return &sniper{base: b, every: minutes("every"), edge: value["edge"], wager: cents("wager")}, nil
	case "colluder", "sybil":
		seat, seats, group := b.seat()
		b.noise = newNoise(seed, group) // what the group knows, and when it acts
		s := &spread{base: b, once: onceADay{minute: b.noise.minute()}, stake: cents("daily"), choose: colluding(seat)}
		if kind == "sybil" {
			s.choose = bestValue(closing, value["noise"], value["max_odds"])
			if value["whole"] == 0 {
				s.stake /= bet.Cents(seats)
			}
		}
		return s, nil
	case "busy":
		m := &busy{base: b, stake: cents("daily"), picks: int(value["picks"])}
		m.offset = time.Duration(b.noise.minute()) * time.Minute % m.slot()
		return m, nil
	}
	return &idle{b}, nil
}

// A sharp miner makes no wager below a dollar, and no more wagers a day than the
// budget holds of those.
const (
	sharpLeast bet.Cents = 1_00
	sharpMost            = int(bet.DailyBudget / sharpLeast)
)

// values are the kind's parameters with those given put in. Every wrong one is
// reported, in the order of their names.
func (k *Kind) values(given map[string]float64) (map[string]float64, error) {
	value := make(map[string]float64, len(k.Params))
	names := []string{}
	for _, p := range k.Params {
		value[p.Name] = p.Default
		names = append(names, p.Name)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		x := given[name]
		i := slices.IndexFunc(k.Params, func(p Param) bool { return p.Name == name })
		switch {
		case i < 0 && len(names) == 0:
			errs = append(errs, fmt.Errorf("unknown parameter %q (it has none)", name))
		case i < 0:
			errs = append(errs, fmt.Errorf("unknown parameter %q (have: %s)", name, strings.Join(names, ", ")))
		case !(x >= k.Params[i].Min && x <= k.Params[i].Max):
			errs = append(errs, fmt.Errorf("%s: expected %g to %g, got %g", name, k.Params[i].Min, k.Params[i].Max, x))
		}
		value[name] = x
	}
	return value, errors.Join(errs...)
}

// base is what all models have.
type base struct {
	kind, miner string
	noise       *noise
	world       *World
}

// seat is the miner's place in its group, how many the group has, and by what
// name the group knows things: a miner that nobody has put into one is alone.
func (b *base) seat() (seat, seats int, group string) {
	if i := slices.Index(b.world.Group, b.miner); i >= 0 {
		return i, len(b.world.Group), b.world.Group[0]
	}
	return 0, 1, b.miner
}

// Name is the kind.
func (b *base) Name() string { return b.kind }

// Observe keeps nothing: a pick depends on the book and the clock only, so a miner
// that restarts decides as if it had not.
func (b *base) Observe(time.Time, *bet.Game) {}

// post shows picks on the board and hands them on.
func (b *base) post(now time.Time, picks []model.Pick) []model.Pick {
	b.world.Board.post(b.miner, now, picks)
	return picks
}

// idle never predicts.
type idle struct{ base }

func (*idle) Picks(time.Time, *model.Book) []model.Pick { return nil }
func (*idle) Wake(time.Time, *model.Book) time.Time     { return time.Time{} }
