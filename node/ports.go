package node

import (
	"log/slog"

	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"
)

// Ports are all that a node can reach. Live they are sockets, files and
// threads; simulated they are entries of a heap; replayed they are nothing,
// because what came through them is in the recording.
type Ports struct {
	// Chain answers requests to the subtensor.
	Chain sched.Backend[chain.Request, chain.Reply]
	// Feed answers what has changed since; a validator's only.
	Feed sched.Backend[feed.Request, feed.Batch]
	// Net carries frames to and from peers. Its events go to Offer.
	Net wire.Transport
	// Signer signs what the node says.
	Signer wire.Signer
	// Store is the opened store.
	Store Storage
	// Backup copies the store; nil where nobody keeps backups, as in the simulator.
	Backup sched.Backend[BackupRequest, BackupReply]
	// Log takes lines for people; nil for none.
	Log *slog.Logger
	// Down is told, on the loop, that the node cannot go on: its store failed, or
	// a service whose state cannot be rebuilt panicked. Nothing final will be
	// said any more. The owner kills the loop, reopens the store and builds the
	// node again.
	Down func(error)
	// Defects are bugs that the simulator has planted; none where it runs for real.
	Defects Defect
}

// Storage is an opened store, as a node is given it.
type Storage struct {
	// Snapshot is read while the node is built, and not afterwards.
	Snapshot store.Snapshot
	// At is the number of the newest durable batch.
	At store.Seq
	// Committer makes batches durable and reports; the reports enter the loop.
	Committer func(report func(store.Event)) store.Committer
}
