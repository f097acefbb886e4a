package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"bettensor/sim"
)

// drawing is what the script of a page is given, as JSON. Times are milliseconds
// since the start of the run, lists over time have one value a sample.
type drawing struct {
	Start  int64       `json:"start"` // Unix, in milliseconds
	End    int64       `json:"end"`
	At     []int64     `json:"at"`
	Kinds  []kindDrawn `json:"kinds"`
	Counts []line      `json:"counts"`
	Lanes  []lane      `json:"lanes"`
	Dists  []dist      `json:"dists"`
	Left   int         `json:"left"` // windows and marks that are not drawn
}

type kindDrawn struct {
	Kind  string    `json:"kind"`
	Count int       `json:"count"`
	Share float64   `json:"share"` // of the reward
	Low   []float64 `json:"low"`
	Mid   []float64 `json:"mid"`
	High  []float64 `json:"high"`
	Tiers [][]int   `json:"tiers"` // by sample and tier
}

// line is a number over time.
type line struct {
	Name string `json:"name"`
	Note string `json:"note"`
	V    []int  `json:"v"`
}

// lane is a row of the timeline: spans of time and marks.
type lane struct {
	Name  string `json:"name"`
	Note  string `json:"note"`
	Class string `json:"class"` // violation, fault, alarm or node
	Spans []span `json:"spans,omitempty"`
	Dots  []dot  `json:"marks,omitempty"`
}

type span struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Text string `json:"text"`
}

type dot struct {
	At   int64  `json:"at"`
	N    int    `json:"n"`
	What string `json:"what"`
	Text string `json:"text,omitempty"`
}

type dist struct {
	Metric string       `json:"metric"`
	Unit   string       `json:"unit"`
	Count  uint64       `json:"count"`
	Bins   [][3]float64 `json:"bins"` // from, to, how many
}

// newDrawing is nil for a result that kept nothing of its course.
func newDrawing(r *sim.Result) *drawing {
	s := r.Series
	if s == nil || len(s.At) == 0 {
		return nil
	}
	since := func(t time.Time) int64 { return t.Sub(r.Start).Milliseconds() }
	d := &drawing{Start: r.Start.UnixMilli(), End: since(r.End), Left: s.WindowsLeft + s.MarksLeft}
	for _, t := range s.At {
		d.At = append(d.At, since(t))
	}
	shares := map[string]float64{}
	for _, k := range r.Kinds() {
		shares[k.Kind] = k.Share
	}
	for i := range s.Kinds {
		k := &s.Kinds[i]
		d.Kinds = append(d.Kinds, kindDrawn{Kind: k.Kind, Count: k.Count, Share: short(shares[k.Kind]),
			Low: shorts(k.Low), Mid: shorts(k.Median), High: shorts(k.High), Tiers: k.Tiers})
	}
	slices.SortStableFunc(d.Kinds, func(a, b kindDrawn) int { return cmp.Compare(b.Share/float64(b.Count), a.Share/float64(a.Count)) })
	d.Counts = []line{
		{"accepted", "predictions that the first validator took, between two samples", steps(s.Accepted)},
		{"refused", "predictions that it refused for good, between two samples", steps(s.Refused)},
		{"waiting", "predictions on which their miner had no word yet, at the sample", s.Waiting},
		{"nodes down", "the most at once between two samples", s.Down},
	}
	d.Lanes = lanes(r, since)
	for _, x := range s.Distributions {
		y := dist{Metric: x.Metric, Unit: x.Unit, Count: x.Count}
		for _, b := range x.Bins {
			y.Bins = append(y.Bins, [3]float64{short(b.Low), short(b.High), float64(b.N)})
		}
		d.Dists = append(d.Dists, y)
	}
	return d
}

// lanes are the rows of the timeline: violations, faults by target, then the
// nodes, the alarms of each under it.
func lanes(r *sim.Result, since func(time.Time) int64) (out []lane) {
	broken := lane{Name: "violations", Note: "the first of each invariant", Class: "violation"}
	for _, x := range r.Invariants {
		if x.Violations > 0 && x.Disabled == "" {
			broken.Dots = append(broken.Dots, dot{since(x.At), int(x.Violations), "violation", x.Name + ": " + x.First})
		}
	}
	slices.SortStableFunc(broken.Dots, func(a, b dot) int { return cmp.Compare(a.At, b.At) })
	if len(broken.Dots) > 0 {
		out = append(out, broken)
	}
	s := r.Series
	var faults []lane
	for _, w := range s.Windows {
		note := w.What + " · " + w.Target
		i := slices.IndexFunc(faults, func(l lane) bool { return l.Name == w.Fault && l.Note == note })
		if i < 0 {
			i = len(faults)
			faults = append(faults, lane{Name: w.Fault, Note: note, Class: "fault"})
		}
		faults[i].Spans = append(faults[i].Spans, span{since(w.From), since(w.Until), w.ID + " " + w.What + ", " + hit(w.Nodes)})
	}
	target := func(l lane) string {
		i := slices.IndexFunc(s.Windows, func(w sim.FaultWindow) bool { return w.Fault == l.Name })
		return s.Windows[i].Target
	}
	slices.SortStableFunc(faults, func(a, b lane) int { return cmp.Compare(target(a), target(b)) })
	out = append(out, faults...)
	names := []string{}
	for _, v := range r.Validators {
		names = append(names, v.Name)
	}
	for _, name := range append(names, "miners") {
		l := lane{Name: name, Note: "what happened there", Class: "node"}
		for _, m := range s.Marks {
			if m.Lane == name {
				l.Dots = append(l.Dots, dot{At: since(m.At), N: m.N, What: m.What})
			}
		}
		if len(l.Dots) > 0 {
			out = append(out, l)
		}
		a := lane{Name: name + " alarms", Note: "raised, as the samples saw them", Class: "alarm"}
		for _, x := range s.Alarms {
			if x.Node == name {
				a.Spans = append(a.Spans, span{since(x.From), since(x.Until), x.Code + ": " + x.Why})
			}
		}
		if len(a.Spans) > 0 {
			out = append(out, a)
		}
	}
	return out
}

// hit says whom a window hit.
func hit(nodes []string) string {
	switch n := len(nodes); {
	case n == 0:
		return "nobody"
	case n <= 3:
		text := nodes[0]
		for _, name := range nodes[1:] {
			text += ", " + name
		}
		return text
	default:
		return nodes[0] + " and " + figure(float64(n-1), "") + " more"
	}
}

// steps are the differences of a number that grows.
func steps(v []int) []int {
	out := make([]int, len(v))
	last := 0
	for i, x := range v {
		out[i], last = x-last, x
	}
	return out
}

// short keeps four digits of a number: more than can be seen.
func short(x float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

func shorts(list []float64) []float64 {
	out := make([]float64, len(list))
	for i, x := range list {
		out[i] = short(x)
	}
	return out
}
