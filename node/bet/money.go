package bet

import (
	"math"
	"math/bits"
	"strconv"
)

// MaxDollars bounds what RoundCents takes: a thousand million dollars is far
// above any wager and far below where cents leave an int64.
const MaxDollars = 1e9

// MaxOdds bounds the price that is taken or believed: no bookmaker quotes more,
// and the payout of the largest wager at it stays far inside Cents.
const MaxOdds = 1e5

// RoundCents turns dollars as they came over the wire into cents, half to even.
//
// The wire writes decimals, so the rounding is of the decimal that was written,
// not of the binary fraction next to it: 10.025 is a half and becomes 1002
// cents, although its float64 lies a little above. What was written is taken to
// be the shortest decimal that reads back as the same float64. False: not
// finite, or beyond MaxDollars in size.
func RoundCents(dollars float64) (Cents, bool) {
	// NaN fails the comparison, so it lands in the refusal.
	if !(math.Abs(dollars) <= MaxDollars) {
		return 0, false
	}
	m, exp := decimal(math.Abs(dollars))
	c, ok := scale(m, 100, exp)
	if dollars < 0 {
		c = -c
	}
	return c, ok
}

// Payout is wager × odds in cents, rounded half to even. The odds are taken as
// the decimal that was written, as in RoundCents: $0.50 at 1.91 pays $0.96.
// False: a wager below zero or above MaxDollars, or odds outside 0 to MaxOdds;
// an admitted prediction has neither.
func Payout(wager Cents, odds float64) (Cents, bool) {
	if wager < 0 || wager > MaxDollars*100 || !(odds >= 0 && odds <= MaxOdds) {
		return 0, false
	}
	m, exp := decimal(odds)
	return scale(m, uint64(wager), exp)
}

// decimal returns the shortest decimal m × 10^exp that reads back as x ≥ 0;
// m has at most 17 digits.
func decimal(x float64) (m uint64, exp int) {
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], x, 'e', -1, 64) // d.ddde±dd
	i, point := 0, 0
	for ; text[i] != 'e'; i++ {
		if text[i] == '.' {
			point = i
			continue
		}
		m = m*10 + uint64(text[i]-'0')
	}
	if point > 0 {
		exp = -(i - point - 1)
	}
	e, negative := 0, text[i+1] == '-'
	for _, d := range text[i+2:] {
		e = e*10 + int(d-'0')
	}
	if negative {
		e = -e
	}
	return m, exp + e
}

// maxPow10 is the largest power of ten in a uint64.
const maxPow10 = 19

var pow10 = func() (p [maxPow10 + 1]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// scale returns a × b × 10^exp rounded half to even, for a < 10^17 and
// b ≤ 10^11; false where the result does not fit.
func scale(a, b uint64, exp int) (Cents, bool) {
	hi, lo := bits.Mul64(a, b)
	switch {
	case exp >= 0:
		if exp > maxPow10 || hi != 0 {
			return 0, a == 0 || b == 0
		}
		if hi, lo = bits.Mul64(lo, pow10[exp]); hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		return Cents(lo), true
	case exp < -2*maxPow10:
		return 0, true // a × b < 10^28 cannot reach half of 10^38
	}
	// Divide in two steps of at most 10^19, the first for what is beyond it;
	// what the first leaves over can only break a tie.
	sticky := false
	if exp < -maxPow10 {
		var r uint64
		hi, lo, r = div(hi, lo, pow10[-exp-maxPow10])
		sticky = r != 0
		exp = -maxPow10
	}
	d := pow10[-exp]
	hi, q, r := div(hi, lo, d)
	if hi != 0 || q >= math.MaxInt64 {
		return 0, false
	}
	// d is even or 1 (and then r is 0), so d/2 is exact.
	switch half := d / 2; {
	case r > half, r == half && r != 0 && (sticky || q&1 == 1):
		q++
	}
	return Cents(q), true
}

// div divides the 128-bit hi:lo by d.
func div(hi, lo, d uint64) (qhi, qlo, r uint64) {
	qhi, r = hi/d, hi%d
	qlo, r = bits.Div64(r, lo, d)
	return qhi, qlo, r
}

// String writes dollars and cents: $12.34, -$0.05.
func (c Cents) String() string {
	var buf [32]byte
	b, u := buf[:0], uint64(c)
	if c < 0 {
		b, u = append(b, '-'), -u
	}
	b = append(b, '$')
	b = strconv.AppendUint(b, u/100, 10)
	return string(append(b, '.', byte('0'+u/10%10), byte('0'+u%10)))
}
