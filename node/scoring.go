package node

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/score"
	"bettensor/sched"
)

// scoring is the validator's Scoring service. A day's components are a pure
// function of the predictions settled on it, and a day's tiers of the tiers of
// the day before and of the components up to it. So a round scores again the
// days that something may have changed on, then makes tiers from the first one
// that did change to today: a validator that was down for a week, or learns of
// a correction, ends where one that was never down ends. After a restart all
// days are scored again; those whose rows come out the same keep their tiers,
// which were made with the slots of their time.
//
// What a slice has found out is put into State.Scores and committed at its end,
// with the first day whose tiers are still to be made. A round may thus end
// anywhere, by an error, a panic or a crash, and the next one goes on.
//
// game_settled ─► the day is dirty
// every interval, and after a burst of settlements ─► round, in slices of one day:
//
//	components of each dirty day ─► tiers of each day from the first ─► weights ─► scoring_complete
type scoring struct {
	idle
	named
	v     *Validator
	scope *sched.Scope
	task  *sched.Task
	run   *sched.Run
	began time.Time // of the round
	late  *sched.Timer

	settled map[bet.GameID]bet.Day   // the day a game's result belongs to
	games   map[bet.Day][]bet.GameID // sorted; every resulted game that is not void
	dirty   map[bet.Day]bool

	round struct { // pinned when a round begins
		meta  *chain.Metagraph
		today bet.Day
		score []bet.Day // days to score, ascending
		tier  bet.Day   // next day to make tiers for, 0 before the first is known
	}
	staged     []stagedScore // by the slice under way
	day        score.Day
	components score.Components
	in         score.Round
	out        score.Result
	entries    []entry
	stats      struct{ rounds, days, tiers, tooLate, failed uint64 }
	lastErr    string
}

type stagedScore struct {
	hotkey chain.Hotkey
	row    ledger.Score
}

// entry is a prediction of the day that is being scored.
type entry struct {
	slot uint16
	game int32
	row  *ledger.Prediction
}

func newScoring(v *Validator, s *sched.Scope) *scoring {
	c := &scoring{named: "scoring", v: v, scope: s,
		settled: map[bet.GameID]bet.Day{}, games: map[bet.Day][]bet.GameID{}, dirty: map[bet.Day]bool{}}
	c.task = s.Task(sched.TaskConfig{Name: "run_scoring", Every: v.cfg.ScoringInterval, Jitter: 0.05, First: v.cfg.SettleDelay,
		Retry: sched.Backoff{Base: v.cfg.SettleDelay, Cap: v.cfg.ScoringInterval, Attempts: 3}}, c.begin)
	c.late = s.Timer("settled", func() { c.task.Trigger() })
	v.daily(s, "forget_scores", c.forget)
	v.GameSettled.Subscribe(s, func(e *GameSettled) {
		c.learn(e.Game)
		if _, armed := c.late.Armed(); !armed {
			c.late.Arm(v.cfg.SettleDelay)
		}
	})
	return c
}

// start marks every day that can still count: what was settled, corrected or
// voided before a crash, or while this service was down, may not have been scored.
func (c *scoring) start() {
	first := c.oldest() - bet.Day(c.rescored()) + 1
	for _, g := range c.v.State.SortedGames((*bet.Game).Resulted) {
		if bet.DayOf(g.ResultAt) >= first {
			c.learn(g)
		}
	}
	if x := c.v.State.Scores.byHotkey[""]; x != nil {
		for _, d := range x.days {
			if d >= first {
				c.touch(d)
			}
		}
	}
}

// oldest is the oldest day that is scored.
func (c *scoring) oldest() bet.Day { return bet.DayOf(c.v.loop.Now()) - score.Ring + 1 }

// learn puts a game on the day of its result.
func (c *scoring) learn(g *bet.Game) {
	was, known := c.settled[g.ID]
	if g.Status == bet.Finished {
		now := bet.DayOf(g.ResultAt)
		c.touch(now)
		if known && was == now {
			return
		}
		c.settled[g.ID] = now
		i, _ := slices.BinarySearch(c.games[now], g.ID)
		c.games[now] = slices.Insert(c.games[now], i, g.ID)
	} else { // void, or the result was withdrawn
		delete(c.settled, g.ID)
	}
	if known {
		c.unlist(was, g.ID)
		c.touch(was)
	}
}

func (c *scoring) unlist(d bet.Day, id bet.GameID) {
	if i, ok := slices.BinarySearch(c.games[d], id); ok {
		c.games[d] = slices.Delete(c.games[d], i, i+1)
	}
}

// touch marks a day, and those that count its games again.
func (c *scoring) touch(d bet.Day) {
	late := true
	for i := range bet.Day(c.rescored()) {
		if d+i >= c.oldest() {
			c.dirty[d+i], late = true, false
		}
	}
	if late {
		c.stats.tooLate++
		c.v.log.Warn("result too old to be scored", "day", d)
	}
}

// rescored is on how many days a game counts.
func (c *scoring) rescored() int { return max(1, (c.v.cfg.Scheme.RescoreHours+23)/24) }

// begin pins what a round works on.
func (c *scoring) begin(run *sched.Run) {
	c.run, c.began = run, c.v.loop.Now()
	c.stats.rounds++
	r := &c.round
	r.meta = c.v.State.Meta
	r.today = bet.DayOf(c.v.loop.Now())
	r.score, r.tier = r.score[:0], 0
	for d := range c.dirty {
		if d <= r.today {
			r.score = append(r.score, d)
		}
	}
	slices.Sort(r.score)
	c.scope.Defer(c.step)
}

// step is one slice of a round: one day's components or one day's tiers.
func (c *scoring) step() (more bool) {
	r := &c.round
	var err error
	switch {
	case len(r.score) > 0:
		if err = c.scoreDay(r.score[0]); err == nil {
			delete(c.dirty, r.score[0])
			r.score = r.score[1:]
		}
	case r.meta == nil:
		err = errors.New("no metagraph yet: days are scored, tiers wait")
	case r.tier == 0:
		// Older tiers can no longer be made: they stand as they are.
		r.tier = max(r.today-score.Ring+1, min(r.today, cmp.Or(c.v.State.Scores.from, r.today)))
	case r.tier <= r.today:
		err = c.tierDay(r.tier)
		r.tier++
	default:
		c.finish(nil)
		return false
	}
	if err != nil {
		c.finish(err)
		return false
	}
	return true
}

func (c *scoring) finish(err error) {
	run := c.run
	c.run = nil
	c.lastErr = ""
	if err != nil {
		c.stats.failed++
		c.lastErr = err.Error()
		c.staged = c.staged[:0]
	} else {
		c.publish()
	}
	run.Done(err)
}

// scoreDay makes the components of one day from the books.
func (c *scoring) scoreDay(d bet.Day) error {
	c.stats.days++
	day := &c.day
	day.Closing, day.Result, day.LegacyID, day.LegacyTable = day.Closing[:0], day.Result[:0], day.LegacyID[:0], day.LegacyTable[:0]
	c.entries = c.entries[:0]
	hotkeys := map[chain.Hotkey]uint16{}
	var names []chain.Hotkey
	for back := c.rescored() - 1; back >= 0; back-- {
		for _, id := range c.games[d-bet.Day(back)] {
			g := c.v.State.Games[id]
			rows := c.v.State.Book.Game(id)
			if g == nil || len(rows) == 0 {
				continue
			}
			index := int32(len(day.Result))
			day.Closing = append(day.Closing, [3]float64(g.Closing))
			day.Result = append(day.Result, int8(g.Outcome))
			day.LegacyID = append(day.LegacyID, number(id))
			for _, row := range rows {
				if row.State != bet.Won && row.State != bet.Lost {
					continue
				}
				if _, ok := hotkeys[row.Hotkey]; !ok {
					hotkeys[row.Hotkey] = 0
					names = append(names, row.Hotkey)
				}
				c.entries = append(c.entries, entry{game: index, row: row})
			}
		}
	}
	if c.v.cfg.Scheme.LegacyCLV {
		c.legacyTable(d)
	}
	slices.Sort(names)
	for i, h := range names {
		hotkeys[h] = uint16(i)
	}
	for i := range c.entries {
		c.entries[i].slot = hotkeys[c.entries[i].row.Hotkey]
	}
	slices.SortFunc(c.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.row.Arrived, b.row.Arrived))
	})
	c.columns(len(names))
	if err := c.v.cfg.Scheme.Components(day, &c.components); err != nil {
		return err
	}
	scores := &c.v.State.Scores
	// Rows of miners who had predictions on this day before a correction and
	// have none now are emptied, not left.
	for _, h := range scores.hotkeys() {
		if row := scores.byHotkey[h].at(d); row != nil {
			if _, ok := hotkeys[h]; !ok && row.Settled > 0 {
				c.put(h, d, ledger.Score{Tier: row.Tier, OwnScore: row.OwnScore, Weight: row.Weight})
			}
		}
	}
	wagered, counts := make([]bet.Cents, len(names)), make([]uint32, len(names))
	for _, e := range c.entries {
		wagered[e.slot] += e.row.Wager
		counts[e.slot]++
	}
	for i, h := range names {
		row := ledger.Score{CLV: c.components.CLV[i], ROI: c.components.ROI[i], Risk: c.components.Risk[i],
			Entropy: c.components.Entropy[i], Composite: c.components.Composite[i], Wagered: wagered[i], Settled: counts[i]}
		if old := scores.byHotkey[h].at(d); old != nil {
			row.Tier, row.OwnScore, row.Weight = old.Tier, old.OwnScore, old.Weight
		}
		c.put(h, d, row)
	}
	c.put("", d, ledger.Score{Settled: uint32(len(c.games[d]))})
	from := scores.from
	if len(c.staged) > 0 {
		from = min(d, cmp.Or(from, d))
	}
	c.keep(d, from)
	return nil
}

func (c *scoring) columns(slots int) {
	day := &c.day
	n := len(c.entries)
	day.Slots = slots
	day.Miner, day.Game, day.Outcome = slices.Grow(day.Miner[:0], n)[:n], slices.Grow(day.Game[:0], n)[:n], slices.Grow(day.Outcome[:0], n)[:n]
	day.Odds, day.Wager = slices.Grow(day.Odds[:0], n)[:n], slices.Grow(day.Wager[:0], n)[:n]
	day.Payout, day.Raw, day.Chance = slices.Grow(day.Payout[:0], n)[:n], slices.Grow(day.Raw[:0], n)[:n], slices.Grow(day.Chance[:0], n)[:n]
	for i, e := range c.entries {
		wager := dollars(e.row.Wager)
		day.Miner[i], day.Game[i], day.Outcome[i] = e.slot, e.game, uint8(e.row.Outcome)
		day.Odds[i], day.Wager[i], day.Raw[i], day.Chance[i], day.Payout[i] = e.row.Odds, wager, e.row.Raw, e.row.Chance, 0
		if e.row.State == bet.Won {
			day.Payout[i] = wager * e.row.Odds
		}
	}
}

// legacyTable is what the released program divided by: all games of the days,
// by start time.
func (c *scoring) legacyTable(d bet.Day) {
	var all []*bet.Game
	for back := c.rescored() - 1; back >= 0; back-- {
		for _, id := range c.games[d-bet.Day(back)] {
			if g := c.v.State.Games[id]; g != nil {
				all = append(all, g)
			}
		}
	}
	slices.SortFunc(all, byStart)
	for _, g := range all {
		c.day.LegacyTable = append(c.day.LegacyTable, [4]float64{number(g.ID), g.Closing[0], g.Closing[1], g.Closing[2]})
	}
}

// number is a game's id as the released program saw it; 0 where it is no number.
func number(id bet.GameID) float64 {
	v, err := strconv.ParseFloat(string(id), 64)
	if err != nil {
		return 0
	}
	return v
}

// put stages a row of the day that the slice works on, if it is news.
func (c *scoring) put(h chain.Hotkey, d bet.Day, row ledger.Score) {
	if old := c.v.State.Scores.byHotkey[h].at(d); old != nil && *old == row || old == nil && row == (ledger.Score{}) {
		return
	}
	c.staged = append(c.staged, stagedScore{h, row})
}

// keep ends a slice: what it staged of a day, and the first day whose tiers are
// now to be made, go into State and to the disk as one.
func (c *scoring) keep(d, from bet.Day) {
	scores := &c.v.State.Scores
	if len(c.staged) == 0 && from == scores.from {
		return
	}
	b := c.v.store.Batch()
	i := d & (historyDays - 1)
	for k := range c.staged {
		p := &c.staged[k]
		x := scores.of(p.hotkey)
		if old := x.days[i]; old >= 0 && old != d {
			ledger.Scores.Delete(b, ledger.DayKey{Day: old, Hotkey: p.hotkey})
		}
		x.days[i], x.rows[i] = d, p.row
		ledger.Scores.Put(b, ledger.DayKey{Day: d, Hotkey: p.hotkey}, &p.row)
	}
	c.staged = c.staged[:0]
	if from != scores.from {
		scores.from = from
		text := from.String()
		ledger.Facts.Put(b, ledger.FactTiersFrom, &text)
	}
	c.v.store.Commit(b)
}

// forget drops scores that no tier can need any more.
func (c *scoring) forget(today bet.Day) (more bool) {
	scores, before := &c.v.State.Scores, today-ledger.HistoryDays
	b := c.v.store.Batch()
	n := min(len(scores.stale), forgetRows)
	for _, k := range scores.stale[:n] {
		ledger.Scores.Delete(b, k)
	}
	scores.stale = scores.stale[n:]
	for _, h := range append(scores.hotkeys(), "") {
		x := scores.byHotkey[h]
		if x == nil || b.Len() >= forgetRows {
			continue
		}
		left := 0
		for i, d := range x.days {
			switch {
			case d < 0:
			case d < before:
				ledger.Scores.Delete(b, ledger.DayKey{Day: d, Hotkey: h})
				x.days[i] = -1
			default:
				left++
			}
		}
		if left == 0 {
			delete(scores.byHotkey, h)
		}
	}
	for d := range c.games { // order cannot matter: each is judged alone
		if d < before {
			delete(c.games, d)
		}
	}
	for id, d := range c.settled { // order cannot matter, as above
		if d < before {
			delete(c.settled, id)
		}
	}
	more = b.Len() >= forgetRows
	c.v.store.Commit(b)
	return more
}

// tierDay makes the tiers and weights of one day.
func (c *scoring) tierDay(d bet.Day) error {
	c.stats.tiers++
	meta, scores := c.round.meta, &c.v.State.Scores
	in, scheme := &c.in, c.v.cfg.Scheme
	n := len(meta.Neurons)
	in.Slots = n
	end := c.windowsEnd(d)
	in.Valid, in.Active, in.Excluded = bools(in.Valid, n), bools(in.Active, n), bools(in.Excluded, n)
	in.Yesterday = slices.Grow(in.Yesterday[:0], n)[:n]
	for i := range in.Daily {
		back := end - bet.Day(i)
		in.Daily[i], in.Wagered[i], in.Settled[i] = zeros(in.Daily[i], n), zeros(in.Wagered[i], n), zeros(in.Settled[i], n)
		in.Doubt[i] = zeros(in.Doubt[i], n)
		in.AnySettled[i] = scores.anySettled(back)
	}
	for i := range meta.Neurons {
		u := &meta.Neurons[i]
		x := scores.byHotkey[u.Hotkey]
		in.Yesterday[i] = score.TierNone
		in.Valid[i] = u.Hotkey != "" && (u.Hotkey != c.v.hotkey || c.v.cfg.ScoreSelf) && (!u.Permit || c.predicted(u.Hotkey, x))
		if row := x.at(d - 1); row != nil {
			in.Yesterday[i] = score.Tier(row.Tier)
		}
		in.Excluded[i] = scheme.MinStake > 0 && scheme.BelowMinStake(float64(u.Stake)/1e9, c.v.cfg.AlphaPrice)
		for day := d; day > end-bet.Day(scheme.InactivityDays); day-- {
			if c.v.State.Book.Spent(u.Hotkey, day) > 0 {
				in.Active[i] = true
				break
			}
		}
		if x == nil {
			continue
		}
		for k := range in.Daily {
			row := x.at(end - bet.Day(k))
			if row == nil {
				continue
			}
			in.Daily[k][i], in.Doubt[k][i], in.Settled[k][i] = row.Composite, row.Risk, uint16(min(row.Settled, 1<<16-1))
			in.Wagered[k][i] = dollars(row.Wagered)
		}
		if scheme.WagersByReceipt {
			for k := range in.Wagered {
				in.Wagered[k][i] = dollars(c.v.State.Book.Spent(u.Hotkey, end-bet.Day(k)))
			}
		}
	}
	if err := scheme.Round(in, &c.out); err != nil {
		return err
	}
	for i := range meta.Neurons {
		h := meta.Neurons[i].Hotkey
		if !in.Valid[i] {
			continue
		}
		row := ledger.Score{}
		if old := scores.byHotkey[h].at(d); old != nil {
			row = *old
		}
		row.Tier, row.OwnScore, row.Weight = uint8(c.out.Tiers[i]), c.out.Score[i], c.out.Weights[i]
		c.put(h, d, row)
	}
	// Today's are made again tomorrow, once it is known who was active to its end:
	// a validator that was away over midnight then ends where others do.
	c.keep(d, max(scores.from, min(d+1, c.round.today)))
	scores.newest = max(scores.newest, d)
	return nil
}

// windowsEnd is the day that the windows of day d end on: d itself or, where the
// closing edge is paid, the last day that any game was settled. Between seasons
// time then stands still, so that what was proven is not worn down to a few last
// games and, in the end, to whoever was idle last. Rows are kept for a gap of
// HistoryDays less a window; after that there is nothing to pay by, and the last
// weights stand.
func (c *scoring) windowsEnd(d bet.Day) bet.Day {
	if c.v.cfg.Scheme.ClosingEdge {
		for back := range bet.Day(ledger.HistoryDays - score.Ring) {
			if c.v.State.Scores.anySettled(d - back) {
				return d - back
			}
		}
	}
	return d
}

// predicted says whether a hotkey has ever had a prediction accepted, as far
// back as tiers look: one with a permit that has is a miner as well.
func (c *scoring) predicted(h chain.Hotkey, x *history) bool {
	if x != nil {
		for i, d := range x.days {
			if d >= 0 && x.rows[i].Settled > 0 {
				return true
			}
		}
	}
	for back := range bet.Day(ledger.HistoryDays) {
		if c.v.State.Book.Spent(h, c.round.today-back) > 0 {
			return true
		}
	}
	return false
}

// publish tells of the round. The weights are of the pinned metagraph's slots.
func (c *scoring) publish() {
	e := ScoringComplete{Day: c.round.today, Block: c.round.meta.Block, Reason: c.out.Reason}
	for i, w := range c.out.Weights {
		if w > 0 {
			e.UIDs = append(e.UIDs, chain.UID(i))
			e.Hotkeys = append(e.Hotkeys, c.round.meta.Neurons[i].Hotkey)
			e.Weights = append(e.Weights, w)
		}
	}
	c.v.State.Round = &e
	c.v.timings.scoring.Add(c.v.loop.Now().Sub(c.began))
	c.v.ScoringComplete.Publish(e)
}

// Standing is a miner's place after the last round.
type Standing struct {
	Tier   int // public, 0 for none
	Score  float64
	Weight float64
}

// Standing returns a miner's newest place.
func (v *Validator) Standing(h chain.Hotkey) Standing {
	scores := &v.State.Scores
	if row := scores.byHotkey[h].at(scores.newest); row != nil {
		return Standing{Tier: score.Tier(row.Tier).Public(), Score: row.OwnScore, Weight: row.Weight}
	}
	return Standing{}
}

func (c *scoring) Stats() ServiceStats {
	s := ServiceStats{Name: c.name(), Counts: []Count{{"rounds", c.stats.rounds}, {"days_scored", c.stats.days},
		{"days_tiered", c.stats.tiers}, {"too_late", c.stats.tooLate}, {"failed", c.stats.failed}, {"days_waiting", uint64(len(c.dirty))}}}
	s.State, s.Reason = health(c.lastErr == "", c.lastErr)
	return s
}

func bools(b []bool, n int) []bool {
	b = slices.Grow(b[:0], n)[:n]
	clear(b)
	return b
}

func zeros[T any](b []T, n int) []T {
	b = slices.Grow(b[:0], n)[:n]
	clear(b)
	return b
}
