package invariant

import (
	"math"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/wire"
)

var toldDoc = Doc{"games-told-are-known", "What a validator tells miners of a game, its teams, its start, its prices and its result, is what its disk holds of it when the news leaves: no miner bets on what a crash would take back.", "the disk at the instant at which news leaves"}

// gamesToldAreKnown looks once at each frame: a broadcast is one frame for many.
type gamesToldAreKnown struct{ rule }

// toldFrames is how many frames are remembered as looked at: the pages of one
// broadcast to a full subnet come in turns.
const toldFrames = 16

func (r *gamesToldAreKnown) told(s *Set, at time.Time, v *validator, m *wire.Message) {
	if r.disabled != "" || slices.Contains(v.told[:], m.Nonce) {
		return
	}
	v.told[v.tells%toldFrames] = m.Nonce
	v.tells++
	snap := s.disk(v)
	if snap == nil {
		return
	}
	defer snap.Close()
	for i := range m.Games {
		g := &m.Games[i]
		row, ok, err := ledger.Games.Get(snap, g.ID)
		if !r.judge() {
			return
		}
		switch {
		case err != nil || !ok:
			r.violate(at, "%s tells of game %s, which is not on disk", v.name, g.ID)
		case !sameGame(g, &row):
			r.violate(at, "%s tells that game %s %s–%s begins %s at %v, outcome %d; its disk says %s–%s, %s at %v, outcome %d", v.name, g.ID,
				g.TeamA, g.TeamB, g.Start.Format(time.RFC3339), g.Odds, g.Outcome, row.TeamA, row.TeamB, row.Start.Format(time.RFC3339), row.Odds, row.Outcome)
		}
	}
}

// sameGame says whether two games agree in what a bet rests on.
func sameGame(a, b *bet.Game) bool {
	for i := range a.Odds {
		if p := b.Odds[i]; math.Abs(a.Odds[i]-p) > bet.OddsTolerance && !math.IsNaN(p) && !math.IsInf(p, 0) {
			return false
		}
	}
	return a.TeamA == b.TeamA && a.TeamB == b.TeamB && a.Start.Sub(b.Start).Abs() <= wireTick && a.Outcome == b.Outcome && a.Active == b.Active
}
