package iceberg_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// Every fuzz target holds the same rule: input is refused with an error of a
// known class, or what is accepted is written, reads back, and is the same
// again. Nothing panics.

var fuzzEnv = iceberg.Env{
	NowMs: goldenNow, MetadataLocation: goldenMetadata,
	NewUUID: func() string { return "00000000-0000-4000-8000-000000000000" },
}

func checkClass(t testing.TB, err error) {
	t.Helper()
	for _, class := range []error{iceberg.ErrInvalid, iceberg.ErrRequirementFailed, iceberg.ErrStale, iceberg.ErrUnsupported} {
		if errors.Is(err, class) {
			if err.Error() == "" {
				t.Errorf("error of class %v has no text", class)
			}
			return
		}
	}
	t.Errorf("error has no class: %v", err)
}

func seedDocuments(f *testing.F) {
	f.Helper()
	paths, err := filepath.Glob("testdata/golden/metadata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		doc, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
}

func FuzzParseTable(f *testing.F) {
	seedDocuments(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		table, err := iceberg.ParseTable(doc)
		if err != nil {
			checkClass(t, err)
			return
		}
		checkStored(t, nil, table, iceberg.Changes{Put: table.Parts()})
		refs := mustParse(t, assembled(t, table.Head(), table.Parts(), true))
		checkStored(t, nil, refs, iceberg.Changes{Put: refs.Parts()})
		if _, err := table.Locations(); err != nil {
			t.Errorf("locations: %v", err)
		}
	})
}

func FuzzParseView(f *testing.F) {
	seedDocuments(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		view, err := iceberg.ParseView(doc)
		if err != nil {
			checkClass(t, err)
			return
		}
		checkViewReadsBack(t, view)
	})
}

func checkViewReadsBack(t testing.TB, view *iceberg.View) {
	t.Helper()
	again, err := iceberg.ParseView(view.Document())
	if err != nil {
		t.Fatalf("cannot read back what was written: %v\n%s", err, view.Document())
	}
	if !bytes.Equal(view.Document(), again.Document()) {
		t.Errorf("reads back differently:\n%s\n%s", view.Document(), again.Document())
	}
}

// fuzzBases are documents that requests are tried on.
func fuzzBases(tb testing.TB) (tables []*iceberg.Table, view *iceberg.View) {
	tb.Helper()
	for _, name := range []string{"v1_embedded_manifests", "v2_unordered_snapshots", "v3_encryption", "v2_statistics_full"} {
		tables = append(tables, mustParse(tb, readFile(tb, "testdata/golden/metadata/"+name+".json")))
	}
	view, err := iceberg.ParseView(readFile(tb, "testdata/golden/metadata/ValidViewMetadata.json"))
	if err != nil {
		tb.Fatal(err)
	}
	return append(tables, nil), view
}

func FuzzParseUpdates(f *testing.F) {
	for _, name := range []string{"table-updates.json", "view-updates.json"} {
		for _, c := range readCases(f, name) {
			f.Add([]byte(c.Updates))
		}
	}
	tables, view := fuzzBases(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		ups, err := iceberg.ParseUpdates(raw)
		if err != nil {
			checkClass(t, err)
			return
		}
		_ = iceberg.Locations(ups)
		for _, base := range tables {
			next, changes, err := iceberg.Apply(fuzzEnv, base, nil, ups)
			if err != nil {
				checkClass(t, err)
				continue
			}
			checkStored(t, base, next, changes)
			if !changes.Empty && base != nil {
				_ = iceberg.AlreadyApplied(next, nil, ups)
			}
		}
		for _, base := range []*iceberg.View{nil, view} {
			next, _, err := iceberg.ApplyView(fuzzEnv, base, nil, ups)
			if err != nil {
				checkClass(t, err)
				continue
			}
			checkViewReadsBack(t, next)
		}
	})
}

func FuzzApply(f *testing.F) {
	for _, c := range readCases(f, "table-updates.json") {
		f.Add([]byte(c.Base), []byte(c.Requirements), []byte(c.Updates))
	}
	f.Fuzz(func(t *testing.T, doc, requirements, updates []byte) {
		var base *iceberg.Table
		if !isNull(doc) {
			var err error
			if base, err = iceberg.ParseTable(doc); err != nil {
				checkClass(t, err)
				return
			}
		}
		reqs, err := iceberg.ParseRequirements(requirements)
		if err != nil {
			checkClass(t, err)
			return
		}
		ups, err := iceberg.ParseUpdates(updates)
		if err != nil {
			checkClass(t, err)
			return
		}
		var before []byte
		if base != nil {
			before = base.Document()
		}
		next, changes, err := iceberg.Apply(fuzzEnv, base, reqs, ups)
		if base != nil && !bytes.Equal(before, base.Document()) {
			t.Errorf("the base changed:\n%s\n%s", before, base.Document())
		}
		if err != nil {
			checkClass(t, err)
			return
		}
		checkStored(t, base, next, changes)
	})
}

func FuzzNewTable(f *testing.F) {
	f.Add([]byte(`{"type":"struct","schema-id":3,"identifier-field-ids":[7],"fields":[{"id":7,"name":"a","required":true,"type":"long"},`+
		`{"id":9,"name":"m","required":false,"type":{"type":"map","key-id":1,"key":"string","value-id":2,"value":{"type":"struct","fields":[`+
		`{"id":3,"name":"b","required":false,"type":"double","initial-default":1.0}]},"value-required":false}}]}`),
		[]byte(`{"fields":[{"source-id":7,"name":"p","transform":"bucket[4]"}]}`),
		[]byte(`{"order-id":1,"fields":[{"source-id":7,"transform":"identity","direction":"asc","null-order":"nulls-first"}]}`), "3")
	f.Fuzz(func(t *testing.T, schema, spec, order []byte, version string) {
		table, err := iceberg.NewTable(fuzzEnv, iceberg.CreateSpec{
			Location: "s3://b/t", Schema: schema, PartitionSpec: spec, SortOrder: order,
			Properties: map[string]string{"format-version": version},
		})
		if err != nil {
			checkClass(t, err)
			return
		}
		checkStored(t, nil, table, iceberg.Changes{Put: table.Parts()})
	})
}
