package iceberg

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// maxSchemaDepth is how deep types may nest. Readers recurse over schemas; no
// one has a use for more.
const maxSchemaDepth = 100

// maxSchemaSize is how many bytes of JSON a schema may have. Each level of types
// is looked at once more for every level around it, so depth and size together
// are what reading costs; this is room for tens of thousands of columns.
const maxSchemaSize = 8 << 20

// Schema is one schema of a table or view. It is immutable and safe for
// concurrent use. Schemas that come from the store are only parsed when someone
// looks into them: a table may have many, and a commit needs few.
type Schema struct {
	id     int
	raw    []byte
	stored bool // it was checked before: what is wrong now is damage

	once sync.Once
	body *schemaBody
	err  error
}

type schemaBody struct {
	root        *Type
	identifiers []int
	fields      []indexedField
	byID        map[int]int
	byName      map[string]int
	highest     int
	canonical   []byte // everything but the id, for comparison
}

// indexedField is one field at any level.
type indexedField struct {
	*Field
	path   string
	parent int // index of the enclosing field, -1 at the top
}

// storedSchema wraps a schema that was checked when it was stored.
func storedSchema(raw []byte) (*Schema, error) {
	s, err := unparsedSchema(raw)
	if err == nil {
		s.stored = true
	}
	return s, err
}

func unparsedSchema(raw []byte) (*Schema, error) {
	r := readObject(raw, "schema")
	id := r.optInt("schema-id")
	if r.err != nil {
		return nil, r.err
	}
	s := &Schema{raw: raw}
	if id != nil {
		s.id = *id
	}
	return s, nil
}

// parseSchema reads and checks a schema. Without an id it gets 0.
func parseSchema(raw []byte) (*Schema, error) {
	if len(raw) > maxSchemaSize {
		return nil, invalidf("Invalid schema: larger than %d bytes", maxSchemaSize)
	}
	s, err := unparsedSchema(raw)
	if err != nil {
		return nil, err
	}
	if _, err := s.parsed(); err != nil {
		return nil, err
	}
	if r := readObject(raw, "schema"); r.optInt("schema-id") == nil {
		// Old writers left the id out of a single schema; lists need it.
		s.raw = s.encode(0)
	}
	return s, nil
}

// newSchema makes a schema from its parts, in canonical form.
func newSchema(id int, fields []Field, identifiers []int) (*Schema, error) {
	body, err := indexSchema(&Type{Kind: KindStruct, Fields: fields}, identifiers)
	if err != nil {
		return nil, err
	}
	s := &Schema{id: id, body: body}
	s.once.Do(func() {})
	s.raw = s.encode(id)
	return s, nil
}

// withID returns the schema under another id.
func (s *Schema) withID(id int) *Schema {
	out := &Schema{id: id, body: s.body, raw: s.encode(id)}
	out.once.Do(func() {})
	return out
}

func (s *Schema) encode(id int) []byte {
	dst := []byte(`{"type":"struct"`)
	dst = appendIntMember(dst, "schema-id", int64(id))
	return append(append(append(dst, ','), s.body.canonical...), '}')
}

func (s *Schema) parsed() (*schemaBody, error) {
	s.once.Do(func() {
		s.body, s.err = parseSchemaBody(s.raw)
		if s.err != nil && s.stored {
			s.err = corrupt(s.err)
		}
	})
	return s.body, s.err
}

func parseSchemaBody(raw []byte) (*schemaBody, error) {
	r := readObject(raw, "schema")
	kind := r.string("type")
	if r.err == nil && kind != "struct" {
		r.fail("Cannot create schema, not a struct type: %s", kind)
	}
	identifiers := r.ints("identifier-field-ids", r.optArray("identifier-field-ids"))
	if r.err != nil {
		return nil, r.err
	}
	root, err := parseStruct(r, 0)
	if err != nil {
		return nil, err
	}
	return indexSchema(root, identifiers)
}

func indexSchema(root *Type, identifiers []int) (*schemaBody, error) {
	b := &schemaBody{root: root, byID: map[int]int{}, byName: map[string]int{}}
	if err := b.index(root, "", -1); err != nil {
		return nil, err
	}
	b.shortNames(root, "")
	b.identifiers = slices.Clone(identifiers)
	slices.Sort(b.identifiers)
	b.identifiers = slices.Compact(b.identifiers)
	for _, id := range b.identifiers {
		if err := b.checkIdentifier(id); err != nil {
			return nil, err
		}
	}
	if len(b.identifiers) > 0 {
		b.canonical = append(b.canonical, `"identifier-field-ids":`...)
		b.canonical = append(appendInts(b.canonical, b.identifiers), ',')
	}
	b.canonical = append(b.canonical, `"fields":`...)
	b.canonical = appendFields(b.canonical, root.Fields)
	return b, nil
}

func (b *schemaBody) index(t *Type, prefix string, parent int) error {
	first := len(b.fields)
	for i := range t.Fields {
		f := &t.Fields[i]
		path := prefix + f.Name
		if f.ID < 0 {
			return invalidf("Invalid schema: field id of %s is negative: %d", path, f.ID)
		}
		if other, ok := b.byName[path]; ok {
			return invalidf("Invalid schema: multiple fields for name %s: %d and %d", path, b.fields[other].ID, f.ID)
		}
		if other, ok := b.byID[f.ID]; ok {
			return invalidf("Invalid schema: multiple fields for id %d: %s and %s", f.ID, b.fields[other].path, path)
		}
		b.byName[path], b.byID[f.ID] = len(b.fields), len(b.fields)
		b.fields = append(b.fields, indexedField{f, path, parent})
		b.highest = max(b.highest, f.ID)
	}
	for i := range t.Fields {
		if err := b.index(t.Fields[i].Type, b.fields[first+i].path+".", first+i); err != nil {
			return err
		}
	}
	return nil
}

// shortNames lets the fields of a struct that is a list's element or a map's
// value be found without that step in their name, where nothing else has it.
func (b *schemaBody) shortNames(t *Type, prefix string) {
	for i := range t.Fields {
		f := &t.Fields[i]
		name := prefix + f.Name
		if t.Kind != KindStruct && t.Kind != 0 && f.Type.Kind == KindStruct && f.Name != "key" {
			name = strings.TrimSuffix(prefix, ".")
		}
		if _, ok := b.byName[name]; !ok {
			b.byName[name] = b.byID[f.ID]
		}
		b.shortNames(f.Type, name+".")
	}
}

func (b *schemaBody) checkIdentifier(id int) error {
	i, ok := b.byID[id]
	if !ok {
		return invalidf("Cannot add fieldId %d as an identifier field: field does not exist", id)
	}
	f := b.fields[i]
	switch {
	case !f.Type.IsPrimitive():
		return invalidf("Cannot add field %s as an identifier field: not a primitive type field", f.Name)
	case !f.Required:
		return invalidf("Cannot add field %s as an identifier field: not a required field", f.Name)
	case f.Type.Kind == KindFloat || f.Type.Kind == KindDouble:
		return invalidf("Cannot add field %s as an identifier field: must not be float or double field", f.Name)
	}
	for p := f.parent; p >= 0; p = b.fields[p].parent {
		switch parent := b.fields[p]; {
		case parent.Type.Kind != KindStruct:
			return invalidf("Cannot add field %s as an identifier field: must not be nested in %s", f.Name, parent.path)
		case !parent.Required:
			return invalidf("Cannot add field %s as an identifier field: must not be nested in an optional field %s", f.Name, parent.path)
		}
	}
	return nil
}

// checkVersion checks that every field may be in a table of a format version.
func (b *schemaBody) checkVersion(version int) error {
	var problems []string
	for _, f := range b.fields {
		if least := f.Type.minFormatVersion(); version < least {
			problems = append(problems, "Invalid type for "+f.path+": "+f.Type.String()+" is not supported until v3")
		}
		if version < 3 && f.InitialDefault != nil {
			problems = append(problems, "Invalid initial default for "+f.path+": non-null default ("+excerpt(f.InitialDefault)+") is not supported until v3")
		}
	}
	if problems != nil {
		return invalidf("Invalid schema for v%d:\n- %s", version, strings.Join(problems, "\n- "))
	}
	return nil
}

func (b *schemaBody) field(id int) *indexedField {
	if i, ok := b.byID[id]; ok {
		return &b.fields[i]
	}
	return nil
}

func (b *schemaBody) named(name string) *indexedField {
	if i, ok := b.byName[name]; ok {
		return &b.fields[i]
	}
	return nil
}

// same tells whether two schemas differ only in their ids.
func (b *schemaBody) same(other *schemaBody) bool {
	return bytes.Equal(b.canonical, other.canonical)
}

// ID is the id of the schema within its table or view.
func (s *Schema) ID() int { return s.id }

// JSON is the schema as it is stored. It must not be modified.
func (s *Schema) JSON() []byte { return s.raw }

// Columns are the fields at the top level.
func (s *Schema) Columns() ([]Field, error) {
	b, err := s.parsed()
	if err != nil {
		return nil, err
	}
	return b.root.Fields, nil
}

// FindField returns the field with the given id at any level, and its full
// name.
func (s *Schema) FindField(id int) (f Field, path string, ok bool) {
	b, err := s.parsed()
	if err != nil {
		return Field{}, "", false
	}
	found := b.field(id)
	if found == nil {
		return Field{}, "", false
	}
	return *found.Field, found.path, true
}

// FindName returns the field with the given name; names of nested fields are
// joined by dots.
func (s *Schema) FindName(name string) (Field, bool) {
	b, err := s.parsed()
	if err != nil {
		return Field{}, false
	}
	if found := b.named(name); found != nil {
		return *found.Field, true
	}
	return Field{}, false
}
