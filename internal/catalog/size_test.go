package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
)

// grown makes a table of n snapshots with summaries as Spark writes them.
func (s *site) grown(t testing.TB, c *Catalog, id Identifier, n int) {
	t.Helper()
	mustTable(t, c, append(append([]string{}, id.Namespace...), id.Name)...)
	const each = 1000
	now := time.Now().UnixMilli()
	for first := 1; first <= n; first += each {
		var ups []string
		last := min(first+each-1, n)
		for i := first; i <= last; i++ {
			ups = append(ups, s.addSnapshot(int64(i), int64(i-1), int64(i), now))
		}
		ups = append(ups, fmt.Sprintf(`{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":%d}`, last))
		if _, err := c.CommitTable(t.Context(), Change{}, "", commit(t, id, `[]`, "["+strings.Join(ups, ",")+"]")); err != nil {
			t.Fatalf("grow to %d snapshots: %v", last, err)
		}
	}
}

func (s *site) addSnapshot(id, parent, sequence, nowMs int64) string {
	parentField := ""
	if parent != 0 {
		parentField = fmt.Sprintf(`"parent-snapshot-id":%d,`, parent)
	}
	summary, err := json.Marshal(map[string]string{
		"operation": "append", "added-data-files": "12", "added-records": "1048576", "added-files-size": "73400320",
		"changed-partition-count": "3", "total-records": "9876543210", "total-files-size": "987654321012", "total-data-files": "123456",
		"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0", "spark.app.id": "application_1700000000000_0001",
		"engine-name": "spark", "engine-version": "4.1.0", "app-id": "application_1700000000000_0001",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf(`{"action":"add-snapshot","snapshot":{"snapshot-id":%d,%s"sequence-number":%d,"timestamp-ms":%d,"manifest-list":"%s/ns/t/metadata/snap-%d-1-0b2e8e0e-7f0c-4c9e-9a55-cd3f4ee0a7e2.avro","summary":%s,"schema-id":0}}`,
		id, parentField, sequence, nowMs, s.root, id, summary)
}

func TestAppendCostsTheSameHoweverLongTheHistory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a table of 10,000 snapshots")
	}
	s := newSite(t)
	c := s.node()
	mustNamespace(t, c, "ns")
	id := ident("ns", "t")
	s.grown(t, c, id, 10_000)
	sizes := make(chan int, 1)
	s.log.mu.Lock()
	s.log.before = func(tx *command.Transaction) error {
		sizes <- proto.Size(tx)
		return nil
	}
	s.log.mu.Unlock()
	if _, err := c.CommitTable(t.Context(), Change{}, "", s.appendSnapshot(id, 10_001, 10_000, 10_001)); err != nil {
		t.Fatal(err)
	}
	size := <-sizes
	t.Logf("append to 10,000 snapshots: %d bytes in the log", size)
	if size >= 16<<10 {
		t.Errorf("an append takes %d bytes of the log", size)
	}
	if n := snapshots(t, mustLoad(t, s.node(), "ns", "t").Metadata); n != 10_001 {
		t.Errorf("%d snapshots are there", n)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint("snapshots=", n), func(b *testing.B) {
			s := newSite(b)
			c := s.node()
			mustNamespace(b, c, "ns")
			id := ident("ns", "t")
			s.grown(b, c, id, n)
			next := int64(n)
			for b.Loop() {
				if _, err := c.CommitTable(b.Context(), Change{}, "", s.appendSnapshot(id, next+1, next, next+1)); err != nil {
					b.Fatal(err)
				}
				next++
			}
		})
	}
}

func BenchmarkLoadWithoutCache(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint("snapshots=", n), func(b *testing.B) {
			s := newSite(b)
			c := s.node()
			mustNamespace(b, c, "ns")
			s.grown(b, c, ident("ns", "t"), n)
			for b.Loop() {
				b.StopTimer()
				fresh := s.node()
				b.StartTimer()
				mustLoad(b, fresh, "ns", "t")
			}
		})
	}
}
