package invariant

import (
	"time"

	"bettensor/node/chain"
)

var registeredDoc = Doc{"registered-only", "Predictions are accepted from hotkeys that hold a slot of the subnet only; one that has lost it may be believed in until the validator's next look at the metagraph.", "acceptances, against the chain's metagraph"}

type registeredOnly struct{ rule }

func (r *registeredOnly) acknowledged(s *Set, at time.Time, v *validator, e *entry) {
	if !s.slots.known || !r.judge() {
		return
	}
	h := e.owner.hotkey
	if left, gone := s.slots.left[h]; gone && s.overdue(left, unix(e.first), s.facts.Lag) {
		r.violate(at, "%s is accepted, and its hotkey has held no slot since %s", e.who(v), left.Format(time.RFC3339))
	} else if _, holds := s.slots.uids[h]; !gone && !holds {
		r.violate(at, "%s is accepted, and its hotkey has never held a slot", e.who(v))
	}
}

// slots is who holds what, as the chain shows it; it is looked at whenever
// something is judged by it.
type slots struct {
	known bool
	meta  *chain.Metagraph
	uids  map[chain.Hotkey]chain.UID
	left  map[chain.Hotkey]time.Time // when one that held a slot was first seen without
	came  map[chain.Hotkey]time.Time // when one was first seen that had held none
	swaps map[chain.Hotkey]time.Time // when one was first seen that was swapped in
	paid  map[chain.Hotkey]chain.Rao // of those, all they had earned then
	moved time.Time                  // when somebody came or went last; zero for never
	order []chain.Hotkey             // of left: map order must reach no report
}

// look brings the slots up to date.
func (s *Set) look(at time.Time) {
	if s.facts.Metagraph == nil {
		return
	}
	m := s.facts.Metagraph()
	x := &s.slots
	if m == nil || m == x.meta {
		return
	}
	same := x.known && len(m.Neurons) == len(x.meta.Neurons)
	for i := 0; same && i < len(m.Neurons); i++ {
		same = m.Neurons[i].Hotkey == x.meta.Neurons[i].Hotkey
	}
	before := x.meta
	x.meta = m
	if same {
		return
	}
	was := x.uids
	if x.swaps == nil {
		x.swaps = map[chain.Hotkey]time.Time{}
	}
	if x.came == nil {
		x.came = map[chain.Hotkey]time.Time{}
	}
	x.uids = make(map[chain.Hotkey]chain.UID, len(m.Neurons))
	for i := range m.Neurons {
		if h := m.Neurons[i].Hotkey; h != "" {
			x.uids[h] = chain.UID(i)
			if _, held := was[h]; x.known && !held {
				x.came[h] = at
				if i < len(before.Neurons) && before.Neurons[i].Hotkey != "" && before.Neurons[i].RegisteredAt == m.Neurons[i].RegisteredAt {
					x.swaps[h] = at
				}
			}
			delete(x.left, h)
		}
	}
	if x.known {
		x.moved = at
		for _, h := range hotkeysOf(was) {
			if _, holds := x.uids[h]; !holds {
				x.leave(h, at, s.facts.Earned)
			}
		}
	}
	x.known = true
}

func (x *slots) leave(h chain.Hotkey, at time.Time, earned func(chain.Hotkey) chain.Rao) {
	if x.left == nil {
		x.left, x.paid = map[chain.Hotkey]time.Time{}, map[chain.Hotkey]chain.Rao{}
	}
	x.left[h] = at
	x.order = append(x.order, h)
	if earned != nil {
		x.paid[h] = earned(h)
	}
}
