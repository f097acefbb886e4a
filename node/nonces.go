package node

import (
	"strconv"
	"strings"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/store"
)

// A nonce must not be given out twice, or its receiver takes what it is for as a
// replay. By a clock that only goes on a restart needs no memory for that; but
// clocks are set back, and a store is what a node can trust. So the ledger holds
// a mark that no nonce has passed, written ahead of them: a start goes on from
// there, and an end in good order leaves the mark where the nonces really are.
const (
	// frameReserve is how far ahead the mark of frames' nonces is: a commit in some
	// minutes, and after a crash nonces that are so much ahead of the clock, which
	// no peer minds.
	frameReserve = 15 * time.Minute
	// callReserve is the same of requests' nonces. A peer holds those against its
	// clock, so that after a crash none is made until the clock has passed the mark:
	// no longer than a start spreads its first requests over anyway (firstPolls).
	callReserve = time.Minute
	// reserveLead is how long before nonces reach a mark the next one is on its way
	// to the disk. An fsync takes milliseconds, on a bad day seconds.
	reserveLead = 10 * time.Second
)

// mark is how far nonces of a kind may have come, as the ledger knows it.
type mark struct {
	fact    string
	unit    time.Duration // of these nonces
	reserve time.Duration
	upTo    uint64
}

// loadMark finds a mark that the ledger keeps; what cannot be read counts as none.
func loadMark(facts map[string]string, fact string, unit, reserve time.Duration) mark {
	upTo, _ := strconv.ParseUint(facts[fact], 10, 64)
	return mark{fact: fact, unit: unit, reserve: reserve, upTo: upTo}
}

// reach writes the mark ahead of a nonce that was just made, where it is near.
func (c *core) reach(m *mark, nonce uint64) {
	if nonce+uint64(reserveLead/m.unit) <= m.upTo {
		return
	}
	b := c.store.Batch()
	m.put(b, nonce+uint64(m.reserve/m.unit))
	c.store.Commit(b)
}

func (m *mark) put(b *store.Batch, upTo uint64) {
	m.upTo = upTo
	text := strconv.FormatUint(upTo, 10)
	ledger.Facts.Put(b, m.fact, &text)
}

// nonce makes the next nonce of a frame.
func (c *core) nonce(wall time.Time) string {
	text := c.nonces.Next(wall)
	c.reach(&c.nonceMark, c.nonces.Last)
	return text
}

// call makes the next nonce of a request over HTTP.
func (c *core) call(wall time.Time) uint64 {
	n := c.calls.Next(wall)
	c.reach(&c.callMark, n)
	return n
}

// callAfter is how long to wait until the clock has passed the nonces of an
// earlier run. Where that is longer than any run was ahead the clock was set
// back: then there is nothing to wait for.
func (c *core) callAfter(wall time.Time) time.Duration {
	ahead := time.Unix(0, int64(min(c.calls.Last, 1<<63-1))).Sub(wall)
	if ahead > callReserve {
		return 0
	}
	return max(ahead, 0)
}

// settleNonces puts the marks where the nonces really are.
func (c *core) settleNonces(b *store.Batch) {
	if c.nonceMark.upTo > c.nonces.Last {
		c.nonceMark.put(b, c.nonces.Last)
	}
	if c.callMark.upTo > c.calls.Last {
		c.callMark.put(b, c.calls.Last)
	}
}

// restoreAuths takes in the newest authentication of each miner that the ledger
// knows, as heard now: that forgets none too early.
func restoreAuths(to *wire.AuthNonces, facts map[string]string, wall time.Time) {
	for name, text := range facts { // order cannot matter: each stands for itself
		h, ok := strings.CutPrefix(name, ledger.FactAuth)
		if newest, err := strconv.ParseUint(text, 10, 64); ok && err == nil {
			to.Restore(chain.Hotkey(h), newest, wall)
		}
	}
}

// loadSigners finds the miners that sign their replies to polls.
func loadSigners(facts map[string]string) map[chain.Hotkey]bool {
	out := map[chain.Hotkey]bool{}
	for name := range facts { // order cannot matter: each stands for itself
		if h, ok := strings.CutPrefix(name, ledger.FactSigns); ok {
			out[chain.Hotkey(h)] = true
		}
	}
	return out
}
