package cachepolicy

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"
)

// Apply returns the part of a raw query that is in the key. Parameters are
// what stands between "&"; names are compared byte for byte, as they came,
// and a parameter that stays, stays as it came. Empty parameters go only
// where the rule has something to say.
func (q QueryRule) Apply(raw string) string {
	if q.Ignore || raw == "" {
		return ""
	}
	if q.Keep == nil && len(q.Drop) == 0 && !q.Sort {
		return raw
	}
	var buf [16]string
	kept := buf[:0]
	for rest := raw; rest != ""; {
		var param string
		param, rest, _ = strings.Cut(rest, "&")
		if param == "" {
			continue
		}
		name := paramName(param)
		if q.Keep != nil && !anyGlob(q.Keep, name) || anyGlob(q.Drop, name) {
			continue
		}
		kept = append(kept, param)
	}
	if q.Sort {
		slices.SortStableFunc(kept, func(a, b string) int {
			return strings.Compare(paramName(a), paramName(b))
		})
	}
	switch len(kept) {
	case 0:
		return ""
	case 1:
		return kept[0]
	}
	size := len(kept) - 1
	for _, param := range kept {
		size += len(param)
	}
	if size == len(raw) && !q.Sort {
		return raw
	}
	return strings.Join(kept, "&")
}

func paramName(param string) string {
	if i := strings.IndexByte(param, '='); i >= 0 {
		return param[:i]
	}
	return param
}

func anyGlob(globs []string, name string) bool {
	for _, glob := range globs {
		if globMatch(glob, name) {
			return true
		}
	}
	return false
}

// globMatch matches "*" against any run of bytes and "?" against any byte,
// in time linear in glob times name.
func globMatch(glob, name string) bool {
	star, mark := -1, 0
	g, n := 0, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, n
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == name[n]):
			g++
			n++
		case star >= 0:
			mark++
			g, n = star+1, mark
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

// searchVariance is No-Vary-Search, parsed (draft-ietf-httpbis-no-vary-search
// §4).
type searchVariance struct {
	anyOrder bool
	all      bool     // params: no parameter matters, but for names
	names    []string // those that do not matter; with all, those that do
}

// parseNoVarySearch reads a No-Vary-Search field; ok is false where it is
// absent, malformed, or says nothing: the whole query matters then.
//
//	No-Vary-Search: key-order, params=("utm_source" "utm_medium")
//	No-Vary-Search: params, except=("id")
func parseNoVarySearch(lines []string) (v searchVariance, ok bool) {
	if len(lines) == 0 {
		return v, false
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return v, false
	}
	if member, found := dict.Get("key-order"); found {
		if v.anyOrder, ok = sfBool(member); !ok {
			return searchVariance{}, false
		}
	}
	if member, found := dict.Get("params"); found {
		if v.all, ok = sfBool(member); !ok {
			if v.names, ok = sfNames(member); !ok {
				return searchVariance{}, false
			}
		}
	}
	if member, found := dict.Get("except"); found {
		if !v.all {
			return searchVariance{}, false
		}
		if v.names, ok = sfNames(member); !ok {
			return searchVariance{}, false
		}
	}
	return v, v.anyOrder || v.all || len(v.names) > 0
}

func sfBool(member httpsfv.Member) (value, ok bool) {
	item, isItem := member.(httpsfv.Item)
	if !isItem {
		return false, false
	}
	value, ok = item.Value.(bool)
	return value, ok
}

// sfNames reads an inner list of strings and decodes each as a key of a
// query (§4.3 of the draft).
func sfNames(member httpsfv.Member) ([]string, bool) {
	list, ok := member.(httpsfv.InnerList)
	if !ok {
		return nil, false
	}
	names := make([]string, 0, len(list.Items))
	for _, item := range list.Items {
		s, ok := item.Value.(string)
		if !ok {
			return nil, false
		}
		names = append(names, formDecode(s))
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// text is the one way to write v, which parseNoVarySearch reads back.
func (v searchVariance) text() string {
	var b strings.Builder
	if v.anyOrder {
		b.WriteString("key-order")
	}
	if !v.all && len(v.names) == 0 {
		return b.String()
	}
	if b.Len() > 0 {
		b.WriteString(", ")
	}
	b.WriteString("params")
	if v.all {
		if len(v.names) == 0 {
			return b.String()
		}
		b.WriteString(", except")
	}
	b.WriteString("=(")
	for i, name := range v.names {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		for j := 0; j < len(name); j++ {
			if c := name[j]; isTokenByte(c) && c != '%' && c != '+' {
				b.WriteByte(c)
			} else {
				const hex = "0123456789ABCDEF"
				b.WriteByte('%')
				b.WriteByte(hex[c>>4])
				b.WriteByte(hex[c&15])
			}
		}
		b.WriteByte('"')
	}
	b.WriteByte(')')
	return b.String()
}

// canonical writes the parameters of a query that matter so that two
// queries are the same bytes if and only if they are equivalent modulo v
// (§5 of the draft): parsed as application/x-www-form-urlencoded, filtered,
// sorted by name where the order does not matter.
func (v searchVariance) canonical(b []byte, raw string) []byte {
	type pair struct{ name, value string }
	var pairs []pair
	for rest := raw; rest != ""; {
		var param string
		param, rest, _ = strings.Cut(rest, "&")
		if param == "" {
			continue
		}
		name, value, _ := strings.Cut(param, "=")
		name = formDecode(name)
		if slices.Contains(v.names, name) != v.all {
			continue
		}
		pairs = append(pairs, pair{name, formDecode(value)})
	}
	if v.anyOrder {
		slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	}
	for _, p := range pairs {
		b = appendPart(appendPart(b, p.name), p.value)
	}
	return b
}

// formDecode decodes one name or value of application/x-www-form-urlencoded:
// "+" is a space, a wrong escape stays, and what is not UTF-8 is U+FFFD.
func formDecode(s string) string {
	if strings.IndexByte(s, '+') < 0 && strings.IndexByte(s, '%') < 0 && utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if v, ok := hexPair(s, i+1); ok {
				c = v
				i += 2
			}
		}
		b = append(b, c)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
