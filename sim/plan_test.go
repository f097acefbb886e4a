package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/sim/market"
	"bettensor/sim/scenario"
)

// planOf makes a plan of the text of a scenario, or of a file of scenarios/.
func planOf(t testing.TB, text string, sets ...string) *Plan {
	t.Helper()
	if strings.HasSuffix(text, ".yaml") {
		data, err := os.ReadFile(filepath.Join("..", "scenarios", text))
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	s, problems := scenario.Parse("test.yaml", []byte(text), sets, ScenarioOption())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p, bad, err := NewPlan(s, nil)
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	return p
}

// ran runs a plan to its end.
func ran(t testing.TB, p *Plan, o RunOptions) *Result {
	t.Helper()
	r, err := p.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// gamesOf reads files of testdata/market.
func gamesOf(t testing.TB, names ...string) []market.File {
	t.Helper()
	var files []market.File
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join("..", "testdata", "market", n))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, market.File{Name: n, Data: data})
	}
	return files
}

// TestNothingIsNotTheDefault: where a configuration's 0 means its default, a
// scenario's 0 means 0.
func TestNothingIsNotTheDefault(t *testing.T) {
	p := planOf(t, "validators: [{name: v0}]\nminers: [{kind: idle}]\nnetwork: {latency: 0s, jitter: 0s}\ndisk: {commit_latency: 0s}\nnode: {settle_delay: 0s, weights_move: 0}\n", "duration=1d")
	w, err := p.NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for name, d := range map[string]time.Duration{"latency": w.cfg.Network.Latency, "commit_latency": w.cfg.Disk.CommitLatency,
		"settle_delay": w.cfg.Validators[0].Node.SettleDelay} {
		if d > time.Nanosecond {
			t.Errorf("%s: 0s is taken as %s", name, d)
		}
	}
	if v := w.cfg.Validators[0].Node.WeightsMove; v > 1e-300 {
		t.Errorf("weights_move: 0 is taken as %v", v)
	}
}

// TestPlanRefuses: what parses, and cannot be run as it says, is refused before
// it runs.
func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a fault after the end of the games", "faults: [{name: out, what: feed.outage, at: 400d}]", "fault out begins 9600h0m0s into the run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, problems := scenario.Parse("test.yaml", []byte("validators: [{name: v0}]\n"+tt.text+"\n"), nil, ScenarioOption())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, _, err := NewPlan(s, gamesOf(t, "two-leagues.csv")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestPlanFollowsItsFiles: a run begins 8 days before the first kick-off of all
// its files and ends 2 days after the last result, unless the scenario says
// otherwise.
func TestPlanFollowsItsFiles(t *testing.T) {
	const text = "validators: [{name: v0}]\n"
	day := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct {
		name       string
		files      []string
		sets       []string
		games      int
		start, end string
	}{
		{"ours", []string{"two-leagues.csv"}, nil, 5, "2030-03-22T14:30:00Z", "2030-10-29T16:30:00Z"},
		{"football-data", []string{"football-data.csv"}, nil, 3, "2030-01-04T12:30:00Z", "2030-07-15T18:30:00Z"},
		{"both merge", []string{"two-leagues.csv", "football-data.csv"}, nil, 8, "2030-01-04T12:30:00Z", "2030-10-29T16:30:00Z"},
		{"in any order", []string{"football-data.csv", "two-leagues.csv"}, nil, 8, "2030-01-04T12:30:00Z", "2030-10-29T16:30:00Z"},
		{"start is fixed", []string{"two-leagues.csv"}, []string{"start=2030-03-29"}, 5, "2030-03-29T00:00:00Z", "2030-10-29T16:30:00Z"},
		{"duration is fixed", []string{"two-leagues.csv"}, []string{"duration=3d"}, 5, "2030-03-22T14:30:00Z", "2030-03-25T14:30:00Z"},
		{"both are fixed", []string{"two-leagues.csv"}, []string{"start=2030-03-29", "duration=3d"}, 5, "2030-03-29T00:00:00Z", "2030-04-01T00:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, problems := scenario.Parse("test.yaml", []byte(text), tt.sets, ScenarioOption())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p, bad, err := NewPlan(s, gamesOf(t, tt.files...))
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			if n := len(p.Market.Fixtures()); n != tt.games {
				t.Errorf("%d games, want %d", n, tt.games)
			}
			if !p.Start.Equal(day(tt.start)) || !p.End.Equal(day(tt.end)) {
				t.Errorf("from %s to %s, want %s to %s", p.Start.Format(time.RFC3339), p.End.Format(time.RFC3339), tt.start, tt.end)
			}
		})
	}
	s, _ := scenario.Parse("test.yaml", []byte(text), []string{"start=2031-01-01"}, ScenarioOption())
	if _, _, err := NewPlan(s, gamesOf(t, "two-leagues.csv")); err == nil || !strings.Contains(err.Error(), "before its start") {
		t.Errorf("a start after the last game: %v", err)
	}
}

// TestGamesOfFilesArePlayed: what is in a file is predicted on and settled by
// its result, whichever form the file has. On the first match day both files
// have the home side as the shortest price, and it won.
func TestGamesOfFilesArePlayed(t *testing.T) {
	t.Parallel()
	const text = `
duration: 9d
validators: [{name: v0}]
miners: [{kind: favourite, count: 2}, {kind: idle}]
node: {heartbeat: 6h, metagraph_interval: 12h, status_interval: 1w, feed_poll: 1h, scoring_interval: 12h, prediction_interval: 6h}
`
	for _, tt := range []struct {
		file      string
		low, high float64 // profit of a dollar on the winner: what its odds were, within their wandering
	}{
		{"two-leagues.csv", 0.64, 0.92},
		{"football-data.csv", 0.75, 1.01},
	} {
		t.Run(tt.file, func(t *testing.T) {
			s, problems := scenario.Parse("test.yaml", []byte(text), nil, ScenarioOption())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p, bad, err := NewPlan(s, gamesOf(t, tt.file))
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			r := ran(t, p, RunOptions{})
			for _, m := range r.Miners[:2] {
				if m.Accepted == 0 || m.Rejected != 0 || m.ROI < tt.low || m.ROI > tt.high {
					t.Errorf("%s: %d accepted, %d rejected, ROI %v, want some, none, and %v to %v", m.Name, m.Accepted, m.Rejected, m.ROI, tt.low, tt.high)
				}
			}
			if idle := r.Miners[2]; idle.Predictions != 0 || idle.Emission != 0 {
				t.Errorf("the idle miner: %+v", idle)
			}
			if n := r.Violated(); n > 0 {
				t.Errorf("%d violations", n)
			}
		})
	}
}
