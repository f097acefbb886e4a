package wire

import (
	"slices"
	"strconv"
	"time"

	"bettensor/node/chain"
)

// Nonces makes a sender's nonces: milliseconds since 1970 that strictly
// increase even where the clock does not. One per signer, and its owner keeps
// Last across restarts: a nonce used twice is refused by whoever remembers it.
type Nonces struct {
	Last uint64 // the last one given out, in ms
	text texts
}

// Next returns the next nonce: max(Last+1, now).
func (n *Nonces) Next(now time.Time) string {
	n.Last = max(n.Last+1, uint64(max(now.UnixMilli(), 0)))
	var b [20]byte
	return n.text.add(strconv.AppendUint(b[:0], n.Last, 10))
}

// Fresh is the window of a signed timestamp around the receiver's clock.
type Fresh struct {
	Past   time.Duration // older is ErrStale
	Future time.Duration // further ahead is ErrFuture
}

// DefaultFresh is the protocol's window of 300 s back, and 4 s ahead: a frame
// from the future would outlive the nonce that is remembered for it.
var DefaultFresh = Fresh{Past: 300 * time.Second, Future: 4 * time.Second}

// Check returns nil, ErrStale or ErrFuture.
func (f Fresh) Check(at, now time.Time) error {
	switch d := now.Sub(at); {
	case d > f.Past:
		return ErrStale
	case d < -f.Future:
		return ErrFuture
	}
	return nil
}

// windowLen is how many nonces a NonceWindow remembers one by one. Senders
// increase them, so more than a handful out of order means a replay.
const windowLen = 32

// NonceWindow remembers one sender's nonces in bounded memory, so that none is
// taken twice: the last few by value, all earlier ones by the highest of them.
// A nonce below that mark is refused unseen; frames arrive in the order they
// were sent, or nearly so, which is why honest senders do not meet it. The
// zero value has seen nothing.
type NonceWindow struct {
	floor uint64   // everything up to here counts as seen
	seen  []uint64 // ascending, all above floor
}

// Accept takes a nonce and remembers it, or returns ErrReplay, ErrStale (below
// all remembered ones) or ErrShape (not a decimal number of milliseconds). Two
// texts of one value ("5", "5.0") are one nonce.
func (w *NonceWindow) Accept(nonce string) error {
	v, ok := parseNonce(nonce)
	if !ok {
		return ErrShape
	}
	return w.accept(v)
}

func (w *NonceWindow) accept(v uint64) error {
	at := len(w.seen)
	if at > 0 && v <= w.seen[at-1] {
		var found bool
		if at, found = slices.BinarySearch(w.seen, v); found {
			return ErrReplay
		}
	}
	if v <= w.floor {
		return ErrStale
	}
	switch {
	case len(w.seen) < windowLen:
		w.seen = slices.Insert(w.seen, at, v)
	case at == 0: // the lowest of all: remembering it as the mark is enough
		w.floor = v
	default:
		w.floor = w.seen[0]
		copy(w.seen, w.seen[1:at])
		w.seen[at-1] = v
	}
	return nil
}

// nonceScale is the fraction of a millisecond that is told apart. A float of
// milliseconds since 1970 has four decimals at most.
const nonceScale = 1e6

// parseNonce reads up to 13 digits of milliseconds and six decimals as one
// number.
func parseNonce(s string) (uint64, bool) {
	var v uint64
	i := 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		v = v*10 + uint64(s[i]-'0')
		if i >= 13 {
			return 0, false
		}
	}
	if i == 0 {
		return 0, false
	}
	v *= nonceScale
	if i == len(s) {
		return v, true
	}
	if s[i] != '.' || i+1 == len(s) || len(s)-i > 7 {
		return 0, false
	}
	scale := uint64(nonceScale)
	for _, d := range []byte(s[i+1:]) {
		if d -= '0'; d > 9 {
			return 0, false
		}
		scale /= 10
		v += uint64(d) * scale
	}
	return v, true
}

const (
	// AuthMemory is how long a hotkey that may be forgotten is remembered after its
	// last authentication: longer than a signed frame stays fresh on both sides.
	AuthMemory = 600 * time.Second
	// MaxSenders bounds an AuthNonces where it has no bound of its own: four times
	// the neurons of a subnet, and only registered hotkeys get as far as being
	// remembered.
	MaxSenders = 1024
)

// AuthNonces remembers the newest authentication of each hotkey across
// connections and, by what its owner keeps and restores, across restarts: a
// captured one must not take a session over. A hotkey's next one is newer, so
// nothing else is remembered. The zero value has seen none.
type AuthNonces struct {
	// Most is how many hotkeys are remembered, where it is above MaxSenders.
	Most    int
	senders map[chain.Hotkey]authNonce
}

type authNonce struct {
	newest uint64
	last   time.Time
}

// Accept takes the nonce of an authentic, fresh Auth of a registered hotkey, and
// returns the form of it that Restore takes. Refusals are ErrReplay (the newest
// again), ErrStale (older than that), ErrShape, and ErrFull, where as many hotkeys
// are remembered as may be: forgetting one would open it to replay.
func (a *AuthNonces) Accept(h chain.Hotkey, nonce string, now time.Time) (newest uint64, err error) {
	v, ok := parseNonce(nonce)
	if !ok {
		return 0, ErrShape
	}
	switch s, known := a.senders[h]; {
	case known && v == s.newest:
		return 0, ErrReplay
	case known && v < s.newest:
		return 0, ErrStale
	case !known && a.Full():
		return 0, ErrFull
	}
	a.Restore(h, v, now)
	return v, nil
}

// Restore has a hotkey's nonces up to newest count as seen, as of an instant.
func (a *AuthNonces) Restore(h chain.Hotkey, newest uint64, at time.Time) {
	if a.senders == nil {
		a.senders = make(map[chain.Hotkey]authNonce)
	}
	a.senders[h] = authNonce{newest, at}
}

// Full says that another hotkey finds no room.
func (a *AuthNonces) Full() bool { return len(a.senders) >= max(a.Most, MaxSenders) }

// Known says whether a hotkey is remembered.
func (a *AuthNonces) Known(h chain.Hotkey) bool {
	_, ok := a.senders[h]
	return ok
}

// Forget drops those that are not to be kept and were not heard within
// AuthMemory, and returns them in order.
func (a *AuthNonces) Forget(now time.Time, keep func(chain.Hotkey) bool) (gone []chain.Hotkey) {
	for h, s := range a.senders { // order cannot matter: each is judged alone, and what is returned is sorted
		if now.Sub(s.last) > AuthMemory && !keep(h) {
			delete(a.senders, h)
			gone = append(gone, h)
		}
	}
	slices.Sort(gone)
	return gone
}
