package api_test

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/rest"
)

// row is a row of a table whose first cell is code.
var row = regexp.MustCompile("(?m)^\\| `(/[^`]*)` \\| (.*) \\|$")

// TestDocsListWhatIsServed holds the table of paths in docs/api.md to the routes:
// each path with its methods, none more, none less. What is refused stands below
// the table, in words.
func TestDocsListWhatIsServed(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	method := regexp.MustCompile(`\b(GET|HEAD|POST|PUT|PATCH|DELETE)\b`)
	var listed []string
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		for _, name := range method.FindAllString(m[2], -1) {
			listed = append(listed, name+" "+m[1])
		}
	}
	braces := regexp.MustCompile(`:([a-z]+)`)
	refused := regexp.MustCompile(`/tables/\{table\}/(credentials|sign|plan|tasks)|/functions`)
	var served []string
	for _, r := range node(t).Routes() {
		path := braces.ReplaceAllString(r.Path, "{$1}")
		if last := path[strings.LastIndex(path, "/"):]; refused.MatchString(path) {
			if !strings.Contains(page, last+"`") {
				t.Errorf("%s %s is not told of", r.Method, path)
			}
			continue
		}
		served = append(served, r.Method+" "+path)
	}
	slices.Sort(served)
	slices.Sort(listed)
	if diff := cmp.Diff(served, listed); diff != "" {
		t.Errorf("served (-) and listed in docs/api.md (+):\n%s", diff)
	}
}

// TestDocsListTheStatuses holds the table of statuses in docs/api.md to those that
// the operations are said to have.
func TestDocsListTheStatuses(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	facts, err := os.ReadFile("rest/protocol.txt")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{"405": true} // of no operation: there is none
	for _, line := range strings.Split(string(facts), "\n") {
		if at := strings.LastIndexByte(line, '|'); at >= 0 && line[0] != '#' {
			for _, status := range strings.Fields(line[at+1:]) {
				said[status] = true
			}
		}
	}
	for _, op := range operations(t) {
		for status := range op.Responses {
			said[status] = true
		}
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([0-9, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		for _, status := range strings.Split(m[1], ", ") {
			listed[status] = true
		}
	}
	if diff := cmp.Diff(said, listed); diff != "" {
		t.Errorf("said of the operations (-) and listed in docs/api.md (+):\n%s", diff)
	}
}

// TestDocsListTheHeaders holds the table of headers in docs/api.md to those that
// answers of every kind really have.
func TestDocsListTheHeaders(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Headers\n")
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([A-Za-z-]+)").FindAllStringSubmatch(m[1], -1) {
			listed[http.CanonicalHeaderKey(name[1])] = true
		}
	}
	told := maps.Clone(listed)

	site := apitest.NewSite(t)
	routes, err := rest.Routes(rest.Options{Catalog: site.Catalog()})
	if err != nil {
		t.Fatal(err)
	}
	opts := site.Options("n1")
	opts.Ready = func() error { return errors.New("no leader") }
	if opts.Rates, err = middleware.NewRates(middleware.RateOptions{PerPrincipal: 100}); err != nil {
		t.Fatal(err)
	}
	h := site.Handler(opts, routes)
	long := strings.Repeat("x", 2000) // worth compressing
	schema := `{"type":"struct","fields":[{"id":1,"name":"id","type":"long","required":false}]}`
	for _, a := range []struct {
		apitest.Ask
		status int
	}{
		{apitest.Ask{Method: http.MethodPost, Path: "/v1/default/namespaces", Body: `{"namespace":["a"],"properties":{"p":"` + long + `"}}`}, http.StatusOK},
		{apitest.Ask{Method: http.MethodPost, Path: "/v1/default/namespaces/a/tables", Body: `{"name":"t","schema":` + schema + `}`}, http.StatusOK},
		{apitest.Ask{Method: http.MethodGet, Path: "/v1/default/namespaces/a/tables/t"}, http.StatusOK},
		{apitest.Ask{Method: http.MethodGet, Path: "/v1/default/namespaces/a", Header: http.Header{"Accept-Encoding": {"gzip"}}}, http.StatusOK},
		{apitest.Ask{Method: http.MethodGet, Path: "/v1/default/namespaces/a/tables/t", Header: http.Header{"If-None-Match": {"*"}}}, http.StatusNotModified},
		{apitest.Ask{Method: http.MethodHead, Path: "/v1/default/namespaces/a/tables/t"}, http.StatusNoContent},
		{apitest.Ask{Method: http.MethodGet, Path: "/v1/default/namespaces/a", As: apitest.NoKey}, http.StatusUnauthorized},
		{apitest.Ask{Method: http.MethodGet, Path: "/v1/default/namespaces/none"}, http.StatusNotFound},
		{apitest.Ask{Method: http.MethodPatch, Path: "/v1/default/namespaces"}, http.StatusMethodNotAllowed},
		{apitest.Ask{Method: http.MethodGet, Path: "/ready"}, http.StatusServiceUnavailable},
		{apitest.Ask{Method: http.MethodDelete, Path: "/v1/default/namespaces/a/tables/t"}, http.StatusNoContent},
	} {
		for name := range a.Want(t, h, a.status).Header() {
			if name == "Content-Type" || name == "Content-Length" {
				continue // of HTTP itself
			}
			if !listed[name] {
				t.Errorf("%s %s is answered with %s, which docs/api.md does not list", a.Method, a.Path, name)
			}
			delete(told, name)
		}
	}
	// What only clients send.
	for _, name := range []string{"Authorization", "X-Api-Key", "Idempotency-Key", "Floeberg-Consistency", "Accept-Encoding", "X-Iceberg-Access-Delegation", "X-Iceberg-Client-Capabilities", "If-None-Match", "Origin"} {
		if !listed[name] {
			t.Errorf("docs/api.md does not list %s", name)
		}
		delete(told, name)
	}
	if len(told) > 0 {
		t.Errorf("docs/api.md lists headers that no answer had: %v", slices.Sorted(maps.Keys(told)))
	}
}
