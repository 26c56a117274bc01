package iceberg_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg"
)

func TestParseTableRefuses(t *testing.T) {
	t.Parallel()
	good := string(withSnapshots(t, newTable(t, "2", nil), 2).Document())
	for name, c := range map[string]struct {
		doc  string
		text string
	}{
		"empty":               {"", "unexpected end"},
		"a list":              {"[]", "non-object"},
		"null":                {"null", "non-object"},
		"two values":          {good + "{}", "text after the value"},
		"cut":                 {good[:len(good)-1], "expected a comma or the end of an object"},
		"twice":               {strings.Replace(good, `"location"`, `"format-version":2,"location"`, 1), "member format-version appears twice"},
		"twice, escaped":      {strings.Replace(good, `"location"`, `"format\u002dversion":2,"location"`, 1), "member format-version appears twice"},
		"bad UTF-8":           {strings.Replace(good, "s3://b/t", "s3://b/\xff", 1), "not UTF-8"},
		"half a surrogate":    {strings.Replace(good, "s3://b/t", `s3://b/\ud800`, 1), "invalid escape"},
		"control character":   {strings.Replace(good, "s3://b/t", "s3://b/\n", 1), "control character"},
		"leading zero":        {strings.Replace(good, `"last-column-id":2`, `"last-column-id":02`, 1), "expected a comma"},
		"fraction":            {strings.Replace(good, `"last-column-id":2`, `"last-column-id":2.0`, 1), "Cannot parse to an integer value: last-column-id: 2.0"},
		"out of range":        {strings.Replace(good, `"last-column-id":2`, `"last-column-id":2147483648`, 1), "Cannot parse to an integer value"},
		"string as number":    {strings.Replace(good, `"last-column-id":2`, `"last-column-id":"2"`, 1), "Cannot parse to an integer value"},
		"no uuid":             {strings.Replace(good, "table-uuid", "other", 1), "UUID is required in format v2"},
		"no location":         {strings.Replace(good, `"location"`, `"other"`, 1), "Cannot parse missing string: location"},
		"null location":       {strings.Replace(good, `"s3://b/t"`, `null`, 1), "Cannot parse to a string value: location: null"},
		"null property":       {strings.Replace(good, `"zstd"`, `null`, 1), "Cannot parse to a string value: write.parquet.compression-codec: null"},
		"no sequence":         {strings.Replace(good, `"last-sequence-number"`, `"other"`, 1), "Cannot parse missing long: last-sequence-number"},
		"version 0":           {strings.Replace(good, `"format-version":2`, `"format-version":0`, 1), "Invalid format version: 0"},
		"unknown schema":      {strings.Replace(good, `"current-schema-id":0`, `"current-schema-id":5`, 1), "Cannot find schema with current-schema-id=5"},
		"unknown spec":        {strings.Replace(good, `"default-spec-id":0`, `"default-spec-id":5`, 1), "default-spec-id=5"},
		"unknown order":       {strings.Replace(good, `"default-sort-order-id":0`, `"default-sort-order-id":5`, 1), "default-sort-order-id=5"},
		"no order":            {strings.Replace(good, `"sort-orders"`, `"other"`, 1), "sort-orders must exist in format v2"},
		"unknown current":     {strings.Replace(good, `"current-snapshot-id":2`, `"current-snapshot-id":9`, 1), "Cannot find current version"},
		"main elsewhere":      {strings.Replace(good, `"current-snapshot-id":2`, `"current-snapshot-id":1`, 1), "Current snapshot ID does not match main branch (1 != 2)"},
		"main without":        {strings.Replace(good, `"current-snapshot-id":2`, `"current-snapshot-id":-1`, 1), "Current snapshot is not set, but main branch exists: 2"},
		"ref to nothing":      {strings.Replace(good, `"refs":{`, `"refs":{"x":{"snapshot-id":9,"type":"tag"},`, 1), "Snapshot for reference x does not exist"},
		"ref of no type":      {strings.Replace(good, `"refs":{`, `"refs":{"x":{"snapshot-id":1,"type":"stem"},`, 1), "Invalid snapshot ref type: stem"},
		"retention of a tag":  {strings.Replace(good, `"refs":{`, `"refs":{"x":{"snapshot-id":1,"type":"tag","min-snapshots-to-keep":1},`, 1), "Tags do not support setting minSnapshotsToKeep"},
		"snapshot twice":      {strings.Replace(good, `"snapshots":[{"snapshot-id":1,`, `"snapshots":[{"snapshot-id":2,`, 1), "Multiple snapshots with id 2"},
		"sequence ahead":      {strings.Replace(good, `"last-sequence-number":2`, `"last-sequence-number":1`, 1), "Invalid snapshot with sequence number 2 greater than last sequence number 1"},
		"no manifest list":    {strings.Replace(good, `"manifest-list"`, `"other"`, 1), "Cannot parse missing list: manifests"},
		"log out of order":    {strings.Replace(good, `"snapshot-log":[`, `"snapshot-log":[{"timestamp-ms":1900000000000,"snapshot-id":1},`, 1), "Expected sorted snapshot log entries"},
		"log beyond its time": {strings.Replace(good, `{"timestamp-ms":1700000000002,"snapshot-id":2}]`, `{"timestamp-ms":1900000000000,"snapshot-id":2}]`, 1), "before last snapshot log entry at 1900000000000"},
		"metadata log":        {strings.Replace(good, `"metadata-log":[`, `"metadata-log":[{"timestamp-ms":1900000000000,"metadata-file":"x"},`, 1), "Expected sorted previous metadata log entries"},
		"statistics":          {strings.Replace(good, `"statistics":[`, `"statistics":[{"snapshot-id":1}`, 1), "Cannot parse missing string: statistics-path"},
		"lists as objects":    {strings.Replace(good, `"statistics":[]`, `"statistics":{}`, 1), "from non-array value: statistics"},
		"deep":                {`{"x":` + strings.Repeat("[", 10_000), "nested too deep"},
	} {
		_, err := iceberg.ParseTable([]byte(c.doc))
		if !errors.Is(err, iceberg.ErrInvalid) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: error %v, want %q", name, err, c.text)
		}
	}
}

func TestParseTableMends(t *testing.T) {
	t.Parallel()
	// Some writers put null where Iceberg's readers want nothing or a map.
	doc := string(readFile(t, "testdata/golden/metadata/v2_statistics_full.json"))
	doc = strings.Replace(doc, `"ndv"`, `"\u006edv"`, 1)
	mended := mustParse(t, []byte(strings.Replace(doc, `"type": "apache-datasketches-theta-v1"`, `"properties": null, "type": "x"`, 1)))
	if !strings.Contains(string(mended.Document()), `{"type":"x"`) {
		t.Fatalf("not the document that was meant: %s", mended.Document())
	}
	if strings.Contains(string(mended.Document()), "null") {
		t.Errorf("null was kept: %s", mended.Document())
	}
}

func TestDamagedPartsAreCorrupt(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 3)
	head, parts := table.Head(), table.Parts()
	damage := func(change func([]iceberg.Part)) []iceberg.Part {
		out := slices.Clone(parts)
		change(out)
		return out
	}
	for name, c := range map[string]struct {
		head  []byte
		parts []iceberg.Part
	}{
		"no head":         {nil, parts},
		"plain document":  {table.Document(), parts},
		"cut head":        {head[:len(head)-2], parts},
		"ordinals":        {[]byte(strings.Replace(string(head), "[3,", "[x,", 1)), parts},
		"too few":         {[]byte(strings.Replace(string(head), "[3,", "[", 1)), parts},
		"used ordinal":    {head, damage(func(p []iceberg.Part) { p[0].Ordinal = 99 })},
		"ordinal twice":   {head, damage(func(p []iceberg.Part) { p[0].Ordinal = p[1].Ordinal })},
		"unknown list":    {head, damage(func(p []iceberg.Part) { p[0].List = 6 })},
		"list 0":          {head, damage(func(p []iceberg.Part) { p[0].List = 0 })},
		"cut snapshot":    {head, damage(func(p []iceberg.Part) { p[0].JSON = p[0].JSON[:10] })},
		"empty snapshot":  {head, damage(func(p []iceberg.Part) { p[0].JSON = nil })},
		"no snapshot id":  {head, damage(func(p []iceberg.Part) { p[0].JSON = []byte(`{"x":1}`) })},
		"damaged members": {[]byte(strings.Replace(string(head), `"location":`, `"location"`, 1)), parts},
	} {
		if _, err := iceberg.TableFromParts(c.head, c.parts); !errors.Is(err, iceberg.ErrCorrupt) {
			t.Errorf("%s: error %v, want %v", name, err, iceberg.ErrCorrupt)
		}
	}
	// Damage that is only found later is damage, too, and not the client's fault.
	bad, err := iceberg.TableFromParts([]byte(strings.Replace(string(head), `"type":"long"`, `"type":"gone"`, 1)), parts)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = applyRaw(testEnv(testNow), bad, nil, []byte(`[{"action":"add-schema","schema":{"type":"struct","fields":[]}}]`))
	if !errors.Is(err, iceberg.ErrCorrupt) || errors.Is(err, iceberg.ErrInvalid) {
		t.Errorf("error %v, want %v", err, iceberg.ErrCorrupt)
	}
}

func TestUnknownMemberNamedLikeOurs(t *testing.T) {
	t.Parallel()
	doc := strings.Replace(string(newTable(t, "2", nil).Document()), `{"format-version"`, `{"part-ordinals":[9,9,9,9,9],"format-version"`, 1)
	table := mustParse(t, []byte(doc))
	if got := decode(t, table.Document())["part-ordinals"]; got == nil {
		t.Error("an unknown member is gone")
	}
	checkStored(t, nil, table, iceberg.Changes{Put: table.Parts()})
}

func TestListNumbersAreFixed(t *testing.T) {
	t.Parallel()
	got := []iceberg.List{iceberg.Snapshots, iceberg.SnapshotLog, iceberg.MetadataLog, iceberg.Statistics, iceberg.PartitionStatistics}
	if d := cmp.Diff([]iceberg.List{1, 2, 3, 4, 5}, got); d != "" {
		t.Errorf("the numbers are in stored keys (-want +got):\n%s", d)
	}
}

func TestParseRequestsRefuses(t *testing.T) {
	t.Parallel()
	for raw, text := range map[string]string{
		`{}`:                         "non-array",
		`[1]`:                        "non-object",
		`[{}]`:                       "Missing field: action",
		`[{"action":"fly"}]`:         "Cannot convert metadata update action to json: fly",
		`[{"action":"assign-uuid"}]`: "Cannot parse missing string: uuid",
		`[{"action":"set-location","location":""}]`:                                                                "Invalid location",
		`[{"action":"set-properties","updates":{"k":null}}]`:                                                       "Cannot parse to a string value: k: null",
		`[{"action":"set-properties","updates":{"k":1}}]`:                                                          "Cannot parse to a string value: k: 1",
		`[{"action":"set-properties"}]`:                                                                            "Cannot parse missing map: updates",
		`[{"action":"remove-properties","removals":[1]}]`:                                                          "non-text value in removals",
		`[{"action":"remove-snapshots","snapshot-ids":null}]`:                                                      "snapshot-ids",
		`[{"action":"add-schema"}]`:                                                                                "Cannot parse missing field: schema",
		`[{"action":"add-snapshot","snapshot":null}]`:                                                              "Cannot parse missing field: snapshot",
		`[{"action":"add-snapshot","snapshot":{"snapshot-id":-1}}]`:                                                "timestamp-ms",
		`[{"action":"add-encryption-key","encryption-key":{"key-id":"k","encrypted-key-metadata":"%"}}]`:           "not base64",
		`[{"action":"set-snapshot-ref","ref-name":"b","snapshot-id":1,"type":"branch","max-ref-age-ms":0}]`:        "Max reference age must be greater than 0",
		`[{"action":"set-snapshot-ref","ref-name":"b","snapshot-id":1,"type":"branch","max-snapshot-age-ms":-1}]`:  "Max snapshot age must be greater than 0 ms",
		`[{"action":"set-snapshot-ref","ref-name":"b","snapshot-id":1,"type":"branch","min-snapshots-to-keep":0}]`: "Min snapshots to keep must be greater than 0",
		`[{"action":"add-sort-order","sort-order":{"order-id":0,"fields":[{"source-id":1,"transform":"identity","direction":"asc","null-order":"nulls-first"}]}}]`: "Sort order ID 0 is reserved",
		`[{"action":"add-sort-order","sort-order":{"order-id":1,"fields":[]}}]`:                                                                                    "Unsorted order ID must be 0",
		`[{"action":"add-spec","spec":{"fields":[{"name":"p","transform":"void"}]}}]`:                                                                              "Cannot parse missing int: source-id",
	} {
		if _, err := iceberg.ParseUpdates([]byte(raw)); !errors.Is(err, iceberg.ErrInvalid) || !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("error %v, want %q: %s", err, text, raw)
		}
	}
	for raw, text := range map[string]string{
		`[{}]`:                           "Missing field: type",
		`[{"type":"assert-foo"}]`:        "Unrecognized update requirement. Cannot convert to json: assert-foo",
		`[{"type":"assert-table-uuid"}]`: "Cannot parse missing string: uuid",
		`"x"`:                            "non-array",
	} {
		if _, err := iceberg.ParseRequirements([]byte(raw)); !errors.Is(err, iceberg.ErrInvalid) || !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("error %v, want %q: %s", err, text, raw)
		}
	}
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 1)
	for _, c := range []struct {
		raw  string
		base *iceberg.Table
		want string
		kind error
	}{
		{`[{"type":"assert-create"}]`, nil, "", nil},
		{`[{"type":"assert-create"}]`, table, "Requirement failed: table already exists", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-table-uuid","uuid":"x"}]`, nil, "Requirement failed: table does not exist", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-default-spec-id","default-spec-id":0}]`, nil, "Requirement failed: table does not exist", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":null}]`, nil, "", nil},
		{`[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":5}]`, table, "Requirement failed: branch main has changed: expected id 5 != 1", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-ref-snapshot-id","ref":"x","snapshot-id":5}]`, table, "Requirement failed: branch or tag x is missing, expected 5", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-ref-snapshot-id","ref":"main"}]`, table, "Requirement failed: branch main was created concurrently", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-last-assigned-field-id","last-assigned-field-id":2}]`, table, "", nil},
		{`[{"type":"assert-last-assigned-field-id","last-assigned-field-id":3}]`, table, "Requirement failed: last assigned field id changed: expected id 3 != 2", iceberg.ErrRequirementFailed},
		{`[{"type":"assert-view-uuid","uuid":"x"}]`, table, "Cannot validate assert-view-uuid against a table", iceberg.ErrInvalid},
	} {
		reqs, err := iceberg.ParseRequirements([]byte(c.raw))
		if err != nil {
			t.Fatal(err)
		}
		err = iceberg.CheckRequirements(c.base, reqs)
		if c.kind == nil && err != nil || c.kind != nil && (!errors.Is(err, c.kind) || err.Error() != c.want) {
			t.Errorf("error %v, want %q: %s", err, c.want, c.raw)
		}
	}
}

func TestLocationsOfUpdates(t *testing.T) {
	t.Parallel()
	ups, err := iceberg.ParseUpdates([]byte(list(
		`{"action":"set-location","location":"s3://x"}`, addSnapshot(1, 1, 1, ""),
		`{"action":"set-properties","updates":{"write.data.path":"s3://data","write.metadata.path":"s3://meta","a":"b"}}`,
		`{"action":"set-partition-statistics","partition-statistics":{"snapshot-id":1,"statistics-path":"s3://ps","file-size-in-bytes":1}}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []iceberg.NamedLocation{
		{Field: "location", Location: "s3://x"}, {Field: "manifest-list", Location: "s3://b/t/metadata/1.avro"},
		{Field: "write.data.path", Location: "s3://data"}, {Field: "write.metadata.path", Location: "s3://meta"},
		{Field: "statistics-path", Location: "s3://ps"},
	}
	if d := cmp.Diff(want, iceberg.Locations(ups)); d != "" {
		t.Errorf("locations (-want +got):\n%s", d)
	}
}
