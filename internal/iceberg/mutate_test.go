package iceberg_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// Bytes that a fuzzer changes at random are seldom JSON any more. The properties
// here change documents and requests as values: they stay well formed and go
// wrong in what they say.

// oddValues are what a member or element is replaced by.
var oddValues = []any{
	nil, true, "", "x", "main", "branch", "tag", "struct", "variant", "decimal(9,2)", "bucket[4]", "void", "unknown",
	json.Number("0"), json.Number("-1"), json.Number("1"), json.Number("2"), json.Number("3"), json.Number("1000"),
	json.Number("2147483647"), json.Number("9223372036854775807"), json.Number("-9223372036854775808"), json.Number("1.0"),
	json.Number("1e400"), []any{}, map[string]any{}, []any{nil}, []any{json.Number("1"), json.Number("1")}, "\u2028\"\\\x00é😀",
}

// mutate returns a copy of v with one change somewhere in it.
func mutate(t *rapid.T, v any) any {
	if rapid.IntRange(0, 7).Draw(t, "deeper") > 0 {
		switch v := v.(type) {
		case map[string]any:
			if len(v) > 0 {
				out := maps.Clone(v)
				names := slices.Sorted(maps.Keys(v))
				name := rapid.SampledFrom(names).Draw(t, "member")
				switch rapid.IntRange(0, 9).Draw(t, "change") {
				case 0:
					delete(out, name)
				case 1:
					out[name] = v[rapid.SampledFrom(names).Draw(t, "other")]
				default:
					out[name] = mutate(t, v[name])
				}
				return out
			}
		case []any:
			if len(v) > 0 {
				out := slices.Clone(v)
				i := rapid.IntRange(0, len(v)-1).Draw(t, "element")
				switch rapid.IntRange(0, 9).Draw(t, "change") {
				case 0:
					return slices.Delete(out, i, i+1)
				case 1:
					return slices.Insert(out, i, out[rapid.IntRange(0, len(v)-1).Draw(t, "again")])
				case 2:
					j := rapid.IntRange(0, len(v)-1).Draw(t, "swap")
					out[i], out[j] = out[j], out[i]
					return out
				default:
					out[i] = mutate(t, v[i])
				}
				return out
			}
		}
	}
	return rapid.SampledFrom(oddValues).Draw(t, "value")
}

func mutateJSON(t *rapid.T, raw []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		v = mutate(t, v)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readDocuments(t testing.TB) [][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/golden/metadata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	docs := make([][]byte, len(paths))
	for i, path := range paths {
		docs[i] = readFile(t, path)
	}
	return docs
}

func TestMutatedDocuments(t *testing.T) {
	t.Parallel()
	docs := readDocuments(t)
	rapid.Check(t, func(rt *rapid.T) {
		doc := mutateJSON(rt, rapid.SampledFrom(docs).Draw(rt, "document"))
		if table, err := iceberg.ParseTable(doc); err != nil {
			checkClass(t, err)
		} else {
			checkStored(t, nil, table, iceberg.Changes{Put: table.Parts()})
		}
		if view, err := iceberg.ParseView(doc); err != nil {
			checkClass(t, err)
		} else {
			checkViewReadsBack(t, view)
		}
		if t.Failed() {
			rt.Fatalf("document: %s", doc)
		}
	})
}

func TestMutatedTableCommits(t *testing.T) {
	t.Parallel()
	cases := readCases(t, "table-updates.json")
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(cases).Draw(rt, "case")
		other := rapid.SampledFrom(cases).Draw(rt, "base")
		doc, raw := other.Base, []byte(c.Updates)
		if rapid.Bool().Draw(rt, "change updates") {
			raw = mutateJSON(rt, raw)
		}
		var base *iceberg.Table
		var err error
		if !isNull(doc) {
			if rapid.Bool().Draw(rt, "change base") {
				doc = mutateJSON(rt, doc)
			}
			if base, err = iceberg.ParseTable(doc); err != nil {
				checkClass(t, err)
				return
			}
		}
		next, changes, err := applyRaw(fuzzEnv, base, nil, raw)
		if err != nil {
			checkClass(t, err)
		} else {
			checkStored(t, base, next, changes)
		}
		if t.Failed() {
			rt.Fatalf("base: %s\nupdates: %s", doc, raw)
		}
	})
}

func TestMutatedViewCommits(t *testing.T) {
	t.Parallel()
	cases := readCases(t, "view-updates.json")
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(cases).Draw(rt, "case")
		doc := rapid.SampledFrom(cases).Draw(rt, "base").Base
		raw := mutateJSON(rt, c.Updates)
		var base *iceberg.View
		var err error
		if !isNull(doc) {
			if base, err = iceberg.ParseView(doc); err != nil {
				checkClass(t, err)
				return
			}
		}
		ups, err := iceberg.ParseViewUpdates(raw)
		if err != nil {
			checkClass(t, err)
			return
		}
		view, _, err := iceberg.ApplyView(fuzzEnv, base, nil, ups)
		if err != nil {
			checkClass(t, err)
		} else {
			checkViewReadsBack(t, view)
		}
		if t.Failed() {
			rt.Fatalf("base: %s\nupdates: %s", doc, raw)
		}
	})
}
