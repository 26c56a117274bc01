package catalog

import (
	"bytes"
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// RegisterTable makes a table of a metadata file that is there. The file becomes
// the table's as it is: it is not copied, not rewritten, and not deleted whatever
// comes of the request. So do the files of a table that is replaced: all stay.
func (c *Catalog) RegisterTable(ctx context.Context, ch Change, warehouse string, req RegisterTable) (*Table, error) {
	if err := CheckIdentifier(req.Identifier); err != nil {
		return nil, err
	}
	r := registration{c: c, ch: ch, req: req}
	defer r.end(ctx)
	answer, err := c.changeIn(ctx, ch, warehouse, state.TableKey(warehouse, req.Namespace, req.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		return r.attempt(ctx, v, wh)
	})
	if err != nil {
		if KindOf(err) == KindCommitUnknown {
			r.upload.pending = false // It may be the table's.
		}
		return nil, withoutConflict(req.Identifier, err)
	}
	if answer != nil {
		return c.replayTable(ctx, warehouse, req.Identifier, answer.GetTable())
	}
	return r.made, nil
}

// registration is what the attempts at one request have in common.
type registration struct {
	c    *Catalog
	ch   Change
	req  RegisterTable
	made *Table

	table  *iceberg.Table // of the file, which does not change
	doc    []byte
	ended  uint64 // the last purge that had ended when the file was seen
	leave  func() // ends its turn among those that hold large documents
	upload upload // of a large table's parts
}

func (r *registration) end(ctx context.Context) {
	r.upload.discard(ctx, r.c)
	if r.leave != nil {
		r.leave()
	}
}

func (r *registration) attempt(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
	file, err := confine(wh, r.req.MetadataLocation)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	old, err := r.place(v, p, wh)
	if err != nil {
		return nil, err
	}
	if err := clearOfOthers(v, p, wh, file, old.id()); err != nil {
		return nil, err
	}
	if old != nil && old.record.MetadataLocation == r.req.MetadataLocation {
		return r.c.planNothing(v, wh, old, &r.made)
	}
	if err := r.read(ctx, v, p, wh); err != nil {
		return nil, err
	}
	places, err := r.table.Locations()
	if err != nil {
		return nil, badMetadata(err)
	}
	if err := confineAll(wh, places); err != nil {
		return nil, err
	}
	canonical, err := confine(wh, r.table.Location())
	if err != nil {
		return nil, err
	}
	parts := r.table.Parts()
	for _, part := range parts {
		if len(part.JSON) > command.MaxValueBytes {
			return nil, refuse(KindTooLarge, "A part of the table's %s is too large: %d bytes, at most %d are possible", part.List, len(part.JSON), command.MaxValueBytes)
		}
	}
	id := r.upload.id
	if id == nil {
		if id, err = r.c.newID(); err != nil {
			return nil, err
		}
	}
	if err := r.claim(v, p, wh, canonical, old, id); err != nil {
		return nil, err
	}
	places = append(places, iceberg.NamedLocation{Field: "metadata-location", Location: r.req.MetadataLocation})
	if err := clearOfPurges(v, p, wh, canonical, places); err != nil {
		return nil, err
	}
	return r.store(ctx, v, p, wh, canonical, parts, id, old)
}

// place requires that the name is free, or gives the table that is to be replaced.
func (r *registration) place(v *state.View, p *plan, wh *WarehouseInfo) (*entry, error) {
	if r.req.Overwrite {
		e, err := find(v, wh, r.req.Identifier)
		if err == nil {
			return e, nil
		}
		if KindOf(err) != KindNoSuchTable {
			return nil, err
		}
	}
	_, err := r.c.free(v, p, wh, r.req.Identifier, takenFor(heldByTable, r.req.Identifier))
	return nil, err
}

// read reads the metadata file once for all attempts. A purge that ended since may
// have been one of this file.
func (r *registration) read(ctx context.Context, v *state.View, p *plan, wh *WarehouseInfo) error {
	ended, err := noPurgeEnds(v, p)
	if err != nil {
		return err
	}
	before := r.ended
	r.ended = ended
	if r.table != nil {
		if ended == before {
			return nil
		}
		return r.c.lookForFile(ctx, wh.Name, r.req.MetadataLocation)
	}
	r.table, r.leave, err = r.c.readTable(ctx, wh, r.req.MetadataLocation)
	if err != nil {
		return err
	}
	r.doc = r.table.Document()
	return nil
}

// claim makes the table's place its own, and gives up that of the table before it.
func (r *registration) claim(v *state.View, p *plan, wh *WarehouseInfo, canonical string, old *entry, id []byte) error {
	if old == nil {
		return claim(v, p, wh, canonical, id)
	}
	removeTable(p, old)
	return takeOver(v, p, wh, canonical, id, old.record.Id)
}

// store plans the entry, and uploads a large table ahead of it.
func (r *registration) store(ctx context.Context, v *state.View, p *plan, wh *WarehouseInfo, canonical string, parts []iceberg.Part, id []byte, old *entry) (*plan, error) {
	d := &draft{
		id: r.req.Identifier, event: "table.register", table: r.table,
		record: &state.Table{
			Id: id, MetadataLocation: r.req.MetadataLocation, Location: canonical,
			Uuid: r.table.UUID(), CreatedMs: r.c.log.NowMs(),
		},
	}
	if old != nil {
		d.record.CreatedMs = old.record.CreatedMs
	}
	if partsSize(parts) > maxPartsAtOnce {
		if r.upload.id == nil {
			if err := r.upload.begin(ctx, r.c, r.ch, parts, id); err != nil {
				return nil, err
			}
		}
		r.upload.finish(p)
		parts = nil
	}
	writeParts(p, id, r.table, iceberg.Changes{Put: parts})
	return p, r.c.storeTable(p, wh, d, r.doc, &r.made)
}

// smallDocument is how large a document may be that does not have to wait for its
// turn to be in memory.
const smallDocument = 8 << 20

// readTable reads a metadata file and parses it. A large one waits for its turn,
// so that a few requests can't fill the memory; leave gives the turn on.
func (c *Catalog) readTable(ctx context.Context, wh *WarehouseInfo, location string) (t *iceberg.Table, leave func(), err error) {
	leave = func() {}
	doc, err := c.readMetadata(ctx, wh, location, min(smallDocument, c.opts.MaxMetadataBytes))
	if KindOf(err) == KindTooLarge && c.opts.MaxMetadataBytes > smallDocument {
		// No table is called so: names of tables have a keyspace before them.
		if leave, err = c.queues.enter(ctx, "large documents"); err != nil {
			return nil, nil, err
		}
		doc, err = c.readMetadata(ctx, wh, location, c.opts.MaxMetadataBytes)
	}
	if err == nil {
		t, err = parseTable(location, doc)
	}
	if err != nil {
		leave()
		return nil, nil, err
	}
	return t, leave, nil
}

func parseTable(location string, doc []byte) (*iceberg.Table, error) {
	t, err := iceberg.ParseTable(doc)
	if err == nil {
		return t, nil
	}
	if len(doc) <= smallDocument && bytes.Contains(doc, []byte(`"view-uuid"`)) {
		if _, viewErr := iceberg.ParseView(doc); viewErr == nil {
			return nil, refuse(KindInvalid, "Invalid table metadata file %q: it is the metadata of a view", shorten(location))
		}
	}
	refusal := badMetadata(err)
	return nil, refuseBecause(KindOf(refusal), err, "Invalid table metadata file %q: %s", shorten(location), clientText(refusal))
}
