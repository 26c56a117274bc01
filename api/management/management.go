// Package management is the operators' side of HTTP: what the commands use. Its
// paths begin with /management/v1, its fields are in snake_case.
package management

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

// Catalog is the use cases that operators need.
type Catalog interface {
	// LoadTable returns a table.
	LoadTable(ctx context.Context, warehouse string, id catalog.Identifier, opts catalog.LoadOptions) (*catalog.Table, error)
	// VerifyTable compares a table's metadata with the file that it points to.
	VerifyTable(ctx context.Context, read catalog.Read, warehouse string, id catalog.Identifier) (*catalog.Verification, error)
	// RebuildTable makes a table's metadata anew of that file, and returns how the
	// two differed before.
	RebuildTable(ctx context.Context, change catalog.Change, warehouse string, id catalog.Identifier) (*catalog.Verification, error)
	// TableReports returns the last reports about a table that this node got.
	TableReports(ctx context.Context, read catalog.Read, warehouse string, id catalog.Identifier) ([]*catalog.Report, error)

	// ListTasks returns background jobs, all or those of one status.
	ListTasks(ctx context.Context, read catalog.Read, status catalog.TaskStatus, page catalog.Page) (*catalog.TaskList, error)
	// GetTask returns one background job.
	GetTask(ctx context.Context, read catalog.Read, id string) (*catalog.TaskInfo, error)
	// CancelTask ends a background job before it is done.
	CancelTask(ctx context.Context, change catalog.Change, id string) (*catalog.TaskInfo, error)
}

// Options are what the operators' side is made of.
type Options struct {
	// Catalog is required.
	Catalog Catalog
	// Cluster is required.
	Cluster Cluster
	// Keys is required.
	Keys Keys
	// Policies is required.
	Policies Policies
	// Warehouses is required.
	Warehouses Warehouses
	// Backups is nil where there is no snapshot store.
	Backups Backups
	// Restores is nil where nothing can be restored.
	Restores Restores
	// Audit is nil where nothing is on record.
	Audit Audit
	// Secrets is nil where none are kept.
	Secrets Secrets
}

// api is the handlers' common ground.
type api struct {
	catalog    Catalog
	cluster    Cluster
	keys       Keys
	policies   Policies
	warehouses Warehouses
	backups    Backups
	restores   Restores
	audit      Audit
	secrets    Secrets
}

// Routes are the operations of operators.
func Routes(opts Options) ([]serve.Route, error) {
	if opts.Catalog == nil {
		return nil, errors.New("management: Catalog is missing")
	}
	if opts.Cluster == nil {
		return nil, errors.New("management: Cluster is missing")
	}
	if opts.Keys == nil {
		return nil, errors.New("management: Keys is missing")
	}
	if opts.Policies == nil {
		return nil, errors.New("management: Policies is missing")
	}
	if opts.Warehouses == nil {
		return nil, errors.New("management: Warehouses is missing")
	}
	a := &api{catalog: opts.Catalog, cluster: opts.Cluster, keys: opts.Keys, policies: opts.Policies, warehouses: opts.Warehouses, backups: opts.Backups, restores: opts.Restores, audit: opts.Audit, secrets: opts.Secrets}
	routes := slices.Concat(a.clusterRoutes(), a.keyringRoutes(), a.keyRoutes(), a.policyRoutes(), a.auditRoutes(), a.secretRoutes(), a.warehouseRoutes(), []serve.Route{
		{Method: http.MethodGet, Path: pathTable + "/verify", Action: authz.ActionVerifyTable, Resource: onTable, Handle: a.verifyTable, Store: true},
		{Method: http.MethodPost, Path: pathTable + "/rebuild", Action: authz.ActionRebuildTable, Resource: onTable, Handle: a.rebuildTable, Change: true},
		{Method: http.MethodGet, Path: pathTable + "/reports", Action: authz.ActionListReports, Resource: onTable, Handle: a.listReports},

		{Method: http.MethodGet, Path: pathSupport, Action: authz.ActionManageCluster, Resource: onCluster, Operates: true, Sensitive: true, Handle: a.gatherSupport},

		{Method: http.MethodGet, Path: pathTasks, Action: authz.ActionListTasks, Resource: onCluster, Query: []string{"status", "page_token", "page_size"}, Handle: a.listTasks},
		{Method: http.MethodGet, Path: pathTask, Action: authz.ActionListTasks, Resource: onCluster, Handle: a.showTask},
		{Method: http.MethodPost, Path: pathCancelTask, Action: authz.ActionCancelTask, Resource: onCluster, Change: true, Handle: a.cancelTask},

		{Method: http.MethodGet, Path: pathBackups, Action: authz.ActionListBackups, Resource: onCluster, Operates: true, Query: pageQuery, Handle: a.listBackups, Store: true},
		{Method: http.MethodPost, Path: pathBackups, Action: authz.ActionCreateBackup, Resource: onCluster, Operates: true, Change: true, Handle: a.createBackup},
		{Method: http.MethodGet, Path: pathBackup, Action: authz.ActionListBackups, Resource: onCluster, Operates: true, Handle: a.showBackup, Store: true},
		{Method: http.MethodPost, Path: pathBackup + "/verify", Action: authz.ActionVerifyBackup, Resource: onCluster, Operates: true, Change: true, Handle: a.verifyBackup},
		{Method: http.MethodGet, Path: pathBackupWork, Action: authz.ActionListBackups, Resource: onCluster, Operates: true, Handle: a.showBackupWork},

		{Method: http.MethodPost, Path: pathRestores, Action: authz.ActionRestoreBackup, Resource: onCluster, Operates: true, Change: true, Body: true, Handle: a.startRestore},
		{Method: http.MethodGet, Path: pathRestore, Action: authz.ActionListBackups, Resource: onCluster, Operates: true, Handle: a.showRestore},
	})
	for i, r := range routes {
		if r.Operates && r.Change { // here, so that none can be without it
			routes[i].Handle = a.proven(r.Handle)
		}
	}
	return routes, nil
}

const (
	pathRoot       = "/management/v1"
	pathWarehouses = pathRoot + "/warehouses"
	pathWarehouse  = pathWarehouses + "/{warehouse}"
	pathTable      = pathWarehouse + "/namespaces/{namespace}/tables/{table}"
	pathCluster    = pathRoot + "/cluster"
	pathMember     = pathCluster + "/members/{node}"
	pathKeyring    = pathCluster + "/keyring"
	pathMembers    = pathRoot + "/members"
	pathSupport    = pathRoot + "/support"
	pathKeys       = pathRoot + "/keys"
	pathKey        = pathKeys + "/{key}"
	pathPolicies   = pathRoot + "/policies"
	pathSecrets    = pathRoot + "/secrets"
	pathTasks      = pathRoot + "/tasks"
	pathTask       = pathTasks + "/{task}"
	pathCancelTask = pathTask + "/cancel"
	pathBackups    = pathRoot + "/backups"
	pathBackup     = pathBackups + "/{backup}"
	pathRestores   = pathRoot + "/restores"
	pathRestore    = pathRestores + "/{restore}"
	pathBackupWork = pathBackups + "/operations/{operation}"
)

func onCluster(*serve.Call) authz.Resource { return authz.Resource{Kind: authz.KindCluster} }

func onWarehouse(c *serve.Call) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: c.Param("warehouse")}
}

func onTable(c *serve.Call) authz.Resource {
	return authz.Resource{Kind: authz.KindTable, Warehouse: c.Param("warehouse"), Namespace: c.Namespace, Name: c.Name}
}
