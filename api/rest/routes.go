package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

const (
	pathWarehouse  = "/v1/{prefix}"
	pathNamespaces = pathWarehouse + "/namespaces"
	pathNamespace  = pathNamespaces + "/{namespace}"
	pathTables     = pathNamespace + "/tables"
	pathTable      = pathTables + "/{table}"
	pathViews      = pathNamespace + "/views"
	pathView       = pathViews + "/{view}"
)

// registerTimeout is for metadata files of hundreds of megabytes, which go through
// the log piece by piece.
const registerTimeout = 5 * time.Minute

// routes is the table of operations: it makes the list of endpoints that clients
// are told, too.
func (a *api) routes() []serve.Route {
	return []serve.Route{
		{Method: http.MethodGet, Path: "/v1/config", Action: authz.ActionGetConfig, Resource: onWarehouseAsked, Query: []string{"warehouse"}, Handle: a.getConfig},

		{Method: http.MethodGet, Path: pathNamespaces, Action: authz.ActionListNamespaces, Resource: onParent, Query: []string{"parent", "pageToken", "pageSize"}, Handle: a.listNamespaces},
		{Method: http.MethodPost, Path: pathNamespaces, Action: authz.ActionCreateNamespace, Resource: onWarehouse, Handle: a.createNamespace, Change: true, Body: true, ByBody: true},
		{Method: http.MethodGet, Path: pathNamespace, Action: authz.ActionLoadNamespace, Resource: onNamespace, Handle: a.loadNamespace},
		{Method: http.MethodHead, Path: pathNamespace, Action: authz.ActionLoadNamespace, Resource: onNamespace, Handle: a.namespaceExists},
		{Method: http.MethodDelete, Path: pathNamespace, Action: authz.ActionDropNamespace, Resource: onNamespace, Handle: a.dropNamespace, Change: true},
		{Method: http.MethodPost, Path: pathNamespace + "/properties", Action: authz.ActionUpdateNamespace, Resource: onNamespace, Handle: a.updateProperties, Change: true, Body: true},

		{Method: http.MethodGet, Path: pathTables, Action: authz.ActionListTables, Resource: onNamespace, Query: []string{"pageToken", "pageSize"}, Handle: a.listTables},
		{Method: http.MethodPost, Path: pathTables, Action: authz.ActionCreateTable, Resource: onNamespace, Handle: a.createTable, Change: true, Body: true},
		{Method: http.MethodGet, Path: pathTable, Action: authz.ActionLoadTable, Resource: onTable, Query: []string{"snapshots", "referenced-by"}, Handle: a.loadTable},
		{Method: http.MethodHead, Path: pathTable, Action: authz.ActionLoadTable, Resource: onTable, Handle: a.tableExists},
		{Method: http.MethodPost, Path: pathTable, Action: authz.ActionCommitTable, Resource: onTable, Handle: a.commitTable, Change: true, Body: true},
		{Method: http.MethodDelete, Path: pathTable, Action: authz.ActionDropTable, Resource: onTable, Query: []string{"purgeRequested"}, Handle: a.dropTable, Change: true},
		{Method: http.MethodPost, Path: pathTable + "/unregister", Action: authz.ActionUnregisterTable, Resource: onTable, Handle: a.unregisterTable, Change: true},
		{Method: http.MethodPost, Path: pathTable + "/metrics", Action: authz.ActionReportMetrics, Resource: onTable, Handle: a.reportMetrics, Body: true},
		{Method: http.MethodPost, Path: pathNamespace + "/register", Action: authz.ActionRegisterTable, Resource: onNamespace, Handle: a.registerTable, Change: true, Body: true, Timeout: registerTimeout},
		{Method: http.MethodPost, Path: pathWarehouse + "/tables/rename", Action: authz.ActionRenameTable, Resource: onWarehouse, Handle: a.renameTable, Change: true, Body: true, ByBody: true},
		{Method: http.MethodPost, Path: pathWarehouse + "/transactions/commit", Action: authz.ActionCommitTable, Resource: onWarehouse, Handle: a.commitTransaction, Change: true, Body: true, ByBody: true},

		{Method: http.MethodGet, Path: pathViews, Action: authz.ActionListViews, Resource: onNamespace, Query: []string{"pageToken", "pageSize"}, Handle: a.listViews},
		{Method: http.MethodPost, Path: pathViews, Action: authz.ActionCreateView, Resource: onNamespace, Handle: a.createView, Change: true, Body: true},
		{Method: http.MethodPost, Path: pathNamespace + "/register-view", Action: authz.ActionRegisterView, Resource: onNamespace, Handle: a.registerView, Change: true, Body: true},
		{Method: http.MethodGet, Path: pathView, Action: authz.ActionLoadView, Resource: onView, Query: []string{"referenced-by"}, Handle: a.loadView},
		{Method: http.MethodHead, Path: pathView, Action: authz.ActionLoadView, Resource: onView, Handle: a.viewExists},
		{Method: http.MethodPost, Path: pathView, Action: authz.ActionReplaceView, Resource: onView, Handle: a.replaceView, Change: true, Body: true},
		{Method: http.MethodDelete, Path: pathView, Action: authz.ActionDropView, Resource: onView, Handle: a.dropView, Change: true},
		{Method: http.MethodPost, Path: pathWarehouse + "/views/rename", Action: authz.ActionRenameView, Resource: onWarehouse, Handle: a.renameView, Change: true, Body: true, ByBody: true},
	}
}

// endpoints is what clients are told is served. A client does not even try what
// is not in the list.
func endpoints(routes []serve.Route) []string {
	out := make([]string, len(routes))
	for i, r := range routes {
		out[i] = r.Method + " " + r.Path
	}
	return out
}

func onWarehouseAsked(c *serve.Call) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: c.Query.Get("warehouse")}
}

func onWarehouse(c *serve.Call) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: c.Warehouse}
}

func onParent(c *serve.Call) authz.Resource {
	if parent := serve.SplitNamespace(c.Query.Get("parent")); len(parent) > 0 {
		return authz.Resource{Kind: authz.KindNamespace, Warehouse: c.Warehouse, Namespace: parent}
	}
	return onWarehouse(c)
}

func onNamespace(c *serve.Call) authz.Resource { return namespaceResource(c, c.Namespace) }

func onTable(c *serve.Call) authz.Resource { return tableResource(c, c.Identifier()) }

func onView(c *serve.Call) authz.Resource { return viewResource(c, c.Identifier()) }

func namespaceResource(c *serve.Call, path catalog.Namespace) authz.Resource {
	return authz.Resource{Kind: authz.KindNamespace, Warehouse: c.Warehouse, Namespace: path}
}

func tableResource(c *serve.Call, id catalog.Identifier) authz.Resource {
	return authz.Resource{Kind: authz.KindTable, Warehouse: c.Warehouse, Namespace: id.Namespace, Name: id.Name}
}

func viewResource(c *serve.Call, id catalog.Identifier) authz.Resource {
	return authz.Resource{Kind: authz.KindView, Warehouse: c.Warehouse, Namespace: id.Namespace, Name: id.Name}
}

// authorizeName asks whether the one who asks may see both a table and a view of a
// name, before it makes either: they share their names, so which are taken would
// tell of what may not be seen.
func authorizeName(ctx context.Context, c *serve.Call, id catalog.Identifier) error {
	if err := c.AuthorizeNew(ctx, authz.ActionLoadTable, tableResource(c, id)); err != nil {
		return err
	}
	return c.AuthorizeNew(ctx, authz.ActionLoadView, viewResource(c, id))
}
