package node

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/score"
)

// MinerReport is how a miner stands: on the chain, with each validator, and by its
// own results. It is what `miner explain` explains.
type MinerReport struct {
	Hotkey chain.Hotkey `json:"hotkey"`
	At     time.Time    `json:"at"`
	// Slot on the chain; nil where the hotkey has none, or the chain is not known.
	Slot       *Slot           `json:"slot,omitempty"`
	Block      chain.Block     `json:"block"` // of the metagraph, 0 where there is none
	Validators []WithValidator `json:"validators"`
	Trusted    int             `json:"trusted"` // validators with a permit and the stake that we ask for
	MinStake   chain.Rao       `json:"min_stake"`
	Open       int             `json:"open"`
	Settled    int             `json:"settled"`
	Unsent     int             `json:"unsent"` // open or over, and no validator has said a final word
	Estimate   ScoreEstimate   `json:"estimate"`
}

// Slot is what the chain says of the miner.
type Slot struct {
	UID          chain.UID   `json:"uid"`
	RegisteredAt chain.Block `json:"registered_at"`
	// ImmuneFor is how many blocks remain in which it is not pruned.
	ImmuneFor chain.Block `json:"immune_for"`
	Incentive float64     `json:"incentive"` // share of all miners'
	Emission  chain.Rao   `json:"emission"`  // at the last epoch
	// Rank by incentive among those without a permit, of Miners; from 1, equal for
	// equal ones.
	Rank   int `json:"rank"`
	Miners int `json:"miners"`
	// Before is how many slots would be given to newcomers before this one, were it
	// not immune: those that earn less, or as much and are older.
	Before int `json:"before"`
	// Lowest is the least emission of a slot outside immunity.
	Lowest chain.Rao `json:"lowest"`
	// Free slots: while there are any, nobody is pruned.
	Free int `json:"free"`
}

// WithValidator is one validator, or one that was.
type WithValidator struct {
	Hotkey chain.Hotkey `json:"hotkey"`
	UID    *chain.UID   `json:"uid,omitempty"`
	Stake  chain.Rao    `json:"stake"`
	// Permit and Trusted: it may set weights, and has the stake that we ask for.
	Permit  bool `json:"permit"`
	Trusted bool `json:"trusted"`
	Serves  bool `json:"serves"`  // an axon that we can dial
	Session bool `json:"session"` // stands now
	// Trouble that stands between us and it, nil where there is none.
	Trouble *Trouble `json:"trouble,omitempty"`
	// Asked is when it polled us last, by its own clock; zero for never.
	Asked     time.Time `json:"asked,omitzero"`
	Confirmed uint64    `json:"confirmed"`
	// Rejected by reason, in order of the reasons.
	Rejected Counts `json:"rejected,omitempty"`
}

// ScoreEstimate is what a validator's scoring makes of the miner's own settled
// predictions. A miner does not have the validators' books: entropy, which needs
// everybody's predictions, counts as nothing, a day is that of the kick-off, and
// the scheme is the standard one.
type ScoreEstimate struct {
	Days int `json:"days"` // with a settled prediction, of the last 45
	// The means over those days.
	CLV       float64 `json:"clv"`
	ROI       float64 `json:"roi"`
	Risk      float64 `json:"risk"`
	Composite float64 `json:"composite"`
	// Tier that the wagers are enough for, 1 to 5. A place in it must be won.
	Tier  int             `json:"tier"`
	Tiers []EstimatedTier `json:"tiers"`
}

// EstimatedTier is one tier, the lowest first.
type EstimatedTier struct {
	Tier      int       `json:"tier"`
	Days      int       `json:"days"`   // of the window
	Active    int       `json:"active"` // of them with a settled prediction
	Wagered   bet.Cents `json:"wagered"`
	Needed    bet.Cents `json:"needed"`
	Composite float64   `json:"composite"` // mean over the window
}

// Report returns how the miner stands. Call it on the loop.
func (n *Miner) Report() MinerReport {
	s := MinerReport{Hotkey: n.hotkey, At: n.loop.Now(), MinStake: n.cfg.ValidatorMinStake}
	rows := make([]*ledger.Outgoing, len(n.box.rows))
	for i, o := range n.box.rows {
		rows[i] = &o.Outgoing
	}
	s.chain(n.State.Meta)
	s.rows(rows)
	troubles := n.troubles()
	for i := range s.Validators {
		v := &s.Validators[i]
		v.Session = n.State.Sessions[v.Hotkey] != 0
		if a := n.asked[v.Hotkey]; a != nil {
			v.Asked = nanos(a.newest)
			if a.trouble.stands() {
				t := a.trouble.Trouble
				v.Trouble = &t
			}
		}
		if at := slices.IndexFunc(troubles, func(t Trouble) bool { return t.Hotkey == v.Hotkey }); at >= 0 {
			v.Trouble = &troubles[at]
		}
	}
	return s
}

// StoredMiner is what a miner's store tells of it, without a running node; the
// chain is as the node has seen it last, or as meta says where it is not nil.
func StoredMiner(found *ledger.Miner, hotkey chain.Hotkey, now time.Time, minStake chain.Rao, meta *chain.Metagraph) MinerReport {
	s := MinerReport{Hotkey: hotkey, At: now, MinStake: minStake}
	rows := make([]*ledger.Outgoing, len(found.Outbox))
	for i := range found.Outbox {
		rows[i] = &found.Outbox[i]
	}
	s.chain(cmp.Or(meta, found.Metagraph))
	s.rows(rows)
	for i := range s.Validators {
		if ns, err := strconv.ParseUint(found.Facts[ledger.FactAsked+string(s.Validators[i].Hotkey)], 10, 64); err == nil {
			s.Validators[i].Asked = nanos(ns)
		}
	}
	return s
}

func nanos(ns uint64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns)).UTC()
}

// chain fills in what a metagraph tells.
func (s *MinerReport) chain(meta *chain.Metagraph) {
	if meta == nil {
		return
	}
	s.Block = meta.Block
	for i := range meta.Neurons {
		v := &meta.Neurons[i]
		if !v.Permit || v.Hotkey == s.Hotkey {
			continue
		}
		w := WithValidator{Hotkey: v.Hotkey, UID: &v.UID, Stake: v.Stake, Permit: true, Trusted: v.Stake >= s.MinStake, Serves: v.Axon != (chain.Axon{})}
		if w.Trusted {
			s.Trusted++
		}
		s.Validators = append(s.Validators, w)
	}
	uid, ok := meta.UIDOf(s.Hotkey)
	if !ok {
		return
	}
	me := &meta.Neurons[uid]
	immunity := chain.Block(meta.Params.ImmunityPeriod)
	immune := func(n *chain.Neuron) bool { return meta.Block-min(n.RegisteredAt, meta.Block) < immunity }
	x := &Slot{UID: uid, RegisteredAt: me.RegisteredAt, Incentive: float64(me.Incentive) / chain.MaxWeight, Emission: me.Emission, Rank: 1,
		Free: max(int(meta.Params.MaxUIDs)-len(meta.Neurons), 0)}
	if immune(me) {
		x.ImmuneFor = me.RegisteredAt + immunity - meta.Block
	}
	first := true
	for i := range meta.Neurons {
		n := &meta.Neurons[i]
		if !n.Permit || n == me {
			x.Miners++
			if n.Incentive > me.Incentive {
				x.Rank++
			}
		}
		if immune(n) || n.Hotkey == meta.Owner {
			continue
		}
		if first || n.Emission < x.Lowest {
			x.Lowest, first = n.Emission, false
		}
		if n != me && (n.Emission < me.Emission || n.Emission == me.Emission && (n.RegisteredAt < me.RegisteredAt || n.RegisteredAt == me.RegisteredAt && n.UID < uid)) {
			x.Before++
		}
	}
	s.Slot = x
}

// rows fills in what the outbox tells.
func (s *MinerReport) rows(rows []*ledger.Outgoing) {
	with := make(map[chain.Hotkey]int, len(s.Validators))
	for i := range s.Validators {
		with[s.Validators[i].Hotkey] = i
	}
	for _, o := range rows {
		if o.State == bet.Open {
			s.Open++
		} else {
			s.Settled++
		}
		if len(o.Deliveries) == 0 {
			s.Unsent++
		}
		for i := range o.Deliveries {
			d := &o.Deliveries[i]
			at, known := with[d.Validator]
			if !known { // it has lost its permit
				at = len(s.Validators)
				with[d.Validator] = at
				s.Validators = append(s.Validators, WithValidator{Hotkey: d.Validator})
			}
			v := &s.Validators[at]
			if d.State == ledger.Confirmed {
				v.Confirmed++
				continue
			}
			k, has := slices.BinarySearchFunc(v.Rejected, string(d.Code), func(c Count, name string) int { return strings.Compare(c.Name, name) })
			if !has {
				v.Rejected = slices.Insert(v.Rejected, k, Count{Name: string(d.Code)})
			}
			v.Rejected[k].Value++
		}
	}
	s.Estimate = estimate(rows, bet.DayOf(s.At))
}

// estimate scores a miner's own settled predictions.
func estimate(rows []*ledger.Outgoing, today bet.Day) ScoreEstimate {
	scheme := score.Standard()
	var days [score.Ring]score.Day
	var wagered [score.Ring]bet.Cents
	for _, o := range rows {
		back := int(today - bet.DayOf(o.Start))
		if back < 0 || back >= score.Ring || o.State != bet.Won && o.State != bet.Lost || o.Outcome > bet.Tie {
			continue
		}
		d := &days[back]
		came := int8(o.Outcome)
		var closing [3]float64
		closing[o.Outcome] = o.Closing
		payout := 0.0
		if o.State == bet.Won {
			payout = dollars(o.Wager) * o.Odds
		} else {
			came = (came + 1) % 3 // which other one came changes nothing
		}
		d.Slots = 1
		d.Miner, d.Game = append(d.Miner, 0), append(d.Game, int32(len(d.Closing)))
		d.Outcome, d.Odds = append(d.Outcome, uint8(o.Outcome)), append(d.Odds, o.Odds)
		d.Wager, d.Payout = append(d.Wager, dollars(o.Wager)), append(d.Payout, payout)
		d.Closing, d.Result = append(d.Closing, closing), append(d.Result, came)
		wagered[back] += o.Wager
	}
	var e ScoreEstimate
	var daily [score.Ring]float64
	var c score.Components
	for i := range days {
		if days[i].Slots == 0 || len(days[i].Closing) > score.MaxGames || scheme.Components(&days[i], &c) != nil {
			wagered[i] = 0
			continue
		}
		e.Days++
		e.CLV, e.ROI, e.Risk, e.Composite = e.CLV+c.CLV[0], e.ROI+c.ROI[0], e.Risk+c.Risk[0], e.Composite+c.Composite[0]
		daily[i] = c.Composite[0]
	}
	if n := float64(e.Days); n > 0 {
		e.CLV, e.ROI, e.Risk, e.Composite = e.CLV/n, e.ROI/n, e.Risk/n, e.Composite/n
	}
	e.Tier = 1
	for t, rule := range scheme.Tiers {
		x := EstimatedTier{Tier: t + 1, Days: rule.Window, Needed: bet.Cents(rule.MinWager * 100)}
		for i := range rule.Window {
			x.Wagered += wagered[i]
			if wagered[i] > 0 {
				x.Active++
			}
			x.Composite += daily[i] / float64(rule.Window)
		}
		if t == e.Tier && x.Wagered >= x.Needed && float64(x.Active) >= scheme.MinActiveShare*float64(rule.Window) {
			e.Tier = t + 1
		}
		e.Tiers = append(e.Tiers, x)
	}
	return e
}
