package invariant

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
)

const (
	// unconfirmedDays is how long a submission is remembered that was never
	// found in the store: games are offered 8 days ahead, nobody asks longer.
	unconfirmedDays = 12
	// maxUnconfirmed bounds how many of those are remembered per validator, so
	// that a flood of ids costs at most about 80 MB.
	maxUnconfirmed = 1 << 18
	// keepDays is how long books are kept after their day: until the rows may go.
	keepDays = ledger.RetentionDays + 1
	// gameDays more than covers the days on which one game is predicted, and the
	// keeping of the last of those.
	gameDays = keepDays + unconfirmedDays
	// recentDays are looked at again when a store was reopened; what is older is
	// when it is settled, and before it may be dropped.
	recentDays = 2
	// lookAgain is when the rows of a day are looked at once more between these:
	// what is dropped too early shows within days and not after weeks.
	lookAgain = 4
	// closing is how long after a submission or an answer its row is there, if
	// there is to be one.
	closing = time.Hour
)

// validator is the books about one validator.
type validator struct {
	name    string
	hotkey  chain.Hotkey
	entries map[key]*entry
	owners  map[chain.Hotkey]*owner
	order   []*owner // by first appearance: map order must reach no report
	games   map[bet.GameID]*game
	played  []*game // by first acceptance
	fresh   []*entry
	waiting []*entry // never found in the store, by time of submission
	heard   time.Time
	excused time.Time // nothing is overdue before
	serial  uint32    // of the scan
	judged  bet.Day   // days of scores before it have been looked at

	// By what the validator's frames and votes are judged.
	peers     map[string]*peer
	nonces    map[chain.Hotkey]taken
	told      [toldFrames]string // nonces of the frames with news looked at last
	tells     int
	lastSet   uint64 // number of the newest weight set seen on disk
	standing  standing
	opened    time.Time // again, last
	knocked   time.Time // the first registered miner since, who waits
	recovered bool

	// What was staked, by our reading of the submissions, and what became of it,
	// by the rows.
	wagered bet.Cents
	stakes  [4]bet.Cents // by bet.State
}

type key struct {
	hotkey chain.Hotkey
	id     bet.PredictionID
}

// owner is a hotkey that predicts.
type owner struct {
	hotkey   chain.Hotkey
	days     []*dayBook // ascending
	last     int64      // of its submissions
	accepted bool       // some prediction of it
	acked    acked
	scored   bet.Day // every day before it has been compared
	forgot   bool    // some of its submissions are no longer remembered
	lossy    bool    // of those, some while they could still be answered
}

// dayBook is one hotkey's UTC day: as day of receipt, and as day of settlement.
type dayBook struct {
	day     bet.Day
	dirty   bool      // rows may have come since it was last looked at
	touched time.Time // when something was last under way that may become a row of it
	unequal bool      // its budget row and its rows differ, and it was said
	again   bool      // it was looked at when it was lookAgain old
	kept    bool      // it was found whole shortly before it may be dropped
	spent   bet.Cents
	claims  bet.Cents // all that submissions may have asked of the day, accepted or not
	entries []*entry  // found in the store

	settled uint32 // won and lost, by the result's day
	staked  bet.Cents
	changed time.Time // when settled last changed; zero once compared
}

// entry is one prediction id of one hotkey at one validator.
type entry struct {
	owner       *owner
	id          bet.PredictionID
	first, last int64 // of its submissions, unix nanoseconds
	variants    []variant
	one         [1]variant // nearly always there is one
	accepted    int        // index of the variant that was accepted, -1 unknown

	as       sent // the last submission: the same frame again is no new one
	acks     uint32
	overdone bool     // more often than it was submitted, and said so
	ackedAt  int64    // the validator's time of the first acknowledgement
	refused  bet.Code // a final refusal that no later state can lift

	counted bool // in the day's budget
	stored  bool
	early   bool // settled before its result, and said so
	gone    bool // lost (and said so), or dropped after retention
	seen    uint32
	day     bet.Day // of receipt, once stored
	state   bet.State
	stake   bet.Cents // by the row
	booked  bool      // among settled of the day after next field
	on      bet.Day
}

// sent is a frame by who sent it: what another has caught and sends in a session of
// its own is a submission like the first, since nonces count in their session.
type sent struct{ by, nonce string } // nonce "" where a frame has none

// variant is one content that was submitted under an id.
type variant struct {
	content
	wager   bet.Cents // 0 where the content cannot be accepted
	price   float64   // at which it was stored, 0 until then: see priced
	sent    uint32
	claimed bet.Day // newest day that it may have asked its wager of
}

// content is what a submission says, read by ourselves. Two forms of one thing
// read alike.
type content struct {
	game, model, teamA, teamB string
	side                      bet.Outcome
	odds, dollars, confidence float64
	oddsA, oddsB, oddsTie     float64
	unreadable                bool // some field is no number, or no outcome
}

// game is what was accepted on one game.
type game struct {
	id        bet.GameID
	entries   []*entry
	verified  bool
	resulted  bool // outcome and void hold
	corrected bool // the result has changed since it was known
	outcome   bet.Outcome
	void      bool
	newest    int64
}

func newValidator(n Node, start time.Time) *validator {
	return &validator{name: n.Name, hotkey: n.Hotkey, judged: bet.DayOf(start), peers: map[string]*peer{}, nonces: map[chain.Hotkey]taken{}, entries: map[key]*entry{}, owners: map[chain.Hotkey]*owner{}, games: map[bet.GameID]*game{}, heard: start}
}

// said is what the entry says, as far as is known.
func (e *entry) said() *variant { return &e.variants[max(e.accepted, 0)] }

// sent is how many submissions could have been answered with an acceptance.
func (e *entry) sent() uint32 {
	if e.accepted >= 0 {
		return e.variants[e.accepted].sent
	}
	var most uint32
	for i := range e.variants {
		most = max(most, e.variants[i].sent)
	}
	return most
}

// submission notes what a miner sends.
func (s *Set) submission(at time.Time, v *validator, h chain.Hotkey, sub *bet.Submission, as sent) {
	now := at.UnixNano()
	e := v.entries[key{h, sub.ID}]
	if e == nil {
		o := v.owners[h]
		if o == nil {
			o = &owner{hotkey: h, scored: bet.DayOf(at)}
			v.owners[h] = o
			v.order = append(v.order, o)
		}
		e = &entry{owner: o, id: sub.ID, first: now, accepted: -1}
		e.variants = e.one[:0]
		v.entries[key{h, sub.ID}] = e
		v.waiting = append(v.waiting, e)
		if len(v.waiting) > maxUnconfirmed {
			v.forget(v.waiting[0])
			v.waiting[0].owner.lossy = true
			v.waiting = v.waiting[1:]
		}
	}
	e.last, e.owner.last = now, now
	e.owner.touch(bet.DayOf(at), at)
	if late := bet.DayOf(at.Add(closing)); late != bet.DayOf(at) {
		e.owner.touch(late, at)
	}
	c := read(sub)
	i := 0
	for i < len(e.variants) && e.variants[i].content != c {
		i++
	}
	if i == len(e.variants) {
		if len(e.variants) == maxVariants {
			return // a forger's game: the first few tell enough
		}
		e.variants = append(e.variants, variant{content: c})
		if !c.unreadable {
			e.variants[i].wager, _ = bet.RoundCents(c.dollars)
		}
	}
	s.truth.claims(s, at, e, &e.variants[i])
	if as.nonce == "" || as != e.as {
		e.variants[i].sent++
	}
	e.as = as
}

// maxVariants bounds the contents remembered under one id.
const maxVariants = 8

// read is our own reading of a submission.
func read(s *bet.Submission) content {
	c := content{game: string(s.Game), model: s.Model, teamA: s.TeamA, teamB: s.TeamB, confidence: -1}
	ok := true
	for _, f := range [...]struct {
		v    *bet.Value
		into *float64
	}{{&s.Odds, &c.odds}, {&s.Wager, &c.dollars}, {&s.Confidence, &c.confidence}, {&s.OddsA, &c.oddsA}, {&s.OddsB, &c.oddsB}, {&s.OddsTie, &c.oddsTie}} {
		x := f.v.Number
		switch f.v.Kind {
		case bet.Absent:
			continue
		case bet.Text:
			var err error
			if x, err = strconv.ParseFloat(strings.TrimSpace(f.v.Text), 64); err != nil {
				ok = false
				continue
			}
		case bet.Other:
			ok = false
			continue
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			ok = false
			continue
		}
		*f.into = x
	}
	var known bool
	c.side, known = side(s)
	c.unreadable = !ok || !known
	return c
}

func side(s *bet.Submission) (bet.Outcome, bool) {
	switch o := s.Outcome; o.Kind {
	case bet.Number:
		for k := bet.Home; k <= bet.Tie; k++ {
			if o.Number == float64(k) {
				return k, true
			}
		}
	case bet.Text:
		if n, err := strconv.ParseUint(o.Text, 10, 64); err == nil {
			return bet.Outcome(min(n, uint64(bet.Unfinished))), n <= uint64(bet.Tie)
		}
		switch {
		case o.Text == s.TeamA:
			return bet.Home, true
		case o.Text == s.TeamB:
			return bet.Away, true
		case strings.EqualFold(o.Text, "tie"):
			return bet.Tie, true
		}
	}
	return bet.Unfinished, false
}

// confirmation notes what a validator answers. direct says that it answers a frame
// of its own at once, and is not one of many in a receipt.
func (s *Set) confirmation(at time.Time, v *validator, h chain.Hotkey, k *wire.Confirmation, direct bool) {
	e := v.entries[key{h, k.ID}]
	decided := k.At
	if decided.IsZero() { // a peer that does not say
		decided = at
	}
	switch {
	case k.OK:
		first := s.ack.acknowledged(at, v, h, e, k)
		if e == nil || !first {
			return
		}
		e.ackedAt, e.owner.accepted = decided.UnixNano(), true
		s.look(at)
		s.registered.acknowledged(s, at, v, e)
		s.final.acknowledged(at, v, e)
		if row, ok := s.durable.acknowledged(s, at, v, e); ok && direct {
			s.order.acknowledged(s, at, v, e, &row)
		}
		e.owner.touch(bet.DayOf(decided), at)
		v.fresh = append(v.fresh, e)
		if len(e.variants) == 1 {
			e.accepted = 0
			s.late.acknowledged(s, at, v, e)
			// Across midnight only the row tells which day it was received on.
			if d := bet.DayOf(unix(e.first)); d == bet.DayOf(decided) {
				s.budget.count(at, v, e, d)
			}
		}
	case !k.Code.Temporary():
		s.ack.refused(at, v, e, k.Code, decided)
		s.final.refused(e, k.Code)
		s.truth.refused(at, v, e, k, decided)
	}
}

// concerns is whose prediction an answer to a party is about. It is the party's
// own, but for one who caught another's authentication and was heard before it:
// the session is the other's then.
func (v *validator) concerns(to Node, id bet.PredictionID) chain.Hotkey {
	p := v.peers[to.Name]
	if p == nil || v.entries[key{to.Hotkey, id}] != nil {
		return to.Hotkey
	}
	for _, h := range p.others {
		if v.entries[key{h, id}] != nil {
			return h
		}
	}
	return to.Hotkey
}

// adopt makes an entry of a row that nobody submitted, so that it is said once
// and the other invariants see it as it is.
func (o *owner) adopt(row *ledger.Prediction) *entry {
	e := &entry{owner: o, id: row.ID, first: row.Received.UnixNano()}
	e.last = e.first
	e.variants = append(e.one[:0], variant{content: content{game: string(row.Game), model: row.Model, side: row.Outcome, odds: row.Odds,
		confidence: row.Confidence}, wager: row.Wager})
	return e
}

// touch marks a day as one on which rows may come.
func (o *owner) touch(d bet.Day, at time.Time) {
	b := o.book(d)
	b.dirty, b.touched = true, at
}

// book returns a day's book, made if need be. The newest day is nearly always
// the one that is asked for.
func (o *owner) book(d bet.Day) *dayBook {
	i := len(o.days)
	for i > 0 && o.days[i-1].day > d {
		i--
	}
	if i > 0 && o.days[i-1].day == d {
		return o.days[i-1]
	}
	b := &dayBook{day: d}
	o.days = slices.Insert(o.days, i, b)
	return b
}

// find is book without making one.
func (o *owner) find(d bet.Day) *dayBook {
	i, ok := slices.BinarySearchFunc(o.days, d, func(b *dayBook, d bet.Day) int { return int(b.day - d) })
	if !ok {
		return nil
	}
	return o.days[i]
}

// forget drops an entry that was never found in the store.
func (v *validator) forget(e *entry) {
	if !e.stored {
		delete(v.entries, key{e.owner.hotkey, e.id})
		e.owner.forgot, e.gone = true, true
	}
}

// sweep drops what is too old to matter.
func (v *validator) sweep(at time.Time) {
	old := at.AddDate(0, 0, -unconfirmedDays).UnixNano()
	kept := v.waiting[:0]
	for _, e := range v.waiting {
		switch {
		case e.stored || e.gone:
		case e.last < old:
			v.forget(e)
		default:
			kept = append(kept, e)
		}
	}
	clear(v.waiting[len(kept):])
	v.waiting = kept

	oldest := bet.DayOf(at) - keepDays
	for _, o := range v.order {
		n := 0
		for n < len(o.days) && o.days[n].day < oldest {
			for _, e := range o.days[n].entries {
				delete(v.entries, key{o.hotkey, e.id})
				e.gone, o.forgot = true, true
			}
			n++
		}
		o.days = slices.Delete(o.days, 0, n)
	}
	// Whoever once had a prediction accepted may be paid for it as long as the rows
	// that tiers and weights are made of last.
	gone := (bet.DayOf(at) - ledger.HistoryDays).Start().UnixNano()
	v.order = slices.DeleteFunc(v.order, func(o *owner) bool {
		if o.last >= gone || len(o.days) > 0 {
			return false
		}
		delete(v.owners, o.hotkey)
		return true
	})
	gone = at.AddDate(0, 0, -gameDays).UnixNano()
	v.played = slices.DeleteFunc(v.played, func(g *game) bool {
		if g.newest >= gone {
			return false
		}
		delete(v.games, g.id)
		return true
	})
}
