package bet

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
)

// vectorFile is testdata/wire/validate_prediction.json: the original's rule, as it ran.
type vectorFile struct {
	Now   time.Time
	Games map[GameID]struct {
		Sport, League string
		Start         time.Time `json:"event_start_date"`
		TeamA         string    `json:"team_a"`
		TeamB         string    `json:"team_b"`
		OddsA         float64   `json:"team_a_odds"`
		OddsB         float64   `json:"team_b_odds"`
		Tie           *float64  `json:"tie_odds"`
	}
	Base  map[string]any
	Cases []struct {
		Name    string
		Change  map[string]any
		Accept  bool
		Message string
		Code    Code
		Outcome int `json:"numeric_outcome"`
	}
}

// overridden are the rows whose answer of the original is a hole, with ours.
var overridden = map[string]Code{
	"wager NaN":                   NotFinite,
	"odds NaN":                    NotFinite,
	"predicted odds NaN":          NotFinite,
	"float outcome 1.9 truncates": InvalidOutcome,
	"NFL tie bet at 0 odds":       InvalidOutcome,
}

func loadVectors(t *testing.T) vectorFile {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/wire/validate_prediction.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectorFile
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func toValue(v any) Value {
	switch v := v.(type) {
	case nil:
		return Value{}
	case float64:
		return Value{Kind: Number, Number: v}
	case string:
		if v == "NaN" { // the file's way of writing the float
			return Value{Kind: Number, Number: math.NaN()}
		}
		return Value{Kind: Text, Text: v}
	}
	return Value{Kind: Other}
}

func toSubmission(m map[string]any) Submission {
	text := func(key string) string { s, _ := m[key].(string); return s }
	return Submission{
		ID:         PredictionID(text("prediction_id")),
		Game:       GameID(text("game_id")),
		Outcome:    toValue(m["predicted_outcome"]),
		Odds:       toValue(m["predicted_odds"]),
		TeamA:      text("team_a"),
		TeamB:      text("team_b"),
		Wager:      toValue(m["wager"]),
		OddsA:      toValue(m["team_a_odds"]),
		OddsB:      toValue(m["team_b_odds"]),
		OddsTie:    toValue(m["tie_odds"]),
		Model:      text("model_name"),
		Confidence: toValue(m["confidence_score"]),
	}
}

// TestAdmitAsOriginal runs every row of the original's vectors: same answer, code
// and words, but for the holes, which are refused with codes of ours.
func TestAdmitAsOriginal(t *testing.T) {
	v := loadVectors(t)
	seen := 0
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			m := map[string]any{}
			for key, x := range v.Base {
				m[key] = x
			}
			for key, x := range c.Change {
				m[key] = x
			}
			s := toSubmission(m)
			o := Offer{Now: v.Now, Hotkey: "bob", Registered: true}
			total, ok := RoundCents(m["current_total"].(float64))
			if !ok {
				t.Fatal("current_total")
			}
			o.Spent = total
			if g, ok := v.Games[s.Game]; ok {
				o.Game = &Game{
					ID: s.Game, Sport: g.Sport, League: g.League, TeamA: g.TeamA, TeamB: g.TeamB,
					Start: g.Start, Active: true, Outcome: Unfinished, Odds: Odds{g.OddsA, g.OddsB, 0},
				}
				if g.Tie != nil && *g.Tie != 0 {
					o.Game.CanTie, o.Game.Odds[Tie] = true, *g.Tie
				}
			}
			if c.Code == DuplicatePrediction {
				// The caller's rule: same id, same content is a success, other content a conflict.
				held := Prediction{ID: s.ID, Content: s.Fingerprint()}
				if !Duplicate(&held, &s) {
					t.Error("an identical resubmission is no duplicate")
				}
				s.Wager.Number++
				if Duplicate(&held, &s) {
					t.Error("another wager under the same id is taken for a duplicate")
				}
				return
			}
			p, r := Admit(&o, &s)
			if want, ok := overridden[c.Name]; ok {
				seen++
				if !c.Accept {
					t.Fatal("overridden although the original refuses it")
				}
				if r == nil || r.Code != want {
					t.Fatalf("got %v, want %s", r, want)
				}
				return
			}
			if (r == nil) != c.Accept {
				t.Fatalf("refusal %v, want accept %t", r, c.Accept)
			}
			if r != nil {
				if r.Code != c.Code || r.Message != c.Message {
					t.Fatalf("got %s %q, want %s %q", r.Code, r.Message, c.Code, c.Message)
				}
				if r.Code.Meaning() == "" {
					t.Errorf("%s has no meaning", r.Code)
				}
				return
			}
			if int(p.Outcome) != c.Outcome {
				t.Errorf("outcome %v, want %d", p.Outcome, c.Outcome)
			}
			// The vectors do not say at which price: a longer one within the tolerance
			// counts as the one offered (TestToleranceIsNoBonus).
			want := Prediction{
				ID: s.ID, Hotkey: "bob", Game: s.Game, Outcome: p.Outcome, Odds: min(s.Odds.Number, o.Game.Odds[p.Outcome]), Wager: p.Wager,
				Received: v.Now, Model: s.Model, Confidence: p.Confidence, Content: s.Fingerprint(),
			}
			if diff := cmp.Diff(want, p); diff != "" {
				t.Error(diff)
			}
		})
	}
	if seen != len(overridden) {
		t.Errorf("%d overridden rows in the file, want %d", seen, len(overridden))
	}
}

var noon = time.Date(2025, 3, 8, 12, 0, 0, 0, time.UTC)

func sampleGame() Game {
	return Game{
		ID: "1234567", Sport: "Soccer", League: "Premier League", TeamA: "Arsenal", TeamB: "Chelsea",
		Created: noon.AddDate(0, 0, -7), Updated: noon.Add(-time.Hour), Start: noon.Add(3 * time.Hour),
		CanTie: true, Active: true, Odds: Odds{1.91, 4.2, 3.55}, OddsAt: noon.Add(-time.Hour), Outcome: Unfinished,
	}
}

func num(x float64) Value { return Value{Kind: Number, Number: x} }

func text(s string) Value { return Value{Kind: Text, Text: s} }

func sampleSubmission() Submission {
	return Submission{
		ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0001", Game: "1234567", MinerUID: "7", Date: "2025-03-07T12:00:00+00:00",
		Outcome: text("Arsenal"), Odds: num(1.91), TeamA: "Arsenal", TeamB: "Chelsea", Wager: num(100),
		OddsA: num(1.91), OddsB: num(4.2), OddsTie: num(3.55), Model: "Soccer Model", Confidence: num(0.62),
	}
}

// TestAdmit holds the rules that are ours or that the vectors leave out.
func TestAdmit(t *testing.T) {
	const ok Code = ""
	tests := []struct {
		name string
		edit func(o *Offer, s *Submission)
		want Code
	}{
		{"as it is", func(*Offer, *Submission) {}, ok},
		{"unregistered hotkey", func(o *Offer, _ *Submission) { o.Registered = false }, UnregisteredHotkey},
		{"no id", func(_ *Offer, s *Submission) { s.ID = "" }, MissingData},
		{"nothing but an id", func(_ *Offer, s *Submission) { *s = Submission{ID: s.ID} }, MissingData},
		{"id too long", func(_ *Offer, s *Submission) { s.ID = PredictionID(strings.Repeat("x", MaxIDLen+1)) }, MalformedText},
		{"longest id", func(_ *Offer, s *Submission) { s.ID = PredictionID(strings.Repeat("x", MaxIDLen)) }, ok},
		{"zero byte in id", func(_ *Offer, s *Submission) { s.ID = "a\x00b" }, MalformedText},
		{"model not UTF-8", func(_ *Offer, s *Submission) { s.Model = "\xff" }, MalformedText},
		{"model too long", func(_ *Offer, s *Submission) { s.Model = strings.Repeat("m", MaxModelLen+1) }, MalformedText},
		{"no wager", func(_ *Offer, s *Submission) { s.Wager = Value{} }, InvalidWager},
		{"wager a list", func(_ *Offer, s *Submission) { s.Wager = Value{Kind: Other} }, InvalidWager},
		{"wager as text", func(_ *Offer, s *Submission) { s.Wager = text(" 100.00 ") }, ok},
		{"wager as hexadecimal text", func(_ *Offer, s *Submission) { s.Wager = text("0x10") }, InvalidWager},
		{"wager text nan", func(_ *Offer, s *Submission) { s.Wager = text("nan") }, NotFinite},
		{"wager text beyond float64", func(_ *Offer, s *Submission) { s.Wager = text("1e999") }, NotFinite},
		{"wager infinite", func(_ *Offer, s *Submission) { s.Wager = num(math.Inf(1)) }, NotFinite},
		{"wager minus infinite", func(_ *Offer, s *Submission) { s.Wager = num(math.Inf(-1)) }, NotFinite},
		{"wager zero after rounding", func(_ *Offer, s *Submission) { s.Wager = num(0.005) }, InvalidWager},
		{"smallest wager", func(_ *Offer, s *Submission) { s.Wager = num(0.0051) }, ok},
		{"wager a thousandth above the budget is rounded into it", func(_ *Offer, s *Submission) { s.Wager = num(1000.004) }, ok},
		{"wager a cent above the budget", func(_ *Offer, s *Submission) { s.Wager = num(1000.01) }, DailyLimitExceeded},
		{"wager beyond all money", func(_ *Offer, s *Submission) { s.Wager = num(1e300) }, DailyLimitExceeded},
		{"wager far below zero", func(_ *Offer, s *Submission) { s.Wager = num(-1e300) }, InvalidWager},
		{"budget used up", func(o *Offer, s *Submission) { o.Spent, s.Wager = DailyBudget, num(0.01) }, DailyLimitExceeded},
		{"budget used to the cent", func(o *Offer, s *Submission) { o.Spent, s.Wager = DailyBudget-1, num(0.01) }, ok},
		{"unknown game", func(o *Offer, _ *Submission) { o.Game = nil }, GameNotFound},
		{"at the start", func(o *Offer, _ *Submission) { o.Now = o.Game.Start }, GameStarted},
		{"a nanosecond before the start", func(o *Offer, _ *Submission) { o.Now = o.Game.Start.Add(-1) }, ok},
		{"finished before its start", func(o *Offer, _ *Submission) { o.Game.Status, o.Game.Outcome = Finished, Home }, GameStarted},
		{"postponed", func(o *Offer, _ *Submission) { o.Game.Status = Postponed }, GameInactive},
		{"postponed, old start past", func(o *Offer, _ *Submission) { o.Game.Status, o.Game.Start = Postponed, o.Now }, GameInactive},
		{"void", func(o *Offer, _ *Submission) { o.Game.Status = Void }, GameInactive},
		{"not offered", func(o *Offer, _ *Submission) { o.Game.Active = false }, GameInactive},
		{"no team names", func(_ *Offer, s *Submission) { s.TeamA, s.TeamB = "", "" }, TeamMismatch},
		{"no team odds", func(_ *Offer, s *Submission) { s.OddsB = Value{} }, MissingOdds},
		{"team odds no number", func(_ *Offer, s *Submission) { s.OddsA = text("evens") }, InvalidOdds},
		{"team odds infinite", func(_ *Offer, s *Submission) { s.OddsB = num(math.Inf(1)) }, NotFinite},
		{"tie odds NaN", func(_ *Offer, s *Submission) { s.OddsTie = num(math.NaN()) }, NotFinite},
		{"tie odds a truth value", func(_ *Offer, s *Submission) { s.OddsTie = Value{Kind: Other} }, InvalidOdds},
		{"no tie possible, zero sent", func(o *Offer, s *Submission) { noTie(o.Game); s.OddsTie = num(0) }, ok},
		{"no tie possible, none sent", func(o *Offer, s *Submission) { noTie(o.Game); s.OddsTie = Value{} }, ok},
		{"no tie possible, minus sent", func(o *Offer, s *Submission) { noTie(o.Game); s.OddsTie = num(-1) }, OddsMismatch},
		{"no tie possible, tie named", func(o *Offer, s *Submission) {
			noTie(o.Game)
			s.OddsTie, s.Outcome, s.Odds = num(0), num(2), num(0)
		}, InvalidOutcome},
		{"tie possible but not priced", func(o *Offer, s *Submission) {
			o.Game.Odds[Tie] = 0
			s.OddsTie, s.Outcome, s.Odds = num(0), text("tie"), num(0)
		}, InvalidOutcome},
		{"no outcome", func(_ *Offer, s *Submission) { s.Outcome = Value{} }, InvalidOutcome},
		{"outcome NaN", func(_ *Offer, s *Submission) { s.Outcome = num(math.NaN()) }, InvalidOutcome},
		{"outcome between", func(_ *Offer, s *Submission) { s.Outcome = num(-0.5) }, InvalidOutcome},
		{"outcome 1 as float", func(_ *Offer, s *Submission) { s.Outcome, s.Odds = num(1), num(4.2) }, ok},
		{"outcome digits with zeros", func(_ *Offer, s *Submission) { s.Outcome, s.Odds = text("002"), num(3.55) }, ok},
		{"outcome all zeros", func(_ *Offer, s *Submission) { s.Outcome = text("000") }, ok},
		{"outcome 10", func(_ *Offer, s *Submission) { s.Outcome = text("10") }, InvalidOutcome},
		{"outcome 3 in digits", func(_ *Offer, s *Submission) { s.Outcome = text("3") }, InvalidOutcome},
		{"outcome empty text", func(_ *Offer, s *Submission) { s.Outcome = text("") }, InvalidOutcome},
		{"outcome in another case", func(_ *Offer, s *Submission) { s.Outcome = text("arsenal") }, InvalidOutcome},
		{"predicted odds no number", func(_ *Offer, s *Submission) { s.Odds = text("best") }, InvalidOdds},
		{"predicted odds infinite", func(_ *Offer, s *Submission) { s.Odds = num(math.Inf(1)) }, NotFinite},
		{"predicted odds as text", func(_ *Offer, s *Submission) { s.Odds = text("1.91") }, ok},
		{"predicted odds unknown to the miner", func(_ *Offer, s *Submission) { s.Odds = num(-1) }, OddsMismatch},
		{"odds below 1.01", func(o *Offer, s *Submission) {
			o.Game.Odds[Home], s.OddsA, s.Odds = 1.005, num(1.005), num(1.005)
		}, OddsTooLow},
		{"odds just below 1.01 of odds at it", func(o *Offer, s *Submission) {
			o.Game.Odds[Home], s.OddsA, s.Odds = 1.01, num(1.01), num(1.009)
		}, OddsTooLow},
		{"odds at 1.01", func(o *Offer, s *Submission) {
			o.Game.Odds[Home], s.OddsA, s.Odds = 1.01, num(1.01), num(1.01)
		}, ok},
		{"confidence NaN", func(_ *Offer, s *Submission) { s.Confidence = num(math.NaN()) }, NotFinite},
		{"confidence below zero", func(_ *Offer, s *Submission) { s.Confidence = num(-0.01) }, InvalidConfidence},
		{"confidence as text", func(_ *Offer, s *Submission) { s.Confidence = text("1") }, ok},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, s := sampleGame(), sampleSubmission()
			o := Offer{Now: noon, Hotkey: "bob", Registered: true, Game: &g}
			tt.edit(&o, &s)
			p, r := Admit(&o, &s)
			var got Code
			if r != nil {
				got = r.Code
				if p != (Prediction{}) {
					t.Errorf("refused, but returned %+v", p)
				}
				if len(r.Message) > 200 {
					t.Errorf("message of %d bytes", len(r.Message))
				}
			}
			if got != tt.want {
				t.Fatalf("got %q (%v), want %q", got, r, tt.want)
			}
		})
	}
}

func noTie(g *Game) { g.CanTie, g.Odds[Tie] = false, 0 }

// TestMessagesAreShort: a refusal repeats little of a hostile submission.
func TestMessagesAreShort(t *testing.T) {
	g, s := sampleGame(), sampleSubmission()
	s.Outcome = text(strings.Repeat("é", 100_000))
	_, r := Admit(&Offer{Now: noon, Hotkey: "bob", Registered: true, Game: &g}, &s)
	if r == nil || len(r.Message) > 120 || strings.ContainsRune(r.Message, '\uFFFD') {
		t.Fatalf("message %q", r)
	}
}

// TestCodes: every code is listed once and has a meaning.
func TestCodes(t *testing.T) {
	seen := map[Code]bool{}
	for _, c := range Codes() {
		if seen[c] || c.Meaning() == "" || strings.ToLower(string(c)) != string(c) {
			t.Errorf("%q: twice, without a meaning or not snake_case", c)
		}
		seen[c] = true
	}
	for c := range map[Code]bool{UnregisteredHotkey: true, RateLimited: true, DuplicateConflict: true, GameInactive: true} {
		if !seen[c] {
			t.Errorf("%q is not listed", c)
		}
	}
	if Code("nonsense").Meaning() != "" {
		t.Error("a meaning for an unknown code")
	}
	for _, c := range Codes() {
		if want := c == StoreUnavailable || c == Overloaded || c == RateLimited; c.Temporary() != want {
			t.Errorf("%q temporary: %t", c, c.Temporary())
		}
	}
}

// TestFingerprint: what a submission says counts, how it says it does not.
func TestFingerprint(t *testing.T) {
	base := sampleSubmission()
	want := base.Fingerprint()
	for name, edit := range map[string]func(*Submission){
		"uid":             func(s *Submission) { s.MinerUID = "8" },
		"date":            func(s *Submission) { s.Date = "" },
		"outcome digit":   func(s *Submission) { s.Outcome = text("0") },
		"outcome number":  func(s *Submission) { s.Outcome = num(0) },
		"wager as text":   func(s *Submission) { s.Wager = text("100.0") },
		"odds as text":    func(s *Submission) { s.Odds = text("1.910") },
		"confidence text": func(s *Submission) { s.Confidence = text("0.62") },
	} {
		s := base
		edit(&s)
		if s.Fingerprint() != want {
			t.Errorf("%s: counts as another prediction", name)
		}
	}
	seen := map[uint64]string{want: "base"}
	for name, edit := range map[string]func(*Submission){
		"game":          func(s *Submission) { s.Game = "1" },
		"outcome":       func(s *Submission) { s.Outcome = text("Chelsea") },
		"odds":          func(s *Submission) { s.Odds = num(1.9) },
		"team a":        func(s *Submission) { s.TeamA = "ArsenalC" },
		"wager":         func(s *Submission) { s.Wager = num(100.01) },
		"odds a":        func(s *Submission) { s.OddsA = num(1.92) },
		"odds b":        func(s *Submission) { s.OddsB = num(4.21) },
		"odds tie":      func(s *Submission) { s.OddsTie = num(3.5) },
		"no tie odds":   func(s *Submission) { s.OddsTie = Value{} },
		"model":         func(s *Submission) { s.Model = "" },
		"no confidence": func(s *Submission) { s.Confidence = Value{} },
		"odd outcome":   func(s *Submission) { s.Outcome = Value{Kind: Other} },
	} {
		s := base
		edit(&s)
		if other, ok := seen[s.Fingerprint()]; ok {
			t.Errorf("%s: same as %s", name, other)
		}
		seen[s.Fingerprint()] = name
	}
	left, right := base, base
	left.Outcome, left.TeamA, left.TeamB = num(0), "Arsenal", "Chelsea"
	right.Outcome, right.TeamA, right.TeamB = num(0), "ArsenalChel", "sea"
	if left.Fingerprint() == right.Fingerprint() {
		t.Error("the border between two texts does not count")
	}
	left, right = base, base
	left.Odds, right.Odds = num(math.NaN()), num(math.Float64frombits(math.Float64bits(math.NaN())+1))
	if left.Fingerprint() != right.Fingerprint() {
		t.Error("two ways of not being a number are told apart")
	}
	none, zero := base, base
	none.OddsTie, zero.OddsTie = Value{}, num(math.Copysign(0, -1))
	if none.Fingerprint() != zero.Fingerprint() {
		t.Error("no tie price and a tie price of zero are told apart")
	}
}

// TestRound4 holds what Python's round(x, 4) answers.
func TestRound4(t *testing.T) {
	for _, tt := range []struct{ in, want float64 }{
		{1.91, 1.91}, {3.3333, 3.3333}, {3.33333, 3.3333}, {1.99995, 1.9999}, {2.00005, 2}, {2.00015, 2.0002}, {1.23456789, 1.2346}, {0, 0},
	} {
		if got := round4(tt.in); got != tt.want {
			t.Errorf("round4(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

// FuzzAdmit: no submission panics; what is accepted keeps every promise.
func FuzzAdmit(f *testing.F) {
	s := sampleSubmission()
	f.Add("id", "0", "1.91", "100", "0.5", 100.0, 1.91, 1.91, uint8(1), int64(0))
	f.Add(string(s.ID), "Tie", "3.55", "abc", "", math.NaN(), math.Inf(1), 1.9, uint8(0), int64(99_900))
	f.Fuzz(func(t *testing.T, id, outcome, oddsText, wagerText, confidence string, wager, odds, oddsA float64, kinds uint8, spent int64) {
		g, s := sampleGame(), sampleSubmission()
		s.ID, s.Outcome, s.OddsA, s.Confidence = PredictionID(id), text(outcome), num(oddsA), text(confidence)
		s.Wager, s.Odds = num(wager), num(odds)
		if kinds&1 != 0 {
			s.Wager = text(wagerText)
		}
		if kinds&2 != 0 {
			s.Odds = text(oddsText)
		}
		o := Offer{Now: noon, Hotkey: chain.Hotkey("bob"), Registered: true, Game: &g, Spent: Cents(spent) % (DailyBudget + 1)}
		if o.Spent < 0 {
			o.Spent = -o.Spent
		}
		p, r := Admit(&o, &s)
		if r != nil {
			if r.Code.Meaning() == "" {
				t.Fatalf("unlisted code %q", r.Code)
			}
			return
		}
		payout, ok := Payout(p.Wager, p.Odds)
		if p.Wager <= 0 || o.Spent+p.Wager > DailyBudget || p.Odds < MinOdds || p.Outcome > Tie ||
			math.Abs(p.Odds-g.Odds[p.Outcome]) > OddsTolerance || p.Confidence < 0 || p.Confidence > 1 || !ok || payout < p.Wager {
			t.Fatalf("accepted %+v with %v spent", p, o.Spent)
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	g, s := sampleGame(), sampleSubmission()
	o := Offer{Now: noon, Hotkey: "bob", Registered: true, Game: &g}
	b.ReportAllocs()
	for b.Loop() {
		if _, r := Admit(&o, &s); r != nil {
			b.Fatal(r)
		}
	}
}

// TestAdmitAllocatesNothing when it accepts: it is on the path of every prediction.
func TestAdmitAllocatesNothing(t *testing.T) {
	g, s := sampleGame(), sampleSubmission()
	g.Odds[Home] = 1.910049 // takes the slow way of rounding
	o := Offer{Now: noon, Hotkey: "bob", Registered: true, Game: &g}
	if n := testing.AllocsPerRun(100, func() {
		if _, r := Admit(&o, &s); r != nil {
			t.Fatal(r)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
