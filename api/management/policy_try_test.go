package management_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/authz/cedar"
	"github.com/floeberg/floeberg/internal/identity"
	"github.com/floeberg/floeberg/internal/policy"
	"github.com/floeberg/floeberg/ops/audit"
)

// What policies would have made of the past is told of what all nodes have on record.
func TestTryPolicies(t *testing.T) {
	t.Parallel()
	s := apitest.NewSite(t)
	c := s.Catalog()
	l := logs{"n1": openLog(t, "n1"), "n2": openLog(t, "n2"), "n3": nil}
	keys, err := identity.NewKeys(c, authn.MintKey)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := management.Routes(management.Options{
		Catalog: c, Cluster: &fakeCluster{}, Keys: keys, Policies: policies(s, c, policy.Options{}), Warehouses: noWarehouses, Audit: auditedCluster{&audit.Trail{Peers: l}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler(s.Options("n1"), routes)
	record := func(node, id, group, warehouse string, decision audit.Verdict) {
		l[node].Note(audit.Record{
			Event: audit.Decision, RequestID: id, Principal: "p-" + id, PrincipalName: "P", Groups: []string{group}, Source: "10.0.0.1",
			Action: "CommitTable", Decision: decision, Resource: &audit.Resource{Kind: "Table", Warehouse: warehouse, Namespace: []string{"a"}, Name: "t"},
		})
	}
	record("n1", "1", "writer", "default", audit.Allow)
	record("n2", "2", "reader", "default", audit.Deny)
	record("n1", "3", "writer", "other", audit.Allow)
	l["n1"].Note(audit.Record{Event: audit.Outcome, RequestID: "3", Action: "CommitTable"})
	try := func(query string, body management.TryPolicies) management.PolicyTrial {
		t.Helper()
		a := apitest.Ask{Method: http.MethodPost, Path: policiesPath + "/try" + query, Body: asJSON(t, body)}
		return apitest.Decode[management.PolicyTrial](t, a.Want(t, h, 200))
	}
	// Whoever writes may not any more; whoever reads may write.
	text := strings.Replace(cedar.DefaultText, `Group::"writer"`, `Group::"reader"`, 1)
	trial := try("", management.TryPolicies{Text: text})
	if trial.Decisions != 3 || trial.Since == nil || len(trial.Changed) != 3 || trial.More != 0 || len(trial.Missing) != 1 || trial.Missing[0].Node != "n3" {
		t.Fatalf("got %+v", trial)
	}
	newest, second := trial.Changed[0], trial.Changed[1]
	if newest.RequestID != "3" || newest.Allowed || newest.Principal != "p-3" || newest.Resource.Warehouse != "other" || len(newest.Policies) != 0 || newest.Now[0].Policy != "writer" {
		t.Errorf("got %+v", newest)
	}
	if second.RequestID != "2" || !second.Allowed || len(second.Now) != 0 || second.Policies[0].Policy != "writer" {
		t.Errorf("got %+v", second)
	}
	if trial = try("", management.TryPolicies{Text: text, Last: 1}); trial.Decisions != 1 || len(trial.Changed) != 1 || trial.Changed[0].RequestID != "3" {
		t.Errorf("got %+v", trial)
	}
	if trial = try("?warehouse=default", management.TryPolicies{Text: `forbid (principal, action, resource);`}); trial.Decisions != 2 || len(trial.Changed) != 1 || trial.Changed[0].RequestID != "1" {
		t.Errorf("got %+v", trial)
	}
	if trial = try("", management.TryPolicies{Text: cedar.DefaultText}); trial.Decisions != 3 || len(trial.Changed) != 0 {
		t.Errorf("got %+v", trial)
	}
	// What is known of who asked is what it was, and not what most are.
	l["n2"].Note(audit.Record{
		Event: audit.Decision, RequestID: "4", Principal: "p-4", PrincipalType: "user", Groups: []string{"writer"},
		Action: "CommitTable", Decision: audit.Allow, Resource: &audit.Resource{Kind: "Table", Warehouse: "default", Namespace: []string{"a"}, Name: "t"},
	})
	trial = try("", management.TryPolicies{Text: cedar.DefaultText + `forbid (principal, action, resource) when { principal.type == "user" };`})
	if trial.Decisions != 4 || len(trial.Changed) != 1 || trial.Changed[0].RequestID != "4" {
		t.Errorf("got %+v", trial)
	}
	for says, body := range map[string]string{`"text" is missing`: `{}`, `"last" must be`: `{"text":"","last":10001}`, "line 1": `{"text":"permit"}`} {
		w := apitest.Ask{Method: http.MethodPost, Path: policiesPath + "/try", Body: body}.Of(h)
		if w.Code != 400 || !strings.Contains(apitest.ErrorOf(t, w).Error.Message, says) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if v := apitest.Decode[management.PolicyVersion](t, apitest.Ask{Method: "GET", Path: policiesPath}.Want(t, h, 200)); v.Version != 0 {
		t.Errorf("version %d was put", v.Version)
	}
}

// A decision is made again under the circumstances that it was made under.
func TestTrialsGoByTheCircumstances(t *testing.T) {
	t.Parallel()
	s := apitest.NewSite(t)
	c := s.Catalog()
	l := logs{"n1": openLog(t, "n1")}
	keys, err := identity.NewKeys(c, authn.MintKey)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := management.Routes(management.Options{
		Catalog: c, Cluster: &fakeCluster{}, Keys: keys, Policies: policies(s, c, policy.Options{}), Warehouses: noWarehouses, Audit: auditedCluster{&audit.Trail{Peers: l}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler(s.Options("n1"), routes)
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	view := audit.Resource{Kind: "View", Warehouse: "default", Namespace: []string{"a"}, Name: "v"}
	for id, under := range map[string]audit.Circumstances{
		"key": {Authentication: "key", Access: "none", Time: at}, "oidc": {Authentication: "oidc", Access: "none", Time: at}, "write": {Authentication: "oidc", Access: "write", Time: at},
		"late": {Authentication: "oidc", Access: "none", Time: at.Add(time.Hour)}, "view": {Authentication: "oidc", Access: "none", Time: at, ReferencedBy: []audit.Resource{view}},
	} {
		l["n1"].Note(audit.Record{
			Event: audit.Decision, RequestID: id, Principal: "p", Groups: []string{"writer"}, Action: "CommitTable", Decision: audit.Allow, Context: under.Raw(),
			Resource: &audit.Resource{Kind: "Table", Warehouse: "default", Namespace: []string{"a"}, Name: "t"},
		})
	}
	l["n1"].Note(audit.Record{Event: audit.Decision, RequestID: "cut", Principal: strings.Repeat("p", 1000), Action: "CommitTable", Decision: audit.Deny})
	for condition, want := range map[string]string{
		`context.authentication == "oidc"`:                                               "late oidc view write",
		`context.authentication == "key"`:                                                "key",
		`context.access == "write"`:                                                      "write",
		`context.time > datetime("2026-01-31T12:30:00Z")`:                                "late",
		`context.referenced_by.contains(Floeberg::View::"default/a/v")`:                  "view",
		`context.authentication == "certificate" || context.authentication == "nothing"`: "",
	} {
		text := cedar.DefaultText + "forbid (principal, action, resource) when { " + condition + " };"
		a := apitest.Ask{Method: http.MethodPost, Path: policiesPath + "/try", Body: asJSON(t, management.TryPolicies{Text: text})}
		trial := apitest.Decode[management.PolicyTrial](t, a.Want(t, h, 200))
		var ids []string
		for _, changed := range trial.Changed {
			ids = append(ids, changed.RequestID)
		}
		slices.Sort(ids)
		if got := strings.Join(ids, " "); got != want || trial.Decisions != 5 || trial.Incomplete != 1 {
			t.Errorf("%s: %q, want %q; of %d decisions, %d incomplete", condition, got, want, trial.Decisions, trial.Incomplete)
		}
	}
}
