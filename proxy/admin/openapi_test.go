package admin

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type openapiDoc struct {
	OpenAPI    string
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas map[string]struct {
			Properties map[string]json.RawMessage
			Required   []string
		}
		Responses map[string]json.RawMessage
	}
}

func readOpenAPI(t *testing.T) openapiDoc {
	t.Helper()
	var doc openapiDoc
	if err := json.Unmarshal(openapiJSON, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPI_lists_exactly_the_calls_served(t *testing.T) {
	a := New(Options{})
	var served, listed []string
	for _, rt := range a.routes {
		p := strings.TrimSuffix(rt.pattern, "{$}")
		if p == "PURGE /" {
			p = "PURGE /{path}"
		}
		served = append(served, p)
	}
	access := map[string]access{}
	for i, rt := range a.routes {
		access[served[i]] = rt.access
	}
	for path, item := range readOpenAPI(t).Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			call := strings.ToUpper(strings.TrimPrefix(method, "x-")) + " " + path
			listed = append(listed, call)
			var op struct{ Security *[]any }
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatal(err)
			}
			if free := op.Security != nil && len(*op.Security) == 0; free != (access[call] != guarded) {
				t.Errorf("%s: whether it needs the token is told wrong", call)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(listed)
	if !slices.Equal(served, listed) {
		t.Errorf("served %v\nlisted %v", served, listed)
	}
}

// TestOpenAPI_is_valid holds the document against the schema of OpenAPI 3.1
// that its makers publish.
func TestOpenAPI_is_valid(t *testing.T) {
	c := jsonschema.NewCompiler()
	file, err := os.ReadFile("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	const name = "https://spec.openapis.org/oas/3.1/schema/2022-10-07"
	if err := c.AddResource(name, rules); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapiJSON))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
}

func TestOpenAPI_references_resolve(t *testing.T) {
	doc := readOpenAPI(t)
	text := string(openapiJSON)
	for _, part := range strings.Split(text, `"$ref": "#/components/`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		kind, name, _ := strings.Cut(ref, "/")
		_, schema := doc.Components.Schemas[name]
		_, response := doc.Components.Responses[name]
		if kind == "schemas" && !schema || kind == "responses" && !response {
			t.Errorf("%s is nowhere", ref)
		}
	}
}

func TestOpenAPI_has_the_members_of_each_type(t *testing.T) {
	doc := readOpenAPI(t)
	for name, v := range map[string]any{
		"PurgeRequest": PurgeRequest{}, "PurgeReceipt": PurgeReceipt{}, "Selected": Selected{}, "EdgeAck": EdgeAck{},
		"AuditEntry": AuditEntry{}, "Explanation": Explanation{}, "KeyPart": KeyPart{}, "TierView": TierView{},
		"WarmRequest": WarmRequest{}, "WarmJob": WarmJob{}, "Route": Route{}, "Stats": Stats{}, "Sample": Sample{},
		"Edge": Edge{}, "Session": Session{}, "Revoked": Revoked{}, "Check": Check{}, "Readiness": readiness{},
		"Fault": Fault{}, "Problem": Problem{},
	} {
		var members, told []string
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			if tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); tag != "" {
				members = append(members, tag)
			}
		}
		for p := range doc.Components.Schemas[name].Properties {
			told = append(told, p)
		}
		slices.Sort(members)
		slices.Sort(told)
		if !slices.Equal(members, told) {
			t.Errorf("%s has %v\nthe description %v", name, members, told)
		}
		for _, r := range doc.Components.Schemas[name].Required {
			if !slices.Contains(members, r) {
				t.Errorf("%s requires %s, which it has not", name, r)
			}
		}
	}
}
