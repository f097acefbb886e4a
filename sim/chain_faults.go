package sim

var chainPortFaults = []portFault{
	{PortChain, "chain.outage", Failed},
	{PortAxon, "chain.outage", Failed},
	{PortWeights, "chain.outage", Failed},
	{PortWeights, "chain.set_weights_failed", Lost},
	{PortWeights, "chain.set_weights_unreported", AppliedLost},
}

// beginChain does what a fault of the chain does at once.
func (a *active) beginChain() {}

func (a *active) endChain() {}
