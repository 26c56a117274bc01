package rest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/fsm/state"
	"github.com/floeberg/floeberg/internal/catalog"
)

const (
	tables = "/v1/default/namespaces/a/tables"
	table  = tables + "/t"
)

func setProperty(key, value string) string {
	return `{"identifier":{"namespace":["elsewhere"],"name":"other"},"requirements":[],"updates":[{"action":"set-properties","updates":{"` + key + `":"` + value + `"}}]}`
}

func TestTableLifecycle(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	ask{method: "POST", path: tables, body: createTableBody("t")}.wantError(t, h, 404, "NoSuchNamespaceException")
	createNamespace(t, h, "a")
	if w := (ask{method: "GET", path: tables}).want(t, h, 200); w.Body.String() != `{"identifiers":[]}` {
		t.Errorf("an empty list is %s", w.Body)
	}
	created := ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	made := decode[loaded](t, created)
	if made.MetadataLocation == nil || !strings.HasSuffix(*made.MetadataLocation, ".metadata.json") || made.Config == nil || created.Header().Get("ETag") == "" {
		t.Errorf("%v %s", created.Header(), created.Body)
	}
	ask{method: "POST", path: tables, body: createTableBody("t")}.wantError(t, h, 409, "AlreadyExistsException")

	read := ask{method: "GET", path: table + "?snapshots=all"}.want(t, h, 200)
	if diff := cmp.Diff(created.Body.String(), read.Body.String()); diff != "" {
		t.Error(diff)
	}
	if created.Header().Get("ETag") != read.Header().Get("ETag") {
		t.Errorf("tags differ: created %s, loaded %s", created.Header().Get("ETag"), read.Header().Get("ETag"))
	}
	ask{method: "HEAD", path: table}.want(t, h, 204)

	committed := ask{method: "POST", path: table, body: setProperty("k", "v")}.want(t, h, 200)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(committed.Body.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	if _, has := fields["config"]; has || len(fields) != 2 {
		t.Errorf("a commit answers with %s", committed.Body)
	}
	if committed.Header().Get("ETag") == created.Header().Get("ETag") {
		t.Error("a commit leaves the tag")
	}
	read = ask{method: "GET", path: table}.want(t, h, 200)
	if read.Header().Get("ETag") != committed.Header().Get("ETag") || read.Header().Get("Floeberg-Index") == "" {
		t.Errorf("loaded with %v after a commit with %v", read.Header(), committed.Header())
	}

	list := decode[identifiers](t, ask{method: "GET", path: tables}.want(t, h, 200))
	if diff := cmp.Diff([]wire.Identifier{{Namespace: []string{"a"}, Name: "t"}}, list.Identifiers); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{"purgeRequested=yes", "purgeRequested=", "purgeRequested=true&purgeRequested=false"} {
		ask{method: "DELETE", path: table + "?" + query}.wantError(t, h, 400, "BadRequestException")
	}
	ask{method: "GET", path: table + "?snapshots=some"}.wantError(t, h, 400, "BadRequestException")
	ask{method: "DELETE", path: table + "?purgeRequested=False"}.want(t, h, 204)
	for _, method := range []string{"GET", "DELETE"} {
		ask{method: method, path: table}.wantError(t, h, 404, "NoSuchTableException")
	}
	ask{method: "HEAD", path: table}.want(t, h, 404)
	ask{method: "POST", path: table, body: setProperty("k", "v")}.wantError(t, h, 404, "NoSuchTableException")
	ask{method: "GET", path: "/v1/default/namespaces/b/tables"}.wantError(t, h, 404, "NoSuchNamespaceException")
	ask{method: "GET", path: strings.Replace(table, "default", "nowhere", 1)}.wantError(t, h, 404, "NoSuchWarehouseException")
}

func TestStagedCreate(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	body := `{"name":"t","location":null,"write-order":null,"partition-spec":null,"properties":null,"stage-create":true,"schema":` + oneColumn + `}`
	w := ask{method: "POST", path: tables, body: body}.want(t, h, 200)
	staged := decode[loaded](t, w)
	if staged.MetadataLocation != nil || len(staged.Metadata) == 0 || w.Header().Get("ETag") != "" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	ask{method: "GET", path: table}.wantError(t, h, 404, "NoSuchTableException")
}

func TestTableBodies(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	for body, want := range map[string]string{
		``:                                 "it is empty",
		`{"name":"x"}`:                     `field "schema" is missing`,
		`{"name":"x","schema":null}`:       `field "schema" is missing`,
		`{"schema":` + oneColumn + `}`:     `field "name" is missing`,
		`{"name":1}`:                       `field "name" must be a string, not number`,
		`{"name":"x","stage-create":1}`:    `field "stage-create" must be true or false, not number`,
		`{"name":"x","location":["l"]}`:    `field "location" must be a string, not array`,
		`{"name":"x","schema":{"type":`:    "unexpected end",
		`{"name":"x","properties":"none"}`: `field "properties" must be an object, not string`,
	} {
		got := ask{method: "POST", path: tables, body: body}.wantError(t, h, 400, "BadRequestException")
		if !strings.Contains(got.Error.Message, want) {
			t.Errorf("%s: %q, want %q in it", body, got.Error.Message, want)
		}
	}
	ask{method: "POST", path: tables, body: `{"name":"x","schema":{"type":"struct"}}`}.want(t, h, 400)
	ask{method: "POST", path: tables, body: `{"name":"x","schema":[]}`}.want(t, h, 400)

	for body, want := range map[string]string{
		``:                      "it is empty",
		`{"requirements":{}}`:   `field "requirements" must be an array`,
		`{"updates":"none"}`:    `field "updates" must be an array`,
		`{"identifier":"a.t"}`:  `field "identifier" must be an object, not string`,
		`{"requirements":[{}]}`: "Missing field: type",
		`{"requirements":[{"type":"assert-nothing"}]}`: "assert-nothing",
		`{"updates":[{"action":"explode"}]}`:           "explode",
		`{"updates":[null]}`:                           "",
		`{"updates":[{"action":"set-location"}]}`:      "location",
	} {
		got := ask{method: "POST", path: table, body: body}.wantError(t, h, 400, "BadRequestException")
		if !strings.Contains(got.Error.Message, want) {
			t.Errorf("%s: %q, want %q in it", body, got.Error.Message, want)
		}
	}
	// Nothing to do is no error, however it is written.
	for _, body := range []string{`{}`, `{"identifier":null,"requirements":null,"updates":null}`, `{"requirements":[],"updates":[]}`} {
		ask{method: "POST", path: table, body: body}.want(t, h, 200)
	}
	ask{method: "POST", path: table, body: `{"requirements":[{"type":"assert-create"}],"updates":[]}`}.wantError(t, h, 409, "CommitFailedException")
}

func TestETag(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.node("n1"), s.node("n2")
	s.giveKey("twin", "reader")
	createNamespace(t, one, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, one, 200)
	ask{method: "POST", path: tables, body: createTableBody("u")}.want(t, one, 200)

	tagOf := func(h http.Handler, as, path string, delegation ...string) string {
		t.Helper()
		header := http.Header{"X-Iceberg-Access-Delegation": delegation}
		w := ask{method: "GET", path: path, as: as, header: header}.want(t, h, 200)
		tag := w.Header().Get("ETag")
		if len(tag) < 10 || tag[0] != '"' || tag[len(tag)-1] != '"' {
			t.Fatalf("tag %q", tag)
		}
		if got := w.Header().Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("Cache-Control: %s", got)
		}
		for _, name := range []string{"Authorization", "X-API-Key", "X-Iceberg-Access-Delegation"} {
			if !strings.Contains(w.Header().Get("Vary"), name) {
				t.Errorf("Vary: %s", w.Header().Get("Vary"))
			}
		}
		return tag
	}
	base := tagOf(one, "reader", table)
	for name, same := range map[string]string{
		"on another node":            tagOf(two, "reader", table),
		"all is the default":         tagOf(one, "reader", table+"?snapshots=ALL"),
		"unknown delegation":         tagOf(one, "reader", table, "junk", "\xff\xfe,,;"),
		"written in another way":     tagOf(one, "reader", "/v1/default/namespaces/%61/tables/%74"),
		"asked for less current one": tagOf(one, "reader", table+"?unknown=1"),
	} {
		if same != base {
			t.Errorf("%s: another tag", name)
		}
	}
	vended := tagOf(one, "reader", table, "vended-credentials")
	if vended != tagOf(two, "reader", table, "Vended-Credentials, junk", "vended-credentials") {
		t.Error("a list of one is not the one")
	}
	distinct := map[string]string{
		"reader": base, "writer": tagOf(one, "writer", table), "another reader": tagOf(one, "twin", table),
		"refs": tagOf(one, "reader", table+"?snapshots=refs"), "another table": tagOf(one, "reader", tables+"/u"),
		"vended": vended, "signed": tagOf(one, "reader", table, "remote-signing"), "both": tagOf(one, "reader", table, "remote-signing,vended-credentials"),
	}
	s.giveKey("reader", "reader", "writer")
	distinct["reader who is now a writer"] = tagOf(one, "reader", table)
	ask{method: "POST", path: table, body: setProperty("k", "v")}.want(t, two, 200)
	distinct["next generation"] = tagOf(one, "reader", table)
	ask{method: "DELETE", path: table}.want(t, one, 204)
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, one, 200)
	distinct["another table of its name"] = tagOf(one, "reader", table)
	// The settings of a warehouse decide what clients are told beside the metadata.
	s.put(state.WarehouseKey("default"), encode(t, &state.Warehouse{Name: "default", Root: s.root + "/default", AllowedRoots: []string{s.root + "/more"}}))
	distinct["other settings"] = tagOf(one, "reader", table)
	ask{method: "POST", path: "/v1/other/namespaces", body: `{"namespace":["a"]}`}.want(t, one, 200)
	ask{method: "POST", path: "/v1/other/namespaces/a/tables", body: createTableBody("t")}.want(t, one, 200)
	distinct["another warehouse"] = tagOf(one, "reader", "/v1/other/namespaces/a/tables/t")
	seen := map[string]string{}
	for name, tag := range distinct {
		if other, ok := seen[tag]; ok {
			t.Errorf("%s and %s share a tag", name, other)
		}
		seen[tag] = name
	}
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.node("n1")
	createNamespace(t, h, "a")
	tag := ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200).Header().Get("ETag")
	bare := strings.Trim(tag, `"`)
	for _, tc := range []struct {
		as     string
		values []string
		query  string
		status int
	}{
		{values: []string{tag}, status: 304},
		{values: []string{"W/" + tag}, status: 304},
		{values: []string{bare}, status: 304},
		{values: []string{"*"}, status: 304},
		{values: []string{`"x", ` + tag}, status: 304},
		{values: []string{`"x"`, tag}, status: 304},
		{values: []string{`"x"`}, status: 200},
		{values: []string{""}, status: 200},
		{values: []string{tag}, query: "?snapshots=refs", status: 200},
		{values: []string{tag}, as: "reader", status: 200},
		{values: []string{tag}, as: "auditor", status: 404},
		{values: []string{"*"}, as: "auditor", status: 404},
		{values: []string{"*"}, as: "-", status: 401},
	} {
		w := ask{method: "GET", path: table + tc.query, as: tc.as, header: http.Header{"If-None-Match": tc.values}}.of(h)
		if w.Code != tc.status {
			t.Errorf("%q as %q: %d", tc.values, tc.as, w.Code)
		}
		if w.Code == 304 && (w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("Floeberg-Index") == "" || w.Header().Get("Cache-Control") == "") {
			t.Errorf("%q: %v %s", tc.values, w.Header(), w.Body)
		}
	}
	ask{method: "POST", path: table, body: setProperty("k", "v")}.want(t, h, 200)
	ask{method: "GET", path: table, header: http.Header{"If-None-Match": {tag}}}.want(t, h, 200)
	ask{method: "DELETE", path: table}.want(t, h, 204)
	ask{method: "GET", path: table, header: http.Header{"If-None-Match": {"*"}}}.want(t, h, 404)
}

// A default that the operator chose holds where a request does not ask.
func TestDefaultConsistency(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var got []catalog.Read
	h := s.node("n1", func(o *nodeOptions) {
		o.Consistency = catalog.Bounded
		o.Catalog = spy{Catalog: o.Catalog, warehouse: func(r catalog.Read) { got = append(got, r) }}
	})
	ask{method: "GET", path: "/v1/config"}.want(t, h, 200)
	ask{method: "GET", path: "/v1/config", header: http.Header{"Floeberg-Consistency": {"linearizable"}}}.want(t, h, 200)
	if len(got) != 2 || got[0].Consistency != catalog.Bounded || got[0].MaxStaleness == 0 || got[1].Consistency != catalog.Linearizable {
		t.Errorf("%+v", got)
	}
}
