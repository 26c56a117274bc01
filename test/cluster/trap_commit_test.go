package cluster_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/test/client"
)

// The tests of this file are mistakes that other catalogs made with commits.

// TestRepeatedCommitThatLanded sends a commit again, under another key, after
// it landed: the answer is the landed state and nothing is added.
func TestRepeatedCommitThatLanded(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, created := table(t, c, ns)
	requirements, updates := created.Append("main", client.NewSnapshotID())
	r := client.CommitRequest(c, ns, name, requirements, updates)
	first := tableOf(t, do(t, c, http.StatusOK, r))
	for range 3 {
		again := tableOf(t, do(t, c, http.StatusOK, r))
		if diff := cmp.Diff(first.Metadata.Snapshots, again.Metadata.Snapshots); diff != "" {
			t.Fatalf("the repeat changed the snapshots (-first +again):\n%s", diff)
		}
	}
	// Something else on top does not make it a conflict either.
	commitAppend(t, c, ns, name)
	again := tableOf(t, do(t, c, http.StatusOK, r))
	if n := len(again.Metadata.Snapshots); n != 2 {
		t.Errorf("after the repeat the table has %d snapshots, want 2", n)
	}
	// Another snapshot on the old parent is one.
	requirements, updates = created.Append("main", client.NewSnapshotID())
	refused(t, c, http.StatusConflict, "CommitFailedException", client.CommitRequest(c, ns, name, requirements, updates))
}

// TestBranchesWithOneSequenceNumber has two writers of different branches
// collide on the sequence number: the second is told to try again.
func TestBranchesWithOneSequenceNumber(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	base := commitAppend(t, c, ns, name)
	root := base.Metadata.Current()
	for _, branch := range []string{"a", "b"} {
		do(t, c, http.StatusOK, client.CommitRequest(c, ns, name,
			[]client.Object{client.AssertRef(branch, 0)}, []client.Object{client.SetRef(branch, root)}))
	}
	sequence := base.Metadata.LastSequenceNumber + 1
	onto := func(branch string) client.Request {
		id := client.NewSnapshotID()
		return client.CommitRequest(c, ns, name, []client.Object{client.AssertRef(branch, root)}, []client.Object{
			{"action": "add-snapshot", "snapshot": base.NewSnapshot(id, root, sequence)}, client.SetRef(branch, id),
		})
	}
	do(t, c, http.StatusOK, onto("a"))
	refused(t, c, http.StatusConflict, "CommitFailedException", onto("b"))
}

// TestStaleFirstRowID commits to a v3 table with row ids that were given out
// meanwhile: a conflict, for the writer can mend it.
func TestStaleFirstRowID(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name := fresh("v3")
	r := client.CreateTableRequest(c, ns, name)
	r.Body.(client.Object)["properties"] = client.Object{"format-version": "3"}
	created := tableOf(t, do(t, c, http.StatusOK, r))
	if created.Metadata.FormatVersion != 3 {
		t.Fatalf("asked for version 3, got %d", created.Metadata.FormatVersion)
	}
	onto := func(table *client.Table, branch string) client.Request {
		id := client.NewSnapshotID()
		s := table.NewSnapshot(id, 0, table.Metadata.LastSequenceNumber+1)
		s["first-row-id"], s["added-rows"] = 0, 100
		return client.CommitRequest(c, ns, name, []client.Object{client.AssertRef(branch, 0)},
			[]client.Object{{"action": "add-snapshot", "snapshot": s}, client.SetRef(branch, id)})
	}
	do(t, c, http.StatusOK, onto(created, "main"))
	refused(t, c, http.StatusConflict, "CommitFailedException", onto(load(t, c, ns, name), "other"))
}

// TestUnknownUpdateOrRequirement sends what this catalog can't know: refused
// whole, nothing of it is done.
func TestUnknownUpdateOrRequirement(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, created := table(t, c, ns)
	for _, r := range []client.Request{
		client.CommitRequest(c, ns, name, nil, []client.Object{setProperty("a", "1"), {"action": "make-coffee"}}),
		client.CommitRequest(c, ns, name, []client.Object{{"type": "assert-coffee"}}, []client.Object{setProperty("a", "1")}),
		client.CommitRequest(c, ns, name, []client.Object{{"type": "assert-view-uuid", "uuid": created.Metadata.UUID}}, []client.Object{setProperty("a", "1")}),
	} {
		if res := do(t, c, http.StatusBadRequest, r); res.Error().Code != http.StatusBadRequest {
			t.Errorf("no Iceberg error body: %s", res)
		}
	}
	if after := load(t, c, ns, name); after.MetadataLocation != created.MetadataLocation {
		t.Error("a refused commit changed the table")
	}
}

// TestPropertiesOfTables sets several properties by several updates, and takes
// the last one away.
func TestPropertiesOfTables(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, nil, []client.Object{setProperty("a", "1"), setProperty("b", "2"), setProperty("a", "3")}))
	properties := load(t, c, ns, name).Metadata.Properties
	if properties["a"] != "3" || properties["b"] != "2" {
		t.Errorf("properties are %v", properties)
	}
	all := slices.Collect(maps.Keys(properties)) // a new table has some of its own
	do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, nil, []client.Object{{"action": "remove-properties", "removals": all}}))
	if got := load(t, c, ns, name).Metadata.Properties; len(got) != 0 {
		t.Errorf("after the last one was removed: %v", got)
	}
}

// TestReAddedSchema adds a schema that is there already: the current one is
// selected, none is added.
func TestReAddedSchema(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	schema := client.Schema()
	wider := client.Schema()
	wider["fields"] = append(wider["fields"].([]client.Object), client.Object{"id": 3, "name": "more", "type": "int", "required": false})
	use := func(schema client.Object) int {
		res := do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, nil, []client.Object{
			{"action": "add-schema", "schema": schema, "last-column-id": 3}, {"action": "set-current-schema", "schema-id": -1},
		}))
		return tableOf(t, res).Metadata.CurrentSchemaID
	}
	if got := use(wider); got != 1 {
		t.Errorf("a new schema has id %d, want 1", got)
	}
	if got := use(schema); got != 0 {
		t.Errorf("the first schema, added again, has id %d, want 0", got)
	}
	if got := use(wider); got != 1 {
		t.Errorf("the second schema, added again, has id %d, want 1", got)
	}
}

// TestReAddedSpecAndOrder adds a partition spec and a sort order that the table has
// already: the last one added is the one that is there.
func TestReAddedSpecAndOrder(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	use := func(updates ...client.Object) (spec, order int) {
		t.Helper()
		var shown struct {
			Metadata struct {
				Spec  int `json:"default-spec-id"`
				Order int `json:"default-sort-order-id"`
			} `json:"metadata"`
		}
		if err := do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, nil, updates)).Decode(&shown); err != nil {
			t.Fatal(err)
		}
		return shown.Metadata.Spec, shown.Metadata.Order
	}
	add := func(transform string) (spec, order int) {
		t.Helper()
		return use(
			client.Object{"action": "add-spec", "spec": client.Object{"fields": []client.Object{
				{"source-id": 1, "name": "by_" + transform[:4], "transform": transform},
			}}},
			client.Object{"action": "set-default-spec", "spec-id": -1},
			client.Object{"action": "add-sort-order", "sort-order": client.Object{"order-id": -1, "fields": []client.Object{
				{"source-id": 1, "transform": transform, "direction": "asc", "null-order": "nulls-first"},
			}}},
			client.Object{"action": "set-default-sort-order", "sort-order-id": -1},
		)
	}
	firstSpec, firstOrder := add("identity")
	secondSpec, secondOrder := add("bucket[4]")
	if firstSpec == secondSpec || firstOrder == secondOrder {
		t.Fatalf("two specs have ids %d and %d, two orders %d and %d", firstSpec, secondSpec, firstOrder, secondOrder)
	}
	if spec, order := add("identity"); spec != firstSpec || order != firstOrder {
		t.Errorf("added again, the first spec has id %d and the first order %d, want %d and %d", spec, order, firstSpec, firstOrder)
	}
	if spec, order := add("bucket[4]"); spec != secondSpec || order != secondOrder {
		t.Errorf("added again, the second spec has id %d and the second order %d, want %d and %d", spec, order, secondSpec, secondOrder)
	}
}

// TestFieldsInsideStructs partitions, sorts and identifies rows by a field of a
// struct.
func TestFieldsInsideStructs(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	do(t, c, http.StatusOK, client.Request{Method: http.MethodPost, Path: c.NamespacePath(ns) + "/tables", Body: client.Object{
		"name": "nested",
		"schema": client.Object{"type": "struct", "schema-id": 0, "identifier-field-ids": []int{2}, "fields": []client.Object{{
			"id": 1, "name": "s", "required": true,
			"type": client.Object{"type": "struct", "fields": []client.Object{{"id": 2, "name": "x", "type": "long", "required": true}}},
		}}},
		"partition-spec": client.Object{"spec-id": 0, "fields": []client.Object{{"source-id": 2, "field-id": 1000, "name": "x_bucket", "transform": "bucket[8]"}}},
		"write-order": client.Object{"order-id": 1, "fields": []client.Object{
			{"source-id": 2, "transform": "identity", "direction": "asc", "null-order": "nulls-first"},
		}},
	}})
}

// TestVersionOfMetadataFiles counts: each commit's file has the next number.
func TestVersionOfMetadataFiles(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, now := table(t, c, ns)
	pattern := regexp.MustCompile(`/metadata/(\d{5})-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.metadata\.json$`)
	for want := range 12 {
		m := pattern.FindStringSubmatch(now.MetadataLocation)
		if m == nil || m[1] != fmt.Sprintf("%05d", want) {
			t.Fatalf("file %d of the table is %s", want, now.MetadataLocation)
		}
		if n := len(now.Metadata.MetadataLog); n != want {
			t.Errorf("the metadata log of version %d has %d entries", want, n)
		}
		now = tableOf(t, do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, nil, []client.Object{setProperty("n", fmt.Sprint(want))})))
	}
}

// TestStagedCreate stages on one node and commits on another. Until then there
// is no table, no claim on the name, and no file.
func TestStagedCreate(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns := namespace(t, c)
	stage := client.CreateTableRequest(s.At(0), ns, "staged")
	stage.Body.(client.Object)["stage-create"] = true

	staged := tableOf(t, do(t, s.At(0), http.StatusOK, stage))
	if staged.MetadataLocation != "" {
		t.Errorf("a staged table has a metadata file: %s", staged.MetadataLocation)
	}
	do(t, c, http.StatusNotFound, client.Request{Method: http.MethodHead, Path: c.TablePath(ns, "staged")})
	do(t, s.At(1), http.StatusOK, stage) // no claim: another may stage as well

	var create = []client.Object{{"type": "assert-create"}}
	updates := append(createUpdates(staged), setProperty("made", "by a staged create"))
	landed := tableOf(t, do(t, s.At(1), http.StatusOK, client.CommitRequest(c, ns, "staged", create, updates)))
	if landed.Metadata.UUID != staged.Metadata.UUID || landed.Metadata.Location != staged.Metadata.Location {
		t.Errorf("staged %s at %s, landed %s at %s", staged.Metadata.UUID, staged.Metadata.Location, landed.Metadata.UUID, landed.Metadata.Location)
	}
	// Now the name is taken, for everybody.
	refused(t, c, http.StatusConflict, "AlreadyExistsException", stage)
	updates[0]["uuid"] = "11111111-2222-3333-4444-555555555555"
	if res := do(t, c, http.StatusConflict, client.CommitRequest(c, ns, "staged", create, updates)); res.Error().Code != http.StatusConflict {
		t.Errorf("no Iceberg error body: %s", res)
	}

	// A namespace that holds only what is staged is empty, and once it is gone the commit finds none.
	ns = namespace(t, c)
	stage = client.CreateTableRequest(c, ns, "never")
	stage.Body.(client.Object)["stage-create"] = true
	staged = tableOf(t, do(t, c, http.StatusOK, stage))
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: c.NamespacePath(ns)})
	updates[0]["uuid"], updates[8]["location"] = staged.Metadata.UUID, staged.Metadata.Location
	refused(t, c, http.StatusNotFound, "NoSuchNamespaceException", client.CommitRequest(c, ns, "never", create, updates))
}

// TestMessagesThatClientsRead holds the texts that Iceberg's own kit compares.
func TestMessagesThatClientsRead(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	name, created := table(t, c, ns)
	absent := fresh("absent")
	uuid := "11111111-2222-3333-4444-555555555555"
	for _, test := range []struct {
		request client.Request
		status  int
		kind    string
		message string
	}{
		{client.NamespaceRequest(c, nil, ns), 409, "AlreadyExistsException", "Namespace already exists"},
		{get(c.NamespacePath(absent)), 404, "NoSuchNamespaceException", "Namespace does not exist: " + absent},
		{client.Request{Method: http.MethodDelete, Path: c.NamespacePath(ns)}, 409, "NamespaceNotEmptyException", "is not empty"},
		{client.CreateTableRequest(c, ns, name), 409, "AlreadyExistsException", "Table already exists: " + ns + "." + name},
		{client.CreateTableRequest(c, absent, name), 404, "NoSuchNamespaceException", "Namespace does not exist: " + absent},
		{get(c.TablePath(ns, absent)), 404, "NoSuchTableException", "Table does not exist: " + ns + "." + absent},
		{client.CommitRequest(c, ns, name, []client.Object{{"type": "assert-table-uuid", "uuid": uuid}}, nil), 409, "CommitFailedException",
			"Requirement failed: UUID does not match: expected " + created.Metadata.UUID + " != " + uuid},
		{client.CommitRequest(c, ns, name, []client.Object{{"type": "assert-create"}}, nil), 409, "CommitFailedException", "Requirement failed: table already exists"},
		{client.CommitRequest(c, ns, name, []client.Object{{"type": "assert-last-assigned-field-id", "last-assigned-field-id": 9}}, nil), 409, "CommitFailedException",
			"Requirement failed: last assigned field id changed: expected id 9 != 2"},
		{client.CommitRequest(c, ns, name, []client.Object{{"type": "assert-current-schema-id", "current-schema-id": 9}}, nil), 409, "CommitFailedException",
			"Requirement failed: current schema changed: expected id 9 != 0"},
		{client.Request{Method: http.MethodPost, Path: c.NamespacePath(ns) + "/properties", Body: client.Object{
			"removals": []string{"a"}, "updates": client.Object{"a": "1"},
		}}, 422, "UnprocessableEntityException", ""},
	} {
		got := refused(t, c, test.status, test.kind, test.request)
		if !regexp.MustCompile(regexp.QuoteMeta(test.message)).MatchString(got.Message) {
			t.Errorf("%s %s: message %q, want %q in it", test.request.Method, test.request.Path, got.Message, test.message)
		}
	}
}
