package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/internal/policy"
)

// Two tenants share the warehouse "default", where each has the namespace of its
// name, and the first has the warehouse "other" for itself.
const tenantPolicies = `
	@id("admin") permit (principal in Floeberg::Group::"admin", action, resource);
	@id("way") permit (
		principal,
		action in [Floeberg::Action::"GetConfig", Floeberg::Action::"ShowWarehouse", Floeberg::Action::"ListNamespaces"],
		resource == Floeberg::Warehouse::"default"
	);
	@id("list") permit (principal, action == Floeberg::Action::"ListWarehouses", resource);
	@id("own") permit (
		principal, action in [Floeberg::Action::"Read", Floeberg::Action::"Write"], resource in Floeberg::Warehouse::"default"
	) when { principal has tenant && resource has top && resource.top == principal.tenant.name };
	@id("acme") permit (principal in Floeberg::Tenant::"acme", action, resource in Floeberg::Warehouse::"other");`

// tenants is a node with what both of them have.
type tenants struct {
	*apitest.Site
	routes []serve.Route
	http.Handler
}

func newTenants(t *testing.T) *tenants {
	t.Helper()
	s := apitest.NewSite(t)
	c := s.Catalog()
	protocol, err := rest.Routes(rest.Options{Catalog: c})
	if err != nil {
		t.Fatal(err)
	}
	policies, err := policy.New(c, policy.Options{ReadRestrictions: true})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := identity.NewKeys(c, authn.MintKey)
	if err != nil {
		t.Fatal(err)
	}
	managed, err := management.Routes(management.Options{Catalog: c, Cluster: struct{ management.Cluster }{}, Policies: policies, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	out := &tenants{Site: s, routes: append(protocol, managed...)}
	opts := s.Options("n1")
	opts.ReadRestrictions = true
	out.Handler = s.Handler(opts, out.routes)
	s.PutPolicies("", tenantPolicies)
	for _, tenant := range []string{"acme", "beta"} {
		s.Log.Put(t, state.APIKeyKey(authn.HashKey(apitest.KeyOf(tenant))), &state.APIKey{Id: "id-" + tenant, Name: tenant, Tenant: tenant})
		out.ask("admin", "POST", "/v1/default/namespaces", `{"namespace":["`+tenant+`"]}`).Want(t, out, 200)
		out.ask(tenant, "POST", "/v1/default/namespaces", `{"namespace":["`+tenant+`","in"]}`).Want(t, out, 200)
		out.ask(tenant, "POST", "/v1/default/namespaces/"+tenant+"/tables", tableBody).Want(t, out, 200)
		out.ask(tenant, "POST", "/v1/default/namespaces/"+tenant+"/views", viewBody).Want(t, out, 200)
	}
	out.ask("acme", "POST", "/v1/other/namespaces", `{"namespace":["acme"]}`).Want(t, out, 200)
	out.ask("acme", "POST", "/v1/other/namespaces/acme/tables", tableBody).Want(t, out, 200)
	return out
}

func (s *tenants) ask(as, method, path, body string) apitest.Ask {
	return apitest.Ask{Method: method, Path: path, As: as, Body: body}
}

const (
	column    = `{"type":"struct","fields":[{"id":1,"name":"a","type":"long","required":false}]}`
	tableBody = `{"name":"t","schema":` + column + `}`
	viewBody  = `{"name":"v","schema":` + column + `,"view-version":{"version-id":1,"timestamp-ms":1,"schema-id":0,"summary":{},"representations":[{"type":"sql","sql":"select 1","dialect":"spark"}],"default-namespace":["x"]}}`
)

// bodies are what is sent to the routes that take one; NS and WH stand for whose
// it is. A body may speak of a place that the path does not.
var bodies = map[string][]string{
	"POST /v1/{prefix}/namespaces":                                    {`{"namespace":["NS","new"]}`, `{"namespace":["NS"]}`, `{"namespace":["NS","in"]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/properties":             {`{"updates":{"owner":"beta"}}`, `{"removals":["location"]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/tables":                 {tableBody, strings.Replace(tableBody, `"t"`, `"new"`, 1), strings.Replace(tableBody, `{"name"`, `{"stage-create":true,"name"`, 1)},
	"POST /v1/{prefix}/namespaces/{namespace}/tables/{table}":         {`{"requirements":[],"updates":[{"action":"set-properties","updates":{"a":"b"}}]}`, `{"requirements":[{"type":"assert-create"}],"updates":[]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics": {`{}`},
	"POST /v1/{prefix}/namespaces/{namespace}/register":               {`{"name":"t","metadata-location":"ROOT/NS/t/metadata/x.json"}`, `{"name":"t","overwrite":true,"metadata-location":"ROOT/NS/t/metadata/x.json"}`},
	"POST /v1/{prefix}/tables/rename":                                 {rename("NS", "t", "beta", "z"), rename("beta", "t", "NS", "t"), rename("beta", "t", "NS", "z"), rename("NS", "t", "NS", "z")},
	"POST /v1/{prefix}/views/rename":                                  {rename("NS", "v", "beta", "z"), rename("beta", "v", "NS", "v"), rename("beta", "v", "NS", "z"), rename("NS", "v", "NS", "z")},
	"POST /v1/{prefix}/transactions/commit": {
		`{"table-changes":[{"identifier":{"namespace":["NS"],"name":"t"},"requirements":[],"updates":[]}]}`,
		`{"table-changes":[{"identifier":{"namespace":["beta"],"name":"t"},"requirements":[],"updates":[]},{"identifier":{"namespace":["NS"],"name":"t"},"requirements":[],"updates":[]}]}`,
		`{"table-changes":[{"identifier":{"namespace":["NS"],"name":"n"},"requirements":[{"type":"assert-create"}],"updates":[]}]}`,
	},
	"POST /v1/{prefix}/namespaces/{namespace}/views":         {viewBody, strings.Replace(viewBody, `"v"`, `"new"`, 1)},
	"POST /v1/{prefix}/namespaces/{namespace}/views/{view}":  {`{"requirements":[],"updates":[]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/register-view": {`{"name":"v","metadata-location":"ROOT/NS/v/metadata/x.json"}`},
}

func rename(from, name, to, newName string) string {
	return fmt.Sprintf(`{"source":{"namespace":[%q],"name":%q},"destination":{"namespace":[%q],"name":%q}}`, from, name, to, newName)
}

// seen is all of an answer that could tell something.
func seen(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintln(&b, w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		switch name {
		case "X-Request-Id", "Content-Length":
		default:
			fmt.Fprintln(&b, name, w.Header()[name])
		}
	}
	b.WriteString(w.Body.String())
	return b.String()
}

// One tenant is told of another's things, whatever it asks for, what it is told of
// things that never were.
func TestTenantsCantLearnOfEachOther(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	before := s.Log.Index()
	tried := map[string]bool{}
	for _, r := range s.routes {
		name := r.Method + " " + r.Path
		inWarehouse := strings.Contains(r.Path, "{prefix}") || strings.Contains(r.Path, "{warehouse}")
		switch {
		case strings.Contains(r.Path, "/v1/config"), name == "GET /management/v1/warehouses":
			continue // below
		case !inWarehouse:
			// The cluster is there, and not a tenant's.
			path := strings.NewReplacer("{", "", "}", "").Replace(r.Path)
			s.ask("beta", r.Method, path, "{}").WantError(t, s, 403, "ForbiddenException")
			tried[name] = true
			continue
		}
		sent := bodies[name]
		if !r.Body {
			sent = []string{""}
		} else if sent == nil && len(r.Query) == 0 {
			sent = []string{"{}"}
		}
		type place struct{ warehouse, namespace string }
		for _, body := range sent {
			for _, query := range []string{"", "?parent=NS", "?snapshots=refs", "?purgeRequested=true"} {
				if param, _, _ := strings.Cut(strings.TrimPrefix(query, "?"), "="); param != "" && !slices.Contains(r.Query, param) {
					continue
				}
				tried[name] = true
				for _, pair := range [][2]place{
					{{"default", "acme"}, {"default", "nope"}},
					{{"other", "acme"}, {"nowhere", "nope"}},
					{{"other", "beta"}, {"nowhere", "beta"}},
				} {
					if pair[0].warehouse == "default" && !strings.Contains(r.Path+body+query, "NS") && !strings.Contains(r.Path, "{namespace}") {
						continue // it is about what both may see
					}
					answers := [2]string{}
					for i, p := range pair {
						fill := strings.NewReplacer("{prefix}", p.warehouse, "{warehouse}", p.warehouse, "{namespace}", p.namespace, "{table}", "t", "{view}", "v",
							"{plan}", "1", "{function}", "f", "NS", p.namespace, "ROOT", s.Root+"/"+p.warehouse)
						a := s.ask("beta", r.Method, fill.Replace(r.Path+query), fill.Replace(body))
						a.Header = http.Header{"If-None-Match": {"*"}}
						w := a.Of(s)
						if w.Code < 400 {
							t.Errorf("%s %s %s: %d %s", a.Method, a.Path, a.Body, w.Code, w.Body)
						}
						if w.Code == http.StatusForbidden && p.warehouse != "default" {
							t.Errorf("%s %s %s: 403 says that it is there: %s", a.Method, a.Path, a.Body, w.Body)
						}
						answers[i] = strings.NewReplacer(p.warehouse, "WH", p.namespace, "NS").Replace(seen(w))
					}
					if answers[0] != answers[1] {
						t.Errorf("%s%s %s: of what is there\n%s\nof what is not\n%s", name, query, body, answers[0], answers[1])
					}
				}
			}
		}
	}
	if len(tried) < len(s.routes)-2 {
		t.Errorf("%d of %d routes were tried", len(tried), len(s.routes))
	}
	if after := s.Log.Index(); after != before {
		t.Errorf("%d changes were made", after-before)
	}
}

// What a tenant lists is its own.
func TestTenantsListTheirOwn(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	for _, tc := range []struct{ as, path, want string }{
		{"beta", "/v1/default/namespaces", `{"namespaces":[["beta"]]}`},
		{"acme", "/v1/default/namespaces", `{"namespaces":[["acme"]]}`},
		{"admin", "/v1/default/namespaces", `{"namespaces":[["acme"],["beta"]]}`},
		{"beta", "/v1/default/namespaces?pageToken=&pageSize=1", `{"namespaces":[["beta"]]}`},
		{"acme", "/v1/default/namespaces?pageToken=&pageSize=1", `{"namespaces":[["acme"]]}`},
		{"beta", "/v1/default/namespaces?parent=beta", `{"namespaces":[["beta","in"]]}`},
		{"beta", "/v1/default/namespaces/beta/tables", `{"identifiers":[{"namespace":["beta"],"name":"t"}]}`},
		{"beta", "/v1/default/namespaces/beta/views", `{"identifiers":[{"namespace":["beta"],"name":"v"}]}`},
		{"beta", "/management/v1/warehouses", `{"warehouses":[{"name":"default","root":"` + s.Root + `/default","allowed_roots":[]}]}`},
		{"beta", "/management/v1/warehouses?page_size=1", `{"warehouses":[{"name":"default","root":"` + s.Root + `/default","allowed_roots":[]}]}`},
	} {
		if got := s.ask(tc.as, "GET", tc.path, "").Want(t, s, 200).Body.String(); strings.ReplaceAll(got, `,"next-page-token":null`, "") != tc.want {
			t.Errorf("%s of %s: %s, want %s", tc.path, tc.as, got, tc.want)
		}
	}
	s.ask("beta", "GET", "/v1/config?warehouse=default", "").Want(t, s, 200)
	there := s.ask("beta", "GET", "/v1/config?warehouse=other", "").Want(t, s, 404)
	not := s.ask("beta", "GET", "/v1/config?warehouse=nowhere", "").Want(t, s, 404)
	if strings.ReplaceAll(there.Body.String(), "other", "nowhere") != not.Body.String() {
		t.Errorf("%s, and of none %s", there.Body, not.Body)
	}
	// What one may see and not do is another matter than what is not there.
	s.PutPolicies("other", `permit (principal in Floeberg::Tenant::"beta", action in Floeberg::Action::"Read", resource);`)
	s.ask("beta", "GET", "/v1/other/namespaces/acme/tables/t", "").Want(t, s, 200)
	s.ask("beta", "DELETE", "/v1/other/namespaces/acme/tables/t", "").WantError(t, s, 403, "ForbiddenException")
}
