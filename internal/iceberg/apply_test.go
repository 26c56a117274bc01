package iceberg_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/iceberg"
)

const testNow = int64(1_700_000_000_000)

func testEnv(now int64) iceberg.Env {
	return iceberg.Env{
		NowMs: now, MetadataLocation: "s3://b/t/metadata/prev.json",
		NewUUID: func() string { return "5f0a0000-0000-4000-8000-000000000001" },
	}
}

// newTable makes a table of one long and one string column.
func newTable(t testing.TB, version string, properties map[string]string) *iceberg.Table {
	t.Helper()
	all := map[string]string{"format-version": version}
	for name, value := range properties {
		all[name] = value
	}
	table, err := iceberg.NewTable(testEnv(testNow), iceberg.CreateSpec{
		Location:   "s3://b/t",
		Schema:     []byte(`{"type":"struct","fields":[{"id":1,"name":"id","required":true,"type":"long"},{"id":2,"name":"s","required":false,"type":"string"}]}`),
		Properties: all,
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// commit applies updates and checks what every commit must keep.
func commit(t testing.TB, env iceberg.Env, base *iceberg.Table, updates string) (*iceberg.Table, iceberg.Changes) {
	t.Helper()
	before := string(base.Document())
	next, changes, err := applyRaw(env, base, nil, []byte(updates))
	if err != nil {
		t.Fatalf("%v: %s", err, updates)
	}
	if string(base.Document()) != before {
		t.Fatalf("the base changed under %s", updates)
	}
	checkStored(t, base, next, changes)
	return next, changes
}

func refuse(t testing.TB, env iceberg.Env, base *iceberg.Table, updates string, class error, text string) {
	t.Helper()
	_, _, err := applyRaw(env, base, nil, []byte(updates))
	if !errors.Is(err, class) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %v with %q: %s", err, class, text, updates)
	}
}

func addSnapshot(id, seq, at int64, more string) string {
	return fmt.Sprintf(`{"action":"add-snapshot","snapshot":{"snapshot-id":%d,"sequence-number":%d,"timestamp-ms":%d,"manifest-list":"s3://b/t/metadata/%d.avro","summary":{"operation":"append"},"schema-id":0%s}}`,
		id, seq, at, id, more)
}

func setMain(id int64) string {
	return fmt.Sprintf(`{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":%d}`, id)
}

func list(updates ...string) string { return "[" + strings.Join(updates, ",") + "]" }

// withSnapshots adds n snapshots to the main branch, one commit each.
func withSnapshots(t testing.TB, table *iceberg.Table, n int64) *iceberg.Table {
	t.Helper()
	for i := int64(1); i <= n; i++ {
		parent := ""
		if i > 1 {
			parent = fmt.Sprintf(`,"parent-snapshot-id":%d`, i-1)
		}
		table, _ = commit(t, testEnv(testNow+i), table, list(addSnapshot(i, i, testNow+i, parent), setMain(i)))
	}
	return table
}

func TestCommitStoresOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 5)
	_, changes := commit(t, testEnv(testNow+9), table, list(addSnapshot(6, 6, testNow+6, `,"parent-snapshot-id":5`), setMain(6)))
	var lists []string
	for _, p := range changes.Put {
		lists = append(lists, p.List.String())
	}
	if d := cmp.Diff([]string{"snapshots", "snapshot-log", "metadata-log"}, lists); d != "" || len(changes.Delete) != 0 {
		t.Errorf("put (-want +got):\n%s\ndelete %v", d, changes.Delete)
	}
}

func TestUpdatesCanBeAppliedAgain(t *testing.T) {
	t.Parallel()
	ups, err := iceberg.ParseUpdates([]byte(list(
		`{"action":"add-schema","schema":{"type":"struct","schema-id":7,"fields":[{"id":1,"name":"id","required":true,"type":"long"}]}}`,
		`{"action":"set-current-schema","schema-id":-1}`,
		`{"action":"add-spec","spec":{"fields":[{"source-id":1,"name":"p","transform":"bucket[4]"}]}}`,
		`{"action":"set-default-spec","spec-id":-1}`,
		`{"action":"set-properties","updates":{"a":"b"}}`, addSnapshot(50, 50, testNow, ""), setMain(50))))
	if err != nil {
		t.Fatal(err)
	}
	one, two := newTable(t, "2", nil), withSnapshots(t, newTable(t, "2", nil), 3)
	for _, base := range []*iceberg.Table{one, two, one} {
		first, _, err := iceberg.Apply(testEnv(testNow+10), base, nil, ups)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := iceberg.Apply(testEnv(testNow+10), base, nil, ups)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(first.Document()), string(again.Document())); d != "" {
			t.Errorf("second application differs:\n%s", d)
		}
	}
}

func TestMetadataLogIsTrimmed(t *testing.T) {
	t.Parallel()
	table := newTable(t, "2", map[string]string{"write.metadata.previous-versions-max": "3"})
	var dropped []string
	for i := range int64(6) {
		env := testEnv(testNow + i)
		env.MetadataLocation = fmt.Sprintf("m%d", i)
		var changes iceberg.Changes
		table, changes = commit(t, env, table, fmt.Sprintf(`[{"action":"set-properties","updates":{"n":"%d"}}]`, i))
		dropped = append(dropped, changes.DroppedMetadata...)
	}
	var kept []string
	for _, e := range table.MetadataLog() {
		kept = append(kept, e.MetadataFile)
	}
	if d := cmp.Diff([][]string{{"m0", "m1", "m2"}, {"m3", "m4", "m5"}}, [][]string{dropped, kept}); d != "" {
		t.Errorf("dropped and kept (-want +got):\n%s", d)
	}
	// A lower limit takes effect with the commit that sets it; one that is no
	// number is the default.
	table, _ = commit(t, testEnv(testNow+9), table, `[{"action":"set-properties","updates":{"write.metadata.previous-versions-max":"0"}}]`)
	if n := len(table.MetadataLog()); n != 1 {
		t.Errorf("%d entries with a limit of 0, want 1", n)
	}
	table, _ = commit(t, testEnv(testNow+9), table, `[{"action":"set-properties","updates":{"write.metadata.previous-versions-max":"many"}}]`)
	if n := len(table.MetadataLog()); n != 2 {
		t.Errorf("%d entries without a limit, want 2", n)
	}
}

func TestNothingChanged(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 2)
	for _, updates := range []string{
		`[]`, ``, `null`, list(setMain(2)),
		`[{"action":"set-location","location":"s3://b/t/"}]`,
		`[{"action":"remove-snapshot-ref","ref-name":"nope"}]`,
		`[{"action":"remove-snapshots","snapshot-ids":[77]}]`,
		`[{"action":"remove-statistics","snapshot-id":1}]`,
		`[{"action":"remove-encryption-key","key-id":"k"}]`,
		`[{"action":"set-properties","updates":{"uuid":"x"}}]`,
		`[{"action":"upgrade-format-version","format-version":2}]`,
		`[{"action":"add-spec","spec":{"fields":[]}},{"action":"set-default-spec","spec-id":-1}]`,
		`[{"action":"add-schema","schema":` + string(table.CurrentSchema().JSON()) + `},{"action":"set-current-schema","schema-id":-1}]`,
	} {
		next, changes, err := applyRaw(testEnv(testNow+5), table, nil, []byte(updates))
		if err != nil || !changes.Empty || next != table {
			t.Errorf("changed (%v): %s", err, updates)
		}
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 3)
	// This node's clock is an hour behind the one that wrote the base.
	behind := testEnv(testNow - 3_600_000)
	next, _ := commit(t, behind, table, `[{"action":"set-properties","updates":{"a":"b"}}]`)
	if next.LastUpdatedMs() != table.LastUpdatedMs() {
		t.Errorf("last updated %d, want %d", next.LastUpdatedMs(), table.LastUpdatedMs())
	}
	// A rollback is logged at the time of the version.
	next, _ = commit(t, behind, next, list(setMain(1)))
	log := next.SnapshotLog()
	if last := log[len(log)-1]; last.SnapshotID != 1 || last.TimestampMs != next.LastUpdatedMs() {
		t.Errorf("last entry %v", last)
	}
}

func TestSnapshotTimestamps(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 2)
	parent := `,"parent-snapshot-id":2`
	refuse(t, testEnv(testNow), table, list(addSnapshot(9, 9, testNow+60_001, parent)), iceberg.ErrInvalid, "more than one minute after")
	refuse(t, testEnv(testNow), table, list(addSnapshot(9, 9, 1<<62, parent)), iceberg.ErrInvalid, "more than one minute after")
	refuse(t, testEnv(testNow), table, list(addSnapshot(9, 9, testNow-60_000, parent), setMain(9)), iceberg.ErrInvalid, "sorted snapshot log")
	commit(t, testEnv(testNow), table, list(addSnapshot(9, 9, testNow-60_000, parent)))
	next, _ := commit(t, testEnv(testNow), table, list(addSnapshot(9, 9, testNow+60_000, parent), setMain(9)))
	// And the table goes on, even for a node whose clock is slower.
	commit(t, testEnv(testNow-50_000), next, `[{"action":"set-properties","updates":{"a":"b"}}]`)
}

func TestStaleCommits(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 3)
	refuse(t, testEnv(testNow), table, list(addSnapshot(9, 3, testNow, `,"parent-snapshot-id":2`)), iceberg.ErrStale, "older than last sequence number 3")
	refuse(t, testEnv(testNow), table, list(addSnapshot(9, 2, testNow, ``)), iceberg.ErrStale, "older than last sequence number 3")
	// A replaced table begins a new history, maybe at the same time as another.
	commit(t, testEnv(testNow+9), table, list(`{"action":"remove-snapshot-ref","ref-name":"main"}`, addSnapshot(9, 3, testNow+4, ``), setMain(9)))
	refuse(t, testEnv(testNow), table, list(addSnapshot(3, 4, testNow, ``)), iceberg.ErrInvalid, "Snapshot already exists for id: 3")

	lineage := newTable(t, "3", nil)
	rows := func(first, added int64) string {
		return fmt.Sprintf(`,"first-row-id":%d,"added-rows":%d`, first, added)
	}
	lineage, _ = commit(t, testEnv(testNow), lineage, list(addSnapshot(1, 1, testNow, rows(0, 100))))
	if n := lineage.NextRowID(); n != 100 {
		t.Errorf("next row id %d, want 100", n)
	}
	refuse(t, testEnv(testNow), lineage, list(addSnapshot(2, 2, testNow, rows(99, 1))), iceberg.ErrStale, "first-row-id is behind table next-row-id: 99 < 100")
	refuse(t, testEnv(testNow), lineage, list(addSnapshot(2, 2, testNow, "")), iceberg.ErrInvalid, "first-row-id is null")
	refuse(t, testEnv(testNow), lineage, list(addSnapshot(2, 2, testNow, rows(100, 1<<63-1))), iceberg.ErrInvalid, "exceed their range")
	refuse(t, testEnv(testNow), lineage, list(addSnapshot(2, 2, testNow, `,"first-row-id":100`)), iceberg.ErrInvalid, "added-rows (required")
}

func TestRemoveSnapshotsTakesEverythingAlong(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 4)
	statistics := func(action, member string, id int) string {
		return fmt.Sprintf(`{"action":"set-%s","%s":{"snapshot-id":%d,"statistics-path":"s3://b/t/s%d","file-size-in-bytes":1,"file-footer-size-in-bytes":1,"blob-metadata":[{"type":"x","snapshot-id":1,"sequence-number":1,"fields":[1],"properties":null}]}}`, action, member, id, id)
	}
	table, _ = commit(t, testEnv(testNow+9), table, list(
		statistics("statistics", "statistics", 1), statistics("statistics", "statistics", 2), statistics("partition-statistics", "partition-statistics", 1),
		`{"action":"set-snapshot-ref","ref-name":"old","type":"tag","snapshot-id":1}`))
	// A second file for a snapshot takes the place of the first.
	table, changes := commit(t, testEnv(testNow+9), table, list(strings.Replace(statistics("statistics", "statistics", 1), "s3://b/t/s1", "s3://b/t/new", 1)))
	if len(changes.Delete) != 0 || !strings.Contains(string(table.Document()), `"statistics":[{"snapshot-id":1,"statistics-path":"s3://b/t/new"`) {
		t.Errorf("statistics not replaced in place: %s", table.Document())
	}
	if strings.Contains(string(table.Document()), `"properties":null`) {
		t.Error("a null map was stored, which Iceberg's readers refuse")
	}
	table, _ = commit(t, testEnv(testNow+9), table, `[{"action":"remove-snapshots","snapshot-ids":[1,3]}]`)
	var log []int64
	for _, e := range table.SnapshotLog() {
		log = append(log, e.SnapshotID)
	}
	if d := cmp.Diff([]int64{4}, log); d != "" {
		t.Errorf("snapshot log (-want +got):\n%s", d)
	}
	if refs := table.Refs(); len(refs) != 1 || refs["main"].SnapshotID != 4 {
		t.Errorf("refs %v", refs)
	}
	locations, err := table.Locations()
	if err != nil {
		t.Fatal(err)
	}
	want := []iceberg.NamedLocation{
		{Field: "location", Location: "s3://b/t"},
		{Field: "manifest-list", Location: "s3://b/t/metadata/2.avro"}, {Field: "manifest-list", Location: "s3://b/t/metadata/4.avro"},
		{Field: "statistics-path", Location: "s3://b/t/s2"},
	}
	if d := cmp.Diff(want, locations); d != "" {
		t.Errorf("locations (-want +got):\n%s", d)
	}
	// Ordinals are not used again, so a part that a slow node still has can never
	// be taken for a new one.
	highest := uint64(0)
	for _, p := range table.Parts() {
		if p.List == iceberg.Snapshots {
			highest = max(highest, p.Ordinal)
		}
	}
	table, _ = commit(t, testEnv(testNow+9), table, `[{"action":"remove-snapshots","snapshot-ids":[4]}]`)
	if _, ok := table.CurrentSnapshotID(); ok {
		t.Error("the current snapshot is gone, but still set")
	}
	_, changes = commit(t, testEnv(testNow+9), table, list(addSnapshot(8, 8, testNow+8, "")))
	if got := changes.Put[0].Ordinal; got <= highest {
		t.Errorf("ordinal %d was used before", got)
	}
}

func TestUpgradeKeepsHistory(t *testing.T) {
	t.Parallel()
	table := mustParse(t, readFile(t, "testdata/golden/metadata/v1_embedded_manifests.json"))
	s, ok := table.Snapshot(1)
	if !ok || len(s.Manifests) != 2 {
		t.Fatalf("snapshot %v", s)
	}
	next, _ := commit(t, testEnv(testNow), table, `[{"action":"upgrade-format-version","format-version":2},{"action":"upgrade-format-version","format-version":3}]`)
	doc := decode(t, next.Document())
	if _, ok := doc["schema"]; ok || doc["next-row-id"] == nil || doc["last-sequence-number"] == nil {
		t.Errorf("document %s", next.Document())
	}
	refuse(t, testEnv(testNow), next, `[{"action":"upgrade-format-version","format-version":2}]`, iceberg.ErrInvalid, "Cannot downgrade v3 table to v2")
	refuse(t, testEnv(testNow), next, `[{"action":"upgrade-format-version","format-version":4}]`, iceberg.ErrUnsupported, "unsupported format version: v4")
	refuse(t, testEnv(testNow), next, `[{"action":"upgrade-format-version","format-version":0}]`, iceberg.ErrInvalid, "Invalid format version")
}

func TestOldTableGetsUUIDWithItsFirstCommit(t *testing.T) {
	t.Parallel()
	table := mustParse(t, readFile(t, "testdata/golden/metadata/v1_old_minimal.json"))
	if table.UUID() != "" {
		t.Fatalf("uuid %q", table.UUID())
	}
	next, _ := commit(t, testEnv(testNow), table, `[{"action":"set-properties","updates":{"a":"b"}}]`)
	if next.UUID() != testEnv(0).NewUUID() {
		t.Errorf("uuid %q", next.UUID())
	}
}

func TestUnknownMembersOutliveCommits(t *testing.T) {
	t.Parallel()
	table := mustParse(t, readFile(t, "testdata/golden/metadata/v2_unknown_fields.json"))
	next, _ := commit(t, testEnv(testNow), table, list(
		`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":9,"name":"n","required":false,"type":"int"}]}}`,
		`{"action":"set-current-schema","schema-id":-1}`, `{"action":"set-location","location":"s3://elsewhere"}`,
		addSnapshot(7, 7, testNow, `,"parent-snapshot-id":1,"future":{"x":[1.0]}`)))
	for _, want := range []string{`"future-field":{"x":1}`, `"future-schema":1`, `"future-col":2`, `"future-snap":7`, `"future-ref":1`, `"future":{"x":[1.0]}`} {
		if !strings.Contains(string(next.Document()), want) {
			t.Errorf("%s is gone: %s", want, next.Document())
		}
	}
}

func TestAlreadyApplied(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 2)
	create, err := iceberg.ParseRequirements([]byte(`[{"type":"assert-create"}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		updates string
		reqs    []iceberg.Requirement
		want    bool
	}{
		{updates: list(addSnapshot(2, 2, testNow+2, ""), setMain(2)), want: true},
		{updates: list(addSnapshot(1, 1, testNow, ""), addSnapshot(2, 2, testNow, "")), want: true},
		{updates: list(addSnapshot(1, 1, testNow, ""), addSnapshot(3, 3, testNow, ""))},
		{updates: strings.Replace(list(addSnapshot(2, 2, testNow, "")), "metadata/2.avro", "metadata/other.avro", 1)},
		{updates: list(setMain(2))},
		{updates: `[]`},
		{updates: `[{"action":"assign-uuid","uuid":"` + strings.ToUpper(table.UUID()) + `"}]`, reqs: create, want: true},
		{updates: `[{"action":"assign-uuid","uuid":"` + table.UUID() + `"}]`},
		{updates: `[{"action":"assign-uuid","uuid":"other"}]`, reqs: create},
		{updates: list(`{"action":"assign-uuid","uuid":"`+table.UUID()+`"}`, addSnapshot(9, 9, testNow, "")), reqs: create},
	} {
		ups, err := iceberg.ParseUpdates([]byte(c.updates))
		if err != nil {
			t.Fatal(err)
		}
		if got := iceberg.AlreadyApplied(table, c.reqs, ups); got != c.want {
			t.Errorf("already applied %v, want %v: %s", got, c.want, c.updates)
		}
	}
}

func TestDocumentWithReferencedSnapshotsOnly(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "2", nil), 5)
	table, _ = commit(t, testEnv(testNow+9), table, `[{"action":"set-snapshot-ref","ref-name":"t","type":"tag","snapshot-id":2}]`)
	refs := mustParse(t, assembled(t, table.Head(), table.Parts(), true))
	var ids []int64
	for s, err := range refs.AllSnapshots() {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	if d := cmp.Diff([]int64{2, 5}, ids); d != "" {
		t.Errorf("snapshots (-want +got):\n%s", d)
	}
	if d := cmp.Diff(table.SnapshotLog(), refs.SnapshotLog()); d != "" {
		t.Errorf("snapshot log (-want +got):\n%s", d)
	}
}

func TestManySnapshotsInOneCommit(t *testing.T) {
	t.Parallel()
	// More than are searched one by one.
	var updates []string
	for i := int64(1); i <= 100; i++ {
		updates = append(updates, addSnapshot(i, i, testNow, ""), fmt.Sprintf(`{"action":"set-snapshot-ref","ref-name":"r%d","type":"tag","snapshot-id":%d}`, i, i))
	}
	table, _ := commit(t, testEnv(testNow), newTable(t, "2", nil), list(updates...))
	if table.NumSnapshots() != 100 || len(table.Refs()) != 100 {
		t.Errorf("%d snapshots, %d refs", table.NumSnapshots(), len(table.Refs()))
	}
	refuse(t, testEnv(testNow), newTable(t, "2", nil), list(append(updates, addSnapshot(50, 101, testNow, ""))...), iceberg.ErrInvalid, "already exists")
}

func TestVersionsDoNotShareWhatTheyChange(t *testing.T) {
	t.Parallel()
	base := newTable(t, "3", nil)
	grow := func(table *iceberg.Table, name string) *iceberg.Table {
		next, _ := commit(t, testEnv(testNow), table, list(
			fmt.Sprintf(`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":9,"name":%q,"required":false,"type":"int"}]}}`, name),
			fmt.Sprintf(`{"action":"add-spec","spec":{"fields":[{"source-id":1,"name":%q,"transform":"bucket[2]"}]}}`, name),
			fmt.Sprintf(`{"action":"add-sort-order","sort-order":{"order-id":1,"fields":[{"source-id":1,"transform":%q,"direction":"asc","null-order":"nulls-first"}]}}`, name),
			fmt.Sprintf(`{"action":"add-encryption-key","encryption-key":{"key-id":%q,"encrypted-key-metadata":"AAEC"}}`, name)))
		return next
	}
	for i := range 6 {
		// Slices with room to spare are where two versions would meet.
		base = grow(base, fmt.Sprintf("v%d", i))
		one := grow(base, "one")
		before := string(one.Document())
		two := grow(base, "two")
		if string(one.Document()) != before || !strings.Contains(string(two.Document()), `"two"`) {
			t.Fatalf("a sibling changed: %s", one.Document())
		}
	}
}

func TestAddSnapshotStoresNoNulls(t *testing.T) {
	t.Parallel()
	table, changes := commit(t, testEnv(testNow), newTable(t, "2", nil),
		list(addSnapshot(1, 1, testNow, `,"parent-snapshot-id":null,"key-id":null,"future":{"x":null}`)))
	want := `{"snapshot-id":1,"sequence-number":1,"timestamp-ms":1700000000000,"manifest-list":"s3://b/t/metadata/1.avro","summary":{"operation":"append"},"schema-id":0,"future":{}}`
	if d := cmp.Diff(want, string(changes.Put[0].JSON)); d != "" {
		t.Errorf("snapshot (-want +got):\n%s", d)
	}
	for more, text := range map[string]string{
		`,"summary2":1,"added-rows":-1`: "Invalid added-rows (cannot be negative)",
		`,"first-row-id":-1`:            "Invalid first-row-id (cannot be negative)",
		`,"parent-snapshot-id":"1"`:     "Cannot parse to a long value: parent-snapshot-id",
	} {
		refuse(t, testEnv(testNow), table, list(addSnapshot(2, 2, testNow, more)), iceberg.ErrInvalid, text)
	}
	refuse(t, testEnv(testNow), table, list(strings.Replace(addSnapshot(2, 2, testNow, ""), `"manifest-list":"s3://b/t/metadata/2.avro"`, `"manifests":["s3://b/t/m"]`, 1)),
		iceberg.ErrInvalid, "manifest-list")
	refuse(t, testEnv(testNow), table, list(strings.Replace(addSnapshot(2, 2, testNow, ""), `{"operation":"append"}`, `[]`, 1)), iceberg.ErrInvalid, "Cannot parse summary")
	refuse(t, testEnv(testNow), table, list(addSnapshot(-2, 2, testNow, "")), iceberg.ErrInvalid, "Invalid snapshot id")
	refuse(t, testEnv(testNow), newTable(t, "1", nil), list(addSnapshot(2, 2, testNow, "")), iceberg.ErrInvalid, "Sequence number must be 0 in v1: 2")
}

func TestLastAddedIsForgottenWhenRemoved(t *testing.T) {
	t.Parallel()
	table := newTable(t, "2", nil)
	refuse(t, testEnv(testNow), table, list(
		`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":1,"name":"id","required":true,"type":"long"}]}}`,
		`{"action":"remove-schemas","schema-ids":[1]}`, `{"action":"set-current-schema","schema-id":-1}`), iceberg.ErrInvalid, "no schema has been added")
	refuse(t, testEnv(testNow), table, `[{"action":"set-default-spec","spec-id":-1}]`, iceberg.ErrInvalid, "no spec has been added")
	refuse(t, testEnv(testNow), table, `[{"action":"set-default-sort-order","sort-order-id":-1}]`, iceberg.ErrInvalid, "no sort order has been added")
}

func TestDroppedColumnOfVoidField(t *testing.T) {
	t.Parallel()
	// Version 1 cannot remove a partition field: it becomes void, and then its
	// column may go.
	table, _ := commit(t, testEnv(testNow), newTable(t, "1", nil), list(
		`{"action":"add-spec","spec":{"fields":[{"source-id":2,"field-id":1000,"name":"p","transform":"void"}]}}`, `{"action":"set-default-spec","spec-id":-1}`,
		`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":1,"name":"id","required":true,"type":"long"}]}}`, `{"action":"set-current-schema","schema-id":-1}`))
	if f := table.DefaultPartitionSpec().Fields[0]; f.SourceIDs[0] != 2 {
		t.Errorf("field %v", f)
	}
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	table := withSnapshots(t, newTable(t, "3", map[string]string{"a": "b"}), 0)
	columns, err := table.CurrentSchema().Columns()
	if err != nil {
		t.Fatal(err)
	}
	a, ok := table.Property("a")
	properties := table.Properties()
	properties["a"] = "changed"
	if _, path, found := table.CurrentSchema().FindField(99); found {
		t.Errorf("found field 99 at %s", path)
	}
	if _, found := table.CurrentSchema().FindName("nope"); found {
		t.Error("found a column named nope")
	}
	if _, found := table.Snapshot(1); found {
		t.Error("found a snapshot in a table without any")
	}
	got := []any{table.Location(), table.FormatVersion(), len(columns), columns[1].Type.String(), a, ok, len(table.Schemas()), table.CurrentSchema().ID(),
		len(table.SortOrders()), table.DefaultSortOrder().ID, table.DefaultPartitionSpec().ID, iceberg.List(9).String(), string(table.Document()) != ""}
	want := []any{"s3://b/t", 3, 2, "string", "b", true, 1, 0, 1, 0, 0, "list 9", true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("accessors (-want +got):\n%s", d)
	}
	if again, _ := table.Property("a"); again != "b" {
		t.Error("the table changed with the copy of its properties")
	}
}

func TestSameContent(t *testing.T) {
	t.Parallel()
	base, _ := commit(t, testEnv(testNow), withSnapshots(t, newTable(t, "2", nil), 2), `[{"action":"set-properties","updates":{"a":"1","b":"2"}}]`)
	for updates, want := range map[string]bool{
		`[{"action":"set-properties","updates":{"b":"2","a":"1"}}]`:   true,
		`[{"action":"remove-properties","removals":["none"]}]`:        true,
		`[{"action":"set-properties","updates":{"a":"2"}}]`:           false,
		`[{"action":"remove-snapshots","snapshot-ids":[1]}]`:          false,
		list(addSnapshot(3, 3, testNow+3, "")):                        false,
		`[{"action":"set-location","location":"s3://bucket/else/t"}]`: false,
	} {
		env := testEnv(testNow + 9)
		env.MetadataLocation = "s3://bucket/wh/t/metadata/00009-x.metadata.json"
		next, changes := commit(t, env, base, updates)
		if changes.Empty {
			t.Errorf("no new version of %s", updates)
		}
		if next.SameContent(base) != want || base.SameContent(next) != want {
			t.Errorf("want %v of %s", want, updates)
		}
	}
}
