package api_test

import (
	"encoding/json"
	"github.com/floeberg/floeberg/api/apitest"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz/authn"
)

// operation is what is read of the description of one.
type operation struct {
	Parameters  []parameter
	Responses   map[string]json.RawMessage
	RequestBody json.RawMessage
	Security    *[]json.RawMessage
}

type parameter struct {
	Ref      string `json:"$ref"`
	Name, In string
}

type document struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct{ Parameters map[string]parameter }
}

func described(t *testing.T) (doc document, raw []byte) {
	t.Helper()
	raw, err := api.DescriptionJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, raw
}

// operations are those of the description, by method and path.
func operations(t *testing.T) map[string]operation {
	t.Helper()
	doc, _ := described(t)
	out := map[string]operation{}
	for path, item := range doc.Paths {
		var common []parameter
		if raw, ok := item["parameters"]; ok {
			if err := json.Unmarshal(raw, &common); err != nil {
				t.Fatal(err)
			}
		}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var op operation
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			op.Parameters = append(op.Parameters, common...)
			for i, p := range op.Parameters {
				if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
					op.Parameters[i] = doc.Components.Parameters[name]
				}
			}
			out[strings.ToUpper(method)+" "+path] = op
		}
	}
	return out
}

func managed(t *testing.T) []serve.Route {
	t.Helper()
	routes, err := management.Routes(management.Options{Catalog: struct{ management.Catalog }{}, Cluster: struct{ management.Cluster }{}, Keys: struct{ management.Keys }{}, Policies: struct{ management.Policies }{}, Warehouses: struct{ management.Warehouses }{}})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// node is the handler of all that a node serves.
func node(t *testing.T) *gin.Engine {
	t.Helper()
	protocol, err := rest.Routes(rest.Options{Catalog: struct{ rest.Catalog }{}})
	if err != nil {
		t.Fatal(err)
	}
	open, err := api.Open()
	if err != nil {
		t.Fatal(err)
	}
	h, err := serve.New(serve.Options{
		Authenticator: authn.Off{}, Authorizer: apitest.ReadyMade(t), NodeID: "n1", Metrics: http.NotFoundHandler(), Open: append(open, rest.Open(rest.OpenOptions{})...),
	}, append(protocol, managed(t)...))
	if err != nil {
		t.Fatal(err)
	}
	return h.(*gin.Engine)
}

// TestWhatIsServedIsDescribed holds the description to the routes: none more,
// none less.
func TestWhatIsServedIsDescribed(t *testing.T) {
	t.Parallel()
	var served, told []string
	braces := regexp.MustCompile(`:([a-z]+)`)
	for _, r := range node(t).Routes() {
		// HEAD is GET without its body. The protocol has a description of its own.
		if r.Method == http.MethodHead || strings.HasPrefix(r.Path, "/v1/") {
			continue
		}
		served = append(served, r.Method+" "+braces.ReplaceAllString(r.Path, "{$1}"))
	}
	for name := range operations(t) {
		told = append(told, name)
	}
	sort.Strings(served)
	sort.Strings(told)
	if diff := cmp.Diff(served, told); diff != "" {
		t.Errorf("served (-) and described (+):\n%s", diff)
	}
}

// TestOperatorsRoutesAreDescribedWhole holds parameters, bodies and statuses to
// what the routes read and may answer.
func TestOperatorsRoutesAreDescribedWhole(t *testing.T) {
	t.Parallel()
	ops := operations(t)
	names := regexp.MustCompile(`\{([a-z_]+)\}`)
	for _, r := range managed(t) {
		name := r.Method + " " + r.Path
		op := ops[name]
		in := map[string][]string{}
		for _, p := range op.Parameters {
			in[p.In] = append(in[p.In], p.Name)
		}
		var path []string
		for _, m := range names.FindAllStringSubmatch(r.Path, -1) {
			path = append(path, m[1])
		}
		headers := []string{"Accept-Encoding", "X-Request-Id"}
		statuses := []string{"200", "400", "401", "403", "406", "500", "503"}
		if r.Change {
			headers = append(headers, serve.IdempotencyKeyHeader)
			statuses = append(statuses, "409")
			if !r.Operates { // those keep no answers: they are the same each time
				statuses = append(statuses, "422")
			}
		} else if !r.Operates {
			headers = append(headers, serve.ConsistencyHeader)
		}
		if r.Body {
			statuses = append(statuses, "408", "413", "415")
		}
		if len(path) > 0 {
			statuses = append(statuses, "404")
		}
		for what, pair := range map[string][2][]string{
			"path":    {path, in["path"]},
			"query":   {r.Query, in["query"]},
			"headers": {headers, in["header"]},
		} {
			if diff := cmp.Diff(sorted(pair[0]), sorted(pair[1])); diff != "" {
				t.Errorf("%s: %s as served (-) and as described (+):\n%s", name, what, diff)
			}
		}
		for _, status := range statuses {
			_, has := op.Responses[status]
			if status == "200" && !has {
				_, has = op.Responses["204"]
				if !has {
					_, has = op.Responses["202"]
				}
			}
			if !has {
				t.Errorf("%s: status %s is not described", name, status)
			}
		}
		if (op.RequestBody != nil) != r.Body {
			t.Errorf("%s: a body is read: %v, described: %v", name, r.Body, op.RequestBody != nil)
		}
		if op.Security != nil {
			t.Errorf("%s is described as open to everybody", name)
		}
	}
	for name, op := range ops {
		if !strings.Contains(name, "/management/") && (op.Security == nil || len(*op.Security) != 0) {
			t.Errorf("%s is open to everybody, and not described so", name)
		}
	}
}

func sorted(in []string) []string {
	out := append([]string{}, in...)
	slices.Sort(out)
	return out
}

// TestReferencesOfTheDescription lead somewhere, and all that can be referred to
// is.
func TestReferencesOfTheDescription(t *testing.T) {
	t.Parallel()
	_, raw := described(t)
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`"\$ref":"#/components/([a-zA-Z]+/[a-zA-Z]+)"`).FindAllStringSubmatch(string(raw), -1) {
		used[m[1]] = true
	}
	there := map[string]bool{}
	for kind, all := range doc["components"].(map[string]any) {
		for name := range all.(map[string]any) {
			there[kind+"/"+name] = true
		}
	}
	for ref := range used {
		if !there[ref] {
			t.Errorf("%s is referred to and not there", ref)
		}
	}
	for name := range there {
		if !used[name] && !strings.HasPrefix(name, "securitySchemes/") {
			t.Errorf("%s is there and nobody refers to it", name)
		}
	}
}

// Everybody gets the description, without a key.
func TestTheDescriptionIsServed(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	node(t).ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	_, raw := described(t)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != string(raw) {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if !strings.HasPrefix(string(api.DescriptionYAML()), "openapi: 3.1") {
		t.Errorf("%.40s", api.DescriptionYAML())
	}
}
