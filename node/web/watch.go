package web

import (
	"fmt"
	"slices"
	"time"

	"bettensor/node"
)

// watch judges what the loop cannot see of itself, at a fixed pace, until Stop.
func (s *Server) watch() {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		s.judge()
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// slack keeps an alarm at a threshold from coming and going: it is cleared only
// when the figure is better than the threshold by a tenth.
const slack = 0.1

// judge raises and clears the alarms of the edge: the loop's silence, the
// clock, the disk, the feeds' providers.
func (s *Server) judge() {
	idle, stalled := s.stalled()
	against := s.src.Ready()
	snap, err := s.snapshot(s.ctx)
	if s.ctx.Err() != nil {
		return
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms.Set(node.AlarmLoopStalled, stalled, fmt.Sprintf("no progress for %v", idle.Round(time.Second)))
	if i := slices.IndexFunc(against, func(r Reason) bool { return r.Code == node.ConditionStore }); i >= 0 {
		s.alarms.Raise(node.AlarmStoreFailed, against[i].Why)
	} else {
		s.alarms.Clear(node.AlarmStoreFailed)
	}
	if err != nil {
		return // what is not known changes nothing
	}
	if c := snap.Clock; c != nil {
		s.level(node.AlarmClockOffset, c.Offset.Abs().Seconds(), s.o.MaxOffset.Seconds(), fmt.Sprintf("our clock is off by %v, by the %s's", c.Offset.Round(time.Millisecond), c.By))
	}
	if d := snap.Store; d != nil {
		s.level(node.AlarmDiskLow, -float64(d.Free), -float64(s.o.MinFree), fmt.Sprintf("%d MiB are free at %s", d.Free>>20, d.Dir))
	}
	s.oneOf(node.AlarmFeedRefused, snap.Feeds, func(f *Feed) bool { return f.Refused })
	s.oneOf(node.AlarmFeedQuota, snap.Feeds, func(f *Feed) bool { return f.QuotaShort })
}

// level raises an alarm where a figure is above its limit.
func (s *Server) level(code node.AlarmCode, figure, limit float64, why string) {
	if s.alarms.Active(code) {
		limit -= slack * max(limit, -limit)
	}
	s.alarms.Set(code, figure > limit, why)
}

// oneOf raises an alarm where it is true of a feed, and names the feed.
func (s *Server) oneOf(code node.AlarmCode, feeds []Feed, is func(*Feed) bool) {
	for i := range feeds {
		if f := &feeds[i]; is(f) {
			s.alarms.Raise(code, f.Name+": "+f.LastError)
			return
		}
	}
	s.alarms.Clear(code)
}
