package model

import (
	"math"
	"slices"

	"bettensor/node/bet"
)

// maxGoals cuts the goal distributions; at maxMean the rest is below 1e-4 and
// goes in the normalisation.
const (
	maxGoals = 20
	maxMean  = 8.0
	minMean  = 0.02
)

// Goals are the outcome probabilities of two independent Poisson scores with
// the given means, which are clamped to [0.02, 8].
func Goals(home, away float64) Probs {
	home, away = min(max(home, minMean), maxMean), min(max(away, minMean), maxMean)
	h, a := math.Exp(-home), math.Exp(-away) // probability of exactly n
	var p Probs
	ch, ca := 0.0, 0.0 // of fewer than n
	for n := range maxGoals {
		p[bet.Home] += float64(h * ca)
		p[bet.Away] += float64(a * ch)
		p[bet.Tie] += float64(h * a)
		ch += h
		ca += a
		h *= home / float64(n+1)
		a *= away / float64(n+1)
	}
	return normal(p)
}

const (
	meansSteps = 30   // Newton needs about six
	meansError = 1e-9 // of ln probability
	meansNudge = 1e-5 // of ln mean, for the slopes
)

// Means finds the goals a market expects of both sides: the means for which
// Goals gives p. It is false where no pair in the clamped range does, as for a
// sport that cannot tie.
func Means(p Probs) (home, away float64, ok bool) {
	if !(p[bet.Home] > 0 && p[bet.Away] > 0 && p[bet.Tie] > 0) {
		return 0, 0, false
	}
	lo, hi := math.Log(minMean), math.Log(maxMean)
	x, y := math.Log(1.4), math.Log(1.2) // a common game
	off := func(x, y float64) (float64, float64) {
		q := Goals(math.Exp(x), math.Exp(y))
		// In logarithms: the probability of an outsider hardly moves with the
		// goals, its logarithm does.
		return math.Log(q[bet.Home] / p[bet.Home]), math.Log(q[bet.Away] / p[bet.Away])
	}
	f, g := off(x, y)
	for range meansSteps {
		if math.Abs(f)+math.Abs(g) < meansError {
			return math.Exp(x), math.Exp(y), true
		}
		fx, gx := off(x+meansNudge, y)
		fy, gy := off(x, y+meansNudge)
		fx, gx, fy, gy = (fx-f)/meansNudge, (gx-g)/meansNudge, (fy-f)/meansNudge, (gy-g)/meansNudge
		det := float64(fx*gy) - float64(fy*gx)
		if !(math.Abs(det) > 1e-12) {
			return 0, 0, false
		}
		dx, dy := (float64(f*gy)-float64(g*fy))/det, (float64(g*fx)-float64(f*gx))/det
		// A step of at most e-fold keeps Newton where the slopes mean something.
		x = min(max(x-min(max(dx, -1), 1), lo), hi)
		y = min(max(y-min(max(dy, -1), 1), lo), hi)
		f, g = off(x, y)
	}
	return 0, 0, false
}

// poisson rates attack and defence, of which the product is the goals to
// expect: ln mean = base + attack − other side's defence (+ home advantage).
//
// Maher's and Dixon and Coles's models of this form fit goals. Our games carry
// none, so it learns from the goals that a past game's closing odds expect
// (Means), which are less noisy than a score. The correction of Dixon and Coles
// for low scores is left out: the same map leads from odds to goals and back.
type poisson struct {
	rate  float64 // share of an error that is learnt
	base  float64 // ln goals of an average team away
	home  float64 // ln of the home side's factor
	devig Devig
	least int32

	teams []strength
	kept  []strength
}

type strength struct {
	attack, defence float64
	games           int32
}

func (m *poisson) grow(teams int) {
	for len(m.teams) < teams {
		m.teams = append(m.teams, strength{})
	}
}

func (m *poisson) learn(r *result) {
	if !r.canTie {
		return
	}
	p, ok := Fair(m.devig, r.closing)
	if !ok {
		return
	}
	gh, ga, ok := Means(p)
	if !ok {
		return
	}
	h, a := &m.teams[r.home], &m.teams[r.away]
	x, y := m.means(h, a)
	// Half of each error to the one who scores, half to the one who concedes.
	dx, dy := m.rate/2*(math.Log(gh)-x), m.rate/2*(math.Log(ga)-y)
	h.attack += dx
	a.defence -= dx
	a.attack += dy
	h.defence -= dy
	h.games++
	a.games++
}

// means are the logarithms of the goals to expect.
func (m *poisson) means(h, a *strength) (home, away float64) {
	return m.base + m.home + h.attack - a.defence, m.base + a.attack - h.defence
}

func (m *poisson) forecast(home, away int32, canTie bool) (Probs, bool) {
	h, a := &m.teams[home], &m.teams[away]
	if !canTie || min(h.games, a.games) < m.least {
		return Probs{}, false
	}
	x, y := m.means(h, a)
	return Goals(math.Exp(x), math.Exp(y)), true
}

func (m *poisson) reset() {
	clear(m.teams)
	copy(m.teams, m.kept)
}

func (m *poisson) keep() { m.kept = slices.Clone(m.teams) }
