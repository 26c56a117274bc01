package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/state"
)

// ListWarehouses returns the warehouses in byte order of their names.
func (c *Catalog) ListWarehouses(ctx context.Context, read Read, page Page) (*List[*WarehouseInfo], error) {
	v, err := c.view(ctx, read)
	if err != nil {
		return nil, err
	}
	l, err := newList(v, state.SpaceRange(state.SpaceWarehouse), page, func(key []byte) (*WarehouseInfo, error) {
		name, err := state.WarehouseName(key)
		if err != nil {
			return nil, err
		}
		return c.warehouse(v, name)
	})
	if err != nil {
		v.Close()
		return nil, err
	}
	return l, nil
}
