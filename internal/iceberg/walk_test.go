package iceberg_test

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// TestWalk commits at random, as clients do, with numbers that are often right
// and sometimes not. What must hold after every commit: the base is untouched;
// base parts and changes give the new document; it can be read back; numbers
// that only grow do; a refused commit has a class.
func TestWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		version := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "version")
		table := newTable(t, version, map[string]string{"write.metadata.previous-versions-max": "4"})
		now := testNow
		used := map[iceberg.PartKey]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "commits") {
			now += rapid.Int64Range(-30_000, 90_000).Draw(rt, "pass")
			var updates []string
			for range rapid.IntRange(1, 4).Draw(rt, "updates") {
				updates = append(updates, drawUpdate(rt, table, now))
			}
			before := string(table.Document())
			next, changes, err := applyRaw(testEnv(now), table, nil, []byte(list(updates...)))
			if string(table.Document()) != before {
				rt.Fatalf("the base changed under %s", updates)
			}
			if err != nil {
				checkClass(t, err)
				continue
			}
			checkStored(t, table, next, changes)
			had := map[iceberg.PartKey]bool{}
			for _, p := range table.Parts() {
				had[p.PartKey] = true
			}
			for _, p := range changes.Put {
				if used[p.PartKey] && !had[p.PartKey] {
					rt.Fatalf("ordinal used again: %v", p.PartKey)
				}
				used[p.PartKey] = true
			}
			if next.LastUpdatedMs() < table.LastUpdatedMs() || next.LastSequenceNumber() < table.LastSequenceNumber() ||
				next.LastColumnID() < table.LastColumnID() || next.NextRowID() < table.NextRowID() ||
				next.FormatVersion() < table.FormatVersion() || next.UUID() != table.UUID() {
				rt.Fatalf("something went back:\n%s\n%s\n%s", before, updates, next.Document())
			}
			if n := len(next.MetadataLog()); n > 4 {
				rt.Fatalf("metadata log has %d entries", n)
			}
			if id, ok := next.CurrentSnapshotID(); ok {
				log := next.SnapshotLog()
				if len(log) == 0 || log[len(log)-1].SnapshotID != id {
					rt.Fatalf("current snapshot %d, snapshot log %v", id, log)
				}
			}
			if t.Failed() {
				rt.Fatalf("base: %s\nupdates: %s", before, updates)
			}
			table = next
		}
	})
}

// drawUpdate draws one update that often fits the table.
func drawUpdate(t *rapid.T, table *iceberg.Table, now int64) string {
	id := rapid.Int64Range(1, 12).Draw(t, "snapshot")
	ref := rapid.SampledFrom([]string{"main", "main", "main", "b", "t"}).Draw(t, "ref")
	kind := rapid.SampledFrom([]string{"branch", "branch", "branch", "tag"}).Draw(t, "type")
	small := rapid.IntRange(-1, 3).Draw(t, "id")
	switch rapid.IntRange(0, 17).Draw(t, "action") {
	case 0, 1, 2, 3:
		seq := table.LastSequenceNumber() + rapid.Int64Range(0, 2).Draw(t, "sequence")
		more := ""
		if parent, ok := table.CurrentSnapshotID(); ok && rapid.Bool().Draw(t, "has parent") {
			more = fmt.Sprintf(`,"parent-snapshot-id":%d`, parent)
		}
		switch table.FormatVersion() {
		case 1:
			seq = 0
		case 3:
			more += fmt.Sprintf(`,"first-row-id":%d,"added-rows":%d`, table.NextRowID()+rapid.Int64Range(-1, 2).Draw(t, "gap"), rapid.Int64Range(0, 5).Draw(t, "rows"))
		}
		return addSnapshot(id, seq, now+rapid.Int64Range(-70_000, 70_000).Draw(t, "skew"), more)
	case 4, 5, 6, 7:
		return fmt.Sprintf(`{"action":"set-snapshot-ref","ref-name":%q,"type":%q,"snapshot-id":%d}`, ref, kind, id)
	case 8:
		return fmt.Sprintf(`{"action":"remove-snapshots","snapshot-ids":[%d,%d]}`, id, id+1)
	case 9:
		return fmt.Sprintf(`{"action":"remove-snapshot-ref","ref-name":%q}`, ref)
	case 10:
		return fmt.Sprintf(`{"action":"set-statistics","statistics":{"snapshot-id":%d,"statistics-path":"s3://b/t/%d","file-size-in-bytes":1,"file-footer-size-in-bytes":1,"blob-metadata":[]}}`, id, now)
	case 11:
		return fmt.Sprintf(`{"action":"remove-partition-statistics","snapshot-id":%d}`, id)
	case 12:
		return fmt.Sprintf(`{"action":"set-partition-statistics","partition-statistics":{"snapshot-id":%d,"statistics-path":"s3://b/t/%d","file-size-in-bytes":1}}`, id, now)
	case 13:
		return fmt.Sprintf(`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":1,"name":"id","required":true,"type":"long"},{"id":%d,"name":"c","required":false,"type":"string"}]}},{"action":"set-current-schema","schema-id":%d}`,
			table.LastColumnID()+rapid.IntRange(0, 2).Draw(t, "column"), small)
	case 14:
		return fmt.Sprintf(`{"action":"add-spec","spec":{"fields":[{"source-id":%d,"name":"p","transform":%q}]}},{"action":"set-default-spec","spec-id":%d}`,
			rapid.IntRange(1, 2).Draw(t, "source"), rapid.SampledFrom([]string{"bucket[2]", "void", "identity", "new[1]"}).Draw(t, "transform"), small)
	case 15:
		return fmt.Sprintf(`{"action":"upgrade-format-version","format-version":%d}`, rapid.IntRange(1, 3).Draw(t, "upgrade"))
	case 16:
		return fmt.Sprintf(`{"action":"remove-schemas","schema-ids":[%d]},{"action":"remove-partition-specs","spec-ids":[%d]}`, small+1, small+1)
	default:
		return fmt.Sprintf(`{"action":"set-properties","updates":{"k":"%d"}}`, small)
	}
}

// TestConcurrentUse shares one version, whose schemas are not parsed yet,
// between goroutines, as a cache does. It is for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	stored := withSnapshots(t, newTable(t, "2", nil), 3)
	table, err := iceberg.TableFromParts(stored.Head(), stored.Parts())
	if err != nil {
		t.Fatal(err)
	}
	ups, err := iceberg.ParseUpdates([]byte(list(
		`{"action":"add-schema","schema":{"type":"struct","fields":[{"id":1,"name":"id","required":true,"type":"long"}]}}`,
		`{"action":"set-properties","updates":{"a":"b"}}`, addSnapshot(9, 9, testNow, ""), setMain(9))))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	documents := make([]string, 8)
	for i := range documents {
		group.Go(func() {
			next, _, err := iceberg.Apply(testEnv(testNow+9), table, nil, ups)
			if err != nil {
				t.Error(err)
				return
			}
			if _, ok := next.CurrentSchema().FindName("id"); !ok {
				t.Error("no column id")
			}
			documents[i] = string(next.Document())
		})
	}
	group.Wait()
	for _, doc := range documents[1:] {
		if doc != documents[0] {
			t.Errorf("documents differ:\n%s\n%s", documents[0], doc)
		}
	}
}
