package invariant

import "time"

var boundsDoc = Doc{"within-bounds", "Whatever a node keeps of work and of peers is bounded: sessions, connections, predictions in an outbox, batches on their way to the disk, events that wait. This is the one invariant that reads what a node publishes of itself.", "published Stats, connections of the network and events of the world, daily"}

// Figure is something of a node that has a limit.
type Figure struct {
	Name         string
	Value, Limit uint64
}

type withinBounds struct{ rule }

// Figures is told what a node holds, once a day and at the end.
func (s *Set) Figures(at time.Time, n Node, figures []Figure) {
	for _, f := range figures {
		if s.bounds.judge() && f.Value > f.Limit {
			s.bounds.violate(at, "%s holds %d %s, and the limit is %d", n.Name, f.Value, f.Name, f.Limit)
		}
	}
}
