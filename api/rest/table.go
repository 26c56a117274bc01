package rest

import (
	"context"
	"net/http"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
)

func (a *api) listTables(ctx context.Context, c *call) (*reply, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	list, err := a.catalog.ListTables(ctx, c.read, c.warehouse, c.namespace, page)
	if err != nil {
		return nil, err
	}
	out := wire.Tables{Identifiers: make([]wire.Identifier, len(list.Identifiers)), NextPageToken: list.Next}
	for i, id := range list.Identifiers {
		out.Identifiers[i] = wire.Identifier{Namespace: id.Namespace, Name: id.Name}
	}
	return jsonReply(list.Index, out)
}

func (a *api) createTable(ctx context.Context, c *call) (*reply, error) {
	req, err := wire.ParseCreateTable(c.body)
	if err != nil {
		return nil, err
	}
	if err := newName("table name", req.Name); err != nil {
		return nil, err
	}
	t, err := a.catalog.CreateTable(ctx, c.change(), c.warehouse, catalog.CreateTable{
		Identifier: catalog.Identifier{Namespace: c.namespace, Name: req.Name},
		Location:   req.Location, Schema: req.Schema, PartitionSpec: req.PartitionSpec,
		SortOrder: req.WriteOrder, Properties: req.Properties, Stage: req.StageCreate,
	})
	if err != nil {
		return nil, err
	}
	body, err := wire.LoadTable(t.MetadataLocation, t.Metadata)
	if err != nil {
		return nil, err
	}
	rep := &reply{status: http.StatusOK, body: body, index: t.Index}
	if !req.StageCreate {
		// What is only staged can't be loaded, so there is nothing to name.
		rep.etag = c.etag(t, false)
	}
	return rep, nil
}

func (a *api) loadTable(ctx context.Context, c *call) (*reply, error) {
	refsOnly, err := c.refsOnly()
	if err != nil {
		return nil, err
	}
	has := false
	opts := catalog.LoadOptions{Read: c.read, RefsOnly: refsOnly}
	if len(c.request.Header.Values("If-None-Match")) > 0 {
		opts.Unless = func(t *catalog.Table) bool {
			has = holds(c.request.Header, c.etag(t, refsOnly))
			return has
		}
	}
	t, err := a.catalog.LoadTable(ctx, c.warehouse, c.identifier(), opts)
	if err != nil {
		return nil, err
	}
	rep := &reply{status: http.StatusOK, etag: c.etag(t, refsOnly), index: t.Index}
	if has {
		rep.status = http.StatusNotModified
		return rep, nil
	}
	rep.body, err = wire.LoadTable(t.MetadataLocation, t.Metadata)
	return rep, err
}

func (a *api) tableExists(ctx context.Context, c *call) (*reply, error) {
	index, err := a.catalog.TableExists(ctx, c.read, c.warehouse, c.identifier())
	if err != nil {
		return nil, err
	}
	return noContent(index), nil
}

func (a *api) commitTable(ctx context.Context, c *call) (*reply, error) {
	req, err := wire.ParseCommitTable(c.body)
	if err != nil {
		return nil, err
	}
	requirements, err := iceberg.ParseRequirements(req.Requirements)
	if err != nil {
		return nil, err
	}
	updates, err := iceberg.ParseUpdates(req.Updates)
	if err != nil {
		return nil, err
	}
	if iceberg.IsCreate(requirements) {
		if err := newName("table name", c.table); err != nil {
			return nil, err
		}
	}
	t, err := a.catalog.CommitTable(ctx, c.change(), c.warehouse, catalog.CommitTable{
		Identifier: c.identifier(), Requirements: requirements, Updates: updates,
	})
	if err != nil {
		return nil, err
	}
	body, err := wire.CommittedTable(t.MetadataLocation, t.Metadata)
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusOK, body: body, etag: c.etag(t, false), index: t.Index}, nil
}

func (a *api) dropTable(ctx context.Context, c *call) (*reply, error) {
	purge, err := c.purge()
	if err != nil {
		return nil, err
	}
	index, err := a.catalog.DropTable(ctx, c.change(), c.warehouse, c.identifier(), purge)
	if err != nil {
		return nil, err
	}
	return noContent(index), nil
}
