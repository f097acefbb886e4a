package bet

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/pack"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func drawTime(t *rapid.T, name string) time.Time {
	ns := rapid.Int64().Draw(t, name)
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func drawOdds(t *rapid.T, name string) (o Odds) {
	for i := range o {
		o[i] = math.Float64frombits(rapid.Uint64().Draw(t, name))
	}
	return o
}

func drawValue(t *rapid.T, name string) Value {
	v := Value{Kind: ValueKind(rapid.IntRange(0, 3).Draw(t, name))}
	switch v.Kind {
	case Number:
		v.Number = rapid.Float64().Draw(t, name)
	case Text:
		v.Text = rapid.String().Draw(t, name)
	}
	return v
}

func drawAnyGame(t *rapid.T) Game {
	str := rapid.String()
	return Game{
		ID: GameID(str.Draw(t, "id")), Sport: str.Draw(t, "sport"), League: str.Draw(t, "league"),
		TeamA: str.Draw(t, "a"), TeamB: str.Draw(t, "b"),
		Created: drawTime(t, "created"), Updated: drawTime(t, "updated"), Start: drawTime(t, "start"),
		CanTie: rapid.Bool().Draw(t, "can tie"), Active: rapid.Bool().Draw(t, "active"),
		Odds: drawOdds(t, "odds"), OddsAt: drawTime(t, "odds at"), Closing: drawOdds(t, "closing"),
		Status: Status(rapid.IntRange(0, 3).Draw(t, "status")), Outcome: Outcome(rapid.IntRange(0, 3).Draw(t, "outcome")),
		ResultAt: drawTime(t, "result at"),
	}
}

func drawAnyPrediction(t *rapid.T) Prediction {
	str := rapid.String()
	return Prediction{
		ID: PredictionID(str.Draw(t, "id")), Hotkey: chain.Hotkey(str.Draw(t, "hotkey")), Game: GameID(str.Draw(t, "game")),
		Outcome: Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")), Odds: rapid.Float64().Draw(t, "odds"),
		Wager: Cents(rapid.Int64().Draw(t, "wager")), Received: drawTime(t, "received"), Model: str.Draw(t, "model"),
		Confidence: rapid.Float64().Draw(t, "confidence"), Content: rapid.Uint64().Draw(t, "content"),
		State: State(rapid.IntRange(0, 3).Draw(t, "state")), Payout: Cents(rapid.Int64().Draw(t, "payout")), Settled: drawTime(t, "settled"),
	}
}

func drawAnySubmission(t *rapid.T) Submission {
	str := rapid.String()
	return Submission{
		ID: PredictionID(str.Draw(t, "id")), Game: GameID(str.Draw(t, "game")), MinerUID: str.Draw(t, "uid"), Date: str.Draw(t, "date"),
		Outcome: drawValue(t, "outcome"), Odds: drawValue(t, "odds"), TeamA: str.Draw(t, "a"), TeamB: str.Draw(t, "b"),
		Wager: drawValue(t, "wager"), OddsA: drawValue(t, "odds a"), OddsB: drawValue(t, "odds b"), OddsTie: drawValue(t, "odds tie"),
		Model: str.Draw(t, "model"), Confidence: drawValue(t, "confidence"),
	}
}

// roundTrip checks that what was appended is read again, that nothing is left,
// and that every shorter form is refused.
func roundTrip[T any](t *rapid.T, v T, app func([]byte, *T) []byte, read func(*pack.Reader) (T, error)) {
	prefix := []byte("before")
	enc := app(prefix, &v)
	if !bytes.HasPrefix(enc, prefix) {
		t.Fatal("what was there is gone")
	}
	enc = enc[len(prefix):]
	r := pack.NewReader(enc)
	got, err := read(r)
	if err == nil {
		err = r.Done()
	}
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	if diff := cmp.Diff(v, got, cmpopts.EquateNaNs()); diff != "" {
		t.Fatal(diff)
	}
	cut := rapid.IntRange(0, len(enc)-1).Draw(t, "cut")
	if _, err := read(pack.NewReader(enc[:cut])); !errors.Is(err, pack.ErrShort) {
		t.Fatalf("%T cut to %d of %d bytes: %v", v, cut, len(enc), err)
	}
	enc[0]++
	if _, err := read(pack.NewReader(enc)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("%T of an unknown form: %v", v, err)
	}
}

func TestCodecs(t *testing.T) {
	t.Run("game", rapid.MakeCheck(func(t *rapid.T) { roundTrip(t, drawAnyGame(t), AppendGame, ReadGame) }))
	t.Run("prediction", rapid.MakeCheck(func(t *rapid.T) { roundTrip(t, drawAnyPrediction(t), AppendPrediction, ReadPrediction) }))
	t.Run("submission", rapid.MakeCheck(func(t *rapid.T) { roundTrip(t, drawAnySubmission(t), AppendSubmission, ReadSubmission) }))
}

// TestUnknownNumbers: an outcome, status, state or kind that does not exist is
// refused, so that no switch ever meets one.
func TestUnknownNumbers(t *testing.T) {
	game := func(edit func(*Game)) error {
		g := sampleGame()
		edit(&g)
		_, err := ReadGame(pack.NewReader(AppendGame(nil, &g)))
		return err
	}
	prediction := func(edit func(*Prediction)) error {
		p := samplePrediction()
		edit(&p)
		_, err := ReadPrediction(pack.NewReader(AppendPrediction(nil, &p)))
		return err
	}
	s := sampleSubmission()
	s.Wager.Kind = 9
	_, submission := ReadSubmission(pack.NewReader(AppendSubmission(nil, &s)))
	for name, err := range map[string]error{
		"game outcome":       game(func(g *Game) { g.Outcome = 4 }),
		"game status":        game(func(g *Game) { g.Status = 4 }),
		"prediction outcome": prediction(func(p *Prediction) { p.Outcome = Unfinished }),
		"prediction state":   prediction(func(p *Prediction) { p.State = 4 }),
	} {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if submission == nil { // what follows an unknown kind cannot be found, so either error is right
		t.Error("submission with an unknown kind of value was read")
	}
}

// fuzzCodec: no bytes panic, and what is read is written and read again alike.
func fuzzCodec[T any](t *testing.T, in []byte, app func([]byte, *T) []byte, read func(*pack.Reader) (T, error)) {
	v, err := read(pack.NewReader(in))
	if err != nil {
		return
	}
	enc := app(nil, &v)
	again, err := read(pack.NewReader(enc))
	if err != nil {
		t.Fatalf("%T: its own bytes: %v", v, err)
	}
	if got := app(nil, &again); !bytes.Equal(got, enc) {
		t.Fatalf("%T: %x became %x", v, enc, got)
	}
}

func FuzzReadGame(f *testing.F) {
	g := finished(Home)
	f.Add(AppendGame(nil, &g))
	f.Fuzz(func(t *testing.T, in []byte) { fuzzCodec(t, in, AppendGame, ReadGame) })
}

func FuzzReadPrediction(f *testing.F) {
	p := samplePrediction()
	f.Add(AppendPrediction(nil, &p))
	f.Fuzz(func(t *testing.T, in []byte) { fuzzCodec(t, in, AppendPrediction, ReadPrediction) })
}

func FuzzReadSubmission(f *testing.F) {
	s := sampleSubmission()
	f.Add(AppendSubmission(nil, &s))
	f.Fuzz(func(t *testing.T, in []byte) { fuzzCodec(t, in, AppendSubmission, ReadSubmission) })
}

func BenchmarkAppendPrediction(b *testing.B) {
	p, buf := samplePrediction(), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendPrediction(buf[:0], &p)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkReadPrediction(b *testing.B) {
	p := samplePrediction()
	buf := AppendPrediction(nil, &p)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadPrediction(pack.NewReader(buf)); err != nil {
			b.Fatal(err)
		}
	}
}
