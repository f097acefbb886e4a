// Package fault is the language of planned misbehaviour: what goes wrong, to
// whom, when, for how long and how likely. It is data only. A scenario file
// holds faults (sim/scenario reads and prints them), the simulated world
// carries them out, and nothing here knows how.
//
// Read fault.go for a fault and the windows it is active in, kind.go for what a
// kind of fault is, process.go, clock.go, network.go, chain.go, feed.go and store.go for the
// closed set of things that can go wrong, target.go for whom they can hit.
package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Fault is one planned misbehaviour. The key of a field is its name in a
// scenario file; a field that is zero was not given.
type Fault struct {
	// Name addresses the fault in --set, names its random stream and marks what
	// it injects in traces and logs. Unique in its scenario.
	Name string `key:"name" form:"name" need:"yes"`
	// What goes wrong: one of the kinds below.
	What string `key:"what" form:"fault" need:"yes"`
	// Target is whom it hits: `all`, `validators`, `validators.NAME`, `miners`,
	// `miners.GROUP` or `miners.GROUP.N`, the Nth member counted from 0. Absent:
	// the kind's own target.
	Target string `key:"target" form:"target"`
	// At is the start of the only window, or of the first where `every` is given,
	// counted from the start of the run. One of `at`, `every` and `when` is needed.
	At time.Duration `key:"at" range:"0s..3650d"`
	// Every is the time from one window's start to the next one's. Not under a
	// second, so that a typing mistake does not plan millions of windows. Where `at`
	// is absent, the first window starts one `every` into the run.
	Every time.Duration `key:"every" range:"1s..3650d"`
	// For is the length of a window. Absent: to the end of the run, and so it is
	// needed with `every`, and may not exceed it.
	For time.Duration `key:"for" range:"1ms..3650d"`
	// Until is when the last window must have started. Absent: the end of the run.
	Until time.Duration `key:"until" range:"1ms..3650d"`
	// When starts the one window at an event in place of a time: `EVENT#N` is the
	// Nth event of that name in the run, as traces spell it; `EVENT` is the first.
	When string `key:"when" form:"when"`
	// Probability that a window happens at all, drawn anew for each from the
	// fault's own stream.
	Probability float64 `key:"probability" default:"1" range:"0..1"`
	// Params tell how hard. Each kind takes its own, listed with it; the others
	// stay zero.
	Params Params `key:"parameters" of:"what"`
	// Windows are the windows one by one, in place of `every`, `until` and
	// `probability`: what `sim expand` writes.
	Windows []Planned `key:"windows"`
}

// Planned is one window that leaves nothing to draw.
type Planned struct {
	// At is its start, counted from the start of the run. Not with `when`, whose
	// event starts it.
	At time.Duration `key:"at" range:"0s..3650d"`
	// For is its length. Absent: to the end of the run.
	For time.Duration `key:"for" range:"1ns..3650d"`
	// Draw is the seed of what goes on inside the window, such as which frames are
	// lost.
	Draw uint64 `key:"draw"`
	// Hit names the nodes it hits. Absent: the target, or the share of it that `draw`
	// picks.
	Hit []string `key:"hit"`
}

// Params are the parameters of all kinds together, by the first family that
// takes them. Kind.Params names those a kind takes, with their defaults.
type Params struct {
	// Share of the target's members that a window hits, picked anew for each
	// window. At least one is hit.
	Share float64 `key:"share" range:"0..1"`
	// Rate is the share of requests, frames or commits that are hit, each drawn by
	// itself.
	Rate float64 `key:"rate" range:"0.000001..1"`

	// Of processes.

	// Unsynced is what a crash does to batches that were written and not yet
	// durable: `random` loses a suffix of drawn length, `lose` all, `keep` none.
	Unsynced string `key:"unsynced" enum:"random,lose,keep"`
	// Nth commit, counted from the start of the window, at which the process ends;
	// and again every so many.
	Nth int `key:"nth" range:"1..1000000"`
	// Period from one time to the next, within a window.
	Period time.Duration `key:"period" range:"1s..1d"`
	// Down is how long what was ended stays away: a process before it starts again,
	// connections before new ones are taken.
	Down time.Duration `key:"down" range:"0s..1d"`
	// Cost is what each event takes of virtual time.
	Cost time.Duration `key:"cost" range:"1us..1h"`
	// Service whose handler panics, by its name in statistics. A node of a role
	// without it is not hit.
	Service string `key:"service" enum:"metagraph,games,communication,predictions,scoring,weights,database,status,poll,axon"`

	// Of clocks.

	// Ahead is how far the target's clock is ahead; below zero it is behind.
	Ahead time.Duration `key:"ahead" range:"-1d..1d"`
	// PPM is what the target's clock gains, in parts of a million; below zero it
	// loses. A quartz is within 100.
	PPM float64 `key:"ppm" range:"-100000..100000"`

	// Of the network.

	// Loss is the share of frames that a link loses.
	Loss float64 `key:"loss" range:"0..1"`
	// Delay is added to each message, request or commit.
	Delay time.Duration `key:"delay" range:"0s..1d"`
	// Jitter is added on top, uniform between 0 and this.
	Jitter time.Duration `key:"jitter" range:"0s..1d"`
	// Direction of a cut, seen from the target: `both`, `in` (it hears nothing) or
	// `out` (it is not heard).
	Direction string `key:"direction" enum:"both,in,out"`
	// Between names whom the target is cut off from.
	Between string `key:"between" form:"target"`
	// Bandwidth for each second, with a unit (`64kB`, `1MB`).
	Bandwidth Bytes `key:"bandwidth" range:"1B..1TB"`

	// Of the chain.

	// Blocks that an endpoint is behind, or says to be ahead.
	Blocks uint64 `key:"blocks" range:"1..100000"`
	// Claim of a lying endpoint: `future` blocks that are not there yet, or
	// `unfinalised` ones as if they were final.
	Claim string `key:"claim" enum:"future,unfinalised"`
	// Again is the share of extrinsics in dropped blocks that later ones hold again,
	// each drawn by itself.
	Again float64 `key:"again" range:"0..1"`
	// Budget of requests that an endpoint answers in each `per`.
	Budget int `key:"budget" range:"0..100000"`
	// Per is the time after which a budget is whole again.
	Per time.Duration `key:"per" range:"1s..1d"`
	// Code is the refusal by the chain's own name.
	Code string `key:"code" enum:"ImmediatelyDropped,TemporarilyBanned,ExhaustsResources,BadProof,AncientBirthBlock,BadRequest,CallFiltered,SettingWeightsTooFast,NotANameWeKnow"`
	// Count of newcomers, spread evenly over the window.
	Count int `key:"count" range:"1..10000"`
	// Tempo that the subnet gets. -1, here and below, leaves what is.
	Tempo int `key:"tempo" range:"-1..65535"`
	// WeightsRateLimit in blocks.
	WeightsRateLimit int `key:"weights_rate_limit" range:"-1..1000000"`
	// MinAllowedWeights of a weight set.
	MinAllowedWeights int `key:"min_allowed_weights" range:"-1..65535"`
	// ActivityCutoff in blocks.
	ActivityCutoff int `key:"activity_cutoff" range:"-1..65535"`
	// VersionKey that weights must have at least.
	VersionKey int `key:"version_key" range:"-1..1000000"`
	// CommitReveal switches the hiding of weights: `timelock` has the chain open
	// them, `hash` the validators, `off` shows them, `same` changes nothing.
	CommitReveal string `key:"commit_reveal" enum:"same,off,hash,timelock"`
	// Schedule of epochs: `state` is kept by the chain as newer runtimes do, and has
	// no way back; `same` changes nothing.
	Schedule string `key:"schedule" enum:"same,state"`

	// Of the feed.

	// Games that are hit, as a share of all. Which ones is drawn for each game by
	// itself.
	Games float64 `key:"games" range:"0..1"`
	// Hours by which times are moved, or after which a game called off is played; 0
	// is never.
	Hours int `key:"hours" range:"-48..720"`
	// Odds that are told: `jump` to half and double, `vanish`, are not a number
	// (`nan`), lie below 1 (`low`) or beyond all bounds (`huge`).
	Odds string `key:"odds" enum:"jump,vanish,nan,low,huge"`

	// Of the store.

	// Free is what the disk has room for when the window begins.
	Free Bytes `key:"free" range:"0B..1TB"`
}

// Bytes is an amount of data.
type Bytes int64

// Family is the part of the kind before the dot: what goes wrong.
func (f *Fault) Family() string {
	family, _, _ := strings.Cut(f.What, ".")
	return family
}

// Stream is the name of the fault's random stream. It depends on nothing but
// the fault's name, so that a fault taken away shifts no other's draws.
func (f *Fault) Stream() string { return "fault/" + f.Name }

// Trigger splits When into the event's name and which of its occurrences
// counts, from 1. ok is false where When is absent or malformed.
func (f *Fault) Trigger() (event string, nth uint64, ok bool) {
	event, n, counted := strings.Cut(f.When, "#")
	if event == "" || strings.Trim(event, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "", 0, false
	}
	if !counted {
		return event, 1, true
	}
	nth, err := strconv.ParseUint(n, 10, 64)
	if err != nil || nth == 0 {
		return "", 0, false
	}
	return event, nth, true
}

// Window is one time that a fault is active, counted from the start of the
// run: Start inclusive, End exclusive and not after the run's end.
type Window struct {
	N          int // which of the fault's windows, counted over those that happen, from 1
	Start, End time.Duration
	// Draw seeds what the window itself must choose, such as which share of the
	// target it hits. Windows that do not happen draw one too.
	Draw uint64
	// Hit names the nodes it hits; nil where Draw decides.
	Hit []string
}

// ID marks what a window injects, in traces, logs and errors: the fault's name
// and the window, as in crash#3.
func (w Window) ID(f *Fault) string { return f.Name + "#" + strconv.Itoa(w.N) }

// MaxWindows is how many windows one fault may have. The plan is made before a
// run, in memory; a fault that needs more is a property of the network or the
// disk and belongs there.
const MaxWindows = 100_000

// ErrTooManyWindows is a fault that repeats more than MaxWindows times.
var ErrTooManyWindows = errors.New("fault: too many windows")

// Occurrences plans the windows of a run that lasts duration, in order of their
// start. It draws from rng, which must be a fresh stream named by Stream, twice
// for each candidate and nothing else: the plan of one fault depends on no other
// fault, and a longer run begins with a shorter one's windows. A fault with When
// has no planned window; Triggered makes it.
func (f *Fault) Occurrences(duration time.Duration, rng *rand.Rand) ([]Window, error) {
	if f.When != "" {
		return nil, nil
	}
	if f.Windows != nil {
		var windows []Window
		for i := range f.Windows {
			windows = f.planned(windows, f.Windows[i].At, duration, i)
		}
		return windows, nil
	}
	n := f.candidates(duration)
	if n > MaxWindows {
		return nil, fmt.Errorf("%w: %s would have %d of at most %d", ErrTooManyWindows, f.Name, n, MaxWindows)
	}
	var windows []Window
	start := f.At
	for range n {
		windows = f.draw(windows, start, duration, rng)
		start += f.Every
	}
	return windows, nil
}

// Triggered makes the window of a fault with When, whose event came at now. ok
// is false where Probability says that it does not happen.
func (f *Fault) Triggered(now, duration time.Duration, rng *rand.Rand) (w Window, ok bool) {
	var windows []Window
	if f.Windows != nil {
		windows = f.planned(nil, now, duration, 0)
	} else {
		windows = f.draw(nil, now, duration, rng)
	}
	if len(windows) == 0 {
		return Window{}, false
	}
	return windows[0], true
}

// planned appends the i-th window that is written out, if it starts within the
// run.
func (f *Fault) planned(to []Window, start, duration time.Duration, i int) []Window {
	if start >= duration {
		return to
	}
	p, end := f.Windows[i], duration
	if p.For > 0 && p.For < duration-start {
		end = start + p.For
	}
	return append(to, Window{N: len(to) + 1, Start: start, End: end, Draw: p.Draw, Hit: p.Hit})
}

// candidates counts the windows that would start within duration.
func (f *Fault) candidates(duration time.Duration) int64 {
	end := duration
	if f.Until > 0 {
		end = min(end, f.Until)
	}
	switch {
	case f.At >= end:
		return 0
	case f.Every <= 0:
		return 1
	}
	return int64((end-f.At-1)/f.Every) + 1
}

// draw appends the window that starts at start, if it happens.
func (f *Fault) draw(to []Window, start, duration time.Duration, rng *rand.Rand) []Window {
	happens := rng.Float64() < f.Probability
	seed := rng.Uint64()
	if !happens {
		return to
	}
	end := duration
	if f.For > 0 && f.For < duration-start {
		end = start + f.For
	}
	return append(to, Window{N: len(to) + 1, Start: start, End: end, Draw: seed})
}
