package sim

import (
	"errors"
	"slices"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/sched"
)

// misread puts a liar between validators and their feed.
func misread(w *World, lie func(g *bet.Game)) {
	between(w, true, func(_ *Host, p *node.Ports) {
		honest := p.Feed
		p.Feed = func(q feed.Request, reply func(sched.Result[feed.Batch])) {
			honest(q, func(r sched.Result[feed.Batch]) {
				r.Res.Games = slices.Clone(r.Res.Games)
				for i := range r.Res.Games {
					lie(&r.Res.Games[i])
				}
				reply(r)
			})
		}
	})
}

// feedBugs lie between a validator and its feed of games.
var feedBugs = []Bug{
	{Name: "kick-off-in-another-zone", Doc: "Kick-offs are read an hour late.",
		Finds: []string{"no-late-acceptance"}, Seeds: 3, plant: func(w *World) {
			misread(w, func(g *bet.Game) {
				if g.Status == bet.Scheduled {
					g.Start, g.Active = g.Start.Add(time.Hour), true
				}
			})
		}},
	{Name: "results-swapped", Doc: "Home and away are exchanged in results.",
		Finds: []string{"settled-once"}, Seeds: 2, plant: func(w *World) {
			misread(w, func(g *bet.Game) {
				if g.Status == bet.Finished {
					g.Outcome = 1 - min(g.Outcome, 1)
				}
			})
		}},
	{Name: "lost-correction", Doc: "A result is believed as it was told first; of every third game that was wrong, and the correction is lost.",
		Finds: []string{"settled-once"}, Seeds: 2, plant: func(w *World) {
			misread(w, func(g *bet.Game) {
				if g.Status == bet.Finished && g.ID[len(g.ID)-1]%3 == 0 {
					g.Outcome = (g.Outcome + 1) % 2
				}
			})
		}},
	{Name: "result-lost", Doc: "The result of every third game is never told.",
		Finds: []string{"settlement-done"}, Seeds: 2, more: healed, plant: func(w *World) {
			misread(w, func(g *bet.Game) {
				if g.Status == bet.Finished && g.ID[len(g.ID)-1]%3 == 0 {
					g.Status, g.Outcome, g.ResultAt = bet.Scheduled, bet.Unfinished, time.Time{}
				}
			})
		}},
}

// onChain lets f answer in place of a validator's way to the chain.
func onChain(w *World, f func(h *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply]) {
	between(w, true, func(h *Host, p *node.Ports) { p.Chain = f(h, p.Chain) })
}

// votes lets f change the weights that a validator sends and, with them, what its
// disk says it sends.
func votes(w *World, disk bool, f func(chain.Weights) chain.Weights) {
	onChain(w, func(_ *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply] {
		return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
			if q.Op == chain.OpSetWeights {
				q.Weights = f(q.Weights)
			}
			honest(q, reply)
		}
	})
	if disk {
		rows(w, &ledger.Weights, func(_ *Host, k uint64, s ledger.WeightSet, put func(uint64, ledger.WeightSet)) {
			s.Weights = f(s.Weights)
			put(k, s)
		})
	}
}

// chainBugs lie between a validator and the chain.
var chainBugs = []Bug{
	{Name: "weights-on-nobody", Doc: "The slot of the best is replaced by one that nobody holds.",
		Finds: []string{"weights-valid", "weights-after-intent"}, Seeds: 2, plant: func(w *World) {
			votes(w, false, func(v chain.Weights) chain.Weights {
				return chain.Weights{UIDs: append(slices.Clone(v.UIDs[:len(v.UIDs)-1]), 200), Values: v.Values}
			})
		}},
	{Name: "idle-paid", Doc: "Miners who never bet get as much as the best.",
		Finds: []string{"idle-earns-nothing", "weights-from-scores"}, Seeds: 2, more: "  - {kind: idle, count: 2}\n", plant: func(w *World) {
			votes(w, true, func(v chain.Weights) chain.Weights {
				out := chain.Weights{}
				for uid := chain.UID(1); int(uid) <= len(w.cfg.Miners); uid++ {
					out.UIDs, out.Values = append(out.UIDs, uid), append(out.Values, chain.MaxWeight)
				}
				return out
			})
		}},
	{Name: "weights-shifted", Doc: "Each value goes to the slot after the one it was made for.",
		Finds: []string{"weights-from-scores"}, Seeds: 3, plant: func(w *World) {
			votes(w, true, func(v chain.Weights) chain.Weights {
				if len(v.Values) < 2 {
					return v
				}
				last := len(v.Values) - 1
				return chain.Weights{UIDs: v.UIDs, Values: append([]uint16{v.Values[last]}, v.Values[:last]...)}
			})
		}},
	{Name: "holders-never-read-again", Doc: "Who holds which slot is read once and then taken from memory; miners lose their slots.",
		Finds: []string{"registered-only", "new-owner-inherits-nothing"}, Seeds: 3, provoke: leaves, plant: func(w *World) {
			onChain(w, func(_ *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply] {
				return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
					honest(q, func(r sched.Result[chain.Reply]) { reply(remembered(r, w)) })
				}
			})
			// A miner that has lost its slot would hang up: it does not look either.
			between(w, false, func(_ *Host, p *node.Ports) {
				honest := p.Chain
				p.Chain = func(q chain.Request, reply func(sched.Result[chain.Reply])) {
					honest(q, func(r sched.Result[chain.Reply]) { reply(remembered(r, w)) })
				}
			})
		}},
	{Name: "weights-never-renewed", Doc: "After two days the way to the chain is lost for weights, and the validator waits for it.",
		Finds: []string{"weights-fresh"}, Seeds: 2, more: "chain: {activity_cutoff: 600}\n" + healed, plant: func(w *World) {
			onChain(w, func(_ *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply] {
				return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
					if q.Op != chain.OpSetWeights || w.now().Before(w.cfg.Start.Add(48*time.Hour)) {
						honest(q, reply)
					}
				}
			})
		}},
	{Name: "rate-limit-forgotten", Doc: "The chain takes weights as often as they are sent, and each set is sent twice.",
		Finds: []string{"weights-rate"}, Seeds: 2, plant: func(w *World) {
			onChain(w, func(h *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply] {
				return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
					honest(q, reply)
					if q.Op != chain.OpSetWeights {
						return
					}
					limit := uint64(0)
					w.Sched.After(time.Minute, sched.Func(func() {
						w.Chain.SetParams(w.now(), func(p *chain.Hyperparameters) { limit, p.WeightsRateLimit = p.WeightsRateLimit, 0 })
						w.Chain.Submit(w.now(), q)
						w.Chain.SetParams(w.now(), func(p *chain.Hyperparameters) { p.WeightsRateLimit = limit })
					}))
				}
			})
		}},
	{Name: "weights-again-after-unknown", Doc: "Weights whose answer is lost count as not sent, and are sent again.",
		Finds: []string{"one-vote-at-a-time"}, Seeds: 5, more: `
chain: {tempo: 1000, weights_rate_limit: 20}
faults:
  - {name: unreported, what: chain.set_weights_unreported, target: validators.v0, at: 12h, for: 40h}
`, plant: func(w *World) {
			onChain(w, func(_ *Host, honest sched.Backend[chain.Request, chain.Reply]) sched.Backend[chain.Request, chain.Reply] {
				return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
					if q.Op != chain.OpSetWeights {
						honest(q, reply)
						return
					}
					answered := false
					honest(q, func(r sched.Result[chain.Reply]) {
						if !answered {
							answered = true
							reply(r)
						}
					})
					w.Sched.After(25*time.Second, sched.Func(func() {
						if !answered {
							answered = true
							reply(sched.Failed[chain.Reply](errNoAnswer))
						}
					}))
				}
			})
		}},
}

var errNoAnswer = errors.New("planted: no answer in time")

// remembered is an answer with the first holders of all slots.
func remembered(r sched.Result[chain.Reply], w *World) sched.Result[chain.Reply] {
	if r.Res.Metagraph == nil {
		return r
	}
	m := *r.Res.Metagraph
	m.Neurons = slices.Clone(m.Neurons)
	for i := range m.Neurons {
		if i < len(w.Hosts) {
			m.Neurons[i].Hotkey = w.Hosts[i].Hotkey
		}
	}
	m.Digest = m.Content()
	r.Res.Metagraph = &m
	return r
}

// leaves is leavesAfter in the second day.
var leaves = leavesAfter(30 * time.Hour)

// leavesAfter takes the slots of the random miners away, one every five hours from
// a time on, for newcomers that nobody runs.
func leavesAfter(start time.Duration) func(*World) {
	return func(w *World) {
		n := 0
		for _, h := range w.Hosts {
			if h.Kind == "random" {
				w.Sched.Push(w.cfg.Start.Add(start+time.Duration(n)*5*time.Hour+2*time.Minute), sched.Func(func() { w.Chain.Deregister(w.now(), h.Hotkey) }))
				n++
			}
		}
	}
}
