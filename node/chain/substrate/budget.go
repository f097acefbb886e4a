package substrate

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// budget is a token bucket over all requests to an endpoint: public ones answer
// about one a second and ban who asks for more.
type budget struct {
	perSecond float64 // 0 for no limit
	burst     float64

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// take waits for a token, in the order of asking, at most until ctx ends.
func (b *budget) take(ctx context.Context) error {
	if b.perSecond <= 0 {
		return nil
	}
	b.mu.Lock()
	now := time.Now()
	if b.at.IsZero() {
		b.tokens = b.burst
	} else {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.perSecond)
	}
	b.at = now
	b.tokens-- // below 0: whoever asks next waits behind this one
	wait := time.Duration(-b.tokens / b.perSecond * float64(time.Second))
	b.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	if end, ok := ctx.Deadline(); ok && now.Add(wait).After(end) {
		b.back()
		return fmt.Errorf("%w: the request budget of %g/s is used up", errUnsent, b.perSecond)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		b.back()
		return fmt.Errorf("%w: %w", errUnsent, ctx.Err())
	}
}

// back returns a token that was not used.
func (b *budget) back() {
	b.mu.Lock()
	b.tokens++
	b.mu.Unlock()
}
