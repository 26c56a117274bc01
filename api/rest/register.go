package rest

import (
	"context"
	"net/http"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

// registerTable needs one more right where it may take the place of a table: that
// one is gone then.
func (a *api) registerTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseRegisterTable(c.Body)
	if err != nil {
		return nil, err
	}
	id := catalog.Identifier{Namespace: c.Namespace, Name: req.Name}
	if err := authorizeName(ctx, c, id); err != nil {
		return nil, err
	}
	if req.Overwrite {
		if err := c.Authorize(ctx, authz.ActionDropTable, tableResource(c, id)); err != nil {
			return nil, err
		}
	}
	if err := newName("table name", req.Name); err != nil {
		return nil, err
	}
	reading, err := c.Reading(ctx, tableResource(c, id))
	if err != nil {
		return nil, err
	}
	t, err := a.catalog.RegisterTable(ctx, c.Change(), c.Warehouse, catalog.RegisterTable{
		Identifier: id, MetadataLocation: req.MetadataLocation, Overwrite: req.Overwrite,
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
	return &serve.Reply{Status: http.StatusOK, Body: body, ETag: etag(c, t, false, reading), Index: t.Index}, nil
}

func (a *api) unregisterTable(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	reading, err := c.Reading(ctx, onTable(c))
	if err != nil {
		return nil, err
	}
	t, err := a.catalog.UnregisterTable(ctx, c.Change(), c.Warehouse, c.Identifier())
	if err != nil {
		return nil, err
	}
	restrictions, err := reading.RestrictionsAfter(t.Metadata, document(t, false))
	if err != nil {
		return nil, err
	}
	body, err := wire.UnregisteredTable(t.MetadataLocation, t.Metadata, restrictions)
	if err != nil {
		return nil, err
	}
	return &serve.Reply{Status: http.StatusOK, Body: body, Index: t.Index}, nil
}
