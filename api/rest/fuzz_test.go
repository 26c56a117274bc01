package rest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRequests sends any path and any body to every operation. Whatever comes,
// nothing panics, nothing is our own failure, and an error is an error body.
func FuzzRequests(f *testing.F) {
	s := newSite(f)
	h := s.node("n1")
	createNamespace(f, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(f, h, 200)
	ask{method: "POST", path: views, body: createViewBody("v", "select 1")}.want(f, h, 200)
	methods := []string{"GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"}
	for i, seed := range []struct{ path, body string }{
		{"/v1/config?warehouse=default", ""},
		{"/v1/default/namespaces?parent=a&pageToken=&pageSize=1", ""},
		{"/v1/default/namespaces", `{"namespace":["b"],"properties":{"k":"v","location":"file:///x"}}`},
		{"/v1/default/namespaces/a%1Fb/properties", `{"removals":["k"],"updates":{"location":""}}`},
		{"/v1/default/namespaces/a/tables", createTableBody("u")},
		{"/v1/default/namespaces/a/tables", `{"name":"v","stage-create":true,"location":"s3://b","partition-spec":{"fields":[{"source-id":1,"transform":"bucket[2]","name":"p"}]},"write-order":{},"schema":` + oneColumn + `}`},
		{"/v1/default/namespaces/a/tables/t?snapshots=refs", `{"requirements":[{"type":"assert-create"}],"updates":[{"action":"assign-uuid","uuid":"x"}]}`},
		{"/v1/default/namespaces/a/tables/t", `{"requirements":[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":null}],"updates":[{"action":"add-snapshot","snapshot":{"snapshot-id":1,"timestamp-ms":1,"manifest-list":"m","summary":{"operation":"append"},"sequence-number":1}},{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":1}]}`},
		{"/v1/default/namespaces/a/tables/t", `{"updates":[{"action":"set-location","location":"file:///etc"},{"action":"upgrade-format-version","format-version":3}]}`},
		{"/v1/default/namespaces/a/tables/t?purgeRequested=True", ""},
		{transactions, transaction("t", "u")},
		{transactions, `{"table-changes":[{"identifier":{"namespace":["a"],"name":"n"},"requirements":[{"type":"assert-create"}],"updates":[{"action":"add-schema","schema":` + oneColumn + `}]}]}`},
		{renameTable, renameBody("t", "u")},
		{register, `{"name":"r","metadata-location":"file:///etc/passwd","overwrite":true}`},
		{register, registerBody("r", s.write(f, "reg", "x"))},
		{table + "/unregister", ""},
		{table + "/metrics", commitReport},
		{table + "/metrics", scanReport},
		{"/v1/default/namespaces/a/views?pageToken=x", createViewBody("w", "select 2")},
		{"/v1/default/namespaces/a/views", `{"name":"t","location":"file:///x","properties":{"write.metadata.path":"s3://b"},"schema":` + oneColumn + `,"view-version":` + viewVersion("select 1") + `}`},
		{"/v1/default/namespaces/a/views/v", newQuery("select 3")},
		{"/v1/default/namespaces/a/views/v", `{"requirements":[{"type":"assert-view-uuid","uuid":"x"}],"updates":[{"action":"set-location","location":"file:///etc"},{"action":"remove-properties","removals":["k"]}]}`},
		{registerView, registerBody("r", s.root+"/default/x.metadata.json")},
		{renameView, renameBody("v", "w")},
		{"/v1/%2F/namespaces/%00/tables/%FF", ""},
		{"/v1//namespaces//tables", "{}"},
		{"/%2e%2e/v1/../config", "null"},
	} {
		f.Add(uint8(i), seed.path, seed.body, "0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99", `"tag"`)
		f.Add(uint8(i+2), seed.path, seed.body, "", "*")
	}
	f.Fuzz(func(t *testing.T, method uint8, path, body, idempotency, tag string) {
		verb := methods[int(method)%len(methods)]
		r, err := http.NewRequest(verb, "http://h"+path, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") || !utf8.ValidString(r.URL.Host) {
			t.Skip("no HTTP server hands out such a request")
		}
		r.Header.Set("X-Api-Key", keyOf("admin"))
		r.Header["Idempotency-Key"] = []string{idempotency}
		r.Header["If-None-Match"] = []string{tag}
		r.Header["X-Iceberg-Access-Delegation"] = []string{tag}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case w.Code >= 500:
			t.Fatalf("%s %q %q: %d %s", verb, path, body, w.Code, w.Body)
		case w.Code >= 400 && verb != "HEAD" && !strings.HasPrefix(path, "/v1/oauth/tokens"):
			errorOf(t, w)
		case w.Code == 301 || w.Code == 307:
			t.Fatalf("%s %q: redirected", verb, path)
		}
		if w.Header().Get("X-Request-Id") == "" || w.Header().Get("Floeberg-Node") != "n1" {
			t.Fatalf("%s %q: headers %v", verb, path, w.Header())
		}
	})
}
