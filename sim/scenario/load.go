package scenario

import "time"

// Load is what a benchmark drives, and how hard. Each part takes the keys that
// have a meaning for it and refuses the others.
type Load struct {
	// What is measured: the event bus, the scheduler, the scoring core, the store,
	// ingest over loopback sockets, or the whole simulator.
	What string `key:"what" enum:"bus,sched,score,store,ingest,sim" need:"yes"`
	// Arrivals: `closed` begins the next operation when the last one has ended,
	// `open` at `rate`, whether or not the last one has ended, and latency counts from
	// when it should have begun. Absent: closed.
	Arrivals string `key:"arrivals" enum:"open,closed"`
	// Rate of open arrivals, operations a second.
	Rate float64 `key:"rate" range:"0.001..100000000"`
	// Ramp is how long the rate takes to rise from 0.
	Ramp time.Duration `key:"ramp" range:"0s..10m"`
	// For is how long each repetition lasts in real time. Excludes `operations`.
	For time.Duration `key:"for" range:"1ms..10m"`
	// Operations of each repetition.
	Operations int `key:"operations" range:"1..1000000000"`
	// Mix of operations, by name: shares of all. bus has `publish`, `watched` (by
	// one outside) and `timer` (that publishes); sched `timer`, `recorded`, `moved`,
	// `inbox`, `port` and `posted` (from other goroutines); score `day`, `released`,
	// `round` and `arrival`; store `grouped`, `synced` and `read`. Absent: the first.
	Mix []Part `key:"mix"`
	// Payload of an operation.
	Payload Bytes `key:"payload" range:"0B..16MiB"`
	// Producers that send at the same time: events of one drain of the bus,
	// goroutines that post, batches under way.
	Producers int `key:"producers" range:"1..4096"`
	// Subscribers that receive: handlers, or miners that listen for updates.
	Subscribers int `key:"subscribers" range:"1..4096"`
	// Miners that are scored or that connect.
	Miners int `key:"miners" range:"1..65535"`
	// Predictions that are scored or sent.
	Predictions int `key:"predictions" range:"1..100000000"`
}

// Part is one operation of a mix.
type Part struct {
	// Name of the operation.
	Name string `key:"name" form:"name" need:"yes"`
	// Share of all operations; the shares of a mix add up to 1.
	Share float64 `key:"share" need:"yes" range:"0..1"`
}
