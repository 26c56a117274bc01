package iceberg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// The golden cases hold what Iceberg's Java implementation does. See
// testdata/golden/README.md.

type goldenCase struct {
	Name         string
	Base         json.RawMessage
	Requirements json.RawMessage
	Updates      json.RawMessage
	Expect       struct {
		OK    bool
		Error string
		Meta  map[string]any
	}
}

const (
	goldenNow      = 1795375741000
	goldenMetadata = "s3://b/t/metadata/prev.json"
)

// tableDifferences are the cases in which we do something else than Java, each
// with the reason. want is our error, or nil where we accept.
var tableDifferences = map[string]struct {
	why  string
	want error
	edit func(expected map[string]any)
}{
	"assign-uuid other": {
		why:  "a table's UUID is how everything else knows it: it never changes",
		want: iceberg.ErrInvalid,
	},
	"add-schema existing + set -1": {
		why: "to add what is there and select it is a client's right; Java has no last added schema then",
	},
	"add-spec compatible but diff field-id": {why: "as for schemas"},
	"add-sort-order same":                   {why: "as for schemas"},
	"add-sort-order unsorted":               {why: "as for schemas"},
	"add-snapshot stale seq": {
		why:  "the client was late: 409 lets it refresh and retry, 400 would not",
		want: iceberg.ErrStale,
	},
	"add-snapshot root low seq": {why: "as for a stale sequence number", want: iceberg.ErrStale},
	"add-snapshot v3 first-row-id ahead": {
		why:  "the next row id must be above all row ids given out; Java counts from the old one and would give 30 to 34 out twice",
		edit: func(m map[string]any) { m["next-row-id"] = json.Number("35") },
	},
	"set-properties reserved format-version": {
		why:  "a property must not contradict the document; nothing is left to change then",
		edit: func(m map[string]any) { delete(m["properties"].(map[string]any), "format-version"); undoCommit(m) },
	},
	"set-properties reserved snapshot-count": {
		why:  "as for format-version",
		edit: func(m map[string]any) { delete(m["properties"].(map[string]any), "snapshot-count"); undoCommit(m) },
	},
	"req assert-table-uuid on missing table": {
		why:  "the requirement does not hold; Java fails with a null pointer",
		want: iceberg.ErrRequirementFailed,
	},
}

// undoCommit takes back what every commit that changes something does.
func undoCommit(m map[string]any) {
	m["last-updated-ms"] = m["metadata-log"].([]any)[0].(map[string]any)["timestamp-ms"]
	m["metadata-log"] = []any{}
}

// sameText are the kinds of Java's errors whose text clients and their tests
// rely on.
var sameText = []string{"CommitFailedException", "RetryableValidationException"}

func TestGoldenTableUpdates(t *testing.T) {
	t.Parallel()
	cases := readCases(t, "table-updates.json")
	if len(cases) != 118 {
		t.Fatalf("%d cases, want 118", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			diff, differs := tableDifferences[c.Name]
			env := iceberg.Env{NowMs: goldenNow, MetadataLocation: goldenMetadata, NewUUID: func() string {
				uuid, _ := c.Expect.Meta["table-uuid"].(string)
				return uuid
			}}
			var base *iceberg.Table
			if !isNull(c.Base) {
				base = mustParse(t, c.Base)
			}
			if c.Expect.Meta != nil {
				env.NowMs = number(t, c.Expect.Meta["last-updated-ms"])
			}
			got, changes, err := applyRaw(env, base, c.Requirements, c.Updates)
			switch {
			case differs && diff.want != nil:
				if !errors.Is(err, diff.want) {
					t.Fatalf("error %v, want %v: %s", err, diff.want, diff.why)
				}
				return
			case differs && err != nil:
				t.Fatalf("refused: %v, should be accepted: %s", err, diff.why)
			case differs && c.Expect.Meta == nil:
				return
			case !c.Expect.OK:
				checkJavaError(t, err, c.Expect.Error)
				return
			case err != nil:
				t.Fatalf("refused: %v", err)
			}
			want := c.Expect.Meta
			if differs {
				diff.edit(want)
			}
			if d := cmp.Diff(want, decode(t, got.Document())); d != "" {
				t.Errorf("document (-Java +ours):\n%s", d)
			}
			checkStored(t, base, got, changes)
		})
	}
	for name := range tableDifferences {
		if !hasCase(cases, name) {
			t.Errorf("difference %q belongs to no case", name)
		}
	}
}

func checkJavaError(t *testing.T, err error, java string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, Java says: %s", java)
	}
	kind, text, _ := strings.Cut(java, ": ")
	for _, k := range sameText {
		if k == kind && text != err.Error() {
			t.Errorf("error %q, Java says %q", err, text)
		}
	}
	want := iceberg.ErrInvalid
	switch {
	case kind == "CommitFailedException":
		want = iceberg.ErrRequirementFailed
	case strings.Contains(text, "Unsupported format version") || strings.Contains(text, "unsupported view representation"):
		want = iceberg.ErrUnsupported
	}
	if !errors.Is(err, want) {
		t.Errorf("error %q is not of the class %v; Java: %s", err, want, java)
	}
}

var viewDifferences = map[string]struct {
	why  string
	edit func(map[string]any)
}{
	"unknown fields": {
		why: "what we do not know is kept: someone does",
		edit: func(m map[string]any) {
			m["future"] = json.Number("1")
			version := m["versions"].([]any)[0].(map[string]any)
			version["fut"] = json.Number("2")
			version["representations"].([]any)[0].(map[string]any)["fut"] = json.Number("3")
		},
	},
}

func TestGoldenViewUpdates(t *testing.T) {
	t.Parallel()
	cases := readCases(t, "view-updates.json")
	if len(cases) != 29 {
		t.Fatalf("%d cases, want 29", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			var base *iceberg.View
			if !isNull(c.Base) {
				var err error
				if base, err = iceberg.ParseView(c.Base); err != nil {
					checkJavaErrorOrFatal(t, err, c)
					return
				}
			}
			env := iceberg.Env{NowMs: goldenNow, NewUUID: func() string {
				uuid, _ := c.Expect.Meta["view-uuid"].(string)
				return uuid
			}}
			ups, err := iceberg.ParseViewUpdates(c.Updates)
			var got *iceberg.View
			if err == nil {
				got, _, err = iceberg.ApplyView(env, base, nil, ups)
			}
			if err != nil {
				checkJavaErrorOrFatal(t, err, c)
				return
			}
			if !c.Expect.OK {
				t.Fatalf("accepted, Java says: %s", c.Expect.Error)
			}
			if d, ok := viewDifferences[c.Name]; ok {
				d.edit(c.Expect.Meta)
			}
			if d := cmp.Diff(c.Expect.Meta, decode(t, got.Document())); d != "" {
				t.Errorf("document (-Java +ours):\n%s", d)
			}
			again, err := iceberg.ParseView(got.Document())
			if err != nil {
				t.Fatalf("cannot read back: %v", err)
			}
			if !bytes.Equal(got.Document(), again.Document()) {
				t.Errorf("reads back differently:\n%s\n%s", got.Document(), again.Document())
			}
		})
	}
}

func checkJavaErrorOrFatal(t *testing.T, err error, c goldenCase) {
	t.Helper()
	if c.Expect.OK {
		t.Fatalf("refused: %v", err)
	}
	checkJavaError(t, err, c.Expect.Error)
}

// refusedDocuments are the golden documents that cannot be read, with the class
// of the error.
var refusedDocuments = map[string]error{
	"TableMetadataUnsupportedVersion.json":      iceberg.ErrUnsupported,
	"TableMetadataV2CurrentSchemaNotFound.json": iceberg.ErrInvalid,
	"TableMetadataV2MissingPartitionSpecs.json": iceberg.ErrInvalid,
	"TableMetadataV2MissingSchemas.json":        iceberg.ErrInvalid,
	"ViewMetadataInvalidCurrentVersion.json":    iceberg.ErrInvalid,
	"ViewMetadataMissingCurrentVersion.json":    iceberg.ErrInvalid,
	"ViewMetadataMissingLocation.json":          iceberg.ErrInvalid,
	"v2_future_type.json":                       iceberg.ErrInvalid,
	"v3_default_null_float_int.json":            iceberg.ErrInvalid, // a double as 1: Java refuses it too
	"v4.json":                                   iceberg.ErrUnsupported,
}

func TestGoldenDocuments(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/golden/metadata/*.json")
	if err != nil || len(paths) != 62 {
		t.Fatalf("%d documents, want 62 (%v)", len(paths), err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := readFile(t, path)
			var out []byte
			var err error
			if strings.Contains(name, "View") {
				var v *iceberg.View
				if v, err = iceberg.ParseView(doc); err == nil {
					out = v.Document()
				}
			} else {
				var table *iceberg.Table
				if table, err = iceberg.ParseTable(doc); err == nil {
					out = table.Document()
					checkStored(t, nil, table, iceberg.Changes{Put: table.Parts()})
				}
			}
			if want := refusedDocuments[name]; want != nil {
				if !errors.Is(err, want) {
					t.Fatalf("error %v, want %v", err, want)
				}
				return
			}
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			before, after := decode(t, doc), decode(t, out)
			if strings.HasPrefix(name, "View") || name == "ValidViewMetadata.json" {
				// Follows from the current version; Java does not keep it either.
				delete(before, "current-schema-id")
			}
			if name == "v2_location_trailing_slash.json" {
				before["location"] = strings.TrimSuffix(before["location"].(string), "/")
			}
			checkHolds(t, "", before, after)
		})
	}
}

// checkHolds checks that everything in before is in after, numbers with their
// text. Null means the same as absent, and -1 is how versions 1 and 2 say that
// there is no snapshot.
func checkHolds(t *testing.T, path string, before, after any) {
	t.Helper()
	switch before := before.(type) {
	case nil:
		return
	case map[string]any:
		got, ok := after.(map[string]any)
		if !ok {
			t.Errorf("%s: %v became %v", path, before, after)
			return
		}
		for name, value := range before {
			if _, ok := got[name]; !ok && value != nil {
				t.Errorf("%s/%s: %v is gone", path, name, value)
				continue
			}
			checkHolds(t, path+"/"+name, value, got[name])
		}
	case []any:
		got, ok := after.([]any)
		if !ok || len(got) != len(before) {
			t.Errorf("%s: %v became %v", path, before, after)
			return
		}
		for i := range before {
			checkHolds(t, path+"[]", before[i], got[i])
		}
	default:
		if before == json.Number("-1") && strings.HasSuffix(path, "current-snapshot-id") && after == nil {
			return
		}
		if before != after {
			t.Errorf("%s: %v became %v", path, before, after)
		}
	}
}

// checkStored checks that what a store would keep, the head and the parts of
// the base with the changes, makes the same document again.
func checkStored(t testing.TB, base, got *iceberg.Table, changes iceberg.Changes) {
	t.Helper()
	if changes.Empty {
		if got != base || changes.Put != nil || changes.Delete != nil {
			t.Errorf("empty changes, but not the base")
		}
		return
	}
	stored := map[iceberg.PartKey][]byte{}
	if base != nil {
		for _, p := range base.Parts() {
			stored[p.PartKey] = p.JSON
		}
	}
	for _, key := range changes.Delete {
		if _, ok := stored[key]; !ok {
			t.Errorf("deletes %v, which is not there", key)
		}
		delete(stored, key)
	}
	for _, p := range changes.Put {
		stored[p.PartKey] = p.JSON
	}
	// In map order, which is none: parts may come in any.
	parts := make([]iceberg.Part, 0, len(stored))
	for key, raw := range stored {
		parts = append(parts, iceberg.Part{PartKey: key, JSON: raw})
	}
	again, err := iceberg.TableFromParts(got.Head(), parts)
	if err != nil {
		t.Fatalf("cannot put the parts together: %v", err)
	}
	want := string(got.Document())
	if d := cmp.Diff(want, string(again.Document())); d != "" {
		t.Errorf("document from the store (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, string(assembled(t, got.Head(), got.Parts(), false))); d != "" {
		t.Errorf("spliced document (-want +got):\n%s", d)
	}
	reread, err := iceberg.ParseTable(got.Document())
	if err != nil {
		t.Fatalf("cannot read back what was written: %v\n%s", err, want)
	}
	if d := cmp.Diff(want, string(reread.Document())); d != "" {
		t.Errorf("document read back (-want +got):\n%s", d)
	}
}

func applyRaw(env iceberg.Env, base *iceberg.Table, requirements, updates []byte) (*iceberg.Table, iceberg.Changes, error) {
	reqs, err := iceberg.ParseRequirements(requirements)
	if err != nil {
		return nil, iceberg.Changes{}, err
	}
	ups, err := iceberg.ParseUpdates(updates)
	if err != nil {
		return nil, iceberg.Changes{}, err
	}
	return iceberg.Apply(env, base, reqs, ups)
}

func readCases(t testing.TB, name string) []goldenCase {
	t.Helper()
	var cases []goldenCase
	d := json.NewDecoder(bytes.NewReader(readFile(t, filepath.Join("testdata/golden", name))))
	d.UseNumber()
	if err := d.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func hasCase(cases []goldenCase, name string) bool {
	for _, c := range cases {
		if c.Name == name {
			return true
		}
	}
	return false
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return m
}

func number(t testing.TB, v any) int64 {
	t.Helper()
	n, err := v.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

func mustParse(t testing.TB, doc []byte) *iceberg.Table {
	t.Helper()
	table, err := iceberg.ParseTable(doc)
	if err != nil {
		t.Fatalf("ParseTable: %v", err)
	}
	return table
}
