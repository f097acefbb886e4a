package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
)

var moneyDoc = Doc{"money-conserved", "Settlement neither makes nor loses money: what was wagered is what was won, lost, pushed or is open; a winner is paid wager times odds, rounded half to even, and nobody else is paid.", "the stakes and payouts of rows, against the submissions"}

type moneyConserved struct{ rule }

// payout looks at what a row pays.
func (r *moneyConserved) payout(at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	if !r.judge() {
		return
	}
	c := e.said()
	var want bet.Cents
	if row.State == bet.Won {
		want, _ = bet.Payout(c.wager, c.taken())
	}
	if row.Payout != want {
		r.violate(at, "%s is %s and pays %s, not %s", e.who(v), row.State, row.Payout, want)
	}
}

// total compares all that was staked with what became of it.
func (r *moneyConserved) total(at time.Time, v *validator) {
	if !r.judge() {
		return
	}
	if by := v.stakes; by[bet.Open]+by[bet.Won]+by[bet.Lost]+by[bet.Pushed] != v.wagered {
		r.violate(at, "%s: wagered %s, but open %s, won %s, lost %s, pushed %s", v.name, v.wagered, by[bet.Open], by[bet.Won], by[bet.Lost], by[bet.Pushed])
		v.wagered = by[bet.Open] + by[bet.Won] + by[bet.Lost] + by[bet.Pushed] // said once
	}
}

// move notes where a row's stake stands.
func (v *validator) move(e *entry, row *ledger.Prediction) {
	v.stakes[e.state] -= e.stake
	e.state, e.stake = row.State, row.Wager
	v.stakes[e.state] += e.stake
}
