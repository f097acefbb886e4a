package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
)

// Limits of an answer of the games API.
const (
	// MaxAPIBytes bounds one answer: a page of 100 games takes about 40 kB.
	MaxAPIBytes = 8 << 20
	// maxAPITimeLen bounds the text of an instant.
	maxAPITimeLen = 40
	// maxAPIDepth bounds how deep arrays and objects nest: the deepest form that
	// is read nests 7.
	maxAPIDepth = 32
)

var (
	// ErrAPIShape is an answer that is not an array of objects, or too large.
	ErrAPIShape = errors.New("not an answer of the games API")
	// ErrAPIField is a field of an item with the wrong type or text.
	ErrAPIField = errors.New("bad field")
	// ErrTwice is a game of which one answer tells two things.
	ErrTwice = errors.New("two different items of one game")
	// ErrAPIOutcome is an outcome or status nobody knows: the game is kept as
	// unfinished, as the original does.
	ErrAPIOutcome = errors.New("unknown outcome, taken as unfinished")
)

// Problem is what was wrong with one item of an answer.
type Problem struct {
	Item int        // position in the answer, from 0
	Game bet.GameID // "" where the id itself is bad
	Kept bool       // a warning: the game is among those returned
	Err  error
}

// apiGame is an item of the games API. The fields from Updated on are ours:
// the original's API does not send them, and DecodeGames does without.
type apiGame struct {
	ID      json.RawMessage `json:"externalId"`
	TeamA   string          `json:"teamA"`
	TeamB   string          `json:"teamB"`
	Sport   string          `json:"sport"`
	League  string          `json:"league"`
	Start   *string         `json:"date"`
	Outcome json.RawMessage `json:"outcome"`
	OddsA   *float64        `json:"teamAOdds"`
	OddsB   *float64        `json:"teamBOdds"`
	OddsTie *float64        `json:"drawOdds"`
	CanTie  bool            `json:"canDraw"`
	Active  *bool           `json:"active,omitempty"`

	Updated  *string    `json:"lastUpdateDate,omitempty"`
	Created  *string    `json:"createDate,omitempty"`
	OddsAt   *string    `json:"oddsDate,omitempty"`
	ResultAt *string    `json:"resultDate,omitempty"`
	Status   *string    `json:"status,omitempty"` // Scheduled, Postponed, Void, Finished
	Closing  []*float64 `json:"closingOdds,omitempty"`
}

// DecodeGames reads an answer of the original's games API (spec §5.8): a JSON
// array, fetched at an instant. An item that cannot be true is left out and
// reported, one with an unknown outcome is kept and reported, a game told twice in
// different ways is left out; only an answer that is no array fails as a whole, and then nothing of it is returned.
//
// What the API does not tell is filled in the same way by every node that asks,
// because the settlement day must not depend on who asked when: created a week
// before the start, the result as long after the start as games of the sport
// take. Only Updated and OddsAt are the instant of fetching.
func DecodeGames(answer []byte, fetched time.Time) ([]bet.Game, []Problem, error) {
	return decodeItems(answer, func(raw json.RawMessage) (bet.Game, error, error) { return decodeGame(raw, fetched) })
}

// decodeItems decodes an answer item by item. One that is refused spoils no other.
func decodeItems(answer []byte, decode func(json.RawMessage) (g bet.Game, warn, err error)) ([]bet.Game, []Problem, error) {
	var games []bet.Game
	var found problems
	err := eachItem(answer, func(item int, raw json.RawMessage) {
		g, warn, err := decode(raw)
		if err != nil {
			found.refuse(item, g.ID, err)
			return
		}
		if warn != nil {
			found.warn(item, g.ID, warn)
		}
		games = append(games, g)
		found.at = append(found.at, item)
	})
	if err != nil {
		return nil, nil, err
	}
	return found.once(games), found.list, nil
}

// eachItem calls each for every item of an answer that is one JSON array of
// bounded size and depth. Where the answer is none, or not to its end, the error
// says so, after calls for what stood before.
func eachItem(answer []byte, each func(item int, raw json.RawMessage)) error {
	if len(answer) > MaxAPIBytes {
		return fmt.Errorf("%d bytes, at most %d: %w", len(answer), MaxAPIBytes, ErrAPIShape)
	}
	if !shallow(answer) {
		return fmt.Errorf("%w: nested deeper than %d", ErrAPIShape, maxAPIDepth)
	}
	dec := json.NewDecoder(bytes.NewReader(answer))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%w: no array", ErrAPIShape)
	}
	for item := 0; dec.More(); item++ {
		if item == MaxBatch {
			return fmt.Errorf("%w: more than %d games", ErrAPIShape, MaxBatch)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fmt.Errorf("%w: item %d: %w", ErrAPIShape, item, err)
		}
		each(item, raw)
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: array not closed: %w", ErrAPIShape, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: more after the array", ErrAPIShape)
	}
	return nil
}

// shallow tells whether brackets outside of texts nest no deeper than
// maxAPIDepth. It judges nothing else: what is no JSON the decoder refuses.
func shallow(answer []byte) bool {
	depth, quoted, escaped := 0, false, false
	for _, c := range answer {
		switch {
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = c != '"', c == '\\'
		case c == '"':
			quoted = true
		case c == '[' || c == '{':
			if depth++; depth > maxAPIDepth {
				return false
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return true
}

// problems gathers what was wrong with an answer.
type problems struct {
	list []Problem
	at   []int // the items that the games kept came from
}

func (p *problems) refuse(item int, id bet.GameID, err error) {
	p.list = append(p.list, Problem{Item: item, Game: id, Err: err})
}

func (p *problems) warn(item int, id bet.GameID, err error) {
	p.list = append(p.list, Problem{Item: item, Game: id, Kept: true, Err: err})
}

// once returns the games with each id once. An answer that tells two things of
// one game is believed in neither: nobody knows which was meant.
func (p *problems) once(games []bet.Game) []bet.Game {
	first := make(map[bet.GameID]int, len(games))
	drop := make([]bool, len(games))
	dropped := false
	for i := range games {
		k, twice := first[games[i].ID]
		if !twice {
			first[games[i].ID] = i
			continue
		}
		drop[i], dropped = true, true
		if games[i] != games[k] {
			drop[k] = true
			p.refuse(p.at[i], games[i].ID, fmt.Errorf("game %s: items %d and %d: %w", games[i].ID, p.at[k], p.at[i], ErrTwice))
		}
	}
	if !dropped {
		return games
	}
	kept := games[:0]
	for i := range games {
		if !drop[i] {
			kept = append(kept, games[i])
		}
	}
	return kept
}

func decodeGame(raw json.RawMessage, fetched time.Time) (g bet.Game, warn, err error) {
	var in apiGame
	if err := json.Unmarshal(raw, &in); err != nil {
		return g, nil, fmt.Errorf("%w: %w", ErrAPIField, err)
	}
	if g.ID, err = apiID(in.ID); err != nil {
		return g, nil, err
	}
	g.TeamA, g.TeamB, g.Sport, g.League = in.TeamA, in.TeamB, in.Sport, in.League
	g.CanTie = in.CanTie
	g.Active = in.Active == nil || *in.Active
	for _, f := range [...]struct {
		name string
		text *string
		to   *time.Time
	}{
		{"date", in.Start, &g.Start},
		{"lastUpdateDate", in.Updated, &g.Updated},
		{"createDate", in.Created, &g.Created},
		{"oddsDate", in.OddsAt, &g.OddsAt},
		{"resultDate", in.ResultAt, &g.ResultAt},
	} {
		if f.text == nil {
			continue
		}
		if *f.to, err = ParseTime(*f.text); err != nil {
			return g, nil, fmt.Errorf("game %s: %s: %w", g.ID, f.name, err)
		}
	}
	g.Odds = bet.Odds{number(in.OddsA), number(in.OddsB), number(in.OddsTie)}
	if !g.CanTie {
		g.Odds[bet.Tie] = 0 // the API has a price for what cannot happen
	}
	if n := len(in.Closing); n != 0 && n != len(g.Closing) {
		return g, nil, fmt.Errorf("game %s: closingOdds: %w: %d numbers", g.ID, ErrAPIField, n)
	}
	for i, x := range in.Closing {
		g.Closing[i] = number(x)
	}
	warn = apiResult(&g, &in)
	if g.Updated.IsZero() {
		g.Updated = fetched
	}
	if g.Created.IsZero() && !g.Start.IsZero() {
		g.Created = g.Start.AddDate(0, 0, -7)
	}
	if g.Status == bet.Finished && g.ResultAt.IsZero() {
		g.ResultAt = g.Start.Add(playingTime(g.Sport))
	}
	g = complete(g)
	return g, warn, Validate(&g)
}

// apiID takes the id as a whole number or as text.
func apiID(raw json.RawMessage) (bet.GameID, error) {
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err == nil && plain(s, MaxIDLen) {
			return bet.GameID(s), nil
		}
	} else if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return bet.GameID(strconv.FormatInt(n, 10)), nil
	}
	return "", fmt.Errorf("externalId: %w: %.80q", ErrAPIField, raw)
}

// apiResult sets status and outcome. The original knows only outcomes; a word
// it does not know, or anything that is no word, leaves the game unfinished.
func apiResult(g *bet.Game, in *apiGame) (warn error) {
	g.Outcome = bet.Unfinished
	var word string
	if len(in.Outcome) > 0 && in.Outcome[0] == '"' {
		json.Unmarshal(in.Outcome, &word) // it is text, or the item would not have been read
	} else if len(in.Outcome) > 0 && string(in.Outcome) != "null" {
		warn = fmt.Errorf("game %s: outcome %.40q: %w", g.ID, in.Outcome, ErrAPIOutcome)
	}
	switch word {
	case "", "Unfinished":
	case "TeamAWin":
		g.Status, g.Outcome = bet.Finished, bet.Home
	case "TeamBWin":
		g.Status, g.Outcome = bet.Finished, bet.Away
	case "Draw":
		g.Status, g.Outcome = bet.Finished, bet.Tie
	default:
		warn = fmt.Errorf("game %s: outcome %.40q: %w", g.ID, word, ErrAPIOutcome)
	}
	if in.Status == nil {
		return warn
	}
	switch *in.Status {
	case "Scheduled", "Finished": // the outcome tells
	case "Postponed":
		g.Status, g.Outcome = bet.Postponed, bet.Unfinished
	case "Void":
		g.Status, g.Outcome = bet.Void, bet.Unfinished
	default:
		warn = fmt.Errorf("game %s: status %.40q: %w", g.ID, *in.Status, ErrAPIOutcome)
	}
	return warn
}

// playingTime is how long after the start a result is dated where the feed
// gives no time: about as long as games of the sport take.
func playingTime(sport string) time.Duration {
	switch strings.ToLower(sport) {
	case "soccer":
		return 2 * time.Hour
	case "football", "baseball":
		return 3*time.Hour + 30*time.Minute
	}
	return 3 * time.Hour
}

func number(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}

// timeForms are the ISO forms seen from Python: with an offset, with Z, with
// neither (then UTC), with T or a space. Fractions are read by all of them.
var timeForms = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
}

// ParseTime reads an instant as feeds write it, in UTC.
func ParseTime(s string) (time.Time, error) {
	if len(s) <= maxAPITimeLen {
		for _, form := range timeForms {
			if t, err := time.Parse(form, s); err == nil {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%w: time %.60q", ErrAPIField, s)
}

// EncodeGames writes games as an answer of the API that DecodeGames reads back,
// with the fields of ours: a games API of our own serves it, and a peer of the
// original reads of it what it knows.
func EncodeGames(games []bet.Game) ([]byte, error) {
	out := make([]apiGame, len(games))
	for i := range games {
		g := &games[i]
		if err := Validate(g); err != nil {
			return nil, err
		}
		id := json.RawMessage(g.ID) // a number where it is one, as the original has it
		if n, err := strconv.ParseInt(string(g.ID), 10, 64); err != nil || strconv.FormatInt(n, 10) != string(g.ID) {
			if id, err = json.Marshal(string(g.ID)); err != nil {
				return nil, fmt.Errorf("game %s: %w", g.ID, err)
			}
		}
		out[i] = apiGame{
			ID:       id,
			TeamA:    g.TeamA,
			TeamB:    g.TeamB,
			Sport:    g.Sport,
			League:   g.League,
			Start:    timeText(g.Start),
			Outcome:  json.RawMessage("null"),
			OddsA:    priceOf(g.Odds[bet.Home]),
			OddsB:    priceOf(g.Odds[bet.Away]),
			OddsTie:  priceOf(g.Odds[bet.Tie]),
			CanTie:   g.CanTie,
			Active:   &g.Active,
			Updated:  timeText(g.Updated),
			Created:  timeText(g.Created),
			OddsAt:   timeText(g.OddsAt),
			ResultAt: timeText(g.ResultAt),
			Status:   &statusWords[g.Status],
		}
		if g.Status == bet.Finished {
			out[i].Outcome = outcomeWords[g.Outcome]
		}
		if g.Closing != (bet.Odds{}) {
			out[i].Closing = []*float64{&g.Closing[0], &g.Closing[1], &g.Closing[2]}
		}
	}
	return json.Marshal(out)
}

var (
	statusWords  = [...]string{"Scheduled", "Postponed", "Void", "Finished"}
	outcomeWords = [...]json.RawMessage{
		json.RawMessage(`"TeamAWin"`), json.RawMessage(`"TeamBWin"`), json.RawMessage(`"Draw"`),
	}
)

func timeText(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339Nano)
	return &s
}

func priceOf(x float64) *float64 {
	if x == 0 {
		return nil
	}
	return &x
}
