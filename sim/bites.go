package sim

import (
	"fmt"
	"io"
	"slices"

	"bettensor/sim/fault"
)

// FaultResult is what one fault of the scenario came to. A fault with windows and
// no hits was switched on and met nothing: the scenario does not test what it
// says.
type FaultResult struct {
	Name    string `json:"name"`
	What    string `json:"what"`
	Target  string `json:"target"`
	Windows int    `json:"windows"` // that began
	Hits    uint64 `json:"hits"`    // how often it did something, counted in Of
	Of      string `json:"of"`      // as in "commits failed"
}

// String is the fault and what came of it, in words.
func (f FaultResult) String() string {
	switch {
	case f.Windows == 0:
		return fmt.Sprintf("%s (%s) never began", f.Name, f.What)
	case f.Hits == 0:
		return fmt.Sprintf("%s (%s) did nothing: %s, no %s", f.Name, f.What, Counted(f.Windows, "window"), f.Of)
	}
	return fmt.Sprintf("%s (%s): %s, %s %s", f.Name, f.What, Counted(f.Windows, "window"), grouped(f.Hits), f.Of)
}

// Idle says that the fault did nothing.
func (f FaultResult) Idle() bool { return f.Hits == 0 }

// hitsOf is what the hits of each kind of fault are, in words.
var hitsOf = map[string]string{
	"process.crash": "processes ended", "process.crash_at_commit": "processes ended", "process.restart_loop": "processes ended",
	"process.pause": "processes held", "process.slow": "events slowed", "process.panic": "services doomed",
	"clock.skew": "clocks set", "clock.drift": "clocks set", "clock.jump": "clocks set",
	"miner.disconnect": "connections cut or refused", "network.flapping": "connections cut or refused",
	"network.mass_disconnect": "connections cut", "network.half_open": "connections lost",
	"network.loss": "frames lost on their way, once or more", "network.delay": "frames delayed", "network.duplication": "frames doubled",
	"network.reordering": "frames held up", "network.corruption": "frames corrupted", "network.truncation": "frames broken off",
	"network.partition": "frames and connections held up", "network.bandwidth": "frames slowed", "network.slow_reader": "frames slowed",
	"chain.outage": "requests failed", "chain.slow": "answers delayed", "chain.rate_limited": "requests refused",
	"chain.stale_head": "requests answered", "chain.lying_head": "requests answered", "chain.reorg": "requests on the branch",
	"chain.set_weights_failed": "extrinsics lost", "chain.set_weights_unreported": "extrinsics unanswered",
	"chain.set_weights_refused": "extrinsics refused", "chain.set_weights_misreported": "extrinsics misreported",
	"chain.set_weights_pretended": "extrinsics lost", "chain.set_weights_reverted": "extrinsics reverted",
	"chain.nonce_clash": "extrinsics refused", "chain.hyperparameters": "changes of the chain", "chain.upgrade": "changes of the chain and extrinsics refused",
	"chain.deregistered": "slots lost", "chain.hotkey_swapped": "hotkeys swapped", "chain.permit_lost": "stakes withdrawn",
	"chain.registration_burst": "newcomers", "chain.drand_missing": "commits held up",
	"feed.outage": "polls failed", "feed.slow": "answers delayed", "feed.rate_limited": "polls refused", "feed.stale": "answers from the cache",
	"feed.truncated": "games left out", "feed.late_results": "results held back", "feed.wrong_results": "results told wrong",
	"feed.bad_odds": "games told wrong", "feed.malformed": "games garbled", "feed.renamed": "games renamed", "feed.clock_zone": "games told wrong",
	"feed.duplicates": "games told twice", "feed.postponed": "games called off", "feed.void": "games stopped", "feed.moved_kick_off": "games moved",
	"store.slow": "commits delayed", "store.commit_failed": "commits failed", "store.commit_unreported": "commits unreported",
	"store.stall": "commits stalled", "store.full": "commits failed", "store.read_only": "commits failed and starts refused", "store.power_cut": "machines cut off",
}

// count begins to count the hits of a fault.
func (w *World) count(f *fault.Fault) *FaultResult {
	r := &FaultResult{Name: f.Name, What: f.What, Target: f.Target, Of: hitsOf[f.What]}
	w.faults = append(w.faults, r)
	return r
}

// bit counts what the window did to its host. It is not part of the world: no
// hash, no draw and no trace tells of it.
func (a *active) bit(n int) {
	if a.count != nil && n > 0 {
		a.count.Hits += uint64(n)
	}
}

// faultResults are the faults in the order of the scenario.
func (w *World) faultResults() (out []FaultResult) {
	for _, f := range w.faults {
		out = append(out, *f)
	}
	return out
}

// writeFaults says how many windows of faults there were, and which faults did
// nothing.
func (r *Result) writeFaults(w io.Writer) {
	if len(r.Faults) == 0 {
		return
	}
	fmt.Fprintf(w, "%s, %s, %s of nodes\n", Counted(len(r.Faults), "fault"), Counted(r.FaultWindows, "window"), Counted(r.Restarts, "restart"))
	for _, f := range r.Faults {
		if f.Idle() {
			fmt.Fprintf(w, "  %s\n", f)
		}
	}
}

// writeHits prints what each fault came to.
func (r *Result) writeHits(w io.Writer) {
	if len(r.Faults) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := table(w)
	fmt.Fprintln(t, "fault\twhat\twindows\thits\tof what\t")
	for _, f := range r.Faults {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t\n", f.Name, f.What, f.Windows, f.Hits, f.Of)
	}
	t.Flush()
}

// IdleFaults are the names of faults that did nothing in any of several runs of
// one scenario, in its order.
func IdleFaults(runs [][]FaultResult) (names []string) {
	busy := map[string]bool{}
	for _, faults := range runs {
		for _, f := range faults {
			busy[f.Name] = busy[f.Name] || !f.Idle()
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return busy[name] })
}
