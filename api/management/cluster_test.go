package management_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/floeberg/floeberg/api/apitest"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
)

// fakeCluster answers what a test gives it, and remembers what it was asked.
type fakeCluster struct {
	management.Keyring
	management.Support
	status management.ClusterStatus
	err    error
	asked  []string
	// elected becomes the leader that this node knows once it has caught up.
	elected *string
	// transferred is called when leadership went over.
	transferred func()
}

func (f *fakeCluster) note(what string) error {
	f.asked = append(f.asked, what)
	return f.err
}

func (f *fakeCluster) Status(context.Context) (*management.ClusterStatus, error) {
	return &f.status, f.err
}

func (f *fakeCluster) Join(_ context.Context, addresses []string) error {
	return f.note(fmt.Sprint("join ", addresses))
}

func (f *fakeCluster) Transfer(_ context.Context, id string) error {
	if f.transferred != nil {
		f.transferred()
	}
	return f.note("transfer " + id)
}

func (f *fakeCluster) Leave(context.Context) error                { return f.note("leave") }
func (f *fakeCluster) Remove(_ context.Context, id string) error  { return f.note("remove " + id) }
func (f *fakeCluster) Promote(_ context.Context, id string) error { return f.note("promote " + id) }
func (f *fakeCluster) Demote(_ context.Context, id string) error  { return f.note("demote " + id) }
func (f *fakeCluster) Verify(_ context.Context, deep bool) (*management.ClusterVerification, error) {
	sum := "0a0b"
	return &management.ClusterVerification{
		Index: 7, Checksum: &sum, Deep: deep, Nodes: []management.VerifiedNode{
			{ID: "n1", Index: number[uint64](7), Checksum: &sum, Result: "ok"},
			{ID: "n2", Result: "unreachable", Reason: number("it is away")},
		},
	}, f.note(fmt.Sprint("verify deep: ", deep))
}
func (f *fakeCluster) CatchUp(context.Context) error {
	if f.status.Leader == nil {
		f.status.Leader = f.elected
	}
	return nil
}
func (f *fakeCluster) NodeID() string { return "n1" }

// revoked takes everybody for an admin whose key was taken away a moment ago.
type revoked struct{ as }

func (revoked) Recheck(context.Context, authz.Principal) error { return authn.ErrUnauthenticated }

func operate(t *testing.T, f *fakeCluster, who serve.Authenticator, method, path, body string) (int, string) {
	t.Helper()
	routes, err := management.Routes(management.Options{Catalog: &spy{}, Cluster: f, Keys: noKeys, Policies: noPolicies, Warehouses: noWarehouses})
	if err != nil {
		t.Fatal(err)
	}
	h, err := serve.New(serve.Options{Authenticator: who, Authorizer: apitest.ReadyMade(t), NodeID: "n1", Logger: slog.New(slog.DiscardHandler)}, routes)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/management/v1"+path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func number[T any](n T) *T { return &n }

func TestClusterStatusIsShownWhole(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{status: management.ClusterStatus{
		ClusterID: number("c"), Leader: number("n2"), Term: 3, CommitIndex: 9, FailureTolerance: 1, Warnings: []string{"w"},
		Members: []management.Member{
			{
				ID: "n1", Role: "voter", Health: "healthy", HTTP: "h", Cluster: "c", Gossip: "g", Version: "v",
				AppliedIndex: number[uint64](7), Lag: number[uint64](2), LastContactMs: number[int64](5),
			},
			{ID: "n2", Role: "leader", Health: "unreachable"},
		},
	}}
	members := `[{"id":"n1","role":"voter","health":"healthy","http":"h","cluster":"c","gossip":"g","version":"v","applied_index":7,"lag":2,"last_contact_ms":5},` +
		`{"id":"n2","role":"leader","health":"unreachable","http":"","cluster":"","gossip":"","version":"","applied_index":null,"lag":null,"last_contact_ms":null}]`
	for path, want := range map[string]string{
		"/cluster": `{"cluster_id":"c","leader":"n2","term":3,"commit_index":9,"failure_tolerance":1,"snapshot_age_seconds":null,"warnings":["w"],"members":` + members + `}`,
		"/members": `{"members":` + members + `}`,
	} {
		// Without proof that the key still holds: it is needed most when there is none.
		if code, body := operate(t, f, revoked{as(authz.GroupAdmin)}, http.MethodGet, path, ""); code != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestMembershipChanges(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{status: management.ClusterStatus{Leader: number("n3")}}
	for _, tc := range [][3]string{ // path, body, answer
		{"/cluster/join", `{"addresses":["a:1","b:2"]}`, `{"id":"n1","result":"joined"}`},
		{"/cluster/leave", ``, `{"id":"n1","result":"left"}`},
		{"/cluster/transfer", ``, `{"id":"n3","result":"leads"}`},
		{"/cluster/transfer", `{"to":"n2"}`, `{"id":"n2","result":"leads"}`},
		{"/cluster/members/n4/remove", ``, `{"id":"n4","result":"removed"}`},
		{"/cluster/members/n%2F4/promote", ``, `{"id":"n/4","result":"promoted"}`},
		{"/cluster/members/n4/demote", ``, `{"id":"n4","result":"demoted"}`},
	} {
		if code, body := operate(t, f, as(authz.GroupAdmin), http.MethodPost, tc[0], tc[1]); code != http.StatusOK || body != tc[2] {
			t.Errorf("%s %s: %d %s", tc[0], tc[1], code, body)
		}
	}
	want := []string{"join [a:1 b:2]", "leave", "transfer ", "transfer n2", "remove n4", "promote n/4", "demote n4"}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Error(diff)
	}
}

// A moment after leadership went over, the node that is asked may not have heard
// from the new leader. The answer names it all the same.
func TestTransferNamesWhoeverLeads(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{status: management.ClusterStatus{Leader: number("n1")}, elected: number("n3")}
	f.transferred = func() { f.status.Leader = nil }
	if code, body := operate(t, f, as(authz.GroupAdmin), http.MethodPost, "/cluster/transfer", ""); code != http.StatusOK || body != `{"id":"n3","result":"leads"}` {
		t.Errorf("%d %s", code, body)
	}
}

func TestMembershipChangesAreRefused(t *testing.T) {
	t.Parallel()
	changes := []string{"/cluster/leave", "/cluster/transfer", "/cluster/members/n4/remove", "/cluster/members/n4/promote", "/cluster/members/n4/demote"}
	f := &fakeCluster{}
	for _, body := range []string{"", "[]", "{}", `{"addresses":[]}`, `{"addresses":[null]}`, `{"addresses":"a:1"}`, `{"addresses":["a"]}`, `{"addresses":[":1"]}`} {
		if code, answer := operate(t, f, as(authz.GroupAdmin), http.MethodPost, "/cluster/join", body); code != http.StatusBadRequest {
			t.Errorf("join %s: %d %s", body, code, answer)
		}
	}
	if code, answer := operate(t, f, as(authz.GroupAdmin), http.MethodPost, "/cluster/transfer", `{"to":3}`); code != http.StatusBadRequest {
		t.Errorf("transfer to a number: %d %s", code, answer)
	}
	for _, path := range changes {
		for _, group := range []string{authz.GroupReader, authz.GroupWriter, authz.GroupAuditor, "nobody"} {
			if code, _ := operate(t, f, as(group), http.MethodPost, path, ""); code != http.StatusForbidden {
				t.Errorf("%s as %s: %d", path, group, code)
			}
		}
		if code, _ := operate(t, f, revoked{as(authz.GroupAdmin)}, http.MethodPost, path, ""); code != http.StatusUnauthorized {
			t.Errorf("%s with a key that is gone: %d", path, code)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the cluster was asked: %v", f.asked)
	}
	for kind, want := range map[catalog.Kind]struct {
		code int
		name string
	}{
		catalog.KindMembershipRefused: {http.StatusConflict, "MembershipRefusedException"},
		catalog.KindNoSuchNode:        {http.StatusNotFound, "NoSuchNodeException"},
		catalog.KindUnavailable:       {http.StatusServiceUnavailable, "ServiceUnavailableException"},
		catalog.KindCommitUnknown:     {http.StatusInternalServerError, "CommitStateUnknownException"},
	} {
		f.err = &catalog.Error{Kind: kind, Message: "3 voters, 1 answers"}
		for _, path := range changes {
			code, body := operate(t, f, as(authz.GroupAdmin), http.MethodPost, path, "")
			var told struct {
				Error struct {
					Message, Type string
					Code          int
				}
			}
			if err := json.NewDecoder(bytes.NewBufferString(body)).Decode(&told); err != nil || code != want.code ||
				told.Error.Type != want.name || told.Error.Code != code || told.Error.Message != "3 voters, 1 answers" {
				t.Errorf("%s after %s: %d %s %v", path, kind, code, body, err)
			}
		}
	}
	f.err = errors.New("a defect")
	for _, path := range []string{"/cluster", "/members"} {
		if code, _ := operate(t, f, as(authz.GroupAdmin), http.MethodGet, path, ""); code != http.StatusInternalServerError {
			t.Errorf("%s: %d", path, code)
		}
		if code, _ := operate(t, &fakeCluster{}, as(authz.GroupReader), http.MethodGet, path, ""); code != http.StatusForbidden {
			t.Errorf("%s as a reader: %d", path, code)
		}
	}
	if _, err := management.Routes(management.Options{Catalog: &spy{}}); err == nil {
		t.Error("no cluster is enough")
	}
}

func TestClusterVerification(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{}
	for query, deep := range map[string]bool{"": false, "?deep=false": false, "?deep=true": true} {
		want := fmt.Sprintf(`{"ok":false,"index":7,"checksum":"0a0b","deep":%t,"nodes":[`+
			`{"id":"n1","index":7,"checksum":"0a0b","result":"ok","reason":null},`+
			`{"id":"n2","index":null,"checksum":null,"result":"unreachable","reason":"it is away"}]}`, deep)
		if code, body := operate(t, f, as(authz.GroupAdmin), http.MethodGet, "/cluster/verify"+query, ""); code != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	asked := len(f.asked)
	if code, body := operate(t, f, as(authz.GroupAdmin), http.MethodGet, "/cluster/verify?deep=yes", ""); code != http.StatusBadRequest {
		t.Errorf("deep=yes: %d %s", code, body)
	}
	if code, _ := operate(t, f, as(authz.GroupReader), http.MethodGet, "/cluster/verify", ""); code != http.StatusForbidden {
		t.Errorf("as a reader: %d", code)
	}
	if len(f.asked) != asked {
		t.Errorf("the cluster was asked: %v", f.asked)
	}
	f.err = &catalog.Error{Kind: catalog.KindUnavailable, Message: "not yet in a cluster"}
	if code, _ := operate(t, f, as(authz.GroupAdmin), http.MethodGet, "/cluster/verify", ""); code != http.StatusServiceUnavailable {
		t.Errorf("in no cluster: %d", code)
	}
}

// What is done to the cluster itself carries no evidence in a transaction, so
// every such route proves the right when it is used, whoever adds it.
func TestOperationsWithAKeyThatIsGone(t *testing.T) {
	t.Parallel()
	f := &fakeCluster{}
	routes, err := management.Routes(management.Options{Catalog: &spy{}, Cluster: f, Keys: noKeys, Policies: noPolicies, Warehouses: noWarehouses})
	if err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, r := range routes {
		if !r.Operates || !r.Change {
			continue
		}
		operations++
		path := strings.NewReplacer("{", "", "}", "").Replace(strings.TrimPrefix(r.Path, "/management/v1"))
		if code, body := operate(t, f, revoked{as(authz.GroupAdmin)}, r.Method, path, "{}"); code != http.StatusUnauthorized {
			t.Errorf("%s %s with a key that is gone: %d %s", r.Method, path, code, body)
		}
		for _, group := range []string{authz.GroupWriter, authz.GroupReader, authz.GroupAuditor} {
			if code, body := operate(t, f, as(group), r.Method, path, "{}"); code != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d %s", r.Method, path, group, code, body)
			}
		}
	}
	if operations < 12 || len(f.asked) > 0 {
		t.Errorf("%d operations; the cluster was asked: %v", operations, f.asked)
	}
}
