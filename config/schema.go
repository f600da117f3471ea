package config

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/invopop/jsonschema"
)

// Patterns of the text forms, as [ParseDuration] and its kin read them.
const (
	durationForm = `(0|\d+d|(\d+d)?(\d+(\.\d+)?(h|m|s|ms|us|µs|ns))+)`
	sizeForm     = `^(\d+|\d+ *[bB]|\d+(\.\d+)? *[kKmMgGtT][iI]?[bB])$`
	rateForm     = `^(\d+/[smhd]|0)$`
	percentForm  = `^\d{1,2}(\.\d+)?%$`
)

// Schema is the JSON Schema (draft 2020-12) of routes.yaml, indented.
func Schema() ([]byte, error) {
	r := &jsonschema.Reflector{
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, ExpandedStruct: true, Anonymous: true,
		Mapper: scalarSchema,
		LookupComment: func(t reflect.Type, field string) string {
			if t.Kind() != reflect.Struct {
				return ""
			}
			f, _ := t.FieldByName(field)
			return f.Tag.Get("doc")
		},
	}
	schema := r.Reflect(&Document{})
	schema.Title = "Umbral routes.yaml"
	schema.Description = "What the Umbral edge does with each route of the app behind it."
	return json.MarshalIndent(schema, "", "  ")
}

// scalarSchema describes the types that have a text form of their own.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	form := func(pattern string, examples ...any) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Examples: examples}
	}
	number := &jsonschema.Schema{Type: "integer", Minimum: "0"}
	zero := &jsonschema.Schema{Const: 0}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{form("^"+durationForm+"$", "30s", "15m", "7d"), zero}}
	case reflect.TypeFor[TTL]():
		return form("^("+durationForm+"|app)$", "15m", "1d", "app")
	case reflect.TypeFor[Size]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{form(sizeForm, "8MiB", "64KiB"), number}}
	case reflect.TypeFor[Rate]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{form(rateForm, "10/m", "5/s"), zero}}
	case reflect.TypeFor[Percent]():
		return form(percentForm, "10%")
	case reflect.TypeFor[AllWord]():
		return &jsonschema.Schema{Const: "all"}
	case reflect.TypeFor[Switch](), reflect.TypeFor[bool]():
		return &jsonschema.Schema{Enum: []any{"on", "off", "true", "false", true, false}}
	case reflect.TypeFor[Secret]():
		return &jsonschema.Schema{Type: "string"}
	case reflect.TypeFor[Statuses]():
		return statusesSchema()
	}
	return nil
}

func statusesSchema() *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	for _, code := range namedStatuses {
		text, _ := json.Marshal(code)
		properties.Set(string(text), scalarSchema(reflect.TypeFor[time.Duration]()))
	}
	return &jsonschema.Schema{Type: "object", Properties: properties, AdditionalProperties: jsonschema.FalseSchema}
}
