package cluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestReadAtOnceThroughAnotherNode writes through one node and reads at once
// through another, ten thousand times: what was acknowledged is never missing
// and never old.
func TestReadAtOnceThroughAnotherNode(t *testing.T) {
	c := start(t, cluster.Options{})
	const writes, workers = 10_000, 16
	nodes := make([]*client.Client, len(c.Nodes))
	for i := range nodes {
		nodes[i] = c.At(i)
	}
	began := time.Now()
	var next atomic.Int64
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			f := freshness{t: t, nodes: nodes, ns: namespace(t, nodes[0])}
			for n := next.Add(1); n <= writes && errs[w] == nil; n = next.Add(1) {
				errs[w] = f.writeThenRead(int(n))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d writes, each read at once through another node, in %s (%.0f/s)", writes, took.Round(time.Millisecond), writes/took.Seconds())
}

// freshness is one worker, with a namespace of its own and a table in it.
type freshness struct {
	t     *testing.T
	nodes []*client.Client
	ns    string
	made  bool
}

// writeThenRead does one of four kinds of write through one node and checks it
// through another; which nodes changes with n.
func (f *freshness) writeThenRead(n int) error {
	w := f.nodes[n%len(f.nodes)]
	r := f.nodes[(n+1+n/len(f.nodes)%(len(f.nodes)-1))%len(f.nodes)]
	const mine = "mine"
	if !f.made {
		f.made = true
		if err := f.expect(w, http.StatusOK, client.CreateTableRequest(w, f.ns, mine)); err != nil {
			return err
		}
		return f.expect(r, http.StatusNoContent, client.Request{Method: http.MethodHead, Path: r.TablePath(f.ns, mine)})
	}
	value := strconv.Itoa(n)
	switch n % 4 {
	case 0: // something new must not be a 404
		if err := f.expect(w, http.StatusOK, client.NamespaceRequest(w, nil, "n"+value)); err != nil {
			return err
		}
		return f.expect(r, http.StatusOK, get(r.NamespacePath("n"+value)))
	case 1: // something changed must not be old
		request := client.Request{Method: http.MethodPost, Path: w.NamespacePath(f.ns) + "/properties", Body: client.Object{"updates": client.Object{mine: value}}}
		if err := f.expect(w, http.StatusOK, request); err != nil {
			return err
		}
		return f.property(r, r.NamespacePath(f.ns), mine, value)
	default:
		request := client.CommitRequest(w, f.ns, mine, nil, []client.Object{setProperty("n", value)})
		if err := f.expect(w, http.StatusOK, request); err != nil {
			return err
		}
		return f.property(r, r.TablePath(f.ns, mine), "n", value)
	}
}

func (f *freshness) expect(c *client.Client, status int, r client.Request) error {
	res, err := c.Do(f.t.Context(), r)
	if err != nil {
		return err
	}
	if res.Status != status {
		return fmt.Errorf("%s %s: want %d, got %s", r.Method, r.Path, status, res)
	}
	return nil
}

// property reads a namespace or a table and compares one of its properties.
func (f *freshness) property(c *client.Client, path, name, want string) error {
	res, err := c.Do(f.t.Context(), get(path))
	if err != nil {
		return err
	}
	var body struct {
		Properties map[string]string `json:"properties"`
		Metadata   struct {
			Properties map[string]string `json:"properties"`
		} `json:"metadata"`
	}
	if res.Status != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res)
	}
	if err := res.Decode(&body); err != nil {
		return err
	}
	got := body.Properties[name]
	if body.Metadata.Properties != nil {
		got = body.Metadata.Properties[name]
	}
	if got != want {
		return fmt.Errorf("stale: %s of %s is %q, written before as %q", name, path, got, want)
	}
	return nil
}
