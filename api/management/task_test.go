package management_test

import (
	"context"
	"encoding/json"
	"errors"
	"github.com/floeberg/floeberg/api/apitest"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/internal/catalog"
)

// spy answers with what a test gives it and remembers what it was asked.
type spy struct {
	management.Catalog
	list   catalog.TaskList
	err    error
	asked  string
	status catalog.TaskStatus
	page   catalog.Page
	change catalog.Change
}

func (s *spy) ListTasks(_ context.Context, _ catalog.Read, status catalog.TaskStatus, page catalog.Page) (*catalog.TaskList, error) {
	s.asked, s.status, s.page = "list", status, page
	return &s.list, s.err
}

func (s *spy) one(what, id string) (*catalog.TaskInfo, error) {
	s.asked = what + " " + id
	if s.err != nil {
		return nil, s.err
	}
	return &s.list.Tasks[0], nil
}

func (s *spy) GetTask(_ context.Context, _ catalog.Read, id string) (*catalog.TaskInfo, error) {
	return s.one("get", id)
}

func (s *spy) CancelTask(_ context.Context, ch catalog.Change, id string) (*catalog.TaskInfo, error) {
	s.change = ch
	return s.one("cancel", id)
}

// as takes everybody for a member of a group.
type as string

func (a as) Authenticate(context.Context, authn.Credentials) (authz.Principal, error) {
	return authz.Principal{ID: "id-of-" + string(a), Groups: []string{string(a)}}, nil
}

func (as) Recheck(context.Context, authz.Principal) error { return nil }

func ask(t *testing.T, s *spy, group, method, target string, header ...string) (int, map[string]any) {
	t.Helper()
	routes, err := management.Routes(management.Options{Catalog: s, Cluster: &fakeCluster{}, Keys: noKeys, Policies: noPolicies, Warehouses: noWarehouses})
	if err != nil {
		t.Fatal(err)
	}
	h, err := serve.New(serve.Options{
		Authenticator: as(group), Authorizer: apitest.ReadyMade(t), NodeID: "a", Logger: slog.New(slog.DiscardHandler),
	}, routes)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Header().Get(middleware.RequestIDHeader) == "" {
		t.Errorf("%s %s has no request id", method, target)
	}
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s %s: %s: %v", method, target, w.Body, err)
	}
	return w.Code, body
}

const id = "01936f3e-0000-7000-8000-000000000001"

func twoTasks() catalog.TaskList {
	at := time.Date(2025, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	return catalog.TaskList{Index: 9, Next: "more", Tasks: []catalog.TaskInfo{
		{
			ID: id, Kind: "purge", Status: catalog.TaskRunning, Created: at, Principal: "p", Warehouse: "w",
			Table: catalog.Identifier{Namespace: catalog.Namespace{"a", "b"}, Name: "t"}, Node: "n1", Failures: 2, LastError: "e",
			RetryAt: at.Add(time.Second), FilesDeleted: 3, FilesKept: 4, Finished: at.Add(time.Minute),
		},
		{ID: "x", Kind: "purge", Status: catalog.TaskWaiting, Created: at},
	}}
}

func TestListTasks(t *testing.T) {
	t.Parallel()
	s := &spy{list: twoTasks()}
	code, body := ask(t, s, authz.GroupAdmin, http.MethodGet, "/management/v1/tasks?status=running&page_token=tok&page_size=7")
	first := map[string]any{
		"id": id, "kind": "purge", "status": "running", "created_at": "2025-01-02T03:04:05.678Z", "principal": "p", "warehouse": "w",
		"namespace": []any{"a", "b"}, "name": "t", "node": "n1", "failures": 2.0, "last_error": "e", "retry_at": "2025-01-02T03:04:06.678Z",
		"files_deleted": 3.0, "files_kept": 4.0, "finished_at": "2025-01-02T03:05:05.678Z",
	}
	second := map[string]any{
		"id": "x", "kind": "purge", "status": "waiting", "created_at": "2025-01-02T03:04:05.678Z", "principal": "", "warehouse": "",
		"namespace": []any{}, "name": "", "node": nil, "failures": 0.0, "last_error": nil, "retry_at": nil,
		"files_deleted": 0.0, "files_kept": 0.0, "finished_at": nil,
	}
	want := map[string]any{"tasks": []any{first, second}, "next_page_token": "more"}
	if diff := cmp.Diff(want, body); code != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", code, diff)
	}
	if s.status != catalog.TaskRunning || s.page != (catalog.Page{Paged: true, Token: "tok", Size: 7}) {
		t.Errorf("asked for %q, %+v", s.status, s.page)
	}
	s.list = catalog.TaskList{}
	if _, body := ask(t, s, authz.GroupAdmin, http.MethodGet, "/management/v1/tasks"); !cmp.Equal(body, map[string]any{"tasks": []any{}}) {
		t.Errorf("no tasks: %v", body)
	}
	if s.status != "" || s.page != (catalog.Page{Paged: true}) {
		t.Errorf("asked for %q, %+v", s.status, s.page)
	}
}

func TestOneTask(t *testing.T) {
	t.Parallel()
	s := &spy{list: twoTasks()}
	code, body := ask(t, s, authz.GroupAdmin, http.MethodGet, "/management/v1/tasks/"+id)
	if code != http.StatusOK || body["id"] != id || s.asked != "get "+id {
		t.Errorf("%d %v after %s", code, body, s.asked)
	}
	const key = "6f1c1e9e-6d0f-4b7e-9a53-0c2f4a3f7a11"
	code, body = ask(t, s, authz.GroupAdmin, http.MethodPost, "/management/v1/tasks/"+id+"/cancel", serve.IdempotencyKeyHeader, key)
	if code != http.StatusOK || body["id"] != id || s.asked != "cancel "+id || s.change.Key != key || s.change.Principal != "id-of-admin" {
		t.Errorf("%d %v after %s with %+v", code, body, s.asked, s.change)
	}
	s.err = &catalog.Error{Kind: catalog.KindNoSuchTask, Message: "Task does not exist: x"}
	for _, call := range [][2]string{{http.MethodGet, "x"}, {http.MethodPost, "x/cancel"}} {
		code, body := ask(t, s, authz.GroupAdmin, call[0], "/management/v1/tasks/"+call[1])
		if e, _ := body["error"].(map[string]any); code != http.StatusNotFound || e["type"] != "NoSuchTaskException" {
			t.Errorf("%v: %d %v", call, code, body)
		}
	}
}

func TestTasksAreRefused(t *testing.T) {
	t.Parallel()
	s := &spy{list: twoTasks()}
	for _, query := range []string{"status=asleep", "status=", "page_size=0", "page_size=many", "page_size=", "status=done&status=waiting", "page_token=a&page_token=b", "%"} {
		code, body := ask(t, s, authz.GroupAdmin, http.MethodGet, "/management/v1/tasks?"+query)
		if e, _ := body["error"].(map[string]any); code != http.StatusBadRequest || !strings.Contains(e["message"].(string), "Invalid query") {
			t.Errorf("%s: %d %v", query, code, body)
		}
	}
	for _, group := range []string{authz.GroupReader, authz.GroupWriter, "nobody"} {
		for _, call := range [][2]string{{http.MethodGet, ""}, {http.MethodGet, "/" + id}, {http.MethodPost, "/" + id + "/cancel"}} {
			if code, body := ask(t, s, group, call[0], "/management/v1/tasks"+call[1]); code != http.StatusForbidden {
				t.Errorf("%s as %s: %d %v", call, group, code, body)
			}
		}
	}
	if s.asked != "" {
		t.Errorf("the catalog was asked: %s", s.asked)
	}
	if _, err := management.Routes(management.Options{}); err == nil {
		t.Error("no catalog is enough")
	}
	if code, _ := ask(t, &spy{err: errors.New("a defect")}, authz.GroupAdmin, http.MethodGet, "/management/v1/tasks"); code != http.StatusInternalServerError {
		t.Errorf("a defect: %d", code)
	}
}
