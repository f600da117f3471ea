package cachepolicy

import (
	"net/http"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// targets is the target list of RFC 9213 §2.2, most applicable first.
var targets = [...]string{"Umbral-Cache-Control", "Cdn-Cache-Control"}

// govern returns the directives that hold for a response: those of the first
// targeted field that is valid and not empty, else Cache-Control's. Where a
// targeted field holds, Expires is ignored too (RFC 9213 §2.2).
func govern(h http.Header) (d directives, targeted bool) {
	for _, name := range targets {
		if lines := h[name]; len(lines) > 0 {
			if d, ok := targetedControl(lines); ok {
				return d, true
			}
		}
	}
	return cacheControl(h["Cache-Control"]), false
}

// targetedControl reads a targeted field: a Dictionary of RFC 9651. Of a
// directive given twice the last counts, as Dictionaries have it. Types that
// the directive does not allow are not coerced (RFC 9213 §2.1): a lifetime
// of another type is 0, a permission is not given, a restriction holds.
func targetedControl(lines []string) (directives, bool) {
	var d directives
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return d, false
	}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		var value any
		switch m := member.(type) {
		case httpsfv.Item:
			value = m.Value
		case httpsfv.InnerList:
			value = fieldNames(m)
		}
		switch name {
		case "no-store":
			d.noStore = true
		case "private":
			list, ok := value.(string)
			d.private = !ok || !d.hide(list)
		case "no-cache":
			list, ok := value.(string)
			d.noCache = !ok || !d.hide(list)
		case "must-revalidate":
			d.mustRevalidate = true
		case "proxy-revalidate":
			d.proxyRevalidate = true
		case "no-transform":
			d.noTransform = true
		case "public":
			d.public = value == true
		case "immutable":
			d.immutable = value == true
		case "must-understand":
			d.mustUnderstand = value == true
		case "max-age":
			d.maxAge = sfSeconds(value)
		case "s-maxage":
			d.sMaxage = sfSeconds(value)
		case "stale-while-revalidate":
			d.staleWhile = sfSeconds(value)
		case "stale-if-error":
			d.staleErr = sfSeconds(value)
		}
	}
	return d, true
}

// fieldNames is an Inner List of Strings, as no-cache and private may have it,
// in the form that Cache-Control gives such a list; nil where it is none.
func fieldNames(list httpsfv.InnerList) any {
	names := make([]string, len(list.Items))
	for i, item := range list.Items {
		name, ok := item.Value.(string)
		if !ok {
			return nil
		}
		names[i] = name
	}
	return strings.Join(names, ",")
}

func sfSeconds(value any) seconds {
	n, ok := value.(int64)
	if !ok || n < 0 {
		return seconds{set: true}
	}
	if n > int64(maxDelta/time.Second) {
		return seconds{true, maxDelta}
	}
	return seconds{true, time.Duration(n) * time.Second}
}

// sfStrings reads a List of Strings, parameters ignored (RFC 9875 §2, §3).
// ok is false where the field is absent, or no such list.
func sfStrings(lines []string) (values []string, ok bool) {
	if len(lines) == 0 {
		return nil, false
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil, false
	}
	for _, member := range list {
		item, isItem := member.(httpsfv.Item)
		s, isString := item.Value.(string)
		if !isItem || !isString {
			return nil, false
		}
		values = append(values, s)
	}
	return values, true
}
