package sim

import (
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"
)

// rareBugs need things to meet that seldom do: a crash within an instant, two
// answers at once. One run shows nothing of them; a sweep does.
var rareBugs = []Bug{
	{Name: "intent-lost-in-a-crash", Doc: "What a crash leaves in doubt of weights under way counts as never sent.",
		Finds: []string{"one-vote-at-a-time"}, Seeds: 1000, days: 1, more: `
chain: {tempo: 100, weights_rate_limit: 10}
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 14h, for: 5s, every: 97m}
`, plant: func(w *World) {
			reopened(w, func(s store.Snapshot, b *store.Batch) error {
				return ledger.Weights.Scan(s, nil, nil, func(k uint64, row *ledger.WeightSet) error {
					if row.Phase.Open() {
						row.Phase = ledger.Superseded
						ledger.Weights.Put(b, k, row)
					}
					return nil
				})
			})
		}},
	{Name: "kick-off-rounded-up", Doc: "Kick-offs are taken for a tenth of a second later; what was sent in time is under way for a minute.",
		Finds: []string{"no-late-acceptance"}, Seeds: 1000, days: 1, more: `  - {kind: late, name: last, count: 3, parameters: {before: 1m}}
faults:
  - {name: far, what: network.delay, target: miners.last, at: 1h, parameters: {delay: 50s, jitter: 20s}}
`, plant: func(w *World) {
			misread(w, func(g *bet.Game) {
				if g.Status == bet.Scheduled {
					g.Start, g.Active = g.Start.Add(100*time.Millisecond), true
				}
			})
		}},
	{Name: "dial-lost-at-start", Doc: "Who dials a validator in the first tenth of a second after its restart waits for an answer for ever.",
		Finds: []string{"sessions-back"}, Seeds: 1000, days: 1, more: `
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 2h, for: 30s, every: 3h, until: 19h}
phases:
  - {name: chaos, until: 20h}
  - {name: heal, faults: off, settle_within: 2h}
`, plant: func(w *World) {
			var began time.Time
			between(w, true, func(h *Host, _ *node.Ports) { began = w.now() })
			onWire(w, false, func(*Host) *tapped {
				lost := false
				return &tapped{deaf: func() bool {
					lost = lost || began.After(w.cfg.Start) && w.now().Sub(began) < 100*time.Millisecond
					return lost
				}, send: func(c wire.Conn, frame []byte, _ *wire.Message, pass func(wire.Conn, []byte)) { pass(c, frame) }}
			})
		}},
	{Name: "answers-crossed", Doc: "Of nine acceptances that leave at one instant the first and the last reach each other's miner.",
		Finds: []string{"one-acknowledgement"}, Seeds: 1000, days: 1, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				var first *answer
				n := 0 // since first
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					if m.Kind != wire.ConfirmationMessage || !m.Confirmation.OK {
						pass(c, frame)
						return
					}
					a, l := &answer{c, frame}, h.Loop
					if first == nil {
						first, n = a, 0
					} else if n++; n == 8 && first.to != c {
						first.to, a.to = c, first.to
					}
					w.Sched.After(time.Microsecond, sched.Func(func() {
						if first == a {
							first = nil
						}
						if h.Loop == l {
							pass(a.to, a.frame)
						}
					}))
				}}
			})
		}},
}

// answer is a confirmation on its way out.
type answer struct {
	to    wire.Conn
	frame []byte
}
