// Package esi finds the tags of Edge Side Includes (ESI 1.0, W3C Note
// 2001-08-04) in pages and puts fragments in their place.
//
// [Parse] turns a page into a [Template] once, when it is stored; [Assemble]
// fills it in for one visitor, as often as it is served. Understood are
// include, try with attempt and except, remove, comment, vars and <!--esi -->.
// No tag of ours gets to a browser: what is not understood is left out.
package esi

// nodeKind says what a node is.
type nodeKind uint8

const (
	literal  nodeKind = iota // bytes of the page
	variable                 // a variable in <esi:vars>
	include
	try
)

// node is a piece of a template.
type node struct {
	kind    nodeKind
	text    []byte // of literal
	value   part   // of variable
	src     []part // of include
	alt     []part // of include; nil for none
	goOn    bool   // of include: onerror="continue"
	attempt []node // of try
	except  []node // of try
}

// Template is a page that is ready to be assembled. It never changes, may be
// used by many at once, and refers to the bytes that it was made from.
type Template struct {
	nodes    []node
	includes int // fetched at once; those of except are not
	size     int // of the literals, in bytes
	faults   int
	plain    bool
}

// Plain reports whether the page holds no tag: it is served as it is.
func (t *Template) Plain() bool { return t.plain }

// Faults is how many tags were not understood and have been left out.
func (t *Template) Faults() int { return t.faults }

// maxNesting bounds how deep elements of one page stand in each other; what is
// deeper is left out.
const maxNesting = 16

// Parse reads a page. It takes whatever comes, in time proportional to its
// length: a tag that breaks the grammar, has no meaning where it stands or is
// unknown is left out and counted. Of an unknown element, or one in the wrong
// place, the content goes with it, for nobody can say whether it was meant to
// be seen; a start tag without its end is left out alone. The caller must not
// change page afterwards.
func Parse(page []byte) *Template {
	t := &Template{}
	if !marked(page) {
		t.plain, t.size = true, len(page)
		t.nodes = []node{{kind: literal, text: page}}
		return t
	}
	p := parser{tokens: scan(page)}
	t.nodes = p.content(span{0, len(p.tokens)}, false, 0)
	t.faults = p.faults
	t.includes, t.size = weigh(t.nodes)
	return t
}

// weigh counts the includes that are fetched at once and the literals' bytes.
func weigh(nodes []node) (includes, size int) {
	for i := range nodes {
		n := &nodes[i]
		size += len(n.text)
		switch n.kind {
		case include:
			includes++
		case try:
			in, bytes := weigh(n.attempt)
			includes, size = includes+in, size+bytes
		}
	}
	return includes, size
}

// span is a run of tokens, the second bound not included.
type span struct{ from, to int }

// parser makes nodes of tokens:
//
//	content = *( text / include / comment / remove / vars / try / "<!--esi" content "-->" )
//	include = empty or start with src, [alt], [onerror]   ; what stands before its end is left out
//	comment = empty or start                              ; the same
//	remove  = start anything end
//	vars    = start content end                           ; text is searched for variables
//	try     = start attempt [ except ] end                ; anything else in it is left out
//	attempt = start content end
//	except  = start content end
type parser struct {
	tokens []token
	faults int
}

// content makes nodes of a run of tokens. vars: text may hold variables.
func (p *parser) content(s span, vars bool, depth int) []node {
	var nodes []node
	for i := s.from; i < s.to; i++ {
		t := &p.tokens[i]
		in := span{i + 1, i + 1}
		if t.mate != noMate {
			in.to = t.mate
			i = t.mate // go on after what it holds
		}
		switch {
		case t.kind == text && vars:
			nodes = appendVariables(nodes, t.text)
		case t.kind == text:
			nodes = append(nodes, node{kind: literal, text: t.text})
		case t.kind == closing:
			// The end of a comment whose beginning has been left out.
		case t.kind == broken, t.kind == end, depth == maxNesting:
			p.faults++
		case t.kind == open && t.mate == noMate:
			p.faults++
		case t.kind == open:
			nodes = append(nodes, p.content(in, vars, depth+1)...)
		case t.name == "include":
			if n, ok := p.include(t); ok {
				nodes = append(nodes, n)
			}
		case t.name == "comment":
		case t.mate == noMate && t.kind == start:
			p.faults++ // its end is missing
		case t.name == "remove":
		case t.name == "vars":
			nodes = append(nodes, p.content(in, true, depth+1)...)
		case t.name == "try":
			nodes = append(nodes, p.try(in, vars, depth+1))
		default:
			p.faults++
		}
	}
	return nodes
}

func (p *parser) include(t *token) (node, bool) {
	src := parseAddress(t.attr("src"))
	if src == nil {
		p.faults++
		return node{}, false
	}
	return node{kind: include, src: src, alt: parseAddress(t.attr("alt")), goOn: t.attr("onerror") == "continue"}, true
}

// try takes the first attempt and the first except of a run of tokens.
func (p *parser) try(s span, vars bool, depth int) node {
	n := node{kind: try}
	seen := map[string]bool{}
	for i := s.from; i < s.to; i++ {
		t := &p.tokens[i]
		if t.mate == noMate {
			continue
		}
		in := span{i + 1, t.mate}
		i = t.mate
		switch {
		case seen[t.name]:
			p.faults++
		case t.name == "attempt":
			n.attempt = p.content(in, vars, depth)
		case t.name == "except":
			n.except = p.content(in, vars, depth)
		}
		seen[t.name] = true
	}
	return n
}
