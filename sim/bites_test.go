package sim

import (
	"bytes"
	"strings"
	"testing"

	"bettensor/sim/fault"
)

// TestIdleFaults: a fault that never began, or met nothing, is told, and what it
// would have hit; one that bites is counted. Counting changes nothing.
func TestIdleFaults(t *testing.T) {
	const faults = `
faults:
  - {name: never, what: chain.outage, when: "weights_set#1000"}
  - {name: idle, what: chain.set_weights_failed, at: 1m, for: 1m}
  - {name: same, what: clock.skew, target: miners, at: 1h, for: 1h, parameters: {ahead: 0s}}
  - {name: wide, what: network.bandwidth, at: 1h, for: 1h, parameters: {bandwidth: 10MB}}
  - {name: twice, what: process.crash, target: validators, every: 6h, for: 1m, until: 13h}
  - {name: asleep, what: process.pause, target: validators, at: 6h, for: 30s}
`
	p := planOf(t, stoppedDay+"network: {bandwidth: 1MB}\n"+faults)
	r := ran(t, p, RunOptions{})
	want := []FaultResult{
		{"never", "chain.outage", "all", 0, 0, "requests failed"},
		{"idle", "chain.set_weights_failed", "validators", 1, 0, "extrinsics lost"},
		{"same", "clock.skew", "miners", 1, 0, "clocks set"},
		{"wide", "network.bandwidth", "all", 1, 0, "frames slowed"},
		{"twice", "process.crash", "validators", 2, 2, "processes ended"},
		{"asleep", "process.pause", "validators", 1, 0, "processes held"}, // that is down then
	}
	for i, f := range r.Faults {
		if i >= len(want) || f != want[i] {
			t.Errorf("fault %d: %+v", i, f)
		}
	}
	var b bytes.Buffer
	if err := r.WriteSummary(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"6 faults, 6 windows, 2 restarts of nodes\n", "  never (chain.outage) never began\n", "  idle (chain.set_weights_failed) did nothing: 1 window, no extrinsics lost\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("%q is missing in\n%s", line, &b)
		}
	}
	if got := IdleFaults([][]FaultResult{r.Faults, {{Name: "idle", Hits: 1}}}); strings.Join(got, " ") != "never same wide asleep" {
		t.Errorf("idle in both runs: %v", got)
	}
	for _, k := range fault.Kinds() {
		if hitsOf[k.What] == "" {
			t.Errorf("nothing says what the hits of %s are", k.What)
		}
	}
	if len(hitsOf) != len(fault.Kinds()) {
		t.Errorf("%d kinds have hits, and there are %d", len(hitsOf), len(fault.Kinds()))
	}
}
