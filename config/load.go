package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"os"
	"reflect"
	"time"

	"gopkg.in/yaml.v3"

	"umbral/cachepolicy"
)

// maxFile is the largest routes.yaml that is read, in bytes.
const maxFile = 1 << 20

// File is a faultless routes.yaml, with every default filled in. It is
// immutable.
type File struct {
	// Path is the file's name as it was given.
	Path string
	// Rules are the listed routes, in the order of the file.
	Rules []cachepolicy.Rule
	// Limits are the rate limits: Limits[i] is that of Rules[i], zero: none.
	Limits []RateLimit
	// Unlisted is the rule of what no route lists.
	Unlisted cachepolicy.Rule
	Sessions Sessions
	// Warm is zero where the file has no such section.
	Warm  Warm
	Purge Purge
	// Methods (upper case) are let in besides the usual ones; KeepHeaders
	// (canonical form) are not dropped from requests.
	Methods     []string
	KeepHeaders []string
	// Bounds is the section "limits"; zero members: the edge's default.
	Bounds Limits
	Tests  []Test

	places []places
}

// Options is what the settings have to do with routes.yaml. The zero Options
// is what the settings' defaults give.
type Options struct {
	// TTL is that of a listed route that names none: CACHE_TIMEOUT; zero:
	// five minutes.
	TTL time.Duration
	// PlainHTTP is the opposite of COOKIE_SECURE.
	PlainHTTP bool
}

// At is where routes.yaml speaks of a field of a rule: the key's value, or
// the route where the key is absent. Fields are named as in YAML or as in
// [cachepolicy.Rule].
func (f *File) At(rule int, field string) Position {
	if rule < 0 || rule >= len(f.places) {
		return Position{}
	}
	if key, ok := ruleKeys[field]; ok {
		field = key
	}
	return f.places[rule].of(field)
}

// Fault is what is wrong with a rule, found later than by [Load].
func (f *File) Fault(rule int, field string, err error) Fault {
	return Fault{f.Path, f.At(rule, field), err.Error()}
}

// At is where the test stands in the file.
func (t *Test) At() Position { return t.at[""] }

// ruleKeys are the YAML keys of cachepolicy.Rule's fields.
var ruleKeys = map[string]string{
	"Pattern": "match", "Off": "cache", "TTL": "ttl", "Scope": "vary", "Tags": "tags",
	"VaryHeaders": "vary_headers", "VaryCookies": "vary_cookies", "Query": "query", "Status": "status",
	"StaleWhileRevalidate": "stale_while_revalidate", "StaleIfError": "stale_if_error",
	"StaleIfUnreachable": "stale_if_unreachable", "RefreshAhead": "refresh_ahead",
	"MaxObject": "max_object", "ESI": "esi", "Control": "control",
}

// Load reads routes.yaml. What is wrong with it comes back as [Faults], all
// of it; a file that is not there as an error that is [fs.ErrNotExist].
func Load(path string, o Options) (*File, error) {
	data, err := readBounded(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return Parse(path, data, o)
}

// Empty is what an absent routes.yaml means: no rules, every default.
func Empty(path string, o Options) *File {
	f, err := Parse(path, []byte("version: 1\n"), o)
	if err != nil {
		panic("config: the empty file is faulty: " + err.Error())
	}
	return f
}

// readBounded reads a file of at most limit bytes. Its errors are plain words
// without the path.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, plainError(err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, plainError(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the file is larger than %d KiB", limit>>10)
	}
	return data, nil
}

// fileError says in plain words why a file cannot be read.
type fileError struct {
	text string
	error
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.error }

func plainError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &fileError{"there is no such file", err}
	case errors.Is(err, fs.ErrPermission):
		return &fileError{"the file may not be read by this user", err}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return &fileError{path.Err.Error(), err}
	}
	return err
}

// Parse reads routes.yaml from memory; path is what faults call it.
func Parse(path string, data []byte, o Options) (*File, error) {
	d := &decoder{file: path, where: make(map[any]Position)}
	if len(data) > maxFile {
		d.fault(Position{}, "the file is larger than %d KiB", maxFile>>10)
		return nil, d.faults.err()
	}
	root := d.root(data)
	if root == nil {
		return nil, d.faults.err()
	}
	doc := blank(o)
	d.prepare(root, doc)
	d.value(root, reflect.ValueOf(doc).Elem(), "the file", 0)
	d.validate(doc, o)
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	f := doc.file(path, o)
	// The edge has the last word: what it refuses is a fault here, too.
	_, refused := cachepolicy.NewRoutes(f.Rules)
	for _, fault := range refused {
		d.faults = append(d.faults, f.Fault(fault.Index, fault.Field, fault.Err))
	}
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// blank is a document in which nothing has been said yet.
func blank(o Options) *Document {
	doc := &Document{
		Sessions: DefaultSessions(),
		Warm:     Warm{Concurrency: 2},
		Purge:    Purge{LagLimit: 10 * time.Second},
		Defaults: Shared{
			TTL: TTL(o.TTL), Vary: "public",
			StaleWhileRevalidate: -1, StaleIfError: -1, StaleIfUnreachable: time.Hour,
			MaxObject: 8 << 20,
		},
	}
	if o.TTL == 0 {
		doc.Defaults.TTL = TTL(5 * time.Minute)
	}
	doc.Sessions.Cookie.Name = "__Host-umbral"
	if o.PlainHTTP {
		doc.Sessions.Cookie.Name = "umbral"
	}
	return doc
}

// prepare works out what routes begin with, wherever in the file defaults and
// sessions stand. Their faults are found again, and kept, when their turn
// comes.
func (d *decoder) prepare(root *yaml.Node, doc *Document) {
	scratch, defaults, sessions := decoder{}, doc.Defaults, doc.Sessions
	section := func(name string, v any) {
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == name {
				scratch.value(root.Content[i+1], reflect.ValueOf(v).Elem(), name, 1)
				return
			}
		}
	}
	section("sessions", &sessions)
	defaults.Control = sessions.Control
	section("defaults", &defaults)
	d.route = Route{Shared: defaults}
}

// file is the faultless document in the words of the other rooms.
func (doc *Document) file(path string, o Options) *File {
	f := &File{
		Path: path, Sessions: doc.Sessions, Warm: doc.Warm, Purge: doc.Purge,
		Methods: doc.Methods, KeepHeaders: canonical(doc.KeepHeaders), Bounds: doc.Limits, Tests: doc.Tests,
	}
	f.Unlisted = Shared{
		TTL: TTL(cachepolicy.AppTTL), StaleWhileRevalidate: -1, StaleIfError: -1,
		StaleIfUnreachable: blank(o).Defaults.StaleIfUnreachable, MaxObject: blank(o).Defaults.MaxObject,
		Control: doc.Sessions.Control,
	}.rule()
	for i := range doc.Routes {
		route := &doc.Routes[i]
		f.Rules = append(f.Rules, route.rule())
		f.places = append(f.places, route.at)
		limit := RateLimit{}
		if route.RateLimit != nil {
			limit = *route.RateLimit
		}
		f.Limits = append(f.Limits, limit)
	}
	if len(doc.Warm.URLs) == 0 && doc.Warm.Sitemap == "" {
		f.Warm = Warm{}
	}
	return f
}

func (r *Route) rule() cachepolicy.Rule {
	rule := r.Shared.rule()
	rule.Pattern, rule.Off, rule.Tags = r.Match, r.Cache == Off, r.Tags
	return rule
}

var scopes = map[string]cachepolicy.Scope{
	"public": cachepolicy.Public, "session": cachepolicy.PerSession, "user": cachepolicy.PerUser,
}

func (s Shared) rule() cachepolicy.Rule {
	return cachepolicy.Rule{
		TTL: time.Duration(s.TTL), Scope: scopes[s.Vary],
		VaryHeaders: canonical(s.VaryHeaders), VaryCookies: s.VaryCookies,
		Query: cachepolicy.QueryRule{
			Keep: s.Query.Keep, Drop: s.Query.Drop, Ignore: bool(s.Query.Ignore), Sort: s.Query.Sort,
		},
		Status:               s.Status,
		StaleWhileRevalidate: s.StaleWhileRevalidate, StaleIfError: s.StaleIfError,
		StaleIfUnreachable: s.StaleIfUnreachable,
		RefreshAhead:       float64(s.RefreshAhead), MaxObject: int64(s.MaxObject),
		ESI: s.ESI, Control: s.Control,
	}
}

func canonical(names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, textproto.CanonicalMIMEHeaderKey(name))
	}
	return out
}
