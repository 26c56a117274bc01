package rest

import (
	"context"

	"github.com/floeberg/floeberg/internal/catalog"
)

// Catalog is the use cases that the protocol offers. Their errors are refusals
// of package catalog, or a context's.
type Catalog interface {
	// Warehouse returns a warehouse by name; "" is the default one.
	Warehouse(ctx context.Context, read catalog.Read, name string) (*catalog.WarehouseInfo, error)

	// ListNamespaces returns the direct children of a namespace; an empty parent
	// is the top.
	ListNamespaces(ctx context.Context, read catalog.Read, warehouse string, parent catalog.Namespace, page catalog.Page) (*catalog.List[catalog.Namespace], error)
	// CreateNamespace makes a namespace.
	CreateNamespace(ctx context.Context, change catalog.Change, warehouse string, path catalog.Namespace, properties map[string]string) (*catalog.NamespaceInfo, error)
	// LoadNamespace returns a namespace.
	LoadNamespace(ctx context.Context, read catalog.Read, warehouse string, path catalog.Namespace) (*catalog.NamespaceInfo, error)
	// DropNamespace removes an empty namespace.
	DropNamespace(ctx context.Context, change catalog.Change, warehouse string, path catalog.Namespace) (index uint64, err error)
	// UpdateNamespaceProperties removes and sets properties.
	UpdateNamespaceProperties(ctx context.Context, change catalog.Change, warehouse string, path catalog.Namespace, removals []string, updates map[string]string) (*catalog.PropertiesChange, error)

	// ListTables returns the tables of a namespace.
	ListTables(ctx context.Context, read catalog.Read, warehouse string, path catalog.Namespace, page catalog.Page) (*catalog.List[catalog.Identifier], error)
	// CreateTable makes a table, or only its first metadata.
	CreateTable(ctx context.Context, change catalog.Change, warehouse string, req catalog.CreateTable) (*catalog.Table, error)
	// LoadTable returns a table.
	LoadTable(ctx context.Context, warehouse string, id catalog.Identifier, opts catalog.LoadOptions) (*catalog.Table, error)
	// TableExists returns without an error where the table is there.
	TableExists(ctx context.Context, read catalog.Read, warehouse string, id catalog.Identifier) (index uint64, err error)
	// CommitTable changes a table, or makes one that was staged.
	CommitTable(ctx context.Context, change catalog.Change, warehouse string, req catalog.CommitTable) (*catalog.Table, error)
	// DropTable removes a table.
	DropTable(ctx context.Context, change catalog.Change, warehouse string, id catalog.Identifier, purge bool) (index uint64, err error)
	// CommitTransaction changes several tables, all or none.
	CommitTransaction(ctx context.Context, change catalog.Change, warehouse string, reqs []catalog.CommitTable) (index uint64, err error)
	// RenameTable gives a table another name.
	RenameTable(ctx context.Context, change catalog.Change, warehouse string, from, to catalog.Identifier) (index uint64, err error)
	// RegisterTable makes a table of a metadata file that is there.
	RegisterTable(ctx context.Context, change catalog.Change, warehouse string, req catalog.RegisterTable) (*catalog.Table, error)
	// UnregisterTable removes a table and returns its last generation.
	UnregisterTable(ctx context.Context, change catalog.Change, warehouse string, id catalog.Identifier) (*catalog.Table, error)
	// ReportMetrics takes what a client reports of its work on a table.
	ReportMetrics(ctx context.Context, read catalog.Read, warehouse string, id catalog.Identifier, report catalog.Report) (index uint64, err error)

	// ListViews returns the views of a namespace.
	ListViews(ctx context.Context, read catalog.Read, warehouse string, path catalog.Namespace, page catalog.Page) (*catalog.List[catalog.Identifier], error)
	// CreateView makes a view.
	CreateView(ctx context.Context, change catalog.Change, warehouse string, req catalog.CreateView) (*catalog.View, error)
	// RegisterView makes a view of a metadata file that is there.
	RegisterView(ctx context.Context, change catalog.Change, warehouse string, req catalog.RegisterView) (*catalog.View, error)
	// LoadView returns a view.
	LoadView(ctx context.Context, read catalog.Read, warehouse string, id catalog.Identifier) (*catalog.View, error)
	// ViewExists returns without an error where the view is there.
	ViewExists(ctx context.Context, read catalog.Read, warehouse string, id catalog.Identifier) (index uint64, err error)
	// ReplaceView changes a view.
	ReplaceView(ctx context.Context, change catalog.Change, warehouse string, req catalog.ReplaceView) (*catalog.View, error)
	// DropView removes a view.
	DropView(ctx context.Context, change catalog.Change, warehouse string, id catalog.Identifier) (index uint64, err error)
	// RenameView gives a view another name.
	RenameView(ctx context.Context, change catalog.Change, warehouse string, from, to catalog.Identifier) (index uint64, err error)
}
