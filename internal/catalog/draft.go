package catalog

import (
	"context"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// draft is a table's next generation: evaluated, and its metadata file not yet
// written. What it rests on is in the plan that it was made for.
type draft struct {
	id      Identifier
	event   string // what its event is called
	record  *state.Table
	base    *iceberg.Table // nil for a table that is new
	table   *iceberg.Table
	changes iceberg.Changes
	before  int // version of the metadata file before; -1 is none
}

// writeDraft writes a draft's metadata file and adds to the plan what makes it
// the table's generation. The plan's outcome shows the generation where the
// caller wants to see it.
func (c *Catalog) writeDraft(ctx context.Context, p *plan, wh *WarehouseInfo, d *draft, into **Table) error {
	file, err := c.writeMetadata(ctx, wh, d.table, d.before)
	if err != nil {
		return err
	}
	p.files = append(p.files, file.location)
	d.record.MetadataLocation = file.location
	writeParts(p, d.record.Id, d.table, d.changes)
	if err := c.storeTable(p, wh, d, file.document, into); err != nil {
		return err
	}
	if dropped := superseded(d.table, d.record.Location, d.changes.DroppedMetadata); len(dropped) > 0 {
		p.then(func(command.Result) { c.deleteOrphans(wh.Name, dropped...) })
	}
	return nil
}

// storeTable adds to a plan the record and the event of a table's new generation.
// Where the caller wants to see it, the plan's outcome and answer are made of it;
// else its document is not kept, of which there may be many.
func (c *Catalog) storeTable(p *plan, wh *WarehouseInfo, d *draft, doc []byte, into **Table) error {
	rec := d.record
	if err := p.putRecord(state.TableKey(wh.Name, d.id.Namespace, d.id.Name), rec); err != nil {
		return err
	}
	p.tell(tableEvent(d.event, wh, d.id, rec))
	size := len(doc)
	p.then(func(res command.Result) { c.cache.putTable(rec.Id, res.Revision, d.table, size) })
	if into == nil {
		return nil
	}
	p.outcome = tableAnswer(rec)
	p.then(func(res command.Result) {
		c.cache.putDocument(rec.Id, res.Revision, false, doc)
		made := shown(wh, &entry{record: rec, revision: res.Revision}, res.Index)
		made.Metadata = doc
		*into = made
	})
	return nil
}
