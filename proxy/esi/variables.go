package esi

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Variables, in <esi:vars> and in src and alt:
//
//	variable = "$(" NAME [ "{" key "}" ] [ "|" default ] ")"
//	NAME     = 1*( %x41-5A / "_" )
//	key      = 1*( any byte but "{", "}", "(", ")", "|" )
//	default  = "'" *( any byte but "'" ) "'" / *( any byte but "(", ")" and "'" )
//
// What does not follow the grammar, $(document) for one, is text. A NAME that
// is not ours is a variable without a value.

// part is a literal, or a variable where name is set.
type part struct {
	literal string
	target  bool // literal is a whole request target, worked out beforehand
	name    string
	key     string // of QUERY_STRING{key}
	keyed   bool
	def     string
}

// Env is what variables and relative addresses stand for.
type Env struct {
	// Host is the page's host, as in the Host field.
	Host string
	// Path is the page's own escaped path; relative addresses begin there.
	Path string
	// Query is the page's raw query.
	Query string
	// User is who is signed in, "" for nobody.
	User string
}

// parseParts reads an attribute; nil where it holds nothing.
func parseParts(s string) []part {
	s = strings.Trim(s, " \t\r\n")
	var parts []part
	for s != "" {
		i, length, v := nextVariable(s)
		if i > 0 {
			parts = append(parts, part{literal: s[:i]})
		}
		if length > 0 {
			parts = append(parts, v)
		}
		s = s[i+length:]
	}
	return parts
}

// appendVariables splits text into literals and variables. The literals refer
// to b, not to a copy.
func appendVariables(nodes []node, b []byte) []node {
	if !bytes.Contains(b, []byte("$(")) {
		return append(nodes, node{kind: literal, text: b})
	}
	s := string(b)
	for at := 0; at < len(s); {
		i, length, v := nextVariable(s[at:])
		if i > 0 {
			nodes = append(nodes, node{kind: literal, text: b[at : at+i]})
		}
		if length > 0 {
			nodes = append(nodes, node{kind: variable, value: v})
		}
		at += i + length
	}
	return nodes
}

// maxVariable bounds one variable with its default, in bytes.
const maxVariable = 1024

// nextVariable finds the first variable of s: where it begins, its length, and
// itself; where there is none, len(s) and 0.
func nextVariable(s string) (at, length int, v part) {
	for at < len(s) {
		i := strings.Index(s[at:], "$(")
		if i < 0 {
			break
		}
		at += i
		if v, n := readVariable(s[at:min(len(s), at+maxVariable)]); n > 0 {
			return at, n, v
		}
		at += len("$(")
	}
	return len(s), 0, part{}
}

// readVariable reads the variable that s begins with; n is 0 if it is none.
func readVariable(s string) (v part, n int) {
	rest := s[len("$("):]
	i := 0
	for i < len(rest) && ('A' <= rest[i] && rest[i] <= 'Z' || rest[i] == '_') {
		i++
	}
	if i == 0 {
		return v, 0
	}
	v.name, rest = rest[:i], rest[i:]
	if strings.HasPrefix(rest, "{") {
		i := strings.IndexAny(rest[1:], "{}()|") + 1
		if i <= 1 || rest[i] != '}' {
			return v, 0
		}
		v.key, v.keyed, rest = rest[1:i], true, rest[i+1:]
	}
	if d, ok := strings.CutPrefix(rest, "|"); ok {
		if quoted, ok := strings.CutPrefix(d, "'"); ok {
			v.def, rest, ok = strings.Cut(quoted, "'")
			if !ok {
				return v, 0
			}
		} else {
			i := strings.IndexAny(d, "()'")
			if i < 0 {
				return v, 0
			}
			v.def, rest = d[:i], d[i:]
		}
	}
	if !strings.HasPrefix(rest, ")") {
		return v, 0
	}
	return v, len(s) - len(rest) + 1
}

// value is what a variable stands for, not yet escaped for any place; given: it
// comes from outside and is not the page's own default.
func (e *Env) value(p *part) (v string, given bool) {
	switch {
	case p.name == "HTTP_HOST" && !p.keyed:
		v = e.Host
	case p.name == "EDGE_USER" && !p.keyed:
		v = e.User
	case p.name == "QUERY_STRING" && !p.keyed:
		v = e.Query
	case p.name == "QUERY_STRING":
		v = e.parameter(p.key)
	}
	if v == "" {
		return p.def, false
	}
	return v, true
}

// parameter is the decoded value of the first query parameter of that name,
// which is compared as it stands in the raw query.
func (e *Env) parameter(name string) string {
	for pair := range strings.SplitSeq(e.Query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return unescapeQuery(value)
		}
	}
	return ""
}

// unescapeQuery decodes "+" and %XX; a "%" that is none of these stays.
func unescapeQuery(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// appendHTML writes v so that it is text wherever text or a quoted attribute
// value may stand, and ends no string of a script: nothing in it opens or closes
// a tag, an attribute, a string or another variable.
func appendHTML(b []byte, v string) []byte {
	for _, r := range v { // invalid UTF-8 comes as U+FFFD
		switch {
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '"':
			b = append(b, "&#34;"...)
		case r == '\'':
			b = append(b, "&#39;"...)
		case r == '\\':
			b = append(b, "&#92;"...)
		case r == '`':
			b = append(b, "&#96;"...)
		case r == '$':
			b = append(b, "&#36;"...)
		case r < ' ', r == 0x7f, r == '\u2028', r == '\u2029':
			b = append(b, ' ')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
