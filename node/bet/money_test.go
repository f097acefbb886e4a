package bet

import (
	"math"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// roundTwin is half-even rounding the slow way: exact fractions of the decimal.
func roundTwin(x *big.Rat) *big.Int {
	doubled := new(big.Rat).Mul(x, big.NewRat(2, 1))
	floor := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean: floor, as the denominator is positive
	if doubled.IsInt() && !x.IsInt() {            // a half
		if floor.Bit(0) == 1 {
			floor.Add(floor, big.NewInt(1))
		}
		return floor
	}
	plusHalf := new(big.Rat).Add(x, big.NewRat(1, 2))
	return new(big.Int).Div(plusHalf.Num(), plusHalf.Denom())
}

func written(x float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(x, 'f', -1, 64))
	if !ok {
		panic("no decimal")
	}
	return r
}

func TestRoundCents(t *testing.T) {
	tests := []struct {
		dollars float64
		want    Cents
	}{
		{0, 0}, {math.Copysign(0, -1), 0},
		{0.005, 0}, {0.015, 2}, {0.025, 2}, {0.035, 4}, // halves go to the even cent
		{0.125, 12}, {0.375, 38},
		{10.015, 1002}, {10.025, 1002}, {1.005, 100}, {2.675, 268}, // whose float64 lies beside the half
		{0.0050000001, 1}, {0.0049999, 0},
		{100.004, 10000}, {1000, 100000}, {1000.005, 100000}, {1000.0051, 100001},
		{-0.015, -2}, {-12.345, -1234},
		{1e9, 1e11}, {1e-300, 0}, {5e-324, 0}, {1e-21, 0},
	}
	for _, tt := range tests {
		if got, ok := RoundCents(tt.dollars); !ok || got != tt.want {
			t.Errorf("RoundCents(%v) = %d, %t, want %d", tt.dollars, got, ok, tt.want)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1.0001e9, -1e300} {
		if got, ok := RoundCents(x); ok || got != 0 {
			t.Errorf("RoundCents(%v) = %d, %t, want a refusal", x, got, ok)
		}
	}
}

func TestPayout(t *testing.T) {
	tests := []struct {
		wager Cents
		odds  float64
		want  Cents
	}{
		{100_00, 1.91, 191_00},
		{50, 1.91, 96}, {50, 1.89, 94}, // 95.5 and 94.5
		{25_50, 3.55, 90_52}, // 9052.5
		{33_33, 3.3333, 111_10},
		{1, 1.01, 1}, {1, 1.5, 2}, {1, 2.5, 2},
		{1, 1e5, 1e5}, {1e11, 1e5, 1e16},
		{0, 2, 0}, {100, 0, 0},
	}
	for _, tt := range tests {
		if got, ok := Payout(tt.wager, tt.odds); !ok || got != tt.want {
			t.Errorf("Payout(%d, %v) = %d, %t, want %d", tt.wager, tt.odds, got, ok, tt.want)
		}
	}
	for _, tt := range []struct {
		wager Cents
		odds  float64
	}{{-1, 2}, {1e11 + 1, 2}, {100, math.NaN()}, {100, math.Inf(1)}, {100, -1}, {100, 1e5 + 1}} {
		if got, ok := Payout(tt.wager, tt.odds); ok || got != 0 {
			t.Errorf("Payout(%d, %v) = %d, %t, want a refusal", tt.wager, tt.odds, got, ok)
		}
	}
}

// moneyFloat draws what people send: decimals of few places, their neighbours
// and anything at all.
func moneyFloat(limit float64) *rapid.Generator[float64] {
	return rapid.Custom(func(t *rapid.T) float64 {
		places := rapid.IntRange(0, 6).Draw(t, "places")
		x := float64(rapid.Int64Range(0, 1e8).Draw(t, "digits")) / math.Pow10(places)
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			x = math.Nextafter(x, math.Inf(1))
		case 1:
			x = rapid.Float64Range(0, limit).Draw(t, "any")
		case 2:
			x = math.Ldexp(x, -rapid.IntRange(0, 900).Draw(t, "tiny"))
		}
		return min(x, limit)
	})
}

// TestRoundingAgreesWithFractions compares both roundings with exact fractions.
func TestRoundingAgreesWithFractions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := moneyFloat(MaxDollars).Draw(t, "dollars")
		want := roundTwin(new(big.Rat).Mul(written(x), big.NewRat(100, 1)))
		if got, ok := RoundCents(x); !ok || int64(got) != want.Int64() {
			t.Fatalf("RoundCents(%v) = %d, %t, want %d", x, got, ok, want)
		}
		if got, ok := RoundCents(-x); !ok || int64(got) != -want.Int64() {
			t.Fatalf("RoundCents(%v) = %d, %t, want -%d", -x, got, ok, want)
		}

		wager := Cents(rapid.OneOf(rapid.Int64Range(0, 1000_00), rapid.Int64Range(0, 1e11)).Draw(t, "wager"))
		odds := moneyFloat(MaxOdds).Draw(t, "odds")
		want = roundTwin(new(big.Rat).Mul(written(odds), big.NewRat(int64(wager), 1)))
		if got, ok := Payout(wager, odds); !ok || int64(got) != want.Int64() {
			t.Fatalf("Payout(%d, %v) = %d, %t, want %d", wager, odds, got, ok, want)
		}
	})
}

// TestScale reaches the second step of the division, which no money does: the
// part the first step leaves over must break a tie.
func TestScale(t *testing.T) {
	tests := []struct {
		a, b uint64
		exp  int
		want Cents
		ok   bool
	}{
		{5e16, 1e3, -20, 0, true},               // 0.5: even is 0
		{5e16 + 1, 1e3, -20, 1, true},           // a little more
		{31308703819661866, 1597, -20, 1, true}, // 2e-20 more, which only the first step sees
		{15e15, 1e4, -20, 2, true},              // 1.5
		{15e15 - 1, 1e4, -20, 1, true},          // a little less
		{99999999999999999, 1e11, -38, 0, true},
		{99999999999999999, 1e11, -39, 0, true},
		{7, 3, 1, 210, true},
		{99999999999999999, 1e11, 0, 0, false},
		{99999999999999999, 1e11, -5, 0, false},
		{1, 1, 20, 0, false}, {0, 1, 20, 0, true},
		{9e16, 1, 3, 0, false},
	}
	for _, tt := range tests {
		if got, ok := scale(tt.a, tt.b, tt.exp); got != tt.want || ok != tt.ok {
			t.Errorf("scale(%d, %d, %d) = %d, %t, want %d, %t", tt.a, tt.b, tt.exp, got, ok, tt.want, tt.ok)
		}
	}
}

func TestCentsString(t *testing.T) {
	for c, want := range map[Cents]string{
		0: "$0.00", 5: "$0.05", 12_34: "$12.34", -5: "-$0.05", -1000_00: "-$1000.00",
		math.MinInt64: "-$92233720368547758.08", math.MaxInt64: "$92233720368547758.07",
	} {
		if got := c.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(c), got, want)
		}
	}
}

func BenchmarkPayout(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Payout(12_34, 3.3333); !ok {
			b.Fatal("refused")
		}
	}
}
