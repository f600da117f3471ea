package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

const (
	maxIndexVary      = 4
	maxIndexVariants  = 16
	maxIndexLanguages = 16
)

// Add returns a new Index with the fields of s, which lies under key, in
// front; ix may be nil, and is not changed.
func (ix *Index) Add(s *Stored, key Key) *Index {
	var old Index
	if ix != nil {
		old = *ix
	}
	out := &Index{NoVarySearch: old.NoVarySearch}
	if s.NoVarySearch != "" {
		out.NoVarySearch = s.NoVarySearch
	}
	set := slices.Clone(s.VaryFields)
	var others [][]string
	for _, fields := range old.Vary {
		if sameNames(fields, set) {
			set = mergeLanguages(set, fields)
		} else {
			others = append(others, fields)
		}
	}
	if len(set) > 0 {
		out.Vary = append(out.Vary, set)
	}
	out.Vary = append(out.Vary, others[:min(len(others), maxIndexVary-len(out.Vary))]...)
	if s.ETag != "" {
		out.Variants = append(out.Variants, Variant{s.ETag, key})
	}
	for _, v := range old.Variants {
		if v.Key != key && len(out.Variants) < maxIndexVariants {
			out.Variants = append(out.Variants, v)
		}
	}
	return out
}

// Adopt gives a response without Vary the Vary that others of its resource
// have, and the values of r, which it answered. Some resources omit Vary from
// what they send by default; without this such an answer would stand for all
// others, although those with Vary are to be preferred (RFC 9111 §4.1).
func (p *Policy) Adopt(r *Request, s *Stored, ix *Index) {
	if ix == nil || len(ix.Vary) == 0 || len(s.VaryFields) > 0 {
		return
	}
	for _, field := range ix.Vary[0] {
		s.VaryFields = append(s.VaryFields, fieldName(field))
	}
	s.VaryValues = p.varyValues(r, s.VaryFields)
}

// Tagged finds the variants that a 304 with this header speaks of (RFC 9111
// §4.3.4): those with the same entity-tag, by weak comparison where it is weak.
func (ix *Index) Tagged(notModified http.Header) (keys []Key) {
	if ix == nil {
		return nil
	}
	tag := entityTag(notModified)
	for _, v := range ix.Variants {
		if tag != "" && (v.ETag == tag || !strongTag(tag) && weakEqual(v.ETag, tag)) {
			keys = append(keys, v.Key)
		}
	}
	return keys
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
