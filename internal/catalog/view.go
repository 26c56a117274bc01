package catalog

import (
	"bytes"
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
)

// viewEntry is a view as it was found in one state.
type viewEntry struct {
	key      []byte
	record   *state.ViewEntry
	revision uint64
}

// NoSuchView is the refusal where a view does not exist.
func NoSuchView(id Identifier) error {
	return refuse(KindNoSuchView, "View does not exist: %s", id)
}

// findView looks a view up by name.
func findView(v *state.View, wh *WarehouseInfo, id Identifier) (*viewEntry, error) {
	rec, rev, ok, err := v.View(wh.Name, id.Namespace, id.Name)
	if err != nil {
		return nil, broken(err)
	}
	if !ok {
		return nil, NoSuchView(id)
	}
	return &viewEntry{key: state.ViewKey(wh.Name, id.Namespace, id.Name), record: rec, revision: rev}, nil
}

// lookAtView gives a read's state with a warehouse and a view in it. The caller
// closes the state.
func (c *Catalog) lookAtView(ctx context.Context, read Read, warehouse string, id Identifier) (*state.View, *WarehouseInfo, *viewEntry, error) {
	if err := CheckIdentifier(id); err != nil {
		return nil, nil, nil, err
	}
	v, wh, err := c.look(ctx, read, warehouse)
	if err != nil {
		return nil, nil, nil, err
	}
	e, err := findView(v, wh, id)
	if err != nil {
		v.Close()
		return nil, nil, nil, err
	}
	return v, wh, e, nil
}

// ViewExists returns the log index that the answer reflects, or the refusal.
func (c *Catalog) ViewExists(ctx context.Context, read Read, warehouse string, id Identifier) (uint64, error) {
	v, _, _, err := c.lookAtView(ctx, read, warehouse, id)
	if err != nil {
		return 0, err
	}
	defer v.Close()
	return v.Index, nil
}

// LoadView returns a view's current generation.
func (c *Catalog) LoadView(ctx context.Context, read Read, warehouse string, id Identifier) (*View, error) {
	v, wh, e, err := c.lookAtView(ctx, read, warehouse, id)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if err := stillInside(wh, id, e.record.Location); err != nil {
		return nil, err
	}
	return shownView(wh, e, v.Index), nil
}

func shownView(wh *WarehouseInfo, e *viewEntry, index uint64) *View {
	return &View{
		MetadataLocation:  e.record.MetadataLocation,
		Metadata:          e.record.Metadata,
		ID:                e.record.Id,
		Revision:          e.revision,
		WarehouseRevision: wh.Revision,
		Index:             index,
	}
}

// DropView takes a view out of the catalog and returns the log index that did
// it. Its files stay: it can be registered again.
func (c *Catalog) DropView(ctx context.Context, ch Change, warehouse string, id Identifier) (uint64, error) {
	if err := CheckIdentifier(id); err != nil {
		return 0, err
	}
	// Not among the view's replacements: those wait for the object store, and a
	// drop does not need it.
	queue := append(state.ViewKey(warehouse, id.Namespace, id.Name), "drop"...)
	_, err := c.changeIn(ctx, ch, warehouse, queue, func(_ context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		e, err := findView(v, wh, id)
		if err != nil {
			return nil, err
		}
		p := &plan{outcome: doneAnswer()}
		p.require(command.KeyUnchanged(e.key, e.revision))
		p.write(command.DeleteKey(e.key), giveUp(e.record.Location))
		p.tell(viewEvent("view.drop", wh, id, e.record))
		return p, nil
	})
	return c.proposed.Load(), withoutConflict(id, err)
}

func viewEvent(kind string, wh *WarehouseInfo, id Identifier, rec *state.ViewEntry) *state.Event {
	return &state.Event{
		Kind: kind, Warehouse: wh.Name, Namespace: id.Namespace, Name: id.Name,
		Id: rec.Id, MetadataLocation: rec.MetadataLocation,
	}
}

// storeView adds to a plan the record and the event of a view's new generation,
// and makes the plan's outcome and answer of it.
func storeView(p *plan, wh *WarehouseInfo, id Identifier, event string, rec *state.ViewEntry, into **View) error {
	if err := p.putRecord(state.ViewKey(wh.Name, id.Namespace, id.Name), rec); err != nil {
		return err
	}
	p.tell(viewEvent(event, wh, id, rec))
	p.outcome = viewAnswer(rec)
	p.then(func(res command.Result) {
		*into = shownView(wh, &viewEntry{record: rec, revision: res.Revision}, res.Index)
	})
	return nil
}

// viewAnswer is the answer that shows a generation of a view.
func viewAnswer(rec *state.ViewEntry) *state.Answer {
	return &state.Answer{Outcome: &state.Answer_View{View: &state.ViewAnswer{
		Id: rec.Id, MetadataLocation: rec.MetadataLocation, Location: rec.Location,
	}}}
}

// replayView makes the answer to a repeated request: the generation that the
// first answer showed, or what the view has become since.
func (c *Catalog) replayView(ctx context.Context, warehouse string, id Identifier, answer *state.ViewAnswer) (*View, error) {
	v, wh, err := c.look(ctx, Read{Consistency: Linearizable}, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	e, findErr := findView(v, wh, id)
	if findErr == nil && bytes.Equal(e.record.Id, answer.Id) {
		return shownView(wh, e, v.Index), nil
	}
	// Dropped or renamed since: its file still tells what the answer was.
	doc, err := c.readMetadata(ctx, wh, answer.MetadataLocation, maxViewBytes)
	switch {
	case KindOf(err) == KindNotFound, KindOf(err) == KindInvalid:
		// "Not found" and "invalid" would say that the change was not made.
		return nil, refuseBecause(KindCommitUnknown, err, "The change was made before; what it made is gone since")
	case err != nil:
		return nil, err
	}
	return &View{
		MetadataLocation: answer.MetadataLocation, Metadata: doc, ID: answer.Id,
		WarehouseRevision: wh.Revision, Index: v.Index,
	}, nil
}
