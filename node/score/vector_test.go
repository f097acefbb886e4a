package score

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const vectorDir = "../../testdata/score"

func readSample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every number the original computed, within the tolerance its file states.
func TestVectors(t *testing.T) {
	components := map[string][]string{
		"components": {"clv", "roi", "risk", "clv_legacy"},
		"entropy":    {"contribution", "day_scores", "initial_pool_entropy"},
		"days":       {"clv", "roi", "risk", "composite", "tiers", "weights"},
	}
	for _, name := range []string{
		"components_0.json", "components_1.json", "components_2.json",
		"entropy_0.json", "entropy_1.json",
		"days_0.json", "days_1.json",
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := CheckFile(name, bytes.NewReader(readSample(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			if !rep.OK() || !strings.HasPrefix(name, rep.Form+"_") {
				t.Fatalf("form %s, ok %v", rep.Form, rep.OK())
			}
			var got []string
			for _, d := range rep.Deviations {
				got = append(got, d.Component)
				if d.Checked == 0 {
					t.Errorf("%s: nothing was compared", d.Component)
				}
			}
			if diff := cmp.Diff(components[rep.Form], got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// change decodes a sample, lets edit change it, and encodes it again.
func change(t *testing.T, name string, edit func(root map[string]any)) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(readSample(t, name), &root); err != nil {
		t.Fatal(err)
	}
	edit(root)
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// dig walks keys and indices; the last step is returned as a setter.
func dig(root any, steps ...any) func(any) {
	for _, s := range steps[:len(steps)-1] {
		switch s := s.(type) {
		case string:
			root = root.(map[string]any)[s]
		case int:
			root = root.([]any)[s]
		}
	}
	switch s := steps[len(steps)-1].(type) {
	case string:
		return func(v any) { root.(map[string]any)[s] = v }
	default:
		return func(v any) { root.([]any)[s.(int)] = v }
	}
}

func TestCheckFileOutOfTolerance(t *testing.T) {
	for _, c := range []struct {
		file, component, at string
		steps               []any
		value               float64
	}{
		{"components_0.json", "clv", "expected.clv[1]", []any{"expected", "clv", 1}, 0.9520095},
		{"components_0.json", "roi", "expected.roi[4]", []any{"expected", "roi", 4}, 10.09},
		{"components_0.json", "risk", "expected.risk[0]", []any{"expected", "risk", 0}, 1e-8},
		{"components_0.json", "clv_legacy", "expected.clv_legacy[5]", []any{"expected", "clv_legacy", 5}, 0},
		{"entropy_0.json", "contribution", "inputs.sequence[4][7]", []any{"inputs", "sequence", 4, 7}, 10},
		{"entropy_0.json", "day_scores", "expected.day_scores[6]", []any{"expected", "day_scores", 6}, -1},
		{"entropy_0.json", "initial_pool_entropy", "expected.initial_pool_entropy.6001.0", []any{"expected", "initial_pool_entropy", "6001", "0"}, 0},
		{"days_0.json", "composite", "inputs.days[3].expected.composite[2][5]", []any{"inputs", "days", 3, "expected", "composite", 2, 5}, 7},
		{"days_0.json", "tiers", "inputs.days[11].expected.tiers[0]", []any{"inputs", "days", 11, "expected", "tiers", 0}, 6},
		{"days_0.json", "weights", "inputs.days[0].expected.weights[9]", []any{"inputs", "days", 0, "expected", "weights", 9}, 1},
	} {
		t.Run(c.component, func(t *testing.T) {
			data := change(t, c.file, func(root map[string]any) { dig(root, c.steps...)(c.value) })
			rep, err := CheckFile("x.json", bytes.NewReader(data))
			if !errors.Is(err, ErrTolerance) {
				t.Fatalf("got %v, want ErrTolerance", err)
			}
			for _, d := range rep.Deviations {
				if bad := d.Component == c.component; d.OK() == bad || bad && d.At != c.at {
					t.Errorf("%s: ok %v at %s", d.Component, d.OK(), d.At)
				}
			}
			if !strings.Contains(err.Error(), c.at) || !strings.HasPrefix(err.Error(), "x.json: ") {
				t.Errorf("message names neither file nor place: %v", err)
			}
		})
	}
}

func TestCheckFileMalformed(t *testing.T) {
	for _, c := range []struct {
		rule, file, want string
		steps            []any
		value            any
	}{
		{"unknown function", "components_0.json", "function: want", []any{"function"}, "vig"},
		{"function not text", "components_0.json", "function: want text, got 7", []any{"function"}, 7},
		{"other deviation rule", "components_0.json", "tolerance.rule", []any{"tolerance", "rule"}, "|got - want|"},
		{"tolerance missing", "components_0.json", "tolerance: want an object, got null", []any{"tolerance"}, nil},
		{"tolerance of a component missing", "components_0.json", "tolerance.clv_legacy: missing", []any{"tolerance"}, map[string]any{"clv": 1, "roi": 1, "risk": 1}},
		{"tolerance as text", "components_0.json", `tolerance.clv: want a number, got "1e-9"`, []any{"tolerance", "clv"}, "1e-9"},
		{"negative tolerance", "components_0.json", "tolerance.roi", []any{"tolerance", "roi"}, -1},
		{"tolerance of nothing", "components_0.json", "tolerance.roi: want a number above 0 and at most 1, got 0", []any{"tolerance", "roi"}, 0},
		{"tolerance of everything", "days_0.json", "tolerance.weights: want a number above 0 and at most 1, got 1e+300", []any{"tolerance", "weights"}, 1e300},
		{"closing odds negative", "components_0.json", "inputs.closing_odds.1003[1]: want closing odds from 1 to 1e+06, or 0, got -1", []any{"inputs", "closing_odds", "1003", 1}, -1},
		{"closing odds below 1", "components_0.json", "inputs.closing_odds.1003[0]: want closing odds", []any{"inputs", "closing_odds", "1003", 0}, 0.5},
		{"closing odds beyond sense", "components_0.json", "inputs.closing_odds.1003[2]: want closing odds", []any{"inputs", "closing_odds", "1003", 2}, 1e300},
		{"legacy odds below 1", "components_0.json", "inputs.closing_table_legacy[0][3]: want closing odds", []any{"inputs", "closing_table_legacy", 0, 3}, 0.5},
		{"opening odds below 1", "entropy_0.json", "inputs.games[1].odds[0]: want closing odds", []any{"inputs", "games", 1, "odds", 0}, 0.5},
		{"inputs a list", "components_0.json", "inputs: want an object, got a list", []any{"inputs"}, []any{}},
		{"expected array short", "components_0.json", "expected.clv: want 8 values, got 2", []any{"expected", "clv"}, []any{1, 2}},
		{"expected array missing", "components_0.json", "expected.risk: missing", []any{"expected"}, map[string]any{"clv": make([]int, 8), "roi": make([]int, 8), "clv_legacy": make([]int, 8)}},
		{"expected null", "components_0.json", "expected.roi[3]: want a number, got null", []any{"expected", "roi", 3}, nil},
		{"too many miners", "components_0.json", "inputs.num_miners", []any{"inputs", "num_miners"}, 1e12},
		{"half a miner", "components_0.json", "inputs.num_miners", []any{"inputs", "num_miners"}, 7.5},
		{"miner beyond", "components_0.json", "inputs.predictions[2][0]: want a whole number from 0 to 7, got 8", []any{"inputs", "predictions", 2, 0}, 8},
		{"row short", "components_0.json", "inputs.predictions[0]: want 6 values, got 1", []any{"inputs", "predictions", 0}, []any{1}},
		{"unknown game", "components_0.json", "inputs.predictions[1]: game 77 has neither", []any{"inputs", "predictions", 1, 1}, 77},
		{"outcome 3", "components_0.json", "inputs.predictions[1][2]", []any{"inputs", "predictions", 1, 2}, 3},
		{"odds below 1", "components_0.json", "inputs.predictions[1][3]: want a number from 1 up, got 0.5", []any{"inputs", "predictions", 1, 3}, 0.5},
		{"negative wager", "components_0.json", "inputs.predictions[1][5]", []any{"inputs", "predictions", 1, 5}, -1},
		{"column missing", "components_0.json", `predictions_columns: no column "wager"`, []any{"predictions_columns", 5}, "stake"},
		{"closing odds of two", "components_0.json", "inputs.closing_odds.1003: want 3 values, got 2", []any{"inputs", "closing_odds", "1003"}, []any{1, 2}},
		{"game id not a number", "components_0.json", `game id "x"`, []any{"inputs", "closing_odds", "x"}, []any{1, 2, 3}},
		{"result out of range", "components_0.json", "inputs.results.1003", []any{"inputs", "results", "1003"}, 9},
		{"legacy table short", "components_0.json", "legacy table has 0 rows", []any{"inputs", "closing_table_legacy"}, []any{}},
		{"legacy row of three", "components_0.json", "inputs.closing_table_legacy[0]: want 4 values, got 3", []any{"inputs", "closing_table_legacy", 0}, []any{1, 2, 3}},
		{"time not ISO", "entropy_0.json", "inputs.sequence[0][6]: want a time", []any{"inputs", "sequence", 0, 6}, "noon"},
		{"sequence game unknown", "entropy_0.json", "game 1 is not in inputs.games", []any{"inputs", "sequence", 0, 2}, 1},
		{"game twice", "entropy_0.json", "game 6000 is there twice", []any{"inputs", "games", 1, "id"}, 6000},
		{"pool entropy missing", "entropy_0.json", "expected.initial_pool_entropy.6002.1: missing", []any{"expected", "initial_pool_entropy", "6002"}, map[string]any{"0": 1}},
		{"pool of a tie that cannot be", "entropy_0.json", "expected.initial_pool_entropy.6002.2: the game cannot tie", []any{"expected", "initial_pool_entropy", "6002"}, map[string]any{"0": 1, "1": 1, "2": 1}},
		{"pool entropy of another game", "entropy_0.json", "expected.initial_pool_entropy.9", []any{"expected", "initial_pool_entropy", "9"}, map[string]any{}},
		{"ring of another length", "days_0.json", "inputs.max_days", []any{"inputs", "max_days"}, 30},
		{"UID twice", "days_0.json", "inputs.invalid_uids[0]: UID 3 is there twice", []any{"inputs", "invalid_uids", 0}, 3},
		{"day left out", "days_0.json", "inputs.days[1].day_index: want 16 after 15, got 17", []any{"inputs", "days", 1, "day_index"}, 17},
		{"composite rows short", "days_0.json", "inputs.days[0].expected.composite: want 10 rows, got 0", []any{"inputs", "days", 0, "expected", "composite"}, []any{}},
		{"composite columns short", "days_0.json", "inputs.days[0].expected.composite[0]: want 6 values", []any{"inputs", "days", 0, "expected", "composite", 0}, []any{1}},
		{"entropy missing", "days_0.json", "inputs.days[0].entropy_given: want a list", []any{"inputs", "days", 0, "entropy_given"}, "x"},
		{"huge numbers", "days_0.json", "not finite", []any{"inputs", "days", 0, "entropy_given"}, []any{1.7e308, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			data := change(t, c.file, func(root map[string]any) {
				dig(root, c.steps...)(c.value)
				if c.rule == "huge numbers" {
					days := root["inputs"].(map[string]any)["days"].([]any)
					for _, d := range days {
						dig(d, "entropy_given")([]any{1.7e308, 1, 1, 1, 1, 1, 1, 1, 1, 1})
						dig(d, "predictions")([]any{[]any{0, 21000, 0, 1e308, 1e308, 1e-5}})
						dig(d, "closing_odds")(map[string]any{"21000": []any{1, 1, 1}})
						dig(d, "results")(map[string]any{"21000": 0})
					}
					c.want = "not a finite number"
				}
			})
			rep, err := CheckFile("x.json", bytes.NewReader(data))
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to hold %q", err, c.want)
			}
			if len(rep.Deviations) > 0 {
				t.Error("a malformed file left deviations")
			}
		})
	}
}

func TestCheckFileNotJSON(t *testing.T) {
	for _, c := range []struct{ rule, text, want string }{
		{"empty", "", "x.json:1:1: "},
		{"NaN", "{\n \"inputs\": NaN}", "x.json:2:12: "},
		{"cut off", "{\"inputs\": [1,", "x.json:1:"},
		{"two values", "{} {}", "more after the end"},
		{"not UTF-8", "{\"a\": \"\xff\"}", "x.json:1:8: "},
		{"a list", "[]", "(root): want an object, got a list"},
		{"nothing in it", "{}", "inputs: missing"},
		{"no form", `{"inputs": {}}`, "function: missing"},
		{"number beyond floats", `{"function": "entropy", "inputs": {"num_miners": 1e999}, "tolerance": {}}`, "inputs.num_miners: want a finite number, got 1e999"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := CheckFile("x.json", strings.NewReader(c.text))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrMalformed with %q", err, c.want)
			}
		})
	}
}

func TestCheckFileUnreadable(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := CheckFile("x.json", iotest.ErrReader(broken))
	if !errors.Is(err, ErrUnreadable) || !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	_, err = CheckFile("x.json", io.LimitReader(endless{}, maxVectorBytes+10))
	if !errors.Is(err, ErrUnreadable) {
		t.Errorf("too long: got %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// What a file may do without being malformed.
func TestCheckFileLenient(t *testing.T) {
	for _, c := range []struct {
		rule, file string
		edit       func(root map[string]any)
	}{
		{"extra keys", "components_0.json", func(root map[string]any) {
			root["made_by"] = "hand"
			dig(root, "inputs", "weather")([]any{nil})
			dig(root, "expected", "entropy")(7)
		}},
		{"no function", "entropy_0.json", func(root map[string]any) { delete(root, "function") }},
		{"no column names", "components_1.json", func(root map[string]any) { delete(root, "predictions_columns") }},
		{"no rule", "days_0.json", func(root map[string]any) { delete(root["tolerance"].(map[string]any), "rule") }},
		{"no legacy part", "components_2.json", func(root map[string]any) {
			delete(root["inputs"].(map[string]any), "closing_table_legacy")
			delete(root["expected"].(map[string]any), "clv_legacy")
			delete(root["tolerance"].(map[string]any), "clv_legacy")
		}},
		{"other column order", "components_0.json", func(root map[string]any) {
			swap := func(l []any) { l[0], l[5] = l[5], l[0] }
			swap(root["predictions_columns"].([]any))
			for _, r := range root["inputs"].(map[string]any)["predictions"].([]any) {
				swap(r.([]any))
			}
		}},
		{"results unfinished for a game nobody predicted", "components_0.json", func(root map[string]any) {
			dig(root, "inputs", "closing_odds", "999999")([]any{0, 1, 2})
			dig(root, "inputs", "results", "999998")(noResultCode)
		}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if _, err := CheckFile("x.json", bytes.NewReader(change(t, c.file, c.edit))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeviationOfNaN(t *testing.T) {
	d := Deviation{Tolerance: 1e300}
	d.compare(math.NaN(), 1, func() string { return "here" })
	if d.OK() || d.At != "here" {
		t.Errorf("a result that is no number passed: %+v", d)
	}
}

// Whatever the bytes, CheckFile returns one of its three errors or a report.
func FuzzCheckFile(f *testing.F) {
	for _, name := range []string{"components_0.json", "entropy_0.json"} {
		f.Add(readSample(f, name))
	}
	f.Add([]byte(`{"inputs": {"num_miners": 1, "valid_uids": [0], "invalid_uids": [], "days": []}, "tolerance": {"clv": 1, "roi": 1, "risk": 1, "composite": 1, "weights": 1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rep, err := CheckFile("f", bytes.NewReader(data))
		switch {
		case err == nil && !rep.OK(), errors.Is(err, ErrTolerance) && rep.OK():
			t.Fatalf("report and error disagree: %v %+v", err, rep)
		case err != nil && !errors.Is(err, ErrTolerance) && !errors.Is(err, ErrMalformed):
			t.Fatalf("untyped error: %v", err)
		}
	})
}
