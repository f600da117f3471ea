package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody is the largest body that any call takes.
const maxBody = 1 << 20

// decode reads the request's JSON object into v, strictly: encoding/json alone
// would take a member in any case, the last of several alike, and whatever
// follows the object. An empty body is an empty object.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	// curl -d says form data whatever it sends; a page of another origin can
	// say so too, but lacks the token, and the header that the cookie needs.
	if ct := r.Header.Get("Content-Type"); ct != "" {
		kind, _, err := mime.ParseMediaType(ct)
		if err != nil || kind != "application/json" && kind != "application/x-www-form-urlencoded" {
			return &Problem{Status: http.StatusUnsupportedMediaType, Detail: "the body must be application/json"}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is over %d bytes", tooLarge.Limit)}
		}
		return &Problem{Status: http.StatusBadRequest, Detail: "the body could not be read"}
	}
	return decodeBytes(body, v)
}

// decodeBytes is decode less the request.
func decodeBytes(body []byte, v any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return &Problem{Status: http.StatusBadRequest, Detail: "the body is not UTF-8"}
	}
	if err := soleMembers(body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonProblem(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return &Problem{Status: http.StatusBadRequest, Detail: "something follows the JSON object"}
	}
	return nil
}

// soleMembers refuses a body that is no object, and members of the object that
// come twice or are not spelled as they should be.
func soleMembers(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil {
		return jsonProblem(err)
	} else if t != json.Delim('{') {
		return &Problem{Status: http.StatusBadRequest, Detail: "the body must be a JSON object"}
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return jsonProblem(err)
		}
		name, _ := t.(string)
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || name == "" {
			return unknownField(name)
		}
		if slices.Contains(seen, name) {
			return badField(name, "given twice")
		}
		if seen = append(seen, name); len(seen) > 32 {
			return unknownField(name)
		}
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			return jsonProblem(err)
		}
	}
	return nil
}

func unknownField(name string) *Problem {
	if len(name) > 64 {
		name = name[:64] + "…"
	}
	return &Problem{Status: http.StatusBadRequest, Field: name, Detail: fmt.Sprintf("unknown field %q", name)}
}

// jsonProblem names what encoding/json did not like.
func jsonProblem(err error) *Problem {
	p := &Problem{Status: http.StatusBadRequest}
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &kind):
		p.Field = kind.Field
		p.Detail = fmt.Sprintf("%s: must be %s, not %s", kind.Field, typeName(kind.Type.String()), kind.Value)
	case errors.As(err, &syntax):
		p.Detail = fmt.Sprintf("not JSON, at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		p.Detail = "the JSON ends too early"
	default:
		p.Detail = strings.TrimPrefix(err.Error(), "json: ")
		if name, ok := strings.CutPrefix(p.Detail, "unknown field "); ok {
			p.Field = strings.Trim(name, `"`)
		}
	}
	return p
}

// typeName says a Go type in JSON's words.
func typeName(t string) string {
	switch {
	case strings.HasPrefix(t, "[]"):
		return "a list of strings"
	case t == "bool":
		return "true or false"
	case t == "int":
		return "a whole number"
	default:
		return "a string"
	}
}

// params are the parameters of a query, each known and, but for the lists,
// given once.
type params struct{ url.Values }

// parseParams reads r's query strictly: url.Values would drop a parameter
// with a semicolon or a bad escape.
func parseParams(r *http.Request, single []string, lists ...string) (params, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return params{}, &Problem{Status: http.StatusBadRequest, Detail: "the query is malformed"}
	}
	for name, values := range v {
		switch {
		case slices.Contains(lists, name):
		case !slices.Contains(single, name):
			return params{}, &Problem{Status: http.StatusBadRequest, Field: name, Detail: fmt.Sprintf("unknown parameter %q", name)}
		case len(values) > 1:
			return params{}, badField(name, "given twice")
		}
	}
	return params{v}, nil
}

// number reads a whole number from 1 to limit.
func (p params) number(name string, otherwise, limit int) (int, error) {
	if !p.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(p.Get(name))
	if err != nil || n < 1 || n > limit {
		return 0, badField(name, fmt.Sprintf("must be a whole number from 1 to %d", limit))
	}
	return n, nil
}

// Duration is a duration that JSON shows as Go does: "2s". A bare number is
// refused, for nobody knows its unit; empty text is none.
type Duration time.Duration

// MarshalJSON implements [json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(b []byte) error {
	if string(b) == "null" || string(b) == `""` {
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) == nil {
		if v, err := time.ParseDuration(text); err == nil {
			*d = Duration(v)
			return nil
		}
	}
	return &Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf(`%s is no duration such as "2s"`, clip(string(b), 40))}
}
