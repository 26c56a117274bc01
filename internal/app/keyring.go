package app

import (
	"context"
	"errors"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/internal/catalog"
)

// ListKeys implements management.Keyring.
func (c *operatedCluster) ListKeys(ctx context.Context) ([]management.NodeKeys, error) {
	return shownKeys(c.node.Keyring(ctx)), nil
}

// InstallKey implements management.Keyring.
func (c *operatedCluster) InstallKey(ctx context.Context, key string) ([]management.NodeKeys, error) {
	raw, err := cluster.ParseGossipKey(key)
	if err != nil {
		return nil, &catalog.Error{Kind: catalog.KindInvalid, Message: "The key is not one for gossip: " + err.Error()}
	}
	keys, err := c.node.InstallGossipKey(ctx, raw)
	return shownKeys(keys), keyringError(err)
}

// UseKey implements management.Keyring.
func (c *operatedCluster) UseKey(ctx context.Context, key string) ([]management.NodeKeys, error) {
	keys, err := c.node.UseGossipKey(ctx, keyID(key))
	return shownKeys(keys), keyringError(err)
}

// RemoveKey implements management.Keyring.
func (c *operatedCluster) RemoveKey(ctx context.Context, key string) ([]management.NodeKeys, error) {
	keys, err := c.node.RemoveGossipKey(ctx, keyID(key))
	return shownKeys(keys), keyringError(err)
}

// keyID is the id of a key that is named by it, or by the key itself.
func keyID(key string) string {
	if raw, err := cluster.ParseGossipKey(key); err == nil {
		return cluster.GossipKeyID(raw)
	}
	return key
}

func shownKeys(keys []cluster.GossipKeys) []management.NodeKeys {
	out := make([]management.NodeKeys, 0, len(keys))
	for _, k := range keys {
		shown := management.NodeKeys{Node: k.Node, Keys: append([]string{}, k.IDs...), Error: given(k.Error)}
		if len(k.IDs) > 0 {
			shown.Primary = &shown.Keys[0]
		}
		out = append(out, shown)
	}
	return out
}

func keyringError(err error) error {
	var refusal *cluster.Refusal
	switch {
	case errors.As(err, &refusal):
		return &catalog.Error{Kind: catalog.KindKeyringRefused, Message: "Refused: " + refusal.Reason}
	case errors.Is(err, cluster.ErrUnavailable):
		return &catalog.Error{Kind: catalog.KindUnavailable, Message: "The change is not known to be made; it can be repeated: " + err.Error()}
	}
	return err
}
