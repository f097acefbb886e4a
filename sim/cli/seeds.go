package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"bettensor/sim"

	"golang.org/x/term"
)

// maxSeeds bounds one sweep: a night's work on two cores.
const maxSeeds = 100_000

// seedRange reads A..B, both included, or how many seeds from 1.
func seedRange(s string) (from, to uint64, err error) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		a, b = "1", a
	}
	from, err1 := strconv.ParseUint(a, 10, 64)
	to, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || to < from || to-from >= maxSeeds {
		return 0, 0, fail(exitBad, "--seeds %q: expected A..B with A <= B, or N for 1..N, and at most %d seeds, as in 1..10", s, maxSeeds)
	}
	return from, to, nil
}

// seeds is one scenario's part of a sweep.
type seeds struct {
	l             *loaded
	opt           sim.RunOptions
	from          uint64
	n, workers    int
	stopOnFailure bool
	quiet         bool
	show          io.Writer // of progress
	// keep, where set, is called with each result, side by side for several seeds.
	keep func(i int, r *sim.Result)

	mu           sync.Mutex
	next, done   int
	failed       int
	firstFailure int // the least index that failed; n for none
	began, told  time.Time
}

// progressEvery is how often a sweep whose progress goes to no terminal tells it.
const progressEvery = 30 * time.Second

// run runs the seeds and returns what came of each, in their order. With
// stopOnFailure it returns those up to the first that failed, however many ran
// side by side. The error is of a sweep that was stopped; those seeds that ran to
// their end are returned with it.
func (s *seeds) run(ctx context.Context) ([]sim.Outcome, error) {
	outcomes, ran := make([]sim.Outcome, s.n), make([]bool, s.n)
	s.firstFailure, s.began = s.n, time.Now()
	s.told = s.began
	var wg sync.WaitGroup
	for range min(s.workers, s.n) {
		wg.Go(func() {
			for i, ok := s.take(ctx); ok; i, ok = s.take(ctx) {
				if outcomes[i], ran[i] = s.one(ctx, s.from+uint64(i)); ran[i] {
					s.finish(i, len(outcomes[i].Failures) > 0)
				}
			}
		})
	}
	wg.Wait()
	s.clear()
	if ctx.Err() != nil {
		var whole []sim.Outcome
		for i := range outcomes {
			if ran[i] {
				whole = append(whole, outcomes[i])
			}
		}
		return whole, fail(exitBad, "stopped after %d of %d seeds", s.done, s.n)
	}
	if s.stopOnFailure {
		outcomes = outcomes[:min(s.firstFailure+1, s.n)]
	}
	return outcomes, nil
}

// take is the next seed's index; ok is false where there is none to run.
func (s *seeds) take(ctx context.Context) (i int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i = s.next
	s.next++
	return i, i < s.n && ctx.Err() == nil && !(s.stopOnFailure && i > s.firstFailure)
}

func (s *seeds) finish(i int, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if failed {
		s.failed++
		s.firstFailure = min(s.firstFailure, i)
	}
	s.progress()
}

// one runs one seed. What goes wrong with it is an outcome too; a run that was
// stopped has none.
func (s *seeds) one(ctx context.Context, seed uint64) (o sim.Outcome, ran bool) {
	l, err := s.l.of(seed)
	if err == nil {
		var res *sim.Result
		if res, err = l.once(s.opt); err == nil {
			if s.keep != nil {
				s.keep(int(seed-s.from), res)
			}
			return sim.OutcomeOf(res), true
		}
	}
	if stopped(ctx, err) {
		return sim.Outcome{}, false
	}
	return sim.Outcome{Seed: seed, Replay: l.again(), Failures: []sim.Failure{broken(err)}}, true
}

// stopped says that a run ended because its command was stopped.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// broken is the failure of a run that came to no result.
func broken(err error) sim.Failure {
	f := sim.Failure{Exit: sim.ExitBad, Kind: "error", By: "run", First: err.Error()}
	if errors.Is(err, errPanic) {
		f.By = "panic"
	}
	return f
}

// progress tells how far the sweep is: on a terminal in one line that is
// overwritten, else in a line now and then.
func (s *seeds) progress() {
	if s.quiet {
		return
	}
	now := time.Now()
	every, begin, end := progressEvery, "", "\n"
	if s.terminal() {
		every, begin, end = barEvery, "\r", " "
	}
	if now.Sub(s.told) < every {
		return
	}
	s.told = now
	fmt.Fprintf(s.show, "%s%s: %d of %d seeds, %.1f seeds/s, %d failed%s", begin, s.l.plan.Scenario.Name, s.done, s.n, float64(s.done)/now.Sub(s.began).Seconds(), s.failed, end)
}

func (s *seeds) terminal() bool {
	f, ok := s.show.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s *seeds) clear() {
	if !s.quiet && s.terminal() {
		fmt.Fprint(s.show, "\r\033[K")
	}
}
