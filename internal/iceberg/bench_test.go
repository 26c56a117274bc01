package iceberg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/internal/iceberg"
)

var benchSizes = []int{1, 100, 1_000, 10_000}

// benchTable makes a table as long-lived ones are: 50 columns, summaries of 15
// entries, a full metadata log.
func benchTable(tb testing.TB, snapshots int) *iceberg.Table {
	tb.Helper()
	var doc strings.Builder
	doc.WriteString(`{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"s3://bucket/warehouse/db/events",` +
		`"last-sequence-number":` + fmt.Sprint(snapshots) + `,"last-updated-ms":1700000000000,"last-column-id":50,"current-schema-id":0,` +
		`"schemas":[{"type":"struct","schema-id":0,"fields":[`)
	for i := 1; i <= 50; i++ {
		if i > 1 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"id":%d,"name":"column_%02d","required":false,"type":"string","doc":"the column of number %d"}`, i, i, i)
	}
	doc.WriteString(`]}],"default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"last-partition-id":999,` +
		`"default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}],"properties":{"owner":"nobody","write.format.default":"parquet"},` +
		fmt.Sprintf(`"current-snapshot-id":%d,"refs":{"main":{"snapshot-id":%d,"type":"branch"}},"snapshots":[`, snapshotID(snapshots), snapshotID(snapshots)))
	for i := 1; i <= snapshots; i++ {
		if i > 1 {
			doc.WriteByte(',')
		}
		doc.WriteString(snapshotJSON(i, 1_600_000_000_000+int64(i)))
	}
	doc.WriteString(`],"snapshot-log":[`)
	for i := 1; i <= snapshots; i++ {
		if i > 1 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"timestamp-ms":%d,"snapshot-id":%d}`, 1_600_000_000_000+int64(i), snapshotID(i))
	}
	doc.WriteString(`],"metadata-log":[`)
	for i := range 100 {
		if i > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"timestamp-ms":%d,"metadata-file":"s3://bucket/warehouse/db/events/metadata/%05d-9c12d441-03fe-4693-9a96-%012d.metadata.json"}`, 1_600_000_000_000+i, i, i)
	}
	doc.WriteString(`]}`)
	return mustParse(tb, []byte(doc.String()))
}

func snapshotID(i int) int64 { return 1_000_000_007 * int64(i) }

// snapshotJSON is a snapshot as Java writes it.
func snapshotJSON(i int, at int64) string {
	parent := ""
	if i > 1 {
		parent = fmt.Sprintf(`"parent-snapshot-id":%d,`, snapshotID(i-1))
	}
	return fmt.Sprintf(`{"sequence-number":%d,"snapshot-id":%d,%s"timestamp-ms":%d,"summary":{"operation":"append","spark.app.id":"local-1700000000000",`+
		`"added-data-files":"4","added-records":"100000","added-files-size":"12345678","changed-partition-count":"1","total-records":"1000000000",`+
		`"total-files-size":"123456789012","total-data-files":"40000","total-delete-files":"0","total-position-deletes":"0","total-equality-deletes":"0",`+
		`"engine-version":"4.1.0","app-id":"local-1700000000000","engine-name":"spark","iceberg-version":"Apache Iceberg 1.12.0"},`+
		`"manifest-list":"s3://bucket/warehouse/db/events/metadata/snap-%d-1-9c12d441-03fe-4693-9a96-a0705ddf69c1.avro","schema-id":0}`,
		i, snapshotID(i), parent, at, snapshotID(i))
}

func appendUpdates(i int, at int64) []byte {
	return fmt.Appendf(nil, `[{"action":"add-snapshot","snapshot":%s},{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":%d}]`,
		snapshotJSON(i, at), snapshotID(i))
}

func benchEach(b *testing.B, run func(*testing.B, int, *iceberg.Table)) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("snapshots=%d", n), func(b *testing.B) {
			table := benchTable(b, n)
			b.ReportAllocs()
			run(b, n, table)
		})
	}
}

// BenchmarkCommit is a whole commit on a table from the store: put together,
// parse the request, check, apply, write the head and the complete document.
func BenchmarkCommit(b *testing.B) {
	benchEach(b, func(b *testing.B, n int, table *iceberg.Table) {
		head, parts := table.Head(), table.Parts()
		updates := appendUpdates(n+1, 1_700_000_000_001)
		requirements := fmt.Appendf(nil, `[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":%d}]`, snapshotID(n))
		env := iceberg.Env{NowMs: 1_700_000_000_002, MetadataLocation: "s3://bucket/warehouse/db/events/metadata/00100-x.metadata.json"}
		var doc []byte
		for b.Loop() {
			base, err := iceberg.TableFromParts(head, parts)
			if err != nil {
				b.Fatal(err)
			}
			next, changes, err := applyRaw(env, base, requirements, updates)
			if err != nil || len(changes.Put) != 3 {
				b.Fatal(err, len(changes.Put))
			}
			_ = next.Head()
			doc = next.AppendDocument(doc[:0])
		}
	})
}

// BenchmarkApply is the part of a commit that follows once the base is there.
func BenchmarkApply(b *testing.B) {
	benchEach(b, func(b *testing.B, n int, table *iceberg.Table) {
		updates := appendUpdates(n+1, 1_700_000_000_001)
		env := iceberg.Env{NowMs: 1_700_000_000_002, MetadataLocation: "s3://bucket/warehouse/db/events/metadata/00100-x.metadata.json"}
		for b.Loop() {
			if _, _, err := applyRaw(env, table, nil, updates); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTableFromParts(b *testing.B) {
	benchEach(b, func(b *testing.B, _ int, table *iceberg.Table) {
		head, parts := table.Head(), table.Parts()
		for b.Loop() {
			if _, err := iceberg.TableFromParts(head, parts); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAssemble(b *testing.B) {
	benchEach(b, func(b *testing.B, _ int, table *iceberg.Table) {
		head, parts := table.Head(), table.Parts()
		var doc []byte
		for b.Loop() {
			doc = assembled(b, head, parts, false)
		}
		b.SetBytes(int64(len(doc)))
	})
}

func BenchmarkParseTable(b *testing.B) {
	benchEach(b, func(b *testing.B, _ int, table *iceberg.Table) {
		doc := table.Document()
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			if _, err := iceberg.ParseTable(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
}
