package app

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/catalog"
)

// stranger is the principal of who asks a node that belongs to no cluster, with the
// key that it was started with: such a node knows no others. It has the right to
// look at the cluster and to change who belongs to it, and to nothing else.
const stranger = "bootstrap-key"

// strangerKeys authenticates on a node that may belong to no cluster yet.
type strangerKeys struct {
	serve.Authenticator
	node *cluster.Node
	// key is the node's own --bootstrap-key; "" is none.
	key string
}

// Authenticate implements serve.Authenticator.
func (s strangerKeys) Authenticate(ctx context.Context, c authn.Credentials) (authz.Principal, error) {
	if s.node.InCluster() {
		return s.Authenticator.Authenticate(ctx, c)
	}
	if s.key != "" && subtle.ConstantTimeCompare([]byte(s.key), []byte(c.Key)) == 1 {
		return authz.Principal{ID: stranger, Name: stranger}, nil
	}
	p, err := s.Authenticator.Authenticate(ctx, c)
	if errors.Is(err, authn.ErrUnavailable) && !s.node.InCluster() {
		err = &catalog.Error{Kind: catalog.KindUnavailable, Cause: err, Message: "This node belongs to no cluster yet and knows no keys but the --bootstrap-key " +
			"that it was started with: present that one, or start it with --join"}
	}
	return p, err
}

// Recheck implements serve.Authenticator: a stranger is one only while the node
// belongs to no cluster.
func (s strangerKeys) Recheck(ctx context.Context, p authz.Principal) error {
	if p.ID != stranger {
		return s.Authenticator.Recheck(ctx, p)
	}
	if s.node.InCluster() {
		return authn.ErrChanged
	}
	return nil
}

// strangerRights adds the rights of a stranger.
type strangerRights struct{ serve.Authorizer }

// Authorize implements serve.Authorizer.
func (s strangerRights) Authorize(ctx context.Context, r authz.Request, firm bool) (authz.Ruling, error) {
	switch {
	case r.Principal.ID != stranger:
		return s.Authorizer.Authorize(ctx, r, firm)
	case r.Action == authz.ActionShowCluster, r.Action == authz.ActionManageCluster:
		return authz.Ruling{Allowed: true}, nil
	}
	return authz.Ruling{}, &catalog.Error{Kind: catalog.KindUnavailable, Message: "This node belongs to no cluster yet"}
}
