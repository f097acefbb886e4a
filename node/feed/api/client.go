package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"bettensor/node/feed"
)

// Limits of the client, each with its reason.
const (
	// attempts of one request: two retries outlive a restart of a server, more
	// belong to the Games service, which tries the whole fetch again.
	attempts = 3
	// firstWait and longestWait bound the jittered wait before a retry.
	firstWait   = 500 * time.Millisecond
	longestWait = 10 * time.Second
	// longestHold bounds how long a server can send us away: one that says a
	// year in Retry-After would silence the feed for good.
	longestHold = time.Hour
	// maxErrorBody bounds what is read of an answer that is an error: its code.
	maxErrorBody = 64 << 10
	// maxHeaderBytes bounds the headers of an answer.
	maxHeaderBytes = 64 << 10
	// maxRedirects within one host: http to https, a slash added.
	maxRedirects = 3
	// cacheEntries and cacheBytes bound what is kept to be asked for again with
	// an ETag: the pages of one poll.
	cacheEntries = 64
	cacheBytes   = 16 << 20
	// breakAfter failed attempts in a row the breaker opens: two whole requests.
	breakAfter = 6
	// firstBreak and longestBreak bound how long it stays open: it doubles with
	// each probe that fails.
	firstBreak   = 30 * time.Second
	longestBreak = 10 * time.Minute
	// keyHold is how long a refused key is not tried again: providers count such
	// requests against the address.
	keyHold = time.Hour
)

// class is a kind of endpoint with a token bucket of its own.
type class struct {
	name  string
	rate  float64 // tokens a second
	burst float64

	tokens float64
	last   time.Time
}

// client speaks HTTP to one provider. It is used by one goroutine at a time, but
// for its counters.
type client struct {
	cfg       *Config
	http      *http.Client
	host      string
	authorize func(*http.Request)                              // adds the key, at the last moment
	judge     func(status int, body []byte, after *Error)      // says more of an answer that is none; may be nil
	seen      func(http.Header)                                // reads usage headers; may be nil
	wall      func() time.Time                                 // the system's clock
	sleep     func(ctx context.Context, d time.Duration) error // waits on it

	breaker breaker
	cache   cache

	mu       sync.Mutex
	outcomes [len(outcomeNames)]uint64
	offset   *time.Duration // our clock less the server's, by its last answer
}

// outcomeNames are how a request can end, in the order of Stats.Requests.
var outcomeNames = [...]string{"ok", "not_modified", string(CodeNetwork), string(CodeTimeout), string(CodeStatus), string(CodeKey),
	string(CodeQuota), string(CodeRate), string(CodeTooLarge), string(CodeShape), string(CodeRedirect), string(CodeBreaker)}

// OutcomeCount is how often requests ended in one way.
type OutcomeCount struct {
	Outcome string `json:"outcome"`
	Count   uint64 `json:"count"`
}

// errElsewhere is a redirect that is not followed.
var errElsewhere = errors.New("redirect to another host is not followed")

func newClient(cfg *Config) (*client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, configError("feed url: not an address")
	}
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        2,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    cfg.CallDeadline,
		ResponseHeaderTimeout:  cfg.CallDeadline,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	if cfg.EnvironmentProxy {
		t.Proxy = http.ProxyFromEnvironment
	}
	c := &client{cfg: cfg, host: u.Host, wall: time.Now, sleep: sleep}
	c.http = &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		from := via[len(via)-1].URL
		if len(via) > maxRedirects || r.URL.Hostname() != from.Hostname() ||
			r.URL.Scheme != from.Scheme && r.URL.Scheme != "https" || r.URL.Scheme == from.Scheme && r.URL.Host != from.Host {
			return errElsewhere
		}
		return nil
	}}
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get asks for an address without its key, and gives the body to decode, which
// fails where it is not the documented form. Only then is it kept. Failures that
// may pass are tried again; what cannot wait for the deadline fails at once.
func (c *client) get(ctx context.Context, k *class, u *url.URL, decode func(body []byte) error) error {
	op := "GET " + redactURL(u.String())
	for n := 0; ; n++ {
		probe, err := c.breaker.admit(c.wall())
		if err != nil {
			err.Op = op
			c.counted(err)
			return err
		}
		if err := c.throttle(ctx, k); err != nil {
			return asError(err, op) // our own waiting: no fault of the server's
		}
		e := c.attempt(ctx, u, op, decode)
		c.breaker.report(c.wall(), e, c.cfg.Rand)
		if e == nil {
			return nil
		}
		if !e.Passing() || probe || n+1 == attempts || ctx.Err() != nil {
			return e
		}
		wait := jitter(firstWait, longestWait, n, c.cfg.Rand)
		if e.After > 0 {
			wait = e.After
		}
		if by, ok := ctx.Deadline(); ok && time.Until(by) < wait {
			return e
		}
		if c.sleep(ctx, wait) != nil {
			return e
		}
	}
}

// jitter draws a wait before retry n: from half to the whole of a ceiling that
// doubles.
func jitter(first, longest time.Duration, n int, r *rand.Rand) time.Duration {
	ceiling := min(first<<min(n, 20), longest)
	return ceiling/2 + time.Duration(r.Int64N(int64(ceiling/2)+1))
}

// throttle waits for a token of the class.
func (c *client) throttle(ctx context.Context, k *class) error {
	now := c.wall()
	if k.last.IsZero() {
		k.tokens, k.last = k.burst, now
	}
	k.tokens = min(k.burst, k.tokens+now.Sub(k.last).Seconds()*k.rate)
	k.last = now
	k.tokens--
	if k.tokens >= 0 {
		return nil
	}
	return c.sleep(ctx, time.Duration(-k.tokens/k.rate*float64(time.Second)))
}

// attempt makes one request. A nil error counts as ok or not modified.
func (c *client) attempt(ctx context.Context, u *url.URL, op string, decode func([]byte) error) (e *Error) {
	defer func() { c.counted(e) }()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallDeadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return asError(err, op)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "bettensor-go")
	if c.authorize != nil {
		c.authorize(r)
	}
	kept := c.cache.find(u.String())
	if kept != nil {
		if kept.etag != "" {
			r.Header.Set("If-None-Match", kept.etag)
		}
		if kept.modified != "" {
			r.Header.Set("If-Modified-Since", kept.modified)
		}
	}
	asked := c.wall()
	resp, err := c.http.Do(r)
	if err != nil {
		e := asError(err, op)
		if errors.Is(err, errElsewhere) {
			e.Code = CodeRedirect
		}
		return e
	}
	defer resp.Body.Close()
	c.dated(resp.Header, asked, c.wall())
	if c.seen != nil {
		c.seen(resp.Header)
	}
	if resp.StatusCode == http.StatusNotModified && kept != nil {
		c.count("not_modified")
		if err := decode(kept.body); err != nil {
			return &Error{Code: CodeShape, Op: op, Err: err}
		}
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp, op)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, feed.MaxAPIBytes+1))
	switch {
	case err != nil:
		return asError(fmt.Errorf("read the answer after %d bytes: %w", len(body), err), op)
	case len(body) > feed.MaxAPIBytes:
		return &Error{Code: CodeTooLarge, Op: op, Err: fmt.Errorf("more than %d bytes", feed.MaxAPIBytes)}
	}
	if err := decode(body); err != nil {
		return &Error{Code: CodeShape, Op: op, Err: err}
	}
	c.count("ok")
	c.cache.keep(u.String(), resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"), body)
	return nil
}

// refusal makes an error of an answer with another status than 200. Of its body
// nothing is shown: it may repeat the request, key and all.
func (c *client) refusal(resp *http.Response, op string) *Error {
	e := &Error{Code: CodeStatus, Op: op, Status: resp.StatusCode, Err: errors.New("no answer of the documented form")}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Code, e.Err = CodeKey, errors.New("the key was refused")
	case http.StatusTooManyRequests:
		e.Code, e.Err = CodeRate, errors.New("too many requests")
	}
	e.After = retryAfter(resp.Header.Get("Retry-After"), c.wall())
	if c.judge != nil {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		if err != nil {
			body = nil // the status says enough
		}
		c.judge(resp.StatusCode, body, e)
	}
	return e
}

// retryAfter reads both forms of the header: seconds, or an HTTP date.
func retryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	if s, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(s)*time.Second, longestHold)
	}
	if t, err := http.ParseTime(text); err == nil {
		return min(max(t.Sub(now), 0), longestHold)
	}
	return 0
}

// dated compares our clock with the Date of an answer, which counts whole seconds.
// What a cache has kept is dated by when it was made, and tells nothing.
func (c *client) dated(h http.Header, asked, answered time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" {
		return
	}
	middle := asked.Add(answered.Sub(asked) / 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = new(middle.Sub(date.Add(time.Second / 2)))
}

func (c *client) counted(e *Error) {
	if e != nil {
		c.count(string(e.Code))
	}
}

func (c *client) count(outcome string) {
	for i, name := range outcomeNames {
		if name == outcome {
			c.mu.Lock()
			c.outcomes[i]++
			c.mu.Unlock()
		}
	}
}

func (c *client) stats(s *Stats) {
	c.mu.Lock()
	for i, n := range c.outcomes {
		if n > 0 {
			s.Requests = append(s.Requests, OutcomeCount{outcomeNames[i], n})
		}
	}
	s.ClockOffset = c.offset // never written to, but replaced
	c.mu.Unlock()
	s.Breaker = c.breaker.state(c.wall())
}

// breaker keeps requests from a host that fails, or that has sent us away.
// closed ─(breakAfter failures in a row)─► open ─(after a while)─► half-open: one
// probe ─► closed, or open for twice as long.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	opened   int // times in a row
	until    time.Time
	why      *Error // what opened it
}

// admit says whether a request may be made now, and whether it is the probe.
func (b *breaker) admit(now time.Time) (probe bool, refused *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why == nil {
		return false, nil
	}
	if now.Before(b.until) {
		e := &Error{Code: CodeBreaker, After: b.until.Sub(now),
			Err: fmt.Errorf("not asked again for %v after %s", b.until.Sub(now).Round(time.Second), b.why.Code)}
		if b.why.Code == CodeKey || b.why.Code == CodeQuota {
			e.Code = b.why.Code // what somebody must do is still the same
		}
		return false, e
	}
	return true, nil
}

func (b *breaker) report(now time.Time, e *Error, r *rand.Rand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case e == nil:
		b.failures, b.opened, b.why = 0, 0, nil
	case e.Code == CodeKey || e.Code == CodeQuota:
		b.why, b.until = e, now.Add(keyHold)
	case e.Code == CodeRate && e.After > longestWait:
		b.why, b.until = e, now.Add(e.After)
	case !e.Passing() && e.Code != CodeTooLarge && e.Code != CodeRedirect:
		// A status such as 404 is an answer: the host is well.
	default:
		if b.failures++; b.failures >= breakAfter || b.why != nil {
			b.why, b.until = e, now.Add(jitter(firstBreak, longestBreak, b.opened, r))
			b.opened++
		}
	}
}

func (b *breaker) state(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.why == nil:
		return "closed"
	case now.Before(b.until):
		return "open"
	}
	return "half-open"
}

// cache keeps bodies that can be asked for again by ETag or date, oldest out.
type cache struct {
	kept  []keptBody
	bytes int
}

type keptBody struct {
	url, etag, modified string
	body                []byte
}

func (c *cache) find(url string) *keptBody {
	for i := range c.kept {
		if c.kept[i].url == url {
			return &c.kept[i]
		}
	}
	return nil
}

func (c *cache) keep(url, etag, modified string, body []byte) {
	for i := range c.kept {
		if c.kept[i].url == url {
			c.bytes -= len(c.kept[i].body)
			c.kept = append(c.kept[:i], c.kept[i+1:]...)
			break
		}
	}
	if etag == "" && modified == "" || len(body) > cacheBytes {
		return
	}
	c.kept = append(c.kept, keptBody{url, etag, modified, body})
	c.bytes += len(body)
	for len(c.kept) > cacheEntries || c.bytes > cacheBytes {
		c.bytes -= len(c.kept[0].body)
		c.kept[0] = keptBody{}
		c.kept = c.kept[1:]
	}
}
