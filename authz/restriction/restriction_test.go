package restriction_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/authz/restriction"
	"github.com/floeberg/floeberg/internal/iceberg"
)

func text(s string) *string { return &s }

// restrict is a policy's restriction; "" is an annotation that it does not have.
func restrict(t interface{ Fatal(...any) }, policy, filter, masks string) *restriction.Restriction {
	var f, m *string
	if filter != "" {
		f = &filter
	}
	if masks != "" {
		m = &masks
	}
	r, err := restriction.Parse(f, m)
	if err != nil {
		t.Fatal(err)
	}
	r.Policy = policy
	return &r
}

func lineage(t interface{ Fatal(...any) }, schemas ...string) *iceberg.Lineage {
	all := make([]string, len(schemas))
	for i, fields := range schemas {
		all[i] = fmt.Sprintf(`{"type":"struct","schema-id":%d,"fields":[%s]}`, i, fields)
	}
	l, err := iceberg.ReadLineage([]byte(fmt.Sprintf(`{"schemas":[%s],"current-schema-id":%d}`, strings.Join(all, ","), len(all)-1)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fields are columns of all kinds; id is required, card and user are not.
const fields = `{"id":1,"name":"id","type":"long","required":true},{"id":2,"name":"card","type":"string","required":false},` +
	`{"id":3,"name":"born","type":"date","required":false},{"id":4,"name":"user","required":false,"type":{"type":"struct","fields":[` +
	`{"id":5,"name":"ssn","type":"string","required":false},{"id":6,"name":"phone","type":"string","required":true}]}},` +
	`{"id":7,"name":"tags","required":false,"type":{"type":"list","element-id":8,"element":"string","element-required":false}},` +
	`{"id":9,"name":"paid","type":"double","required":false},{"id":10,"name":"region","type":"string","required":false}`

func TestAnnotationsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		filter, masks *string
		want          string
	}{
		{text(""), nil, "its @row_filter can't be used"},
		{text("region = 'EU'"), nil, "its @row_filter can't be used"},
		{text("true"), nil, "leaves no row out"},
		{text(`{"type":"true"}`), nil, "leaves no row out"},
		{nil, text(""), "its @column_mask can't be used: write an object"},
		{nil, text("ssn,email"), "write an object"},
		{nil, text(`["ssn"]`), "write an object"},
		{nil, text(`{}`), "names no column"},
		{nil, text(`{"ssn":"hide"}`), `column "ssn" has no action "hide"; there are mask-alphanum, mask-to-fixed-value, replace-with-null, sha-256-global, sha-256-query-local, show-first-4, show-last-4, truncate-to-month, truncate-to-year`},
		{nil, text(`{"ssn":""}`), `has no action ""`},
		{nil, text(`{"ssn":null}`), "has no action"},
		{nil, text(`{"ssn":{"action":"replace-with-null"}}`), "has no action"},
		{nil, text(`{"":"replace-with-null"}`), "has no name"},
		{nil, text(`{"a":"replace-with-null","a":"mask-alphanum"}`), "twice"},
		{nil, text(`{"a":"replace-with-null"`), "no JSON"},
		{nil, text(`{"a":"replace-with-null"}}`), "after the object"},
		{nil, text(`{"a":"replace-with-null"} x`), "after the object"},
		{text(`false`), text(`{}`), "its @column_mask"},
	} {
		if _, err := restriction.Parse(tc.filter, tc.masks); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v", tc, err)
		}
	}
}

// Golden: what readers are told, to the byte.
func TestBoundRestrictions(t *testing.T) {
	t.Parallel()
	l := lineage(t, fields)
	const isEU = `{"type":"eq","term":"region","value":"EU"}`
	for _, tc := range []struct {
		name string
		set  restriction.Set
		want string
	}{
		{"rows", restriction.Set{restrict(t, "p", isEU, "")},
			`{"required-row-filter":{"type":"eq","left":{"type":"reference","id":10},"right":{"type":"literal","value":"EU"}}}`},
		{"columns", restriction.Set{restrict(t, "p", "", `{"card":"show-last-4","born":"truncate-to-year","user.ssn":"replace-with-null"}`)},
			`{"required-column-projections":[{"field-id":2,"action":"show-last-4"},{"field-id":3,"action":"truncate-to-year"},{"field-id":5,"action":"replace-with-null"}]}`},
		{"both", restriction.Set{restrict(t, "p", `false`, `{"card":"mask-alphanum"}`)},
			`{"required-column-projections":[{"field-id":2,"action":"mask-alphanum"}],"required-row-filter":false}`},
		{"rows must fulfil all filters", restriction.Set{restrict(t, "p", isEU, ""), restrict(t, "q", `{"type":"gt","term":"paid","value":1.5}`, ""), restrict(t, "r", isEU, "")},
			`{"required-row-filter":{"type":"and","left":{"type":"eq","left":{"type":"reference","id":10},"right":{"type":"literal","value":"EU"}},"right":{"type":"gt","left":{"type":"reference","id":9},"right":{"type":"literal","value":1.5}}}}`},
		{"the stricter mask", restriction.Set{restrict(t, "p", "", `{"card":"show-last-4"}`), restrict(t, "q", "", `{"card":"show-first-4","born":"truncate-to-month"}`), restrict(t, "r", "", `{"born":"replace-with-null"}`)},
			`{"required-column-projections":[{"field-id":2,"action":"mask-alphanum"},{"field-id":3,"action":"replace-with-null"}]}`},
		{"what must have a value is not null", restriction.Set{restrict(t, "p", "", `{"id":"replace-with-null","user.phone":"replace-with-null"}`)},
			`{"required-column-projections":[{"field-id":1,"action":"mask-to-fixed-value"},{"field-id":6,"action":"mask-to-fixed-value"}]}`},
		{"a masked parent covers what is in it", restriction.Set{restrict(t, "p", "", `{"user":"replace-with-null"}`), restrict(t, "q", "", `{"user.ssn":"show-last-4","tags":"mask-to-fixed-value"}`)},
			`{"required-column-projections":[{"field-id":4,"action":"replace-with-null"},{"field-id":7,"action":"mask-to-fixed-value"}]}`},
	} {
		bound, err := tc.set.Bind(l)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, string(bound.JSON())); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
	if bound, err := (restriction.Set{}).Bind(l); bound != nil || err != nil {
		t.Errorf("nothing is bound as %v %v", bound, err)
	}
	if got := string(restriction.NoRows().JSON()); got != `{"required-row-filter":false}` {
		t.Errorf("no rows are %s", got)
	}
}

func TestWhatDoesNotFitATable(t *testing.T) {
	t.Parallel()
	l := lineage(t, fields)
	for _, tc := range []struct{ filter, masks, want string }{
		{"", `{"ssn":"replace-with-null"}`, "policy p: there is no column ssn"},
		{"", `{"CARD":"replace-with-null"}`, "no column CARD"},
		{"", `{"tags.element":"replace-with-null"}`, "inside of tags, a list"},
		{"", `{"born":"show-last-4"}`, "column born: show-last-4 is not for columns of type date"},
		{"", `{"user":"mask-alphanum"}`, "not for columns of type struct"},
		{"", `{"paid":"sha-256-global"}`, "not for columns of type double"},
		{"", `{"card":"truncate-to-year"}`, "not for columns of type string"},
		{`{"type":"is-null","term":"nothing"}`, "", "policy p: there is no column nothing"},
	} {
		if _, err := (restriction.Set{restrict(t, "p", tc.filter, tc.masks)}).Bind(l); !errors.Is(err, restriction.ErrUnfit) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v", tc, err)
		}
	}
	unreadable := restriction.Set{{Policy: "p", Unreadable: "it has an action of a newer program"}}
	if _, err := unreadable.Bind(l); !errors.Is(err, restriction.ErrUnfit) || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("what can't be read: %v", err)
	}
	moved := lineage(t,
		`{"id":1,"name":"a","required":false,"type":{"type":"struct","fields":[{"id":2,"name":"b","type":"string","required":false}]}}`,
		`{"id":1,"name":"a","required":false,"type":{"type":"struct","fields":[]}},{"id":2,"name":"b","type":"string","required":false}`)
	if _, err := (restriction.Set{restrict(t, "p", "", `{"a":"replace-with-null","b":"replace-with-null"}`)}).Bind(moved); !errors.Is(err, restriction.ErrUnfit) || !strings.Contains(err.Error(), "was moved") {
		t.Errorf("a field that was moved: %v", err)
	}
}

// What a column is called now says nothing about what a policy meant.
func TestMasksFollowRenamedColumns(t *testing.T) {
	t.Parallel()
	column := func(id int, name string) string {
		return fmt.Sprintf(`{"id":%d,"name":%q,"type":"string","required":false}`, id, name)
	}
	mask := restriction.Set{restrict(t, "p", "", `{"ssn":"replace-with-null"}`)}
	for name, tc := range map[string]struct {
		schemas []string
		want    string
	}{
		"renamed":                 {[]string{column(1, "ssn"), column(1, "x")}, `[1]`},
		"renamed, another added":  {[]string{column(1, "ssn"), column(1, "x") + "," + column(2, "ssn")}, `[1 2]`},
		"swapped":                 {[]string{column(1, "ssn") + "," + column(2, "x"), column(1, "x") + "," + column(2, "ssn")}, `[1 2]`},
		"dropped and added again": {[]string{column(1, "ssn"), column(3, "y"), column(2, "ssn")}, `[1 2]`},
		// Readers that travel back in time find it.
		"dropped": {[]string{column(1, "ssn"), column(3, "y")}, `[1]`},
	} {
		bound, err := mask.Bind(lineage(t, tc.schemas...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := fmt.Sprint(maskedBy(t, bound)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
