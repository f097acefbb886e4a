package node

import (
	"math"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"

	"github.com/google/go-cmp/cmp"
)

// TestReportOfAMiner: what it says of validators, predictions and scores is what
// happened, the estimate is what the validator's own scoring gave but for entropy,
// and a stopped miner's store says the same.
func TestReportOfAMiner(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(2*time.Hour))
	r.offer("101", t0.Add(3*time.Hour))
	n := r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 100_00))
	r.until("confirmed", time.Hour, func() bool { return m.m.delivered.confirmed == 2 })
	report := func() (out MinerReport) {
		m.do(func() { out = m.m.Report() })
		return out
	}
	before := report()
	if before.Open != 2 || before.Settled != 0 || before.Estimate.Days != 0 || before.Estimate.Tier != 1 || before.Unsent != 0 {
		t.Errorf("before the games: %+v", before)
	}
	r.run(3 * time.Hour)
	r.finish("100", bet.Home)
	r.finish("101", bet.Away)
	r.run(2 * time.Hour)

	got := report()
	if got.Open != 0 || got.Settled != 2 || got.Trusted < 1 || got.Slot == nil || got.Slot.UID != 1 && got.Hotkey == "" {
		t.Errorf("%+v", got)
	}
	var with *WithValidator
	for i := range got.Validators {
		if got.Validators[i].Hotkey == hotkeyOf("v0") {
			with = &got.Validators[i]
		}
	}
	if with == nil || !with.Session || !with.Permit || !with.Trusted || !with.Serves || with.Confirmed != 2 || len(with.Rejected) != 0 {
		t.Fatalf("%+v", got.Validators)
	}
	row := n.v.State.Scores.byHotkey[hotkeyOf("m0")].at(bet.DayOf(t0))
	e := got.Estimate
	if row == nil || e.Days != 1 || row.ROI == 0 {
		t.Fatalf("the validator has %+v, the estimate %+v", row, e)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"clv", e.CLV, row.CLV}, {"roi", e.ROI, row.ROI}, {"risk", e.Risk, row.Risk}, {"composite", e.Composite, row.Composite - 0.1*row.Entropy}} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s estimated as %v, the validator's is %v", c.name, c.got, c.want)
		}
	}
	if first := e.Tiers[0]; first.Wagered != 200_00 || first.Active != 1 || math.Abs(first.Composite-e.Composite/3) > 1e-12 || e.Tiers[1].Needed != 4000_00 {
		t.Errorf("tiers %+v", e.Tiers)
	}

	meta := m.m.State.Meta
	m.kill()
	found := outboxOn(t, m)
	stored := StoredMiner(found, hotkeyOf("m0"), got.At, got.MinStake, meta)
	for i := range got.Validators {
		got.Validators[i].Session = false
	}
	if d := cmp.Diff(got, stored); d != "" {
		t.Errorf("running and stored differ:\n%s", d)
	}
}

// TestReportCountsRefusals by validator and reason, also of validators that have
// lost their permit.
func TestReportCountsRefusals(t *testing.T) {
	at := t0
	row := func(id string, d ...ledger.Delivery) ledger.Outgoing {
		return ledger.Outgoing{Submission: bet.Submission{ID: bet.PredictionID(id)}, Made: at, Start: at, Deliveries: d}
	}
	found := &ledger.Miner{Outbox: []ledger.Outgoing{
		row("a", ledger.Delivery{Validator: "v", State: ledger.Rejected, Code: bet.GameStarted}, ledger.Delivery{Validator: "w", State: ledger.Confirmed}),
		row("b", ledger.Delivery{Validator: "v", State: ledger.Rejected, Code: bet.DailyLimitExceeded}),
		row("c", ledger.Delivery{Validator: "v", State: ledger.Rejected, Code: bet.GameStarted}),
		row("d"),
	}}
	found.Facts = map[string]string{ledger.FactAsked + "w": "1700000000000000000"}
	s := StoredMiner(found, "m", at, 1000, &chain.Metagraph{Neurons: []chain.Neuron{{Hotkey: "v", Permit: true, Stake: 999}}})
	uid := chain.UID(0)
	want := []WithValidator{
		{Hotkey: "v", UID: &uid, Stake: 999, Permit: true, Rejected: Counts{{string(bet.DailyLimitExceeded), 1}, {string(bet.GameStarted), 2}}},
		{Hotkey: "w", Confirmed: 1, Asked: time.Unix(1_700_000_000, 0).UTC()},
	}
	if d := cmp.Diff(want, s.Validators); d != "" || s.Unsent != 1 || s.Open != 4 || s.Trusted != 0 || s.Slot != nil {
		t.Errorf("%s%+v", d, s)
	}
}

// TestReportOfPruning: the slot that goes next is the one outside immunity that
// earns least, the older of two; the owner's never goes.
func TestReportOfPruning(t *testing.T) {
	meta := &chain.Metagraph{Block: 1000, Owner: "owner", Params: chain.Hyperparameters{ImmunityPeriod: 100, MaxUIDs: 6}, Neurons: []chain.Neuron{
		{UID: 0, Hotkey: "owner"},
		{UID: 1, Hotkey: "poor", RegisteredAt: 500, Emission: 5, Incentive: 10},
		{UID: 2, Hotkey: "old", RegisteredAt: 100, Emission: 5, Incentive: 10},
		{UID: 3, Hotkey: "rich", RegisteredAt: 100, Emission: 50, Incentive: 90},
		{UID: 4, Hotkey: "new", RegisteredAt: 950},
		{UID: 5, Hotkey: "v", RegisteredAt: 1, Permit: true, Emission: 500},
	}}
	for _, tc := range []struct {
		hotkey chain.Hotkey
		want   Slot
	}{
		{"old", Slot{UID: 2, RegisteredAt: 100, Incentive: 10. / chain.MaxWeight, Emission: 5, Rank: 2, Miners: 5, Before: 0, Lowest: 5}},
		{"poor", Slot{UID: 1, RegisteredAt: 500, Incentive: 10. / chain.MaxWeight, Emission: 5, Rank: 2, Miners: 5, Before: 1, Lowest: 5}},
		{"rich", Slot{UID: 3, RegisteredAt: 100, Incentive: 90. / chain.MaxWeight, Emission: 50, Rank: 1, Miners: 5, Before: 2, Lowest: 5}},
		{"new", Slot{UID: 4, RegisteredAt: 950, ImmuneFor: 50, Rank: 4, Miners: 5, Before: 0, Lowest: 5}},
	} {
		s := MinerReport{Hotkey: tc.hotkey}
		s.chain(meta)
		if s.Slot == nil {
			t.Fatalf("%s has no slot", tc.hotkey)
		}
		if d := cmp.Diff(tc.want, *s.Slot); d != "" {
			t.Errorf("%s: %s", tc.hotkey, d)
		}
	}
}
