package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// maxViewBytes bounds a view's document: it is kept whole, as one value.
const maxViewBytes = 16 << 20

// CreateView makes a view.
func (c *Catalog) CreateView(ctx context.Context, ch Change, warehouse string, req CreateView) (*View, error) {
	if err := CheckIdentifier(req.Identifier); err != nil {
		return nil, err
	}
	if err := checkProperties(req.Properties); err != nil {
		return nil, err
	}
	var made *View
	answer, err := c.changeIn(ctx, ch, warehouse, state.ViewKey(warehouse, req.Namespace, req.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		if err := confineAll(wh, iceberg.PropertyLocations(req.Properties)); err != nil {
			return nil, err
		}
		p := &plan{}
		ns, err := c.free(v, p, wh, req.Identifier, takenFor(heldByView, req.Identifier))
		if err != nil {
			return nil, err
		}
		location, err := tableLocation(wh, ns, req.Name, c.opts.NewUUID(), req.Location)
		if err != nil {
			return nil, err
		}
		view, err := iceberg.NewView(c.env(""), iceberg.ViewSpec{
			Location: location, Schema: req.Schema, Version: req.Version, Properties: req.Properties,
		})
		if err != nil {
			return nil, badMetadata(err)
		}
		return c.planCreateView(ctx, v, p, wh, req.Identifier, view, &made)
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return c.replayView(ctx, warehouse, req.Identifier, answer.GetView())
	}
	return made, nil
}

// planCreateView writes a new view's first metadata file and plans its entry. The
// plan already requires that the name is free.
func (c *Catalog) planCreateView(ctx context.Context, v *state.View, p *plan, wh *WarehouseInfo, id Identifier, view *iceberg.View, into **View) (*plan, error) {
	rec, err := c.newViewRecord(v, p, wh, view)
	if err != nil {
		return nil, err
	}
	file, err := c.writeView(ctx, wh, view, -1)
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, file.location)
	rec.MetadataLocation, rec.Metadata = file.location, file.document
	return p, storeView(p, wh, id, "view.create", rec, into)
}

// newViewRecord makes the record of a new entry and claims the view's location
// for it.
func (c *Catalog) newViewRecord(v *state.View, p *plan, wh *WarehouseInfo, view *iceberg.View) (*state.ViewEntry, error) {
	canonical, err := confine(wh, view.Location())
	if err != nil {
		return nil, err
	}
	id, err := c.newID()
	if err != nil {
		return nil, err
	}
	if err := claim(v, p, wh, canonical, id); err != nil {
		return nil, err
	}
	return &state.ViewEntry{Id: id, Location: canonical, Uuid: view.UUID(), CreatedMs: c.log.NowMs()}, nil
}

// writeView writes the complete metadata file of a view's generation, numbered
// after the version before it; -1 is none. As in Iceberg it is compressed unless
// the view's properties say otherwise.
func (c *Catalog) writeView(ctx context.Context, wh *WarehouseInfo, view *iceberg.View, before int) (*metadataFile, error) {
	doc := view.Document()
	if err := checkViewSize(doc); err != nil {
		return nil, err
	}
	return c.writeDocument(ctx, wh, view, doc, codecGzip, before)
}

func checkViewSize(doc []byte) error {
	if len(doc) > maxViewBytes {
		return refuse(KindTooLarge, "The view's metadata is too large: %d bytes, at most %d are possible; keep fewer versions (version.history.num-entries)", len(doc), maxViewBytes)
	}
	return nil
}
