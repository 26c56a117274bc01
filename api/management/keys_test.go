package management_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
)

const keys = "/management/v1/keys"

// with asks with a key of its own.
func with(h http.Handler, key, method, path string) int {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("X-API-Key", key)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// The life of a key over two nodes: what one of them is told holds on the other.
func TestKeysOverHTTP(t *testing.T) {
	t.Parallel()
	s, here := newNode(t)
	there := node(s, "n2")
	post := func(path, body string) apitest.Ask { return apitest.Ask{Method: "POST", Path: path, Body: body} }

	w := post(keys, `{"name":"etl","groups":["reader"],"expires_in_seconds":3600.0}`).Want(t, here, 200)
	made := apitest.Decode[management.NewKey](t, w)
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("an answer with a secret may be kept: %s", got)
	}
	if !strings.HasPrefix(made.Key, "fb_") || !strings.HasPrefix(made.ID, "key-") || made.ExpiresAt == nil || made.Tenant != nil || made.Principal != "" {
		t.Errorf("got %+v", made)
	}
	if code := with(there, made.Key, "GET", warehouses); code != 200 {
		t.Errorf("the new key on another node: %d", code)
	}
	next := apitest.Decode[management.NewKey](t, post(keys+"/"+made.ID+"/rotate", `{"overlap_seconds":0e0}`).Want(t, there, 200))
	if a, b := with(here, made.Key, "GET", warehouses), with(here, next.Key, "GET", warehouses); a != 401 || b != 200 {
		t.Errorf("after a rotation without overlap: %d and %d", a, b)
	}
	list := apitest.Ask{Method: "GET", Path: keys + "?page_size=100", As: "auditor"}.Want(t, here, 200)
	if text := list.Body.String(); strings.Contains(text, next.Key) || strings.Count(text, `"etl"`) != 2 {
		t.Errorf("got %s", text)
	}
	for range 2 {
		k := apitest.Decode[management.Key](t, post(keys+"/"+next.ID+"/revoke", "").Want(t, here, 200))
		if k.Status != "revoked" || k.Principal != made.ID || k.RevokedAt == nil {
			t.Errorf("got %+v", k)
		}
	}
	if code := with(there, next.Key, "GET", warehouses); code != 401 {
		t.Errorf("the revoked key on another node: %d", code)
	}
}

func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	for body, says := range map[string]string{
		``:                               "empty",
		`{"groups":["reader"]}`:          "name",
		`{"name":"k"}`:                   "groups",
		`{"name":"k","groups":"reader"}`: "array",
		`{"name":"k","groups":["reader","Writer"]}`:                  "writer",
		`{"name":"k","groups":["reader"],"expires_in_seconds":0}`:    "expires_in_seconds",
		`{"name":"k","groups":["reader"],"expires_in_seconds":1.5}`:  "expires_in_seconds",
		`{"name":"k","groups":["reader"],"expires_in_seconds":1e18}`: "expires_in_seconds",
		`{"name":"k","groups":["reader"],"tenant":7}`:                "tenant",
	} {
		e := apitest.ErrorOf(t, apitest.Ask{Method: "POST", Path: keys, Body: body}.Want(t, h, 400))
		if !strings.Contains(e.Error.Message, says) {
			t.Errorf("%s: %s", body, e.Error.Message)
		}
	}
	revoke := apitest.Ask{Method: "POST", Path: keys + "/id-admin/revoke"}
	revoke.WantError(t, h, 409, "KeyRefusedException")
	revoke.Path = keys + "/nothing/revoke"
	revoke.WantError(t, h, 404, "NoSuchKeyException")
	revoke.Path = keys + "/id-admin/revoke?force=perhaps"
	revoke.WantError(t, h, 400, "BadRequestException")
	apitest.Ask{Method: "POST", Path: keys + "/id-reader/rotate", Body: `{"overlap_seconds":-1}`}.WantError(t, h, 400, "BadRequestException")
	revoke.Path = keys + "/id-admin/revoke?force=true"
	revoke.Want(t, h, 200)
	// Who did it has no key any more.
	apitest.Ask{Method: "GET", Path: keys}.WantError(t, h, 401, "NotAuthorizedException")
}

// A request that is sent again makes no second key, and gets no secret.
func TestRepeatedCreateOfAKey(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	a := apitest.Ask{Method: "POST", Path: keys, Body: `{"name":"etl","groups":["reader"]}`, Header: http.Header{"Idempotency-Key": {uuid.NewString()}}}
	made := apitest.Decode[management.NewKey](t, a.Want(t, h, 200))
	e := a.WantError(t, node(s, "n2"), 409, "AlreadyExistsException")
	if !strings.Contains(e.Error.Message, made.ID) || strings.Contains(e.Error.Message, made.Key) {
		t.Errorf("got %s", e.Error.Message)
	}
	a.Body = `{"name":"other","groups":["reader"]}`
	a.WantError(t, h, 422, "UnprocessableEntityException")
}
