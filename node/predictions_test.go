package node

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"

	"github.com/google/go-cmp/cmp"
)

// TestConfirmationsRestOnTheDisk holds the disk up and looks at what is said
// before and after: nothing that rests on a commit under way leaves, and then
// all of it in order.
func TestConfirmationsRestOnTheDisk(t *testing.T) {
	type sub struct {
		id      string
		dollars float64
		home    bool
	}
	for _, tc := range []struct {
		name   string
		before []sub // durable
		send   []sub // while the disk is held
		said   []string
		want   []string
	}{
		{"acceptance", nil, []sub{{"a", 10, true}}, nil, []string{"a ok"}},
		{"duplicate of a pending one", nil, []sub{{"a", 10, true}, {"a", 10, true}}, nil, []string{"a ok", "a ok"}},
		{"duplicate of a durable one", []sub{{"a", 10, true}}, []sub{{"a", 10, true}}, []string{"a ok"}, nil},
		{"conflict with a pending one", nil, []sub{{"a", 10, true}, {"a", 11, true}}, nil, []string{"a ok", "a duplicate_conflict"}},
		{"conflict with a durable one", []sub{{"a", 10, true}}, []sub{{"a", 10, false}}, []string{"a duplicate_conflict"}, nil},
		{"budget refusal that rests on a pending one", nil, []sub{{"a", 600, true}, {"b", 600, true}}, nil, []string{"a ok", "b daily_limit_exceeded"}},
		{"budget refusal that rests on a durable one", []sub{{"a", 600, true}}, []sub{{"b", 600, true}}, []string{"b daily_limit_exceeded"}, nil},
		{"refusal that rests on nothing keeps its place", nil, []sub{{"a", 10, true}, {"b", -1, true}, {"c", 5, true}}, nil, []string{"a ok", "b invalid_wager", "c ok"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			g := r.offer("100", t0.Add(2*time.Hour))
			n := r.addValidator("v0")
			r.run(time.Second)
			p := r.session("m0", n)
			send := func(subs []sub) {
				for _, s := range subs {
					o := bet.Home
					if !s.home {
						o = bet.Away
					}
					p.send(p.predict(submission(s.id, g, o, s.dollars)))
				}
			}
			send(tc.before)
			p.got = nil
			n.commit.hold = true
			send(tc.send)
			if d := cmp.Diff(tc.said, p.confirmations()); d != "" {
				t.Errorf("said before the disk has it (-want +got):\n%s", d)
			}
			p.got = nil
			n.commit.hold = false
			n.commit.flush()
			r.run(time.Second)
			if d := cmp.Diff(tc.want, p.confirmations()); d != "" {
				t.Errorf("said afterwards (-want +got):\n%s", d)
			}
		})
	}
}

// TestSlowStorePushesBack: more waits for the disk than the store bears, so new
// predictions are refused for now, and are taken when it is over.
func TestSlowStorePushesBack(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(2*time.Hour))
	n := r.addValidator("v0")
	m := r.addMiner("m1", once(bet.Home, 10_00))
	n.silent = true
	r.run(time.Second)
	p := r.session("m0", n)
	n.v.store.Limit(storeLimits(3))
	n.commit.hold = true
	for i := range 5 {
		p.send(p.predict(submission(fmt.Sprint("p", i), g, bet.Home, 1)))
	}
	if got := p.confirmations(); !slices.Equal(got, []string{"p3 overloaded", "p4 overloaded"}) {
		t.Errorf("said while the store is full: %q", got)
	}
	if s := n.service("predictions"); s.State != "degraded" {
		t.Errorf("predictions are %q while the store is full", s.State)
	}
	n.commit.hold = false
	n.commit.flush()
	p.got = nil
	p.send(p.predict(submission("p4", g, bet.Home, 1)))
	if got := p.confirmations(); !slices.Equal(got, []string{"p0 ok", "p1 ok", "p2 ok", "p4 ok"}) {
		t.Errorf("said afterwards: %q", got)
	}
	r.run(2 * time.Minute)
	if got := m.count("communication", "confirmed"); got != 1 {
		t.Errorf("the miner has %d confirmations, want its one", got)
	}
	if len(n.downs) > 0 || n.service("predictions").State != "ok" {
		t.Errorf("downs %v, state %q", n.downs, n.service("predictions").State)
	}
}

// TestAnswersThatWaitAreBounded: refusals write nothing, so a disk that hangs is
// not full by them; beyond a limit they are pushed back as if it were.
func TestAnswersThatWaitAreBounded(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(2*time.Hour))
	n := r.addValidator("v0")
	r.run(time.Second)
	p := r.session("m0", n)
	n.commit.hold = true
	p.send(p.predict(submission("a", g, bet.Home, 1)))
	again := submission("a", g, bet.Home, 1)
	publish := func(count int) {
		n.do(func() {
			for range count {
				n.v.PredictionReceived.Publish(PredictionReceived{Hotkey: hotkeyOf("m0"), Submission: again})
			}
		})
		r.run(time.Second)
	}
	for range 8 {
		publish(maxAnswers / 8)
	}
	publish(5)
	if got := n.count("predictions", "rejected_overloaded"); got != 6 || n.v.store.Full() {
		t.Errorf("%d pushed back, want 6", got)
	}
	if s := n.service("predictions"); s.State != "degraded" {
		t.Errorf("predictions are %q", s.State)
	}
	n.commit.hold = false
	n.commit.flush()
	r.run(time.Second)
	publish(1)
	if got := n.count("predictions", "duplicates"); got != maxAnswers || n.service("predictions").State != "ok" {
		t.Errorf("afterwards: %d duplicates, %+v", got, n.service("predictions"))
	}
}

// TestFailedCommitStopsTheNode: its fate is unknown, so nothing is said, and
// after the restart the same submission finds out.
func TestFailedCommitStopsTheNode(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied %t", applied), func(t *testing.T) {
			r := newRig(t)
			g := r.offer("100", t0.Add(2*time.Hour))
			n := r.addValidator("v0")
			r.run(time.Second)
			p := r.session("m0", n)
			n.commit.hold = true
			p.send(p.predict(submission("a", g, bet.Home, 10)))
			if applied { // though it is reported as failed
				if err := n.engine.Apply(n.commit.first, n.commit.held, true); err != nil {
					t.Fatal(err)
				}
			}
			n.commit.fail = true
			n.commit.flush()
			r.run(time.Second)
			if len(n.downs) != 1 || len(p.confirmations()) != 0 {
				t.Fatalf("downs %v, said %q", n.downs, p.confirmations())
			}
			r.run(5 * time.Second)
			p = r.session("m0", n)
			p.send(p.predict(submission("a", g, bet.Home, 10)))
			if got := p.confirmations(); !slices.Equal(got, []string{"a ok"}) {
				t.Errorf("said after the restart: %q", got)
			}
			if got := n.v.State.Book.Len(); got != 1 {
				t.Errorf("%d predictions in the books", got)
			}
		})
	}
}

// TestSettlement follows one prediction through what may become of its game.
func TestSettlement(t *testing.T) {
	type news func(g *bet.Game, now time.Time)
	result := func(o bet.Outcome) news {
		return func(g *bet.Game, now time.Time) {
			g.Status, g.Outcome, g.ResultAt, g.Active = bet.Finished, o, now, false
		}
	}
	void := func(g *bet.Game, now time.Time) { g.Status, g.Outcome, g.ResultAt = bet.Void, bet.Unfinished, now }
	postponed := func(g *bet.Game, now time.Time) { g.Status, g.Active = bet.Postponed, false }
	withdrawn := func(g *bet.Game, now time.Time) {
		g.Status, g.Outcome, g.ResultAt = bet.Scheduled, bet.Unfinished, time.Time{}
	}
	for _, tc := range []struct {
		name   string
		news   []news
		state  bet.State
		payout bet.Cents
		win    float64 // accuracy
	}{
		{"won", []news{result(bet.Home)}, bet.Won, 19_00, 1},
		{"lost", []news{result(bet.Tie)}, bet.Lost, 0, 0},
		{"won, corrected to lost", []news{result(bet.Home), result(bet.Away)}, bet.Lost, 0, 0},
		{"lost, corrected to won", []news{result(bet.Away), result(bet.Home)}, bet.Won, 19_00, 1},
		{"void", []news{void}, bet.Pushed, 0, 0},
		{"won, then void", []news{result(bet.Home), void}, bet.Pushed, 0, 0},
		{"postponed stays open", []news{postponed}, bet.Open, 0, 0},
		{"result withdrawn opens again", []news{result(bet.Home), withdrawn}, bet.Open, 0, 0},
		{"withdrawn, then told again", []news{result(bet.Home), withdrawn, result(bet.Home)}, bet.Won, 19_00, 1},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %t", tc.name, crash), func(t *testing.T) {
				r := newRig(t)
				g := r.offer("100", t0.Add(time.Hour))
				n := r.addValidator("v0")
				r.run(time.Second)
				p := r.session("m0", n)
				p.send(p.predict(submission("a", g, bet.Home, 10)))
				r.run(2 * time.Hour)
				for _, change := range tc.news {
					g := r.games[0]
					change(&g, r.w.Now())
					r.tell(g)
					r.poll()
					r.run(time.Hour)
					if crash {
						n.crash()
						r.run(time.Minute)
					}
				}
				row := n.v.State.Book.Get(hotkeyOf("m0"), "a")
				if row.State != tc.state || row.Payout != tc.payout {
					t.Errorf("%s %s, want %s %s", row.State, row.Payout, tc.state, tc.payout)
				}
				if spent := n.v.State.Book.Spent(hotkeyOf("m0"), bet.DayOf(t0)); spent != 10_00 {
					t.Errorf("budget taken %s: no result gives it back", spent)
				}
				if acc := n.service("predictions").Accuracy; acc.WinRate != tc.win {
					t.Errorf("win rate %v, want %v", acc.WinRate, tc.win)
				}
				n.kill()
				found := ledgerOn(t, n)
				if len(found.Predictions) != 1 || found.Predictions[0].State != tc.state {
					t.Errorf("on disk: %+v", found.Predictions)
				}
			})
		}
	}
}

// TestSettledAfterACrash: the result is on disk and the settlement is not.
func TestSettledAfterACrash(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.FeedInterval = 1000 * time.Hour })
	r.run(time.Second)
	p := r.session("m0", n)
	p.send(p.predict(submission("a", g, bet.Home, 10)))
	r.run(2 * time.Hour)
	r.finish("100", bet.Home)
	n.do(func() {
		for i := range n.v.services {
			if s, ok := n.v.services[i].service.(*games); ok {
				s.poll(nil)
			}
		}
	})
	r.until("the settlement is on its way to the disk", time.Minute, func() bool {
		return n.v.State.Book.Get(hotkeyOf("m0"), "a").State != bet.Open
	})
	n.kill()
	if found := ledgerOn(t, n); found.Predictions[0].State != bet.Open || !found.Games[0].Resulted() {
		t.Fatalf("the crash came too late or too early: %+v", found)
	}
	n.start()
	r.run(5 * time.Minute)
	if got := n.v.State.Book.Get(hotkeyOf("m0"), "a").State; got != bet.Won {
		t.Errorf("after the restart it is %s", got)
	}
	if n.v.Standing(hotkeyOf("m0")).Score == 0 {
		t.Error("it was not scored")
	}
}

// TestEntropyPoolsSurvive: the raw contribution of a prediction is the same
// whether the validator was restarted before it, or a result was withdrawn.
func TestEntropyPoolsSurvive(t *testing.T) {
	run := func(between func(r *rig, n *rigNode)) float64 {
		r := newRig(t)
		g := r.offer("100", t0.Add(5*time.Hour))
		n := r.addValidator("v0")
		r.run(time.Second)
		p := r.session("m0", n)
		p.send(p.predict(submission("a", g, bet.Home, 10)))
		p.send(p.predict(submission("b", g, bet.Home, 30)))
		r.run(time.Minute)
		between(r, n)
		r.w.Run(t0.Add(3 * time.Hour))
		p = r.session("m1", n)
		p.send(p.predict(submission("c", r.games[0], bet.Home, 20)))
		row := n.v.State.Book.Get(hotkeyOf("m1"), "c")
		if row == nil {
			t.Fatalf("refused: %q", p.confirmations())
		}
		return row.Raw
	}
	want := run(func(*rig, *rigNode) {})
	if want == 0 {
		t.Fatal("the pool has no say: the test proves nothing")
	}
	if got := run(func(_ *rig, n *rigNode) { n.crash() }); got != want {
		t.Errorf("after a restart %v, want %v", got, want)
	}
	if got := run(func(r *rig, n *rigNode) {
		g := r.games[0]
		g.Status, g.ResultAt = bet.Void, r.w.Now()
		r.tell(g)
		r.poll()
		g.Status, g.ResultAt = bet.Scheduled, time.Time{}
		r.tell(g)
		r.poll()
	}); got != want {
		t.Errorf("after a withdrawn void %v, want %v", got, want)
	}
}

// TestStalePricesAreRepriced: what is accepted at a price that was older than one the
// feed had not told of yet stands for the probability of the new one where the closing
// edge is paid, whether the validator was restarted in between or not.
func TestStalePricesAreRepriced(t *testing.T) {
	old, shorter, longer := bet.Odds{2, 4, 4}, bet.Odds{1.6, 5, 5}, bet.Odds{2.5, 3.5, 3.5}
	for _, c := range []struct {
		rule   string
		odds   bet.Odds      // told an hour after the acceptance
		since  time.Duration // of them, before the acceptance; negative for after it
		crash  bool
		robust bool
		want   float64 // probability of Home
	}{
		{"shorter when it was accepted", shorter, time.Minute, false, true, 1 / 1.6 / (1/1.6 + 0.4)},
		{"shorter, and a restart", shorter, time.Minute, true, true, 1 / 1.6 / (1/1.6 + 0.4)},
		{"shorter only later", shorter, -time.Minute, false, true, 0.5},
		{"longer: what was paid counts", longer, time.Minute, false, true, 0.5},
		{"not where the closing edge is not paid", shorter, time.Minute, false, false, 0.5},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := newRig(t)
			g := r.offer("100", t0.Add(5*time.Hour))
			g.Odds = old
			r.tell(g)
			config := withoutEntropy
			if c.robust {
				config = robust
			}
			n := r.addValidator("v0", config)
			r.run(time.Minute)
			p := r.session("m0", n)
			p.send(p.predict(submission("a", g, bet.Home, 10)))
			r.run(time.Minute)
			get := func() *ledger.Prediction { return n.v.State.Book.Get(hotkeyOf("m0"), "a") }
			if row := get(); row == nil || row.Chance != 0.5 {
				t.Fatalf("%+v, refused %q", row, p.confirmations())
			}
			at := get().Received.Add(-c.since)
			r.run(time.Hour)
			g.Odds, g.OddsAt = c.odds, at
			r.tell(g)
			r.poll()
			if c.crash {
				n.crash()
				r.run(time.Hour)
			}
			if got := get().Chance; math.Abs(got-c.want) > 1e-12 {
				t.Errorf("stands for %v, want %v", got, c.want)
			}
		})
	}
}

// TestClosingOddsMoveAccuracy: what CLV says follows closing odds that come, or
// are corrected, after the result.
func TestClosingOddsMoveAccuracy(t *testing.T) {
	r := newRig(t)
	g := r.offer("100", t0.Add(time.Hour))
	n := r.addValidator("v0")
	r.run(time.Second)
	p := r.session("m0", n)
	p.send(p.predict(submission("a", g, bet.Home, 10)))
	r.run(2 * time.Hour)
	r.finish("100", bet.Home)
	r.poll()
	for _, closing := range []float64{1.6, 2.0} {
		g := r.games[0]
		g.Closing = bet.Odds{closing, 4, 4}
		r.tell(g)
		r.poll()
		want := 1.9/closing - 1
		if got := n.service("predictions").Accuracy.CLV; got < want-1e-12 || got > want+1e-12 {
			t.Errorf("closing at %v: CLV %v, want %v", closing, got, want)
		}
	}
	n.crash()
	if got, want := n.service("predictions").Accuracy.CLV, 1.9/2.0-1; got < want-1e-12 || got > want+1e-12 {
		t.Errorf("after a restart: CLV %v, want %v", got, want)
	}
}

// TestAccuracyText is the round trip of what a restart finds, and of what it
// must bear.
func TestAccuracyText(t *testing.T) {
	a := accuracy{won: 3, lost: 4, pushed: 1, priced: 7, brier: 1.0 / 3, clv: -0.125, wager: 1234_56, profit: -99_99}
	var b accuracy
	if b.parse(a.String()); b != a {
		t.Errorf("%+v reads as %+v", a, b)
	}
	for _, text := range []string{"", "won=1", "nonsense", a.String()[1:]} {
		b = accuracy{won: 5}
		if b.parse(text); b != (accuracy{won: 5}) {
			t.Errorf("%q reads as %+v", text, b)
		}
	}
}
