package app

import (
	"context"
	"log/slog"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/identity"
)

// noteUses has this node write down, now and then, when API keys were last used here.
func (a *App) noteUses(log identity.Log) *identity.Uses {
	uses := identity.NewUses(log, a.logger.With(slog.String("room", "identity")))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		uses.Run(ctx)
	}()
	a.undo.add("ending notes of the use of keys", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
	return uses
}

// authenticator is who finds out who asks, and what gives tokens to those who have
// proven it; nil where nobody is asked.
func (a *App) authenticator(log identity.Log) (serve.Authenticator, *identity.Grants, error) {
	if !a.config.Auth {
		a.logger.Warn("authentication is off: everybody who reaches this node may do everything")
		return authn.Off{}, nil, nil
	}
	local := func(context.Context) (*state.View, error) { return a.node.Latest() }
	keys, err := authn.NewKeys(authn.Options{
		Local:  local,
		Proven: a.node.Proven,
		Current: func(ctx context.Context) (*state.View, error) {
			return a.node.View(ctx, cluster.Linearizable, 0)
		},
		NowMs: a.node.NowMs,
		Used:  a.noteUses(log).Note,
	})
	if err != nil {
		return nil, nil, err
	}
	issuer, err := authn.NewIssuer(authn.IssuerOptions{
		Node:      a.config.NodeID,
		ClusterID: a.node.ClusterID,
		Local:     local,
		Publish: func(ctx context.Context, id string, key *state.SigningKey) error {
			return identity.PublishSigningKey(ctx, log, id, key)
		},
		NowMs:    a.node.NowMs,
		Lifetime: a.config.TokenLifetime,
	})
	if err != nil {
		return nil, nil, err
	}
	grants, err := identity.NewGrants(keys, issuer)
	if err != nil {
		return nil, nil, err
	}
	return strangerKeys{keys, a.node, a.config.BootstrapKey}, grants, nil
}
