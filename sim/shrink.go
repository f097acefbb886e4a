package sim

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/sim/market"
	"bettensor/sim/scenario"
)

// ShrinkOptions say how far a failure is made smaller.
type ShrinkOptions struct {
	// Runs is the most runs that are tried. Default 200.
	Runs int
	// Signature of the failure to keep; "" for the first violation, or the worst
	// failure where no invariant is broken.
	Signature string
	// Run are the options of every run: Prepare, Stopped.
	Run RunOptions
	// Step, where set, is told of each part that turned out not to be needed.
	Step func(ShrinkStep)
}

const defaultShrinkRuns = 200

// ShrinkStep is one step that made the scenario smaller.
type ShrinkStep struct {
	Runs int    // tried so far
	What string // as in "without 30 of 60 faults"
}

// Shrunk is a scenario as small as could be found that fails as the whole one
// did.
type Shrunk struct {
	File    []byte // without comments
	Seed    uint64
	Failure Failure
	Event   uint64 // the event of the world at which it fails; 0 where it takes the whole run
	Runs    int
	Cut     []string // what was taken out, a line each
	Before  Size
	After   Size
}

// Size of a scenario.
type Size struct {
	Validators, Miners, Faults, Windows int
	Duration                            time.Duration
}

// SizeOf counts what is in a scenario; Windows are those written out.
func SizeOf(s *scenario.Scenario) Size {
	n := Size{Faults: len(s.Faults), Duration: s.Duration}
	for _, v := range s.Validators {
		n.Validators += v.Count
	}
	for _, g := range s.Miners {
		n.Miners += g.Count
	}
	for i := range s.Faults {
		n.Windows += max(len(s.Faults[i].Windows), 1)
	}
	return n
}

// ErrPassed is a scenario that there is nothing to shrink of.
var ErrPassed = errors.New("the scenario passes")

// Shrink makes a scenario that fails smaller as long as it fails with the same
// signature: it writes out what the seed chose, cuts the run short behind the
// failure, and takes out thresholds, faults, their windows, miners, validators
// and settings by delta debugging. What is no scenario, or the same scenario, is
// decided without a run. It returns ErrPassed where the plan does not fail.
func (p *Plan) Shrink(o ShrinkOptions) (*Shrunk, error) {
	if o.Runs <= 0 {
		o.Runs = defaultShrinkRuns
	}
	whole, err := p.Expanded()
	if err != nil {
		return nil, err
	}
	explicit := *whole
	explicit.Duration = p.End.Sub(p.Start)
	d, err := scenario.NewDraft(explicit.Canonical())
	if err != nil {
		return nil, err
	}
	s := &shrinker{o: o, games: p.games, tried: map[string]bool{}}
	run, err := s.run(p)
	if err != nil {
		return nil, err
	}
	failures := run.failures
	if len(failures) == 0 {
		return nil, ErrPassed
	}
	s.want = failures[0]
	if o.Signature != "" {
		i := slices.IndexFunc(failures, func(f Failure) bool { return f.Signature() == o.Signature })
		if i < 0 {
			return nil, fmt.Errorf("%w by %q; it fails first by %q", ErrPassed, o.Signature, s.want.Signature())
		}
		s.want = failures[i]
	}
	before := SizeOf(&explicit)
	if !s.try(d) { // written out, and therefore run once more
		return nil, fmt.Errorf("the scenario written out does not fail by %q as it did", s.want.Signature())
	}
	s.reduce()
	parsed, problems := scenario.Parse("shrunk", s.file, nil, ScenarioOption())
	if len(problems) > 0 {
		return nil, problems
	}
	return &Shrunk{File: s.file, Seed: parsed.Seed, Failure: s.want, Event: s.last.events, Runs: s.runs, Cut: s.cut, Before: before, After: SizeOf(parsed)}, nil
}

// shrinker holds the smallest scenario so far that fails as the first did.
type shrinker struct {
	o         ShrinkOptions
	games     *market.Games
	want      Failure
	draft     *scenario.Draft
	file      []byte
	parsed    *scenario.Scenario
	canonical string
	last      attempt
	runs      int
	tried     map[string]bool // canonical forms that do not fail so
	cut       []string
}

// attempt is what a run came to.
type attempt struct {
	failures []Failure
	events   uint64        // at which it stopped; 0 where it went to its end
	length   time.Duration // until it failed or ended
}

// run runs a plan, up to its first violation where that is what is looked for. A
// simulator that gives up is a failure like another.
func (s *shrinker) run(p *Plan) (a attempt, err error) {
	s.runs++
	defer func() {
		if v := recover(); v != nil {
			a, err = attempt{failures: []Failure{{ExitBad, "error", "panic", fmt.Sprint(v)}}, length: p.End.Sub(p.Start)}, nil
		}
	}()
	o := s.o.Run
	o.FailFast = s.o.Signature == "" && (s.want.Kind == "" || s.want.Kind == "invariant")
	r, err := p.Run(o)
	if err != nil {
		return attempt{}, err
	}
	a = attempt{failures: r.Failures(), length: r.End.Sub(r.Start)}
	if r.Stopped != "" {
		a.events = r.Events
	}
	return a, nil
}

// spent says that no more runs are to be tried.
func (s *shrinker) spent() bool { return s.runs >= s.o.Runs }

// try takes a draft in place of the smallest so far, if it fails alike.
func (s *shrinker) try(d *scenario.Draft) bool {
	file, err := d.Bytes()
	if err != nil {
		return false
	}
	parsed, problems := scenario.Parse("shrunk", file, nil, ScenarioOption())
	if len(problems) > 0 {
		return false
	}
	canonical := string(parsed.Canonical())
	if canonical == s.canonical { // what was taken out is the default
		s.draft, s.file = d, file
		return true
	}
	if s.tried[canonical] || s.spent() {
		return false
	}
	s.tried[canonical] = true
	p, err := plan(parsed, s.games)
	if err != nil {
		return false
	}
	a, err := s.run(p)
	if err != nil || !slices.ContainsFunc(a.failures, func(f Failure) bool { return f.Signature() == s.want.Signature() }) {
		return false
	}
	for _, f := range a.failures {
		if f.Signature() == s.want.Signature() {
			s.want = f // its words, for the smaller scenario
		}
	}
	s.draft, s.file, s.parsed, s.canonical, s.last = d, file, parsed, canonical, a
	return true
}

func (s *shrinker) tell(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	s.cut = append(s.cut, what)
	if s.o.Step != nil {
		s.o.Step(ShrinkStep{s.runs, what})
	}
}

// bulk are the lists that make a scenario long, most first.
var bulk = []string{"thresholds", "expect", "sometimes", "faults", "miners", "validators"}

// reduce takes out what it can until a round finds nothing more or the runs are
// spent.
func (s *shrinker) reduce() {
	for {
		before := s.canonical
		s.shorten()
		for _, list := range bulk {
			s.thin(list)
		}
		s.shorten()
		s.counts()
		for _, list := range s.draft.Lists() {
			if !slices.Contains(bulk, list) {
				s.thin(list)
			}
		}
		s.settings("")
		if s.canonical == before || s.spent() {
			break
		}
	}
	s.seed()
	s.defaults("") // last, when little is left to read again
}

// defaults drops keys that say nothing, at the cost of no run.
func (s *shrinker) defaults(path string) {
	keys := s.draft.Keys(path)
	for _, k := range slices.Backward(keys) {
		if k == "seed" || k == "duration" || k == "name" {
			continue // what a reader looks for
		}
		if s.idle(s.draft.Without(k)) {
			continue
		}
		s.defaults(k)
		for _, item := range s.draft.Items(k) {
			s.defaults(item)
		}
	}
}

// idle takes a draft that means the same, and reports whether it does.
func (s *shrinker) idle(d *scenario.Draft) bool {
	file, err := d.Bytes()
	if err != nil {
		return false
	}
	parsed, problems := scenario.Parse("shrunk", file, nil, ScenarioOption())
	if len(problems) > 0 || string(parsed.Canonical()) != s.canonical {
		return false
	}
	s.draft, s.file = d, file
	return true
}

// slackAfter the failure, so that a scenario that is changed by hand a little
// still reaches it.
const slackAfter = time.Second

// shorten cuts the run behind the failure, and then by halves: what is looked at
// when a run ends may fail earlier.
func (s *shrinker) shorten() {
	set := func(d time.Duration) bool {
		d = max(d.Round(time.Second), time.Minute)
		old := s.parsed.Duration
		for ; d < old; d *= 2 { // too short for any game is no scenario, and costs no run
			runs, draft := s.runs, s.draft.With("duration", scenario.FormatDuration(d)).Without(s.later(d)...)
			if s.try(draft) || s.try(draft.Without("phases")) {
				s.tell("the run ends after %s", scenario.FormatDuration(d))
				return true
			}
			if s.runs > runs {
				return false
			}
		}
		return false
	}
	set(s.last.length + slackAfter)
	for range 4 {
		if !set(s.last.length/2) && !set(s.last.length+slackAfter) {
			return
		}
	}
}

// later are the faults and windows that begin when a run of a length is over.
func (s *shrinker) later(length time.Duration) (paths []string) {
	for i := range s.parsed.Faults {
		f := &s.parsed.Faults[i]
		path := fmt.Sprintf("faults[%d]", i)
		over := 0
		for k, w := range f.Windows {
			if f.When == "" && w.At >= length {
				paths = append(paths, fmt.Sprintf("%s.windows[%d]", path, k))
				over++
			}
		}
		if f.When == "" && (len(f.Windows) == 0 && f.At >= length || over > 0 && over == len(f.Windows)) {
			paths = append(paths, path)
		}
	}
	return paths
}

// thin takes items out of a list by delta debugging: all, halves, quarters, down
// to single ones.
func (s *shrinker) thin(list string) {
	total := len(s.draft.Items(list))
	if total == 0 {
		return
	}
	for chunks := 1; !s.spent(); {
		items := s.draft.Items(list)
		if len(items) == 0 {
			break
		}
		chunks = min(chunks, len(items))
		cut := false
		for i := range chunks {
			gone := items[i*len(items)/chunks : (i+1)*len(items)/chunks]
			names := make([]string, len(gone))
			for k, path := range gone {
				names[k] = s.draft.Label(path)
			}
			without := s.draft.Without(gone...)
			if len(gone) == len(items) {
				without = s.draft.Without(list)
			}
			was := s.canonical
			if !s.try(without) {
				continue
			}
			if s.canonical == was { // they are the default
				return
			}
			if len(names) > 4 {
				names = append(names[:4:4], "…")
			}
			s.tell("without %d of %d %s: %s", len(gone), len(items), list, strings.Join(names, ", "))
			cut = true
			break
		}
		switch {
		case cut:
			chunks = max(chunks-1, 1)
		case chunks >= len(items):
			return
		default:
			chunks *= 2
		}
	}
}

// counts brings groups down to the fewest members.
func (s *shrinker) counts() {
	for _, list := range []string{"miners", "validators"} {
		for _, item := range s.draft.Items(list) {
			path := item + ".count"
			n, err := strconv.Atoi(s.draft.Value(path))
			if err != nil || n <= 1 {
				continue
			}
			low, high := 1, n // high fails as it should
			for low < high && !s.spent() {
				middle := (low + high) / 2
				if s.try(s.draft.With(path, strconv.Itoa(middle))) {
					high = middle
				} else {
					low = middle + 1
				}
			}
			if high < n {
				s.tell("%d in place of %d %s", high, n, s.draft.Label(item))
			}
		}
	}
}

// settings leaves out keys, so that their defaults count: whole sections first,
// then what is in them.
func (s *shrinker) settings(path string) {
	for _, k := range slices.Backward(s.draft.Keys(path)) {
		if s.spent() {
			return
		}
		if k == "seed" || k == "duration" || k == "name" || slices.Contains(bulk, k) && path == "" {
			continue
		}
		if d, was := s.draft.Without(k), s.canonical; s.try(d) {
			if s.canonical != was {
				s.tell("%s by default", k)
			}
			continue
		}
		s.settings(k)
		for _, item := range s.draft.Items(k) {
			s.settings(item)
		}
	}
	if path == "" {
		for _, list := range bulk {
			for _, item := range s.draft.Items(list) {
				s.settings(item)
			}
		}
	}
}

// seed tries a few small ones.
func (s *shrinker) seed() {
	old := s.draft.Value("seed")
	for _, n := range []string{"1", "2", "3"} {
		if cmp.Compare(len(old), len(n)) < 0 || old <= n && len(old) == len(n) {
			return
		}
		if s.try(s.draft.With("seed", n)) {
			s.tell("seed %s in place of %s", n, old)
			return
		}
	}
}

// Text is the scenario as a file with comments that tell what it shows, what was
// taken out, and how to run it: as path, by program.
func (s *Shrunk) Text(program, path, from string) []byte {
	var b bytes.Buffer
	first := strings.ReplaceAll(s.Failure.First, "\n", " ")
	fmt.Fprintf(&b, "# Shows: %s, made as small as %d runs could make it.\n#   %s\n", s.Failure.Signature(), s.Runs, first)
	fmt.Fprintf(&b, "# From: %s: %s, now %s.\n", from, s.Before, s.After)
	for _, line := range s.Cut {
		fmt.Fprintf(&b, "#   %s\n", strings.ReplaceAll(line, "\n", " "))
	}
	fmt.Fprintf(&b, "# Again: %s sim run %s\n", program, quoted(path))
	if s.Event > 0 {
		fmt.Fprintf(&b, "# There: %s sim run %s --until %d\n", program, quoted(path), s.Event)
	}
	b.Write(s.File)
	return b.Bytes()
}

// String is a size in words.
func (n Size) String() string {
	return fmt.Sprintf("%s in %s, %s, %s, %s", Counted(n.Faults, "fault"), Counted(n.Windows, "window"), Counted(n.Miners, "miner"), Counted(n.Validators, "validator"), scenario.FormatDuration(n.Duration))
}
