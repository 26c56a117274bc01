package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api"
	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/internal/policy"
	"github.com/floeberg/floeberg/ops/audit"
)

// Two tenants share the warehouse "default", where each has the namespace of its
// name, and each has a warehouse for itself, with its policies. Their managers look
// after keys, look at the audit log and try policies on it.
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
	@id("acme") permit (principal in Floeberg::Tenant::"acme", action, resource in Floeberg::Warehouse::"floes");
	@id("beta") permit (principal in Floeberg::Tenant::"beta", action, resource in Floeberg::Warehouse::"drift");
	@id("managers") permit (
		principal in Floeberg::Group::"managers",
		action in [Floeberg::Action::"ListKeys", Floeberg::Action::"ManageKeys", Floeberg::Action::"ReadAudit"], resource
	);`

// warehouseOf is the warehouse that each tenant has for itself.
var warehouseOf = map[string]string{"acme": "floes", "beta": "drift"}

// otherThan is the other one of the two tenants.
func otherThan(tenant string) string {
	if tenant == "acme" {
		return "beta"
	}
	return "acme"
}

// tenants is a node with what both of them have.
type tenants struct {
	*apitest.Site
	routes []serve.Route
	*gin.Engine
}

// recorded is an audit log that answers for itself.
type recorded struct{ *audit.Log }

func (recorded) Nodes() []string { return []string{"n1"} }

func (r recorded) Ask(ctx context.Context, _ string, question []byte) ([]byte, error) {
	return r.Answer(ctx, question)
}

// onRecord is what one node has on record, and no replicated state.
type onRecord struct{ *audit.Trail }

func (onRecord) Heads(context.Context) ([]audit.Head, error) { return []audit.Head{}, nil }

func (r onRecord) VerifyAll(ctx context.Context) ([]audit.NodeVerification, error) {
	return r.Trail.VerifyAll(ctx, nil)
}

// openLog opens an audit log that refuses changes which it can't write down.
func openLog(t *testing.T, sinks ...audit.Sink) *audit.Log {
	t.Helper()
	log, err := audit.Open(audit.Options{Node: "n1", Sinks: sinks, OnFailure: audit.Refuse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return log
}

func newTenants(t *testing.T, adjust ...func(*serve.Options)) *tenants {
	t.Helper()
	s := apitest.NewSite(t)
	for _, warehouse := range warehouseOf {
		s.Log.Put(t, state.WarehouseKey(warehouse), &state.Warehouse{Name: warehouse, Root: s.Root + "/" + warehouse})
	}
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
	log := openLog(t)
	managed, err := management.Routes(management.Options{
		Catalog: c, Cluster: struct{ management.Cluster }{}, Policies: policies, Keys: keys, Warehouses: s.Warehouses(c), Audit: onRecord{&audit.Trail{Peers: recorded{log}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	described, err := api.Open()
	if err != nil {
		t.Fatal(err)
	}
	out := &tenants{Site: s, routes: append(protocol, managed...)}
	opts := s.Options("n1")
	opts.ReadRestrictions = true
	opts.Audit = log
	opts.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "up 1") })
	opts.Open = append(rest.Open(rest.OpenOptions{}), described...)
	for _, a := range adjust {
		a(&opts)
	}
	out.Engine = s.Handler(opts, out.routes).(*gin.Engine)
	s.PutPolicies("", tenantPolicies)
	for _, tenant := range []string{"acme", "beta"} {
		for name, group := range map[string]string{tenant: "staff", tenant + "-manager": "managers"} {
			hash := authn.HashKey(apitest.KeyOf(name))
			s.Log.Put(t, state.APIKeyKey(hash), &state.APIKey{Id: "id-" + name, Name: name, Tenant: tenant, Groups: []string{group}})
			s.Log.Put(t, state.KeyIDKey("id-"+name), &state.KeyEntry{Hash: hash})
		}
		s.PutPolicies(warehouseOf[tenant], `@id("`+tenant+`-only") permit (principal in Floeberg::Tenant::"`+tenant+`", action, resource);`)
		out.ask("admin", "POST", "/v1/default/namespaces", `{"namespace":["`+tenant+`"]}`).Want(t, out, 200)
		out.ask(tenant, "POST", "/v1/"+warehouseOf[tenant]+"/namespaces", `{"namespace":["`+tenant+`"]}`).Want(t, out, 200)
		for _, warehouse := range []string{"default", warehouseOf[tenant]} {
			namespaces := "/v1/" + warehouse + "/namespaces"
			out.ask(tenant, "POST", namespaces, `{"namespace":["`+tenant+`","in"]}`).Want(t, out, 200)
			out.ask(tenant, "POST", namespaces+"/"+tenant+"/tables", tableBody).Want(t, out, 200)
			out.ask(tenant, "POST", namespaces+"/"+tenant+"/views", viewBody).Want(t, out, 200)
		}
	}
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

// bodies are what is sent to the routes that take one; NS stands for the other
// tenant's namespace, ME for the own, ROOT for the place of the warehouse. A body may
// speak of a place that the path does not.
var bodies = map[string][]string{
	"PATCH /management/v1/warehouses/{warehouse}":                     {`{"allowed_roots":[]}`, `{"node_credentials":true}`},
	"POST /v1/{prefix}/namespaces":                                    {`{"namespace":["NS","new"]}`, `{"namespace":["NS"]}`, `{"namespace":["NS","in"]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/properties":             {`{"updates":{"owner":"ME"}}`, `{"removals":["location"]}`, `{"updates":{"_tenant_id":"ME"}}`},
	"POST /v1/{prefix}/namespaces/{namespace}/tables":                 {tableBody, strings.Replace(tableBody, `"t"`, `"new"`, 1), strings.Replace(tableBody, `{"name"`, `{"stage-create":true,"name"`, 1)},
	"POST /v1/{prefix}/namespaces/{namespace}/tables/{table}":         {`{"requirements":[],"updates":[{"action":"set-properties","updates":{"a":"b"}}]}`, `{"requirements":[{"type":"assert-create"}],"updates":[]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics": {`{}`},
	"POST /v1/{prefix}/namespaces/{namespace}/register":               {`{"name":"t","metadata-location":"ROOT/NS/t/metadata/x.json"}`, `{"name":"t","overwrite":true,"metadata-location":"ROOT/NS/t/metadata/x.json"}`},
	"POST /v1/{prefix}/tables/rename":                                 {rename("NS", "t", "ME", "z"), rename("ME", "t", "NS", "t"), rename("ME", "t", "NS", "z"), rename("NS", "t", "NS", "z")},
	"POST /v1/{prefix}/views/rename":                                  {rename("NS", "v", "ME", "z"), rename("ME", "v", "NS", "v"), rename("ME", "v", "NS", "z"), rename("NS", "v", "NS", "z")},
	"POST /v1/{prefix}/transactions/commit": {
		`{"table-changes":[{"identifier":{"namespace":["NS"],"name":"t"},"requirements":[],"updates":[]}]}`,
		`{"table-changes":[{"identifier":{"namespace":["ME"],"name":"t"},"requirements":[],"updates":[]},{"identifier":{"namespace":["NS"],"name":"t"},"requirements":[],"updates":[]}]}`,
		`{"table-changes":[{"identifier":{"namespace":["NS"],"name":"n"},"requirements":[{"type":"assert-create"}],"updates":[]}]}`,
	},
	"POST /v1/{prefix}/namespaces/{namespace}/views":         {viewBody, strings.Replace(viewBody, `"v"`, `"new"`, 1)},
	"POST /v1/{prefix}/namespaces/{namespace}/views/{view}":  {`{"requirements":[],"updates":[]}`},
	"POST /v1/{prefix}/namespaces/{namespace}/register-view": {`{"name":"v","metadata-location":"ROOT/NS/v/metadata/x.json"}`},
}

// perTenant are routes that tell each tenant of its own, and which test tries them.
var perTenant = map[string]string{
	"GET /v1/config":                "TestTenantsListTheirOwn",
	"GET /management/v1/warehouses": "TestTenantsListTheirOwn",
}

// scoped are the routes that a parameter says the warehouse of, each with what is sent.
var scoped = map[string]struct{ query, body string }{
	"GET /management/v1/policies":           {},
	"PUT /management/v1/policies":           {body: `{"text":"","force":true}`},
	"GET /management/v1/policies/history":   {},
	"GET /management/v1/policies/diff":      {query: "&from=0"},
	"POST /management/v1/policies/validate": {body: `{"text":""}`},
	"POST /management/v1/policies/explain":  {body: `{"principal":{"id":"id-NS","groups":[]},"action":"LoadTable","resource":{"type":"Table","warehouse":"WH","namespace":["NS"],"name":"t"}}`},
	"POST /management/v1/policies/try":      {body: `{"text":""}`},
	"POST /management/v1/policies/rollback": {body: `{"version":0,"force":true}`},
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

// place is where something is asked for.
type place struct{ warehouse, namespace string }

// fill puts a place into what is sent.
func (s *tenants) fill(p place, me string) *strings.Replacer {
	return strings.NewReplacer("{prefix}", p.warehouse, "{warehouse}", p.warehouse, "{namespace}", p.namespace, "{table}", "t", "{view}", "v",
		"{plan}", "1", "{function}", "f", "NS", p.namespace, "ME", me, "WH", p.warehouse, "ROOT", s.Root+"/"+p.warehouse)
}

// alike asks the same of what is another's and of what is not there, and insists that
// the answers can't be told apart.
func (s *tenants) alike(t *testing.T, as, me, method, path, body string, pair [2]place) {
	t.Helper()
	for _, more := range []bool{false, true} {
		answers := [2]string{}
		for i, p := range pair {
			fill := s.fill(p, me)
			a := s.ask(as, method, fill.Replace(path), fill.Replace(body))
			if more {
				a.Header = http.Header{"If-None-Match": {"*"}, "Idempotency-Key": {uuid.NewString()}, "Floeberg-Consistency": {"stale"}}
			}
			w := a.Of(s)
			if w.Code < 400 {
				t.Errorf("%s: %s %s %s: %d %s", as, a.Method, a.Path, a.Body, w.Code, w.Body)
			}
			if w.Code == http.StatusForbidden && p.warehouse != "default" {
				t.Errorf("%s: %s %s %s: 403 says that it is there: %s", as, a.Method, a.Path, a.Body, w.Body)
			}
			answers[i] = strings.NewReplacer(p.warehouse, "WH", p.namespace, "NS").Replace(seen(w))
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: %s %s %s: of what is there\n%s\nof what is not\n%s", as, method, path, body, answers[0], answers[1])
		}
	}
}

// pairs are the places of the other tenant, each beside one that is not there.
func pairs(me string) [][2]place {
	other := otherThan(me)
	return [][2]place{
		{{"default", other}, {"default", "nope"}},
		{{warehouseOf[other], other}, {"nowhere", "nope"}},
		{{warehouseOf[other], me}, {"nowhere", me}},
	}
}

// One tenant is told of another's things, whatever it asks for, what it is told of
// things that never were. Whatever is served is tried.
func TestTenantsCantLearnOfEachOther(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	before := s.Log.Index()
	tried := map[string]bool{}
	for name := range perTenant {
		tried[name] = true
	}
	for _, me := range []string{"acme", "beta"} {
		for _, r := range s.routes {
			name := r.Method + " " + r.Path
			if perTenant[name] != "" {
				continue
			}
			tried[name] = true
			if !strings.Contains(r.Path, "{prefix}") && !strings.Contains(r.Path, "{warehouse}") {
				// The cluster is there, and not a tenant's.
				s.ask(me, r.Method, strings.NewReplacer("{", "", "}", "").Replace(r.Path), "{}").WantError(t, s, 403, "ForbiddenException")
				continue
			}
			s.tryInWarehouses(t, me, r)
		}
	}
	s.tryOpen(t, tried)
	braces := regexp.MustCompile(`:([a-z]+)`)
	for _, r := range s.Routes() {
		if name := r.Method + " " + braces.ReplaceAllString(r.Path, "{$1}"); !tried[name] {
			t.Errorf("%s is served, and no tenant has tried it", name)
		}
	}
	if after := s.Log.Index(); after != before {
		t.Errorf("%d changes were made", after-before)
	}
}

// tryInWarehouses tries a route that names a warehouse, with all that can be sent to it.
func (s *tenants) tryInWarehouses(t *testing.T, me string, r serve.Route) {
	t.Helper()
	sent := bodies[r.Method+" "+r.Path]
	switch {
	case !r.Body:
		sent = []string{""}
	case sent == nil && r.Change:
		t.Errorf("%s %s: it is not known what to send", r.Method, r.Path)
	case sent == nil:
		sent = []string{"{}"}
	}
	for _, body := range sent {
		for _, query := range []string{"", "?parent=NS", "?parent=NS%1Fin", "?snapshots=refs", "?purgeRequested=true", "?pageToken=&pageSize=1", "?referenced-by=NS%1Fv"} {
			if param, _, _ := strings.Cut(strings.TrimPrefix(query, "?"), "="); param != "" && !slices.Contains(r.Query, param) {
				continue
			}
			for _, pair := range pairs(me) {
				if pair[0].warehouse == "default" && !strings.Contains(r.Path+body+query, "NS") && !strings.Contains(r.Path, "{namespace}") {
					continue // it is about what both may see
				}
				s.alike(t, me, me, r.Method, r.Path+query, body, pair)
			}
		}
	}
}

// tryOpen tries what is answered to everybody: it tells everybody the same, and nothing
// of anybody.
func (s *tenants) tryOpen(t *testing.T, tried map[string]bool) {
	t.Helper()
	for _, a := range []apitest.Ask{
		{Method: "GET", Path: "/health"}, {Method: "HEAD", Path: "/health"}, {Method: "GET", Path: "/ready"}, {Method: "HEAD", Path: "/ready"},
		{Method: "GET", Path: "/metrics"}, {Method: "GET", Path: "/openapi.json"},
		{Method: "POST", Path: "/v1/oauth/tokens", Body: "grant_type=client_credentials&client_id=id-acme", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
	} {
		tried[a.Method+" "+a.Path] = true
		answers := map[string]bool{}
		for _, a.As = range []string{"acme", "beta", apitest.NoKey} {
			told := seen(a.Of(s))
			answers[told] = true
			for _, name := range []string{"acme", "beta", "floes", "drift"} {
				if strings.Contains(told, name) {
					t.Errorf("%s %s tells of %s: %s", a.Method, a.Path, name, told)
				}
			}
		}
		if len(answers) != 1 {
			t.Errorf("%s %s is answered in %d ways: %v", a.Method, a.Path, len(answers), answers)
		}
	}
}

// Who looks after a tenant's warehouse, keys and audit finds nothing of another's.
func TestTenantsManageTheirOwn(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	for _, me := range []string{"acme", "beta"} {
		other, as := otherThan(me), me+"-manager"
		// Both have done something that is on record.
		s.ask(me, "POST", "/v1/default/namespaces/"+me+"/properties", `{"updates":{"a":"`+me+`"}}`).Want(t, s, 200)
		for name, sent := range scoped {
			method, path, _ := strings.Cut(name, " ")
			pair := [2]place{{warehouseOf[other], other}, {"nowhere", "nope"}}
			s.alike(t, as, me, method, path+"?warehouse=WH"+sent.query, sent.body, pair)
			// The cluster's are there, and not theirs.
			s.ask(as, method, path+strings.Replace(sent.query, "&", "?", 1), sent.body).WantError(t, s, 403, "ForbiddenException")
		}
		for _, a := range []apitest.Ask{
			{Method: "POST", Path: "/management/v1/keys/id-NS/revoke"}, {Method: "POST", Path: "/management/v1/keys/id-NS/revoke?force=true"},
			{Method: "POST", Path: "/management/v1/keys/id-NS/rotate", Body: `{}`}, {Method: "POST", Path: "/management/v1/keys/id-NS-manager/revoke"},
			// Whose key it is and what that may do.
			{Method: "POST", Path: "/management/v1/policies/explain?warehouse=" + warehouseOf[me], Body: `{"principal":{"id":"id-NS"},"action":"LoadTable",
				"resource":{"type":"Table","warehouse":"` + warehouseOf[me] + `","namespace":["x"],"name":"t"}}`},
		} {
			s.alike(t, as, me, a.Method, a.Path, a.Body, [2]place{{"any", other}, {"any", "nope"}})
		}
		s.ask(as, "POST", "/management/v1/keys", `{"name":"k","groups":["managers"],"tenant":"`+other+`"}`).WantError(t, s, 403, "ForbiddenException")
		keys := apitest.Decode[management.KeyList](t, s.ask(as, "GET", "/management/v1/keys", "").Want(t, s, 200))
		if len(keys.Keys) != 2 || keys.NextPageToken != "" {
			t.Errorf("%s lists %+v", as, keys)
		}
		for _, query := range []string{"", "tenant=" + me, "page_size=1", "principal=id-" + me, "warehouse=default"} {
			list := apitest.Decode[management.AuditList](t, s.ask(as, "GET", "/management/v1/audit?"+query, "").Want(t, s, 200))
			if len(list.Records) == 0 {
				t.Errorf("%s finds nothing of its own by %q", as, query)
			}
			for _, r := range list.Records {
				if r.Tenant != me {
					t.Errorf("%s finds by %q what %q did: %+v", as, query, r.Tenant, r)
				}
			}
		}
		for _, query := range []string{"tenant=" + other, "principal=id-" + other, "event=authentication", "tenant=nope"} {
			list := apitest.Decode[management.AuditList](t, s.ask(as, "GET", "/management/v1/audit?"+query, "").Want(t, s, 200))
			if len(list.Records) != 0 {
				t.Errorf("%s finds by %q %+v", as, query, list.Records)
			}
		}
		// Policies are tried on what the own tenant was allowed and denied.
		trial := apitest.Decode[management.PolicyTrial](t, s.ask(as, "POST", "/management/v1/policies/try?warehouse="+warehouseOf[me],
			`{"text":"forbid (principal, action, resource);"}`).Want(t, s, 200))
		if trial.Decisions == 0 {
			t.Errorf("%s tries policies on nothing", as)
		}
		for _, changed := range trial.Changed {
			if !strings.HasPrefix(changed.Principal, "id-"+me) {
				t.Errorf("%s is told what %s did", as, changed.Principal)
			}
		}
		// What is theirs they may change.
		s.ask(as, "PUT", "/management/v1/policies?warehouse="+warehouseOf[me], `{"text":"forbid (principal in Floeberg::Tenant::\"`+other+`\", action, resource);"}`).Want(t, s, 200)
	}
	// And nobody else has changed anything of it.
	for _, me := range []string{"acme", "beta"} {
		for _, key := range apitest.Decode[management.KeyList](t, s.ask(me+"-manager", "GET", "/management/v1/keys", "").Want(t, s, 200)).Keys {
			if key.Status != "active" {
				t.Errorf("%s is %s", key.ID, key.Status)
			}
		}
		v := apitest.Decode[management.PolicyVersion](t, s.ask(me+"-manager", "GET", "/management/v1/policies?warehouse="+warehouseOf[me], "").Want(t, s, 200))
		if v.Version != 2 || *v.Author != "id-"+me+"-manager" {
			t.Errorf("%+v is in force", v)
		}
	}
}

// What a tenant lists is its own.
func TestTenantsListTheirOwn(t *testing.T) {
	t.Parallel()
	s := newTenants(t)
	const rest = `,"generation":0,"from_settings":true,"endpoint":null,"region":null,"path_style":false,"own_credentials":false,"credentials":null,"created_at":null,"changed_at":null}`
	generation := regexp.MustCompile(`"generation":\d+`)
	shared := `{"name":"default","root":"` + s.Root + `/default","allowed_roots":[]` + rest
	for _, me := range []string{"acme", "beta"} {
		own := `{"name":"` + warehouseOf[me] + `","root":"` + s.Root + `/` + warehouseOf[me] + `","allowed_roots":[]` + rest
		both := []string{shared, own}
		slices.Sort(both)
		for path, want := range map[string]string{
			"/v1/default/namespaces":                             `{"namespaces":[["ME"]]}`,
			"/v1/default/namespaces?pageToken=&pageSize=1":       `{"namespaces":[["ME"]]}`,
			"/v1/default/namespaces?parent=ME":                   `{"namespaces":[["ME","in"]]}`,
			"/v1/default/namespaces/ME/tables":                   `{"identifiers":[{"namespace":["ME"],"name":"t"}]}`,
			"/v1/default/namespaces/ME/views":                    `{"identifiers":[{"namespace":["ME"],"name":"v"}]}`,
			"/management/v1/warehouses":                          `{"warehouses":[` + strings.Join(both, ",") + `]}`,
			"/v1/" + warehouseOf[me] + "/namespaces":             `{"namespaces":[["ME"]]}`,
			"/v1/" + warehouseOf[me] + "/namespaces?parent=ME":   `{"namespaces":[["ME","in"]]}`,
			"/v1/" + warehouseOf[me] + "/namespaces/ME/tables":   `{"identifiers":[{"namespace":["ME"],"name":"t"}]}`,
			"/v1/default/namespaces?pageToken=&pageSize=10&x=NS": `{"namespaces":[["ME"]]}`,
		} {
			path, want = strings.ReplaceAll(path, "ME", me), strings.ReplaceAll(want, "ME", me)
			got := generation.ReplaceAllString(s.ask(me, "GET", path, "").Want(t, s, 200).Body.String(), `"generation":0`)
			if strings.ReplaceAll(got, `,"next-page-token":null`, "") != want {
				t.Errorf("%s of %s: %s, want %s", path, me, got, want)
			}
		}
		page := apitest.Decode[struct {
			Warehouses []struct{ Name string }
			Next       string `json:"next_page_token"`
		}](t, s.ask(me, "GET", "/management/v1/warehouses?page_size=2", "").Want(t, s, 200))
		if len(page.Warehouses) != 2 || page.Next != "" {
			t.Errorf("a page of %s: %+v", me, page)
		}
		s.ask(me, "GET", "/v1/config?warehouse=default", "").Want(t, s, 200)
		s.ask(me, "GET", "/v1/config?warehouse="+warehouseOf[me], "").Want(t, s, 200)
		s.alike(t, me, me, "GET", "/v1/config?warehouse=WH", "", [2]place{{warehouseOf[otherThan(me)], "x"}, {"nowhere", "x"}})
	}
	if got := s.ask("admin", "GET", "/v1/default/namespaces", "").Want(t, s, 200).Body.String(); !strings.Contains(got, `[["acme"],["beta"]]`) {
		t.Errorf("an admin is shown %s", got)
	}
	// What one may see and not do is another matter than what is not there.
	s.PutPolicies("floes", `permit (principal in Floeberg::Tenant::"beta", action in Floeberg::Action::"Read", resource);`)
	s.ask("beta", "GET", "/v1/floes/namespaces/acme/tables/t", "").Want(t, s, 200)
	s.ask("beta", "DELETE", "/v1/floes/namespaces/acme/tables/t", "").WantError(t, s, 403, "ForbiddenException")
}
