package management

import (
	"context"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Warehouse is a warehouse as operators see it.
type Warehouse struct {
	Name         string   `json:"name"`
	Root         string   `json:"root"`
	AllowedRoots []string `json:"allowed_roots"`
}

// Warehouses is a page of warehouses.
type Warehouses struct {
	Warehouses    []Warehouse `json:"warehouses"`
	NextPageToken string      `json:"next_page_token,omitempty"`
}

func (a *api) listWarehouses(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	p.Filter = c.Filtered(ctx, authz.ActionShowWarehouse, func(name string) authz.Resource {
		return authz.Resource{Kind: authz.KindWarehouse, Warehouse: name}
	})
	list, err := a.catalog.ListWarehouses(ctx, c.Read, p)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	out := Warehouses{Warehouses: []Warehouse{}}
	out.NextPageToken, err = list.Each(ctx, func(wh *catalog.WarehouseInfo) error {
		out.Warehouses = append(out.Warehouses, warehouse(wh))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return serve.JSON(list.Index, out)
}

func (a *api) showWarehouse(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	wh, err := a.catalog.Warehouse(ctx, c.Read, c.Param("warehouse"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(wh.Index, warehouse(wh))
}

func warehouse(wh *catalog.WarehouseInfo) Warehouse {
	return Warehouse{Name: wh.Name, Root: wh.Root, AllowedRoots: append([]string{}, wh.AllowedRoots...)}
}
