package wire

import "time"

// Instants on the wire lie in these years: enough for any game, and safely
// inside what nanoseconds since 1970 can hold.
const (
	minYear = 1970
	maxYear = 2199
)

// appendTime appends an instant as Python's isoformat does for UTC: with
// microseconds unless they are zero, and with +00:00. The zero time, which the
// wire cannot leave out, becomes the first instant of 1970.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	t = t.UTC()
	y, m, d := t.Date()
	hh, mm, ss := t.Clock()
	dst = append(dst,
		byte('0'+y/1000%10), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10), 'T',
		byte('0'+hh/10), byte('0'+hh%10), ':', byte('0'+mm/10), byte('0'+mm%10), ':', byte('0'+ss/10), byte('0'+ss%10))
	if us := t.Nanosecond() / 1000; us != 0 {
		dst = append(dst, '.', byte('0'+us/100000), byte('0'+us/10000%10), byte('0'+us/1000%10),
			byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
	}
	return append(dst, "+00:00"...)
}

// parseTime reads an ISO 8601 instant: date, T, time, an optional fraction of
// up to nine digits, and an offset or Z. A naive time, as games of other
// implementations may have it, counts as UTC where naive allows it. The first
// instant of 1970 reads as the zero time.
func parseTime(b []byte, naive bool) (time.Time, bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, false
	}
	bad := false
	two := func(i int) int {
		hi, lo := b[i]-'0', b[i+1]-'0'
		bad = bad || hi > 9 || lo > 9
		return int(hi)*10 + int(lo)
	}
	y, m, d := two(0)*100+two(2), two(5), two(8)
	hh, mm, ss := two(11), two(14), two(17)
	if bad || y < minYear || y > maxYear || m < 1 || m > 12 || d < 1 || d > daysIn(y, m) || hh > 23 || mm > 59 || ss > 59 {
		return time.Time{}, false
	}
	rest := b[19:]
	nanos := 0
	if len(rest) > 1 && rest[0] == '.' {
		i, scale := 1, 100_000_000
		for ; i < len(rest) && rest[i]-'0' <= 9; i++ {
			nanos += int(rest[i]-'0') * scale
			scale /= 10
		}
		if i == 1 || i > 10 {
			return time.Time{}, false
		}
		rest = rest[i:]
	}
	offset := 0
	switch {
	case string(rest) == "+00:00", string(rest) == "Z", naive && len(rest) == 0:
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		b = rest
		h, min := two(1), two(4)
		if bad || h > 23 || min > 59 {
			return time.Time{}, false
		}
		if offset = (h*60 + min) * 60; rest[0] == '-' {
			offset = -offset
		}
	default:
		return time.Time{}, false
	}
	sec := int64(daysSince1970(y, m, d))*86400 + int64(hh*3600+mm*60+ss) - int64(offset)
	if sec == 0 && nanos == 0 {
		return time.Time{}, true
	}
	return time.Unix(sec, int64(nanos)).UTC(), true
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

func daysIn(y, m int) int {
	switch m {
	case 2:
		if leap(y) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts in years that begin in March, so that the leap day is
// the last and the months before it follow one line.
func daysSince1970(y, m, d int) int {
	if m <= 2 {
		y--
		m += 12
	}
	return y*365 + y/4 - y/100 + y/400 + (m*153-457)/5 + d - 719469
}
