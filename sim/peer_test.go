package sim

import (
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/wire"
	"bettensor/sim/population"

	"pgregory.net/rapid"
)

// besieged is every raw peer among honest miners.
const besieged = `
duration: 1d
validators: [{name: v0}, {name: v1}]
miners:
  - {kind: skilled, name: honest, count: 2}
  - {kind: random, name: others, count: 2}
  - {kind: latecomer}
  - {kind: forger}
  - {kind: skimmer}
  - {kind: duplicator}
  - {kind: overspender}
  - {kind: overspender, name: polled, transport: http}
  - {kind: tamperer}
  - {kind: impersonator}
  - {kind: replayer}
  - {kind: flooder, parameters: {rate: 100, every: 12h, length: 70s}}
  - {kind: stormer, parameters: {every: 1h}}
  - {kind: oversizer, parameters: {every: 1h}}
  - {kind: garbler, parameters: {every: 5m}}
`

// TestRawPeers: each attack is carried out, and does not come to what it is after;
// no invariant breaks, and honest miners have their answers.
func TestRawPeers(t *testing.T) {
	t.Parallel()
	r := ran(t, planOf(t, besieged), RunOptions{})
	for _, i := range r.Invariants {
		if i.Violations > 0 {
			t.Errorf("%s: %s", i.Name, i.First)
		}
	}
	seen := map[string]bool{}
	for _, m := range r.Miners {
		a := m.Attack
		if population.Raw(m.Kind) != (a != nil) {
			t.Errorf("%s has the count of an attack: %v", m.Name, a)
		}
		if a == nil {
			if m.Rejected > 0 || m.Accepted != m.Predictions {
				t.Errorf("%s: %d of %d accepted, %d rejected", m.Name, m.Accepted, m.Predictions, m.Rejected)
			}
			continue
		}
		seen[m.Kind] = true
		carried, stopped := a.Rejected > 0, m.Accepted == 0
		switch m.Kind {
		case "skimmer":
			carried, stopped = m.Accepted > 0, m.CLV < 1.02
		case "duplicator":
			stopped = m.Accepted > 0 && m.Accepted < m.Predictions/2/3 // of six attempts one is new and one a good one under another's id
		case "overspender":
			// The clock is at midnight twice: one budget on this side of the last.
			stopped = m.Wagered <= 2*int64(bet.DailyBudget) && m.Wagered >= int64(bet.DailyBudget)
		case "tamperer":
			stopped = uint64(m.Accepted) < a.Predictions/2
		case "impersonator":
			carried, stopped = a.Errors > 0 && a.Refused > 0, a.Sessions == 2
		case "replayer":
			carried, stopped = a.Refused > 0, a.Sessions == 2 && m.Accepted == 0
		case "flooder":
			carried, stopped = a.Rejected > 0 && a.Closed > 0, uint64(m.Accepted) < a.Predictions/2
		case "stormer", "oversizer", "garbler":
			carried = a.Refused > 0
		}
		if !carried || !stopped {
			t.Errorf("%s: carried out %v, stopped %v: accepted %d of %d, wagered %d, %+v", m.Name, carried, stopped, m.Accepted, m.Predictions, m.Wagered, *a)
		}
	}
	for _, k := range population.Kinds() {
		if k.Raw && !seen[k.Name] {
			t.Errorf("no %s takes part", k.Name)
		}
	}
	if again := ran(t, planOf(t, besieged), RunOptions{}); again.TraceHash != r.TraceHash {
		t.Errorf("two runs, %s and %s", r.TraceHash, again.TraceHash)
	}
}

// TestRawPeersRestart: a crash ends a raw peer's sessions, and it begins again.
func TestRawPeersRestart(t *testing.T) {
	t.Parallel()
	r := ran(t, planOf(t, `
duration: 1d
validators: [{name: v0}]
miners: [{kind: replayer}, {kind: forger}, {kind: random, count: 2}]
faults: [{name: crash, what: process.crash, target: miners.replayer, at: 6h, for: 1m}]
`), RunOptions{})
	if m := r.Miners[0]; m.Attack.Sessions != 2 || r.Violated() > 0 {
		t.Errorf("%d sessions, %d violations", m.Attack.Sessions, r.Violated())
	}
}

// TestDoor: what one address may open, at once and each second, and that the
// oldest stranger leaves where there is no room.
func TestDoor(t *testing.T) {
	at := time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC)
	h, other := &Host{Name: "v"}, &Host{Name: "m"}
	taken := 0
	for range 100 {
		if h.knock(other, at) != nil {
			taken++
		}
	}
	if taken != doorBurst {
		t.Errorf("%d at once", taken)
	}
	if h.knock(other, at.Add(400*time.Millisecond)) != nil || h.knock(other, at.Add(500*time.Millisecond)) == nil {
		t.Error("not two each second")
	}
	if h.knock(&Host{Name: "n"}, at) == nil {
		t.Error("another address pays for it")
	}
}

// TestDoorCounts: what the door counts as connections come, prove who they are
// and end is what going through all of them would find.
func TestDoorCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := &network{}
		h := &Host{Name: "v", ends: map[wire.Conn]*end{}}
		callers := []*Host{{Name: "a"}, {Name: "b"}}
		at := time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC)
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			var open []*end
			for id := range n.next {
				if e := h.ends[id+1]; e != nil {
					open = append(open, e)
				}
			}
			what := rapid.IntRange(0, 3).Draw(t, "what")
			switch {
			case what < 2 || len(open) == 0:
				from := callers[rapid.IntRange(0, 1).Draw(t, "who")]
				h.knock(from, at.Add(time.Duration(step)*time.Hour))
				n.next++
				e := &end{id: n.next, host: h, peer: &end{host: from}, open: true}
				h.ends[e.id] = e
				h.enter(e)
			case what == 2:
				(&transport{host: h}).Prove(rapid.SampledFrom(open).Draw(t, "which").id, "")
			default:
				rapid.SampledFrom(open).Draw(t, "which").shut()
			}
			var oldest *end
			strangers, count := 0, map[*Host][2]int{}
			for id := range n.next {
				e := h.ends[id+1]
				if e == nil {
					continue
				}
				c := count[e.peer.host]
				c[0]++
				if !e.proved {
					c[1]++
					if strangers++; oldest == nil {
						oldest = e
					}
				}
				count[e.peer.host] = c
			}
			for from, c := range h.callers {
				if [2]int{c.open, c.unproved} != count[from] {
					t.Fatalf("%s has %d open and %d unproved, want %v", from.Name, c.open, c.unproved, count[from])
				}
			}
			if h.strangers.n != strangers {
				t.Fatalf("%d strangers, want %d", h.strangers.n, strangers)
			}
			if strangers > 0 && h.strangers.oldest() != oldest {
				t.Fatal("another one is the oldest")
			}
		}
	})
}

// TestRogues: which hostile validators a world can have.
func TestRogues(t *testing.T) {
	const two = "duration: 1d\nvalidators: [{name: a}, {name: b}]\nminers: [{kind: random, name: crowd}]\n"
	for _, x := range []struct {
		name  string
		which int
		rogue Rogue
		want  string
	}{
		{"behind an honest one", 1, Rogue{Kind: "lazy"}, ""},
		{"the first", 0, Rogue{Kind: "lazy"}, "the first validator must be honest"},
		{"of no kind", 1, Rogue{Kind: "lazier"}, "have: copier, lazy, biased"},
		{"its own leader", 1, Rogue{Kind: "copier", Leader: "b"}, "no honest validator"},
		{"friends of nobody", 1, Rogue{Kind: "biased", Friends: "x"}, "no group of miners"},
		{"friends", 1, Rogue{Kind: "biased", Friends: "crowd"}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := planOf(t, two)
			p.Config.Validators[x.which].Rogue = x.rogue
			w, err := p.NewWorld()
			if err == nil {
				w.Close()
			}
			if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
}
