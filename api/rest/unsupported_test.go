package rest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What the protocol has and we have not is 406 to whoever may look at the
// table, and is not advertised.
func TestUnsupportedOperations(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	config := decode[struct{ Endpoints []string }](t, ask{method: "GET", path: "/v1/config"}.want(t, h, 200))
	for _, tc := range []struct{ method, path string }{
		{"GET", tables + "/t/credentials"},
		{"POST", tables + "/t/sign"},
		{"POST", tables + "/t/plan"},
		{"GET", tables + "/t/plan/1"},
		{"DELETE", tables + "/t/plan/1"},
		{"POST", tables + "/t/tasks"},
		{"GET", "/v1/default/namespaces/a/functions"},
		{"GET", "/v1/default/namespaces/a/functions/f"},
	} {
		a := ask{method: tc.method, path: tc.path}
		if tc.method == "POST" {
			a.body = "{}"
		}
		a.wantError(t, h, http.StatusNotAcceptable, "UnsupportedOperationException")
		a.as = "auditor"
		a.want(t, h, http.StatusNotFound)
		last := tc.path[strings.LastIndex(tc.path, "/"):]
		if slices.ContainsFunc(config.Endpoints, func(e string) bool { return strings.HasPrefix(e, tc.method) && strings.HasSuffix(e, last) }) {
			t.Errorf("%s %s is advertised", tc.method, tc.path)
		}
	}
}
