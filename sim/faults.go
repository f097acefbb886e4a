package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"bettensor/sched"
	"bettensor/sim/fault"
)

// active is a fault's window while it lasts, on one host. What a family of kinds
// does there is in a file of its own: process_faults.go, clock_faults.go,
// network_faults.go, chain_faults.go, feed_faults.go, store_faults.go.
type active struct {
	f   *fault.Fault
	id  string // fault.Window.ID, as injected errors and traces show it
	h   *Host
	rng *rand.Rand // of this window on this host: its draws shift nobody else's

	seed   uint64 // of the window
	length time.Duration
	open   bool // it lasts to the end of the run

	first *active // the window on its first host: what is done once for all is done there
	chain chainWindow
	feed  feedWindow

	began, until time.Time
	over         bool

	count *FaultResult // of the fault, over all windows and hosts; nil in tests of one window

	others  []*Host // network.partition: whom it is cut off from, nil for everyone
	cut     bool    // network.flapping: connections are refused at the moment
	commits int     // process.crash_at_commit: commits so far
	spent   int64   // store.full: bytes written
}

// repeat does something now, and again every so often until the window ends.
func (a *active) repeat(every time.Duration, do func()) {
	if a.over {
		return
	}
	do()
	a.h.world.Sched.After(every, sched.Func(func() { a.repeat(every, do) }))
}

// injected is an error that the window makes, text saying what failed. A nil
// window is a test's.
func (a *active) injected(text string) error {
	if a == nil {
		return errors.New("injected: " + text)
	}
	return fmt.Errorf("injected by %s: %s", a.id, text)
}

// begin does what a kind of fault does at once. What it changes while it lasts
// is asked for where it matters: Host.suffers, Host.faultFate and their like.
func (a *active) begin() {
	switch a.f.Family() {
	case "process":
		a.beginProcess()
	case "clock":
		a.h.setClock()
		if a.f.Params.Ahead != 0 || a.f.Params.PPM != 0 {
			a.bit(1)
		}
	case "network", "miner":
		a.beginNetwork()
	case "chain":
		a.beginChain()
	case "feed":
		a.beginFeed()
	case "store":
		a.beginStore()
	}
}

// end undoes what lasted. The window is not among the host's active ones any more.
func (a *active) end() {
	switch a.f.Family() {
	case "process":
		a.endProcess()
	case "clock":
		a.h.setClock()
	case "store":
		a.endStore()
	case "network", "miner":
		a.endNetwork()
	case "chain":
		a.endChain()
	case "feed":
		a.endFeed()
	}
}

// schedule plans all windows of all faults. Each fault draws from a stream of
// its own, so that taking one away leaves the others as they were.
func (w *World) schedule(faults []fault.Fault, duration time.Duration) error {
	for i := range faults {
		f := &faults[i]
		target, err := fault.ParseTarget(f.Target)
		if err != nil {
			return fmt.Errorf("fault %s: target %q: %w", f.Name, f.Target, err)
		}
		hosts := w.targets(target)
		if len(hosts) == 0 {
			return fmt.Errorf("fault %s: nobody is %q", f.Name, f.Target)
		}
		others, err := w.others(f)
		if err != nil {
			return err
		}
		w.feedLies = w.feedLies || f.Family() == "feed"
		plan := sched.NewStream(w.cfg.Seed, f.Stream(), "windows")
		count := w.count(f)
		open := func(win fault.Window) {
			var hit []*active
			for _, h := range w.hitBy(win, hosts, f.Params.Share) {
				hit = append(hit, &active{f: f, id: win.ID(f), h: h, seed: win.Draw, length: win.End - win.Start, open: win.End >= duration, rng: sched.NewStream(win.Draw, h.Name), others: others, count: count})
				hit[len(hit)-1].first = hit[0]
			}
			w.Sched.Push(w.cfg.Start.Add(win.Start), sched.Func(func() { w.beginFault(hit, win.End-win.Start) }))
			w.Sched.Push(w.cfg.Start.Add(win.End), sched.Func(func() { w.endFault(hit) }))
		}
		if event, nth, ok := f.Trigger(); ok {
			w.triggers = append(w.triggers, &trigger{event: event, nth: nth, fire: func() {
				win, ok := f.Triggered(w.now().Sub(w.cfg.Start), duration, plan)
				if list := clip([]fault.Window{win}, w.cfg.Quiet); ok && len(list) > 0 {
					open(list[0])
				}
			}})
			continue
		}
		windows, err := f.Occurrences(duration, plan)
		if err != nil {
			return fmt.Errorf("fault %s: %w", f.Name, err)
		}
		for _, win := range clip(windows, w.cfg.Quiet) {
			open(win)
		}
	}
	if len(w.triggers) > 0 {
		w.SetTracer(w.tracer) // the triggers listen there
	}
	return nil
}

// hitBy are the hosts that a window hits: those it names, or a share of the
// target.
func (w *World) hitBy(win fault.Window, target []*Host, share float64) []*Host {
	if win.Hit == nil {
		return sample(target, share, sched.NewStream(win.Draw))
	}
	var hosts []*Host
	for _, name := range win.Hit {
		if h := w.Host(name); h != nil {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// others are whom a partition cuts its target off from, nil for everyone.
func (w *World) others(f *fault.Fault) ([]*Host, error) {
	if f.Params.Between == "" || f.Params.Between == "all" {
		return nil, nil
	}
	t, err := fault.ParseTarget(f.Params.Between)
	if err != nil {
		return nil, fmt.Errorf("fault %s: between %q: %w", f.Name, f.Params.Between, err)
	}
	hosts := w.targets(t)
	if len(hosts) == 0 {
		return nil, fmt.Errorf("fault %s: between: nobody is %q", f.Name, f.Params.Between)
	}
	return hosts, nil
}

// memberName is the name of a group's member, from 0.
func memberName(group string, i int) string { return fmt.Sprintf("%s-%d", group, i) }

// events are the names that a trigger can wait for: the topics of both roles.
var events = []string{
	"game_settled", "game_update", "games_updated", "metagraph_updated", "miner_connected", "miner_disconnected",
	"miner_started", "prediction_confirmed", "prediction_received", "prediction_rejected", "prediction_result",
	"prediction_settled", "prediction_stored", "prediction_submitted", "predictions_generated", "scoring_complete",
	"task_completed", "task_failed", "validator_connected", "validator_disconnected", "validator_started", "weights_epoch",
	"weights_failed", "weights_set",
}

// trigger starts a fault at the nth event of a name.
type trigger struct {
	event string
	nth   uint64
	seen  uint64
	fire  func()
}

// triggering counts bus events for faults with a `when`, and passes them on.
type triggering struct {
	w    *World
	next sched.Tracer
}

func (t triggering) Trace(l *sched.Loop, kind, name string, v any) {
	if kind == "bus" {
		for _, x := range t.w.triggers {
			if x.event == name {
				if x.seen++; x.seen == x.nth {
					t.w.Sched.After(0, sched.Func(x.fire))
				}
			}
		}
	}
	if t.next != nil {
		t.next.Trace(l, kind, name, v)
	}
}

func (w *World) targets(t fault.Target) []*Host {
	var out []*Host
	for _, h := range w.Hosts {
		switch {
		case h.IsValidator() && t.Validators && (t.Name == "" || t.Name == h.group()):
			out = append(out, h)
		case !h.IsValidator() && t.Miners && (t.Name == "" || t.Name == h.group()) && (t.Index < 0 || h.Name == memberName(t.Name, t.Index)):
			out = append(out, h)
		}
	}
	return out
}

func (h *Host) group() string {
	if h.validator != nil {
		if h.validator.Group != "" {
			return h.validator.Group
		}
		return h.Name
	}
	return h.miner.Group
}

// sample picks a share of the hosts, at least one, in their own order.
func sample(hosts []*Host, share float64, rng *rand.Rand) []*Host {
	if share >= 1 {
		return hosts
	}
	n := max(int(share*float64(len(hosts))+0.5), 1)
	picked := rng.Perm(len(hosts))[:n]
	slices.Sort(picked)
	out := make([]*Host, n)
	for i, k := range picked {
		out[i] = hosts[k]
	}
	return out
}

func (w *World) beginFault(hit []*active, length time.Duration) {
	w.FaultWindows++
	for i, a := range hit {
		if i == 0 {
			a.count.Windows++
			w.note(a.f, length)
		}
		w.trace("fault", a.f.What, map[string]any{"fault": a.id, "node": a.h.Name, "for": length.String()})
		a.h.active = append(a.h.active, a)
		a.began, a.until = w.now(), w.now().Add(length)
		a.begin()
	}
}

func (w *World) endFault(hit []*active) {
	for _, a := range hit {
		i := slices.Index(a.h.active, a)
		if i < 0 {
			continue
		}
		a.h.active, a.over = slices.Delete(a.h.active, i, i+1), true
		w.trace("fault_end", a.f.What, map[string]any{"fault": a.id, "node": a.h.Name})
		a.end()
	}
}

// suffers returns the first active fault of a kind.
func (h *Host) suffers(what string) *active {
	for _, a := range h.active {
		if a.f.What == what {
			return a
		}
	}
	return nil
}

// strikes returns the first active fault of a kind that hits the request, frame
// or commit at hand.
func (h *Host) strikes(what string) *active {
	for _, a := range h.active {
		if a.f.What == what && a.hits() {
			return a
		}
	}
	return nil
}

// hits draws whether the request, frame or commit at hand is one of the rate that
// the window hits: all, where the kind has no rate.
func (a *active) hits() bool {
	r := a.f.Params.Rate
	return r == 0 || r >= 1 || a.rng.Float64() < r
}

// faultDelay is what faults of a kind add to each message or commit.
func (h *Host) faultDelay(what string) (d time.Duration) {
	for _, a := range h.active {
		if a.f.What == what && a.hits() {
			late := a.delay()
			if d += late; late > 0 {
				a.bit(1)
			}
		}
	}
	return d
}

// delay draws one delay with its jitter.
func (a *active) delay() time.Duration {
	d := a.f.Params.Delay
	if j := a.f.Params.Jitter; j > 0 {
		d += time.Duration(a.rng.Int64N(int64(j) + 1))
	}
	return d
}

// portFault is what a kind of fault makes of a port's requests.
type portFault struct {
	port Port
	what string
	fate Fate
	only func(*active) bool // where not every request of a rate is hit
}

var portFaults = slices.Concat(chainPortFaults, feedPortFaults, storePortFaults)

// faultFate is what active faults make of a request, and whose doing it is.
func (h *Host) faultFate(port Port) (Fate, *active) {
	for _, k := range portFaults {
		if k.port == port {
			if k.only != nil {
				if a := h.suffers(k.what); a != nil && k.only(a) {
					a.bit(1)
					return k.fate, a
				}
			} else if a := h.strikes(k.what); a != nil {
				a.bit(1)
				return k.fate, a
			}
		}
	}
	return Normal, nil
}
