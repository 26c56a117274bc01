package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestStateOutlivesAllNodes kills all nodes at once and starts them in another
// order: everything acknowledged is there.
func TestStateOutlivesAllNodes(t *testing.T) {
	s := start(t, cluster.Options{})
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	want := commitAppend(t, c, ns, name)
	for _, n := range s.Nodes {
		if err := n.Kill9(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s.Nodes {
		if err := s.Nodes[len(s.Nodes)-1-i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AwaitReady(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range s.Nodes {
		if got := load(t, s.At(i), ns, name); got.MetadataLocation != want.MetadataLocation || got.Metadata.Current() != want.Metadata.Current() {
			t.Errorf("node %d has %s, want %s", i, got.MetadataLocation, want.MetadataLocation)
		}
	}
}

// TestLeaderLeavesInOrder ends the leader with SIGTERM while a client writes:
// it exits with 0, and no request fails.
func TestLeaderLeavesInOrder(t *testing.T) {
	s := start(t, cluster.Options{})
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var longest time.Duration
	go func() {
		var errs []error
		for ctx.Err() == nil {
			began := time.Now()
			res, err := c.Commit(t.Context(), ns, name, nil, []client.Object{setProperty("at", began.String())})
			longest = max(longest, time.Since(began))
			if err != nil {
				errs = append(errs, err)
			} else if res.Status != http.StatusOK {
				errs = append(errs, errors.New(res.String()))
			}
		}
		done <- errors.Join(errs...)
	}()
	leader := s.Nodes[s.MustLeader(t)]
	began := time.Now()
	err := leader.Term(20 * time.Second)
	took := time.Since(began)
	s.MustLeader(t)
	cancel()
	if failed := <-done; err != nil || failed != nil {
		t.Errorf("ending the leader: %v\nrequests that failed meanwhile: %v", err, failed)
	}
	t.Logf("the leader ended in %s; the longest write took %s", took.Round(time.Millisecond), longest.Round(time.Millisecond))
}

// TestWithoutMajority leaves one node of three: what it answers is safe to act
// on. 503 is a promise that nothing was done; what may have been done is 500.
func TestWithoutMajority(t *testing.T) {
	t.Parallel() // it mostly waits
	s := start(t, cluster.Options{})
	alone := s.MustLeader(t)
	c := s.At(alone)
	ns := namespace(t, c)
	for i, n := range s.Nodes {
		if i != alone {
			if err := n.Kill9(); err != nil {
				t.Fatal(err)
			}
		}
	}
	create := func(name string) client.Request {
		r := client.CreateTableRequest(c, ns, name)
		r.Key = client.NoKey
		return r
	}
	read := func(consistency string) client.Request {
		r := get(c.NamespacePath(ns))
		r.Header = http.Header{"Floeberg-Consistency": {consistency}}
		return r
	}
	// One change at once, others when the node knows that it is alone.
	changes := map[string]<-chan answer{
		"first":  askLater(t.Context(), c, 0, create("first")),
		"second": askLater(t.Context(), c, 1500*time.Millisecond, create("second")),
		"third":  askLater(t.Context(), c, 3*time.Second, create("third")),
	}
	bounded := askLater(t.Context(), c, 7*time.Second, read("bounded"))
	// This client gives up while its request still waits for a leader: nobody
	// may carry it out later.
	impatient := askLater(within(t, 4*time.Second), c, 2*time.Second, create("left"))

	outcomes := map[string]int{}
	for name, change := range changes {
		a := <-change
		if a.err != nil {
			t.Errorf("%s: %v", name, a.err)
			continue
		}
		outcomes[name] = a.res.Status
		retry, kind := a.res.Header.Get("Retry-After"), a.res.Error().Type
		switch a.res.Status {
		case http.StatusServiceUnavailable:
			if retry == "" {
				t.Errorf("%s: 503 without Retry-After", name)
			}
		case http.StatusInternalServerError:
			if retry != "" || kind != "CommitStateUnknownException" {
				t.Errorf("%s: %s, Retry-After %q", name, a.res, retry)
			}
		default:
			t.Errorf("%s, without a majority: %s", name, a.res)
		}
	}
	if a := <-impatient; a.err == nil {
		t.Errorf("a request without a majority was answered at once: %s", a.res)
	}
	if a := <-bounded; a.err != nil {
		t.Error(a.err)
	} else if a.res.Status != http.StatusServiceUnavailable {
		t.Errorf("a read that may be 5 s old, later than that: %s", a.res)
	}
	do(t, c, http.StatusOK, read("stale"))
	for path, want := range map[string]int{"/health": http.StatusOK, "/ready": http.StatusServiceUnavailable} {
		if status, _, err := s.Nodes[alone].Get(t.Context(), path); err != nil || status != want {
			t.Errorf("%s without a majority: %d %v, want %d", path, status, err, want)
		}
	}

	for i, n := range s.Nodes {
		if i != alone {
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.AwaitReady(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	do(t, s.Client(), http.StatusOK, client.NamespaceRequest(c, nil, fresh("after")))
	do(t, s.Client(), http.StatusNotFound, client.Request{Method: http.MethodHead, Path: c.TablePath(ns, "left")})
	for name, status := range outcomes {
		res := send(t, s.Client(), client.Request{Method: http.MethodHead, Path: c.TablePath(ns, name)})
		if status == http.StatusServiceUnavailable && res.Status != http.StatusNotFound {
			t.Errorf("%s was answered with 503 and is there", name)
		}
		t.Logf("%s: answered %d, afterwards %d", name, status, res.Status)
	}
}

// answer is what became of a request.
type answer struct {
	res *client.Response
	err error
}

// askLater sends a request after a while, and gives its answer when it is there.
func askLater(ctx context.Context, c *client.Client, after time.Duration, r client.Request) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
		res, err := c.Do(ctx, r)
		answers <- answer{res, err}
	}()
	return answers
}

// TestPausedLeader stops the leader for longer than the others wait for it and
// lets it go on: its first answer shows what was written meanwhile.
func TestPausedLeader(t *testing.T) {
	s := start(t, cluster.Options{})
	c := s.Client()
	ns := namespace(t, c)
	leader := s.Nodes[s.MustLeader(t)]
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	var others []string
	for _, n := range s.Nodes {
		if n != leader {
			others = append(others, n.URL)
		}
	}
	rest := c.With(func(o *client.Options) { o.URLs = others })
	name, _ := table(t, rest, ns)
	if err := leader.Resume(); err != nil {
		t.Fatal(err)
	}
	deposed := c.With(func(o *client.Options) { o.URLs = []string{leader.URL} })
	load(t, deposed, ns, name)
}

// TestFirstStartInPieces starts the nodes of a new cluster one by one, ends one
// before there are enough of them, and starts it again.
func TestFirstStartInPieces(t *testing.T) {
	needProcesses(t)
	s, err := cluster.Prepare(cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Logs(60))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	up := func(n *cluster.Node) {
		t.Helper()
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		err := cluster.Await(within(t, 10*time.Second), n.ID+" to answer", func(ctx context.Context) error {
			_, _, err := n.Get(ctx, "/health")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	up(s.Nodes[2])
	if err := s.Nodes[2].Ready(t.Context()); err == nil {
		t.Error("one node of three calls itself ready")
	}
	if err := s.Nodes[2].Kill9(); err != nil {
		t.Fatal(err)
	}
	up(s.Nodes[0])
	up(s.Nodes[2])
	up(s.Nodes[1])
	if err := s.AwaitReady(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	// One cluster, not two: what one node takes, all others have.
	ns := namespace(t, s.At(0))
	for i := range s.Nodes {
		do(t, s.At(i), http.StatusOK, get(s.At(i).NamespacePath(ns)))
	}
}
