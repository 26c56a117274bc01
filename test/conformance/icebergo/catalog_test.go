package icebergo_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
)

// open connects to the catalog that the environment names.
func open(t *testing.T) *rest.Catalog {
	t.Helper()
	uri := os.Getenv("FLOEBERG_TEST_URI")
	if uri == "" {
		t.Fatal("FLOEBERG_TEST_URI names no catalog: the tests of test/conformance run these")
	}
	cat, err := rest.NewCatalog(t.Context(), "test", uri,
		rest.WithOAuthToken(os.Getenv("FLOEBERG_TEST_TOKEN")), rest.WithWarehouseLocation("default"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cat.Close(); err != nil {
			t.Error(err)
		}
	})
	return cat
}

// TestSuite is iceberg-go's own suite for catalogs.
func TestSuite(t *testing.T) {
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		NewCatalog:                  func(t *testing.T) catalog.Catalog { return open(t) },
		SupportsNamespaceProperties: true,
	})
}

var schema = iceberg.NewSchema(0,
	iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.Int64},
	iceberg.NestedField{ID: 2, Name: "name", Type: iceberg.PrimitiveTypes.String},
)

var namespaces atomic.Int64

// namespace makes a namespace for the test.
func namespace(t *testing.T, cat *rest.Catalog) string {
	t.Helper()
	name := fmt.Sprintf("go_%d_%d", os.Getpid(), namespaces.Add(1))
	if err := cat.CreateNamespace(t.Context(), table.Identifier{name}, nil); err != nil {
		t.Fatal(err)
	}
	return name
}

// create makes a table of the test's schema.
func create(t *testing.T, cat *rest.Catalog, ident ...string) *table.Table {
	t.Helper()
	tbl, err := cat.CreateTable(t.Context(), ident, schema)
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

// rows are rows of the test's schema, with ids from start on.
func rows(t *testing.T, start, count int) array.RecordReader {
	t.Helper()
	builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil))
	defer builder.Release()
	for i := start; i < start+count; i++ {
		builder.Field(0).(*array.Int64Builder).Append(int64(i))
		builder.Field(1).(*array.StringBuilder).Append(fmt.Sprint("floe ", i))
	}
	reader, err := array.NewRecordReader(builder.Schema(), []arrow.RecordBatch{builder.NewRecordBatch()})
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// appendRows adds rows to a table in a commit.
func appendRows(t *testing.T, tbl *table.Table, start, count int) *table.Table {
	t.Helper()
	reader := rows(t, start, count)
	defer reader.Release()
	after, err := tbl.Append(t.Context(), reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// load reads a table anew.
func load(t *testing.T, cat *rest.Catalog, ident ...string) *table.Table {
	t.Helper()
	tbl, err := cat.LoadTable(t.Context(), ident)
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

// count reads a table's data.
func count(t *testing.T, scan *table.Scan) int64 {
	t.Helper()
	read, err := scan.ToArrowTable(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer read.Release()
	return read.NumRows()
}
