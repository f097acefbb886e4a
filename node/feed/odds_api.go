package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
)

// ErrNoLine is a game without a price that can be offered: it is kept, and not
// offered.
var ErrNoLine = errors.New("no bookmaker prices every outcome")

// OddsSport is a competition of The Odds API.
type OddsSport struct {
	Key    string // soccer_epl, as the other endpoints want it
	Title  string // EPL
	Active bool   // in season: its odds are worth a credit
}

// oddsSports says, by the part of a sport's key before the first underscore,
// what our models call the sport and whether its games can tie. Whether a game
// can tie is what it is and must not follow from who quotes a price for it.
var oddsSports = [...]struct {
	prefix, sport string
	canTie        bool
}{
	{"soccer", "Soccer", true},
	{"americanfootball", "Football", false},
	{"baseball", "Baseball", false},
	{"basketball", "Basketball", false},
	{"icehockey", "Hockey", false},
}

// KnownOddsSport tells whether games of a sport key of The Odds API can be read.
func KnownOddsSport(key string) bool {
	_, _, ok := oddsSport(key)
	return ok
}

func oddsSport(key string) (sport string, canTie, ok bool) {
	prefix, rest, _ := strings.Cut(key, "_")
	for _, s := range oddsSports {
		if s.prefix == prefix && rest != "" {
			return s.sport, s.canTie, true
		}
	}
	return "", false, false
}

// oddsEvent is an item of the odds and of the scores endpoint.
type oddsEvent struct {
	ID         string          `json:"id"`
	SportKey   string          `json:"sport_key"`
	SportTitle string          `json:"sport_title"`
	Start      string          `json:"commence_time"`
	Home       string          `json:"home_team"`
	Away       string          `json:"away_team"`
	Bookmakers []oddsBookmaker `json:"bookmakers"`

	Completed bool         `json:"completed"`
	Scores    []oddsResult `json:"scores"`
}

type oddsBookmaker struct {
	Key     string       `json:"key"`
	Updated string       `json:"last_update"`
	Markets []oddsMarket `json:"markets"`
}

type oddsMarket struct {
	Key      string      `json:"key"`
	Updated  string      `json:"last_update"`
	Outcomes []oddsPrice `json:"outcomes"`
}

type oddsPrice struct {
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

type oddsResult struct {
	Name  string `json:"name"`
	Score string `json:"score"`
}

// headToHead is the market of who wins, drawName its third outcome.
const (
	headToHead = "h2h"
	drawName   = "Draw"
)

// Implied probabilities of a bookmaker's prices sum to 1.00 to 1.15. Below
// leastBook anybody would win by taking every side, so they are no decimal
// prices (American ones sum to a few hundredths); above mostBook they are no
// market.
const (
	leastBook = 0.9
	mostBook  = 2
)

// DecodeSports reads The Odds API's list of competitions, without those that are
// no games between two teams and those that cannot be read.
func DecodeSports(answer []byte) ([]OddsSport, error) {
	var out []OddsSport
	var bad error
	err := eachItem(answer, func(item int, raw json.RawMessage) {
		var in struct {
			Key       string `json:"key"`
			Title     string `json:"title"`
			Active    bool   `json:"active"`
			Outrights bool   `json:"has_outrights"`
		}
		if err := json.Unmarshal(raw, &in); err != nil || !plain(in.Key, MaxIDLen) || !plain(in.Title, MaxNameLen) {
			bad = fmt.Errorf("sport %d: %w", item, ErrAPIField)
			return
		}
		if !in.Outrights && KnownOddsSport(in.Key) {
			out = append(out, OddsSport{Key: in.Key, Title: in.Title, Active: in.Active})
		}
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DecodeOdds reads an answer of The Odds API's odds endpoint (version 4, decimal
// prices, ISO times), fetched at an instant. A game's price is the mean over the
// bookmakers that price every outcome, rounded to hundredths; with bookmakers
// given, over those of them alone. A game that has begun keeps no price: it is
// one of the running game. Problems are as DecodeGames has them.
//
// Games are created a week before the start, as those of the games API; Updated
// is the instant of fetching and OddsAt that of the newest price in the mean.
func DecodeOdds(answer []byte, fetched time.Time, bookmakers []string) ([]bet.Game, []Problem, error) {
	return decodeEvents(answer, fetched, func(g *bet.Game, in *oddsEvent) (warn, err error) {
		if !fetched.Before(g.Start) {
			return nil, nil
		}
		g.Odds, g.OddsAt = meanOdds(in, g, bookmakers, fetched)
		g.Active = g.Odds != (bet.Odds{})
		if !g.Active {
			return fmt.Errorf("game %s: %w", g.ID, ErrNoLine), nil
		}
		return nil, nil
	})
}

// DecodeScores reads an answer of The Odds API's scores endpoint, fetched at an
// instant. It brings results, not prices, and no game of it is offered. A game
// that cannot tie and did is void, as bookmakers push such wagers. Results are
// dated by the kick-off and the sport, so that every node dates them alike.
func DecodeScores(answer []byte, fetched time.Time) ([]bet.Game, []Problem, error) {
	return decodeEvents(answer, fetched, func(g *bet.Game, in *oddsEvent) (warn, err error) {
		if !in.Completed {
			return nil, nil
		}
		if fetched.Before(g.Start) {
			return nil, fmt.Errorf("game %s: %w: completed before its start %s", g.ID, ErrTime, g.Start.Format(time.RFC3339))
		}
		home, away, err := finalScore(in)
		if err != nil {
			return fmt.Errorf("game %s: %w", g.ID, err), nil
		}
		g.Status, g.ResultAt = bet.Finished, g.Start.Add(playingTime(g.Sport))
		switch {
		case home > away:
			g.Outcome = bet.Home
		case home < away:
			g.Outcome = bet.Away
		case g.CanTie:
			g.Outcome = bet.Tie
		default:
			g.Status = bet.Void
		}
		return nil, nil
	})
}

// decodeEvents reads what both endpoints tell of a game and leaves the rest to add.
func decodeEvents(answer []byte, fetched time.Time, add func(*bet.Game, *oddsEvent) (warn, err error)) ([]bet.Game, []Problem, error) {
	return decodeItems(answer, func(raw json.RawMessage) (bet.Game, error, error) { return decodeEvent(raw, fetched, add) })
}

func decodeEvent(raw json.RawMessage, fetched time.Time, add func(*bet.Game, *oddsEvent) (warn, err error)) (g bet.Game, warn, err error) {
	var in oddsEvent
	if err := json.Unmarshal(raw, &in); err != nil {
		return g, nil, fmt.Errorf("%w: %w", ErrAPIField, err)
	}
	if !plain(in.ID, MaxIDLen) {
		return g, nil, fmt.Errorf("id: %w: %.80q", ErrAPIField, in.ID)
	}
	g = bet.Game{ID: bet.GameID(in.ID), TeamA: in.Home, TeamB: in.Away, League: in.SportTitle, Updated: fetched, Outcome: bet.Unfinished}
	known := false
	if g.Sport, g.CanTie, known = oddsSport(in.SportKey); !known {
		return g, nil, fmt.Errorf("game %s: sport_key: %w: %.80q", g.ID, ErrAPIField, in.SportKey)
	}
	if g.League == "" { // older answers have no title
		g.League = in.SportKey
	}
	if g.Start, err = ParseTime(in.Start); err != nil {
		return g, nil, fmt.Errorf("game %s: commence_time: %w", g.ID, err)
	}
	g.Created = g.Start.AddDate(0, 0, -7)
	if warn, err = add(&g, &in); err != nil {
		return g, nil, err
	}
	g = complete(g)
	return g, warn, Validate(&g)
}

// meanOdds is the mean price of each outcome and when the newest of them was
// made, no later than fetched: a bookmaker's clock is not ours.
func meanOdds(in *oddsEvent, g *bet.Game, bookmakers []string, fetched time.Time) (mean bet.Odds, at time.Time) {
	var sum bet.Odds
	n := 0
	for i := range in.Bookmakers {
		b := &in.Bookmakers[i]
		if len(bookmakers) > 0 && !slices.Contains(bookmakers, b.Key) {
			continue
		}
		for k := range b.Markets {
			m := &b.Markets[k]
			odds, ok := marketOdds(m, g)
			if m.Key != headToHead || !ok {
				continue
			}
			for o := range sum {
				sum[o] += odds[o]
			}
			n++
			made, err := ParseTime(m.Updated)
			if err != nil {
				made, err = ParseTime(b.Updated)
			}
			if err != nil || made.After(fetched) {
				made = fetched
			}
			if made.After(at) {
				at = made
			}
			break
		}
	}
	if n == 0 {
		return bet.Odds{}, time.Time{}
	}
	for o := range sum {
		mean[o] = math.Round(100*sum[o]/float64(n)) / 100
	}
	if !mean.Offers(g.CanTie) {
		return bet.Odds{}, time.Time{}
	}
	return mean, at
}

// marketOdds are the prices of one bookmaker; ok where each outcome that the
// game can have is priced once, and plausibly.
func marketOdds(m *oddsMarket, g *bet.Game) (odds bet.Odds, ok bool) {
	for _, p := range m.Outcomes {
		o := bet.Unfinished
		switch p.Name {
		case g.TeamA:
			o = bet.Home
		case g.TeamB:
			o = bet.Away
		case drawName:
			o = bet.Tie
		}
		if o == bet.Unfinished || odds[o] != 0 || o == bet.Tie && !g.CanTie {
			return bet.Odds{}, false
		}
		odds[o] = p.Price
	}
	if !odds.Offers(g.CanTie) || (odds[bet.Tie] != 0) != g.CanTie {
		return bet.Odds{}, false
	}
	book := 1/odds[bet.Home] + 1/odds[bet.Away]
	if g.CanTie {
		book += 1 / odds[bet.Tie]
	}
	return odds, book >= leastBook && book <= mostBook
}

// finalScore is the score of both sides, whatever their order.
func finalScore(in *oddsEvent) (home, away int, err error) {
	seen := 0
	for _, s := range in.Scores {
		n, err := strconv.Atoi(s.Score)
		if err != nil || n < 0 {
			return 0, 0, fmt.Errorf("%w: score %.20q", ErrAPIOutcome, s.Score)
		}
		switch s.Name {
		case in.Home:
			home = n
			seen |= 1
		case in.Away:
			away = n
			seen |= 2
		}
	}
	if seen != 3 || len(in.Scores) != 2 {
		return 0, 0, fmt.Errorf("%w: no score of both teams", ErrAPIOutcome)
	}
	return home, away, nil
}
