package iceberg_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

func schemaJSON(id int, fields string) string {
	return fmt.Sprintf(`{"type":"struct","schema-id":%d,"fields":[%s]}`, id, fields)
}

// field is a field of a schema, as JSON; of is its type, as JSON.
func field(id int, name, of string, required ...bool) string {
	return fmt.Sprintf(`{"id":%d,"name":%q,"type":%s,"required":%v}`, id, name, of, len(required) > 0)
}

// lineage is that of a table with the given schemas, of which the last is in use.
func lineage(t testing.TB, schemas ...string) *iceberg.Lineage {
	t.Helper()
	all := make([]string, len(schemas))
	for i, fields := range schemas {
		all[i] = schemaJSON(i, fields)
	}
	document := fmt.Sprintf(`{"format-version":3,"schemas":[%s],"current-schema-id":%d,"snapshots":[]}`, strings.Join(all, ","), len(all)-1)
	l, err := iceberg.ReadLineage([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wideFields has a column of each type.
var wideFields = strings.Join([]string{
	field(1, "s", `"string"`), field(2, "i", `"int"`), field(3, "l", `"long"`), field(4, "d", `"double"`), field(5, "dec", `"decimal(9, 2)"`),
	field(6, "day", `"date"`), field(7, "ts", `"timestamp"`), field(8, "tz", `"timestamptz"`), field(9, "b", `"boolean"`), field(10, "u", `"uuid"`),
	field(11, "bin", `"binary"`), field(12, "fix", `"fixed[2]"`), field(13, "t", `"time"`), field(14, "v", `"variant"`), field(15, "f", `"float"`),
	field(16, "user", `{"type":"struct","fields":[`+field(17, "ssn", `"string"`)+`,`+field(18, "name", `"string"`, true)+`]}`),
	field(19, "tags", `{"type":"list","element-id":20,"element":"string","element-required":false}`),
	field(21, "props", `{"type":"map","key-id":22,"key":"string","value-id":23,"value":{"type":"struct","fields":[`+field(24, "x", `"long"`)+`]},"value-required":false}`),
}, ",")

func TestBoundPredicates(t *testing.T) {
	t.Parallel()
	l := lineage(t, wideFields)
	for text, want := range map[string]string{
		`false`:                                 `false`,
		`{"type":"eq","term":"s","value":"EU"}`: `{"type":"eq","left":{"type":"reference","id":1},"right":{"type":"literal","value":"EU"}}`,
		`{"type":"not-eq","term":"user.ssn","value":"1"}`:                                 `{"type":"not-eq","left":{"type":"reference","id":17},"right":{"type":"literal","value":"1"}}`,
		`{"type":"in","term":"i","values":[1,-2]}`:                                        `{"type":"in","child":{"type":"reference","id":2},"values":[1,-2]}`,
		`{"type":"is-nan","term":"d"}`:                                                    `{"type":"is-nan","child":{"type":"reference","id":4}}`,
		`{"type":"not-null","term":"user"}`:                                               `{"type":"not-null","child":{"type":"reference","id":16}}`,
		`{"type":"is-null","term":"tags"}`:                                                `{"type":"is-null","child":{"type":"reference","id":19}}`,
		`{"type":"gt","term":"d","value":1}`:                                              `{"type":"gt","left":{"type":"reference","id":4},"right":{"type":"literal","value":1}}`,
		`{"type":"lt","term":"dec","value":"1.50"}`:                                       `{"type":"lt","left":{"type":"reference","id":5},"right":{"type":"literal","value":"1.50"}}`,
		`{"type":"lt-eq","term":"day","value":"2024-02-29"}`:                              `{"type":"lt-eq","left":{"type":"reference","id":6},"right":{"type":"literal","value":"2024-02-29"}}`,
		`{"type":"eq","term":"b","value":true}`:                                           `{"type":"eq","left":{"type":"reference","id":9},"right":{"type":"literal","value":true}}`,
		`{"type":"eq","term":"tz","value":"2024-01-01T00:00:00+00:00"}`:                   `{"type":"eq","left":{"type":"reference","id":8},"right":{"type":"literal","value":"2024-01-01T00:00:00+00:00"}}`,
		`{"type":"eq","term":"l","value":{"type":"literal","value":1,"data-type":"int"}}`: `{"type":"eq","left":{"type":"reference","id":3},"right":{"type":"literal","value":1}}`,
		`{"type":"and","left":{"type":"not","child":{"type":"is-null","term":"s"}},"right":{"type":"or","left":false,"right":{"type":"starts-with","term":"s","value":"E"}}}`: `{"type":"and","left":{"type":"not","child":{"type":"is-null","child":{"type":"reference","id":1}}},"right":{"type":"or","left":false,"right":{"type":"starts-with","left":{"type":"reference","id":1},"right":{"type":"literal","value":"E"}}}}`,
	} {
		got, err := mustPredicate(t, text).Bind(l)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"type":"eq","term":"S","value":"EU"}`:                                                       "no column S",
		`{"type":"eq","term":"ssn","value":"1"}`:                                                      "no column ssn",
		`{"type":"eq","term":"i","value":"1"}`:                                                        `"1" is no value of type int`,
		`{"type":"eq","term":"i","value":3000000000}`:                                                 "no value of type int",
		`{"type":"eq","term":"i","value":1.5}`:                                                        "no value of type int",
		`{"type":"eq","term":"s","value":1}`:                                                          "no value of type string",
		`{"type":"eq","term":"d","value":"NaN"}`:                                                      "no value of type double",
		`{"type":"eq","term":"dec","value":"1.5"}`:                                                    "no value of type decimal(9, 2)",
		`{"type":"eq","term":"day","value":"2023-02-29"}`:                                             "no value of type date",
		`{"type":"eq","term":"day","value":19000}`:                                                    "no value of type date",
		`{"type":"eq","term":"s","value":{"type":"literal","value":"2024-01-01","data-type":"date"}}`: "no value of type string",
		`{"type":"eq","term":"i","value":{"type":"literal","value":1,"data-type":"long"}}`:            "no value of type int",
		`{"type":"in","term":"s","values":["a",1]}`:                                                   "1 is no value",
		`{"type":"in","term":"i","values":{"type":"literals","values":[1],"data-type":"string"}}`:     "1 is no value",
		`{"type":"is-nan","term":"i"}`:                                                                "floating-point",
		`{"type":"starts-with","term":"i","value":1}`:                                                 "is for strings",
		`{"type":"eq","term":"user","value":1}`:                                                       "no value to compare with",
		`{"type":"eq","term":"v","value":1}`:                                                          "no value to compare with",
		`{"type":"eq","term":"tags.element","value":"a"}`:                                             "inside of tags, a list",
		`{"type":"eq","term":"props.key","value":"a"}`:                                                "inside of props, a map",
		`{"type":"eq","term":"props.value.x","value":1}`:                                              "inside of props, a map",
		`{"type":"eq","term":"props.x","value":1}`:                                                    "no column props.x",
		`{"type":"or","left":true,"right":{"type":"is-null","term":"gone"}}`:                          "no column gone",
	} {
		got, err := mustPredicate(t, text).Bind(l)
		if err == nil || !errors.Is(err, iceberg.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s %v, want %q", text, got, err, want)
		}
	}
}

// A name is what it ever was: renaming a column takes nothing out of a policy's reach.
func TestNamesThroughTheHistoryOfATable(t *testing.T) {
	t.Parallel()
	ids := func(l *iceberg.Lineage, path string) string {
		t.Helper()
		columns, err := l.Named(path)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, c := range columns {
			out = append(out, fmt.Sprint(c.ID))
		}
		return strings.Join(out, " ")
	}
	l := lineage(t,
		field(1, "ssn", `"int"`, true)+","+field(2, "zip", `"string"`)+","+field(3, "user", `{"type":"struct","fields":[`+field(4, "ssn", `"string"`)+`]}`)+","+field(5, "gone", `"string"`),
		field(1, "social", `"int"`)+","+field(2, "zip", `"string"`)+","+field(3, "person", `{"type":"struct","fields":[`+field(4, "number", `"string"`)+`]}`)+","+field(6, "user.ssn", `"string"`),
		field(1, "social", `"long"`)+","+field(2, "zip", `"string"`)+","+field(3, "person", `{"type":"struct","fields":[`+field(4, "number", `"string"`)+`]}`)+","+field(6, "user.ssn", `"string"`)+","+field(7, "ssn", `"string"`, true),
	)
	for path, want := range map[string]string{
		"ssn": "1 7", "social": "1", "zip": "2", "user.ssn": "4 6", "person.number": "4", "user": "3", "person": "3", "gone": "5", "number": "there is no column number, and no schema of the table has had one",
		"person.ssn": "there is no column person.ssn, and no schema of the table has had one",
	} {
		if got := ids(l, path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	columns, err := l.Named("ssn")
	if err != nil {
		t.Fatal(err)
	}
	// It is required by the schema in use, whatever it was; of types all count.
	if columns[0].Required || !columns[1].Required || len(columns[0].Types) != 3 || columns[0].Types[2].Kind != iceberg.KindLong {
		t.Errorf("got %+v", columns)
	}
	bind := func(text string) string {
		out, err := mustPredicate(t, text).Bind(l)
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	for text, want := range map[string]string{
		`{"type":"is-null","term":"social"}`: `{"type":"is-null","child":{"type":"reference","id":1}}`,
		`{"type":"is-null","term":"ssn"}`:    "column ssn has meant 2 different fields of the table (ids 1 and 7): which is meant can't be told",
		`{"type":"is-null","term":"gone"}`:   "column gone is not in the table any more",
		`{"type":"is-null","term":"user"}`:   `{"type":"is-null","child":{"type":"reference","id":3}}`,
	} {
		if got := bind(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, tc := range []struct {
		inner, outer int
		always, ever bool
	}{{4, 3, true, true}, {3, 4, false, false}, {6, 3, false, false}, {1, 1, false, false}, {99, 3, false, false}} {
		if always, ever := l.Within(tc.inner, tc.outer); always != tc.always || ever != tc.ever {
			t.Errorf("%d within %d: %v %v", tc.inner, tc.outer, always, ever)
		}
	}
	moved := lineage(t, field(1, "a", `{"type":"struct","fields":[`+field(2, "b", `"int"`)+`]}`), field(1, "a", `{"type":"struct","fields":[]}`)+","+field(2, "b", `"int"`))
	if always, ever := moved.Within(2, 1); always || !ever {
		t.Errorf("a field that was moved: %v %v", always, ever)
	}
	hidden := lineage(t, field(2, "b", `"int"`), field(1, "a", `{"type":"list","element-id":2,"element":"int","element-required":false}`))
	if got := ids(hidden, "b"); !strings.Contains(got, "inside of a, a list") {
		t.Errorf("a column that became an element: %s", got)
	}
}

func TestDocumentsWithoutALineage(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		``, `{}`, `{"schemas":[]}`, `{"current-schema-id":0}`, `{"schemas":[],"current-schema-id":0}`, `{"schemas":{},"current-schema-id":0}`,
		`{"schemas":[` + schemaJSON(1, "") + `],"current-schema-id":0}`, `{"schemas":[{"schema-id":0}],"current-schema-id":0}`, `{"schemas":[1],"current-schema-id":0}`,
		`{"schemas":[` + schemaJSON(0, "") + `],"current-schema-id":"0"}`,
	} {
		if _, err := iceberg.ReadLineage([]byte(document)); !errors.Is(err, iceberg.ErrCorrupt) {
			t.Errorf("%s: %v", document, err)
		}
	}
}
