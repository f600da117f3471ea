package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// describe says what a node is, as a reader of YAML would call it.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "empty"
	}
	return "text"
}

// wanted says what a scalar of v's type looks like.
func wanted(v reflect.Value) string {
	switch v.Interface().(type) {
	case time.Duration:
		return "a duration such as 15m"
	case TTL:
		return "a duration such as 15m, or app,"
	case Size:
		return "a size such as 8MiB"
	case Percent:
		return "a part such as 10%"
	case Rate:
		return "a rate such as 10/m"
	case Switch, bool:
		return "on or off"
	case AllWord:
		return `"all"`
	case int:
		return "a whole number"
	}
	return "text"
}

// memberName is what messages call a member of a list.
func memberName(list string) string {
	switch list {
	case "routes":
		return "a route"
	case "tests":
		return "a test"
	}
	return "a member of " + list
}

// quoted quotes what came from the file and keeps it short.
func quoted(s string) string {
	if len(s) > 60 {
		cut := 57
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return strconv.Quote(s)
}

// anyOf lists words: a, b or c.
func anyOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// hint is ` (did you mean "ttl"?)`, or "" where no key is near.
func hint[V any](key string, known map[string]V) string {
	plain := plainWord(key)
	best, nearest := "", 3
	for _, candidate := range sortedKeys(known) {
		if candidate[0] != '_' && plainWord(candidate) == plain {
			best = candidate
			break
		}
		if far := distance(key, candidate); far < nearest && far*2 <= len(candidate) {
			best, nearest = candidate, far
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// plainWord leaves out what people spell differently: maxObject, max-object.
func plainWord(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
}

// distance is Levenshtein's, in bytes; anything over 40 bytes is far.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
