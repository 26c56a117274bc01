package management

import (
	"context"
	"net/http"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
)

// Keyring is the keys that gossip is encrypted with. Every change may be asked for
// again: what is so already is no error.
type Keyring interface {
	// ListKeys looks at every node, with a leader or without.
	ListKeys(ctx context.Context) ([]NodeKeys, error)
	// InstallKey gives a key, as it is written, to every node.
	InstallKey(ctx context.Context, key string) ([]NodeKeys, error)
	// UseKey has every node encrypt with a key, by its id or as it is written.
	UseKey(ctx context.Context, key string) ([]NodeKeys, error)
	// RemoveKey has every node forget a key, by its id or as it is written.
	RemoveKey(ctx context.Context, key string) ([]NodeKeys, error)
}

// NodeKeys is the gossip keys of one node, by their ids: never the keys.
type NodeKeys struct {
	Node string `json:"node"`
	// Primary is what it encrypts with; null where it does not answer, or does not encrypt.
	Primary *string `json:"primary"`
	// Keys are all that it decrypts with.
	Keys []string `json:"keys"`
	// Error is why it did not do what was asked, or does not answer; null is that it did.
	Error *string `json:"error"`
}

// KeyringState is the gossip keys of all nodes.
type KeyringState struct {
	Nodes []NodeKeys `json:"nodes"`
}

// KeyringChange names a key: the key itself to install it, else its id will do.
type KeyringChange struct {
	Key string `json:"key"`
}

func (a *api) keyringRoutes() []serve.Route {
	change := func(path string, do func(context.Context, string) ([]NodeKeys, error)) serve.Route {
		return serve.Route{
			Method: http.MethodPost, Path: pathKeyring + path, Action: authz.ActionManageCluster, Resource: onCluster,
			Operates: true, Change: true, Body: true, Handle: a.onKeyring(do),
		}
	}
	return []serve.Route{
		{Method: http.MethodGet, Path: pathKeyring, Action: authz.ActionShowCluster, Resource: onCluster, Operates: true, Handle: a.listKeys},
		change("/install", a.cluster.InstallKey), change("/use", a.cluster.UseKey), change("/remove", a.cluster.RemoveKey),
	}
}

func (a *api) listKeys(ctx context.Context, _ *serve.Call) (*serve.Reply, error) {
	return shownKeys(a.cluster.ListKeys(ctx))
}

func (a *api) onKeyring(do func(context.Context, string) ([]NodeKeys, error)) func(context.Context, *serve.Call) (*serve.Reply, error) {
	return func(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
		var change KeyringChange
		if err := jsonbody.Decode(c.Body, &change); err != nil {
			return nil, err
		}
		if change.Key == "" {
			return nil, jsonbody.Fault("key", "must name a key")
		}
		return shownKeys(do(ctx, change.Key))
	}
}

func shownKeys(nodes []NodeKeys, err error) (*serve.Reply, error) {
	if err != nil {
		return nil, err
	}
	return serve.JSON(0, KeyringState{Nodes: nodes})
}
