package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// validator checks values by the part of JSON Schema that ours uses.
type validator struct{ root map[string]any }

func (v validator) faults(schema map[string]any, value any, path string) (out []string) {
	if ref, ok := schema["$ref"].(string); ok {
		def := v.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")]
		return v.faults(def.(map[string]any), value, path)
	}
	if forms, ok := schema["oneOf"].([]any); ok {
		good := 0
		for _, s := range forms {
			if len(v.faults(s.(map[string]any), value, path)) == 0 {
				good++
			}
		}
		if good != 1 {
			out = append(out, fmt.Sprintf("%s: %v fits %d of oneOf", path, value, good))
		}
	}
	if c, ok := schema["const"]; ok && fmt.Sprint(c) != fmt.Sprint(value) {
		out = append(out, fmt.Sprintf("%s: %v is not %v", path, value, c))
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
		out = append(out, fmt.Sprintf("%s: %v is none of %v", path, value, enum))
	}
	switch schema["type"] {
	case "object":
		m, ok := value.(map[string]any)
		if !ok {
			return append(out, path+": no object")
		}
		properties, _ := schema["properties"].(map[string]any)
		for key, member := range m {
			if p, ok := properties[key].(map[string]any); ok {
				out = append(out, v.faults(p, member, path+"/"+key)...)
			} else if more, ok := schema["additionalProperties"].(map[string]any); ok {
				out = append(out, v.faults(more, member, path+"/"+key)...)
			} else {
				out = append(out, path+": unknown key "+key)
			}
		}
		required, _ := schema["required"].([]any)
		for _, key := range required {
			if _, ok := m[key.(string)]; !ok {
				out = append(out, path+": no "+key.(string))
			}
		}
	case "array":
		list, ok := value.([]any)
		if !ok {
			return append(out, path+": no array")
		}
		for i, item := range list {
			out = append(out, v.faults(schema["items"].(map[string]any), item, fmt.Sprintf("%s/%d", path, i))...)
		}
	case "string":
		s, ok := value.(string)
		pattern, _ := schema["pattern"].(string)
		if !ok || !regexp.MustCompile(pattern).MatchString(s) {
			out = append(out, fmt.Sprintf("%s: %v is no such text", path, value))
		}
	case "integer":
		if _, ok := value.(int); !ok {
			out = append(out, fmt.Sprintf("%s: %v is no integer", path, value))
		}
	}
	return out
}

func schemaOf(t *testing.T) validator {
	t.Helper()
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	v := validator{}
	if err := json.Unmarshal(data, &v.root); err != nil {
		t.Fatal(err)
	}
	return v
}

// plain turns YAML's map[any]any of number keys into JSON's objects.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			value[k] = plain(v)
		}
	case map[any]any:
		m := make(map[string]any)
		for k, v := range value {
			m[fmt.Sprint(k)] = plain(v)
		}
		return m
	case []any:
		for i, v := range value {
			value[i] = plain(v)
		}
	}
	return value
}

func TestSchemaAcceptsTheManual(t *testing.T) {
	v := schemaOf(t)
	if v.root["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("draft: %v", v.root["$schema"])
	}
	var doc any
	if err := yaml.Unmarshal([]byte(manual), &doc); err != nil {
		t.Fatal(err)
	}
	for _, fault := range v.faults(v.root, plain(doc), "") {
		t.Error(fault)
	}
}

// TestSchemaRefuses holds the schema against bad files whose faults it can
// know of: those of keys, words and forms.
func TestSchemaRefuses(t *testing.T) {
	v := schemaOf(t)
	for _, name := range []string{"unknown_key", "version", "version_missing", "durations", "sizes", "rates", "vary", "types", "numbers", "statuses", "refresh_ahead", "query", "sessions", "list"} {
		data, err := os.ReadFile(filepath.Join("testdata/bad", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := yaml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		if len(v.faults(v.root, plain(doc), "")) == 0 {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestSchemaAndLoaderKnowTheSameKeys compares them struct by struct.
func TestSchemaAndLoaderKnowTheSameKeys(t *testing.T) {
	v := schemaOf(t)
	defs := v.root["$defs"].(map[string]any)
	seen := 0
	var compare func(typ reflect.Type)
	compare = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || scalarSchema(typ) != nil {
			return
		}
		schema := v.root
		if typ != reflect.TypeFor[Document]() {
			schema = defs[typ.Name()].(map[string]any)
		}
		properties := schema["properties"].(map[string]any)
		fields := fieldsOf(typ)
		if got, want := strings.Join(sortedKeys(properties), " "), strings.Join(sortedKeys(fields), " "); got != want {
			t.Errorf("%s: schema %s, loader %s", typ.Name(), got, want)
		}
		for key, f := range fields {
			if f.Tag.Get("doc") == "" || properties[key].(map[string]any)["description"] != f.Tag.Get("doc") {
				t.Errorf("%s.%s has no description", typ.Name(), key)
			}
			compare(f.Type)
		}
		seen++
	}
	compare(reflect.TypeFor[Document]())
	if seen < 15 {
		t.Errorf("only %d structs compared", seen)
	}
}
