package ledger

import (
	"errors"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/pack"
	"bettensor/store"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestMigrateFromVersionOne: a store of version 1 opens, its weight sets say what
// they said, and the metagraph that cannot be read any more is gone.
func TestMigrateFromVersionOne(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sets := []WeightSet{
		{Planned: at, Head: 7, VersionKey: 3, Phase: Included, Block: 9, Weights: chain.Weights{UIDs: []chain.UID{1, 4}, Values: []uint16{5, 65535}}},
		{Planned: at, Head: 9, Salt: []uint16{1, 65535}, Phase: Committed, Block: 11},
		{Planned: at, Head: 11, Phase: Refused, Code: "SettingWeightsTooFast"},
	}
	one := Schema()
	one.Version, one.Migrations = 1, nil
	weights := Weights
	weights.Row.Append = func(dst []byte, w *WeightSet) []byte {
		dst = pack.AppendUint(pack.AppendTime(dst, w.Planned), uint64(w.Head))
		dst = pack.AppendUint(chain.AppendWeights(dst, w.Weights), w.VersionKey)
		dst = pack.AppendUint(dst, uint64(len(w.Salt)))
		for _, s := range w.Salt {
			dst = pack.AppendUint(dst, uint64(s))
		}
		return pack.AppendText(pack.AppendUint(append(dst, byte(w.Phase)), uint64(w.Block)), w.Code)
	}
	metagraphs := Metagraphs
	metagraphs.Row.Append = func(dst []byte, _ *chain.Metagraph) []byte { return append(dst, 30) }

	var disk store.MemDisk
	e, err := store.OpenMem(&disk, one)
	if err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	for i := range sets {
		weights.Put(&b, uint64(i+1), &sets[i])
	}
	metagraphs.Put(&b, MetagraphKey, &chain.Metagraph{})
	fact := "2026-03-01"
	Facts.Put(&b, FactTiersFrom, &fact)
	if err := e.Apply(1, []*store.Batch{&b}, true); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	again, err := store.OpenMem(&disk, Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	s, err := again.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found, err := LoadValidator(s)
	if err != nil {
		t.Fatal(err)
	}
	sets[1].Committed = 11
	want := []WeightRow{{1, sets[0]}, {2, sets[1]}, {3, sets[2]}}
	if d := gocmp.Diff(want, found.Weights); d != "" {
		t.Error(d)
	}
	if found.Metagraph != nil || found.Facts[FactTiersFrom] != fact {
		t.Errorf("metagraph %v, facts %v", found.Metagraph, found.Facts)
	}
}

// TestMigrateFromVersionTwo: predictions keep what they said, and nobody knows the
// probability that their price stood for.
func TestMigrateFromVersionTwo(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rows := []Prediction{
		{Prediction: bet.Prediction{ID: "a", Hotkey: "h", Game: "g", Odds: 2.5, Wager: 100, Received: at, Confidence: -1}, Raw: 0.25, Arrived: 1},
		{Prediction: bet.Prediction{ID: "b", Hotkey: "h", Game: "g", Outcome: bet.Away, Odds: 4, Wager: 300, Received: at, State: bet.Lost, Settled: at}, Raw: 1, Arrived: 2},
	}
	two := Schema()
	two.Version, two.Migrations = 2, two.Migrations[:1]
	old := Predictions
	old.Row.Append = func(dst []byte, p *Prediction) []byte {
		return bet.AppendPrediction(pack.AppendUint(pack.AppendFloat(dst, p.Raw), p.Arrived), &p.Prediction)
	}

	var disk store.MemDisk
	e, err := store.OpenMem(&disk, two)
	if err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	for i := range rows {
		old.Put(&b, rows[i].Key(), &rows[i])
	}
	if err := errors.Join(e.Apply(1, []*store.Batch{&b}, true), e.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := store.OpenMem(&disk, Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	s, err := again.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found, err := LoadValidator(s)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(rows, found.Predictions); d != "" {
		t.Error(d)
	}
}
