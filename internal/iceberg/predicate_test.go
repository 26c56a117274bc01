package iceberg_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

func mustPredicate(t testing.TB, text string) *iceberg.Predicate {
	t.Helper()
	p, err := iceberg.ParsePredicate([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// Whichever form a predicate comes in, it has one of its own.
func TestPredicateForms(t *testing.T) {
	t.Parallel()
	const (
		region = `{"type":"reference","name":"region"}`
		isEU   = `{"type":"eq","left":` + region + `,"right":{"type":"literal","value":"EU"}}`
		isNull = `{"type":"is-null","child":` + region + `}`
	)
	for text, want := range map[string]string{
		`true`:             `true`,
		`{"type":"false"}`: `false`,
		` { "type": "eq", "term": "region", "value": "EU" } `:                                                        isEU,
		`{"type":"eq","left":` + region + `,"right":"EU"}`:                                                           isEU,
		`{"type":"eq","left":` + region + `,"right":{"type":"literal","value":"EU","data-type":"string"}}`:           isEU,
		`{"type":"eq","term":` + region + `,"value":"EU"}`:                                                           isEU,
		`{"type":"not","child":{"type":"is-null","term":"region"}}`:                                                  `{"type":"not","child":` + isNull + `}`,
		`{"type":"and","left":{"type":"is-null","child":` + region + `},"right":false}`:                              `{"type":"and","left":` + isNull + `,"right":false}`,
		`{"type":"or","left":` + isEU + `,"right":` + isNull + `}`:                                                   `{"type":"or","left":` + isEU + `,"right":` + isNull + `}`,
		`{"type":"in","term":"region","values":["EU",{"type":"literal","value":"US"}]}`:                              `{"type":"in","child":` + region + `,"values":["EU","US"]}`,
		`{"type":"not-in","child":` + region + `,"values":{"type":"literals","values":["EU"],"data-type":"string"}}`: `{"type":"not-in","child":` + region + `,"values":["EU"]}`,
		`{"type":"lt-eq","term":"n","value":-1.5}`:                                                                   `{"type":"lt-eq","left":{"type":"reference","name":"n"},"right":{"type":"literal","value":-1.5}}`,
		`{"type":"starts-with","term":"a \"b\"","value":"x"}`:                                                        `{"type":"starts-with","left":{"type":"reference","name":"a \"b\""},"right":{"type":"literal","value":"x"}}`,
	} {
		p := mustPredicate(t, text)
		if got := string(p.JSON()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if !json.Valid(p.JSON()) {
			t.Errorf("%s is no JSON", p.JSON())
		}
		if again := mustPredicate(t, want).JSON(); string(again) != want {
			t.Errorf("%s becomes %s", want, again)
		}
		if p.AlwaysTrue() != (want == "true") {
			t.Errorf("%s is always true: %v", want, p.AlwaysTrue())
		}
	}
}

func TestPredicatesThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                    "Cannot parse JSON",
		`region = 'EU'`:                       "Cannot parse JSON",
		`"region"`:                            "non-object",
		`null`:                                "non-object",
		`[]`:                                  "non-object",
		`{}`:                                  "type",
		`{"type":"eqq"}`:                      `no operation "eqq"; there are and, eq`,
		`{"type":"eq","term":"a","value":1}x`: "after the value",
		`{"type":"eq","type":"in","term":"a","value":1}`:                                      "twice",
		`{"type":"eq","term":"a"}`:                                                            "eq has no right",
		`{"type":"eq","value":1}`:                                                             "eq has no left",
		`{"type":"eq","term":"a","left":{"type":"reference","name":"a"},"value":1}`:           "both left and term",
		`{"type":"eq","term":"a","right":1,"value":1}`:                                        "both right and value",
		`{"type":"eq","left":"a","right":1}`:                                                  `{"type":"reference","name":"…"}`,
		`{"type":"eq","left":1,"right":{"type":"reference","name":"a"}}`:                      `{"type":"reference","name":"…"}`,
		`{"type":"eq","term":"a","value":null}`:                                               "has no right",
		`{"type":"eq","term":"a","value":[1]}`:                                                "must compare a column with a value",
		`{"type":"eq","term":"a","value":{"type":"literal","value":null}}`:                    "value",
		`{"type":"eq","term":"a","value":{"type":"literal","value":{}}}`:                      "a text, a number",
		`{"type":"eq","term":"a","value":{"type":"literal","value":1,"data-type":"integer"}}`: "integer",
		`{"type":"eq","term":"a","value":{"type":"literal","value":1,"x":1}}`:                 `no member "x"`,
		`{"type":"eq","term":"a","value":{"type":"reference","name":"b"}}`:                    "must compare a column with a value",
		`{"type":"eq","term":"","value":1}`:                                                   "without a name",
		`{"type":"eq","left":{"type":"reference","id":3},"right":1}`:                          "name it",
		`{"type":"eq","left":{"type":"reference"},"right":1}`:                                 "name",
		`{"type":"eq","left":{"type":"reference","name":"a","x":1},"right":1}`:                "has the members type and name",
		`{"type":"eq","left":{"type":"apply","function":"f","arguments":[]},"right":1}`:       "function of a column",
		`{"type":"eq","term":{"type":"transform","transform":"day","term":"a"},"value":1}`:    "function of a column",
		`{"type":"eq","term":"a","value":1,"values":[1]}`:                                     `no member "values"`,
		`{"type":"is-null","term":"a","value":1}`:                                             `no member "value"`,
		`{"type":"true","term":"a"}`:                                                          `no member "term"`,
		`{"type":"in","term":"a","values":[]}`:                                                "in has no values",
		`{"type":"in","term":"a","values":1}`:                                                 "values",
		`{"type":"in","term":"a","values":[null]}`:                                            "must compare",
		`{"type":"in","term":"a","values":{"type":"literals","values":[1],"x":1}}`:            `no member "x"`,
		`{"type":"in","term":"a","values":{"type":"list","values":[1]}}`:                      "are no list",
		`{"type":"in","term":"a"}`:                                                            "values",
		`{"type":"and","left":true}`:                                                          "right",
		`{"type":"not"}`:                                                                      "child",
		`{"type":"not","child":{"type":"nor"}}`:                                               `"nor"`,
		strings.Repeat(`{"type":"not","child":`, 40) + `true` + strings.Repeat(`}`, 40):       "nested more than 32 deep",
	} {
		p, err := iceberg.ParsePredicate([]byte(text))
		if err == nil {
			t.Errorf("%s is taken as %s", text, p.JSON())
			continue
		}
		if !errors.Is(err, iceberg.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParsePredicate(f *testing.F) {
	for _, seed := range []string{
		`true`, `{"type":"eq","term":"a","value":1}`, `{"type":"in","child":{"type":"reference","name":"a"},"values":[1,2]}`,
		`{"type":"and","left":{"type":"not","child":{"type":"is-nan","term":"x"}},"right":{"type":"lt","term":"y","value":{"type":"literal","value":"z","data-type":"date"}}}`,
	} {
		f.Add([]byte(seed))
	}
	lineage, err := iceberg.ReadLineage([]byte(`{"current-schema-id":0,"schemas":[` + schemaJSON(0, wideFields) + `]}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := iceberg.ParsePredicate(text)
		if err != nil {
			checkClass(t, err)
			return
		}
		again, err := iceberg.ParsePredicate(p.JSON())
		if err != nil {
			t.Fatalf("%s: %v", p.JSON(), err)
		}
		if string(again.JSON()) != string(p.JSON()) {
			t.Fatalf("%s becomes %s", p.JSON(), again.JSON())
		}
		bound, err := p.Bind(lineage)
		if err != nil {
			checkClass(t, err)
			return
		}
		if !json.Valid(bound) {
			t.Fatalf("%s is bound as %s", text, bound)
		}
	})
}
