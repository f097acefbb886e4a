package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/sched"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2025, 3, 7, 10, 0, 0, 0, time.UTC)

const secret = "k3y-0f-th3-f33d/+"

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../../testdata/feed/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// stub is a provider on a loopback socket that answers what it is told to.
type stub struct {
	*httptest.Server
	mu    sync.Mutex
	asked []http.Request
	do    http.HandlerFunc
}

func newStub(t *testing.T, do http.HandlerFunc) *stub {
	s := &stub{do: do}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, *r)
		do := s.do
		s.mu.Unlock()
		do(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(s.Server.Close)
	return s
}

func (s *stub) answer(do http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do, s.asked = do, nil
}

func (s *stub) requests() []http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]http.Request(nil), s.asked...)
}

// rig is a feed on a clock moved by hand that waits without waiting.
type rig struct {
	*Feed
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
	log   bytes.Buffer
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{now: noon}
	cfg.Now, cfg.Log = r.clock, slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if cfg.Rate == 0 {
		cfg.Rate = maxRate
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Feed = f
	hook := func(p provider) {
		var c *client
		switch p := p.(type) {
		case *games:
			c = p.c
		case *odds:
			c = p.c
		default:
			return
		}
		c.wall = r.clock
		c.sleep = func(ctx context.Context, d time.Duration) error {
			r.mu.Lock()
			r.waits = append(r.waits, d)
			r.mu.Unlock()
			r.advance(d)
			return ctx.Err()
		}
	}
	hook(f.p)
	if q, ok := f.p.(*quorum); ok {
		hook(q.first)
		hook(q.second)
	}
	t.Cleanup(func() {
		if err := f.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return r
}

func pages(t testing.TB, names ...string) http.HandlerFunc {
	var bodies [][]byte
	for _, n := range names {
		bodies = append(bodies, fixture(t, n))
	}
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("PageIndex"))
		if err != nil || n >= len(bodies) {
			w.Write([]byte("[]"))
			return
		}
		w.Write(bodies[n])
	}
}

func code(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestGamesAPI: every page up to the empty one, asked as the original asks.
func TestGamesAPI(t *testing.T) {
	s := newStub(t, pages(t, "games_page0.json", "games_page1.json"))
	r := newRig(t, Config{URL: s.URL + "/", Key: secret})
	b, err := r.Fetch(t.Context(), feed.Request{Since: noon.Add(-90 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Games) != 5 || !b.At.Equal(noon) || b.Games[3].Outcome != bet.Home {
		t.Errorf("%d games at %v: %+v", len(b.Games), b.At, b.Games)
	}
	asked := s.requests()
	if len(asked) != 3 {
		t.Fatalf("%d requests", len(asked))
	}
	const want = "/Games/TeamGames/Search?ItemsPerPage=100&LastUpdateDate=2025-03-07T08%3A00%3A00Z&LeagueFilter=true&PageIndex=2&SortOrder=StartDate&StartDate=2025-01-21T10%3A00%3A00Z"
	if got := asked[2].URL.String(); got != want {
		t.Errorf("asked for %s\nwant      %s", got, want)
	}
	if got := asked[0].Header.Get("Authorization"); got != "Bearer "+secret {
		t.Errorf("authorization %q", got)
	}
	if _, err := r.Fetch(t.Context(), feed.Request{}); err != nil { // never without a date
		t.Fatal(err)
	}
	if got := s.requests()[3].URL.Query().Get("LastUpdateDate"); got != "2025-01-21T10:00:00Z" {
		t.Errorf("the first fetch asks for changes since %q", got)
	}
	st := r.Stats()
	if st.Asked != 2 || st.Failed != 0 || st.Games != 10 || st.Age != 0 || st.Breaker != "closed" ||
		len(st.Requests) != 1 || st.Requests[0] != (OutcomeCount{"ok", 6}) {
		t.Errorf("stats: %+v", st)
	}
}

// TestJSON: one answer at an address, and with an ETag only once.
func TestJSON(t *testing.T) {
	body := fixture(t, "games_page0.json")
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"one"` && r.Header.Get("If-Modified-Since") == "Fri, 07 Mar 2025 09:00:00 GMT" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Last-Modified", "Fri, 07 Mar 2025 09:00:00 GMT")
		w.Write(body)
	})
	r := newRig(t, Config{URL: s.URL + "/games.json"})
	for range 2 {
		if b, err := r.Fetch(t.Context(), feed.Request{}); err != nil || len(b.Games) != 3 {
			t.Fatal(len(b.Games), err)
		}
	}
	if st := r.Stats(); !cmp.Equal(st.Requests, []OutcomeCount{{"ok", 1}, {"not_modified", 1}}) || st.Kind != JSON {
		t.Errorf("stats: %+v", st)
	}
}

// raw writes a whole HTTP answer by hand.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		c.Write([]byte(text))
	}
}

func status(n int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(n)
		w.Write([]byte(body))
	}
}

func gzipped(size int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte("["))
	z.Write(bytes.Repeat([]byte(" "), size))
	z.Write([]byte("]"))
	z.Close()
	return b.Bytes()
}

// TestLiesChangeNothing: whatever a provider answers that is no news changes
// nothing of what is known; it is counted, and a line says so.
func TestLiesChangeNothing(t *testing.T) {
	good := fixture(t, "games_page0.json")
	item := func(old, new string) string {
		s := strings.Replace(string(good), old, new, 1)
		if s == string(good) {
			t.Fatalf("%q is not in the fixture", old)
		}
		return s
	}
	bomb := gzipped(2 * feed.MaxAPIBytes)
	for name, c := range map[string]struct {
		do   http.HandlerFunc
		want Code // "" where the fetch is taken and single items are not
	}{
		"a page for people":       {status(200, "<!doctype html><html><body>Maintenance</body></html>"), CodeShape},
		"an error told with 200":  {status(200, `{"error":"internal","games":[]}`), CodeShape},
		"no body":                 {status(200, ""), CodeShape},
		"null":                    {status(200, "null"), CodeShape},
		"cut short":               {status(200, string(good[:len(good)/2])), CodeShape},
		"NaN":                     {status(200, item("1.91", "NaN")), CodeShape},
		"nested deep":             {status(200, strings.Repeat("[", 10_000)), CodeShape},
		"two answers":             {status(200, string(good)+string(good)), CodeShape},
		"no content":              {status(204, ""), CodeStatus},
		"not found":               {status(404, "[]"), CodeStatus},
		"server error":            {status(500, "[]"), CodeStatus},
		"server error with games": {status(503, string(good)), CodeStatus},
		"key refused":             {status(401, "[]"), CodeKey},
		"forbidden":               {status(403, "[]"), CodeKey},
		"too many requests":       {status(429, "[]"), CodeRate},
		"not modified unasked":    {status(304, ""), CodeStatus},
		"longer than it says":     {raw("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n[]"), CodeNetwork},
		"shorter than it says":    {raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + string(good)), CodeShape},
		"no HTTP":                 {raw("SSH-2.0-OpenSSH_9.6\r\n"), CodeNetwork},
		"hangs up":                {raw(""), CodeNetwork},
		"headers without end":     {raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), CodeNetwork},
		"another host":            {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://192.0.2.1/", 302) }, CodeRedirect},
		"round and round":         {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), 302) }, CodeRedirect},
		"pages repeat":            {status(200, string(good)), CodeRepeats},
		"a second page that fails": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("PageIndex") == "0" {
				w.Write([]byte(item(`"outcome": null`, `"outcome": "TeamAWin"`)))
				return
			}
			w.WriteHeader(500)
		}, CodeStatus},
		"a gzip bomb": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}, CodeTooLarge},
		"not really gzip": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(good)
		}, CodeNetwork},
		"without end": {func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
					return
				}
			}
		}, CodeTooLarge},
		"a byte now and then": {func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					w.Write([]byte(" "))
					w.(http.Flusher).Flush()
				case <-r.Context().Done():
					return
				}
			}
		}, CodeTimeout},
		"silence": {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, CodeTimeout},

		"odds of 1":             {page(item("1.91", "1.0")), ""},
		"odds below 0":          {page(item("1.91", "-3")), ""},
		"odds beyond a float":   {page(item("1.91", "1e999")), ""},
		"one game in two ways":  {page(strings.Replace(string(good), "1234568", "1234567", 1)), ""},
		"other teams":           {page(item("Arsenal", "Arsenal Women")), ""},
		"no time":               {page(item("2025-03-08T15:00:00Z", "2025-03-08T15:00:00 CET")), ""},
		"another age":           {page(item("2025-03-08T15:00:00Z", "2925-03-08T15:00:00Z")), ""},
		"news from tomorrow":    {page(item(`"outcome": null`, `"outcome": null, "active": false, "lastUpdateDate": "2025-03-08T10:00:00Z"`)), ""},
		"over before it began":  {page(item(`"outcome": null`, `"outcome": "TeamAWin"`)), ""},
		"an outcome nobody has": {page(item(`"outcome": null`, `"outcome": "TeamCWin"`)), ""},
		"a tie of no ties":      {page(strings.Replace(string(good), `"canDraw": false`, `"canDraw": false, "resultDate": "2025-03-08T23:25:00Z"`, 1)), ""},
		"no object":             {page("[7, \"x\", null, [], {}]"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t, pages(t, "games_page0.json"))
			cfg := Config{URL: s.URL, Key: secret}
			if c.want == CodeTimeout {
				cfg.CallDeadline = 100 * time.Millisecond
			}
			r := newRig(t, cfg)
			known := map[bet.GameID]bet.Game{}
			learn := func(b feed.Batch) (refused int) {
				for _, in := range b.Games {
					old, was := known[in.ID]
					p := &old
					if !was {
						p = nil
					}
					if feed.Timely(r.clock(), &in) != nil {
						refused++
						continue
					}
					next, change, err := feed.Merge(p, in)
					if err != nil {
						refused++
					} else if change != 0 {
						known[in.ID] = next
					}
				}
				return refused
			}
			b, err := r.Fetch(t.Context(), feed.Request{})
			if err != nil {
				t.Fatal(err)
			}
			learn(b)
			before := len(known)
			want := map[bet.GameID]bet.Game{}
			for id, g := range known {
				want[id] = g
			}
			if before != 3 {
				t.Fatalf("%d games known", before)
			}
			r.log.Reset()
			s.answer(c.do)
			b, err = r.Fetch(t.Context(), feed.Request{})
			if got := code(err); got != c.want {
				t.Fatalf("code %q (%v), want %q", got, err, c.want)
			}
			if err != nil && len(b.Games) != 0 {
				t.Error("games beside an error")
			}
			refused := learn(b)
			if diff := cmp.Diff(want, known); diff != "" {
				t.Errorf("what is known changed:\n%s", diff)
			}
			st := r.Stats()
			if c.want != "" && (st.Failed != 1 || st.LastCode != c.want) || c.want == "" && st.Failed != 0 {
				t.Errorf("stats: %+v", st)
			}
			if name != "a tie of no ties" && st.Failed == 0 && st.Refused+st.Warned+uint64(refused) == 0 {
				t.Errorf("nothing was counted: %+v", st)
			}
			if said := r.log.String(); st.Refused+st.Warned > 0 && !strings.Contains(said, "level=WARN") || st.Failed > 0 && !strings.Contains(said, "level=DEBUG") {
				t.Errorf("no line says so: %q", said)
			} else if st.Failed > 0 && strings.Contains(said, "level=WARN") {
				t.Errorf("a failed fetch is told twice: its task warns of it: %q", said) // see core.task
			} else if strings.Contains(said, secret) {
				t.Errorf("the key is in the log: %s", said)
			}
		})
	}
}

// page answers one page of games and then the empty one.
func page(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("PageIndex") != "0" {
			body = "[]"
		}
		w.Write([]byte(body))
	}
}

// TestNonsenseIsAskedForAgain: an answer that is mostly refused does not move the
// instant since which is asked the next time.
func TestNonsenseIsAskedForAgain(t *testing.T) {
	good := string(fixture(t, "games_page0.json"))
	s := newStub(t, page(strings.ReplaceAll(good, `"teamA"`, `"homeTeam"`)))
	r := newRig(t, Config{URL: s.URL})
	b, err := r.Fetch(t.Context(), feed.Request{})
	if err != nil || len(b.Games) != 0 || !b.At.IsZero() {
		t.Errorf("%d games at %v, %v", len(b.Games), b.At, err)
	}
	s.answer(page(strings.Replace(good, "1.91", "1", 1)))
	if b, err := r.Fetch(t.Context(), feed.Request{}); err != nil || len(b.Games) != 2 || !b.At.Equal(noon) {
		t.Errorf("one bad item: %d games at %v, %v", len(b.Games), b.At, err)
	}
}

// TestRetries: what may pass is tried again after a wait with jitter, or as long
// as the server asks; what will not is not.
func TestRetries(t *testing.T) {
	n := 0
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		switch n++; n {
		case 1:
			w.WriteHeader(503)
		case 2:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		default:
			w.Write([]byte("[]"))
		}
	})
	r := newRig(t, Config{URL: s.URL, Deadline: time.Minute})
	if _, err := r.Fetch(t.Context(), feed.Request{}); err != nil {
		t.Fatal(err)
	}
	if len(r.waits) != 2 || r.waits[0] < firstWait/2 || r.waits[0] > firstWait || r.waits[1] != 7*time.Second {
		t.Errorf("waited %v", r.waits)
	}
	s.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", noon.Add(30*time.Minute).Format(http.TimeFormat))
		w.WriteHeader(429)
	})
	r.waits = nil
	if _, err := r.Fetch(t.Context(), feed.Request{}); code(err) != CodeRate || len(s.requests()) != 1 || len(r.waits) != 0 {
		t.Errorf("a wait beyond the deadline: %v, %d requests, waited %v", err, len(s.requests()), r.waits)
	}
	if _, err := r.Fetch(t.Context(), feed.Request{}); code(err) != CodeBreaker || len(s.requests()) != 1 {
		t.Errorf("sent away for half an hour, it was asked again: %v", err)
	}
	s.answer(status(404, ""))
	r.advance(time.Hour)
	if _, err := r.Fetch(t.Context(), feed.Request{}); code(err) != CodeStatus || len(s.requests()) != 1 {
		t.Errorf("what does not pass was tried again: %v, %d requests", err, len(s.requests()))
	}
}

// TestBreaker: closed, open after failures in a row, half-open with one probe.
func TestBreaker(t *testing.T) {
	s := newStub(t, status(500, ""))
	r := newRig(t, Config{URL: s.URL})
	fetch := func() Code { _, err := r.Fetch(t.Context(), feed.Request{}); return code(err) }
	for range breakAfter / attempts {
		if c := fetch(); c != CodeStatus {
			t.Fatal(c)
		}
	}
	if c, st := fetch(), r.Stats(); c != CodeBreaker || st.Breaker != "open" || len(s.requests()) != breakAfter {
		t.Errorf("%s, %s, %d requests", c, st.Breaker, len(s.requests()))
	}
	r.advance(firstBreak)
	if st := r.Stats(); st.Breaker != "half-open" {
		t.Errorf("after a while: %s", st.Breaker)
	}
	if c := fetch(); c != CodeStatus || len(s.requests()) != breakAfter+1 {
		t.Errorf("the probe: %s, %d requests", c, len(s.requests()))
	}
	r.advance(firstBreak - time.Second) // the second break is longer
	if c := fetch(); c != CodeBreaker {
		t.Errorf("after the probe failed: %s", c)
	}
	r.advance(2 * firstBreak)
	s.answer(status(200, "[]"))
	if c, st := fetch(), r.Stats(); c != "" || st.Breaker != "closed" {
		t.Errorf("the host is well again: %s, %s", c, st.Breaker)
	}
	s.answer(status(401, ""))
	if c := fetch(); c != CodeKey {
		t.Fatal(c)
	}
	r.advance(10 * time.Minute)
	if c := fetch(); c != CodeKey || len(s.requests()) != 1 {
		t.Errorf("a refused key was tried again: %s, %d requests", c, len(s.requests()))
	}
	r.advance(keyHold)
	s.answer(status(200, "[]"))
	if c := fetch(); c != "" {
		t.Errorf("an hour later: %s", c)
	}
}

// TestRate: beyond the burst, a request waits for its token.
func TestRate(t *testing.T) {
	k := class{rate: 2, burst: 3}
	r := newRig(t, Config{URL: "http://127.0.0.1:1"})
	c := r.p.(*games).c
	for range 5 {
		if err := c.throttle(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]time.Duration{500 * time.Millisecond, 500 * time.Millisecond}, r.waits); diff != "" {
		t.Error(diff)
	}
}

// TestBackend: the port's side. A reply comes once, and a feed that is closed or
// busy says so instead of piling up.
func TestBackend(t *testing.T) {
	hold := make(chan struct{})
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
			pages(t, "games_page0.json")(w, r)
		case <-r.Context().Done():
		}
	})
	r := newRig(t, Config{URL: s.URL})
	b := r.Backend()
	got := make(chan sched.Result[feed.Batch], 8)
	for range maxUnderWay + 1 {
		b(feed.Request{}, func(x sched.Result[feed.Batch]) { got <- x })
	}
	if x := <-got; !strings.HasPrefix(x.Err, string(CodeBusy)) {
		t.Errorf("one too many: %+v", x)
	}
	close(hold)
	for range maxUnderWay {
		if x := <-got; x.Err != "" || len(x.Res.Games) != 3 {
			t.Errorf("%+v", x)
		}
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b(feed.Request{}, func(x sched.Result[feed.Batch]) { got <- x })
	if x := <-got; !strings.HasPrefix(x.Err, string(CodeBusy)) {
		t.Errorf("closed: %+v", x)
	}
}

// TestCloseEndsFetches: a fetch that waits ends with the feed.
func TestCloseEndsFetches(t *testing.T) {
	in := make(chan struct{}, attempts)
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) { in <- struct{}{}; <-r.Context().Done() })
	r := newRig(t, Config{URL: s.URL})
	got := make(chan sched.Result[feed.Batch], 1)
	r.Backend()(feed.Request{}, func(x sched.Result[feed.Batch]) { got <- x })
	<-in
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x := <-got; !strings.HasPrefix(x.Err, string(CodeTimeout)) {
		t.Errorf("%+v", x)
	}
}

// TestFiles: a file and a directory, read again on change; one that is broken
// fails the fetch and changes nothing.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, body []byte, age time.Duration) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, noon.Add(-age), noon.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", fixture(t, "games_page0.json"), 48*time.Hour)
	write("notes.txt", []byte("not a game"), 0)
	r := newRig(t, Config{URL: dir})
	fetch := func(since time.Time) int {
		t.Helper()
		b, err := r.Fetch(t.Context(), feed.Request{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		return len(b.Games)
	}
	if n := fetch(noon.Add(-6 * time.Hour)); n != 3 { // an old file is news when it is first seen
		t.Errorf("%d games of one file", n)
	}
	r.advance(time.Hour)
	write("b.json", fixture(t, "games_page1.json"), 47*time.Hour)
	if n := fetch(noon); n != 2 {
		t.Errorf("%d games of the new file", n)
	}
	if n := fetch(noon.Add(-time.Hour)); n != 5 {
		t.Errorf("%d games of both", n)
	}
	write("a.json", []byte("[]"), 48*time.Hour) // the same time, another size
	if n := fetch(time.Time{}); n != 2 {
		t.Errorf("%d games after one file was emptied", n)
	}
	write("a.json", []byte("[{"), 0)
	if _, err := r.Fetch(t.Context(), feed.Request{}); code(err) != CodeShape || !strings.Contains(err.Error(), "a.json") {
		t.Errorf("a broken file: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if n := fetch(time.Time{}); n != 2 {
		t.Errorf("%d games without the first file", n)
	}
	if _, err := newRig(t, Config{URL: filepath.Join(dir, "none.json")}).Fetch(t.Context(), feed.Request{}); code(err) != CodeFile {
		t.Errorf("no such file: %v", err)
	}
	if b, err := newRig(t, Config{URL: "file://" + filepath.Join(dir, "b.json")}).Fetch(t.Context(), feed.Request{}); err != nil || len(b.Games) != 2 {
		t.Errorf("one file: %v", err)
	}
}

// TestQuorum: a result is handed on when both tell it, and asked for until then.
func TestQuorum(t *testing.T) {
	one := newStub(t, pages(t, "games_page0.json", "games_page1.json"))
	two := newStub(t, page(strings.Replace(string(fixture(t, "games_page1.json")), "TeamAWin", "TeamBWin", 1)))
	r := newRig(t, Config{URL: one.URL, Second: &Config{URL: two.URL, Rate: maxRate}})
	b, err := r.Fetch(t.Context(), feed.Request{})
	if err != nil || len(b.Games) != 4 || !b.At.Before(noon) {
		t.Fatalf("%d games at %v, %v", len(b.Games), b.At, err)
	}
	for _, g := range b.Games {
		if g.ID == "1234560" {
			t.Errorf("a result that only one tells was handed on: %+v", g)
		}
	}
	if st := r.Stats(); st.Held != 1 || st.Second == nil || len(st.Second.Requests) == 0 {
		t.Errorf("stats: %+v", st)
	}
	two.answer(pages(t, "games_page1.json"))
	if b, err := r.Fetch(t.Context(), feed.Request{}); err != nil || len(b.Games) != 5 || !b.At.Equal(noon) {
		t.Errorf("both agree: %d games at %v, %v", len(b.Games), b.At, err)
	}
	two.answer(status(404, ""))
	if _, err := r.Fetch(t.Context(), feed.Request{}); code(err) != CodeStatus {
		t.Errorf("the second fails: %v", err)
	}
}

// TestConfig: what cannot work is refused before anything is dialled.
func TestConfig(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"a key in the clear":      {URL: "http://games.example.com", Key: secret},
		"a key in the address":    {URL: "https://api.the-odds-api.com/?apiKey=" + secret, Key: "x"},
		"a password":              {URL: "https://me:" + secret + "@games.example.com"},
		"no address":              {Kind: GamesAPI, URL: "https://" + secret + "%zz"},
		"another scheme":          {Kind: JSON, URL: "gopher://games.example.com/x"},
		"an unknown kind":         {Kind: "fax", URL: "http://127.0.0.1"},
		"The Odds API, no key":    {Kind: OddsAPI},
		"an unknown sport":        {Kind: OddsAPI, Key: secret, Sports: []string{"politics_us"}},
		"a sport with a slash":    {Kind: OddsAPI, Key: secret, Sports: []string{"soccer_/../../x"}},
		"a sport twice":           {Kind: OddsAPI, Key: secret, Sports: []string{"soccer_epl", "soccer_epl"}},
		"a bookmaker that is not": {Kind: OddsAPI, Key: secret, Bookmakers: []string{"a,b"}},
		"no key file":             {KeyFile: "/nowhere/key"},
		"an empty key file":       {KeyFile: empty},
		"a broken key":            {Key: "two words"},
		"less than no time":       {Deadline: -1},
		"no requests":             {Rate: -1},
		"seconds of seconds":      {Second: &Config{Second: &Config{}}},
	} {
		_, err := New(cfg)
		if code(err) == "" {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	for in, want := range map[string]Kind{"": GamesAPI, "https://api.the-odds-api.com": OddsAPI, "https://ipv6-api.the-odds-api.com/": OddsAPI,
		"http://127.0.0.1:80/": GamesAPI, "http://127.0.0.1/x.json": JSON, "/srv/games": Files, "games.json": Files} {
		if got := kindOf(in); got != want {
			t.Errorf("kind of %q is %q, want %q", in, got, want)
		}
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStub(t, status(200, "[]"))
	r := newRig(t, Config{URL: s.URL, KeyFile: file})
	if err := r.Check(t.Context()); err != nil || s.requests()[0].Header.Get("Authorization") != "Bearer "+secret {
		t.Errorf("key of a file: %v", err)
	}
}

// TestKeyIsNeverShown: by whatever way a configuration, an error or the
// statistics are printed.
func TestKeyIsNeverShown(t *testing.T) {
	cfg := Config{Key: secret, Second: &Config{Key: secret}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", cfg.Key)
	js, err := json.Marshal(cfg.Key)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %q %x %d %v", cfg, cfg, cfg, cfg.Key, cfg.Key, cfg.Key, cfg.Key, cfg.Second) + log.String() + string(js)
	if strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) || !strings.Contains(shown, redacted) {
		t.Error(shown)
	}
	// A server that is not there, one that repeats the request, one that sends us on.
	echo := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "sports") {
			http.Redirect(w, r, "//192.0.2.1/"+r.URL.Query().Get("apiKey")+"?"+r.URL.RawQuery, 302)
			return
		}
		if r.URL.Query().Get("PageIndex") != "0" {
			fmt.Fprint(w, "[]")
			return
		}
		fmt.Fprintf(w, `[{"externalId":"%s\u0000"}, {"externalId":7,"teamA":%q}]`, r.Header.Get("Authorization"), r.Header.Get("Authorization"))
	})
	for _, c := range []Config{{URL: "http://127.0.0.1:1", Key: secret}, {URL: "http://127.0.0.1:1", Kind: OddsAPI, Key: secret},
		{URL: echo.URL, Key: secret}, {URL: echo.URL, Kind: OddsAPI, Key: secret}} {
		r := newRig(t, c)
		_, err := r.Fetch(t.Context(), feed.Request{})
		st, jerr := json.Marshal(r.Stats())
		if jerr != nil {
			t.Fatal(jerr)
		}
		for _, text := range []string{fmt.Sprintf("%+v", err), r.log.String(), string(st)} {
			for _, s := range []string{secret, "k3y-0f-th3-f33d%2F%2B"} {
				if strings.Contains(text, s) {
					t.Errorf("%s: the key is shown: %s", c.URL, text)
				}
			}
		}
		if r.log.Len() == 0 {
			t.Error("nothing was logged")
		}
	}
	if got := redactURL("https://u:p@h.example/x?apiKey=a&markets=h2h#f"); got != "https://REDACTED@h.example/x?apiKey=REDACTED&markets=h2h" {
		t.Error(got)
	}
}
