package rest

import (
	"context"
	"net/url"

	"github.com/floeberg/floeberg/api/rest/wire"
)

// getConfig tells a client how to speak to the warehouse that it names.
func (a *api) getConfig(ctx context.Context, c *call) (*reply, error) {
	wh, err := a.catalog.Warehouse(ctx, c.read, c.query.Get("warehouse"))
	if err != nil {
		return nil, err
	}
	return jsonReply(wh.Index, wire.Config{
		Defaults: map[string]string{},
		Overrides: map[string]string{
			// Clients put it into paths as it is.
			"prefix": url.PathEscape(wh.Name),
			// The one that every released client knows, advertised or not.
			"namespace-separator": url.QueryEscape(separator),
		},
		Endpoints:              a.endpoints,
		IdempotencyKeyLifetime: wire.Duration(a.opts.IdempotencyLifetime),
	})
}
