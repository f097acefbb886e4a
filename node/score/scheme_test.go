package score

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSchemesAreValid(t *testing.T) {
	for _, name := range Names() {
		s, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name {
			t.Errorf("ByName(%q) is called %q", name, s.Name)
		}
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
	if _, err := ByName("realeased"); !errors.Is(err, ErrScheme) || !strings.Contains(err.Error(), `"released"`) {
		t.Errorf("a misspelt scheme gave %v", err)
	}
}

// Every field of a Scheme is a parameter with a name, a reason, and a range
// that holds its defaults; each name leads to its own field.
func TestEveryFieldIsAParameter(t *testing.T) {
	leaves := 0
	typ := reflect.TypeFor[Scheme]()
	for i := range typ.NumField() {
		switch f := typ.Field(i); {
		case f.Name == "Tiers":
			leaves += PublicTiers * reflect.TypeFor[TierRule]().NumField()
		case f.Name != "Name":
			leaves++
		}
	}
	s := Standard()
	fields := s.Fields()
	if len(fields) != leaves {
		t.Fatalf("%d parameters for %d fields", len(fields), leaves)
	}
	for _, f := range fields {
		if f.Reason == "" || f.Name == "" || f.Value != f.Standard {
			t.Errorf("incomplete: %+v", f)
		}
		value := "1"
		switch f.Standard {
		case "1":
			value = "0.5"
			if strings.HasSuffix(f.Name, "_window") {
				value = "2"
			}
		case "true", "false":
			value = map[string]string{"true": "false", "false": "true"}[f.Standard]
		}
		if f.Name == "vig" || f.Name == "risk_epsilon" {
			value = "0.25"
		}
		s := Standard()
		if err := s.Set(f.Name, value); err != nil {
			t.Error(err)
			continue
		}
		changed := 0
		for _, g := range s.Fields() {
			if g.Value != g.Standard {
				changed++
				if g.Name != f.Name || g.Value != value {
					t.Errorf("setting %s to %s made %s %s", f.Name, value, g.Name, g.Value)
				}
			}
		}
		if changed != 1 {
			t.Errorf("setting %s changed %d parameters", f.Name, changed)
		}
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestReleasedDiffersOnlyByDefects(t *testing.T) {
	s := Released()
	got := map[string]string{}
	for _, f := range s.Fields() {
		if f.Value != f.Standard {
			got[f.Name] = f.Value
		}
	}
	want := map[string]string{
		"legacy_clv": "true", "legacy_entropy": "true", "legacy_entropy_maximum": "true",
		"rescore_hours": "48", "wagers_by_receipt": "true", "inactivity_days": "0", "min_active_share": "0",
		"ties_by_uid": "true", "zeroed_keep_rank": "true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct{ rule, name, value, want string }{
		{"misspelt name", "clv_coeficient", "1", `did you mean "clv_coefficient"?`},
		{"tier that is not", "tier6_window", "1", "did you mean \"tier"},
		{"long nonsense", strings.Repeat("x", 1<<16), "1", "did you mean"},
		{"text for a number", "vig", "much", `vig: want a number, got "much"`},
		{"NaN", "vig", "NaN", "vig: want 0 to"},
		{"infinity", "tier2_min_wager", "Inf", "tier2_min_wager: want 0 to"},
		{"vig of one", "vig", "1", "vig: want 0 to"},
		{"fraction of a day", "tier1_window", "1.5", "tier1_window: want a whole number"},
		{"window beyond the ring", "tier5_window", "46", "tier5_window: want 1 to 45, got 46"},
		{"negative days", "inactivity_days", "-1", "inactivity_days: want 0 to"},
		{"number for a truth value", "legacy_clv", "1", "legacy_clv: want true or false"},
		{"share above one", "tier2_capacity", "1.1", "tier2_capacity: want 0 to 1"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := Standard()
			err := s.Set(c.name, c.value)
			if !errors.Is(err, ErrScheme) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrScheme with %q", err, c.want)
			}
			if diff := cmp.Diff(Standard(), s); diff != "" {
				t.Errorf("a refused value changed the scheme: %s", diff)
			}
		})
	}
}

func TestValidateFindsWhatSetWouldRefuse(t *testing.T) {
	for _, spoil := range []func(*Scheme){
		func(s *Scheme) { s.RankExponent = math.NaN() },
		func(s *Scheme) { s.Tiers[3].Window = 0 },
		func(s *Scheme) { s.PoolLimit = 0 },
	} {
		s := Standard()
		spoil(&s)
		if err := s.Validate(); !errors.Is(err, ErrScheme) {
			t.Errorf("got %v", err)
		}
	}
}

// edits against its definition by recursion.
func TestEditsTwin(t *testing.T) {
	var slow func(a, b string) int
	slow = func(a, b string) int {
		switch {
		case a == "":
			return len(b)
		case b == "":
			return len(a)
		case a[0] == b[0]:
			return slow(a[1:], b[1:])
		}
		return 1 + min(slow(a[1:], b), slow(a, b[1:]), slow(a[1:], b[1:]))
	}
	word := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := edits(a, b), slow(a, b); got != want {
			t.Fatalf("edits(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}

// A share of all slots is floored as in exact arithmetic, for any subnet.
func TestCapacityIsFloored(t *testing.T) {
	s := Standard()
	for slots := range MaxSlots + 1 {
		want := [PublicTiers]int{slots, slots / 5, slots / 5, slots / 10, slots / 20}
		for tier := range want {
			if got := s.capacity(tier, slots); got != want[tier] {
				t.Fatalf("tier %d of %d slots holds %d, want %d", tier+1, slots, got, want[tier])
			}
		}
	}
	s.Tiers[1].Capacity = 0.29 // 0.29 × 100 is 28.999… in floats
	if got := s.capacity(1, 100); got != 29 {
		t.Errorf("29 %% of 100 slots is %d", got)
	}
}

func TestBelowMinStake(t *testing.T) {
	for _, c := range []struct {
		rule                string
		limit, alpha, price float64
		below               bool
	}{
		{"rule off", 0, 0, 0, false},
		{"exactly at it", 0.5, 2, 0.25, false},
		{"below", 0.3, 2, 0.1, true},
		{"above", 0.3, 4, 0.1, false},
		{"price unknown", 0.3, 4, math.NaN(), true},
	} {
		s := Standard()
		s.MinStake = c.limit
		if got := s.BelowMinStake(c.alpha, c.price); got != c.below {
			t.Errorf("%s: %v", c.rule, got)
		}
	}
}

var update = flag.Bool("update", false, "rewrite the parameter table of docs/scoring.md")

// The table of parameters in the document is the one in the code.
func TestDocumentListsParameters(t *testing.T) {
	const path, heading = "../../docs/scoring.md", "## Parameters\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, table, found := strings.Cut(string(data), heading)
	if !found {
		t.Fatalf("%s has no section %q", path, heading)
	}
	var want strings.Builder
	want.WriteString("| name | `standard` | `released` | `robust` | unit | what it does |\n|---|---|---|---|---|---|\n")
	s := Standard()
	for _, f := range s.Fields() {
		same := func(value string) string {
			if value == f.Standard {
				return "same"
			}
			return value
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s | %s |\n", f.Name, f.Standard, same(f.Released), same(f.Robust), f.Unit, f.Reason)
	}
	if *update {
		if err := os.WriteFile(path, []byte(text+heading+want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("run with -update, and read what changed: %s", diff)
	}
}
