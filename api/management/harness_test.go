package management_test

import (
	"net/http"
	"testing"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/rest"
)

type ask = apitest.Ask

// newNode is a node of a new site that serves operators and clients.
func newNode(t testing.TB) (*apitest.Site, http.Handler) {
	t.Helper()
	s := apitest.NewSite(t)
	return s, node(s, "n1")
}

// node is one more node of a site.
func node(s *apitest.Site, id string) http.Handler {
	s.T.Helper()
	c := s.Catalog()
	protocol, err := rest.Routes(rest.Options{Catalog: c})
	if err != nil {
		s.T.Fatal(err)
	}
	routes, err := management.Routes(management.Options{Catalog: c})
	if err != nil {
		s.T.Fatal(err)
	}
	return s.Handler(s.Options(id), append(protocol, routes...))
}
