package iceberg_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg"
)

const nestedSchema = `{"type":"struct","schema-id":9,"identifier-field-ids":[50],"fields":[
 {"id":40,"name":"tags","required":false,"type":{"type":"list","element-id":41,"element":{"type":"struct","fields":[{"id":42,"name":"k","required":true,"type":"string"}]},"element-required":true}},
 {"id":50,"name":"id","required":true,"type":"LONG","doc":"key"},
 {"id":60,"name":"props","required":false,"type":{"type":"map","key-id":61,"key":"string","value-id":62,"value":{"type":"struct","fields":[{"id":63,"name":"v","required":false,"type":"decimal(9,2)"}]},"value-required":false}},
 {"id":70,"name":"place","required":false,"type":{"type":"struct","fields":[{"id":71,"name":"zip","required":false,"type":"string"}]}}]}`

func TestCreateAssignsFreshIDs(t *testing.T) {
	t.Parallel()
	table, err := iceberg.NewTable(testEnv(testNow), iceberg.CreateSpec{
		Location:      "s3://b/t//",
		Schema:        []byte(nestedSchema),
		PartitionSpec: []byte(`{"spec-id":4,"fields":[{"source-id":50,"field-id":1500,"name":"b","transform":"bucket[16]"},{"source-id":71,"field-id":1400,"name":"zip","transform":"truncate[2]"}]}`),
		SortOrder:     []byte(`{"order-id":7,"fields":[{"source-id":71,"transform":"identity","direction":"DESC","null-order":"NULLS-LAST"}]}`),
		Properties:    map[string]string{"a": "b", "uuid": "no", "format-version": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, nil, table, iceberg.Changes{Put: table.Parts()})
	var want map[string]any
	d := json.NewDecoder(strings.NewReader(`{"format-version":2,"table-uuid":"5f0a0000-0000-4000-8000-000000000001","location":"s3://b/t",
	 "last-sequence-number":0,"last-updated-ms":1700000000000,"last-column-id":10,"current-schema-id":0,
	 "schemas":[{"type":"struct","schema-id":0,"identifier-field-ids":[2],"fields":[
	  {"id":1,"name":"tags","required":false,"type":{"type":"list","element-id":5,"element":{"type":"struct","fields":[{"id":6,"name":"k","required":true,"type":"string"}]},"element-required":true}},
	  {"id":2,"name":"id","required":true,"type":"long","doc":"key"},
	  {"id":3,"name":"props","required":false,"type":{"type":"map","key-id":7,"key":"string","value-id":8,"value":{"type":"struct","fields":[{"id":9,"name":"v","required":false,"type":"decimal(9, 2)"}]},"value-required":false}},
	  {"id":4,"name":"place","required":false,"type":{"type":"struct","fields":[{"id":10,"name":"zip","required":false,"type":"string"}]}}]}],
	 "default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[{"name":"b","transform":"bucket[16]","source-id":2,"field-id":1000},{"name":"zip","transform":"truncate[2]","source-id":10,"field-id":1001}]}],
	 "last-partition-id":1001,"default-sort-order-id":1,
	 "sort-orders":[{"order-id":1,"fields":[{"transform":"identity","source-id":10,"direction":"desc","null-order":"nulls-last"}]}],
	 "properties":{"a":"b","write.parquet.compression-codec":"zstd"},"current-snapshot-id":-1,"refs":{},
	 "snapshots":[],"snapshot-log":[],"metadata-log":[],"statistics":[],"partition-statistics":[]}`))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, decode(t, table.Document())); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if _, path, ok := table.CurrentSchema().FindField(6); !ok || path != "tags.element.k" {
		t.Errorf("field 6 is %q", path)
	}
	if f, ok := table.CurrentSchema().FindName("tags.k"); !ok || f.ID != 6 {
		t.Errorf("tags.k is %v", f)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	column := func(typ string) string {
		return `{"type":"struct","fields":[{"id":1,"name":"c","required":false,"type":` + typ + `}]}`
	}
	deep := strings.Repeat(`{"type":"list","element-required":false,"element-id":2,"element":`, 200) + `"int"` + strings.Repeat(`}`, 200)
	for name, c := range map[string]struct {
		spec  iceberg.CreateSpec
		class error
		text  string
	}{
		"no schema":            {iceberg.CreateSpec{}, iceberg.ErrInvalid, "Invalid schema: null"},
		"null schema":          {iceberg.CreateSpec{Schema: []byte(`null`)}, iceberg.ErrInvalid, "Invalid schema: null"},
		"schema is a list":     {iceberg.CreateSpec{Schema: []byte(`[]`)}, iceberg.ErrInvalid, "Cannot parse schema from non-object"},
		"not JSON":             {iceberg.CreateSpec{Schema: []byte(`{`)}, iceberg.ErrInvalid, "Cannot parse JSON"},
		"no struct":            {iceberg.CreateSpec{Schema: []byte(`{"type":"list"}`)}, iceberg.ErrInvalid, "not a struct type"},
		"too deep":             {iceberg.CreateSpec{Schema: []byte(column(deep))}, iceberg.ErrInvalid, "nested deeper than 100"},
		"too large":            {iceberg.CreateSpec{Schema: []byte(`{"type":"struct","fields":[],"x":"` + strings.Repeat("x", 8<<20) + `"}`)}, iceberg.ErrInvalid, "larger than"},
		"unknown type":         {iceberg.CreateSpec{Schema: []byte(column(`"interval"`))}, iceberg.ErrInvalid, "Cannot parse type string to primitive: interval"},
		"type of version 3":    {iceberg.CreateSpec{Schema: []byte(column(`"variant"`))}, iceberg.ErrInvalid, "variant is not supported until v3"},
		"two of a name":        {iceberg.CreateSpec{Schema: []byte(`{"type":"struct","fields":[{"id":1,"name":"c","required":false,"type":"int"},{"id":2,"name":"c","required":false,"type":"int"}]}`)}, iceberg.ErrInvalid, "multiple fields for name c: 1 and 2"},
		"two of an id":         {iceberg.CreateSpec{Schema: []byte(`{"type":"struct","fields":[{"id":1,"name":"c","required":false,"type":"int"},{"id":1,"name":"d","required":false,"type":"int"}]}`)}, iceberg.ErrInvalid, "multiple fields for id 1: c and d"},
		"optional identifier":  {iceberg.CreateSpec{Schema: []byte(`{"type":"struct","identifier-field-ids":[1],"fields":[{"id":1,"name":"c","required":false,"type":"int"}]}`)}, iceberg.ErrInvalid, "not a required field"},
		"no location":          {iceberg.CreateSpec{Schema: []byte(column(`"int"`))}, iceberg.ErrInvalid, "Table location is required"},
		"spec of no column":    {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), PartitionSpec: []byte(`{"fields":[{"source-id":5,"name":"p","transform":"identity"}]}`)}, iceberg.ErrInvalid, "Cannot find source column for partition field"},
		"transform of type":    {iceberg.CreateSpec{Schema: []byte(column(`"string"`)), PartitionSpec: []byte(`{"fields":[{"source-id":1,"name":"p","transform":"day"}]}`)}, iceberg.ErrInvalid, "Invalid source type string for transform: day"},
		"no buckets":           {iceberg.CreateSpec{Schema: []byte(column(`"string"`)), PartitionSpec: []byte(`{"fields":[{"source-id":1,"name":"p","transform":"bucket[0]"}]}`)}, iceberg.ErrInvalid, "Invalid number of buckets: 0"},
		"order of no column":   {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), SortOrder: []byte(`{"order-id":1,"fields":[{"source-id":5,"transform":"identity","direction":"asc","null-order":"nulls-first"}]}`)}, iceberg.ErrInvalid, "Cannot find source column for sort field: identity(5) ASC NULLS FIRST"},
		"version 4":            {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), Properties: map[string]string{"format-version": "4"}}, iceberg.ErrUnsupported, "v4"},
		"version 0":            {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), Properties: map[string]string{"format-version": "0"}}, iceberg.ErrInvalid, "Invalid format version"},
		"version two":          {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), Properties: map[string]string{"format-version": "two"}}, iceberg.ErrInvalid, "Invalid format version: two"},
		"retries":              {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), Properties: map[string]string{"commit.retry.num-retries": "x"}}, iceberg.ErrInvalid, "must have integer value"},
		"negative retries":     {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), Properties: map[string]string{"commit.retry.num-retries": "-1"}}, iceberg.ErrInvalid, "must have non negative integer value"},
		"metrics of no column": {iceberg.CreateSpec{Schema: []byte(column(`"int"`)), Properties: map[string]string{"write.metadata.metrics.column.zz": "full"}}, iceberg.ErrInvalid, "could not find column zz"},
	} {
		if name != "no location" {
			c.spec.Location = "s3://b/t"
		}
		_, err := iceberg.NewTable(testEnv(testNow), c.spec)
		if !errors.Is(err, c.class) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: error %v, want %v with %q", name, err, c.class, c.text)
		}
	}
}

func TestPartitionFieldIDs(t *testing.T) {
	t.Parallel()
	table := newTable(t, "2", nil)
	spec := func(fields string) string {
		return `[{"action":"add-spec","spec":{"fields":[` + fields + `]}},{"action":"set-default-spec","spec-id":-1}]`
	}
	ids := func() (out []int) {
		for _, f := range table.DefaultPartitionSpec().Fields {
			out = append(out, f.FieldID)
		}
		return out
	}
	table, _ = commit(t, testEnv(testNow), table, spec(`{"source-id":1,"name":"a","transform":"bucket[2]"}`))
	table, _ = commit(t, testEnv(testNow), table, spec(`{"source-id":2,"name":"b","transform":"bucket[2]"}`))
	if d := cmp.Diff([]int{1001}, ids()); d != "" {
		t.Errorf("another field has the id of an old one:\n%s", d)
	}
	table, _ = commit(t, testEnv(testNow), table, spec(`{"source-id":2,"name":"c","transform":"truncate[2]"},{"source-id":1,"name":"d","transform":"bucket[2]"}`))
	if d := cmp.Diff([]int{1002, 1000}, ids()); d != "" {
		t.Errorf("field ids:\n%s", d)
	}
	refuse(t, testEnv(testNow), table, spec(`{"source-id":1,"field-id":7,"name":"x","transform":"void"}`), iceberg.ErrInvalid, "at least 1000")
	refuse(t, testEnv(testNow), table, spec(`{"source-id":1,"field-id":1000,"name":"x","transform":"void"},{"source-id":1,"name":"y","transform":"void"}`), iceberg.ErrInvalid, "missing field IDs")
	refuse(t, testEnv(testNow), table, `[{"action":"remove-partition-specs","spec-ids":[3]}]`, iceberg.ErrInvalid, "Cannot remove the default partition spec")
	// Dropping the source of the default spec would leave a table nobody can write.
	refuse(t, testEnv(testNow), table, `[{"action":"add-schema","schema":{"type":"struct","fields":[{"id":2,"name":"s","required":false,"type":"string"}]}},{"action":"set-current-schema","schema-id":-1}]`,
		iceberg.ErrInvalid, "Cannot find source column for partition field")
	table, _ = commit(t, testEnv(testNow), table, `[{"action":"set-default-spec","spec-id":0},{"action":"remove-partition-specs","spec-ids":[1,2,3]}]`)
	if n := len(table.PartitionSpecs()); n != 1 {
		t.Errorf("%d specs, want 1", n)
	}
}
