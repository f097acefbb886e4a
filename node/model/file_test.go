package model

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bettensor/node/bet"
)

func TestParsePicks(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []FilePick
	}{
		{"CSV, any order, byte order mark, comments", "\ufeffwager,outcome,game_id\n# by hand\n25.50,HOME,100012\r\n1, b ,100013\n", []FilePick{
			{3, 1, "100012", "", "", bet.Home, 25_50, -1},
			{4, 1, "100013", "", "", bet.Away, 1_00, -1},
		}},
		{"by teams", "home,away,outcome,wager,confidence\nArsenal,\"Brighton, Hove\",x,0.01,0.4\nEverton,Leeds,leeds,1000,\n", []FilePick{
			{2, 1, "", "Arsenal", "Brighton, Hove", bet.Tie, 1, 0.4},
			{3, 1, "", "Everton", "Leeds", bet.Away, 1000_00, -1},
		}},
		{"JSON lines", "{\"game_id\": 7, \"outcome\":\"draw\", \"wager\":12.5, \"confidence\":null}\n\n {\"home\":\"A\",\"away\":\"B\",\"outcome\":\"a\",\"wager\":\"3\",\"confidence\":1}", []FilePick{
			{1, 1, "7", "", "", bet.Tie, 12_50, -1},
			{3, 1, "", "A", "B", bet.Home, 3_00, 1},
		}},
		{"no picks", "game_id,outcome,wager\n", nil},
	} {
		got, err := ParsePicks("p", []byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestParsePicksProblems(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", []string{"p:1:1: empty, want a header"}},
		{"unknown column", "game_id,outcome,wagger\n", []string{`p:1:17: unknown column "wagger", did you mean "wager"?`}},
		{"column twice", "wager,outcome,wager\n", []string{`p:1:15: column "wager" twice`}},
		{"all at once", "game_id,outcome,wager,confidence\n1,up,2,0.1\n2,home,-2,1.5\n,home,1,\n3,,,\n", []string{
			`p:2:3: outcome "up"`,
			`p:3:8: wager "-2"`,
			`p:3:11: confidence "1.5", want 0 to 1`,
			`p:4:1: which game?`,
			`p:5:1: no outcome`,
			`p:5:1: no wager`,
		}},
		{"fields missing", "game_id,outcome,wager\n1,home\n", []string{"p:2:1: 2 fields, want 3"}},
		{"quote open", "game_id,outcome,wager\n1,home,\"2\n", []string{"p:2:11: extraneous or missing \" in quoted-field"}},
		{"not UTF-8", "game_id,outcome,wager\n1,ho\xffme,2\n", []string{"p:2:5: not UTF-8"}},
		{"part of a cent", "game_id,outcome,wager\n1,home,0.001\n", []string{"wager \"0.001\""}},
		{"no wager at all", "game_id,outcome,wager\n1,home,0.00\n", []string{"wager \"0.00\""}},
		{"above the budget", "game_id,outcome,wager\n1,home,1000.01\n", []string{"from 0.01 to 1000"}},
		{"not a number", "game_id,outcome,wager,confidence\n1,home,1,NaN\n", []string{"p:2:10: confidence \"NaN\""}},
		{"same game twice", "game_id,outcome,wager\n1,home,1\n1,away,1\n", []string{"p:3:1: game already picked on line 2"}},
		{"same teams twice", "home,away,outcome,wager\nLeeds FC,Everton,home,1\nfc leeds,EVERTON,away,1\n", []string{"p:3:1: game already picked on line 2"}},
		{"team against itself", "home,away,outcome,wager\nLeeds,leeds,home,1\n", []string{"p:2:7: home and away are the same team"}},
		{"JSON unknown key", `{"game_id":"1","outcome":"a","wager":1,"stake":2}`, []string{`p:1:40: unknown key "stake"`}},
		{"JSON key twice", `{"wager":1,"wager":2}`, []string{`p:1:12: key "wager" twice`}},
		{"JSON value of a wrong kind", "{\"game_id\":\"1\",\"outcome\":\"a\",\"wager\":1}\n{\"game_id\": [1]}", []string{"p:2:13: want text or a number"}},
		{"JSON cut off", `{"game_id":"1"`, []string{"p:1:15: unexpected end of line"}},
		{"JSON and more", `{"game_id":"1","outcome":"a","wager":1} {}`, []string{"p:1:41: text after the object"}},
		{"JSON malformed", `{"game_id" "1"}`, []string{"p:1:12: invalid character"}},
		{"too long", strings.Repeat(" ", MaxPicksFile+1), []string{"want at most"}},
	} {
		picks, err := ParsePicks("p", []byte(c.in))
		var ps Problems
		if !errors.As(err, &ps) || picks != nil {
			t.Errorf("%s: %v, %v", c.name, picks, err)
			continue
		}
		if len(ps) != len(c.want) {
			t.Errorf("%s: %d problems, want %d:\n%v", c.name, len(ps), len(c.want), err)
			continue
		}
		for i, w := range c.want {
			if !strings.Contains(ps[i].Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, ps[i].Error(), w)
			}
		}
	}
}

func TestParsePicksLimits(t *testing.T) {
	var many strings.Builder
	many.WriteString("home,away,outcome,wager\n")
	for i := range MaxFilePicks + 10 {
		many.WriteString(strings.Repeat("a", i%90+1) + strings.Repeat("b", i/90) + ",z,home,1\n")
	}
	if _, err := ParsePicks("p", []byte(many.String())); err == nil {
		t.Error("too many picks are taken")
	}
	_, err := ParsePicks("p", []byte("game_id,outcome,wager\n"+strings.Repeat("1,2,3\n", 1000)))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != maxProblems {
		t.Errorf("%d problems are listed, want %d", len(ps), maxProblems)
	}
}

func TestLikeness(t *testing.T) {
	for _, c := range []struct {
		a, b     string
		min, max float64
	}{
		{"Arsenal", "ARSENAL", 100, 100},
		{"A.F.C. Bournemouth", "Bournemouth AFC", 100, 100},
		{"Bayern Münich", "Bayern Munich", 80, 99},
		{"Leeds", "Leeds United", partLikeness, partLikeness},
		{"Manchester United", "Manchester City", 0, 79},
		{"Arsenal", "Everton", 0, 50},
		{"", "Everton", 0, 0},
		{"---", "Everton", 0, 0},
	} {
		got := likeness(words(c.a), words(c.b))
		if got < c.min || got > c.max || got != likeness(words(c.b), words(c.a)) {
			t.Errorf("%q and %q: %v, want %v to %v both ways", c.a, c.b, got, c.min, c.max)
		}
	}
}

// TestEditsTwin is the definition by recursion.
func TestEditsTwin(t *testing.T) {
	var twin func(a, b string) int
	twin = func(a, b string) int {
		if a == "" || b == "" {
			return len(a) + len(b)
		}
		d := twin(a[1:], b[1:])
		if a[0] != b[0] {
			d++
		}
		return min(d, 1+twin(a[1:], b), 1+twin(a, b[1:]))
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.StringMatching(`[abc]{0,6}`).Draw(t, "a")
		b := rapid.StringMatching(`[abc]{0,6}`).Draw(t, "b")
		if got, want := edits(a, b), twin(a, b); got != want {
			t.Fatalf("%q to %q: %d edits, twin %d", a, b, got, want)
		}
	})
	long := strings.Repeat("é", 10*maxName)
	if got := edits(long, "x"); got != maxName {
		t.Errorf("a long name takes %d edits", got)
	}
}

func teams(id, home, away string, start time.Time) *bet.Game {
	g := game(id, start, bet.Odds{2, 3, 4})
	g.TeamA, g.TeamB = home, away
	return g
}

func (s *season) showAll(m Model) *season {
	for _, g := range s.games {
		m.Observe(noon, g)
	}
	s.placed, s.spent = map[bet.GameID][]Placed{}, map[bet.Day]bet.Cents{}
	return s
}

func TestFileMatching(t *testing.T) {
	later := noon.Add(5 * time.Hour)
	games := []*bet.Game{
		teams("1", "Manchester United", "Leeds United", later),
		teams("2", "Manchester City", "Leeds United", later),
		teams("3", "Brighton", "Everton", later.Add(72*time.Hour)),
		teams("4", "Brighton", "Everton", later),
		teams("5", "Arsenal", "Arsenal Women", later),
	}
	for _, c := range []struct {
		name, home, away string
		want             bet.GameID
		unmatched        string
	}{
		{"close spelling", "Manchester Unted", "Leeds", "1", ""},
		{"words in another order", "City Manchester", "Leeds United", "2", ""},
		{"two games alike", "Manchester", "Leeds", "", "several games are like Manchester against Leeds"},
		{"same pairing: the first to start", "Brighton", "Everton", "4", ""},
		{"sides swapped", "Everton", "Brighton", "", "no game is like Everton against Brighton"},
		{"nobody like it", "Ajax", "Leeds United", "", "no game is like"},
	} {
		for _, reverse := range []bool{false, true} {
			s := &season{games: games}
			if reverse {
				s.games = nil
				for _, g := range games {
					s.games = append([]*bet.Game{g}, s.games...)
				}
			}
			m := must(t, "file", nil).(*File)
			if !reverse { // picks before games, and after
				s.showAll(m)
			}
			if err := m.Replace("p", []byte("home,away,outcome,wager\n"+c.home+","+c.away+",home,5\n")); err != nil {
				t.Fatal(err)
			}
			s.showAll(m)
			var got bet.GameID
			if picks := m.Picks(noon, s.book(noon)); len(picks) == 1 {
				got = picks[0].Game
			}
			if got != c.want {
				t.Errorf("%s, reverse %v: game %q, want %q", c.name, reverse, got, c.want)
			}
			if us := m.Unmatched(); (c.unmatched == "") != (len(us) == 0) || len(us) > 0 && !strings.Contains(us[0].Error(), c.unmatched) {
				t.Errorf("%s, reverse %v: unmatched %v", c.name, reverse, us)
			}
		}
	}
}

func TestFile(t *testing.T) {
	later := noon.Add(5 * time.Hour)
	m := must(t, "file", nil).(*File)
	s := (&season{games: []*bet.Game{
		teams("1", "Arsenal", "Everton", later),
		teams("2", "Leeds", "Brighton", later),
		teams("3", "Fulham", "Burnley", later.Add(24*time.Hour)),
	}}).showAll(m)
	first := "game_id,outcome,wager,confidence\n3,home,600,\n2,tie,500,0.3\n1,away,10.01,\n"
	if err := m.Replace("p.csv", []byte(first)); err != nil {
		t.Fatal(err)
	}
	s.ask(t, m, noon)
	// Game 2 does not fit today's budget after game 3, and is not cut.
	want := []Pick{{"3", bet.Home, 600_00, -1}, {"1", bet.Away, 10_01, -1}}
	if d := cmp.Diff(want, s.picks); d != "" {
		t.Error(d)
	}
	if got := m.Wake(noon, s.book(noon)); !got.Equal(nextMidnight(noon)) {
		t.Errorf("wakes at %v, want midnight", got)
	}
	s.ask(t, m, noon.Add(time.Minute))
	if len(s.picks) != 2 {
		t.Errorf("picked again: %v", s.picks[2:])
	}

	if err := m.Replace("p.csv", []byte("game_id,outcome,wager\n2,home,oops\n")); err == nil {
		t.Error("a bad file is taken")
	}
	if got := m.Wake(noon, s.book(noon)); got.IsZero() {
		t.Error("a bad file displaced the picks")
	}

	if err := m.Replace("p.csv", []byte("game_id,outcome,wager\n2,home,20\n1,home,20\n99,home,1\n")); err != nil {
		t.Fatal(err)
	}
	if us := m.Unmatched(); len(us) != 1 || us[0].Error() != "p.csv:4:1: no open game has the id 99" {
		t.Errorf("unmatched: %v", us)
	}
	s.ask(t, m, noon.Add(2*time.Minute))
	if d := cmp.Diff(append(want, Pick{"2", bet.Home, 20_00, -1}), s.picks); d != "" {
		t.Error(d)
	}

	m.Observe(noon, finish(s.games[1]))
	if us := m.Unmatched(); len(us) != 2 {
		t.Errorf("unmatched after game 2 finished: %v", us)
	}

	t.Run("a team's game comes after the pick", func(t *testing.T) {
		if err := m.Replace("p", []byte("home,away,outcome,wager\nAjax,Porto,away,2\nFulham,Burnley,home,1\n")); err != nil {
			t.Fatal(err)
		}
		g := teams("7", "Ajax", "Porto", later)
		s.games = append(s.games, g)
		m.Observe(noon, g)
		moved := *g
		moved.TeamB = "Porto FC"
		s.games[3] = &moved
		m.Observe(noon, &moved)
		if got := m.Picks(noon, s.book(noon)); len(got) != 1 || got[0].Game != "7" {
			t.Errorf("%v", got)
		}
	})
	t.Run("the next game of a pairing, once the first has moved or finished", func(t *testing.T) {
		m := must(t, "file", nil).(*File)
		if err := m.Replace("p", []byte("home,away,outcome,wager\nAjax,Porto,away,2\n")); err != nil {
			t.Fatal(err)
		}
		a, b := teams("a", "Ajax", "Porto", later), teams("b", "Ajax", "Porto", later.Add(time.Hour))
		picked := func(want bet.GameID) {
			t.Helper()
			s := season{games: []*bet.Game{a, b}}
			if got := m.Picks(noon, s.book(noon)); len(got) != 1 || got[0].Game != want {
				t.Errorf("%v, want game %s", got, want)
			}
		}
		m.Observe(noon, a)
		m.Observe(noon, b)
		picked("a")
		a = teams("a", "Ajax", "Porto", later.Add(2*time.Hour))
		m.Observe(noon, a)
		picked("b")
		m.Observe(noon, finish(b))
		picked("a")
	})
	t.Run("the whole budget, and not a cent more", func(t *testing.T) {
		m := must(t, "file", nil).(*File)
		s := (&season{games: []*bet.Game{teams("a", "Ajax", "Porto", later)}}).showAll(m)
		if err := m.Replace("p", []byte("game_id,outcome,wager\na,home,100\n")); err != nil {
			t.Fatal(err)
		}
		b := s.book(noon)
		b.Remaining = 99_99
		if got := m.Picks(noon, b); got != nil {
			t.Errorf("%v of %d", got, b.Remaining)
		}
		b.Remaining = 100_00
		if got := m.Picks(noon, b); len(got) != 1 {
			t.Errorf("%v of %d", got, b.Remaining)
		}
	})
	t.Run("id and names of one game: the first line wins", func(t *testing.T) {
		if err := m.Replace("p", []byte("game_id,home,away,outcome,wager\n7,,,away,2\n,Ajax,Porto FC,home,3\n")); err != nil {
			t.Fatal(err)
		}
		if us := m.Unmatched(); len(us) != 1 || us[0].Error() != "p:3:1: game already picked on line 2" {
			t.Errorf("unmatched: %v", us)
		}
		if got := m.Picks(noon, s.book(noon)); len(got) != 1 || got[0].Wager != 2_00 {
			t.Errorf("%v", got)
		}
	})
}

// TestFileForgets: a feed that never stops offering games cannot fill memory.
func TestFileForgets(t *testing.T) {
	m := must(t, "file", nil).(*File)
	for i := range maxOpenGames {
		m.games = append(m.games, fixture{id: bet.GameID(strings.Repeat("i", i%7)), start: noon.Add(time.Duration(i%2*2-1) * time.Hour)})
	}
	m.Observe(noon, game("new", noon.Add(time.Hour), bet.Odds{}))
	if len(m.games) != maxOpenGames/2+1 {
		t.Errorf("%d games kept", len(m.games))
	}
}

func FuzzParsePicks(f *testing.F) {
	f.Add([]byte("game_id,outcome,wager\n1,home,2.50\n"))
	f.Add([]byte("home,away,outcome,wager,confidence\nA,B,x,1,0.5\n\"C\n\",D,a,3,\n"))
	f.Add([]byte("{\"game_id\":1,\"outcome\":\"a\",\"wager\":1}\n{\"home\":\"A\",\"away\":\"B\",\"outcome\":\"b\",\"wager\":\"2\"}"))
	f.Add([]byte("{\"a\":[{}],\"wager\":1e9}"))
	f.Add([]byte("\ufeff#\n{\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		picks, err := ParsePicks("p", data)
		var ps Problems
		if err != nil && (!errors.As(err, &ps) || len(ps) == 0 || len(ps) > maxProblems || picks != nil) {
			t.Fatalf("%v, %v", picks, err)
		}
		lines := strings.Count(string(data), "\n") + 2
		for _, p := range ps {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Column > len(data)+2 {
				t.Fatalf("%v is not in the file", p)
			}
		}
		for _, k := range picks {
			if k.Wager <= 0 || k.Wager > bet.DailyBudget || k.Outcome > bet.Tie || k.Confidence != -1 && !(k.Confidence >= 0 && k.Confidence <= 1) ||
				k.Game == "" && (k.Home == "" || k.Away == "") {
				t.Fatalf("pick %+v", k)
			}
		}
		m := &File{fuzzy: 80}
		if (m.Replace("p", data) == nil) != (err == nil) {
			t.Fatal("Replace and ParsePicks differ")
		}
		m.Observe(noon, teams("1", "A", "B", noon.Add(time.Hour)))
		m.Unmatched()
	})
}
