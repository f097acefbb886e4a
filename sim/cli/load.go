package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"bettensor/sim"
	"bettensor/sim/market"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

// maxGamesBytes bounds a file of games: a hundred seasons of a league.
const maxGamesBytes = 64 << 20

// scenarioFlags are of commands that read scenarios.
func scenarioFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "games", Usage: "play the matches of `FILE` (CSV; repeat for several leagues)"},
		&cli.StringSliceFlag{Name: "set", Usage: "set a key of the scenario, `PATH=VALUE`, as in miners.skilled.count=16 (repeatable)"},
	}
}

// seededFlags are of commands that read scenarios and take one seed.
func seededFlags() []cli.Flag {
	return append([]cli.Flag{&cli.Uint64Flag{Name: "seed", DefaultText: "the scenario's own", Usage: "run it with seed `N`"}}, scenarioFlags()...)
}

// limitFlag is of commands that run whole scenarios.
func limitFlag() cli.Flag {
	return &cli.Uint64Flag{Name: "limit-events", Value: sim.DefaultLimit, Usage: "fail a run after `N` events, those of the world among them, with what it was doing; 0 is no limit"}
}

func plantFlag() cli.Flag {
	return &cli.StringFlag{Name: "plant", Usage: "put the bug `NAME` into the world and see it found (`sim plants` lists them)"}
}

// loaded is a scenario with its files, ready to plan.
type loaded struct {
	path  string
	plan  *sim.Plan
	games []string // --games
	sets  []string // --set
	seed  *uint64  // --seed; nil where the file's own counts
	limit *uint64  // --limit-events; nil where that was not given
	data  []byte
	files []market.File
	// replay is the command that repeats it, where that is no `sim run`.
	replay string
}

// load reads the one scenario of a command line, and its files.
func load(c *cli.Context) (*loaded, error) {
	if c.NArg() != 1 {
		return nil, fail(exitBad, "expected one scenario file, got %d arguments; flags come before or after it, as in: %s scenarios/quickstart.yaml --seed 7", c.NArg(), c.Command.HelpName)
	}
	return loadFile(c, c.Args().First())
}

// loadAll reads the scenarios of a command line that takes several.
func loadAll(c *cli.Context) ([]*loaded, error) {
	if c.NArg() == 0 {
		return nil, fail(exitBad, "expected a scenario file, as in: %s scenarios/quickstart.yaml", c.Command.HelpName)
	}
	var all []*loaded
	var errs []error
	for _, path := range c.Args().Slice() {
		l, err := loadFile(c, path)
		all, errs = append(all, l), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &exitError{exitBad, err}
	}
	return all, nil
}

// loadFile reads one of a command line's scenarios, and its files. own are
// settings of its own, besides those of --set.
func loadFile(c *cli.Context, path string, own ...string) (*loaded, error) {
	l := &loaded{path: path, games: c.StringSlice("games"), sets: slices.Concat(c.StringSlice("set"), own)}
	if bug := c.String("plant"); bug != "" {
		if _, ok := sim.FindBug(bug); !ok {
			return nil, fail(exitBad, "--plant: no bug %q; `%s sim plants` lists them", bug, program())
		}
		l.sets = append(l.sets, "plant="+bug)
	}
	if c.IsSet("seed") {
		n := c.Uint64("seed")
		l.seed = &n
	}
	if c.IsSet("limit-events") {
		n := c.Uint64("limit-events")
		l.limit = &n
	}
	var err error
	if l.data, err = readFile(path, scenario.MaxFileBytes); err != nil {
		return nil, err
	}
	return l, l.prepare()
}

// prepare makes the plan of what was read.
func (l *loaded) prepare() error {
	sets := l.sets
	if l.seed != nil {
		sets = append(slices.Clone(sets), fmt.Sprintf("seed=%d", *l.seed))
	}
	s, problems := scenario.Parse(l.path, l.data, sets, sim.ScenarioOption())
	if len(problems) > 0 {
		return &exitError{exitBad, problems}
	}
	if l.files == nil {
		names, by := l.games, "--games"
		if len(names) == 0 {
			by = "market.file"
			for _, f := range s.Market.Files { // named in the scenario: beside it
				if !filepath.IsAbs(f) {
					f = filepath.Join(filepath.Dir(l.path), f)
				}
				names = append(names, f)
			}
		}
		var missing []error
		for _, f := range names {
			data, err := readFile(f, maxGamesBytes)
			if err != nil {
				missing = append(missing, fmt.Errorf("%s: %s: %w", l.path, by, err))
			}
			l.files = append(l.files, market.File{Name: f, Data: data})
		}
		if len(missing) > 0 {
			return &exitError{exitBad, errors.Join(missing...)}
		}
	}
	plan, bad, err := sim.NewPlan(s, l.files)
	if len(bad) > 0 {
		lines := make([]error, len(bad))
		for i := range bad {
			lines[i] = bad[i]
		}
		return &exitError{exitBad, errors.Join(lines...)}
	}
	if errors.Is(err, sim.ErrBenchmark) {
		return fail(exitBad, "%s: %w; measure it with: %s bench run %s", l.path, err, program(), l.path)
	}
	if err != nil {
		return fail(exitBad, "%s: %w", l.path, err)
	}
	l.plan = plan
	return nil
}

// of is the same scenario with another seed.
func (l *loaded) of(seed uint64) (*loaded, error) {
	other := *l
	other.seed = &seed
	p, err := l.plan.Reseed(seed)
	if err != nil {
		return &other, fail(exitBad, "%s: seed %d: %w", l.path, seed, err)
	}
	other.plan = p
	return &other, nil
}

// again is the command line that repeats the run.
func (l *loaded) again() string {
	if l.replay != "" {
		return l.replay
	}
	p := *l.plan
	if l.seed != nil && *l.seed != p.Scenario.Seed { // no plan could be made of it
		s := *p.Scenario
		s.Seed = *l.seed
		p.Scenario = &s
	}
	again := p.Command(program(), l.path, l.games, l.sets)
	if l.limit != nil {
		again += fmt.Sprintf(" --limit-events %d", *l.limit)
	}
	return again
}

// gameFiles are the names of the files of matches.
func (l *loaded) gameFiles() (names []string) {
	for _, f := range l.files {
		names = append(names, f.Name)
	}
	return names
}

// tuneHeap lets the heap grow more between collections: a run lives for seconds
// and makes millions of short-lived frames. GOGC in the environment wins.
func tuneHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// readFile reads a whole file, but not without end.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &exitError{exitBad, fmt.Errorf("%w", err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, &exitError{exitBad, err}
	}
	if int64(len(data)) > limit {
		return nil, fail(exitBad, "%s: larger than %d bytes", path, limit)
	}
	return data, nil
}
