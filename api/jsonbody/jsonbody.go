// Package jsonbody reads request bodies that are JSON objects, and names the
// field at fault where one is not what it should be.
package jsonbody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Malformed is returned when a request body is not what the protocol asks for.
// Its text can be shown to the client.
type Malformed struct {
	// Field is the path of the field at fault, "" where it is the whole body.
	Field   string
	Problem string
}

// Error names the field and the problem.
func (m *Malformed) Error() string {
	if m.Field == "" {
		return "Invalid request body: " + m.Problem
	}
	return fmt.Sprintf("Invalid request body: field %q %s", m.Field, m.Problem)
}

// Fault is the error of a field.
func Fault(field, format string, args ...any) error {
	return &Malformed{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Decode reads a body that is one JSON object. Fields that it does not know are
// skipped: newer clients send them.
func Decode(body []byte, into any) error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return Fault("", "it is empty")
	case trimmed[0] != '{':
		return Fault("", "it is not a JSON object")
	case !utf8.Valid(body):
		return Fault("", "it is not valid UTF-8")
	}
	err := json.Unmarshal(body, into)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		if number, is := strings.CutPrefix(wrongType.Value, "number "); is {
			return Fault(wrongType.Field, "must be an integer of at most 64 bits, not %s", excerpt(number))
		}
		return Fault(wrongType.Field, "must be %s, not %s", typeName(wrongType), wrongType.Value)
	case errors.As(err, &syntax):
		return Fault("", "%s (at byte %d)", syntax.Error(), syntax.Offset)
	}
	return Fault("", "%s", err)
}

// typeName is what JSON calls the type that a field must have.
func typeName(err *json.UnmarshalTypeError) string {
	t := err.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "an integer"
}

// excerpt is what is shown of a number, which can be of any length.
func excerpt(number string) string {
	const most = 32
	if len(number) > most {
		return number[:most] + "…"
	}
	return number
}

// Present is raw, or nil where the field was missing or null.
func Present(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

// Values takes a map of properties whose values must not be null.
func Values(field string, in map[string]*string) (map[string]string, error) {
	out := make(map[string]string, len(in))
	for key, value := range in {
		if value == nil {
			return nil, Fault(field+"."+key, "must be a string, not null")
		}
		out[key] = *value
	}
	return out, nil
}

// Names takes a list of names none of which may be null.
func Names(field string, in []*string) ([]string, error) {
	out := make([]string, len(in))
	for i, name := range in {
		if name == nil {
			return nil, Fault(field, "must not hold null")
		}
		out[i] = *name
	}
	return out, nil
}
