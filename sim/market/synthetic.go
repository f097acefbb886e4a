package market

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"bettensor/node/bet"
)

// Config describes a made-up market. Start from DefaultConfig: the zero value of a
// field is taken as it stands. Shares are of 1, odds decimal.
type Config struct {
	// Leagues that play side by side; at least one, at most 64.
	Leagues []League `yaml:"leagues"`

	// OverroundMin and OverroundMax bound what the bookmaker keeps of opening
	// odds: the sum of implied probabilities less 1. Defaults 0.03 and 0.07. At
	// 0 a perfect guesser of the line breaks even, above 0.07 nobody beats it.
	// Closing odds keep between OverroundMin and what the opening kept, or a
	// quarter of the range where that was less.
	OverroundMin float64 `yaml:"overround_min"`
	OverroundMax float64 `yaml:"overround_max"`

	// Drift is the standard deviation of what becomes known of a game between
	// opening and kick-off, in log units of the expected goal ratio. Default
	// 0.13: ln(away price/home price) then moves by 0.25, as on real matches. 0
	// makes closing odds as wise as opening odds, and insight worthless.
	Drift float64 `yaml:"drift"`
	// ClosingError is the standard deviation of what even the closing line does
	// not know, in the same unit. Default 0.05: the line is nearly calibrated.
	ClosingError float64 `yaml:"closing_error"`

	// PostponedShare of the games is called off 2 to 24 hours before kick-off.
	// Default 0.015, about six a season and league, as in a wet winter.
	PostponedShare float64 `yaml:"postponed_share"`
	// VoidShare of the games called off is never played and declared void three
	// days later; the others are played 5 to 21 days late. Default 0.2.
	VoidShare float64 `yaml:"void_share"`
	// AbandonedShare of the games is stopped after kick-off and declared void an
	// hour later. Default 0.002.
	AbandonedShare float64 `yaml:"abandoned_share"`
}

// League is one competition of a made-up market.
type League struct {
	// Name, and Sport as miners' models know it (Soccer, Baseball, Football).
	Name  string `yaml:"name"`
	Sport string `yaml:"sport"`
	// Teams is even, 4 to 40. A season is a double round robin; then another
	// begins, with strengths drawn anew around the old ones.
	Teams int `yaml:"teams"`
	// CanTie: results are drawn from two Poisson scores, else from a logistic
	// model of the same strengths.
	CanTie bool `yaml:"can_tie"`
	// GamesPerWeek of a team, above 0 and at most 7. Up to 2 whole rounds are
	// played, the first at the weekend (Friday to Monday) and the rest in
	// midweek (Tuesday, Wednesday); above 2 some games every evening.
	GamesPerWeek float64 `yaml:"games_per_week"`
	// Spread is the standard deviation of the teams' strengths, in log units of
	// expected goals. 0.3 gives the favourites of European football, 0.1 the
	// near coin flips of baseball.
	Spread float64 `yaml:"spread"`
}

// DefaultConfig is a market of two football leagues, one of baseball and one of
// American football: about 60 games a week, some on every day.
func DefaultConfig() Config {
	return Config{
		Leagues: []League{
			{Name: "northern-league", Sport: "Soccer", Teams: 20, CanTie: true, GamesPerWeek: 1.2, Spread: 0.3},
			{Name: "southern-league", Sport: "Soccer", Teams: 18, CanTie: true, GamesPerWeek: 1.1, Spread: 0.3},
			{Name: "harbour-baseball", Sport: "Baseball", Teams: 10, GamesPerWeek: 5, Spread: 0.1},
			{Name: "inland-football", Sport: "Football", Teams: 16, GamesPerWeek: 1, Spread: 0.25},
		},
		OverroundMin: 0.03, OverroundMax: 0.07,
		Drift: 0.13, ClosingError: 0.05,
		PostponedShare: 0.015, VoidShare: 0.2, AbandonedShare: 0.002,
	}
}

// ErrNoGames means that no kick-off of the configured leagues falls into the run.
var ErrNoGames = errors.New("no kick-off falls into the run")

// Validate reports everything that is wrong with a configuration.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Leagues) < 1 || len(c.Leagues) > 64 {
		bad("leagues: expected 1 to 64, got %d", len(c.Leagues))
	}
	names := map[string]bool{}
	for i, l := range c.Leagues {
		if !isName(l.Name) || !isName(l.Sport) {
			bad("leagues[%d]: expected a name and a sport of 1 to %d characters", i, maxNameRunes)
		}
		if names[l.Name] {
			bad("leagues[%d].name: expected each name once, got %q again", i, l.Name)
		}
		names[l.Name] = true
		if l.Teams < 4 || l.Teams > 40 || l.Teams%2 != 0 {
			bad("leagues[%d].teams: expected an even number from 4 to 40, got %d", i, l.Teams)
		}
		if !(l.GamesPerWeek > 0 && l.GamesPerWeek <= 7) {
			bad("leagues[%d].games_per_week: expected above 0 and at most 7, got %g", i, l.GamesPerWeek)
		}
		if !(l.Spread >= 0 && l.Spread <= 1) {
			bad("leagues[%d].spread: expected 0 to 1, got %g", i, l.Spread)
		}
	}
	if !(c.OverroundMin >= 0 && c.OverroundMin <= c.OverroundMax && c.OverroundMax <= 0.5) {
		bad("overround_min, overround_max: expected 0 ≤ min ≤ max ≤ 0.5, got %g and %g", c.OverroundMin, c.OverroundMax)
	}
	for _, v := range []struct {
		name string
		x    float64
	}{
		{"drift", c.Drift}, {"closing_error", c.ClosingError}, {"postponed_share", c.PostponedShare},
		{"void_share", c.VoidShare}, {"abandoned_share", c.AbandonedShare},
	} {
		if !(v.x >= 0 && v.x <= 1) {
			bad("%s: expected 0 to 1, got %g", v.name, v.x)
		}
	}
	return errors.Join(errs...)
}

// Kick-offs of a real league's week in Central European local time, with the
// share of a round that each takes.
type slot struct {
	day          int // 0 is Monday; 7 the Monday after
	hour, minute int
	share        float64
}

var (
	weekend = []slot{
		{4, 20, 30, 0.1}, {5, 13, 30, 0.1}, {5, 16, 0, 0.35}, {5, 18, 30, 0.1},
		{6, 15, 0, 0.15}, {6, 17, 30, 0.1}, {7, 21, 0, 0.1},
	}
	midweek  = []slot{{1, 20, 30, 0.3}, {1, 21, 0, 0.2}, {2, 20, 30, 0.3}, {2, 21, 0, 0.2}}
	evenings = []slot{{0, 18, 0, 0.2}, {0, 19, 0, 0.4}, {0, 20, 0, 0.3}, {0, 21, 15, 0.1}}
)

// pick draws a slot by its share.
func pick(slots []slot, r *stream) slot {
	x := r.Float64()
	for _, s := range slots {
		if x -= s.share; x < 0 {
			return s
		}
	}
	return slots[len(slots)-1]
}

// A result must be seen by an hourly feed before the run ends, and the first
// kick-off leaves time to predict.
const (
	leadIn  = time.Hour
	leadOut = ResultAfter + time.Hour
)

// Synthetic makes up a market for a run of the given length: every game kicks off
// within it, early enough that its result is known before the end, and is already
// offered at the start if that is less than 8 days before its kick-off. Everything
// is drawn from the seed by league and game: another league changes nothing of the
// others but their IDs, and a longer run begins with the games of a shorter one,
// but for games called off near its end. The error is of the configuration, or
// ErrNoGames.
func Synthetic(cfg Config, start time.Time, length time.Duration, seed uint64) (*Market, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("market: %w", err)
	}
	start = start.UTC().Truncate(time.Second)
	end := start.Add(length)
	if y := start.Year(); y < firstYear || y > lastYear || end.Year() > lastYear {
		return nil, fmt.Errorf("market: expected a run within the years %d to %d, got %s and %s", firstYear, lastYear, start.Format(time.RFC3339), length)
	}
	var fixtures []Fixture
	for i := range cfg.Leagues {
		s := season{cfg: &cfg, league: &cfg.Leagues[i], from: start.Add(leadIn), to: end.Add(-leadOut), rand: newStream(seed), game: newStream(seed)}
		fixtures = s.play(fixtures)
		if len(fixtures) > maxGames {
			return nil, fmt.Errorf("market: expected at most %d games, got more: fewer leagues or a shorter run", maxGames)
		}
	}
	if len(fixtures) == 0 {
		return nil, fmt.Errorf("market: %w from %s for %s (leagues that play every evening need one evening, others a weekend)",
			ErrNoGames, start.Format(time.RFC3339), length)
	}
	return newMarket(fixtures, start, end, Step, pathNoise, seed), nil
}

// season plays one league, round after round.
type season struct {
	cfg      *Config
	league   *League
	from, to time.Time
	rand     *stream // the calendar and the teams
	game     *stream // one game

	names    []string
	strength []float64
	queue    []pairing // left of this double round robin
}

type pairing struct{ home, away int }

// play appends the league's fixtures.
func (s *season) play(fixtures []Fixture) []Fixture {
	s.rand.aim("league", s.league.Name)
	s.names = teamNames(s.league.Teams, s.rand)
	s.strength = make([]float64, s.league.Teams)
	for i := range s.strength {
		s.strength[i] = s.league.Spread * s.rand.NormFloat64()
	}
	monday := centralTime.local(s.from)
	monday = time.Date(monday.Year(), monday.Month(), monday.Day(), 0, 0, 0, 0, time.UTC)
	// A week earlier, whose Monday slot may fall into the run.
	monday = monday.AddDate(0, 0, -(int(monday.Weekday())+6)%7-7)
	perWeek := float64(s.league.GamesPerWeek)
	for week := 0; ; week++ {
		day := monday.AddDate(0, 0, 7*week)
		if day.After(s.to.Add(24 * time.Hour)) {
			return fixtures
		}
		if perWeek > 2 {
			fixtures = s.playDaily(fixtures, day, week)
			continue
		}
		due := int(float64(week+1)*perWeek) - int(float64(week)*perWeek)
		if perWeek <= 1 && due > 0 || perWeek > 1 {
			fixtures = s.playRound(fixtures, day, weekend)
			due--
		}
		for ; due > 0; due-- {
			fixtures = s.playRound(fixtures, day, midweek)
		}
	}
}

// playRound plays one match of every team in the given slots.
func (s *season) playRound(fixtures []Fixture, monday time.Time, slots []slot) []Fixture {
	for range s.league.Teams / 2 {
		fixtures = s.add(fixtures, s.next(nil), monday, pick(slots, s.rand))
	}
	return fixtures
}

// playDaily plays a week's matches over its seven evenings, a team at most once an
// evening.
func (s *season) playDaily(fixtures []Fixture, monday time.Time, week int) []Fixture {
	perDay := s.league.GamesPerWeek * float64(s.league.Teams) / 2 / 7
	for d := range 7 {
		n := float64(7*week + d)
		busy := make([]bool, s.league.Teams)
		for range int((n+1)*perDay) - int(n*perDay) {
			p := s.next(busy)
			if busy[p.home] || busy[p.away] {
				break
			}
			busy[p.home], busy[p.away] = true, true
			at := pick(evenings, s.rand)
			at.day = d
			fixtures = s.add(fixtures, p, monday, at)
		}
	}
	return fixtures
}

// next takes the next pairing of the double round robin: the first of two free
// teams, or simply the first. A new season begins where the queue is empty.
func (s *season) next(busy []bool) pairing {
	if len(s.queue) == 0 {
		s.draw()
	}
	k := 0
	if busy != nil {
		if k = slices.IndexFunc(s.queue, func(p pairing) bool { return !busy[p.home] && !busy[p.away] }); k < 0 {
			return s.queue[0]
		}
	}
	p := s.queue[k]
	s.queue = slices.Delete(s.queue, k, k+1)
	return p
}

// draw makes the pairings of a season by the circle method, each round a whole
// one, the second half with home and away changed, and lets strengths move a little.
func (s *season) draw() {
	n := s.league.Teams
	circle := s.rand.Perm(n)
	for i := range s.strength {
		s.strength[i] += float64(0.2 * s.league.Spread * s.rand.NormFloat64())
	}
	for round := range n - 1 {
		for i := range n / 2 {
			p := pairing{circle[i], circle[n-1-i]}
			// All but the first team move on by one place a round, so by places
			// they alternate between home and away; the first does by rounds.
			if i > 0 && i%2 == 1 || i == 0 && round%2 == 1 {
				p.home, p.away = p.away, p.home
			}
			s.queue = append(s.queue, p)
		}
		last := circle[n-1]
		copy(circle[2:], circle[1:n-1])
		circle[1] = last
	}
	for _, p := range slices.Clone(s.queue) {
		s.queue = append(s.queue, pairing{p.away, p.home})
	}
}

// add makes a fixture of a pairing if it kicks off within the run.
func (s *season) add(fixtures []Fixture, p pairing, monday time.Time, at slot) []Fixture {
	wall := monday.AddDate(0, 0, at.day).Add(time.Duration(at.hour)*time.Hour + time.Duration(at.minute)*time.Minute)
	f := Fixture{
		Sport: s.league.Sport, League: s.league.Name, CanTie: s.league.CanTie,
		TeamA: s.names[p.home], TeamB: s.names[p.away],
		Start: centralTime.utc(wall), Result: bet.Unfinished,
	}
	if f.Start.Before(s.from) || f.Start.After(s.to) {
		return fixtures
	}
	f.Opens = f.Start.Add(-OpensBefore)
	s.game.aimAt("game", &f)
	s.price(&f, s.strength[p.home]-s.strength[p.away])
	s.happen(&f)
	return append(fixtures, f)
}

// price sets the line and the truth. The bookmaker opens with the teams' strengths;
// until kick-off news comes in, and a rest stays unknown to all. News is drawn
// on top of the line, not the line around the truth: so both lines are calibrated,
// and the closing one is sharper.
func (s *season) price(f *Fixture, margin float64) {
	open := margin
	closing := open + float64(s.cfg.Drift*s.game.NormFloat64())
	truth := closing + float64(s.cfg.ClosingError*s.game.NormFloat64())
	f.Truth = s.chances(truth)
	width := s.cfg.OverroundMax - s.cfg.OverroundMin
	f.Open = s.quote(s.chances(open), s.cfg.OverroundMin, width)
	// Closing margins are tighter; a quarter of the range is always left to round in.
	f.Close = s.quote(s.chances(closing), s.cfg.OverroundMin, max(width/4, min(width, bookSum(f.Open)-1-s.cfg.OverroundMin)))
}

// quote prices probabilities with an overround drawn from [least, least+width]. Rounding
// to the tick may push it out, so a few are tried.
func (s *season) quote(p [3]float64, least, width float64) (o bet.Odds) {
	for range 32 {
		sum := 1 + least + float64(width*s.game.Float64())
		for i, x := range p {
			if x > 0 {
				o[i] = toTick(1 / (x * sum))
			}
		}
		if got := bookSum(o) - 1; got >= least && got <= least+width {
			break
		}
	}
	return o
}

// Scores of a match between equals, in log expected goals: 2.7 goals, a quarter
// more for the home team, as in European football.
const (
	meanGoals = 0.3
	homeEdge  = 0.125 // added to one and taken from the other
	// logisticSlope turns the same margin into log odds where there are no ties.
	logisticSlope = 2
)

// chances are the probabilities of the outcomes at a margin (log of the ratio of
// expected goals, home advantage apart).
func (s *season) chances(margin float64) (p [3]float64) {
	if !s.league.CanTie {
		p[bet.Home] = 1 / (1 + math.Exp(-logisticSlope*(margin+homeEdge)))
		p[bet.Away] = 1 - p[bet.Home]
		return p
	}
	const most = 15 // goals of one team: the rest is below 1e-6 at any usual margin
	h := poisson(math.Exp(meanGoals+homeEdge+margin/2), most)
	a := poisson(math.Exp(meanGoals-homeEdge-margin/2), most)
	for i, x := range h {
		for j, y := range a {
			switch {
			case i > j:
				p[bet.Home] += float64(x * y)
			case i < j:
				p[bet.Away] += float64(x * y)
			default:
				p[bet.Tie] += float64(x * y)
			}
		}
	}
	sum := p[0] + p[1] + p[2]
	for i := range p {
		p[i] /= sum
	}
	return p
}

// poisson are the probabilities of 0 to most events.
func poisson(mean float64, most int) []float64 {
	p := make([]float64, most+1)
	p[0] = math.Exp(-mean)
	for k := 1; k <= most; k++ {
		p[k] = p[k-1] * mean / float64(k)
	}
	return p
}

// happen draws what becomes of a game: played as announced, called off and played
// later or never, abandoned.
func (s *season) happen(f *Fixture) {
	r := s.game
	// Drawn in any case, so that the rates of mishaps change no result.
	result, x, later, notice, void := r.Float64(), r.Float64(), r.Float64(), r.Float64(), r.Float64()
	switch {
	case x < s.cfg.PostponedShare:
		f.PostponedAt = f.Start.Add(-2*time.Hour - time.Duration(notice*22)*time.Hour)
		moved := f.Start.Add(time.Duration(5+int(later*17)) * 24 * time.Hour)
		// A game that cannot be made up within the run is never played in it.
		if void < s.cfg.VoidShare || moved.After(s.to) {
			f.VoidAt = f.PostponedAt.Add(3 * 24 * time.Hour)
			if f.VoidAt.After(s.to) {
				f.VoidAt = s.to
			}
			return
		}
		f.MovedAt, f.MovedTo = f.PostponedAt.Add(2*24*time.Hour), moved
	case x >= 1-s.cfg.AbandonedShare:
		f.VoidAt = f.Start.Add(time.Hour)
		return
	}
	f.ResultAt = f.KickOff().Add(ResultAfter)
	for i := range 2 {
		if result -= f.Truth[i]; result < 0 {
			f.Result = bet.Outcome(i)
			return
		}
	}
	f.Result = bet.Tie
	if !f.CanTie {
		f.Result = bet.Away
	}
}

// Names of made-up teams: every pair of a stem and an ending is one.
var (
	stems   = []string{"Alder", "Birch", "Cinder", "Dun", "Elm", "Fern", "Glen", "Hazel", "Iron", "Juniper", "Kelp", "Larch", "Marsh", "North", "Oak", "Pine", "Quarry", "Rowan", "Stone", "Thorn"}
	endings = []string{"bridge", "bury", "field", "ford", "gate", "haven", "mouth", "stead", "ton", "wick"}
)

// teamNames draws n different names; leagues may share a town, as they do.
func teamNames(n int, r *stream) []string {
	names := make([]string, n)
	for i, k := range r.Perm(len(stems) * len(endings))[:n] {
		names[i] = stems[k/len(endings)] + endings[k%len(endings)]
	}
	return names
}
