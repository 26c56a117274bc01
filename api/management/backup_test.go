package management_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/floeberg/floeberg/api/apitest"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/api/serve"
	"github.com/floeberg/floeberg/internal/backup"
	"github.com/floeberg/floeberg/internal/storage"
)

// fakeBackups answers what a test gives it, and remembers what it was asked.
type fakeBackups struct {
	list  backup.Listing
	op    backup.Operation
	err   error
	asked []string
}

func (f *fakeBackups) List(context.Context) (*backup.Listing, error) { return &f.list, f.err }

func (f *fakeBackups) Find(_ context.Context, id string) (*backup.Manifest, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.asked = append(f.asked, "find "+id)
	return f.list.Snapshots[0], nil
}

func (f *fakeBackups) Create(_ context.Context, key string) (*backup.Operation, error) {
	f.asked = append(f.asked, "create "+key)
	return &f.op, f.err
}

func (f *fakeBackups) Verify(_ context.Context, id, key string) (*backup.Operation, error) {
	f.asked = append(f.asked, "verify "+id+" "+key)
	return &f.op, f.err
}

func (f *fakeBackups) Operation(_ context.Context, id string) (*backup.Operation, error) {
	f.asked = append(f.asked, "operation "+id)
	return &f.op, f.err
}

// askBackups sends a request as a member of a group.
func askBackups(t *testing.T, f management.Backups, group, method, path string, header ...string) (int, map[string]any) {
	t.Helper()
	routes, err := management.Routes(management.Options{Catalog: &spy{}, Cluster: &fakeCluster{}, Keys: noKeys, Policies: noPolicies, Warehouses: noWarehouses, Backups: f})
	if err != nil {
		t.Fatal(err)
	}
	h, err := serve.New(serve.Options{
		Authenticator: as(group), Authorizer: apitest.ReadyMade(t), NodeID: "n1", Logger: slog.New(slog.DiscardHandler),
	}, routes)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "/management/v1/backups"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, w.Body, err)
	}
	return w.Code, body
}

func someBackups(n int) backup.Listing {
	var l backup.Listing
	for i := range n {
		l.Snapshots = append(l.Snapshots, &backup.Manifest{
			Format: 1, ID: fmt.Sprintf("s%d", n-i), ClusterID: "c", Index: uint64(n - i), Time: time.UnixMilli(1_700_000_000_123).UTC(),
			Members: []backup.Member{{ID: "n1", Address: "h:1", Voter: true}}, Object: "o", Bytes: 7,
		})
	}
	l.Damaged = []backup.Damage{{ID: "s0", Err: errors.New("it is gone")}}
	return l
}

func TestListBackupsInPages(t *testing.T) {
	t.Parallel()
	f := &fakeBackups{list: someBackups(5)}
	var ids []string
	path, pages := "?page_size=2", 0
	for path != "" {
		status, body := askBackups(t, f, "admin", "GET", path)
		if status != http.StatusOK {
			t.Fatal(status, body)
		}
		for _, b := range body["backups"].([]any) {
			ids = append(ids, b.(map[string]any)["id"].(string))
		}
		damaged := body["damaged"].([]any)
		if (len(damaged) == 1) != (pages == 0) {
			t.Errorf("page %d: damaged %v", pages, damaged)
		}
		pages++
		path = ""
		if next, more := body["next_page_token"]; more {
			path = "?page_size=2&page_token=" + next.(string)
		}
	}
	if diff := cmp.Diff([]string{"s5", "s4", "s3", "s2", "s1"}, ids); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got)\n%s", pages, diff)
	}
	for path, want := range map[string]int{"?page_token=gone": 400, "?page_size=0": 400, "?page_size=x": 400} {
		if status, body := askBackups(t, f, "admin", "GET", path); status != want {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
	if status, body := askBackups(t, &fakeBackups{}, "admin", "GET", ""); status != 200 || body["backups"] == nil || body["damaged"] == nil {
		t.Errorf("of none: %d %v", status, body)
	}
}

func TestBackupWorkIsBegunAndAskedFor(t *testing.T) {
	t.Parallel()
	const key = "0198f2e4-9f8e-7c3a-8e7b-5a3d2c1b0a99"
	f := &fakeBackups{list: someBackups(1), op: backup.Operation{ID: "x@n1", Kind: backup.KindCreate, Status: backup.StatusRunning, Node: "n1"}}
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{"POST", "", 202}, {"POST", "/newest/verify", 202}, {"GET", "/operations/x@n1", 200}, {"GET", "/s1", 200},
	} {
		status, body := askBackups(t, f, "admin", tc.method, tc.path, "Idempotency-Key", key)
		if status != tc.want || body["id"] == nil {
			t.Errorf("%s %s: %d %v", tc.method, tc.path, status, body)
		}
	}
	want := []string{"create " + key, "verify newest " + key, "operation x@n1", "find s1"}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("asked (-want +got)\n%s", diff)
	}
}

func TestBackupErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want string
	}{
		{backup.ErrNoSnapshot, "404 NoSuchBackupException"},
		{backup.ErrNoOperation, "404 NoSuchOperationException"},
		{backup.ErrDamaged, "409 DamagedBackupException"},
		{backup.ErrForeign, "409 DamagedBackupException"},
		{backup.ErrNewerFormat, "409 DamagedBackupException"},
		{backup.ErrKeyReused, "422 UnprocessableEntityException"},
		{backup.ErrNotNow, "503 ServiceUnavailableException"},
		{storage.ErrUnavailable, "503 ServiceUnavailableException"},
		{storage.ErrDenied, "503 ServiceUnavailableException"},
		{errors.New("a defect"), "500 InternalServerError"},
	} {
		f := &fakeBackups{err: fmt.Errorf("at work: %w", tc.err)}
		for _, ask := range []struct{ method, path string }{{"GET", ""}, {"POST", ""}, {"GET", "/s1"}, {"POST", "/s1/verify"}, {"GET", "/operations/x@n1"}} {
			status, body := askBackups(t, f, "admin", ask.method, ask.path)
			e := body["error"].(map[string]any)
			if got := fmt.Sprintf("%d %s", status, e["type"]); got != tc.want {
				t.Errorf("%v at %s %s: %s, want %s", tc.err, ask.method, ask.path, got, tc.want)
			}
		}
	}
}

func TestBackupsNeedAStoreAndTheRight(t *testing.T) {
	t.Parallel()
	f := &fakeBackups{list: someBackups(1)}
	for _, ask := range []struct{ method, path string }{{"GET", ""}, {"POST", ""}, {"GET", "/s1"}, {"POST", "/s1/verify"}, {"GET", "/operations/x@n1"}} {
		if status, body := askBackups(t, nil, "admin", ask.method, ask.path); status != http.StatusNotAcceptable {
			t.Errorf("%s %s without a store: %d %v", ask.method, ask.path, status, body)
		}
		for _, group := range []string{"auditor", "reader", "writer", "nobody"} {
			if status, body := askBackups(t, f, group, ask.method, ask.path); status != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d %v", ask.method, ask.path, group, status, body)
			}
		}
	}
	if slices.Contains(f.asked, "create ") {
		t.Error("a snapshot was made without the right")
	}
}
