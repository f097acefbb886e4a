package sim

import (
	"cmp"
	"math"
	"slices"
)

// KindSpread is what the miners of a kind earned over several runs.
type KindSpread struct {
	Kind   string  `json:"kind"`
	Miners int     `json:"miners"`
	Runs   int     `json:"runs"`
	Mean   float64 `json:"mean_rao"`  // of a miner's emission over a run, in rao
	Error  float64 `json:"error_rao"` // standard error of Mean over the runs
	Share  float64 `json:"share"`     // of all miners' emission, mean over the runs
	ROI    float64 `json:"roi"`
	CLV    float64 `json:"clv"`
	Above  int     `json:"above"` // runs in which a miner of it earned more than one of the kind compared with
}

// Spread sums runs by kind, richest first per miner. The kind named is what
// Above compares with.
func Spread(runs []*Result, with string) []KindSpread {
	each := map[string][]KindResult{}
	var names []string
	for _, r := range runs {
		for _, k := range r.Kinds() {
			if each[k.Kind] == nil {
				names = append(names, k.Kind)
			}
			each[k.Kind] = append(each[k.Kind], k)
		}
	}
	per := func(k KindResult) float64 { return float64(k.Emission) / float64(k.Count) }
	out := make([]KindSpread, 0, len(names))
	for _, name := range names {
		rows := each[name]
		n := float64(len(rows))
		s := KindSpread{Kind: name, Miners: rows[0].Count, Runs: len(rows)}
		for i, k := range rows {
			s.Mean += per(k) / n
			s.Share += k.Share / n
			s.ROI += k.ROI / n
			s.CLV += k.CLV / n
			if base := each[with]; i < len(base) && per(k) > per(base[i]) {
				s.Above++
			}
		}
		for _, k := range rows {
			s.Error += (per(k) - s.Mean) * (per(k) - s.Mean)
		}
		if n > 1 {
			s.Error = math.Sqrt(s.Error / (n - 1) / n)
		} else {
			s.Error = 0
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b KindSpread) int { return cmp.Compare(b.Mean, a.Mean) })
	return out
}
