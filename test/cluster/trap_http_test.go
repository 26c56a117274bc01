package cluster_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
)

// The tests of this file are mistakes that other catalogs made with HTTP and
// with caches.

// TestTagsAreEqualOnAllNodes caches a table from one node and asks the others.
func TestTagsAreEqualOnAllNodes(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	commitAppend(t, c, ns, name)
	path := c.TablePath(ns, name)
	tag := do(t, s.At(0), http.StatusOK, get(path)).Header.Get("ETag")
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		t.Fatalf("the tag is %s, want it quoted", tag)
	}
	asked := func(path, tag string) client.Request {
		r := get(path)
		r.Header = http.Header{"If-None-Match": {tag}}
		return r
	}
	for i := range s.Nodes {
		if got := do(t, s.At(i), http.StatusOK, get(path)).Header.Get("ETag"); got != tag {
			t.Errorf("node %d has tag %s, node 0 %s", i, got, tag)
		}
		if res := do(t, s.At(i), http.StatusNotModified, asked(path, tag)); len(res.Body) != 0 {
			t.Errorf("a 304 with a body: %s", res)
		}
	}
	refs := do(t, c, http.StatusOK, get(path+"?snapshots=refs")).Header.Get("ETag")
	if refs == tag {
		t.Error("snapshots=refs and snapshots=all share a tag")
	}
	do(t, c, http.StatusOK, asked(path+"?snapshots=refs", tag))

	committed := do(t, s.At(1), http.StatusOK, client.CommitRequest(c, ns, name, nil, []client.Object{setProperty("a", "1")}))
	for i := range s.Nodes {
		after := do(t, s.At(i), http.StatusOK, asked(path, tag)).Header.Get("ETag")
		if want := committed.Header.Get("ETag"); after != want || after == tag {
			t.Errorf("tag before the commit %s, of its answer %s, of the next load on node %d %s", tag, want, i, after)
		}
	}
	// A table of the same name that is another table is not the one cached.
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: path})
	do(t, c, http.StatusNotFound, asked(path, committed.Header.Get("ETag")))
	do(t, c, http.StatusOK, client.CreateTableRequest(c, ns, name))
	do(t, c, http.StatusOK, asked(path, committed.Header.Get("ETag")))
	do(t, c, http.StatusOK, asked(path, tag))
}

// TestHeadersOfAnswers holds what every answer says.
func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	res := do(t, c, http.StatusOK, get(c.TablePath(ns, name)))
	control := res.Header.Get("Cache-Control")
	if !strings.Contains(control, "private") || !strings.Contains(control, "no-cache") {
		t.Errorf("Cache-Control is %q", control)
	}
	vary := strings.ToLower(strings.Join(res.Header.Values("Vary"), ","))
	for _, header := range []string{"authorization", "x-iceberg-access-delegation"} {
		if !strings.Contains(vary, header) {
			t.Errorf("Vary is %q, without %s", vary, header)
		}
	}
	for i, n := range s.Nodes {
		res := do(t, s.At(i), http.StatusOK, get(c.TablePath(ns, name)))
		if got := res.Header.Get("Floeberg-Node"); got != n.ID {
			t.Errorf("Floeberg-Node is %q, want %s", got, n.ID)
		}
		if res.Header.Get("Floeberg-Index") == "" || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("want Floeberg-Index and X-Request-Id, got %v", res.Header)
		}
	}
	named := get(c.TablePath(ns, "absent"))
	named.Header = http.Header{"X-Request-Id": {"a-name-of-mine"}}
	if got := do(t, c, http.StatusNotFound, named).Header.Get("X-Request-Id"); got != "a-name-of-mine" {
		t.Errorf("X-Request-Id came back as %q", got)
	}
	// An answer without a body says so: clients otherwise wait for one.
	for _, r := range []client.Request{
		{Method: http.MethodHead, Path: c.NamespacePath(ns)},
		{Method: http.MethodHead, Path: c.TablePath(ns, name)},
		{Method: http.MethodDelete, Path: c.TablePath(ns, name)},
	} {
		if res := do(t, c, http.StatusNoContent, r); len(res.Body) != 0 {
			t.Errorf("%s with a body: %s", r.Method, res)
		}
	}
}

// TestAccessDelegationHeader is a list, and may be anything.
func TestAccessDelegationHeader(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	for _, value := range []string{"vended-credentials", "vended-credentials,remote-signing", " , ,x", "vénded", "\xff\x80"} {
		r := get(c.TablePath(ns, name))
		r.Header = http.Header{"X-Iceberg-Access-Delegation": {value}}
		res := do(t, c, http.StatusOK, r)
		var body map[string]any
		if err := res.Decode(&body); err != nil {
			t.Fatal(err)
		}
		if _, has := body["storage-credentials"]; has {
			t.Errorf("%q: an entry for credentials that are none shadows the client's own", value)
		}
	}
}

// TestEveryErrorIsAnIcebergError asks what can't be answered, on every kind of
// path.
func TestEveryErrorIsAnIcebergError(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	tables := c.NamespacePath(ns) + "/tables"
	post := func(path string, body any) client.Request {
		return client.Request{Method: http.MethodPost, Path: path, Body: body}
	}
	for _, test := range []struct {
		what   string
		r      client.Request
		status int
	}{
		{"a path of nobody", get("/nothing"), 404},
		{"a path below /v1", get("/v1/default/nothing"), 404},
		{"a method that is not served", client.Request{Method: http.MethodPut, Path: c.TablePath(ns, name), Body: "{}"}, 405},
		{"a warehouse that is not there", get("/v1/config?warehouse=nowhere"), 404},
		{"a prefix that is not there", get("/v1/nowhere/namespaces"), 404},
		{"half a body", post(tables, `{"name": "x", "sch`), 400},
		{"an empty body", post(tables, ""), 400},
		{"a body of another kind", post(tables, `[1, 2]`), 400},
		{"a number for a name", post(tables, `{"name": 7, "schema": {"type": "struct", "fields": []}}`), 400},
		{"no schema", post(tables, `{"name": "x"}`), 400},
		{"a schema of a list", post(tables, `{"name": "x", "schema": []}`), 400},
		{"a type that is none", post(tables, `{"name": "x", "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "required": true, "type": "colour"}]}}`), 400},
		{"no namespace", post(c.NamespacePath(), `{"namespace": []}`), 400},
		{"an empty level", post(c.NamespacePath(), `{"namespace": ["a", ""]}`), 400},
		{"properties of numbers", post(c.NamespacePath(), `{"namespace": ["a"], "properties": {"a": 1}}`), 400},
		{"updates of numbers", post(c.TablePath(ns, name), `{"requirements": [], "updates": [1]}`), 400},
		{"a page of words", get(c.NamespacePath() + "?pageToken=&pageSize=many"), 400},
		{"a page of nothing", get(c.NamespacePath() + "?pageToken=&pageSize=0"), 400},
		{"a page token of nobody", get(c.NamespacePath() + "?pageToken=%00junk"), 400},
		{"snapshots that are none", get(c.TablePath(ns, name) + "?snapshots=some"), 400},
		{"purge, perhaps", client.Request{Method: http.MethodDelete, Path: c.TablePath(ns, name) + "?purgeRequested=perhaps"}, 400},
		{"a parent that is not there", get(c.NamespacePath() + "?parent=nowhere"), 404},
		{"a consistency that is none", client.Request{Method: http.MethodGet, Path: c.TablePath(ns, name), Header: http.Header{"Floeberg-Consistency": {"tomorrow"}}}, 400},
	} {
		t.Run(test.what, func(t *testing.T) {
			res, err := c.Do(within(t, time.Minute), test.r)
			if err != nil {
				t.Fatal(err)
			}
			e := res.Error()
			if res.Status != test.status || e.Code != test.status || e.Type == "" || e.Message == "" {
				t.Errorf("want %d in an Iceberg error body, got %s", test.status, res)
			}
			if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
				t.Errorf("Content-Type is %q", kind)
			}
		})
	}
}

// TestWhoAsks tries keys that are none: one answer for all, and the probes
// answer everybody.
func TestWhoAsks(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	path := c.NamespacePath()
	nobody := c.With(func(o *client.Options) { o.Token = "" })
	var bodies []string
	for _, header := range []http.Header{
		nil,
		{"Authorization": {"Bearer wrong"}},
		{"Authorization": {"Basic YTpi"}},
		{"Authorization": {"Bearer"}},
		{"X-Api-Key": {"wrong"}},
		{"X-Api-Key": {""}},
	} {
		r := get(path)
		r.Header = header
		res := do(t, nobody, http.StatusUnauthorized, r)
		if res.Error().Type != "NotAuthorizedException" || res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: want NotAuthorizedException and WWW-Authenticate, got %s %v", header, res, res.Header)
		}
		bodies = append(bodies, res.Error().Message)
	}
	if slices.Sort(bodies); bodies[0] != bodies[len(bodies)-1] {
		t.Errorf("the answers tell apart why: %q", bodies)
	}
	r := get(path)
	r.Header = http.Header{"X-Api-Key": {token}}
	do(t, nobody, http.StatusOK, r)
	for _, open := range []string{"/health", "/ready"} {
		do(t, nobody, http.StatusOK, get(open))
	}
	// A client that is configured with credentials asks here first, without any.
	res, err := nobody.Do(within(t, time.Minute), client.Request{
		Method: http.MethodPost, Path: "/v1/oauth/tokens", Body: "grant_type=client_credentials&client_id=a&client_secret=b",
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := res.Decode(&oauth); err != nil || oauth.Error == "" || oauth.Description == "" {
		t.Errorf("want an OAuth error with a description, got %s", res)
	}
}

// TestConfig holds what clients read first.
func TestConfig(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	var config struct {
		Defaults, Overrides map[string]string
		Endpoints           []string
	}
	for _, path := range []string{"/v1/config", "/v1/config?warehouse=default"} {
		if err := do(t, c, http.StatusOK, get(path)).Decode(&config); err != nil {
			t.Fatal(err)
		}
		if config.Overrides["prefix"] != "default" || config.Defaults == nil {
			t.Errorf("%s: defaults %v, overrides %v", path, config.Defaults, config.Overrides)
		}
		for _, endpoint := range []string{
			"GET /v1/{prefix}/namespaces", "POST /v1/{prefix}/namespaces",
			"GET /v1/{prefix}/namespaces/{namespace}", "HEAD /v1/{prefix}/namespaces/{namespace}", "DELETE /v1/{prefix}/namespaces/{namespace}",
			"POST /v1/{prefix}/namespaces/{namespace}/properties",
			"GET /v1/{prefix}/namespaces/{namespace}/tables", "POST /v1/{prefix}/namespaces/{namespace}/tables",
			"GET /v1/{prefix}/namespaces/{namespace}/tables/{table}", "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
			"POST /v1/{prefix}/namespaces/{namespace}/tables/{table}", "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
		} {
			if !slices.Contains(config.Endpoints, endpoint) {
				t.Errorf("%s does not list %s", path, endpoint)
			}
		}
	}
	refused(t, c, http.StatusNotFound, "NoSuchWarehouseException", get("/v1/config?warehouse=nowhere"))
}

// TestPages visits all tables exactly once, page by page through different
// nodes, while others come and go.
func TestPages(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	const tables = 25
	want := map[string]int{}
	for i := range tables {
		name := string(rune('a'+i)) + "_stays"
		do(t, c, http.StatusOK, client.CreateTableRequest(c, ns, name))
		want[name] = 0
	}
	var page struct {
		Identifiers []struct{ Name string }
		Next        string `json:"next-page-token"`
	}
	path := c.NamespacePath(ns) + "/tables"
	if err := do(t, c, http.StatusOK, get(path)).Decode(&page); err != nil {
		t.Fatal(err)
	}
	if len(page.Identifiers) != tables || page.Next != "" {
		t.Errorf("without a page token: %d of %d tables, next %q", len(page.Identifiers), tables, page.Next)
	}
	token := ""
	for n := 0; ; n++ {
		page.Identifiers, page.Next = nil, ""
		if err := do(t, c, http.StatusOK, get(path+"?pageSize=4&pageToken="+escapeQuery(token))).Decode(&page); err != nil {
			t.Fatal(err)
		}
		if len(page.Identifiers) > 4 {
			t.Fatalf("a page of %d", len(page.Identifiers))
		}
		for _, id := range page.Identifiers {
			want[id.Name]++
		}
		if token = page.Next; token == "" {
			break
		}
		if n > tables {
			t.Fatal("the pages do not end")
		}
		// Each page: one comes, one that was seen goes.
		do(t, c, http.StatusOK, client.CreateTableRequest(c, ns, "a_"+fresh("comes")))
	}
	for name, seen := range want {
		if strings.HasSuffix(name, "_stays") && seen != 1 {
			t.Errorf("%s was seen %d times", name, seen)
		}
	}
	// The token of one listing is none of another.
	other := namespace(t, c)
	do(t, c, http.StatusOK, client.CreateTableRequest(c, other, "zz"))
	if err := do(t, c, http.StatusOK, get(path+"?pageSize=4&pageToken=")).Decode(&page); err != nil {
		t.Fatal(err)
	}
	do(t, c, http.StatusBadRequest, get(c.NamespacePath(other)+"/tables?pageToken="+escapeQuery(page.Next)))
}
