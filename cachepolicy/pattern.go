package cachepolicy

import (
	"net/url"
	"strings"
)

// segment is one part of a pattern's path, as net/http's ServeMux has it: a
// literal (unescaped), "/" for {$}, or a wildcard.
type segment struct {
	s     string // literal or wildcard's name, "" for the unnamed trailing one
	wild  bool
	multi bool // takes all that is left, be it nothing
}

// pattern is a ServeMux pattern taken apart. It is only ever made of text
// that a ServeMux has accepted.
type pattern struct {
	method, host string
	segments     []segment
}

// parsePattern takes "[METHOD ][HOST]/[PATH]" apart.
func parsePattern(text string) pattern {
	var p pattern
	rest := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		p.method, rest = text[:i], strings.TrimLeft(text[i+1:], " \t")
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return p
	}
	p.host, rest = strings.ToLower(rest[:slash]), rest[slash:]
	for rest != "" {
		rest = rest[1:] // the slash
		if rest == "" {
			p.segments = append(p.segments, segment{wild: true, multi: true})
			break
		}
		seg := rest
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			seg = rest[:i]
		}
		rest = rest[len(seg):]
		switch {
		case seg == "{$}":
			p.segments = append(p.segments, segment{s: "/"})
		case strings.HasPrefix(seg, "{") && strings.HasSuffix(seg, "}"):
			name, multi := strings.CutSuffix(seg[1:len(seg)-1], "...")
			p.segments = append(p.segments, segment{s: name, wild: true, multi: multi})
		default:
			p.segments = append(p.segments, segment{s: unescape(seg)})
		}
	}
	return p
}

// lowerHost returns text with the host in lower case, which is how requests
// carry it.
func lowerHost(text string) string {
	start := strings.LastIndexAny(text[:max(strings.IndexByte(text, '/'), 0)], " \t") + 1
	slash := strings.IndexByte(text, '/')
	if slash < start {
		return text
	}
	return text[:start] + strings.ToLower(text[start:slash]) + text[slash:]
}

// node is a step in the decision tree over host, method and path segments.
// The order in which it is searched (literal, wildcard, rest) gives the most
// specific pattern only because conflicting patterns were refused before.
type node struct {
	policy   *Policy
	children map[string]*node
	single   *node // any one segment; for hosts and methods: any
	rest     *node
}

func (n *node) child(key string, make_ bool) *node {
	c := n.children[key]
	if c == nil && make_ {
		if n.children == nil {
			n.children = make(map[string]*node)
		}
		c = &node{}
		n.children[key] = c
	}
	return c
}

func (n *node) any(key string) *node {
	if key != "" {
		return n.child(key, true)
	}
	if n.single == nil {
		n.single = &node{}
	}
	return n.single
}

// add puts the policy in its place.
func (n *node) add(p pattern, policy *Policy) {
	n = n.any(p.host).any(p.method)
	for _, seg := range p.segments {
		switch {
		case seg.multi:
			if n.rest == nil {
				n.rest = &node{}
			}
			n = n.rest
		case seg.wild:
			n = n.any("")
		default:
			n = n.child(seg.s, true)
		}
	}
	n.policy = policy
}

// match finds the most specific policy, nil if none.
func (n *node) match(method, host, path string) *Policy {
	if host != "" {
		if h := n.children[host]; h != nil {
			if p := h.matchMethod(method, path); p != nil {
				return p
			}
		}
	}
	if n.single == nil {
		return nil
	}
	return n.single.matchMethod(method, path)
}

func (n *node) matchMethod(method, path string) *Policy {
	if m := n.children[method]; m != nil {
		if p := m.matchPath(path); p != nil {
			return p
		}
	}
	if method == "HEAD" {
		if m := n.children["GET"]; m != nil {
			if p := m.matchPath(path); p != nil {
				return p
			}
		}
	}
	if n.single == nil {
		return nil
	}
	return n.single.matchPath(path)
}

// matchPath recurses at most as deep as the longest pattern.
func (n *node) matchPath(path string) *Policy {
	if path == "" {
		return n.policy
	}
	seg, rest := firstSegment(path)
	if c := n.children[seg]; c != nil {
		if p := c.matchPath(rest); p != nil {
			return p
		}
	}
	if n.single != nil && seg != "/" && seg != "" {
		if p := n.single.matchPath(rest); p != nil {
			return p
		}
	}
	if n.rest != nil {
		return n.rest.policy
	}
	return nil
}

// firstSegment splits a path that begins with "/" after its first segment,
// which it unescapes; a lone "/" is a segment of its own.
func firstSegment(path string) (seg, rest string) {
	if path == "/" {
		return "/", ""
	}
	path = path[1:]
	i := strings.IndexByte(path, '/')
	if i < 0 {
		i = len(path)
	}
	return unescape(path[:i]), path[i:]
}

// unescape decodes percent escapes, or returns s as it is where one is wrong.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
