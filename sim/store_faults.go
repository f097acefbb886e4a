package sim

var storePortFaults = []portFault{
	{PortStore, "store.commit_failed", Failed},
	{PortStore, "store.commit_unreported", AppliedFailed},
}
