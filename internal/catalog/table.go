package catalog

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// entry is a table as it was found in one state.
type entry struct {
	key      []byte
	record   *state.Table
	revision uint64
}

// id is the entry's identity; where there is no entry, nobody's.
func (e *entry) id() []byte {
	if e == nil {
		return nil
	}
	return e.record.Id
}

// CheckIdentifier refuses an identifier that no table and no view can have.
func CheckIdentifier(id Identifier) error {
	if err := checkNamespace(id.Namespace); err != nil {
		return err
	}
	return checkName("name", id.Name)
}

// NoSuchTable is the refusal where a table does not exist.
func NoSuchTable(id Identifier) error {
	return refuse(KindNoSuchTable, "Table does not exist: %s", id)
}

// find looks a table up by name.
func find(v *state.View, wh *WarehouseInfo, id Identifier) (*entry, error) {
	rec, rev, ok, err := v.Table(wh.Name, id.Namespace, id.Name)
	if err != nil {
		return nil, broken(err)
	}
	if !ok {
		return nil, NoSuchTable(id)
	}
	key := state.TableKey(wh.Name, id.Namespace, id.Name)
	return &entry{key: key, record: rec, revision: rev}, nil
}

// holder is what has a name already.
type holder string

// The holders.
const (
	heldByTable holder = "Table"
	heldByView  holder = "View"
)

// free refuses a name that a table or a view has, or whose namespace is missing,
// and adds to the plan what keeps it so. The text of the refusal is taken's.
func (c *Catalog) free(v *state.View, p *plan, wh *WarehouseInfo, id Identifier, taken func(holder) string) (*state.Namespace, error) {
	ns, _, err := c.namespace(v, wh.Name, id.Namespace)
	if err != nil {
		return nil, err
	}
	p.require(command.KeyPresent(state.NamespaceKey(wh.Name, id.Namespace)))
	for _, place := range []struct {
		key []byte
		holder
	}{
		{state.TableKey(wh.Name, id.Namespace, id.Name), heldByTable},
		{state.ViewKey(wh.Name, id.Namespace, id.Name), heldByView},
	} {
		if _, ok, err := v.Get(place.key); err != nil {
			return nil, broken(err)
		} else if ok {
			return nil, refuse(KindAlreadyExists, "%s", taken(place.holder))
		}
		p.require(command.KeyAbsent(place.key))
	}
	return ns, nil
}

// takenFor tells in Iceberg's words that the name of what is to be made is taken.
func takenFor(made holder, id Identifier) func(holder) string {
	return func(by holder) string {
		if by == made {
			return fmt.Sprintf("%s already exists: %s", by, id)
		}
		return fmt.Sprintf("%s with same name already exists: %s", by, id)
	}
}

// takenForRename tells in Iceberg's words that the name to be taken on is taken.
func takenForRename(from, to Identifier) func(holder) string {
	return func(by holder) string {
		return fmt.Sprintf("Cannot rename %s to %s. %s already exists", from, to, by)
	}
}

// newID makes the identity of a catalog entry, 16 bytes.
func (c *Catalog) newID() ([]byte, error) {
	id, err := uuid.Parse(c.opts.NewUUID())
	if err != nil {
		return nil, refuseBecause(KindUnavailable, err, "No identity could be made")
	}
	return id[:], nil
}

// loadMetadata reads a table's metadata from its parts.
func (c *Catalog) loadMetadata(v *state.View, e *entry) (*iceberg.Table, error) {
	if t := c.cache.table(e.record.Id, e.revision); t != nil {
		return t, nil
	}
	head, parts, err := readParts(v, e.record.Id)
	if err != nil {
		return nil, err
	}
	t, err := iceberg.TableFromParts(head, parts)
	if err != nil {
		return nil, broken(err)
	}
	size := len(head)
	for _, part := range parts {
		size += len(part.JSON)
	}
	c.cache.putTable(e.record.Id, e.revision, t, size)
	return t, nil
}

// readParts copies a table's head and parts out of a view, sorted by array and ordinal.
func readParts(v *state.View, id []byte) (head []byte, parts []iceberg.Part, err error) {
	value, ok, err := v.Get(state.HeadKey(id))
	if err != nil {
		return nil, nil, broken(err)
	}
	if !ok {
		return nil, nil, broken(errHeadMissing)
	}
	head = append([]byte(nil), value.Data...)
	err = eachPart(v, id, func(list iceberg.List, ordinal uint64, raw []byte) {
		parts = append(parts, iceberg.Part{
			PartKey: iceberg.PartKey{List: list, Ordinal: ordinal},
			JSON:    append([]byte(nil), raw...),
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return head, parts, nil
}

// eachPart calls fn for each part of a table in order. The bytes are valid only
// during the call.
func eachPart(v *state.View, id []byte, fn func(list iceberg.List, ordinal uint64, raw []byte)) error {
	var failed error
	err := v.Scan(state.PartsOf(id), func(key []byte, value state.Value) bool {
		var list uint8
		var ordinal uint64
		if list, ordinal, failed = state.PartOf(key); failed != nil {
			return false
		}
		fn(iceberg.List(list), ordinal, value.Data)
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return broken(err)
	}
	return nil
}

// writeParts adds to a plan what a change of a table's metadata stores.
func writeParts(p *plan, id []byte, t *iceberg.Table, ch iceberg.Changes) {
	p.write(command.PutValue(state.HeadKey(id), t.Head()))
	for _, key := range ch.Delete {
		p.write(command.DeleteKey(state.PartKey(id, uint8(key.List), key.Ordinal)))
	}
	for _, part := range ch.Put {
		p.write(command.PutValue(state.PartKey(id, uint8(part.List), part.Ordinal), part.JSON))
	}
}

// TableExists returns the log index that the answer reflects, or the refusal.
func (c *Catalog) TableExists(ctx context.Context, read Read, warehouse string, id Identifier) (uint64, error) {
	_, _, index, err := c.lookTable(ctx, read, warehouse, id)
	return index, err
}

// lookTable looks a table up in a state that is closed again.
func (c *Catalog) lookTable(ctx context.Context, read Read, warehouse string, id Identifier) (*WarehouseInfo, *entry, uint64, error) {
	if err := CheckIdentifier(id); err != nil {
		return nil, nil, 0, err
	}
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, nil, 0, err
	}
	defer v.Close()
	e, err := find(v, wh, id)
	if err != nil {
		return nil, nil, 0, err
	}
	return wh, e, v.Index, nil
}

// LoadTable returns a table's current generation.
func (c *Catalog) LoadTable(ctx context.Context, warehouse string, id Identifier, opts LoadOptions) (*Table, error) {
	if err := CheckIdentifier(id); err != nil {
		return nil, err
	}
	t, err := c.loadTable(ctx, warehouse, id, opts)
	if err != nil {
		return nil, err
	}
	// No state is held while a store is waited for.
	if err := c.verifyFile(ctx, warehouse, t.MetadataLocation); err != nil {
		return nil, err
	}
	return t, nil
}

func (c *Catalog) loadTable(ctx context.Context, warehouse string, id Identifier, opts LoadOptions) (*Table, error) {
	v, wh, err := c.look(ctx, opts.Read, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	e, err := find(v, wh, id)
	if err != nil {
		return nil, err
	}
	if err := stillInside(wh, id, e.record.Location); err != nil {
		return nil, err
	}
	t := shown(wh, e, v.Index)
	if opts.Unless != nil && opts.Unless(t) {
		return t, nil
	}
	t.Metadata, err = c.document(v, e, opts.RefsOnly)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func shown(wh *WarehouseInfo, e *entry, index uint64) *Table {
	return &Table{
		MetadataLocation:  e.record.MetadataLocation,
		ID:                e.record.Id,
		Revision:          e.revision,
		WarehouseRevision: wh.Revision,
		Index:             index,
	}
}

// document makes a generation's metadata document, from ready bytes where they are.
func (c *Catalog) document(v *state.View, e *entry, refsOnly bool) ([]byte, error) {
	doc := c.cache.document(e.record.Id, e.revision, refsOnly)
	if call := c.opts.Observer.CacheLookup; call != nil {
		call(doc != nil)
	}
	if doc != nil {
		return doc, nil
	}
	doc, err := assemble(v, e.record.Id, refsOnly)
	if err != nil {
		return nil, err
	}
	c.cache.putDocument(e.record.Id, e.revision, refsOnly, doc)
	return doc, nil
}

// assemble makes a document of what is stored, and parses as little of it as it can.
func assemble(v *state.View, id []byte, refsOnly bool) ([]byte, error) {
	head, ok, err := v.Get(state.HeadKey(id))
	if err != nil {
		return nil, broken(err)
	}
	if !ok {
		return nil, broken(errHeadMissing)
	}
	a, err := iceberg.Assemble(head.Data, refsOnly)
	if err != nil {
		return nil, broken(err)
	}
	if err := eachPart(v, id, func(list iceberg.List, _ uint64, raw []byte) { a.Add(list, raw) }); err != nil {
		return nil, err
	}
	doc, err := a.Document()
	if err != nil {
		return nil, broken(err)
	}
	return doc, nil
}

// DropTable takes a table out of the catalog and returns the log index that did
// it. Its files stay, or are left to a background job to delete.
func (c *Catalog) DropTable(ctx context.Context, ch Change, warehouse string, id Identifier, purge bool) (uint64, error) {
	if err := CheckIdentifier(id); err != nil {
		return 0, err
	}
	// Not among the table's commits: those wait for the object store, and a drop
	// does not need it.
	queue := append(state.TableKey(warehouse, id.Namespace, id.Name), "drop"...)
	_, err := c.changeIn(ctx, ch, warehouse, queue, func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		e, err := find(v, wh, id)
		if err != nil {
			return nil, err
		}
		p := &plan{outcome: doneAnswer()}
		removeTable(p, e)
		p.tell(tableEvent("table.drop", wh, id, e.record))
		if purge {
			// The job could delete nothing there.
			if err := stillInside(wh, id, e.record.Location); err != nil {
				return nil, err
			}
			if err := c.planPurge(p, ch, wh, id, e.record); err != nil {
				return nil, err
			}
		}
		return p, nil
	})
	return c.proposed.Load(), withoutConflict(id, err)
}

// UnregisterTable takes a table out of the catalog and returns its last generation:
// every commit that was acknowledged is in it, and none lands any more. All files
// stay, so that another catalog can go on with the table.
func (c *Catalog) UnregisterTable(ctx context.Context, ch Change, warehouse string, id Identifier) (*Table, error) {
	if err := CheckIdentifier(id); err != nil {
		return nil, err
	}
	var last *Table
	queue := append(state.TableKey(warehouse, id.Namespace, id.Name), "drop"...)
	answer, err := c.changeIn(ctx, ch, warehouse, queue, func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		e, err := find(v, wh, id)
		if err != nil {
			return nil, err
		}
		doc, err := c.document(v, e, false)
		if err != nil {
			return nil, err
		}
		p := &plan{outcome: tableAnswer(e.record)}
		removeTable(p, e)
		p.tell(tableEvent("table.unregister", wh, id, e.record))
		p.then(func(res command.Result) {
			last = shown(wh, e, res.Index)
			last.Metadata = doc
		})
		return p, nil
	})
	if err != nil {
		return nil, withoutConflict(id, err)
	}
	if answer != nil {
		return c.replayTable(ctx, warehouse, id, answer.GetTable())
	}
	return last, nil
}

// withoutConflict is the refusal of a change that required nothing of the table or
// view, and that others overtook too often. No client can mend that, and to clients of all but
// commits a conflict means that the name is taken.
func withoutConflict(id Identifier, err error) error {
	if KindOf(err) != KindCommitFailed {
		return err
	}
	return refuseBecause(KindUnavailable, err, "Other changes of %s came first too often; nothing was changed, try again", id)
}

// removeTable adds to a plan what takes a table out of the catalog.
func removeTable(p *plan, e *entry) {
	parts := state.PartsOf(e.record.Id)
	p.require(command.KeyUnchanged(e.key, e.revision))
	p.write(
		command.DeleteKey(e.key),
		command.DeleteKey(state.HeadKey(e.record.Id)),
		command.DeleteKeys(parts.Start, parts.End),
		giveUp(e.record.Location),
	)
}

func tableEvent(kind string, wh *WarehouseInfo, id Identifier, rec *state.Table) *state.Event {
	return &state.Event{
		Kind: kind, Warehouse: wh.Name, Namespace: id.Namespace, Name: id.Name,
		Id: rec.Id, MetadataLocation: rec.MetadataLocation,
	}
}
