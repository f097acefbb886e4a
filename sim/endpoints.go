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
		port := PortWeights
		switch req.Op {
		case chain.OpSync, chain.OpReadWeights:
			port = PortChain
		case chain.OpServeAxon:
			port = PortAxon
		}
		fate, by := w.fate(h, port)
		half := w.cfg.Latency.Chain / 2
		w.Sched.After(half, sched.Func(func() {
			if fate == Lost {
				return
			}
			if fate == Failed {
				w.Sched.After(half, sched.Func(func() { reply(sched.Failed[chain.Reply](by.injected(down))) }))
				return
			}
			r := w.Chain.Submit(w.now(), req)
			if fate == AppliedLost {
				return
			}
			if fate == AppliedFailed {
				w.Sched.After(half, sched.Func(func() {
					reply(sched.Result[chain.Reply]{Err: by.injected(down).Error(), Unknown: true})
				}))
				return
			}
			back := half
			if r.Code == chain.OK && port != PortChain {
				back += max(w.Chain.TimeOf(r.Included).Sub(w.now()), 0)
			}
			answer := func() { reply(sched.Result[chain.Reply]{Res: r}) }
			w.Sched.After(back, sched.Func(answer))
			if fate == Doubled {
				w.Sched.After(back, sched.Func(answer))
			}
		}))
	}
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
				w.Sched.After(half, sched.Func(func() { reply(sched.Failed[feed.Batch](by.injected(down))) }))
				return
			}
			now := w.now()
			since := req.Since
			if floor := now.Add(-feedBack); since.Before(floor) {
				since = floor
			}
			b := feed.Batch{Games: w.cfg.Feed.Changes(since, now), At: now}
			answer := func() { reply(sched.Result[feed.Batch]{Res: b}) }
			w.Sched.After(half, sched.Func(answer))
			if fate == Doubled {
				w.Sched.After(half, sched.Func(answer))
			}
		}))
	}
}

// feedBack is how far back a feed tells: the original's 45 days.
const feedBack = 45 * 24 * time.Hour
