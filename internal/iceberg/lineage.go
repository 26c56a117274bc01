package iceberg

import "slices"

// Lineage is the schemas that a table has and had: what each name means in it, and
// ever meant. It is immutable.
type Lineage struct {
	schemas []*schemaBody // oldest first
	current *schemaBody
	bytes   int
}

// Column is a field of a table, as all schemas of its lineage have it.
type Column struct {
	ID int
	// Types are those that it has and had, the oldest first.
	Types []*Type
	// Required tells that it is in each row; of one that the table has no more, that it was.
	Required bool
}

// ReadLineage reads the schemas of a table's metadata document.
func ReadLineage(document []byte) (*Lineage, error) {
	var schemas, current []byte
	c := walkObject(document)
	for (schemas == nil || current == nil) && c.next() {
		switch string(c.key) {
		case "schemas":
			schemas = c.val
		case "current-schema-id":
			current = c.val
		}
	}
	id, ok := decodeInt(current, 32)
	if c.bad || schemas == nil || !ok {
		return nil, corrupt(invalidf("The document has no schemas: %s", excerpt(document)))
	}
	l := &Lineage{bytes: len(schemas)}
	items := walkArray(schemas)
	for items.next() {
		s, err := storedSchema(items.val)
		if err != nil {
			return nil, corrupt(err)
		}
		b, err := s.parsed()
		if err != nil {
			return nil, err
		}
		l.schemas = append(l.schemas, b)
		if s.id == int(id) {
			l.current = b
		}
	}
	if items.bad || l.current == nil {
		return nil, corrupt(invalidf("The document has no schema %d", id))
	}
	return l, nil
}

// Bytes is about how much memory it takes: decoded, a schema takes some six times what
// it takes as text.
func (l *Lineage) Bytes() int { return 6 * l.bytes }

// Named returns the fields that a name means or ever meant, by their ids. The name is
// the whole path of a field from the top, with dots; what is inside of a list or a map
// has none here. A name that the table never had is refused.
func (l *Lineage) Named(path string) ([]Column, error) {
	var ids []int
	for _, b := range l.schemas {
		i, ok := b.byName[path]
		if !ok || b.fields[i].path != path {
			continue // a short name of something inside of a list or a map is not a path
		}
		if id := b.fields[i].ID; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, invalidf("there is no column %s, and no schema of the table has had one", excerpt([]byte(path)))
	}
	slices.Sort(ids)
	out := make([]Column, len(ids))
	for n, id := range ids {
		out[n].ID = id
		for _, b := range l.schemas {
			i, ok := b.byID[id]
			if !ok {
				continue
			}
			if around := b.around(i); around != nil {
				return nil, invalidf("column %s is inside of %s, a %s: name that one", excerpt([]byte(path)), around.path, around.Type)
			}
			out[n].Types = append(out[n].Types, b.fields[i].Type)
			out[n].Required = b.fields[i].Required
		}
		if f := l.current.field(id); f != nil {
			out[n].Required = f.Required
		}
	}
	return out, nil
}

// around is the list or map that a field is in, the innermost; nil is none.
func (b *schemaBody) around(i int) *indexedField {
	for p := b.fields[i].parent; p >= 0; p = b.fields[p].parent {
		if b.fields[p].Type.Kind != KindStruct {
			return &b.fields[p]
		}
	}
	return nil
}

// Within tells whether a field is inside of another: in all schemas that have the
// inner one, and in any.
func (l *Lineage) Within(inner, outer int) (always, ever bool) {
	always = true
	for _, b := range l.schemas {
		i, ok := b.byID[inner]
		if !ok {
			continue
		}
		inside := false
		for p := b.fields[i].parent; p >= 0 && !inside; p = b.fields[p].parent {
			inside = b.fields[p].ID == outer
		}
		always, ever = always && inside, ever || inside
	}
	return always && ever, ever
}

// readable is the field that a name means, where it never meant another and the table
// has it now.
func (l *Lineage) readable(path string) (Field, error) {
	columns, err := l.Named(path)
	if err != nil {
		return Field{}, err
	}
	if len(columns) > 1 {
		return Field{}, invalidf("column %s has meant %d different fields of the table (ids %d and %d): which is meant can't be told", excerpt([]byte(path)), len(columns), columns[0].ID, columns[1].ID)
	}
	f := l.current.field(columns[0].ID)
	if f == nil {
		return Field{}, invalidf("column %s is not in the table any more", excerpt([]byte(path)))
	}
	return *f.Field, nil
}
