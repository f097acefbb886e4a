package fault_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bettensor/sim/fault"
)

func stream(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func TestOccurrences(t *testing.T) {
	const h = time.Hour
	type span struct{ start, end time.Duration }
	for _, tt := range []struct {
		name     string
		fault    fault.Fault
		duration time.Duration
		want     []span
	}{
		{"once", fault.Fault{At: 3 * h, For: h}, 24 * h, []span{{3 * h, 4 * h}}},
		{"from the start", fault.Fault{For: h}, 24 * h, []span{{0, h}}},
		{"without for to the end", fault.Fault{At: 3 * h}, 24 * h, []span{{3 * h, 24 * h}}},
		{"cut at the end", fault.Fault{At: 23 * h, For: 3 * h}, 24 * h, []span{{23 * h, 24 * h}}},
		{"at the end is after it", fault.Fault{At: 24 * h, For: h}, 24 * h, nil},
		{"repeated", fault.Fault{At: 6 * h, Every: 8 * h, For: h}, 24 * h, []span{{6 * h, 7 * h}, {14 * h, 15 * h}, {22 * h, 23 * h}}},
		{"until is exclusive", fault.Fault{At: 6 * h, Every: 8 * h, For: h, Until: 22 * h}, 24 * h, []span{{6 * h, 7 * h}, {14 * h, 15 * h}}},
		{"longer than any time", fault.Fault{At: h, For: 1<<63 - 1}, 24 * h, []span{{h, 24 * h}}},
		{"when is not planned", fault.Fault{When: "weights_set"}, 24 * h, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.fault.Probability = 1
			windows, err := tt.fault.Occurrences(tt.duration, stream(1))
			if err != nil {
				t.Fatal(err)
			}
			var got []span
			for i, w := range windows {
				if w.N != i+1 {
					t.Errorf("window %d has N %d", i, w.N)
				}
				got = append(got, span{w.Start, w.End})
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(span{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("probability 0 never happens", func(t *testing.T) {
		f := fault.Fault{Every: h, For: h}
		if w, err := f.Occurrences(1000*h, stream(1)); len(w) != 0 || err != nil {
			t.Errorf("%d windows, %v", len(w), err)
		}
	})
	t.Run("too many windows are refused before they are made", func(t *testing.T) {
		f := fault.Fault{Name: "a", Every: 1, For: 1, Probability: 1}
		if w, err := f.Occurrences(1<<62, stream(1)); !errors.Is(err, fault.ErrTooManyWindows) || w != nil {
			t.Errorf("%d windows, %v", len(w), err)
		}
	})
}

// TestOccurrencesOfALongerRun: a run that lasts longer, or a fault that is less
// likely, leaves the draws of what remains as they were.
func TestOccurrencesOfALongerRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fault.Fault{
			At:          time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "at")),
			Every:       time.Duration(rapid.Int64Range(1e9, 1e12).Draw(t, "every")),
			Probability: rapid.Float64Range(0, 1).Draw(t, "probability"),
		}
		f.For = f.Every / 2
		seed := rapid.Uint64().Draw(t, "seed")
		duration := time.Duration(rapid.Int64Range(0, 1e13).Draw(t, "duration"))
		plan := func(f fault.Fault, d time.Duration) []fault.Window {
			w, err := f.Occurrences(d, stream(seed))
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		short, long := plan(f, duration), plan(f, duration+f.Every*3)
		if len(long) < len(short) {
			t.Fatalf("%d windows in the longer run, %d in the shorter", len(long), len(short))
		}
		for i, w := range short {
			if w.Start != long[i].Start || w.Draw != long[i].Draw || w.N != long[i].N {
				t.Fatalf("window %d is %+v, in a longer run %+v", i, w, long[i])
			}
			if w.Start >= w.End || w.End > duration || i > 0 && w.Start < short[i-1].End {
				t.Fatalf("window %d is %+v", i, w)
			}
		}
		certain := f
		certain.Probability = 1
		all := map[time.Duration]uint64{}
		for _, w := range plan(certain, duration) {
			all[w.Start] = w.Draw
		}
		for _, w := range short {
			if all[w.Start] != w.Draw {
				t.Fatalf("the draw at %v depends on the probability", w.Start)
			}
		}
	})
}

// TestProbability: over many windows the share that happens is the probability.
func TestProbability(t *testing.T) {
	f := fault.Fault{Every: time.Second, For: time.Second, Probability: 0.3}
	w, err := f.Occurrences(50_000*time.Second, stream(7))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(w); n < 14_500 || n > 15_500 {
		t.Errorf("%d of 50000 windows at probability 0.3", n)
	}
}

func TestTriggered(t *testing.T) {
	f := fault.Fault{Name: "a", What: "process.crash", When: "weights_set#3", For: time.Minute, Probability: 1}
	w, ok := f.Triggered(time.Hour, 24*time.Hour, stream(1))
	if !ok || w.Start != time.Hour || w.End != time.Hour+time.Minute {
		t.Errorf("got %+v, %v", w, ok)
	}
	if id := w.ID(&f); id != "a#1" {
		t.Errorf("ID %s", id)
	}
	f.Probability = 0
	if _, ok := f.Triggered(time.Hour, 24*time.Hour, stream(1)); ok {
		t.Error("probability 0 happened")
	}
}

func TestTrigger(t *testing.T) {
	for _, tt := range []struct {
		when, event string
		nth         uint64
		ok          bool
	}{
		{"weights_set", "weights_set", 1, true},
		{"weights_set#3", "weights_set", 3, true},
		{"", "", 0, false},
		{"#3", "", 0, false},
		{"weights_set#0", "", 0, false},
		{"weights_set#", "", 0, false},
		{"weights_set#-1", "", 0, false},
		{"weights set", "", 0, false},
		{"WeightsSet", "", 0, false},
	} {
		event, nth, ok := (&fault.Fault{When: tt.when}).Trigger()
		if event != tt.event || nth != tt.nth || ok != tt.ok {
			t.Errorf("%q is %q %d %v", tt.when, event, nth, ok)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		text string
		want fault.Target
	}{
		{"all", fault.Target{Validators: true, Miners: true, Index: -1}},
		{"validators", fault.Target{Validators: true, Index: -1}},
		{"validators.v0", fault.Target{Validators: true, Name: "v0", Index: -1}},
		{"miners", fault.Target{Miners: true, Index: -1}},
		{"miners.skilled", fault.Target{Miners: true, Name: "skilled", Index: -1}},
		{"miners.skilled.12", fault.Target{Miners: true, Name: "skilled", Index: 12}},
	} {
		got, err := fault.ParseTarget(tt.text)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("%s is %+v, %s, %v", tt.text, got, got, err)
		}
	}
	for _, text := range []string{"", "all.x", "miner", "miners.", "miners.a.", "miners.a.x", "miners.a.-1", "miners.a.01", "miners.a.1.2", "miners.a.99999999999"} {
		if got, err := fault.ParseTarget(text); !errors.Is(err, fault.ErrTarget) {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
}

// TestHits: a kind that hits miners cannot be aimed at validators, nor the
// other way round.
func TestHits(t *testing.T) {
	for _, tt := range []struct {
		hits fault.Hits
		text string
		want bool
	}{
		{fault.Nodes, "all", true}, {fault.Nodes, "miners.a", true},
		{fault.Miners, "miners", true}, {fault.Miners, "validators", false}, {fault.Miners, "all", false},
		{fault.Validators, "validators.v0", true}, {fault.Validators, "miners", false}, {fault.Validators, "all", false},
	} {
		target, err := fault.ParseTarget(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.hits.Allows(target); got != tt.want {
			t.Errorf("%s may hit %s: %v", tt.hits, tt.text, got)
		}
	}
}

// TestKinds: every kind is documented, found by its name, and may hit its own
// target; what comes unreported comes failed too.
func TestKinds(t *testing.T) {
	for _, k := range fault.Kinds() {
		found, ok := fault.KindOf(k.What)
		if !ok || found.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: %+v", k.What, found)
		}
		if k.Target != "" {
			if target, err := fault.ParseTarget(k.Target); err != nil || !k.Hits.Allows(target) {
				t.Errorf("%s may not hit its own target %s: %v", k.What, k.Target, err)
			}
		}
		if base, pair := strings.CutSuffix(k.What, "_unreported"); pair {
			if _, ok := fault.KindOf(base + "_failed"); !ok {
				t.Errorf("%s has no %s_failed", k.What, base)
			}
		}
	}
	if _, ok := fault.KindOf("network.los"); ok {
		t.Error("an unknown kind was found")
	}
}
