// Package invariant watches a run from outside for what must never happen. It
// keeps its own books, made of nothing but the frames that travel, the
// extrinsics that the chain executes and the rows that a validator's disk
// holds, and compares them with each other and with what the world knows to be
// true. It never reads a field of a service, knows nothing of package sim, and
// changes nothing: a run is the same with and without it.
//
// Read this file for how a Set is fed, check.go for what it reports, books.go
// for what it remembers, audit.go for what is looked up in a store and when.
// Then each invariant has a file of its own, named as the invariant is. sim
// makes one Set per run and feeds it, on the goroutine that turns the world.
//
// An invariant here is safety, or a promise with a deadline. A deadline
// is Slack after the world made it possible, and is put off for a validator
// that was away, so that no fault of a scenario breaks an invariant by itself.
package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/store"
)

// Node is a party of a run, as the feeder tells it.
type Node struct {
	Name      string
	Hotkey    chain.Hotkey
	Validator bool
}

// Facts are what the world knows. KickOff and Result must be set and must be
// pure: they are asked about instants in the past, in any order.
type Facts struct {
	// Start of the run.
	Start time.Time
	// Netuid of the subnet. Metagraphs of others are a feeder's mistake.
	Netuid chain.Netuid
	// Released says that the scoring scheme counts a game again on later days,
	// as the released program did: scored-once does not hold for it.
	Released bool
	// KickOff is a game's start as the world knew it at an instant; false for a
	// game that nobody had heard of.
	KickOff func(id bet.GameID, at time.Time) (time.Time, bool)
	// Result is what had become of a game by an instant.
	Result func(id bet.GameID, at time.Time) (outcome bet.Outcome, void, known bool)
	// ResultAt is the timestamp of the result as known at an instant: its day is
	// the settlement day. Optional; without it the store's word is taken.
	ResultAt func(id bet.GameID, at time.Time) (time.Time, bool)
	// Told is a game as a validator's feed had told it by an instant, where that was
	// not the truth; false where it was. By it the validator is judged. As pure as
	// the others. Optional: without it no feed lies.
	Told func(validator string, id bet.GameID, at time.Time) (g bet.Game, lied bool)
	// Retold are the instants within a time, both ends included and in order, from
	// which on a validator's feed told something else of a game. An answer that was
	// cut, garbled or too late has not told it: what was told before may be believed
	// still. Optional: without it no feed lies.
	Retold func(validator string, id bet.GameID, from, to time.Time) []time.Time
	// ClockSkew is how far a validator's clock may be from the world's.
	ClockSkew time.Duration
	// Disk is what a validator's disk holds at this instant, by its hotkey: nil for
	// one that is down and for a node that is none of ours. The Set closes it.
	// Optional, as what follows: what it is for is not watched without it.
	Disk func(chain.Hotkey) store.Snapshot
	// Metagraph of the chain's best block now.
	Metagraph func() *chain.Metagraph
	// Earned is all that a hotkey was paid so far.
	Earned func(chain.Hotkey) chain.Rao
	// BlockTime of the chain; default chain.BlockTime.
	BlockTime time.Duration
	// Troubled is for how much of a stretch of time something may have kept a
	// validator from its work; it is added to Lag and Recovery.
	Troubled func(from, to time.Time) time.Duration
	// Lag is how long a validator may go by a metagraph that has changed. Default
	// an hour.
	Lag time.Duration
	// Round is how long weights may be made from one round of scoring. Default an hour.
	Round time.Duration
	// Recovery is how long a validator that was opened again may take to welcome
	// who knocks. Default 10 min.
	Recovery time.Duration
	// Slack is how long a validator has to settle a game after its result, and
	// as long to score a day after its end or after it has changed. Default 24 h: feeds are polled hourly, days are
	// scored daily. A scenario with longer outages adds them.
	Slack time.Duration
}

const (
	defaultSlack    = 24 * time.Hour
	defaultLag      = time.Hour
	defaultRound    = time.Hour
	defaultRecovery = 10 * time.Minute
	// newsLag is how long a validator may believe in a kick-off that the world
	// has moved forward: as long as a long outage of the feed.
	newsLag = 24 * time.Hour
	// awayAfter is the silence after which a validator that comes back is taken
	// to have been away, and is given Slack to catch up.
	awayAfter = time.Hour
)

// Set is all invariants over one run. It is fed by one goroutine.
type Set struct {
	facts Facts

	budget  budgetPerDay
	late    noLateAcceptance
	stored  acknowledgedIsStored
	settled settledOnce
	scored  scoredOnce
	money   moneyConserved
	valid   weightsValid
	rate    weightsRate
	ack     oneAcknowledgement
	clock   virtualTime

	durable    confirmedIsDurable
	order      acknowledgedInOrder
	receipt    receiptTime
	final      refusalIsFinal
	truth      budgetRefusalIsTrue
	budgets    budgetRow
	oneRow     oneRowPerID
	converges  settlementConverges
	nonce      nonceOnce
	told       gamesToldAreKnown
	registered registeredOnly
	left       deregisteredEarnsNothing
	sane       scoresSane
	intent     weightsAfterIntent
	single     oneVoteAtATime
	heir       newOwnerInheritsNothing
	idle       idleEarnsNothing
	earned     weightsFromScores
	bounds     withinBounds
	recovery   recoveryTime

	rules      []*rule
	validators []*validator // in order of appearance
	lastUsed   *validator
	slots      slots
}

// New returns a Set that watches everything but the invariants disabled, each
// with the reason. Names it does not know are ignored: scenarios check them
// against Names.
func New(f Facts, disabled map[string]string) *Set {
	if f.Slack < time.Hour { // of no use, and 0 is the default
		f.Slack = defaultSlack
	}
	if f.Troubled == nil {
		f.Troubled = func(from, to time.Time) time.Duration { return 0 }
	}
	orDefault(&f.Lag, defaultLag)
	orDefault(&f.Round, defaultRound)
	orDefault(&f.Recovery, defaultRecovery)
	s := &Set{facts: f}
	s.rules = []*rule{&s.budget.rule, &s.late.rule, &s.stored.rule, &s.settled.rule, &s.scored.rule,
		&s.money.rule, &s.valid.rule, &s.rate.rule, &s.ack.rule, &s.clock.rule,
		&s.durable.rule, &s.order.rule, &s.receipt.rule, &s.final.rule, &s.truth.rule, &s.budgets.rule, &s.oneRow.rule,
		&s.converges.rule, &s.nonce.rule, &s.told.rule, &s.registered.rule, &s.left.rule, &s.sane.rule, &s.intent.rule,
		&s.single.rule, &s.heir.rule, &s.idle.rule, &s.earned.rule, &s.bounds.rule, &s.recovery.rule}
	s.clock.last = f.Start.UnixNano() // nothing happens before
	for i, r := range s.rules {
		r.Doc = docs[i]
		r.disabled = disabled[r.Name]
	}
	if f.Released && s.scored.disabled == "" {
		s.scored.disabled = "the released scheme scores a game again on later days"
	}
	return s
}

// Frame is told of every frame as it leaves, opened by a reader that is no
// node's. A frame that is not authentic says nothing.
func (s *Set) Frame(at time.Time, from, to Node, e *wire.Event) {
	s.clock.observe(at, from.Name)
	if e.Err != nil || e.Kind != wire.Received {
		return
	}
	m := &e.Message
	switch {
	case to.Validator:
		switch {
		case m.Kind == wire.Prediction && m.Submission != nil:
			s.submission(at, s.validator(to), m.Sender, m.Submission, sent{from.Name, m.Nonce})
		case m.Kind == wire.Auth:
			if v := s.validator(to); s.nonce.auth(at, v, from, m) {
				s.recovery.auth(s, at, v, m)
			}
		case m.Kind == wire.Answer: // to a poll; it speaks for whom was dialled
			for i := range m.Exchange.Submissions {
				s.submission(at, s.validator(to), from.Hotkey, &m.Exchange.Submissions[i], sent{by: from.Name})
			}
		}
	case from.Validator && m.Sender == from.Hotkey:
		v := s.validator(from)
		v.heard = at
		switch m.Kind {
		case wire.ConfirmationMessage:
			s.confirmation(at, v, v.concerns(to, m.Confirmation.ID), &m.Confirmation, true)
		case wire.Receipts:
			for i := range m.Exchange.Words {
				s.confirmation(at, v, to.Hotkey, &m.Exchange.Words[i], false)
			}
		case wire.Welcome:
			s.nonce.welcome(at, v, to)
			s.recovery.welcome(s, at, v)
		case wire.GameUpdate, wire.Poll:
			s.told.told(s, at, v, m)
		}
	}
}

// Event is told of each event about to enter any loop, with the world's time.
func (s *Set) Event(at time.Time, node string) { s.clock.observe(at, node) }

// Extrinsic is told of every extrinsic of a real node that the chain has
// executed or refused, with the metagraph of that block. It keeps neither.
func (s *Set) Extrinsic(at time.Time, q chain.Request, r chain.Reply, meta *chain.Metagraph) {
	s.clock.observe(at, string(q.Hotkey))
	if meta == nil {
		return
	}
	s.valid.extrinsic(at, &q, meta)
	s.rate.extrinsic(at, &q, &r, meta)
	s.vote(at, &q, &r, meta)
}

// disk is what a validator's disk holds at this instant, nil for nothing to see.
func (s *Set) disk(v *validator) store.Snapshot {
	if s.facts.Disk == nil {
		return nil
	}
	return s.facts.Disk(v.hotkey)
}

// Store is given a validator's durable rows: once a day and at the end. The
// error is the store's: rows that cannot be read.
func (s *Set) Store(at time.Time, n Node, snap store.Snapshot) error {
	s.look(at)
	s.left.audit(s, at)
	v := s.validator(n)
	s.recovery.waits(s, at, v)
	return s.audit(at, v, snap)
}

// Reopened is given the rows of a validator that has just been opened again,
// before it begins. What it held lately is looked at again, and what fell due
// while it was away is not held against it yet.
func (s *Set) Reopened(at time.Time, n Node, snap store.Snapshot) error {
	v := s.validator(n)
	if at.Sub(v.heard) > awayAfter {
		v.excused = at.Add(s.facts.Slack)
	}
	for _, a := range v.order {
		for _, d := range a.days {
			if d.day >= bet.DayOf(at)-recentDays {
				d.dirty = true
			}
		}
	}
	for _, g := range v.played {
		g.verified = g.verified && bet.DayOf(unix(g.newest)) < bet.DayOf(at)-recentDays
	}
	v.opened, v.knocked, v.recovered = at, time.Time{}, false
	return s.audit(at, v, snap)
}

// Finish ends the watch. It may be called again after more has been fed.
func (s *Set) Finish(at time.Time) []Check {
	s.clock.observe(at, "the end")
	out := make([]Check, len(s.rules))
	for i, r := range s.rules {
		if r.disabled != "" {
			out[i] = Check{Name: r.Name, Doc: r.Doc.Doc, Disabled: r.disabled}
			continue
		}
		out[i] = Check{Name: r.Name, Doc: r.Doc.Doc, Checked: r.checked, Violations: r.violations, First: r.first, At: r.at}
	}
	return out
}

// Violated tells whether any invariant has been broken so far.
func (s *Set) Violated() bool {
	for _, r := range s.rules {
		if r.violations > 0 {
			return true
		}
	}
	return false
}

// lately asks about what a validator's feed told of a game within a time, each
// time that it was something else: what was told until then, and what from then on.
func (s *Set) lately(v *validator, id bet.GameID, from, to time.Time, ask func(asOf time.Time) bool) bool {
	if s.facts.Retold == nil {
		return false
	}
	for _, at := range s.facts.Retold(v.name, id, from, to) {
		if ask(at.Add(-1)) || ask(at) {
			return true
		}
	}
	return false
}

// kickOff is a game's start as a validator could know it at an instant.
func (s *Set) kickOff(v *validator, id bet.GameID, at time.Time) (time.Time, bool) {
	if s.facts.Told != nil {
		if g, lied := s.facts.Told(v.name, id, at); lied {
			return g.Start, true
		}
	}
	return s.facts.KickOff(id, at)
}

// result is what had become of a game by an instant, as a validator could know it.
func (s *Set) result(v *validator, id bet.GameID, at time.Time) (outcome bet.Outcome, void, known bool) {
	if s.facts.Told != nil {
		if g, lied := s.facts.Told(v.name, id, at); lied {
			return g.Outcome, g.Status == bet.Void, g.Resulted()
		}
	}
	return s.facts.Result(id, at)
}

// resultAt is the timestamp of the result that a validator could know, false
// where there is none to compare with.
func (s *Set) resultAt(v *validator, id bet.GameID, at time.Time) (time.Time, bool) {
	if s.facts.Told != nil {
		if g, lied := s.facts.Told(v.name, id, at); lied {
			return g.ResultAt, g.Status == bet.Finished
		}
	}
	if s.facts.ResultAt == nil {
		return time.Time{}, false
	}
	return s.facts.ResultAt(id, at)
}

// validator returns the books of one validator. There are few of them, and the
// same one speaks many times in a row.
func (s *Set) validator(n Node) *validator {
	if v := s.lastUsed; v != nil && v.name == n.Name {
		return v
	}
	for _, v := range s.validators {
		if v.name == n.Name {
			s.lastUsed = v
			return v
		}
	}
	v := newValidator(n, s.facts.Start)
	s.validators = append(s.validators, v)
	s.lastUsed = v
	return v
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}
