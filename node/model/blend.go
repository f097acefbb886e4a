package model

import (
	"math"

	"bettensor/node/bet"
)

// Pool is the log-opinion pool: the product of the forecasts, each raised to
// its weight (weights are made to sum 1), normalised. Forecasts of weight 0 are
// ignored; an outcome that one of the others holds impossible stays so. It is
// false where no weight is positive or nothing remains possible.
func Pool(forecasts []Probs, weights []float64) (Probs, bool) {
	total := 0.0
	for i := range forecasts {
		total += max(0, weights[i])
	}
	if !(total > 0) {
		return Probs{}, false
	}
	var p Probs
	for o := range p {
		ln := 0.0
		for i := range forecasts {
			if weights[i] > 0 {
				ln += weights[i] / total * math.Log(forecasts[i][o]) // log 0 is -Inf, exp gives 0 back
			}
		}
		p[o] = math.Exp(ln)
	}
	if sum := p[0] + p[1] + p[2]; !(sum > 0) {
		return Probs{}, false
	}
	return normal(p), true
}

// Sources of an opinion, indices of its weights.
const (
	fromMarket = iota
	fromElo
	fromPoisson
	sources
)

// opinion is what a model believes of a game: the log-opinion pool of the
// market and of the ratings it keeps.
type opinion struct {
	devig   Devig
	weights [sources]float64
	past    *history // its raters are elo, poisson
}

// forecast is false where the game has no price, or where no rating of positive
// weight knows both teams: the market's view alone never finds an edge in the
// market's own prices. With the market as the only source it is the market's.
func (v *opinion) forecast(g *bet.Game) (Probs, bool) {
	var all [sources]Probs
	weights := v.weights
	var ok bool
	if all[fromMarket], ok = Fair(v.devig, g.Odds); !ok {
		return Probs{}, false
	}
	known, wanted := 0.0, 0.0
	for i := fromElo; i < sources; i++ {
		if weights[i] == 0 {
			continue
		}
		wanted += weights[i]
		if all[i], ok = v.past.forecast(i-fromElo, g); !ok {
			weights[i] = 0
		}
		known += weights[i]
	}
	if wanted > 0 && known == 0 {
		return Probs{}, false
	}
	return Pool(all[:], weights[:])
}
