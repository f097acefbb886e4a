package node

import (
	"fmt"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/store"

	"github.com/google/go-cmp/cmp"
)

func slowValidator(c *ValidatorConfig) {
	c.MetagraphInterval, c.FeedInterval, c.ScoringInterval = 6*time.Hour, time.Hour, 6*time.Hour
	c.StatusInterval, c.SessionTimeout = 24*time.Hour, 15*time.Hour
}

func slowMiner(c *MinerConfig) {
	c.MetagraphInterval, c.PredictionInterval, c.Heartbeat, c.StatusInterval = 6*time.Hour, 6*time.Hour, 6*time.Hour, 24*time.Hour
}

const day = 24 * time.Hour

// TestOldRowsGo: after more than two hundred days of a game a day, what is old
// is gone from memory and disk alike, what is young or open is not, and the sums
// of what is gone stay.
func TestOldRowsGo(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarts %t", restarts), func(t *testing.T) {
			r := newRig(t)
			n := r.addValidator("v0", slowValidator)
			m := r.addMiner("m0", once(bet.Home, 10_00), slowMiner)
			const days = 210
			for d := range days {
				id := fmt.Sprintf("g%03d", d)
				g := r.offer(id, r.w.Now().Add(6*time.Hour))
				r.run(8 * time.Hour)
				switch d {
				case 20: // never gets a result
				case 100: // postponed until the end
					g.Status, g.Active = bet.Postponed, false
					g.Start = t0.Add(300 * day)
					r.tell(g)
				default:
					r.finish(id, bet.Outcome(d%2))
				}
				r.run(16 * time.Hour)
				if restarts && d%37 == 36 {
					n.crash()
					m.crash()
				}
				if len(r.games) > 130 { // a feed has no memory for ever
					r.games = r.games[1:]
				}
			}
			today := bet.DayOf(r.w.Now())
			acc, macc := *n.service("predictions").Accuracy, *m.service("predictions").Accuracy
			if acc.Settled != days-2 || macc.Settled != days-2 || acc.Won != (days-2)/2-1 {
				t.Errorf("accuracy over %d and %d, want all %d", acc.Settled, macc.Settled, days-2)
			}
			if n.v.State.Book.Get(hotkeyOf("m0"), predictionID(hotkeyOf("m0"), "g100", 0)) == nil {
				t.Error("the prediction on the postponed game is gone")
			}
			young := func(what string, n, most int) {
				t.Helper()
				if n < most-3 || n > most {
					t.Errorf("%d %s, want about %d", n, what, most)
				}
			}
			const kept = ledger.RetentionDays + 2 // today, and one until the next round of forgetting
			young("predictions in memory", n.v.State.Book.Len(), kept+1)
			young("games in memory", len(n.v.State.Games), kept+1)
			young("days of score in memory", daysOf(n.v.State.Scores.byHotkey[hotkeyOf("m0")]), ledger.HistoryDays+2)
			young("budgets in memory", n.v.State.Book.budget.Len(), ledger.HistoryDays+2)
			young("predictions of the miner", len(m.m.box.rows), kept+1)
			if got := len(m.m.State.Games); got > 15 {
				t.Errorf("%d games in the miner's memory", got)
			}
			if got := len(m.m.box.spent); got > 3 && !restarts {
				t.Errorf("%d days of spending in the miner's memory", got)
			}
			if p := n.core().services[3].service.(*predictions); len(p.priced) > kept+1 || p.pools.Open() > 2 {
				t.Errorf("%d games priced, %d pools", len(p.priced), p.pools.Open())
			}
			if c := n.core().services[4].service.(*scoring); len(c.games) > ledger.HistoryDays+2 || len(c.settled) > ledger.HistoryDays+2 || len(c.dirty) > 1 {
				t.Errorf("scoring holds %d days, %d games, %d dirty", len(c.games), len(c.settled), len(c.dirty))
			}
			scores := n.v.State.Scores.byHotkey
			n.kill()
			m.kill()
			found := ledgerOn(t, n)
			young("predictions on disk", len(found.Predictions), kept+1)
			young("games on disk", len(found.Games), kept+1)
			young("budgets on disk", found.Budget.Len(), ledger.HistoryDays+2)
			for _, w := range found.Weights {
				if bet.DayOf(w.Planned) < today-kept {
					t.Errorf("weights of %v", w.Planned)
				}
			}
			ids := 0
			n.onDisk(t, func(s store.Snapshot) error {
				return ledger.IDs.Scan(s, nil, nil, func(ledger.IDKey, *ledger.PredictionKey) error { ids++; return nil })
			})
			if ids != len(found.Predictions) {
				t.Errorf("%d ids for %d predictions", ids, len(found.Predictions))
			}
			again := State{Scores: Scores{byHotkey: map[chain.Hotkey]*history{}}}
			if err := again.Scores.load(found); err != nil || len(again.Scores.stale) > 0 {
				t.Error(err, again.Scores.stale)
			}
			if d := cmp.Diff(scores, again.Scores.byHotkey, cmp.AllowUnexported(history{}), cmp.Comparer(sameHistory)); d != "" {
				t.Errorf("scores in memory and on disk differ:\n%s", d)
			}
			out := outboxOn(t, m)
			young("predictions of the miner on disk", len(out.Outbox), kept+1)
			if len(out.Games) != days-2 { // models learn from them
				t.Errorf("%d games on the miner's disk", len(out.Games))
			}
			n.start()
			m.start()
			if a, b := n.service("predictions").Accuracy, m.service("predictions").Accuracy; cmp.Diff(acc, *a, roughly) != "" || cmp.Diff(macc, *b, roughly) != "" {
				t.Errorf("accuracy after a restart: %+v and %+v, was %+v and %+v", a, b, acc, macc)
			}
		})
	}
}

// roughly compares sums that were added in another order.
var roughly = cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })

// sameHistory compares rows, not what lies in the places of days that are gone.
func sameHistory(a, b *history) bool {
	for i := range a.days {
		if a.days[i] != b.days[i] || a.days[i] >= 0 && a.rows[i] != b.rows[i] {
			return false
		}
	}
	return true
}

func daysOf(h *history) (n int) {
	if h == nil {
		return 0
	}
	for _, d := range h.days {
		if d >= 0 {
			n++
		}
	}
	return n
}

// TestForgettingInSlices: thousands of old rows do not go in one batch.
func TestForgettingInSlices(t *testing.T) {
	r := newRig(t)
	const games, each = 12, 300
	n := r.addValidator("v0", slowValidator, func(c *ValidatorConfig) { c.MessageBurst = games * each })
	var all []bet.Game
	for i := range games {
		all = append(all, r.offer(fmt.Sprintf("g%02d", i), t0.Add(4*time.Hour)))
	}
	r.poll()
	p := r.session("m0", n)
	for i := range games * each {
		p.pass(p.end, p.predict(submission(fmt.Sprint("p", i), all[i%games], bet.Home, 0.05)))
		if i%100 == 99 {
			p.run(200 * time.Millisecond)
		}
	}
	if got := n.v.State.Book.Len(); got != games*each {
		t.Fatalf("%d predictions stored", got)
	}
	r.run(6 * time.Hour)
	for _, g := range all {
		r.finish(string(g.ID), bet.Home)
	}
	r.run(48 * day)
	if got := n.v.State.Book.Len(); got != games*each {
		t.Fatalf("%d predictions before their time is over", got)
	}
	largest, before := 0, n.v.store.Last()
	for end := r.w.Now().Add(6 * day); r.w.Now().Before(end); {
		r.w.Step()
		if last := n.v.store.Last(); last != before {
			before = last
			for _, b := range n.commit.held {
				largest = max(largest, b.Len())
			}
		}
	}
	if got := n.v.State.Book.Len(); got != 0 {
		t.Errorf("%d predictions left", got)
	}
	if largest < forgetRows || largest > forgetRows+2*each+2 {
		t.Errorf("the largest batch has %d rows", largest)
	}
	if got := n.count("predictions", "forgotten"); got != games*each {
		t.Errorf("%d forgotten", got)
	}
}

// TestMinerForgetsResultsAfterASeason, and not before.
func TestMinerForgetsResultsAfterASeason(t *testing.T) {
	r := newRig(t)
	m := r.addMiner("m0", once(bet.Home, 10_00), slowMiner)
	g := bet.Game{ID: "100", Sport: "Soccer", League: "Test", TeamA: "A", TeamB: "B", Created: t0.Add(-time.Hour), Updated: t0, Start: t0.Add(-time.Hour),
		Status: bet.Finished, Outcome: bet.Home, ResultAt: t0}
	m.do(func() { m.m.GameNews.Publish(GameNews{Games: []bet.Game{g}}) })
	for i, want := range []int{1, 1, 0} {
		r.w.Run(t0.Add(time.Duration([]int{20, ledger.ResultDays - 1, ledger.ResultDays + 3}[i]) * day))
		m.crash()
		m.kill()
		if got := len(outboxOn(t, m).Games); got != want {
			t.Errorf("step %d: %d games on disk, want %d", i, got, want)
		}
		m.start()
	}
}
