package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sched"
)

// finished is a rig with a validator that knows the results of n games.
func finished(t *testing.T, n int, change ...func(*ValidatorConfig)) (*rig, *rigNode) {
	r := newRig(t)
	for i := range n {
		r.offer(fmt.Sprint(100+i), t0.Add(time.Hour))
	}
	v := r.addValidator("v0", change...)
	r.run(2 * time.Hour)
	for i := range n {
		r.finish(fmt.Sprint(100+i), bet.Home)
	}
	r.poll()
	r.run(30 * time.Minute)
	if g := v.v.State.Games["100"]; g == nil || !g.Resulted() {
		t.Fatalf("the result is not known: %+v", g)
	}
	return r, v
}

// turned is how many of a validator's games are no longer won by the home side.
func turned(v *rigNode) (n int) {
	for _, g := range v.v.State.Games {
		if g.Outcome != bet.Home {
			n++
		}
	}
	return n
}

// TestOneLyingAnswerChangesNoResult: a counter and a log line, and an alarm where
// it changes many; when the feed says again what it said before, all is over.
func TestOneLyingAnswerChangesNoResult(t *testing.T) {
	for _, games := range []int{1, manyCorrections + 5} {
		r, v := finished(t, games)
		var log bytes.Buffer
		v.core().log = slog.New(slog.NewTextHandler(&log, nil))
		truth := append([]bet.Game(nil), r.games...)
		for i := range games {
			r.finish(fmt.Sprint(100+i), bet.Away)
		}
		r.poll()
		r.run(time.Minute)
		if turned(v) != 0 || v.count("games", "corrections_held") != uint64(games) || v.count("games", "corrections_heard") != uint64(games) {
			t.Errorf("%d games: %d turned, %d held", games, turned(v), v.count("games", "corrections_held"))
		}
		if lines := strings.Count(log.String(), "changed result held"); lines != min(games, feedLines+1) {
			t.Errorf("%d games: %d lines:\n%s", games, lines, &log)
		}
		if got := v.v.alarms.Active(AlarmFeedCorrections); got != (games >= manyCorrections) {
			t.Errorf("%d games: alarm %v", games, got)
		}
		for _, g := range truth {
			r.tell(g)
		}
		r.poll()
		r.run(3 * time.Hour)
		if turned(v) != 0 || v.count("games", "corrections_held") != 0 || v.count("games", "corrections_withdrawn") != uint64(games) || v.v.alarms.Active(AlarmFeedCorrections) {
			t.Errorf("%d games, afterwards: %d turned, %d held, alarm %v", games, turned(v), v.count("games", "corrections_held"), v.v.alarms.Active(AlarmFeedCorrections))
		}
	}
}

// TestCorrectionsAreBelievedWhenTheyStand: by later answers and by time, both; at
// once where two providers agree; and a feed that is asked only for news is asked
// for what is held again.
func TestCorrectionsAreBelievedWhenTheyStand(t *testing.T) {
	r, v := finished(t, 1)
	r.finish("100", bet.Away)
	for range 20 { // as before many kick-offs
		r.poll()
		r.run(time.Second)
	}
	if turned(v) != 0 {
		t.Error("believed for many answers in a few seconds")
	}
	r.run(time.Minute + correctionIntervals*v.v.cfg.FeedInterval)
	r.poll()
	r.run(time.Second)
	if turned(v) != 1 || v.count("games", "corrections_taken") != 1 || v.count("games", "corrections_held") != 0 {
		t.Errorf("not believed: %d taken, %d held", v.count("games", "corrections_taken"), v.count("games", "corrections_held"))
	}

	r, v = finished(t, 1, func(c *ValidatorConfig) { c.FeedInterval = feedOverlap })
	r.finish("100", bet.Away)
	r.poll()
	r.offer("900", r.w.Now().Add(9*time.Hour))
	r.run(4 * feedOverlap) // by then the news is older than what else is asked for
	if turned(v) != 2 {    // the new game has no result
		t.Errorf("the feed stood by it and was not asked: %d held", v.count("games", "corrections_held"))
	}

	r, v = finished(t, 1, func(c *ValidatorConfig) { c.FeedAgreed = true })
	r.finish("100", bet.Away)
	r.poll()
	r.run(time.Second)
	if turned(v) != 1 {
		t.Error("two providers agree, and it is not believed")
	}
}

// TestCorrectionsThatAreNotToldAgainAreDropped, so that the feed is not asked for
// the same time for ever.
func TestCorrectionsThatAreNotToldAgainAreDropped(t *testing.T) {
	r, v := finished(t, 1)
	r.finish("100", bet.Away)
	r.poll()
	r.games = nil
	r.run(correctionLife - time.Hour)
	if v.count("games", "corrections_held") != 1 {
		t.Error("dropped at once")
	}
	r.run(2 * time.Hour)
	if turned(v) != 0 || v.count("games", "corrections_held") != 0 || v.count("games", "corrections_withdrawn") != 1 {
		t.Errorf("%d held, %d withdrawn", v.count("games", "corrections_held"), v.count("games", "corrections_withdrawn"))
	}
}

// TestLyingAnswerWritesFewLines: three of a kind and one that counts the rest.
func TestLyingAnswerWritesFewLines(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0")
	var log bytes.Buffer
	v.core().log = slog.New(slog.NewTextHandler(&log, nil))
	for i := range 500 {
		g := r.offer(fmt.Sprint(100+i), t0.Add(time.Hour))
		g.TeamB = g.TeamA
		r.tell(g)
	}
	r.poll()
	if n := strings.Count(log.String(), "\n"); n != feedLines+1 || !strings.Contains(log.String(), "count=497") || v.count("games", "refused") != 500 {
		t.Errorf("%d lines, %d refused:\n%s", n, v.count("games", "refused"), &log)
	}
}

// TestChainStaleWithoutAnAnswer: the alarm comes by itself, in time, and says what
// was heard last; a new block ends it.
func TestChainStaleWithoutAnAnswer(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.MetagraphInterval, c.BlockTime = 10*time.Hour, block })
	r.run(20 * block)
	said := func(n *rigNode, why string) {
		t.Helper()
		if a := n.v.alarms; !a.Active(AlarmChainStale) || !strings.Contains(a.raised[AlarmChainStale].Why, why) {
			t.Errorf("%q is not said: %+v", why, a.List())
		}
	}
	from := n.v.State.Meta.At
	r.chainDown = true
	r.run(from.Add(20*time.Hour + block - time.Second).Sub(r.w.Now())) // two intervals and a block
	if n.v.alarms.Active(AlarmChainStale) {
		t.Fatalf("too early: %s", n.alarms())
	}
	r.run(2 * time.Second)
	if !n.v.alarms.Active(AlarmChainStale) {
		t.Errorf("no answer for two intervals, and no alarm: %q", n.alarms())
	}
	r.chainDown = false
	n.do(n.v.refresh)
	r.run(time.Minute)
	if n.v.alarms.Active(AlarmChainStale) {
		t.Errorf("a new block, and still %s", n.alarms())
	}

	r = newRig(t) // an endpoint that fails, and then is silent
	n = r.addValidator("v0", func(c *ValidatorConfig) { c.BlockTime, c.ChainDeadline = block, 10*time.Hour })
	r.run(20 * block)
	r.chainDown = true
	n.do(n.v.refresh)
	r.run(time.Minute)
	r.chainDown = false
	r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
		return p, true, true
	}
	r.run((staleBlocks + 5) * block)
	said(n, errRig.Error())

	r = newRig(t) // an endpoint that fails once, and then stands
	n = r.addValidator("v0", func(c *ValidatorConfig) { c.BlockTime = block })
	r.run(20 * block)
	r.chainDown = true
	r.run(6 * time.Minute)
	r.chainDown = false
	old := n.v.State.Meta
	r.reply(chain.OpSync, func(q chain.Request) (sched.Result[chain.Reply], bool) {
		return sched.Result[chain.Reply]{Res: chain.Reply{Head: old.Block, Metagraph: old}}, true
	})
	r.run((staleBlocks + 5) * block)
	said(n, "answers with old ones; before that: ")

	r = newRig(t) // one that never answers
	r.answer = func(_ *rigNode, q chain.Request) (p sched.Result[chain.Reply], handled, silent bool) {
		return p, true, true
	}
	n = r.addValidator("v0", func(c *ValidatorConfig) { c.BlockTime, c.ChainDeadline = block, 10*time.Hour })
	r.run((staleBlocks + 1) * block)
	said(n, "does not answer")
}

// TestChainThatIsSeldomAskedIsNotStale: between two answers a block ages by as long
// as the node does not ask.
func TestChainThatIsSeldomAskedIsNotStale(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0", func(c *ValidatorConfig) { c.MetagraphInterval, c.BlockTime = 2*staleBlocks*block, block })
	r.run(block)
	for range 5 * staleBlocks {
		r.run(block)
		if n.v.alarms.Active(AlarmChainStale) {
			t.Fatalf("the chain answers whenever it is asked: %+v", n.v.alarms.List())
		}
	}
	if n.count("metagraph", "syncs") < 3 {
		t.Errorf("%d answers", n.count("metagraph", "syncs"))
	}
}

// TestForeignKeyStopsAnnouncements: two hosts that both announced would take turns.
func TestForeignKeyStopsAnnouncements(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		r := newRig(t)
		n := r.addValidator("v0")
		r.run(10 * time.Minute)
		if stopped {
			n.do(func() { n.v.foreignKey("test") })
		}
		r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpServeAxon, Hotkey: hotkeyOf("v0"), Axon: chain.Axon{IP: "198.51.102.77", Port: 1}})
		before := r.extrinsics(chain.OpServeAxon)
		r.run(2 * time.Hour)
		if again := r.extrinsics(chain.OpServeAxon) > before; again == stopped {
			t.Errorf("stopped %v, announced again %v (%d, %d)", stopped, again, before, r.extrinsics(chain.OpServeAxon))
		}
	}
}
