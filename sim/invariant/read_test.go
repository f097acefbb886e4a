package invariant

import (
	"math"
	"strconv"
	"testing"
	"time"

	"bettensor/node/bet"

	"pgregory.net/rapid"
)

// TestReadAgreesWithAdmission: whatever a validator may admit, we read as it
// is stored; otherwise an honest row would be called false.
func TestReadAgreesWithAdmission(t *testing.T) {
	admitted := 0
	rapid.Check(t, func(t *rapid.T) {
		value := func(name string, numbers ...float64) bet.Value {
			x := rapid.SampledFrom(numbers).Draw(t, name)
			switch rapid.IntRange(0, 39).Draw(t, name+" form") {
			case 0:
				return bet.Value{Kind: bet.Text, Text: strconv.FormatFloat(x, 'g', -1, 64)}
			case 1:
				return bet.Value{Kind: bet.Text, Text: " " + strconv.FormatFloat(x, 'e', -1, 64) + "\t"}
			case 2:
				return bet.Value{Kind: bet.Text, Text: rapid.SampledFrom([]string{"", "0", "1", "02", "Reds", "Blues", "TIE", "nan", "-inf", "0x1p4", "1_0", "1e999"}).Draw(t, name+" text")}
			case 3:
				return bet.Value{Kind: bet.ValueKind(rapid.SampledFrom([]int{0, 3}).Draw(t, name+" kind"))}
			}
			return bet.Value{Kind: bet.Number, Number: x} // mostly, or nothing would be admitted
		}
		s := bet.Submission{ID: "1", Game: "g", TeamA: "Reds", TeamB: "Blues",
			Outcome: value("outcome", 0, 0, 0, 1, 2, 3, 0.5), Odds: value("odds", 1.9, 1.9, 1.9, 3.6, 4.2, 1.905, math.NaN()),
			Wager: value("wager", 5, 0.005, 10.025, 1e300, math.Inf(1), -1, 999.999), OddsA: value("a", 1.9, 1.9, 1.9, 1.905),
			OddsB: value("b", 4.2), OddsTie: value("tie", 3.6), Confidence: value("confidence", 0, 0.5, 1, 2)}
		at := begin.Add(time.Hour)
		g := bet.Game{ID: "g", TeamA: "Reds", TeamB: "Blues", CanTie: true, Active: true, Start: at.Add(time.Hour), Odds: bet.Odds{1.9, 4.2, 3.6}}
		p, refusal := bet.Admit(&bet.Offer{Now: at, Hotkey: "H", Registered: true, Game: &g}, &s)
		c := read(&s)
		if c != read(&s) {
			t.Fatalf("%+v does not read like itself: %+v", s, c)
		}
		if refusal != nil {
			return
		}
		admitted++
		wager, _ := bet.RoundCents(c.dollars)
		if c.unreadable || c.side != p.Outcome || !priced(c.odds, p.Odds) || wager != p.Wager || c.confidence != p.Confidence || c.game != string(p.Game) {
			t.Fatalf("admitted as %+v, read as %+v", p, c)
		}
	})
	if admitted == 0 {
		t.Error("nothing was admitted")
	}
}
