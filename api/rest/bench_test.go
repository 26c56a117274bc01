package rest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// discard is a client that takes everything and keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkLoadTable is what the protocol adds to a table whose document is in
// the catalog's cache, as clients ask for it: as it is, compressed, or only
// whether it is still the one that they have.
func BenchmarkLoadTable(b *testing.B) {
	h := newSite(b).node("n1")
	createNamespace(b, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(b, h, 200)
	for _, snapshots := range []int{1, 100, 2000} {
		grow(b, h, snapshots)
		w := ask{method: "GET", path: table}.want(b, h, 200)
		for _, encoding := range []string{"identity", "gzip", "zstd"} {
			b.Run(fmt.Sprintf("%dKiB/%s", w.Body.Len()>>10, encoding), func(b *testing.B) { benchmark(b, h, table, encoding, "") })
		}
		b.Run(fmt.Sprintf("%dKiB/not-modified", w.Body.Len()>>10), func(b *testing.B) { benchmark(b, h, table, "gzip", w.Header().Get("ETag")) })
	}
}

// BenchmarkListTables measures a page of 1,000 tables.
func BenchmarkListTables(b *testing.B) {
	h := newSite(b).node("n1")
	createNamespace(b, h, "a")
	for i := range 1001 {
		ask{method: "POST", path: tables, body: createTableBody(fmt.Sprintf("table_%05d", i))}.want(b, h, 200)
	}
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		b.Run(encoding, func(b *testing.B) { benchmark(b, h, tables+"?pageSize=1000&pageToken=", encoding, "") })
	}
}

func benchmark(b *testing.B, h http.Handler, path, encoding, tag string) {
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+keyOf("admin"))
		r.Header.Set("Accept-Encoding", encoding)
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}

// grow gives the table t of namespace a so many snapshots.
func grow(t testing.TB, h http.Handler, snapshots int) {
	t.Helper()
	now := decode[struct {
		Metadata struct {
			Location  string `json:"location"`
			Snapshots []struct {
				ID int64 `json:"snapshot-id"`
			} `json:"snapshots"`
		} `json:"metadata"`
	}](t, ask{method: "GET", path: table}.want(t, h, 200)).Metadata
	var updates []string
	for i := len(now.Snapshots) + 1; i <= snapshots; i++ {
		parent := ""
		if i > 1 {
			parent = fmt.Sprintf(`"parent-snapshot-id":%d,`, snapshotID(i-1))
		}
		updates = append(updates, fmt.Sprintf(`{"action":"add-snapshot","snapshot":{"snapshot-id":%d,%s"sequence-number":%d,"timestamp-ms":%d,"manifest-list":"%s/metadata/snap-%d-1-%s.avro","summary":{"operation":"append","added-data-files":"1","added-records":"%d","total-records":"%d"},"schema-id":0}},{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":%d}`,
			snapshotID(i), parent, i, time.Now().UnixMilli(), now.Location, snapshotID(i), uuid.NewString(), i*7919%5000, i*2500, snapshotID(i)))
		if len(updates) == 250 || i == snapshots {
			ask{method: "POST", path: table, body: `{"requirements":[],"updates":[` + strings.Join(updates, ",") + `]}`}.want(t, h, 200)
			updates = nil
		}
	}
}

// snapshotID is a number as large and as random as clients make them.
func snapshotID(i int) int64 { return int64(uint64(i) * 0x9e3779b97f4a7c15 >> 1) }

// BenchmarkListFewOfMany measures the first page of many tables of which the one who
// asks may see ten: by their names, by how they begin, by what else is in them, and by
// a condition that only the library understands.
func BenchmarkListFewOfMany(b *testing.B) {
	const way = `permit (principal in Floeberg::Group::"reader", action in Floeberg::Action::"Read", resource == Floeberg::Namespace::"default/a");`
	const those = `permit (principal in Floeberg::Group::"reader", action in Floeberg::Action::"Read", resource is Floeberg::Table) when `
	var named strings.Builder
	for i := range 10 {
		fmt.Fprintf(&named, "permit (principal in Floeberg::Group::\"reader\", action == Floeberg::Action::\"LoadTable\", resource == Floeberg::Table::\"default/a/table_%06d\");\n", i*997)
	}
	for _, n := range []int{10_000, 1_000_000} {
		s := newSite(b)
		h := s.node("n1")
		createNamespace(b, h, "a")
		s.fill(n)
		for _, bc := range []struct{ name, policies string }{
			{"named", named.String()},
			{"begin", those + `{ resource.name like "table_00000*" };`},
			{"within", those + `{ resource.name like "*_00000*" };`},
			{"library", those + `{ {"name": resource.name}.name like "table_00000*" };`},
		} {
			b.Run(fmt.Sprintf("tables=%d/%s", n, bc.name), func(b *testing.B) {
				s.PutPolicies("", way+bc.policies)
				var took []time.Duration
				for b.Loop() {
					start := time.Now()
					w := ask{method: "GET", path: tables + "?pageToken=&pageSize=100", as: "reader"}.want(b, h, 200)
					took = append(took, time.Since(start))
					if list := decode[identifiers](b, w); len(list.Identifiers) != 10 {
						b.Fatalf("%d entries, next %q", len(list.Identifiers), list.NextPageToken)
					}
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}
