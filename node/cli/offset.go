package cli

import (
	"sync"
	"time"

	"bettensor/node/chain"
	"bettensor/node/web"
)

const (
	// offsetBlocks is how far the head may be ahead of the block whose time is known:
	// finality trails by two or three, and blocks that were left out add up.
	offsetBlocks = 10
	// offsetHeads is how many heads are compared. One comes late for many reasons; if
	// our clock is ahead, all of them do.
	offsetHeads = 8
)

// clockOffset measures our clock against others'. A feed that is reached by HTTP
// dates its answers, to a second. Else it is the chain: a head that arrives before
// its own time says that our clock is behind, and heads that all arrive more than
// a block late that it is ahead. It is nil where neither has told the time.
type clockOffset struct {
	mu    sync.Mutex
	head  uint64
	lates []time.Duration // of the newest heads, oldest first
}

// byFeed is the offset by the first feed that has told it.
func byFeed(feeds []web.Feed) *web.Clock {
	for i := range feeds {
		if d := feeds[i].ClockOffset; d != nil {
			return &web.Clock{Offset: *d, By: "feed"}
		}
	}
	return nil
}

// byChain is the offset by heads. known is a block whose time is known, in the
// node's time; arrived is when the head came, by the node's clock.
func (o *clockOffset) byChain(head uint64, arrived time.Time, known chain.Block, at time.Time, speed float64) *web.Clock {
	o.mu.Lock()
	defer o.mu.Unlock()
	if head != o.head && known > 0 && head >= uint64(known) && head-uint64(known) <= offsetBlocks {
		late := arrived.Sub(at.Add(time.Duration(head-uint64(known)) * chain.BlockTime))
		o.head, o.lates = head, append(o.lates, late)
		if len(o.lates) > offsetHeads {
			o.lates = o.lates[1:]
		}
	}
	if len(o.lates) < offsetHeads {
		return nil
	}
	least := o.lates[0]
	for _, d := range o.lates {
		least = min(least, d)
	}
	off := time.Duration(0)
	switch {
	case least < 0:
		off = least
	case least > chain.BlockTime:
		off = least - chain.BlockTime
	}
	return &web.Clock{Offset: time.Duration(float64(off) / speed), By: "chain"}
}
