package rest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

func TestCredentialsOfAllForms(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	good := keyOf("reader")
	for _, tc := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"bearer", http.Header{"Authorization": {"Bearer " + good}}, 200},
		{"bearer in lower case", http.Header{"Authorization": {"bearer  " + good + " "}}, 200},
		{"key header", http.Header{"X-Api-Key": {good}}, 200},
		{"a proxy's scheme and a key", http.Header{"Authorization": {"Basic abc"}, "X-Api-Key": {good}}, 200},
		{"bearer beats key header", http.Header{"Authorization": {"Bearer wrong"}, "X-Api-Key": {good}}, 401},
		{"nothing", nil, 401},
		{"wrong", http.Header{"Authorization": {"Bearer " + good + "x"}}, 401},
		{"empty", http.Header{"Authorization": {"Bearer "}}, 401},
		{"another scheme", http.Header{"Authorization": {"Basic " + good}}, 401},
		{"no scheme", http.Header{"Authorization": {good}}, 401},
		{"twice", http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}, 401},
		{"key twice", http.Header{"X-Api-Key": {good, good}}, 401},
		{"key id", http.Header{"X-Api-Key": {"id-reader"}}, 401},
	} {
		w := ask{method: "GET", path: "/v1/config", as: "-", header: tc.header}.of(h)
		if w.Code != tc.status {
			t.Errorf("%s: %d %s", tc.name, w.Code, w.Body)
		}
	}
}

// Whatever is wrong with credentials, and with the rest of the request, the
// answer is one and the same.
func TestOne401(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put(state.APIKeyKey(authn.HashKey(keyOf("old"))), encode(t, &state.APIKey{Id: "old", Groups: []string{"admin"}, ExpiresMs: 1}))
	s.put(state.APIKeyKey(authn.HashKey(keyOf("revoked"))), encode(t, &state.APIKey{Id: "revoked", Groups: []string{"admin"}, RevokedMs: 1}))
	s.giveKey("gone", "admin")
	s.revokeKey("gone")
	var mu sync.Mutex
	reasons := map[string]int{}
	h := s.node("n1", func(o *nodeOptions) {
		o.Events.AuthFailed = func(reason string) { mu.Lock(); reasons[reason]++; mu.Unlock() }
	})
	want := ""
	for _, as := range []string{"-", "nobody", "old", "revoked", "gone"} {
		for _, a := range []ask{
			{method: "GET", path: "/v1/config"},
			{method: "GET", path: "/v1/config?warehouse=nowhere"},
			{method: "GET", path: "/v1/config?warehouse=%zz"},
			{method: "GET", path: "/v1/default/namespaces?pageSize=x"},
			{method: "POST", path: "/v1/default/namespaces", body: "junk"},
			{method: "POST", path: table, body: "junk", header: key("junk")},
			{method: "DELETE", path: table},
		} {
			a.as = as
			w := a.want(t, h, 401)
			if want == "" {
				want = w.Body.String()
			}
			if w.Body.String() != want || w.Header().Get("WWW-Authenticate") != `Bearer realm="floeberg"` {
				t.Errorf("%s %s as %s: %v %s", a.method, a.path, as, w.Header(), w.Body)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"missing": 7, "unknown": 14, "expired": 7, "revoked": 7}, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	denied := map[string]bool{}
	s := newSite(t)
	h := s.node("n1", func(o *nodeOptions) {
		o.Events.Denied = func(action string) { mu.Lock(); denied[action] = true; mu.Unlock() }
	})
	createNamespace(t, h, "a")
	made := decode[loaded](t, ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200))
	created := ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(t, h, 200)
	reads := []ask{
		{method: "GET", path: "/v1/config"}, {method: "GET", path: "/v1/default/namespaces"},
		{method: "GET", path: "/v1/default/namespaces?parent=a"},
		{method: "GET", path: "/v1/default/namespaces/a"}, {method: "HEAD", path: "/v1/default/namespaces/a"},
		{method: "GET", path: tables}, {method: "GET", path: table}, {method: "HEAD", path: table},
		{method: "POST", path: table + "/metrics", body: commitReport},
		{method: "GET", path: views}, {method: "GET", path: view}, {method: "HEAD", path: view},
	}
	writes := []ask{
		{method: "POST", path: "/v1/default/namespaces", body: `{"namespace":["b"]}`},
		{method: "POST", path: "/v1/default/namespaces/a/properties", body: `{}`},
		{method: "POST", path: tables, body: createTableBody("u")},
		{method: "POST", path: table, body: setProperty("a", "b")},
		{method: "POST", path: transactions, body: transaction("t")},
		{method: "POST", path: renameTable, body: renameBody("t", "r")}, {method: "POST", path: renameTable, body: renameBody("r", "t")},
		{method: "POST", path: table + "/unregister"}, {method: "POST", path: register, body: registerBody("t", *made.MetadataLocation)},
		{method: "DELETE", path: table}, {method: "DELETE", path: tables + "/u"},
		{method: "POST", path: views, body: createViewBody("w", "select 1")},
		{method: "POST", path: view, body: newQuery("select 2")},
		{method: "POST", path: renameView, body: renameBody("v", "x")},
		{method: "DELETE", path: views + "/w"}, {method: "DELETE", path: views + "/x"},
		{method: "POST", path: registerView, body: registerBody("v", locationOf(t, created))}, {method: "DELETE", path: view},
		{method: "DELETE", path: "/v1/default/namespaces/a"},
	}
	s.giveKey("outsider", "nobodies")
	for _, a := range writes {
		a.as = "reader"
		a.wantError(t, h, 403, "ForbiddenException")
		// Who may not even see it is told that it is not there.
		for _, as := range []string{"auditor", "outsider"} {
			a.as = as
			a.wantError(t, h, 404, "NoSuchWarehouseException")
		}
	}
	for _, a := range reads {
		for _, as := range []string{"auditor", "outsider"} {
			a.as = as
			a.want(t, h, 404)
		}
		for _, as := range []string{"reader", "writer", "admin"} {
			a.as = as
			if w := a.of(h); w.Code >= 300 {
				t.Errorf("%s %s as %s: %d", a.method, a.path, as, w.Code)
			}
		}
	}
	for _, a := range writes {
		a.as = "writer"
		if w := a.of(h); w.Code >= 300 {
			t.Errorf("%s %s: %d %s", a.method, a.path, w.Code, w.Body)
		}
	}
	// One action for each route, but HEAD shares its GET's.
	if len(denied) != 22 {
		t.Errorf("denied: %v", denied)
	}
}

// Who may not read can't tell what is there from what is not.
func TestNoOracle(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(t, h, 200)
	for _, pair := range [][2]string{
		{table, tables + "/nothing"},
		{views, "/v1/default/namespaces/nothing/views"},
		{views + "/v", views + "/nothing"},
		{"/v1/default/namespaces/a", "/v1/default/namespaces/nothing"},
		{"/v1/default/namespaces?parent=a", "/v1/default/namespaces?parent=nothing"},
		{"/v1/config?warehouse=default", "/v1/config?warehouse=nowhere"},
	} {
		there := ask{method: "GET", path: pair[0], as: "auditor"}.want(t, h, 404)
		not := ask{method: "GET", path: pair[1], as: "auditor"}.want(t, h, 404)
		if there.Body.String() != strings.ReplaceAll(not.Body.String(), "nowhere", "default") {
			t.Errorf("%s: %s, %s: %s", pair[0], there.Body, pair[1], not.Body)
		}
	}
}

// A right that is taken away while a request is under way is not used any more.
func TestRightTakenAwayMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	plain := s.node("n0")
	createNamespace(t, plain, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, plain, 200)
	var meanwhile func()
	h := s.node("n1", func(o *nodeOptions) {
		o.Catalog = spy{
			Catalog: o.Catalog,
			load:    func(context.Context) (*catalog.Table, error) { meanwhile(); return nil, nil },
			commit: func(context.Context, catalog.Change, catalog.CommitTable) (*catalog.Table, error) {
				meanwhile()
				return nil, nil
			},
		}
	})
	once := func(f func()) func() {
		var o sync.Once
		return func() { o.Do(f) }
	}
	load := ask{method: "GET", path: table, as: "w"}
	commit := ask{method: "POST", path: table, as: "w", body: setProperty("k", "v")}
	miss := ask{method: "GET", path: tables + "/nothing", as: "w"}
	for _, a := range []ask{load, commit, miss} {
		s.giveKey("w", "writer")
		meanwhile = once(func() { s.revokeKey("w") })
		a.wantError(t, h, 401, "NotAuthorizedException")

		s.giveKey("w", "writer")
		meanwhile = once(func() { s.giveKey("w", "auditor") })
		a.wantError(t, h, 404, "NoSuchWarehouseException")
	}
	// By other policies it is no different.
	harmless := map[string]string{"": cedar.DefaultText, "default": ""}
	for scope, text := range harmless {
		for _, a := range []ask{load, commit, miss} {
			s.giveKey("w", "writer")
			meanwhile = once(func() { s.PutPolicies(scope, `forbid (principal, action, resource);`) })
			a.want(t, h, 404)
			s.PutPolicies(scope, text)
		}
	}
	// A change that leaves the right leads to the answer, judged anew.
	for scope, text := range harmless {
		for _, a := range []ask{load, commit} {
			meanwhile = once(func() { s.PutPolicies(scope, text) })
			a.want(t, h, 200)
		}
	}
	for _, a := range []ask{load, commit} {
		s.giveKey("w", "writer")
		meanwhile = once(func() { s.giveKey("w", "admin") })
		a.want(t, h, 200)
	}
	// One that never ends to change is told to come again; nothing was changed.
	meanwhile = func() { s.giveKey("w", "admin") }
	commit.header = key(uuid.NewString())
	for _, a := range []ask{load, commit} {
		if w := a.want(t, h, 503); w.Header().Get("Retry-After") != "1" {
			t.Errorf("%v", w.Header())
		}
	}
	// And the refusal is not what its Idempotency-Key stands for.
	meanwhile = func() {}
	commit.want(t, h, 200)
	// A read that asks for less does not pay for the proof.
	s.giveKey("w", "writer")
	meanwhile = once(func() { s.revokeKey("w") })
	load.header = http.Header{"Floeberg-Consistency": {"stale"}}
	load.want(t, h, 200)
	// One that bounds how old it may be bounds that of the right, too.
	s.giveKey("w", "writer")
	meanwhile = once(func() { s.revokeKey("w") })
	load.header = http.Header{"Floeberg-Consistency": {"bounded"}}
	load.wantError(t, h, 401, "NotAuthorizedException")
}

type brokenAuthn struct{ authn.Off }

func (brokenAuthn) Authenticate(context.Context, authn.Credentials) (authz.Principal, error) {
	return authz.Principal{}, errors.Join(authn.ErrUnavailable, errors.New("no leader at 10.0.0.1"))
}

// Java clients never repeat after 401: what can't be told now is a 503.
func TestAuthenticationUnavailable(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) { o.Authenticator = brokenAuthn{} })
	w := ask{method: "GET", path: "/v1/config"}.want(t, h, 503)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAuthenticationOff(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) { o.Authenticator = authn.Off{} })
	ask{method: "POST", path: "/v1/default/namespaces", as: "-", body: `{"namespace":["a"]}`}.want(t, h, 200)
	ask{method: "GET", path: "/v1/config", as: "nobody"}.want(t, h, 200)
}

func TestProbesNeedNoKey(t *testing.T) {
	t.Parallel()
	var unready error
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.Ready = func() error { return unready }
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	})
	for _, method := range []string{"GET", "HEAD"} {
		ask{method: method, path: "/health", as: "-"}.want(t, h, 200)
		ask{method: method, path: "/ready", as: "-"}.want(t, h, 200)
	}
	unready = errors.New("this node is draining")
	ask{method: "GET", path: "/health", as: "-"}.want(t, h, 200)
	body := ask{method: "GET", path: "/ready", as: "-"}.wantError(t, h, 503, "ServiceUnavailableException")
	if body.Error.Message != "not ready: this node is draining" {
		t.Errorf("%q", body.Error.Message)
	}
	if w := (ask{method: "GET", path: "/metrics", as: "-"}).want(t, h, 200); w.Body.String() != "up 1\n" {
		t.Errorf("%q", w.Body)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	type bridged struct{}
	var seen, bridge string
	h := newSite(t).node("n1", func(o *nodeOptions) {
		o.RequestContext = func(ctx context.Context, id string) context.Context {
			return context.WithValue(ctx, bridged{}, id)
		}
		o.Catalog = spy{Catalog: o.Catalog, load: func(ctx context.Context) (*catalog.Table, error) {
			seen = middleware.RequestID(ctx)
			bridge, _ = ctx.Value(bridged{}).(string)
			return nil, nil
		}}
	})
	w := ask{method: "GET", path: table, header: http.Header{"X-Request-Id": {"job-7/step:1"}}}.want(t, h, 404)
	if w.Header().Get("X-Request-Id") != "job-7/step:1" || seen != "job-7/step:1" || bridge != seen {
		t.Errorf("%v, %q, %q", w.Header(), seen, bridge)
	}
	for _, path := range []string{"/nowhere", "/health", "/v1/config", table} {
		w := ask{method: "GET", path: path, header: http.Header{"X-Request-Id": {"not sane\n"}}}.of(h)
		if id := w.Header().Get("X-Request-Id"); len(id) != 36 {
			t.Errorf("%s: %q", path, id)
		}
	}
}
