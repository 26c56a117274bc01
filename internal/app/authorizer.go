package app

import (
	"context"
	"log/slog"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/judge"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm/state"
)

// authorizer decides by the policies that this node has, and denies by those that
// the cluster has.
func (a *App) authorizer() (serve.Authorizer, error) {
	return judge.New(judge.Options{
		Local:  func(context.Context) (*state.View, error) { return a.node.Latest() },
		Proven: a.node.Proven,
		Current: func(ctx context.Context) (*state.View, error) {
			return a.node.View(ctx, cluster.Linearizable, 0)
		},
		NowMs:            a.node.NowMs,
		DefaultWarehouse: a.config.WarehouseName,
		Logger:           a.logger.With(slog.String("room", "authz")),
		Evaluated:        a.metrics.Authorized,
	})
}
