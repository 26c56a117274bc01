package management_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/authz"
)

// FuzzRequests sends any path and any body to what operators' commands use. Whatever
// comes, nothing panics, nothing is our own failure, and an error is an error body.
func FuzzRequests(f *testing.F) {
	_, h := newNode(f)
	apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":["a"]}`}.Want(f, h, 200)
	methods := []string{"GET", "POST", "DELETE", "PUT"}
	for i, seed := range []struct{ path, body string }{
		{"/cluster", ""},
		{"/cluster/verify?deep=true", ""},
		{"/members", ""},
		{"/cluster/join", `{"addresses":["127.0.0.1:1"]}`},
		{"/cluster/transfer", `{"to":"n2"}`},
		{"/cluster/members/n2/promote", ""},
		{"/tasks?status=done&page_size=1&page_token=x", ""},
		{"/tasks/0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99/cancel", ""},
		{"/warehouses?page_size=0", ""},
		{"/warehouses/default", ""},
		{"/warehouses/default/namespaces/a/tables/t/verify", ""},
		{"/warehouses/default/namespaces/a%1Fb/tables/%2F/rebuild", ""},
		{"/warehouses/default/namespaces/a/tables/t/reports", ""},
	} {
		f.Add(uint8(i), seed.path, seed.body)
		f.Add(uint8(i+1), seed.path, `{"addresses":null,"to":7}`)
	}
	f.Fuzz(func(t *testing.T, method uint8, path, body string) {
		verb := methods[int(method)%len(methods)]
		r, err := http.NewRequest(verb, "http://h/management/v1"+path, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") || strings.Contains(path, "keyring") || strings.Contains(path, "support") {
			t.Skip("no HTTP server hands out such a request, or no cluster is behind it here")
		}
		r.Header.Set("X-Api-Key", apitest.KeyOf(authz.GroupAdmin))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case w.Code >= 500 && w.Code != http.StatusServiceUnavailable:
			t.Fatalf("%s %q %q: %d %s", verb, path, body, w.Code, w.Body)
		case w.Code >= 400:
			apitest.ErrorOf(t, w)
		}
	})
}
