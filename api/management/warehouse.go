package management

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/warehouse"
)

// Warehouses is the warehouses of the cluster.
type Warehouses interface {
	// Get returns a warehouse.
	Get(ctx context.Context, read catalog.Read, name string) (*warehouse.Info, error)
	// List returns warehouses.
	List(ctx context.Context, read catalog.Read, page catalog.Page) (*warehouse.List, error)
	// Create makes a warehouse.
	Create(ctx context.Context, ch catalog.Change, q warehouse.Create) (*warehouse.Info, error)
	// Update changes a warehouse.
	Update(ctx context.Context, ch catalog.Change, q warehouse.Update) (*warehouse.Info, error)
	// Delete takes an empty warehouse out of the catalog, of a generation or of any (nil).
	Delete(ctx context.Context, ch catalog.Change, name string, generation *uint64) (uint64, error)
}

// Warehouse is a warehouse as operators see it.
type Warehouse struct {
	Name         string   `json:"name"`
	Root         string   `json:"root"`
	AllowedRoots []string `json:"allowed_roots"`
	// Generation changes with each change of the warehouse.
	Generation uint64 `json:"generation"`
	// FromSettings tells that nodes' settings made it and say how its store is reached.
	FromSettings bool `json:"from_settings"`
	// Endpoint and Region are null where nothing is said of them.
	Endpoint  *string `json:"endpoint"`
	Region    *string `json:"region"`
	PathStyle bool    `json:"path_style"`
	// OwnCredentials tells whether it has some of its own, which nobody is shown.
	OwnCredentials bool `json:"own_credentials"`
	// Credentials is what may be known of those, such as an access key's id. It is null
	// where there are none, and for who may not manage the warehouse.
	Credentials *string `json:"credentials"`
	// CreatedAt is null where it is not known, ChangedAt where it never was.
	CreatedAt *time.Time `json:"created_at"`
	ChangedAt *time.Time `json:"changed_at"`
}

// WarehouseList is a page of warehouses.
type WarehouseList struct {
	Warehouses    []Warehouse `json:"warehouses"`
	NextPageToken string      `json:"next_page_token,omitempty"`
}

// WarehouseCredentials are those of a warehouse's own, for the kind of store that it is in.
type WarehouseCredentials struct {
	AccessKeyID     string `json:"access_key_id,omitempty"`
	SecretAccessKey string `json:"secret_access_key,omitempty"`
	// ServiceAccountKey is the content of a service account's key file.
	ServiceAccountKey json.RawMessage `json:"service_account_key,omitempty"`
	AccountKey        string          `json:"account_key,omitempty"`
	SASToken          string          `json:"sas_token,omitempty"`
}

// CreateWarehouse asks for a warehouse.
type CreateWarehouse struct {
	Name         string                `json:"name"`
	Root         string                `json:"root"`
	AllowedRoots []string              `json:"allowed_roots,omitempty"`
	Endpoint     string                `json:"endpoint,omitempty"`
	Region       string                `json:"region,omitempty"`
	PathStyle    bool                  `json:"path_style,omitempty"`
	Credentials  *WarehouseCredentials `json:"credentials,omitempty"`
}

// UpdateWarehouse asks for a change of a warehouse. What is missing stays as it is.
type UpdateWarehouse struct {
	// ExpectedGeneration is the generation that it must have; null takes any.
	ExpectedGeneration *uint64               `json:"expected_generation,omitempty"`
	AllowedRoots       *[]string             `json:"allowed_roots,omitempty"`
	Endpoint           *string               `json:"endpoint,omitempty"`
	Region             *string               `json:"region,omitempty"`
	PathStyle          *bool                 `json:"path_style,omitempty"`
	Credentials        *WarehouseCredentials `json:"credentials,omitempty"`
	// NodeCredentials gives up credentials of its own.
	NodeCredentials bool `json:"node_credentials,omitempty"`
}

const generationQuery = "expected_generation"

func (a *api) warehouseRoutes() []serve.Route {
	return []serve.Route{
		{Method: http.MethodGet, Path: pathWarehouses, Action: authz.ActionListWarehouses, Resource: onCluster, Query: pageQuery, Handle: a.listWarehouses},
		{Method: http.MethodPost, Path: pathWarehouses, Action: authz.ActionCreateWarehouse, Resource: onCluster, Change: true, Body: true, Handle: a.createWarehouse},
		{Method: http.MethodGet, Path: pathWarehouse, Action: authz.ActionShowWarehouse, Resource: onWarehouse, Handle: a.showWarehouse},
		{Method: http.MethodPatch, Path: pathWarehouse, Action: authz.ActionManageWarehouse, Resource: onWarehouse, Change: true, Body: true, Handle: a.updateWarehouse},
		{Method: http.MethodDelete, Path: pathWarehouse, Action: authz.ActionManageWarehouse, Resource: onWarehouse, Change: true, Query: []string{generationQuery}, Handle: a.deleteWarehouse},
	}
}

func warehouseNamed(name string) authz.Resource {
	return authz.Resource{Kind: authz.KindWarehouse, Warehouse: name}
}

func (a *api) listWarehouses(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	p.Filter = c.Filtered(ctx, authz.ActionShowWarehouse, warehouseNamed)
	list, err := a.warehouses.List(ctx, c.Read, p)
	if err != nil {
		return nil, err
	}
	out := WarehouseList{Warehouses: []Warehouse{}, NextPageToken: list.Next}
	for _, wh := range list.Warehouses {
		out.Warehouses = append(out.Warehouses, showWarehouse(wh, c.Sees(ctx, authz.ActionManageWarehouse, warehouseNamed(wh.Name))))
	}
	return serve.JSON(list.Index, out)
}

func (a *api) showWarehouse(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	wh, err := a.warehouses.Get(ctx, c.Read, c.Param("warehouse"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(wh.Index, showWarehouse(wh, c.Sees(ctx, authz.ActionManageWarehouse, warehouseNamed(wh.Name))))
}

func (a *api) createWarehouse(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var body CreateWarehouse
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	if body.Name == "" {
		return nil, jsonbody.Fault("name", "is missing")
	}
	if body.Root == "" {
		return nil, jsonbody.Fault("root", "is missing")
	}
	if err := c.AuthorizeNew(ctx, authz.ActionShowWarehouse, warehouseNamed(body.Name)); err != nil {
		return nil, err
	}
	own, err := body.Credentials.own()
	if err != nil {
		return nil, err
	}
	made, err := a.warehouses.Create(ctx, c.Change(), warehouse.Create{
		Name: body.Name, Root: body.Root, AllowedRoots: body.AllowedRoots,
		Endpoint: body.Endpoint, Region: body.Region, PathStyle: body.PathStyle, Credentials: own,
	})
	if err != nil {
		return nil, err
	}
	return serve.JSON(made.Index, showWarehouse(made, true))
}

func (a *api) updateWarehouse(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var body UpdateWarehouse
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	own, err := body.Credentials.own()
	if err != nil {
		return nil, err
	}
	changed, err := a.warehouses.Update(ctx, c.Change(), warehouse.Update{
		Name: c.Param("warehouse"), Expect: body.ExpectedGeneration, AllowedRoots: body.AllowedRoots,
		Endpoint: body.Endpoint, Region: body.Region, PathStyle: body.PathStyle,
		Credentials: own, NodeCredentials: body.NodeCredentials,
	})
	if err != nil {
		return nil, err
	}
	return serve.JSON(changed.Index, showWarehouse(changed, true))
}

func (a *api) deleteWarehouse(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var generation *uint64
	if c.Query.Has(generationQuery) {
		n, err := strconv.ParseUint(c.Query.Get(generationQuery), 10, 64)
		if err != nil {
			return nil, serve.BadRequest("Invalid query: %s must be the generation of a warehouse, not %q", generationQuery, c.Query.Get(generationQuery))
		}
		generation = &n
	}
	index, err := a.warehouses.Delete(ctx, c.Change(), c.Param("warehouse"), generation)
	if err != nil {
		return nil, err
	}
	return serve.NoContent(index), nil
}

// own reads credentials; nil where none are given.
func (c *WarehouseCredentials) own() (*warehouse.Credentials, error) {
	if c == nil {
		return nil, nil
	}
	out := &warehouse.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, AccountKey: c.AccountKey, SASToken: c.SASToken,
	}
	if key := jsonbody.Present(c.ServiceAccountKey); key != nil {
		if key[0] != '{' {
			return nil, jsonbody.Fault("credentials.service_account_key", "must be an object: the content of the key file")
		}
		out.ServiceAccountKey = string(key)
	}
	return out, nil
}

func showWarehouse(wh *warehouse.Info, manages bool) Warehouse {
	out := Warehouse{
		Name: wh.Name, Root: wh.Root, AllowedRoots: append([]string{}, wh.AllowedRoots...), Generation: wh.Generation,
		FromSettings: wh.FromSettings, Endpoint: given(wh.Endpoint), Region: given(wh.Region), PathStyle: wh.PathStyle,
		OwnCredentials: wh.Credentials != "", CreatedAt: moment(wh.Created), ChangedAt: moment(wh.Changed),
	}
	if manages {
		out.Credentials = given(wh.Credentials)
	}
	return out
}
