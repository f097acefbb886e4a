package sim

import (
	"bytes"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// trial has one miner of each kind but two of skilled, whose emission is given in
// TAO for both.
func trial(seed uint64, correlation float64, skilled, random, idle float64) Trial {
	total := skilled + random + idle
	kind := func(name string, count int, tao float64) KindResult {
		return KindResult{Kind: name, Count: count, Emission: uint64(tao * 1e9), Share: tao / total}
	}
	return Trial{Seed: seed, Kinds: []KindResult{kind("skilled", 2, skilled), kind("random", 1, random), kind("idle", 1, idle)},
		values: map[string]float64{"skill_correlation": correlation, "trust{validator:v0}": 1, "trust{validator:liar}": correlation}}
}

var nearly = cmpopts.EquateApprox(1e-9, 1e-9)

func both(a, b float64) Pair { return Pair{&a, &b} }

// TestCompare on figures that can be checked by hand.
func TestCompare(t *testing.T) {
	as := []Trial{trial(3, 0.1, 60, 40, 0), trial(4, 0.3, 40, 60, 0)}
	bs := []Trial{trial(3, 0.7, 80, 20, 0), trial(4, 0.7, 90, 10, 0)}
	bs[1].Failures = []Failure{{ExitThreshold, "threshold", "gini", "0.9"}}
	c := Compare(Side{Scheme: "standard"}, Side{Scheme: "robust"}, as, bs)
	if c.From != 3 || c.To != 4 || c.Seeds != 2 || c.Exit != ExitThreshold || len(c.Failures) != 1 || c.Failures[0].Side != "b" || c.Failures[0].Seed != 4 {
		t.Errorf("%+v", c)
	}
	if d := cmp.Diff(both(0.2, 0.7), c.SkillCorrelation, nearly); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]ValidatorPair{{"liar", both(0.2, 0.7)}, {"v0", both(1, 1)}}, c.Trust, nearly); d != "" {
		t.Error(d)
	}
	var kinds []string
	for _, k := range c.Kinds {
		kinds = append(kinds, k.Kind)
	}
	if d := cmp.Diff([]string{"skilled", "random", "idle"}, kinds); d != "" {
		t.Fatal(d)
	}
	k := c.Kinds[0]
	// Two shares, 0.6 and 0.4: standard error 0.1, half an interval 12.706 of it.
	if d := cmp.Diff(Share{Share: 0.5, Low: 0, High: 1, Emission: 25, Random: k.A.Random}, *k.A, nearly); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Share{Share: 0.85, Low: 0.85 - 12.706*0.05, High: 1, Emission: 42.5, Random: k.B.Random}, *k.B, nearly); d != "" {
		t.Error(d)
	}
	// One skilled miner by one random one: means 42.5 by 15. Residuals 40 - 2.83·20
	// and 45 - 2.83·10 are ∓16.67, by 15 ∓1.11.
	if d := cmp.Diff(Interval{42.5 / 15, 0, 42.5/15 + 12.706*16.0/15*100/96}, *k.B.Random, nearly); d != "" {
		t.Error(d)
	}
	if k.B.Favourite != nil || c.Kinds[2].B.Random == nil || c.Kinds[2].B.Random.Mean != 0 {
		t.Errorf("%+v", c.Kinds[2])
	}
	// Of the same seeds: 0.2 and 0.5.
	if d := cmp.Diff(Interval{0.35, 0.35 - 12.706*0.15, 0.35 + 12.706*0.15}, *k.Difference, nearly); d != "" {
		t.Error(d)
	}
	var text, data bytes.Buffer
	if err := c.Write(&text); err != nil || !strings.Contains(text.String(), "b, seed 4 failed: threshold gini: 0.9") {
		t.Error(err, text.String())
	}
	if err := c.WriteJSON(&data); err != nil || !strings.Contains(data.String(), `"to_favourite": null`) {
		t.Error(err, data.String())
	}
}

// TestCompareSaysWhatIsNotThere: what was not measured, and who does not play, is
// not a zero; what differs besides the mechanism is said.
func TestCompareSaysWhatIsNotThere(t *testing.T) {
	a, b := trial(1, 0, 60, 40, 0), trial(1, 0.5, 60, 40, 0)
	delete(a.values, "skill_correlation")
	b.Kinds = b.Kinds[:2]
	c := Compare(Side{}, Side{}, []Trial{a}, []Trial{b})
	c.Differs = []string{"miners (a: 4, b: 3)"}
	idle := c.Kinds[2]
	if c.SkillCorrelation.A != nil || c.SkillCorrelation.B == nil || c.Difference != nil || idle.A == nil || idle.B != nil || idle.Difference != nil {
		t.Errorf("%+v %+v", c, idle)
	}
	var text, data bytes.Buffer
	if err := errors.Join(c.Write(&text), c.WriteJSON(&data)); err != nil {
		t.Fatal(err)
	}
	if out := text.String(); strings.Contains(out, "the same games") || !strings.Contains(out, "differs: miners (a: 4, b: 3)") || !regexp.MustCompile(`with skill +- +0\.500`).MatchString(out) {
		t.Error(out)
	}
	if !strings.Contains(data.String(), `"skill_correlation_difference": null`) {
		t.Error(data.String())
	}
}

// TestIntervals: of equal values none, of one value none, by Student for few and
// nearly by Gauss for many.
func TestIntervals(t *testing.T) {
	if d := cmp.Diff(Interval{7, 7, 7}, intervalOf([]float64{7})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Interval{7, 7, 7}, intervalOf([]float64{7, 7, 7}), nearly); d != "" {
		t.Error(d)
	}
	// 1, 2, 3, 4: standard deviation √(5/3), error half of that, quantile 3.182.
	half := 3.182 * math.Sqrt(5.0/3) / 2
	if d := cmp.Diff(Interval{2.5, 2.5 - half, 2.5 + half}, intervalOf([]float64{1, 2, 3, 4}), nearly); d != "" {
		t.Error(d)
	}
	for _, c := range []struct {
		freedom int
		want    float64
	}{{1, 12.706}, {20, 2.086}, {21, 2.080}, {30, 2.042}, {60, 2.000}, {120, 1.980}, {100000, 1.960}} {
		if got := student(c.freedom); math.Abs(got-c.want) > 0.001 {
			t.Errorf("%d degrees of freedom: %v, want %v", c.freedom, got, c.want)
		}
	}
}
