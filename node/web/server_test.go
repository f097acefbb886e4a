package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bettensor/node"

	"github.com/google/go-cmp/cmp"
)

func TestListensOnLoopbackUnlessAllowed(t *testing.T) {
	for _, c := range []struct {
		listen string
		remote bool
		ok     bool
	}{
		{"", false, true},
		{":0", false, true}, // without a host it is loopback, not every interface
		{"127.0.0.1:0", false, true},
		{"127.9.9.9:0", false, true},
		{"localhost:0", false, true},
		{"[::1]:0", false, true},
		{"0.0.0.0:0", false, false},
		{"[::]:0", false, false},
		{"10.0.0.1:0", false, false},
		{"[::ffff:10.0.0.1]:0", false, false},
		{"[::ffff:127.0.0.1]:0", false, true},
		{"localhost.example.com:0", false, false},
		{"0.0.0.0:0", true, true},
	} {
		s, err := New(Options{Listen: c.listen, AllowRemote: c.remote}, running().source())
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrRemote) {
			t.Errorf("%q, remote allowed %t: %v", c.listen, c.remote, err)
		}
		if err == nil && c.listen == ":0" && s.o.Listen != "127.0.0.1:0" {
			t.Errorf(":0 became %s", s.o.Listen)
		}
	}
	if _, err := New(Options{Listen: "nonsense"}, running().source()); err == nil || errors.Is(err, ErrRemote) {
		t.Errorf("nonsense: %v", err)
	}
}

func TestStartTellsThePortItChose(t *testing.T) {
	s := begin(t, running())
	if a, ok := s.Addr().(*net.TCPAddr); !ok || a.Port == 0 || !a.IP.IsLoopback() {
		t.Fatalf("address %v", s.Addr())
	}
	other, err := New(Options{Listen: s.Addr().String()}, running().source())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err == nil || !strings.Contains(err.Error(), "--http.listen") {
		t.Errorf("a port in use: %v", err)
	}
	if err := other.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhoIsLetIn(t *testing.T) {
	s := begin(t, running())
	_, port, _ := net.SplitHostPort(s.Addr().String())
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"address and port", host("127.0.0.1:" + port), 200},
		{"localhost", host("localhost:" + port), 200},
		{"localhost without a port", host("localhost"), 200},
		{"IPv6", host("[::1]:" + port), 200},
		{"IPv6 without a port", host("[::1]"), 200},
		{"a name that was made to point at us", host("evil.example:" + port), 421},
		{"a name that ends like ours", host("localhost.evil.example"), 421},
		{"a name that begins like an address", host("127.0.0.1.evil.example"), 421},
		{"our own page", header("Sec-Fetch-Site", "same-origin"), 200},
		{"typed by hand", header("Sec-Fetch-Site", "none"), 200},
		{"another site's page", header("Sec-Fetch-Site", "cross-site"), 403},
		{"another port's page", header("Sec-Fetch-Site", "same-site"), 403},
		{"POST", func(r *http.Request) { r.Method = http.MethodPost }, 405},
		{"DELETE", func(r *http.Request) { r.Method = http.MethodDelete }, 405},
		{"HEAD", func(r *http.Request) { r.Method = http.MethodHead }, 200},
		{"a body", func(r *http.Request) {
			r.Body, r.ContentLength = http.NoBody, 5
			r.Header.Set("Expect", "100-continue")
		}, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == 413 {
				// The client refuses to send less than it says; so by hand.
				if got := raw(t, s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"); !strings.HasPrefix(got, "HTTP/1.1 413") {
					t.Errorf("got %q", got)
				}
				return
			}
			if got, body, _ := get(t, s, "/healthz", c.change); got != c.want {
				t.Errorf("status %d, want %d: %s", got, c.want, body)
			}
		})
	}
}

// raw sends bytes and returns the first line of the answer.
func raw(t *testing.T, s *Server, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestHostileRequestsAreRefused(t *testing.T) {
	s := begin(t, running())
	for _, c := range []struct{ name, request, want string }{
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
		{"HTTP/1.0 without a host", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 421"},
		{"endless headers", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "HTTP/1.1 431"},
		{"not HTTP", "\x16\x03\x01\x00\x05\r\n\r\n", "HTTP/1.1 400"},
		{"a path that climbs", "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 307"},
		{"a page's neighbour", "GET /page/page.html HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404"},
		{"chunks", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 413"},
	} {
		if got := raw(t, s, c.request); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %s", c.name, got, c.want)
		}
	}
}

func TestHealthFollowsTheLoop(t *testing.T) {
	f := running()
	s := begin(t, f, func(o *Options) { o.Alive = time.Minute })
	for _, c := range []struct {
		name   string
		change func(*fake)
		path   string
		code   int
		want   Health
	}{
		{"alive", func(f *fake) {}, "/healthz", 200, Health{true, []Reason{}}},
		{"ready", func(f *fake) {}, "/readyz", 200, Health{true, []Reason{}}},
		{"not ready", func(f *fake) { f.against = []Reason{{"chain_head_fresh", "no block for 40 s"}} }, "/readyz", 503,
			Health{false, []Reason{{"chain_head_fresh", "no block for 40 s"}}}},
		{"not ready is not dead", func(f *fake) {}, "/healthz", 200, Health{true, []Reason{}}},
		{"loading is not dead", func(f *fake) { f.at = time.Time{} }, "/healthz", 200, Health{true, []Reason{}}},
		{"a loop that stands", func(f *fake) { f.at = time.Now().Add(-2 * time.Minute) }, "/healthz", 503, Health{false, []Reason{{reasonStalled, "the loop has made no progress for 2m0s"}}}},
		{"and is not ready", func(f *fake) { f.against = nil }, "/readyz", 503, Health{false, []Reason{{reasonStalled, "the loop has made no progress for 2m0s"}}}},
	} {
		f.set(c.change)
		code, body, _ := get(t, s, c.path)
		var got Health
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s: %v in %s", c.name, err, body)
		}
		if d := cmp.Diff(c.want, got); code != c.code || d != "" {
			t.Errorf("%s: status %d, want %d; %s", c.name, code, c.code, d)
		}
	}
}

func TestStatsAreTheSnapshotAndAllAlarms(t *testing.T) {
	f := running()
	s := begin(t, f)
	code, body, head := get(t, s, "/stats")
	if code != 200 || head.Get("Content-Type") != "application/json" || head.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v", code, head)
	}
	var got Snapshot
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := whole()
	want.Alarms = want.Node.Alarms
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(body, `"no_permit"`) || strings.Index(body, `"known"`) > strings.Index(body, `"unsettled_older"`) {
		t.Error("codes have words, counts keep their order")
	}

	f.set(func(f *fake) { f.err = errSilent })
	if code, body, _ := get(t, s, "/stats"); code != 503 || !strings.Contains(body, "does not answer: silent") {
		t.Errorf("a silent loop: %d %s", code, body)
	}
}

func TestEmptyStatsAreStats(t *testing.T) {
	f := &fake{}
	s := begin(t, f)
	code, body, _ := get(t, s, "/stats")
	if code != 200 || !strings.Contains(body, `"alarms": []`) {
		t.Errorf("%d %s", code, body)
	}
	if code, _, _ := get(t, s, "/metrics"); code != 200 {
		t.Errorf("metrics of an empty snapshot: %d", code)
	}
}

func TestPageNeedsNothingElse(t *testing.T) {
	s := begin(t, running())
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"} {
		code, body, head := get(t, s, path)
		if code != 200 || !strings.HasPrefix(head.Get("Content-Type"), kind) || head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, code, head)
		}
		if strings.Contains(body, "//") && strings.Contains(body, "http") && strings.Contains(body, "://") {
			t.Errorf("%s reaches for something elsewhere", path)
		}
		if strings.Contains(body, "innerHTML") || strings.Contains(body, "insertAdjacentHTML") {
			t.Errorf("%s puts text in as markup", path)
		}
	}
	_, _, head := get(t, s, "/")
	if p := head.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
		t.Errorf("policy %q", p)
	}
}

func TestProfilesTellNoArguments(t *testing.T) {
	s := begin(t, running())
	for path, want := range map[string]int{
		"/debug/pprof/":                       200,
		"/debug/pprof/goroutine?debug=1":      200,
		"/debug/pprof/heap":                   200,
		"/debug/pprof/cmdline":                404, // arguments may hold secrets
		"/debug/pprof/profile?seconds=61":     400,
		"/debug/pprof/trace?seconds=-1":       400,
		"/debug/pprof/trace?seconds=NaN":      400,
		"/debug/pprof/goroutine?seconds=9999": 400,
		"/debug/vars":                         404,
	} {
		if code, _, _ := get(t, s, path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	f := running()
	f.block = make(chan struct{})
	s := begin(t, f)
	got := make(chan int, maxRequests)
	for range maxRequests {
		go func() {
			r, err := http.Get(s.URL() + "stats")
			if err != nil {
				got <- 0
				return
			}
			r.Body.Close()
			got <- r.StatusCode
		}()
	}
	eventually(t, "all places are taken", func() bool { return len(s.requests) == maxRequests })
	if code, _, head := get(t, s, "/healthz"); code != 503 || head.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", code)
	}
	close(f.block)
	for range maxRequests {
		if code := <-got; code != 200 {
			t.Errorf("status %d", code)
		}
	}
	eventually(t, "all places are free", func() bool { return len(s.requests) == 0 })
	if code, _, _ := get(t, s, "/healthz"); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := begin(t, running())
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range maxConns {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(readTimeout / 2)) // before it would be closed for its silence
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || n > 0 {
		t.Errorf("one too many was not closed: %d, %v", n, err)
	}
	open[0].Close()
	open = open[1:]
	eventually(t, "there is room again", func() bool {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.Contains(line, "200")
	})
}

func TestStopEndsWhatIsUnderWay(t *testing.T) {
	f := running()
	f.block = make(chan struct{})
	s, err := New(Options{Every: time.Hour}, f.source())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r, err := http.Get(s.URL() + "stats"); err == nil {
			r.Body.Close()
		}
	}()
	eventually(t, "a request waits for the loop", func() bool { return len(s.requests) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // less than the loop is given
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	<-done
	http.DefaultClient.CloseIdleConnections()
}

func TestEdgeAlarms(t *testing.T) {
	f := running()
	// Not started: then it would judge by itself as well.
	s, err := New(Options{MinFree: 1000, MaxOffset: 2 * time.Second, Alive: time.Minute}, f.source())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*fake)
		want   string
	}{
		{"in order", func(f *fake) { f.snap.Node.Alarms = nil }, "[]"},
		{"disk below the limit", func(f *fake) { f.snap.Store = &Store{Free: 999} }, "[disk_low]"},
		{"a little above: still", func(f *fake) { f.snap.Store = &Store{Free: 1050} }, "[disk_low]"},
		{"what is not known changes nothing", func(f *fake) { f.snap.Store = nil }, "[disk_low]"},
		{"well above: over", func(f *fake) { f.snap.Store = &Store{Free: 1101} }, "[]"},
		{"clock behind", func(f *fake) { f.snap.Clock = &Clock{Offset: -3 * time.Second} }, "[clock_offset]"},
		{"clock nearly right: still", func(f *fake) { f.snap.Clock = &Clock{Offset: 1900 * time.Millisecond} }, "[clock_offset]"},
		{"clock right", func(f *fake) { f.snap.Clock = &Clock{Offset: time.Second} }, "[]"},
		{"key refused and quota short", func(f *fake) {
			f.snap.Feeds = []Feed{{Name: "a"}, {Name: "b", Refused: true, LastError: "DEACTIVATED_KEY"}, {Name: "c", QuotaShort: true}}
		}, "[feed_quota feed_refused]"},
		{"feeds in order", func(f *fake) { f.snap.Feeds = []Feed{{Name: "a"}} }, "[]"},
		{"store closed", func(f *fake) { f.against = []Reason{{"chain_head_fresh", "x"}, {node.ConditionStore, "fsync failed"}} }, "[store_failed]"},
		{"store open", func(f *fake) { f.against = nil }, "[]"},
		{"loop stands and is silent", func(f *fake) { f.at, f.err = time.Now().Add(-time.Hour), errSilent }, "[loop_stalled]"},
		{"loop turns", func(f *fake) { f.at, f.err = time.Now(), nil }, "[]"},
	} {
		f.set(c.change)
		s.judge()
		s.mu.Lock()
		got := codes(s.alarms.List())
		s.mu.Unlock()
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAlarmsAreListedOnce(t *testing.T) {
	s := whole()
	s.Alarms = []node.Alarm{{Code: node.AlarmNoPermit, Why: "the source's"}}
	s.withAlarms([]node.Alarm{{Code: node.AlarmClockOffset}, {Code: node.AlarmWeightsMissed}})
	if got := codes(s.Alarms); got != "[clock_offset no_permit weights_missed]" || s.Alarms[0].Code != node.AlarmWeightsMissed || s.Alarms[1].Why != "the source's" {
		t.Errorf("%+v", s.Alarms)
	}
}
