package rest

import (
	"context"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

func (a *api) listNamespaces(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	if p.Filter, err = c.Filter(ctx, authz.ActionLoadNamespace, onParent(c), authz.KindNamespace); err != nil {
		return nil, err
	}
	list, err := a.catalog.ListNamespaces(ctx, c.Read, c.Warehouse, serve.SplitNamespace(c.Query.Get("parent")), p)
	if err != nil {
		return nil, err
	}
	return listing(c, list, "namespaces", func(dst []byte, path catalog.Namespace) []byte {
		return wire.AppendNamespace(dst, path)
	}), nil
}

// createNamespace needs the right to make one where the body says, and to see it.
func (a *api) createNamespace(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseCreateNamespace(c.Body)
	if err != nil {
		return nil, err
	}
	if err := newNamespace(req.Namespace); err != nil {
		return nil, err
	}
	parent := onWarehouse(c)
	if above := req.Namespace[:len(req.Namespace)-1]; len(above) > 0 {
		parent = namespaceResource(c, above)
	}
	if err := c.Authorize(ctx, authz.ActionCreateNamespace, parent); err != nil {
		return nil, err
	}
	if err := c.AuthorizeNew(ctx, authz.ActionLoadNamespace, namespaceResource(c, req.Namespace)); err != nil {
		return nil, err
	}
	info, err := a.catalog.CreateNamespace(ctx, c.Change(), c.Warehouse, req.Namespace, req.Properties)
	if err != nil {
		return nil, err
	}
	return namespaceReply(info)
}

func (a *api) loadNamespace(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	info, err := a.catalog.LoadNamespace(ctx, c.Read, c.Warehouse, c.Namespace)
	if err != nil {
		return nil, err
	}
	return namespaceReply(info)
}

func (a *api) namespaceExists(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	info, err := a.catalog.LoadNamespace(ctx, c.Read, c.Warehouse, c.Namespace)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(info.Index), nil
}

func (a *api) dropNamespace(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	index, err := a.catalog.DropNamespace(ctx, c.Change(), c.Warehouse, c.Namespace)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}

func (a *api) updateProperties(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	req, err := wire.ParseUpdateProperties(c.Body)
	if err != nil {
		return nil, err
	}
	done, err := a.catalog.UpdateNamespaceProperties(ctx, c.Change(), c.Warehouse, c.Namespace, req.Removals, req.Updates)
	if err != nil {
		return nil, err
	}
	return serve.JSON(done.Index, wire.UpdatedProperties{
		Updated: list(done.Updated), Removed: list(done.Removed), Missing: list(done.Missing),
	})
}

func namespaceReply(info *catalog.NamespaceInfo) (*serve.Reply, error) {
	props := info.Properties
	if props == nil {
		// Null would say that properties are not supported.
		props = map[string]string{}
	}
	return serve.JSON(info.Index, wire.Namespace{Namespace: info.Path, Properties: props})
}

// list is in, or an empty list instead of null.
func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}
