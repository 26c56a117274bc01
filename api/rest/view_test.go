package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
)

const (
	views        = "/v1/default/namespaces/a/views"
	view         = views + "/v"
	registerView = "/v1/default/namespaces/a/register-view"
	renameView   = "/v1/default/views/rename"
)

func viewVersion(sql string) string {
	return fmt.Sprintf(`{"version-id":1,"timestamp-ms":1700000000000,"schema-id":0,"summary":{"engine-name":"test"},"default-namespace":["a"],"representations":[{"type":"sql","sql":%q,"dialect":"spark"}]}`, sql)
}

func createViewBody(name, sql string) string {
	return fmt.Sprintf(`{"name":%q,"schema":%s,"view-version":%s,"properties":{}}`, name, oneColumn, viewVersion(sql))
}

func newQuery(sql string) string {
	return `{"identifier":{"namespace":["elsewhere"],"name":"other"},"requirements":[],"updates":[{"action":"add-view-version","view-version":` + viewVersion(sql) +
		`},{"action":"set-current-view-version","view-version-id":-1}]}`
}

func locationOf(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	location := decode[loaded](t, w).MetadataLocation
	if location == nil {
		t.Fatalf("no metadata location: %s", w.Body)
	}
	return *location
}

func TestViewLifecycle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, other := s.node("n1"), s.node("n2")
	create := ask{method: "POST", path: views, body: createViewBody("v", "select 1")}
	create.wantError(t, h, 404, "NoSuchNamespaceException")
	createNamespace(t, h, "a")
	if w := (ask{method: "GET", path: views}).want(t, h, 200); w.Body.String() != `{"identifiers":[]}` {
		t.Errorf("an empty list is %s", w.Body)
	}
	created := create.want(t, h, 200)
	made := decode[loaded](t, created)
	if made.Config == nil || !strings.HasPrefix(locationOf(t, created), s.root+"/default/a/v-") || created.Header().Get("ETag") == "" {
		t.Errorf("%v %s", created.Header(), created.Body)
	}
	if got := create.wantError(t, h, 409, "AlreadyExistsException"); got.Error.Message != "View already exists: a.v" {
		t.Errorf("%q", got.Error.Message)
	}
	read := ask{method: "GET", path: view}.want(t, other, 200)
	if diff := cmp.Diff(created.Body.String(), read.Body.String()); diff != "" {
		t.Error(diff)
	}
	if read.Header().Get("ETag") != created.Header().Get("ETag") || read.Header().Get("Floeberg-Index") == "" {
		t.Errorf("created with %v, loaded with %v", created.Header(), read.Header())
	}
	ask{method: "HEAD", path: view}.want(t, h, 204)

	replaced := ask{method: "POST", path: view, body: newQuery("select 2")}.want(t, other, 200)
	var doc struct {
		Current  int `json:"current-version-id"`
		Versions []json.RawMessage
	}
	if err := json.Unmarshal(decode[loaded](t, replaced).Metadata, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Current != 2 || len(doc.Versions) != 2 || replaced.Header().Get("ETag") == created.Header().Get("ETag") {
		t.Errorf("replaced: %v %s", replaced.Header(), replaced.Body)
	}
	read = ask{method: "GET", path: view}.want(t, h, 200)
	if diff := cmp.Diff(replaced.Body.String(), read.Body.String()); diff != "" {
		t.Error(diff)
	}
	list := decode[identifiers](t, ask{method: "GET", path: views}.want(t, h, 200))
	if diff := cmp.Diff([]wire.Identifier{{Namespace: []string{"a"}, Name: "v"}}, list.Identifiers); diff != "" {
		t.Error(diff)
	}
	if w := (ask{method: "GET", path: tables}).want(t, h, 200); w.Body.String() != `{"identifiers":[]}` {
		t.Errorf("the tables are %s", w.Body)
	}

	createNamespace(t, h, "b")
	away := `{"source":{"namespace":["a"],"name":"v"},"destination":{"namespace":["b"],"name":"w"}}`
	ask{method: "POST", path: renameView, body: away}.want(t, h, 204)
	ask{method: "GET", path: view}.wantError(t, h, 404, "NoSuchViewException")
	renamed := ask{method: "GET", path: "/v1/default/namespaces/b/views/w"}.want(t, other, 200)
	if diff := cmp.Diff(replaced.Body.String(), renamed.Body.String()); diff != "" {
		t.Error(diff)
	}
	ask{method: "POST", path: renameView, body: away}.wantError(t, h, 404, "NoSuchViewException")
	// A view has no files to purge: who asks for it gets what can be had.
	ask{method: "DELETE", path: "/v1/default/namespaces/b/views/w?purgeRequested=true"}.want(t, h, 204)
	for _, a := range []ask{
		{method: "GET", path: view}, {method: "DELETE", path: view}, {method: "POST", path: view, body: newQuery("select 3")},
	} {
		if got := a.wantError(t, h, 404, "NoSuchViewException"); got.Error.Message != "View does not exist: a.v" {
			t.Errorf("%s: %q", a.method, got.Error.Message)
		}
	}
	ask{method: "HEAD", path: view}.want(t, h, 404)

	back := ask{method: "POST", path: registerView, body: registerBody("v", locationOf(t, replaced))}.want(t, h, 200)
	if diff := cmp.Diff(replaced.Body.String(), back.Body.String()); diff != "" {
		t.Error(diff)
	}
	ask{method: "GET", path: "/v1/default/namespaces/nothing/views"}.wantError(t, h, 404, "NoSuchNamespaceException")
	ask{method: "GET", path: strings.Replace(view, "default", "nowhere", 1)}.wantError(t, h, 404, "NoSuchWarehouseException")
	ask{method: "DELETE", path: "/v1/default/namespaces/a"}.wantError(t, h, 409, "NamespaceNotEmptyException")
}

func TestTableAndViewOfOneName(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(t, h, 200)
	ask{method: "POST", path: views, body: createViewBody("w", "select 1")}.want(t, h, 200)
	for want, a := range map[string]ask{
		"Table with same name already exists: a.t":       {path: views, body: createViewBody("t", "select 1")},
		"View with same name already exists: a.v":        {path: tables, body: createTableBody("v")},
		"Cannot rename a.v to a.t. Table already exists": {path: renameView, body: renameBody("v", "t")},
		"Cannot rename a.v to a.w. View already exists":  {path: renameView, body: renameBody("v", "w")},
	} {
		a.method = "POST"
		if got := a.wantError(t, h, 409, "AlreadyExistsException"); got.Error.Message != want {
			t.Errorf("%q, want %q", got.Error.Message, want)
		}
	}
	ask{method: "GET", path: tables + "/v"}.wantError(t, h, 404, "NoSuchTableException")
	ask{method: "GET", path: views + "/t"}.wantError(t, h, 404, "NoSuchViewException")
}

func TestViewBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(t, h, 200)
	for _, tc := range []struct{ path, body, want string }{
		{views, ``, "it is empty"},
		{views, `{"schema":{},"view-version":{}}`, `field "name" is missing`},
		{views, `{"name":"x","view-version":{}}`, `field "schema" is missing`},
		{views, `{"name":"x","schema":{},"view-version":null}`, `field "view-version" is missing`},
		{views, `{"name":"x","location":["l"]}`, `field "location" must be a string, not array`},
		{views, `{"name":"x","schema":{},"view-version":{},"properties":{"k":null}}`, `field "properties.k" must be a string, not null`},
		{views, createViewBody("a*b", "select 1"), "Invalid view name"},
		{view, `{"requirements":{}}`, `field "requirements" must be an array`},
		{view, `{"identifier":"a.v"}`, `field "identifier" must be an object, not string`},
		{view, `{"requirements":[{"type":"assert-nothing"}]}`, "assert-nothing"},
		{view, `{"updates":[{"action":"explode"}]}`, "explode"},
		{renameView, `{}`, `field "source" is missing`},
		{renameView, `{"source":{"name":"v"}}`, `field "source.namespace" is missing`},
		{renameView, `{"source":{"namespace":["a"]}}`, `field "source.name" is missing`},
		{renameView, `{"source":{"namespace":["a"],"name":"v"}}`, `field "destination" is missing`},
		{renameView, `{"source":{"namespace":["a"],"name":"v"},"destination":{"namespace":[null],"name":"w"}}`, `field "destination.namespace" must not hold null`},
		{renameView, renameBody("v", " w"), "Invalid view name"},
		{registerView, `{"metadata-location":"x"}`, `field "name" is missing`},
		{registerView, `{"name":"x"}`, `field "metadata-location" is missing`},
		{registerView, `{"name":"x","metadata-location":""}`, `field "metadata-location" is empty`},
		{registerView, registerBody("x:y", "s3://b/m"), "Invalid view name"},
	} {
		got := ask{method: "POST", path: tc.path, body: tc.body}.wantError(t, h, 400, "BadRequestException")
		if !strings.Contains(got.Error.Message, tc.want) {
			t.Errorf("%s: %q, want %q in it", tc.body, got.Error.Message, tc.want)
		}
	}
	twice := strings.Replace(viewVersion("select 1"), `"dialect":"spark"}`, `"dialect":"trino"},{"type":"sql","sql":"select 2","dialect":"TRINO"}`, 1)
	for _, tc := range []struct{ path, body, want string }{
		{views, `{"name":"x","schema":` + oneColumn + `,"view-version":` + twice + `}`, "Invalid view version: Cannot add multiple queries for dialect trino"},
		{view, `{"updates":[{"action":"add-view-version","view-version":` + twice + `}]}`, "Invalid view version: Cannot add multiple queries for dialect trino"},
		{renameView, `{"source":{"namespace":[],"name":"v"},"destination":{"namespace":["a"],"name":"w"}}`, "Invalid namespace"},
		{renameView, `{"source":{"namespace":["a\u001fb"],"name":"v"},"destination":{"namespace":["a"],"name":"w"}}`, "Invalid namespace level"},
		{view, `{"requirements":[{"type":"assert-table-uuid","uuid":"x"}]}`, "Cannot validate assert-table-uuid against a view"},
	} {
		got := ask{method: "POST", path: tc.path, body: tc.body}.wantError(t, h, 400, "IllegalArgumentException")
		if !strings.Contains(got.Error.Message, tc.want) {
			t.Errorf("%s: %q, want %q in it", tc.body, got.Error.Message, tc.want)
		}
	}
	ask{method: "POST", path: registerView, body: registerBody("x", s.root+"/default/nothing.metadata.json")}.wantError(t, h, 404, "NotFoundException")
	ask{method: "POST", path: registerView, body: registerBody("x", "file:///etc/passwd")}.wantError(t, h, 403, "ForbiddenException")
	ask{method: "POST", path: view, body: `{"requirements":[{"type":"assert-view-uuid","uuid":"x"}],"updates":[]}`}.wantError(t, h, 409, "CommitFailedException")
	// Nothing to do is no error, however it is written.
	for _, body := range []string{`{}`, `{"identifier":null,"requirements":null,"updates":null}`} {
		ask{method: "POST", path: view, body: body}.want(t, h, 200)
	}
}

func TestViewTags(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, other := s.node("n1"), s.node("n2")
	createNamespace(t, h, "a")
	tag := ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(t, h, 200).Header().Get("ETag")
	load := func(as, tag string) *httptest.ResponseRecorder {
		t.Helper()
		return ask{method: "GET", path: view, as: as, header: http.Header{"If-None-Match": {tag}}}.of(other)
	}
	w := load("", tag)
	if w.Code != 304 || w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("Floeberg-Index") == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for as, want := range map[string]int{"reader": 200, "auditor": 404, "-": 401} {
		if w := load(as, tag); w.Code != want {
			t.Errorf("as %s: %d", as, w.Code)
		}
	}
	ask{method: "POST", path: view, body: newQuery("select 2")}.want(t, h, 200)
	if w := load("", tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("after a replacement: %d %v", w.Code, w.Header())
	}
	ask{method: "DELETE", path: view}.want(t, h, 204)
	if w := load("", "*"); w.Code != 404 {
		t.Errorf("of what is gone: %d", w.Code)
	}
}

// asking notes which rights are asked for.
type asking struct {
	serve.Authorizer
	mu    sync.Mutex
	asked []string
}

func (a *asking) Authorize(ctx context.Context, r authz.Request, firm bool) (authz.Ruling, error) {
	a.mu.Lock()
	a.asked = append(a.asked, string(r.Action)+" "+r.Resource.String())
	a.mu.Unlock()
	return a.Authorizer.Authorize(ctx, r, firm)
}

// allBut are policies that allow everything but one thing.
func allBut(action authz.Action, on authz.Resource) string {
	return fmt.Sprintf(`permit (principal, action, resource);
		forbid (principal, action == Floeberg::Action::%q, resource == Floeberg::%s::%q);`, action, on.Kind, cedar.ID(on))
}

// A rename takes something away in one place and makes it in another: both
// rights are asked for, whatever is there.
func TestRightsOfARename(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rights := &asking{Authorizer: s.Judge()}
	h := s.node("n1", func(o *nodeOptions) { o.Authorizer = rights })
	createNamespace(t, h, "a")
	createNamespace(t, h, "b")
	ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(t, h, 200)
	body := func(from, namespace string) string {
		return fmt.Sprintf(`{"source":{"namespace":["a"],"name":%q},"destination":{"namespace":[%q],"name":"w"}}`, from, namespace)
	}
	view := func(namespace, name string) authz.Resource {
		return authz.Resource{Kind: authz.KindView, Warehouse: "default", Namespace: []string{namespace}, Name: name}
	}
	inNamespace := func(name string) authz.Resource {
		return authz.Resource{Kind: authz.KindNamespace, Warehouse: "default", Namespace: []string{name}}
	}
	for _, tc := range []struct {
		action         authz.Action
		there, missing authz.Resource
	}{
		{authz.ActionRenameView, view("a", "v"), view("a", "missing")},
		{authz.ActionCreateView, inNamespace("b"), inNamespace("missing")},
		{authz.ActionLoadView, view("b", "w"), view("missing", "w")},
	} {
		s.PutPolicies("", allBut(tc.action, tc.there))
		there := ask{method: "POST", path: renameView, body: body("v", "b")}.wantError(t, h, 403, "ForbiddenException")
		s.PutPolicies("", allBut(tc.action, tc.missing))
		missing := ask{method: "POST", path: renameView, body: body("missing", "missing")}.wantError(t, h, 403, "ForbiddenException")
		if there != missing {
			t.Errorf("%s: %+v is not %+v", tc.action, there, missing)
		}
	}
	s.PutPolicies("", `permit (principal, action, resource);`)
	rights.asked = nil
	ask{method: "POST", path: renameView, body: body("v", "b")}.want(t, h, 204)
	if diff := cmp.Diff([]string{"RenameView view a.v", "CreateView namespace b", "LoadTable table b.w", "LoadView view b.w"}, rights.asked); diff != "" {
		t.Error(diff)
	}
}

// Names mean the same in the path of a view as in that of a table.
func TestViewNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	for name, path := range map[string]string{"x y": "x+y", "x/y": "x%2Fy", "ü": "%C3%BC", "x%2Fy": "x%252Fy", "rename": "rename"} {
		ask{method: "POST", path: views, body: createViewBody(name, "select 1")}.want(t, h, 200)
		ask{method: "GET", path: views + "/" + path}.want(t, h, 200)
	}
	// What exists can be read whatever it is called.
	s.put(state.ViewKey("default", []string{"a"}, "*"), encode(t, &state.ViewEntry{Id: []byte("0123456789abcdef"), Location: s.root + "/default/v", Metadata: []byte(`{}`)}))
	ask{method: "GET", path: views + "/*"}.want(t, h, 200)
}
