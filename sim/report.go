package sim

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"bettensor/node/bet"
)

// WriteReport prints a result for people. rows bounds the table of miners, 0
// for all. The error is the first of w.
func (r *Result) WriteReport(w io.Writer, rows int) error {
	b := bufio.NewWriter(w) // keeps the first error, so that only Flush is asked
	fmt.Fprintf(b, "%s: %s to %s, seed %d, scheme %s, %d games\n\n", r.Scenario, r.Start.Format(time.DateOnly), r.End.Format(time.DateOnly), r.Seed, r.Scheme, r.Games)
	if r.Chosen != nil {
		fmt.Fprintf(b, "the seed chose: %s\n\n", strings.Join(r.Chosen, ", "))
	}
	r.writeMiners(b, rows)
	r.writeKinds(b)
	r.writeValidators(b)
	r.writeCounts(b)
	r.writeInvariants(b)
	r.writeJudgement(b)
	fmt.Fprintln(b)
	r.writeSummary(b)
	return b.Flush()
}

// WriteSummary prints the last lines of a report: what was checked, how to run
// it again, how fast it was. The error is the first of w.
func (r *Result) WriteSummary(w io.Writer) error {
	b := bufio.NewWriter(w)
	r.writeSummary(b)
	return b.Flush()
}

func (r *Result) writeSummary(w io.Writer) {
	checked := uint64(0)
	for _, x := range r.Invariants {
		checked += x.Checked
	}
	fmt.Fprintf(w, "%d invariants, %s checks, %d violations\n", len(r.Invariants), grouped(checked), r.Violated())
	r.writeLiveness(w)
	r.writeFaults(w)
	if r.Checked {
		fmt.Fprintln(w, "deterministic: two runs left the same trace, byte for byte")
	}
	fmt.Fprintf(w, "trace hash %s\n", r.TraceHash)
	if r.Replay != "" {
		fmt.Fprintf(w, "again: %s\n", r.Replay)
	}
	fmt.Fprintf(w, "%s events in %.1f s: %s events/s, %s of virtual time, %s× real time\n", grouped(r.Events), r.WallSeconds,
		grouped(uint64(r.EventsPerSecond)), span(r.End.Sub(r.Start)), grouped(uint64(r.VirtualSeconds/max(r.WallSeconds, 1e-9))))
}

func table(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// Ranked is the miners by what they earned, then by UID.
func (r *Result) Ranked() []MinerResult {
	out := slices.Clone(r.Miners)
	slices.SortStableFunc(out, func(a, b MinerResult) int {
		return cmp.Or(cmp.Compare(b.Emission, a.Emission), cmp.Compare(a.UID, b.UID))
	})
	return out
}

func (r *Result) writeMiners(w io.Writer, rows int) {
	t := table(w)
	fmt.Fprintln(t, "rank\tUID\tminer kind\ttier\tpredictions\twagered\tROI\tCLV\tscore\tweight\temission τ\t")
	for i, m := range r.Ranked() {
		if rows > 0 && i >= rows {
			break
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%d\t%d\t%s\t%s\t%s\t%.4f\t%.4f\t%s\t\n", i+1, m.UID, m.Kind, m.Tier, m.Accepted,
			bet.Cents(m.Wagered), percent(m.ROI, m.Accepted), ratio(m.CLV), m.Score, m.Weight, tao(m.Emission))
	}
	t.Flush()
	if rows > 0 && len(r.Miners) > rows {
		fmt.Fprintf(w, "  … and %d more (--json FILE has all)\n", len(r.Miners)-rows)
	}
}

// KindResult is what the miners of a kind earned and did.
type KindResult struct {
	Kind     string
	Count    int
	Accepted int
	Emission uint64
	Share    float64 // of all miners' emission
	ROI, CLV float64 // means over its miners that predicted
}

// Kinds sums the miners by kind, richest first per miner.
func (r *Result) Kinds() []KindResult {
	var out []KindResult
	total := uint64(0)
	for _, m := range r.Miners {
		total += m.Emission
		i := slices.IndexFunc(out, func(k KindResult) bool { return k.Kind == m.Kind })
		if i < 0 {
			i = len(out)
			out = append(out, KindResult{Kind: m.Kind})
		}
		k := &out[i]
		k.Count++
		k.Accepted += m.Accepted
		k.Emission += m.Emission
	}
	for i := range out {
		k := &out[i]
		n := 0.0
		for _, m := range r.Miners {
			if m.Kind == k.Kind && m.Accepted > 0 {
				n++
				k.ROI += m.ROI
				k.CLV += m.CLV
			}
		}
		if n > 0 {
			k.ROI, k.CLV = k.ROI/n, k.CLV/n
		}
		if total > 0 {
			k.Share = float64(k.Emission) / float64(total)
		}
	}
	slices.SortStableFunc(out, func(a, b KindResult) int {
		return cmp.Compare(float64(b.Emission)/float64(b.Count), float64(a.Emission)/float64(a.Count))
	})
	return out
}

func (r *Result) writeKinds(w io.Writer) {
	fmt.Fprintln(w, "\nper kind, emission over the run (the final weight above is mostly luck)")
	t := table(w)
	fmt.Fprintln(t, "kind\tminers\tpredictions\tROI\tCLV\temission τ\teach τ\tshare\t")
	for _, k := range r.Kinds() {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%.1f%%\t\n", k.Kind, k.Count, k.Accepted, percent(k.ROI, k.Accepted), ratio(k.CLV),
			tao(k.Emission), tao(k.Emission/uint64(k.Count)), 100*k.Share)
	}
	t.Flush()
}

func (r *Result) writeValidators(w io.Writer) {
	fmt.Fprintln(w)
	t := table(w)
	fmt.Fprintln(t, "validator\tUID\tweights set\tfailed\tvtrust\tdividends\temission τ\trestarts\t")
	for _, v := range r.Validators {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.3f\t%.3f\t%s\t%d\t\n", v.Name, v.UID, v.WeightsSet, v.WeightsFailed, v.VTrust, v.Dividends, tao(v.Emission), v.Restarts)
	}
	t.Flush()
	r.writeHits(w)
}

func (r *Result) writeCounts(w io.Writer) {
	fmt.Fprintln(w)
	t := table(w)
	fmt.Fprintln(t, "event\tpublished\tdelivered\terrors\t")
	for _, x := range r.Topics {
		if x.Published > 0 {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t\n", x.Name, x.Published, x.Delivered, x.Errors)
		}
	}
	t.Flush()
	fmt.Fprintln(w)
	t = table(w)
	fmt.Fprintln(t, "task\truns\tfailures\tretries\t")
	for _, x := range r.Tasks {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t\n", x.Name, x.Runs, x.Failures, x.Retries)
	}
	t.Flush()
}

func (r *Result) writeInvariants(w io.Writer) {
	fmt.Fprintln(w)
	t := table(w)
	fmt.Fprintln(t, "invariant\tchecked\tviolations\t")
	for _, x := range r.Invariants {
		if x.Disabled != "" {
			fmt.Fprintf(t, "%s\tdisabled\t\t\n", x.Name)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t\n", x.Name, x.Checked, x.Violations)
	}
	t.Flush()
	for _, x := range r.Invariants {
		switch {
		case x.Disabled != "":
			fmt.Fprintf(w, "%s is disabled: %s\n", x.Name, x.Disabled)
		case x.Violations > 0:
			fmt.Fprintf(w, "VIOLATED %s: %s\n", x.Name, x.First)
		}
	}
}

// writeJudgement prints what the scenario wants of its metrics, and properties.
func (r *Result) writeJudgement(w io.Writer) {
	mark := func(ok bool) string {
		if ok {
			return "ok    "
		}
		return "BROKEN"
	}
	if len(r.Thresholds)+len(r.Expect) > 0 {
		fmt.Fprintln(w)
	}
	for _, t := range r.Thresholds {
		fmt.Fprintf(w, "%s %s\n", mark(t.OK), t)
	}
	for _, e := range r.Expect {
		fmt.Fprintf(w, "%s %s: %s\n", mark(e.OK), e.Name, e)
	}
	var reached, missed []string
	for _, p := range r.Sometimes {
		switch {
		case !p.Wanted:
		case p.Reached > 0:
			reached = append(reached, p.Name)
		default:
			missed = append(missed, p.Name)
		}
	}
	if len(reached) > 0 {
		fmt.Fprintf(w, "reached: %s\n", strings.Join(reached, ", "))
	}
	if len(missed) > 0 {
		fmt.Fprintf(w, "NOT REACHED: %s\n", strings.Join(missed, ", "))
	}
}

func percent(v float64, n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.1f%%", 100*v)
}

func ratio(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", v)
}

func tao(rao uint64) string { return fmt.Sprintf("%.2f", float64(rao)/1e9) }

func span(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return d.String()
}

// Counted is a number of things, as in 1 seed and 2 seeds.
func Counted[N int | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func grouped(n uint64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// writeLiveness says what had settled where the scenario has a healing phase, and
// that nothing was looked at where it has none.
func (r *Result) writeLiveness(w io.Writer) {
	if len(r.Liveness) == 0 {
		fmt.Fprintln(w, "liveness not checked: no phase with settle_within")
		return
	}
	checked, failed := uint64(0), uint64(0)
	for _, c := range r.Liveness {
		checked, failed = checked+c.Checked, failed+c.Failed
	}
	fmt.Fprintf(w, "%d liveness checks, %s looked at, %d not settled\n", len(r.Liveness), grouped(checked), failed)
	for _, c := range r.Liveness {
		if c.Failed > 0 {
			fmt.Fprintf(w, "  %s, after %s: %d of %d: %s\n", c.Name, c.Phase, c.Failed, c.Checked, c.First)
		}
		if c.Checked == 0 {
			fmt.Fprintf(w, "  %s, after %s: nothing was looked at", c.Name, c.Phase)
			if c.Unseen != "" {
				fmt.Fprintf(w, ", and %s", c.Unseen)
			}
			fmt.Fprintln(w)
		}
	}
}
