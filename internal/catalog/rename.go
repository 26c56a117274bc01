package catalog

import (
	"bytes"
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// renamed is what is renamed: a table or a view, as it was found under its old name.
type renamed struct {
	key      []byte
	revision uint64
	record   proto.Message
	event    *state.Event // of the rename, to the new name
}

// RenameTable gives a table another name, in another namespace of the warehouse
// too, and returns the log index that did it. Identity, files and location stay.
// A commit under way to the old name finds no table any more.
func (c *Catalog) RenameTable(ctx context.Context, ch Change, warehouse string, from, to Identifier) (uint64, error) {
	return c.rename(ctx, ch, warehouse, from, to, state.TableKey, func(v *state.View, wh *WarehouseInfo) (*renamed, error) {
		e, err := find(v, wh, from)
		if err != nil {
			return nil, err
		}
		return &renamed{e.key, e.revision, e.record, tableEvent("table.rename", wh, to, e.record)}, nil
	})
}

// RenameView gives a view another name, in another namespace of its warehouse if
// need be, and returns the log index that did it. Its location stays.
func (c *Catalog) RenameView(ctx context.Context, ch Change, warehouse string, from, to Identifier) (uint64, error) {
	return c.rename(ctx, ch, warehouse, from, to, state.ViewKey, func(v *state.View, wh *WarehouseInfo) (*renamed, error) {
		e, err := findView(v, wh, from)
		if err != nil {
			return nil, err
		}
		return &renamed{e.key, e.revision, e.record, viewEvent("view.rename", wh, to, e.record)}, nil
	})
}

func (c *Catalog) rename(
	ctx context.Context, ch Change, warehouse string, from, to Identifier,
	keyOf func(warehouse string, namespace []string, name string) []byte,
	find func(*state.View, *WarehouseInfo) (*renamed, error),
) (uint64, error) {
	for _, id := range []Identifier{from, to} {
		if err := CheckIdentifier(id); err != nil {
			return 0, err
		}
	}
	// Not among the commits: those wait for the object store, and a rename does not
	// need it.
	queues := [][]byte{
		append(keyOf(warehouse, from.Namespace, from.Name), "rename"...),
		append(keyOf(warehouse, to.Namespace, to.Name), "rename"...),
	}
	index := uint64(0)
	_, err := c.changeAllIn(ctx, ch, warehouse, queues, func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		r, err := find(v, wh)
		if err != nil {
			return nil, err
		}
		p := &plan{outcome: doneAnswer()}
		p.then(func(res command.Result) { index = res.Index })
		p.require(command.KeyUnchanged(r.key, r.revision))
		target := keyOf(wh.Name, to.Namespace, to.Name)
		if bytes.Equal(target, r.key) {
			p.nothing = true
			return p, nil
		}
		if _, err := c.free(v, p, wh, to, takenForRename(from, to)); err != nil {
			return nil, err
		}
		p.write(command.DeleteKey(r.key))
		if err := p.putRecord(target, r.record); err != nil {
			return nil, err
		}
		r.event.FromNamespace, r.event.FromName = from.Namespace, from.Name
		p.tell(r.event)
		return p, nil
	})
	return max(index, c.proposed.Load()), withoutConflict(from, err)
}
