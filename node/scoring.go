package node

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/score"
	"bettensor/sched"
	"bettensor/store"
)

// scoring is the validator's Scoring service. A day's components are a pure
// function of the predictions settled on it, and a day's tiers of the tiers of
// the day before and of the components up to it. So a round scores again the
// days that something has changed on, then makes tiers from the first of them
// to today: a validator that was down for a week, or learns of a correction,
// ends where one that was never down ends.
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
	late  *sched.Timer

	history map[chain.Hotkey]*history
	settled map[bet.GameID]bet.Day   // the day a game's result belongs to
	games   map[bet.Day][]bet.GameID // sorted; every resulted game that is not void
	dirty   map[bet.Day]bool
	tiered  bet.Day // newest day whose tiers were made, 0 for none

	round struct { // pinned when a round begins
		meta  *chain.Metagraph
		today bet.Day
		score []bet.Day // days to score, ascending
		tier  bet.Day   // next day to make tiers for
		batch *store.Batch
	}
	day        score.Day
	components score.Components
	in         score.Round
	out        score.Result
	entries    []entry
	stats      struct{ rounds, days, tiers, tooLate, failed uint64 }
	lastErr    string
}

// historyDays is the length of a miner's ring: the longest window, and slack so
// that a day under correction finds the one before it.
const historyDays = 64

// history is one miner's scored days.
type history struct {
	days [historyDays]bet.Day
	rows [historyDays]ledger.Score
}

func (h *history) at(d bet.Day) *ledger.Score {
	if h == nil || h.days[d&(historyDays-1)] != d {
		return nil
	}
	return &h.rows[d&(historyDays-1)]
}

// entry is a prediction of the day that is being scored.
type entry struct {
	slot uint16
	game int32
	row  *ledger.Prediction
}

func newScoring(v *Validator, s *sched.Scope) *scoring {
	c := &scoring{named: "scoring", v: v, scope: s, history: map[chain.Hotkey]*history{},
		settled: map[bet.GameID]bet.Day{}, games: map[bet.Day][]bet.GameID{}, dirty: map[bet.Day]bool{}}
	if v.found != nil {
		for k, row := range v.found.Scores {
			c.of(k.Hotkey).days[k.Day&(historyDays-1)], c.of(k.Hotkey).rows[k.Day&(historyDays-1)] = k.Day, row
			if row.Tier > 0 {
				c.tiered = max(c.tiered, k.Day)
			}
		}
	}
	c.task = s.Task(sched.TaskConfig{Name: "run_scoring", Every: v.cfg.ScoringInterval, Jitter: 0.05, First: v.cfg.SettleDelay,
		Retry: sched.Backoff{Base: v.cfg.SettleDelay, Cap: v.cfg.ScoringInterval, Attempts: 3}}, c.begin)
	c.late = s.Timer("settled", func() { c.task.Trigger() })
	v.GameSettled.Subscribe(s, func(e *GameSettled) {
		c.learn(e.Game)
		if _, armed := c.late.Armed(); !armed {
			c.late.Arm(v.cfg.SettleDelay)
		}
	})
	return c
}

func (c *scoring) of(h chain.Hotkey) *history {
	x := c.history[h]
	if x == nil {
		x = &history{}
		for i := range x.days {
			x.days[i] = -1
		}
		c.history[h] = x
	}
	return x
}

// start marks every day that can still count: what was settled before a crash,
// or while this service was down, may not have been scored.
func (c *scoring) start() {
	for _, g := range c.v.State.SortedGames((*bet.Game).Resulted) {
		c.learn(g)
	}
}

// learn puts a game on the day of its result.
func (c *scoring) learn(g *bet.Game) {
	was, known := c.settled[g.ID]
	if g.Status == bet.Finished {
		now := bet.DayOf(g.ResultAt)
		if !known || was != now {
			if known {
				c.unlist(was, g.ID)
			}
			c.settled[g.ID] = now
			i, _ := slices.BinarySearch(c.games[now], g.ID)
			c.games[now] = slices.Insert(c.games[now], i, g.ID)
		}
		c.touch(now)
	} else if known { // void, or the result was withdrawn
		c.unlist(was, g.ID)
		delete(c.settled, g.ID)
	}
	if known {
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
	today := bet.DayOf(c.v.loop.Now())
	for i := range bet.Day(c.rescored()) {
		if d+i > today-score.Ring {
			c.dirty[d+i] = true
		} else {
			c.stats.tooLate++
			c.v.log.Warn("result too old to be scored", "day", d+i)
		}
	}
}

// rescored is on how many days a game counts.
func (c *scoring) rescored() int { return max(1, (c.v.cfg.Scheme.RescoreHours+23)/24) }

// begin pins what a round works on.
func (c *scoring) begin(run *sched.Run) {
	c.run = run
	c.stats.rounds++
	r := &c.round
	r.meta = c.v.State.Meta
	r.today = bet.DayOf(c.v.loop.Now())
	r.batch = nil
	r.score = r.score[:0]
	for d := range c.dirty {
		if d <= r.today {
			r.score = append(r.score, d)
		}
	}
	slices.Sort(r.score)
	for _, d := range r.score {
		delete(c.dirty, d)
	}
	r.tier = r.today
	if c.tiered > 0 {
		r.tier = min(r.tier, c.tiered+1)
	}
	if len(r.score) > 0 {
		r.tier = min(r.tier, r.score[0])
	}
	r.tier = max(r.tier, r.today-score.Ring+1)
	c.scope.Defer(c.step)
}

// step is one slice of a round: one day's components or one day's tiers.
func (c *scoring) step() (more bool) {
	r := &c.round
	var err error
	switch {
	case len(r.score) > 0:
		err = c.scoreDay(r.score[0])
		r.score = r.score[1:]
	case r.meta == nil:
		err = errors.New("no metagraph yet: days are scored, tiers wait")
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
	if c.round.batch != nil {
		c.v.store.Commit(c.round.batch)
		c.round.batch = nil
	}
	run := c.run
	c.run = nil
	c.lastErr = ""
	if err != nil {
		c.stats.failed++
		c.lastErr = err.Error()
		for _, d := range c.round.score { // not reached: the next round does them
			c.dirty[d] = true
		}
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
	// Rows of miners who had predictions on this day before a correction and
	// have none now are emptied, not left.
	for _, h := range c.known() {
		if row := c.history[h].at(d); row != nil {
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
		if old := c.of(h).at(d); old != nil {
			row.Tier, row.OwnScore, row.Weight = old.Tier, old.OwnScore, old.Weight
		}
		c.put(h, d, row)
	}
	return nil
}

func (c *scoring) columns(slots int) {
	day := &c.day
	n := len(c.entries)
	day.Slots = slots
	day.Miner, day.Game, day.Outcome = slices.Grow(day.Miner[:0], n)[:n], slices.Grow(day.Game[:0], n)[:n], slices.Grow(day.Outcome[:0], n)[:n]
	day.Odds, day.Wager = slices.Grow(day.Odds[:0], n)[:n], slices.Grow(day.Wager[:0], n)[:n]
	day.Payout, day.Raw = slices.Grow(day.Payout[:0], n)[:n], slices.Grow(day.Raw[:0], n)[:n]
	for i, e := range c.entries {
		wager := dollars(e.row.Wager)
		day.Miner[i], day.Game[i], day.Outcome[i] = e.slot, e.game, uint8(e.row.Outcome)
		day.Odds[i], day.Wager[i], day.Raw[i], day.Payout[i] = e.row.Odds, wager, e.row.Raw, 0
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

// known is every hotkey with a history, in order.
func (c *scoring) known() []chain.Hotkey {
	out := make([]chain.Hotkey, 0, len(c.history))
	for h := range c.history {
		out = append(out, h)
	}
	slices.Sort(out)
	return out
}

func (c *scoring) put(h chain.Hotkey, d bet.Day, row ledger.Score) {
	x := c.of(h)
	i := d & (historyDays - 1)
	if x.days[i] == d && x.rows[i] == row {
		return
	}
	if c.round.batch == nil {
		c.round.batch = c.v.store.Batch()
	}
	if old := x.days[i]; old >= 0 && old != d {
		ledger.Scores.Delete(c.round.batch, ledger.DayKey{Day: old, Hotkey: h})
	}
	x.days[i], x.rows[i] = d, row
	ledger.Scores.Put(c.round.batch, ledger.DayKey{Day: d, Hotkey: h}, &row)
}

// tierDay makes the tiers and weights of one day.
func (c *scoring) tierDay(d bet.Day) error {
	c.stats.tiers++
	meta := c.round.meta
	in, scheme := &c.in, c.v.cfg.Scheme
	n := len(meta.Neurons)
	in.Slots = n
	in.Valid, in.Active, in.Excluded = bools(in.Valid, n), bools(in.Active, n), bools(in.Excluded, n)
	in.Yesterday = slices.Grow(in.Yesterday[:0], n)[:n]
	for i := range in.Daily {
		back := d - bet.Day(i)
		in.Daily[i], in.Wagered[i], in.Settled[i] = zeros(in.Daily[i], n), zeros(in.Wagered[i], n), zeros(in.Settled[i], n)
		in.AnySettled[i] = len(c.games[back]) > 0
	}
	for i := range meta.Neurons {
		u := &meta.Neurons[i]
		x := c.history[u.Hotkey]
		in.Yesterday[i] = score.TierNone
		in.Valid[i] = u.Hotkey != "" && (u.Hotkey != c.v.hotkey || c.v.cfg.ScoreSelf) && (!u.Permit || x != nil)
		if row := x.at(d - 1); row != nil {
			in.Yesterday[i] = score.Tier(row.Tier)
		}
		in.Excluded[i] = scheme.MinStake > 0 && scheme.BelowMinStake(float64(u.Stake)/1e9, c.v.cfg.AlphaPrice)
		for back := range bet.Day(max(scheme.InactivityDays, 0)) {
			if c.v.State.Book.Spent(u.Hotkey, d-back) > 0 {
				in.Active[i] = true
				break
			}
		}
		if x == nil {
			continue
		}
		for k := range in.Daily {
			row := x.at(d - bet.Day(k))
			if row == nil {
				continue
			}
			in.Daily[k][i], in.Settled[k][i] = row.Composite, uint16(min(row.Settled, 1<<16-1))
			in.Wagered[k][i] = dollars(row.Wagered)
		}
		if scheme.WagersByReceipt {
			for k := range in.Wagered {
				in.Wagered[k][i] = dollars(c.v.State.Book.Spent(u.Hotkey, d-bet.Day(k)))
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
		if old := c.of(h).at(d); old != nil {
			row = *old
		}
		row.Tier, row.OwnScore, row.Weight = uint8(c.out.Tiers[i]), c.out.Score[i], c.out.Weights[i]
		c.put(h, d, row)
	}
	c.tiered = max(c.tiered, d)
	return nil
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
	for i := range v.services {
		c, ok := v.services[i].service.(*scoring)
		if !ok || c.tiered == 0 {
			continue
		}
		if row := c.history[h].at(c.tiered); row != nil {
			return Standing{Tier: score.Tier(row.Tier).Public(), Score: row.OwnScore, Weight: row.Weight}
		}
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
