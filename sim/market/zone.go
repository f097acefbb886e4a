package market

import "time"

// zone is a European civil time as its winter distance from UTC. The UK and
// Central Europe put their clocks forward at 01:00 UTC on the last Sunday of March
// and back at 01:00 UTC on the last Sunday of October, both since 1996: computed
// here, so that a run does not depend on the machine's time zone database.
type zone time.Duration

const (
	ukTime      = zone(0)
	centralTime = zone(time.Hour)
)

// The rule above holds from firstYear; lastYear bounds what is a typing error.
const (
	firstYear = 1996
	lastYear  = 2199
)

// utc turns a wall clock reading, given as if it were UTC, into the instant. A
// reading that occurs twice (October) is taken as the first, in summer time; one
// that does not occur (March) is read by the winter clock, so it falls after the change.
func (z zone) utc(wall time.Time) time.Time {
	winter := wall.Add(-time.Duration(z))
	if summer := winter.Add(-time.Hour); isSummer(summer) {
		return summer
	}
	return winter
}

// local is the wall clock reading of an instant, given as if it were UTC.
func (z zone) local(t time.Time) time.Time {
	t = t.UTC().Add(time.Duration(z))
	if isSummer(t.Add(-time.Duration(z))) {
		return t.Add(time.Hour)
	}
	return t
}

func isSummer(t time.Time) bool {
	return !t.Before(lastSunday(t.Year(), time.March)) && t.Before(lastSunday(t.Year(), time.October))
}

// lastSunday is 01:00 UTC on the last Sunday of a month of 31 days.
func lastSunday(year int, month time.Month) time.Time {
	t := time.Date(year, month, 31, 1, 0, 0, 0, time.UTC)
	return t.AddDate(0, 0, -int(t.Weekday()))
}
