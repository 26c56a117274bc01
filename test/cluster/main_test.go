package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// standing is the cluster that all tests share which neither end a node nor
// measure time: starting one costs more than most of them do.
var standing struct {
	once    sync.Once
	cluster *cluster.Cluster
	before  []cluster.Metrics // of its nodes, when it had started
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if standing.cluster != nil {
		if err := errors.Join(leaks(), standing.cluster.Close()); err != nil {
			fmt.Fprintln(os.Stderr, "ending the shared cluster:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// leaks tells whether the nodes of the standing cluster hold more than when they
// had started, after all that was asked of them.
func leaks() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for i, n := range standing.cluster.Nodes {
		errs = append(errs, gaveBack(ctx, n, standing.before[i]))
	}
	return errors.Join(errs...)
}

// launch starts the standing cluster and notes what its nodes hold.
func launch() (*cluster.Cluster, []cluster.Metrics, error) {
	c, err := cluster.Launch(cluster.Options{})
	if err != nil {
		return nil, nil, err
	}
	before := make([]cluster.Metrics, len(c.Nodes))
	for i, n := range c.Nodes {
		if before[i], err = n.Metrics(context.Background()); err != nil {
			return nil, nil, errors.Join(err, c.Close())
		}
	}
	return c, before, nil
}

// shared is the standing cluster; its log is printed where the test fails.
func shared(t *testing.T) *cluster.Cluster {
	t.Helper()
	needProcesses(t)
	standing.once.Do(func() { standing.cluster, standing.before, standing.err = launch() })
	if standing.err != nil {
		t.Fatalf("starting the shared cluster: %v", standing.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(standing.cluster.Logs(15))
		}
	})
	return standing.cluster
}

// start is a cluster of the test's own.
func start(t testing.TB, o cluster.Options) *cluster.Cluster {
	t.Helper()
	needProcesses(t)
	return cluster.Start(t, o)
}

func needProcesses(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
}

// within is a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// names gives each test names of its own in the shared cluster.
var names struct {
	sync.Mutex
	n int
}

func fresh(prefix string) string {
	names.Lock()
	defer names.Unlock()
	names.n++
	return fmt.Sprintf("%s_%d", prefix, names.n)
}

// do sends a request and fails the test unless the answer has the status.
func do(t testing.TB, c *client.Client, want int, r client.Request) *client.Response {
	t.Helper()
	res, err := c.Do(within(t, 60*time.Second), r)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != want {
		t.Fatalf("%s %s: want %d, got %s", r.Method, r.Path, want, res)
	}
	return res
}

// refused is do for an answer that must be an Iceberg error of the type.
func refused(t testing.TB, c *client.Client, want int, wantType string, r client.Request) client.Error {
	t.Helper()
	res := do(t, c, want, r)
	e := res.Error()
	if e.Code != want || e.Type != wantType || e.Message == "" {
		t.Fatalf("%s %s: want an Iceberg error %s with code %d, got %s", r.Method, r.Path, wantType, want, res)
	}
	return e
}

// namespace makes a namespace for the test.
func namespace(t testing.TB, c *client.Client) string {
	t.Helper()
	ns := fresh("ns")
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, ns))
	return ns
}

// table makes a table for the test.
func table(t testing.TB, c *client.Client, ns string) (string, *client.Table) {
	t.Helper()
	name := fresh("t")
	return name, tableOf(t, do(t, c, http.StatusOK, client.CreateTableRequest(c, ns, name)))
}

func load(t testing.TB, c *client.Client, ns, name string) *client.Table {
	t.Helper()
	return tableOf(t, do(t, c, http.StatusOK, get(c.TablePath(ns, name))))
}

func tableOf(t testing.TB, res *client.Response) *client.Table {
	t.Helper()
	table, err := res.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func get(path string) client.Request {
	return client.Request{Method: http.MethodGet, Path: path}
}

func setProperty(name, value string) client.Object {
	return client.Object{"action": "set-properties", "updates": client.Object{name: value}}
}
