package sock

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"bettensor/node/wire"
)

func sr25519(t testing.TB, n int) *wire.Sr25519 {
	t.Helper()
	var seed [32]byte
	binary.LittleEndian.PutUint32(seed[:], uint32(n)+1)
	s, err := wire.NewSr25519(seed, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func realOpener() *wire.Opener { return &wire.Opener{Verifier: &wire.Sr25519Verifier{}} }

// spoil makes a frame say another nonce than what was signed.
func spoil(frame []byte) { frame[bytes.Index(frame, []byte(`"nonce": "`))+10] ^= 1 }

// TestStageAnswersEachItsOwn: many pumps at once, good and bad signatures mixed,
// and every pump gets the answer to its own frames, in their order.
func TestStageAnswersEachItsOwn(t *testing.T) {
	s := newStage()
	defer s.close()
	open := s.opens(realOpener)
	var wg sync.WaitGroup
	for pump := range 16 {
		wg.Go(func() {
			o, signer := open(), sr25519(t, pump)
			if pump%2 == 0 {
				befriend(o)
			}
			for i := range 20 {
				frame := wire.AppendHeartbeat(nil, signer, noon, fmt.Sprint(i))
				bad := (pump+i)%5 == 0
				if bad {
					spoil(frame)
				}
				m, err := o.Open(frame)
				switch {
				case bad && err == nil:
					t.Errorf("pump %d, frame %d: a bad signature is good", pump, i)
				case !bad && (err != nil || m.Nonce != fmt.Sprint(i) || m.Sender != signer.Hotkey()):
					t.Errorf("pump %d, frame %d: %+v, %v", pump, i, m, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestStageEnds: a signature that is asked for after the end is not good, and
// waits for nobody.
func TestStageEnds(t *testing.T) {
	s := newStage()
	o := s.opens(realOpener)()
	frame := wire.AppendHeartbeat(nil, sr25519(t, 1), noon, "1")
	if _, err := o.Open(frame); err != nil {
		t.Fatal(err)
	}
	s.close()
	if _, err := o.Open(frame); err != wire.ErrSignature {
		t.Errorf("after the end: %v", err)
	}
	newStage().close() // one that never began
}

// TestStageKeepsTheBadOut of batches until they have signed once.
func TestStageKeepsTheBadOut(t *testing.T) {
	s := newStage()
	defer s.close()
	o := s.opens(realOpener)()
	befriend(o)
	v := o.Verifier.(*pumped)
	good := wire.AppendHeartbeat(nil, sr25519(t, 1), noon, "1")
	bad := append([]byte{}, good...)
	spoil(bad)
	for i, c := range []struct {
		frame  []byte
		proved bool
	}{{bad, false}, {good, true}, {good, true}, {bad, false}, {good, true}} {
		o.Open(c.frame)
		if v.claim.proved != c.proved {
			t.Errorf("frame %d: proved %v", i, v.claim.proved)
		}
	}
}

// BenchmarkVerify is the stage against pumps that check alone: 64 pumps, each
// with frames of its own key. CPU time tells, not the clock: ns/op is per frame.
func BenchmarkVerify(b *testing.B) {
	const pumps = 64
	frames := make([][]byte, pumps)
	for i := range frames {
		frames[i] = wire.AppendHeartbeat(nil, sr25519(b, i), noon, "1")
	}
	for _, c := range []struct {
		name string
		open func(*stage) func() *wire.Opener
	}{{"alone", func(*stage) func() *wire.Opener { return realOpener }}, {"stage", func(s *stage) func() *wire.Opener { return s.opens(realOpener) }}} {
		b.Run(c.name, func(b *testing.B) {
			s := newStage()
			defer s.close()
			open := c.open(s)
			b.ReportAllocs()
			began := cpuTime()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range pumps {
				wg.Go(func() {
					o := open()
					befriend(o)
					for range b.N / pumps {
						if _, err := o.Open(frames[i]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
