package esi

import (
	"bytes"
	"strings"
)

// What a page is made of, read from left to right. Names and attributes are
// those of XML, so that case counts:
//
//	page      = *( text / start / end / open / close )
//	start     = "<esi:" name *( 1*ws attribute ) *ws [ "/" ] ">"
//	end       = "</esi:" name *ws ">"
//	open      = "<!--esi"
//	close     = "-->"                       ; where an open is waiting for it
//	name      = 1*( ALPHA / DIGIT / "-" / "_" )
//	attribute = name *ws "=" *ws ( DQUOTE *value DQUOTE / "'" *value "'" )
//	value     = any byte but "<" and the quote around it
//	ws        = SP / HTAB / CR / LF
//
// What begins like a tag and does not follow the grammar is a tag that nobody
// understands: it ends with the next ">", and in any case before the next "<".
// Each byte is read a bounded number of times.

// tokenKind says what a token is.
type tokenKind uint8

const (
	text    tokenKind = iota
	start             // <esi:name …>
	empty             // <esi:name … />
	end               // </esi:name>
	open              // <!--esi
	closing           // -->
	broken
)

// noMate is the mate of a token that stands alone.
const noMate = -1

// token is a piece of the page.
type token struct {
	kind  tokenKind
	name  string
	attrs []attribute
	text  []byte // of text
	mate  int    // of start and open: the index of what ends it, or noMate
}

type attribute struct{ name, value string }

// attr returns the value of an attribute, "" where it is missing.
func (t *token) attr(name string) string {
	for _, a := range t.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

const (
	// maxTags bounds what of one page is understood; tags beyond it are only
	// removed.
	maxTags = 4096
	// maxTag bounds one tag, in bytes.
	maxTag = 8 << 10
)

// scan cuts a page into tokens and pairs them.
func scan(page []byte) []token {
	var tokens []token
	addText := func(b []byte) {
		if len(b) > 0 {
			tokens = append(tokens, token{kind: text, text: b, mate: noMate})
		}
	}
	tags, waiting := 0, 0
	next := nextMark(page, 0)
	for at := 0; at < len(page); {
		if at > next {
			next = nextMark(page, at)
		}
		if waiting > 0 {
			if i := bytes.Index(page[at:next], []byte("-->")); i >= 0 {
				addText(page[at : at+i])
				tokens = append(tokens, token{kind: closing, mate: noMate})
				waiting--
				at += i + len("-->")
				continue
			}
		}
		addText(page[at:next])
		if next == len(page) {
			break
		}
		if tags++; tags > maxTags {
			tokens = append(tokens, token{kind: broken, mate: noMate})
			addText(strip(page[next:]))
			break
		}
		t, length := tag(page[next:])
		if t.kind == open {
			waiting++
		}
		tokens = append(tokens, t)
		at = next + length
	}
	pair(tokens)
	return tokens
}

// nextMark is where the next tag of ours begins at or after from, or len(page).
func nextMark(page []byte, from int) int {
	for at := from; ; {
		i := bytes.Index(page[at:], []byte("esi"))
		if i < 0 {
			return len(page)
		}
		i += at
		at = i + len("esi")
		before := page[from:i]
		colon := at < len(page) && page[at] == ':'
		switch {
		case colon && bytes.HasSuffix(before, []byte("<")):
			return i - len("<")
		case colon && bytes.HasSuffix(before, []byte("</")):
			return i - len("</")
		case bytes.HasSuffix(before, []byte("<!--")):
			return i - len("<!--")
		}
	}
}

// marked reports whether a tag of ours begins anywhere in b.
func marked(b []byte) bool { return nextMark(b, 0) < len(b) }

// tag reads the tag that b begins with, and returns its length.
func tag(b []byte) (token, int) {
	if bytes.HasPrefix(b, []byte("<!--esi")) {
		return token{kind: open, mate: noMate}, len("<!--esi")
	}
	limit := min(len(b), maxTag)
	if i := bytes.IndexByte(b[1:limit], '<'); i >= 0 {
		limit = i + 1
	}
	r := reader{b: b[:limit]}
	t, ok := r.tag()
	if ok {
		return t, r.at
	}
	if i := bytes.IndexByte(b[:limit], '>'); i >= 0 {
		limit = i + 1
	}
	return token{kind: broken, mate: noMate}, limit
}

// reader reads one tag.
type reader struct {
	b  []byte
	at int
}

func (r *reader) tag() (token, bool) {
	t := token{kind: start, mate: noMate}
	if !r.take("<esi:") {
		if !r.take("</esi:") {
			return t, false
		}
		t.kind = end
	}
	if t.name = r.name(); t.name == "" {
		return t, false
	}
	for {
		spaced := r.space()
		switch {
		case r.take(">"):
			return t, true
		case t.kind == end:
			return t, false
		case r.take("/"):
			t.kind = empty
			return t, r.take(">")
		case !spaced:
			return t, false
		}
		a, ok := r.attribute()
		if !ok {
			return t, false
		}
		for _, other := range t.attrs {
			if other.name == a.name {
				return t, false // which of them is meant?
			}
		}
		t.attrs = append(t.attrs, a)
	}
}

func (r *reader) attribute() (a attribute, ok bool) {
	if a.name = r.name(); a.name == "" {
		return a, false
	}
	r.space()
	if !r.take("=") {
		return a, false
	}
	r.space()
	quote := byte('"')
	if !r.take(`"`) {
		if !r.take("'") {
			return a, false
		}
		quote = '\''
	}
	i := bytes.IndexByte(r.b[r.at:], quote)
	if i < 0 {
		return a, false
	}
	a.value = unescape.Replace(string(r.b[r.at : r.at+i]))
	r.at += i + 1
	return a, true
}

// unescape knows XML's own entities and what template engines write for quotes.
// HTML's would be a trap: many sites write "?a=1&copy=2" as it stands.
var unescape = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'",
	"&#34;", `"`, "&#x22;", `"`, "&#39;", "'", "&#x27;", "'")

func (r *reader) take(s string) bool {
	if !bytes.HasPrefix(r.b[r.at:], []byte(s)) {
		return false
	}
	r.at += len(s)
	return true
}

func (r *reader) space() bool {
	from := r.at
	for r.at < len(r.b) && strings.IndexByte(" \t\r\n", r.b[r.at]) >= 0 {
		r.at++
	}
	return r.at > from
}

func (r *reader) name() string {
	from := r.at
	for r.at < len(r.b) && isName(r.b[r.at]) {
		r.at++
	}
	return string(r.b[from:r.at])
}

func isName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// pair gives each start and open the token that ends it. An end belongs to the
// last start of its name; starts in between that nothing has ended stand alone.
func pair(tokens []token) {
	var stack []int
	count := map[string]int{} // of each name on the stack, so that no search is in vain
	for i := range tokens {
		t := &tokens[i]
		switch t.kind {
		case start, open:
			stack = append(stack, i)
			count[t.name]++
		case end, closing:
			for paired := count[t.name] == 0; !paired; {
				last := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				count[tokens[last].name]--
				if tokens[last].name == t.name {
					tokens[last].mate = i
					paired = true
				}
			}
		}
	}
}
