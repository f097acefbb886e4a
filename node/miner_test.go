package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/wire"
)

// TestWakeIsHonoured: the model is asked at the instant it named, and not at one
// that it has taken back.
func TestWakeIsHonoured(t *testing.T) {
	r := newRig(t)
	r.addValidator("v0")
	at := t0.Add(10*time.Minute + 123*time.Millisecond)
	p := &plan{wake: func(now time.Time) time.Time {
		if now.Before(at) {
			return at
		}
		return time.Time{}
	}}
	r.addMiner("m0", p, func(c *MinerConfig) { c.PredictionInterval = 1000 * time.Hour })
	r.run(30 * time.Minute)
	if !slices.ContainsFunc(p.asked, at.Equal) {
		t.Errorf("asked at %v, not at %v", p.asked, at)
	}
	if last := p.asked[len(p.asked)-1]; last.After(at) {
		t.Errorf("asked at %v though nothing was wished and nothing happened", last)
	}
	for i := 1; i < len(p.asked); i++ {
		if !p.asked[i].After(p.asked[i-1]) {
			t.Errorf("asked twice at %v", p.asked[i])
		}
	}

	t.Run("taken back", func(t *testing.T) {
		r := newRig(t)
		r.addValidator("v0")
		wish := t0.Add(time.Hour)
		p := &plan{wake: func(time.Time) time.Time { return wish }}
		r.addMiner("m0", p, func(c *MinerConfig) { c.PredictionInterval = 1000 * time.Hour })
		r.run(2 * time.Minute)
		r.offer("100", t0.Add(5*time.Hour))
		wish = time.Time{}
		r.poll()
		r.run(2 * time.Hour)
		if slices.ContainsFunc(p.asked, t0.Add(time.Hour).Equal) {
			t.Error("asked at an instant it no longer wished for")
		}
	})
}

// TestPicksAreCut to what can be placed: by the budget of the day by the miner's
// own clock, by the least wager, by what is offered.
func TestPicksAreCut(t *testing.T) {
	for _, tc := range []struct {
		name  string
		picks []model.Pick
		want  []bet.Cents
	}{
		{"within the budget", []model.Pick{{Game: "100", Wager: 600_00}, {Game: "100", Wager: 400_00}}, []bet.Cents{600_00, 400_00}},
		{"what exceeds it is dropped, what fits after it is not", []model.Pick{{Game: "100", Wager: 600_00}, {Game: "100", Wager: 500_00}, {Game: "100", Wager: 400_00}}, []bet.Cents{600_00, 400_00}},
		{"too small", []model.Pick{{Game: "100", Wager: 4_99}, {Game: "100", Wager: 5_00}}, []bet.Cents{5_00}},
		{"nothing and less", []model.Pick{{Game: "100", Wager: 0}, {Game: "100", Wager: -5}}, nil},
		{"unknown game", []model.Pick{{Game: "999", Wager: 10_00}}, nil},
		{"no tie in it", []model.Pick{{Game: "101", Outcome: bet.Tie, Wager: 10_00}}, nil},
		{"no such outcome", []model.Pick{{Game: "100", Outcome: bet.Unfinished, Wager: 10_00}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.offer("100", t0.Add(30*time.Hour))
			g := r.offer("101", t0.Add(30*time.Hour))
			g.CanTie, g.Odds[bet.Tie] = false, 0
			r.tell(g)
			n := r.addValidator("v0")
			r.run(time.Second)
			done := false
			m := r.addMiner("m0", &plan{picks: func(_ time.Time, b *model.Book) []model.Pick {
				if done || len(b.Games) == 0 {
					return nil
				}
				done = true
				return tc.picks
			}}, func(c *MinerConfig) { c.MinWager = 5_00 })
			r.run(5 * time.Minute)
			var got []bet.Cents
			for _, row := range append(n.v.State.Book.Game("100"), n.v.State.Book.Game("101")...) {
				got = append(got, row.Wager)
			}
			if !slices.Equal(got, tc.want) || m.count("predictions", "cut") != uint64(len(tc.picks)-len(tc.want)) {
				t.Errorf("placed %v, cut %d; want %v", got, m.count("predictions", "cut"), tc.want)
			}
			if m.count("communication", "rejected") != 0 {
				t.Error("the validator refused some")
			}
		})
	}

	t.Run("the next UTC day has a budget of its own", func(t *testing.T) {
		r := newRig(t)
		r.offer("100", t0.Add(40*time.Hour))
		n := r.addValidator("v0")
		var left []bet.Cents
		r.addMiner("m0", &plan{picks: func(_ time.Time, b *model.Book) []model.Pick {
			left = append(left, b.Remaining)
			if len(b.Games) == 0 {
				return nil
			}
			return []model.Pick{{Game: "100", Wager: b.Remaining}}
		}})
		r.run(24 * time.Hour)
		if got := len(n.v.State.Book.Game("100")); got != 2 {
			t.Errorf("%d predictions in a night, want one a day; %v", got, left)
		}
	})
}

// TestEveryValidatorIsTold, each until it has confirmed, whichever is down.
func TestEveryValidatorIsTold(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(5*time.Hour))
	a, b := r.addValidator("v0"), r.addValidator("v1")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(30 * time.Second)
	b.kill()
	r.run(10 * time.Minute)
	if a.v.State.Book.Len() != 1 || m.count("communication", "sessions") != 1 {
		t.Fatalf("%d predictions at the one that is up, %d sessions", a.v.State.Book.Len(), m.count("communication", "sessions"))
	}
	r.offer("101", t0.Add(5*time.Hour))
	r.run(20 * time.Minute)
	b.start()
	r.run(15 * time.Minute)
	for _, n := range []*rigNode{a, b} {
		if got := n.v.State.Book.Len(); got != 2 {
			t.Errorf("%s has %d predictions", n.name, got)
		}
	}
	for _, id := range []bet.GameID{"100", "101"} {
		d := m.m.Deliveries(predictionID(hotkeyOf("m0"), id, 0))
		if len(d) != 2 || d[0].State != ledger.Confirmed || d[1].State != ledger.Confirmed {
			t.Errorf("%s: %+v", id, d)
		}
	}
	if m.count("communication", "rejected") != 0 {
		t.Error("something was rejected")
	}
}

// TestLaggingValidatorIsWaitedFor: one validator's feed is behind another's, and
// what it does not offer yet is sent when it does, or at last all the same.
func TestLaggingValidatorIsWaitedFor(t *testing.T) {
	r := newRig(t)
	a := r.addValidator("v0", func(c *ValidatorConfig) { c.FeedInterval = time.Minute })
	b := r.addValidator("v1", func(c *ValidatorConfig) { c.FeedInterval = 8 * time.Minute })
	m := r.addMiner("m0", once(bet.Home, 10_00))
	r.run(5 * time.Minute)
	r.offer("100", t0.Add(5*time.Hour))
	r.run(90 * time.Second)
	if a.v.State.Book.Len() != 1 || m.count("communication", "waiting_for_quote") != 1 || b.count("communication", "predictions") != 0 {
		t.Fatalf("before the second has polled: %+v", m.service("communication").Counts)
	}
	r.run(8 * time.Minute)
	if b.v.State.Book.Len() != 1 || m.count("communication", "rejected") != 0 {
		t.Errorf("after it has polled: %d in its books, %d rejected", b.v.State.Book.Len(), m.count("communication", "rejected"))
	}
	b.do(func() { // from now on it learns nothing
		for i := range b.v.services {
			if b.v.services[i].name() == "games" {
				b.v.services[i].scope.Close()
			}
		}
	})
	r.offer("101", t0.Add(5*time.Hour))
	r.run(10 * time.Minute)
	if b.count("communication", "predictions") != 1 {
		t.Error("sent though it does not offer the game")
	}
	r.run(10 * time.Minute)
	if d := m.m.Deliveries(predictionID(hotkeyOf("m0"), "101", 0)); len(d) != 2 || d[1].Code != bet.GameNotFound {
		t.Errorf("at last: %+v", d)
	}
}

// TestValidatorThatMoves: another address, then no permit any more.
func TestValidatorThatMoves(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(3 * time.Minute)
	if m.count("communication", "sessions") != 1 {
		t.Fatal("no session to begin with")
	}
	n.kill()
	n.validator.Axon.Port, n.address = 9000, "198.51.102.1:9000"
	n.start()
	r.run(5 * time.Minute)
	if m.count("communication", "sessions") != 1 || m.count("communication", "validators") != 1 {
		t.Errorf("after the move: %+v", m.service("communication"))
	}
	r.chain.SetStake(r.w.Now(), hotkeyOf("v0"), 0)
	r.run(2 * time.Hour)
	if m.count("communication", "validators") != 0 || n.count("communication", "sessions") != 0 {
		t.Errorf("after the permit is gone: %+v", m.service("communication"))
	}
}

// TestResendUntilConfirmed: what a refusal means for the outbox.
func TestResendUntilConfirmed(t *testing.T) {
	for _, tc := range []struct {
		code  bet.Code
		again bool
	}{
		{bet.Overloaded, true}, {bet.StoreUnavailable, true}, {bet.RateLimited, true},
		{bet.OddsMismatch, false}, {bet.DailyLimitExceeded, false}, {bet.GameStarted, false}, {"something_new", false},
	} {
		t.Run(string(tc.code), func(t *testing.T) {
			r := newRig(t)
			r.offer("100", t0.Add(5*time.Hour))
			n := r.addValidator("v0")
			m := r.addMiner("m0", once(bet.Home, 100_00))
			refused := 0
			refuse := func(e *PredictionReceived) {
				refused++
				n.v.PredictionRejected.Publish(PredictionRejected{Hotkey: e.Hotkey, ID: e.Submission.ID, Code: tc.code})
			}
			for i := range n.v.services { // in the place of the real one
				if n.v.services[i].name() == "predictions" {
					n.v.services[i].scope.Close()
				}
			}
			n.v.PredictionReceived.Subscribe(n.loop.Scope("test"), refuse)
			r.run(10 * time.Minute)
			if again := refused > 1; refused == 0 || again != tc.again {
				t.Errorf("sent %d times, again %t, want %t", refused, again, tc.again)
			}
			if refused > 12 {
				t.Errorf("sent %d times in ten minutes: no backoff", refused)
			}
			if d := m.m.Deliveries(predictionID(hotkeyOf("m0"), "100", 0)); tc.again != (len(d) == 0) {
				t.Errorf("deliveries %+v", d)
			}
			if s := m.count("communication", "submitted"); s != uint64(refused) {
				t.Errorf("%d submitted, %d arrived", s, refused)
			}
		})
	}
}

// TestResendsArePaced: what waited for a validator that was away goes out below
// the rate that it takes, and all of it arrives.
func TestResendsArePaced(t *testing.T) {
	const picks = 400
	r := newRig(t)
	for i := range picks {
		r.offer(fmt.Sprint("g", i), t0.Add(10*time.Hour))
	}
	v := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00), func(c *MinerConfig) { c.Budget = 10_00 * picks })
	r.until("the miner has made its picks", time.Hour, func() bool { return m.count("predictions", "picks") == picks })
	v.crash() // the sessions end, and most is still to be sent
	r.run(2 * time.Minute)
	if got := v.count("predictions", "rejected_"+string(bet.RateLimited)) + v.count("communication", "over_rate"); got != 0 {
		t.Errorf("%d frames of an honest miner were above the rate", got)
	}
	if got := m.count("communication", "confirmed") + m.count("communication", "rejected"); got != picks {
		t.Errorf("%d of %d answered: %+v", got, picks, m.service("communication").Counts)
	}
}

// TestMinerBoundsWhatItIsTold: games outside of the window, dated ahead or too
// many are not taken in; what is known stays known when its start moves.
func TestMinerBoundsWhatItIsTold(t *testing.T) {
	r := newRig(t)
	m := r.addMiner("m0", &plan{})
	r.run(time.Second)
	tell := func(id string, start time.Time, updated time.Time) {
		g := r.offer(id, start)
		g.Created, g.OddsAt, g.Updated = updated, updated, updated
		m.do(func() { m.m.GameNews.Publish(GameNews{Validator: "v", Games: []bet.Game{g}}) })
		r.run(time.Second)
	}
	now := r.w.Now()
	for _, tc := range []struct {
		id    string
		start time.Duration
		ahead time.Duration
		count string // that moves instead
	}{
		{"inside", 8 * 24 * time.Hour, 0, ""},
		{"announced early", 12 * 24 * time.Hour, 0, ""}, // a validator tells of it once, long before
		{"far", gamesFar + 26*time.Hour, 0, "outside_window"},
		{"old", -gamesBack - 26*time.Hour, 0, "outside_window"},
		{"early", time.Hour, time.Hour, "refused_ahead"},
		{"inside", gamesFar + 26*time.Hour, time.Minute, ""},
	} {
		before := uint64(0)
		if tc.count != "" {
			before = m.count("games", tc.count)
		}
		tell(tc.id, now.Add(tc.start), now.Add(tc.ahead))
		g := m.m.State.Games[bet.GameID(tc.id)]
		if tc.count != "" && (g != nil || m.count("games", tc.count) != before+1) {
			t.Errorf("%s: known %t, %+v", tc.id, g != nil, m.service("games").Counts)
		}
		if tc.count == "" && (g == nil || !g.Start.Equal(now.Add(tc.start))) {
			t.Errorf("%s at %v: %+v", tc.id, tc.start, g)
		}
	}
	r.run(25 * time.Hour) // it has moved out of sight, and nobody waits for it
	tell("full", r.w.Now().Add(time.Hour), r.w.Now())
	for i := len(m.m.State.Games); i < maxGames; i++ {
		g := *m.m.State.Games["full"]
		g.ID = bet.GameID(fmt.Sprint("x", i))
		m.m.State.putGame(&g)
	}
	tell("more", r.w.Now().Add(time.Hour), r.w.Now())
	if m.m.State.Games["more"] != nil || len(m.m.State.Games) != maxGames || m.count("games", "beyond_limit") != 1 {
		t.Errorf("%d games, %+v", len(m.m.State.Games), m.service("games").Counts)
	}
}

// TestOneValidatorCannotFillAMinersMemory: when there is no room, whoever tells
// most of what nobody else knows of pays for what others tell.
func TestOneValidatorCannotFillAMinersMemory(t *testing.T) {
	r := newRig(t)
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(time.Second)
	tell := func(validator string, ids ...string) {
		e := GameNews{Validator: validator}
		for _, id := range ids {
			g := r.offer(id, r.w.Now().Add(time.Hour))
			g.Active = validator != "hostile" // no pick is made of those
			e.Games = append(e.Games, g)
		}
		m.do(func() { m.m.GameNews.Publish(e) })
		r.run(time.Second)
	}
	tell("v0", "a", "b")
	made := make([]string, maxGames)
	for i := range made {
		made[i] = fmt.Sprintf("made up %05d", i)
	}
	tell("hostile", made...)
	if got := len(m.m.State.Games); got != maxGames || m.count("games", "beyond_limit") != 2 {
		t.Fatalf("%d games, %d beyond the limit", got, m.count("games", "beyond_limit"))
	}
	if s := m.service("games"); s.State != "degraded" {
		t.Errorf("%s %s", s.State, s.Reason)
	}
	tell("v1", "c", "d", made[0], made[1])
	for _, id := range []bet.GameID{"a", "b", "c", "d"} {
		if m.m.State.Games[id] == nil {
			t.Errorf("game %s of an honest validator is not known", id)
		}
	}
	if got := m.count("games", "evicted"); got != 2 || len(m.m.State.Games) != maxGames {
		t.Errorf("%d evicted, %d games", got, len(m.m.State.Games))
	}
	games := m.m.core.services[slices.IndexFunc(m.m.core.services, func(h held) bool { return h.name() == "games" })].service.(*minerGames)
	if games.counts["hostile"] != maxGames-6 || games.counts["v0"] != 2 || games.counts["v1"] != 2 { // two are known of twice
		t.Errorf("told alone: %v", games.counts)
	}
}

// TestNothingIsSentAfterTheStart, not even what was never confirmed.
func TestNothingIsSentAfterTheStart(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(10*time.Minute))
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.until("games are known", 5*time.Minute, func() bool { return m.count("games", "known") == 1 })
	n.kill()
	r.w.Run(t0.Add(11 * time.Minute))
	n.start()
	r.run(30 * time.Minute)
	if got := n.count("communication", "predictions"); got != 0 {
		t.Errorf("%d predictions arrived after the start", got)
	}
	if m.count("communication", "sessions") != 1 || m.count("predictions", "picks") != 1 {
		t.Error("there was nothing to send: the test proves nothing")
	}
}

// TestRestartSendsNothingTwice: whenever the miner dies, the validator ends with
// one prediction a game, under one id.
func TestRestartSendsNothingTwice(t *testing.T) {
	for _, keep := range []bool{false, true} { // what was under way to the disk
		for event := 1; event < 60; event += 2 {
			r := newRig(t)
			r.offer("100", t0.Add(5*time.Hour))
			r.offer("101", t0.Add(5*time.Hour))
			n := r.addValidator("v0")
			r.run(time.Minute)
			m := r.addMiner("m0", once(bet.Home, 100_00))
			for i := 0; i < event; {
				before := m.loop.Events()
				r.w.Step()
				i += int(m.loop.Events() - before)
			}
			if keep {
				m.commit.flush()
			}
			m.crash()
			r.run(10 * time.Minute)
			if got := n.v.State.Book.Len(); got != 2 || n.count("predictions", "rejected_daily_limit_exceeded") != 0 {
				t.Fatalf("crash at event %d, keep %t: %d predictions in the books", event, keep, got)
			}
			if got := n.v.State.Book.Spent(hotkeyOf("m0"), bet.DayOf(t0)); got != 200_00 {
				t.Fatalf("crash at event %d, keep %t: %s spent", event, keep, got)
			}
		}
	}
}

// TestNothingIsSentBeforeItIsOnDisk: what was sent must not be forgotten.
func TestNothingIsSentBeforeItIsOnDisk(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(5*time.Hour))
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.until("a session", 5*time.Minute, func() bool { return m.count("communication", "sessions") == 1 })
	m.commit.hold = true
	r.run(3 * time.Second)
	m.do(func() { m.m.PredictionsGenerated.Publish(PredictionsGenerated{}) }) // something else has it look
	r.run(3 * time.Second)
	if m.count("predictions", "picks") != 1 || n.count("communication", "predictions") != 0 {
		t.Errorf("%d picks, %d arrived before the disk has them", m.count("predictions", "picks"), n.count("communication", "predictions"))
	}
	m.commit.hold = false
	m.commit.flush()
	r.run(time.Second)
	if n.count("communication", "predictions") != 1 {
		t.Error("not sent afterwards")
	}
}

// TestOutboxAfterARestart: unconfirmed predictions are sent again, confirmed
// ones are not.
func TestOutboxAfterARestart(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(5*time.Hour))
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(5 * time.Minute)
	n.kill()
	g := r.offer("101", t0.Add(5*time.Hour))
	m.do(func() { m.m.GameNews.Publish(GameNews{Validator: "another", Games: []bet.Game{g}}) })
	r.run(time.Minute)
	m.crash()
	n.start()
	r.run(10 * time.Minute)
	if got := m.count("communication", "submitted"); got != 1 {
		t.Errorf("%d submitted after the restart, want the one that was not confirmed", got)
	}
	if got := n.v.State.Book.Len(); got != 2 {
		t.Errorf("%d predictions in the books: %+v", got, n.service("predictions").Counts)
	}
}

// TestMinerSettlesAfterACrash: the result is on disk, what it means for the
// outbox is not, and no validator will tell it as news again.
func TestMinerSettlesAfterACrash(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(time.Hour))
	r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(2 * time.Hour)
	r.finish("100", bet.Home)
	r.until("the result is durable, the settlement under way", time.Hour, func() bool {
		s := m.m.State.Games["100"]
		return s != nil && s.Resulted()
	})
	m.commit.held = m.commit.held[:1]
	m.commit.flush()
	m.kill()
	if found := outboxOn(t, m); len(found.Games) != 1 || found.Outbox[0].State != bet.Open {
		t.Fatalf("the crash came too late or too early: %+v", found)
	}
	m.start()
	r.run(10 * time.Minute)
	if acc := m.service("predictions").Accuracy; acc.Settled != 1 || acc.WinRate != 1 {
		t.Errorf("after the restart: %+v", acc)
	}
}

// TestMinerFollowsCorrections of results, withdrawn ones too.
func TestMinerFollowsCorrections(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(time.Hour))
	r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.run(2 * time.Hour)
	state := func() bet.State {
		r.poll()
		r.run(time.Second)
		return m.m.box.rows[0].State
	}
	for i, step := range []struct {
		change func(g *bet.Game)
		want   bet.State
	}{
		{func(g *bet.Game) { g.Status, g.Outcome, g.ResultAt = bet.Finished, bet.Home, r.w.Now() }, bet.Won},
		{func(g *bet.Game) { g.Outcome = bet.Tie }, bet.Lost},
		{func(g *bet.Game) { g.Status, g.Outcome, g.ResultAt = bet.Scheduled, bet.Unfinished, time.Time{} }, bet.Open},
		{func(g *bet.Game) { g.Status, g.ResultAt = bet.Void, r.w.Now() }, bet.Pushed},
	} {
		g := r.games[0]
		step.change(&g)
		r.tell(g)
		r.run(time.Hour) // the validator believes it when the feed stands by it
		if got := state(); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	if acc := m.service("predictions").Accuracy; acc.Settled != 1 || acc.Pushed != 1 || acc.ROI != 0 || acc.Brier != 0 {
		t.Errorf("accuracy %+v", acc)
	}
}

// TestModelSeesResultsAfterARestart: they are what it learns from.
func TestModelSeesResultsAfterARestart(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(time.Hour))
	r.addValidator("v0")
	p := once(bet.Home, 100_00)
	m := r.addMiner("m0", p)
	r.run(2 * time.Hour)
	r.finish("100", bet.Home)
	r.run(20 * time.Minute)
	m.kill()
	p.seen = nil
	m.start()
	if fmt.Sprint(p.seen) != "[100]" {
		t.Errorf("it was shown %v", p.seen)
	}
}

// TestSpoofedAnswersChangeNothing: what a validator says counts only in its own
// name, fresh, and once.
func TestSpoofedAnswersChangeNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		frame func(r *rig, id bet.PredictionID, nonce string) []byte
		final bool
	}{
		{"its own", func(r *rig, id bet.PredictionID, nonce string) []byte {
			return wire.AppendConfirmation(nil, rigSigner("v0"), r.w.Now(), nonce, &wire.Confirmation{ID: id, Code: bet.GameStarted})
		}, true},
		{"another's", func(r *rig, id bet.PredictionID, nonce string) []byte {
			return wire.AppendConfirmation(nil, rigSigner("v1"), r.w.Now(), nonce, &wire.Confirmation{ID: id, Code: bet.GameStarted})
		}, false},
		{"stale", func(r *rig, id bet.PredictionID, nonce string) []byte {
			return wire.AppendConfirmation(nil, rigSigner("v0"), r.w.Now().Add(-time.Hour), nonce, &wire.Confirmation{ID: id, Code: bet.GameStarted})
		}, false},
		{"of another prediction", func(r *rig, _ bet.PredictionID, nonce string) []byte {
			return wire.AppendConfirmation(nil, rigSigner("v0"), r.w.Now(), nonce, &wire.Confirmation{ID: "another", Code: bet.GameStarted})
		}, false},
		{"unsigned", func(r *rig, _ bet.PredictionID, _ string) []byte { return wire.AppendStatus(nil, "no") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.offer("100", t0.Add(5*time.Hour))
			n := r.addValidator("v0")
			m := r.addMiner("m0", once(bet.Home, 100_00))
			r.until("a session", 5*time.Minute, func() bool { return m.count("communication", "sessions") == 1 })
			for i := range n.v.services {
				if n.v.services[i].name() == "predictions" {
					n.v.services[i].scope.Close() // so that it says nothing itself
				}
			}
			r.run(10 * time.Second)
			id := predictionID(hotkeyOf("m0"), "100", 0)
			var nonces wire.Nonces
			for _, e := range r.ends {
				if e.node == n && e.open {
					r.pass(e, tc.frame(r, id, nonces.Next(r.w.Now())))
				}
			}
			r.run(time.Second)
			if final := len(m.m.Deliveries(id)) == 1; final != tc.final {
				t.Errorf("final: %t, want %t", final, tc.final)
			}
		})
	}
}

// TestAResultThatComesAgainIsOneRow: a validator that withdraws a result and
// tells it again, over and over, does not use up what a miner keeps.
func TestAResultThatComesAgainIsOneRow(t *testing.T) {
	r := newRig(t)
	m := r.addMiner("m0", &plan{})
	r.run(time.Second)
	g := r.offer("g", r.w.Now().Add(time.Minute))
	tell := func(change func(*bet.Game)) {
		g.Updated = r.w.Now()
		change(&g)
		told := g
		m.do(func() { m.m.GameNews.Publish(GameNews{Validator: "v", Games: []bet.Game{told}}) })
		r.run(time.Minute)
	}
	tell(func(*bet.Game) {})
	r.run(2 * time.Hour)
	for range 5 {
		tell(func(g *bet.Game) { g.Status, g.Outcome, g.ResultAt = bet.Finished, bet.Home, g.Updated })
		if !m.m.State.Games["g"].Resulted() {
			t.Fatal("the result was not taken")
		}
		tell(func(g *bet.Game) { g.Status, g.Outcome, g.ResultAt = bet.Scheduled, bet.Unfinished, time.Time{} })
	}
	if got := m.count("games", "kept"); got != 1 {
		t.Errorf("%d games kept, want the one there is", got)
	}
}
