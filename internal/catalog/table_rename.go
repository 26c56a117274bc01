package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// RenameTable gives a table another name, in another namespace of the warehouse
// too, and returns the log index that did it. Identity, files and location stay.
// A commit under way to the old name finds no table any more.
func (c *Catalog) RenameTable(ctx context.Context, ch Change, warehouse string, from, to Identifier) (uint64, error) {
	for _, id := range []Identifier{from, to} {
		if err := checkIdentifier(id); err != nil {
			return 0, err
		}
	}
	// Not among the tables' commits: those wait for the object store, and a rename
	// does not need it.
	queues := [][]byte{
		append(state.TableKey(warehouse, from.Namespace, from.Name), "rename"...),
		append(state.TableKey(warehouse, to.Namespace, to.Name), "rename"...),
	}
	index := uint64(0)
	_, err := c.changeAll(ctx, ch, queues, func(_ context.Context, v *state.View) (*plan, error) {
		wh, err := c.warehouse(v, warehouse)
		if err != nil {
			return nil, err
		}
		e, err := find(v, wh, from)
		if err != nil {
			return nil, err
		}
		p := &plan{outcome: doneAnswer()}
		p.then(func(res command.Result) { index = res.Index })
		p.require(command.KeyUnchanged(e.key, e.revision))
		target := state.TableKey(wh.Name, to.Namespace, to.Name)
		if string(target) == string(e.key) {
			p.nothing = true
			return p, nil
		}
		if _, err := c.free(v, p, wh, to, takenForRename(from, to)); err != nil {
			return nil, err
		}
		p.write(command.DeleteKey(e.key))
		if err := p.putRecord(target, e.record); err != nil {
			return nil, err
		}
		event := tableEvent("table.rename", wh, to, e.record)
		event.FromNamespace, event.FromName = from.Namespace, from.Name
		p.tell(event)
		return p, nil
	})
	return max(index, c.proposed.Load()), withoutConflict(from, err)
}
