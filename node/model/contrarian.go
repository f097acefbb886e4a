package model

import "bettensor/node/bet"

// contrarian chooses against a favourite of at least the given probability: the
// longest price within the cap. Its stakes are small because it is usually wrong;
// it is paid, if at all, for being alone.
func contrarian(devig Devig, least, most float64) func(*bet.Game) (bet.Outcome, float64, bool) {
	return func(g *bet.Game) (bet.Outcome, float64, bool) {
		p, ok := Fair(devig, g.Odds)
		if !ok || p[p.Best()] < least {
			return 0, 0, false
		}
		side, found := bet.Home, false
		for o := bet.Home; o <= bet.Tie; o++ {
			if o == p.Best() || p[o] == 0 || g.Odds[o] > most {
				continue
			}
			if !found || g.Odds[o] > g.Odds[side] {
				side, found = o, true
			}
		}
		return side, p[side], found
	}
}
