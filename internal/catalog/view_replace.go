package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// ReplaceView changes a view. Requests say which view they mean and not which
// version they were made from: those that meet are applied one after the other,
// each to what the one before it left, and the versions are numbered here.
func (c *Catalog) ReplaceView(ctx context.Context, ch Change, warehouse string, req ReplaceView) (*View, error) {
	if err := CheckIdentifier(req.Identifier); err != nil {
		return nil, err
	}
	var made *View
	answer, err := c.changeIn(ctx, ch, warehouse, state.ViewKey(warehouse, req.Namespace, req.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		if err := confineAll(wh, iceberg.Locations(req.Updates)); err != nil {
			return nil, err
		}
		e, err := findView(v, wh, req.Identifier)
		if err != nil {
			return nil, err
		}
		return c.planReplace(ctx, v, wh, req, e, &made)
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return c.replayView(ctx, warehouse, req.Identifier, answer.GetView())
	}
	return made, nil
}

// planReplace evaluates a replacement on the generation that was found.
func (c *Catalog) planReplace(ctx context.Context, v *state.View, wh *WarehouseInfo, req ReplaceView, e *viewEntry, into **View) (*plan, error) {
	if err := stillInside(wh, req.Identifier, e.record.Location); err != nil {
		return nil, err
	}
	base, err := iceberg.ParseView(e.record.Metadata)
	if err != nil {
		return nil, broken(err)
	}
	view, changed, err := iceberg.ApplyView(c.env(e.record.MetadataLocation), base, req.Requirements, req.Updates)
	if err != nil {
		return nil, badMetadata(err)
	}
	p := &plan{}
	p.require(command.KeyUnchanged(e.key, e.revision))
	if !changed {
		// The view is what the request asks for: it landed before and its answer
		// was lost on the way, or somebody else had the same wish.
		planSameView(p, wh, e, v.Index, into)
		return p, nil
	}
	rec := &state.ViewEntry{Id: e.record.Id, Location: e.record.Location, Uuid: view.UUID(), CreatedMs: e.record.CreatedMs}
	if view.Location() != base.Location() {
		if rec.Location, err = c.planMove(v, p, wh, e.record, view.Location()); err != nil {
			return nil, err
		}
	}
	file, err := c.writeView(ctx, wh, view, iceberg.MetadataVersion(e.record.MetadataLocation))
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, file.location)
	rec.MetadataLocation, rec.Metadata = file.location, file.document
	return p, storeView(p, wh, req.Identifier, "view.replace", rec, into)
}

// planSameView answers with the generation that is there. Where the request has
// a key, its answer is all that is stored.
func planSameView(p *plan, wh *WarehouseInfo, e *viewEntry, index uint64, into **View) {
	p.nothing = true
	p.outcome = viewAnswer(e.record)
	p.then(func(res command.Result) { *into = shownView(wh, e, max(index, res.Index)) })
}
