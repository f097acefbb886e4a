package bet

import (
	"math"
	"testing"
)

// The holes of the original's validation, each by its number in the list that
// docs/protocol.md keeps.

func admitted(edit func(*Game, *Submission)) Code {
	g, s := sampleGame(), sampleSubmission()
	edit(&g, &s)
	if _, r := Admit(&Offer{Now: noon, Hotkey: "bob", Registered: true, Game: &g}, &s); r != nil {
		return r.Code
	}
	return ""
}

// TestH6NotFinite: no number of a submission may be none.
func TestH6NotFinite(t *testing.T) {
	if got := admitted(func(*Game, *Submission) {}); got != "" {
		t.Fatalf("a good one is refused as %s", got)
	}
	fields := map[string]func(*Submission) *Value{
		"wager": func(s *Submission) *Value { return &s.Wager }, "predicted_odds": func(s *Submission) *Value { return &s.Odds },
		"team_a_odds": func(s *Submission) *Value { return &s.OddsA }, "team_b_odds": func(s *Submission) *Value { return &s.OddsB },
		"tie_odds": func(s *Submission) *Value { return &s.OddsTie }, "confidence_score": func(s *Submission) *Value { return &s.Confidence },
	}
	for name, field := range fields {
		for _, v := range []Value{num(math.NaN()), num(math.Inf(1)), num(math.Inf(-1)), text("nan"), text("NaN"), text("inf"), text("-Infinity"), text("1e999")} {
			if got := admitted(func(_ *Game, s *Submission) { *field(s) = v }); got != NotFinite {
				t.Errorf("%s %v: %q, want %q", name, v, got, NotFinite)
			}
		}
	}
}

// TestH7OutcomeThatCannotBe: no tie where the game has none, and no outcome
// between two others.
func TestH7OutcomeThatCannotBe(t *testing.T) {
	for _, tie := range []Value{text("Tie"), text("tie"), text("2"), num(2)} {
		got := admitted(func(g *Game, s *Submission) {
			noTie(g)
			s.Outcome, s.Odds, s.OddsTie = tie, num(0), num(0)
		})
		if got != InvalidOutcome {
			t.Errorf("tie %v: %q, want %q", tie, got, InvalidOutcome)
		}
	}
	for _, x := range []Value{num(1.9), num(0.5), num(-1), num(3), num(math.Nextafter(1, 2)), text("1.9"), text("1.0"), text("-0")} {
		if got := admitted(func(_ *Game, s *Submission) { s.Outcome = x }); got != InvalidOutcome {
			t.Errorf("outcome %v: %q, want %q", x, got, InvalidOutcome)
		}
	}
}

// TestH10PriceOfTheChosenSide: the price taken is that of the side taken, and not
// of another one.
func TestH10PriceOfTheChosenSide(t *testing.T) {
	g := sampleGame()
	for side := range g.Odds {
		for taken := range g.Odds {
			want := OddsMismatch
			if side == taken {
				want = ""
			}
			got := admitted(func(g *Game, s *Submission) { s.Outcome, s.Odds = num(float64(side)), num(g.Odds[taken]) })
			if got != want {
				t.Errorf("side %d at the price of %d: %q, want %q", side, taken, got, want)
			}
		}
	}
}

// TestToleranceIsNoBonus: a price a little longer than the one offered is taken,
// as the original does, and counts as the one offered; a shorter one is the
// miner's word.
func TestToleranceIsNoBonus(t *testing.T) {
	for _, x := range []struct{ more, want float64 }{{0.0099, 0}, {0.004, 0}, {0, 0}, {-0.004, -0.004}} {
		g, s := sampleGame(), sampleSubmission()
		offered := g.Odds[Home]
		s.Outcome, s.Odds = num(0), num(offered+x.more)
		p, r := Admit(&Offer{Now: noon, Hotkey: "bob", Registered: true, Game: &g}, &s)
		if r != nil || p.Odds != offered+x.want {
			t.Errorf("%+v on %v: stored %v, %v", x.more, offered, p.Odds, r)
		}
	}
}
