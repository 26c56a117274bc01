package iceberg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// firstPartitionFieldID is where the ids of partition fields begin; they share
// no numbers with columns.
const firstPartitionFieldID = 1000

// PartitionSpec is one partition spec of a table. It is immutable.
type PartitionSpec struct {
	ID     int
	Fields []PartitionField

	raw   []byte
	bound bool // every field has its id
}

// PartitionField is one field of a partition spec.
type PartitionField struct {
	SourceIDs []int
	FieldID   int
	Name      string
	Transform string
}

func (f *PartitionField) String() string {
	return fmt.Sprintf("%d: %s: %s(%s)", f.FieldID, f.Name, f.Transform, joinInts(f.SourceIDs))
}

// derivation is what makes two partition fields produce the same values.
func (f *PartitionField) derivation() string {
	return joinInts(f.SourceIDs) + ":" + f.Transform
}

func joinInts(ids []int) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.Itoa(id)
	}
	return strings.Join(texts, ",")
}

// parseSpec reads a partition spec. A spec may have no field ids at all, then
// it is not bound yet.
func parseSpec(raw []byte, defaultID *int) (*PartitionSpec, error) {
	r := readObject(raw, "spec")
	s := &PartitionSpec{raw: raw}
	if defaultID != nil && !r.has("spec-id") {
		s.ID = *defaultID
	} else {
		s.ID = r.int("spec-id")
	}
	fields := r.raw("fields")
	if r.err != nil {
		return nil, r.err
	}
	var err error
	s.Fields, s.bound, err = parseSpecFields(fields)
	return s, err
}

func parseSpecFields(raw []byte) (fields []PartitionField, bound bool, err error) {
	c := walkArray(raw)
	ids := 0
	for c.next() {
		r := readObject(c.val, "partition field")
		f := PartitionField{Name: r.string("name"), Transform: r.string("transform"), SourceIDs: readSources(r)}
		if id := r.optInt("field-id"); id != nil {
			f.FieldID = *id
			ids++
		}
		if r.err != nil {
			return nil, false, r.err
		}
		if err := checkTransform(f.Transform, nil); err != nil {
			return nil, false, err
		}
		fields = append(fields, f)
	}
	if c.bad {
		return nil, false, invalidf("Cannot parse partition spec fields, not an array: %s", excerpt(raw))
	}
	if ids != 0 && ids != len(fields) {
		return nil, false, invalidf("Cannot parse spec with missing field IDs: %d missing of %d fields.", len(fields)-ids, len(fields))
	}
	return fields, ids == len(fields), nil
}

// numbered returns the spec with field ids counted up from the first, if it has
// none. That is how documents without them are meant.
func (s *PartitionSpec) numbered() *PartitionSpec {
	if s.bound {
		return s
	}
	fields := slices.Clone(s.Fields)
	for i := range fields {
		fields[i].FieldID = firstPartitionFieldID + i
	}
	return newSpec(s.ID, fields)
}

func newSpec(id int, fields []PartitionField) *PartitionSpec {
	s := &PartitionSpec{ID: id, Fields: fields, bound: true}
	s.raw = appendIntMember([]byte{'{'}, "spec-id", int64(id))
	s.raw = s.appendFields(appendName(s.raw, "fields"))
	s.raw = append(s.raw, '}')
	return s
}

func (s *PartitionSpec) appendFields(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range s.Fields {
		f := &s.Fields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendStringMember(dst, "name", f.Name)
		dst = appendStringMember(dst, "transform", f.Transform)
		dst = appendSources(dst, f.SourceIDs)
		dst = appendIntMember(dst, "field-id", int64(f.FieldID))
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// lastFieldID is the highest field id, or the one before the first.
func (s *PartitionSpec) lastFieldID() int {
	last := firstPartitionFieldID - 1
	for i := range s.Fields {
		last = max(last, s.Fields[i].FieldID)
	}
	return last
}

func (s *PartitionSpec) sequential() bool {
	for i := range s.Fields {
		if s.Fields[i].FieldID != firstPartitionFieldID+i {
			return false
		}
	}
	return true
}

// compatible tells whether two specs partition in the same way; ids of spec and
// fields do not count.
func (s *PartitionSpec) compatible(other *PartitionSpec) bool {
	return slices.EqualFunc(s.Fields, other.Fields, func(a, b PartitionField) bool {
		return a.Name == b.Name && a.Transform == b.Transform && slices.Equal(a.SourceIDs, b.SourceIDs)
	})
}

// check checks a spec that is, or is to become, usable with a schema.
func (s *PartitionSpec) check(schema *schemaBody) error {
	for i := range s.Fields {
		f := &s.Fields[i]
		if column := schema.named(f.Name); column != nil && !slices.Contains(f.SourceIDs, column.ID) {
			return invalidf("Cannot create identity partition sourced from different field in schema: %s", f.Name)
		}
		if err := checkSource(schema, f.SourceIDs, f.Transform, "partition", f.String()); err != nil {
			return err
		}
	}
	return s.checkNames()
}

// checkNames checks what must hold for a spec whatever the schema is.
func (s *PartitionSpec) checkNames() error {
	names := make(map[string]struct{}, len(s.Fields))
	ids := make(map[int]struct{}, len(s.Fields))
	for i := range s.Fields {
		f := &s.Fields[i]
		if f.Name == "" {
			return invalidf("Cannot use empty or null partition name: %s", f.Name)
		}
		if _, twice := names[f.Name]; twice {
			return invalidf("Cannot use partition name more than once: %s", f.Name)
		}
		if _, twice := ids[f.FieldID]; twice && s.bound {
			return invalidf("Cannot use partition field id more than once: %d", f.FieldID)
		}
		names[f.Name], ids[f.FieldID] = struct{}{}, struct{}{}
	}
	return nil
}
