package node

import (
	"testing"
	"time"

	"bettensor/node/bet"
)

// TestClosingOddsArePolled: the last odds before a kick-off are seen, though they
// were made after the last ordinary poll; without a lead they are not.
func TestClosingOddsArePolled(t *testing.T) {
	for _, c := range []struct {
		name string
		lead time.Duration
		want bet.Odds
	}{
		{"a minute before", 0, bet.Odds{1.7, 4.8, 3.9}},
		{"not asked", -1, bet.Odds{1.9, 4.2, 3.6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			start := t0.Add(10 * time.Hour)
			g := r.offer("7", start)
			r.offer("8", start.Add(time.Second)) // a second kick-off in the same minute
			v := r.addValidator("v0", func(x *ValidatorConfig) { x.FeedInterval, x.ClosingLead = 7*time.Hour, c.lead })
			// A restart, in which the start is known of the store alone.
			r.run(5 * time.Hour)
			v.kill()
			v.start()
			r.run(start.Add(-2 * time.Minute).Sub(r.w.Now()))
			polls := v.count("games", "polls")
			g.Odds, g.OddsAt, g.Updated = bet.Odds{1.7, 4.8, 3.9}, r.w.Now(), r.w.Now()
			r.tell(g)
			r.run(start.Sub(r.w.Now()))
			if got := v.v.State.Games["7"].Closing; got != c.want {
				t.Errorf("closing odds %v, want %v", got, c.want)
			}
			if n := v.count("games", "polls") - polls; c.lead < 0 && n > 1 || c.lead == 0 && (n == 0 || n > 3) {
				t.Errorf("%d polls in the two minutes before the start", n)
			}
		})
	}
}

// TestOverdueGameIsSought: a result that the feed dates before our last poll, and
// that was not in its answer, is asked for again.
func TestOverdueGameIsSought(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	g := r.offer("100", t0.Add(time.Hour))
	r.run(30 * time.Minute)
	r.run(3 * time.Hour) // the answers of these hours lack the result
	g.Status, g.Outcome, g.ResultAt, g.Active = bet.Finished, bet.Home, t0.Add(150*time.Minute), false
	r.run(8 * time.Hour) // longer than polls overlap
	g.Updated = g.ResultAt
	r.games[0] = g
	r.run(90 * time.Minute)
	if x := n.v.State.Games["100"]; x.Status != bet.Finished {
		t.Errorf("%v, %v after its start", x.Status, r.w.Now().Sub(x.Start))
	}
}
