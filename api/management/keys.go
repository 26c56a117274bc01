package management

import (
	"context"
	"net/http"
	"time"

	"github.com/floeberg/floeberg/api/jsonbody"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/identity"
)

// Keys is the API keys of the cluster.
type Keys interface {
	// Create makes a key.
	Create(ctx context.Context, ch catalog.Change, by authz.Principal, q identity.NewKey) (*identity.Minted, error)
	// List returns keys.
	List(ctx context.Context, read catalog.Read, by authz.Principal, page catalog.Page) (*identity.List, error)
	// Revoke takes a key away.
	Revoke(ctx context.Context, ch catalog.Change, by authz.Principal, id string, force bool) (*identity.Key, error)
	// Rotate makes a new key in the place of another.
	Rotate(ctx context.Context, ch catalog.Change, by authz.Principal, id string, q identity.Rotation) (*identity.Minted, error)
}

// NewKey is a key that was just made. The secret is shown this once.
type NewKey struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Key    string   `json:"key"`
	Groups []string `json:"groups"`
	// Tenant is null where the key is nobody's in particular.
	Tenant *string `json:"tenant"`
	// ExpiresAt is null where it never expires.
	ExpiresAt *time.Time `json:"expires_at"`
	// Principal is whose key it is, where that is not its own id.
	Principal string `json:"principal,omitempty"`
	// Replaces is the key in whose place it is.
	Replaces *Key `json:"replaces,omitempty"`
	// Warnings are what its maker should know.
	Warnings []string `json:"warnings,omitempty"`
}

// Key is an API key without its secret.
type Key struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Principal string   `json:"principal"`
	Groups    []string `json:"groups"`
	Tenant    *string  `json:"tenant"`
	// Status is active, rotated, expired or revoked.
	Status     string     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// KeyList is a page of keys.
type KeyList struct {
	Keys          []Key  `json:"keys"`
	NextPageToken string `json:"next_page_token,omitempty"`
}

// CreateKey asks for a key.
type CreateKey struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
	Tenant *string  `json:"tenant,omitempty"`
	// ExpiresInSeconds is how long it lives; null is for ever.
	ExpiresInSeconds *int64 `json:"expires_in_seconds,omitempty"`
	// Force takes names of groups that look like a slip.
	Force bool `json:"force,omitempty"`
}

// RotateKey asks for a new key in the place of another.
type RotateKey struct {
	// OverlapSeconds is how long the old one goes on; null is a day.
	OverlapSeconds *int64 `json:"overlap_seconds,omitempty"`
	// ExpiresInSeconds is how long the new one lives; null is as long as the old one was made for.
	ExpiresInSeconds *int64 `json:"expires_in_seconds,omitempty"`
	Force            bool   `json:"force,omitempty"`
}

func (a *api) keyRoutes() []serve.Route {
	change := serve.Route{Method: http.MethodPost, Action: authz.ActionManageKeys, Resource: onCluster, Change: true}
	create, revoke, rotate := change, change, change
	create.Path, create.Body, create.Handle = pathKeys, true, a.createKey
	revoke.Path, revoke.Query, revoke.Handle = pathKey+"/revoke", []string{"force"}, a.revokeKey
	rotate.Path, rotate.Body, rotate.Handle = pathKey+"/rotate", true, a.rotateKey
	return []serve.Route{
		{Method: http.MethodGet, Path: pathKeys, Action: authz.ActionListKeys, Resource: onCluster, Query: pageQuery, Handle: a.listAPIKeys},
		create, revoke, rotate,
	}
}

func (a *api) createKey(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var body struct {
		CreateKey
		ExpiresInSeconds *jsonbody.Integer `json:"expires_in_seconds"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	q := identity.NewKey{Name: body.Name, Groups: body.Groups, Force: body.Force}
	if body.Tenant != nil {
		q.Tenant = *body.Tenant
	}
	lifetime, err := seconds("expires_in_seconds", body.ExpiresInSeconds, 1)
	if err != nil {
		return nil, err
	}
	if lifetime != nil {
		q.Lifetime = *lifetime
	}
	made, err := a.keys.Create(ctx, c.Change(), c.Principal, q)
	if err != nil {
		return nil, err
	}
	return shownSecret(made)
}

func (a *api) listAPIKeys(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	p, err := page(c)
	if err != nil {
		return nil, err
	}
	list, err := a.keys.List(ctx, c.Read, c.Principal, p)
	if err != nil {
		return nil, err
	}
	body := KeyList{Keys: make([]Key, 0, len(list.Keys)), NextPageToken: list.Next}
	for i := range list.Keys {
		body.Keys = append(body.Keys, showKey(&list.Keys[i]))
	}
	return serve.JSON(list.Index, body)
}

func (a *api) revokeKey(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	force, err := flag(c, "force")
	if err != nil {
		return nil, err
	}
	k, err := a.keys.Revoke(ctx, c.Change(), c.Principal, c.Param("key"), force)
	if err != nil {
		return nil, err
	}
	return serve.JSON(k.Index, showKey(k))
}

func (a *api) rotateKey(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
	var body struct {
		RotateKey
		OverlapSeconds   *jsonbody.Integer `json:"overlap_seconds"`
		ExpiresInSeconds *jsonbody.Integer `json:"expires_in_seconds"`
	}
	if err := jsonbody.Decode(c.Body, &body); err != nil {
		return nil, err
	}
	overlap, err := seconds("overlap_seconds", body.OverlapSeconds, 0)
	if err != nil {
		return nil, err
	}
	q := identity.Rotation{Overlap: identity.DefaultOverlap, Force: body.Force}
	if overlap != nil {
		q.Overlap = *overlap
	}
	if q.Lifetime, err = seconds("expires_in_seconds", body.ExpiresInSeconds, 1); err != nil {
		return nil, err
	}
	made, err := a.keys.Rotate(ctx, c.Change(), c.Principal, c.Param("key"), q)
	if err != nil {
		return nil, err
	}
	return shownSecret(made)
}

// seconds reads a duration; nil is not given.
func seconds(field string, n *jsonbody.Integer, least jsonbody.Integer) (*time.Duration, error) {
	if n == nil {
		return nil, nil
	}
	const most = 1 << 33 // longer than any that is taken, and far from an overflow
	if *n < least || *n > most {
		return nil, jsonbody.Fault(field, "must be a number of seconds, %d or more", least)
	}
	d := time.Duration(*n) * time.Second
	return &d, nil
}

func shownSecret(m *identity.Minted) (*serve.Reply, error) {
	body := NewKey{
		ID: m.ID, Name: m.Name, Key: m.Secret, Groups: append([]string{}, m.Groups...), Tenant: given(m.Tenant), ExpiresAt: moment(m.Expires), Warnings: m.Warnings,
	}
	if m.Principal != m.ID {
		body.Principal = m.Principal
	}
	if m.Replaced != nil {
		old := showKey(m.Replaced)
		body.Replaces = &old
	}
	reply, err := serve.JSON(m.Index, body)
	if err != nil {
		return nil, err
	}
	reply.Secret = true
	return reply, nil
}

func showKey(k *identity.Key) Key {
	return Key{
		ID: k.ID, Name: k.Name, Principal: k.Principal, Groups: append([]string{}, k.Groups...), Tenant: given(k.Tenant), Status: string(k.Status),
		CreatedAt: k.Created, ExpiresAt: moment(k.Expires), RevokedAt: moment(k.Revoked), LastUsedAt: moment(k.LastUsed),
	}
}
