package live

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"bettensor/node/wire"
	"bettensor/node/wire/sock"

	"github.com/gorilla/websocket"
)

// BenchmarkHeartbeatUnderFlood is how long a miner waits for the answer to a
// heartbeat, alone and while five strangers of as many addresses connect, show a
// signature that is not theirs, send on for as long as they are let, and come
// again at once: each 2,000 frames a second, which leaves the processors to the
// node, whose work it is that is measured.
func BenchmarkHeartbeatUnderFlood(b *testing.B) {
	for _, strangers := range []int{0, 5} {
		b.Run(fmt.Sprint(strangers), func(b *testing.B) {
			s := newSubnet(b, "v0", "m0")
			n := s.validator(s.options("v0"))
			until(b, "ready", func() bool { return ready(b, n) })
			url := "ws://" + n.Addr().String() + sock.Path
			v0 := hotkeyOf(b, "v0")
			ws, _, err := websocket.DefaultDialer.Dial(url, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer ws.Close()
			var nonces wire.Nonces
			m0 := signerOf(b, "m0")
			now := time.Now()
			ws.WriteMessage(websocket.TextMessage, wire.AppendAuth(nil, m0, now, nonces.Next(now), v0))
			o := &wire.Opener{Verifier: &wire.Sr25519Verifier{}}
			answered := func(kind wire.Kind) {
				for {
					ws.SetReadDeadline(time.Now().Add(30 * time.Second))
					_, frame, err := ws.ReadMessage()
					if err != nil {
						b.Fatal(err)
					}
					if bytes.Contains(frame, []byte(kind.String())) {
						if m, err := o.Open(frame); err == nil && m.Kind == kind {
							return
						}
					}
				}
			}
			answered(wire.Welcome)

			stop := make(chan struct{})
			var flood sync.WaitGroup
			for i := range strangers {
				flood.Go(func() {
					x := signerOf(b, fmt.Sprint("x", i))
					now := time.Now()
					auth := wire.AppendAuth(nil, x, now, "1", v0)
					auth = bytes.Replace(auth, []byte(`"nonce": "1"`), []byte(`"nonce": "2"`), 1)
					beat := wire.AppendHeartbeat(nil, x, now, "3")
					d := websocket.Dialer{NetDialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(i+1))}}).DialContext}
					pace := time.NewTicker(500 * time.Microsecond)
					defer pace.Stop()
					for {
						select {
						case <-stop:
							return
						case <-pace.C:
						}
						ws, _, err := d.Dial(url, nil)
						if err != nil {
							continue
						}
						for frame := auth; ; frame = beat {
							<-pace.C
							ws.SetWriteDeadline(time.Now().Add(time.Second))
							if ws.WriteMessage(websocket.TextMessage, frame) != nil {
								break
							}
						}
						ws.Close()
					}
				})
			}
			var took []time.Duration
			pace := time.NewTicker(50 * time.Millisecond) // within a session's rate
			for b.Loop() {
				<-pace.C
				began := time.Now()
				ws.WriteMessage(websocket.TextMessage, wire.AppendHeartbeat(nil, m0, began, nonces.Next(began)))
				answered(wire.HeartbeatAck)
				took = append(took, time.Since(began))
			}
			pace.Stop()
			close(stop)
			flood.Wait()
			var sum time.Duration
			for _, d := range took {
				sum += d
			}
			slices.Sort(took)
			b.ReportMetric(float64(sum.Microseconds())/float64(len(took)), "µs-mean")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
			st := statsOf(b, n).Transport
			b.ReportMetric(float64(st.Signed+st.Forged), "signatures")
		})
	}
}
