package sim

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/sim/fault"
)

// fedDays are days on which games are played, and results told, in the window of
// the faults and after it.
const fedDays = `
start: 2024-08-16T12:00:00Z
duration: 4d
validators: [{name: v0}]
miners: [{kind: busy, count: 3, parameters: {picks: 24}}, {kind: skilled, count: 2}]
`

// fedRun is a run of them: what its validator knows at the end.
type fedRun struct {
	*Result
	w       *World
	games   map[bet.GameID]bet.Game
	refused uint64
	lied    int // tellings
	unlike  int // games of which it believes something else than is so
}

func fed(t testing.TB, faults string) *fedRun {
	t.Helper()
	p := planOf(t, fedDays+faults)
	r := &fedRun{games: map[bet.GameID]bet.Game{}}
	r.Result = ran(t, p, RunOptions{Prepare: func(w *World) { r.w = w }, Done: func(w *World) error {
		h := w.Hosts[0]
		for id, g := range h.Validator.State.Games { // order cannot matter: they are counted
			r.games[id] = *g
			if m, ok := p.Market.Game(id, p.End.Add(-time.Hour)); !ok || m.Status != g.Status || m.Outcome != g.Outcome || !m.Start.Equal(g.Start) || m.TeamA != g.TeamA {
				r.unlike++
			}
			for _, x := range h.lens.told[id] {
				if x.lied {
					r.lied++
				}
			}
		}
		s, _ := h.Stats()
		r.refused = cmp.Or(count(s, "games", "refused"), count(s, "games", "ahead"))
		return nil
	}})
	if n := r.Violated(); n > 0 {
		t.Errorf("%d violations: %+v", n, r.Invariants)
	}
	return r
}

func (r *fedRun) having(pass func(bet.Game) bool) (n int) {
	for _, g := range r.games {
		if pass(g) {
			n++
		}
	}
	return n
}

func (r *fedRun) failures(task string) (n uint64) {
	for _, x := range r.Tasks {
		if x.Name == task {
			n += x.Failures
		}
	}
	return n
}

// TestEveryFaultOfTheFeedBites: each kind does what its sentence says, no
// invariant is broken, and what was a lie is corrected when it is over.
func TestEveryFaultOfTheFeedBites(t *testing.T) {
	t.Parallel()
	base, tried := fed(t, ""), map[string]bool{}
	if base.unlike > 0 || base.refused > 0 || base.lied > 0 {
		t.Fatalf("the quiet days are not quiet: %d games are believed to be otherwise, %d refused", base.unlike, base.refused)
	}
	void := func(g bet.Game) bool { return g.Status == bet.Void }
	for _, tt := range []struct {
		what, more string
		stays      bool // what becomes of games otherwise than planned is no lie
		bites      func(r *fedRun) bool
	}{
		{"feed.outage", "", false, func(r *fedRun) bool { return r.failures("update_game_data") > 20 }},
		{"feed.slow", "parameters: {delay: 10m}", false, func(r *fedRun) bool { return r.failures("update_game_data") > 20 }},
		{"feed.rate_limited", "", false, func(r *fedRun) bool { return r.failures("update_game_data") > 20 }},
		{"feed.stale", "parameters: {delay: 12h}", false, func(r *fedRun) bool { return true }},
		{"feed.truncated", "parameters: {games: 0}", false, func(r *fedRun) bool { return true }},
		{"feed.late_results", "", false, func(r *fedRun) bool { return r.lied > 5 }},
		{"feed.wrong_results", "parameters: {games: 1}", false, func(r *fedRun) bool { return r.lied > 5 }},
		{"feed.bad_odds", "", false, func(r *fedRun) bool { return r.refused == 0 }},
		{"feed.bad_odds", "parameters: {odds: vanish}", false, func(r *fedRun) bool { return r.refused == 0 }},
		{"feed.bad_odds", "parameters: {odds: nan}", false, func(r *fedRun) bool { return r.refused > 20 }},
		{"feed.bad_odds", "parameters: {odds: low}", false, func(r *fedRun) bool { return r.refused > 20 }},
		{"feed.bad_odds", "parameters: {odds: huge}", false, func(r *fedRun) bool { return r.refused > 20 }},
		{"feed.malformed", "", false, func(r *fedRun) bool {
			return r.refused > 20 && r.having(func(g bet.Game) bool { return strings.HasPrefix(string(g.ID), "none") || g.TeamA == g.TeamB }) == 0
		}},
		{"feed.renamed", "", false, func(r *fedRun) bool { return r.refused > 20 }},
		{"feed.clock_zone", "", false, func(r *fedRun) bool { return r.lied > 20 }},
		{"feed.clock_zone", "parameters: {hours: -5}", false, func(r *fedRun) bool { return r.lied > 20 }},
		{"feed.duplicates", "", true, func(r *fedRun) bool {
			return r.having(func(g bet.Game) bool { return strings.HasSuffix(string(g.ID), "-2") && g.Status == bet.Finished }) > 3
		}},
		{"feed.postponed", "parameters: {games: 1}", true, func(r *fedRun) bool {
			return r.having(func(g bet.Game) bool { f := r.w.fixture(g.ID); return g.Start.Sub(f) == 24*time.Hour }) > 5
		}},
		{"feed.postponed", "parameters: {games: 1, hours: 0}", true, func(r *fedRun) bool {
			return r.having(func(g bet.Game) bool { return g.Status == bet.Postponed }) > 5
		}},
		{"feed.void", "", true, func(r *fedRun) bool { return r.having(void) > base.having(void)+3 }},
		{"feed.moved_kick_off", "", true, func(r *fedRun) bool {
			return r.having(func(g bet.Game) bool {
				f := r.w.fixture(g.ID)
				return g.Start.Sub(f) == -2*time.Hour && g.Status == bet.Finished
			}) > 3
		}},
	} {
		t.Run(tt.what+" "+tt.more, func(t *testing.T) {
			line := fmt.Sprintf("name: f, what: %s, at: 12h, for: 30h", tt.what)
			if tt.more != "" {
				line += ", " + tt.more
			}
			r := fed(t, "faults: [{"+line+"}]\n")
			if r.TraceHash == base.TraceHash {
				t.Error("the run is the one without the fault")
			}
			if !tt.bites(r) {
				t.Errorf("%d failed polls, %d lies, %d refused, %d believed to be otherwise", r.failures("update_game_data"), r.lied, r.refused, r.unlike)
			}
			if len(r.Faults) != 1 || r.Faults[0].Windows == 0 || r.Faults[0].Idle() {
				t.Errorf("%v", r.Faults)
			}
			if healed := r.unlike == 0; healed == tt.stays {
				t.Errorf("%d games are believed to be otherwise at the end", r.unlike)
			}
		})
		tried[tt.what] = true
	}
	for _, k := range fault.Kinds() {
		if strings.HasPrefix(k.What, "feed.") && !tried[k.What] {
			t.Errorf("%s is not tried", k.What)
		}
	}
}

// fixture is a game's kick-off as it was planned.
func (w *World) fixture(id bet.GameID) time.Time {
	g, _ := w.cfg.Feed.(gamesSource).Game(id, w.cfg.Start)
	return g.Start
}
