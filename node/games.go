package node

import (
	"fmt"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/sched"
	"bettensor/store"
)

// feedOverlap is how much of what was already asked for is asked for again: a
// feed may tell late what it dates earlier. Merging the same news twice changes
// nothing.
const feedOverlap = 6 * time.Hour

// staleFeed is for how many polls the feed may be silent before it is an alarm:
// an hour at the default pace, which is a provider's ordinary outage.
const staleFeed = 6

// A game is overdue that began overdueAfter ago, which is longer than any of them
// lasts, and of which no end was told. The feed has told it and we have not heard,
// if an answer was cut short or came from a cache; what it dates before our last
// poll it does not tell again by itself. So it is asked as far back as the first
// overdue game's start every overdueEvery, for overdueLife: then a person must look.
const (
	overdueAfter = 6 * time.Hour
	overdueEvery = time.Hour
	overdueLife  = 7 * 24 * time.Hour
)

// games is the validator's Games service: it polls the feed, believes what
// feed.Timely and feed.Merge believe, a changed result later than all else (see
// corrections.go), and tells the others once it is on disk.
//
// feed ─► Merge ─► State.Games, ledger ─► (durable) games_updated, game_settled
type games struct {
	idle
	named
	v       *Validator
	port    *sched.Port[feed.Request, feed.Batch]
	task    *sched.Task
	run     *sched.Run
	closing *sched.Timer // a moment before the next kick-off
	since   time.Time
	sought  time.Time // when overdue games were asked for last
	pending []gameNews
	stats   struct{ polls, changed, refused, ahead, forgotten uint64 }
	corrections
	lastErr string    // of the last poll, "" where it was answered
	good    time.Time // when the feed answered last, or when the service was built
}

type gameNews struct {
	seq     store.Seq
	update  GamesUpdated
	settled []*bet.Game
}

func newGames(v *Validator, s *sched.Scope) *games {
	g := &games{named: "games", v: v, good: v.loop.Now()}
	for i := range v.found.Games {
		known := &v.found.Games[i]
		v.State.putGame(known)
		// News dated ahead of our clock must not hide what comes before it.
		if known.Updated.After(g.since) && !known.Updated.After(v.loop.Now()) {
			g.since = known.Updated
		}
	}
	v.daily(s, "forget_games", g.forget)
	g.port = sched.NewPort(s, sched.PortConfig[feed.Request, feed.Batch]{
		Name: "feed", Deadline: v.cfg.FeedDeadline, Limit: 1,
		Request: func(dst []byte, q *feed.Request) []byte { return q.Append(dst) },
		Reply: sched.Codec[feed.Batch]{
			Append: func(dst []byte, b *feed.Batch) []byte { return b.Append(dst) },
			Read:   func(b []byte) (feed.Batch, error) { return readAll(b, feed.ReadBatch) },
		},
		ShowReply: func(b *feed.Batch) any { return map[string]any{"games": len(b.Games), "at": b.At} },
	}, v.ports.Feed, g.done)
	g.task = s.Task(sched.TaskConfig{Name: "update_game_data", Every: v.cfg.FeedInterval, Jitter: 0.05,
		Deadline: 2 * v.cfg.FeedDeadline,
		Retry:    sched.Backoff{Base: 5 * time.Second, Cap: v.cfg.FeedInterval, Attempts: 5}}, g.poll)
	g.closing = s.Timer("closing_odds", func() {
		g.task.Trigger()
		g.awaitStart()
	})
	g.awaitStart()
	return g
}

// awaitStart plans a poll shortly before the next kick-off, whose odds are then
// the closing ones: between two ordinary polls a line moves unseen, and miners
// are judged against where it ended.
func (g *games) awaitStart() {
	lead := g.v.cfg.ClosingLead
	if lead < 0 {
		return
	}
	g.closing.Stop()
	after := g.v.loop.Now().Add(lead + 1) // a lead before a start from there on lies ahead
	if x := g.v.State.firstFrom(after, func(x *bet.Game) bool { return x.Status == bet.Scheduled }); x != nil {
		g.closing.ArmAt(x.Start.Add(-lead))
	}
}

func (g *games) poll(r *sched.Run) {
	g.run = r
	since := g.seek(g.corrections.since(g.since))
	if !since.IsZero() {
		since = since.Add(-feedOverlap)
	}
	g.port.Start(feed.Request{Since: since})
}

// seek is from when on the feed must be asked so that it tells again of overdue
// games, since being from when on it would be asked without them.
func (g *games) seek(since time.Time) time.Time {
	now := g.v.loop.Now()
	if now.Sub(g.sought) < overdueEvery {
		return since
	}
	x := g.v.State.firstFrom(now.Add(-overdueLife), func(x *bet.Game) bool { return x.Status == bet.Scheduled })
	if x == nil || now.Sub(x.Start) < overdueAfter || !x.Start.Before(since) {
		return since
	}
	g.sought = now
	return x.Start
}

func (g *games) done(_ sched.Ticket, _ feed.Request, b feed.Batch, err error) {
	run := g.run
	g.run = nil
	g.lastErr = ""
	if err == nil {
		g.stats.polls++
		g.good = g.v.loop.Now()
		g.learn(&b)
	} else {
		g.lastErr = err.Error()
	}
	silence := g.v.loop.Now().Sub(g.good)
	g.v.alarms.Set(AlarmFeedStale, silence > staleFeed*g.v.cfg.FeedInterval, fmt.Sprintf("no good answer for %v: %s", silence.Round(time.Second), g.lastErr))
	if run != nil {
		run.Done(err)
	}
}

func (g *games) learn(b *feed.Batch) {
	news := gameNews{}
	now := g.v.loop.Now()
	batch := g.v.store.Batch()
	refused := &feedNote{g: g, what: "news refused"}
	held := &feedNote{g: g, what: "changed result held: one answer is no proof"}
	taken := &feedNote{g: g, what: "changed result believed: settled and scored again"}
	for i := range b.Games {
		in := &b.Games[i]
		if err := feed.Timely(now, in); err != nil {
			g.stats.ahead++
			refused.add("game_id", in.ID, "err", err)
			continue
		}
		old := g.v.State.Games[in.ID]
		next, change, err := feed.Merge(old, *in)
		if err != nil {
			g.stats.refused++
			refused.add("game_id", in.ID, "err", err)
			continue
		}
		if change.Has(feed.Corrected) {
			if !g.believes(now, old, &next, held, taken) {
				continue
			}
		} else if old != nil {
			g.corrections.withdraw(in, old)
		}
		if change == 0 {
			continue
		}
		// Ids and names outlive the batch that brought them.
		next.ID, next.TeamA, next.TeamB = bet.GameID(strings.Clone(string(next.ID))), strings.Clone(next.TeamA), strings.Clone(next.TeamB)
		g.stats.changed++
		game := &next
		g.v.State.putGame(game)
		ledger.Games.Put(batch, game.ID, game)
		news.update.Games = append(news.update.Games, game)
		news.update.Changes = append(news.update.Changes, change)
		if game.Resulted() || change.Has(feed.Corrected) {
			news.settled = append(news.settled, game)
		}
	}
	for _, n := range []*feedNote{refused, held, taken} {
		n.end()
	}
	g.corrections.expire(now)
	g.judgeCorrections()
	at := b.At
	if at.After(now) {
		at = now
	}
	if at.After(g.since) {
		g.since = at
	}
	if len(news.update.Games) == 0 {
		return
	}
	news.seq = g.v.store.Commit(batch)
	g.v.State.told = news.seq
	g.pending = append(g.pending, news)
	g.awaitStart()
}

func (g *games) durable(upTo store.Seq) {
	for len(g.pending) > 0 && g.pending[0].seq <= upTo {
		news := g.pending[0]
		g.pending = g.pending[1:]
		g.v.games.Publish(news.update)
		for _, game := range news.settled {
			g.v.GameSettled.Publish(GameSettled{game})
		}
	}
}

// forget drops games that are over, or were never played, and on which no
// prediction is held any more.
func (g *games) forget(today bet.Day) (more bool) {
	before := today - ledger.RetentionDays
	b := g.v.store.Batch()
	for _, old := range g.v.State.SortedGames(func(x *bet.Game) bool {
		return max(bet.DayOf(x.Start), bet.DayOf(x.ResultAt)) < before && len(g.v.State.Book.Game(x.ID)) == 0 &&
			bet.DayOf(x.Updated) < before
	}) {
		if b.Len() >= forgetRows {
			more = true
			break
		}
		g.v.State.dropGame(old.ID)
		ledger.Games.Delete(b, old.ID)
		g.stats.forgotten++
	}
	g.v.store.Commit(b)
	return more
}
