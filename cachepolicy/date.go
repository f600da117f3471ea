package cachepolicy

import (
	"strings"
	"time"
)

// ParseHTTPDate reads an HTTP-date (RFC 9110 §5.6.7) in any of its three
// forms and in none other:
//
//	IMF-fixdate  = day-name "," SP 2DIGIT SP month SP 4DIGIT SP time-of-day SP GMT
//	rfc850-date  = day-name-l "," SP 2DIGIT "-" month "-" 2DIGIT SP time-of-day SP GMT
//	asctime-date = day-name SP month SP ( 2DIGIT / ( SP 1DIGIT )) SP time-of-day SP 4DIGIT
//	time-of-day  = 2DIGIT ":" 2DIGIT ":" 2DIGIT
//
// Names match in any case: the grammar is case-sensitive, but RFC 9111 §4.2
// tells caches to be lenient there, and to refuse any zone but GMT. A weekday
// that is a weekday but not that date's is accepted, since the grammar does
// not tie the two. A second of 60 is accepted as the next minute's first. A
// two-digit year is taken as seen from the year 2026.
func ParseHTTPDate(s string) (time.Time, bool) { return parseDate(s, 2026) }

// parseDate is ParseHTTPDate as seen from thisYear: a two-digit year that
// would lie more than 50 years ahead is the century before's.
func parseDate(s string, thisYear int) (time.Time, bool) {
	comma := strings.IndexByte(s, ',')
	switch {
	case comma == 3:
		return parseFixdate(s)
	case comma > 3:
		return parseRFC850(s, comma, thisYear)
	}
	return parseASCTime(s)
}

func parseFixdate(s string) (time.Time, bool) {
	// Sun, 06 Nov 1994 08:49:37 GMT
	if len(s) != 29 || dayIndex(s[:3]) < 0 || s[3:5] != ", " || s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || s[25] != ' ' || !strings.EqualFold(s[26:], "GMT") {
		return time.Time{}, false
	}
	if !allDigits(s[12:16]) {
		return time.Time{}, false
	}
	return makeDate(number(s[12:16]), s[8:11], s[5:7], s[17:25])
}

func parseRFC850(s string, comma, thisYear int) (time.Time, bool) {
	// Sunday, 06-Nov-94 08:49:37 GMT
	day := s[:comma]
	if i := dayIndex(day[:3]); i < 0 || !strings.EqualFold(day, longDays[i]) {
		return time.Time{}, false
	}
	s = s[comma+1:]
	if len(s) != 23 || s[0] != ' ' || s[3] != '-' || s[7] != '-' || s[10] != ' ' || s[19] != ' ' || !strings.EqualFold(s[20:], "GMT") || !allDigits(s[8:10]) {
		return time.Time{}, false
	}
	year := thisYear - thisYear%100 + number(s[8:10])
	if year > thisYear+50 {
		year -= 100
	}
	return makeDate(year, s[4:7], s[1:3], s[11:19])
}

func parseASCTime(s string) (time.Time, bool) {
	// Sun Nov  6 08:49:37 1994
	if len(s) != 24 || dayIndex(s[:3]) < 0 || s[3] != ' ' || s[7] != ' ' || s[10] != ' ' || s[19] != ' ' {
		return time.Time{}, false
	}
	day := s[8:10]
	if day[0] == ' ' {
		day = "0" + day[1:]
	}
	if !allDigits(s[20:]) {
		return time.Time{}, false
	}
	return makeDate(number(s[20:]), s[4:7], day, s[11:19])
}

func makeDate(year int, month, day, clock string) (time.Time, bool) {
	m := monthIndex(month)
	if m < 0 || !allDigits(day) || clock[2] != ':' || clock[5] != ':' ||
		!allDigits(clock[:2]) || !allDigits(clock[3:5]) || !allDigits(clock[6:]) {
		return time.Time{}, false
	}
	d, h, min, sec := number(day), number(clock[:2]), number(clock[3:5]), number(clock[6:])
	if d < 1 || h > 23 || min > 59 || sec > 60 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(m+1), d, h, min, sec, 0, time.UTC)
	if sec < 60 && t.Day() != d { // the 31st of a month of 30 days
		return time.Time{}, false
	}
	return t, true
}

// number reads a few digits that have been checked.
func number(digits string) int {
	n := 0
	for i := 0; i < len(digits); i++ {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

const (
	shortDays   = "sunmontuewedthufrisat"
	shortMonths = "janfebmaraprmayjunjulaugsepoctnovdec"
)

var longDays = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

func dayIndex(s string) int   { return nameIndex(shortDays, s) }
func monthIndex(s string) int { return nameIndex(shortMonths, s) }

func nameIndex(names, s string) int {
	for i := 0; i < len(names); i += 3 {
		if strings.EqualFold(names[i:i+3], s) {
			return i / 3
		}
	}
	return -1
}
