package market

import (
	"testing"
	"time"
	_ "time/tzdata" // what the rule is compared with
)

// TestZone compares the rule with the time zone database, hour by hour.
func TestZone(t *testing.T) {
	for name, z := range map[string]zone{"Europe/London": ukTime, "Europe/Berlin": centralTime, "Europe/Madrid": centralTime, "Europe/Rome": centralTime} {
		place, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(1996, 6, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2038; at = at.Add(time.Hour) {
			l := at.In(place)
			wall := time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
			if got := z.local(at); !got.Equal(wall) {
				t.Fatalf("%s: local of %s is %s, want %s", name, at, got, wall)
			}
			// The second of two equal readings cannot be told from the first.
			if got := z.utc(wall); !got.Equal(at) && !got.Add(time.Hour).Equal(at) {
				t.Fatalf("%s: utc of %s is %s, want %s", name, wall, got, at)
			} else if !got.Equal(at) && l.Month() != time.October {
				t.Fatalf("%s: utc of %s is %s, want %s", name, wall, got, at)
			}
		}
	}
}

func TestZoneOnDaysOfChange(t *testing.T) {
	for _, c := range []struct {
		name string
		zone zone
		wall string
		want string
	}{
		{"central, before the gap", centralTime, "2024-03-31 01:59", "2024-03-31 00:59"},
		{"central, in the gap: by the winter clock", centralTime, "2024-03-31 02:30", "2024-03-31 01:30"},
		{"central, after the gap", centralTime, "2024-03-31 03:00", "2024-03-31 01:00"},
		{"central, afternoon of that day", centralTime, "2024-03-31 15:30", "2024-03-31 13:30"},
		{"central, before the double hour", centralTime, "2023-10-29 01:59", "2023-10-28 23:59"},
		{"central, in the double hour: the first", centralTime, "2023-10-29 02:30", "2023-10-29 00:30"},
		{"central, after the double hour", centralTime, "2023-10-29 03:00", "2023-10-29 02:00"},
		{"central, across the year", centralTime, "2024-01-01 00:30", "2023-12-31 23:30"},
		{"UK, in the gap", ukTime, "2024-03-31 01:30", "2024-03-31 01:30"},
		{"UK, after the gap", ukTime, "2024-03-31 02:00", "2024-03-31 01:00"},
		{"UK, in the double hour: the first", ukTime, "2023-10-29 01:30", "2023-10-29 00:30"},
		{"UK, after the double hour", ukTime, "2023-10-29 02:00", "2023-10-29 02:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.zone.utc(utc(c.wall)); !got.Equal(utc(c.want)) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
