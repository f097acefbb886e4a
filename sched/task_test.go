package sched

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// taskRig runs one task whose runs end as the script says: "ok", "err", "no"
// (worth no retry), "hang", "panic"; "ok" when it has run out.
type taskRig struct {
	w      *World
	l      *Loop
	task   *Task
	script []string
	runs   []*Run
	began  []time.Duration
}

var errNo = errors.New("no use")

func newTask(t *testing.T, cfg TaskConfig, script ...string) *taskRig {
	t.Helper()
	g := &taskRig{script: script}
	g.w, g.l = virtualLoop(t)
	cfg.Name = "task"
	cfg.Retryable = func(err error) bool { return !errors.Is(err, errNo) }
	g.task = g.l.Scope("s").Task(cfg, func(r *Run) {
		g.began = append(g.began, g.l.Now().Sub(start))
		g.runs = append(g.runs, r)
		end := "ok"
		if len(g.script) > 0 {
			end, g.script = g.script[0], g.script[1:]
		}
		switch end {
		case "ok":
			r.Done(nil)
			r.Done(errOdd) // once only
		case "err":
			r.Done(errOdd)
		case "no":
			r.Done(errNo)
		case "panic":
			panic("boom")
		}
	})
	return g
}

func (g *taskRig) until(d time.Duration) { g.w.Run(start.Add(d)) }

func (g *taskRig) expect(t *testing.T, began ...time.Duration) {
	t.Helper()
	if d := cmp.Diff(began, g.began); d != "" {
		t.Errorf("runs began (-want +got):\n%s", d)
	}
}

const sec = time.Second

// soon retries at once: full jitter below nothing.
var soon = Backoff{Base: 0, Cap: 0, Attempts: 2}

func TestPeriodCountsFromStartToStart(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec, First: 3 * sec})
	g.until(25 * sec)
	g.expect(t, 3*sec, 13*sec, 23*sec)
	s := g.task.Stats()
	same(t, "next run", s.NextRun, start.Add(33*sec))
	same(t, "last run", s.LastRun, start.Add(23*sec))
	same(t, "runs", s.Runs, 3)
}

func TestJitterStaysWithinItsShare(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec, Jitter: 0.2})
	g.until(time.Hour)
	lo, hi := time.Hour, time.Duration(0)
	for i := 1; i < len(g.began); i++ {
		d := g.began[i] - g.began[i-1]
		lo, hi = min(lo, d), max(hi, d)
	}
	if lo < 8*sec || hi > 12*sec || hi-lo < 2*sec {
		t.Errorf("periods from %v to %v, want them spread over 8s to 12s", lo, hi)
	}
}

func TestOneShotWaitsToBeAsked(t *testing.T) {
	g := newTask(t, TaskConfig{})
	g.until(sec)
	g.expect(t)
	g.task.Start(2 * sec)
	g.task.Start(3 * sec) // instead
	g.until(10 * sec)
	g.task.Trigger()
	g.task.Trigger() // the same one
	g.until(20 * sec)
	g.w.Run(start.Add(20 * sec))
	// The node's clock is that of its last event: it was 3s when Trigger came.
	g.expect(t, 3*sec, 10*sec)
}

func TestTriggerDuringARunMakesOneMore(t *testing.T) {
	g := newTask(t, TaskConfig{}, "hang")
	g.task.Trigger()
	g.until(sec)
	for range 3 {
		g.task.Trigger()
	}
	same(t, "running", g.task.Stats().Running, true)
	g.runs[0].Done(nil)
	g.until(2 * sec)
	same(t, "runs", len(g.began), 2)
}

func TestRunsNeverOverlap(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec}, "hang")
	g.until(35 * sec)
	g.expect(t, 0)
	same(t, "skipped", g.task.Stats().Skipped, 3)
	g.runs[0].Done(nil)
	g.until(45 * sec)
	g.expect(t, 0, 40*sec)
}

func TestDeadlineEndsARun(t *testing.T) {
	g := newTask(t, TaskConfig{Deadline: 4 * sec}, "hang", "ok")
	g.task.Trigger()
	g.until(5 * sec)
	s := g.task.Stats()
	same(t, "failures", s.Failures, 1)
	same(t, "last error", s.LastErr, ErrDeadline.Error())
	same(t, "took", s.Last, 4*sec)
	g.task.Trigger()
	g.until(6 * sec)
	g.runs[0].Done(errOdd) // far too late
	g.until(60 * sec)      // the second run's deadline was disarmed
	same(t, "failures after", g.task.Stats().Failures, 1)
	same(t, "runs", g.task.Stats().Runs, 2)
}

// After retries, used up or not, the period goes on where it was.
func TestRetriesDoNotMoveThePeriod(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []string
		want   []time.Duration
		stats  TaskStats
	}{
		{"second try succeeds", []string{"err", "ok"}, []time.Duration{0, 0, 10 * sec, 20 * sec}, TaskStats{Runs: 4, Failures: 1, Retries: 1, LastErr: "odd"}},
		{"all tries fail", []string{"err", "err", "err"}, []time.Duration{0, 0, 0, 10 * sec, 20 * sec}, TaskStats{Runs: 5, Failures: 3, Retries: 2, LastErr: "odd"}},
		{"not worth a retry", []string{"no", "err", "no"}, []time.Duration{0, 10 * sec, 10 * sec, 20 * sec}, TaskStats{Runs: 4, Failures: 3, Retries: 1, LastErr: "no use"}},
		{"tries fail twice", []string{"err", "err", "err", "err", "ok"}, []time.Duration{0, 0, 0, 10 * sec, 10 * sec, 20 * sec}, TaskStats{Runs: 6, Failures: 4, Retries: 3, LastErr: "odd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTask(t, TaskConfig{Every: 10 * sec, Retry: soon}, c.script...)
			g.until(25 * sec)
			g.expect(t, c.want...)
			c.stats.Name, c.stats.LastRun, c.stats.NextRun = "task", start.Add(20*sec), start.Add(30*sec)
			if d := cmp.Diff(c.stats, g.task.Stats()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPeriodStaysWhereItWasBetweenRetries(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec, Retry: Backoff{Base: 3 * sec, Cap: 3 * sec, Attempts: 2}},
		"err", "err", "ok", "err", "err", "err", "ok")
	g.until(45 * sec)
	var first []time.Duration
	for i, r := range g.runs {
		if r.Attempt == 0 {
			first = append(first, g.began[i])
		}
	}
	if d := cmp.Diff([]time.Duration{0, 10 * sec, 20 * sec, 30 * sec, 40 * sec}, first); d != "" {
		t.Errorf("first tries (-want +got):\n%s", d)
	}
	same(t, "retries", g.task.Stats().Retries, 4)
}

// A failure must not make the task come later than it would have come anyway.
func TestRetryNeverWaitsPastThePeriod(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec, Retry: Backoff{Base: time.Hour, Cap: time.Hour, Attempts: 5}},
		"err", "err", "err", "ok")
	g.until(35 * sec)
	g.expect(t, 0, 10*sec, 20*sec, 30*sec)
}

func TestRetriesOfALongRunWaitBetween(t *testing.T) {
	g := newTask(t, TaskConfig{Retry: Backoff{Base: 8 * sec, Cap: 8 * sec, Attempts: 100}})
	for range 100 {
		g.script = append(g.script, "err")
	}
	var waits []time.Duration
	g.l.OnTask(func(e TaskEvent) {
		if e.Done && e.Err != nil {
			waits = append(waits, e.Retry)
		}
	})
	g.task.Trigger()
	g.until(time.Hour)
	same(t, "runs", len(g.began), 101)
	var sum, lo, hi time.Duration
	lo = time.Hour
	for i, d := range waits {
		same(t, fmt.Sprint("wait ", i), g.began[i+1]-g.began[i], d)
		sum, lo, hi = sum+d, min(lo, d), max(hi, d)
	}
	if mean := sum / 100; lo < 0 || hi > 8*sec || mean < 3*sec || mean > 5*sec {
		t.Errorf("waits from %v to %v with mean %v, want full jitter below 8s", lo, hi, mean)
	}
}

func TestBackoffDoublesToItsCap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	top := func(b Backoff, n int) (hi time.Duration) {
		for range 400 {
			hi = max(hi, b.Delay(n, r))
		}
		return hi
	}
	b := Backoff{Base: sec, Cap: 60 * sec}
	for n, ceiling := range map[int]time.Duration{-1: sec, 0: sec, 1: 2 * sec, 5: 32 * sec, 6: 60 * sec, 7: 60 * sec, 62: 60 * sec, 63: 60 * sec, 64: 60 * sec, 1 << 40: 60 * sec} {
		if hi := top(b, n); hi > ceiling || hi < ceiling*9/10 {
			t.Errorf("retry %d: longest of 400 waits %v, want just below %v", n, hi, ceiling)
		}
	}
	if hi := top(Backoff{Base: sec}, 5); hi > sec || hi == 0 {
		t.Errorf("without a cap: %v, want below the base", hi)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{Base: time.Duration(rapid.Int64().Draw(t, "base")), Cap: time.Duration(rapid.Int64().Draw(t, "cap"))}
		if d := b.Delay(rapid.IntRange(0, 70).Draw(t, "n"), r); d < 0 || d > max(b.Cap, b.Base, 0) {
			t.Fatalf("%+v gives %v", b, d)
		}
	})
	if d := (Backoff{Base: math.MaxInt64, Cap: math.MaxInt64}).Delay(3, r); d < 0 {
		t.Errorf("largest backoff gives %v", d)
	}
}

func TestPauseResumeCancel(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec, First: sec})
	g.until(2 * sec)
	g.task.Resume() // not paused: nothing to do
	g.until(3 * sec)
	g.expect(t, 1*sec)
	g.task.Pause()
	g.task.Trigger()
	g.task.Start(0)
	g.until(50 * sec)
	g.expect(t, 1*sec)
	same(t, "next run while paused", g.task.Stats().NextRun, time.Time{})
	g.w.After(0, Func(g.task.Resume))
	g.until(65 * sec)
	g.expect(t, 1*sec, 50*sec, 60*sec)

	g.script = []string{"hang"}
	g.until(70 * sec)
	same(t, "running", g.task.Stats().Running, true)
	g.task.Cancel()
	g.runs[len(g.runs)-1].Done(errOdd)
	g.task.Resume()
	g.task.Trigger()
	g.until(time.Hour)
	s := g.task.Stats()
	same(t, "runs", s.Runs, 4)
	same(t, "failures", s.Failures, 0)
	same(t, "running after cancel", s.Running, false)
	same(t, "next run after cancel", s.NextRun, time.Time{})
}

func TestResumeDuringARunLetsItEndFirst(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec}, "hang")
	g.until(sec)
	g.task.Pause()
	g.task.Resume()
	g.until(2 * sec)
	same(t, "skipped", g.task.Stats().Skipped, 0)
	g.runs[0].Done(nil)
	g.until(5 * sec)
	same(t, "runs", len(g.began), 2)
	g.until(16 * sec)
	same(t, "runs after a period", len(g.began), 3)
}

func TestPanickingRunCountsAsFailed(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec}, "panic", "ok")
	panics := 0
	g.l.OnPanic(func(Panic) { panics++ }) // decides to let it go on
	g.until(15 * sec)
	same(t, "panics", panics, 1)
	s := g.task.Stats()
	same(t, "runs", s.Runs, 2)
	same(t, "failures", s.Failures, 1)
	same(t, "last error", s.LastErr, "panicked")
}

func TestTaskStatisticsOverManyRuns(t *testing.T) {
	const n = 10_000
	w, l := virtualLoop(t)
	r := NewStream(1, "durations")
	var task *Task
	var total, longest, last time.Duration
	end := l.Scope("s").Timer("end", nil)
	task = l.Scope("s").Task(TaskConfig{Name: "task", Every: sec}, func(run *Run) {
		last = time.Duration(r.Int64N(int64(sec) / 2))
		total, longest = total+last, max(longest, last)
		end.fire = func() { run.Done(nil) }
		end.Arm(last)
	})
	w.Run(start.Add((n-1)*sec + 900*time.Millisecond))
	s := task.Stats()
	same(t, "runs", s.Runs, n)
	same(t, "mean", s.Mean, total/n)
	same(t, "longest", s.Longest, longest)
	same(t, "last", s.Last, last)
}

func TestRebuiltServiceGoesOnWithItsStatistics(t *testing.T) {
	w, l := virtualLoop(t)
	build := func() *Scope {
		s := l.Scope("s")
		s.Task(TaskConfig{Name: "a", Every: sec}, func(r *Run) { r.Done(errOdd) })
		s.Task(TaskConfig{Name: "b", Every: sec}, func(r *Run) { r.Done(nil) })
		return s
	}
	l.Scope("other").Task(TaskConfig{Name: "a"}, func(*Run) {})
	s := build()
	for i := range 100 {
		w.Run(start.Add(time.Duration(i)*sec + sec/2))
		s.Close()
		s = build()
	}
	w.Run(start.Add(100 * sec))
	got := l.Tasks()
	same(t, "tasks", len(got), 3)
	same(t, "failures of a", got[1].Failures, 200)
	same(t, "runs of b", got[2].Runs, 200)
}

func TestTaskEventsTellBothEnds(t *testing.T) {
	g := newTask(t, TaskConfig{Every: 10 * sec, Retry: soon}, "err", "ok")
	var got []TaskEvent
	g.l.OnTask(func(e TaskEvent) { e.Err = nil; got = append(got, e) })
	g.until(sec)
	want := []TaskEvent{{Task: "task"}, {Task: "task", Done: true}, {Task: "task", Attempt: 1}, {Task: "task", Done: true, Attempt: 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
