package config

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Bounds on what a document may cost: no honest file comes near them.
const (
	maxNodes  = 200_000 // visited, aliases counted as often as they are used
	maxDepth  = 32
	maxFaults = 100
)

// places remembers where the keys of a mapping stand: "" is the mapping.
type places map[string]Position

// of is the place of a key's value, or of the mapping where the key is absent.
func (p places) of(key string) Position {
	if at, ok := p[key]; ok {
		return at
	}
	return p[""]
}

// scalar is a type with a text form of its own.
type scalar interface{ parse(text string) error }

// placed is a struct that wants to know where its keys stand.
type placed interface{ setPlaces(places) }

// beginner is a struct that is made ready before its keys are read.
type beginner interface{ begin(*yaml.Node) }

func (r *Route) setPlaces(p places) { r.at = p }
func (t *Test) setPlaces(p places)  { t.at = p }

// decoder fills typed values from YAML nodes and gathers faults. A value
// keeps what it held before where the file says nothing, so that defaults are
// filled in beforehand.
type decoder struct {
	file   string
	faults Faults
	nodes  int
	// where each value of the document stands, by pointer to the value.
	where map[any]Position
	// broken are places that have a fault; once decoding is over, nothing
	// more is said of them.
	broken  map[Position]bool
	decoded bool
	// route is what a route is before its own keys are read.
	route Route
}

func at(n *yaml.Node) Position { return Position{n.Line, n.Column} }

// named is where the value that v points to stands in the file; false where
// the file does not name it.
func (d *decoder) named(v any) (Position, bool) {
	p, ok := d.where[v]
	return p, ok
}

// wrong adds a fault at the value that v points to.
func (d *decoder) wrong(v any, format string, args ...any) {
	d.fault(d.where[v], format, args...)
}

// fault adds a fault, once; after maxFaults the rest is dropped.
func (d *decoder) fault(p Position, format string, args ...any) {
	f := Fault{d.file, p, fmt.Sprintf(format, args...)}
	if d.decoded && d.broken[p] || len(d.faults) == maxFaults || d.broken[p] && slices.Contains(d.faults, f) {
		return
	}
	if d.broken == nil {
		d.broken = make(map[Position]bool)
	}
	d.broken[p] = true
	d.faults = append(d.faults, f)
}

// value decodes n into v. name is what messages call it: the key.
func (d *decoder) value(n *yaml.Node, v reflect.Value, name string, depth int) {
	n, ok := d.resolve(n, depth)
	if !ok {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if d.where != nil {
		d.where[v.Addr().Interface()] = at(n)
	}
	_, isScalar := v.Addr().Interface().(scalar)
	switch kind := v.Kind(); {
	case v.Type() == reflect.TypeFor[Statuses]():
		d.statuses(n, v.Addr().Interface().(*Statuses), name, depth)
	case kind == reflect.Struct && !isScalar:
		d.structure(n, v, name, depth)
	case kind == reflect.Map:
		d.stringMap(n, v, name, depth)
	case kind == reflect.Slice:
		d.list(n, v, name, depth)
	default:
		d.scalar(n, v, name)
	}
}

// resolve follows an alias and keeps count, so that aliases of aliases cost
// no more than a long file.
func (d *decoder) resolve(n *yaml.Node, depth int) (*yaml.Node, bool) {
	if d.nodes++; d.nodes == maxNodes+1 || depth == maxDepth+1 {
		d.fault(at(n), "the file holds too much, or aliases that multiply")
	}
	if d.nodes > maxNodes || depth > maxDepth {
		return nil, false
	}
	for range maxDepth {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n, true
}

// is reports whether n is of the kind that is wanted, and adds a fault if
// not. A section of the file may be empty; anything deeper may not, since
// "keep:" with nothing behind it could mean everything or nothing.
func (d *decoder) is(n *yaml.Node, kind yaml.Kind, name, want string, depth int) bool {
	empty := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	if n.Kind != kind && (!empty || depth != 1) {
		d.fault(at(n), "%s is %s: %s is needed", name, describe(n), want)
	}
	return n.Kind == kind
}

// pairs calls do for each key of a mapping, once.
func (d *decoder) pairs(n *yaml.Node, name string, do func(key, value *yaml.Node)) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			d.fault(at(key), "a key of %s is %s: a word is needed", name, describe(key))
			continue
		}
		if key.Tag == "!!merge" {
			d.fault(at(key), "%s uses << to merge keys: write them out, or use defaults", name)
			continue
		}
		if line, ok := seen[key.Value]; ok {
			d.fault(at(key), "%s is named twice in %s: first on line %d", quoted(key.Value), name, line)
			continue
		}
		seen[key.Value] = key.Line
		do(key, n.Content[i+1])
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, name string, depth int) {
	where := places{"": at(n)}
	if p, ok := v.Addr().Interface().(placed); ok {
		defer p.setPlaces(where)
	}
	if b, ok := v.Addr().Interface().(beginner); ok {
		b.begin(n)
	}
	fields := fieldsOf(v.Type())
	if !d.is(n, yaml.MappingNode, name, "a mapping of keys", depth) {
		return
	}
	d.pairs(n, name, func(key, value *yaml.Node) {
		f, ok := fields[key.Value]
		if !ok {
			d.fault(at(key), "unknown key %s in %s%s", quoted(key.Value), name, hint(key.Value, fields))
			return
		}
		where[key.Value] = at(value)
		d.value(value, v.FieldByIndex(f.Index), key.Value, depth+1)
		d.bounds(value, v.FieldByIndex(f.Index), f)
	})
	for _, key := range sortedKeys(fields) {
		if _, named := where[key]; !named && tagged(fields[key], "required") {
			d.fault(at(n), "%s has no %s", name, key)
		}
	}
}

// bounds holds a value against its tag's enum, minimum and maximum.
func (d *decoder) bounds(n *yaml.Node, v reflect.Value, f reflect.StructField) {
	key, tag := f.Tag.Get("yaml"), f.Tag.Get("jsonschema")
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if tag == "" || !v.IsValid() || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return
	}
	enum := tagValues(tag, "enum")
	switch {
	case v.Kind() == reflect.String && len(enum) > 0 && !slices.Contains(enum, v.String()):
		d.fault(at(n), "%s is %s: %s is needed", key, quoted(v.String()), anyOf(enum))
	case v.Kind() == reflect.Int && n.Tag == "!!int":
		number := v.Int()
		if len(enum) > 0 && !slices.Contains(enum, strconv.FormatInt(number, 10)) {
			d.fault(at(n), "%s is %d: %s is needed", key, number, anyOf(enum))
		}
		for _, low := range tagValues(tag, "minimum") {
			if m, _ := strconv.ParseInt(low, 10, 64); number < m {
				d.fault(at(n), "%s is %d: at least %s is needed", key, number, low)
			}
		}
		for _, high := range tagValues(tag, "maximum") {
			if m, _ := strconv.ParseInt(high, 10, 64); number > m {
				d.fault(at(n), "%s is %d: at most %s is allowed", key, number, high)
			}
		}
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, name string, depth int) {
	if !d.is(n, yaml.SequenceNode, name, "a list", depth) {
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if route, ok := items.Index(i).Addr().Interface().(*Route); ok {
			*route = d.route
		}
		d.value(item, items.Index(i), memberName(name), depth+1)
	}
	v.Set(items)
}

func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, name string, depth int) {
	if !d.is(n, yaml.MappingNode, name, "a mapping of keys", depth) {
		return
	}
	m := make(map[string]string, len(n.Content)/2)
	d.pairs(n, name, func(key, value *yaml.Node) {
		var s string
		d.value(value, reflect.ValueOf(&s).Elem(), key.Value, depth+1)
		m[key.Value] = s
	})
	v.Set(reflect.ValueOf(m))
}

// namedStatuses are those that routes.yaml may name.
var namedStatuses = []int{200, 203, 204, 300, 301, 308, 404, 410}

func (d *decoder) statuses(n *yaml.Node, v *Statuses, name string, depth int) {
	if !d.is(n, yaml.MappingNode, name, "a mapping such as {404: 30s}", depth) {
		return
	}
	*v = make(Statuses, len(n.Content)/2)
	d.pairs(n, name, func(key, value *yaml.Node) {
		code, err := strconv.Atoi(key.Value)
		if err != nil || !slices.Contains(namedStatuses, code) {
			d.fault(at(key), "status %s cannot be named: 200, 203, 204, 300, 301, 308, 404 and 410 can", quoted(key.Value))
		}
		var life time.Duration
		before := len(d.faults)
		d.value(value, reflect.ValueOf(&life).Elem(), "status "+key.Value, depth+1)
		if life == 0 && len(d.faults) == before {
			d.fault(at(value), "status %s is 0: leave it out where it is not to be stored", key.Value)
		}
		(*v)[code] = life
	})
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, name string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(at(n), "%s is %s: %s is needed", name, describe(n), wanted(v))
		return
	}
	if n.Tag == "!!null" {
		d.fault(at(n), "%s has no value", name)
		return
	}
	if err := setScalar(n, v); err != nil {
		d.fault(at(n), "%s: %v", name, err)
	}
}

func setScalar(n *yaml.Node, v reflect.Value) error {
	if p, ok := v.Addr().Interface().(scalar); ok {
		return p.parse(n.Value)
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		life, err := ParseDuration(n.Value)
		v.SetInt(int64(life))
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		on, err := parseSwitch(n.Value)
		v.SetBool(on)
		return err
	case reflect.Int:
		number, err := strconv.ParseInt(n.Value, 10, 32)
		if err == nil && n.Tag == "!!str" {
			return fmt.Errorf("%s is text: leave out the quotes", quoted(n.Value))
		}
		if err != nil || n.Tag != "!!int" {
			return fmt.Errorf("%s is not a whole number", quoted(n.Value))
		}
		v.SetInt(number)
	case reflect.String:
		if n.Tag != "!!str" && n.Tag != "!!timestamp" {
			return fmt.Errorf("%s is %s: put it in quotes", quoted(n.Value), describe(n))
		}
		v.SetString(n.Value)
	default:
		panic("config: no way to read a " + v.Type().String())
	}
	return nil
}

// fieldsOf is a struct's fields by key, those of inline structs among them.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField)
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("yaml"); key != "" && !f.Anonymous {
			fields[key] = f
		}
	}
	return fields
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func tagged(f reflect.StructField, word string) bool {
	return slices.Contains(strings.Split(f.Tag.Get("jsonschema"), ","), word)
}

// tagValues are the values of name=value in a jsonschema tag.
func tagValues(tag, name string) (values []string) {
	for _, part := range strings.Split(tag, ",") {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			values = append(values, v)
		}
	}
	return values
}
