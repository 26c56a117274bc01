package catalog

import (
	"context"
	"errors"
	"strings"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/iceberg"
	"github.com/floeberg/floeberg/internal/storage"
)

// CreateTable makes a table, or prepares one where the request says so: then
// nothing is created, and no file is written.
func (c *Catalog) CreateTable(ctx context.Context, ch Change, warehouse string, req CreateTable) (*Table, error) {
	if err := CheckIdentifier(req.Identifier); err != nil {
		return nil, err
	}
	if err := checkProperties(req.Properties); err != nil {
		return nil, err
	}
	// One for all attempts: each place that is prepared leaves a folder behind.
	suffix := c.opts.NewUUID()
	var made *Table
	answer, err := c.changeIn(ctx, ch, warehouse, state.TableKey(warehouse, req.Namespace, req.Name), func(ctx context.Context, v *state.View, wh *WarehouseInfo) (*plan, error) {
		if err := confineAll(wh, iceberg.PropertyLocations(req.Properties)); err != nil {
			return nil, err
		}
		p := &plan{}
		ns, err := c.free(v, p, wh, req.Identifier, takenFor(heldByTable, req.Identifier))
		if err != nil {
			return nil, err
		}
		location, err := tableLocation(wh, ns, req.Name, suffix, req.Location)
		if err != nil {
			return nil, err
		}
		t, err := iceberg.NewTable(c.env(""), iceberg.CreateSpec{
			Location: location, Schema: req.Schema, PartitionSpec: req.PartitionSpec,
			SortOrder: req.SortOrder, Properties: req.Properties,
		})
		if err != nil {
			return nil, badMetadata(err)
		}
		if req.Stage {
			return c.stage(ctx, v, p, wh, t, &made)
		}
		return c.planCreate(ctx, v, p, wh, req.Identifier, t, &made)
	})
	if err != nil {
		return nil, err
	}
	if answer != nil {
		return c.replayTable(ctx, warehouse, req.Identifier, answer.GetTable())
	}
	return made, nil
}

// tableLocation is where a new table goes: where the client asks, or below its
// namespace's location under its name and a suffix that makes it a place of its
// own, so that a table dropped and made anew does not meet its old files.
func tableLocation(wh *WarehouseInfo, ns *state.Namespace, name, suffix, requested string) (string, error) {
	if requested != "" {
		if _, err := confine(wh, requested); err != nil {
			return "", err
		}
		// Clients compare the location with what they asked for: it stays as
		// they spell it, and only the index has the canonical form.
		return strings.TrimSuffix(requested, "/"), nil
	}
	return storage.Join(ns.Location, name+"-"+strings.ReplaceAll(suffix, "-", "")), nil
}

// stage prepares a table. The name is not taken, the folder is left in place
// where the store has folders, and a keyed request's answer is all that is kept.
func (c *Catalog) stage(ctx context.Context, v *state.View, p *plan, wh *WarehouseInfo, t *iceberg.Table, into **Table) (*plan, error) {
	canonical, err := confine(wh, t.Location())
	if err != nil {
		return nil, err
	}
	// Nobody's identity is nil: this refuses what the commit would refuse.
	if err := claim(v, &plan{}, wh, canonical, nil); err != nil {
		return nil, err
	}
	folder, err := metadataFolder(wh, t)
	if err != nil {
		return nil, err
	}
	if err := c.ensureFolder(ctx, wh, folder); err != nil {
		return nil, err
	}
	doc := t.Document()
	id, err := c.newID()
	if err != nil {
		return nil, err
	}
	p.outcome = &state.Answer{Outcome: &state.Answer_Table{Table: &state.TableAnswer{
		Id: id, StagedMetadata: doc, Location: t.Location(),
	}}}
	staged := &Table{Metadata: doc, ID: id, WarehouseRevision: wh.Revision, Index: v.Index}
	p.nothing = true
	p.applied = func(command.Result) { *into = staged }
	return p, nil
}

// planCreate plans a new table and writes its first metadata file. The plan
// already requires that the name is free.
func (c *Catalog) planCreate(ctx context.Context, v *state.View, p *plan, wh *WarehouseInfo, id Identifier, t *iceberg.Table, into **Table) (*plan, error) {
	d, err := c.draftCreate(v, p, wh, id, t)
	if err != nil {
		return nil, err
	}
	return p, c.writeDraft(ctx, p, wh, d, into)
}

// draftCreate makes the first generation of a table, and its place its own.
func (c *Catalog) draftCreate(v *state.View, p *plan, wh *WarehouseInfo, id Identifier, t *iceberg.Table) (*draft, error) {
	canonical, err := confine(wh, t.Location())
	if err != nil {
		return nil, err
	}
	entryID, err := c.newID()
	if err != nil {
		return nil, err
	}
	if err := claim(v, p, wh, canonical, entryID); err != nil {
		return nil, err
	}
	return &draft{
		id: id, event: "table.create", table: t, changes: iceberg.Changes{Put: t.Parts()}, before: -1,
		record: &state.Table{Id: entryID, Location: canonical, Uuid: t.UUID(), CreatedMs: c.log.NowMs()},
	}, nil
}

// env is what a change of metadata needs beside document and request.
func (c *Catalog) env(metadataLocation string) iceberg.Env {
	return iceberg.Env{
		NowMs: int64(c.log.NowMs()), NewUUID: c.opts.NewUUID, MetadataLocation: metadataLocation,
	}
}

// badMetadata is the refusal for what the format says no to.
func badMetadata(err error) error {
	switch {
	case errors.Is(err, iceberg.ErrRequirementFailed), errors.Is(err, iceberg.ErrStale):
		return &Error{Kind: KindCommitFailed, Message: err.Error()}
	case errors.Is(err, iceberg.ErrCorrupt):
		return broken(err)
	case errors.Is(err, iceberg.ErrUnsupported):
		return &Error{Kind: KindUnsupported, Message: err.Error()}
	default:
		return &Error{Kind: KindInvalid, Message: err.Error()}
	}
}

// replayTable makes the answer to a repeated request: the generation that the
// first answer showed, or what the table has become since.
func (c *Catalog) replayTable(ctx context.Context, warehouse string, id Identifier, answer *state.TableAnswer) (*Table, error) {
	v, wh, err := c.look(ctx, Read{Consistency: Linearizable}, warehouse)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if answer.MetadataLocation == "" {
		return &Table{Metadata: answer.StagedMetadata, ID: answer.Id, WarehouseRevision: wh.Revision, Index: v.Index}, nil
	}
	e, findErr := find(v, wh, id)
	if findErr == nil && string(e.record.Id) == string(answer.Id) {
		t := shown(wh, e, v.Index)
		t.Metadata, err = c.document(v, e, false)
		return t, err
	}
	// Dropped or renamed since: its file still tells what the answer was.
	doc, err := c.readMetadata(ctx, wh, answer.MetadataLocation, c.opts.MaxMetadataBytes)
	switch {
	case KindOf(err) == KindNotFound, KindOf(err) == KindInvalid:
		// "Not found" and "invalid" would say that the change was not made.
		return nil, refuseBecause(KindCommitUnknown, err, "The change was made before; what it made is gone since")
	case err != nil:
		return nil, err
	}
	return &Table{
		MetadataLocation: answer.MetadataLocation, Metadata: doc, ID: answer.Id,
		WarehouseRevision: wh.Revision, Index: v.Index,
	}, nil
}
