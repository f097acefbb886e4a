package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/model"
	"bettensor/sched"
	"bettensor/sim/fault"

	gocmp "github.com/google/go-cmp/cmp"
)

// A day in which everything that can be drawn is drawn: latencies, losses, faults
// that happen or not and hit some or others, models that roll dice.
const drawnDay = `
start: 2024-08-17
duration: 1d
network: {jitter: 30ms, loss: 0.01, duplication: 0.01, reordering: 0.01}
disk: {commit_jitter: 5ms}
validators: [{name: v0}]
miners:
  - {kind: skilled, count: 2}
  - {kind: busy, count: 2, parameters: {picks: 12}}
  - {kind: busy, name: last, count: 2, parameters: {picks: 8}}
node: {weights_move: 0}
`

const drawnFaults = `
  - {name: cut, what: miner.disconnect, target: miners.busy, every: 3h, for: 10m, probability: 0.6, parameters: {share: 0.5}}
  - {name: loss, what: network.loss, target: miners.skilled, every: 5h, for: 1h, probability: 0.7, parameters: {loss: 0.1}}
  - {name: disk, what: store.slow, target: validators, at: 9h, for: 2h, parameters: {delay: 1s, jitter: 1s}}
`

// drawn is what came of the draws: what each miner sent and when, the windows of
// faults.
type drawn struct {
	frames map[string][]string
	faults []string
	made   map[string]int
	hash   string
}

func draws(t *testing.T, p *Plan, prepare func(*World)) drawn {
	t.Helper()
	d := drawn{frames: map[string][]string{}, made: map[string]int{}}
	r := ran(t, p, RunOptions{Prepare: func(w *World) {
		w.SetTracer(traceFunc(func(_ *sched.Loop, kind, name string, v any) {
			if strings.HasPrefix(kind, "fault") {
				d.faults = append(d.faults, fmt.Sprintln(w.now(), kind, name, v))
			}
		}))
		w.Mutate = func(from, _ *Host, frame []byte) []byte {
			if !from.IsValidator() {
				d.frames[from.Name] = append(d.frames[from.Name], fmt.Sprintf("%s %s", w.now().Format(time.RFC3339Nano), frame))
			}
			return frame
		}
		if prepare != nil {
			prepare(w)
		}
	}})
	for _, m := range r.Miners {
		d.made[m.Name] = m.Predictions
	}
	d.hash = r.TraceHash
	return d
}

// TestFaultsThatNeverFire: a fault of any kind that does not happen is as good as
// none: not one draw of anybody shifts, and the hash is the same.
func TestFaultsThatNeverFire(t *testing.T) {
	t.Parallel()
	var never strings.Builder
	for i, k := range fault.Kinds() {
		target := ""
		switch {
		case k.Target != "":
		case k.Hits == fault.Validators:
			target = ", target: validators"
		default:
			target = ", target: miners"
		}
		if k.Needs() {
			target += fmt.Sprintf(", parameters: {%s: 7}", k.Params[0].Key)
		}
		fmt.Fprintf(&never, "  - {name: never%d, what: %s, every: 2h, for: 1h, probability: 0%s}\n", i, k.What, target)
		fmt.Fprintf(&never, "  - {name: waits%d, what: %s, when: 'weights_set#1000000', for: 1h%s}\n", i, k.What, target)
	}
	for _, order := range []string{"order=fixed", "order=explore"} {
		want := draws(t, planOf(t, drawnDay+"faults:"+drawnFaults, order), nil)
		got := draws(t, planOf(t, drawnDay+"faults:\n"+never.String()+drawnFaults, order), nil)
		if want.hash != got.hash || len(want.faults) < 8 {
			t.Errorf("%s: hash %s with faults that never fire, %s without; %d windows", order, got.hash, want.hash, len(want.faults))
		}
	}
}

// TestFaultTakenAway: the other faults have the windows and the victims that they had.
func TestFaultTakenAway(t *testing.T) {
	t.Parallel()
	all := draws(t, planOf(t, drawnDay+"faults:"+drawnFaults), nil)
	lines := strings.SplitAfter(strings.TrimPrefix(drawnFaults, "\n"), "\n")[:3]
	for i, gone := range []string{"cut#", "loss#", "disk#"} {
		rest := slices.Delete(slices.Clone(lines), i, i+1)
		got := draws(t, planOf(t, drawnDay+"faults:\n"+strings.Join(rest, "")), nil).faults
		want := slices.DeleteFunc(slices.Clone(all.faults), func(s string) bool { return strings.Contains(s, gone) })
		if d := gocmp.Diff(want, got); d != "" || len(want) == len(all.faults) {
			t.Errorf("without %s the other faults are (-with +without)\n%s", gone, d)
		}
	}
}

// until drops what a model picks after its first n.
type until struct {
	model.Model
	left *int
}

func (u until) Picks(now time.Time, b *model.Book) []model.Pick {
	picks := u.Model.Picks(now, b)
	picks = picks[:min(len(picks), *u.left)]
	*u.left -= len(picks)
	return picks
}

// TestMinerTakenAway: without the last miner, or without its last prediction, the
// others send byte for byte what they sent, when they sent it, and the faults hit
// whom they hit.
func TestMinerTakenAway(t *testing.T) {
	t.Parallel()
	// A disk that takes no time: on any other one miner's rows wait for another's,
	// and that is an effect, not a draw.
	sets := []string{"disk.commit_latency=0s", "disk.commit_jitter=0s", "faults.disk.parameters.delay=0s", "faults.disk.parameters.jitter=0s"}
	for _, order := range []string{"fixed", "explore"} {
		sets := append(slices.Clone(sets), "order="+order)
		all := draws(t, planOf(t, drawnDay+"faults:"+drawnFaults, sets...), nil)
		fewer := draws(t, planOf(t, drawnDay+"faults:"+drawnFaults, append(sets, "miners.last.count=1")...), nil)
		quieter := draws(t, planOf(t, drawnDay+"faults:"+drawnFaults, sets...), func(w *World) {
			h := w.Host("last-1")
			make, left := h.miner.Model, all.made["last-1"]-1
			h.miner.Model = func() (model.Model, error) {
				m, err := make()
				return until{m, &left}, err
			}
		})
		if all.made["last-1"] < 2 || quieter.made["last-1"] != all.made["last-1"]-1 || quieter.hash == all.hash || fewer.hash == all.hash {
			t.Fatalf("%s: nothing was taken away: %v, then %v", order, all.made, quieter.made)
		}
		for name, want := range all.frames {
			if name == "last-1" {
				continue
			}
			for what, d := range map[string]drawn{"the last miner": fewer, "its last prediction": quieter} {
				if got := d.frames[name]; !slices.Equal(want, got) {
					i := 0
					for i < min(len(want), len(got)) && want[i] == got[i] {
						i++
					}
					t.Errorf("%s: without %s, %s sends %d frames and not %d, first other\n%.400s\n%.400s", order, what, name, len(got), len(want), at(got, i), at(want, i))
				}
			}
		}
		for what, d := range map[string]drawn{"the last miner": fewer, "its last prediction": quieter} {
			if x := gocmp.Diff(all.faults, d.faults); x != "" {
				t.Errorf("%s: without %s faults differ\n%s", order, what, x)
			}
		}
	}
}
