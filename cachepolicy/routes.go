package cachepolicy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Routes finds the Policy of a request: the routes of routes.yaml with the
// meaning that net/http's ServeMux gives their patterns, and the unlisted
// route for all else. It is immutable and safe for concurrent use.
type Routes struct {
	tree     node
	policies []*Policy // by ID; 0 is the unlisted one
}

// RuleFault says what is wrong with one rule. Field is the key of routes.yaml
// at fault: match, ttl, tags, status and so on.
type RuleFault struct {
	Index int
	Field string
	Err   error
}

func (f RuleFault) Error() string { return f.Field + ": " + f.Err.Error() }

// NewRoutes takes the rules in the order of the file and reports every fault
// of every rule. The Routes are usable only if there is none.
func NewRoutes(rules []Rule) (*Routes, []RuleFault) {
	unlisted, err := NewPolicy(Rule{})
	if err != nil {
		panic(err) // the zero rule has no fault
	}
	rs := &Routes{policies: []*Policy{unlisted}}
	var faults []RuleFault
	mux := http.NewServeMux()
	for i, rule := range rules {
		found := checkRule(&rule)
		if err := register(mux, rule.Pattern); err != nil {
			found = append(found, RuleFault{Field: "match", Err: err})
		}
		for _, f := range found {
			f.Index = i
			faults = append(faults, f)
		}
		if len(found) > 0 {
			continue
		}
		p := newPolicy(rule)
		p.id = len(rs.policies)
		rs.policies = append(rs.policies, p)
		rs.tree.add(p.pattern, p)
	}
	return rs, faults
}

// Match returns the policy of a request, never nil. Path is the escaped path
// as it came; it is neither cleaned nor redirected, so "/a" is not "/a/" and
// "/x/../a" is not "/a". A GET pattern matches HEAD. Host may carry a port.
func (rs *Routes) Match(method, host, path string) *Policy {
	if path != "" && path[0] == '/' {
		if p := rs.tree.match(method, hostOnly(host), path); p != nil {
			return p
		}
	}
	return rs.policies[0]
}

// All lists the policies by ID, the unlisted one first.
func (rs *Routes) All() []*Policy { return rs.policies }

// NewPolicy makes the policy of one rule; without a Pattern, that of the
// unlisted route, whose zero values stand for what is built in.
func NewPolicy(rule Rule) (*Policy, error) {
	if !rule.Listed() {
		return newPolicy(unlisted(rule)), nil
	}
	var errs []error
	if err := register(http.NewServeMux(), rule.Pattern); err != nil {
		errs = append(errs, fmt.Errorf("match: %w", err))
	}
	for _, f := range checkRule(&rule) {
		errs = append(errs, f)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return newPolicy(rule), nil
}

// Built in, where the file says nothing (CONTRACT §3).
const (
	builtinStaleIfUnreachable = time.Hour
	builtinMaxObject          = 8 << 20
)

func unlisted(rule Rule) Rule {
	rule.TTL = AppTTL
	rule.Scope = Public
	if rule.StaleWhileRevalidate == 0 {
		rule.StaleWhileRevalidate = -1
	}
	if rule.StaleIfError == 0 {
		rule.StaleIfError = -1
	}
	if rule.StaleIfUnreachable == 0 {
		rule.StaleIfUnreachable = builtinStaleIfUnreachable
	}
	if rule.MaxObject == 0 {
		rule.MaxObject = builtinMaxObject
	}
	return rule
}

// compiled is what can be worked out once for a rule.
type compiled struct {
	id       int
	pattern  pattern
	tags     []tagTemplate
	wildTags bool
	vary     []string // VaryHeaders in lower case
}

func newPolicy(rule Rule) *Policy {
	p := &Policy{Rule: rule}
	if rule.Listed() {
		p.pattern = parsePattern(rule.Pattern)
	}
	for _, name := range rule.VaryHeaders {
		p.vary = append(p.vary, strings.ToLower(name))
	}
	for _, tag := range rule.Tags {
		t, err := parseTag(tag, p.pattern)
		if err != nil {
			continue // checkRule has reported it
		}
		p.wildTags = p.wildTags || len(t) > 1 || t[0].wildcard >= 0
		p.tags = append(p.tags, t)
	}
	return p
}

// ID is a small number for metrics: the rule's place among those in force,
// from 1; 0 is the unlisted route.
func (p *Policy) ID() int { return p.id }

// hostOnly drops the port, as ServeMux does.
func hostOnly(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 {
		return host
	}
	if host[0] == '[' {
		if end := strings.IndexByte(host, ']'); end == i-1 {
			return host[1:end]
		}
		return host
	}
	if strings.IndexByte(host, ':') != i {
		return host
	}
	return host[:i]
}

// register asks a ServeMux whether the pattern is well-formed and at peace
// with those before it: its panic is the only place where net/http says so.
func register(mux *http.ServeMux, text string) (err error) {
	if text == "" {
		return errors.New("the pattern is missing")
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = muxFault(text, fmt.Sprint(fault))
		}
	}()
	mux.Handle(lowerHost(text), http.NotFoundHandler())
	return nil
}

// muxFault makes one plain sentence of ServeMux's panic:
//
//	pattern "A" (registered at FILE:LINE) conflicts with pattern "B" (registered at FILE:LINE):
//	EXPLANATION
//
// or
//
//	parsing "A": at offset N: REASON
func muxFault(text, fault string) error {
	if _, other, ok := strings.Cut(fault, " conflicts with pattern "); ok {
		name, why, _ := strings.Cut(other, " (registered at ")
		_, why, _ = strings.Cut(why, "\n")
		why, _, _ = strings.Cut(why, "\n")
		why = strings.TrimSuffix(strings.TrimSpace(why), ".")
		if why == "" {
			return fmt.Errorf("%q conflicts with %s", text, name)
		}
		return fmt.Errorf("%q conflicts with %s: %s", text, name, why)
	}
	why := strings.TrimPrefix(fault, "http: ")
	if _, rest, ok := strings.Cut(fault, `": `); ok {
		why = rest
	}
	if strings.HasPrefix(why, "at offset ") {
		if _, rest, ok := strings.Cut(why, ": "); ok {
			why = rest
		}
	}
	return fmt.Errorf("%q is not a pattern: %s", text, why)
}
