package rest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/catalog"
	"github.com/floeberg/floeberg/ops/audit"
)

// shelf takes lines as a sink's writer does.
type shelf struct {
	mu    sync.Mutex
	lines bytes.Buffer
	fail  bool
}

func (s *shelf) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return 0, errors.New("no room left")
	}
	return s.lines.Write(p)
}

func (s *shelf) setFail(fail bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// audited is a node with an audit log.
func audited(t testing.TB, s *site, adjust ...func(*nodeOptions)) (http.Handler, *audit.Log, *shelf) {
	t.Helper()
	sink := &shelf{}
	log, err := audit.Open(audit.Options{Node: "n1", Sinks: []audit.Sink{audit.NewStream("stdout", sink)}, OnFailure: audit.Refuse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = log.Close(ctx) // a test may have left its sink without room
	})
	h := s.node("n1", append([]func(*nodeOptions){func(o *nodeOptions) { o.Audit = log }}, adjust...)...)
	return h, log, sink
}

// said is what is on record, the oldest first, in short.
func said(t testing.TB, log *audit.Log) []string {
	t.Helper()
	out := []string{}
	all := find(t, log, audit.Query{}, audit.Position{}, 10_000)
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		if r.Event == audit.Begin {
			continue
		}
		parts := []string{string(r.Event), r.Principal, r.Action}
		if r.Resource != nil {
			parts = append(parts, r.Resource.Kind, strings.Join(append(append([]string{}, r.Resource.Namespace...), r.Resource.Name), "/"))
		}
		parts = append(parts, string(r.Decision), r.Reason)
		if r.Status > 0 {
			parts = append(parts, fmt.Sprint(r.Status), r.Error)
		}
		if r.Index > 0 {
			parts = append(parts, "indexed")
		}
		out = append(out, strings.Join(strings.Fields(strings.Join(parts, " ")), " "))
	}
	return out
}

func TestWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, _ := audited(t, s)
	const tables = "/v1/default/namespaces/a/tables"
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, as: "writer", body: createTableBody("t")}.want(t, h, 200)
	ask{method: "GET", path: tables + "/t", as: "reader"}.want(t, h, 200) // reads that are allowed are not on record
	ask{method: "GET", path: tables + "/t", as: "auditor"}.want(t, h, 404)
	ask{method: "DELETE", path: tables + "/t", as: "reader"}.want(t, h, 403)
	ask{method: "DELETE", path: tables + "/none", as: "writer"}.want(t, h, 404)
	ask{method: "POST", path: "/v1/default/tables/rename", as: "writer", body: `{"source":{"namespace":["a"],"name":"t"},"destination":{"namespace":["a"],"name":"u"}}`}.want(t, h, 204)
	ask{method: "GET", path: tables, as: "-"}.want(t, h, 401)
	ask{method: "GET", path: tables, as: "nobody"}.want(t, h, 401)
	ask{method: "GET", path: tables + "?pageSize=x", as: "nobody"}.want(t, h, 401)
	want := []string{
		"decision id-admin CreateNamespace Warehouse allow",
		"decision id-admin LoadNamespace Namespace a/ allow",
		"outcome id-admin CreateNamespace Warehouse 200 indexed",
		"decision id-writer CreateTable Namespace a/ allow",
		"decision id-writer LoadTable Table a/t allow", // what it makes
		"decision id-writer LoadView View a/t allow",
		"outcome id-writer CreateTable Namespace a/ 200 indexed",
		"decision id-auditor LoadTable Table a/t deny",
		"decision id-reader DropTable Table a/t deny",
		"decision id-writer DropTable Table a/none allow",
		"outcome id-writer DropTable Table a/none 404 NoSuchTableException",
		"decision id-writer RenameTable Table a/t allow",
		"decision id-writer CreateTable Namespace a/ allow", // at the new name
		"decision id-writer LoadTable Table a/u allow",
		"decision id-writer LoadView View a/u allow",
		"outcome id-writer RenameTable Warehouse 204 indexed",
		"authentication deny missing",
		"authentication deny unknown",
		"authentication deny unknown",
	}
	if diff := cmp.Diff(want, said(t, log)); diff != "" {
		t.Errorf("wanted (-) and on record (+):\n%s", diff)
	}
	last := find(t, log, audit.Query{Action: "CreateTable", Event: audit.Decision}, audit.Position{}, 1)[0]
	if last.RequestID == "" || last.Source != "192.0.2.1" || last.PrincipalName != "writer" || last.PrincipalType != "service" || !cmp.Equal(last.Groups, []string{"writer"}) || last.Resource.Warehouse != "default" {
		t.Errorf("%+v", last)
	}
}

// While nothing can be put on record changes are refused, and nothing was proposed:
// a repeat is safe. Reads go on.
func TestNoRecordNoChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, sink := audited(t, s)
	createNamespace(t, h, "a")
	sink.setFail(true)
	log.Note(audit.Record{Event: audit.Decision})
	for deadline := time.Now().Add(20 * time.Second); len(log.Trouble()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the failure is not noticed")
		}
	}
	index := s.Log.Index()
	w := ask{method: "POST", path: "/v1/default/namespaces/a/tables", body: createTableBody("t")}.want(t, h, 503)
	if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "audit log") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	if now := s.Log.Index(); now != index {
		t.Errorf("the log went from %d to %d", index, now)
	}
	ask{method: "GET", path: "/v1/default/namespaces/a"}.want(t, h, 200)
	ask{method: "GET", path: "/v1/default/namespaces/a", as: "auditor"}.want(t, h, 404)
	sink.setFail(false)
	for deadline := time.Now().Add(20 * time.Second); len(log.Trouble()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the sink is not well again")
		}
	}
	ask{method: "POST", path: "/v1/default/namespaces/a/tables", body: createTableBody("t")}.want(t, h, 200)
	refused := find(t, log, audit.Query{Event: audit.Outcome, Action: "CreateTable"}, audit.Position{}, 10)
	if len(refused) != 2 || refused[1].Status != 503 {
		t.Errorf("%+v", refused)
	}
}

// Whatever a request brings along, its secrets are not on record, and nothing in it
// forges a line.
func TestNothingSecretAndNothingForgedOnRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, sink := audited(t, s)
	const secret = "PLANTED-a1b2c3"
	forged := "x\n{\"seq\":1,\"event\":\"decision\"}\u202e\x1b[31m"
	createNamespace(t, h, "a")
	ask{method: "GET", path: "/v1/config?warehouse=" + secret + "x", as: "-", header: http.Header{"Authorization": {"Bearer fb_" + secret}}}.want(t, h, 401)
	ask{method: "GET", path: "/v1/config", as: "-", header: http.Header{"Authorization": {"Basic " + secret}}}.want(t, h, 401)
	ask{method: "GET", path: "/v1/config", as: "-", header: http.Header{"X-Api-Key": {secret}, "Cookie": {secret}, "X-Forwarded-For": {secret}}}.want(t, h, 401)
	ask{method: "POST", path: "/v1/default/namespaces/a/properties", body: `{"updates":{"s3.secret-access-key":"` + secret + `"}}`}.want(t, h, 200)
	ask{method: "POST", path: "/v1/default/namespaces/a/tables?X-Amz-Signature=" + secret, body: `{"name":"t","schema":` + oneColumn + `,"properties":{"gcs.oauth2.token":"` + secret + `"},"location":"s3://` + secret + `@b/x"}`}.of(h)
	ask{method: "POST", path: "/v1/default/namespaces/a/tables", body: `{"` + secret}.of(h)
	ask{method: "POST", path: "/v1/oauth/tokens", as: "-", body: "grant_type=client_credentials&client_secret=" + secret}.of(h)
	ask{method: "GET", path: "/v1/default/namespaces/a/tables/x%0A%7B%22seq%22%3A1%7D%E2%80%AE%1B%5B31m", as: "auditor"}.want(t, h, 404)
	ask{method: "GET", path: "/v1/default/namespaces/a", as: "auditor", header: http.Header{"X-Request-Id": {forged}}}.want(t, h, 404)
	sink.mu.Lock()
	defer sink.mu.Unlock()
	text := sink.lines.String()
	if strings.Contains(text, secret) {
		t.Errorf("a secret is on record:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if _, err := audit.ParseLine([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if strings.ContainsAny(text, "\x1b\u202e\r") {
		t.Errorf("what steers a terminal is on record as it is: %q", text)
	}
	if found := find(t, log, audit.Query{Decision: audit.Deny, Principal: "id-auditor"}, audit.Position{}, 10); len(found) != 2 || found[1].Resource.Name != "x\n{\"seq\":1}\u202e\x1b[31m" {
		t.Errorf("%+v", found)
	}
}

// Where an answer panics, its outcome is on record all the same.
func TestAPanicIsOnRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, _ := audited(t, s, func(o *nodeOptions) { o.restOptions.Catalog = panicking{o.restOptions.Catalog.(*catalog.Catalog)} })
	ask{method: "POST", path: "/v1/default/namespaces", body: `{"namespace":["a"]}`}.want(t, h, 500)
	want := []string{"decision id-admin CreateNamespace Warehouse allow", "decision id-admin LoadNamespace Namespace a/ allow", "outcome id-admin CreateNamespace Warehouse 500 InternalServerError"}
	if diff := cmp.Diff(want, said(t, log)); diff != "" {
		t.Errorf("wanted (-) and on record (+):\n%s", diff)
	}
}

type panicking struct{ *catalog.Catalog }

func (panicking) CreateNamespace(context.Context, catalog.Change, string, catalog.Namespace, map[string]string) (*catalog.NamespaceInfo, error) {
	panic("at the disco")
}

// What decided is on record where the authorizer tells it.
func TestWhatDecidedIsOnRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, _ := audited(t, s)
	createNamespace(t, h, "a")
	s.PutPolicies("default", `@id("no") forbid (principal, action, resource);`)
	ask{method: "GET", path: "/v1/default/namespaces/a", as: "reader"}.want(t, h, 404)
	found := find(t, log, audit.Query{Event: audit.Decision}, audit.Position{}, 10)
	told := map[string]bool{}
	for _, r := range found {
		told[fmt.Sprint(r.Decision, r.Policies, r.PolicyVersion)] = true
	}
	for _, want := range []string{"allow[cluster/admin]cluster@0", "deny[warehouse/default/no]cluster@0 default@1"} {
		if !told[want] {
			t.Errorf("%v, want %s among them", told, want)
		}
	}
}

// What a decision looked at is on record, so that it can be made again.
func TestDecisionsAreOnRecordWithTheirCircumstances(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, log, _ := audited(t, s)
	createNamespace(t, h, "a")
	ask{method: "GET", path: tables + "/t?referenced-by=" + url.QueryEscape("a\x1fv,b\x1fc\x1fw"), as: "auditor"}.want(t, h, 404)
	found := find(t, log, audit.Query{Event: audit.Decision}, audit.Position{}, 10)
	want := []audit.Resource{{Kind: "View", Warehouse: "default", Namespace: []string{"a"}, Name: "v"}, {Kind: "View", Warehouse: "default", Namespace: []string{"b", "c"}, Name: "w"}}
	for i, views := range [][]audit.Resource{want, nil} {
		under, ok := found[i].Circumstances()
		if !ok || under.Time.IsZero() || under.Authentication != "key" || under.Access != "none" || !cmp.Equal(under.ReferencedBy, views) {
			t.Errorf("%s: %v %+v", found[i].Action, ok, under)
		}
	}
}

// What a record costs a request that is denied.
func BenchmarkAuditedDenial(b *testing.B) {
	s := newSite(b)
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("audited=%v", with), func(b *testing.B) {
			h := s.node("n1")
			if with {
				h, _, _ = audited(b, s)
			}
			a := ask{method: "GET", path: "/v1/default/namespaces/a", as: "auditor"}
			b.ReportAllocs()
			for b.Loop() {
				a.of(h)
			}
		})
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
