package rest

import (
	"context"
	"net/http"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
)

// unsupported is the operations that the protocol has and this catalog has not.
// They are not among the endpoints that clients are told; a client that asks all
// the same learns that it is the catalog, and not its table, that lacks something.
func unsupported() []serve.Route {
	const (
		credentials = "Vending credentials is not supported: give the client credentials of its own for the object store"
		signing     = "Signing requests is not supported: give the client credentials of its own for the object store"
		planning    = "Planning scans is not supported: set scan-planning-mode to client"
		functions   = "Functions are not supported"
	)
	routes := []serve.Route{
		{Method: http.MethodGet, Path: pathTable + "/credentials", Handle: refuse(credentials)},
		{Method: http.MethodPost, Path: pathTable + "/sign", Handle: refuse(signing)},
		{Method: http.MethodPost, Path: pathTable + "/plan", Handle: refuse(planning)},
		{Method: http.MethodGet, Path: pathTable + "/plan/{plan}", Handle: refuse(planning)},
		{Method: http.MethodDelete, Path: pathTable + "/plan/{plan}", Handle: refuse(planning)},
		{Method: http.MethodPost, Path: pathTable + "/tasks", Handle: refuse(planning)},
	}
	for i := range routes {
		routes[i].Action, routes[i].Resource = authz.ActionLoadTable, onTable
	}
	return append(routes,
		serve.Route{Method: http.MethodGet, Path: pathNamespace + "/functions", Action: authz.ActionLoadNamespace, Resource: onNamespace, Handle: refuse(functions)},
		serve.Route{Method: http.MethodGet, Path: pathNamespace + "/functions/{function}", Action: authz.ActionLoadNamespace, Resource: onNamespace, Handle: refuse(functions)},
	)
}

func refuse(text string) func(context.Context, *serve.Call) (*serve.Reply, error) {
	return func(context.Context, *serve.Call) (*serve.Reply, error) { return nil, serve.Unsupported(text) }
}
