package rest

import (
	"context"
	"net/url"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
)

// getConfig tells a client how to speak to the warehouse that it names.
func (a *api) getConfig(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	wh, err := a.catalog.Warehouse(ctx, c.Read, c.Query.Get("warehouse"))
	if err != nil {
		return nil, err
	}
	return serve.JSON(wh.Index, wire.Config{
		Defaults: map[string]string{},
		Overrides: map[string]string{
			// Clients put it into paths as it is.
			"prefix": url.PathEscape(wh.Name),
			// The one that every released client knows, advertised or not.
			"namespace-separator": url.QueryEscape(serve.Separator),
		},
		Endpoints:              a.endpoints,
		IdempotencyKeyLifetime: wire.Duration(a.opts.IdempotencyLifetime),
	})
}
