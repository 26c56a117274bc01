package rest

import (
	"context"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/internal/catalog"
)

func (a *api) listNamespaces(ctx context.Context, c *call) (*reply, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	list, err := a.catalog.ListNamespaces(ctx, c.read, c.warehouse, splitNamespace(c.query.Get("parent")), page)
	if err != nil {
		return nil, err
	}
	out := wire.Namespaces{Namespaces: make([][]string, len(list.Namespaces)), NextPageToken: list.Next}
	for i, path := range list.Namespaces {
		out.Namespaces[i] = path
	}
	return jsonReply(list.Index, out)
}

func (a *api) createNamespace(ctx context.Context, c *call) (*reply, error) {
	req, err := wire.ParseCreateNamespace(c.body)
	if err != nil {
		return nil, err
	}
	if err := newNamespace(req.Namespace); err != nil {
		return nil, err
	}
	info, err := a.catalog.CreateNamespace(ctx, c.change(), c.warehouse, req.Namespace, req.Properties)
	if err != nil {
		return nil, err
	}
	return namespaceReply(info)
}

func (a *api) loadNamespace(ctx context.Context, c *call) (*reply, error) {
	info, err := a.catalog.LoadNamespace(ctx, c.read, c.warehouse, c.namespace)
	if err != nil {
		return nil, err
	}
	return namespaceReply(info)
}

func (a *api) namespaceExists(ctx context.Context, c *call) (*reply, error) {
	info, err := a.catalog.LoadNamespace(ctx, c.read, c.warehouse, c.namespace)
	if err != nil {
		return nil, err
	}
	return noContent(info.Index), nil
}

func (a *api) dropNamespace(ctx context.Context, c *call) (*reply, error) {
	index, err := a.catalog.DropNamespace(ctx, c.change(), c.warehouse, c.namespace)
	if err != nil {
		return nil, err
	}
	return noContent(index), nil
}

func (a *api) updateProperties(ctx context.Context, c *call) (*reply, error) {
	req, err := wire.ParseUpdateProperties(c.body)
	if err != nil {
		return nil, err
	}
	done, err := a.catalog.UpdateNamespaceProperties(ctx, c.change(), c.warehouse, c.namespace, req.Removals, req.Updates)
	if err != nil {
		return nil, err
	}
	return jsonReply(done.Index, wire.UpdatedProperties{
		Updated: list(done.Updated), Removed: list(done.Removed), Missing: list(done.Missing),
	})
}

func namespaceReply(info *catalog.NamespaceInfo) (*reply, error) {
	props := info.Properties
	if props == nil {
		// Null would say that properties are not supported.
		props = map[string]string{}
	}
	return jsonReply(info.Index, wire.Namespace{Namespace: info.Path, Properties: props})
}

// list is in, or an empty list instead of null.
func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}
