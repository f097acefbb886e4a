package node

import (
	"fmt"
	"time"

	"bettensor/node/bet"
)

// Wagers are settled by what the feed says of a result, and a feed that takes its
// word back would settle them all again. One lying answer must not do that: a
// changed result is held until the feed has stood by it, or until two providers
// tell it (ValidatorConfig.FeedAgreed). A feed that goes back to what is known
// meanwhile has withdrawn it.

const (
	// correctionPolls is in how many later answers a changed result must stand.
	// Polls before kick-offs follow each other within seconds, so that time must
	// pass as well: correctionIntervals of the feed's.
	correctionPolls     = 2
	correctionIntervals = 2
	// correctionLife is how long a change that is not told again is waited for: then
	// the feed has let it drop.
	correctionLife = 24 * time.Hour
	// manyCorrections at one time are no referee's second thought: a person is told.
	manyCorrections = 5
	// feedLines of one answer about the same, and a last one that counts the rest.
	feedLines = 3
)

// correction is a change of a result that is not believed yet. There is at most
// one for each game that is known.
type correction struct {
	status      bet.Status
	outcome     bet.Outcome
	resultAt    time.Time // where nothing but the time of the result changes
	told        time.Time // the feed's date of the news
	first, last time.Time // when it was heard
	polls       int       // later answers in which it stood
}

// corrections are those of the Games service.
type corrections struct {
	held                    map[bet.GameID]*correction
	heard, taken, withdrawn uint64
}

// stands says whether a changed result is to be believed now: next, in place of
// old. fresh says that this change was not heard before.
func (c *corrections) stands(now time.Time, old, next *bet.Game, every time.Duration) (believed, fresh bool) {
	in := correction{status: next.Status, outcome: next.Outcome, told: next.Updated, first: now, last: now}
	if next.Status == old.Status && next.Outcome == old.Outcome {
		in.resultAt = next.ResultAt
	}
	was := c.held[next.ID]
	if was == nil || was.status != in.status || was.outcome != in.outcome || !was.resultAt.Equal(in.resultAt) {
		if c.held == nil {
			c.held = map[bet.GameID]*correction{}
		}
		c.held[old.ID] = &in
		c.heard++
		return false, true
	}
	if now.After(was.last) {
		was.polls, was.last = was.polls+1, now
	}
	if was.polls < correctionPolls || now.Sub(was.first) < correctionIntervals*every {
		return false, false
	}
	delete(c.held, old.ID)
	return true, false
}

// withdraw drops a change where the feed tells again what is known.
func (c *corrections) withdraw(in, old *bet.Game) {
	if c.held[in.ID] != nil && in.Status == old.Status && in.Outcome == old.Outcome {
		delete(c.held, in.ID)
		c.withdrawn++
	}
}

// expire drops changes that were not told again.
func (c *corrections) expire(now time.Time) {
	for id, x := range c.held { // order cannot matter: each is judged alone
		if now.Sub(x.last) >= correctionLife {
			delete(c.held, id)
			c.withdrawn++
		}
	}
}

// since is from when on the feed must be asked so that it tells again what is held.
func (c *corrections) since(t time.Time) time.Time {
	for _, x := range c.held { // order cannot matter: the earliest is sought
		if x.told.Before(t) {
			t = x.told
		}
	}
	return t
}

// counts are those of the service's figures.
func (c *corrections) counts() []Count {
	return []Count{{"corrections_held", uint64(len(c.held))}, {"corrections_heard", c.heard}, {"corrections_taken", c.taken}, {"corrections_withdrawn", c.withdrawn}}
}

// believes says whether news that changes a result is taken, and tells of it.
func (g *games) believes(now time.Time, old, next *bet.Game, held, taken *feedNote) bool {
	if !g.v.cfg.FeedAgreed || !next.Resulted() { // that a result is none any more, nobody but the first tells
		believed, fresh := g.corrections.stands(now, old, next, g.v.cfg.FeedInterval)
		if fresh {
			held.add("game_id", next.ID, "known", resultWords(old), "told", resultWords(next))
		}
		if !believed {
			return false
		}
	}
	g.corrections.taken++
	taken.add("game_id", next.ID, "before", resultWords(old), "now", resultWords(next))
	return true
}

// judgeCorrections raises the alarm while many results are changed at once.
func (g *games) judgeCorrections() {
	n := len(g.corrections.held)
	g.v.alarms.Set(AlarmFeedCorrections, n >= manyCorrections, fmt.Sprintf("the feed changes the results of %d games; they are held until it stands by them", n))
}

// resultWords are a game's result as people read it.
func resultWords(x *bet.Game) string {
	if x.Status == bet.Finished {
		return fmt.Sprintf("%v at %s", x.Outcome, x.ResultAt.UTC().Format(time.RFC3339))
	}
	return x.Status.String()
}

// feedNote tells the log of one kind of thing in an answer: the first few, and
// how many more there were.
type feedNote struct {
	g    *games
	what string
	n    int
}

func (n *feedNote) add(fields ...any) {
	if n.n++; n.n <= feedLines {
		n.g.v.log.Warn(n.what, fields...)
	}
}

func (n *feedNote) end() {
	if n.n > feedLines {
		n.g.v.log.Warn(n.what+", and more of the same answer", "count", n.n-feedLines)
	}
}
