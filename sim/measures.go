package sim

import (
	"math"
	"slices"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sim/metric"
)

// measures makes each metric's sample; false where nothing was measured.
var measures = map[string]func(*recorder, *metric.Selector) (metric.Sample, bool){
	"reward_share": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		total := r.reward(nil)
		return single(r.reward(s)/total, total > 0)
	},
	"reward_per_miner": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		n := len(r.those(s))
		return single(r.reward(s)/1e9/float64(n), n > 0)
	},
	"reward_ratio": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		per := func(key string) float64 {
			q := metric.Selector{Labels: []metric.Pair{{Key: "group", Value: s.Get(key)}}}
			return r.reward(&q) / float64(max(len(r.those(&q)), 1))
		}
		return single(per("of")/per("to"), per("to") > 0)
	},
	"skill_correlation": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		var skill, paid []float64
		for _, t := range r.those(nil) {
			skill, paid = append(skill, t.edge()), append(paid, r.earned(t))
		}
		rho, ok := spearman(skill, paid)
		return single(rho, ok)
	},
	"gini": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		paid := r.payments()
		return single(gini(paid), r.reward(nil) > 0)
	},
	"hhi": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		sum, total := 0.0, r.reward(nil)
		for _, x := range r.payments() {
			sum += x / total * (x / total)
		}
		return single(sum, total > 0)
	},
	"roi": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		var profit, wager float64
		for _, t := range r.those(s) {
			profit, wager = profit+float64(t.profit), wager+float64(t.settledWager)
		}
		return single(profit/wager, wager > 0)
	},
	"clv": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		sum, n := 0.0, 0
		for _, t := range r.those(s) {
			sum, n = sum+t.clv, n+t.priced
		}
		return single(sum/float64(n), n > 0)
	},
	"edge": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		var sum, wager float64
		for _, t := range r.those(s) {
			sum, wager = sum+t.edges, wager+t.edged
		}
		return single(sum/wager, wager > 0)
	},
	"predictions": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, func(t *tally) int {
			switch s.Get("what") {
			case "made":
				return t.made
			case "rejected":
				return t.rejected
			case "confirmed":
				return t.confirmed
			}
			return t.accepted
		})
	},
	"rejected": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		code := bet.Code(s.Get("code"))
		return r.sum(s, func(t *tally) int {
			n := 0
			for c, k := range t.refused { // a sum: order cannot matter
				if code == "" || c == code {
					n += k
				}
			}
			return n
		})
	},
	"unconfirmed": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		those, n := r.those(s), 0
		for _, a := range r.waiting { // a count: order cannot matter
			if slices.Contains(those, a.who) {
				n++
			}
		}
		return single(float64(n), true)
	},
	"ack_latency": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		all := &metric.Histogram{}
		for w, h := range r.latency { // merging adds: order cannot matter
			if matches(s, "group", w.group) && matches(s, "kind", w.kind) && matches(s, "transport", w.transport) {
				all.Merge(h)
			}
		}
		return metric.Sample{Dist: all, Scale: 1e-9}, true
	},
	"weights_age": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		all := &metric.Histogram{}
		for i := range r.ages {
			if matches(s, "validator", r.w.Hosts[i].Name) {
				all.Merge(&r.ages[i])
				if v := r.votes[i]; v.set > 0 {
					all.Add(int64(r.w.Chain.BlockAt(r.w.now()) - v.block))
				}
			}
		}
		return metric.Sample{Dist: all, Scale: 1}, true
	},
	"weights_sets":      func(r *recorder, s *metric.Selector) (metric.Sample, bool) { return r.voters(s, voter.sets) },
	"weights_failed":    func(r *recorder, s *metric.Selector) (metric.Sample, bool) { return r.voters(s, voter.failures) },
	"weights_deviation": (*recorder).deviation,
	"trust": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		uid, ok := r.uid(s.Get("validator"))
		return single(r.w.Chain.VTrust(uid), ok)
	},
	"dividends": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		uid, ok := r.uid(s.Get("validator"))
		return single(r.w.Chain.Dividends(uid), ok)
	},
	"dividend_share": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		own, total := 0.0, 0.0
		for _, h := range r.w.Hosts {
			if h.IsValidator() {
				earned := float64(r.w.Chain.Earned(h.Hotkey).Total())
				total += earned
				if matches(s, "validator", h.Name) {
					own += earned
				}
			}
		}
		return single(own/total, total > 0)
	},
	"tier_changes": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, func(t *tally) int { return t.tierChanges })
	},
	"epochs": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.w.Chain.Epochs()), true)
	},
	"games": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		switch s.Get("what") {
		case "corrected":
			return single(float64(r.corrected), true)
		case "voided":
			return single(float64(r.voided), true)
		}
		return single(float64(len(r.games)), true)
	},
	"settled": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, func(t *tally) int { return t.settled })
	},
	"fault_windows": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.w.FaultWindows), true)
	},
	"restarts": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.hosts(s, func(h *Host) int { return h.Restarts })
	},
	"downs": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.hosts(s, func(h *Host) int { return len(h.Downs) })
	},
	"recovery_time": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		all := &metric.Histogram{}
		for i := range r.recovery {
			if matches(s, "validator", r.w.Hosts[i].Name) {
				all.Merge(&r.recovery[i])
			}
		}
		return metric.Sample{Dist: all, Scale: 1e-9}, true
	},
	"sessions": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.totals.validators["communication.opened"]), true)
	},
	"sessions_lost": func(r *recorder, s *metric.Selector) (metric.Sample, bool) {
		return r.sum(s, (*tally).sessionsLost)
	},
	"dropped": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.totals.validators["core.frames_shed"]), true)
	},
	"queue_depth": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.depth), true)
	},
	"events": func(r *recorder, _ *metric.Selector) (metric.Sample, bool) {
		return single(float64(r.w.Sched.Events()), true)
	},
}

// single is a sample of one number; not one where its making has no sense.
func single(x float64, ok bool) (metric.Sample, bool) {
	if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
		return metric.Sample{}, false
	}
	return metric.Sample{Value: x}, true
}

func matches(s *metric.Selector, key, value string) bool {
	want := s.Get(key)
	return want == "" || want == value
}

// those are the tallies of the miners that a selector means; nil means all. They
// come in the order of the hosts.
func (r *recorder) those(s *metric.Selector) []*tally {
	if s == nil {
		s = &metric.Selector{}
	}
	var out []*tally
	for _, t := range r.order {
		if matches(s, "group", t.whose.group) && matches(s, "kind", t.whose.kind) {
			out = append(out, t)
		}
	}
	return out
}

func (r *recorder) sum(s *metric.Selector, of func(*tally) int) (metric.Sample, bool) {
	n := 0
	for _, t := range r.those(s) {
		n += of(t)
	}
	return single(float64(n), true)
}

func (r *recorder) hosts(s *metric.Selector, of func(*Host) int) (metric.Sample, bool) {
	n := 0
	for _, h := range r.w.Hosts {
		if role := s.Get("role"); role == "" || h.IsValidator() == (role == "validator") {
			n += of(h)
		}
	}
	return single(float64(n), true)
}

func (v voter) sets() uint64     { return v.set }
func (v voter) failures() uint64 { return v.failed }

func (r *recorder) voters(s *metric.Selector, of func(voter) uint64) (metric.Sample, bool) {
	n := uint64(0)
	for i, v := range r.votes {
		if matches(s, "validator", r.w.Hosts[i].Name) {
			n += of(v)
		}
	}
	return single(float64(n), true)
}

// earned is what a miner earned over the run, in rao.
func (r *recorder) earned(t *tally) float64 { return float64(r.w.Chain.Earned(t.host.Hotkey).Total()) }

// reward sums it over miners.
func (r *recorder) reward(s *metric.Selector) (sum float64) {
	for _, t := range r.those(s) {
		sum += r.earned(t)
	}
	return sum
}

func (r *recorder) payments() (list []float64) {
	for _, t := range r.order {
		list = append(list, r.earned(t))
	}
	return list
}

// uid is the slot of a validator by name; false if it has none.
func (r *recorder) uid(name string) (chain.UID, bool) {
	h := r.w.Host(name)
	if h == nil {
		return 0, false
	}
	return r.w.Chain.Metagraph(r.w.now()).UIDOf(h.Hotkey)
}

// deviation is the total variation of two validators' weights on the chain.
func (r *recorder) deviation(s *metric.Selector) (metric.Sample, bool) {
	shares := map[chain.UID]float64{}
	for i, key := range []string{"of", "to"} {
		uid, ok := r.uid(s.Get(key))
		set, _ := r.w.Chain.Weights(uid)
		total := 0.0
		for _, x := range set.Values {
			total += float64(x)
		}
		if !ok || total == 0 {
			return metric.Sample{}, false
		}
		for k, x := range set.Values {
			shares[set.UIDs[k]] += float64(1-2*i) * float64(x) / total
		}
	}
	off := 0.0
	for _, uid := range sorted(shares) {
		off += math.Abs(shares[uid])
	}
	return single(off/2, true)
}

// sample measures one selector.
func (r *recorder) sample(s *metric.Selector) (metric.Sample, bool) { return measures[s.Name](r, s) }
