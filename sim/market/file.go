package market

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
)

// File is a table of real games, read by the caller. Two forms are known by their
// header, and columns may come in any order:
//
//   - ours: every one of the columns kickoff (2021-08-13 21:00:00 or without the
//     seconds, Central European local time), league, season, home, away,
//     home_goals, away_goals, home_open, draw_open, away_open, home_close,
//     draw_close, away_close, and no other;
//   - football-data.co.uk's: Div, Date (dd/mm/yy or dd/mm/yyyy), Time (UK time;
//     15:00 where missing), HomeTeam, AwayTeam, FTHG, FTAG, and odds. Opening odds
//     are row by row the first complete triple of PSH PSD PSA (Pinnacle), AvgH
//     AvgD AvgA (the average), B365H B365D B365A (Bet365); closing odds likewise
//     of PSCH…, AvgCH…, B365CH…. Other columns are passed over.
type File struct {
	Name string // for messages
	Data []byte
}

// FileOptions are what a file does not say. The zero value is the rule.
type FileOptions struct {
	// Sport of all games; "" means Soccer.
	Sport string
	// Step is how often odds move; 0 means Step, the package's 6 hours.
	Step time.Duration
	// Noise is the standard deviation of a step in log odds; 0 means 0.03,
	// negative none: a straight line from open to close.
	Noise float64
}

// maxOdds is far above any price a bookmaker has quoted on a football match: more
// is a slip of the decimal point.
const maxOdds = 10_000

// maxGoals is above any score in a table of league results.
const maxGoals = 99

// FromFiles is a market of files: Read, and the market of a seed.
func FromFiles(files []File, seed uint64, opt FileOptions) (*Market, []Problem) {
	g, problems := Read(files, opt)
	if g == nil {
		return nil, problems
	}
	return g.Market(seed), nil
}

// Games are the matches of files, read once. They make a market for each seed.
type Games struct {
	fixtures   []Fixture
	start, end time.Time
	step       time.Duration
	noise      float64
}

// Market is the games with the line movement of a seed, drawn per game from the
// seed and the game's league, teams and kick-off, so adding a league moves no
// other line, though IDs, which number all games by kick-off, may shift. It may
// be called from several goroutines.
func (g *Games) Market(seed uint64) *Market {
	return newMarket(slices.Clone(g.fixtures), g.start, g.end, g.step, g.noise, seed)
}

// Read reads the games of all files. All problems of all files are returned at
// once (in full up to 100, the rest counted by a last one); with any, the games
// are nil.
func Read(files []File, opt FileOptions) (*Games, []Problem) {
	var ps problems
	r := reader{ps: &ps, seen: map[gameKey]place{}, sport: cmp.Or(opt.Sport, "Soccer")}
	if len(files) == 0 {
		ps.add("", 0, 0, "expected at least one file of games")
	}
	for i, f := range files {
		if k := slices.IndexFunc(files[:i], func(g File) bool { return bytes.Equal(f.Data, g.Data) }); k >= 0 {
			// One problem, where every row would be one.
			ps.add(f.Name, 1, 1, "expected each file of games once, got what is in %s again", files[k].Name)
			continue
		}
		r.read(f)
	}
	if ps.total > 0 {
		return nil, ps.all()
	}
	step := cmp.Or(opt.Step, Step)
	noise := cmp.Or(opt.Noise, pathNoise)
	if step < time.Minute || step > OpensBefore {
		ps.add("", 0, 0, "expected a step of odds from 1m to %s, got %s", OpensBefore, step)
		return nil, ps.all()
	}
	first, last := r.fixtures[0].Start, r.fixtures[0].ResultAt
	for i := range r.fixtures {
		if t := r.fixtures[i].Start; t.Before(first) {
			first = t
		}
		if t := r.fixtures[i].ResultAt; t.After(last) {
			last = t
		}
	}
	return &Games{r.fixtures, first.Add(-OpensBefore), last.Add(SettleTail), step, max(noise, 0)}, nil
}

// gameKey tells games apart: the same teams may meet at the same ground twice in
// a season, but not twice on a day.
type gameKey struct {
	league, home, away string
	day                bet.Day
}

type place struct {
	file string
	line int
}

// reader gathers fixtures over files.
type reader struct {
	ps       *problems
	sport    string
	fixtures []Fixture
	seen     map[gameKey]place

	file   string
	line   int
	end    int // column just behind the line
	cells  []cell
	column map[string]int // of the header
}

// The columns of our own form, all needed.
var ownColumns = []string{"kickoff", "league", "season", "home", "away", "home_goals", "away_goals",
	"home_open", "draw_open", "away_open", "home_close", "draw_close", "away_close"}

// The columns of football-data.co.uk's form that are needed whatever the odds.
var theirColumns = []string{"Div", "Date", "HomeTeam", "AwayTeam", "FTHG", "FTAG"}

// Triples of odds columns of football-data.co.uk, home, draw, away, best first:
// Pinnacle's margins are the lowest and its closing line the sharpest.
var (
	theirOpening = [][3]string{{"PSH", "PSD", "PSA"}, {"AvgH", "AvgD", "AvgA"}, {"B365H", "B365D", "B365A"}}
	theirClosing = [][3]string{{"PSCH", "PSCD", "PSCA"}, {"AvgCH", "AvgCD", "AvgCA"}, {"B365CH", "B365CD", "B365CA"}}
)

func (r *reader) read(f File) {
	r.file, r.column = f.Name, nil
	var row func()
	headed, rows, before := false, 0, r.ps.total
	lines(f.Name, f.Data, r.ps, func(n int, text string, cells []cell) bool {
		r.line, r.end, r.cells = n, len(text)+1, cells
		if !headed {
			headed = true
			row = r.header()
			return row != nil
		}
		rows++
		if len(r.fixtures) >= maxGames {
			r.bad(1, "expected at most %d games in all files", maxGames)
			return false
		}
		from := len(r.ps.list)
		row()
		slices.SortStableFunc(r.ps.list[from:], func(a, b Problem) int { return cmp.Compare(a.Column, b.Column) })
		return true
	})
	switch {
	case r.ps.total > before:
	case !headed:
		r.ps.add(f.Name, 1, 1, "expected a header line, got an empty file")
	case rows == 0:
		r.ps.add(f.Name, r.line, r.end, "expected at least one game below the header")
	}
}

func (r *reader) bad(column int, format string, args ...any) {
	r.ps.add(r.file, r.line, column, format, args...)
}

// header takes the header line and returns what reads a row below it, nil if the
// header cannot be used.
func (r *reader) header() func() {
	before := r.ps.total
	own, their := 0, 0
	known := theirKnown()
	for _, c := range r.cells {
		if nearest(c.text, ownColumns) != "" {
			own++
		}
		if slices.Contains(known, c.text) {
			their++
		}
	}
	if own == 0 && their == 0 {
		r.bad(1, "expected a header: the columns %s, or those of football-data.co.uk; got %s",
			strings.Join(ownColumns, ","), shown(r.cells[0].text))
		return nil
	}
	r.column = make(map[string]int, len(r.cells))
	for i, c := range r.cells {
		used := slices.Contains(ownColumns, c.text)
		if their > own {
			used = slices.Contains(known, c.text)
		}
		if _, twice := r.column[c.text]; twice && used {
			r.bad(c.column, "expected each column once, got %s again", shown(c.text))
			continue
		}
		r.column[c.text] = i
		if their <= own && !used {
			r.bad(c.column, "expected a known column, got %s%s", shown(c.text), hint(c.text, ownColumns))
		}
	}
	if their > own {
		return r.theirHeader(before)
	}
	for _, n := range missing(r.column, ownColumns) {
		r.bad(r.end, "expected the column %s, which is missing", n)
	}
	if r.ps.total > before {
		return nil
	}
	return r.ownRow
}

func (r *reader) theirHeader(before int) func() {
	var strange []string // what may be meant for a missing one
	known := theirKnown()
	for _, c := range r.cells {
		if !slices.Contains(known, c.text) {
			strange = append(strange, c.text)
		}
	}
	for _, n := range missing(r.column, theirColumns) {
		r.bad(r.end, "expected the column %s, which is missing%s", n, hint(n, strange))
	}
	for _, need := range []struct {
		what    string
		triples [][3]string
	}{{"opening", theirOpening}, {"closing", theirClosing}} {
		if !slices.ContainsFunc(need.triples, func(t [3]string) bool { return len(missing(r.column, t[:])) == 0 }) {
			var of []string
			for _, t := range need.triples {
				of = append(of, strings.Join(t[:], ","))
			}
			r.bad(r.end, "expected columns of %s odds: %s", need.what, strings.Join(of, " or "))
		}
	}
	if r.ps.total > before {
		return nil
	}
	return r.theirRow
}

// theirKnown are the columns of football-data.co.uk's form that are read at all.
func theirKnown() []string {
	known := append(slices.Clone(theirColumns), "Time")
	for _, t := range slices.Concat(theirOpening, theirClosing) {
		known = append(known, t[:]...)
	}
	return known
}

func hint(s string, names []string) string {
	n := nearest(s, names)
	if n == "" || n == s {
		return ""
	}
	if plain := shown(n); plain != `"`+n+`"` { // a header's cell may hold anything
		n = plain
	}
	return fmt.Sprintf(" (nearest: %s)", n)
}

// counted tells whether the row has the header's number of fields. Empty ones too
// many at the end are let pass where lenient.
func (r *reader) counted(lenient bool) bool {
	want, got := len(r.column), len(r.cells)
	if lenient {
		// Columns without a name, of which some files have several, count once
		// in the map: only what the known columns need is asked for.
		want = 0
		for _, i := range r.column { // order cannot matter: a maximum
			want = max(want, i+1)
		}
		if got > want && isBlank(r.cells[want:]) {
			return true
		}
	}
	switch {
	case got < want:
		r.bad(r.end, "expected %d fields, got %d", want, got)
	case got > want:
		r.bad(r.cells[want].column, "expected %d fields, got %d", want, got)
	}
	return got == want
}

func (r *reader) at(name string) cell { return r.cells[r.column[name]] }

func (r *reader) ownRow() {
	if !r.counted(false) {
		return
	}
	before := r.ps.total
	f := Fixture{
		League: r.name("league"), TeamA: r.name("home"), TeamB: r.name("away"),
		Start: r.kickoff("kickoff"),
		Open:  r.odds([3]string{"home_open", "draw_open", "away_open"}),
		Close: r.odds([3]string{"home_close", "draw_close", "away_close"}),
	}
	r.name("season")
	f.Result = r.result("home_goals", "away_goals")
	r.keep(f, before, "kickoff", "home")
}

func (r *reader) theirRow() {
	if !r.counted(true) {
		return
	}
	before := r.ps.total
	f := Fixture{
		League: r.name("Div"), TeamA: r.name("HomeTeam"), TeamB: r.name("AwayTeam"),
		Start: r.date("Date", "Time"),
		Open:  r.firstOdds("opening", theirOpening),
		Close: r.firstOdds("closing", theirClosing),
	}
	f.Result = r.result("FTHG", "FTAG")
	r.keep(f, before, "Date", "HomeTeam")
}

// keep adds a fixture unless its row had problems or repeats a game.
func (r *reader) keep(f Fixture, before int, startColumn, homeColumn string) {
	if f.TeamA != "" && f.TeamA == f.TeamB {
		r.bad(r.at(homeColumn).column, "expected two teams, got %s against itself", shown(f.TeamA))
	}
	if r.ps.total > before {
		return
	}
	f.Sport, f.CanTie = r.sport, true
	f.Opens, f.ResultAt = f.Start.Add(-OpensBefore), f.Start.Add(ResultAfter)
	key := gameKey{f.League, f.TeamA, f.TeamB, bet.DayOf(f.Start)}
	if p, twice := r.seen[key]; twice {
		r.bad(r.at(startColumn).column, "expected each game once, got %s against %s of that day again (first at %s:%d)",
			shown(f.TeamA), shown(f.TeamB), p.file, p.line)
		return
	}
	r.seen[key] = place{r.file, r.line}
	r.fixtures = append(r.fixtures, f)
}

func (r *reader) name(column string) string {
	c := r.at(column)
	if !isName(c.text) {
		r.bad(c.column, "%s: expected a name of 1 to %d characters, got %s", column, maxNameRunes, shown(c.text))
		return ""
	}
	return strings.Clone(c.text)
}

func (r *reader) kickoff(column string) time.Time {
	c := r.at(column)
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04"} {
		// The length is compared because Parse also takes fractions of seconds.
		if t, err := time.Parse(layout, c.text); err == nil && len(c.text) == len(layout) && inYears(t) {
			return centralTime.utc(t)
		}
	}
	r.bad(c.column, "%s: expected a local time as 2021-08-13 21:00:00 of the years %d to %d, got %s",
		column, firstYear, lastYear, shown(c.text))
	return time.Time{}
}

// date reads day and UK time. A missing time is 15:00, when most matches began in
// the years the file has none for.
func (r *reader) date(dateColumn, timeColumn string) time.Time {
	d := r.at(dateColumn)
	day, err := time.Parse("02/01/2006", d.text)
	if err != nil {
		// Two digits from 69 on are of the last century.
		day, err = time.Parse("02/01/06", d.text)
	}
	if err != nil || !inYears(day) || len(d.text) != 8 && len(d.text) != 10 {
		r.bad(d.column, "%s: expected a date as 13/08/21 or 13/08/2021 of the years %d to %d, got %s",
			dateColumn, firstYear, lastYear, shown(d.text))
	}
	clock := 15 * time.Hour
	if i, ok := r.column[timeColumn]; ok && r.cells[i].text != "" {
		c := r.cells[i]
		t, err := time.Parse("15:04", c.text)
		if err != nil || len(c.text) != 5 {
			r.bad(c.column, "%s: expected a time of day as 15:00, got %s", timeColumn, shown(c.text))
		}
		clock = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	return ukTime.utc(day.Add(clock))
}

func inYears(t time.Time) bool { return t.Year() >= firstYear && t.Year() <= lastYear }

func (r *reader) result(homeColumn, awayColumn string) bet.Outcome {
	h, a := r.goals(homeColumn), r.goals(awayColumn)
	switch {
	case h > a:
		return bet.Home
	case h < a:
		return bet.Away
	}
	return bet.Tie
}

func (r *reader) goals(column string) int {
	c := r.at(column)
	n, err := strconv.Atoi(c.text)
	if err != nil || !isDigits(c.text, "") || n > maxGoals {
		r.bad(c.column, "%s: expected goals from 0 to %d, got %s", column, maxGoals, shown(c.text))
	}
	return n
}

// odds reads a triple given as home, draw, away.
func (r *reader) odds(columns [3]string) (o bet.Odds) {
	for k, side := range [3]bet.Outcome{bet.Home, bet.Tie, bet.Away} {
		c := r.at(columns[k])
		x, err := strconv.ParseFloat(c.text, 64)
		if err != nil || !isDigits(c.text, ".") || !(x > 1) || x > maxOdds || math.IsInf(x, 0) {
			r.bad(c.column, "%s: expected decimal odds above 1 and at most %d, got %s", columns[k], maxOdds, shown(c.text))
			continue
		}
		o[side] = x
	}
	return o
}

// firstOdds reads the first triple of which the row has all three.
func (r *reader) firstOdds(what string, triples [][3]string) bet.Odds {
	for _, t := range triples {
		if len(missing(r.column, t[:])) > 0 {
			continue
		}
		if r.at(t[0]).text != "" && r.at(t[1]).text != "" && r.at(t[2]).text != "" {
			return r.odds(t)
		}
	}
	r.bad(r.end, "expected %s odds, home, draw and away, of Pinnacle, the average or Bet365, got none complete", what)
	return bet.Odds{}
}

// isDigits tells whether s holds decimal digits and the letters of also, nothing
// else: no sign, exponent, hexadecimal or Inf, which the parsers of Go would take.
func isDigits(s, also string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && !strings.ContainsRune(also, c) {
			return false
		}
	}
	return s != ""
}
