package management_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/ops/audit"
)

// logs are the audit logs of a cluster's nodes; a nil one does not answer.
type logs map[string]*audit.Log

func (l logs) Nodes() []string {
	var out []string
	for node := range l {
		out = append(out, node)
	}
	return out
}

func (l logs) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	if l[node] == nil {
		return nil, errors.New("connection refused")
	}
	return l[node].Answer(ctx, question)
}

// auditedCluster is what the nodes have on record, and no replicated state.
type auditedCluster struct{ *audit.Trail }

func (auditedCluster) Heads(context.Context) ([]audit.Head, error) { return []audit.Head{}, nil }

func (c auditedCluster) VerifyAll(ctx context.Context) ([]audit.NodeVerification, error) {
	return c.Trail.VerifyAll(ctx, nil)
}

func openLog(t testing.TB, node string, sinks ...audit.Sink) *audit.Log {
	t.Helper()
	log, err := audit.Open(audit.Options{Node: node, Sinks: sinks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return log
}

// auditNode serves the logs of a cluster; its own is n1's.
func auditNode(t testing.TB, l logs) (*apitest.Site, http.Handler) {
	t.Helper()
	s := apitest.NewSite(t)
	routes, err := management.Routes(management.Options{
		Catalog: s.Catalog(), Cluster: &fakeCluster{}, Keys: noKeys, Policies: noPolicies, Warehouses: noWarehouses, Audit: auditedCluster{&audit.Trail{Peers: l}},
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := s.Options("n1")
	opts.Audit = l["n1"]
	return s, s.Handler(opts, routes)
}

const auditPath = "/management/v1/audit"

// all goes through a listing page by page.
func all(t *testing.T, h http.Handler, query url.Values) []audit.Record {
	t.Helper()
	var out []audit.Record
	for {
		page := apitest.Decode[management.AuditList](t, apitest.Ask{Method: "GET", Path: auditPath + "?" + query.Encode(), As: "auditor"}.Want(t, h, 200))
		out = append(out, page.Records...)
		if page.NextPageToken == "" {
			return out
		}
		query.Set("page_token", page.NextPageToken)
	}
}

// What all nodes have on record is listed, each record once, however it is paged and
// whatever comes in meanwhile.
func TestListAudit(t *testing.T) {
	t.Parallel()
	l := logs{"n1": openLog(t, "n1"), "n2": openLog(t, "n2"), "n3": openLog(t, "n3")}
	_, h := auditNode(t, l)
	want := map[string]bool{}
	for i := range 50 {
		for node, log := range l {
			id := fmt.Sprintf("%s-%d", node, i)
			want[id] = true
			log.Note(audit.Record{Event: audit.Decision, Decision: audit.Deny, Action: "LoadTable", Principal: "p", RequestID: id})
		}
	}
	for _, size := range []string{"", "1", "7", "150", "1000", "5000"} {
		query := url.Values{"principal": {"p"}}
		if size != "" {
			query.Set("page_size", size)
		}
		seen := map[string]bool{}
		last := time.Now().Add(time.Hour)
		for _, r := range all(t, h, query) {
			if seen[r.RequestID] || !want[r.RequestID] {
				t.Errorf("page size %q: %s", size, r.RequestID)
			}
			seen[r.RequestID] = true
			if r.Time.After(last) {
				t.Errorf("page size %q: %v comes after %v", size, r.Time, last)
			}
			last = r.Time
		}
		if len(seen) != len(want) {
			t.Errorf("page size %q: %d of %d", size, len(seen), len(want))
		}
	}
}

func TestFilterAudit(t *testing.T) {
	t.Parallel()
	l := logs{"n1": openLog(t, "n1"), "n2": openLog(t, "n2")}
	_, h := auditNode(t, l)
	table := func(warehouse string, name ...string) *audit.Resource {
		last := len(name) - 1
		return &audit.Resource{Kind: "Table", Warehouse: warehouse, Namespace: name[:last], Name: name[last]}
	}
	l["n1"].Note(audit.Record{Event: audit.Decision, Decision: audit.Deny, Action: "LoadTable", Principal: "p", Tenant: "a", RequestID: "1", Resource: table("w", "a", "b", "t")})
	l["n1"].Note(audit.Record{Event: audit.Outcome, Action: "DropTable", Principal: "p", Tenant: "a", RequestID: "2", Resource: table("w", "a.b", "t")})
	l["n2"].Note(audit.Record{Event: audit.Decision, Decision: audit.Allow, Action: "DropTable", Principal: "q", Tenant: "b", RequestID: "3", Resource: table("v", "a", "b", "tt")})
	middle := time.Now().UTC()
	l["n2"].Note(audit.Record{Event: audit.Decision, Decision: audit.Deny, Action: "ListTables", Principal: "q", RequestID: "4", Resource: &audit.Resource{Kind: "Namespace", Warehouse: "w", Namespace: []string{"a"}}})
	for query, want := range map[string][]string{
		"principal=p":                {"2", "1"},
		"principal=P":                {},
		"tenant=b":                   {"3"},
		"action=DropTable":           {"3", "2"},
		"decision=deny":              {"4", "1"},
		"decision=allow&principal=q": {"3"},
		"event=outcome":              {"2"},
		"request_id=3":               {"3"},
		"node=n2&decision=deny":      {"4"},
		"node=n9":                    {},
		"warehouse=w":                {"4", "2", "1"},
		"resource=a":                 {"4", "3", "1"},
		"resource=a%1Fb":             {"3", "1"},
		"resource=a%1Fb%1Ft":         {"1"},
		"resource=a.b":               {"2"},
		"resource=a%1Fb%1Ft%1Fx":     {},
		"resource=a&warehouse=w":     {"4", "1"},
		"since=" + url.QueryEscape(middle.Format(time.RFC3339Nano)) + "&decision=deny": {"4"},
		"until=" + url.QueryEscape(middle.Format(time.RFC3339Nano)) + "&decision=deny": {"1"},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, r := range all(t, h, values) {
			got = append(got, r.RequestID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"decision=maybe", "event=x", "since=yesterday", "until=2026", "page_size=0", "page_size=x", "page_token=x", "page_token=e30", "since=a&since=b"} {
		apitest.Ask{Method: "GET", Path: auditPath + "?" + query}.WantError(t, h, 400, "BadRequestException")
	}
}

// A node that does not answer is told of.
func TestAuditOfNodesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	l := logs{"n1": openLog(t, "n1"), "n2": nil}
	_, h := auditNode(t, l)
	page := apitest.Decode[management.AuditList](t, apitest.Ask{Method: "GET", Path: auditPath}.Want(t, h, 200))
	if len(page.Missing) != 1 || page.Missing[0].Node != "n2" || len(page.Records) == 0 {
		t.Errorf("%+v", page)
	}
	v := apitest.Decode[management.AuditVerification](t, apitest.Ask{Method: "GET", Path: auditPath + "/verify"}.Want(t, h, 200))
	if v.OK || len(v.Nodes) != 2 {
		t.Errorf("%+v", v)
	}
}

// Admins and auditors may look, nobody else, and that they did is on record.
func TestWhoReadsTheAuditLog(t *testing.T) {
	t.Parallel()
	l := logs{"n1": openLog(t, "n1")}
	_, h := auditNode(t, l)
	for _, path := range []string{auditPath, auditPath + "/heads", auditPath + "/verify"} {
		for _, as := range []string{authz.GroupAdmin, authz.GroupAuditor} {
			apitest.Ask{Method: "GET", Path: path, As: as}.Want(t, h, 200)
		}
		for _, as := range []string{authz.GroupReader, authz.GroupWriter} {
			apitest.Ask{Method: "GET", Path: path, As: as}.WantError(t, h, 403, "ForbiddenException")
		}
		apitest.Ask{Method: "GET", Path: path, As: apitest.NoKey}.WantError(t, h, 401, "NotAuthorizedException")
	}
	for decision, want := range map[audit.Verdict]int{audit.Allow: 6, audit.Deny: 6} {
		if got := find(t, l["n1"], audit.Query{Action: "ReadAudit", Decision: decision}, audit.Position{}, 100); len(got) != want {
			t.Errorf("%s: %+v", decision, got)
		}
	}
}

// Decisions can be made again from what is on record.
func TestDecisionsCanBeMadeAgain(t *testing.T) {
	t.Parallel()
	l := logs{"n1": openLog(t, "n1")}
	_, h := auditNode(t, l)
	apitest.Ask{Method: "GET", Path: "/management/v1/tasks", As: "reader"}.Want(t, h, 403)
	apitest.Ask{Method: "GET", Path: auditPath, As: "auditor"}.Want(t, h, 200)
	page, err := (&audit.Trail{Peers: l}).Decisions(t.Context(), 10)
	if err != nil || len(page.Records) != 2 {
		t.Fatalf("%+v %v", page, err)
	}
	for _, r := range page.Records {
		p := authz.Principal{ID: r.Principal, Name: r.PrincipalName, Tenant: r.Tenant, Groups: r.Groups}
		resource := authz.Resource{Kind: authz.Kind(r.Resource.Kind), Warehouse: r.Resource.Warehouse, Namespace: r.Resource.Namespace, Name: r.Resource.Name}
		ruling, err := apitest.ReadyMade(t).Authorize(t.Context(), authz.Request{Principal: p, Action: authz.Action(r.Action), Resource: resource}, true)
		if err != nil || ruling.Allowed != (r.Decision == audit.Allow) {
			t.Errorf("%+v: %v %v", r, ruling, err)
		}
	}
}

func find(t testing.TB, log *audit.Log, q audit.Query, after audit.Position, most int) []audit.Record {
	t.Helper()
	found, err := log.Find(t.Context(), q, after, most)
	if err != nil {
		t.Fatal(err)
	}
	return found.Records
}
