package catalog

import (
	"encoding/binary"
	"fmt"

	"github.com/maypok86/otter/v2"

	"github.com/floeberg/floeberg/internal/iceberg"
)

// tableCache keeps generations of tables ready: their documents for loads, and
// their decoded metadata for commits. A generation never changes, so nothing is
// ever invalidated; what is not asked for any more falls out.
type tableCache struct {
	documents *otter.Cache[string, []byte]
	tables    *otter.Cache[string, decoded]
}

// decoded is a generation's metadata and the size of its document, which is
// about what it takes in memory.
type decoded struct {
	table *iceberg.Table
	size  int
}

func newTableCache(bytes int64) (*tableCache, error) {
	documents, err := otter.New(&otter.Options[string, []byte]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(key string, doc []byte) uint32 { return weight(len(key) + len(doc)) },
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: document cache: %w", err)
	}
	tables, err := otter.New(&otter.Options[string, decoded]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(key string, d decoded) uint32 { return weight(len(key) + d.size) },
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: table cache: %w", err)
	}
	return &tableCache{documents: documents, tables: tables}, nil
}

// weight is a size with what the cache itself needs for an entry.
func weight(bytes int) uint32 {
	const overhead = 128
	return uint32(min(bytes+overhead, 1<<31))
}

// generation names one generation of a table, equal on all nodes.
func generation(id []byte, revision uint64, variant byte) string {
	key := make([]byte, 0, len(id)+9)
	key = append(key, id...)
	key = binary.BigEndian.AppendUint64(key, revision)
	return string(append(key, variant))
}

// Variants of a generation's document.
const (
	allSnapshots byte = iota
	refsOnly
)

func documentKey(id []byte, revision uint64, refs bool) string {
	if refs {
		return generation(id, revision, refsOnly)
	}
	return generation(id, revision, allSnapshots)
}

func (c *tableCache) document(id []byte, revision uint64, refs bool) []byte {
	doc, _ := c.documents.GetIfPresent(documentKey(id, revision, refs))
	return doc
}

func (c *tableCache) putDocument(id []byte, revision uint64, refs bool, doc []byte) {
	c.documents.Set(documentKey(id, revision, refs), doc)
}

func (c *tableCache) table(id []byte, revision uint64) *iceberg.Table {
	d, _ := c.tables.GetIfPresent(generation(id, revision, allSnapshots))
	return d.table
}

func (c *tableCache) putTable(id []byte, revision uint64, t *iceberg.Table, size int) {
	c.tables.Set(generation(id, revision, allSnapshots), decoded{table: t, size: size})
}
