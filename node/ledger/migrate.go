package ledger

import (
	"fmt"
	"math"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/pack"
	"bettensor/store"
)

// migrations take a store from one version of the schema to the next.
var migrations = []func(store.Snapshot, *store.Batch) error{oneToTwo, twoToThree}

// oneToTwo: weight sets say how they were committed and in which extrinsic, and
// there are receipts. The metagraph is read from the chain again.
func oneToTwo(s store.Snapshot, b *store.Batch) error {
	old := Weights
	old.Row = store.Codec[WeightSet]{Append: Weights.Row.Append, Read: readWeightSet1}
	Metagraphs.Delete(b, MetagraphKey)
	return old.Scan(s, nil, nil, func(n uint64, w *WeightSet) error {
		Weights.Put(b, n, w)
		return nil
	})
}

// twoToThree: predictions say what probability their price stood for. Of those
// there are it is not known.
func twoToThree(s store.Snapshot, b *store.Batch) error {
	old := Predictions
	old.Row.Read = readPrediction2
	return old.Scan(s, nil, nil, func(k PredictionKey, p *Prediction) error {
		Predictions.Put(b, k, p)
		return nil
	})
}

// readPrediction2 reads a prediction of version 2 or 1.
func readPrediction2(row []byte) (Prediction, error) {
	return whole(row, func(r *pack.Reader) (p Prediction, err error) {
		p.Raw, p.Arrived = r.Float(), r.Uint()
		p.Prediction, err = bet.ReadPrediction(r)
		return p, err
	})
}

// readWeightSet1 reads a weight set of version 1. One with a salt was committed;
// it kept one block, of the commit until there was that of the reveal, which is
// as near as can be told.
func readWeightSet1(row []byte) (WeightSet, error) {
	return whole(row, func(r *pack.Reader) (w WeightSet, err error) {
		w.Planned, w.Head = r.Time(), chain.Block(r.Uint())
		if w.Weights, err = chain.ReadWeights(r); err != nil {
			return w, fmt.Errorf("weights of version 1: %w", err)
		}
		w.VersionKey = r.Uint()
		ok := true
		for n := r.Count(1); n > 0; n-- {
			v := r.Uint()
			ok = ok && v <= math.MaxUint16
			w.Salt = append(w.Salt, uint16(v))
		}
		w.Phase = Phase(r.Byte())
		w.Block, w.Code = chain.Block(r.Uint()), chain.Code(r.Text())
		if len(w.Salt) > 0 {
			w.Committed = w.Block
		}
		return w, within(ok && w.Phase <= Superseded)
	})
}
