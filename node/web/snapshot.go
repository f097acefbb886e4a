package web

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"bettensor/bus"
	"bettensor/node"
)

// Source is a running node, as it is watched. Its functions may be called from
// any goroutine, and return copies that nobody writes to any more.
type Source struct {
	// Snapshot takes the figures. It gives up when ctx ends: a loop that does not
	// answer is an error, not a wait.
	Snapshot func(ctx context.Context) (Snapshot, error)
	// Ready returns what stands against the node being ready; nothing if it is.
	// Called often: it must not wait for the loop.
	Ready func() []Reason
	// Progress tells when the loop last did something, by the system's clock; zero
	// before it turns. It must be the loop's own doing: a heartbeat beside it would
	// defeat the purpose.
	Progress func() time.Time
}

// Reason says why a node is not ready.
type Reason struct {
	Code string `json:"code"` // a word of a fixed set, such as chain_head_fresh
	Why  string `json:"why"`
}

// ReasonLoading: the store is being read, and there is no node yet that could
// say more. All other reasons are the source's.
const ReasonLoading = "loading"

// Snapshot is what a node is doing at one instant. It is the JSON of /stats,
// held stable: fields may be added. What a node does not have, or does not know
// yet, is nil and left out.
type Snapshot struct {
	Version string    `json:"version"`
	Role    string    `json:"role"` // validator, miner
	Network string    `json:"network"`
	Netuid  uint16    `json:"netuid"`
	Hotkey  string    `json:"hotkey"`
	UID     *uint16   `json:"uid,omitempty"`
	Started time.Time `json:"started"`
	At      time.Time `json:"at"` // the system's clock

	Loop    Loop          `json:"loop"`
	Chain   *Chain        `json:"chain,omitempty"`
	Sockets *Sockets      `json:"sockets,omitempty"`
	Feeds   []Feed        `json:"feeds,omitempty"`
	Store   *Store        `json:"store,omitempty"`
	Clock   *Clock        `json:"clock,omitempty"`
	Node    *node.Stats   `json:"node,omitempty"`
	Totals  []node.Totals `json:"totals,omitempty"` // since the store was made
	// Miner is how a miner stands; nil for a validator.
	Miner *node.MinerReport `json:"miner,omitempty"`
	// Falls is how often the node went down and was built again, LastFall why it
	// last did.
	Falls    uint64 `json:"falls"`
	LastFall string `json:"last_fall,omitempty"`
	// Recording is what is written of the node; nil where nothing is.
	Recording *Recording `json:"recording,omitempty"`
	// Alarms are all that are raised: the loop's, the source's and this package's.
	Alarms []node.Alarm `json:"alarms"`
}

// Loop is how the loop does.
type Loop struct {
	Events uint64 `json:"events"`
	// Lag is how long the newest thing that was handed to the loop had to wait.
	Lag time.Duration `json:"lag_ns"`
}

// Chain is the chain client's health.
type Chain struct {
	Endpoint  string        `json:"endpoint"` // in use; without user, password and query
	Up        bool          `json:"up"`       // connected, and it answers
	Head      uint64        `json:"head"`
	HeadAt    time.Time     `json:"head_at"` // the block's own time, or when it was seen
	Finalized uint64        `json:"finalized"`
	BlockTime time.Duration `json:"block_time_ns"`
	// Requests by method and outcome. Methods are those the client knows, so they
	// are few.
	Requests  []Requests `json:"requests,omitempty"`
	Took      Histogram  `json:"request_seconds,omitzero"`
	LastError string     `json:"last_error,omitempty"`
	// Counts are all else the client counts.
	Counts node.Counts `json:"counts,omitempty"`
}

// Requests counts requests of a kind that ended in a way: ok, refused (by the
// endpoint), timeout, lost.
type Requests struct {
	Method  string `json:"method"`
	Outcome string `json:"outcome"`
	Count   uint64 `json:"count"`
}

// Sockets are the listener and the connections.
type Sockets struct {
	Address     string      `json:"address,omitempty"` // what we listen at
	Connections node.Counts `json:"connections"`       // open now, by transport: websocket, http
	// Signatures are checks by outcome: ok, bad.
	Signatures node.Counts `json:"signatures,omitempty"`
	// Replays are messages refused because their nonce was used before.
	Replays uint64 `json:"replays_rejected"`
	// Counts are all else the transport counts.
	Counts node.Counts `json:"counts,omitempty"`
}

// Feed is a source of games.
type Feed struct {
	Name string `json:"name"` // of the provider, a fixed set
	// Good is when it last answered well; zero for not yet.
	Good time.Time `json:"good,omitzero"`
	// QuotaLeft is how many requests are left, nil where the provider has no quota
	// or has not told.
	QuotaLeft *float64 `json:"quota_left,omitempty"`
	// QuotaShort says that what is left does not last to the end of the period.
	QuotaShort bool `json:"quota_short,omitempty"`
	// Refused says that the provider refuses our key for good.
	Refused   bool        `json:"refused,omitempty"`
	Requests  node.Counts `json:"requests,omitempty"` // by outcome
	Breaker   string      `json:"breaker,omitempty"`  // closed, open, half-open
	LastError string      `json:"last_error,omitempty"`
	// ClockOffset is our clock less the provider's; nil where it does not tell.
	ClockOffset *time.Duration `json:"clock_offset_ns,omitempty"`
	// Counts are all else the feed counts.
	Counts node.Counts `json:"counts,omitempty"`
}

// Store is the disk.
type Store struct {
	Dir  string `json:"dir"`
	Free uint64 `json:"free_bytes"` // to us, on the disk that holds it
}

// Recording is what is written of a node, to be replayed.
type Recording struct {
	Dir   string `json:"dir"`
	Bytes uint64 `json:"bytes"`           // written so far, the copy of the store aside
	Error string `json:"error,omitempty"` // why nothing more is written
}

// Clock is our clock against others'.
type Clock struct {
	Offset time.Duration `json:"offset_ns"` // ours − theirs
	By     string        `json:"by"`        // who told the time: feed, by the Date of its answers, or chain, by its blocks
}

// Queue is something that waits. Its name is of a fixed set.
type Queue struct {
	Name    string
	Length  uint64
	Dropped uint64
}

// Histogram is a distribution of durations in seconds. Counts[i] are those above
// Bounds[i-1] and up to Bounds[i]; the last of Counts, one more than Bounds, are
// those above all.
type Histogram struct {
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
	Sum    float64   `json:"sum"`
}

// coarse are the powers of two of a nanosecond at which a bus.Histogram is cut:
// from 131 µs to 137 s. Finer ones are nobody's question, and each is a series.
var coarse = struct{ from, to int }{17, 37}

// Durations brings a histogram by powers of two into the form that metrics have.
func Durations(h *bus.Histogram) Histogram {
	out := Histogram{Sum: h.Sum.Seconds()}
	var below uint64
	for i, n := range h.Counts {
		below += n
		if i >= coarse.from && i <= coarse.to {
			out.Bounds = append(out.Bounds, math.Ldexp(1, i)/1e9)
			out.Counts = append(out.Counts, below)
			below = 0
		}
	}
	out.Counts = append(out.Counts, below)
	return out
}

// weights are what the Weights service reports; nil for a miner.
func (s *Snapshot) weights() *node.WeightsReport {
	if s.Node == nil {
		return nil
	}
	return s.Node.Service("weights").Weights
}

// queues are those that the core's figures hold.
func (s *Snapshot) queues() []Queue {
	if s.Node == nil {
		return nil
	}
	c := s.Node.Service("core").Counts
	waiting, _ := c.Get("frames_waiting")
	shed, _ := c.Get("frames_shed")
	pending, _ := c.Get("commits_pending")
	return []Queue{{"frames", waiting, shed}, {"commits", pending, 0}}
}

// withAlarms adds alarms that s does not hold, in order of their codes.
func (s *Snapshot) withAlarms(more []node.Alarm) {
	all := slices.Clone(s.Alarms)
	add := func(list []node.Alarm) {
		for _, a := range list {
			if !slices.ContainsFunc(all, func(b node.Alarm) bool { return b.Code == a.Code }) {
				all = append(all, a)
			}
		}
	}
	if s.Node != nil {
		add(s.Node.Alarms)
	}
	add(more)
	slices.SortFunc(all, func(a, b node.Alarm) int { return cmp.Compare(a.Code, b.Code) })
	if all == nil {
		all = []node.Alarm{} // a list in JSON, never null
	}
	s.Alarms = all
}
