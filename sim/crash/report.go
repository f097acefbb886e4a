package crash

import (
	"fmt"
	"io"
	"strings"
)

// Write prints a report for people. again gives the command line that tries a
// failure's point once more.
func (r *Report) Write(out io.Writer, again func(*Failure) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %d batches, %d predictions confirmed, %d operations of the file system\n", r.Scenario, r.Seed, r.Batches, r.Confirmed, r.Operations)
	kinds := make([]string, len(r.Kinds))
	for i, k := range r.Kinds {
		kinds[i] = fmt.Sprintf("%s %d", k.Kind, k.Count)
	}
	fmt.Fprintf(&b, "  operations  %s\n", strings.Join(kinds, ", "))
	fmt.Fprintf(&b, "  points      %d tried\n", r.Points)
	fmt.Fprintf(&b, "  images      %d recovered: %d with a torn write, %d lacking what was submitted, %d holding more than was acknowledged\n", r.Images, r.Torn, r.Lossy, r.Beyond)
	fmt.Fprintf(&b, "  validators  %d started on what was recovered, and went on\n", r.Started)
	if r.Damaged > 0 {
		fmt.Fprintf(&b, "  damaged     %d images: %d stores said so and refused, %d were whole all the same\n", r.Damaged, r.Refused, r.Damaged-r.Refused)
	}
	if e := &r.Errors; e.Runs > 0 {
		fmt.Fprintf(&b, "  errors      %d runs: the validator stopped itself %d times, its store did not open %d times, %d predictions confirmed\n", e.Runs, e.Downs, e.Unopened, e.Confirmed)
	}
	if r.PerSecond > 0 {
		fmt.Fprintf(&b, "  speed       %.0f recoveries/s, %.1f s\n", r.PerSecond, r.Seconds)
	}
	for i := range r.Failures {
		f := &r.Failures[i]
		fmt.Fprintf(&b, "FAIL point %d, before %s, %d %% of what was not synced kept", f.Point, f.Op, f.Percent)
		if f.How != "" {
			fmt.Fprintf(&b, ", %s", f.How)
		}
		fmt.Fprintf(&b, ": %s\n", f.What)
		if f.Image != "" {
			fmt.Fprintf(&b, "     image: %s\n", f.Image)
		}
		fmt.Fprintf(&b, "     again: %s\n", again(f))
	}
	if n := r.Failed - len(r.Failures); n > 0 {
		fmt.Fprintf(&b, "and %d more\n", n)
	}
	if r.Violations > 0 {
		fmt.Fprintf(&b, "FAIL the run itself, with no crash: invariants violated %d times\n", r.Violations)
		for _, v := range r.Violated {
			fmt.Fprintf(&b, "     %s\n", v)
		}
	}
	if r.Images+r.Damaged == 0 {
		b.WriteString("nothing was recovered: no crash was tried\n")
	} else if r.Failed == 0 && r.Violations == 0 {
		b.WriteString("PASS: acknowledged is recovered, recovered was submitted, in order\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
