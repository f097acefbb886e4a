package sock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
)

// newClient makes the client of all exchanges. Nothing from the environment
// leads it elsewhere, nothing a peer says does, and nothing it reads grows.
func newClient(cfg *Config) *http.Client {
	dialer := cfg.dialer()
	dialer.Timeout = cfg.DialTimeout
	return &http.Client{
		Timeout:       synapse.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    cfg.DialTimeout,
			TLSClientConfig:        cfg.clientTLS(),
			MaxResponseHeaderBytes: synapse.MaxHeader,
			DisableKeepAlives:      true, // minutes lie between two requests to one peer
			DisableCompression:     true,
		},
	}
}

// ask makes an exchange with the server at a base URL.
func (t *Transport) ask(id wire.Conn, base string) {
	x := newExchange(nil)
	if !t.add(id, false, x) {
		t.tooMany(id)
		return
	}
	go func() {
		defer t.pumps.Done()
		_, host, _ := strings.Cut(base, "://")
		t.deliver(wire.Event{Conn: id, Kind: wire.Opened, Remote: host})
		reason := "answered"
		if err := t.exchange(id, x, base); err != nil {
			t.count.dialFailed.Add(1)
			reason = err.Error()
		}
		t.remove(id, false)
		t.deliver(wire.Event{Conn: id, Kind: wire.Closed, Raw: []byte(reason)})
	}()
}

var errGivenUp = errors.New("given up")

// exchange sends the node's request and offers the reply.
func (t *Transport) exchange(id wire.Conn, x *exchange, base string) error {
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	unsent := time.NewTimer(t.cfg.DialTimeout)
	defer unsent.Stop()
	var frame []byte
	select {
	case frame = <-x.frame:
	case <-x.ended:
		return errGivenUp
	case <-ctx.Done():
		return ctx.Err()
	case <-unsent.C:
		return errors.New("nothing was sent in time")
	}
	watched := make(chan struct{})
	go func() { // the node gives up
		defer close(watched)
		select {
		case <-x.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	reply, err := t.post(ctx, base, frame)
	if plain, ok := t.withoutTLS(base, err); ok {
		reply, err = t.post(ctx, plain, frame)
	}
	cancel()
	<-watched
	if err != nil {
		return t.explain(err)
	}
	t.count.dialled.Add(1)
	o := t.opened.Get().(*wire.Opener)
	defer t.opened.Put(o)
	e := wire.Event{Conn: id, Kind: wire.Received, Raw: reply.Append(nil)}
	if e.Message, e.Err = o.Open(e.Raw); e.Err != nil {
		t.count.malformed.Add(1)
	}
	t.judged(&e)
	if !t.offer(e) {
		t.count.shed.Add(1)
	}
	return nil
}

// post carries a packed request out.
func (t *Transport) post(ctx context.Context, base string, frame []byte) (*synapse.Reply, error) {
	q, err := synapse.UnpackRequest(frame)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(base, "/")+"/"+q.Name, bytes.NewReader(q.Body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	q.Headers(synapse.Timeout.Seconds(), r.Header.Set)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "bettensor")
	resp, err := t.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	defer resp.Body.Close()
	t.count.framesOut.Add(1)
	t.count.bytesOut.Add(uint64(len(q.Body)))
	if resp.Header.Get("Content-Encoding") != "" {
		return nil, fmt.Errorf("ask %s: a compressed reply", base)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, synapse.MaxReply+1))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	if len(body) > synapse.MaxReply {
		t.count.malformed.Add(1)
		return nil, fmt.Errorf("ask %s: a reply of more than %d bytes", base, synapse.MaxReply)
	}
	t.count.framesIn.Add(1)
	t.count.bytesIn.Add(uint64(len(body)))
	reply, err := synapse.ReadReply(resp.StatusCode, resp.Header, body)
	if err != nil {
		t.count.malformed.Add(1)
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	return &reply, nil
}
