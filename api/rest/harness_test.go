package rest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/fsm/state"
)

// site is the ground of the tests: two warehouses, a key for each group, and
// nodes in front of them.
type site struct {
	*apitest.Site
	t    testing.TB
	root string
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := apitest.NewSite(t)
	return &site{Site: s, t: t, root: s.Root}
}

// keyOf is the API key of a name.
func keyOf(name string) string { return apitest.KeyOf(name) }

func encode(t testing.TB, rec proto.Message) []byte {
	t.Helper()
	data, err := state.Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s *site) put(key, value []byte) {
	s.t.Helper()
	s.Log.PutBytes(s.t, key, value)
}

// giveKey makes a key, or changes its groups.
func (s *site) giveKey(name string, groups ...string) {
	s.t.Helper()
	s.GiveKey(name, groups...)
}

func (s *site) revokeKey(name string) {
	s.t.Helper()
	s.RevokeKey(name)
}

type (
	serveOptions = serve.Options
	restOptions  = rest.Options
)

// nodeOptions are all that a node is made of.
type nodeOptions struct {
	serveOptions
	restOptions
}

// node is one more node of the site.
func (s *site) node(id string, adjust ...func(*nodeOptions)) http.Handler {
	s.t.Helper()
	opts := nodeOptions{s.Options(id), restOptions{Catalog: s.Catalog(), IdempotencyLifetime: 30 * time.Minute}}
	opts.Open = rest.Open(rest.OpenOptions{})
	for _, a := range adjust {
		a(&opts)
	}
	opts.Events.RequestDone = noted(opts.Events.RequestDone)
	routes, err := rest.Routes(opts.restOptions)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Handler(opts.serveOptions, routes)
}

// ask is a request and its answer.
type ask struct {
	method, path string
	as           string // whose key; "" is the admin's, "-" is none
	body         string
	header       http.Header
}

func (a ask) full() apitest.Ask {
	return apitest.Ask{Method: a.method, Path: a.path, As: a.as, Body: a.body, Header: a.header}
}

func (a ask) request() *http.Request { return a.full().Request() }

func (a ask) of(h http.Handler) *httptest.ResponseRecorder { return a.full().Of(h) }

// want asks and insists on a status.
func (a ask) want(t testing.TB, h http.Handler, status int) *httptest.ResponseRecorder {
	t.Helper()
	return a.full().Want(t, h, status)
}

// wantError asks and insists on a status and the type of an error.
func (a ask) wantError(t testing.TB, h http.Handler, status int, errorType string) errorBody {
	t.Helper()
	return a.full().WantError(t, h, status, errorType)
}

type errorBody = apitest.ErrorBody

// errorOf reads an error body and insists that it is one.
func errorOf(t testing.TB, w *httptest.ResponseRecorder) errorBody {
	t.Helper()
	return apitest.ErrorOf(t, w)
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) T {
	t.Helper()
	return apitest.Decode[T](t, w)
}

const oneColumn = `{"type":"struct","fields":[{"id":1,"name":"x","type":"long","required":false}]}`

func createNamespace(t testing.TB, h http.Handler, path ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"namespace": path})
	if err != nil {
		t.Fatal(err)
	}
	ask{method: "POST", path: "/v1/default/namespaces", body: string(body)}.want(t, h, 200)
}

func createTableBody(name string) string {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(err)
	}
	return `{"name":` + string(quoted) + `,"schema":` + oneColumn + `}`
}

type loaded struct {
	MetadataLocation *string         `json:"metadata-location"`
	Metadata         json.RawMessage `json:"metadata"`
	Config           *struct{}       `json:"config"`
}

// namespaces and identifiers are listings, or pages of them.
type (
	namespaces struct {
		Namespaces    [][]string `json:"namespaces"`
		NextPageToken string     `json:"next-page-token"`
	}
	identifiers struct {
		Identifiers   []wire.Identifier `json:"identifiers"`
		NextPageToken string            `json:"next-page-token"`
	}
)
