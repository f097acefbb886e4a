package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bettensor/bus"
	"bettensor/node"
	"bettensor/sched"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a node that tests write.
type fake struct {
	mu      sync.Mutex
	snap    Snapshot
	err     error
	against []Reason
	at      time.Time
	block   chan struct{} // where set, Snapshot waits for it or for its context
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) source() Source {
	return Source{
		Snapshot: func(ctx context.Context) (Snapshot, error) {
			f.mu.Lock()
			s, err, block := f.snap, f.err, f.block
			f.mu.Unlock()
			if block != nil {
				select {
				case <-block:
				case <-ctx.Done():
					return Snapshot{}, ctx.Err()
				}
			}
			return s, err
		},
		Ready: func() []Reason {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.against
		},
		Progress: func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.at
		},
	}
}

// whole is a snapshot in which nothing is missing.
func whole() Snapshot {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	uid, left := uint16(7), 412.0
	var took bus.Histogram
	for _, d := range []time.Duration{time.Microsecond, time.Millisecond, 3 * time.Millisecond, time.Hour} {
		took.Add(d)
	}
	return Snapshot{
		Version: "v1.2.3", Role: "validator", Network: "finney", Netuid: 30, Hotkey: "5Fhot", UID: &uid, Started: at.Add(-time.Hour), At: at,
		Loop: Loop{Events: 1000, Lag: 2 * time.Millisecond},
		Chain: &Chain{Endpoint: "wss://a.example:443", Up: true, Head: 5000, HeadAt: at.Add(-4 * time.Second), Finalized: 4997, BlockTime: 12 * time.Second,
			Requests: []Requests{{"state_call", "ok", 90}, {"author_submit", "refused", 2}}, Took: Durations(&took)},
		Sockets: &Sockets{Address: "0.0.0.0:8091", Connections: node.Counts{{Name: "websocket", Value: 40}, {Name: "http", Value: 3}},
			Signatures: node.Counts{{Name: "ok", Value: 700}, {Name: "bad", Value: 9}}, Replays: 4},
		Feeds: []Feed{{Name: "odds_api", Good: at.Add(-90 * time.Second), QuotaLeft: &left, Requests: node.Counts{{Name: "ok", Value: 30}}}},
		Store: &Store{Dir: "/var/lib/x", Free: 8 << 30},
		Clock: &Clock{Offset: -15 * time.Millisecond},
		Node: &node.Stats{At: at,
			Services: []node.ServiceStats{
				{Name: "games", State: "ok", Counts: node.Counts{{Name: "known", Value: 60}, {Name: "unsettled_3h", Value: 4}, {Name: "unsettled_1d", Value: 0}, {Name: "unsettled_older", Value: 1}}},
				{Name: "weights", State: "ok", Counts: node.Counts{{Name: "planned", Value: 9}, {Name: "epochs_set", Value: 5}, {Name: "epochs_refused", Value: 1}},
					Weights: &node.WeightsReport{Epoch: 13, SetAt: at.Add(-20 * time.Minute), Update: 4900, Since: 100, RevealAt: 5100, Missed: 2,
						Slots: []node.WeightDifference{{UID: 1, Ours: 0.75}, {UID: 2, Ours: 0.25}}}},
				{Name: "communication", State: "ok", Counts: node.Counts{{Name: "sessions", Value: 40}}},
				{Name: "predictions", State: "degraded", Reason: "slow", Counts: node.Counts{{Name: "held", Value: 100}, {Name: "stored", Value: 100}, {Name: "duplicates", Value: 3},
					{Name: "rejected_late", Value: 6}, {Name: "polled_stored", Value: 30}, {Name: "polled_duplicates", Value: 1}, {Name: "polled_rejected_late", Value: 2}}},
				{Name: "core", State: "ok", Counts: node.Counts{{Name: "frames_waiting", Value: 2}, {Name: "frames_shed", Value: 5}, {Name: "commits_pending", Value: 1}}},
			},
			Topics:  []bus.TopicStats{{Name: "prediction_stored", Published: 103}},
			Tasks:   []sched.TaskStats{{Name: "scoring", Runs: 12, Failures: 1}},
			Timings: []node.Timing{{Name: "confirmation", Took: took}, {Name: "commit", Took: took}, {Name: "scoring", Took: took}},
			Panics:  1,
			Alarms:  []node.Alarm{{Code: node.AlarmNoPermit, Since: at, Why: "stake"}},
		},
	}
}

// begin starts a server over f on a port of its own.
func begin(t *testing.T, f *fake, change ...func(*Options)) *Server {
	t.Helper()
	o := Options{Every: time.Hour}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o, f.source())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get asks the server, and returns the status, the body and the headers.
func get(t *testing.T, s *Server, path string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+strings.TrimPrefix(path, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body), answer.Header
}

func running() *fake { return &fake{snap: whole(), at: time.Now()} }

// eventually waits until is true, by asking again.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

var errSilent = errors.New("silent")

func codes(list []node.Alarm) string {
	var out []string
	for _, a := range list {
		out = append(out, a.Code.String())
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

// discard is an answer that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func request(t testing.TB) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
