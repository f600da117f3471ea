package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// root parses the one document of the file; nil after a fault.
func (d *decoder) root(data []byte) *yaml.Node {
	if p, ok := badByte(data); ok {
		d.fault(p, "not YAML: a byte that is not UTF-8 text")
		return nil
	}
	doc, more, err := parseTwo(data)
	switch {
	case err != nil:
		d.fault(lineOf(data, err), "not YAML: %s", syntaxText(err))
	case doc == nil || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null":
		d.fault(Position{1, 1}, `the file is empty: write at least "version: 1"`)
	case more != nil:
		d.fault(at(more), "a second document begins here: one file holds one")
	case doc.Content[0].Kind != yaml.MappingNode:
		d.fault(at(doc.Content[0]), "the file is %s: a mapping of keys is needed", describe(doc.Content[0]))
	default:
		return doc.Content[0]
	}
	return nil
}

// parseTwo parses the first two documents, each nil where there is none.
func parseTwo(data []byte) (first, second *yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for _, doc := range []**yaml.Node{&first, &second} {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return first, nil, nil
		}
		if err != nil {
			return first, nil, err
		}
		if len(n.Content) == 0 {
			return first, nil, nil
		}
		*doc = &n
	}
	return first, second, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxText is yaml.v3's error without the line, which is that of the block
// around the fault, or of the line before it.
func syntaxText(err error) string {
	if strings.HasSuffix(err.Error(), "found character that cannot start any token") {
		return "a tab, or one of @ and `, cannot begin anything: indent by spaces, and quote what begins so"
	}
	return strings.ReplaceAll(yamlError.ReplaceAllString(err.Error(), ""), "\n", " ")
}

// lineOf finds where the syntax error is: on the first line with which the
// beginning of the file fails in the same way. yaml.v3 itself knows where the
// block around it begins, which is where the search does.
func lineOf(data []byte, err error) Position {
	want, ends := syntaxText(err), lineEnds(data)
	fails := func(lines int) bool {
		_, _, err := parseTwo(data[:ends[lines-1]])
		return err != nil && syntaxText(err) == want
	}
	low := 1
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		if known, err := strconv.Atoi(m[1]); err == nil && known > 1 && known <= len(ends) && !fails(known-1) {
			low = known
		}
	}
	line := low + sort.Search(len(ends)-low, func(i int) bool { return fails(low + i) })
	start := 0
	if line > 1 {
		start = ends[line-2]
	}
	text := data[start:ends[line-1]]
	return Position{line, 1 + len(text) - len(bytes.TrimLeft(text, " "))}
}

// lineEnds are the offsets behind each line's end.
func lineEnds(data []byte) (ends []int) {
	for i, c := range data {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) == 0 || ends[len(ends)-1] < len(data) {
		ends = append(ends, len(data))
	}
	return ends
}

// badByte finds the first byte that is not UTF-8 text as YAML allows it: the
// parser would refuse it without saying where.
func badByte(data []byte) (Position, bool) {
	line, column := 1, 0
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		column++
		switch {
		case c == '\n':
			line, column = line+1, 0
		case c == utf8.RuneError && size < 2, c < ' ' && c != '\t' && c != '\r', c == 0x7f,
			c >= 0x80 && c < 0xa0 && c != 0x85, c == 0xfffe, c == 0xffff, c == 0xfeff && i > 0:
			return Position{line, column}, true
		}
		i += size
	}
	return Position{}, false
}
