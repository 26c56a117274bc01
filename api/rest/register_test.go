package rest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/rest"
	"github.com/floeberg/floeberg/authz"
	"github.com/floeberg/floeberg/internal/catalog"
)

const (
	register     = "/v1/default/namespaces/a/register"
	renameTable  = "/v1/default/tables/rename"
	transactions = "/v1/default/transactions/commit"

	commitReport = `{"report-type":"commit-report","table-name":"a.t","snapshot-id":1,"sequence-number":1,"operation":"append","metrics":{"attempts":{"unit":"count","value":1}}}`
	scanReport   = `{"report-type":"scan-report","table-name":"a.t","snapshot-id":1,"filter":{"type":"is-null","term":"x"},"schema-id":0,"projected-field-ids":[1],"projected-field-names":["x"],"metrics":{"total-planning-duration":{"count":1,"time-unit":"nanoseconds","total-duration":5}}}`
)

func registerBody(name, location string) string {
	return fmt.Sprintf(`{"name":%q,"metadata-location":%q}`, name, location)
}

func renameBody(from, to string) string {
	return fmt.Sprintf(`{"source":{"namespace":["a"],"name":%q},"destination":{"namespace":["a"],"name":%q}}`, from, to)
}

// transaction sets a property of each table.
func transaction(names ...string) string {
	changes := make([]string, len(names))
	for i, name := range names {
		changes[i] = fmt.Sprintf(`{"identifier":{"namespace":["a"],"name":%q},"requirements":[],"updates":[{"action":"set-properties","updates":{"together":"yes"}}]}`, name)
	}
	return `{"table-changes":[` + strings.Join(changes, ",") + `]}`
}

// write puts a table's metadata file into the warehouse and returns its location.
func (s *site) write(t testing.TB, folder, table string) string {
	t.Helper()
	place := s.root + "/default/" + folder + "/" + table
	doc := fmt.Sprintf(`{"format-version":2,"table-uuid":"6e2f2cd3-7c1f-4bb7-a3c0-5b1d2d9a4c11","location":%q,"last-sequence-number":0,"last-updated-ms":1,
		"last-column-id":1,"current-schema-id":0,"schemas":[%s],"default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"last-partition-id":999,
		"default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}]}`, place, strings.Replace(oneColumn, "{", `{"schema-id":0,`, 1))
	file := filepath.Join(strings.TrimPrefix(place, "file://"), "v1.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	return place + "/v1.json"
}

func TestRegisterUnregisterRename(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.node("n1"), s.node("n2")
	createNamespace(t, one, "a")
	location := s.write(t, "reg", "t")
	w := ask{method: "POST", path: register, body: registerBody("t", location)}.want(t, one, 200)
	made := decode[loaded](t, w)
	if made.MetadataLocation == nil || *made.MetadataLocation != location || made.Config == nil {
		t.Errorf("%s", w.Body)
	}
	read := ask{method: "GET", path: table}.want(t, two, 200)
	if read.Header().Get("ETag") != w.Header().Get("ETag") || read.Body.String() != w.Body.String() {
		t.Errorf("registered as %s, loaded as %s", w.Body, read.Body)
	}
	got := ask{method: "POST", path: register, body: registerBody("t", location)}.wantError(t, one, 409, "AlreadyExistsException")
	if got.Error.Message != "Table already exists: a.t" {
		t.Error(got.Error.Message)
	}
	over := strings.Replace(registerBody("t", s.write(t, "reg", "other")), "{", `{"overwrite":true,`, 1)
	ask{method: "POST", path: register, body: over}.want(t, two, 200)
	ask{method: "POST", path: register, body: registerBody("x", location+"x")}.wantError(t, one, 404, "NotFoundException")
	ask{method: "POST", path: register, body: registerBody("x", "file:///etc/passwd")}.wantError(t, one, 403, "ForbiddenException")
	ask{method: "POST", path: strings.Replace(register, "/a/", "/b/", 1), body: registerBody("x", location)}.wantError(t, one, 404, "NoSuchNamespaceException")

	ask{method: "POST", path: renameTable, body: renameBody("t", "u")}.want(t, one, 204)
	got = ask{method: "POST", path: renameTable, body: renameBody("t", "u")}.wantError(t, two, 404, "NoSuchTableException")
	if got.Error.Message != "Table does not exist: a.t" {
		t.Error(got.Error.Message)
	}
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, two, 200)
	got = ask{method: "POST", path: renameTable, body: renameBody("t", "u")}.wantError(t, two, 409, "AlreadyExistsException")
	if got.Error.Message != "Cannot rename a.t to a.u. Table already exists" {
		t.Error(got.Error.Message)
	}
	gone := strings.Replace(renameBody("t", "v"), `"destination":{"namespace":["a"]`, `"destination":{"namespace":["no"]`, 1)
	ask{method: "POST", path: renameTable, body: gone}.wantError(t, two, 404, "NoSuchNamespaceException")

	last := ask{method: "POST", path: tables + "/u/unregister"}.want(t, one, 200)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(last.Body.Bytes(), &fields); err != nil || len(fields) != 2 || fields["metadata"] == nil || fields["metadata-location"] == nil {
		t.Errorf("%s: %v", last.Body, err)
	}
	ask{method: "POST", path: tables + "/u", body: setProperty("k", "v")}.wantError(t, two, 404, "NoSuchTableException")
	ask{method: "POST", path: tables + "/u/unregister"}.wantError(t, two, 404, "NoSuchTableException")
	ask{method: "POST", path: register, body: registerBody("u", *decode[loaded](t, last).MetadataLocation)}.want(t, two, 200)
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.node("n1"), s.node("n2")
	createNamespace(t, one, "a")
	for _, name := range []string{"t", "u"} {
		ask{method: "POST", path: tables, body: createTableBody(name)}.want(t, one, 200)
	}
	w := ask{method: "POST", path: transactions, body: transaction("t", "u")}.want(t, one, 204)
	if w.Body.Len() > 0 || w.Header().Get("ETag") != "" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	for _, name := range []string{"t", "u"} {
		if read := (ask{method: "GET", path: tables + "/" + name}).want(t, two, 200); !strings.Contains(read.Body.String(), `"together":"yes"`) {
			t.Errorf("%s: %s", name, read.Body)
		}
	}
	ask{method: "POST", path: transactions, body: transaction()}.want(t, one, 204)
	got := ask{method: "POST", path: transactions, body: transaction("t", "t")}.wantError(t, one, 400, "IllegalArgumentException")
	if !strings.Contains(got.Error.Message, "a.t") {
		t.Error(got.Error.Message)
	}
	ask{method: "POST", path: transactions, body: transaction("t", "x")}.wantError(t, one, 404, "NoSuchTableException")
	stale := strings.Replace(transaction("t", "u"), `"requirements":[]`, `"requirements":[{"type":"assert-current-schema-id","current-schema-id":4}]`, 1)
	got = ask{method: "POST", path: transactions, body: stale}.wantError(t, one, 409, "CommitFailedException")
	if got.Error.Message != "a.t: Requirement failed: current schema changed: expected id 4 != 0" {
		t.Error(got.Error.Message)
	}
}

func TestBodiesOfTableOperations(t *testing.T) {
	t.Parallel()
	h := newSite(t).node("n1")
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	for _, tc := range []struct{ path, body, want string }{
		{transactions, `{}`, `field "table-changes" is missing`},
		{transactions, `{"table-changes":{}}`, `field "table-changes" must be an array`},
		{transactions, `{"table-changes":[null]}`, `field "table-changes[0]" must be an object`},
		{transactions, `{"table-changes":[{}]}`, `field "table-changes[0].identifier" is missing`},
		{transactions, `{"table-changes":[{"identifier":{"namespace":["a"]}}]}`, `field "table-changes[0].identifier.name" is missing`},
		{transactions, `{"table-changes":[{"identifier":{"namespace":[null],"name":"t"}}]}`, `field "table-changes[0].identifier.namespace"`},
		{transactions, `{"table-changes":[{"identifier":{"namespace":["a"],"name":"t"},"updates":{}}]}`, `field "table-changes[0].updates" must be an array`},
		{transactions, `{"table-changes":[{"identifier":{"namespace":["a"],"name":"t"},"updates":[{"action":"explode"}]}]}`, "explode"},
		{transactions, `{"table-changes":[{"identifier":{"namespace":["a"],"name":".."},"requirements":[{"type":"assert-create"}]}]}`, "it means a folder"},
		{renameTable, `{}`, `field "source" is missing`},
		{renameTable, `{"source":{"namespace":["a"],"name":"t"}}`, `field "destination" is missing`},
		{renameTable, renameBody("t", "a*"), "are not allowed"},
		{register, `{}`, `field "name" is missing`},
		{register, `{"name":"x"}`, `field "metadata-location" is missing`},
		{register, `{"name":"x","metadata-location":""}`, `field "metadata-location" is empty`},
		{register, `{"name":"x","metadata-location":"l","overwrite":"yes"}`, `field "overwrite" must be true or false`},
		{register, registerBody(" x", "l"), "begins or ends with a space"},
		{table + "/metrics", `{}`, `field "report-type" is missing`},
		{table + "/metrics", `{"report-type":"gossip"}`, `field "report-type" must be scan-report or commit-report`},
		{table + "/metrics", strings.Replace(commitReport, `"operation":"append",`, ``, 1), `field "operation" is missing`},
		{table + "/metrics", strings.Replace(scanReport, `"schema-id":0,`, ``, 1), `field "schema-id" is missing`},
		{table + "/metrics", strings.Replace(scanReport, `"snapshot-id":1`, `"snapshot-id":"1"`, 1), `field "snapshot-id" must be an integer, not string`},
		{table + "/metrics", strings.Replace(scanReport, `"snapshot-id":1`, `"snapshot-id":1.5`, 1), `field "snapshot-id" must be an integer of at most 64 bits, not 1.5`},
		{table + "/metrics", strings.Replace(scanReport, `nanoseconds`, `moons`, 1), `field "metrics.total-planning-duration.time-unit"`},
		{table + "/metrics", strings.Replace(commitReport, `"unit":"count",`, ``, 1), `field "metrics.attempts" must be a counter`},
		{table + "/metrics", strings.Replace(commitReport, `"value":1`, `"value":-1`, 1), `must not be negative`},
	} {
		got := ask{method: "POST", path: tc.path, body: tc.body}.wantError(t, h, 400, "BadRequestException")
		if !strings.Contains(got.Error.Message, tc.want) {
			t.Errorf("%s: %q, want %q in it", tc.body, got.Error.Message, tc.want)
		}
	}
}

func TestReportedMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var c rest.Catalog
	h := s.node("n1", func(o *nodeOptions) { c = o.Catalog })
	createNamespace(t, h, "a")
	ask{method: "POST", path: tables, body: createTableBody("t")}.want(t, h, 200)
	for _, body := range []string{scanReport, commitReport} {
		ask{method: "POST", path: table + "/metrics", body: body, header: key("not a key, and not looked at")}.want(t, h, 204)
	}
	ask{method: "POST", path: tables + "/x/metrics", body: scanReport}.wantError(t, h, 404, "NoSuchTableException")
	// Clients that have one kind of number write 1.0 for 1, and mean it.
	ask{method: "POST", path: table + "/metrics", body: strings.Replace(scanReport, `"snapshot-id":1`, `"snapshot-id":9007199254740993.0`, 1)}.want(t, h, 204)
	large := strings.Replace(scanReport, `"term":"x"`, `"term":"`+strings.Repeat("x", 256<<10)+`"`, 1)
	ask{method: "POST", path: table + "/metrics", body: large}.wantError(t, h, 413, "ContentTooLargeException")
	got, err := c.(*catalog.Catalog).TableReports(t.Context(), catalog.Read{}, "default", catalog.Identifier{Namespace: catalog.Namespace{"a"}, Name: "t"})
	if err != nil || len(got) != 3 || got[0].SnapshotID != 9007199254740993 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got = got[1:]; string(got[0].Body) != commitReport || got[0].Counters["attempts"] != 1 || got[0].Operation != "append" || got[1].Kind != catalog.ScanReport {
		t.Errorf("%+v, %v", got, err)
	}
}

// What the body names is asked for as well, before anything is done.
func TestRightsThatOnlyTheBodyTellsOf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	free := s.node("n1")
	createNamespace(t, free, "a")
	for _, name := range []string{"t", "u"} {
		ask{method: "POST", path: tables, body: createTableBody(name)}.want(t, free, 200)
	}
	create := strings.Replace(transaction("t", "new"), `"name":"new"},"requirements":[]`, `"name":"new"},"requirements":[{"type":"assert-create"}]`, 1)
	over := strings.Replace(registerBody("u", s.write(t, "reg", "u")), "{", `{"overwrite":true,`, 1)
	onTable := func(name string) authz.Resource {
		return authz.Resource{Kind: authz.KindTable, Warehouse: "default", Namespace: []string{"a"}, Name: name}
	}
	namespace := authz.Resource{Kind: authz.KindNamespace, Warehouse: "default", Namespace: []string{"a"}}
	for _, tc := range []struct {
		path, body string
		action     authz.Action
		resource   authz.Resource
	}{
		{transactions, transaction("t", "u"), authz.ActionCommitTable, onTable("t")},
		{transactions, transaction("t", "u"), authz.ActionCommitTable, onTable("u")},
		{transactions, create, authz.ActionCreateTable, namespace},
		{renameTable, renameBody("t", "v"), authz.ActionRenameTable, onTable("t")},
		{renameTable, renameBody("t", "v"), authz.ActionCreateTable, namespace},
		{register, over, authz.ActionDropTable, onTable("u")},
	} {
		s.PutPolicies("", allBut(tc.action, tc.resource))
		ask{method: "POST", path: tc.path, body: tc.body}.wantError(t, s.node("n2"), 403, "ForbiddenException")
	}
	for _, name := range []string{"t", "u"} {
		if read := (ask{method: "GET", path: tables + "/" + name}).want(t, free, 200); strings.Contains(read.Body.String(), "together") {
			t.Errorf("table %s was changed", name)
		}
	}
}
