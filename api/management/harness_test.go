package management_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/internal/policy"
)

// newNode is a node of a new site that serves operators and clients.
func newNode(t testing.TB) (*apitest.Site, http.Handler) {
	t.Helper()
	s := apitest.NewSite(t)
	return s, node(s, "n1")
}

// node is one more node of a site.
func node(s *apitest.Site, id string) http.Handler {
	s.T.Helper()
	return handler(s, s.Options(id), s.Catalog(), policy.Options{ReadRestrictions: true})
}

func handler(s *apitest.Site, opts serve.Options, c *catalog.Catalog, allowed policy.Options) http.Handler {
	s.T.Helper()
	protocol, err := rest.Routes(rest.Options{Catalog: c})
	if err != nil {
		s.T.Fatal(err)
	}
	keys, err := identity.NewKeys(c, authn.MintKey)
	if err != nil {
		s.T.Fatal(err)
	}
	routes, err := management.Routes(management.Options{Catalog: c, Cluster: &fakeCluster{}, Keys: keys, Policies: policies(s, c, allowed), Warehouses: s.Warehouses(c)})
	if err != nil {
		s.T.Fatal(err)
	}
	return s.Handler(opts, append(protocol, routes...))
}

func policies(s *apitest.Site, c *catalog.Catalog, allowed policy.Options) *policy.Policies {
	s.T.Helper()
	p, err := policy.New(c, allowed)
	if err != nil {
		s.T.Fatal(err)
	}
	return p
}

// noKeys are those of a node that is not asked for any.
var noKeys = struct{ management.Keys }{}

// noWarehouses are those of a node that is not asked for any.
var noWarehouses = struct{ management.Warehouses }{}

// noPolicies are those of a node that is not asked for any.
var noPolicies = struct{ management.Policies }{}

// slowNode has few places, and calls wait ahead of each read of the object store.
func slowNode(s *apitest.Site, id string, places int, wait func()) http.Handler {
	s.T.Helper()
	opts := s.Options(id)
	opts.MaxRequests = places
	return handler(s, opts, s.Catalog(func(o *catalog.Options) { o.Stores = slowStore{s.Store, wait}.of }), policy.Options{})
}

type slowStore struct {
	catalog.Store
	wait func()
}

func (s slowStore) of(context.Context, string) (catalog.Store, error) { return s, nil }

func (s slowStore) Get(ctx context.Context, location string, maxBytes int64) ([]byte, error) {
	s.wait()
	return s.Store.Get(ctx, location, maxBytes)
}

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
