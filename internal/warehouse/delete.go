package warehouse

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Delete takes a warehouse that holds nothing out of the catalog, with its policies and
// their history, and returns the log index that did it. No file in its store is touched.
func (w *Warehouses) Delete(ctx context.Context, ch catalog.Change, name string, wanted *uint64) (uint64, error) {
	index := uint64(0)
	answer, err := w.log.Transact(ctx, ch.In(name), state.WarehouseKey(name), func(_ context.Context, v *state.View) (*catalog.Plan, error) {
		rec, generation, err := find(v, name)
		if err != nil {
			return nil, err
		}
		if err := expect(name, wanted, generation); err != nil {
			return nil, err
		}
		if fromSettings(rec) {
			return nil, catalog.Refuse(catalog.KindWarehouseRefused, "Refused: warehouse %s was made of the nodes' settings, and can't be deleted", name)
		}
		key, inside := state.WarehouseKey(name), state.NamespacesOf(name)
		empty, err := v.Empty(inside)
		if err != nil {
			return nil, catalog.Broken(err)
		}
		if !empty {
			return nil, catalog.Refuse(catalog.KindWarehouseRefused, "Refused: warehouse %s is not empty; drop its namespaces first", name)
		}
		p := &catalog.Plan{Preconditions: []*command.Precondition{
			command.KeyUnchanged(key, generation), command.RangeEmpty(inside.Start, inside.End),
		}}
		if err := unpurged(v, p, rootsOf(rec)); err != nil {
			return nil, err
		}
		if err := changes(v, p); err != nil {
			return nil, err
		}
		forget(p, name)
		p.Writes = append(p.Writes, command.DeleteKey(key))
		p.Events = append(p.Events, &state.Event{Kind: "warehouse.delete", Warehouse: name})
		p.Applied = func(res command.Result) { index = res.Index }
		return p, nil
	})
	if err != nil || answer == nil {
		return index, err
	}
	v, err := w.log.View(ctx, catalog.Read{})
	if err != nil {
		return 0, err
	}
	defer v.Close()
	return v.Index, nil
}
