// Package rest is the Iceberg REST protocol: it reads what clients ask for, asks
// the catalog, and gives the answers the protocol's form. It holds no state of
// its own.
package rest

import (
	"errors"
	"time"

	"github.com/floeberg/floeberg/api/serve"
)

// Options are what the protocol is made of.
type Options struct {
	// Catalog is required.
	Catalog Catalog
	// IdempotencyLifetime is how long an Idempotency-Key is remembered, as clients
	// are told; 0 tells them that there is no such thing.
	IdempotencyLifetime time.Duration
}

// api is the handlers' common ground.
type api struct {
	opts      Options
	catalog   Catalog
	endpoints []string
}

// Routes are the operations of the protocol.
func Routes(opts Options) ([]serve.Route, error) {
	if opts.Catalog == nil {
		return nil, errors.New("rest: Catalog is missing")
	}
	a := &api{opts: opts, catalog: opts.Catalog}
	routes := a.routes()
	a.endpoints = endpoints(routes)
	return append(routes, unsupported()...), nil
}
