package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// RegisterView makes a view of a metadata file that is there, such as that of a
// view that was dropped. The file becomes the view's as it is: it is not copied.
func (c *Catalog) RegisterView(ctx context.Context, ch Change, warehouse string, req RegisterView) (*View, error) {
	if err := CheckIdentifier(req.Identifier); err != nil {
		return nil, err
	}
	var made *View
	var view *iceberg.View // the same for all attempts: metadata files never change
	answer, err := c.changeIn(ctx, ch, warehouse, state.ViewKey(warehouse, req.Namespace, req.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		file, err := confine(wh, req.MetadataLocation)
		if err != nil {
			return nil, err
		}
		p := &plan{}
		if _, err := c.free(v, p, wh, req.Identifier, takenFor(heldByView, req.Identifier)); err != nil {
			return nil, err
		}
		if err := clearOfOthers(v, p, wh, file, nil); err != nil {
			return nil, err
		}
		if view == nil {
			if view, err = c.readView(ctx, wh, req.MetadataLocation); err != nil {
				return nil, err
			}
		}
		return c.planRegisterView(v, p, wh, req, view, &made)
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return c.replayView(ctx, warehouse, req.Identifier, answer.GetView())
	}
	return made, nil
}

// readView reads a view's metadata file and refuses any other.
func (c *Catalog) readView(ctx context.Context, wh *WarehouseInfo, location string) (*iceberg.View, error) {
	doc, err := c.readMetadata(ctx, wh, location, maxViewBytes)
	if err != nil {
		return nil, err
	}
	view, err := iceberg.ParseView(doc)
	if err != nil {
		return nil, refuseBecause(KindInvalid, err, "Invalid view metadata file %q: %s", shorten(location), err)
	}
	return view, nil
}

// planRegisterView plans the entry of a view whose metadata file is there. The
// plan already requires that the name is free.
func (c *Catalog) planRegisterView(v *state.View, p *plan, wh *WarehouseInfo, req RegisterView, view *iceberg.View, into **View) (*plan, error) {
	if err := confineAll(wh, iceberg.PropertyLocations(view.Properties())); err != nil {
		return nil, err
	}
	doc := view.Document()
	if err := checkViewSize(doc); err != nil {
		return nil, err
	}
	rec, err := c.newViewRecord(v, p, wh, view)
	if err != nil {
		return nil, err
	}
	rec.MetadataLocation, rec.Metadata = req.MetadataLocation, doc
	return p, storeView(p, wh, req.Identifier, "view.register", rec, into)
}
