package rest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func key(values ...string) http.Header { return http.Header{"Idempotency-Key": values} }

func TestIdempotencyKeyHeader(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	const id = "0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99"
	for _, tc := range []struct {
		values []string
		status int
	}{
		{nil, 204},
		{[]string{""}, 204},
		{[]string{"  "}, 204},
		{[]string{id}, 204},
		{[]string{uuid.NewString()}, 204}, // version 4
		{[]string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, 204}, // version 1
		{[]string{"00000000-0000-0000-0000-000000000000"}, 204},
		{[]string{id, id}, 400},
		{[]string{id + "," + id}, 400},
		{[]string{"not-a-uuid"}, 400},
		{[]string{"{" + id + "}"}, 400},
		{[]string{"urn:uuid:" + id}, 400},
		{[]string{strings.ReplaceAll(id, "-", "")}, 400},
		{[]string{id[:35] + "g"}, 400},
	} {
		ask{method: "DELETE", path: "/v1/default/namespaces/a", header: key(tc.values...)}.want(t, h, tc.status)
		if tc.status == 204 {
			createNamespace(t, h, "a")
		}
	}
	// Reads have no use for it.
	ask{method: "GET", path: "/v1/default/namespaces/a", header: key("junk")}.want(t, h, 200)
}

func TestRepeatOnAnotherNode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.node("n1"), s.node("n2")
	createNamespace(t, one, "a")
	const id = "0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99"
	create := ask{method: "POST", path: tables, body: createTableBody("t"), header: key(id)}
	first := create.want(t, one, 200)
	create.header = key(strings.ToUpper(id))
	create.path = "/v1/default/namespaces/%61/tables"
	again := create.want(t, two, 200)
	if diff := cmp.Diff(first.Body.String(), again.Body.String()); diff != "" {
		t.Error(diff)
	}
	for name, other := range map[string]ask{
		"another body":      {method: "POST", path: tables, body: createTableBody("u"), header: key(id)},
		"another namespace": {method: "POST", path: "/v1/default/namespaces/b/tables", body: createTableBody("t"), header: key(id)},
		"another warehouse": {method: "POST", path: "/v1/other/namespaces/a/tables", body: createTableBody("t"), header: key(id)},
		"another table":     {method: "POST", path: tables + "/u", body: setProperty("a", "b"), header: key(id)},
		"another method":    {method: "DELETE", path: table, header: key(id)},
		"another parameter": {method: "POST", path: tables + "?x=1", body: createTableBody("t"), header: key(id)},
	} {
		if got := other.of(two); got.Code != 422 || errorOf(t, got).Error.Type != "UnprocessableEntityException" {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
	// Somebody else's key is another key, and nobody sees another's answer.
	ask{method: "POST", path: tables, body: createTableBody("t"), header: key(id), as: "writer"}.wantError(t, two, 409, "AlreadyExistsException")
	// Rights come before memory.
	s.giveKey("admin", "reader")
	create.wantError(t, two, 403, "ForbiddenException")
	s.revokeKey("admin")
	create.wantError(t, two, 401, "NotAuthorizedException")
}

func TestRepeatsOfEveryChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.node("n1"), s.node("n2")
	for _, a := range []ask{
		{method: "POST", path: "/v1/default/namespaces", body: `{"namespace":["a"]}`},
		{method: "POST", path: "/v1/default/namespaces/a/properties", body: `{"updates":{"k":"v"},"removals":["x"]}`},
		{method: "POST", path: tables, body: strings.Replace(createTableBody("s"), "{", `{"stage-create":true,`, 1)},
		{method: "POST", path: tables, body: createTableBody("t")},
		{method: "POST", path: table, body: setProperty("k", "v")},
		{method: "POST", path: transactions, body: transaction("t")},
		{method: "POST", path: renameTable, body: renameBody("t", "r")}, {method: "POST", path: renameTable, body: renameBody("r", "t")},
		{method: "POST", path: renameTable, body: renameBody("gone", "t2")},
		{method: "POST", path: table + "/unregister"}, {method: "POST", path: register, body: registerBody("t", s.write(t, "reg", "t"))},
		{method: "DELETE", path: table},
		{method: "POST", path: views, body: createViewBody("v", "select 1")},
		{method: "POST", path: view, body: newQuery("select 2")},
		{method: "POST", path: renameView, body: renameBody("v", "w")},
		{method: "POST", path: registerView, body: registerBody("v", s.root+"/default/missing.metadata.json")},
		{method: "DELETE", path: views + "/w"},
		{method: "DELETE", path: "/v1/default/namespaces/a"},
		{method: "DELETE", path: "/v1/default/namespaces/a"}, // refused, and refused again
	} {
		a.header = key(uuid.NewString())
		first := a.of(one)
		again := a.of(two)
		if first.Code != again.Code || first.Code >= 500 {
			t.Errorf("%s %s: %d, then %d: %s", a.method, a.path, first.Code, again.Code, again.Body)
		}
		if diff := cmp.Diff(first.Body.String(), again.Body.String()); diff != "" {
			t.Errorf("%s %s: %s", a.method, a.path, diff)
		}
	}
}

func TestOneKeyManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nodes := []http.Handler{s.node("n1"), s.node("n2"), s.node("n3")}
	createNamespace(t, nodes[0], "a")
	id := uuid.NewString()
	bodies := make([]string, 12)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			w := ask{method: "POST", path: tables, body: createTableBody("t"), header: key(id)}.of(nodes[i%3])
			if w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			bodies[i] = w.Body.String()
		})
	}
	wg.Wait()
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("two answers to one request: %s and %s", b, bodies[0])
		}
	}
}
