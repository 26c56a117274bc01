package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/state"
)

// WarehouseList is a page of warehouses.
type WarehouseList struct {
	Warehouses []*WarehouseInfo
	Next       string // "" on the last page
	Index      uint64
}

// ListWarehouses returns the warehouses in byte order of their names.
func (c *Catalog) ListWarehouses(ctx context.Context, read Read, page Page) (*WarehouseList, error) {
	v, err := c.view(ctx, read)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	list := &WarehouseList{Index: v.Index, Warehouses: []*WarehouseInfo{}}
	list.Next, err = scanPage(v, state.SpaceRange(state.SpaceWarehouse), page, func(key []byte) error {
		name, err := state.WarehouseName(key)
		if err != nil {
			return broken(err)
		}
		wh, err := c.warehouse(v, name)
		if err != nil {
			return err
		}
		list.Warehouses = append(list.Warehouses, wh)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
