package cluster_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/test/client"
)

// The tests of this file are what released clients need beyond the protocol,
// as they send it.

// TestTrinoPlacesTables asks for a namespace's location and stages a table in a
// folder of its own choice below it, as Trino does: there must be no file in it,
// or Trino refuses to write there.
func TestTrinoPlacesTables(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	top := namespace(t, c)
	do(t, c, http.StatusOK, client.NamespaceRequest(c, map[string]string{"owner": "trino"}, top, "below"))
	for _, levels := range [][]string{{top}, {top, "below"}} {
		root := locationOf(t, c, levels...)
		for _, place := range []string{"/orders-5f3e1c9a8d", "/a/b c/orders-77", "/ünï+code-1"} {
			name := fresh("orders")
			stage := client.Request{
				Method: http.MethodPost, Path: c.NamespacePath(levels...) + "/tables",
				Body: client.Object{"name": name, "schema": client.Schema(), "location": root + place, "stage-create": true},
			}
			staged := tableOf(t, do(t, c, http.StatusOK, stage))
			if staged.Metadata.Location != root+place {
				t.Fatalf("asked for %s, staged at %s", root+place, staged.Metadata.Location)
			}
			if found := filesBelow(t, staged.Metadata.Location); len(found) != 0 {
				t.Errorf("a staged create left files in %s: %v", staged.Metadata.Location, found)
			}
			// The client's first files, and the commit that tells of them.
			data := filepath.Join(folder(staged.Metadata.Location), "data", "1.parquet")
			if err := os.MkdirAll(filepath.Dir(data), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(data, []byte("PAR1"), 0o600); err != nil {
				t.Fatal(err)
			}
			commit := client.Request{
				Method: http.MethodPost, Path: c.NamespacePath(levels...) + "/tables/" + name,
				Body: client.Object{"requirements": []client.Object{{"type": "assert-create"}}, "updates": createUpdates(staged)},
			}
			landed := tableOf(t, do(t, c, http.StatusOK, commit))
			if landed.Metadata.Location != staged.Metadata.Location || !strings.HasPrefix(landed.MetadataLocation, staged.Metadata.Location+"/") {
				t.Errorf("staged at %s, landed at %s with %s", staged.Metadata.Location, landed.Metadata.Location, landed.MetadataLocation)
			}
			if _, err := os.Stat(data); err != nil {
				t.Errorf("the client's file: %v", err)
			}
		}
	}
}

// TestTrinoPlacesViews makes a view where Trino wants it.
func TestTrinoPlacesViews(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	location := locationOf(t, c, ns) + "/" + fresh("view") + "-5f3e1c9a8d"
	view := viewBody(ns, "v")
	view["location"] = location
	var made struct {
		MetadataLocation string `json:"metadata-location"`
		Metadata         struct{ Location string }
	}
	res := do(t, c, http.StatusOK, client.Request{Method: http.MethodPost, Path: c.NamespacePath(ns) + "/views", Body: view})
	if err := res.Decode(&made); err != nil {
		t.Fatal(err)
	}
	if made.Metadata.Location != location || !strings.HasPrefix(made.MetadataLocation, location+"/") {
		t.Errorf("asked for %s, made at %s with %s", location, made.Metadata.Location, made.MetadataLocation)
	}
}

// TestDuckDBWritesAfterAStagedCreate finds the folder in place that DuckDB writes
// its manifests to: it makes none itself.
func TestDuckDBWritesAfterAStagedCreate(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns := namespace(t, c)
	for i := range s.Nodes {
		stage := client.CreateTableRequest(c, ns, fresh("duck"))
		stage.Body.(client.Object)["stage-create"] = true
		staged := tableOf(t, do(t, s.At(i), http.StatusOK, stage))
		entries, err := os.ReadDir(filepath.Join(folder(staged.Metadata.Location), "metadata"))
		if err != nil || len(entries) != 0 {
			t.Errorf("node %d: want an empty metadata/ in %s, got %v, %v", i, staged.Metadata.Location, entries, err)
		}
	}
}

// TestSeparatorThatAlwaysWorks reaches what lies in nested namespaces by 0x1F on
// every kind of path, which Rust, DuckDB and Trino send whatever is advertised.
func TestSeparatorThatAlwaysWorks(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	top := namespace(t, c)
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, top, "b.c"))
	path := c.NamespacePath() + "/" + top + "%1Fb.c"
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodHead, Path: path})
	do(t, c, http.StatusOK, client.Request{Method: http.MethodPost, Path: path + "/properties", Body: `{"updates": {"a": "1"}, "removals": []}`})
	do(t, c, http.StatusOK, client.Request{Method: http.MethodPost, Path: path + "/tables", Body: client.Object{"name": "t", "schema": client.Schema()}})
	do(t, c, http.StatusOK, client.Request{Method: http.MethodPost, Path: path + "/views", Body: viewBody(top, "v")})
	do(t, c, http.StatusOK, get(path+"/tables/t"))
	do(t, c, http.StatusOK, get(path+"/views/v"))
	for _, listing := range []string{path + "/tables", path + "/views"} {
		var list struct {
			Identifiers []struct{ Namespace []string }
		}
		if err := do(t, c, http.StatusOK, get(listing)).Decode(&list); err != nil {
			t.Fatal(err)
		}
		if len(list.Identifiers) != 1 || strings.Join(list.Identifiers[0].Namespace, "/") != top+"/b.c" {
			t.Errorf("%s: %+v", listing, list.Identifiers)
		}
	}
	do(t, c, http.StatusOK, get(c.NamespacePath()+"?parent="+top+"%1Fb.c"))
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: path + "/tables/t"})
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: path + "/views/v"})
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: path})
}

// TestRegisterUnderAnotherName takes metadata in under other names than its own,
// and over a table where that is asked for.
func TestRegisterUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns, other := namespace(t, c), namespace(t, c)
	name, first := table(t, c, ns)
	second := commitAppend(t, c, ns, name)
	register := func(ns, name, file string, overwrite any) client.Request {
		body := client.Object{"name": name, "metadata-location": file}
		if overwrite != nil {
			body["overwrite"] = overwrite
		}
		return client.Request{Method: http.MethodPost, Path: c.NamespacePath(ns) + "/register", Body: body}
	}
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: c.TablePath(ns, name)})
	taken := tableOf(t, do(t, c, http.StatusOK, register(other, "another name", first.MetadataLocation, nil)))
	if taken.Metadata.UUID != first.Metadata.UUID || taken.MetadataLocation != first.MetadataLocation {
		t.Errorf("registered as %s from %s", taken.Metadata.UUID, taken.MetadataLocation)
	}
	refused(t, c, http.StatusConflict, "AlreadyExistsException", register(other, "another name", second.MetadataLocation, nil))
	refused(t, c, http.StatusConflict, "AlreadyExistsException", register(other, "another name", second.MetadataLocation, false))
	over := tableOf(t, do(t, c, http.StatusOK, register(other, "another name", second.MetadataLocation, true)))
	for i := range s.Nodes {
		got := load(t, s.At(i), other, "another name")
		if got.MetadataLocation != over.MetadataLocation || got.Metadata.Current() != second.Metadata.Current() {
			t.Errorf("node %d has %s with snapshot %d, want %s with %d", i, got.MetadataLocation, got.Metadata.Current(),
				second.MetadataLocation, second.Metadata.Current())
		}
	}
	after := commitAppend(t, c, other, "another name")
	if n := len(after.Metadata.Snapshots); n != 2 {
		t.Errorf("%d snapshots after another append, want 2", n)
	}
}

// TestRegisterWhatIsSomethingElse gives a table's metadata for a view's, and the
// other way round.
func TestRegisterWhatIsSomethingElse(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, made := table(t, c, ns)
	var view struct {
		MetadataLocation string `json:"metadata-location"`
	}
	res := do(t, c, http.StatusOK, client.Request{Method: http.MethodPost, Path: c.NamespacePath(ns) + "/views", Body: viewBody(ns, "v")})
	if err := res.Decode(&view); err != nil {
		t.Fatal(err)
	}
	for path, file := range map[string]string{"/register-view": made.MetadataLocation, "/register": view.MetadataLocation} {
		// What lies in another's place is not even looked at.
		refused(t, c, http.StatusConflict, "AlreadyExistsException", client.Request{
			Method: http.MethodPost, Path: c.NamespacePath(ns) + path, Body: client.Object{"name": "x", "metadata-location": file},
		})
	}
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: c.TablePath(ns, name)})
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: c.NamespacePath(ns) + "/views/v"})
	for path, file := range map[string]string{"/register-view": made.MetadataLocation, "/register": view.MetadataLocation} {
		res := do(t, c, http.StatusBadRequest, client.Request{
			Method: http.MethodPost, Path: c.NamespacePath(ns) + path,
			Body: client.Object{"name": "x", "metadata-location": file},
		})
		if e := res.Error(); e.Code != http.StatusBadRequest || e.Type == "" || e.Message == "" {
			t.Errorf("%s: no Iceberg error body: %s", path, res)
		}
	}
}

// TestQueriesThatCannotBeRead answers each with an Iceberg error, as it answers
// a body that can't be read.
func TestQueriesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	for _, path := range []string{
		c.NamespacePath() + "?parent=%zz",
		c.NamespacePath() + "?pageToken=%",
		c.NamespacePath() + "?pageToken=&pageSize=1;2",
		c.NamespacePath(ns) + "/tables?pageToken=%ff%fe",
		c.NamespacePath(ns) + "/tables?pageToken=&pageSize=-1",
		c.NamespacePath(ns) + "/tables?pageToken=&pageSize=1e3",
		c.NamespacePath() + "?parent=a%00b",
		c.TablePath(ns, name) + "?snapshots=",
		"/v1/config?warehouse=%zz",
	} {
		res, err := c.Do(t.Context(), get(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if e := res.Error(); res.Status < 400 || res.Status > 499 || e.Code != res.Status || e.Type == "" || e.Message == "" {
			t.Errorf("%s: want a 4xx with an Iceberg error body, got %s", path, res)
		}
	}
}

// TestNothingIsNotImplemented asks for what the protocol has and this catalog
// may not: clients take a 501 for a broken server.
func TestNothingIsNotImplemented(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	of := c.TablePath(ns, name)
	for _, r := range []client.Request{
		get(of + "/credentials"),
		{Method: http.MethodPost, Path: of + "/sign", Body: `{"region": "x", "method": "GET", "uri": "https://b.s3.amazonaws.com/k", "headers": {}}`},
		{Method: http.MethodPost, Path: of + "/plan", Body: `{"select": ["id"]}`},
		get(of + "/plan/1"),
		{Method: http.MethodDelete, Path: of + "/plan/1"},
		{Method: http.MethodPost, Path: of + "/tasks", Body: `{"plan-task": "1"}`},
		get(c.NamespacePath(ns) + "/functions"),
		get(c.NamespacePath(ns) + "/functions/f"),
	} {
		refused(t, c, http.StatusNotAcceptable, "UnsupportedOperationException", r)
	}
}

// locationOf is the location that a namespace answers with.
func locationOf(t *testing.T, c *client.Client, levels ...string) string {
	t.Helper()
	var info struct{ Properties map[string]string }
	if err := do(t, c, http.StatusOK, get(c.NamespacePath(levels...))).Decode(&info); err != nil {
		t.Fatal(err)
	}
	location := info.Properties["location"]
	if location == "" {
		t.Fatalf("namespace %v has no location", levels)
	}
	return location
}

// createUpdates are the updates of a commit that makes a staged table.
func createUpdates(staged *client.Table) []client.Object {
	return []client.Object{
		{"action": "assign-uuid", "uuid": staged.Metadata.UUID},
		{"action": "upgrade-format-version", "format-version": 2},
		{"action": "add-schema", "schema": client.Schema(), "last-column-id": 2},
		{"action": "set-current-schema", "schema-id": -1},
		{"action": "add-spec", "spec": client.Object{"spec-id": 0, "fields": []client.Object{}}},
		{"action": "set-default-spec", "spec-id": -1},
		{"action": "add-sort-order", "sort-order": client.Object{"order-id": 0, "fields": []client.Object{}}},
		{"action": "set-default-sort-order", "sort-order-id": -1},
		{"action": "set-location", "location": staged.Metadata.Location},
	}
}

// viewBody is the request that makes a view.
func viewBody(ns, name string) client.Object {
	return client.Object{
		"name": name, "schema": client.Schema(), "properties": client.Object{},
		"view-version": client.Object{
			"version-id": 1, "schema-id": 0, "timestamp-ms": 1_780_000_000_000,
			"summary": client.Object{"engine-name": "test"}, "default-namespace": []string{ns},
			"representations": []client.Object{{"type": "sql", "sql": "SELECT 1 AS id, '' AS data", "dialect": "trino"}},
		},
	}
}

// folder is where a location of a local warehouse lies on this machine.
func folder(location string) string { return strings.TrimPrefix(location, "file://") }
