package model

import (
	"math"
	"slices"

	"bettensor/node/bet"
)

// eloScale: a lead of 400 points is odds of ten to one, by convention.
const eloScale = 400 / math.Ln10

// Davidson are the outcome probabilities of a logistic rating with ties (R. R.
// Davidson, 1970). diff is the home side's lead in Elo points, its advantage
// included; tie is the probability of a tie between equals, 0 where the sport
// cannot tie. A win is worth 1 and a tie ½ on average what Elo expects.
func Davidson(diff, tie float64) Probs {
	w := math.Exp(diff / eloScale / 2)
	nu := 2 * tie / (1 - tie)
	sum := w + 1/w + nu
	return Probs{bet.Home: w / sum, bet.Away: 1 / w / sum, bet.Tie: nu / sum}
}

// elo rates teams by results alone.
type elo struct {
	k, home, tie float64
	least        int32 // games before a team's rating counts

	points []float64 // by team, about 0
	games  []int32
	kept   struct {
		points []float64
		games  []int32
	}
}

func (e *elo) grow(teams int) {
	for len(e.points) < teams {
		e.points = append(e.points, 0)
		e.games = append(e.games, 0)
	}
}

// learn moves both teams by the same points in opposite directions: the sum of
// all ratings stays 0.
func (e *elo) learn(r *result) {
	p := e.probs(r.home, r.away, r.canTie)
	score := [...]float64{bet.Home: 1, bet.Away: 0, bet.Tie: 0.5}[r.outcome]
	move := e.k * (score - p[bet.Home] - p[bet.Tie]/2)
	e.points[r.home] += move
	e.points[r.away] -= move
	e.games[r.home]++
	e.games[r.away]++
}

func (e *elo) probs(home, away int32, canTie bool) Probs {
	tie := e.tie
	if !canTie {
		tie = 0
	}
	return Davidson(e.points[home]-e.points[away]+e.home, tie)
}

func (e *elo) forecast(home, away int32, canTie bool) (Probs, bool) {
	if min(e.games[home], e.games[away]) < e.least {
		return Probs{}, false
	}
	return e.probs(home, away, canTie), true
}

func (e *elo) reset() {
	clear(e.points)
	clear(e.games)
	copy(e.points, e.kept.points)
	copy(e.games, e.kept.games)
}

func (e *elo) keep() {
	e.kept.points = slices.Clone(e.points)
	e.kept.games = slices.Clone(e.games)
}
