package model

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bettensor/node/bet"
)

const (
	// MaxPicksFile is the most bytes a picks file may have: MaxFilePicks lines
	// of 500.
	MaxPicksFile = 1 << 20
	// MaxFilePicks is the most picks in a file. A day's budget is spent on far
	// fewer, and each is compared with each new game's names.
	MaxFilePicks = 2000
	// maxOpenGames is the most games whose names are kept: a month of every league
	// of a large feed. Beyond it, those that have started go, then new ones are
	// reached by ID only.
	maxOpenGames = 8192
	// maxProblems ends the list of what is wrong with a file.
	maxProblems = 50
)

// Problem is something wrong at a place of a picks file.
type Problem struct {
	File         string
	Line, Column int // from 1; the column counts bytes
	Text         string
}

// Error is file:line:column: text.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Problems are all that is wrong with a file, in its order.
type Problems []Problem

// Error is one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// FilePick is a line of a picks file. It names a game by its ID, or by both
// teams as the file spells them.
type FilePick struct {
	Line, Column int
	Game         bet.GameID // "" when named by teams
	Home, Away   string
	Outcome      bet.Outcome
	Wager        bet.Cents
	Confidence   float64 // -1 for none
}

// ParsePicks reads a picks file: CSV with a header (lines that open with # are
// comments), or JSON lines when it opens with a brace. The columns, or keys, in any order:
//
//	game_id             the feed's ID; or, instead:
//	home, away          both teams' names
//	outcome             home (a), away (b), tie (draw, t, x), or a team's name as in home or away
//	wager               dollars above 0, at most the daily budget, no part of a cent
//	confidence          0 to 1, may be missing or empty
//
// The error is of type Problems and holds all that is wrong; no picks come with
// it. name is only printed.
func ParsePicks(name string, data []byte) ([]FilePick, error) {
	p := parser{file: name, seen: map[FilePick]int{}}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // spreadsheets write it
	switch {
	case len(data) > MaxPicksFile:
		p.report(1, 1, "file of %d bytes, want at most %d", len(data), MaxPicksFile)
	case !utf8.Valid(data):
		line, column := place(data, invalidAt(data))
		p.report(line, column, "not UTF-8")
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		p.jsonLines(data)
	default:
		p.csv(data)
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.picks, nil
}

// columns of a picks file, in the order in which a line keeps its fields.
var columns = []string{"game_id", "home", "away", "outcome", "wager", "confidence"}

const (
	colGame = iota
	colHome
	colAway
	colOutcome
	colWager
	colConfidence
	colCount
)

// field is a value and where it stands; line 0 means it is missing.
type field struct {
	text         string
	line, column int
}

type parser struct {
	file     string
	picks    []FilePick
	seen     map[FilePick]int // the game alone, to the line that picked it
	problems Problems
}

func (p *parser) report(line, column int, format string, args ...any) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, Problem{p.file, line, column, fmt.Sprintf(format, args...)})
	}
}

// full says that nothing more need be read.
func (p *parser) full() bool { return len(p.problems) >= maxProblems || len(p.picks) > MaxFilePicks }

func (p *parser) csv(data []byte) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1 // counted below, with a better message
	r.ReuseRecord = true
	r.TrimLeadingSpace = true
	r.Comment = '#'
	var order []int // column of each field
	for !p.full() {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			line, column := 1, 1
			if e := (*csv.ParseError)(nil); errors.As(err, &e) {
				line, column, err = e.Line, e.Column, e.Err
			}
			p.report(line, max(column, 1), "%v", err)
			return
		}
		line, column := r.FieldPos(0)
		if order == nil {
			order = make([]int, len(record))
			for i, h := range record {
				h = strings.ToLower(strings.TrimSpace(h))
				l, c := r.FieldPos(i)
				if order[i] = slices.Index(columns, h); order[i] < 0 {
					p.report(l, c, "unknown column %q, did you mean %q?", clip(h), nearest(h, columns))
				} else if slices.Contains(order[:i], order[i]) {
					p.report(l, c, "column %q twice", h)
				}
			}
			if len(p.problems) > 0 {
				return
			}
			continue
		}
		if len(record) != len(order) {
			p.report(line, column, "%d fields, want %d as in the header", len(record), len(order))
			continue
		}
		var fields [colCount]field
		for i, v := range record {
			if v = strings.TrimSpace(v); v != "" {
				l, c := r.FieldPos(i)
				fields[order[i]] = field{v, l, c}
			}
		}
		p.pick(line, column, &fields)
	}
	if order == nil {
		p.report(1, 1, "empty, want a header of %s", strings.Join(columns, ","))
	}
}

func (p *parser) jsonLines(data []byte) {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if p.full() {
			return
		}
		if text = bytes.TrimRight(text, " \t\r\n"); len(text) > 0 {
			p.jsonLine(line, text)
		}
	}
}

func (p *parser) jsonLine(line int, text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	// Tokens rather than a struct: they have places, and tell a key said twice.
	fail := func(err error) {
		what := "unexpected end of line"
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			what = syntax.Error()
		}
		// Where the bad token begins: the error's own offset means two things.
		p.report(line, next(text, d.InputOffset()), "%s", what)
	}
	if t, err := d.Token(); err != nil {
		fail(err)
		return
	} else if t != json.Delim('{') {
		p.report(line, 1, "want an object")
		return
	}
	var fields [colCount]field
	good := true
	for d.More() {
		column := next(text, d.InputOffset())
		k, err := d.Token()
		if err != nil {
			fail(err)
			return
		}
		key, _ := k.(string) // a key is text, or Token has failed
		i := slices.Index(columns, key)
		if i < 0 {
			p.report(line, column, "unknown key %q, did you mean %q?", clip(key), nearest(key, columns))
			good = false
		} else if fields[i].line > 0 {
			p.report(line, column, "key %q twice", key)
			good = false
		}
		column = next(text, d.InputOffset())
		v, err := d.Token()
		if err != nil {
			fail(err)
			return
		}
		f := field{line: line, column: column}
		switch v := v.(type) {
		case string:
			f.text = strings.TrimSpace(v)
		case json.Number:
			f.text = v.String()
		case nil:
			f.line = 0
		default:
			p.report(line, column, "want text or a number")
			return // what follows belongs to the value
		}
		if i >= 0 && f.text != "" {
			fields[i] = f
		}
	}
	if _, err := d.Token(); err != nil {
		fail(err)
		return
	}
	if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
		p.report(line, next(text, d.InputOffset()), "text after the object")
		return
	}
	if good {
		p.pick(line, 1, &fields)
	}
}

// next is the column from 1 of the next token at or after an offset.
func next(text []byte, offset int64) int {
	i := int(offset)
	for i < len(text) && bytes.IndexByte([]byte(" \t,:"), text[i]) >= 0 {
		i++
	}
	return i + 1
}

// pick checks the fields of one pick, which begins at line and column.
func (p *parser) pick(line, column int, fields *[colCount]field) {
	before := len(p.problems)
	k := FilePick{Line: line, Column: column, Confidence: -1}
	k.Game = bet.GameID(fields[colGame].text)
	k.Home, k.Away = fields[colHome].text, fields[colAway].text
	switch {
	case k.Game == "" && (k.Home == "" || k.Away == ""):
		p.report(line, column, "which game? want game_id, or home and away")
	case k.Game == "" && words(k.Home) == words(k.Away):
		p.report(fields[colAway].line, fields[colAway].column, "home and away are the same team")
	}

	if f := fields[colOutcome]; f.line == 0 {
		p.report(line, column, "no outcome, want home, away or tie")
	} else if o, ok := outcome(f.text, k.Home, k.Away); !ok {
		p.report(f.line, f.column, "outcome %q, want home, away, tie or one of the teams", clip(f.text))
	} else {
		k.Outcome = o
	}

	if f := fields[colWager]; f.line == 0 {
		p.report(line, column, "no wager, want dollars")
	} else if c, ok := dollars(f.text); !ok {
		p.report(f.line, f.column, "wager %q, want dollars from 0.01 to %d without a part of a cent", clip(f.text), bet.DailyBudget/100)
	} else {
		k.Wager = c
	}

	if f := fields[colConfidence]; f.line > 0 {
		c, err := strconv.ParseFloat(f.text, 64)
		if err != nil || !(c >= 0 && c <= 1) {
			p.report(f.line, f.column, "confidence %q, want 0 to 1", clip(f.text))
		}
		k.Confidence = c
	}

	if len(p.problems) > before {
		return
	}
	same := FilePick{Game: k.Game}
	if k.Game == "" {
		same = FilePick{Home: words(k.Home), Away: words(k.Away)}
	}
	if first := p.seen[same]; first > 0 {
		p.report(line, column, "game already picked on line %d", first)
		return
	}
	p.seen[same] = line
	if p.picks = append(p.picks, k); len(p.picks) > MaxFilePicks {
		p.report(line, column, "more than %d picks", MaxFilePicks)
	}
}

// outcome reads the words of the wire, of the original's screens (a, b, t) and
// of a betting slip (x). Numbers are refused: 1 is home on a slip and away on the
// wire.
func outcome(s, home, away string) (bet.Outcome, bool) {
	switch strings.ToLower(s) {
	case "home", "a":
		return bet.Home, true
	case "away", "b":
		return bet.Away, true
	case "tie", "draw", "t", "x":
		return bet.Tie, true
	}
	switch w := words(s); {
	case w == "":
		return 0, false
	case w == words(home):
		return bet.Home, true
	case w == words(away):
		return bet.Away, true
	}
	return 0, false
}

// dollars reads an amount without going through a float.
func dollars(s string) (bet.Cents, bool) {
	whole, part, _ := strings.Cut(s, ".")
	if len(whole) > 6 || len(part) > 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+(part + "00")[:2], 10, 32)
	c := bet.Cents(n)
	return c, err == nil && whole != "" && c > 0 && c <= bet.DailyBudget
}

// clip keeps a message to a line.
func clip(s string) string {
	if short := cut(s); short != s {
		return short + "…"
	}
	return s
}

// invalidAt is the offset of the first byte that is not UTF-8.
func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// place is the line and column of an offset.
func place(data []byte, offset int) (line, column int) {
	before := data[:offset]
	return bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n')
}

// File makes the picks of a file. It never reads one: who watches the file calls
// Replace on the miner's loop.
//
// A game is wagered on once: a pick whose game already has a prediction counts
// as made, also after the file was replaced. A pick above what remains of the
// day's budget waits for a day that has it.
type File struct {
	fuzzy float64 // least likeness, percent
	file  string
	picks []FilePick
	named []named // by pick; what matched a pick that names teams
	games []fixture
	stale bool               // byGame no longer follows
	order map[bet.GameID]int // pick by game
	due   []int              // reused
}

// fixture is what File keeps of a game that has not finished: what names need.
type fixture struct {
	id         bet.GameID
	start      time.Time
	home, away string // as words
}

// named is the best match so far of a pick with the games seen.
type named struct {
	home, away string // of the pick, as words
	likeness   float64
	found      fixture
	ambiguous  bool // another pairing is as like
}

// Name is "file".
func (m *File) Name() string { return "file" }

// Replace takes the picks of a file's content in place of those held. With an
// error, of type Problems, those held stay in force.
func (m *File) Replace(name string, data []byte) error {
	picks, err := ParsePicks(name, data)
	if err != nil {
		return err
	}
	m.file, m.picks, m.stale = name, picks, true
	m.named = make([]named, len(picks))
	for i, k := range picks {
		if k.Game == "" {
			m.named[i] = named{home: words(k.Home), away: words(k.Away)}
			m.rematch(i)
		}
	}
	return nil
}

// Unmatched are the picks that are about no game known and unfinished, or about
// one that an earlier line picks.
func (m *File) Unmatched() Problems {
	m.current()
	var ps Problems
	for i, k := range m.picks {
		text := ""
		switch id := m.game(i); {
		case m.named[i].ambiguous:
			text = fmt.Sprintf("several games are like %s against %s", clip(k.Home), clip(k.Away))
		case id == "":
			text = fmt.Sprintf("no game is like %s against %s", clip(k.Home), clip(k.Away))
		case !slices.ContainsFunc(m.games, func(f fixture) bool { return f.id == id }):
			text = fmt.Sprintf("no open game has the id %s", clip(string(id)))
		case m.order[id] != i:
			text = fmt.Sprintf("game already picked on line %d", m.picks[m.order[id]].Line)
		default:
			continue
		}
		ps = append(ps, Problem{m.file, k.Line, k.Column, text})
	}
	return ps
}

// game a pick is about; "" when none is known.
func (m *File) game(i int) bet.GameID {
	if m.picks[i].Game != "" || m.named[i].ambiguous {
		return m.picks[i].Game
	}
	return m.named[i].found.id
}

// Observe keeps the names of games that can still be played.
func (m *File) Observe(now time.Time, g *bet.Game) {
	at := slices.IndexFunc(m.games, func(f fixture) bool { return f.id == g.ID })
	if g.Status == bet.Finished || g.Status == bet.Void {
		if at >= 0 {
			m.games = slices.Delete(m.games, at, at+1)
			m.rematchFrom(g.ID)
		}
		return
	}
	f := fixture{g.ID, g.Start, words(g.TeamA), words(g.TeamB)}
	switch {
	case at < 0:
		if len(m.games) == maxOpenGames {
			m.games = slices.DeleteFunc(m.games, func(f fixture) bool { return f.start.Before(now) })
			if len(m.games) == maxOpenGames {
				return
			}
		}
		m.games = append(m.games, f)
		for i := range m.picks {
			if m.picks[i].Game == "" {
				m.match(i, f)
			}
		}
	case m.games[at] != f:
		m.games[at] = f
		m.rematchFrom(g.ID)
	}
}

// rematchFrom looks again for the picks that were matched with a game.
func (m *File) rematchFrom(id bet.GameID) {
	for i := range m.named {
		if m.named[i].found.id == id {
			m.rematch(i)
		}
	}
}

func (m *File) rematch(i int) {
	n := &m.named[i]
	*n = named{home: n.home, away: n.away}
	for _, f := range m.games {
		m.match(i, f)
	}
	m.stale = true
}

// match prefers the pairing that is most alike, then the game that starts first,
// then by ID, whatever the order in which they come. Each team is compared with
// its own side only, so that one name never stands for both.
func (m *File) match(i int, f fixture) {
	n := &m.named[i]
	h, a := likeness(n.home, f.home), likeness(n.away, f.away)
	if h < m.fuzzy || a < m.fuzzy || h+a < n.likeness {
		return
	}
	m.stale = true
	switch same := f.home == n.found.home && f.away == n.found.away; {
	case h+a > n.likeness:
		n.likeness, n.found, n.ambiguous = h+a, f, false
	case !same:
		n.ambiguous = true
	case f.start.Before(n.found.start) || f.start.Equal(n.found.start) && f.id < n.found.id:
		n.found = f
	}
}

// current gives each game its first pick.
func (m *File) current() {
	if !m.stale {
		return
	}
	m.stale = false
	if m.order == nil {
		m.order = make(map[bet.GameID]int, len(m.picks))
	}
	clear(m.order)
	for i := range m.picks {
		if id := m.game(i); id != "" {
			if _, taken := m.order[id]; !taken {
				m.order[id] = i
			}
		}
	}
}

// waiting are the picks that can be made now, in order of the file.
func (m *File) waiting(now time.Time, b *Book) []int {
	m.current()
	m.due = m.due[:0]
	if len(m.order) == 0 {
		return nil
	}
	for _, g := range b.Games {
		i, ok := m.order[g.ID]
		if ok && g.Start.After(now) && Priced(g.Odds) && g.Odds[m.picks[i].Outcome] > 0 && b.Placed(g.ID) == nil {
			m.due = append(m.due, i)
		}
	}
	slices.SortFunc(m.due, cmp.Compare[int])
	return m.due
}

// Picks are those of the file whose game is offered, has no prediction yet and
// whose wager the budget allows, in order of the file.
func (m *File) Picks(now time.Time, b *Book) []Pick {
	due := m.waiting(now, b)
	left := b.Remaining
	var picks []Pick
	for n, i := range due {
		k := &m.picks[i]
		if k.Wager > left {
			continue
		}
		if picks == nil {
			picks = make([]Pick, 0, len(due)-n)
		}
		left -= k.Wager
		id := m.game(i)
		picks = append(picks, Pick{Game: id, Outcome: k.Outcome, Wager: k.Wager, Confidence: k.Confidence})
	}
	return picks
}

// Wake is midnight UTC, if a pick waits for the budget.
func (m *File) Wake(now time.Time, b *Book) time.Time {
	for _, i := range m.waiting(now, b) {
		if m.picks[i].Wager > b.Remaining {
			return nextMidnight(now)
		}
	}
	return time.Time{}
}
