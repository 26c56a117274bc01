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

func (a *api) listViews(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	if p.Filter, err = c.Filter(ctx, authz.ActionLoadView, onNamespace(c), authz.KindView); err != nil {
		return nil, err
	}
	list, err := a.catalog.ListViews(ctx, c.Read, c.Warehouse, c.Namespace, p)
	if err != nil {
		return nil, err
	}
	return identifiers(c, list), nil
}

func (a *api) createView(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseCreateView(c.Body)
	if err != nil {
		return nil, err
	}
	if err := newName("view name", req.Name); err != nil {
		return nil, err
	}
	id := catalog.Identifier{Namespace: c.Namespace, Name: req.Name}
	if err := authorizeName(ctx, c, id); err != nil {
		return nil, err
	}
	v, err := a.catalog.CreateView(ctx, c.Change(), c.Warehouse, catalog.CreateView{
		Identifier: id,
		Location:   req.Location, Schema: req.Schema, Version: req.Version, Properties: req.Properties,
	})
	if err != nil {
		return nil, err
	}
	return viewReply(c, v)
}

func (a *api) registerView(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseRegisterView(c.Body)
	if err != nil {
		return nil, err
	}
	if err := newName("view name", req.Name); err != nil {
		return nil, err
	}
	id := catalog.Identifier{Namespace: c.Namespace, Name: req.Name}
	if err := authorizeName(ctx, c, id); err != nil {
		return nil, err
	}
	v, err := a.catalog.RegisterView(ctx, c.Change(), c.Warehouse, catalog.RegisterView{
		Identifier: id, MetadataLocation: req.MetadataLocation,
	})
	if err != nil {
		return nil, err
	}
	return viewReply(c, v)
}

func (a *api) loadView(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	v, err := a.catalog.LoadView(ctx, c.Read, c.Warehouse, c.Identifier())
	if err != nil {
		return nil, err
	}
	if tag := viewTag(c, v); serve.Holds(c.Request.Header, tag) {
		return &serve.Reply{Status: http.StatusNotModified, ETag: tag, Index: v.Index}, nil
	}
	return viewReply(c, v)
}

// viewReply shows a view.
func viewReply(c *serve.Call, v *catalog.View) (*serve.Reply, error) {
	body, err := wire.LoadView(v.MetadataLocation, v.Metadata)
	if err != nil {
		return nil, err
	}
	return &serve.Reply{Status: http.StatusOK, Body: body, ETag: viewTag(c, v), Index: v.Index}, nil
}

func (a *api) viewExists(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	index, err := a.catalog.ViewExists(ctx, c.Read, c.Warehouse, c.Identifier())
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}

func (a *api) replaceView(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseCommit(c.Body)
	if err != nil {
		return nil, err
	}
	requirements, err := iceberg.ParseViewRequirements(req.Requirements)
	if err != nil {
		return nil, err
	}
	updates, err := iceberg.ParseViewUpdates(req.Updates)
	if err != nil {
		return nil, err
	}
	v, err := a.catalog.ReplaceView(ctx, c.Change(), c.Warehouse, catalog.ReplaceView{
		Identifier: c.Identifier(), Requirements: requirements, Updates: updates,
	})
	if err != nil {
		return nil, err
	}
	return viewReply(c, v)
}

func (a *api) dropView(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	index, err := a.catalog.DropView(ctx, c.Change(), c.Warehouse, c.Identifier())
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}

// renameView needs rights that only the body tells of: to take the view away
// from where it is, and to make one where it goes.
func (a *api) renameView(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseRename(c.Body)
	if err != nil {
		return nil, err
	}
	from := catalog.Identifier{Namespace: req.Source.Namespace, Name: req.Source.Name}
	to := catalog.Identifier{Namespace: req.Destination.Namespace, Name: req.Destination.Name}
	if err := checkRename(from, to); err != nil {
		return nil, err
	}
	if err := c.Authorize(ctx, authz.ActionRenameView, viewResource(c, from)); err != nil {
		return nil, err
	}
	if err := c.Authorize(ctx, authz.ActionCreateView, namespaceResource(c, to.Namespace)); err != nil {
		return nil, err
	}
	if err := authorizeName(ctx, c, to); err != nil {
		return nil, err
	}
	if err := newName("view name", to.Name); err != nil {
		return nil, err
	}
	index, err := a.catalog.RenameView(ctx, c.Change(), c.Warehouse, from, to)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}
