package sim

import (
	"time"

	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/sched"
)

// down is what an endpoint's outage is called in errors.
const down = "endpoint down"

// chainBackend is a host's way to the subtensor: a request travels, is carried
// out, and the answer travels back; an accepted extrinsic is answered when its
// block is there.
func (h *Host) chainBackend() sched.Backend[chain.Request, chain.Reply] {
	return func(req chain.Request, reply func(sched.Result[chain.Reply])) {
		w := h.world
		fate, by := w.fate(h, portOf(req.Op))
		half := w.cfg.Latency.Chain / 2
		w.Sched.After(half, sched.Func(func() {
			res, late := h.carryOut(req, fate, by)
			if res == nil {
				return
			}
			late += half + h.faultDelay("chain.slow")
			answer := func() { reply(*res) }
			w.Sched.After(late, sched.Func(answer))
			if fate == Doubled {
				w.Sched.After(late, sched.Func(answer))
			}
		}))
	}
}

// portOf is the port that an operation of the chain counts for.
func portOf(op chain.Op) Port {
	switch op {
	case chain.OpSync, chain.OpReadWeights:
		return PortChain
	case chain.OpServeAxon:
		return PortAxon
	}
	return PortWeights
}

// carryOut does at the endpoint what a request and its fate want, and returns the
// answer, nil for none, and how much later it is there than the endpoint's word.
func (h *Host) carryOut(req chain.Request, fate Fate, by *active) (*sched.Result[chain.Reply], time.Duration) {
	var r chain.Reply
	switch fate {
	case Lost:
		return nil, 0
	case Failed:
		failed := sched.Failed[chain.Reply](by.failure())
		return &failed, 0
	case Refused, Pretended, Reverted:
		r = h.unsent()
		if fate != Pretended {
			r.Code = by.refusal()
		}
		if fate == Refused {
			r.Included = 0
		}
	default:
		r = h.submit(req)
	}
	switch fate {
	case AppliedLost:
		return nil, 0
	case AppliedFailed:
		return &sched.Result[chain.Reply]{Err: by.failure().Error(), Unknown: true}, 0
	case AppliedRefused:
		r = chain.Reply{Head: r.Head, HeadAt: r.HeadAt, Code: by.refusal()}
	}
	late := time.Duration(0)
	if r.Included > 0 && portOf(req.Op) != PortChain && (r.Code == chain.OK || fate == Reverted) {
		late = max(h.world.Chain.TimeOf(r.Included).Sub(h.world.now()), 0)
	}
	return &sched.Result[chain.Reply]{Res: r}, late
}

// unsent is the answer about an extrinsic that is in the next block, of one that
// never was.
func (h *Host) unsent() chain.Reply {
	c := h.world.Chain
	head := c.BlockAt(h.world.now())
	return chain.Reply{Head: head, HeadAt: c.TimeOf(head), Included: head + 1}
}

// feedBackend is a validator's way to the games feed.
func (h *Host) feedBackend() sched.Backend[feed.Request, feed.Batch] {
	return func(req feed.Request, reply func(sched.Result[feed.Batch])) {
		w := h.world
		fate, by := w.fate(h, PortFeed)
		half := w.cfg.Latency.Feed / 2
		w.Sched.After(half, sched.Func(func() {
			switch fate {
			case Lost, AppliedLost:
				return
			case Failed, AppliedFailed:
				w.Sched.After(half, sched.Func(func() { reply(sched.Failed[feed.Batch](by.failure())) }))
				return
			}
			now := w.now()
			since := req.Since
			if floor := now.Add(-feedBack); since.Before(floor) {
				since = floor
			}
			b := feed.Batch{Games: h.changes(since, now), At: now}
			answer := func() { reply(sched.Result[feed.Batch]{Res: b}) }
			late := half + h.faultDelay("feed.slow")
			w.Sched.After(late, sched.Func(answer))
			if fate == Doubled {
				w.Sched.After(late, sched.Func(answer))
			}
		}))
	}
}

// feedBack is how far back a feed tells: the original's 45 days.
const feedBack = 45 * 24 * time.Hour
