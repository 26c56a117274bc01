package management_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/authz/cedar"
)

const policiesPath = "/management/v1/policies"

const viewsClosed = `@id("views")
forbid (principal, action, resource is Floeberg::View);
`

func asJSON(t testing.TB, body any) string {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func putPolicies(t testing.TB, body any) apitest.Ask {
	t.Helper()
	return apitest.Ask{Method: http.MethodPut, Path: policiesPath, Body: asJSON(t, body)}
}

func version(n uint64) *uint64 { return &n }

// The whole life of a set over HTTP, on two nodes of one state.
func TestPolicies(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	other := node(s, "n2")
	get := func(h http.Handler, query string) management.PolicyVersion {
		t.Helper()
		return apitest.Decode[management.PolicyVersion](t, apitest.Ask{Method: "GET", Path: policiesPath + query}.Want(t, h, 200))
	}
	if v := get(h, ""); v.Version != 0 || *v.Text != cedar.DefaultText || !v.InForce || v.CreatedAt != nil || v.Author != nil || v.Warehouse != nil {
		t.Errorf("got %+v", v)
	}
	second := cedar.DefaultText + viewsClosed
	put := putPolicies(t, management.PutPolicies{Text: second, PolicyTerms: management.PolicyTerms{ExpectedVersion: version(0), Comment: "no views"}})
	put.Header = http.Header{"Idempotency-Key": {uuid.NewString()}}
	made := apitest.Decode[management.PolicyVersion](t, put.Want(t, h, 200))
	if made.Version != 1 || *made.Text != second || *made.Author != "id-admin" || *made.AuthorName != "admin" || made.Comment != "no views" || made.CreatedAt == nil || made.RolledBackTo != nil {
		t.Errorf("got %+v", made)
	}
	// What is acknowledged by one node is what the other one has.
	if v := get(other, ""); asJSON(t, v) != asJSON(t, made) {
		t.Errorf("got %+v", v)
	}
	if again := put.Want(t, other, 200); asJSON(t, apitest.Decode[management.PolicyVersion](t, again)) != asJSON(t, made) {
		t.Errorf("the repeat is answered with %s", again.Body)
	}
	put.Header = nil
	if e := put.WantError(t, h, 409, "PoliciesChangedException"); !strings.Contains(e.Error.Message, "version 1") {
		t.Errorf("got %q", e.Error.Message)
	}
	if e := putPolicies(t, management.PutPolicies{Text: viewsClosed}).WantError(t, h, 409, "PolicyLockoutException"); !strings.Contains(e.Error.Message, "id-admin") {
		t.Errorf("got %q", e.Error.Message)
	}
	if e := putPolicies(t, management.PutPolicies{Text: "permit"}).WantError(t, h, 400, "IllegalArgumentException"); !strings.Contains(e.Error.Message, "line 1") {
		t.Errorf("got %q", e.Error.Message)
	}

	d := apitest.Decode[management.PolicyDiff](t, apitest.Ask{Method: "GET", Path: policiesPath + "/diff?from=0"}.Want(t, h, 200))
	if d.From != 0 || d.To != 1 || !strings.Contains(d.Diff, `+@id("views")`) {
		t.Errorf("got %+v", d)
	}
	rollback := apitest.Ask{Method: "POST", Path: policiesPath + "/rollback", Body: asJSON(t, management.RollbackPolicies{Version: version(0)})}
	if v := apitest.Decode[management.PolicyVersion](t, rollback.Want(t, h, 200)); v.Version != 2 || *v.RolledBackTo != 0 || *v.Text != cedar.DefaultText {
		t.Errorf("got %+v", v)
	}
	rollback.Body = `{"version":7.0}`
	rollback.WantError(t, h, 404, "NoSuchPolicyVersionException")
	apitest.Ask{Method: "GET", Path: policiesPath + "?version=9"}.WantError(t, h, 404, "NoSuchPolicyVersionException")

	var seen []uint64
	for token := ""; ; {
		list := apitest.Decode[management.PolicyHistory](t, apitest.Ask{Method: "GET", Path: policiesPath + "/history?page_size=1&page_token=" + token}.Want(t, h, 200))
		for _, v := range list.Versions {
			if v.Text != nil {
				t.Errorf("listed with its text: %+v", v)
			}
			seen = append(seen, v.Version)
		}
		if token = list.NextPageToken; token == "" {
			break
		}
	}
	if !slices.Equal(seen, []uint64{2, 1}) {
		t.Errorf("history %v", seen)
	}
}

// A warehouse has a set of its own.
func TestPoliciesOfAWarehouse(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	put := putPolicies(t, management.PutPolicies{Text: viewsClosed})
	put.Path += "?warehouse=other"
	if v := apitest.Decode[management.PolicyVersion](t, put.Want(t, h, 200)); v.Version != 1 || *v.Warehouse != "other" {
		t.Errorf("got %+v", v)
	}
	sets := apitest.Decode[management.PolicySets](t, apitest.Ask{Method: "GET", Path: policiesPath + "/sets"}.Want(t, h, 200))
	if len(sets.Sets) != 2 || sets.Sets[0].Warehouse != nil || sets.Sets[0].Version != 0 || *sets.Sets[1].Warehouse != "other" || sets.Sets[1].Version != 1 {
		t.Errorf("got %+v", sets)
	}
	for path, want := range map[string]string{"?warehouse=nowhere": "404 NoSuchWarehouseException", "?warehouse=": "400 BadRequestException"} {
		for _, a := range []apitest.Ask{
			{Method: "GET", Path: policiesPath + path},
			{Method: "PUT", Path: policiesPath + path, Body: `{"text":""}`},
			{Method: "POST", Path: policiesPath + "/validate" + path, Body: `{"text":""}`},
			{Method: "GET", Path: policiesPath + "/history" + path},
			{Method: "GET", Path: policiesPath + "/diff" + path + "&from=0"},
			{Method: "POST", Path: policiesPath + "/rollback" + path, Body: `{"version":0}`},
		} {
			w := a.Of(h)
			if got := fmt.Sprint(w.Code, " ", apitest.ErrorOf(t, w).Error.Type); got != want {
				t.Errorf("%s %s: %s, want %s", a.Method, a.Path, got, want)
			}
		}
	}
}

func TestValidatePolicies(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	ask := func(text string) management.PolicyVerdict {
		a := apitest.Ask{Method: "POST", Path: policiesPath + "/validate", Body: asJSON(t, management.ValidatePolicies{Text: text})}
		return apitest.Decode[management.PolicyVerdict](t, a.Want(t, h, 200))
	}
	if v := ask(cedar.DefaultText); !v.Valid || v.Policies != 4 || len(v.Problems) != 0 {
		t.Errorf("got %+v", v)
	}
	v := ask("\n@id(\"x\")\npermit (principal, action == Floeberg::Action::\"LoadTabel\", resource);")
	if v.Valid || len(v.Problems) != 1 || *v.Problems[0].Policy != "x" || *v.Problems[0].Line != 2 || !strings.Contains(v.Problems[0].Message, "LoadTable") {
		t.Errorf("got %+v", v)
	}
}

func TestExplainPolicies(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	put := putPolicies(t, management.PutPolicies{Text: viewsClosed})
	put.Path += "?warehouse=other"
	put.Want(t, h, 200)
	explain := func(body string) management.PolicyExplanation {
		t.Helper()
		return apitest.Decode[management.PolicyExplanation](t, apitest.Ask{Method: "POST", Path: policiesPath + "/explain", Body: body}.Want(t, h, 200))
	}
	question := func(principal, kind string) string {
		return fmt.Sprintf(`{"principal":%s,"action":"Load%s","resource":{"type":"%s","warehouse":"other","namespace":["a"],"name":"t"},
			"context":{"source_ip":"10.1.2.3","access":"read","authentication":"key","time":"2026-01-31T12:00:00Z"}}`, principal, kind, kind)
	}
	e := explain(question(`{"id":"someone","groups":["reader"]}`, "Table"))
	if !e.Allowed || len(e.Policies) != 1 || e.Policies[0].Policy != "reader" || e.Policies[0].Warehouse != nil || e.Policies[0].Effect != "permit" ||
		*e.ClusterVersion != 0 || *e.WarehouseVersion != 1 || e.Total != 5 {
		t.Errorf("got %+v", e)
	}
	// Groups are those of the key, where none are given.
	e = explain(question(`{"id":"id-reader"}`, "View"))
	if e.Allowed || len(e.Policies) != 1 || e.Policies[0].Policy != "views" || *e.Policies[0].Warehouse != "other" || e.Policies[0].Effect != "forbid" || len(e.Considered) != 2 {
		t.Errorf("got %+v", e)
	}
	if e = explain(question(`{"id":"id-reader","groups":[]}`, "Table")); e.Allowed || len(e.Policies) != 0 || !strings.Contains(e.Reason, "no policy permits it") {
		t.Errorf("got %+v", e)
	}
	// How it would prove who it is says what it is, unless that is said.
	put = putPolicies(t, management.PutPolicies{Text: cedar.DefaultText + `
		@id("people") forbid (principal, action == Floeberg::Action::"ShowCluster", resource) when { principal.type == "user" };
		@id("tokens") forbid (principal, action == Floeberg::Action::"ShowCluster", resource) when { context.authentication == "token" };`})
	put.Want(t, h, 200)
	for _, tc := range []struct{ principal, proof, want string }{
		{`"groups":["admin"]`, ``, "admin"},
		{`"groups":["admin"]`, `key`, "admin"},
		{`"groups":["admin"]`, `certificate`, "admin"},
		{`"groups":["admin"]`, `token`, "tokens"},
		{`"groups":["admin"]`, `oidc`, "people"},
		{`"groups":["admin"]`, `none`, "people"},
		{`"groups":["admin"],"type":"service"`, `oidc`, "admin"},
		{`"groups":["admin"],"type":"user"`, `certificate`, "people"},
		{`"type":"user"`, ``, "people"},
	} {
		e := explain(fmt.Sprintf(`{"principal":{"id":"id-admin",%s},"action":"ShowCluster","resource":{"type":"Cluster"},"context":{"authentication":%q}}`, tc.principal, tc.proof))
		if len(e.Policies) != 1 || e.Policies[0].Policy != tc.want {
			t.Errorf("%s, %q: got %+v", tc.principal, tc.proof, e)
		}
	}
	for says, body := range map[string]string{
		"principal.type":      `{"principal":{"id":"x","groups":[],"type":"robot"},"action":"ShowCluster","resource":{"type":"Cluster"}}`,
		"principal.id":        `{"principal":{"groups":[]},"action":"LoadTable","resource":{"type":"Cluster"}}`,
		"is held by":          `{"principal":{"id":"nobody"},"action":"ShowCluster","resource":{"type":"Cluster"}}`,
		"principal.groups":    `{"principal":{"id":"x","tenant":"t"},"action":"ShowCluster","resource":{"type":"Cluster"}}`,
		"must be an action":   `{"principal":{"id":"x","groups":[]},"action":"Fly","resource":{"type":"Cluster"}}`,
		"resource.type":       `{"principal":{"id":"x","groups":[]},"action":"ShowCluster","resource":{"type":"cluster"}}`,
		"resource.warehouse":  `{"principal":{"id":"x","groups":[]},"action":"LoadTable","resource":{"type":"Table","namespace":["a"],"name":"t"}}`,
		"resource.namespace":  `{"principal":{"id":"x","groups":[]},"action":"LoadTable","resource":{"type":"Table","warehouse":"other","name":"t"}}`,
		"resource.name":       `{"principal":{"id":"x","groups":[]},"action":"LoadTable","resource":{"type":"Namespace","warehouse":"other","namespace":["a"],"name":"t"}}`,
		"source_ip":           `{"principal":{"id":"x","groups":[]},"action":"ShowCluster","resource":{"type":"Cluster"},"context":{"source_ip":"here"}}`,
		"context.access":      `{"principal":{"id":"x","groups":[]},"action":"ShowCluster","resource":{"type":"Cluster"},"context":{"access":"all"}}`,
		"authentication":      `{"principal":{"id":"x","groups":[]},"action":"ShowCluster","resource":{"type":"Cluster"},"context":{"authentication":"charm"}}`,
		"must not hold null":  `{"principal":{"id":"x","groups":[null]},"action":"ShowCluster","resource":{"type":"Cluster"}}`,
		"it is not a JSON ob": `[]`,
	} {
		e := apitest.Ask{Method: "POST", Path: policiesPath + "/explain", Body: body}.Of(h)
		if e.Code != 400 || !strings.Contains(apitest.ErrorOf(t, e).Error.Message, says) {
			t.Errorf("%s: %d %s, want %q", body, e.Code, e.Body, says)
		}
	}
	// What is asked about must be in the warehouse whose policies may be looked at.
	outside := apitest.Ask{Method: "POST", Path: policiesPath + "/explain?warehouse=default", Body: question(`{"id":"x","groups":[]}`, "Table")}
	if e := outside.WantError(t, h, 400, "BadRequestException"); !strings.Contains(e.Error.Message, "resource.warehouse") {
		t.Errorf("got %q", e.Error.Message)
	}
}

func TestPolicyRequestsThatCantBeRead(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	for says, a := range map[string]apitest.Ask{
		`"text" is missing`:    {Method: "PUT", Path: policiesPath, Body: `{}`},
		`"text" is missing `:   {Method: "POST", Path: policiesPath + "/validate", Body: `{"text":null}`},
		`"version" is missing`: {Method: "POST", Path: policiesPath + "/rollback", Body: `{}`},
		`"version" must be`:    {Method: "POST", Path: policiesPath + "/rollback", Body: `{"version":-1}`},
		"expected_version":     {Method: "PUT", Path: policiesPath, Body: `{"text":"","expected_version":"new"}`},
		"from is missing":      {Method: "GET", Path: policiesPath + "/diff"},
		"to must be":           {Method: "GET", Path: policiesPath + "/diff?from=1&to=x"},
		"version must be":      {Method: "GET", Path: policiesPath + "?version=last"},
		"page token":           {Method: "GET", Path: policiesPath + "/history?page_token=x"},
		"2 times":              {Method: "GET", Path: policiesPath + "?warehouse=default&warehouse=other"},
	} {
		w := a.Of(h)
		if w.Code != 400 || !strings.Contains(apitest.ErrorOf(t, w).Error.Message, strings.TrimSpace(says)) {
			t.Errorf("%s %s %s: %d %s, want %q", a.Method, a.Path, a.Body, w.Code, w.Body, says)
		}
	}
}

// Who may not look at policies can't tell which there are.
func TestRightsOnPolicies(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	s.GiveKey("outsider", "nobodies")
	for _, a := range []apitest.Ask{
		{Method: "GET", Path: policiesPath}, {Method: "GET", Path: policiesPath + "/sets"}, {Method: "GET", Path: policiesPath + "/history"},
		{Method: "GET", Path: policiesPath + "/diff?from=0"}, {Method: "POST", Path: policiesPath + "/validate", Body: `{"text":""}`},
		{Method: "POST", Path: policiesPath + "/explain", Body: `{"principal":{"id":"x","groups":[]},"action":"ShowCluster","resource":{"type":"Cluster"}}`},
		{Method: "PUT", Path: policiesPath, Body: `{"text":"","force":true}`}, {Method: "POST", Path: policiesPath + "/rollback", Body: `{"version":0}`},
	} {
		for _, a.As = range []string{"outsider", "reader", "writer"} {
			a.WantError(t, h, 403, "ForbiddenException")
		}
		for _, a.As = range []string{apitest.NoKey, "nobody"} {
			a.WantError(t, h, 401, "NotAuthorizedException")
		}
	}
	if v := apitest.Decode[management.PolicyVersion](t, apitest.Ask{Method: "GET", Path: policiesPath}.Want(t, h, 200)); v.Version != 0 {
		t.Errorf("version %d was put", v.Version)
	}
}
