package iceberg

import (
	"encoding/json"
	"strconv"
	"strings"
)

// CreateSpec is what a client asks for when it creates a table. Schema is
// required; PartitionSpec and SortOrder may be absent or null, which means none.
type CreateSpec struct {
	Location      string
	Schema        json.RawMessage
	PartitionSpec json.RawMessage
	SortOrder     json.RawMessage
	Properties    map[string]string
}

// NewTable makes the first version of a table. Columns get fresh ids, whatever
// ids the request has; they are only used to find the sources of partition and
// sort fields.
func NewTable(env Env, spec CreateSpec) (*Table, error) {
	version := defaultFormatVersion
	if text, ok := spec.Properties["format-version"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, invalidf("Invalid format version: %s", excerpt([]byte(text)))
		}
		version = n
	}
	b, err := newBuilder(env, nil, []Update{{formatVersion: version}})
	if err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, checkFormatVersion(version)
	}
	asked, err := parseAsked(spec.Schema, "schema", parseSchema)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		return nil, invalidf("Invalid schema: null")
	}
	fresh, lastID, err := freshSchema(asked.body)
	if err != nil {
		return nil, err
	}
	if err := b.addSchema(fresh); err != nil {
		return nil, err
	}
	b.lastColumnID = lastID
	if err := b.freshSpec(spec.PartitionSpec, asked.body, fresh.body); err != nil {
		return nil, err
	}
	if err := b.freshSortOrder(spec.SortOrder, asked.body, fresh.body); err != nil {
		return nil, err
	}
	// Tables made before zstd became the default of writers must not change
	// under their owners, so the default is written down for new ones.
	b.properties["write.parquet.compression-codec"] = "zstd"
	b.setProperties(spec.Properties)
	if err := checkProperties(spec.Properties, asked.body); err != nil {
		return nil, err
	}
	b.location = trimLocation(spec.Location)
	t, _, err := b.build()
	return t, err
}

// parseAsked parses an optional part of a request.
func parseAsked[T any](raw json.RawMessage, what string, parse func([]byte) (*T, error)) (*T, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	compact, err := compactJSON(raw)
	if err != nil {
		return nil, err
	}
	if isNull(compact) {
		return nil, nil
	}
	if compact[0] != '{' {
		return nil, invalidf("Cannot parse %s from non-object: %s", what, excerpt(compact))
	}
	return parse(compact)
}

// freshSchema numbers the columns of a schema from 1: all of one level before
// those within them.
func freshSchema(asked *schemaBody) (*Schema, int, error) {
	last := 0
	root, err := renumber(asked.root, &last)
	if err != nil {
		return nil, 0, err
	}
	fresh, err := newSchema(0, root.Fields, nil)
	if err != nil {
		return nil, 0, err
	}
	identifiers := make([]int, 0, len(asked.identifiers))
	for _, id := range asked.identifiers {
		identifiers = append(identifiers, fresh.body.named(asked.field(id).path).ID)
	}
	fresh, err = newSchema(0, root.Fields, identifiers)
	return fresh, last, err
}

func renumber(t *Type, last *int) (*Type, error) {
	if len(t.Fields) == 0 {
		return t, nil
	}
	out := *t
	out.Fields = make([]Field, len(t.Fields))
	for i, f := range t.Fields {
		if namesColumns(f.Type, f.InitialDefault) || namesColumns(f.Type, f.WriteDefault) {
			return nil, unsupportedf("Cannot create column %s: defaults of nested fields belong to the fields", f.Name)
		}
		*last++
		f.ID = *last
		out.Fields[i] = f
	}
	for i := range out.Fields {
		nested, err := renumber(out.Fields[i].Type, last)
		if err != nil {
			return nil, err
		}
		out.Fields[i].Type = nested
	}
	return &out, nil
}

// namesColumns tells whether a default refers to columns by their ids, which
// the value of a struct does.
func namesColumns(t *Type, value []byte) bool {
	switch t.Kind {
	case KindStruct:
		c := walkObject(value)
		return c.next()
	case KindList:
		for c := walkArray(value); c.next(); {
			if namesColumns(t.Fields[0].Type, c.val) {
				return true
			}
		}
	case KindMap:
		for c := walkObject(value); c.next(); {
			side := 0
			if string(c.key) == "values" {
				side = 1
			}
			for v := walkArray(c.val); v.next(); {
				if namesColumns(t.Fields[side].Type, v.val) {
					return true
				}
			}
		}
	}
	return false
}

// translate finds the fresh ids of columns of the schema that was asked for.
func translate(sources []int, asked, fresh *schemaBody, purpose, describe string) ([]int, error) {
	ids := make([]int, len(sources))
	for i, id := range sources {
		f := asked.field(id)
		if f == nil {
			return nil, invalidf("Cannot find source column for %s field: %s", purpose, describe)
		}
		ids[i] = fresh.named(f.path).ID
	}
	return ids, nil
}

func (b *builder) freshSpec(raw json.RawMessage, asked, fresh *schemaBody) error {
	unset := 0
	spec, err := parseAsked(raw, "spec", func(raw []byte) (*PartitionSpec, error) { return parseSpec(raw, &unset) })
	if err != nil {
		return err
	}
	var fields []PartitionField
	if spec != nil {
		for i := range spec.Fields {
			f := spec.Fields[i]
			if f.SourceIDs, err = translate(f.SourceIDs, asked, fresh, "partition", f.String()); err != nil {
				return err
			}
			f.FieldID = firstPartitionFieldID + i
			fields = append(fields, f)
		}
	}
	if err := b.addSpec(newSpec(0, fields)); err != nil {
		return err
	}
	return b.setDefaultSpec(lastAdded)
}

func (b *builder) freshSortOrder(raw json.RawMessage, asked, fresh *schemaBody) error {
	order, err := parseAsked(raw, "sort order", parseSortOrder)
	if err != nil {
		return err
	}
	var fields []SortField
	if order != nil {
		for i := range order.Fields {
			f := order.Fields[i]
			if f.SourceIDs, err = translate(f.SourceIDs, asked, fresh, "sort", f.String()); err != nil {
				return err
			}
			fields = append(fields, f)
		}
	}
	if err := b.addSortOrder(newSortOrder(1, fields)); err != nil {
		return err
	}
	return b.setDefaultSortOrder(lastAdded)
}

// checkProperties checks the properties that could not be followed. It is done
// for new tables only, so that no table that exists is broken by it.
func checkProperties(properties map[string]string, schema *schemaBody) error {
	const columnMetrics = "write.metadata.metrics.column."
	for name, value := range properties {
		if column, ok := strings.CutPrefix(name, columnMetrics); ok && schema.named(column) == nil {
			return invalidf("Invalid metrics config, could not find column %s from table prop %s in schema", column, name)
		}
		switch name {
		case "commit.retry.num-retries", "commit.retry.min-wait-ms", "commit.retry.max-wait-ms", "commit.retry.total-timeout-ms":
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				return invalidf("Table property %s must have integer value", name)
			}
			if n < 0 {
				return invalidf("Table property %s must have non negative integer value", name)
			}
		}
	}
	return nil
}
