package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/floeberg/floeberg/authz"
)

// route is one operation of the protocol. The table of routes is the only place
// that an operation is added in: it registers the path, demands the right, and
// tells clients of it.
type route struct {
	method string
	// path is written as in Iceberg's description of the protocol.
	path string
	// action is what a principal must be allowed to do; a route without one is
	// refused at start.
	action authz.Action
	// resource is what it is done to.
	resource func(*call) authz.Resource
	// change tells that it changes something: it carries an Idempotency-Key, and
	// its answer rests on the log instead of a read.
	change bool
	// body tells that the request has one.
	body   bool
	handle func(context.Context, *call) (*reply, error)
}

const (
	pathNamespaces = "/v1/{prefix}/namespaces"
	pathNamespace  = pathNamespaces + "/{namespace}"
	pathTables     = pathNamespace + "/tables"
	pathTable      = pathTables + "/{table}"
)

func (a *api) routes() []route {
	return []route{
		{method: http.MethodGet, path: "/v1/config", action: authz.ActionGetConfig, resource: onWarehouseAsked, handle: a.getConfig},

		{method: http.MethodGet, path: pathNamespaces, action: authz.ActionListNamespaces, resource: onParent, handle: a.listNamespaces},
		{method: http.MethodPost, path: pathNamespaces, action: authz.ActionCreateNamespace, resource: onWarehouse, handle: a.createNamespace, change: true, body: true},
		{method: http.MethodGet, path: pathNamespace, action: authz.ActionLoadNamespace, resource: onNamespace, handle: a.loadNamespace},
		{method: http.MethodHead, path: pathNamespace, action: authz.ActionLoadNamespace, resource: onNamespace, handle: a.namespaceExists},
		{method: http.MethodDelete, path: pathNamespace, action: authz.ActionDropNamespace, resource: onNamespace, handle: a.dropNamespace, change: true},
		{method: http.MethodPost, path: pathNamespace + "/properties", action: authz.ActionUpdateNamespace, resource: onNamespace, handle: a.updateProperties, change: true, body: true},

		{method: http.MethodGet, path: pathTables, action: authz.ActionListTables, resource: onNamespace, handle: a.listTables},
		{method: http.MethodPost, path: pathTables, action: authz.ActionCreateTable, resource: onNamespace, handle: a.createTable, change: true, body: true},
		{method: http.MethodGet, path: pathTable, action: authz.ActionLoadTable, resource: onTable, handle: a.loadTable},
		{method: http.MethodHead, path: pathTable, action: authz.ActionLoadTable, resource: onTable, handle: a.tableExists},
		{method: http.MethodPost, path: pathTable, action: authz.ActionCommitTable, resource: onTable, handle: a.commitTable, change: true, body: true},
		{method: http.MethodDelete, path: pathTable, action: authz.ActionDropTable, resource: onTable, handle: a.dropTable, change: true},
	}
}

// endpoints is what clients are told is served. A client does not even try what
// is not in the list.
func endpoints(routes []route) []string {
	out := make([]string, len(routes))
	for i, r := range routes {
		out[i] = r.method + " " + r.path
	}
	return out
}

// ginPath is a path as the router wants it.
func ginPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

func onWarehouseAsked(c *call) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: c.query.Get("warehouse")}
}

func onWarehouse(c *call) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: c.warehouse}
}

func onParent(c *call) authz.Resource {
	if parent := splitNamespace(c.query.Get("parent")); len(parent) > 0 {
		return authz.Resource{Kind: authz.KindNamespace, Warehouse: c.warehouse, Namespace: parent}
	}
	return onWarehouse(c)
}

func onNamespace(c *call) authz.Resource {
	return authz.Resource{Kind: authz.KindNamespace, Warehouse: c.warehouse, Namespace: c.namespace}
}

func onTable(c *call) authz.Resource {
	return authz.Resource{Kind: authz.KindTable, Warehouse: c.warehouse, Namespace: c.namespace, Name: c.table}
}
