package sim

// beginNetwork does what a fault of the network does at once.
func (a *active) beginNetwork() {
	switch a.f.What {
	case "miner.disconnect":
		a.h.world.net.breakAll(a.h, a.injected("connection reset").Error())
	}
}

func (a *active) endNetwork() {
	switch a.f.What {
	case "network.partition":
		a.h.world.net.heal(a.h)
	}
}

// faultLoss is the share of packets that faults make a host's links lose.
func (h *Host) faultLoss() float64 {
	keep := 1.0
	for _, a := range h.active {
		if a.f.What == "network.loss" {
			keep *= 1 - a.f.Params.Loss
		}
	}
	return 1 - keep
}

// partitioned says whether a partition holds up what a host hears (in), or what
// it says (out).
func (h *Host) partitioned(direction string) bool {
	for _, a := range h.active {
		if a.f.What == "network.partition" && (a.f.Params.Direction == "both" || a.f.Params.Direction == direction) {
			return true
		}
	}
	return false
}
