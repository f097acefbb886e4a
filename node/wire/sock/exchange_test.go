package sock

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"

	"github.com/google/go-cmp/cmp"
)

func signer(h chain.Hotkey) wire.Keyed { return wire.Keyed{Key: 1, Name: h} }

func pollFrame(nonce uint64) []byte {
	games, _ := wire.AppendGames(nil, []*bet.Game{{ID: "1", TeamA: "Reds", TeamB: "Blues", Created: noon, Updated: noon, Start: noon, Outcome: bet.Unfinished}})
	return wire.AppendPoll(nil, signer(validator), &wire.Asking{Asked: miner, UID: 3, Nonce: nonce, At: noon}, games)
}

// answering listens, and lets the validator ask.
func answering(t *testing.T, cfg Config) *side {
	m := listening(t, cfg)
	m.Admit([]chain.Hotkey{validator})
	return m
}

func nonce() uint64 { return uint64(time.Now().UnixNano()) }

// httpRequest makes the request that a packed one stands for, as any client would.
func httpRequest(t *testing.T, url string, frame []byte, change func(*http.Request)) *http.Request {
	t.Helper()
	q, err := synapse.UnpackRequest(frame)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/GameData", bytes.NewReader(q.Body))
	if err != nil {
		t.Fatal(err)
	}
	q.Headers(20, r.Header.Set)
	if change != nil {
		change(r)
	}
	return r
}

func do(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestExchange: a request and its reply between two transports, as two
// connections with one frame each way.
func TestExchange(t *testing.T) {
	v, m := newSide(t, Config{}), answering(t, Config{})
	ask := v.dial("http://" + m.Addr().String())
	if e := v.next(wire.Opened); e.Conn != ask || e.Inbound {
		t.Fatalf("opened %+v", e)
	}
	frame := pollFrame(nonce())
	v.Send(ask, frame)
	in := m.next(wire.Opened)
	got := m.next(wire.Received)
	if !in.Inbound || in.Conn&wire.Dialled != 0 || got.Conn != in.Conn || got.Err != nil || got.Message.Kind != wire.Poll || got.Message.Sender != validator {
		t.Fatalf("received %+v: %v", got.Message, got.Err)
	}
	if !bytes.Equal(got.Raw, frame) {
		t.Error("the request was packed in another form than it was sent in")
	}
	pick := &bet.Submission{ID: "p", Game: "1"}
	reply := wire.AppendAnswer(nil, signer(miner), &got.Message, 7, noon, []*bet.Submission{pick}, "")
	m.Send(in.Conn, reply)
	m.Close(in.Conn, wire.CloseNormal, "answered")
	back := v.next(wire.Received)
	if back.Conn != ask || back.Err != nil || !back.Message.Exchange.Bound || back.Message.Sender != miner {
		t.Fatalf("reply %+v: %v", back.Message, back.Err)
	}
	if !bytes.Equal(back.Raw, reply) {
		t.Error("the reply was packed in another form than it was sent in")
	}
	if e := v.next(wire.Closed); e.Conn != ask || string(e.Raw) != "answered" {
		t.Errorf("closed %q", e.Raw)
	}
	if e := m.next(wire.Closed); e.Conn != in.Conn {
		t.Errorf("closed %+v", e)
	}
	if s := m.Stats(); s.Asked != 1 || s.Answered != 1 || s.Unverified != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestSDKClient: the original's own request, re-signed now, is answered with the
// headers that it looks at.
func TestSDKClient(t *testing.T) {
	m := answering(t, Config{})
	var vector struct {
		Headers map[string]string
		Body    json.RawMessage
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "wire", "http_game_data_request.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &vector); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.Addr().String()+"/GameData", bytes.NewReader(vector.Body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range vector.Headers {
		r.Header[name] = []string{value} // as they are: names are not in Go's form
	}
	now := fmt.Sprint(nonce())
	text := strings.Join([]string{now, string(validator), string(miner), vector.Headers["bt_header_dendrite_uuid"], synapse.EmptyBodyHash}, ".")
	r.Header["bt_header_dendrite_nonce"] = []string{now}
	r.Header["bt_header_dendrite_signature"] = []string{fmt.Sprintf("0x%x", signer(validator).Sign([]byte(text)))}
	type answer struct {
		*http.Response
		err error
	}
	done := make(chan answer, 1)
	go func() {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		done <- answer{resp, err}
	}()
	m.next(wire.Opened)
	got := m.next(wire.Received)
	if got.Err != nil || got.Message.Sender != validator || got.Message.Exchange.Bound || len(got.Message.Games) != 2 {
		t.Fatalf("received %+v: %v", got.Message, got.Err)
	}
	m.Send(got.Conn, wire.AppendAnswer(nil, signer(miner), &got.Message, 7, noon, []*bet.Submission{{ID: "p", Game: "1"}}, ""))
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	defer a.Body.Close()
	for name, want := range map[string]string{"name": "GameData", "bt_header_axon_status_code": "200", "bt_header_axon_hotkey": string(miner),
		"bt_header_dendrite_hotkey": string(validator), "bt_header_dendrite_nonce": now, "computed_body_hash": synapse.EmptyBodyHash,
		"Content-Type": "application/json"} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	var reply struct {
		Axon  struct{ Hotkey chain.Hotkey }
		Picks map[string]any `json:"prediction_dict"`
	}
	if err := json.NewDecoder(a.Body).Decode(&reply); err != nil || a.StatusCode != 200 || reply.Axon.Hotkey != miner || len(reply.Picks) != 1 {
		t.Errorf("status %d, %+v, %v", a.StatusCode, reply, err)
	}
}

// TestA7OneAnswer: a stranger, a bad signature, a replay from yesterday and a
// hotkey that the node does not want are all told the same.
func TestA7OneAnswer(t *testing.T) {
	m := answering(t, Config{})
	url := "http://" + m.Addr().String()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	type answer struct {
		Status int
		Body   string
	}
	var first *answer
	same := func(name string, status int, body string) {
		if first == nil {
			first = &answer{status, body}
		}
		if d := cmp.Diff(*first, answer{status, body}); d != "" || status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	for name, c := range map[string]struct {
		frame  []byte
		change func(*http.Request)
	}{
		"unsigned":          {pollFrame(nonce()), func(r *http.Request) { r.Header.Del("bt_header_dendrite_signature") }},
		"another's":         {pollFrame(nonce()), header("bt_header_dendrite_hotkey", string(miner))},
		"of yesterday":      {pollFrame(nonce() - uint64(24*time.Hour)), header("timeout", "1e9")},
		"of tomorrow":       {pollFrame(nonce() + uint64(24*time.Hour)), nil},
		"an old version":    {pollFrame(nonce() - uint64(time.Hour)), header("bt_header_dendrite_version", "7001000")},
		"another body":      {pollFrame(nonce()), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")); r.ContentLength = 2 }},
		"without binding":   {pollFrame(nonce()), func(r *http.Request) { r.Header.Del("bt_ext_body_sha256"); r.Header.Del("bt_ext_signature") }},
		"another body hash": {pollFrame(nonce()), header("computed_body_hash", strings.Repeat("0", 64))},
	} {
		status, body := do(t, httpRequest(t, url, c.frame, c.change))
		same(name, status, body)
	}
	select {
	case e := <-m.events:
		t.Errorf("the node was asked: %+v", e)
	default:
	}
	refuse := make(chan struct{})
	go func() {
		defer close(refuse)
		m.next(wire.Opened)
		m.Close(m.next(wire.Received).Conn, wire.CloseAuth, "refused")
		m.next(wire.Closed)
	}()
	status, body := do(t, httpRequest(t, url, pollFrame(nonce()), nil))
	<-refuse
	same("by the node", status, body)
}

func TestRequestsThatAreNone(t *testing.T) {
	m := answering(t, Config{})
	url := "http://" + m.Addr().String()
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"another route":   {func(r *http.Request) { r.URL.Path = "/Other" }, http.StatusNotFound},
		"another method":  {func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		"no nonce":        {func(r *http.Request) { r.Header.Del("bt_header_dendrite_nonce") }, http.StatusBadRequest},
		"a long header":   {func(r *http.Request) { r.Header.Set("bt_header_dendrite_uuid", strings.Repeat("x", 300)) }, http.StatusBadRequest},
		"endless headers": {func(r *http.Request) { r.Header.Set("x", strings.Repeat("x", 2*synapse.MaxHeader)) }, http.StatusRequestHeaderFieldsTooLarge},
		"compressed":      {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, http.StatusUnsupportedMediaType},
		"a large body": {func(r *http.Request) {
			r.ContentLength = synapse.MaxRequest + 1
			r.Body = io.NopCloser(io.LimitReader(zeros{}, synapse.MaxRequest+1))
		}, http.StatusRequestEntityTooLarge},
	} {
		r := httpRequest(t, url, pollFrame(nonce()), c.change)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(r)
		if err != nil { // refused while we were still writing
			if name != "a large body" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, c.status)
		}
	}
	// One without a length is cut off where the limit is.
	r := httpRequest(t, url, pollFrame(nonce()), func(r *http.Request) {
		r.ContentLength = -1
		r.Body = io.NopCloser(io.LimitReader(zeros{}, synapse.MaxRequest+1))
	})
	if status, _ := do(t, r); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body without a length: status %d", status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestSignatureBeforeBody: nothing is read for somebody who has not signed.
func TestSignatureBeforeBody(t *testing.T) {
	m := answering(t, Config{BodyTimeout: patience})
	body, never := io.Pipe()
	defer never.Close()
	status, _ := do(t, httpRequest(t, "http://"+m.Addr().String(), pollFrame(nonce()), func(r *http.Request) {
		r.Header.Set("bt_header_dendrite_uuid", "another")
		r.Body, r.ContentLength = body, 1<<20
	}))
	if status != http.StatusUnauthorized {
		t.Errorf("status %d", status)
	}
}

func TestUnansweredRequest(t *testing.T) {
	m := answering(t, Config{AnswerTimeout: 50 * time.Millisecond})
	status, body := do(t, httpRequest(t, "http://"+m.Addr().String(), pollFrame(nonce()), nil))
	if status != http.StatusRequestTimeout || !strings.Contains(body, "Response timeout after: 0.05s") {
		t.Errorf("%d %s", status, body)
	}
	m.next(wire.Opened)
	m.next(wire.Received)
	if e := m.next(wire.Closed); string(e.Raw) != "not answered in time" {
		t.Errorf("closed %q", e.Raw)
	}
	if n := m.Stats().Unanswered; n != 1 {
		t.Errorf("unanswered %d", n)
	}
}

// TestAskingIsBounded: beyond MaxAsking nobody's body is read.
func TestAskingIsBounded(t *testing.T) {
	m := answering(t, Config{MaxAsking: 1})
	url := "http://" + m.Addr().String()
	first := make(chan int, 1)
	go func() {
		status, _ := do(t, httpRequest(t, url, pollFrame(nonce()), nil))
		first <- status
	}()
	m.next(wire.Opened)
	held := m.next(wire.Received)
	if status, _ := do(t, httpRequest(t, url, pollFrame(nonce()), nil)); status != http.StatusServiceUnavailable {
		t.Errorf("a second one: status %d", status)
	}
	if n := m.Stats().Overloaded; n != 1 {
		t.Errorf("overloaded %d", n)
	}
	m.Send(held.Conn, wire.AppendEcho(nil, signer(miner), &held.Message, 7, noon))
	if status := <-first; status != 200 {
		t.Errorf("the first one: status %d", status)
	}
}

// TestAskedPeerIsHostile: nothing that a polled peer does holds us up, leads us
// elsewhere or grows.
func TestAskedPeerIsHostile(t *testing.T) {
	led := atomic.Bool{}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { led.Store(true) }))
	defer elsewhere.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL)
	release := make(chan struct{})
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		kind   wire.EventKind
		reason string
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, wire.Received, ""},
		"large": {func(w http.ResponseWriter, r *http.Request) { io.Copy(w, io.LimitReader(zeros{}, synapse.MaxReply+1)) }, wire.Closed, "more than"},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("x"))
		}, wire.Closed, "compressed"},
		"headers": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("x", strings.Repeat("x", 4*synapse.MaxHeader))
		}, wire.Closed, "header"},
		"garbage": {func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>")) }, wire.Received, ""},
		"silent":  {func(w http.ResponseWriter, r *http.Request) { <-release }, wire.Closed, "given up"},
	} {
		server := httptest.NewServer(c.handle)
		v := newSide(t, Config{})
		ask := v.dial(server.URL)
		v.next(wire.Opened)
		v.Send(ask, pollFrame(nonce()))
		if name == "silent" {
			v.Close(ask, wire.CloseNormal, "given up")
		}
		e := v.next(c.kind)
		if c.kind == wire.Received {
			if e.Err == nil && e.Message.Exchange.Status == 200 {
				t.Errorf("%s: taken as %+v", name, e.Message)
			}
			e = v.next(wire.Closed)
		}
		if name != "silent" && !strings.Contains(string(e.Raw), c.reason) {
			t.Errorf("%s: closed %q, want %q in it", name, e.Raw, c.reason)
		}
		if name == "silent" {
			close(release)
		}
		server.Close()
	}
	if led.Load() {
		t.Error("a redirect or a proxy of the environment was followed")
	}
}

// TestStopEndsExchanges: Stop waits for none of them.
func TestStopEndsExchanges(t *testing.T) {
	v, m := newSide(t, Config{}), answering(t, Config{})
	ask := v.dial("http://" + m.Addr().String())
	v.next(wire.Opened)
	v.Send(ask, pollFrame(nonce()))
	m.next(wire.Opened)
	m.next(wire.Received)
	unsent := v.dial("http://" + m.Addr().String())
	v.next(wire.Opened)
	_ = unsent
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, s := range []*side{m, v} {
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

// certificate makes a certificate of 127.0.0.1 that signs itself.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "axon"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return certFile, keyFile, roots
}

func TestTLS(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	m := answering(t, Config{CertFile: certFile, KeyFile: keyFile, MaxLoopback: 4})
	trusting, other := newSide(t, Config{Roots: roots}), newSide(t, Config{})
	for _, scheme := range []string{"wss://", "https://"} {
		ask := trusting.dial(scheme + m.Addr().String())
		trusting.next(wire.Opened)
		frame := heartbeat(validator, 1)
		if scheme == "https://" {
			frame = pollFrame(nonce())
		}
		trusting.Send(ask, frame)
		in := m.next(wire.Opened)
		if e := m.next(wire.Received); e.Err != nil {
			t.Errorf("%s: %v", scheme, e.Err)
		}
		m.Close(in.Conn, wire.CloseNormal, "bye")
		m.next(wire.Closed)
		for trusting.anyEvent().Kind != wire.Closed {
		}

		ask = other.dial(scheme + m.Addr().String())
		if scheme == "https://" {
			other.next(wire.Opened)
			other.Send(ask, frame)
		}
		if e := other.next(wire.Closed); !strings.Contains(string(e.Raw), "certificate") {
			t.Errorf("%s: an unknown authority: %q", scheme, e.Raw)
		}
	}
	for _, c := range []Config{{CertFile: certFile}, {KeyFile: keyFile}, {CertFile: certFile + "x", KeyFile: keyFile}} {
		if err := newSide(t, c).Listen("127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%q and %q: %v", c.CertFile, c.KeyFile, err)
		}
	}
}

// anyEvent is the next event of any kind.
func (s *side) anyEvent() wire.Event {
	s.t.Helper()
	select {
	case e := <-s.events:
		return e
	case <-time.After(patience):
		s.t.Fatal("no event")
	}
	panic("unreachable")
}
