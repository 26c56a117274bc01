package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/ops/audit"
)

// people has a column that must not be seen, and rows that must not.
const peopleSchema = `{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","type":"long","required":true},{"id":2,"name":"ssn","type":"string","required":false},` +
	`{"id":3,"name":"region","type":"string","required":false}]}`

func peopleBody(name string) string {
	return `{"name":"` + name + `","schema":` + peopleSchema + `}`
}

// restrictedPolicies let admins see everything, analysts only people of the EU, and those in
// support no numbers; writers, who are not restricted, may be any of them too.
const restrictedPolicies = `
	@id("admin") permit (principal in Floeberg::Group::"admin", action, resource);
	@id("writer") permit (principal in Floeberg::Group::"writer", action in [Floeberg::Action::"Read", Floeberg::Action::"Write"], resource);
	@id("analyst")
	@row_filter("{\"type\":\"eq\",\"term\":\"region\",\"value\":\"EU\"}")
	permit (principal in Floeberg::Group::"analyst", action in Floeberg::Action::"Read", resource);
	@id("support")
	@column_mask("{\"ssn\":\"show-last-4\"}")
	permit (principal in Floeberg::Group::"support", action in Floeberg::Action::"Read", resource);`

const (
	onlyEU = `{"type":"eq","left":{"type":"reference","id":3},"right":{"type":"literal","value":"EU"}}`
	noSSN  = `[{"field-id":2,"action":"show-last-4"}]`
)

// keeps is what a client sends that keeps to restrictions.
var keeps = http.Header{"X-Iceberg-Client-Capabilities": {"vended-credentials, Read-Restrictions"}}

func handsOut(o *nodeOptions) { o.ReadRestrictions = true }

// restrictedSite has a table of people, and keys of those who may see parts of it.
func restrictedSite(t testing.TB, adjust ...func(*nodeOptions)) (*site, http.Handler) {
	t.Helper()
	s := newSite(t)
	h := s.node("n1", append([]func(*nodeOptions){handsOut}, adjust...)...)
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: peopleBody("t")}.want(t, h, 200)
	s.PutPolicies("", restrictedPolicies)
	s.giveKey("analyst", "analyst")
	s.giveKey("support", "support")
	s.giveKey("both", "analyst", "support")
	s.giveKey("etl", "writer", "analyst")
	return s, h
}

// restrictionsOf are those in an answer; "" is none.
func restrictionsOf(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		Restrictions json.RawMessage `json:"read-restrictions"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return string(body.Restrictions)
}

func TestReadersAreToldWhatTheyMustNotRead(t *testing.T) {
	t.Parallel()
	_, h := restrictedSite(t)
	for who, want := range map[string]string{
		"admin": "", "writer": "",
		"analyst": `{"required-row-filter":` + onlyEU + `}`,
		"support": `{"required-column-projections":` + noSSN + `}`,
		"both":    `{"required-column-projections":` + noSSN + `,"required-row-filter":` + onlyEU + `}`,
		// That writers may read everything takes nothing away.
		"etl": `{"required-row-filter":` + onlyEU + `}`,
	} {
		if got := restrictionsOf(t, ask{method: "GET", path: table, as: who, header: keeps}.want(t, h, 200)); got != want {
			t.Errorf("%s is told %s, want %s", who, got, want)
		}
	}
}

// A reader that does not say that it keeps to them is shown nothing, and why.
func TestWhoDoesNotKeepToRestrictionsIsShownNothing(t *testing.T) {
	t.Parallel()
	s, h := restrictedSite(t)
	for name, header := range map[string]http.Header{
		"nothing": nil, "other words": {"X-Iceberg-Client-Capabilities": {"vended-credentials", "read-restrictions-not"}}, "empty": {"X-Iceberg-Client-Capabilities": {""}},
	} {
		e := ask{method: "GET", path: table, as: "analyst", header: header}.wantError(t, h, 403, "ForbiddenException")
		if !strings.Contains(e.Error.Message, "X-Iceberg-Client-Capabilities: read-restrictions") || strings.Contains(e.Error.Message, "EU") {
			t.Errorf("%s: %s", name, e.Error.Message)
		}
	}
	ask{method: "GET", path: table, as: "writer"}.want(t, h, 200)
	// It is known to be there, and is in listings.
	ask{method: "HEAD", path: table, as: "analyst"}.want(t, h, 204)
	if w := (ask{method: "GET", path: tables, as: "analyst"}).want(t, h, 200); !strings.Contains(w.Body.String(), `"name":"t"`) {
		t.Errorf("listed: %s", w.Body)
	}
	// What can't be seen at all looks like what is not there, restricted or not.
	s.giveKey("stranger", "nobody")
	ask{method: "GET", path: table, as: "stranger", header: keeps}.wantError(t, h, 404, "NoSuchWarehouseException")
}

// A node that hands out no restrictions shows such tables to nobody whom they are for,
// though the policies came in through another.
func TestANodeThatHandsOutNone(t *testing.T) {
	t.Parallel()
	s, _ := restrictedSite(t)
	off := s.node("n2")
	e := ask{method: "GET", path: table, as: "analyst", header: keeps}.wantError(t, off, 403, "ForbiddenException")
	if !strings.Contains(e.Error.Message, "--read-restrictions is off") {
		t.Errorf("got %s", e.Error.Message)
	}
	ask{method: "POST", path: table, as: "etl", body: setProperty("k", "v"), header: keeps}.wantError(t, off, 403, "ForbiddenException")
	ask{method: "GET", path: table, as: "writer"}.want(t, off, 200)
}

// Whatever shows a table is restricted as a load is, and what is refused has changed nothing.
func TestAllAnswersThatShowATable(t *testing.T) {
	t.Parallel()
	_, h := restrictedSite(t)
	want := `{"required-row-filter":` + onlyEU + `}`
	location := ""
	for _, a := range []struct {
		name string
		ask
	}{
		{"create", ask{method: "POST", path: tables, body: peopleBody("u")}},
		{"stage", ask{method: "POST", path: tables, body: `{"stage-create":true,"name":"v","schema":` + peopleSchema + `}`}},
		{"commit", ask{method: "POST", path: table, body: setProperty("k", "v")}},
		{"unregister", ask{method: "POST", path: tables + "/u/unregister"}},
		{"register", ask{method: "POST", path: "/v1/default/namespaces/a/register", body: `{"name":"w","metadata-location":"LOCATION"}`}},
	} {
		a.as, a.body = "etl", strings.Replace(a.body, "LOCATION", location, 1)
		a.wantError(t, h, 403, "ForbiddenException")
		a.header = keeps
		w := a.want(t, h, 200)
		if got := restrictionsOf(t, w); got != want {
			t.Errorf("%s: %s, want %s", a.name, got, want)
		}
		if a.name == "unregister" {
			location = *decode[loaded](t, w).MetadataLocation
		}
	}
	// A commit that makes the restriction not fit takes place, and its answer shows no row.
	gone := ask{method: "POST", path: table, as: "etl", header: keeps, body: `{"requirements":[],"updates":[{"action":"add-schema","schema":` +
		`{"type":"struct","fields":[{"id":1,"name":"id","type":"long","required":true}]}},{"action":"set-current-schema","schema-id":-1}]}`}.want(t, h, 200)
	if got := restrictionsOf(t, gone); got != `{"required-row-filter":false}` {
		t.Errorf("got %s", got)
	}
	e := ask{method: "GET", path: table, as: "etl", header: keeps}.wantError(t, h, 403, "ForbiddenException")
	if !strings.Contains(e.Error.Message, "does not fit") {
		t.Errorf("got %s", e.Error.Message)
	}
	ask{method: "GET", path: table, as: "writer"}.want(t, h, 200)
}

// A writer who renames the column that a policy names, or puts another in its place,
// does not get at it, nor lets others.
func TestRenamedColumnsStayMasked(t *testing.T) {
	t.Parallel()
	_, h := restrictedSite(t)
	schema := func(fields string) {
		t.Helper()
		ask{method: "POST", path: table, as: "writer", body: `{"requirements":[],"updates":[{"action":"add-schema","schema":{"type":"struct","fields":[` +
			`{"id":1,"name":"id","type":"long","required":true},{"id":3,"name":"region","type":"string","required":false},` + fields + `]}},{"action":"set-current-schema","schema-id":-1}]}`}.want(t, h, 200)
	}
	told := func() string {
		t.Helper()
		return restrictionsOf(t, ask{method: "GET", path: table, as: "support", header: keeps}.want(t, h, 200))
	}
	schema(`{"id":2,"name":"harmless","type":"string","required":false}`)
	if got, want := told(), `{"required-column-projections":`+noSSN+`}`; got != want {
		t.Errorf("renamed: %s", got)
	}
	schema(`{"id":2,"name":"harmless","type":"string","required":false},{"id":4,"name":"ssn","type":"string","required":false}`)
	if got, want := told(), `{"required-column-projections":[{"field-id":2,"action":"show-last-4"},{"field-id":4,"action":"show-last-4"}]}`; got != want {
		t.Errorf("another in its place: %s", got)
	}
	// As the filter's column it could be either: nobody can tell which rows were meant.
	schema(`{"id":2,"name":"region2","type":"string","required":false}`)
	ask{method: "POST", path: table, as: "writer", body: `{"requirements":[],"updates":[{"action":"add-schema","schema":{"type":"struct","fields":[` +
		`{"id":1,"name":"id","type":"long","required":true},{"id":3,"name":"old","type":"string","required":false},{"id":5,"name":"region","type":"string","required":false}]}},{"action":"set-current-schema","schema-id":-1}]}`}.want(t, h, 200)
	ask{method: "GET", path: table, as: "analyst", header: keeps}.wantError(t, h, 403, "ForbiddenException")
}

// Who is restricted otherwise has another tag, and 304 is only for who may still be
// shown what it has.
func TestTagsTellRestrictionsApart(t *testing.T) {
	t.Parallel()
	s, h := restrictedSite(t)
	load := ask{method: "GET", path: table, as: "analyst", header: keeps}
	tag := load.want(t, h, 200).Header().Get("ETag")
	again := func(tag string) ask {
		a := load
		a.header = keeps.Clone()
		a.header.Set("If-None-Match", tag)
		return a
	}
	again(tag).want(t, h, 304)
	if other := load.want(t, s.node("n2", handsOut), 200).Header().Get("ETag"); other != tag {
		t.Errorf("another node has tag %s", other)
	}
	unannounced := again(tag)
	unannounced.header.Del("X-Iceberg-Client-Capabilities")
	unannounced.wantError(t, h, 403, "ForbiddenException")
	again("*").want(t, h, 304)

	s.PutPolicies("", strings.Replace(restrictedPolicies, `\"EU\"`, `\"US\"`, 1))
	w := again(tag).want(t, h, 200)
	if w.Header().Get("ETag") == tag || !strings.Contains(restrictionsOf(t, w), "US") {
		t.Errorf("the same tag with other rows: %s", w.Body)
	}
	s.PutPolicies("", strings.Replace(restrictedPolicies, `"analyst", action`, `"others", action`, 1))
	again(tag).wantError(t, h, 404, "NoSuchWarehouseException")
	if vary := w.Header().Get("Vary"); !strings.Contains(vary, "X-Iceberg-Client-Capabilities") {
		t.Errorf("Vary: %s", vary)
	}
}

// The record names policies and not what they say.
func TestRestrictionsOnRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, sink := audited(t, s, handsOut)
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: peopleBody("t")}.want(t, h, 200)
	s.PutPolicies("", restrictedPolicies)
	s.giveKey("analyst", "analyst")
	s.giveKey("etl", "writer", "analyst")
	ask{method: "GET", path: table, as: "analyst"}.wantError(t, h, 403, "ForbiddenException")
	ask{method: "POST", path: tables, as: "etl", body: peopleBody("u"), header: keeps}.want(t, h, 200)
	denied, allowed := false, false
	for _, r := range find(t, log, audit.Query{}, audit.Position{}, 1000) {
		if len(r.Restrictions) == 0 {
			continue
		}
		if len(r.Restrictions) != 1 || r.Restrictions[0] != "cluster/analyst" || r.Action != "LoadTable" || r.PolicyVersion != "cluster@1" {
			t.Errorf("got %+v", r)
		}
		denied = denied || r.Decision == audit.Deny
		allowed = allowed || r.Decision == audit.Allow
	}
	if !denied || !allowed {
		t.Errorf("denied %v, allowed %v", denied, allowed)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if strings.Contains(sink.lines.String(), "EU") || strings.Contains(sink.lines.String(), "region") {
		t.Error("what a policy says is on record")
	}
}

// Whatever will hand out credentials for files asks first, and is told no for who can't
// keep to what is restricted.
func TestNoCredentialsForFilesThatMayBeReadInPart(t *testing.T) {
	t.Parallel()
	s, _ := restrictedSite(t)
	onT := authz.Resource{Kind: authz.KindTable, Warehouse: "default", Namespace: []string{"a"}, Name: "t"}
	opts := s.Options("n2")
	opts.ReadRestrictions = true
	h := s.Handler(opts, []serve.Route{{
		Method: http.MethodPost, Path: "/keys-to-files", Action: authz.ActionLoadTable, Resource: func(*serve.Call) authz.Resource { return onT },
		Handle: func(ctx context.Context, c *serve.Call) (*serve.Reply, error) {
			if err := c.Credentials(ctx, "test", onT); err != nil {
				return nil, err
			}
			return serve.NoContent(0), nil
		},
	}})
	give := ask{method: "POST", path: "/keys-to-files", as: "writer"}
	give.want(t, h, 204)
	give.as = "analyst"
	give.wantError(t, h, 403, "ForbiddenException")
	give.header = keeps
	give.want(t, h, 204)
}
