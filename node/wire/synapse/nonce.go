package synapse

import "time"

// How old a request may be by our own clock, and how far ahead of it. The SDK
// adds the asker's timeout, which is not signed, to 4 s; so whoever has caught a
// request can keep it fresh for ever. Ours is fixed, and the same for every
// version that a peer says it is.
const (
	Past   = 10 * time.Second
	Future = 4 * time.Second
)

// Check returns nil, ErrStale or ErrFuture for a request's nonce.
func Check(nonce uint64, now time.Time) error {
	switch age := now.UnixNano() - int64(nonce&(1<<63-1)); {
	case age >= int64(Past):
		return ErrStale
	case age < -int64(Future):
		return ErrFuture
	}
	return nil
}

// Nonces makes an asker's nonces: wall time in nanoseconds that strictly rises,
// even where the clock does not.
type Nonces struct{ Last uint64 }

// Next returns the next nonce: max(Last+1, now).
func (n *Nonces) Next(now time.Time) uint64 {
	n.Last = max(n.Last+1, uint64(max(now.UnixNano(), 0)))
	return n.Last
}
