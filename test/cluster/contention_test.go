package cluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
)

// TestManyWritersOneTable lets 64 writers append to one table through all nodes
// as engines do: load, commit, and on a conflict load again. Every commit that
// was answered with success is a snapshot of the table, and no other is.
func TestManyWritersOneTable(t *testing.T) {
	c := shared(t).Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	const writers, appends = 64, 3
	var (
		landed    sync.Map
		ok        atomic.Int64
		conflicts atomic.Int64
		errs      = make([]error, writers)
		wg        sync.WaitGroup
	)
	began := time.Now()
	for w := range writers {
		wg.Go(func() {
			for range appends {
				id, lost, err := appendUntilLanded(t, c, ns, name)
				conflicts.Add(int64(lost))
				if err != nil {
					errs[w] = err
					return
				}
				ok.Add(1)
				landed.Store(id, true)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	got := load(t, c, ns, name)
	if int64(len(got.Metadata.Snapshots)) != ok.Load() {
		t.Errorf("the table has %d snapshots, %d commits succeeded", len(got.Metadata.Snapshots), ok.Load())
	}
	for i, s := range got.Metadata.Snapshots {
		if _, was := landed.Load(s.ID); !was {
			t.Errorf("snapshot %d of the table was never acknowledged", s.ID)
		}
		if i > 0 && s.ParentID != got.Metadata.Snapshots[i-1].ID {
			t.Errorf("snapshot %d does not follow the one before it", s.ID)
		}
	}
	t.Logf("%d writers: %d appends landed, %d conflicts, in %s", writers, ok.Load(), conflicts.Load(), time.Since(began).Round(time.Millisecond))
}

// appendUntilLanded appends one snapshot, beginning anew on each conflict.
func appendUntilLanded(t *testing.T, c *client.Client, ns, name string) (id int64, conflicts int, err error) {
	ctx := within(t, 2*time.Minute)
	for {
		res, err := c.LoadTable(ctx, ns, name)
		if err != nil {
			return 0, conflicts, err
		}
		if res.Status != http.StatusOK {
			return 0, conflicts, fmt.Errorf("loading: %s", res)
		}
		now, err := res.Table()
		if err != nil {
			return 0, conflicts, err
		}
		id := client.NewSnapshotID()
		requirements, updates := now.Append("main", id)
		if res, err = c.Commit(ctx, ns, name, requirements, updates); err != nil {
			return 0, conflicts, err
		}
		switch {
		case res.Status == http.StatusOK:
			return id, conflicts, nil
		case res.Status == http.StatusConflict && res.Error().Type == "CommitFailedException":
			conflicts++
		default:
			return 0, conflicts, fmt.Errorf("committing: %s", res)
		}
	}
}

// TestOneCreateOfManyWins creates one name fifty times at once through all
// nodes: one succeeds, the others are told that it exists, one thing is listed.
func TestOneCreateOfManyWins(t *testing.T) {
	c := shared(t).Client()
	parent := namespace(t, c)
	for _, kind := range []struct {
		what    string
		request func(name string) client.Request
		listed  string
		isName  func(entry any, name string) bool
	}{
		{
			what:    "table",
			request: func(name string) client.Request { return client.CreateTableRequest(c, parent, name) },
			listed:  c.NamespacePath(parent) + "/tables",
			isName:  func(entry any, name string) bool { return entry.(map[string]any)["name"] == name },
		},
		{
			what: "namespace",
			request: func(name string) client.Request {
				return client.NamespaceRequest(c, nil, parent, name)
			},
			listed: c.NamespacePath() + "?parent=" + parent,
			isName: func(entry any, name string) bool {
				levels := entry.([]any)
				return levels[len(levels)-1] == name
			},
		},
	} {
		t.Run(kind.what, func(t *testing.T) {
			const creators = 50
			name := fresh("race")
			var won, lost atomic.Int64
			errs := make([]error, creators)
			var wg sync.WaitGroup
			gate := make(chan struct{})
			for i := range creators {
				wg.Go(func() {
					<-gate
					res, err := c.DoAt(t.Context(), i, kind.request(name))
					switch {
					case err != nil:
						errs[i] = err
					case res.Status == http.StatusOK:
						won.Add(1)
					case res.Status == http.StatusConflict && res.Error().Type == "AlreadyExistsException":
						lost.Add(1)
					default:
						errs[i] = errors.New(res.String())
					}
				})
			}
			close(gate)
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if won.Load() != 1 || lost.Load() != creators-1 {
				t.Errorf("%d creates succeeded and %d conflicted, want 1 and %d", won.Load(), lost.Load(), creators-1)
			}
			var list map[string]any
			if err := do(t, c, http.StatusOK, get(kind.listed)).Decode(&list); err != nil {
				t.Fatal(err)
			}
			entries, _ := list["identifiers"].([]any)
			if entries == nil {
				entries, _ = list["namespaces"].([]any)
			}
			found := 0
			for _, entry := range entries {
				if kind.isName(entry, name) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s is listed %d times in %v", name, found, entries)
			}
		})
	}
}

// TestOneDropOfManyWins drops one table from all nodes at once: one is done,
// the others find nothing.
func TestOneDropOfManyWins(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	for range 5 {
		name, _ := table(t, c, ns)
		statuses := together(t, 6, func(int) client.Request {
			return client.Request{Method: http.MethodDelete, Path: c.TablePath(ns, name)}
		}, c)
		if statuses[http.StatusNoContent] != 1 || statuses[http.StatusNotFound] != 5 {
			t.Fatalf("want one 204 and five 404, got %v", statuses)
		}
	}
}

// TestCreateAgainstDropOfNamespace creates a table while its namespace is
// dropped: whichever comes first, no table is left in a namespace that is gone.
func TestCreateAgainstDropOfNamespace(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	for range 20 {
		ns := namespace(t, c)
		statuses := make([]int, 2)
		var wg sync.WaitGroup
		for i, r := range []client.Request{
			client.CreateTableRequest(c, ns, "t"),
			{Method: http.MethodDelete, Path: c.NamespacePath(ns)},
		} {
			wg.Go(func() {
				if res, err := c.DoAt(t.Context(), i, r); err == nil {
					statuses[i] = res.Status
				}
			})
		}
		wg.Wait()
		switch [2]int(statuses) {
		case [2]int{http.StatusOK, http.StatusConflict}: // the table was first
			do(t, c, http.StatusNoContent, client.Request{Method: http.MethodHead, Path: c.TablePath(ns, "t")})
			do(t, c, http.StatusOK, get(c.NamespacePath(ns)))
		case [2]int{http.StatusNotFound, http.StatusNoContent}: // the drop was first
			do(t, c, http.StatusNotFound, client.Request{Method: http.MethodHead, Path: c.TablePath(ns, "t")})
			do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, ns))
			do(t, c, http.StatusNotFound, client.Request{Method: http.MethodHead, Path: c.TablePath(ns, "t")})
		default:
			t.Fatalf("create and drop at once: %v", statuses)
		}
	}
}

// TestConcurrentNamespacePropertiesKeepAllKeys updates properties of one
// namespace from everywhere: each update that succeeded is there.
func TestConcurrentNamespacePropertiesKeepAllKeys(t *testing.T) {
	t.Parallel()
	c := shared(t).Client()
	ns := namespace(t, c)
	const updates = 30
	var mu sync.Mutex
	want := map[string]string{}
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for i := range updates {
		wg.Go(func() {
			key, value := fmt.Sprintf("k%d", i), strings.Repeat("v", i+1)
			res, err := c.DoAt(t.Context(), i, client.Request{
				Method: http.MethodPost, Path: c.NamespacePath(ns) + "/properties",
				Body: client.Object{"removals": []string{}, "updates": client.Object{key: value}},
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				statuses[0]++
				return
			}
			statuses[res.Status]++
			if res.Status == http.StatusOK {
				want[key] = value
			}
		})
	}
	wg.Wait()
	if statuses[http.StatusOK]+statuses[http.StatusConflict] != updates || statuses[http.StatusOK] == 0 {
		t.Fatalf("want only 200 and 409, got %v", statuses)
	}
	var got struct {
		Properties map[string]string `json:"properties"`
	}
	if err := do(t, c, http.StatusOK, get(c.NamespacePath(ns))).Decode(&got); err != nil {
		t.Fatal(err)
	}
	for key, value := range want {
		if got.Properties[key] != value {
			t.Errorf("%s was acknowledged and is %q", key, got.Properties[key])
		}
	}
}

// together sends n requests at once, each beginning at another node, and counts
// the statuses; a request without an answer counts under 0.
func together(t *testing.T, n int, request func(int) client.Request, c *client.Client) map[int]int {
	t.Helper()
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			res, err := c.DoAt(t.Context(), i, request(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Log(err)
				statuses[0]++
				return
			}
			statuses[res.Status]++
		})
	}
	close(gate)
	wg.Wait()
	return statuses
}
