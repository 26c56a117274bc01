package iceberg

import (
	"fmt"
	"slices"
	"strings"
)

// SortOrder is one sort order of a table. It is immutable.
type SortOrder struct {
	ID     int
	Fields []SortField

	raw []byte
}

// SortField is one field of a sort order.
type SortField struct {
	SourceIDs []int
	Transform string
	Direction string // asc or desc
	NullOrder string // nulls-first or nulls-last
}

func (f *SortField) String() string {
	return fmt.Sprintf("%s(%s) %s %s", f.Transform, joinInts(f.SourceIDs), strings.ToUpper(f.Direction),
		strings.ToUpper(strings.ReplaceAll(f.NullOrder, "-", " ")))
}

func parseSortOrder(raw []byte) (*SortOrder, error) {
	r := readObject(raw, "sort order")
	o := &SortOrder{ID: r.int("order-id"), raw: raw}
	fields := r.array("fields")
	if r.err != nil {
		return nil, r.err
	}
	for _, elem := range fields {
		f, err := parseSortField(elem)
		if err != nil {
			return nil, err
		}
		o.Fields = append(o.Fields, f)
	}
	switch {
	case len(o.Fields) == 0 && o.ID != 0:
		return nil, invalidf("Unsorted order ID must be 0")
	case len(o.Fields) > 0 && o.ID == 0:
		return nil, invalidf("Sort order ID 0 is reserved for unsorted order")
	}
	return o, nil
}

func parseSortField(raw []byte) (SortField, error) {
	r := readObject(raw, "sort field")
	f := SortField{
		Transform: r.string("transform"),
		Direction: strings.ToLower(r.string("direction")),
		NullOrder: strings.ToLower(r.string("null-order")),
		SourceIDs: readSources(r),
	}
	switch {
	case r.err != nil:
		return f, r.err
	case f.Direction != "asc" && f.Direction != "desc":
		return f, invalidf("Invalid sort direction: %s", excerpt([]byte(f.Direction)))
	case f.NullOrder != "nulls-first" && f.NullOrder != "nulls-last":
		return f, invalidf("Unexpected null order: %s", excerpt([]byte(f.NullOrder)))
	}
	return f, checkTransform(f.Transform, nil)
}

func newSortOrder(id int, fields []SortField) *SortOrder {
	if len(fields) == 0 {
		id = 0
	}
	o := &SortOrder{ID: id, Fields: fields}
	dst := appendIntMember([]byte{'{'}, "order-id", int64(id))
	dst = append(appendName(dst, "fields"), '[')
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendStringMember(dst, "transform", f.Transform)
		dst = appendSources(dst, f.SourceIDs)
		dst = appendStringMember(dst, "direction", f.Direction)
		dst = appendStringMember(dst, "null-order", f.NullOrder)
		dst = append(dst, '}')
	}
	o.raw = append(dst, ']', '}')
	return o
}

func (o *SortOrder) same(other *SortOrder) bool {
	return slices.EqualFunc(o.Fields, other.Fields, func(a, b SortField) bool {
		return a.Transform == b.Transform && a.Direction == b.Direction && a.NullOrder == b.NullOrder &&
			slices.Equal(a.SourceIDs, b.SourceIDs)
	})
}

// check checks an order that is, or is to become, usable with a schema.
func (o *SortOrder) check(schema *schemaBody) error {
	for i := range o.Fields {
		f := &o.Fields[i]
		if err := checkSource(schema, f.SourceIDs, f.Transform, "sort", f.String()); err != nil {
			return err
		}
	}
	return nil
}
