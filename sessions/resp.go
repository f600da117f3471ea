package sessions

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// resp speaks as much of RESP3 as tracking needs:
//
//	reply = ( "+" | "-" | ":" | "_" | "#" | "," | "(" ) text CRLF
//	      / ( "$" | "=" | "!" ) length CRLF bytes CRLF
//	      / ( "*" | ">" | "~" ) count CRLF *reply
//	      / ( "%" | "|" ) count CRLF *( reply reply )
type resp struct {
	mu sync.Mutex // of writes
	w  net.Conn
	r  *bufio.Reader
}

const (
	mostBulk  = 1 << 20
	mostItems = 1 << 20
	mostDepth = 8
)

var errReply = errors.New("a reply that is no RESP3")

func newResp(c net.Conn) *resp { return &resp{w: c, r: bufio.NewReader(c)} }

func (c *resp) send(args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.w, b.String())
	return err
}

// do sends a command and returns its reply; only used before pushes come.
func (c *resp) do(args ...string) (any, error) {
	if err := c.send(args...); err != nil {
		return nil, err
	}
	v, err := c.read()
	if err != nil {
		return nil, err
	}
	if e, ok := v.(error); ok {
		return nil, e
	}
	return v, nil
}

// read reads one reply or push: a string, []any, nil or error.
func (c *resp) read() (any, error) { return c.value(0) }

func (c *resp) value(depth int) (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || len(line) > 4096 || line[len(line)-2] != '\r' || depth > mostDepth {
		return nil, errReply
	}
	kind, text := line[0], line[1:len(line)-2]
	switch kind {
	case '+', ':', ',', '#', '(':
		return text, nil
	case '-':
		return errors.New(text), nil
	case '_':
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n > mostItems:
		return nil, errReply
	case n < 0:
		return nil, nil
	}
	switch kind {
	case '$', '=', '!':
		if n > mostBulk {
			return nil, errReply
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case '%', '|':
		n *= 2
	case '*', '>', '~':
	default:
		return nil, errReply
	}
	var list []any
	for range n {
		v, err := c.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
