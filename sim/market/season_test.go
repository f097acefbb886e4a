package market

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
)

// TestSeasonFile: the season that scenarios/season-file.yaml plays is a made-up one
// of this package, written in our own form, so that the library needs no real
// matches; and what is read from it is what was made.
func TestSeasonFile(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Leagues = []League{{Name: "made-up-league", Sport: "Soccer", Teams: 18, CanTie: true, GamesPerWeek: 1, Spread: 0.3}}
	cfg.PostponedShare, cfg.AbandonedShare = 0, 0 // a table of results holds games that were played
	made, err := Synthetic(cfg, time.Date(2031, 8, 1, 0, 0, 0, 0, time.UTC), 16*7*24*time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Only who won is made up, so that scores are the least that say it.
	score := map[bet.Outcome]string{bet.Home: "1,0", bet.Away: "0,1", bet.Tie: "0,0"}
	var b strings.Builder
	b.WriteString(strings.Join(ownColumns, ",") + "\n")
	for _, f := range made.Fixtures() {
		o, c := f.Open, f.Close // home, away, tie
		fmt.Fprintf(&b, "%s,%s,2031-2032,%s,%s,%s,%g,%g,%g,%g,%g,%g\n", centralTime.local(f.Start).Format("2006-01-02 15:04"), f.League, f.TeamA, f.TeamB, score[f.Result], o[0], o[2], o[1], c[0], c[2], c[1])
	}
	const name = "made-up-season.csv"
	if *update {
		if err := os.WriteFile(samples+name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := sample(t, name)
	if d := cmp.Diff(b.String(), string(file.Data)); d != "" {
		t.Fatalf("%s is not the season that is made (-made +file); go test ./sim/market -run SeasonFile -update\n%s", name, d)
	}
	read, problems := FromFiles([]File{file}, 1, FileOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for i, f := range read.Fixtures() {
		want := made.Fixtures()[i]
		if !f.Start.Equal(want.Start) || f.TeamA != want.TeamA || f.Open != want.Open || f.Close != want.Close || f.Result != want.Result {
			t.Errorf("%+v was read, %+v made", f, want)
		}
	}
}
