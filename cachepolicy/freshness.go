package cachepolicy

import (
	"net/http"
	"time"
)

// arrival is what the clocks say of a response (RFC 9111 §4.2.3).
type arrival struct {
	date       time.Time // Date, or the time of arrival where it is missing or wrong
	dated      bool      // Date was there and right
	declared   time.Duration
	initialAge time.Duration // corrected_initial_age
}

// arrive does the age arithmetic:
//
//	apparent_age          = max(0, response_time - date_value)
//	corrected_age_value   = age_value + response_delay
//	corrected_initial_age = max(apparent_age, corrected_age_value)
//
// A Date that is missing or malformed is the time of arrival (RFC 9110
// §6.6.1); one in the future makes no age, but does not shorten any either. Nor
// does one that is not before the request: Date has whole seconds, so that an
// answer made at the end of one would seem a second old at once.
func arrive(h http.Header, requestTime, responseTime time.Time) arrival {
	a := arrival{date: responseTime, declared: parseAge(h)}
	if date, ok := dateField(h, "Date", responseTime); ok {
		a.date, a.dated = date, true
	}
	apparent := max(0, responseTime.Sub(a.date))
	if !a.date.Before(requestTime.Truncate(time.Second)) {
		apparent = 0
	}
	delay := max(0, responseTime.Sub(requestTime))
	a.initialAge = min(max(apparent, a.declared+delay), 2*maxDelta)
	return a
}

// parseAge reads Age. It is a singleton, but the first member of a list
// counts, and what is not a non-negative integer is ignored (RFC 9111 §5.1).
func parseAge(h http.Header) time.Duration {
	lines := h["Age"]
	if len(lines) == 0 {
		return 0
	}
	first := lines[0]
	for i := 0; i < len(first); i++ {
		if first[i] == ',' {
			first = first[:i]
			break
		}
	}
	age, _ := parseDelta(trimOWS(first))
	return age
}

// dateField reads a field that is one HTTP-date. Several lines are none.
func dateField(h http.Header, name string, seenFrom time.Time) (time.Time, bool) {
	return soleDate(h[name], seenFrom)
}

func soleDate(lines []string, seenFrom time.Time) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	return parseDate(trimOWS(lines[0]), seenFrom.Year())
}

// expiry is how long a response is fresh.
type expiry struct {
	fresh     time.Duration
	explicit  bool
	operator  bool // the rule says so, not the app
	heuristic bool
}

// expire calculates freshness_lifetime (RFC 9111 §4.2.1): s-maxage, else
// max-age, else Expires less Date, else by heuristics. An Expires that is no
// date, or several, lies in the past (§5.3).
func expire(h http.Header, d *directives, targeted bool, a arrival) expiry {
	switch {
	case d.sMaxage.set:
		return expiry{fresh: d.sMaxage.d, explicit: true}
	case d.maxAge.set:
		return expiry{fresh: d.maxAge.d, explicit: true}
	case !targeted && len(h["Expires"]) > 0:
		e := expiry{explicit: true}
		if at, ok := dateField(h, "Expires", a.date); ok {
			e.fresh = max(0, at.Sub(a.date))
		}
		return e
	}
	return expiry{}
}

// maxHeuristic caps what a heuristic may guess.
const maxHeuristic = 24 * time.Hour

// guess is the heuristic of RFC 9111 §4.2.2: a tenth of the time since
// Last-Modified, a day at most, 0 where there is nothing to go by.
func guess(h http.Header, a arrival) expiry {
	e := expiry{heuristic: true}
	if modified, ok := dateField(h, "Last-Modified", a.date); ok {
		e.fresh = min(max(0, a.date.Sub(modified))/10, maxHeuristic)
	}
	return e
}

// heuristicStatus lists what RFC 9110 §15.1 defines as heuristically
// cacheable.
func heuristicStatus(status int) bool {
	switch status {
	case 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// ErrorStatus reports whether a status counts as an error that stale-if-error
// is for (RFC 5861 §4).
func ErrorStatus(status int) bool {
	return status == 500 || status >= 502 && status <= 504
}

// understood reports whether must-understand is satisfied (RFC 9111
// §5.2.2.3): the final statuses of RFC 9110 §15 whose caching duties are
// fulfilled here.
func understood(status int) bool {
	switch {
	case status >= 200 && status <= 206, status >= 300 && status <= 303, status == 307, status == 308:
		return true
	case status >= 400 && status <= 417, status == 421, status == 422, status == 426:
		return true
	}
	return status >= 500 && status <= 505
}

// neverStored: "MUST NOT be stored by a cache" (RFC 6585 §3–§6).
func neverStored(status int) bool {
	return status == 428 || status == 429 || status == 431 || status == 511
}

// age is current_age at now (RFC 9111 §4.2.3); a clock that went back adds
// nothing.
func (s *Stored) age(now time.Time) time.Duration {
	return s.InitialAge + max(0, now.Sub(s.ResponseTime.Time()))
}

// Age is current_age at now, for the Age field.
func (s *Stored) Age(now time.Time) time.Duration { return s.age(now) }

// Fresh reports whether s may be used at now without a validation, for all
// that it says itself.
func (s *Stored) Fresh(now time.Time) bool {
	return !s.Lifetime.NoCache && s.age(now) < s.Lifetime.Fresh
}

// validators reports whether a validation of s can succeed.
func (s *Stored) validators() bool { return s.ETag != "" || !s.LastModified.IsZero() }

// validateFor is how long a stale response that has a validator stays stored
// to be validated.
const validateFor = 24 * time.Hour

// Keep is how long from now on s is worth keeping: its freshness, its stale
// windows, and time to validate it; MaxLife at most. 0: not at all.
func (s *Stored) Keep(now time.Time) time.Duration {
	if s.Unkept != None {
		return 0
	}
	l := &s.Lifetime
	after := max(l.StaleWhileRevalidate, l.StaleIfError, l.StaleIfUnreachable)
	if s.validators() {
		after = max(after, validateFor)
	}
	return min(max(0, l.Fresh-s.age(now)+after), MaxLife)
}
