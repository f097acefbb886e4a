package sim

var feedPortFaults = []portFault{
	{PortFeed, "feed.outage", Failed},
}

// beginFeed does what a fault of the games feed does at once.
func (a *active) beginFeed() {}

func (a *active) endFeed() {}
