// Package apitest is for tests of what is served over HTTP: nodes over one real
// state, a key for each group, and requests to them.
package apitest

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/authz/judge"
	"github.com/floeberg/floeberg/fsm/fsmtest"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/storage"
)

// Log is the log of a site, as the catalog wants it.
type Log struct{ *fsmtest.Log }

// View gives the current state, whatever a read asks for.
func (l Log) View(context.Context, catalog.Read) (*state.View, error) { return l.State() }

// Site is two warehouses, "default" and "other", a key for each group, and
// whatever nodes a test puts in front of them.
type Site struct {
	T   testing.TB
	Log Log
	// Root is the location above the warehouses'.
	Root  string
	Store storage.Store
}

// NewSite makes a site, which ends with the test.
func NewSite(t testing.TB) *Site {
	t.Helper()
	root := "file://" + t.TempDir()
	store, err := storage.Open(root, storage.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &Site{T: t, Log: Log{fsmtest.NewLog(t)}, Root: root, Store: store}
	for _, name := range []string{"default", "other"} {
		s.Log.Put(t, state.WarehouseKey(name), &state.Warehouse{Name: name, Root: root + "/" + name})
	}
	for _, group := range []string{authz.GroupAdmin, authz.GroupWriter, authz.GroupReader, authz.GroupAuditor} {
		s.GiveKey(group, group)
	}
	return s
}

// KeyOf is the API key of a name.
func KeyOf(name string) string { return "fb_test_key_of_" + name }

// GiveKey makes a key, or changes its groups.
func (s *Site) GiveKey(name string, groups ...string) {
	s.T.Helper()
	hash := authn.HashKey(KeyOf(name))
	s.Log.Put(s.T, state.APIKeyKey(hash), &state.APIKey{Id: "id-" + name, Name: name, Groups: groups})
	s.Log.Put(s.T, state.KeyIDKey("id-"+name), &state.KeyEntry{Hash: hash})
}

// RevokeKey takes a key away.
func (s *Site) RevokeKey(name string) {
	s.T.Helper()
	s.Log.Delete(s.T, state.APIKeyKey(authn.HashKey(KeyOf(name))))
}

// Stores is the store of every warehouse.
func (s *Site) Stores(context.Context, string) (catalog.Store, error) { return s.Store, nil }

// Catalog is the use cases of one more node.
func (s *Site) Catalog(adjust ...func(*catalog.Options)) *catalog.Catalog {
	s.T.Helper()
	opts := catalog.Options{Log: s.Log, Stores: s.Stores, NewUUID: uuid.NewString, DefaultWarehouse: "default"}
	for _, a := range adjust {
		a(&opts)
	}
	c, err := catalog.New(opts)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(c.Close)
	return c
}

// Options are those of a node that knows the site's keys.
func (s *Site) Options(id string) serve.Options {
	s.T.Helper()
	view := func(context.Context) (*state.View, error) { return s.Log.State() }
	keys, err := authn.NewKeys(authn.Options{Local: view, Proven: view, Current: view, NowMs: s.Log.NowMs})
	if err != nil {
		s.T.Fatal(err)
	}
	return serve.Options{
		Authenticator: keys, Authorizer: s.Judge(), NodeID: id, Logger: slog.New(slog.DiscardHandler),
	}
}

// Judge decides by the site's policies.
func (s *Site) Judge() *judge.Judge {
	s.T.Helper()
	return NewJudge(s.T, s.Log.State)
}

// PutPolicies puts the policies of a scope: of a warehouse by its name, of the
// cluster by "".
func (s *Site) PutPolicies(scope, text string) {
	s.T.Helper()
	if _, err := cedar.Compile(text, scope); err != nil {
		s.T.Fatal(err)
	}
	v, err := s.Log.State()
	if err != nil {
		s.T.Fatal(err)
	}
	head, _, _, err := v.PolicySet(scope)
	v.Close()
	if err != nil {
		s.T.Fatal(err)
	}
	version := head.Version + 1
	s.Log.Put(s.T, state.PolicyVersionKey(scope, version), &state.PolicyVersion{Version: version, Text: text})
	s.Log.Put(s.T, state.PolicySetKey(scope), &state.PolicySet{Version: version})
}

// Handler serves routes.
func (s *Site) Handler(opts serve.Options, routes []serve.Route) http.Handler {
	s.T.Helper()
	h, err := serve.New(opts, routes)
	if err != nil {
		s.T.Fatal(err)
	}
	return h
}
