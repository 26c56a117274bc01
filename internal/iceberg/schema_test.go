package iceberg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// createColumn makes a table of version 3 with one column and returns the column
// as it is stored.
func createColumn(typ, more string) (string, error) {
	table, err := iceberg.NewTable(testEnv(testNow), iceberg.CreateSpec{
		Location:   "s3://b/t",
		Schema:     fmt.Appendf(nil, `{"type":"struct","fields":[{"id":1,"name":"c","required":false,"type":%s%s}]}`, typ, more),
		Properties: map[string]string{"format-version": "3"},
	})
	if err != nil {
		return "", err
	}
	return string(table.CurrentSchema().JSON()), nil
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for in, out := range map[string]string{
		"boolean": "boolean", "INT": "int", "long": "long", "float": "float", "double": "double", "date": "date", "time": "time",
		"timestamp": "timestamp", "timestamptz": "timestamptz", "timestamp_ns": "timestamp_ns", "timestamptz_ns": "timestamptz_ns",
		"string": "string", "uuid": "uuid", "binary": "binary", "unknown": "unknown", "variant": "variant",
		"fixed[16]": "fixed[16]", "fixed[ 4 ]": "fixed[4]", "decimal(9,2)": "decimal(9, 2)", "decimal( 38 , 10 )": "decimal(38, 10)",
		"geometry": "geometry", "geometry(OGC:CRS84)": "geometry", "geometry(srid:4326)": "geometry(srid:4326)",
		"geography": "geography", "geography(srid:4269)": "geography(srid:4269)", "geography(srid:4269, Karney)": "geography(srid:4269, karney)",
		"geography(OGC:CRS84, spherical)": "geography",
		// What is no type.
		"decimal(39,2)": "", "decimal(9)": "", "fixed": "", "fixed[-1]": "", "fixed[99999999999]": "", "interval": "", "": "", "struct": "",
		"geography(x, flat)": "", "timestamp_ms": "",
	} {
		got, err := createColumn(fmt.Sprintf("%q", in), "")
		switch {
		case out == "" && err == nil:
			t.Errorf("type %q was accepted", in)
		case out != "" && (err != nil || !strings.Contains(got, fmt.Sprintf(`"required":false,"type":%q`, out))):
			t.Errorf("type %q became %s (%v), want %q", in, got, err, out)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ       string
		good, bad []string
	}{
		{"boolean", []string{"true", "false"}, []string{`"true"`, "1"}},
		{"int", []string{"34", "-2147483648"}, []string{"2147483648", "1.0", `"1"`, "1e3"}},
		{"long", []string{"9223372036854775807"}, []string{"9223372036854775808", "1.5"}},
		{"float", []string{"1.0", "-1.5e3", "1E5"}, []string{"1", `"1.0"`, "true"}},
		{"double", []string{"1.0", "-2.0"}, []string{"1", "{}"}},
		{"decimal(9,2)", []string{`"14.20"`, `"-0.05"`, `"1E-2"`}, []string{`"14.2"`, "14.20", `"x"`, `""`, `"."`}},
		{"string", []string{`"iceberg"`, `""`}, []string{"1"}},
		{"uuid", []string{`"f79c3e09-677c-4bbd-a479-3f349cb785e7"`}, []string{`"f79c3e09677c4bbda4793f349cb785e7"`, `"x"`, `"f79c3e09-677c-4bbd-a479-3f349cb785-7"`}},
		{"date", []string{`"2017-11-16"`, `"2024-02-29"`, `"-0044-03-15"`, `"+12024-02-29"`}, []string{`"2017-02-29"`, `"17-11-16"`, "17486", `"-44-03-15"`}},
		{"time", []string{`"22:31:08.123456"`, `"22:31:08"`, `"22:31"`}, []string{`"25:00:00"`, `"22:31:08.x"`, `"22"`}},
		{"timestamp", []string{`"2017-11-16T22:31:08.123456"`}, []string{`"2017-11-16 22:31:08"`, `"2017-11-16T22:31:08+00:00"`}},
		{"timestamptz", []string{`"2017-11-16T22:31:08.123456+00:00"`}, []string{`"2017-11-16T22:31:08.123456+01:00"`, `"2017-11-16T22:31:08Z"`}},
		{"timestamptz_ns", []string{`"2017-11-16T22:31:08.123456789+00:00"`}, []string{`"2017-11-16T22:31:08.1234567890+00:00"`}},
		{"fixed[2]", []string{`"0a1F"`}, []string{`"0a"`, `"zz11"`}},
		{"binary", []string{`"000102ff"`, `""`}, []string{`"0"`, `"xx"`}},
		{"variant", []string{"null"}, []string{"1"}},
		{"unknown", []string{"null"}, []string{"1"}},
	} {
		for _, value := range c.good {
			got, err := createColumn(fmt.Sprintf("%q", c.typ), `,"initial-default":`+value+`,"write-default":`+value)
			if err != nil {
				t.Errorf("%s default %s was refused: %v", c.typ, value, err)
			} else if value != "null" && (!strings.Contains(got, `"initial-default":`+value+",") || !strings.Contains(got, `"write-default":`+value)) {
				t.Errorf("%s default %s became %s", c.typ, value, got)
			}
		}
		for _, value := range c.bad {
			if _, err := createColumn(fmt.Sprintf("%q", c.typ), `,"write-default":`+value); err == nil {
				t.Errorf("%s default %s was accepted", c.typ, value)
			}
		}
	}
}

func TestNestedDefaults(t *testing.T) {
	t.Parallel()
	list := `{"type":"list","element-id":2,"element":"int","element-required":false}`
	maps := `{"type":"map","key-id":2,"key":"string","value-id":3,"value":"int","value-required":false}`
	structs := `{"type":"struct","fields":[{"id":2,"name":"a","required":false,"type":"int"}]}`
	for _, c := range []struct {
		typ, value string
		ok         bool
	}{
		{list, `[1,null,3]`, true}, {list, `["1"]`, false}, {list, `{}`, false},
		{maps, `{"keys":["a"],"values":[1]}`, true}, {maps, `{"keys":["a"],"values":["x"]}`, false},
		{maps, `{"keys":["a"]}`, false},
		{structs, `{}`, true}, {structs, `[]`, false}, {structs, `{"2":"x"}`, false},
		{structs, `{"2":1}`, false}, // column ids are about to change
	} {
		if _, err := createColumn(c.typ, `,"initial-default":`+c.value); (err == nil) != c.ok {
			t.Errorf("default %s of %s: %v", c.value, c.typ, err)
		}
	}
}

func TestIdentifierFields(t *testing.T) {
	t.Parallel()
	const fields = `[{"id":1,"name":"a","required":true,"type":"int"},{"id":2,"name":"d","required":true,"type":"double"},{"id":3,"name":"o","required":false,"type":"int"},` +
		`{"id":4,"name":"s","required":true,"type":{"type":"struct","fields":[{"id":5,"name":"in","required":true,"type":"int"}]}},` +
		`{"id":6,"name":"os","required":false,"type":{"type":"struct","fields":[{"id":7,"name":"in","required":true,"type":"int"}]}},` +
		`{"id":8,"name":"l","required":true,"type":{"type":"list","element-id":9,"element":"int","element-required":true}}]`
	for id, text := range map[int]string{
		1: "", 5: "", 2: "must not be float or double", 3: "not a required field", 4: "not a primitive type", 7: "nested in an optional field os", 9: "nested in l", 10: "does not exist",
	} {
		_, err := iceberg.NewTable(testEnv(testNow), iceberg.CreateSpec{Location: "x",
			Schema: fmt.Appendf(nil, `{"type":"struct","identifier-field-ids":[%d],"fields":%s}`, id, fields)})
		if text == "" && err != nil || text != "" && !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("identifier %d: error %v, want %q", id, err, text)
		}
	}
}

func TestTransforms(t *testing.T) {
	t.Parallel()
	for transform, types := range map[string]struct{ good, bad []string }{
		"identity":    {[]string{"int", "string", "unknown"}, []string{"variant", "geometry", "geography"}},
		"void":        {[]string{"int", "variant"}, nil},
		"year":        {[]string{"date", "timestamp", "timestamptz_ns"}, []string{"time", "int"}},
		"hour":        {[]string{"timestamp", "timestamptz", "timestamp_ns"}, []string{"date", "string"}},
		"bucket[8]":   {[]string{"int", "decimal(9,2)", "uuid", "fixed[3]", "time"}, []string{"float", "double", "boolean"}},
		"truncate[8]": {[]string{"int", "string", "binary", "decimal(9,2)"}, []string{"date", "uuid"}},
		"truncate[0]": {nil, []string{"int"}},
		"zorder[3]":   {[]string{"float"}, nil},
	} {
		for good, list := range map[bool][]string{true: types.good, false: types.bad} {
			for _, typ := range list {
				_, err := iceberg.NewTable(testEnv(testNow), iceberg.CreateSpec{
					Location: "x", Properties: map[string]string{"format-version": "3"},
					Schema:        fmt.Appendf(nil, `{"type":"struct","fields":[{"id":1,"name":"c","required":false,"type":%q}]}`, typ),
					PartitionSpec: fmt.Appendf(nil, `{"fields":[{"source-id":1,"name":"p","transform":%q}]}`, transform),
					SortOrder:     fmt.Appendf(nil, `{"order-id":1,"fields":[{"source-ids":[1],"transform":%q,"direction":"asc","null-order":"nulls-first"}]}`, transform),
				})
				if (err == nil) != good {
					t.Errorf("%s of %s: %v", transform, typ, err)
				}
			}
		}
	}
}
