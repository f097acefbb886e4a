package market

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

const samples = "../../testdata/market/"

func sample(t testing.TB, name string) File {
	t.Helper()
	b, err := os.ReadFile(samples + name)
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: name, Data: b}
}

func utc(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestFromFiles(t *testing.T) {
	m, ps := FromFiles([]File{sample(t, "two-leagues.csv"), sample(t, "football-data.csv")}, 1, FileOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	type row struct {
		ID                 bet.GameID
		League, Home, Away string
		Start              time.Time
		Open, Close        bet.Odds // home, away, tie
		Result             bet.Outcome
	}
	var got []row
	for _, f := range m.Fixtures() {
		got = append(got, row{f.ID, f.League, f.TeamA, f.TeamB, f.Start, f.Open, f.Close, f.Result})
		if f.Sport != "Soccer" || !f.CanTie || !f.Opens.Equal(f.Start.Add(-8*24*time.Hour)) || !f.ResultAt.Equal(f.Start.Add(2*time.Hour)) {
			t.Errorf("%s: %+v", f.ID, f)
		}
	}
	want := []row{
		// UK time in winter; quotes and a comma within fields.
		{"100000", "X1", "Alderton", `Birch "Old" wick`, utc("2030-01-12 12:30"), bet.Odds{1.91, 4.33, 3.75}, bet.Odds{1.85, 4.6, 3.8}, bet.Home},
		// Central European time, winter; equal kick-offs by league.
		{"100001", "bay-league", "Elmstead", "Fernhaven", utc("2030-03-30 14:30"), bet.Odds{2.95, 2.4, 3.3}, bet.Odds{3.1, 2.3, 3.3}, bet.Away},
		{"100002", "coast-league", "Alderton", "Birchwick", utc("2030-03-30 14:30"), bet.Odds{1.82, 4.5, 3.6}, bet.Odds{1.74, 4.9, 3.75}, bet.Home},
		// The day the clocks went forward, and in autumn the days around their going back.
		{"100003", "coast-league", "Cinderford", "Dunmouth", utc("2030-03-31 13:30"), bet.Odds{2.6, 2.8, 3.2}, bet.Odds{2.75, 2.7, 3.15}, bet.Tie},
		// No time: 15:00 in UK summer. Pinnacle has no opening and no whole closing triple: the average.
		{"100004", "X1", "Cinderford", "Dunmouth", utc("2030-07-12 14:00"), bet.Odds{2.5, 2.9, 3.2}, bet.Odds{2.55, 2.8, 3.15}, bet.Tie},
		// Only Bet365 has prices; an empty field too many is let pass.
		{"100005", "X1", "Elmstead", "Fernhaven", utc("2030-07-13 16:30"), bet.Odds{4.5, 1.75, 3.9}, bet.Odds{4.75, 1.7, 4}, bet.Away},
		{"100006", "coast-league", "Birchwick", "Alderton", utc("2030-10-26 13:30"), bet.Odds{3.4, 2.15, 3.4}, bet.Odds{3.2, 2.25, 3.4}, bet.Away},
		{"100007", "coast-league", "Dunmouth", "Cinderford", utc("2030-10-27 14:30"), bet.Odds{2.1, 3.6, 3.3}, bet.Odds{2.05, 3.75, 3.3}, bet.Home},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	start, end := m.Span()
	if !start.Equal(utc("2030-01-04 12:30")) || !end.Equal(utc("2030-10-29 16:30")) {
		t.Errorf("span %s to %s", start, end)
	}
}

// TestProblems: every problem of every file is told with its place and what was
// expected.
func TestProblems(t *testing.T) {
	names, err := filepath.Glob(samples + "broken*.csv")
	if err != nil || len(names) == 0 {
		t.Fatal("no samples", err)
	}
	var out strings.Builder
	for _, n := range names {
		m, ps := FromFiles([]File{sample(t, filepath.Base(n))}, 1, FileOptions{})
		if m != nil || len(ps) == 0 {
			t.Errorf("%s: taken", n)
		}
		for _, p := range ps {
			fmt.Fprintln(&out, p)
		}
	}
	golden := samples + "problems.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Error(d)
	}
}

func TestProblemsOfAllFilesAtOnce(t *testing.T) {
	a, b := sample(t, "broken-empty.csv"), sample(t, "broken-header.csv")
	_, both := FromFiles([]File{a, b}, 1, FileOptions{})
	_, one := FromFiles([]File{a}, 1, FileOptions{})
	_, other := FromFiles([]File{b}, 1, FileOptions{})
	if d := cmp.Diff(append(one, other...), both); d != "" {
		t.Error(d)
	}
	good := sample(t, "two-leagues.csv")
	_, twice := FromFiles([]File{good, {Name: "again.csv", Data: append(good.Data[:len(good.Data):len(good.Data)], '\n')}}, 1, FileOptions{})
	if len(twice) != 5 || !strings.Contains(twice[0].String(), `again.csv:2:1: expected each game once, got "Alderton" against "Birchwick" of that day again (first at two-leagues.csv:2)`) {
		t.Error(twice)
	}
	_, same := FromFiles([]File{good, {Name: "same.csv", Data: good.Data}}, 1, FileOptions{})
	if len(same) != 1 || same[0].String() != "same.csv:1:1: expected each file of games once, got what is in "+good.Name+" again" {
		t.Error(same)
	}
	if _, ps := FromFiles(nil, 1, FileOptions{}); len(ps) != 1 {
		t.Error(ps)
	}
	if _, ps := FromFiles([]File{good}, 1, FileOptions{Step: time.Second}); len(ps) != 1 {
		t.Error(ps)
	}
}

// A header's cell may hold anything; what a message says of it is shown on a
// terminal.
func TestNearestNamesAreShownQuoted(t *testing.T) {
	f := sample(t, "football-data.csv")
	f.Data = []byte(strings.Replace(string(f.Data), "FTHG", "\x1b]FTHG", 1))
	_, ps := FromFiles([]File{f}, 1, FileOptions{})
	if len(ps) == 0 || !strings.Contains(ps[0].String(), `(nearest: "\x1b]FTHG")`) {
		t.Error(ps)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	f := sample(t, "two-leagues.csv")
	f.Data = append(f.Data, strings.Repeat("x,y\n", 250)...)
	_, ps := FromFiles([]File{f}, 1, FileOptions{})
	if len(ps) != maxProblems+1 || ps[maxProblems].String() != "and 150 problems more" {
		t.Errorf("%d problems, last %q", len(ps), ps[len(ps)-1])
	}
}

func FuzzFromFiles(f *testing.F) {
	names, _ := filepath.Glob(samples + "*.csv")
	for _, n := range names {
		f.Add(sample(f, filepath.Base(n)).Data)
	}
	f.Add([]byte("\xff\xfek\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ps := FromFiles([]File{{Name: "f.csv", Data: data}}, 1, FileOptions{})
		if (m == nil) == (len(ps) == 0) {
			t.Fatalf("market %v with problems %v", m != nil, ps)
		}
		for _, p := range ps {
			// A message is shown on a terminal: one line, of bounded length.
			if s := p.String(); len(s) > 1000 || strings.ContainsAny(s, "\n\r\x1b") {
				t.Fatalf("message %q", s)
			}
			if p.Line > 1+strings.Count(string(data), "\n") || (p.Line > 0) != (p.Column > 0) {
				t.Fatalf("place %+v", p)
			}
		}
		if m == nil {
			return
		}
		start, end := m.Span()
		games := m.Changes(time.Time{}, end)
		if len(games) != len(m.Fixtures()) || !start.Before(end) {
			t.Fatalf("%d games of %d fixtures", len(games), len(m.Fixtures()))
		}
		for _, g := range games {
			if g.Status != bet.Finished || g.Closing != m.Fixture(g.ID).Close {
				t.Fatalf("%+v", g)
			}
		}
	})
}

// TestRealMatches reads the four leagues where they lie, and skips where they do not.
func TestRealMatches(t *testing.T) {
	m := realMatches(t)
	if n := len(m.Fixtures()); n != 4345 {
		t.Errorf("%d matches, want 4345", n)
	}
	if f := m.Fixture("100000"); f.TeamA != "Valencia" && f.TeamA != "Brentford" && f.TeamA != "B. Monchengladbach" {
		t.Errorf("first %+v", f)
	}
}

func realFiles(t testing.TB) (files []File) {
	names, _ := filepath.Glob("../../../shared/data/*.csv")
	if len(names) != 4 {
		t.Skip("the real matches are not at ../../../shared/data")
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Skip(err)
		}
		files = append(files, File{Name: n, Data: b})
	}
	return files
}

func realMatches(t testing.TB) *Market {
	m, ps := FromFiles(realFiles(t), 1, FileOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	return m
}

// TestGamesAreReadOnce: games that were read make the market of each seed that
// their files would, and making one changes no other.
func TestGamesAreReadOnce(t *testing.T) {
	files := []File{{Name: "a.csv", Data: []byte(strings.Join(ownColumns, ",") + "\n" +
		"2022-08-13 21:00:00,E,s,C,D,2,1,2,3,4,2.1,3,4\n2022-08-12 21:00:00,E,s,A,B,0,0,1.5,4,6,1.4,4,6\n")}}
	g, problems := Read(files, FileOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g.Market(3)
	for _, seed := range []uint64{1, 2} {
		want, _ := FromFiles(files, seed, FileOptions{})
		got := g.Market(seed)
		from, _ := want.Span()
		to := from.Add(OpensBefore - time.Hour) // odds have moved, and will again
		if d := cmp.Diff(want.Changes(from, to), got.Changes(from, to)); d != "" {
			t.Errorf("seed %d (-files +games):\n%s", seed, d)
		}
		if other, _ := FromFiles(files, seed+7, FileOptions{}); cmp.Equal(other.Changes(from, to), got.Changes(from, to)) {
			t.Errorf("seeds %d and %d move odds alike", seed, seed+7)
		}
	}
}
