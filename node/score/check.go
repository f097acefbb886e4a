package score

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Errors of CheckFile, each wrapped with the file and, where there is one, the
// place in it. Commands map the first two to "validation" and the last to
// "file".
var (
	ErrTolerance  = errors.New("score: out of tolerance")
	ErrMalformed  = errors.New("score: malformed vector file")
	ErrUnreadable = errors.New("score: vector file cannot be read")
)

// Report is what running one vector file through the core gave.
type Report struct {
	Path string
	Form string // "components", "entropy" or "days"
	// Deviations, one a component, in the order of the form.
	Deviations []Deviation
}

// Deviation is the largest |got − want| / max(1, |want|) of one component.
type Deviation struct {
	Component string
	Checked   int     // numbers compared
	Worst     float64 // +Inf where a number was not finite
	Tolerance float64 // as the file states it; 0 for what must be exact
	At        string  // JSON path of the worst number; "" where all are exact
	Got, Want float64 // the worst number
}

// OK reports whether the component is within its tolerance.
func (d Deviation) OK() bool { return d.Worst <= d.Tolerance }

// OK reports whether every component is within its tolerance.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Deviations, func(d Deviation) bool { return !d.OK() })
}

// CheckFile runs a vector file: made-up input with the numbers the original
// computed for it. Three forms are known by their "function": components of one
// day ("clv, roi, risk"), contributions of arriving predictions ("entropy"),
// and tiers and weights of consecutive days ("composite, tiers, weights").
// Keys it does not know are ignored; what it needs must be there, of its type,
// and of the right length. path only names the file in messages.
//
// The error is ErrTolerance, with a full report, or ErrMalformed or
// ErrUnreadable.
func CheckFile(path string, r io.Reader) (Report, error) {
	rep := Report{Path: path}
	root, err := readVector(path, r)
	if err != nil {
		return rep, err
	}
	f := &vector{root: root, rep: &rep}
	if err := f.run(); err != nil {
		return Report{Path: path}, fmt.Errorf("%s: %w", path, err)
	}
	for _, d := range rep.Deviations {
		if !d.OK() {
			return rep, fmt.Errorf("%s: %w: %s off by %.3g where %.3g is allowed, at %s: got %v, want %v",
				path, ErrTolerance, d.Component, d.Worst, d.Tolerance, d.At, d.Got, d.Want)
		}
	}
	return rep, nil
}

// vector is one file being run.
type vector struct {
	root value
	rep  *Report
}

// forms by the text of "function"; where it is missing, by a key of inputs that
// only the form has.
var forms = []struct {
	name, function, key string
	run                 func(*vector) error
}{
	{"components", "clv, roi, risk", "closing_odds", (*vector).components},
	{"entropy", "entropy", "sequence", (*vector).entropy},
	{"days", "composite, tiers, weights", "days", (*vector).days},
}

func (f *vector) run() error {
	inputs, err := f.root.object("inputs")
	if err != nil {
		return err
	}
	function, stated := "", f.root.has("function")
	if stated {
		if function, err = f.root.text("function"); err != nil {
			return err
		}
	}
	for _, form := range forms {
		if stated && function == form.function || !stated && inputs.has(form.key) {
			f.rep.Form = form.name
			if err := f.rule(); err != nil {
				return err
			}
			return form.run(f)
		}
	}
	if stated {
		return malformed("function", "want %q, %q or %q, got %q", forms[0].function, forms[1].function, forms[2].function, function)
	}
	return malformed("function", "missing, and inputs holds none of closing_odds, sequence, days")
}

// deviationRule is how files measure a deviation, without its spaces. A file
// that states another rule cannot be judged by this one.
const deviationRule = "|got-want|/max(1,|want|)"

func (f *vector) rule() error {
	t, err := f.root.object("tolerance")
	if err != nil || !t.has("rule") {
		return err
	}
	rule, err := t.text("rule")
	if err == nil && !strings.Contains(strings.ReplaceAll(rule, " ", ""), deviationRule) {
		err = malformed("tolerance.rule", "want a deviation of |got - want| / max(1, |want|), got %q", rule)
	}
	return err
}

// maxTolerance is a deviation as large as the number itself: with more, a file
// would prove nothing.
const maxTolerance = 1.0

// component starts a deviation with the tolerance the file states.
func (f *vector) component(name string) (*Deviation, error) {
	t, err := f.root.object("tolerance")
	if err != nil {
		return nil, err
	}
	tol, err := t.number(name)
	if err != nil {
		return nil, err
	}
	if !(tol > 0 && tol <= maxTolerance) {
		return nil, malformed("tolerance."+name, "want a number above 0 and at most %v, got %v", maxTolerance, tol)
	}
	return &Deviation{Component: name, Tolerance: tol}, nil
}

// compare takes one number into the deviation; place names it if it is the
// worst so far.
func (d *Deviation) compare(got, want float64, place func() string) {
	d.Checked++
	off := math.Abs(got-want) / max(1, math.Abs(want))
	if math.IsNaN(off) {
		off = math.Inf(1)
	}
	if off > d.Worst {
		d.Worst, d.Got, d.Want, d.At = off, got, want, place()
	}
}

func (d *Deviation) compareAll(got, want []float64, path string) {
	for i := range want {
		d.compare(got[i], want[i], func() string { return index(path, i) })
	}
}

// components runs one day, as intended and, where the file has the legacy
// table, as released.
func (f *vector) components() error {
	inputs, err := f.root.object("inputs")
	if err != nil {
		return err
	}
	slots, err := inputs.whole("num_miners", 0, MaxSlots)
	if err != nil {
		return err
	}
	day, err := f.day(inputs, slots)
	if err != nil {
		return err
	}
	expected, err := f.root.object("expected")
	if err != nil {
		return err
	}
	tolerance, err := f.root.object("tolerance")
	if err != nil {
		return err
	}
	s, out := Standard(), new(Components)
	if err := s.Components(day, out); err != nil {
		return malformed("inputs", "%v", err)
	}
	if err := f.compareArrays(expected, map[string][]float64{"clv": out.CLV, "roi": out.ROI, "risk": out.Risk}, "clv", "roi", "risk"); err != nil {
		return err
	}
	if !inputs.has("closing_table_legacy") && !expected.has("clv_legacy") && !tolerance.has("clv_legacy") {
		return nil
	}
	if day.LegacyTable, err = inputs.legacyRows("closing_table_legacy"); err != nil {
		return err
	}
	s = Released()
	if err := s.Components(day, out); err != nil {
		return malformed("inputs", "%v", err)
	}
	return f.compareArrays(expected, map[string][]float64{"clv_legacy": out.CLV}, "clv_legacy")
}

// compareArrays checks the named arrays of an object of expected values and
// appends their deviations to the report.
func (f *vector) compareArrays(expected value, got map[string][]float64, names ...string) error {
	for _, name := range names {
		d, err := f.component(name)
		if err != nil {
			return err
		}
		want, err := expected.numbers(name, len(got[name]))
		if err != nil {
			return err
		}
		d.compareAll(got[name], want, join(expected.path, name))
		f.rep.Deviations = append(f.rep.Deviations, *d)
	}
	return nil
}

// row is one prediction of a file.
type row struct {
	miner, outcome      int
	game                string
	odds, wager, payout float64
}

// predictionColumns are the columns of predictions in the order they have
// unless the file says otherwise.
var predictionColumns = []string{"miner_uid", "game_id", "predicted_outcome", "predicted_odds", "payout", "wager"}

// columns gives the position of each wanted column, from the list of names the
// file may carry (a name ends at the first space), and the length of a row.
func (f *vector) columns(holder value, key string, want []string) (pos []int, width int, err error) {
	pos = make([]int, len(want))
	if !holder.has(key) {
		for i := range pos {
			pos[i] = i
		}
		return pos, len(want), nil
	}
	list, err := holder.list(key)
	if err != nil {
		return nil, 0, err
	}
	names := make([]string, len(list))
	for i, v := range list {
		s, ok := v.v.(string)
		if !ok {
			return nil, 0, v.wrong("text")
		}
		names[i], _, _ = strings.Cut(s, " ")
	}
	for i, name := range want {
		if pos[i] = slices.Index(names, name); pos[i] < 0 {
			return nil, 0, malformed(join(holder.path, key), "no column %q", name)
		}
	}
	return pos, len(names), nil
}

// day reads predictions, closing odds and results of one object into columns.
func (f *vector) day(in value, slots int) (*Day, error) {
	games, err := newGames(in)
	if err != nil {
		return nil, err
	}
	pos, width, err := f.columns(f.root, "predictions_columns", predictionColumns)
	if err != nil {
		return nil, err
	}
	list, err := in.list("predictions")
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(list))
	for i, v := range list {
		if rows[i], err = predictionRow(v, pos, width, slots); err != nil {
			return nil, err
		}
		if _, ok := games.index[rows[i].game]; !ok {
			return nil, malformed(v.path, "game %s has neither closing odds nor a result", rows[i].game)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.miner, b.miner) })
	d := &Day{Slots: slots, Closing: games.closing, Result: games.result, LegacyID: games.id}
	for _, r := range rows {
		d.add(r, games.index[r.game])
	}
	return d, nil
}

func (d *Day) add(r row, game int32) {
	d.Miner = append(d.Miner, uint16(r.miner))
	d.Game = append(d.Game, game)
	d.Outcome = append(d.Outcome, uint8(r.outcome))
	d.Odds = append(d.Odds, r.odds)
	d.Wager = append(d.Wager, r.wager)
	d.Payout = append(d.Payout, r.payout)
}

func predictionRow(v value, pos []int, width, slots int) (r row, err error) {
	cells, err := v.items(width)
	if err != nil {
		return r, err
	}
	if r.miner, err = cells[pos[0]].integer(0, slots-1); err != nil {
		return r, err
	}
	if r.game, err = cells[pos[1]].gameID(); err != nil {
		return r, err
	}
	if r.outcome, err = cells[pos[2]].integer(0, 2); err != nil {
		return r, err
	}
	if r.odds, err = cells[pos[3]].float(1); err != nil {
		return r, err
	}
	if r.payout, err = cells[pos[4]].float(0); err != nil {
		return r, err
	}
	r.wager, err = cells[pos[5]].float(0)
	return r, err
}

// games are the games a file speaks of, in order of their ids.
type games struct {
	index   map[string]int32
	id      []float64
	closing [][3]float64
	result  []int8
}

// noResultCode is how the original's tables say that a game has no result.
const noResultCode = 3

// newGames reads closing_odds and results. A game may lack one of the two:
// closing odds are then unknown, or there is no result.
func newGames(in value) (*games, error) {
	closing, err := in.object("closing_odds")
	if err != nil {
		return nil, err
	}
	results, err := in.object("results")
	if err != nil {
		return nil, err
	}
	g := &games{index: make(map[string]int32)}
	keys := append(closing.keys(), results.keys()...)
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		id, err := strconv.ParseFloat(k, 64)
		if err != nil || !finite(id) {
			return nil, malformed(in.path, "game id %q is not a number", k)
		}
		odds, result := [3]float64{}, int(NoResult)
		if closing.has(k) {
			if odds, err = closing.closingOdds(k); err != nil {
				return nil, err
			}
		}
		if results.has(k) {
			if result, err = results.whole(k, int(NoResult), noResultCode); err != nil {
				return nil, err
			}
			if result == noResultCode {
				result = int(NoResult)
			}
		}
		g.index[k] = int32(len(g.id))
		g.id = append(g.id, id)
		g.closing = append(g.closing, odds)
		g.result = append(g.result, int8(result))
	}
	if len(g.id) > MaxGames {
		return nil, malformed(in.path, "%d games, want at most %d", len(g.id), MaxGames)
	}
	return g, nil
}

// sequenceColumns are the columns of arriving predictions.
var sequenceColumns = []string{"miner_uid", "game_id", "outcome", "wager", "odds", "time", "expected_contribution"}

// defaultSequence is their order in a file that does not say, after the id.
var defaultSequence = []int{1, 2, 3, 4, 5, 6, 7}

// entropy feeds arrivals to Pools as released, and scores the day of them all.
func (f *vector) entropy() error {
	inputs, err := f.root.object("inputs")
	if err != nil {
		return err
	}
	slots, err := inputs.whole("num_miners", 0, MaxSlots)
	if err != nil {
		return err
	}
	list, err := inputs.list("games")
	if err != nil {
		return err
	}
	s := Released()
	s.LegacyCLV = false // only the entropy is looked at
	day := &Day{Slots: slots}
	index := make(map[string]int32, len(list))
	for _, v := range list {
		id, err := v.at("id")
		if err != nil {
			return err
		}
		key, err := id.gameID()
		if err != nil {
			return err
		}
		odds, err := v.closingOdds("odds")
		if err != nil {
			return err
		}
		if _, twice := index[key]; twice {
			return malformed(v.path, "game %s is there twice", key)
		}
		index[key] = int32(len(day.Closing))
		day.Closing = append(day.Closing, odds)
		day.Result = append(day.Result, NoResult)
	}
	if len(day.Closing) > MaxGames {
		return malformed("inputs.games", "%d games, want at most %d", len(day.Closing), MaxGames)
	}

	pos, width := defaultSequence, len(defaultSequence)+1
	if inputs.has("sequence_columns") {
		if pos, width, err = f.columns(inputs, "sequence_columns", sequenceColumns); err != nil {
			return err
		}
	}
	sequence, err := inputs.list("sequence")
	if err != nil {
		return err
	}
	contribution, err := f.component("contribution")
	if err != nil {
		return err
	}
	type arrived struct {
		row
		raw float64
	}
	rows := make([]arrived, len(sequence))
	pools := NewPools(&s)
	for i, v := range sequence {
		cells, err := v.items(width)
		if err != nil {
			return err
		}
		r, at, want, err := sequenceRow(cells, pos, slots)
		if err != nil {
			return err
		}
		if _, ok := index[r.game]; !ok {
			return malformed(cells[pos[1]].path, "game %s is not in inputs.games", r.game)
		}
		raw := pools.Arrive(r.game, uint8(r.outcome), r.odds, r.wager, at)
		contribution.compare(raw, want, func() string { return cells[pos[6]].path })
		rows[i] = arrived{r, raw}
	}
	f.rep.Deviations = append(f.rep.Deviations, *contribution)

	slices.SortStableFunc(rows, func(a, b arrived) int { return cmp.Compare(a.miner, b.miner) })
	for _, r := range rows {
		day.add(r.row, index[r.game])
		day.Raw = append(day.Raw, r.raw)
	}
	out := new(Components)
	if err := s.Components(day, out); err != nil {
		return malformed("inputs", "%v", err)
	}
	expected, err := f.root.object("expected")
	if err != nil {
		return err
	}
	if err := f.compareArrays(expected, map[string][]float64{"day_scores": out.Entropy}, "day_scores"); err != nil {
		return err
	}
	return f.initialPools(expected, index, day.Closing)
}

func sequenceRow(cells []value, pos []int, slots int) (r row, at time.Time, want float64, err error) {
	fail := func(err error) (row, time.Time, float64, error) { return row{}, time.Time{}, 0, err }
	if r.miner, err = cells[pos[0]].integer(0, slots-1); err != nil {
		return fail(err)
	}
	if r.game, err = cells[pos[1]].gameID(); err != nil {
		return fail(err)
	}
	if r.outcome, err = cells[pos[2]].integer(0, 2); err != nil {
		return fail(err)
	}
	if r.wager, err = cells[pos[3]].float(0); err != nil {
		return fail(err)
	}
	if r.odds, err = cells[pos[4]].float(1); err != nil {
		return fail(err)
	}
	if at, err = cells[pos[5]].time(); err != nil {
		return fail(err)
	}
	if want, err = cells[pos[6]].float(math.Inf(-1)); err != nil {
		return fail(err)
	}
	return r, at, want, nil
}

// initialPools compares the entropy every pool opened with. A pool of outcome 2
// exists only where the sport can tie.
func (f *vector) initialPools(expected value, index map[string]int32, odds [][3]float64) error {
	d, err := f.component("initial_pool_entropy")
	if err != nil {
		return err
	}
	all, err := expected.object("initial_pool_entropy")
	if err != nil {
		return err
	}
	keys := all.keys()
	slices.Sort(keys)
	for _, k := range keys {
		if _, ok := index[k]; !ok {
			return malformed(join(all.path, k), "the game is not in inputs.games")
		}
	}
	ids := make([]string, len(index))
	for k, g := range index { // order cannot matter: each id has its own place
		ids[g] = k
	}
	for g, k := range ids {
		pools, err := all.object(k)
		if err != nil {
			return err
		}
		for o, price := range odds[g] {
			name := strconv.Itoa(o)
			if o == 2 && !(price > 0) {
				if pools.has(name) {
					return malformed(join(pools.path, name), "the game cannot tie")
				}
				continue
			}
			want, err := pools.number(name)
			if err != nil {
				return err
			}
			d.compare(InitialPoolEntropy(price), want, func() string { return join(pools.path, name) })
		}
	}
	f.rep.Deviations = append(f.rep.Deviations, *d)
	return nil
}

// daysScheme is the mechanism the days files were made with: components as
// intended, the rest as released.
func daysScheme() Scheme {
	s := Released()
	s.LegacyCLV = false
	return s
}

// days runs consecutive days from an empty history, with entropy given.
func (f *vector) days() error {
	inputs, err := f.root.object("inputs")
	if err != nil {
		return err
	}
	slots, err := inputs.whole("num_miners", 0, MaxSlots)
	if err != nil {
		return err
	}
	if inputs.has("max_days") {
		if _, err := inputs.whole("max_days", Ring, Ring); err != nil {
			return err
		}
	}
	round := &Round{Slots: slots, Valid: make([]bool, slots)}
	if err := markValid(inputs, round.Valid); err != nil {
		return err
	}
	list, err := inputs.list("days")
	if err != nil {
		return err
	}
	run := &daysRun{f: f, s: daysScheme(), round: round}
	for _, name := range []string{"clv", "roi", "risk", "composite", "weights"} {
		d, err := f.component(name)
		if err != nil {
			return err
		}
		run.devs = append(run.devs, d)
	}
	run.tiers = Deviation{Component: "tiers"}
	for i, v := range list {
		if err := run.day(v); err != nil {
			return err
		}
		if err := consecutive(list, i); err != nil {
			return err
		}
	}
	for _, d := range run.devs[:4] {
		f.rep.Deviations = append(f.rep.Deviations, *d)
	}
	f.rep.Deviations = append(f.rep.Deviations, run.tiers, *run.devs[4])
	return nil
}

// markValid reads valid_uids and invalid_uids; the other slots are empty.
func markValid(inputs value, valid []bool) error {
	seen := make([]bool, len(valid))
	for _, key := range []string{"valid_uids", "invalid_uids"} {
		uids, err := inputs.list(key)
		if err != nil {
			return err
		}
		for _, u := range uids {
			m, err := u.integer(0, len(valid)-1)
			if err != nil {
				return err
			}
			if seen[m] {
				return malformed(u.path, "UID %d is there twice", m)
			}
			seen[m] = true
			valid[m] = key == "valid_uids"
		}
	}
	return nil
}

// consecutive checks day_index: one more than the day before, from 44 to 0.
func consecutive(days []value, i int) error {
	if !days[i].has("day_index") {
		return nil
	}
	now, err := days[i].whole("day_index", 0, Ring-1)
	if err != nil || i == 0 || !days[i-1].has("day_index") {
		return err
	}
	before, err := days[i-1].whole("day_index", 0, Ring-1)
	if err == nil && now != (before+1)%Ring {
		err = malformed(join(days[i].path, "day_index"), "want %d after %d, got %d", (before+1)%Ring, before, now)
	}
	return err
}

// daysRun is the state that goes from one day of a file to the next.
type daysRun struct {
	f     *vector
	s     Scheme
	round *Round
	comps Components
	out   Result
	devs  []*Deviation // clv, roi, risk, composite, weights
	tiers Deviation
}

func (r *daysRun) day(v value) error {
	slots := r.round.Slots
	d, err := r.f.day(v, slots)
	if err != nil {
		return err
	}
	entropy, err := v.numbers("entropy_given", slots)
	if err != nil {
		return err
	}
	if err := r.s.Components(d, &r.comps); err != nil {
		return malformed(v.path, "%v", err)
	}
	r.shift()
	daily, wagered := make([]float64, slots), make([]float64, slots)
	for m := range daily {
		daily[m] = r.s.Composite(r.comps.CLV[m], r.comps.ROI[m], r.comps.Risk[m], entropy[m])
	}
	for i, m := range d.Miner {
		wagered[m] += d.Wager[i]
	}
	r.round.Daily[0], r.round.Wagered[0] = daily, wagered
	if err := r.s.Round(r.round, &r.out); err != nil {
		return malformed(v.path, "%v", err)
	}
	r.round.Yesterday = append(r.round.Yesterday[:0], r.out.Tiers...)
	return r.compare(v, daily)
}

// shift makes today yesterday.
func (r *daysRun) shift() {
	copy(r.round.Daily[1:], r.round.Daily[:Ring-1])
	copy(r.round.Wagered[1:], r.round.Wagered[:Ring-1])
}

func (r *daysRun) compare(v value, daily []float64) error {
	slots := r.round.Slots
	expected, err := v.object("expected")
	if err != nil {
		return err
	}
	for i, got := range [][]float64{r.comps.CLV, r.comps.ROI, r.comps.Risk} {
		d := r.devs[i]
		want, err := expected.numbers(d.Component, slots)
		if err != nil {
			return err
		}
		d.compareAll(got, want, join(expected.path, d.Component))
	}
	composites, err := expected.list("composite")
	if err != nil {
		return err
	}
	if len(composites) != slots {
		return malformed(join(expected.path, "composite"), "want %d rows, got %d", slots, len(composites))
	}
	for m, c := range composites {
		want, err := c.floats(1 + PublicTiers)
		if err != nil {
			return err
		}
		r.devs[3].compare(daily[m], want[0], func() string { return index(c.path, 0) })
		for t, got := range r.out.Composites[m] {
			r.devs[3].compare(got, want[t+1], func() string { return index(c.path, t+1) })
		}
	}
	tiers, err := expected.numbers("tiers", slots)
	if err != nil {
		return err
	}
	for m, t := range r.out.Tiers {
		r.tiers.compare(float64(t), tiers[m], func() string { return index(join(expected.path, "tiers"), m) })
	}
	weights, err := expected.numbers("weights", slots)
	if err != nil {
		return err
	}
	r.devs[4].compareAll(r.out.Weights, weights, join(expected.path, "weights"))
	return nil
}
