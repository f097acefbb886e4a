package model

import (
	"maps"
	"slices"
	"strings"
	"time"

	"bettensor/node/bet"
)

const (
	// maxResults bounds what a rating remembers one by one: ten seasons of four
	// leagues. Beyond it the older half is folded into the ratings; a later
	// correction of those is not seen.
	maxResults = 16384
	// maxTeams bounds what a feed that invents teams can make us keep. Games of
	// further teams are not rated.
	maxTeams = 16384
)

// teamKey tells apart teams of one name in two sports.
type teamKey struct{ sport, name string }

// result is what a rating learns from.
type result struct {
	id         bet.GameID
	start      time.Time
	home, away int32 // team indices
	outcome    bet.Outcome
	canTie     bool
	closing    bet.Odds // zero when unknown
	gone       bool     // no longer a result: left out at the next replay
}

func (r *result) compare(o *result) int {
	if c := r.start.Compare(o.start); c != 0 {
		return c
	}
	return strings.Compare(string(r.id), string(o.id))
}

// rater learns team strengths from results in order and forecasts from them.
// Teams are indices below the last grow; unseen ones hold the average strength.
type rater interface {
	grow(teams int)
	learn(r *result)
	// forecast is false where a team was not seen often enough.
	forecast(home, away int32, canTie bool) (Probs, bool)
	reset() // to what keep kept, or to the beginning
	keep()
}

// history feeds raters with each settled game once, in order of start and ID,
// whatever the order in which they are observed. A result that arrives in its
// teams' order is learnt at once; one that does not, or one that is corrected or
// withdrawn, makes the next use replay. Live and restarted miners therefore
// hold the same ratings.
type history struct {
	raters []rater
	teams  map[teamKey]int32
	last   []*result // latest by team
	byID   map[bet.GameID]*result
	log    []*result // sorted only after a replay
	folded *result   // latest that was folded away; nil for none
	stale  bool      // ratings do not follow from the log: replay first
}

func newHistory(raters ...rater) *history {
	return &history{raters: raters, teams: map[teamKey]int32{}, byID: map[bet.GameID]*result{}}
}

// observe takes a new or changed game.
func (h *history) observe(g *bet.Game) {
	old := h.byID[g.ID]
	if g.Status != bet.Finished || g.Outcome > bet.Tie || g.TeamA == g.TeamB {
		if old != nil {
			old.gone, h.stale = true, true
			delete(h.byID, g.ID)
		}
		return
	}
	r := result{id: g.ID, start: g.Start, outcome: g.Outcome, canTie: g.CanTie, closing: g.Closing}
	if h.folded != nil && r.compare(h.folded) <= 0 {
		return
	}
	if r.home, r.away = h.team(g.Sport, g.TeamA), h.team(g.Sport, g.TeamB); r.home < 0 || r.away < 0 {
		return
	}
	if old != nil {
		if *old != r {
			*old, h.stale = r, true
		}
		return
	}
	h.byID[g.ID] = &r
	h.log = append(h.log, &r)
	for _, t := range [...]int32{r.home, r.away} {
		if l := h.last[t]; l != nil && r.compare(l) < 0 {
			h.stale = true
		} else {
			h.last[t] = &r
		}
	}
	if !h.stale {
		h.learn(&r)
	}
	if len(h.log) > maxResults {
		h.fold()
	}
}

// forecast by the i-th rater, which must be current.
func (h *history) forecast(i int, g *bet.Game) (Probs, bool) {
	home, ok := h.teams[teamKey{g.Sport, g.TeamA}]
	away, also := h.teams[teamKey{g.Sport, g.TeamB}]
	if !ok || !also || home == away {
		return Probs{}, false
	}
	return h.raters[i].forecast(home, away, g.CanTie)
}

// team is the index of a team, made where it is new; -1 when there are too many.
func (h *history) team(sport, name string) int32 {
	k := teamKey{sport, name}
	i, ok := h.teams[k]
	if !ok {
		if len(h.last) == maxTeams {
			return -1
		}
		i = int32(len(h.last))
		h.teams[k] = i
		h.last = append(h.last, nil)
		for _, r := range h.raters {
			r.grow(len(h.last))
		}
	}
	return i
}

func (h *history) learn(r *result) {
	for _, x := range h.raters {
		x.learn(r)
	}
}

// current replays the log if the ratings no longer follow from it.
func (h *history) current() {
	if !h.stale {
		return
	}
	h.sort()
	for _, x := range h.raters {
		x.reset()
	}
	clear(h.last)
	for _, r := range h.log {
		h.learn(r)
		h.last[r.home], h.last[r.away] = r, r
	}
	h.stale = false
}

func (h *history) sort() {
	h.log = slices.DeleteFunc(h.log, func(r *result) bool { return r.gone })
	slices.SortFunc(h.log, (*result).compare)
}

// fold makes the older half of the log the ratings' new beginning.
func (h *history) fold() {
	h.sort()
	if len(h.log) <= maxResults { // withdrawn ones made it long
		h.stale = true
		return
	}
	for _, x := range h.raters {
		x.reset()
	}
	half := len(h.log) / 2
	for _, r := range h.log[:half] {
		h.learn(r)
	}
	for _, x := range h.raters {
		x.keep()
	}
	h.folded = h.log[half-1]
	maps.DeleteFunc(h.byID, func(_ bet.GameID, r *result) bool { return r.compare(h.folded) <= 0 })
	h.log = slices.Clone(h.log[half:])
	h.stale = true
	h.current()
}
