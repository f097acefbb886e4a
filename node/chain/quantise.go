package chain

import (
	"errors"
	"fmt"
	"math"
)

// MaxWeight is the value of the largest weight a validator sends: the chain
// keeps weights as u16, scaled so that the largest is at the top.
const MaxWeight = math.MaxUint16

// Why weights cannot be brought into the chain's form.
var (
	ErrWeightSizes    = errors.New("uids and weights differ in number")
	ErrWeightOrder    = errors.New("uids are not ascending and unique")
	ErrWeightNegative = errors.New("weight is negative")
	ErrWeightInfinite = errors.New("weight is not a finite number")
)

// Quantise brings weights into the form the chain keeps, bit for bit as the
// Python SDK does it (chain spec, weight quantisation): each weight is rounded
// to float32, divided by the largest, scaled to 65535 and rounded half to
// even; zeros are dropped. All zero gives empty Weights and no error.
//
// uids must be ascending and unique, and as many as weights.
func Quantise(uids []UID, weights []float64) (Weights, error) {
	if len(uids) != len(weights) {
		return Weights{}, fmt.Errorf("quantise %d uids and %d weights: %w", len(uids), len(weights), ErrWeightSizes)
	}
	var largest float64
	for i, w := range weights {
		if i > 0 && uids[i] <= uids[i-1] {
			return Weights{}, fmt.Errorf("quantise uid %d after %d: %w", uids[i], uids[i-1], ErrWeightOrder)
		}
		if w < 0 {
			return Weights{}, fmt.Errorf("quantise uid %d, weight %v: %w", uids[i], w, ErrWeightNegative)
		}
		// A float64 beyond float32 becomes infinite here, as in the SDK.
		f := float64(float32(w))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return Weights{}, fmt.Errorf("quantise uid %d, weight %v: %w", uids[i], w, ErrWeightInfinite)
		}
		largest = max(largest, f)
	}
	if largest == 0 {
		return Weights{}, nil
	}
	q := Weights{UIDs: make([]UID, 0, len(uids)), Values: make([]uint16, 0, len(uids))}
	for i, w := range weights {
		v := uint16(math.RoundToEven(float64(float32(w)) / largest * MaxWeight))
		if v == 0 {
			continue
		}
		q.UIDs = append(q.UIDs, uids[i])
		q.Values = append(q.Values, v)
	}
	return q, nil
}

// sum is the total of the values; 65535 values of 65535 fit.
func (w Weights) sum() uint64 {
	var s uint64
	for _, v := range w.Values {
		s += uint64(v)
	}
	return s
}

// TotalVariation is half the summed difference of the two weights' shares,
// from 0 (the same shares) to 1 (nothing in common). Nothing against something
// is 1, nothing against nothing 0. Both must have ascending UIDs.
func TotalVariation(a, b Weights) float64 {
	na, nb := min(len(a.UIDs), len(a.Values)), min(len(b.UIDs), len(b.Values))
	sa, sb := float64(a.sum()), float64(b.sum())
	if sa == 0 || sb == 0 {
		if sa == sb {
			return 0
		}
		return 1
	}
	var d float64
	for i, j := 0, 0; i < na || j < nb; {
		switch {
		case j == nb || i < na && a.UIDs[i] < b.UIDs[j]:
			d += float64(a.Values[i]) / sa
			i++
		case i == na || b.UIDs[j] < a.UIDs[i]:
			d += float64(b.Values[j]) / sb
			j++
		default:
			d += math.Abs(float64(a.Values[i])/sa - float64(b.Values[j])/sb)
			i, j = i+1, j+1
		}
	}
	return min(d/2, 1)
}
