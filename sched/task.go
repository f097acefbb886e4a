package sched

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// ErrDeadline is the failure of a task run that was not Done in time.
var ErrDeadline = errors.New("deadline exceeded")

var errPanicked = errors.New("panicked")

// Backoff says when to try again: full jitter below min(Cap, Base·2^n), drawn
// from a named stream.
type Backoff struct {
	Base     time.Duration // the first ceiling
	Cap      time.Duration // the largest ceiling; at least Base
	Attempts int           // retries after the first try; 0 = none
}

// Delay draws the wait before retry n, counted from 0.
func (b Backoff) Delay(n int, r *rand.Rand) time.Duration {
	base := max(b.Base, 0)
	ceiling := max(b.Cap, base)
	if n = max(n, 0); base > 0 && n < bits.LeadingZeros64(uint64(base)) {
		ceiling = min(ceiling, base<<n)
	}
	return time.Duration(r.Uint64N(uint64(ceiling) + 1))
}

// TaskConfig describes a task.
type TaskConfig struct {
	Name string
	// Every is the period, counted from the start of one run to the start of
	// the next; retries come in between and do not move it. 0 makes the task
	// one-shot: it runs when Start or Trigger says.
	Every time.Duration
	// Jitter moves each period by a uniform share of ±Jitter, so that nodes
	// that started together drift apart.
	Jitter float64
	// First is the delay before the first run of a periodic task.
	First time.Duration
	// Deadline, of the wall clock, ends a run that was not Done in time as failed;
	// 0 means none.
	Deadline time.Duration
	// Retry a failed run, after a wait of the wall clock. One that would outlast the
	// period ends with it.
	Retry Backoff
	// Retryable says whether a failure is worth a retry; nil means always.
	Retryable func(error) bool
}

// TaskStats is what a task did. Durations are in the loop's own time.
type TaskStats struct {
	Name     string        `json:"name"`
	Runs     uint64        `json:"runs"` // runs begun, retries included
	Failures uint64        `json:"failures"`
	Retries  uint64        `json:"retries"`
	Skipped  uint64        `json:"skipped"` // periods that came while a run was under way
	Running  bool          `json:"running"`
	Mean     time.Duration `json:"mean_ns"`
	Longest  time.Duration `json:"longest_ns"`
	Last     time.Duration `json:"last_ns"`
	LastErr  string        `json:"last_error,omitempty"`
	LastRun  time.Time     `json:"last_run,omitzero"`
	NextRun  time.Time     `json:"next_run,omitzero"` // zero when none is planned
}

// TaskEvent tells of one run: begun (Done false), or ended.
type TaskEvent struct {
	Task    string
	Done    bool
	Err     error
	Took    time.Duration
	Attempt int
	Retry   time.Duration // until the retry, where there will be one
}

// Run is one run of a task.
type Run struct {
	t    *Task
	over bool
	// Attempt counts retries: 0 for the first try.
	Attempt int
	began   int64
}

// Done ends the run. Later calls, and calls after the deadline, do nothing.
func (r *Run) Done(err error) {
	if !r.over && r.t.run == r {
		r.t.finish(r, err)
	}
}

// Task is work that comes again, or once, with its own failures and retries.
// It never overlaps itself.
type Task struct {
	scope    *Scope
	cfg      TaskConfig
	body     func(*Run)
	rng      *rand.Rand
	timer    *Timer
	deadline *Timer
	run      *Run
	next     int64 // the next run by the period, on the loop's mono, 0 for none
	again    bool  // triggered while running
	paused   bool
	over     bool // cancelled
	attempt  int
	stats    TaskStats
	total    time.Duration
	ended    uint64
}

// Task makes a task and, where it is periodic, plans its first run. The body
// may end its run at once or later; it must call Done exactly once. A task that
// takes the place of one of the same name that has ended, as after a rebuild of
// its service, goes on with its statistics.
func (s *Scope) Task(cfg TaskConfig, body func(*Run)) *Task {
	t := &Task{scope: s, cfg: cfg, body: body, rng: s.Stream("task/" + cfg.Name)}
	t.stats.Name = cfg.Name
	s.loop.enlist(t)
	t.timer = s.Timer(cfg.Name, t.begin)
	t.deadline = s.Timer(cfg.Name+"-deadline", func() {
		if t.run != nil {
			t.finish(t.run, ErrDeadline)
		}
	})
	s.OnClose(t.Cancel)
	if cfg.Every > 0 {
		t.plan(cfg.First)
	}
	return t
}

// enlist adds a task, in place of one that it follows: a service that is rebuilt
// for ever must not leave a task behind each time.
func (l *Loop) enlist(t *Task) {
	i := slices.IndexFunc(l.tasks, func(o *Task) bool {
		return o.over && o.cfg.Name == t.cfg.Name && o.scope.name == t.scope.name
	})
	if i < 0 {
		l.tasks = append(l.tasks, t)
		return
	}
	o := l.tasks[i]
	t.stats, t.total, t.ended = o.stats, o.total, o.ended
	l.tasks[i] = t
}

// Start plans a run after d, instead of the one that was planned.
func (t *Task) Start(d time.Duration) { t.plan(d) }

// Trigger asks for a run now; during a run, for one more right after it.
func (t *Task) Trigger() {
	if t.run != nil {
		t.again = true
		return
	}
	t.plan(0)
}

// Pause keeps the task from beginning runs until Resume. A run under way goes on.
func (t *Task) Pause() { t.paused = true; t.timer.Stop() }

// Resume ends a Pause and triggers a run.
func (t *Task) Resume() {
	if t.paused {
		t.paused = false
		t.Trigger()
	}
}

// Cancel ends the task for good: the run under way is forgotten and none will
// come.
func (t *Task) Cancel() {
	t.over = true
	t.timer.Stop()
	t.deadline.Stop()
	t.run, t.again = nil, false
}

// Stats returns what the task did.
func (t *Task) Stats() TaskStats {
	s := t.stats
	s.Running = t.run != nil
	s.NextRun, _ = t.timer.Armed()
	if t.ended > 0 {
		s.Mean = t.total / time.Duration(t.ended)
	}
	return s
}

func (t *Task) plan(d time.Duration) {
	if !t.paused && !t.over {
		t.timer.Arm(d)
	}
}

// keep plans the next run by the period again, where there is one.
func (t *Task) keep() {
	if t.next > 0 && !t.paused && !t.over {
		t.timer.arm(max(t.next, t.scope.loop.mono), false)
	}
}

func (t *Task) period() time.Duration {
	d := t.cfg.Every
	if t.cfg.Jitter > 0 {
		d += time.Duration(float64(d) * t.cfg.Jitter * (2*t.rng.Float64() - 1))
	}
	return max(d, time.Millisecond) // a period of nothing would stop the clock
}

func (t *Task) begin() {
	l := t.scope.loop
	// A retry leaves the period alone, unless it came with it.
	if t.cfg.Every > 0 && (t.run != nil || t.attempt == 0 || l.mono >= t.next) {
		t.next = later(l.mono, t.period())
	}
	t.keep()
	if t.run != nil { // the period came while a run is under way
		t.stats.Skipped++
		return
	}
	t.stats.Runs++
	t.stats.LastRun = l.Now()
	if t.attempt > 0 {
		t.stats.Retries++
	}
	r := &Run{t: t, Attempt: t.attempt, began: l.mono}
	t.run = r
	if t.cfg.Deadline > 0 {
		t.deadline.ArmWall(t.cfg.Deadline)
	}
	if l.onTask != nil {
		l.onTask(TaskEvent{Task: t.cfg.Name, Attempt: r.Attempt})
	}
	ended := false
	defer func() { // the panic goes on to the scope
		if !ended && t.run == r {
			t.finish(r, errPanicked)
		}
	}()
	t.body(r)
	ended = true
}

func (t *Task) finish(r *Run, err error) {
	l := t.scope.loop
	r.over, t.run = true, nil
	t.deadline.Stop()
	took := time.Duration(l.mono - r.began)
	t.stats.Last, t.stats.Longest = took, max(took, t.stats.Longest)
	t.total += took
	t.ended++
	ev := TaskEvent{Task: t.cfg.Name, Done: true, Err: err, Took: took, Attempt: r.Attempt}
	if err != nil {
		t.stats.Failures++
		t.stats.LastErr = err.Error()
		if t.attempt < t.cfg.Retry.Attempts && (t.cfg.Retryable == nil || t.cfg.Retryable(err)) {
			ev.Retry = l.Span(t.cfg.Retry.Delay(t.attempt, t.rng))
			if t.next > 0 {
				ev.Retry = min(ev.Retry, max(time.Duration(t.next-l.mono), 0))
			}
			t.attempt++
			t.plan(ev.Retry)
		} else {
			t.attempt = 0
		}
	} else {
		t.attempt = 0
	}
	if l.onTask != nil {
		l.onTask(ev)
	}
	if t.again {
		t.again = false
		t.plan(0)
	}
}
