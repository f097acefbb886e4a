package web

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
)

// Limits of the listener. It is for a browser, a scraper and a supervisor.
const (
	// maxConns open at once; one more is closed before a byte is read.
	maxConns = 64
	// maxRequests answered at once; one more gets 503. Each may ask the loop.
	maxRequests = 16
	// maxProfiles taken at once: a CPU profile is exclusive anyway.
	maxProfiles = 2
	// maxProfile is the longest profile.
	maxProfile = time.Minute
	// maxHeader bytes of a request: browsers send one or two thousand.
	maxHeader = 16 << 10
	// readTimeout of a request, which has no body.
	readTimeout = 5 * time.Second
	// idleTimeout of a connection that is kept: two scrapes a minute reuse it.
	idleTimeout = 90 * time.Second
	// answerTimeout to make and write an answer, profiles apart.
	answerTimeout = 10 * time.Second
	// snapshotTimeout for the loop to answer. Past it the loop counts as silent.
	snapshotTimeout = 3 * time.Second
)

// Options of a Server. The zero value of a field takes the default named in its
// comment.
type Options struct {
	// Listen is the address. Default 127.0.0.1:0. Without a host it is loopback;
	// port 0 picks one, which Addr tells.
	Listen string
	// AllowRemote allows an address that is not loopback. Off: whoever reaches the
	// listener sees all figures, can take profiles, and needs no password.
	AllowRemote bool
	// PerUID adds series with the label uid, up to 256 of each. Off: they cost a
	// Prometheus more than all others together.
	PerUID bool
	// Alive is how long the loop may make no progress and still count as alive.
	// Default 30 s: scoring is cut into slices far below a second, so only a stuck
	// handler or a stopped machine takes so long.
	Alive time.Duration
	// MinFree bytes of disk, below which there is an alarm. Default 1 GiB: hours of
	// a full load, and what a backup of a small store takes.
	MinFree uint64
	// MaxOffset of our clock before there is an alarm. Default 2 s: half of what
	// peers take as fresh.
	MaxOffset time.Duration
	// Every is how often those alarms are judged. Default 5 s.
	Every time.Duration
	// Log takes lines; nil for none.
	Log *slog.Logger
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o *Options) fill() {
	fill(&o.Listen, "127.0.0.1:0")
	fill(&o.Alive, 30*time.Second)
	fill(&o.MinFree, 1<<30)
	fill(&o.MaxOffset, 2*time.Second)
	fill(&o.Every, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// ErrRemote is why New refuses an address that others can reach.
var ErrRemote = errors.New("not a loopback address")

// Server is the listener. Make it with New, then Start it once; Stop ends it.
type Server struct {
	o        Options
	src      Source
	metrics  http.Handler
	requests chan struct{}
	profiles chan struct{}

	mu     sync.Mutex // guards alarms
	alarms *node.Alarms

	ln     net.Listener
	server *http.Server
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// New makes a server and binds nothing. An address that is not loopback is
// ErrRemote unless Options allow it.
func New(o Options, src Source) (*Server, error) {
	o.fill()
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("http.listen %q: %w; want HOST:PORT, such as 127.0.0.1:6061", o.Listen, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	o.Listen = net.JoinHostPort(host, port)
	if !o.AllowRemote && !chain.Loopback(host) {
		return nil, fmt.Errorf("http.listen %q: %w: it would show all figures and profiles to whoever reaches it; listen at 127.0.0.1 and use a tunnel or a proxy, or say --http.allow_remote",
			o.Listen, ErrRemote)
	}
	s := &Server{o: o, src: src, requests: make(chan struct{}, maxRequests), profiles: make(chan struct{}, maxProfiles),
		alarms: node.NewAlarms(time.Now, o.Log)}
	s.metrics = newMetrics(s)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Start binds the address and serves on goroutines of its own.
func (s *Server) Start() error {
	ln, err := net.Listen("tcp", s.o.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %w; choose another port with --http.listen, or 127.0.0.1:0 for any", err)
	}
	s.ln = ln
	s.server = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      maxProfile + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	s.work.Go(func() {
		if err := s.server.Serve(&bounded{Listener: ln}); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.Error("the page, health and metrics are gone", "code", "page_gone", "err", err, "fix", "restart the node", "runbook", "docs/runbook.md#page_gone")
		}
	})
	s.work.Go(s.watch)
	return nil
}

// Addr is where the server listens; nil before Start.
func (s *Server) Addr() net.Addr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// URL is the address as a browser takes it; "" before Start.
func (s *Server) URL() string {
	if s.ln == nil {
		return ""
	}
	return "http://" + s.ln.Addr().String() + "/"
}

// Stop takes no more requests and waits for those under way as long as ctx
// allows, then closes their connections. It returns when the server's own
// goroutines have ended, which all of that makes them do.
func (s *Server) Stop(ctx context.Context) error {
	s.cancel()
	var err error
	if s.server != nil {
		if err = s.server.Shutdown(ctx); err != nil {
			err = errors.Join(err, s.server.Close())
		}
	}
	s.work.Wait() // watch ends with s.ctx, Serve with Shutdown
	if err != nil {
		return fmt.Errorf("stop the page, health and metrics: %w", err)
	}
	return nil
}

//go:embed page
var page embed.FS

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	file := func(path, name, kind string) {
		data, err := page.ReadFile("page/" + name)
		if err != nil {
			panic(err) // the program was built without it
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write(data)
		})
	}
	file("/{$}", "page.html", "text/html; charset=utf-8")
	file("/page.css", "page.css", "text/css; charset=utf-8")
	file("/page.js", "page.js", "text/javascript; charset=utf-8")
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /stats", s.stats)
	mux.Handle("GET /metrics", s.metrics)
	// Not /cmdline: arguments may hold secrets.
	mux.HandleFunc("GET /debug/pprof/", s.profile(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/profile", s.profile(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", s.profile(pprof.Trace))
	mux.HandleFunc("GET /debug/pprof/symbol", s.profile(pprof.Symbol))
	return s.guarded(mux)
}

// guarded lets in who may come in, and only so many at once.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !direct(r.Host):
			// A page of another site whose name was made to point at us.
			http.Error(w, "the Host header must be an address or localhost", http.StatusMisdirectedRequest)
		case r.Header.Get("Sec-Fetch-Site") == "cross-site" || r.Header.Get("Sec-Fetch-Site") == "same-site":
			// A page of another site that embeds us, to make us work.
			http.Error(w, "not for other sites", http.StatusForbidden)
		case r.ContentLength != 0:
			http.Error(w, "requests have no body here", http.StatusRequestEntityTooLarge)
		default:
			select {
			case s.requests <- struct{}{}:
				defer func() { <-s.requests }()
				next.ServeHTTP(w, r)
			default:
				h.Set("Retry-After", "1")
				http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
			}
		}
	})
}

// direct says whether a Host header names us by an address. A browser that was
// led here by a name (DNS rebinding) says the name; localhost is nobody's else.
func direct(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
		if n := len(name); n > 1 && name[0] == '[' && name[n-1] == ']' {
			name = name[1 : n-1]
		}
	}
	if name == "localhost" {
		return true
	}
	_, err = netip.ParseAddr(name)
	return err == nil
}

// Health is the JSON of /healthz and /readyz, held stable.
type Health struct {
	OK      bool     `json:"ok"`
	Reasons []Reason `json:"reasons"` // against it
}

// reasonStalled is why /healthz fails.
const reasonStalled = "loop_progress"

// healthz says whether the loop makes progress. A node that is still loading is
// alive: its supervisor has a limit of its own for that.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	var against []Reason
	if idle, stalled := s.stalled(); stalled {
		against = append(against, Reason{reasonStalled, fmt.Sprintf("the loop has made no progress for %v", idle.Round(time.Second))})
	}
	s.health(w, against)
}

// stalled says for how long the loop has made no progress, and whether that is
// too long.
func (s *Server) stalled() (idle time.Duration, stalled bool) {
	at := s.src.Progress()
	if at.IsZero() {
		return 0, false
	}
	idle = time.Since(at)
	return idle, idle > s.o.Alive
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	against := s.src.Ready()
	if idle, stalled := s.stalled(); stalled {
		against = append(against[:len(against):len(against)], Reason{reasonStalled, fmt.Sprintf("the loop has made no progress for %v", idle.Round(time.Second))})
	}
	s.health(w, against)
}

func (s *Server) health(w http.ResponseWriter, against []Reason) {
	if against == nil {
		against = []Reason{}
	}
	code := http.StatusOK
	if len(against) > 0 {
		code = http.StatusServiceUnavailable
	}
	s.write(w, code, Health{OK: len(against) == 0, Reasons: against})
}

// snapshot asks the source, within its time, and adds our alarms.
func (s *Server) snapshot(ctx context.Context) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	snap, err := s.src.Snapshot(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("the node does not answer: %w", err)
	}
	s.mu.Lock()
	ours := s.alarms.List()
	s.mu.Unlock()
	snap.withAlarms(ours)
	return snap, nil
}

func (s *Server) stats(w http.ResponseWriter, r *http.Request) {
	snap, err := s.snapshot(r.Context())
	if err != nil {
		s.write(w, http.StatusServiceUnavailable, struct {
			Error string `json:"error"`
		}{err.Error()})
		return
	}
	s.write(w, http.StatusOK, snap)
}

func (s *Server) write(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", " ")
	if err != nil { // a NaN, say
		code, body = http.StatusInternalServerError, []byte(`{"error":"the figures have no JSON"}`)
		s.o.Log.Warn("figures have no JSON", "err", err)
	}
	w.Header().Set("Content-Type", "application/json")
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // where it is not possible the server's own holds
	w.WriteHeader(code)
	w.Write(append(body, '\n'))
}

// profile serves one of net/http/pprof, not too long and not too many at once.
func (s *Server) profile(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.FormValue("seconds"); text != "" {
			if n, err := strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= maxProfile.Seconds()) {
				http.Error(w, fmt.Sprintf("seconds must be from 0 to %v", maxProfile.Seconds()), http.StatusBadRequest)
				return
			}
		}
		select {
		case s.profiles <- struct{}{}:
			defer func() { <-s.profiles }()
			next(w, r)
		default:
			http.Error(w, "too many profiles at once", http.StatusServiceUnavailable)
		}
	}
}

// bounded is a listener that closes connections beyond maxConns.
type bounded struct {
	net.Listener
	mu   sync.Mutex
	open int
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		room := b.open < maxConns
		if room {
			b.open++
		}
		b.mu.Unlock()
		if room {
			return &counted{Conn: c, of: b}, nil
		}
		c.Close()
	}
}

type counted struct {
	net.Conn
	of   *bounded
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		c.of.open--
		c.of.mu.Unlock()
	})
	return c.Conn.Close()
}
