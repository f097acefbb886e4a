package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
)

var fetched = time.Date(2025, 3, 7, 10, 0, 0, 0, time.UTC)

// TestDecodeGamesAsOriginal: the original importer's fields and outcome codes.
func TestDecodeGamesAsOriginal(t *testing.T) {
	raw, err := os.ReadFile("../../testdata/wire/api_game_import.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Cases []struct {
			API     json.RawMessage
			Outcome bet.Outcome `json:"outcome_code"`
		}
		Row struct {
			ID      bet.GameID `json:"external_id"`
			TeamA   string     `json:"team_a"`
			TeamB   string     `json:"team_b"`
			OddsA   float64    `json:"team_a_odds"`
			OddsB   float64    `json:"team_b_odds"`
			Tie     float64    `json:"tie_odds"`
			CanTie  bool       `json:"can_tie"`
			Sport   string
			League  string
			Start   time.Time `json:"event_start_date"`
			Created time.Time `json:"create_date"`
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Cases) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range v.Cases {
		fetched := after(2 * time.Hour) // a result cannot be fetched before the game
		games, problems, err := DecodeGames(append(append([]byte("["), c.API...), ']'), fetched)
		if err != nil || len(games) != 1 {
			t.Fatalf("case %d: %d games, %v, %v", i, len(games), problems, err)
		}
		r := v.Row
		want := bet.Game{
			ID: r.ID, TeamA: r.TeamA, TeamB: r.TeamB, Odds: bet.Odds{r.OddsA, r.OddsB, r.Tie}, CanTie: r.CanTie,
			Sport: r.Sport, League: r.League, Start: r.Start, Created: r.Created, Updated: fetched, OddsAt: fetched,
			Active: true, Outcome: c.Outcome,
		}
		if c.Outcome != bet.Unfinished {
			want.Status, want.ResultAt = bet.Finished, r.Start.Add(2*time.Hour)
		}
		if diff := cmp.Diff(want, games[0]); diff != "" {
			t.Errorf("case %d: %s", i, diff)
		}
		var api map[string]any
		if err := json.Unmarshal(c.API, &api); err != nil {
			t.Fatal(err)
		}
		word := api["outcome"]
		unknown := word == "Cancelled" || word == 1.0
		if got := len(problems) == 1 && problems[0].Kept && errors.Is(problems[0].Err, ErrAPIOutcome); got != unknown {
			t.Errorf("case %d, outcome %v: problems %v", i, word, problems)
		}
	}
}

const item = `{"externalId":7,"teamA":"A","teamB":"B","sport":"Football","league":"NFL","date":"2025-03-08T15:00:00Z","teamAOdds":1.9,"teamBOdds":2,"canDraw":false%s}`

func TestDecodeGames(t *testing.T) {
	with := func(more string) string { return fmt.Sprintf(item, more) }
	base := bet.Game{
		ID: "7", TeamA: "A", TeamB: "B", Sport: "Football", League: "NFL", Start: start, Odds: bet.Odds{1.9, 2, 0},
		Created: start.AddDate(0, 0, -7), Updated: fetched, OddsAt: fetched, Active: true, Outcome: bet.Unfinished,
	}
	edited := func(edit func(*bet.Game)) *bet.Game { g := base; edit(&g); return &g }
	tests := []struct {
		name string
		item string
		want *bet.Game // nil: left out
		why  error     // what was reported
	}{
		{"as it is", with(""), &base, nil},
		{"id as text", strings.Replace(with(""), ":7,", `:"7",`, 1), &base, nil},
		{"id with a fraction", strings.Replace(with(""), ":7,", `:7.5,`, 1), nil, ErrAPIField},
		{"id a list", strings.Replace(with(""), ":7,", `:[7],`, 1), nil, ErrAPIField},
		{"no id", strings.Replace(with(""), `"externalId":7,`, "", 1), nil, ErrAPIField},
		{"id null", strings.Replace(with(""), ":7,", `:null,`, 1), nil, ErrAPIField},
		{"tie odds where there is none", with(`,"drawOdds":3.5`), &base, nil},
		{"fields nobody knows", with(`,"venue":{"city":["x"]}`), &base, nil},
		{"not active", with(`,"active":false`), edited(func(g *bet.Game) { g.Active = false }), nil},
		{"odds null", strings.Replace(with(""), "1.9", "null", 1), nil, ErrOdds},
		{"odds as text", strings.Replace(with(""), "1.9", `"1.9"`, 1), nil, ErrAPIField},
		{"odds beyond float64", strings.Replace(with(""), "1.9", `1e999`, 1), nil, ErrAPIField},
		{"odds too low", strings.Replace(with(""), "1.9", `0.5`, 1), nil, ErrOdds},
		{"no odds at all", strings.NewReplacer("1.9", "null", ":2,", ":null,").Replace(with("")),
			edited(func(g *bet.Game) { g.Odds, g.OddsAt = bet.Odds{}, time.Time{} }), nil},
		{"no date", strings.Replace(with(""), `"date":"2025-03-08T15:00:00Z",`, "", 1), nil, ErrTime},
		{"date in words", strings.Replace(with(""), `2025-03-08T15:00:00Z`, "tomorrow", 1), nil, ErrAPIField},
		{"date with an offset", strings.Replace(with(""), `15:00:00Z`, "16:00:00.000+01:00", 1), &base, nil},
		{"date without an offset", strings.Replace(with(""), `15:00:00Z`, "15:00:00", 1), &base, nil},
		{"date with a space", strings.Replace(with(""), `T15:00:00Z`, " 15:00:00", 1), &base, nil},
		{"draw where there is none", with(`,"outcome":"Draw"`), nil, ErrTie},
		{"status nobody knows", with(`,"status":"Delayed"`), &base, ErrAPIOutcome},
		{"void", with(`,"status":"Void"`), edited(func(g *bet.Game) { g.Status = bet.Void }), nil},
		{"postponed", with(`,"status":"Postponed"`), edited(func(g *bet.Game) { g.Status = bet.Postponed }), nil},
		{"postponed without a date", strings.Replace(with(`,"status":"Postponed"`), `"2025-03-08T15:00:00Z"`, "null", 1),
			edited(func(g *bet.Game) { g.Status, g.Start, g.Created = bet.Postponed, time.Time{}, fetched }), nil},
		{"result long before its time", with(`,"outcome":"TeamAWin"`), nil, ErrTime},
		{"result of a longer game", with(`,"outcome":"TeamAWin","lastUpdateDate":"2025-03-08T20:00:00Z"`), edited(func(g *bet.Game) {
			g.Status, g.Outcome, g.ResultAt = bet.Finished, bet.Home, start.Add(3*time.Hour+30*time.Minute)
			g.Updated, g.OddsAt = start.Add(5*time.Hour), start.Add(5*time.Hour)
		}), nil},
		{"closing odds of two numbers", with(`,"closingOdds":[2,2]`), nil, ErrAPIField},
		{"closing odds", with(`,"closingOdds":[2.5,1.5,null]`), edited(func(g *bet.Game) { g.Closing = bet.Odds{2.5, 1.5, 0} }), nil},
		{"a number", "7", nil, ErrAPIField},
		{"null", "null", nil, ErrAPIField},
		{"a list", "[[[[]]]]", nil, ErrAPIField},
		{"team name with a control character", strings.Replace(with(""), `"B"`, `"B\u0000"`, 1), nil, ErrText},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// An item left out must not take its neighbours along.
			neighbour := strings.Replace(with(""), ":7,", ":8,", 1)
			games, problems, err := DecodeGames([]byte("["+tt.item+","+neighbour+"]"), fetched)
			if err != nil {
				t.Fatal(err)
			}
			if len(games) == 0 || games[len(games)-1].ID != "8" {
				t.Fatalf("the neighbour is gone: %v", problems)
			}
			games = games[:len(games)-1]
			if tt.want == nil && len(games) != 0 || tt.want != nil && len(games) != 1 {
				t.Fatalf("%d games, problems %v", len(games), problems)
			}
			if tt.want != nil {
				if diff := cmp.Diff(*tt.want, games[0]); diff != "" {
					t.Error(diff)
				}
			}
			switch {
			case tt.why == nil && len(problems) != 0:
				t.Errorf("problems %v", problems)
			case tt.why != nil && (len(problems) != 1 || !errors.Is(problems[0].Err, tt.why) || problems[0].Item != 0 || problems[0].Kept != (tt.want != nil)):
				t.Errorf("problems %v, want %v", problems, tt.why)
			}
		})
	}
}

func TestDecodeGamesShape(t *testing.T) {
	for name, in := range map[string]string{
		"empty":              "",
		"an object":          `{"games":[]}`,
		"an error page":      "<html>",
		"not closed":         "[" + fmt.Sprintf(item, ""),
		"broken inside":      `[{"externalId":7,]`,
		"more after it":      "[] []",
		"garbage after it":   "[]x",
		"too many":           "[" + strings.Repeat("0,", MaxBatch) + "0]",
		"too large":          "[" + strings.Repeat(" ", MaxAPIBytes) + "]",
		"nested without end": strings.Repeat("[", 20_000),
	} {
		games, problems, err := DecodeGames([]byte(in), fetched)
		if !errors.Is(err, ErrAPIShape) || games != nil || problems != nil {
			t.Errorf("%s: %d games, %d problems, %v", name, len(games), len(problems), err)
		}
	}
	if games, problems, err := DecodeGames([]byte(" [ ] \n"), fetched); err != nil || games != nil || problems != nil {
		t.Errorf("an empty page: %v, %v, %v", games, problems, err)
	}
}

// TestEncodeGames: what our own API serves is read as it was.
func TestEncodeGames(t *testing.T) {
	withID := func(id bet.GameID, g bet.Game) bet.Game { g.ID = id; return g }
	postponed := at(before(time.Hour), status(bet.Postponed), starts(time.Time{}))
	unpriced := at(before(time.Hour), priced(bet.Odds{}, time.Time{}))
	noTie := game()
	noTie.CanTie, noTie.Odds[bet.Tie], noTie.Closing = false, 0, bet.Odds{2, 3, 0}
	void := at(after(time.Hour), status(bet.Void))
	void.ResultAt = after(time.Hour)
	want := []bet.Game{
		game(), withID("7654321", at(after(3*time.Hour), result(bet.Tie, after(111*time.Minute+time.Nanosecond)))),
		withID("abc \"é", postponed), withID("007", unpriced), withID("-5", noTie), withID("99999999999999999999", void),
	}
	raw, err := EncodeGames(want)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(raw), `[{"externalId":1234567,`) {
		t.Errorf("a numeric id is not a number: %.60s", raw)
	}
	got, problems, err := DecodeGames(raw, fetched)
	if err != nil || len(problems) != 0 {
		t.Fatal(problems, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := EncodeGames([]bet.Game{{}}); !errors.Is(err, ErrText) {
		t.Errorf("an impossible game was encoded: %v", err)
	}
}

// FuzzDecodeGames: no answer panics, and what is returned can be merged.
func FuzzDecodeGames(f *testing.F) {
	f.Add([]byte("[" + fmt.Sprintf(item, "") + "]"))
	f.Add([]byte("[" + fmt.Sprintf(item, `,"outcome":"TeamBWin","resultDate":"2025-03-08T15:00:00"`) + ",null]"))
	f.Fuzz(func(t *testing.T, in []byte) {
		games, _, err := DecodeGames(in, after(24*time.Hour))
		if err != nil {
			return
		}
		for _, g := range games {
			if _, _, err := Merge(nil, g); err != nil {
				t.Fatalf("decoded, but not to be believed: %v", err)
			}
		}
		raw, err := EncodeGames(games)
		if err != nil {
			t.Fatal(err)
		}
		again, problems, err := DecodeGames(raw, after(24*time.Hour))
		if err != nil || len(problems) != 0 {
			t.Fatal(problems, err)
		}
		if diff := cmp.Diff(games, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkDecodeGames(b *testing.B) {
	var items []string
	for id := range 100 {
		items = append(items, strings.Replace(fmt.Sprintf(item, ""), `"externalId":7`, fmt.Sprintf(`"externalId":%d`, id), 1))
	}
	page := []byte("[" + strings.Join(items, ",") + "]")
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if games, _, err := DecodeGames(page, fetched); err != nil || len(games) != 100 {
			b.Fatal(len(games), err)
		}
	}
}
