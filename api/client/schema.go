package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Column is a column as people see it.
type Column struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Doc      string `json:"doc,omitempty"`
}

// schema is a table's or a view's schema as documents have it.
type schema struct {
	ID     int     `json:"schema-id"`
	Fields []field `json:"fields"`
}

type field struct {
	ID       int       `json:"id"`
	Name     string    `json:"name"`
	Type     fieldType `json:"type"`
	Required bool      `json:"required"`
	Doc      string    `json:"doc"`
}

// fieldType is a type: a word, or what is nested in it.
type fieldType struct {
	word   string
	kind   string
	fields []field // of a struct, or of a list or map under their roles
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *fieldType) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &t.word) == nil {
		return nil
	}
	var nested struct {
		Type      string
		Fields    []field
		ElementID int        `json:"element-id"`
		Element   *fieldType `json:"element"`
		KeyID     int        `json:"key-id"`
		Key       *fieldType `json:"key"`
		ValueID   int        `json:"value-id"`
		Value     *fieldType `json:"value"`
	}
	if err := json.Unmarshal(raw, &nested); err != nil {
		return err
	}
	t.kind, t.fields = nested.Type, nested.Fields
	for _, inner := range []struct {
		name string
		id   int
		of   *fieldType
	}{{"element", nested.ElementID, nested.Element}, {"key", nested.KeyID, nested.Key}, {"value", nested.ValueID, nested.Value}} {
		if inner.of != nil {
			t.fields = append(t.fields, field{ID: inner.id, Name: inner.name, Type: *inner.of})
		}
	}
	return nil
}

// String is the type as engines write it.
func (t *fieldType) String() string {
	if t.kind == "" {
		return t.word
	}
	inner := make([]string, len(t.fields))
	for i := range t.fields {
		inner[i] = t.fields[i].Type.String()
		if t.kind == "struct" {
			inner[i] = t.fields[i].Name + ": " + inner[i]
		}
	}
	return t.kind + "<" + strings.Join(inner, ", ") + ">"
}

func (s *schema) columns() []Column {
	out := make([]Column, len(s.Fields))
	for i := range s.Fields {
		f := &s.Fields[i]
		out[i] = Column{ID: f.ID, Name: f.Name, Type: f.Type.String(), Required: f.Required, Doc: f.Doc}
	}
	return out
}

// names are the full names of all fields, nested ones too, by their ids.
func (s *schema) names() map[int]string {
	out := map[int]string{}
	var walk func(prefix string, fields []field)
	walk = func(prefix string, fields []field) {
		for i := range fields {
			f := &fields[i]
			out[f.ID] = prefix + f.Name
			walk(prefix+f.Name+".", f.Type.fields)
		}
	}
	walk("", s.Fields)
	return out
}

// sources are the names of the fields that a partition or a sort field is made
// from. A field that the current schema has no more goes by its id.
func sources(names map[int]string, one int, more []int) string {
	if len(more) == 0 {
		more = []int{one}
	}
	out := make([]string, len(more))
	for i, id := range more {
		name, ok := names[id]
		if !ok {
			name = "#" + strconv.Itoa(id)
		}
		out[i] = name
	}
	return strings.Join(out, ", ")
}

// byID finds what a document refers to by a number.
func byID[T any](what string, all []T, id int, of func(*T) int) (*T, error) {
	for i := range all {
		if of(&all[i]) == id {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("the metadata names %s %d and does not have it", what, id)
}
