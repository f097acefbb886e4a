package metric

import "math/bits"

// Histogram keeps how often values of at least 0 came, with an error of less
// than one in a hundred, in bounded memory: 128 steps for each doubling, as an
// HdrHistogram of two digits does.
type Histogram struct {
	counts   []uint64 // by step, as far as the greatest value
	n        uint64
	min, max int64
	sum      float64
}

// steps of each doubling, as a power of two.
const stepBits = 7

// Add counts a value. Those below 0 count as 0.
func (h *Histogram) Add(v int64) {
	v = max(v, 0)
	i := stepOf(v)
	if i >= len(h.counts) {
		h.counts = append(h.counts, make([]uint64, i+1-len(h.counts))...)
	}
	h.counts[i]++
	if h.n == 0 || v < h.min {
		h.min = v
	}
	h.n++
	h.max = max(h.max, v)
	h.sum += float64(v)
}

// Merge counts all values of another.
func (h *Histogram) Merge(o *Histogram) {
	if o.n == 0 {
		return
	}
	if len(o.counts) > len(h.counts) {
		h.counts = append(h.counts, make([]uint64, len(o.counts)-len(h.counts))...)
	}
	for i, c := range o.counts {
		h.counts[i] += c
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.n += o.n
	h.max = max(h.max, o.max)
	h.sum += o.sum
}

// stepOf is the step of a value: exact below 256, then 128 to each doubling.
func stepOf(v int64) int {
	e := max(bits.Len64(uint64(v))-stepBits-1, 0)
	return e<<stepBits + int(v>>e)
}

// stepTop is the greatest value of a step.
func stepTop(i int) int64 {
	e := max(i>>stepBits-1, 0)
	return int64(i-e<<stepBits)<<e + 1<<e - 1
}

// Count is how many values came.
func (h *Histogram) Count() uint64 { return h.n }

// Min, Max and Mean of the values; 0 without any.
func (h *Histogram) Min() int64 { return h.min }

// Max is the greatest value.
func (h *Histogram) Max() int64 { return h.max }

// Mean of the values.
func (h *Histogram) Mean() float64 { return h.sum / float64(max(h.n, 1)) }

// Percentile is the least value that at least p percent of the values are not
// above, to the step's end and never above Max; 0 without values.
func (h *Histogram) Percentile(p float64) int64 {
	need := uint64(p / 100 * float64(h.n))
	if float64(need) < p/100*float64(h.n) || need == 0 {
		need++
	}
	seen := uint64(0)
	for i, c := range h.counts {
		if seen += c; seen >= need {
			return min(stepTop(i), h.max)
		}
	}
	return h.max
}

// Bins counts the values up to each edge and above the one before; those above
// the last edge count in the last bin. edges ascend. A step that an edge lies in
// counts whole in the lower bin.
func (h *Histogram) Bins(edges []int64) []uint64 {
	out := make([]uint64, len(edges))
	at := 0
	for i, c := range h.counts {
		if c == 0 {
			continue
		}
		for at < len(edges)-1 && max(stepLow(i), h.min) > edges[at] {
			at++
		}
		out[at] += c
	}
	return out
}

// stepLow is the least value of a step.
func stepLow(i int) int64 {
	if i == 0 {
		return 0
	}
	return stepTop(i-1) + 1
}
