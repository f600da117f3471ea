package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// validator is a schema as written, and compiled.
type validator struct {
	root   map[string]any
	schema *jsonschema.Schema
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
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("routes.json", doc); err != nil {
		t.Fatal(err)
	}
	if v.schema, err = c.Compile("routes.json"); err != nil {
		t.Fatal(err)
	}
	return v
}

// validate holds a YAML file against the schema.
func (v validator) validate(t *testing.T, text []byte) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(plain(doc))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v.schema.Validate(value)
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
	if err := v.validate(t, []byte(manual)); err != nil {
		t.Error(err)
	}
	for _, file := range []string{"../deploy/routes.yaml", "../deploy/certapp/routes.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.validate(t, data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
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
		if v.validate(t, data) == nil {
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
