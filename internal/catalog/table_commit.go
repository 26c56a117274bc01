package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
)

// CommitTable changes a table, or creates one that was staged where the request
// requires that it does not exist.
func (c *Catalog) CommitTable(ctx context.Context, ch Change, warehouse string, req CommitTable) (*Table, error) {
	if err := CheckIdentifier(req.Identifier); err != nil {
		return nil, err
	}
	var made *Table
	answer, err := c.changeIn(ctx, ch, warehouse, state.TableKey(warehouse, req.Namespace, req.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		if err := confineAll(wh, iceberg.Locations(req.Updates)); err != nil {
			return nil, err
		}
		e, err := find(v, wh, req.Identifier)
		switch {
		case err == nil:
			return c.planCommit(ctx, v, wh, req, e, &made)
		case KindOf(err) == KindNoSuchTable && iceberg.IsCreate(req.Requirements):
			return c.planStagedCreate(ctx, v, wh, req, &made)
		}
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return c.replayTable(ctx, warehouse, req.Identifier, answer.GetTable())
	}
	return made, nil
}

// planCommit evaluates a commit on the generation that was found, and writes the
// metadata file of the next one.
func (c *Catalog) planCommit(ctx context.Context, v *state.View, wh *WarehouseInfo, req CommitTable, e *entry, into **Table) (*plan, error) {
	p := &plan{}
	d, err := c.draftCommit(v, p, wh, req, e)
	if err != nil && !errors.Is(err, errLanded) {
		return nil, err
	}
	if d == nil {
		// Nothing to do, or it landed before and its answer was lost on the way.
		return c.planNothing(v, wh, e, into)
	}
	return p, c.writeDraft(ctx, p, wh, d, into)
}

// errLanded is returned when a commit is in the table already: its client asks
// again because it never heard.
var errLanded = errors.New("the commit landed before")

// draftCommit evaluates a commit on the generation that was found. It gives nil
// where there is nothing to change; then too the plan requires that generation.
func (c *Catalog) draftCommit(v *state.View, p *plan, wh *WarehouseInfo, req CommitTable, e *entry) (*draft, error) {
	if err := stillInside(wh, req.Identifier, e.record.Location); err != nil {
		return nil, err
	}
	base, err := c.loadMetadata(v, e)
	if err != nil {
		return nil, err
	}
	p.require(command.KeyUnchanged(e.key, e.revision))
	t, changes, err := iceberg.Apply(c.env(e.record.MetadataLocation), base, req.Requirements, req.Updates)
	switch {
	case err != nil && iceberg.AlreadyApplied(base, req.Requirements, req.Updates):
		return nil, errLanded
	case err != nil:
		return nil, badMetadata(err)
	case changes.Empty:
		return nil, nil
	}
	rec := &state.Table{
		Id: e.record.Id, Location: e.record.Location, Uuid: t.UUID(), CreatedMs: e.record.CreatedMs,
	}
	if t.Location() != base.Location() {
		if rec.Location, err = c.planMove(v, p, wh, e.record, t.Location()); err != nil {
			return nil, err
		}
	}
	return &draft{
		id: req.Identifier, event: "table.commit", record: rec, base: base, table: t, changes: changes,
		before: iceberg.MetadataVersion(e.record.MetadataLocation),
	}, nil
}

// planNothing answers with the generation that is there. Where the request has
// a key, its answer is all that is stored.
func (c *Catalog) planNothing(v *state.View, wh *WarehouseInfo, e *entry, into **Table) (*plan, error) {
	found := shown(wh, e, v.Index)
	doc, err := c.document(v, e, false)
	if err != nil {
		return nil, err
	}
	found.Metadata = doc
	p := &plan{
		nothing: true,
		outcome: tableAnswer(e.record),
		applied: func(res command.Result) {
			found.Index = max(found.Index, res.Index)
			*into = found
		},
	}
	// Another change in between would make the answer one of the past.
	p.require(command.KeyUnchanged(e.key, e.revision))
	return p, nil
}

// placed is the record of an entry that has a place of its own: a table or a view.
type placed interface {
	// GetId is the entry's identity.
	GetId() []byte
	// GetLocation is its canonical location.
	GetLocation() string
}

// planMove plans that an entry's location becomes another one.
func (c *Catalog) planMove(v *state.View, p *plan, wh *WarehouseInfo, rec placed, location string) (string, error) {
	canonical, err := confine(wh, location)
	if err != nil {
		return "", err
	}
	if canonical == rec.GetLocation() {
		return canonical, nil
	}
	p.write(giveUp(rec.GetLocation()))
	return canonical, claim(v, p, wh, canonical, rec.GetId())
}

// planStagedCreate makes the table that a client staged before, or made up.
func (c *Catalog) planStagedCreate(ctx context.Context, v *state.View, wh *WarehouseInfo, req CommitTable, into **Table) (*plan, error) {
	p := &plan{}
	d, err := c.draftStagedCreate(v, p, wh, req)
	if err != nil {
		return nil, err
	}
	return p, c.writeDraft(ctx, p, wh, d, into)
}

// draftStagedCreate evaluates the commit that creates: all of the table is in the
// updates, so any node can do it, whoever staged it.
func (c *Catalog) draftStagedCreate(v *state.View, p *plan, wh *WarehouseInfo, req CommitTable) (*draft, error) {
	ns, err := c.free(v, p, wh, req.Identifier, takenFor(heldByTable, req.Identifier))
	if err != nil {
		return nil, err
	}
	updates := req.Updates
	if !slices.ContainsFunc(updates, func(u iceberg.Update) bool { return u.Action() == "set-location" }) {
		location, err := tableLocation(wh, ns, req.Name, c.opts.NewUUID(), "")
		if err != nil {
			return nil, err
		}
		if updates, err = withLocation(updates, location); err != nil {
			return nil, err
		}
	}
	t, _, err := iceberg.Apply(c.env(""), nil, req.Requirements, updates)
	if err != nil {
		return nil, badMetadata(err)
	}
	return c.draftCreate(v, p, wh, req.Identifier, t)
}

func withLocation(updates []iceberg.Update, location string) ([]iceberg.Update, error) {
	raw, err := json.Marshal([]map[string]string{{"action": "set-location", "location": location}})
	if err != nil {
		return nil, badMetadata(err)
	}
	set, err := iceberg.ParseUpdates(raw)
	if err != nil {
		return nil, badMetadata(err)
	}
	return slices.Concat(set, updates), nil
}
