package sim

var feedPortFaults = []portFault{
	{port: PortFeed, what: "feed.outage", fate: Failed},
}

// beginFeed does what a fault of the games feed does at once.
func (a *active) beginFeed() {}

func (a *active) endFeed() {}

// feedWindow is what a window of a fault of the feed keeps while it lasts.
type feedWindow struct{}
