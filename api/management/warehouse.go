package management

import (
	"context"

	"github.com/floeberg/floeberg/api/serve"
)

// Warehouse is a warehouse as operators see it.
type Warehouse struct {
	Name         string   `json:"name"`
	Root         string   `json:"root"`
	AllowedRoots []string `json:"allowed_roots"`
}

func (a *api) showWarehouse(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	wh, err := a.catalog.Warehouse(ctx, c.Read, c.Param("warehouse"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(wh.Index, Warehouse{Name: wh.Name, Root: wh.Root, AllowedRoots: append([]string{}, wh.AllowedRoots...)})
}
