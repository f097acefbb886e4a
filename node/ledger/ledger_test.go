package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/pack"
	"bettensor/store"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	anyText  = rapid.StringN(0, 12, 40)
	anyTime  = rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "ns")).UTC() }).Filter(func(t time.Time) bool { return t.UnixNano() != 0 })
	anyFloat = rapid.Float64()
	anyCents = rapid.Custom(func(t *rapid.T) bet.Cents { return bet.Cents(rapid.Int64().Draw(t, "cents")) })
	anyDay   = rapid.Custom(func(t *rapid.T) bet.Day { return bet.Day(rapid.Int32().Draw(t, "day")) })
	anyValue = rapid.Custom(func(t *rapid.T) bet.Value {
		switch k := bet.ValueKind(rapid.IntRange(0, 3).Draw(t, "kind")); k {
		case bet.Number:
			return bet.Value{Kind: k, Number: anyFloat.Draw(t, "number")}
		case bet.Text:
			return bet.Value{Kind: k, Text: anyText.Draw(t, "text")}
		default:
			return bet.Value{Kind: k}
		}
	})
)

func hotkey(t *rapid.T) chain.Hotkey { return chain.Hotkey(anyText.Draw(t, "hotkey")) }

func anyPrediction(t *rapid.T) Prediction {
	return Prediction{Prediction: bet.Prediction{
		ID: bet.PredictionID(anyText.Draw(t, "id")), Hotkey: hotkey(t), Game: bet.GameID(anyText.Draw(t, "game")),
		Outcome: bet.Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")), Odds: anyFloat.Draw(t, "odds"), Wager: anyCents.Draw(t, "wager"),
		Received: anyTime.Draw(t, "received"), Model: anyText.Draw(t, "model"), Confidence: anyFloat.Draw(t, "confidence"),
		Content: rapid.Uint64().Draw(t, "content"), State: bet.State(rapid.IntRange(0, 3).Draw(t, "state")),
		Payout: anyCents.Draw(t, "payout"), Settled: anyTime.Draw(t, "settled"),
	}, Raw: anyFloat.Draw(t, "raw"), Chance: anyFloat.Draw(t, "chance"), Arrived: rapid.Uint64().Draw(t, "arrived")}
}

func anyScore(t *rapid.T) Score {
	return Score{CLV: anyFloat.Draw(t, "clv"), ROI: anyFloat.Draw(t, "roi"), Risk: anyFloat.Draw(t, "risk"), Entropy: anyFloat.Draw(t, "entropy"),
		Composite: anyFloat.Draw(t, "composite"), Wagered: anyCents.Draw(t, "wagered"), Settled: rapid.Uint32().Draw(t, "settled"),
		Tier: rapid.Uint8().Draw(t, "tier"), OwnScore: anyFloat.Draw(t, "own"), Weight: anyFloat.Draw(t, "weight")}
}

func anyWeightSet(t *rapid.T) WeightSet {
	w := WeightSet{Planned: anyTime.Draw(t, "planned"), Head: chain.Block(rapid.Uint64().Draw(t, "head")), VersionKey: rapid.Uint64().Draw(t, "key"),
		Salt: rapid.SliceOfN(rapid.Uint16(), 0, 8).Draw(t, "salt"), Phase: Phase(rapid.IntRange(0, 6).Draw(t, "phase")),
		Sealed: rapid.Bool().Draw(t, "sealed"), Fallback: rapid.Bool().Draw(t, "fallback"), Epoch: rapid.Uint64().Draw(t, "epoch"),
		Block: chain.Block(rapid.Uint64().Draw(t, "block")), Committed: chain.Block(rapid.Uint64().Draw(t, "committed")),
		Round: rapid.Uint64().Draw(t, "round"), RevealAt: chain.Block(rapid.Uint64().Draw(t, "reveal")), Code: chain.Code(anyText.Draw(t, "code"))}
	copy(w.Extrinsic[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "extrinsic"))
	for range rapid.IntRange(0, 5).Draw(t, "uids") {
		w.Weights.UIDs = append(w.Weights.UIDs, chain.UID(rapid.Uint16().Draw(t, "uid")))
		w.Weights.Values = append(w.Weights.Values, rapid.Uint16().Draw(t, "value"))
	}
	if len(w.Salt) == 0 {
		w.Salt = nil
	}
	return w
}

func anyOutgoing(t *rapid.T) Outgoing {
	value := func(name string) bet.Value { return anyValue.Draw(t, name) }
	o := Outgoing{Submission: bet.Submission{ID: bet.PredictionID(anyText.Draw(t, "id")), Game: bet.GameID(anyText.Draw(t, "game")),
		MinerUID: anyText.Draw(t, "uid"), Date: anyText.Draw(t, "date"), Outcome: value("outcome"), Odds: value("odds"), TeamA: anyText.Draw(t, "a"),
		TeamB: anyText.Draw(t, "b"), Wager: value("wager"), OddsA: value("oddsA"), OddsB: value("oddsB"), OddsTie: value("tie"), Model: anyText.Draw(t, "model"), Confidence: value("confidence")},
		Outcome: bet.Outcome(rapid.IntRange(0, 2).Draw(t, "side")), Odds: anyFloat.Draw(t, "taken"), Wager: anyCents.Draw(t, "cents"),
		Made: anyTime.Draw(t, "made"), Start: anyTime.Draw(t, "start"), Confidence: anyFloat.Draw(t, "sure"), State: bet.State(rapid.IntRange(0, 3).Draw(t, "state")),
		Payout: anyCents.Draw(t, "payout"), Closing: anyFloat.Draw(t, "closing")}
	for range rapid.IntRange(0, 3).Draw(t, "deliveries") {
		o.Deliveries = append(o.Deliveries, Delivery{hotkey(t), DeliveryState(rapid.IntRange(1, 2).Draw(t, "word")), bet.Code(anyText.Draw(t, "code")), anyTime.Draw(t, "at")})
	}
	return o
}

func anyReceipt(t *rapid.T) Receipt {
	return Receipt{Validator: hotkey(t), At: anyTime.Draw(t, "at"), Frame: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "frame")}
}

func anyReceiptKey(t *rapid.T) ReceiptKey {
	return ReceiptKey{anyDay.Draw(t, "day"), rapid.Uint64().Draw(t, "number")}
}

func anyCounters(t *rapid.T) Counters {
	c := Counters{At: anyTime.Draw(t, "at")}
	for range rapid.IntRange(0, 5).Draw(t, "n") {
		c.Names, c.Values = append(c.Names, anyText.Draw(t, "name")), append(c.Values, rapid.Uint64().Draw(t, "value"))
	}
	return c
}

func anyMetagraph(t *rapid.T) chain.Metagraph {
	m := chain.Metagraph{Netuid: chain.Netuid(rapid.Uint16().Draw(t, "netuid")), Block: chain.Block(rapid.Uint64().Draw(t, "block")), At: anyTime.Draw(t, "at")}
	for i := range rapid.IntRange(0, 3).Draw(t, "neurons") {
		m.Neurons = append(m.Neurons, chain.Neuron{UID: chain.UID(i), Hotkey: hotkey(t), Permit: rapid.Bool().Draw(t, "permit"), Axon: chain.Axon{IP: anyText.Draw(t, "ip"), Port: 1}})
	}
	return m
}

// roundTrip checks that a row reads back as it was written, and that every
// shorter form and every longer one is refused.
func roundTrip[T any](t *testing.T, name string, c store.Codec[T], draw func(*rapid.T) T) {
	t.Run(name, func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			want := draw(rt)
			b := c.Append(nil, &want)
			got, err := c.Read(b)
			if err != nil {
				rt.Fatalf("%+v: %v", want, err)
			}
			if again := c.Append(nil, &got); !bytes.Equal(b, again) {
				rt.Fatalf("%+v\nencodes as %x,\nreads as %+v,\nand that as %x", want, b, got, again)
			}
			if d := gocmp.Diff(want, got, gocmp.Comparer(sameFloat)); d != "" {
				rt.Fatal(d)
			}
			if name == "fact" {
				return // any text is one
			}
			if _, err := c.Read(append(slices.Clone(b), 0)); err == nil {
				rt.Fatal("a byte left over was taken")
			}
			if cut := rapid.IntRange(0, len(b)-1).Draw(rt, "cut"); true {
				if v, err := c.Read(b[:cut]); err == nil {
					rt.Fatalf("cut to %d of %d bytes it reads as %+v", cut, len(b), v)
				}
			}
		})
	})
}

func sameFloat(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// TestRowsRoundTrip, and keys.
func TestRowsRoundTrip(t *testing.T) {
	roundTrip(t, "prediction", Predictions.Row, anyPrediction)
	roundTrip(t, "score", Scores.Row, anyScore)
	roundTrip(t, "weight set", Weights.Row, anyWeightSet)
	roundTrip(t, "outgoing", Outbox.Row, anyOutgoing)
	roundTrip(t, "receipt", Receipts.Row, anyReceipt)
	roundTrip(t, "counters", Stats.Row, anyCounters)
	roundTrip(t, "metagraph", Metagraphs.Row, anyMetagraph)
	roundTrip(t, "budget", Budgets.Row, func(rt *rapid.T) bet.Cents { return anyCents.Draw(rt, "cents") })
	roundTrip(t, "fact", Facts.Row, func(rt *rapid.T) string { return anyText.Draw(rt, "fact") })
	roundTrip(t, "prediction key", Predictions.Key, anyPredictionKey)
	roundTrip(t, "id key", IDs.Key, anyIDKey)
	roundTrip(t, "day key", Budgets.Key, anyDayKey)
	roundTrip(t, "receipt key", Receipts.Key, anyReceiptKey)
	roundTrip(t, "number key", Weights.Key, func(rt *rapid.T) uint64 { return rapid.Uint64().Draw(rt, "n") })
	roundTrip(t, "text key", Facts.Key, func(rt *rapid.T) string { return anyText.Draw(rt, "k") })
	// A row of IDs is a key.
	roundTrip(t, "id row", IDs.Row, anyPredictionKey)
}

func anyPredictionKey(t *rapid.T) PredictionKey {
	return PredictionKey{hotkey(t), anyDay.Draw(t, "day"), bet.GameID(anyText.Draw(t, "game")), bet.PredictionID(anyText.Draw(t, "id"))}
}
func anyIDKey(t *rapid.T) IDKey   { return IDKey{hotkey(t), bet.PredictionID(anyText.Draw(t, "id"))} }
func anyDayKey(t *rapid.T) DayKey { return DayKey{anyDay.Draw(t, "day"), hotkey(t)} }

// TestKeysKeepOrder: bytes compare as the keys do, so that a scan of a miner, a
// day or a game finds all of it and nothing else.
func TestKeysKeepOrder(t *testing.T) {
	ordered(t, "prediction", Predictions.Key, anyPredictionKey, func(a, b PredictionKey) int {
		return cmp.Or(cmp.Compare(a.Hotkey, b.Hotkey), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Game, b.Game), cmp.Compare(a.ID, b.ID))
	})
	ordered(t, "id", IDs.Key, anyIDKey, func(a, b IDKey) int { return cmp.Or(cmp.Compare(a.Hotkey, b.Hotkey), cmp.Compare(a.ID, b.ID)) })
	ordered(t, "day", Scores.Key, anyDayKey, func(a, b DayKey) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Hotkey, b.Hotkey)) })
	ordered(t, "receipt", Receipts.Key, anyReceiptKey, func(a, b ReceiptKey) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Number, b.Number)) })
	ordered(t, "number", Weights.Key, func(rt *rapid.T) uint64 { return rapid.Uint64().Draw(rt, "n") }, func(a, b uint64) int { return cmp.Compare(a, b) })
}

func ordered[K any](t *testing.T, name string, c store.Codec[K], draw func(*rapid.T) K, less func(a, b K) int) {
	t.Run(name, func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			a, b := draw(rt), draw(rt)
			if got, want := bytes.Compare(c.Append(nil, &a), c.Append(nil, &b)), less(a, b); got != want {
				rt.Fatalf("%+v and %+v compare as %d, their bytes as %d", a, b, want, got)
			}
		})
	})
}

// TestNumbersOutOfRangeAreRefused: bytes that are long enough and say nothing
// that exists.
func TestNumbersOutOfRangeAreRefused(t *testing.T) {
	score := Scores.Row.Append(nil, &Score{})
	score = append(pack.AppendUint(score[:len(score)-2], 1<<32), 0) // predictions settled
	set := func(change func(*WeightSet)) []byte {
		w := WeightSet{Phase: Planned}
		change(&w)
		return Weights.Row.Append(nil, &w)
	}
	out := func(change func(*Outgoing)) []byte {
		o := Outgoing{Deliveries: []Delivery{{State: Confirmed}}}
		change(&o)
		return Outbox.Row.Append(nil, &o)
	}
	read := func(f any, b []byte) error {
		res := reflect.ValueOf(f).Call([]reflect.Value{reflect.ValueOf(b)})
		err, _ := res[1].Interface().(error)
		return err
	}
	salt := pack.AppendUint(nil, 1)
	salt = pack.AppendUint(salt, 1<<16)
	salted := pack.AppendUint(chain.AppendWeights(pack.AppendUint(pack.AppendTime(nil, time.Time{}), 0), chain.Weights{}), 0)
	salted = append(append(append(salted, salt...), 0, 0, byte(Planned)), 0, 0, 0, 0, 0)
	salted = pack.AppendText(pack.AppendBytes(salted, make([]byte, 32)), "")
	day := store.AppendKeyText(store.AppendKeyInt64(nil, math.MaxInt32+1), "x")
	late := store.AppendKeyText(store.AppendKeyText(store.AppendKeyInt64(store.AppendKeyText(nil, "x"), math.MinInt32-1), "g"), "i")
	for _, tc := range []struct {
		name string
		read any
		b    []byte
	}{
		{"more settled predictions than a number holds", Scores.Row.Read, score},
		{"a phase that is none", Weights.Row.Read, set(func(w *WeightSet) { w.Phase = InBlock + 1 })},
		{"salt of more than sixteen bits", Weights.Row.Read, salted},
		{"an outcome that is none", Outbox.Row.Read, out(func(o *Outgoing) { o.Outcome = bet.Unfinished })},
		{"a state that is none", Outbox.Row.Read, out(func(o *Outgoing) { o.State = bet.Pushed + 1 })},
		{"a delivery that is none", Outbox.Row.Read, out(func(o *Outgoing) { o.Deliveries[0].State = Rejected + 1 })},
		{"a day beyond days", Scores.Key.Read, day},
		{"a day before days", Predictions.Key.Read, late},
	} {
		if err := read(tc.read, tc.b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestLoad reads back what was put, in the order that is promised.
func TestLoad(t *testing.T) {
	var disk store.MemDisk
	e, err := store.OpenMem(&disk, Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var b store.Batch
	at := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, h := range []chain.Hotkey{"c", "a", "b"} {
		p := Prediction{Prediction: bet.Prediction{ID: "1", Hotkey: h, Game: "g", Received: at, Wager: 100}, Arrived: uint64(i + 1)}
		key := p.Key()
		Predictions.Put(&b, key, &p)
		IDs.Put(&b, IDKey{h, "1"}, &key)
		spent := bet.Cents(100)
		Budgets.Put(&b, DayKey{bet.DayOf(at), h}, &spent)
		o := Outgoing{Submission: bet.Submission{ID: bet.PredictionID(h)}, Made: at.Add(-time.Duration(i) * time.Hour)}
		Outbox.Put(&b, bet.PredictionID(h), &o)
		Weights.Put(&b, uint64(3-i), &WeightSet{Phase: Included})
	}
	Games.Put(&b, "g", &bet.Game{ID: "g"})
	Scores.Put(&b, DayKey{1, "a"}, &Score{CLV: 1})
	fact := "b"
	Facts.Put(&b, "a", &fact)
	Stats.Put(&b, "tasks", &Counters{Names: []string{"x"}, Values: []uint64{7}})
	Metagraphs.Put(&b, MetagraphKey, &chain.Metagraph{Block: 9})
	if err := e.Apply(1, []*store.Batch{&b}, true); err != nil {
		t.Fatal(err)
	}
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v, err := LoadValidator(s)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range []chain.Hotkey{"c", "a", "b"} { // by arrival
		if v.Predictions[i].Hotkey != h || v.Weights[i].Number != uint64(i+1) || v.Budget.Spent(h, bet.DayOf(at)) != 100 {
			t.Errorf("%d: %+v, weights %d", i, v.Predictions[i], v.Weights[i].Number)
		}
	}
	if len(v.Games) != 1 || v.Scores[DayKey{1, "a"}].CLV != 1 || v.Facts["a"] != "b" || v.Counters["tasks"].Values[0] != 7 || v.Metagraph.Block != 9 {
		t.Errorf("%+v", v)
	}
	m, err := LoadMiner(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Outbox) != 3 || m.Outbox[0].Submission.ID != "b" || m.Outbox[2].Submission.ID != "c" || m.Metagraph.Block != 9 {
		t.Errorf("%+v", m)
	}

	var over store.Batch // a budget that no day allows is a damaged book
	much := bet.DailyBudget + 1
	Budgets.Put(&over, DayKey{1, "z"}, &much)
	if err := e.Apply(2, []*store.Batch{&over}, true); err != nil {
		t.Fatal(err)
	}
	s2, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s2.Close()
	if _, err := LoadValidator(s2); err == nil {
		t.Error("a budget beyond what a day allows was taken")
	}
}

// TestPhaseWords are those of dumps.
func TestPhaseWords(t *testing.T) {
	for phase, want := range map[Phase]string{Planned: "planned", Included: "included", Refused: "refused", Committed: "committed", Superseded: "superseded"} {
		if phase.String() != want {
			t.Errorf("%d is %q", phase, phase)
		}
	}
}

// FuzzDecode feeds any bytes to every row and key: none may panic, and what is
// taken must encode back to the same bytes.
func FuzzDecode(f *testing.F) {
	tables := Schema().Tables
	seed := func(i int, b []byte) { f.Add(uint8(i), b) }
	p, s, w, o, c := Prediction{}, Score{}, WeightSet{Salt: []uint16{1}, Phase: Planned}, Outgoing{Deliveries: []Delivery{{}}}, Counters{Names: []string{"a"}, Values: []uint64{1}}
	seed(1, Predictions.Row.Append(nil, &p))
	seed(2, Scores.Row.Append(nil, &s))
	seed(3, Weights.Row.Append(nil, &w))
	seed(4, Outbox.Row.Append(nil, &o))
	seed(5, Stats.Row.Append(nil, &c))
	seed(6, Metagraphs.Row.Append(nil, &chain.Metagraph{Neurons: []chain.Neuron{{}}}))
	key := PredictionKey{"h", 1, "g", "i"}
	seed(0, Receipts.Row.Append(nil, &Receipt{Validator: "v", Frame: []byte("{}")}))
	seed(7, Predictions.Key.Append(nil, &key))
	seed(8, Scores.Key.Append(nil, &DayKey{1, "h"}))
	seed(9, IDs.Key.Append(nil, &IDKey{"h", "i"}))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		for _, table := range tables { // keys, and rows under whatever key
			_, prefix := table.Info()
			_, _, _ = table.Decode(append([]byte{prefix}, b...), b)
		}
		switch which % 10 {
		case 0:
			canonical(t, Receipts.Row, b)
		case 1:
			canonical(t, Predictions.Row, b)
		case 2:
			canonical(t, Scores.Row, b)
		case 3:
			canonical(t, Weights.Row, b)
		case 4:
			canonical(t, Outbox.Row, b)
		case 5:
			canonical(t, Stats.Row, b)
		case 6:
			canonical(t, Metagraphs.Row, b)
		case 7:
			canonical(t, Predictions.Key, b)
		case 8:
			canonical(t, Scores.Key, b)
		case 9:
			canonical(t, IDs.Key, b)
		}
	})
}

// canonical: numbers may come in longer forms than they are written in, so it
// is the value that must survive, not the bytes.
func canonical[T any](t *testing.T, c store.Codec[T], b []byte) {
	v, err := c.Read(b)
	if err != nil {
		return
	}
	once := c.Append(nil, &v)
	again, err := c.Read(once)
	if err != nil {
		t.Fatalf("%x reads as %+v, which is refused: %v", b, v, err)
	}
	if twice := c.Append(nil, &again); !bytes.Equal(once, twice) {
		t.Fatalf("%x reads as %+v, then as %+v", b, v, again)
	}
}
