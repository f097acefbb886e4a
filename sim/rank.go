package sim

import (
	"cmp"
	"math"
	"slices"
)

// spearman is the rank correlation of two lists; false where one has no two
// different values. Equal values share the mean of their ranks.
func spearman(a, b []float64) (rho float64, ok bool) {
	x, y := ranks(a), ranks(b)
	mean := float64(len(a)+1) / 2
	var xy, xx, yy float64
	for i := range x {
		dx, dy := x[i]-mean, y[i]-mean
		xy, xx, yy = xy+dx*dy, xx+dx*dx, yy+dy*dy
	}
	if xx == 0 || yy == 0 {
		return 0, false
	}
	return xy / math.Sqrt(xx*yy), true
}

func ranks(list []float64) []float64 {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(list[a], list[b]) })
	out := make([]float64, len(list))
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && list[order[to]] == list[order[from]] {
			to++
		}
		for k := from; k < to; k++ {
			out[order[k]] = float64(from+to+1) / 2
		}
		from = to
	}
	return out
}

// gini is 0 where all have alike, towards 1 where one has all.
func gini(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	var sum, weighed float64
	for i, x := range s {
		sum += x
		weighed += float64(i+1) * x
	}
	if sum == 0 {
		return 0
	}
	n := float64(len(s))
	return 2*weighed/(n*sum) - (n+1)/n
}
