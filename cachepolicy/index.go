package cachepolicy

import (
	"slices"
	"strings"
)

const (
	maxIndexVary      = 4
	maxIndexETags     = 16
	maxIndexLanguages = 16
)

// Add returns a new Index with the fields of s in front; ix may be nil, and
// is not changed. A set without names goes last, however new: where some
// responses omit Vary, the one that has it decides (RFC 9111 §4.1).
func (ix *Index) Add(s *Stored) *Index {
	var old Index
	if ix != nil {
		old = *ix
	}
	set := slices.Clone(s.VaryFields)
	out := &Index{NoVarySearch: old.NoVarySearch}
	if s.NoVarySearch != "" {
		out.NoVarySearch = s.NoVarySearch
	}
	bare := len(set) == 0
	var others [][]string
	for _, fields := range old.Vary {
		switch {
		case len(fields) == 0:
			bare = true
		case sameNames(fields, set):
			set = mergeLanguages(set, fields)
		default:
			others = append(others, fields)
		}
	}
	if len(set) > 0 {
		out.Vary = append(out.Vary, set)
	}
	room := maxIndexVary - len(out.Vary)
	if bare {
		room--
	}
	out.Vary = append(out.Vary, others[:min(len(others), max(room, 0))]...)
	if bare {
		out.Vary = append(out.Vary, []string{})
	}
	if s.ETag != "" {
		out.ETags = append(out.ETags, s.ETag)
	}
	for _, tag := range old.ETags {
		if tag != s.ETag && len(out.ETags) < maxIndexETags {
			out.ETags = append(out.ETags, tag)
		}
	}
	return out
}

// sameNames compares two sets but for the languages behind a name.
func sameNames(a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool { return fieldName(x) == fieldName(y) })
}

func fieldName(field string) string {
	name, _, _ := strings.Cut(field, ";")
	return name
}

// mergeLanguages adds the languages that old knows to those of set, which
// are newer. set is the caller's own.
func mergeLanguages(set, old []string) []string {
	for i, field := range set {
		languages := strings.Split(field, ";")[1:]
		for _, language := range strings.Split(old[i], ";")[1:] {
			if len(languages) < maxIndexLanguages && !slices.Contains(languages, language) {
				languages = append(languages, language)
			}
		}
		if len(languages) > 0 {
			set[i] = fieldName(field) + ";" + strings.Join(languages, ";")
		}
	}
	return set
}
