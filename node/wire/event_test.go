package wire

import (
	"errors"
	"testing"
	"time"

	"bettensor/node/pack"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func sampleEvents() []Event {
	o := &Opener{Verifier: keyed("")}
	received := func(frame []byte) Event {
		e := Event{Conn: 7, Kind: Received, Raw: frame}
		e.Message, e.Err = o.Open(frame)
		return e
	}
	return []Event{
		{Conn: 1 << 40, Kind: Opened, Inbound: true, Remote: "127.0.0.1:4711"},
		received(AppendPrediction(nil, keyed(bob), noon, "1741348800123", sampleSubmission())),
		received([]byte("nonsense")),
		{Conn: 7, Kind: Closed, Raw: []byte("closed by peer: 1000")},
	}
}

func TestEventsAreReadAsTheyWereRecorded(t *testing.T) {
	var b []byte
	for _, e := range sampleEvents() {
		b = AppendEvent(b, &e)
	}
	r := pack.NewReader(b)
	o := &Opener{Verifier: keyed("")}
	for _, want := range sampleEvents() {
		got, err := ReadEvent(r, o)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateErrors(), cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

func FuzzReadEvent(f *testing.F) {
	for _, e := range sampleEvents() {
		f.Add(AppendEvent(nil, &e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o := &Opener{Verifier: keyed("")}
		e, err := ReadEvent(pack.NewReader(b), o)
		if err != nil {
			if !errors.Is(err, pack.ErrShort) {
				t.Fatal(err)
			}
			return
		}
		again, err := ReadEvent(pack.NewReader(AppendEvent(nil, &e)), o)
		if err != nil || !cmp.Equal(e, again, cmpopts.EquateErrors(), cmpopts.EquateEmpty()) {
			t.Fatalf("%v\n%s", err, cmp.Diff(e, again, cmpopts.EquateErrors()))
		}
	})
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		text  string
		naive bool
		want  string // RFC 3339, empty where refused
	}{
		{"2025-03-07T12:00:00.123456+00:00", false, "2025-03-07T12:00:00.123456Z"},
		{"2025-03-07T12:00:00+00:00", false, "2025-03-07T12:00:00Z"},
		{"2025-03-07T12:00:00Z", false, "2025-03-07T12:00:00Z"},
		{"2025-03-07T12:00:00.5Z", false, "2025-03-07T12:00:00.5Z"},
		{"2025-03-07T12:00:00.123456789Z", false, "2025-03-07T12:00:00.123456789Z"},
		{"2025-03-07T12:00:00+01:30", false, "2025-03-07T10:30:00Z"},
		{"2025-03-07T12:00:00-01:30", false, "2025-03-07T13:30:00Z"},
		{"2024-02-29T00:00:00Z", false, "2024-02-29T00:00:00Z"},
		{"2025-03-07T12:00:00", true, "2025-03-07T12:00:00Z"},
		{"2025-03-07T12:00:00", false, ""},
		{"2025-02-29T00:00:00Z", false, ""},
		{"2100-02-29T00:00:00Z", false, ""},
		{"2025-13-01T00:00:00Z", false, ""},
		{"2025-00-01T00:00:00Z", false, ""},
		{"2025-04-31T00:00:00Z", false, ""},
		{"2025-03-07T24:00:00Z", false, ""},
		{"2025-03-07T12:60:00Z", false, ""},
		{"2025-03-07T12:00:60Z", false, ""},
		{"2025-03-07 12:00:00Z", false, ""},
		{"2025-03-07T12:00:00.Z", false, ""},
		{"2025-03-07T12:00:00.1234567890Z", false, ""},
		{"2025-03-07T12:00:00+24:00", false, ""},
		{"2025-03-07T12:00:00+0000", false, ""},
		{"2025-03-07T12:00", true, ""},
		{"9999-03-07T12:00:00Z", false, ""},
		{"1969-12-31T23:59:59Z", false, ""},
		{"2O25-03-07T12:00:00Z", false, ""},
		{"", true, ""},
	} {
		got, ok := parseTime([]byte(c.text), c.naive)
		if ok != (c.want != "") || ok && got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%q: %v, %v", c.text, got, ok)
		}
	}
	if got, ok := parseTime(appendTime(nil, time.Time{}), false); !ok || !got.IsZero() {
		t.Errorf("the zero time: %v, %v", got, ok)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := time.UnixMicro(rapid.Int64Range(1, 7_258_118_399_999_999).Draw(t, "us")).UTC() // to the end of 2199
		text := appendTime(nil, want)
		std := want.Format("2006-01-02T15:04:05.000000+00:00")
		if want.Nanosecond() == 0 {
			std = want.Format("2006-01-02T15:04:05+00:00")
		}
		if got, ok := parseTime(text, false); !ok || !got.Equal(want) || string(text) != std {
			t.Fatalf("%v written as %s, read as %v", want, text, got)
		}
	})
}

// TestEventSumCoversTheRecordedForm: equal recordings have equal sums, and a
// change of any field gives another.
func TestEventSumCoversTheRecordedForm(t *testing.T) {
	o := &Opener{Verifier: keyed("")}
	for _, e := range sampleEvents() {
		read, err := ReadEvent(pack.NewReader(AppendEvent(nil, &e)), o)
		if err != nil || read.Sum() != e.Sum() {
			t.Errorf("event of connection %d: sum %x as read, %x as recorded (%v)", e.Conn, read.Sum(), e.Sum(), err)
		}
		for name, change := range map[string]func(*Event){ // each is judged alone: order cannot matter
			"conn":    func(e *Event) { e.Conn++ },
			"kind":    func(e *Event) { e.Kind++ },
			"inbound": func(e *Event) { e.Inbound = !e.Inbound },
			"remote":  func(e *Event) { e.Remote += "0" },
			"raw":     func(e *Event) { e.Raw = append(append([]byte(nil), e.Raw...), ' ') },
		} {
			other := e
			change(&other)
			if other.Sum() == e.Sum() {
				t.Errorf("%s does not reach the sum of an event of connection %d", name, e.Conn)
			}
		}
	}
}
