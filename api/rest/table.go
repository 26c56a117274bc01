package rest

import (
	"context"
	"net/http"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/iceberg"
)

func (a *api) listTables(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	if p.Filter, err = c.Filter(ctx, authz.ActionLoadTable, onNamespace(c), authz.KindTable); err != nil {
		return nil, err
	}
	list, err := a.catalog.ListTables(ctx, c.Read, c.Warehouse, c.Namespace, p)
	if err != nil {
		return nil, err
	}
	return identifiers(c, list), nil
}

func (a *api) createTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseCreateTable(c.Body)
	if err != nil {
		return nil, err
	}
	if err := newName("table name", req.Name); err != nil {
		return nil, err
	}
	id := catalog.Identifier{Namespace: c.Namespace, Name: req.Name}
	if err := authorizeName(ctx, c, id); err != nil {
		return nil, err
	}
	reading, err := c.Reading(ctx, tableResource(c, id))
	if err != nil {
		return nil, err
	}
	t, err := a.catalog.CreateTable(ctx, c.Change(), c.Warehouse, catalog.CreateTable{
		Identifier: id,
		Location:   req.Location, Schema: req.Schema, PartitionSpec: req.PartitionSpec,
		SortOrder: req.WriteOrder, Properties: req.Properties, Stage: req.StageCreate,
	})
	if err != nil {
		return nil, err
	}
	restrictions, err := reading.RestrictionsAfter(t.Metadata, document(t, false))
	if err != nil {
		return nil, err
	}
	body, err := wire.LoadTable(t.MetadataLocation, t.Metadata, restrictions)
	if err != nil {
		return nil, err
	}
	rep := &serve.Reply{Status: http.StatusOK, Body: body, Index: t.Index}
	if !req.StageCreate {
		// What is only staged can't be loaded, so there is nothing to name.
		rep.ETag, rep.Document = etag(c, t, false, reading), document(t, false)
	}
	return rep, nil
}

func (a *api) loadTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	refs, err := refsOnly(c)
	if err != nil {
		return nil, err
	}
	reading, err := c.Reading(ctx, onTable(c))
	if err != nil {
		return nil, err
	}
	has := false
	opts := catalog.LoadOptions{Read: c.Read, RefsOnly: refs}
	if len(c.Request.Header.Values("If-None-Match")) > 0 {
		opts.Unless = func(t *catalog.Table) bool {
			has = serve.Holds(c.Request.Header, etag(c, t, refs, reading))
			return has
		}
	}
	t, err := a.catalog.LoadTable(ctx, c.Warehouse, c.Identifier(), opts)
	if err != nil {
		return nil, err
	}
	rep := &serve.Reply{Status: http.StatusOK, ETag: etag(c, t, refs, reading), Index: t.Index}
	if has {
		rep.Status = http.StatusNotModified
		return rep, nil
	}
	restrictions, err := reading.Restrictions(t.Metadata, document(t, false))
	if err != nil {
		return nil, err
	}
	rep.Document = document(t, refs)
	rep.Body, err = wire.LoadTable(t.MetadataLocation, t.Metadata, restrictions)
	return rep, err
}

func (a *api) tableExists(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	index, err := a.catalog.TableExists(ctx, c.Read, c.Warehouse, c.Identifier())
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}

func (a *api) commitTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseCommit(c.Body)
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
		if err := newName("table name", c.Name); err != nil {
			return nil, err
		}
		if err := authorizeCreate(ctx, c, c.Identifier()); err != nil {
			return nil, err
		}
	}
	reading, err := c.Reading(ctx, onTable(c))
	if err != nil {
		return nil, err
	}
	t, err := a.catalog.CommitTable(ctx, c.Change(), c.Warehouse, catalog.CommitTable{
		Identifier: c.Identifier(), Requirements: requirements, Updates: updates,
	})
	if err != nil {
		return nil, err
	}
	restrictions, err := reading.RestrictionsAfter(t.Metadata, document(t, false))
	if err != nil {
		return nil, err
	}
	body, err := wire.CommittedTable(t.MetadataLocation, t.Metadata, restrictions)
	if err != nil {
		return nil, err
	}
	return &serve.Reply{
		Status: http.StatusOK, Body: body, Document: document(t, false), ETag: etag(c, t, false, reading), Index: t.Index,
	}, nil
}

func (a *api) dropTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	purge, err := purgeRequested(c)
	if err != nil {
		return nil, err
	}
	index, err := a.catalog.DropTable(ctx, c.Change(), c.Warehouse, c.Identifier(), purge)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}
