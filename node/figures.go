package node

import (
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
)

// record sums a miner's predictions that the books hold.
type record struct {
	predictions, won, lost uint64
	wagered, settled, paid bet.Cents
	last                   time.Time
}

func (r *record) add(row *ledger.Prediction) {
	r.predictions++
	r.wagered += row.Wager
	if row.Received.After(r.last) {
		r.last = row.Received
	}
	switch row.State {
	case bet.Won:
		r.won++
	case bet.Lost:
		r.lost++
	default:
		return
	}
	r.settled += row.Wager
	r.paid += row.Payout
}

// count brings a miner's record up to date with a row that is new.
func (p *poll) count(e *PredictionStored) {
	if r := p.records[e.Hotkey]; r != nil {
		r.add(e.Row)
	}
}

// record is a miner's record. It is summed when it is first asked for, and again
// after a settlement.
func (p *poll) record(h chain.Hotkey) *record {
	r := p.records[h]
	if r == nil {
		r = &record{}
		for key, row := range p.v.State.Book.byID { // order cannot matter: all are summed
			if key.Hotkey == h {
				r.add(row)
			}
		}
		p.records[h] = r
	}
	return r
}

// figures are what the original tells a miner about itself beside the words on
// its predictions: the columns of its miner table, as text. Its miner fails where
// one is missing.
func (p *poll) figures(h chain.Hotkey) []wire.Stat {
	state := &p.v.State
	r := p.record(h)
	uid, _ := state.UID(h)
	var n chain.Neuron
	if state.Meta != nil && int(uid) < len(state.Meta.Neurons) {
		n = state.Meta.Neurons[uid]
	}
	var day ledger.Score
	if row := state.Scores.byHotkey[h].at(state.Scores.newest); row != nil {
		day = *row
	}
	weight, rank := 0.0, 0
	if round := state.Round; round != nil {
		for i, other := range round.Hotkeys {
			if other == h && i < len(round.Weights) {
				weight = round.Weights[i]
			}
		}
		rank = 1
		for _, w := range round.Weights {
			if w > weight {
				rank++
			}
		}
	}
	last := ""
	if !r.last.IsZero() {
		last = r.last.Format("2006-01-02T15:04:05-07:00")
	}
	cash := bet.DailyBudget - state.Book.Spent(h, bet.DayOf(p.v.loop.Now()))
	profit := dollars(r.paid - r.settled)
	return []wire.Stat{
		{Name: "miner_uid", Value: uidText(uid)},
		{Name: "miner_hotkey", Value: string(h)},
		{Name: "miner_coldkey", Value: string(n.Coldkey)},
		{Name: "miner_rank", Value: strconv.Itoa(rank)},
		{Name: "miner_status", Value: "active"},
		{Name: "miner_cash", Value: pythonFloat(dollars(cash))},
		{Name: "miner_current_incentive", Value: pythonFloat(float64(n.Incentive) / 65535)},
		{Name: "miner_current_tier", Value: strconv.Itoa(int(day.Tier))},
		{Name: "miner_current_scoring_window", Value: "0"},
		{Name: "miner_current_composite_score", Value: pythonFloat(day.Composite)},
		{Name: "miner_current_entropy_score", Value: pythonFloat(day.Entropy)},
		{Name: "miner_current_sharpe_ratio", Value: "0.0"},
		{Name: "miner_current_sortino_ratio", Value: pythonFloat(day.Risk)},
		{Name: "miner_current_roi", Value: pythonFloat(day.ROI)},
		{Name: "miner_current_clv_avg", Value: pythonFloat(day.CLV)},
		{Name: "miner_last_prediction_date", Value: last},
		{Name: "miner_lifetime_earnings", Value: pythonFloat(dollars(r.paid))},
		{Name: "miner_lifetime_wager_amount", Value: pythonFloat(dollars(r.wagered))},
		{Name: "miner_lifetime_roi", Value: pythonFloat(ratio(profit, dollars(r.settled)))},
		{Name: "miner_lifetime_predictions", Value: strconv.FormatUint(r.predictions, 10)},
		{Name: "miner_lifetime_wins", Value: strconv.FormatUint(r.won, 10)},
		{Name: "miner_lifetime_losses", Value: strconv.FormatUint(r.lost, 10)},
		{Name: "miner_win_loss_ratio", Value: pythonFloat(ratio(float64(r.won), float64(r.lost)))},
		{Name: "most_recent_weight", Value: pythonFloat(weight)},
	}
}

// ratio is a/b, and a where there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return a
	}
	return a / b
}

// pythonFloat writes a float with a decimal point, as the original's text has it.
func pythonFloat(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
