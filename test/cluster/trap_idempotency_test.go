package cluster_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// The tests of this file are mistakes that other catalogs made with
// Idempotency-Key.

// TestKeyRunsOnce repeats each kind of change under its key on every node: the
// answer is the first one, the change happened once.
func TestKeyRunsOnce(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c := s.Client()
	ns := namespace(t, c)
	name, created := table(t, c, ns)
	gone, _ := table(t, c, ns)
	empty := namespace(t, c)
	requirements, updates := created.Append("main", client.NewSnapshotID())
	stage := client.CreateTableRequest(c, ns, "staged")
	stage.Body.(client.Object)["stage-create"] = true
	for what, r := range map[string]client.Request{
		"create a namespace": client.NamespaceRequest(c, map[string]string{"a": "1"}, fresh("once")),
		"create a table":     client.CreateTableRequest(c, ns, fresh("once")),
		"stage a table":      stage,
		"commit":             client.CommitRequest(c, ns, name, requirements, updates),
		"drop a table":       {Method: http.MethodDelete, Path: c.TablePath(ns, gone)},
		"drop a namespace":   {Method: http.MethodDelete, Path: c.NamespacePath(empty)},
		"namespace properties": {Method: http.MethodPost, Path: c.NamespacePath(ns) + "/properties", Body: client.Object{
			"removals": []string{"absent"}, "updates": client.Object{"b": "2"},
		}},
		"a refusal":  client.NamespaceRequest(c, nil, ns),
		"not found":  {Method: http.MethodDelete, Path: c.TablePath(ns, "absent")},
		"a conflict": client.CommitRequest(c, ns, name, []client.Object{client.AssertRef("main", 1)}, []client.Object{client.SetRef("b", 1)}),
	} {
		t.Run(what, func(t *testing.T) {
			r.Key = uuid.NewString()
			first, err := c.DoAt(within(t, time.Minute), 0, r)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 * len(s.Nodes) {
				again, err := c.DoAt(within(t, time.Minute), i, r)
				if err != nil {
					t.Fatal(err)
				}
				if again.Status != first.Status || !sameAnswer(first.Body, again.Body) {
					t.Fatalf("first %s\nagain %s", first, again)
				}
			}
		})
	}
	if n := len(load(t, c, ns, name).Metadata.Snapshots); n != 1 {
		t.Errorf("one append under one key made %d snapshots", n)
	}
}

// sameAnswer compares JSON, not bytes.
func sameAnswer(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, err := json.Marshal(x)
	if err != nil {
		return false
	}
	q, err := json.Marshal(y)
	return err == nil && bytes.Equal(p, q)
}

// TestKeyAtOnce sends one change under one key many times at once to all nodes:
// one runs, all are answered as the one that ran.
func TestKeyAtOnce(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	for range 5 {
		r := client.CreateTableRequest(c, ns, fresh("once"))
		r.Key = uuid.NewString()
		if statuses := together(t, 12, func(int) client.Request { return r }, c); statuses[http.StatusOK] != 12 {
			t.Fatalf("want twelve 200, got %v", statuses)
		}
	}
}

// TestKeyOfSomethingElse uses a key again for another endpoint, another table
// or another body.
func TestKeyOfSomethingElse(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	one, _ := table(t, c, ns)
	other, _ := table(t, c, ns)
	r := client.CommitRequest(c, ns, one, nil, []client.Object{setProperty("a", "1")})
	r.Key = uuid.NewString()
	do(t, c, http.StatusOK, r)
	elsewhere := []client.Request{
		client.CommitRequest(c, ns, other, nil, []client.Object{setProperty("a", "1")}),
		client.CommitRequest(c, ns, one, nil, []client.Object{setProperty("a", "2")}),
		client.NamespaceRequest(c, nil, fresh("other")),
		{Method: http.MethodDelete, Path: c.TablePath(ns, one)},
	}
	for _, e := range elsewhere {
		e.Key = r.Key
		if res := do(t, c, http.StatusUnprocessableEntity, e); res.Error().Code != http.StatusUnprocessableEntity {
			t.Errorf("no Iceberg error body: %s", res)
		}
	}
	do(t, c, http.StatusOK, r)
	if got := load(t, c, ns, other).Metadata.Properties["a"]; got != "" {
		t.Errorf("the other table was changed: %q", got)
	}
}

// TestKeysAsTheyCome sends keys that are none.
func TestKeysAsTheyCome(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	send := func(keys ...string) (*client.Response, error) {
		r := client.NamespaceRequest(c, nil, fresh("key"))
		r.Key = client.NoKey
		r.Header = http.Header{"Idempotency-Key": keys}
		return c.Do(within(t, time.Minute), r)
	}
	v1, v7 := uuid.Must(uuid.NewUUID()).String(), uuid.Must(uuid.NewV7()).String()
	for _, test := range []struct {
		what   string
		keys   []string
		status int
	}{
		{"none", nil, 200},
		{"empty", []string{""}, 200},
		{"version 4", []string{uuid.NewString()}, 200},
		{"version 7", []string{v7}, 200},
		{"version 1", []string{v1}, 200},
		{"two", []string{uuid.NewString(), uuid.NewString()}, 400},
		{"not a UUID", []string{"tuesday"}, 400},
		{"not ASCII", []string{"\xff\xfe"}, 400},
	} {
		res, err := send(test.keys...)
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
			continue
		}
		if res.Status != test.status {
			t.Errorf("%s: want %d, got %s", test.what, test.status, res)
		}
	}
	var config map[string]any
	if err := do(t, c, http.StatusOK, get("/v1/config")).Decode(&config); err != nil {
		t.Fatal(err)
	}
	if lifetime, _ := config["idempotency-key-lifetime"].(string); lifetime == "" {
		t.Errorf("no idempotency-key-lifetime at the top level of %v", config)
	}
}

// TestKeyOutlivesNodes repeats a change after the leader handed over, and after
// all nodes were killed and started again.
func TestKeyOutlivesNodes(t *testing.T) {
	s := start(t, cluster.Options{})
	c := s.Client()
	ns := namespace(t, c)
	r := client.CreateTableRequest(c, ns, "once")
	r.Key = uuid.NewString()
	first := do(t, c, http.StatusOK, r)

	leader := s.Nodes[s.MustLeader(t)]
	if err := leader.Term(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if again := do(t, c, http.StatusOK, r); !sameAnswer(first.Body, again.Body) {
		t.Errorf("after the leader left: first %s\nagain %s", first, again)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Nodes {
		if err := n.Kill9(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range s.Nodes {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AwaitReady(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range s.Nodes {
		again := do(t, s.At(i), http.StatusOK, r)
		if !sameAnswer(first.Body, again.Body) {
			t.Errorf("after all were killed: first %s\nagain %s", first, again)
		}
		load(t, s.At(i), ns, "once")
	}
}
