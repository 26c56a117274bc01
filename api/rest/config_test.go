package rest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/rest/wire"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	for _, query := range []string{"", "?warehouse=", "?warehouse=default", "?warehouse=default&more=1"} {
		w := ask{method: "GET", path: "/v1/config" + query}.want(t, h, 200)
		got := decode[wire.Config](t, w)
		if diff := cmp.Diff(map[string]string{"prefix": "default", "namespace-separator": "%1F"}, got.Overrides); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
		if got.Defaults == nil || got.IdempotencyKeyLifetime != "PT30M" {
			t.Errorf("%q: %s", query, w.Body)
		}
		if w.Header().Get("Floeberg-Index") == "" || w.Header().Get("Floeberg-Node") != "n1" {
			t.Errorf("%q: headers %v", query, w.Header())
		}
	}
	ask{method: "GET", path: "/v1/config?warehouse=nowhere"}.wantError(t, h, 404, "NoSuchWarehouseException")
	ask{method: "GET", path: "/v1/config?warehouse=default&warehouse=other"}.wantError(t, h, 400, "BadRequestException")
	ask{method: "GET", path: "/v1/config?warehouse=%zz"}.wantError(t, h, 400, "BadRequestException")
	ask{method: "GET", path: "/v1/config?a;b"}.wantError(t, h, 400, "BadRequestException")
}

func TestConfigWithoutIdempotency(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1", func(o *nodeOptions) { o.IdempotencyLifetime = 0 })
	w := ask{method: "GET", path: "/v1/config"}.want(t, h, 200)
	if strings.Contains(w.Body.String(), "idempotency") {
		t.Errorf("clients are told of keys that are not kept: %s", w.Body)
	}
}

// What clients are told is what is served, and the other way round, but for
// what is only refused with a good word.
func TestEndpointsAreTheRoutes(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	told := decode[wire.Config](t, ask{method: "GET", path: "/v1/config"}.want(t, h, 200)).Endpoints
	var served []string
	for _, r := range h.(*gin.Engine).Routes() {
		if !strings.HasPrefix(r.Path, "/v1/") || r.Path == "/v1/oauth/tokens" {
			continue
		}
		parts := strings.Split(r.Path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		served = append(served, r.Method+" "+strings.Join(parts, "/"))
	}
	names := strings.NewReplacer("{prefix}", "default", "{namespace}", "a", "{table}", "t", "{", "", "}", "")
	served = slices.DeleteFunc(served, func(endpoint string) bool {
		method, path, _ := strings.Cut(endpoint, " ")
		return ask{method: method, path: names.Replace(path)}.of(h).Code == http.StatusNotAcceptable
	})
	slices.Sort(told)
	slices.Sort(served)
	if diff := cmp.Diff(served, told); diff != "" {
		t.Error(diff)
	}
	if len(slices.Compact(told)) != 26 {
		t.Errorf("%d endpoints", len(told))
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/config", "/v1/config/", "/v1/default/namespaces/", "/v1//namespaces", "/v1/default/namespaces//tables", "/v1/default/namespaces//tables/t",
		"/v1/default/namespaces/a/tables/", "/v1/default/namespaces/a/tables/t/u", "/v1/default/namespaces/a/b/tables", "//v1/config",
		"/metrics",
	} {
		body := ask{method: "GET", path: path}.wantError(t, h, 404, "NoSuchEndpointException")
		if strings.Contains(body.Error.Message, path) && path != "/" {
			t.Errorf("%s is echoed: %s", path, body.Error.Message)
		}
	}
	w := ask{method: "PUT", path: "/v1/config"}.want(t, h, 405)
	if got := w.Header().Get("Allow"); got != "GET" {
		t.Errorf("allowed: %q", got)
	}
	ask{method: "GET", path: "/v1/oauth/tokens"}.wantError(t, h, 405, "MethodNotAllowedException")
	ask{method: "BREW", path: "/v1/default/namespaces/a"}.wantError(t, h, 405, "MethodNotAllowedException")
}

func TestTokenEndpointHelps(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	w := ask{method: "POST", path: "/v1/oauth/tokens", as: "-", body: "grant_type=client_credentials"}.of(h)
	got := decode[wire.OAuthError](t, w)
	if w.Code != 400 || got.Error != "unsupported_grant_type" || !strings.Contains(got.Description, "token") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := rest.Routes(rest.Options{}); err == nil {
		t.Error("routes without a catalog were made")
	}
}
