package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

const (
	// maxAnswer bytes of a node: its /stats have some tens of thousands.
	maxAnswer = 16 << 20
	// askTimeout of one question; the node has snapshotTimeout to answer.
	askTimeout = 2 * snapshotTimeout
)

// ErrNobody says that nobody listens at a node's address.
var ErrNobody = errors.New("nobody listens")

// Client asks a running node what it is doing. The zero value but for Address is
// ready for use.
type Client struct {
	Address string // HOST:PORT of the node's http.listen
}

// Stats asks for /stats. A node whose loop does not answer is an error.
func (c Client) Stats(ctx context.Context) (s Snapshot, err error) {
	var broken struct {
		Error string `json:"error"`
	}
	code, body, err := c.ask(ctx, "/stats")
	if err != nil {
		return s, err
	}
	if code != http.StatusOK {
		if json.Unmarshal(body, &broken) == nil && broken.Error != "" {
			return s, fmt.Errorf("ask %s: %s", c.Address, broken.Error)
		}
		return s, fmt.Errorf("ask %s: status %d", c.Address, code)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return Snapshot{}, fmt.Errorf("ask %s: not a node's answer: %w", c.Address, err)
	}
	return s, nil
}

// Ready asks for /readyz.
func (c Client) Ready(ctx context.Context) (h Health, err error) {
	code, body, err := c.ask(ctx, "/readyz")
	if err != nil {
		return h, err
	}
	if code != http.StatusOK && code != http.StatusServiceUnavailable {
		return h, fmt.Errorf("ask %s: not a node's answer: status %d", c.Address, code)
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return Health{}, fmt.Errorf("ask %s: not a node's answer: %w", c.Address, err)
	}
	return h, nil
}

// ask gets a path. A connection that is refused, or nothing there, is ErrNobody.
func (c Client) ask(ctx context.Context, path string) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Address+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask %q: %w", c.Address, err)
	}
	// Not the default transport: no proxy, and no connection is kept.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return 0, nil, fmt.Errorf("%w at %s: %w", ErrNobody, c.Address, op.Err)
		}
		return 0, nil, fmt.Errorf("ask %s: %w", c.Address, err)
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", c.Address, err)
	}
	return answer.StatusCode, body, nil
}
