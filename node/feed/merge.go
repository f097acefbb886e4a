package feed

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bettensor/node/bet"
)

// Limits of what is believed.
const (
	// MaxIDLen bounds a game's id in bytes: it is part of many keys.
	MaxIDLen = 64
	// MaxNameLen bounds the names of teams, sports and leagues in bytes: they
	// are stored and broadcast with every change of a game.
	MaxNameLen = 200
	// resultAhead is how far a result may lie ahead of the news that tells it:
	// feeds without a time for results are given an estimate from the kick-off.
	resultAhead = 6 * time.Hour
	// updateAhead is how far news may be dated ahead of who hears it: clocks that
	// nobody sets differ by minutes. What is believed of a day to come would hide
	// all that is told until then.
	updateAhead = 10 * time.Minute
)

// Instants outside of these are typing errors or attacks: binary times hold
// nanoseconds and end in 2262, and a result far ahead would settle on a day
// that is never scored.
var (
	earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Why news is refused. Merge and Timely wrap them with the game and the detail.
var (
	ErrText    = errors.New("id or name missing, too long or not plain text")
	ErrTeams   = errors.New("team names changed")
	ErrCanTie  = errors.New("whether the game can tie changed")
	ErrTime    = errors.New("impossible time")
	ErrAhead   = errors.New("dated ahead of its time")
	ErrOdds    = errors.New("impossible odds")
	ErrStatus  = errors.New("unknown status")
	ErrOutcome = errors.New("unknown outcome")
	ErrTie     = errors.New("tie where the game cannot tie")
	ErrOther   = errors.New("news of another game")
)

// Change says what news changed, as a set of bits.
type Change uint16

// The bits of a Change.
const (
	New       Change = 1 << iota // not known before
	Odds                         // the odds offered
	Closing                      // the closing odds
	Start                        // the kick-off
	Outcome                      // the outcome: a result came, changed or was withdrawn
	Active                       // offered or not
	Status                       // scheduled, postponed, void, finished
	Corrected                    // what had a result has another, another time of it, or none: settle again and score that day again
)

var changeNames = [...]string{"new", "odds", "closing", "start", "outcome", "active", "status", "corrected"}

// Has tells whether any of the bits is set.
func (c Change) Has(bits Change) bool { return c&bits != 0 }

// String lists the bits: odds+start, or none.
func (c Change) String() string {
	if c == 0 {
		return "none"
	}
	var names []string
	for i, name := range changeNames {
		if c.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// Timely refuses news that is dated ahead of now, the instant at which it was
// heard: the newest news wins, so that of a year to come would win for a year.
// Ask it before Merge, which knows no clock.
func Timely(now time.Time, in *bet.Game) error { return within(now, in, updateAhead) }

// TimelyRelayed is Timely for news that somebody tells on who has believed it by
// Timely: there are two clocks between the feed and now, each of which may be
// off by as much.
func TimelyRelayed(now time.Time, in *bet.Game) error { return within(now, in, 2*updateAhead) }

func within(now time.Time, in *bet.Game, slack time.Duration) error {
	if ahead := in.Updated.Sub(now); ahead > slack {
		return fmt.Errorf("game %.80q: %w: by %v", in.ID, ErrAhead, ahead)
	}
	return nil
}

// Merge brings news of a game into what is known of it (nil: nothing yet).
//
// The newest Updated wins; older news is ignored, without an error and without
// a change, and news of the same instant is applied (it is the same, or the
// feed's second thought). Sport, league, teams, Created and CanTie are what the
// game is, and stay as first told. Odds of zero say nothing about odds, and odds
// told again are as old as when they were first told. News that cannot be true is refused whole: next is what was known.
//
// Closing odds are the last ones made no later than the start; those of the
// news win if the feed tells them. When the start moves, or the game is
// postponed, before it was played, they are open again: the odds last seen if
// they were made in time, else unknown. A result is dated by the feed, or by
// the news that first told it.
func Merge(old *bet.Game, in bet.Game) (next bet.Game, change Change, err error) {
	in = complete(in)
	if err := Validate(&in); err != nil {
		return known(old), 0, err
	}
	if old == nil {
		if !in.Resulted() {
			in.ResultAt = time.Time{}
		} else if in.ResultAt.IsZero() {
			in.ResultAt = in.Updated
		}
		if in.Closing == (bet.Odds{}) && in.Status != bet.Postponed {
			in.Closing = in.ClosingFrom(in.Odds, in.OddsAt)
		}
		if err := Validate(&in); err != nil {
			return bet.Game{}, 0, err
		}
		change = New
		if in.Outcome != bet.Unfinished {
			change |= Outcome
		}
		return in, change, nil
	}
	if err := same(old, &in); err != nil {
		return *old, 0, err
	}
	if in.Updated.Before(old.Updated) {
		return *old, 0, nil
	}

	next = *old
	next.Updated, next.Active, next.Status, next.Outcome = in.Updated, in.Active, in.Status, in.Outcome
	if !in.Start.IsZero() {
		next.Start = in.Start
	}
	priced := in.Odds != (bet.Odds{}) && in.Odds != old.Odds && !in.OddsAt.Before(old.OddsAt)
	if priced {
		next.Odds, next.OddsAt = in.Odds, in.OddsAt
	}
	next.Closing = closing(old, &next, priced)
	if in.Closing != (bet.Odds{}) {
		next.Closing = in.Closing
	}
	next.ResultAt = resultAt(old, &in)
	// What is filled in from one side may contradict the other: a result
	// without a time, in news from before the start.
	if err := Validate(&next); err != nil {
		return *old, 0, err
	}
	return next, diff(old, &next), nil
}

// complete fills in what news may leave out.
func complete(in bet.Game) bet.Game {
	if in.Odds != (bet.Odds{}) && in.OddsAt.IsZero() {
		in.OddsAt = in.Updated
	}
	if in.Created.IsZero() {
		in.Created = in.Updated
	}
	if in.Status <= bet.Void && in.Outcome <= bet.Unfinished {
		in.Outcome = bet.Unfinished // the zero value is Home
	}
	return in
}

// closing is what the closing odds are, next being what it will be but for them.
func closing(old, next *bet.Game, priced bool) bet.Odds {
	played := next.Status == bet.Finished
	moved := !next.Start.Equal(old.Start) || old.Status == bet.Postponed
	switch {
	case next.Status == bet.Postponed:
		return bet.Odds{}
	case moved && !played, old.Closing == bet.Odds{}:
		next.Closing = bet.Odds{}
		return next.ClosingFrom(next.Odds, next.OddsAt)
	case priced:
		return next.ClosingFrom(next.Odds, next.OddsAt)
	}
	return old.Closing
}

func resultAt(old, in *bet.Game) time.Time {
	switch {
	case !in.Resulted():
		return time.Time{}
	case !in.ResultAt.IsZero():
		return in.ResultAt
	case old.Status == in.Status && old.Outcome == in.Outcome:
		return old.ResultAt
	}
	return in.Updated
}

func diff(old, next *bet.Game) (c Change) {
	set := func(bit Change, differs bool) {
		if differs {
			c |= bit
		}
	}
	set(Odds, next.Odds != old.Odds)
	set(Closing, next.Closing != old.Closing)
	set(Start, !next.Start.Equal(old.Start))
	set(Outcome, next.Outcome != old.Outcome)
	set(Active, next.Active != old.Active)
	set(Status, next.Status != old.Status)
	set(Corrected, old.Resulted() &&
		(next.Status != old.Status || next.Outcome != old.Outcome || !next.ResultAt.Equal(old.ResultAt)))
	return c
}

func known(old *bet.Game) bet.Game {
	if old == nil {
		return bet.Game{}
	}
	return *old
}

// same refuses news that would make another game of it.
func same(old, in *bet.Game) error {
	switch {
	case in.ID != old.ID:
		return fmt.Errorf("game %s: %w: %q", old.ID, ErrOther, in.ID)
	case in.TeamA != old.TeamA || in.TeamB != old.TeamB:
		return fmt.Errorf("game %s: %w: %q against %q", old.ID, ErrTeams, in.TeamA, in.TeamB)
	case in.CanTie != old.CanTie:
		return fmt.Errorf("game %s: %w: to %t", old.ID, ErrCanTie, in.CanTie)
	}
	return nil
}

// Validate refuses a game that cannot be true by itself, whatever is known.
func Validate(g *bet.Game) error {
	if !plain(string(g.ID), MaxIDLen) {
		return fmt.Errorf("game %.80q: %w: id", g.ID, ErrText)
	}
	fail := func(why error, detail string) error {
		return fmt.Errorf("game %s: %w: %s", g.ID, why, detail)
	}
	for _, name := range [...]string{g.Sport, g.League, g.TeamA, g.TeamB} {
		if !plain(name, MaxNameLen) {
			return fail(ErrText, fmt.Sprintf("name %.80q", name))
		}
	}
	switch {
	case g.TeamA == g.TeamB:
		return fail(ErrText, "the teams have one name")
	case g.Status > bet.Finished:
		return fail(ErrStatus, fmt.Sprint(uint8(g.Status)))
	case g.Outcome > bet.Unfinished, g.Status == bet.Finished && g.Outcome == bet.Unfinished:
		return fail(ErrOutcome, fmt.Sprintf("%d of a game that is %v", g.Outcome, g.Status))
	case g.Status == bet.Finished && g.Outcome == bet.Tie && !g.CanTie:
		return fail(ErrTie, "the result")
	case g.Odds != (bet.Odds{}) && !g.Odds.Offers(g.CanTie):
		return fail(ErrOdds, fmt.Sprint(g.Odds))
	case g.Closing != (bet.Odds{}) && !g.Closing.Offers(g.CanTie):
		return fail(ErrOdds, fmt.Sprintf("closing %v", g.Closing))
	}
	return validTimes(g, fail)
}

func validTimes(g *bet.Game, fail func(error, string) error) error {
	for _, t := range [...]struct {
		name     string
		at       time.Time
		optional bool
	}{
		{"update", g.Updated, false},
		{"start", g.Start, g.Status == bet.Postponed},
		{"creation", g.Created, true},
		{"odds", g.OddsAt, true},
		{"result", g.ResultAt, true},
	} {
		if t.at.IsZero() && t.optional {
			continue
		}
		if t.at.Before(earliest) || !t.at.Before(latest) {
			return fail(ErrTime, t.name+" "+t.at.Format(time.RFC3339))
		}
	}
	switch {
	case g.OddsAt.After(g.Updated):
		return fail(ErrTime, "odds made after the news of them")
	case g.Status == bet.Finished && !g.ResultAt.IsZero() && g.ResultAt.Before(g.Start):
		return fail(ErrTime, "result before the start")
	case g.Resulted() && g.ResultAt.After(g.Updated.Add(resultAhead)):
		return fail(ErrTime, "result long after the news of it")
	}
	return nil
}

// plain tells whether s is text without control characters, of 1 to limit bytes.
func plain(s string, limit int) bool {
	if s == "" || len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
