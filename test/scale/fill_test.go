package scale_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/scale"
)

// fillWith makes very many tables beside the one that is their pattern, and
// returns that one's document.
func fillWith(t *testing.T, s *cluster.Cluster, count int) client.Object {
	t.Helper()
	c := s.Client()
	must(t, c, client.NamespaceRequest(c, nil, "many"))
	document := read[json.RawMessage](t, must(t, c, client.CreateTableRequest(c, "many", "pattern")))
	var ports []string
	for _, n := range s.Nodes {
		ports = append(ports, n.ClusterAddress())
	}
	filler, err := scale.NewFiller(ports, "many", s.Warehouse()+"/many", document)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	begun := time.Now()
	if err := filler.Fill(t.Context(), 0, count); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tables were made in %s", count, time.Since(begun).Round(time.Second))
	var pattern client.Object
	if err := json.Unmarshal(document, &pattern); err != nil {
		t.Fatal(err)
	}
	return pattern
}

// read takes the document out of the answer of a load, a create or a commit.
func read[T any](t *testing.T, res *client.Response) T {
	t.Helper()
	var shown struct {
		Metadata T `json:"metadata"`
	}
	if err := res.Decode(&shown); err != nil {
		t.Fatal(err)
	}
	return shown.Metadata
}

func loadFilled(t *testing.T, c *client.Client, n int) client.Object {
	t.Helper()
	return read[client.Object](t, must(t, c, client.Request{Method: http.MethodGet, Path: c.TablePath("many", scale.Name(n))}))
}

// likePattern loads some of the tables: but for who and where they are they must
// be as their pattern is.
func likePattern(t *testing.T, c *client.Client, pattern client.Object, some ...int) {
	t.Helper()
	slices.Sort(some)
	seen := make(map[any]bool)
	for _, n := range slices.Compact(some) {
		got := loadFilled(t, c, n)
		if id := got["table-uuid"]; seen[id] {
			t.Errorf("table %d has the identity of another: %v", n, id)
		} else {
			seen[id] = true
		}
		for _, field := range []string{"table-uuid", "location"} {
			if got[field] == pattern[field] {
				t.Errorf("table %d has its pattern's %s: %v", n, field, got[field])
			}
			got[field] = pattern[field]
		}
		if diff := cmp.Diff(pattern, got); diff != "" {
			t.Errorf("table %d is not as its pattern (-pattern +table):\n%s", n, diff)
		}
	}
}

// commits changes a table that was filled in, as a client does, and reads it again.
func commits(t *testing.T, c *client.Client, n int) {
	t.Helper()
	id := loadFilled(t, c, n)["table-uuid"]
	must(t, c, client.CommitRequest(c, "many", scale.Name(n),
		[]client.Object{{"type": "assert-table-uuid", "uuid": id}},
		[]client.Object{{"action": "set-properties", "updates": client.Object{"filled": "in"}}}))
	got := loadFilled(t, c, n)
	properties, ok := got["properties"].(client.Object)
	if !ok || properties["filled"] != "in" || got["table-uuid"] != id {
		t.Errorf("table %d after a commit: %v", n, got)
	}
}
