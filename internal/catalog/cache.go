package catalog

import (
	"fmt"

	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/newest"
)

// tableCache keeps the newest generations of tables ready: their documents for
// loads, and their decoded metadata for commits.
type tableCache struct {
	documents *newest.Cache[[]byte]
	tables    *newest.Cache[*iceberg.Table]
}

func newTableCache(bytes int64) (*tableCache, error) {
	documents, err := newest.New[[]byte](bytes)
	if err != nil {
		return nil, fmt.Errorf("catalog: document cache: %w", err)
	}
	tables, err := newest.New[*iceberg.Table](bytes)
	if err != nil {
		return nil, fmt.Errorf("catalog: table cache: %w", err)
	}
	return &tableCache{documents: documents, tables: tables}, nil
}

// documentName names a table's documents of one variant.
func documentName(id []byte, refs bool) string {
	if refs {
		return string(id) + "refs"
	}
	return string(id)
}

func (c *tableCache) document(id []byte, revision uint64, refs bool) []byte {
	doc, _ := c.documents.Get(documentName(id, refs), revision)
	return doc
}

func (c *tableCache) putDocument(id []byte, revision uint64, refs bool, doc []byte) {
	c.documents.Keep(documentName(id, refs), revision, doc, len(doc))
}

func (c *tableCache) table(id []byte, revision uint64) *iceberg.Table {
	t, _ := c.tables.Get(string(id), revision)
	return t
}

// putTable keeps decoded metadata; bytes are those of its document. Decoded it
// takes a quarter more, and what even a table without history needs for itself.
func (c *tableCache) putTable(id []byte, revision uint64, t *iceberg.Table, bytes int) {
	const itself = 2 << 10
	c.tables.Keep(string(id), revision, t, itself+bytes+bytes/4)
}
