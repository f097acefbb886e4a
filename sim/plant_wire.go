package sim

import (
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/sched"
)

// tapped is a transport of which a bug sees what a node sends, and may hold it,
// change it or lose it.
type tapped struct {
	wire.Transport
	dialled func()
	deaf    func() bool // what is dialled is lost
	send    func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte))
	open    *wire.Opener
}

func (t *tapped) Dial(c wire.Conn, address string) {
	if t.dialled != nil {
		t.dialled()
	}
	if t.deaf == nil || !t.deaf() {
		t.Transport.Dial(c, address)
	}
}

func (t *tapped) Send(c wire.Conn, frame []byte) {
	m, err := t.open.Open(frame)
	if err != nil {
		t.Transport.Send(c, frame)
		return
	}
	t.send(c, frame, &m, t.Transport.Send)
}

// Prove and Admit pass on what a node tells a transport that wants to know.
func (t *tapped) Prove(c wire.Conn, h chain.Hotkey) {
	if g, ok := t.Transport.(wire.Gate); ok {
		g.Prove(c, h)
	}
}

// Admit is told whose requests are to be taken.
func (t *tapped) Admit(hotkeys []chain.Hotkey) {
	if g, ok := t.Transport.(wire.Gate); ok {
		g.Admit(hotkeys)
	}
}

// onWire taps what validators send, or what miners do.
func onWire(w *World, validators bool, tap func(h *Host) *tapped) {
	between(w, validators, func(h *Host, p *node.Ports) {
		t := tap(h)
		t.Transport, t.open = p.Net, w.newOpener()
		p.Net = t
	})
}

// answers lets f change what validators answer; f says whether it did.
func answers(w *World, f func(h *Host, k *wire.Confirmation) bool) {
	onWire(w, true, func(h *Host) *tapped {
		return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
			if m.Kind == wire.ConfirmationMessage && f(h, &m.Confirmation) {
				frame = wire.AppendConfirmation(nil, h.signer, m.Timestamp, m.Nonce, &m.Confirmation)
			}
			pass(c, frame)
		}}
	})
}

// wireBugs lie between a node and its peers.
var wireBugs = []Bug{
	{Name: "refusal-told-as-acceptance", Doc: "What is refused for its odds is told as accepted; a miner offers wrong ones.",
		Finds: []string{"confirmed-is-durable", "acknowledged-is-stored"}, Seeds: 2, provoke: misquotes, plant: func(w *World) {
			answers(w, func(_ *Host, k *wire.Confirmation) bool {
				if k.Code != bet.OddsMismatch {
					return false
				}
				k.OK, k.Code = true, ""
				return true
			})
		}},
	{Name: "acceptance-told-as-conflict", Doc: "Every tenth acceptance is told as a conflict with an earlier prediction of that id.",
		Finds: []string{"one-acknowledgement"}, Seeds: 2, plant: func(w *World) {
			n := 0
			answers(w, func(_ *Host, k *wire.Confirmation) bool {
				if n++; !k.OK || n%10 != 0 {
					return false
				}
				k.OK, k.Code = false, bet.DuplicateConflict
				return true
			})
		}},
	{Name: "refused-then-accepted", Doc: "A prediction is refused for its wager, and accepted a moment later.",
		Finds: []string{"refusal-is-final"}, Seeds: 2, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					if m.Kind == wire.ConfirmationMessage && m.Confirmation.OK {
						k := m.Confirmation
						k.OK, k.Code = false, bet.InvalidWager
						pass(c, wire.AppendConfirmation(nil, h.signer, m.Timestamp, m.Nonce+"0", &k))
					}
					pass(c, frame)
				}}
			})
		}},
	{Name: "acceptance-of-nothing", Doc: "A heartbeat is answered with the acceptance of a prediction that nobody made.",
		Finds: []string{"one-acknowledgement"}, Seeds: 2, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					if m.Kind == wire.HeartbeatAck {
						frame = wire.AppendConfirmation(nil, h.signer, m.Timestamp, m.Nonce, &wire.Confirmation{ID: "made-up", OK: true, At: m.Timestamp})
					}
					pass(c, frame)
				}}
			})
		}},
	{Name: "answers-overtake", Doc: "The first confirmation after a pause is sent behind the one after it.",
		Finds: []string{"acknowledged-in-order"}, Seeds: 5, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				var held func()
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					if m.Kind != wire.ConfirmationMessage {
						pass(c, frame)
						return
					}
					if held != nil {
						pass(c, frame)
						held()
						held = nil
						return
					}
					l := h.Loop
					release := func() { pass(c, frame) }
					held = release
					w.Sched.After(5*time.Millisecond, sched.Func(func() {
						if held != nil && h.Loop == l {
							held()
							held = nil
						}
					}))
				}}
			})
		}},
	{Name: "news-before-it-is-known", Doc: "Miners are told prices that the validator does not hold.",
		Finds: []string{"games-told-are-known"}, Seeds: 2, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					if m.Kind == wire.GameUpdate {
						for i := range m.Games {
							m.Games[i].Odds[bet.Home] += 0.05
						}
						frame = wire.AppendGameUpdate(nil, h.signer, m.Timestamp, m.Nonce, m.Games, m.Page, m.Pages)
					}
					pass(c, frame)
				}}
			})
		}},
	{Name: "slow-recovery", Doc: "For two hours after a restart nobody is welcomed.",
		Finds: []string{"recovery-time"}, Seeds: 2, more: crashes, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				until := w.now().Add(2 * time.Hour)
				again := h.Restarts > 0
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					if m.Kind != wire.Welcome || !again || !w.now().Before(until) {
						pass(c, frame)
					}
				}}
			})
		}},
	{Name: "timers-never-stopped", Doc: "Each frame that a validator sends leaves a timer behind that nobody stops.",
		Finds: []string{"within-bounds"}, Seeds: 2, plant: func(w *World) {
			onWire(w, true, func(h *Host) *tapped {
				return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					for range 50 {
						w.Sched.After(30*24*time.Hour, sched.Func(func() {}))
					}
					pass(c, frame)
				}}
			})
		}},
	{Name: "never-dials-again", Doc: "A miner whose connection was cut after it had authenticated does not dial again.",
		Finds: []string{"sessions-back"}, Seeds: 2, more: crashes, plant: func(w *World) {
			onWire(w, false, func(h *Host) *tapped {
				known := false
				return &tapped{deaf: func() bool { return known }, send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
					known = known || m.Kind == wire.Auth
					pass(c, frame)
				}}
			})
		}},
	{Name: "lost-retry", Doc: "A prediction that was sent is never sent again; the validator loses some with a crash.",
		Finds: []string{"predictions-answered"}, Seeds: 5, more: lossy, plant: func(w *World) {
			sent := map[bet.PredictionID]bool{}
			forgetful(w, sent, nil)
		}},
	{Name: "outbox-forgets-after-reconnect", Doc: "A miner that connects again sends nothing that it made before.",
		Finds: []string{"predictions-answered"}, Seeds: 5, more: lossy, plant: func(w *World) {
			sent, made := map[bet.PredictionID]bool{}, map[bet.PredictionID]bool{}
			forgetful(w, sent, made)
		}},
}

// lossy is what predictions that are not sent again are lost by.
const lossy = busy + `
faults:
  - {name: disk, what: store.slow, target: validators.v0, at: 1d12h, for: 12h, parameters: {delay: 8s}}
  - {name: cut, what: miner.disconnect, target: miners, at: 1d12h, for: 30s, every: 2m, until: 2d}
phases:
  - {name: chaos, until: 2d}
  - {name: heal, faults: off, settle_within: 1h}
`

// busy are miners that bet all day.
const busy = "  - {kind: busy, count: 4, parameters: {picks: 40}}\n"

// forgetful loses predictions that miners send again. With made, of those that
// were sent before, only after a connection was made anew.
func forgetful(w *World, sent, made map[bet.PredictionID]bool) {
	onWire(w, false, func(*Host) *tapped {
		t := &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
			if m.Kind == wire.Prediction {
				id := m.Submission.ID
				if made == nil && sent[id] || made[id] {
					return
				}
				sent[id] = true
			}
			pass(c, frame)
		}}
		if made != nil {
			t.dialled = func() {
				for id := range sent { // order cannot matter: all are forgotten
					made[id] = true
				}
			}
		}
		return t
	})
}

// misquotes is a miner who offers odds that nobody has told.
func misquotes(w *World) {
	onWire(w, false, func(h *Host) *tapped {
		return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
			if m.Kind == wire.Prediction && h.Name == "random-0" {
				m.Submission.OddsA.Number += 0.5
				frame = wire.AppendPrediction(nil, h.signer, m.Timestamp, m.Nonce, m.Submission)
			}
			pass(c, frame)
		}}
	})
}

// replayAuths is somebody who has caught each miner's first authentications and
// sends the newest but one in place of the next.
func replayAuths(w *World) {
	caught := map[*Host][]byte{}
	onWire(w, false, func(h *Host) *tapped {
		return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
			if m.Kind == wire.Auth {
				old := caught[h]
				caught[h] = frame
				if old != nil {
					frame = old
					caught[h] = nil
				}
			}
			pass(c, frame)
		}}
	})
}

// backdate is a miner who bets, in place of a heartbeat, on a game that has begun,
// and writes that it was before.
func backdate(w *World) {
	number := func(x float64) bet.Value { return bet.Value{Kind: bet.Number, Number: x} }
	v := w.Hosts[0]
	onWire(w, false, func(h *Host) *tapped {
		return &tapped{send: func(c wire.Conn, frame []byte, m *wire.Message, pass func(wire.Conn, []byte)) {
			if m.Kind == wire.Heartbeat && v.Up() {
				now := w.now()
				for _, g := range v.Validator.State.SortedGames(func(g *bet.Game) bool {
					return !g.Resulted() && g.Start.Before(now) && g.Start.After(now.Add(-time.Hour))
				}) {
					frame = wire.AppendPrediction(nil, h.signer, m.Timestamp, m.Nonce, &bet.Submission{ID: bet.PredictionID("late-" + string(g.ID) + "-" + h.Name),
						Game: g.ID, Date: g.Start.Add(-time.Minute).Format(time.RFC3339), TeamA: g.TeamA, TeamB: g.TeamB, Outcome: number(0),
						Odds: number(g.Odds[0]), Wager: number(1), OddsA: number(g.Odds[0]), OddsB: number(g.Odds[1]), OddsTie: number(g.Odds[2])})
					break
				}
			}
			pass(c, frame)
		}}
	})
}
