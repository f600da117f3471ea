package cachepolicy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Span is one range of a representation, both ends included.
type Span struct{ First, Last int64 }

// Len is the number of bytes.
func (s Span) Len() int64 { return s.Last - s.First + 1 }

// Len is the number of bytes that the part holds.
func (p Part) Len() int64 { return p.Last - p.First + 1 }

const (
	// maxSpans bounds a Range; more are ignored (RFC 9110 §14.2, §17.15).
	maxSpans = 16
	// spanGap: ranges closer than this are sent as one, since the head of
	// another part would be longer (§15.3.7.2).
	spanGap = 80
)

// SelectRanges says which ranges of s the request gets (RFC 9110 §14.2):
// 206 with at least one span, 416 where none can be satisfied, 200 with none
// where Range is to be ignored: no GET, not a 200, another unit, malformed,
// an If-Range that does not hold, or more or more overlapping ranges than
// anyone needs. size is the length of the whole representation. Spans are
// in the order asked for, and those that touch are one. For a stored part
// they are positions in the whole, and lie within the part.
func SelectRanges(r *Request, s *Stored, size int64) ([]Span, int) {
	lines := r.Header["Range"]
	if len(lines) == 0 || r.Method != http.MethodGet {
		return nil, http.StatusOK
	}
	if s.Part != nil {
		size = s.Part.Total
	} else if s.Status != http.StatusOK {
		return nil, http.StatusOK
	}
	if !ifRange(r, s) {
		return nil, http.StatusOK
	}
	if len(lines) != 1 {
		return nil, http.StatusOK
	}
	spans, ok := parseRange(lines[0], size)
	if !ok {
		return nil, http.StatusOK
	}
	if len(spans) == 0 {
		return nil, http.StatusRequestedRangeNotSatisfiable
	}
	spans, ok = coalesce(spans, size)
	if !ok {
		return nil, http.StatusOK
	}
	if s.Part != nil {
		for _, span := range spans {
			if span.First < s.Part.First || span.Last > s.Part.Last {
				return nil, http.StatusOK // only where the app sent another part than it was asked for
			}
		}
	}
	return spans, http.StatusPartialContent
}

// IfRangeByDate reports whether the request has an If-Range that names no
// entity-tag. Where a representation is sent in several codings with one
// Last-Modified that is no strong validator, and the condition does not hold
// (RFC 9110 §8.8.1, §13.1.5).
func IfRangeByDate(r *Request) bool {
	lines := r.Header["If-Range"]
	return len(lines) > 0 && !slices.ContainsFunc(lines, namesTag)
}

func namesTag(ifRange string) bool { return strings.IndexByte(ifRange, '"') >= 0 }

// ifRange evaluates If-Range (RFC 9110 §13.1.5) by strong comparison.
func ifRange(r *Request, s *Stored) bool {
	lines := r.Header["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	value := trimOWS(lines[0])
	if namesTag(value) {
		return strongEqual(value, s.Tag())
	}
	date, ok := parseDate(value, s.ResponseTime.Time().Year())
	return ok && s.strongDate() && InstantOf(date) == s.LastModified
}

// parseRange reads Range. ok is false where it is to be ignored; no spans,
// where none is satisfiable. A number past 2^63 is as good as 2^63.
//
//	Range          = "bytes=" 1#( int-range / suffix-range )
//	int-range      = 1*DIGIT "-" [ 1*DIGIT ]
//	suffix-range   = "-" 1*DIGIT
func parseRange(value string, size int64) (spans []Span, ok bool) {
	unit, set, found := strings.Cut(trimOWS(value), "=")
	if !found || !strings.EqualFold(unit, "bytes") {
		return nil, false
	}
	count := 0
	for set != "" {
		var spec string
		spec, set, _ = strings.Cut(set, ",")
		if spec = trimOWS(spec); spec == "" {
			continue
		}
		if count++; count > maxSpans {
			return nil, false
		}
		from, to, found := strings.Cut(spec, "-")
		if !found || from == "" && to == "" || from != "" && !allDigits(from) || to != "" && !allDigits(to) {
			return nil, false
		}
		first, last := bigNumber(from), bigNumber(to)
		switch {
		case from == "": // the last so many bytes
			if last == 0 {
				continue
			}
			if size == 0 {
				return nil, false // satisfiable, but there is nothing to mark
			}
			first, last = max(0, size-last), size-1
		case to == "":
			last = size - 1
		case last < first:
			return nil, false
		}
		if first >= size {
			continue
		}
		spans = append(spans, Span{first, min(last, size-1)})
	}
	return spans, count > 0
}

func bigNumber(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil && digits != "" {
		return 1<<63 - 1
	}
	return n
}

// coalesce joins ranges that overlap or nearly touch, keeping the order in
// which they were first asked for. ok is false for more than two
// overlapping ranges, and for ranges that come to more than the whole.
func coalesce(spans []Span, size int64) ([]Span, bool) {
	if len(spans) == 1 {
		return spans, true
	}
	overlaps := 0
	var total int64
	sorted := slices.Clone(spans)
	slices.SortStableFunc(sorted, func(a, b Span) int { return cmpInt(a.First, b.First) })
	end := int64(-1)
	for _, span := range sorted {
		if span.First <= end {
			overlaps++
		}
		end = max(end, span.Last)
		total += span.Len()
	}
	if overlaps > 2 || total > size && overlaps > 1 {
		return nil, false
	}
	var merged []Span
	for _, span := range sorted {
		if n := len(merged) - 1; n >= 0 && span.First <= merged[n].Last+spanGap {
			merged[n].Last = max(merged[n].Last, span.Last)
			continue
		}
		merged = append(merged, span)
	}
	asked := func(m Span) int {
		return slices.IndexFunc(spans, func(s Span) bool { return s.First >= m.First && s.Last <= m.Last })
	}
	slices.SortStableFunc(merged, func(a, b Span) int { return asked(a) - asked(b) })
	return merged, true
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
