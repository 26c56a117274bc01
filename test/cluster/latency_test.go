package cluster_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// The bounds here are wide: they catch what is broken, not what is slow today.
// The figures are in the log.
const (
	followerLoadBound = 25 * time.Millisecond
	afterCommitBound  = 50 * time.Millisecond
)

// TestLoadOnFollower measures linearizable loads of a table on a follower, and
// sees that they need no object store.
func TestLoadOnFollower(t *testing.T) {
	c := start(t, cluster.Options{})
	follower := c.Follower(t)
	at := c.At(follower)
	ns := namespace(t, at)
	name, _ := table(t, at, ns)
	commitAppend(t, at, ns, name)
	load(t, at, ns, name)

	const loads = 2000
	calls := storeCalls(t, c)
	took := make([]time.Duration, 0, loads)
	for range loads {
		took = append(took, timed(t, at, get(at.TablePath(ns, name))))
	}
	if after := storeCalls(t, c); after != calls {
		t.Errorf("%d loads made %v calls to the object store", loads, after-calls)
	}
	p50, p99 := quantiles(took)
	t.Logf("load on a follower, linearizable, one client: P50 %s, P99 %s", p50, p99)
	if p50 > followerLoadBound {
		t.Errorf("P50 of a load is %s", p50)
	}

	took = took[:0]
	stale := get(at.TablePath(ns, name))
	stale.Header = http.Header{"Floeberg-Consistency": {"stale"}}
	for range loads {
		took = append(took, timed(t, at, stale))
	}
	p50, p99 = quantiles(took)
	t.Logf("the same load, stale: P50 %s, P99 %s", p50, p99)
}

// TestLoadRightAfterCommitOnAnotherNode measures what a reader waits that asks
// a follower for what was committed through another node a moment ago.
func TestLoadRightAfterCommitOnAnotherNode(t *testing.T) {
	c := start(t, cluster.Options{})
	reader := c.Follower(t)
	writer := c.MustLeader(t)
	ns := namespace(t, c.At(writer))
	name, _ := table(t, c.At(writer), ns)
	w, r := c.At(writer), c.At(reader)

	const rounds = 200
	var commits, loads []time.Duration
	for i := range rounds {
		commits = append(commits, timed(t, w, client.CommitRequest(w, ns, name, nil, []client.Object{setProperty("n", strconv.Itoa(i))})))
		loads = append(loads, timed(t, r, get(r.TablePath(ns, name))))
	}
	p50, p99 := quantiles(commits)
	t.Logf("commit through the leader, one client: P50 %s, P99 %s", p50, p99)
	p50, p99 = quantiles(loads)
	t.Logf("load on a follower right after: P50 %s, P99 %s", p50, p99)
	if p50 > afterCommitBound {
		t.Errorf("P50 of a load right after a commit is %s", p50)
	}
}

func timed(t testing.TB, c *client.Client, r client.Request) time.Duration {
	t.Helper()
	began := time.Now()
	res, err := c.Do(t.Context(), r)
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != http.StatusOK {
		t.Fatalf("%s %s: %s", r.Method, r.Path, res)
	}
	return took
}

func quantiles(took []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(took)
	return took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond)
}

// storeCalls is how often the cluster has called its object store.
func storeCalls(t testing.TB, c *cluster.Cluster) float64 {
	t.Helper()
	var calls float64
	for _, n := range c.Nodes {
		m, err := n.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		calls += m.Sum("floeberg_object_store_duration_seconds_count")
	}
	if calls == 0 {
		t.Fatal("no call to the object store is counted, and a table was made")
	}
	return calls
}

// commitAppend appends a snapshot to a table that nobody else writes.
func commitAppend(t testing.TB, c *client.Client, ns, name string) *client.Table {
	t.Helper()
	requirements, updates := load(t, c, ns, name).Append("main", client.NewSnapshotID())
	return tableOf(t, do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, requirements, updates)))
}

// TestTimeToReplaceLeader kills the leader of a quiet cluster and asks another
// node for a write at once: how long that takes is how long nobody led.
func TestTimeToReplaceLeader(t *testing.T) {
	c := start(t, cluster.Options{})
	ns := namespace(t, c.Client())
	const kills = 6
	took := make([]time.Duration, 0, kills)
	for range kills {
		leader := c.MustLeader(t)
		other := c.At((leader + 1) % len(c.Nodes))
		do(t, other, http.StatusOK, get(other.NamespacePath(ns)))
		if err := c.Nodes[leader].Kill9(); err != nil {
			t.Fatal(err)
		}
		took = append(took, timed(t, other, client.NamespaceRequest(other, nil, fresh("ns"))))
		if err := c.Nodes[leader].Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitReady(within(t, 30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(took)
	t.Logf("kill of the leader to the next write, %d times: %v", kills, took)
	if p50 := took[kills/2]; p50 > 3*time.Second {
		t.Errorf("P50 of replacing a leader is %s", p50)
	}
}
