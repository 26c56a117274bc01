package rest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/rest/wire"
)

func TestNamespaceLifecycle(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	const all, one = "/v1/default/namespaces", "/v1/default/namespaces/a"

	w := ask{method: "POST", path: all, body: `{"namespace":["a"],"properties":{"k":"v"},"from-the-future":1}`}.want(t, h, 200)
	made := decode[wire.Namespace](t, w)
	if diff := cmp.Diff([]string{"a"}, made.Namespace); diff != "" || made.Properties["k"] != "v" || made.Properties["location"] == "" {
		t.Errorf("%s", w.Body)
	}
	ask{method: "POST", path: all, body: `{"namespace":["a"]}`}.wantError(t, h, 409, "AlreadyExistsException")
	loaded := decode[wire.Namespace](t, ask{method: "GET", path: one}.want(t, h, 200))
	if diff := cmp.Diff(made, loaded); diff != "" {
		t.Error(diff)
	}
	if w := (ask{method: "HEAD", path: one}).want(t, h, 204); w.Body.Len() > 0 {
		t.Errorf("HEAD has a body: %s", w.Body)
	}
	w = ask{method: "POST", path: one + "/properties", body: `{"removals":["k","gone"],"updates":{"n":"1"}}`}.want(t, h, 200)
	if diff := cmp.Diff(wire.UpdatedProperties{Updated: []string{"n"}, Removed: []string{"k"}, Missing: []string{"gone"}}, decode[wire.UpdatedProperties](t, w)); diff != "" {
		t.Error(diff)
	}
	w = ask{method: "POST", path: one + "/properties", body: `{}`}.want(t, h, 200)
	if got := w.Body.String(); got != `{"updated":[],"removed":[],"missing":[]}` {
		t.Errorf("got %s", got)
	}
	ask{method: "POST", path: one + "/properties", body: `{"removals":["n"],"updates":{"n":"1"}}`}.wantError(t, h, 422, "UnprocessableEntityException")
	createNamespace(t, h, "a", "b")
	ask{method: "DELETE", path: one}.wantError(t, h, 409, "NamespaceNotEmptyException")
	ask{method: "DELETE", path: one + "%1Fb"}.want(t, h, 204)
	if w := (ask{method: "DELETE", path: one}).want(t, h, 204); w.Body.Len() > 0 || w.Header().Get("Floeberg-Index") == "" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	for _, method := range []string{"GET", "DELETE"} {
		ask{method: method, path: one}.wantError(t, h, 404, "NoSuchNamespaceException")
	}
	if w := (ask{method: "HEAD", path: one}).want(t, h, 404); w.Body.Len() > 0 {
		t.Errorf("HEAD has a body: %s", w.Body)
	}
	ask{method: "POST", path: one + "/properties", body: `{}`}.wantError(t, h, 404, "NoSuchNamespaceException")
	ask{method: "POST", path: all, body: `{"namespace":["a","b"]}`}.wantError(t, h, 404, "NoSuchNamespaceException")
	ask{method: "GET", path: "/v1/nowhere/namespaces"}.wantError(t, h, 404, "NoSuchWarehouseException")
}

func TestListNamespaces(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	const all = "/v1/default/namespaces"
	names := func(query string) ([]string, string) {
		got := decode[namespaces](t, ask{method: "GET", path: all + query}.want(t, h, 200))
		out := []string{}
		for _, path := range got.Namespaces {
			out = append(out, strings.Join(path, "|"))
		}
		return out, got.NextPageToken
	}
	if w := (ask{method: "GET", path: all}).want(t, h, 200); w.Body.String() != `{"namespaces":[]}` {
		t.Errorf("an empty list is %s", w.Body)
	}
	for _, name := range []string{"c", "a", "b"} {
		createNamespace(t, h, name)
	}
	createNamespace(t, h, "a", "x")
	createNamespace(t, h, "a", "x", "deep")
	for query, want := range map[string][]string{
		"":                           {"a", "b", "c"},
		"?parent=":                   {"a", "b", "c"},
		"?pageSize=2":                {"a", "b", "c"}, // no token: all in one answer
		"?parent=a":                  {"a|x"},
		"?parent=a%1Fx":              {"a|x|deep"},
		"?parent=b":                  {},
		"?pageToken=":                {"a", "b", "c"},
		"?pageToken=&pageSize=2":     {"a", "b"},
		"?pageToken=&pageSize=99999": {"a", "b", "c"},
		"?pageToken=&pageSize=99999999999999999999999": {"a", "b", "c"},
	} {
		if got, _ := names(query); !cmp.Equal(want, got) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	var seen []string
	for token, pages := "", 0; ; pages++ {
		got, next := names("?pageSize=2&pageToken=" + url.QueryEscape(token))
		seen = append(seen, got...)
		if token = next; token == "" || pages > 5 {
			break
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, seen); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{
		"pageSize=0", "pageSize=-1", "pageSize=x", "pageSize=", "pageSize=1.5", "pageSize=-99999999999999999999",
		"pageSize=1&pageSize=2", "pageToken=a&pageToken=b", "parent=a&parent=b",
	} {
		ask{method: "GET", path: all + "?" + query}.wantError(t, h, 400, "BadRequestException")
	}
	ask{method: "GET", path: all + "?pageToken=junk"}.want(t, h, 400)
	ask{method: "GET", path: all + "?parent=nowhere"}.wantError(t, h, 404, "NoSuchNamespaceException")
}

// A path is decoded once: what a client wrote is what is looked for.
func TestNamesInPaths(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	paths := [][]string{
		{"a b"}, {"a+b"}, {"a/b"}, {"a%2Fb"}, {"a%20b"}, {"a"}, {"a", "b"}, {"a.b"}, {"100%"}, {"größe"}, {"名"}, {"it's"}, {"a&b=c"}, {"namespaces"},
	}
	for _, path := range paths {
		createNamespace(t, h, path...)
	}
	for sent, want := range map[string][]string{
		"a+b":                {"a b"},
		"a%20b":              {"a b"},
		"a%2Bb":              {"a+b"},
		"a%2Fb":              {"a/b"},
		"a%2fb":              {"a/b"},
		"a%252Fb":            {"a%2Fb"},
		"a%2520b":            {"a%20b"},
		"a%1Fb":              {"a", "b"},
		"a%1fb":              {"a", "b"},
		"a.b":                {"a.b"},
		"a%2Eb":              {"a.b"},
		"100%25":             {"100%"},
		"gr%C3%B6%C3%9Fe":    {"größe"},
		"größe":              {"größe"},
		"%E5%90%8D":          {"名"},
		"it's":               {"it's"},
		"a&b=c":              {"a&b=c"},
		"a%26b%3Dc":          {"a&b=c"},
		"namespaces":         {"namespaces"},
		"%61":                {"a"},
		"a%1Fb?parent=other": {"a", "b"},
	} {
		got := decode[wire.Namespace](t, ask{method: "GET", path: "/v1/default/namespaces/" + sent}.want(t, h, 200))
		if diff := cmp.Diff(want, got.Namespace); diff != "" {
			t.Errorf("%s: %s", sent, diff)
		}
		if sent != "größe" {
			ask{method: "HEAD", path: "/v1/default/namespaces/" + sent}.want(t, h, 204)
		}
	}
	for _, sent := range []string{"%00", "a%00", "%1F", "a%1F", "%1Fa", "a%1F%1Fb", "%FF", "a%0Ab", "%2E%2E", "..%2F..", "A", "%2Ba"} {
		for _, method := range []string{"GET", "DELETE"} {
			w := ask{method: method, path: "/v1/default/namespaces/" + sent}.of(h)
			if w.Code != 404 && w.Code != 400 {
				t.Errorf("%s: %d %s", sent, w.Code, w.Body)
			}
			errorOf(t, w)
		}
	}
}

func TestNewNames(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "ns")
	fine := []string{"a", "A", "a b", "a/b", "a.b", ".a", "a..b", "a%b", "a+b", "a'b", "a(b)", "größe", "名前", "😀", "a&b", "${a}", "a,b;c", strings.Repeat("x", 255)}
	bad := []string{
		"", ".", "..", " ", " a", "a ", "\u00a0a", "a\tb", "a\nb", "a\x00b", "a\x1fb", "a\x7fb", "a\u0085b", "a\u200bb", "a\u202eb", "\ufeffa", "a\u2028b",
		"a*", "a?", `a"`, "a<", "a>", "a|", "a#", `a\b`, "a:b", "a\ufffd", strings.Repeat("x", 256),
	}
	try := func(name string, status int) {
		t.Helper()
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		w := ask{method: "POST", path: "/v1/default/namespaces", body: `{"namespace":[` + string(quoted) + `]}`}.of(h)
		if w.Code != status {
			t.Errorf("namespace %q: %d %s", name, w.Code, w.Body)
		}
		w = ask{method: "POST", path: "/v1/default/namespaces/ns/tables", body: createTableBody(name)}.of(h)
		if w.Code != status {
			t.Errorf("table %q: %d %s", name, w.Code, w.Body)
		}
		if name == "" {
			return
		}
		w = ask{
			method: "POST", path: "/v1/default/namespaces/ns/tables/" + url.QueryEscape(name+"2"),
			body: `{"requirements":[{"type":"assert-create"}],"updates":[]}`,
		}.of(h)
		if status == 400 && name != "." && name != ".." && name != "a " && w.Code != 400 {
			t.Errorf("staged table %q: %d %s", name, w.Code, w.Body)
		}
	}
	for _, name := range fine {
		try(name, 200)
	}
	for _, name := range bad {
		try(name, 400)
	}
}

func TestNamespaceBodies(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	deep := `["` + strings.Repeat(`x","`, 100) + `x"]`
	for body, want := range map[string]string{
		``:                                    "it is empty",
		` `:                                   "it is empty",
		`[]`:                                  "it is not a JSON object",
		`null`:                                "it is not a JSON object",
		`{`:                                   "unexpected end",
		`{"namespace":["b"]}x`:                "invalid character 'x'",
		`{}`:                                  `field "namespace" is missing`,
		`{"namespace":null}`:                  `field "namespace" is missing`,
		`{"namespace":"a"}`:                   `field "namespace" must be an array, not string`,
		`{"namespace":[1]}`:                   `field "namespace" must be a string, not number`,
		`{"namespace":[null]}`:                `field "namespace" must not hold null`,
		`{"namespace":[]}`:                    "at least one level",
		`{"namespace":` + deep + `}`:          "levels",
		`{"namespace":["b"],"properties":[]}`: `field "properties" must be an object, not array`,
		`{"namespace":["b"],"properties":{"k":1}}`:    `must be a string, not number`,
		`{"namespace":["b"],"properties":{"k":null}}`: `field "properties.k" must be a string, not null`,
		"{\"namespace\":[\"b\xff\"]}":                 "UTF-8",
	} {
		got := ask{method: "POST", path: "/v1/default/namespaces", body: body}.want(t, h, 400)
		if message := errorOf(t, got).Error.Message; !strings.Contains(message, want) {
			t.Errorf("%s: %q, want %q in it", body, message, want)
		}
	}
	for body, want := range map[string]string{
		`{"removals":"a"}`:       `field "removals" must be an array, not string`,
		`{"removals":[null]}`:    `field "removals" must not hold null`,
		`{"updates":{"a":{}}}`:   `must be a string, not object`,
		`{"updates":{"a":null}}`: `field "updates.a" must be a string, not null`,
	} {
		got := ask{method: "POST", path: "/v1/default/namespaces/a/properties", body: body}.wantError(t, h, 400, "BadRequestException")
		if !strings.Contains(got.Error.Message, want) {
			t.Errorf("%s: %q, want %q in it", body, got.Error.Message, want)
		}
	}
}

func TestConsistencyHeader(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	for value, status := range map[string]int{
		"linearizable": 200, "bounded": 200, "stale": 200, " Stale ": 200, "": 400, "eventual": 400, "stale,bounded": 400,
	} {
		w := ask{method: "GET", path: "/v1/default/namespaces", header: http.Header{"Floeberg-Consistency": {value}}}.want(t, h, status)
		if status != 200 {
			continue
		}
		if index, err := strconv.ParseUint(w.Header().Get("Floeberg-Index"), 10, 64); err != nil || index == 0 {
			t.Errorf("%q: index %q", value, w.Header().Get("Floeberg-Index"))
		}
	}
	ask{method: "GET", path: "/v1/default/namespaces", header: http.Header{"Floeberg-Consistency": {"stale", "stale"}}}.want(t, h, 400)
}
