package rest_test

import (
	"context"

	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/internal/catalog"
)

// spy sees what comes to a catalog, and can answer in its place.
type spy struct {
	rest.Catalog
	warehouse func(catalog.Read)
	load      func(context.Context) (*catalog.Table, error) // nil answers leave it to the catalog
	commit    func(context.Context, catalog.Change, catalog.CommitTable) (*catalog.Table, error)
	drop      func(context.Context, catalog.Change) error
	listed    func() // called when a listing was made
}

func (s spy) Warehouse(ctx context.Context, read catalog.Read, name string) (*catalog.WarehouseInfo, error) {
	if s.warehouse != nil {
		s.warehouse(read)
	}
	return s.Catalog.Warehouse(ctx, read, name)
}

func (s spy) LoadTable(ctx context.Context, warehouse string, id catalog.Identifier, opts catalog.LoadOptions) (*catalog.Table, error) {
	if s.load != nil {
		if t, err := s.load(ctx); t != nil || err != nil {
			return t, err
		}
	}
	return s.Catalog.LoadTable(ctx, warehouse, id, opts)
}

func (s spy) CommitTable(ctx context.Context, ch catalog.Change, warehouse string, req catalog.CommitTable) (*catalog.Table, error) {
	if s.commit != nil {
		if t, err := s.commit(ctx, ch, req); t != nil || err != nil {
			return t, err
		}
	}
	return s.Catalog.CommitTable(ctx, ch, warehouse, req)
}

func (s spy) DropNamespace(ctx context.Context, ch catalog.Change, warehouse string, path catalog.Namespace) (uint64, error) {
	if s.drop != nil {
		if err := s.drop(ctx, ch); err != nil {
			return 0, err
		}
	}
	return s.Catalog.DropNamespace(ctx, ch, warehouse, path)
}

func (s spy) ListTables(ctx context.Context, read catalog.Read, warehouse string, path catalog.Namespace, page catalog.Page) (*catalog.List[catalog.Identifier], error) {
	list, err := s.Catalog.ListTables(ctx, read, warehouse, path, page)
	if s.listed != nil {
		s.listed()
	}
	return list, err
}
