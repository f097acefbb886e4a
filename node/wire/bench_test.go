package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
)

const (
	alice chain.Hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
	bob   chain.Hotkey = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
)

var noon = time.Date(2025, 3, 7, 12, 0, 0, 123456000, time.UTC)

func keyed(h chain.Hotkey) Keyed { return Keyed{Key: 7, Name: h} }

func sampleSubmission() *bet.Submission {
	num := func(v float64) bet.Value { return bet.Value{Kind: bet.Number, Number: v} }
	return &bet.Submission{
		ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0001", Game: "1234567", MinerUID: "7",
		Date: "2025-03-07T12:00:00.123456+00:00", Outcome: bet.Value{Kind: bet.Text, Text: "Arsenal"}, Odds: num(1.91),
		TeamA: "Arsenal", TeamB: "Chelsea", Wager: num(100), OddsA: num(1.91), OddsB: num(4.2), OddsTie: num(3.55),
		Model: "Soccer Model", Confidence: num(0.62),
	}
}

func sampleGames(n int) []bet.Game {
	r := rand.New(rand.NewPCG(1, 2))
	games := make([]bet.Game, n)
	for i := range games {
		games[i] = bet.Game{
			ID: bet.GameID(fmt.Sprint(100000 + i)), Sport: "Soccer", League: "Premier League",
			TeamA: fmt.Sprintf("Team %d", i%20), TeamB: fmt.Sprintf("Team %d", (i+7)%20),
			Created: noon.Truncate(time.Hour), Updated: noon.Truncate(time.Second),
			Start: noon.Truncate(time.Hour).Add(time.Duration(i) * time.Hour), CanTie: true, Active: true,
			Odds:   bet.Odds{1 + float64(r.IntN(500))/100, 1 + float64(r.IntN(500))/100, 3.55},
			OddsAt: noon.Truncate(time.Second), Outcome: bet.Unfinished,
		}
	}
	return games
}

// benchCodec times one codec each way, and reports the frame's size.
func benchCodec(b *testing.B, v Verifier, encode func(dst []byte) []byte) {
	frame := encode(nil)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = encode(buf[:0])
		}
		b.ReportMetric(float64(len(buf)), "frame-bytes")
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		o := &Opener{Verifier: v}
		for b.Loop() {
			if _, err := o.Open(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHeartbeat(b *testing.B) {
	var s Signer = keyed(bob)
	benchCodec(b, keyed(""), func(dst []byte) []byte { return AppendHeartbeat(dst, s, noon, "1741348800123") })
}

func BenchmarkAck(b *testing.B) {
	var s Signer = keyed(alice)
	benchCodec(b, keyed(""), func(dst []byte) []byte { return AppendHeartbeatAck(dst, s, noon, "1741348800123") })
}

func BenchmarkAuth(b *testing.B) {
	var s Signer = keyed(bob)
	benchCodec(b, keyed(""), func(dst []byte) []byte { return AppendAuth(dst, s, noon, "1741348800123", alice) })
}

func BenchmarkPrediction(b *testing.B) {
	var s Signer = keyed(bob)
	sub := sampleSubmission()
	benchCodec(b, keyed(""), func(dst []byte) []byte { return AppendPrediction(dst, s, noon, "1741348800123", sub) })
}

func BenchmarkConfirmation(b *testing.B) {
	var s Signer = keyed(alice)
	c := Confirmation{ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0001", OK: true, Code: "successful", Message: "Prediction accepted", At: noon}
	benchCodec(b, keyed(""), func(dst []byte) []byte { return AppendConfirmation(dst, s, noon, "1741348800123", &c) })
}

// BenchmarkGameUpdate is one frame of 100 games: divide by 100.
func BenchmarkGameUpdate(b *testing.B) {
	var s Signer = keyed(alice)
	games := sampleGames(100)
	benchCodec(b, keyed(""), func(dst []byte) []byte { return AppendGameUpdate(dst, s, noon, "1741348800123", games, 1, 1) })
}

func BenchmarkPredictionSr25519(b *testing.B) {
	s := aliceSigner(b)
	sub := sampleSubmission()
	benchCodec(b, &Sr25519Verifier{}, func(dst []byte) []byte { return AppendPrediction(dst, s, noon, "1741348800123", sub) })
}

func BenchmarkCanonical(b *testing.B) {
	frame := AppendPrediction(nil, keyed(bob), noon, "1741348800123", sampleSubmission())
	b.ReportAllocs()
	var c canoniser
	l := Limits{}
	l.fill()
	var buf []byte
	for b.Loop() {
		buf, _ = c.canonical(buf[:0], frame, &l, "signature")
	}
}
