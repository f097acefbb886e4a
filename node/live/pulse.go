package live

import (
	"sync"
	"time"
)

// beat is how often the loop is asked whether it turns.
const beat = time.Second

// Progress is what is known of the loop's turning. A watchdog is fed by it, so
// that what stands is noticed although the process is well.
type Progress struct {
	// Beats that the loop has answered since the node began.
	Beats uint64
	// Events that have entered the loop of this incarnation.
	Events uint64
	// At is when the loop last answered, on the wall clock.
	At time.Time
	// Lag is how long it took to; LagMax the longest since the start.
	Lag, LagMax time.Duration
}

// pulse is what the beats found.
type pulse struct {
	mu   sync.Mutex
	last Progress
	seen condition
}

func (p *pulse) found() condition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// forget drops what was seen of an incarnation that is gone.
func (p *pulse) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = condition{}
}

func (p *pulse) progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Progress is what the last beat found. It never waits.
func (n *Node) Progress() Progress { return n.pulse.progress() }

// watch asks the loop each second, until it ends, and times the answer. The
// loop's own turning does what must not be forgotten meanwhile: what is recorded
// is written out.
func (in *incarnation) watch(p *pulse) {
	defer close(in.watched)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		asked := time.Now()
		var events uint64
		var seen condition
		if !in.live.Inspect(func() {
			events, seen = in.view.Loop.Events(), in.n.look(in.view)
			in.recording.flush()
		}) {
			return
		}
		now := time.Now()
		p.mu.Lock()
		lag := now.Sub(asked)
		p.seen = seen
		p.last = Progress{Beats: p.last.Beats + 1, Events: events, At: now, Lag: lag, LagMax: max(p.last.LagMax, lag)}
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-in.live.Done():
			return
		}
	}
}
