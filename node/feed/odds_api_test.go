package feed

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/feed/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDecodeSports(t *testing.T) {
	got, err := DecodeSports(fixture(t, "odds_sports.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := []OddsSport{{"americanfootball_nfl", "NFL", true}, {"soccer_epl", "EPL", true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, in := range []string{`{"message":"no"}`, `[{"key":7}]`, `[{}]`, `[`} {
		if got, err := DecodeSports([]byte(in)); err == nil || got != nil {
			t.Errorf("%s was read as %v", in, got)
		}
	}
}

// TestDecodeOdds: the mean of the bookmakers that price every outcome plausibly;
// a running game keeps no price; one without a price is not offered.
func TestDecodeOdds(t *testing.T) {
	games, problems, err := DecodeOdds(fixture(t, "odds_soccer_epl.json"), fetched, nil)
	if err != nil || len(games) != 4 {
		t.Fatal(len(games), err)
	}
	at := func(s string) time.Time {
		x, err := ParseTime(s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	want := bet.Game{ID: "e912304de2b2ce35b473ce2ecd3d1502", Sport: "Soccer", League: "EPL", TeamA: "Arsenal", TeamB: "Chelsea", CanTie: true,
		Active: true, Start: at("2025-03-08T15:00:00Z"), Created: at("2025-03-01T15:00:00Z"), Updated: fetched,
		Odds: bet.Odds{1.94, 4.35, 3.63}, OddsAt: at("2025-03-07T09:59:12Z"), Outcome: bet.Unfinished}
	if diff := cmp.Diff(want, games[0]); diff != "" {
		t.Error(diff)
	}
	if g := games[2]; g.Active || g.Odds != (bet.Odds{}) {
		t.Errorf("a running game is offered: %+v", g)
	}
	if g := games[3]; g.Active || len(problems) != 1 || !problems[0].Kept || !errors.Is(problems[0].Err, ErrNoLine) {
		t.Errorf("a game without prices: %+v, %v", g, problems)
	}
	one, _, err := DecodeOdds(fixture(t, "odds_soccer_epl.json"), fetched, []string{"pinnacle"})
	if err != nil || one[0].Odds != (bet.Odds{1.92, 4.3, 3.6}) || !one[0].OddsAt.Equal(at("2025-03-07T09:58:41Z")) {
		t.Errorf("one bookmaker: %+v, %v", one, err)
	}
	// A bookmaker's clock may be ahead of ours; its price is no newer than the answer.
	early := at("2025-03-07T09:00:30Z")
	if ahead, _, _ := DecodeOdds(fixture(t, "odds_soccer_epl.json"), early, nil); !ahead[0].OddsAt.Equal(early) {
		t.Errorf("odds made at %v, before they were fetched at %v", ahead[0].OddsAt, early)
	}
}

func TestDecodeScores(t *testing.T) {
	games, problems, err := DecodeScores(fixture(t, "odds_scores_epl.json"), fetched)
	if err != nil || len(problems) != 0 || len(games) != 4 {
		t.Fatal(len(games), problems, err)
	}
	for i, want := range []struct {
		status  bet.Status
		outcome bet.Outcome
	}{{bet.Scheduled, bet.Unfinished}, {bet.Finished, bet.Tie}, {bet.Finished, bet.Away}, {bet.Scheduled, bet.Unfinished}} {
		g := games[i]
		if g.Status != want.status || g.Outcome != want.outcome || g.Active || g.Odds != (bet.Odds{}) {
			t.Errorf("game %d: %+v, want %v %v", i, g, want.status, want.outcome)
		}
		if g.Resulted() && !g.ResultAt.Equal(g.Start.Add(2*time.Hour)) {
			t.Errorf("game %d: the result is dated %v", i, g.ResultAt)
		}
	}
	nfl, _, err := DecodeScores(fixture(t, "odds_scores_nfl.json"), fetched)
	if err != nil || len(nfl) != 1 || nfl[0].Status != bet.Void || nfl[0].CanTie {
		t.Errorf("a tie of a game that cannot tie: %+v, %v", nfl, err)
	}
}

// TestDecodeOddsLies: an item that cannot be true is left out and told of; an
// answer that is none fails whole.
func TestDecodeOddsLies(t *testing.T) {
	const event = `{"id":"e1","sport_key":"soccer_epl","sport_title":"EPL","commence_time":"2025-03-08T15:00:00Z","home_team":"A","away_team":"B"%s}`
	const score = `,"completed":true,"scores":[{"name":"A","score":"%s"},{"name":"%s","score":"1"}]`
	book := func(a, b, tie string) string {
		return `,"bookmakers":[{"key":"x","last_update":"2025-03-07T09:00:00Z","markets":[{"key":"h2h","outcomes":[{"name":"A","price":` + a +
			`},{"name":"B","price":` + b + `},{"name":"Draw","price":` + tie + `}]}]}]`
	}
	day := fetched.AddDate(0, 0, 2)
	for name, c := range map[string]struct {
		in      string
		fetched time.Time
		decode  func([]byte, time.Time) ([]bet.Game, []Problem, error)
		kept    bool
	}{
		"price of 1":              {fmt.Sprintf(event, book("1", "3", "3")), fetched, odds, true},
		"price below 0":           {fmt.Sprintf(event, book("-150", "3", "3")), fetched, odds, true},
		"american prices":         {fmt.Sprintf(event, book("150", "-180", "240")), fetched, odds, true},
		"american, all positive":  {fmt.Sprintf(event, book("150", "180", "240")), fetched, odds, true},
		"no market":               {fmt.Sprintf(event, book("1.1", "1.1", "1.1")), fetched, odds, true},
		"price beyond reason":     {fmt.Sprintf(event, book("1e300", "3", "3")), fetched, odds, true},
		"price too large a float": {fmt.Sprintf(event, book("1e400", "3", "3")), fetched, odds, false},
		"price as text":           {fmt.Sprintf(event, book(`"2"`, "3", "3")), fetched, odds, false},
		"unknown outcome":         {strings.Replace(fmt.Sprintf(event, book("2", "3", "3")), `"name":"B"`, `"name":"C"`, 1), fetched, odds, true},
		"the same team":           {strings.Replace(fmt.Sprintf(event, ""), `"away_team":"B"`, `"away_team":"A"`, 1), fetched, odds, false},
		"no id":                   {strings.Replace(fmt.Sprintf(event, ""), `"e1"`, `""`, 1), fetched, odds, false},
		"unknown sport":           {strings.Replace(fmt.Sprintf(event, ""), "soccer_epl", "politics_us", 1), fetched, odds, false},
		"no start":                {strings.Replace(fmt.Sprintf(event, ""), "2025-03-08T15:00:00Z", "soon", 1), fetched, odds, false},
		"start in another age":    {strings.Replace(fmt.Sprintf(event, ""), "2025", "9025", 1), fetched, odds, false},
		"over before it began":    {fmt.Sprintf(event, fmt.Sprintf(score, "2", "B")), fetched, DecodeScores, false},
		"score below 0":           {fmt.Sprintf(event, fmt.Sprintf(score, "-2", "B")), day, DecodeScores, true},
		"score no number":         {fmt.Sprintf(event, fmt.Sprintf(score, "two", "B")), day, DecodeScores, true},
		"score of one team":       {fmt.Sprintf(event, fmt.Sprintf(score, "2", "A")), day, DecodeScores, true},
		"score of another team":   {fmt.Sprintf(event, fmt.Sprintf(score, "2", "C")), day, DecodeScores, true},
		"over without a score":    {fmt.Sprintf(event, `,"completed":true,"scores":null`), day, DecodeScores, true},
		"two of one game":         {fmt.Sprintf(event, "") + "," + strings.Replace(fmt.Sprintf(event, ""), `"B"`, `"C"`, 1), fetched, DecodeScores, false},
	} {
		games, problems, err := c.decode([]byte("["+c.in+"]"), c.fetched)
		if err != nil || len(problems) != 1 && name != "two of one game" || len(problems) == 0 || problems[0].Kept != c.kept {
			t.Errorf("%s: %v, %v", name, problems, err)
			continue
		}
		if !c.kept && len(games) != 0 || c.kept && (len(games) != 1 || games[0].Active || games[0].Resulted()) {
			t.Errorf("%s: %+v", name, games)
		}
	}
	for name, in := range map[string]string{
		"error body": `{"message":"API key is not valid","error_code":"INVALID_KEY"}`,
		"page":       "<!doctype html><html>", "cut": "[" + fmt.Sprintf(event, ""), "NaN": "[" + fmt.Sprintf(event, book("NaN", "3", "3")) + "]",
		"deep": "[" + strings.Repeat(`{"a":[`, 40) + strings.Repeat("]}", 40) + "]",
	} {
		for _, decode := range []func([]byte, time.Time) ([]bet.Game, []Problem, error){odds, DecodeScores} {
			if games, _, err := decode([]byte(in), fetched); !errors.Is(err, ErrAPIShape) || games != nil {
				t.Errorf("%s: %v, %v", name, games, err)
			}
		}
	}
}

func odds(in []byte, at time.Time) ([]bet.Game, []Problem, error) { return DecodeOdds(in, at, nil) }

// TestDecodeTwice: one game told twice is told once; told in two ways, not at all.
func TestDecodeTwice(t *testing.T) {
	one := fmt.Sprintf(item, "")
	other := strings.Replace(one, `"teamAOdds":1.9`, `"teamAOdds":19`, 1)
	third := strings.Replace(one, `"externalId":7`, `"externalId":8`, 1)
	if games, problems, err := DecodeGames([]byte("["+one+","+one+","+third+"]"), fetched); err != nil || len(games) != 2 || len(problems) != 0 {
		t.Errorf("the same twice: %v, %v, %v", games, problems, err)
	}
	games, problems, err := DecodeGames([]byte("["+one+","+third+","+other+"]"), fetched)
	if err != nil || len(games) != 1 || games[0].ID != "8" || len(problems) != 1 || !errors.Is(problems[0].Err, ErrTwice) || problems[0].Item != 2 {
		t.Errorf("two different: %v, %v, %v", games, problems, err)
	}
}

// FuzzDecodeOdds: no answer of any of the three endpoints panics, and what is
// returned can be merged.
func FuzzDecodeOdds(f *testing.F) {
	for _, name := range []string{"odds_sports.json", "odds_soccer_epl.json", "odds_scores_epl.json", "odds_scores_nfl.json"} {
		f.Add(fixture(f, name), int64(0))
	}
	f.Fuzz(func(t *testing.T, in []byte, late int64) {
		at := fetched.Add(time.Duration(late % int64(1000*time.Hour)))
		sports, err := DecodeSports(in)
		for _, s := range sports {
			if err != nil || !KnownOddsSport(s.Key) {
				t.Fatalf("sport %q, %v", s.Key, err)
			}
		}
		for _, decode := range []func([]byte, time.Time) ([]bet.Game, []Problem, error){odds, DecodeScores} {
			games, _, err := decode(in, at)
			if err != nil && games != nil {
				t.Fatal("games beside an error")
			}
			seen := map[bet.GameID]bool{}
			for _, g := range games {
				if _, _, err := Merge(nil, g); err != nil {
					t.Fatalf("decoded, but not to be believed: %v", err)
				}
				if g.Bettable(at) && !g.Odds.Offers(g.CanTie) || seen[g.ID] {
					t.Fatalf("not to be offered: %+v", g)
				}
				seen[g.ID] = true
			}
		}
	})
}

func BenchmarkDecodeOdds(b *testing.B) {
	page := fixture(b, "odds_soccer_epl.json")
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if games, _, err := DecodeOdds(page, fetched, nil); err != nil || len(games) != 4 {
			b.Fatal(len(games), err)
		}
	}
}
