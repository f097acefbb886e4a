package sim

import (
	"fmt"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
	"bettensor/sim/fault"
	"bettensor/sim/mockchain"
)

var chainPortFaults = []portFault{
	{port: PortChain, what: "chain.outage", fate: Failed},
	{port: PortAxon, what: "chain.outage", fate: Failed},
	{port: PortWeights, what: "chain.outage", fate: Failed},
	{port: PortChain, what: "chain.rate_limited", fate: Failed, only: (*active).overBudget},
	{port: PortAxon, what: "chain.rate_limited", fate: Failed, only: (*active).overBudget},
	{port: PortWeights, what: "chain.rate_limited", fate: Failed, only: (*active).overBudget},
	{port: PortWeights, what: "chain.set_weights_failed", fate: Lost},
	{port: PortWeights, what: "chain.set_weights_unreported", fate: AppliedLost},
	{port: PortWeights, what: "chain.set_weights_refused", fate: Refused},
	{port: PortWeights, what: "chain.set_weights_misreported", fate: AppliedRefused},
	{port: PortWeights, what: "chain.set_weights_pretended", fate: Pretended},
	{port: PortWeights, what: "chain.set_weights_reverted", fate: Reverted},
	{port: PortWeights, what: "chain.nonce_clash", fate: Refused},
	{port: PortAxon, what: "chain.nonce_clash", fate: Refused},
	{port: PortWeights, what: "chain.upgrade", fate: Refused, only: (*active).always},
	{port: PortAxon, what: "chain.upgrade", fate: Refused, only: (*active).always},
}

// chainWindow is what a window of a fault of the chain keeps while it lasts.
type chainWindow struct {
	branch *branch               // of the window's first host: the fork
	before chain.Hyperparameters // likewise: what was changed
	stake  chain.Rao             // that was withdrawn
	used   budget
}

// branch is a fork of the chain that does not last, and what was put into it.
type branch struct {
	*mockchain.Chain
	sent []chain.Request
}

// budget counts requests in spans of time.
type budget struct {
	span int64
	n    int
}

// always has every request hit.
func (a *active) always() bool { return true }

// overBudget counts a request, and says whether it is one too many.
func (a *active) overBudget() bool {
	u := &a.chain.used
	if span := int64(a.h.world.now().Sub(a.h.world.cfg.Start) / a.f.Params.Per); span != u.span {
		*u = budget{span: span}
	}
	u.n++
	return u.n > a.f.Params.Budget
}

// failure is what a request that failed is told.
func (a *active) failure() error {
	if a != nil && (a.f.What == "chain.rate_limited" || a.f.What == "feed.rate_limited") {
		return a.injected("too many requests")
	}
	return a.injected(down)
}

// refusal is the code of a refusal; the one of a test's own fates where no fault
// decides.
func (a *active) refusal() chain.Code {
	switch {
	case a == nil:
		return chain.ImmediatelyDropped
	case a.f.What == "chain.nonce_clash":
		return chain.Stale
	case a.f.What == "chain.upgrade":
		return chain.BadProof
	}
	return chain.Code(a.f.Params.Code)
}

// beginChain does what a fault of the chain does at once. What the chain as a
// whole goes through, it goes through once.
func (a *active) beginChain() {
	w, now := a.h.world, a.h.world.now()
	switch a.f.What {
	case "chain.deregistered":
		a.done(w.Chain.Deregister(now, a.h.Hotkey))
	case "chain.hotkey_swapped":
		a.done(w.Chain.SwapHotkey(now, a.h.Hotkey, a.stranger(a.h.Name)))
	case "chain.permit_lost":
		a.chain.stake = w.Chain.Stake(a.h.Hotkey)
		w.Chain.SetStake(now, a.h.Hotkey, 0)
		if a.chain.stake > 0 {
			a.bit(1)
		}
	}
	if a != a.first {
		return
	}
	switch a.f.What {
	case "chain.reorg":
		a.chain.branch = &branch{Chain: w.Chain.Fork(now)}
	case "chain.hyperparameters", "chain.upgrade":
		a.chain.before = w.Chain.Params()
		w.Chain.SetParams(now, func(p *chain.Hyperparameters) { change(p, &a.f.Params) })
		if a.f.Params.Schedule == "state" {
			w.Chain.KeepSchedule(now)
		}
		if w.Chain.Params() != a.chain.before {
			a.bit(1)
		}
	case "chain.registration_burst":
		n := a.f.Params.Count
		for i := range n {
			w.Sched.After(a.length/time.Duration(n)*time.Duration(i), sched.Func(func() {
				who := fmt.Sprintf("newcomer-%d", i)
				_, code := w.Chain.Register(w.now(), a.stranger(who), coldkeyOf(a.id+who))
				a.done(code)
			}))
		}
	case "chain.drand_missing":
		w.Chain.StopPulses(now)
		w.silent = a
		a.bit(w.Chain.Waiting())
	}
}

// done counts what the chain did for a fault.
func (a *active) done(code chain.Code) {
	if code == chain.OK {
		a.bit(1)
	}
}

// endChain undoes what a window did. One that lasts to the end of the run is not
// undone: nobody would see it.
func (a *active) endChain() {
	if a.open {
		return
	}
	w, now := a.h.world, a.h.world.now()
	switch a.f.What {
	case "chain.deregistered":
		w.Chain.Register(now, a.h.Hotkey, coldkeyOf(a.h.Name))
	case "chain.hotkey_swapped":
		w.Chain.SwapHotkey(now, a.stranger(a.h.Name), a.h.Hotkey)
	case "chain.permit_lost":
		w.Chain.SetStake(now, a.h.Hotkey, w.Chain.Stake(a.h.Hotkey)+a.chain.stake)
	}
	if a != a.first {
		return
	}
	switch a.f.What {
	case "chain.reorg":
		a.reorganise()
	case "chain.hyperparameters":
		w.Chain.SetParams(now, func(p *chain.Hyperparameters) { changeBack(p, &a.chain.before, &a.f.Params) })
	case "chain.drand_missing":
		w.Chain.ResumePulses(now)
		w.silent = nil
	}
}

// stranger is a hotkey that no node of the world has.
func (a *active) stranger(name string) chain.Hotkey {
	return chain.EncodeSS58(a.h.world.keyOf(a.id + "/" + name))
}

// reorganise drops the branch. What was in it is taken up again by the chain
// that stays, or not.
func (a *active) reorganise() {
	w := a.h.world
	for _, q := range a.chain.branch.sent {
		again := a.rng.Float64() < a.f.Params.Again
		v := map[string]any{"fault": a.id, "op": q.Op.String(), "again": again}
		if again {
			v["code"] = w.Chain.Submit(w.now(), q).Code
		}
		w.trace("chain", "dropped", v)
	}
	a.chain.branch = nil
}

// submit gives a request to the host's endpoint, whatever that knows of the chain.
func (h *Host) submit(q chain.Request) chain.Reply {
	w, now := h.world, h.world.now()
	if a := h.suffers("chain.reorg"); a != nil {
		a.bit(1)
		b := a.first.chain.branch
		r := b.Submit(now, q)
		if portOf(q.Op) != PortChain && r.Code == chain.OK {
			b.sent = append(b.sent, q)
		}
		return r
	}
	if a := h.suffers("chain.stale_head"); a != nil {
		a.bit(1)
		return w.Chain.SubmitStale(now, chain.Block(a.f.Params.Blocks), q)
	}
	a := h.suffers("chain.lying_head")
	if a != nil && a.f.Params.Claim == "unfinalised" {
		a.bit(1)
		return w.Chain.SubmitUnfinalised(now, q)
	}
	r := w.Chain.Submit(now, q)
	if q.Op == chain.OpCommitTimelocked && w.silent != nil {
		w.silent.done(r.Code)
	}
	if a != nil && r.Metagraph != nil {
		m := *r.Metagraph
		m.Block += chain.Block(a.f.Params.Blocks)
		r.Head, r.Metagraph = m.Block, &m
		a.bit(1)
	}
	return r
}

// reach is how many blocks back the faults of a scenario want to read.
func reach(faults []fault.Fault) (most chain.Block) {
	for i := range faults {
		if f := &faults[i]; f.What == "chain.stale_head" {
			most = max(most, chain.Block(f.Params.Blocks))
		}
	}
	return most
}

// change sets the hyperparameters that parameters of a fault name.
func change(p *chain.Hyperparameters, to *fault.Params) {
	set(&p.Tempo, to.Tempo)
	set(&p.WeightsRateLimit, to.WeightsRateLimit)
	set(&p.MinAllowedWeights, to.MinAllowedWeights)
	set(&p.ActivityCutoff, to.ActivityCutoff)
	set(&p.WeightsVersionKey, to.VersionKey)
	switch to.CommitReveal {
	case "off":
		p.CommitReveal, p.RevealVersion = false, 0
	case "hash":
		p.CommitReveal, p.RevealVersion = true, 0
	case "timelock":
		p.CommitReveal, p.RevealVersion = true, revealVersion
	}
}

// changeBack sets what change has set to what it was before.
func changeBack(p, before *chain.Hyperparameters, changed *fault.Params) {
	restore(&p.Tempo, before.Tempo, changed.Tempo)
	restore(&p.WeightsRateLimit, before.WeightsRateLimit, changed.WeightsRateLimit)
	restore(&p.MinAllowedWeights, before.MinAllowedWeights, changed.MinAllowedWeights)
	restore(&p.ActivityCutoff, before.ActivityCutoff, changed.ActivityCutoff)
	restore(&p.WeightsVersionKey, before.WeightsVersionKey, changed.VersionKey)
	if changed.CommitReveal != "same" {
		p.CommitReveal, p.RevealVersion = before.CommitReveal, before.RevealVersion
	}
}

// set sets a hyperparameter, restore sets it back, where a fault names it.
func set[T uint16 | uint64](field *T, to int) {
	if to >= 0 {
		*field = T(to)
	}
}

func restore[T uint16 | uint64](field *T, before T, named int) {
	if named >= 0 {
		*field = before
	}
}
