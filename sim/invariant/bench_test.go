package invariant

import (
	"strconv"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/wire"
)

var heartbeat = wire.Event{Kind: wire.Received, Message: wire.Message{Kind: wire.Heartbeat, Sender: "A"}}
var heartbeatAck = wire.Event{Kind: wire.Received, Message: wire.Message{Kind: wire.HeartbeatAck, Sender: theKey}}

func TestHeartbeatsAllocateNothing(t *testing.T) {
	x := newHistory(t).days(2)
	if n := testing.AllocsPerRun(100, func() {
		x.at = x.at.Add(time.Second)
		x.set.Event(x.at, "v")
		x.set.Frame(x.at, miners[0], theValidator, &heartbeat)
		x.set.Frame(x.at, theValidator, miners[0], &heartbeatAck)
	}); n != 0 {
		t.Errorf("an event and two frames allocate %v times", n)
	}
}

func BenchmarkEvent(b *testing.B) {
	x := newHistory(b)
	b.ReportAllocs()
	at := x.at
	for b.Loop() {
		at = at.Add(1)
		x.set.Event(at, "v")
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	x := newHistory(b)
	b.ReportAllocs()
	at := x.at
	for b.Loop() {
		at = at.Add(1)
		x.set.Frame(at, miners[0], theValidator, &heartbeat)
		x.set.Frame(at, theValidator, miners[0], &heartbeatAck)
	}
}

// A prediction that is new, and its acknowledgement.
func BenchmarkPrediction(b *testing.B) {
	x := newHistory(b)
	x.game("g", 20*time.Hour, bet.Home)
	b.ReportAllocs()
	ids := make([]bet.PredictionID, 1<<15)
	for i := range ids {
		ids[i] = bet.PredictionID("00000000-0000-4000-8000-" + strconv.Itoa(100000000000+i))
	}
	s := *submission("", "g", bet.Home, 0.01)
	i := 0
	for b.Loop() {
		if i == len(ids) {
			b.StopTimer()
			x.set = New(x.set.facts, nil)
			i = 0
			b.StartTimer()
		}
		s.ID = ids[i]
		i++
		x.submit(miners[0], &s)
		x.answer(miners[0], s.ID, "")
	}
}

// What the audits of a prediction's whole life cost, on the engine in memory:
// divide by the predictions metric.
func BenchmarkLife(b *testing.B) {
	x := newHistory(b)
	snap, perDay := x.audit, 500
	n := 0
	for b.Loop() {
		b.StopTimer()
		id := bet.GameID("g" + strconv.Itoa(n))
		x.game(id, 9*time.Hour, bet.Home)
		x.pass(time.Hour)
		for range perDay {
			n++
			x.accept(miners[n%2], submission(bet.PredictionID(strconv.Itoa(n)), id, bet.Home, 1))
		}
		x.at = begin.AddDate(0, 0, x.day).Add(21 * time.Hour)
		x.settle()
		x.score()
		x.day++
		x.at = begin.AddDate(0, 0, x.day)
		b.StartTimer()
		snap()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/prediction")
	if x.set.Violated() {
		b.Fatal(x.set.Finish(x.at))
	}
}
