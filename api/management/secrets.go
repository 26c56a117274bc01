package management

import (
	"context"
	"net/http"
	"time"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/secret"
)

// Secrets is what keeps secrets in the replicated state.
type Secrets interface {
	// Status tells how it stands with the keys that secrets are kept under.
	Status(ctx context.Context) (*secret.Status, error)
	// Rotate seals all secrets anew with another data key.
	Rotate(ctx context.Context, force bool) (*secret.Rotation, error)
}

// SecretStatus is how it stands with the keys that secrets are kept under.
type SecretStatus struct {
	DataKeys []DataKey        `json:"data_keys"`
	Nodes    []NodeSecretKeys `json:"nodes"`
}

// DataKey is a key of the state that seals secrets; never the key itself.
type DataKey struct {
	ID string `json:"id"`
	// ClusterKey is what wraps it, by its name.
	ClusterKey string    `json:"cluster_key"`
	CreatedAt  time.Time `json:"created_at"`
	// Seals tells that secrets to come are sealed with it.
	Seals bool `json:"seals"`
	// Secrets is how many it has sealed.
	Secrets int `json:"secrets"`
}

// NodeSecretKeys is the cluster keys of one node, by their names: never the keys.
type NodeSecretKeys struct {
	Node string `json:"node"`
	// ClusterKey is what it wraps data keys with; null where it holds none, or does not answer.
	ClusterKey *string `json:"cluster_key"`
	// Previous are those that it can unwrap with besides.
	Previous []string `json:"previous"`
	// Open and Closed are how many data keys it has unwrapped, and how many it could not.
	Open   int `json:"open"`
	Closed int `json:"closed"`
	// Problem is why it can't read secrets, or does not answer; null is none.
	Problem *string `json:"problem"`
}

// SecretRotation is what a rotation led to.
type SecretRotation struct {
	DataKey    string `json:"data_key"`
	ClusterKey string `json:"cluster_key"`
	// Secrets is how many secrets the new data key has sealed.
	Secrets int `json:"secrets"`
	// Left is how many secrets could not be opened, and are as they were.
	Left int `json:"left"`
	// Forgotten are the data keys that are there no more.
	Forgotten []string `json:"forgotten"`
}

func (a *api) secretRoutes() []serve.Route {
	return []serve.Route{
		{Method: http.MethodGet, Path: pathSecrets, Action: authz.ActionShowSecrets, Resource: onCluster, Operates: true, Handle: a.showSecrets},
		{Method: http.MethodPost, Path: pathSecrets + "/rotate", Action: authz.ActionManageSecrets, Resource: onCluster, Operates: true, Change: true, Query: []string{"force"}, Handle: a.rotateSecrets},
	}
}

func (a *api) showSecrets(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	out := SecretStatus{DataKeys: []DataKey{}, Nodes: []NodeSecretKeys{}}
	if a.secrets == nil {
		return serve.JSON(0, out)
	}
	s, err := a.secrets.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range s.DataKeys {
		out.DataKeys = append(out.DataKeys, DataKey{ID: k.ID, ClusterKey: k.ClusterKey, CreatedAt: k.Created, Seals: k.Seals, Secrets: k.Secrets})
	}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, NodeSecretKeys{
			Node: n.Node, ClusterKey: given(n.ClusterKey), Previous: append([]string{}, n.Previous...), Open: n.Open, Closed: n.Closed, Problem: given(n.Problem),
		})
	}
	return serve.JSON(s.Index, out)
}

func (a *api) rotateSecrets(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	force, err := flag(c, "force")
	if err != nil {
		return nil, err
	}
	if a.secrets == nil {
		return nil, secret.ErrNoKey
	}
	r, err := a.secrets.Rotate(ctx, force)
	if err != nil {
		return nil, err
	}
	return serve.JSON(r.Index, SecretRotation{
		DataKey: r.DataKey, ClusterKey: r.ClusterKey, Secrets: r.Secrets, Left: r.Left, Forgotten: append([]string{}, r.Forgotten...),
	})
}
