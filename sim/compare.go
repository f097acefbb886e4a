package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Trial is what a comparison keeps of one run.
type Trial struct {
	Seed     uint64
	Kinds    []KindResult
	Top      float64 // share of the ten miners that earned most
	values   map[string]float64
	Failures []Failure
	Replay   string // the command line that repeats it
}

// TrialOf is the part of a result that a comparison keeps.
func TrialOf(r *Result) Trial {
	t := Trial{Seed: r.Seed, Kinds: r.Kinds(), Failures: r.Failures(), Replay: r.Replay, values: map[string]float64{}}
	for _, m := range r.Metrics {
		for _, how := range []string{"value", "count"} {
			if x, ok := m.Values[how]; ok {
				t.values[m.Metric] = x
				break
			}
		}
	}
	var paid []uint64
	total := 0.0
	for _, m := range r.Miners {
		paid = append(paid, m.Emission)
		total += float64(m.Emission)
	}
	slices.SortFunc(paid, func(a, b uint64) int { return cmp.Compare(b, a) })
	for _, x := range paid[:min(topMiners, len(paid))] {
		if total > 0 {
			t.Top += float64(x) / total
		}
	}
	return t
}

// topMiners is how many miners Trial.Top counts.
const topMiners = 10

// Comparison is two mechanisms, a and b, over the same seeds, and the same games and
// miners where Differs is empty.
// Its JSON is held stable. Intervals are of 95 %, of the mean over seeds, by
// Student's distribution; with one seed they are that seed's value.
type Comparison struct {
	A Side `json:"a"`
	B Side `json:"b"`
	// Differs says in what the scenarios differ that decides games and miners.
	Differs          []string         `json:"differs"`
	From             uint64           `json:"from"`
	To               uint64           `json:"to"`
	Seeds            int              `json:"seeds"`
	Kinds            []KindComparison `json:"kinds"` // richest per miner under b first
	SkillCorrelation Pair             `json:"skill_correlation"`
	// Difference is of b's skill correlation from a's, paired over seeds.
	Difference *Interval         `json:"skill_correlation_difference"` // null where no seed has both
	Gini       Pair              `json:"gini"`                         // of miners' emission
	HHI        Pair              `json:"hhi"`                          // the sum of squared shares
	Top        Pair              `json:"top_ten"`                      // share of the ten best paid miners
	Churn      Pair              `json:"tier_churn"`                   // changes of tier over the run
	Trust      []ValidatorPair   `json:"trust"`                        // of each validator at the last epoch; lower for one that deviates
	Exit       int               `json:"exit"`                         // the worst of all runs
	Failures   []ComparedFailure `json:"failures"`                     // what runs failed by
	PerMiner   string            `json:"emission_is"`                  // the unit of emission
}

// Side is one of the two.
type Side struct {
	File     string `json:"file"`
	Scenario string `json:"scenario"`
	Scheme   string `json:"scheme"`
	Replay   string `json:"replay"` // the command line of its first run
}

// Pair is a mean over seeds under each mechanism; null where no seed measured it.
type Pair struct {
	A *float64 `json:"a"`
	B *float64 `json:"b"`
}

// ValidatorPair is a Pair of one validator.
type ValidatorPair struct {
	Validator string `json:"validator"`
	Pair
}

// ComparedFailure is what a run failed by.
type ComparedFailure struct {
	Side string `json:"side"`
	Seed uint64 `json:"seed"`
	Failure
	Replay string `json:"replay"` // the command line that repeats it
}

// Interval is a mean and where it lies with 95 % confidence.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Share is a kind's part of all miners' emission over the run, and what one
// miner of it earned.
type Share struct {
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Emission of one miner over the run, in TAO. It is also what a hotkey of the
	// kind may cost in registration and locked stake before it no longer pays.
	Emission float64 `json:"emission"`
	// Random and Favourite are Emission by that of one miner of those kinds; null
	// where those earned nothing, or do not play.
	Random    *Interval `json:"to_random"`
	Favourite *Interval `json:"to_favourite"`
	ROI       float64   `json:"roi"`
	CLV       float64   `json:"clv"`
}

// KindComparison is one kind of miner.
type KindComparison struct {
	Kind   string `json:"kind"`
	Miners int    `json:"miners"`
	A      *Share `json:"a"` // null where it does not play
	B      *Share `json:"b"`
	// Difference of b's share from a's, paired over seeds: what the mechanism
	// changes is often surer than either share. Null where one side lacks the kind.
	Difference *Interval `json:"difference"`
}

// Compare sets two mechanisms side by side. The trials come in the order of
// their seeds, which are the same for both.
func Compare(a, b Side, as, bs []Trial) *Comparison {
	c := &Comparison{A: a, B: b, Seeds: min(len(as), len(bs)), Differs: []string{}, Kinds: []KindComparison{}, Trust: []ValidatorPair{}, Failures: []ComparedFailure{}, PerMiner: "TAO"}
	if c.Seeds == 0 {
		return c
	}
	c.From, c.To = as[0].Seed, as[c.Seeds-1].Seed
	as, bs = as[:c.Seeds], bs[:c.Seeds]
	for _, name := range kindNames(as, bs) {
		k := KindComparison{Kind: name, A: shareOf(as, name), B: shareOf(bs, name)}
		k.Miners = max(kindOf(&as[0], name).Count, kindOf(&bs[0], name).Count)
		of := func(t *Trial) float64 { return kindOf(t, name).Share }
		if k.A != nil && k.B != nil {
			d := paired(as, bs, of)
			k.Difference = &d
		}
		c.Kinds = append(c.Kinds, k)
	}
	slices.SortStableFunc(c.Kinds, func(x, y KindComparison) int { return cmp.Compare(y.paid(), x.paid()) })
	pair := func(metric string) Pair { return Pair{meanOf(as, metric), meanOf(bs, metric)} }
	c.SkillCorrelation, c.Difference = pair("skill_correlation"), pairedMetric(as, bs, "skill_correlation")
	c.Gini, c.HHI, c.Churn = pair("gini"), pair("hhi"), pair("tier_changes")
	top := func(ts []Trial) *float64 {
		m := intervalOf(list(ts, func(t *Trial) float64 { return t.Top })).Mean
		return &m
	}
	c.Top = Pair{top(as), top(bs)}
	for _, name := range sorted(bs[0].values) {
		var v string
		if _, err := fmt.Sscanf(name, "trust{validator:%s", &v); err == nil {
			c.Trust = append(c.Trust, ValidatorPair{v[:len(v)-1], pair(name)})
		}
	}
	c.fail("a", as)
	c.fail("b", bs)
	return c
}

// meanOf is the mean of a metric over the trials that measured it; nil for none.
func meanOf(trials []Trial, metric string) *float64 {
	var xs []float64
	for i := range trials {
		if x, ok := trials[i].values[metric]; ok {
			xs = append(xs, x)
		}
	}
	if len(xs) == 0 {
		return nil
	}
	mean := intervalOf(xs).Mean
	return &mean
}

// pairedMetric is the difference of a metric over the seeds that measured it on
// both sides; nil for none.
func pairedMetric(as, bs []Trial, metric string) *Interval {
	var d []float64
	for i := range as {
		a, okA := as[i].values[metric]
		b, okB := bs[i].values[metric]
		if okA && okB {
			d = append(d, b-a)
		}
	}
	if len(d) == 0 {
		return nil
	}
	out := intervalOf(d)
	return &out
}

// paid is what one miner of the kind earns under b, or under a where b lacks it.
func (k *KindComparison) paid() float64 {
	if k.B != nil {
		return k.B.Emission
	}
	return k.A.Emission
}

// Differences says in what two plans differ that decides games and miners, so that
// the mechanism is not all that is compared.
func Differences(a, b *Plan) []string {
	out := []string{}
	x, y := a.Scenario, b.Scenario
	if !a.Start.Equal(b.Start) || !a.End.Equal(b.End) {
		out = append(out, fmt.Sprintf("time (a: %s to %s, b: %s to %s)", a.Start.Format(time.DateOnly), a.End.Format(time.DateOnly), b.Start.Format(time.DateOnly), b.End.Format(time.DateOnly)))
	}
	if !reflect.DeepEqual(x.Market, y.Market) {
		out = append(out, fmt.Sprintf("market (a: %d games, b: %d)", len(a.Market.Fixtures()), len(b.Market.Fixtures())))
	}
	if !reflect.DeepEqual(x.Miners, y.Miners) {
		out = append(out, fmt.Sprintf("miners (a: %d, b: %d)", len(a.Config.Miners), len(b.Config.Miners)))
	}
	return out
}

func (c *Comparison) fail(side string, trials []Trial) {
	for i := range trials {
		for _, f := range trials[i].Failures {
			c.Failures = append(c.Failures, ComparedFailure{side, trials[i].Seed, f, trials[i].Replay})
			c.Exit = WorstExit(c.Exit, f.Exit)
		}
	}
}

// kindNames are the kinds that play in any trial, in the order of appearance.
func kindNames(sides ...[]Trial) (names []string) {
	for _, trials := range sides {
		for i := range trials {
			for _, k := range trials[i].Kinds {
				if !slices.Contains(names, k.Kind) {
					names = append(names, k.Kind)
				}
			}
		}
	}
	return names
}

// kindOf is what a kind earned in a trial; the zero value where it does not play.
func kindOf(t *Trial, name string) KindResult {
	if i := slices.IndexFunc(t.Kinds, func(k KindResult) bool { return k.Kind == name }); i >= 0 {
		return t.Kinds[i]
	}
	return KindResult{}
}

// perMiner is what one miner of a kind earned in each trial, in TAO.
func perMiner(trials []Trial, name string) []float64 {
	return list(trials, func(t *Trial) float64 {
		k := kindOf(t, name)
		return float64(k.Emission) / 1e9 / float64(max(k.Count, 1))
	})
}

// shareOf is nil where the kind plays in no trial.
func shareOf(trials []Trial, name string) *Share {
	if !slices.Contains(kindNames(trials), name) {
		return nil
	}
	share := intervalOf(list(trials, func(t *Trial) float64 { return kindOf(t, name).Share }))
	each := perMiner(trials, name)
	return &Share{
		Share: share.Mean, Low: max(share.Low, 0), High: min(share.High, 1),
		Emission:  intervalOf(each).Mean,
		Random:    ratioOf(each, perMiner(trials, "random")),
		Favourite: ratioOf(each, perMiner(trials, "favourite")),
		ROI:       intervalOf(list(trials, func(t *Trial) float64 { return kindOf(t, name).ROI })).Mean,
		CLV:       intervalOf(list(trials, func(t *Trial) float64 { return kindOf(t, name).CLV })).Mean,
	}
}

func list(trials []Trial, of func(*Trial) float64) []float64 {
	out := make([]float64, len(trials))
	for i := range trials {
		out[i] = of(&trials[i])
	}
	return out
}

// paired is the mean difference of b's trials from a's of the same seeds.
func paired(as, bs []Trial, of func(*Trial) float64) Interval {
	d := list(bs, of)
	for i := range d {
		d[i] -= of(&as[i])
	}
	return intervalOf(d)
}

// intervalOf is the mean of a sample and its interval of 95 %.
func intervalOf(xs []float64) Interval {
	n := float64(len(xs))
	if n == 0 {
		return Interval{}
	}
	mean, square := 0.0, 0.0
	for _, x := range xs {
		mean += x / n
	}
	for _, x := range xs {
		square += (x - mean) * (x - mean)
	}
	half := 0.0
	if n > 1 {
		half = student(len(xs)-1) * math.Sqrt(square/(n-1)/n)
	}
	return Interval{mean, mean - half, mean + half}
}

// ratioOf is the ratio of two means over the same seeds. Its interval is that of
// the residuals x − ratio·y (the delta method); nil where y is nothing.
func ratioOf(xs, ys []float64) *Interval {
	below := intervalOf(ys).Mean
	if below <= 0 {
		return nil
	}
	r := intervalOf(xs).Mean / below
	rest := make([]float64, len(xs))
	for i := range xs {
		rest[i] = (xs[i] - r*ys[i]) / below
	}
	e := intervalOf(rest)
	return &Interval{r, max(r+e.Low, 0), r + e.High}
}

// student is the 97.5 % quantile of Student's distribution.
func student(freedom int) float64 {
	table := [...]float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
		2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}
	if freedom <= len(table) {
		return table[freedom-1]
	}
	// The first two terms of the expansion in 1/freedom; right to 0.002 from 21 on.
	z, v := 1.959964, float64(freedom)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v)
}

// WriteJSON writes the comparison as data.
func (c *Comparison) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// Write prints the comparison for people.
func (c *Comparison) Write(w io.Writer) error {
	lines := &lineWriter{w: w}
	same := "the same games and miners for both"
	if len(c.Differs) > 0 {
		same = "and more than the mechanism differs: " + strings.Join(c.Differs, ", ")
	}
	fmt.Fprintf(lines, "a: %s, scheme %s (%s)\nb: %s, scheme %s (%s)\nseeds %d to %d, %s\n\n", c.A.Scenario, c.A.Scheme, c.A.File, c.B.Scenario, c.B.Scheme, c.B.File, c.From, c.To, same)
	t := tabwriter.NewWriter(lines, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tminers\ta: share\t95 %\teach τ\t× random\t× favourite\tb: share\t95 %\teach τ\t× random\t× favourite\tb - a\t95 %\t")
	for i := range c.Kinds {
		k := &c.Kinds[i]
		fmt.Fprintf(t, "%s\t%d\t%s%s", k.Kind, k.Miners, k.A.cells(), k.B.cells())
		if d := k.Difference; d != nil {
			fmt.Fprintf(t, "%+.1f%%\t%+.1f to %+.1f\t\n", 100*d.Mean, 100*d.Low, 100*d.High)
		} else {
			fmt.Fprint(t, "-\t-\t\n")
		}
	}
	t.Flush()
	fmt.Fprintln(lines, "\nshare: of all miners' emission over the run, mean over seeds; each: one miner's, and what its hotkey may cost before it no longer pays; ×: by one random or favourite miner's")
	fmt.Fprintln(lines)
	t = tabwriter.NewWriter(lines, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "over all miners\ta\tb\t")
	fmt.Fprintf(t, "rank correlation of emission with skill\t%s", c.SkillCorrelation.cells("%.3f", 1))
	fmt.Fprintf(t, "Gini\t%s", c.Gini.cells("%.3f", 1))
	fmt.Fprintf(t, "Herfindahl\t%s", c.HHI.cells("%.3f", 1))
	fmt.Fprintf(t, "share of the best paid ten\t%s", c.Top.cells("%.1f%%", 100))
	fmt.Fprintf(t, "changes of tier\t%s", c.Churn.cells("%.0f", 1))
	for _, v := range c.Trust {
		fmt.Fprintf(t, "trust in %s\t%s", v.Validator, v.cells("%.3f", 1))
	}
	t.Flush()
	for _, f := range c.Failures {
		fmt.Fprintf(lines, "\n%s, seed %d failed: %s: %s\n  again: %s", f.Side, f.Seed, f.Signature(), f.First, f.Replay)
	}
	if len(c.Failures) > 0 {
		fmt.Fprintln(lines)
	}
	return lines.err
}

// cells are the two columns of a pair; what was not measured is a dash.
func (p *Pair) cells(format string, times float64) string {
	cell := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprintf(format, times**x)
	}
	return cell(p.A) + "\t" + cell(p.B) + "\t\n"
}

// cells are the five columns of one side, dashes where the kind does not play.
func (s *Share) cells() string {
	if s == nil {
		return "-\t-\t-\t-\t-\t"
	}
	times := func(i *Interval) string {
		if i == nil {
			return "-"
		}
		return fmt.Sprintf("%.2f", i.Mean)
	}
	return fmt.Sprintf("%.1f%%\t%.1f to %.1f\t%.0f\t%s\t%s\t", 100*s.Share, 100*s.Low, 100*s.High, s.Emission, times(s.Random), times(s.Favourite))
}

// lineWriter keeps the first error.
type lineWriter struct {
	w   io.Writer
	err error
}

func (l *lineWriter) Write(p []byte) (int, error) {
	if l.err == nil {
		_, l.err = l.w.Write(p)
	}
	return len(p), nil
}
