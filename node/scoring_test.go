package node

import (
	"fmt"
	"math"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/score"

	"github.com/google/go-cmp/cmp"
)

// withoutEntropy is a scheme that does not ask when predictions came.
func withoutEntropy(c *ValidatorConfig) {
	slowValidator(c)
	s := score.Standard()
	s.EntropyCoefficient = 0
	s.MinActiveShare = 0.9   // so that it binds: see m2 below
	for i := range s.Tiers { // and so that five slots fill the upper tiers
		s.Tiers[i].Capacity, s.Tiers[i].MinWager = 0.4, s.Tiers[i].MinWager/2
	}
	c.Scheme = &s
}

// robust pays the closing edge, with a restart's worth of tiers to move through.
func robust(c *ValidatorConfig) {
	withoutEntropy(c)
	s := score.Robust()
	s.MinActiveShare, s.EdgeHurdle, s.EdgeLeast, s.Tiers = c.Scheme.MinActiveShare, 0, 0, c.Scheme.Tiers
	c.Scheme = &s
}

// seasonOf plays a game a day for some days, on which three miners wager enough
// to move through the tiers. disturb is called each day after the result is out;
// told may change a result before the feed tells it.
func seasonOf(t *testing.T, days int, told func(day int, g *bet.Game), disturb func(r *rig, n *rigNode, day int)) map[ledger.DayKey]ledger.Score {
	t.Helper()
	return seasonUnder(t, withoutEntropy, days, told, disturb)
}

func seasonUnder(t *testing.T, config func(*ValidatorConfig), days int, told func(day int, g *bet.Game), disturb func(r *rig, n *rigNode, day int)) map[ledger.DayKey]ledger.Score {
	t.Helper()
	r := newRig(t)
	n := r.addValidator("v0", config)
	r.addMiner("m0", once(bet.Home, 900_00), slowMiner)
	r.addMiner("m1", once(bet.Away, 950_00), slowMiner)
	r.addMiner("m2", &plan{picks: func(_ time.Time, b *model.Book) (picks []model.Pick) { // seven days of eight
		for _, g := range b.Games {
			if len(b.Placed(g.ID)) == 0 && bet.DayOf(g.Start)%8 != 0 {
				picks = append(picks, model.Pick{Game: g.ID, Outcome: bet.Tie, Wager: 930_00, Confidence: -1})
			}
		}
		return picks
	}}, slowMiner)
	for d := range days {
		id := fmt.Sprintf("g%03d", d)
		r.offer(id, r.w.Now().Add(6*time.Hour))
		r.w.Run(t0.Add(time.Duration(d)*day + 8*time.Hour))
		for _, g := range r.games {
			if string(g.ID) != id {
				continue
			}
			g.Status, g.Outcome, g.ResultAt, g.Active = bet.Finished, bet.Outcome(d*d%3), g.Start.Add(2*time.Hour), false
			if told != nil {
				told(d, &g)
			}
			r.tell(g)
		}
		r.run(time.Hour)
		if disturb != nil {
			disturb(r, n, d)
		}
		r.w.Run(t0.Add(time.Duration(d+1) * day))
	}
	r.run(time.Hour)
	n.kill()
	return scoresOn(t, n)
}

// tiersIn says in how many tiers somebody was: whether the season says anything.
func tiersIn(rows map[ledger.DayKey]ledger.Score) int {
	tiers := map[uint8]bool{}
	for _, row := range rows {
		tiers[row.Tier] = true
	}
	return len(tiers)
}

// TestDownForDaysEndsWhereNeverDownEnds: days that were missed are scored, and
// their tiers made, from the books.
func TestDownForDaysEndsWhereNeverDownEnds(t *testing.T) {
	want := seasonOf(t, 30, nil, nil)
	if tiersIn(want) < 4 {
		t.Fatalf("%d tiers: the season says nothing", tiersIn(want))
	}
	for _, away := range []time.Duration{time.Minute, 10 * time.Hour} {
		got := seasonOf(t, 30, nil, func(r *rig, n *rigNode, d int) {
			if d%4 == 3 {
				n.kill()
				r.run(away)
				n.start()
			}
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("away for %v at a time: scores differ (-never down +down):\n%.3000s", away, d)
		}
	}
}

// TestRobustStandsStillBetweenSeasons: tiers and scores of the last day with a
// settlement are those of every day of the summer after it, restarts or not, and
// a validator that was down for a while ends where one that never was ends.
func TestRobustStandsStillBetweenSeasons(t *testing.T) {
	const last, days = 20, 40
	play := func(disturb func(r *rig, n *rigNode, d int)) map[ledger.DayKey]ledger.Score {
		return seasonUnder(t, robust, days, func(d int, g *bet.Game) {
			if d > last {
				g.Status, g.Outcome = bet.Void, bet.Unfinished
			} else {
				for o := range g.Closing { // the line moves, another way each day, and towards m0
					g.Closing[o] = g.Odds[o] * (1 - 0.02*float64((d+3*o)%5-o))
				}
			}
		}, disturb)
	}
	want := play(nil)
	first := bet.DayOf(t0)
	moved := false
	for _, m := range []string{"m0", "m1", "m2"} {
		at := func(d int) ledger.Score { return want[ledger.DayKey{Day: first + bet.Day(d), Hotkey: hotkeyOf(m)}] }
		for d := last + 1; d < days; d++ {
			if a, b := at(last), at(d); a.OwnScore != b.OwnScore || a.Tier != b.Tier || a.Weight != b.Weight {
				t.Errorf("%s on day %d: %+v, on day %d: %+v", m, last, a, d, b)
			}
		}
		moved = moved || at(last).Weight > 0
	}
	if !moved || tiersIn(want) < 3 {
		t.Fatalf("nobody is paid, or %d tiers: the season says nothing", tiersIn(want))
	}
	got := play(func(r *rig, n *rigNode, d int) {
		if d%4 == 3 {
			n.kill()
			r.run(10 * time.Hour)
			n.start()
		}
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("scores differ (-never down +down):\n%.3000s", d)
	}
}

// TestCorrectionEndsWhereTheTruthEnds: a result that is corrected within the
// days that count ends in the scores and tiers of a validator that knew it
// from the beginning, restarts or not.
func TestCorrectionEndsWhereTheTruthEnds(t *testing.T) {
	want := seasonOf(t, 64, nil, nil)
	correct := func(r *rig, id string) {
		for _, g := range r.games {
			if string(g.ID) == id {
				g.Outcome = bet.Outcome(20 * 20 % 3)
				r.tell(g)
			}
		}
	}
	wrong := func(d int, g *bet.Game) {
		if d == 20 {
			g.Outcome = bet.Tie
		}
	}
	if seasonDiffers := cmp.Diff(want, seasonOf(t, 64, wrong, nil)); seasonDiffers == "" {
		t.Fatal("the wrong result changes nothing: the test proves nothing")
	}
	for _, late := range []int{1, 43} {
		for _, crash := range []bool{false, true} {
			got := seasonOf(t, 64, wrong, func(r *rig, n *rigNode, d int) {
				if d == 20+late {
					correct(r, "g020")
					if crash {
						r.run(time.Minute)
						n.crash()
					}
				}
			})
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("corrected after %d days, crash %t: scores differ (-truth +corrected):\n%.3000s", late, crash, d)
			}
		}
	}
}

// TestCorrectionThatIsTooLate is counted, and changes no score.
func TestCorrectionThatIsTooLate(t *testing.T) {
	want := seasonOf(t, 50, nil, nil)
	var late uint64
	got := seasonOf(t, 50, nil, func(r *rig, n *rigNode, d int) {
		if d == 48 {
			for _, g := range r.games {
				if g.ID == "g002" {
					g.Outcome = bet.Outcome((2*2 + 1) % 3)
					r.tell(g)
				}
			}
			r.run(10 * time.Hour)
			late = n.count("scoring", "too_late")
		}
	})
	if d := cmp.Diff(want, got); d != "" || late != 1 {
		t.Errorf("%d results too late; scores differ:\n%.2000s", late, d)
	}
}

// TestVoidEmptiesTheDay, also where the crash came between the news and the
// round.
func TestVoidEmptiesTheDay(t *testing.T) {
	for _, crash := range []bool{false, true} {
		r := newRig(t)
		r.offer("100", t0.Add(2*time.Hour))
		n := r.addValidator("v0")
		r.addMiner("m0", once(bet.Home, 100_00))
		r.run(4 * time.Hour)
		r.finish("100", bet.Home)
		r.run(time.Hour)
		today := bet.DayOf(t0)
		if row := n.v.State.Scores.byHotkey[hotkeyOf("m0")].at(today); row == nil || row.Composite == 0 || !n.v.State.Scores.anySettled(today) {
			t.Fatalf("before: %+v", row)
		}
		g := r.games[0]
		g.Status, g.Outcome = bet.Void, bet.Unfinished
		r.tell(g)
		r.until("the news is durable", time.Hour, func() bool { return n.count("predictions", "corrected") == 1 })
		if crash {
			n.commit.flush()
			n.crash()
		}
		r.run(time.Hour)
		if row := n.v.State.Scores.byHotkey[hotkeyOf("m0")].at(today); row.Composite != 0 || row.Settled != 0 || row.Wagered != 0 || n.v.State.Scores.anySettled(today) {
			t.Errorf("crash %t: %+v", crash, row)
		}
	}
}

// TestRestartKeepsTiersMadeWithEarlierSlots: a miner that was deregistered has
// held its place until then, and a restart does not give it to another one in
// hindsight.
func TestRestartKeepsTiersMadeWithEarlierSlots(t *testing.T) {
	leave := func(r *rig, d int) {
		if d == 18 {
			r.chain.Deregister(r.w.Now(), hotkeyOf("m1"))
		}
	}
	want := seasonOf(t, 24, nil, func(r *rig, _ *rigNode, d int) { leave(r, d) })
	got := seasonOf(t, 24, nil, func(r *rig, n *rigNode, d int) {
		if leave(r, d); d > 18 {
			n.crash()
		}
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("scores differ (-not restarted +restarted):\n%.3000s", d)
	}
}

// TestDayThatCannotBeScored stays waiting, the round fails loudly, nothing is
// published, and when the fault is gone it is scored.
func TestDayThatCannotBeScored(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(2*time.Hour))
	n := r.addValidator("v0")
	r.addMiner("m0", once(bet.Home, 100_00))
	r.run(3 * time.Hour)
	row := n.v.State.Book.Game("100")[0]
	broken := *row
	broken.Wager = math.MaxInt64 // a payout that is not a number any more
	broken.Odds = math.MaxFloat64
	n.v.State.Book.replace(0, &broken)
	published := n.v.ScoringComplete.History()
	r.finish("100", bet.Home)
	r.run(time.Hour)
	if s := n.service("scoring"); s.State != "degraded" || n.count("scoring", "failed") < 2 || n.count("scoring", "days_waiting") != 1 {
		t.Fatalf("with the fault: %+v", s)
	}
	if got := len(n.v.ScoringComplete.History()); got != len(published)+0 && got > len(published)+2 {
		t.Errorf("%d rounds published, %d before", got, len(published))
	}
	mended := *n.v.State.Book.Game("100")[0]
	mended.Wager, mended.Odds, mended.State = row.Wager, row.Odds, bet.Won
	n.v.State.Book.replace(0, &mended)
	r.run(time.Hour)
	if s := n.service("scoring"); s.State != "ok" || n.count("scoring", "days_waiting") != 0 || n.v.Standing(hotkeyOf("m0")).Score == 0 {
		t.Errorf("without it: %+v", s)
	}
}

// TestWhoIsScored: holders of a permit only if they ever predicted, the
// validator itself only if it is told to.
func TestWhoIsScored(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(2*time.Hour))
	n := r.addValidator("v0")
	r.run(2 * time.Minute)
	tier := func(name string) int { return n.v.Standing(hotkeyOf(name)).Tier }
	if tier("m0") != 1 || tier("v1") != 0 || tier("v0") != 0 {
		t.Errorf("tiers of a miner %d, of a validator %d, of itself %d", tier("m0"), tier("v1"), tier("v0"))
	}
	p := r.session("v1", n)
	p.send(p.predict(submission("a", g, bet.Home, 10)))
	r.run(time.Hour)
	if tier("v1") != 1 {
		t.Error("a validator that predicts is not scored")
	}
	// A miner that never predicted and is given a permit is a validator from now on.
	r.chain.SetStake(r.w.Now(), hotkeyOf("m2"), 20_000e9)
	r.run(24 * time.Hour)
	if meta := n.v.State.Meta; !meta.Neurons[4].Permit {
		t.Fatal("it has no permit: the test proves nothing")
	}
	if row := n.v.State.Scores.byHotkey[hotkeyOf("m2")].at(bet.DayOf(r.w.Now())); row != nil && row.Tier != 0 {
		t.Errorf("a validator that was a miner before is scored: %+v", row)
	}
}

// TestScoresLoadTheNewerOfTwo days that share a place, whatever the order.
func TestScoresLoadTheNewerOfTwo(t *testing.T) {
	h := chain.Hotkey("x")
	for range 20 { // map order
		s := Scores{byHotkey: map[chain.Hotkey]*history{}}
		if err := s.load(&ledger.Validator{Scores: map[ledger.DayKey]ledger.Score{
			{Day: 20000, Hotkey: h}: {Composite: 1}, {Day: 20000 + historyDays, Hotkey: h}: {Composite: 2}, {Day: 20000 + 2*historyDays, Hotkey: h}: {Composite: 3},
		}}); err != nil {
			t.Fatal(err)
		}
		if row := s.byHotkey[h].at(20000 + 2*historyDays); row == nil || row.Composite != 3 || len(s.stale) != 2 || s.stale[0].Day != 20000 {
			t.Fatalf("%+v, stale %v", row, s.stale)
		}
	}
	if err := new(Scores).load(&ledger.Validator{Node: ledger.Node{Facts: map[string]string{ledger.FactTiersFrom: "soon"}}}); err == nil {
		t.Error("a day that is none was taken")
	}
}
