package invariant

import (
	"math"
	"regexp"
	"strconv"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"

	"github.com/google/go-cmp/cmp"
)

// TestObedientHistory plays two months in which nothing is wrong.
func TestObedientHistory(t *testing.T) {
	const days = 70
	x := newHistory(t)
	x.slot("C")
	x.days(3)
	x.slot("") // C leaves, and is not paid for it
	x.days(days - 3)
	x.expect(nil)
	for _, c := range x.set.Finish(x.at) {
		if c.Checked < 50 {
			t.Errorf("%s was put to the test %d times in two months", c.Name, c.Checked)
		}
		if c.Disabled != "" {
			t.Errorf("%s is disabled: %s", c.Name, c.Disabled)
		}
	}
	v := x.set.validators[0]
	if len(v.played) >= days {
		t.Errorf("%d games are remembered after retention", len(v.played))
	}
	if most := days * len(miners) * 3; len(v.entries) >= most || len(v.entries) < most/2 {
		t.Errorf("%d of %d predictions are remembered after retention", len(v.entries), most)
	}
}

// TestObedientCorners plays what is unusual and allowed.
func TestObedientCorners(t *testing.T) {
	x := newHistory(t).days(3)
	a, b := miners[0], miners[1]

	// Received at the last instant of a day, acknowledged on the next one.
	x.game("night", 30*time.Hour, bet.Home)
	x.at = begin.AddDate(0, 0, 4).Add(-time.Millisecond)
	s := x.submit(a, submission("midnight", "night", bet.Home, 1000))
	x.put(x.row(a, s))
	quiet := x.submit(b, submission("quiet", "night", bet.Away, 10))
	unheard := x.row(b, quiet)
	x.day = 4
	x.audit()
	x.put(unheard) // on its way to the disk at midnight, and nobody is told
	x.pass(5 * time.Millisecond)
	x.answer(a, s.ID, "")
	// The next day has a budget of its own.
	x.accept(a, submission("next-day", "night", bet.Home, 380))

	// Stored, and the acknowledgement never got through.
	s = x.submit(b, submission("silent", "night", bet.Away, 10))
	x.put(x.row(b, s))

	// Lost before it was durable, then sent again with another content.
	x.submit(b, submission("twice", "night", bet.Away, 10))
	x.pass(time.Minute)
	x.accept(b, submission("twice", "night", bet.Away, 20))
	x.submit(b, submission("twice", "night", bet.Away, 10))
	x.answer(b, "twice", bet.DuplicateConflict)

	// Refused for now, then for a reason that passes, then taken.
	s = x.submit(b, submission("later", "night", bet.Away, 30))
	x.answer(b, s.ID, bet.Overloaded)
	x.submit(b, s)
	x.answer(b, s.ID, bet.OddsMismatch)
	x.pass(time.Minute)
	x.accept(b, s)

	// Refused for what it says, and then corrected.
	x.submit(b, submission("fixed", "night", bet.Away, -1))
	x.answer(b, "fixed", bet.InvalidWager)
	x.accept(b, submission("fixed", "night", bet.Away, 1))

	// A refusal overtaken by the acceptance that came after it.
	s = x.submit(b, submission("overtaken", "night", bet.Away, 1))
	x.pass(time.Second)
	x.accept(b, s)
	x.set.Frame(x.at, theValidator, b, &wire.Event{Kind: wire.Received, Message: wire.Message{Kind: wire.ConfirmationMessage, Sender: theKey,
		Confirmation: wire.Confirmation{ID: s.ID, Code: bet.OddsMismatch, At: x.at.Add(-time.Second)}}})

	// A game without a result until its rows may go.
	x.game("abandoned", 2*time.Hour, bet.Home).resultAt = x.at.AddDate(0, 0, ledger.RetentionDays).Add(12 * time.Hour)
	x.accept(b, submission("abandoned", "abandoned", bet.Home, 1))

	// Put off while it was open, and predicted on the old kick-off.
	g := x.game("moved", 2*time.Hour, bet.Tie)
	g.movedAt, g.moved, g.resultAt = x.at.Add(time.Hour), x.at.Add(50*time.Hour), x.at.Add(52*time.Hour)
	x.accept(a, submission("moved-1", "moved", bet.Tie, 5))
	x.pass(90 * time.Minute)
	x.accept(a, submission("moved-2", "moved", bet.Tie, 5))

	// Moved forward; the validator hears of it an hour later.
	g = x.game("forward", 20*time.Hour, bet.Home)
	g.movedAt, g.moved = x.at.Add(10*time.Minute), x.at.Add(20*time.Minute)
	x.pass(30 * time.Minute)
	x.accept(a, submission("forward", "forward", bet.Home, 5))

	// Put off while a prediction, sent at the old kick-off, was under way.
	g = x.game("just-in-time", time.Hour, bet.Home)
	x.pass(time.Hour)
	g.movedAt, g.moved, g.resultAt = x.at.Add(10*time.Millisecond), x.at.Add(50*time.Hour), x.at.Add(52*time.Hour)
	x.accept(a, submission("just-in-time", "just-in-time", bet.Home, 1))

	// B has caught what A sends, and is heard before it: the session is A's, the
	// answers go to B. Then A's own frame comes, and is answered to A as well.
	x.nonce++
	auth := wire.Message{Kind: wire.Auth, Sender: a.Hotkey, Nonce: strconv.FormatUint(x.nonce, 10)}
	caught := submission("caught", "night", bet.Away, 1)
	bid := wire.Message{Kind: wire.Prediction, Sender: a.Hotkey, Nonce: "1", Submission: caught}
	for _, m := range []Node{a, b} {
		for _, f := range []wire.Message{auth, bid} {
			x.set.Frame(x.at, m, theValidator, &wire.Event{Kind: wire.Received, Message: f})
		}
	}
	x.pass(time.Second)
	x.say(theValidator, b, wire.Message{Kind: wire.Welcome})
	x.put(x.row(a, caught))
	x.answer(b, caught.ID, "")
	x.answer(a, caught.ID, "")

	x.days(3)
	// Corrected three days later, and followed.
	c := x.games["g4"]
	c.correctedAt, c.corrected = x.at.Add(time.Hour), (c.outcome+1)%2
	// Corrected before the day was over, and not yet followed at midnight.
	g = x.game("hasty", 11*time.Hour, bet.Home)
	g.correctedAt, g.corrected = x.at.Add(23*time.Hour), bet.Away
	x.accept(a, submission("hasty", "hasty", bet.Home, 1))
	// Withdrawn before the day was over; the validator hears of it after midnight.
	g = x.game("withdrawn", 11*time.Hour, bet.Home)
	g.withdrawnAt = x.at.Add(23 * time.Hour)
	open := *x.accept(a, submission("withdrawn", "withdrawn", bet.Home, 1))
	x.days(1)
	x.put(&open)
	x.days(50)
	x.expect(nil)
}

// TestPlanted breaks one thing at a time in an otherwise obedient history and
// wants exactly that invariant to say so.
func TestPlanted(t *testing.T) {
	a, b := miners[0], miners[1]
	type wants = map[string]uint64
	for _, test := range []struct {
		name string
		do   func(x *history)
		want wants
	}{
		{"a miner is let over its budget", func(x *history) {
			x.game("g", 20*time.Hour, bet.Home)
			for _, id := range []bet.PredictionID{"1", "2"} {
				x.accept(a, submission(id, "g", bet.Home, 500))
			}
			x.accept(a, submission("3", "g", bet.Home, 0.01))
			x.day++
		}, wants{"budget-per-day": 1}},
		{"over budget, and the acknowledgement is lost", func(x *history) {
			x.game("g", 20*time.Hour, bet.Home)
			x.accept(a, submission("1", "g", bet.Home, 1000))
			x.put(x.row(a, x.submit(a, submission("2", "g", bet.Home, 1))))
			x.day++
		}, wants{"budget-per-day": 1}},

		{"sent after kick-off, and stored with a false receipt", func(x *history) {
			g := x.game("g", time.Hour, bet.Home)
			x.pass(time.Hour)
			s := x.submit(a, submission("1", "g", bet.Home, 5))
			row := x.row(a, s)
			row.Received = g.start.Add(-time.Second)
			x.put(row)
			x.answer(a, s.ID, "")
		}, wants{"no-late-acceptance": 1, "receipt-time": 1}}, // by when it was sent, and by what is stored
		{"sent before kick-off, received at it", func(x *history) {
			x.game("g", time.Hour, bet.Home)
			s := x.submit(a, submission("1", "g", bet.Home, 5))
			x.pass(time.Hour)
			x.put(x.row(a, s))
			x.answer(a, s.ID, "")
		}, wants{"no-late-acceptance": 1}},
		{"a game nobody has heard of", func(x *history) {
			s := x.submit(a, submission("1", "nowhere", bet.Home, 5))
			x.put(x.row(a, s))
			x.answer(a, s.ID, "")
		}, wants{"no-late-acceptance": 2}},
		{"moved forward two days ago", func(x *history) {
			g := x.game("g", 70*time.Hour, bet.Home)
			g.movedAt, g.moved, g.resultAt = x.at, x.at.Add(time.Hour), x.at.Add(60*time.Hour)
			x.pass(49 * time.Hour)
			x.day += 2
			x.accept(a, submission("1", "g", bet.Home, 5))
		}, wants{"no-late-acceptance": 2}},
		{"receipt after the acknowledgement", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := x.submit(a, submission("1", "g", bet.Home, 5))
			row := x.row(a, s)
			row.Received = x.at.Add(time.Second)
			x.put(row)
			x.answer(a, s.ID, "")
		}, wants{"receipt-time": 1}},

		{"acknowledged and never stored", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.submit(a, submission("1", "g", bet.Home, 5))
			x.answer(a, "1", "")
		}, wants{"acknowledged-is-stored": 1, "confirmed-is-durable": 1}},
		{"lost in a crash", func(x *history) {
			x.game("g", 40*time.Hour, bet.Home)
			row := x.accept(a, submission("1", "g", bet.Home, 5))
			x.pass(time.Hour)
			x.audit()
			x.drop(row)
			x.pass(time.Minute)
			x.reopened()
			if !x.set.Violated() {
				x.t.Error("not noticed when the store was opened")
			}
		}, wants{"acknowledged-is-stored": 1}},
		{"the row without its idempotency key", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.accept(a, submission("1", "g", bet.Home, 5))
			x.write(func(b *storeBatch) { ledger.IDs.Delete(b, ledger.IDKey{Hotkey: "A", ID: "1"}) })
		}, wants{"acknowledged-is-stored": 1}},
		{"stored with another wager", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := x.submit(a, submission("1", "g", bet.Home, 5))
			row := x.row(a, s)
			row.Wager = 6_00
			x.put(row)
			x.answer(a, s.ID, "")
		}, wants{"acknowledged-is-stored": 1}},
		{"stored with the other side", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := x.submit(a, submission("1", "g", bet.Home, 5))
			row := x.row(a, s)
			row.Outcome = bet.Away
			x.put(row)
			x.answer(a, s.ID, "")
		}, wants{"acknowledged-is-stored": 1}},
		{"stored, and nobody asked", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.put(x.row(a, submission("1", "g", bet.Home, 5)))
			x.submit(a, submission("2", "g", bet.Home, 5)) // its day is looked at
		}, wants{"acknowledged-is-stored": 1}},
		{"dropped before retention", func(x *history) {
			x.days(20)
			x.drop(x.rows[x.keys[0]])
			x.days(31)
		}, wants{"acknowledged-is-stored": 1}},

		{"settled before the result", func(x *history) {
			x.game("g", 70*time.Hour, bet.Home)
			row := *x.accept(a, submission("1", "g", bet.Home, 5))
			row.State, row.Payout, row.Settled = bet.Lost, 0, x.at
			x.put(&row)
		}, wants{"settled-once": 1, "scored-once": 1}}, // and it counts on a day without its result
		{"left open", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home).kept = true
			x.accept(a, submission("1", "g", bet.Home, 5))
		}, wants{"settled-once": 2}},
		{"settled the wrong way", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			g.kept = true
			row := *x.accept(a, submission("1", "g", bet.Home, 5))
			x.pass(11*time.Hour + 30*time.Minute)
			row.State, row.Settled = bet.Lost, g.resultAt
			x.put(&row)
		}, wants{"settled-once": 2}},
		{"settled on the wrong day", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			g.kept = true
			row := *x.accept(a, submission("1", "g", bet.Away, 5))
			x.pass(11*time.Hour + 30*time.Minute)
			row.State, row.Settled = bet.Lost, g.resultAt.AddDate(0, 0, 1)
			x.put(&row)
		}, wants{"settled-once": 3}},
		{"a correction is not followed", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			x.accept(a, submission("1", "g", bet.Home, 5))
			x.days(2)
			g.kept, g.correctedAt, g.corrected = true, x.at, bet.Away
		}, wants{"settled-once": 1, "settlement-converges": 1}},

		{"scored twice", func(x *history) {
			x.days(1)
			d := bet.DayOf(x.at) - 1
			x.alter = func(k ledger.DayKey, row *ledger.Score) {
				if k == (ledger.DayKey{Day: d + 1, Hotkey: "A"}) { // a game of the day before
					row.Settled++
					row.Wagered += 300_26
				}
			}
		}, wants{"scored-once": 1}},
		{"a day is not scored", func(x *history) {
			x.days(1)
			d := bet.DayOf(x.at) - 1
			x.alter = func(k ledger.DayKey, row *ledger.Score) {
				if k == (ledger.DayKey{Day: d + 1, Hotkey: b.Hotkey}) {
					*row = ledger.Score{}
				}
			}
		}, wants{"scored-once": 1, "scores-sane": 1}},

		{"a winner is paid a cent too much", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			g.kept = true
			row := *x.accept(a, submission("1", "g", bet.Home, 0.50))
			x.pass(4 * time.Hour)
			row.State, row.Payout, row.Settled = bet.Won, 97, g.resultAt
			x.put(&row)
		}, wants{"money-conserved": 3}},
		{"a loser is paid", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			g.kept = true
			row := *x.accept(a, submission("1", "g", bet.Away, 0.50))
			x.pass(4 * time.Hour)
			row.State, row.Payout, row.Settled = bet.Lost, 1, g.resultAt
			x.put(&row)
		}, wants{"money-conserved": 3}},
		{"the budget is not what was wagered", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			row := x.accept(a, submission("1", "g", bet.Home, 5))
			spent := bet.Cents(4_99)
			x.write(func(b *storeBatch) {
				ledger.Budgets.Put(b, ledger.DayKey{Day: row.Key().Day, Hotkey: "A"}, &spent)
			})
			x.day++
		}, wants{"budget-row": 1}},
		{"settlement changes the stake", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			g.kept = true
			row := *x.accept(a, submission("1", "g", bet.Away, 5))
			x.pass(20 * time.Hour)
			x.day++
			x.audit()
			row.State, row.Wager, row.Settled = bet.Lost, 4_00, g.resultAt
			x.put(&row)
		}, wants{"money-conserved": 1, "scored-once": 1}},

		{"acknowledged and never submitted", func(x *history) { x.answer(a, "1", "") }, wants{"one-acknowledgement": 1}},
		{"two contents acknowledged", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.accept(a, submission("1", "g", bet.Home, 5))
			x.submit(a, submission("1", "g", bet.Home, 6))
			x.answer(a, "1", "")
		}, wants{"one-acknowledgement": 1}},
		{"two contents acknowledged, the second sent more often", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.accept(a, submission("1", "g", bet.Home, 5))
			x.submit(a, submission("1", "g", bet.Home, 6))
			x.submit(a, submission("1", "g", bet.Home, 6))
			x.answer(a, "1", "")
		}, wants{"one-acknowledgement": 1}},
		{"two contents acknowledged, and only the row tells which was first", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.submit(a, submission("1", "g", bet.Home, 5))
			x.submit(a, submission("1", "g", bet.Home, 5))
			x.put(x.row(a, x.submit(a, submission("1", "g", bet.Home, 6))))
			x.answer(a, "1", "")
			x.answer(a, "1", "")
		}, wants{"one-acknowledgement": 1}},
		{"refused after it was acknowledged", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := submission("1", "g", bet.Home, 5)
			x.accept(a, s)
			x.submit(a, s)
			x.pass(time.Second)
			x.answer(a, "1", bet.GameStarted)
		}, wants{"one-acknowledgement": 1}},
		{"in conflict with itself", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := submission("1", "g", bet.Home, 5)
			x.submit(a, s)
			x.answer(a, "1", bet.DuplicateConflict)
		}, wants{"one-acknowledgement": 1}},
		{"refused for what it says, then taken", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := submission("1", "g", bet.Home, 5)
			x.submit(a, s)
			x.answer(a, "1", bet.OddsTooLow)
			x.accept(a, s)
		}, wants{"refusal-is-final": 1}},

		{"acknowledged two milliseconds before the disk has it", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s := x.submit(a, submission("1", "g", bet.Home, 5))
			row := x.row(a, s)
			x.answer(a, s.ID, "")
			x.pass(2 * time.Millisecond)
			x.put(row)
		}, wants{"confirmed-is-durable": 1}},
		{"the second is acknowledged first", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			s, t := x.submit(a, submission("1", "g", bet.Home, 5)), x.submit(a, submission("2", "g", bet.Home, 5))
			x.put(x.row(a, s))
			x.put(x.row(a, t))
			x.answer(a, t.ID, "")
			x.answer(a, s.ID, "")
		}, wants{"acknowledged-in-order": 1}},
		{"the numbers of acceptance begin anew", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.arrived = 0
			x.accept(a, submission("1", "g", bet.Home, 5))
			x.arrived = 1000
		}, wants{"acknowledged-in-order": 1}},
		{"refused for a budget that is not spent", func(x *history) {
			x.day++
			x.at = begin.AddDate(0, 0, x.day).Add(9 * time.Hour) // a day without other predictions
			x.game("g", 9*time.Hour, bet.Home).void = true
			x.accept(a, submission("1", "g", bet.Home, 500))
			x.submit(a, submission("2", "g", bet.Home, 500))
			x.answer(a, "2", bet.DailyLimitExceeded)
			x.day++
		}, wants{"budget-refusal-is-true": 1}},
		{"a second row under one id", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.game("h", 9*time.Hour, bet.Home)
			row := *x.accept(a, submission("1", "g", bet.Home, 5))
			row.Game = "h"
			x.put(&row)
		}, wants{"one-row-per-id": 5, "scored-once": 1}}, // at each look at the day
		{"a corrected game is paid on top", func(x *history) {
			g := x.game("g", 2*time.Hour, bet.Home)
			g.kept = true
			row := *x.accept(a, submission("1", "g", bet.Away, 0.50))
			x.pass(4 * time.Hour)
			row.State, row.Settled = bet.Lost, g.resultAt
			x.put(&row)
			x.days(1)
			g.correctedAt, g.corrected = x.at, bet.Away
			row.State, row.Payout = bet.Won, 2*96
			x.put(&row)
		}, wants{"settlement-converges": 2, "money-conserved": 2}},
		{"an authentication begins a second session", func(x *history) {
			x.session(a)
			x.pass(time.Minute) // and then from another peer
			x.set.Frame(x.at, b, theValidator, &wire.Event{Kind: wire.Received, Message: wire.Message{Kind: wire.Auth, Sender: "A", Nonce: strconv.FormatUint(x.nonce-1, 10)}})
			x.say(theValidator, b, wire.Message{Kind: wire.Welcome})
		}, wants{"nonce-once": 1}},
		{"welcomed without a word", func(x *history) { x.say(theValidator, b, wire.Message{Kind: wire.Welcome}) }, wants{"nonce-once": 1}},
		{"other prices are told than are known", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.tell("g", func(g *bet.Game) { g.Odds[1] += 0.1 })
		}, wants{"games-told-are-known": 1}},
		{"a game is told before it is on disk", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home)
			x.say(theValidator, a, wire.Message{Kind: wire.GameUpdate, Games: []bet.Game{{ID: "g"}}})
		}, wants{"games-told-are-known": 1}},
		{"accepted from a hotkey that never held a slot", func(x *history) {
			x.game("g", 9*time.Hour, bet.Home).void = true
			x.accept(Node{Name: "z", Hotkey: "Z"}, submission("1", "g", bet.Home, 5))
		}, wants{"registered-only": 1}},
		{"accepted from a hotkey that has lost its slot", func(x *history) {
			x.slot("Z")
			x.days(1)
			x.slot("")
			x.days(1)
			x.game("g", 9*time.Hour, bet.Home).void = true
			x.accept(Node{Name: "z", Hotkey: "Z"}, submission("1", "g", bet.Home, 5))
		}, wants{"registered-only": 1}},
		{"paid after its slot was lost", func(x *history) {
			x.slot("Z")
			x.days(1)
			x.slot("")
			x.days(1)
			x.earned["Z"] = 7
		}, wants{"deregistered-earns-nothing": 1}},
		{"scored after its slot was lost", func(x *history) {
			x.slot("Z")
			x.days(1)
			x.slot("")
			x.days(3)
			x.write(func(b *storeBatch) {
				ledger.Scores.Put(b, ledger.DayKey{Day: bet.DayOf(x.at) - 1, Hotkey: "Z"}, &ledger.Score{Weight: 0.1})
			})
		}, wants{"deregistered-earns-nothing": 1, "scores-sane": 1}}, // and the day shares out too much
		{"a component that is no number", func(x *history) {
			x.days(1)
			d := bet.DayOf(x.at)
			x.alter = func(k ledger.DayKey, row *ledger.Score) {
				if k == (ledger.DayKey{Day: d, Hotkey: "A"}) {
					row.Composite = math.NaN()
				}
			}
		}, wants{"scores-sane": 1}},
		{"shares that are more than there is", func(x *history) {
			x.days(1)
			d := bet.DayOf(x.at)
			x.alter = func(k ledger.DayKey, row *ledger.Score) {
				if k == (ledger.DayKey{Day: d, Hotkey: "A"}) {
					row.Weight /= 2
				}
			}
		}, wants{"scores-sane": 1}},
		{"too many sessions", func(x *history) {
			x.set.Figures(x.at, theValidator, []Figure{{"sessions", 513, 512}})
		}, wants{"within-bounds": 1}},
		{"no welcome after a restart", func(x *history) {
			x.say(theValidator, a, wire.Message{Kind: wire.HeartbeatAck})
			x.reopened()
			x.say(a, theValidator, wire.Message{Kind: wire.Auth})
			x.pass(11 * time.Minute)
			x.say(a, theValidator, wire.Message{Kind: wire.Auth})
			x.say(theValidator, a, wire.Message{Kind: wire.Welcome})
		}, wants{"recovery-time": 1}},
		{"never a welcome after a restart", func(x *history) {
			x.say(theValidator, a, wire.Message{Kind: wire.HeartbeatAck})
			x.reopened()
			x.say(a, theValidator, wire.Message{Kind: wire.Auth})
			x.pass(11 * time.Minute)
			x.audit()
		}, wants{"recovery-time": 1}},
		{"no welcome after a restart, in trouble for a moment", func(x *history) {
			x.set.facts.Troubled = func(from, to time.Time) time.Duration { return time.Minute }
			x.say(theValidator, a, wire.Message{Kind: wire.HeartbeatAck})
			x.reopened()
			x.say(a, theValidator, wire.Message{Kind: wire.Auth})
			x.pass(12 * time.Minute)
			x.audit()
		}, wants{"recovery-time": 1}},
		{"a late welcome after a restart, in trouble most of the time", func(x *history) {
			x.set.facts.Troubled = func(from, to time.Time) time.Duration { return to.Sub(from) * 3 / 4 }
			x.say(theValidator, a, wire.Message{Kind: wire.HeartbeatAck})
			x.reopened()
			x.say(a, theValidator, wire.Message{Kind: wire.Auth})
			x.pass(39 * time.Minute)
			x.say(theValidator, a, wire.Message{Kind: wire.Welcome})
		}, nil},

		{"time goes back", func(x *history) {
			x.set.Event(x.at, "v")
			x.set.Event(x.at.Add(-1), "v")
		}, wants{"virtual-time-monotone": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newHistory(t).days(8)
			x.pass(10 * time.Hour)
			test.do(x)
			x.days(5)
			x.expect(test.want)
		})
	}
}

// TestPlantedWeights sends one wrong vector.
func TestPlantedWeights(t *testing.T) {
	valid, rate := map[string]uint64{"weights-valid": 1}, map[string]uint64{"weights-rate": 1}
	for _, test := range []struct {
		name string
		do   func(x *history)
		want map[string]uint64
	}{
		{"good", func(x *history) { x.weights(goodWeights) }, nil},
		{"none", func(x *history) { x.weights(chain.Weights{}) }, valid},
		{"sizes differ", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535, 1}}) }, valid},
		{"descending", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{2, 1}, Values: []uint16{65535, 1}}) }, valid},
		{"twice", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{1, 1}, Values: []uint16{65535, 1}}) }, valid},
		{"no such slot", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{4}, Values: []uint16{65535}}) }, valid},
		{"empty slot", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{3}, Values: []uint16{65535}}) }, valid},
		{"on itself", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{0, 1}, Values: []uint16{1, 65535}}) }, valid},
		{"a zero", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 0}}) }, valid},
		{"not scaled", func(x *history) { x.weights(chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65534, 1}}) }, valid},
		{"in a reveal", func(x *history) {
			x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{1}}, func(q *chain.Request) { q.Op = chain.OpRevealWeights })
		}, valid},
		{"too few", func(x *history) {
			x.meta.Params.MinAllowedWeights = 2
			x.weights(goodWeights)
			x.pass(25 * time.Hour)
			x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}})
		}, valid},
		{"too few since an hour ago", func(x *history) {
			x.meta.Params.MinAllowedWeights = 2
			x.weights(goodWeights)
			x.pass(time.Hour)
			x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}})
		}, nil},
		{"a share over the limit", func(x *history) {
			x.meta.Params.MaxWeightsLimit = 40000
			x.weights(chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 65535}})
			x.pass(25 * time.Hour)
			x.weights(goodWeights)
		}, valid},
		{"a block too soon", func(x *history) {
			x.weights(goodWeights)
			x.pass(99 * chain.BlockTime)
			x.weights(goodWeights)
		}, rate},
		{"just late enough", func(x *history) {
			x.weights(goodWeights)
			x.pass(100 * chain.BlockTime)
			x.weights(goodWeights)
		}, nil},
		{"a commit too soon", func(x *history) {
			commit := func(q *chain.Request) { q.Op = chain.OpCommitWeights }
			x.weights(chain.Weights{}, commit)
			x.pass(time.Minute)
			x.weights(chain.Weights{}, commit)
		}, rate},
		{"no set on disk", func(x *history) {
			x.unplanned = true
			x.weights(goodWeights)
		}, map[string]uint64{"weights-after-intent": 1}},
		{"another set on disk", func(x *history) {
			x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}})
			row := ledger.WeightSet{Weights: goodWeights, Phase: ledger.Planned, Fallback: true}
			x.became(row)
			x.pass(time.Hour)
			x.unplanned = true
			x.weights(chain.Weights{UIDs: []chain.UID{2}, Values: []uint16{65535}})
		}, map[string]uint64{"weights-after-intent": 1}},
		{"sent again, the first believed lost", func(x *history) {
			x.weights(goodWeights)
			x.became(ledger.WeightSet{Weights: goodWeights, Phase: ledger.Refused, Fallback: true})
			x.pass(time.Hour)
			x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}})
		}, map[string]uint64{"one-vote-at-a-time": 1}},
		{"sent again, the first of unknown fate", func(x *history) {
			x.weights(goodWeights)
			x.became(ledger.WeightSet{Weights: goodWeights, Phase: ledger.Planned, Fallback: true})
			x.pass(time.Hour)
			x.weights(goodWeights)
		}, map[string]uint64{"one-vote-at-a-time": 1}},
		{"to one who never bet", func(x *history) {
			x.pass(2 * time.Hour) // until all are known
			x.fallback = false
			x.score()
			x.weights(dayWeights)
		}, map[string]uint64{"idle-earns-nothing": 2}},
		{"to one who is too new to be known", func(x *history) {
			x.fallback = false
			x.meta.Neurons[1].RegisteredAt = 200
			x.score()
			x.weights(chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}})
		}, nil},
		{"to one who took over a slot", func(x *history) {
			x.days(2)
			x.slot("C")
			x.fallback = false
			x.days(1)
			x.accept(Node{Name: "c", Hotkey: "C"}, submission("1", x.order[2], bet.Home, 5))
			x.weights(chain.Weights{UIDs: []chain.UID{1, 3}, Values: []uint16{65535, 2}})
		}, map[string]uint64{"new-owner-inherits-nothing": 1, "no-late-acceptance": 1}},
		{"not by the scores", func(x *history) {
			x.fallback = false
			x.day = 1
			x.days(1)
			x.weights(chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 65535}})
		}, map[string]uint64{"weights-from-scores": 1}},
		{"registered anew", func(x *history) {
			x.weights(goodWeights)
			x.pass(time.Minute)
			x.meta.Neurons = append([]chain.Neuron(nil), x.meta.Neurons...)
			x.meta.Neurons[0].RegisteredAt = 7
			x.weights(goodWeights)
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newHistory(t)
			x.audit()
			x.fallback = true // who has scored what is not looked at
			x.weights(goodWeights)
			x.pass(time.Hour)
			test.do(x)
			x.expect(test.want)
		})
	}
}

func TestDisabled(t *testing.T) {
	x := newHistory(t, func(f *Facts) { f.Released = true })
	x.set = New(x.set.facts, map[string]string{"one-acknowledgement": "on purpose", "virtual-time-monotone": "too"})
	x.answer(miners[0], "1", "")
	x.set.Event(x.at.Add(-1), "v")
	x.days(8)
	x.expect(nil)
	got := map[string]string{}
	for _, c := range x.set.Finish(x.at) {
		if c.Disabled != "" {
			got[c.Name] = c.Disabled
			if c.Checked != 0 {
				t.Errorf("%s is disabled and was checked %d times", c.Name, c.Checked)
			}
		}
	}
	want := map[string]string{"one-acknowledgement": "on purpose", "virtual-time-monotone": "too",
		"scored-once": "the released scheme scores a game again on later days"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("disabled (-want +got):\n%s", d)
	}
}

// TestAwayIsExcused: what fell due while a validator was down is not held
// against it before it has had its time, and is afterwards.
func TestAwayIsExcused(t *testing.T) {
	x := newHistory(t).days(3)
	x.pass(10 * time.Hour)
	g := x.game("g", 9*time.Hour, bet.Home)
	g.kept = true
	x.accept(miners[0], submission("1", "g", bet.Home, 5))
	x.pass(72 * time.Hour)
	x.reopened()
	x.expect(nil)
	x.pass(23 * time.Hour)
	x.audit()
	x.expect(nil)
	x.pass(time.Hour)
	x.audit()
	x.expect(map[string]uint64{"settled-once": 1})
}

func TestNames(t *testing.T) {
	names, form := Names(), regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)
	checks := New(Facts{}, nil).Finish(begin)
	if len(names) != len(checks) || len(names) != len(Docs()) {
		t.Fatalf("%d names, %d checks, %d docs", len(names), len(checks), len(Docs()))
	}
	for i, c := range checks {
		if d := Docs()[i]; c.Name != names[i] || d.Name != names[i] || d.Doc != c.Doc || !form.MatchString(names[i]) || len(d.Doc) < 40 {
			t.Errorf("check %d: %+v, name %q, doc %+v", i, c, names[i], d)
		}
	}
}
