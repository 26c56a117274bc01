package management_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/floeberg/floeberg/api/apitest"
	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/fsm/state"
)

const (
	// tables is where operators see what clients make under clientTables.
	tables       = warehouses + "/default/namespaces/a%1Fb.c/tables"
	clientTables = "/v1/default/namespaces/a%1Fb.c/tables"
)

// makeTable makes a.b.c.t, whose last level holds a dot, and gives its
// metadata's location.
func makeTable(t testing.TB, h http.Handler, name string) string {
	t.Helper()
	for _, path := range []string{`["a"]`, `["a","b.c"]`} {
		if w := (apitest.Ask{Method: "POST", Path: "/v1/default/namespaces", Body: `{"namespace":` + path + `}`}).Of(h); w.Code != 200 && w.Code != 409 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	w := apitest.Ask{Method: "POST", Path: clientTables, Body: `{"name":"` + name + `","properties":{"owner":"nansen"},
		"schema":{"type":"struct","fields":[{"id":1,"name":"x","type":"long","required":false}]}}`}.Want(t, h, 200)
	return apitest.Decode[struct {
		MetadataLocation string `json:"metadata-location"`
	}](t, w).MetadataLocation
}

// damage changes what the catalog has of a table behind its back.
func damage(t testing.TB, s *apitest.Site, name string) {
	t.Helper()
	v, err := s.Log.State()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	rec, _, ok, err := v.Table("default", []string{"a", "b.c"}, name)
	if err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	head, ok, err := v.Get(state.HeadKey(rec.Id))
	if err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	changed := strings.Replace(string(head.Data), "nansen", "nobody", 1)
	if changed == string(head.Data) {
		t.Fatalf("nothing to damage in %q", changed)
	}
	s.Log.PutBytes(t, state.HeadKey(rec.Id), []byte(changed))
}

func TestVerifyAndRebuild(t *testing.T) {
	t.Parallel()
	s, h := newNode(t)
	location := makeTable(t, h, "t")
	verify := apitest.Ask{Method: "GET", Path: tables + "/t/verify"}
	rebuild := apitest.Ask{Method: "POST", Path: tables + "/t/rebuild", Header: http.Header{"Idempotency-Key": {uuid.NewString()}}}

	sound := management.Verification{MetadataLocation: location, Matches: true, Differences: []management.Difference{}}
	w := verify.Want(t, h, 200)
	if diff := cmp.Diff(sound, apitest.Decode[management.Verification](t, w)); diff != "" {
		t.Error(diff)
	}
	if w.Header().Get("Floeberg-Index") == "" || !strings.Contains(w.Body.String(), `"differences":[]`) {
		t.Errorf("%v %s", w.Header(), w.Body)
	}

	damage(t, s, "t")
	// Another node, which has nothing of the table in memory.
	other := node(s, "n2")
	differs := management.Verification{
		MetadataLocation: location,
		Differences:      []management.Difference{{Path: "/properties/owner", Catalog: `"nobody"`, File: `"nansen"`}},
	}
	for _, n := range []http.Handler{h, other} {
		if diff := cmp.Diff(differs, apitest.Decode[management.Verification](t, verify.Want(t, n, 200))); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(differs, apitest.Decode[management.Verification](t, rebuild.Want(t, other, 200))); diff != "" {
		t.Errorf("what was wrong before: %s", diff)
	}
	for _, n := range []http.Handler{h, other} {
		if diff := cmp.Diff(sound, apitest.Decode[management.Verification](t, verify.Want(t, n, 200))); diff != "" {
			t.Errorf("after the rebuild: %s", diff)
		}
	}
	// A repeat changes nothing, on whatever node.
	before := s.Log.Index()
	rebuild.Want(t, h, 200)
	if after := s.Log.Index(); after != before {
		t.Errorf("a repeat was carried out again: log index %d, then %d", before, after)
	}
	rebuild.Path = tables + "/u/rebuild"
	rebuild.WantError(t, h, 422, "UnprocessableEntityException")
}

func TestVerifyWithoutAFile(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	location := makeTable(t, h, "t")
	if err := os.Remove(strings.TrimPrefix(location, "file://")); err != nil {
		t.Fatal(err)
	}
	got := apitest.Decode[management.Verification](t, apitest.Ask{Method: "GET", Path: tables + "/t/verify"}.Want(t, h, 200))
	if got.Matches || got.Problem == nil || !strings.Contains(*got.Problem, location) {
		t.Errorf("got %+v", got)
	}
	apitest.Ask{Method: "POST", Path: tables + "/t/rebuild"}.WantError(t, h, 404, "NotFoundException")
}

func TestVerifyAndRebuildRefuse(t *testing.T) {
	t.Parallel()
	_, h := newNode(t)
	makeTable(t, h, "t")
	for _, tc := range []struct {
		path      string
		status    int
		errorType string
	}{
		{tables + "/nothing", 404, "NoSuchTableException"},
		{warehouses + "/default/namespaces/nothing/tables/t", 404, "NoSuchTableException"},
		{warehouses + "/nowhere/namespaces/a/tables/t", 404, "NoSuchWarehouseException"},
		{warehouses + "/default/namespaces/a%1F%1Fb/tables/t", 400, "IllegalArgumentException"},
		{warehouses + "/default/namespaces/a%01/tables/t", 400, "IllegalArgumentException"},
		{warehouses + "//namespaces/a/tables/t", 404, "NoSuchEndpointException"},
	} {
		apitest.Ask{Method: "GET", Path: tc.path + "/verify"}.WantError(t, h, tc.status, tc.errorType)
		apitest.Ask{Method: "POST", Path: tc.path + "/rebuild"}.WantError(t, h, tc.status, tc.errorType)
	}
	apitest.Ask{Method: "POST", Path: tables + "/t/verify"}.WantError(t, h, 405, "MethodNotAllowedException")
	apitest.Ask{Method: "GET", Path: tables + "/t/rebuild"}.WantError(t, h, 405, "MethodNotAllowedException")
	junk := apitest.Ask{Method: "POST", Path: tables + "/t/rebuild", Header: http.Header{"Idempotency-Key": {"junk"}}}
	junk.WantError(t, h, 400, "BadRequestException")
}

// Verifications that wait for a slow store take no place from reads.
func TestVerificationsAreNoReads(t *testing.T) {
	t.Parallel()
	s := apitest.NewSite(t)
	plain := node(s, "n0")
	makeTable(t, plain, "t")
	release, waiting := make(chan struct{}), atomic.Int64{}
	h := slowNode(s, "n1", 2, func() { waiting.Add(1); <-release })
	verify := apitest.Ask{Method: "GET", Path: tables + "/t/verify"}
	done := make(chan *httptest.ResponseRecorder, 2)
	for range 2 {
		go func() { done <- verify.Of(h) }()
	}
	await(t, "two verifications to wait for the store", func() bool { return waiting.Load() == 2 })
	apitest.Ask{Method: "GET", Path: clientTables + "/t"}.Want(t, h, 200)
	verify.WantError(t, h, 503, "SlowDownException")
	close(release)
	for range 2 {
		if w := <-done; w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}
