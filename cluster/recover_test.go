package cluster_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
)

func openRemains(t *testing.T, dir string) *cluster.Remains {
	t.Helper()
	r, err := cluster.OpenRemains(filepath.Join(dir, "raft"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// identityOf is the cluster that a node's folders are of.
func identityOf(t *testing.T, dir string) string {
	t.Helper()
	r := openRemains(t, dir)
	machine, err := fsm.Open(fsm.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.ClusterID(machine)
	if err := errors.Join(err, r.Close(), machine.Close()); err != nil {
		t.Fatal(err)
	}
	return id
}

// recoverNode founds the cluster anew of what node i has, with that node and others
// as voters. Its old folders are moved to "old".
func recoverNode(t *testing.T, c *clustertest.Cluster, i int, others ...int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := c.Dir(i)
	r := openRemains(t, dir)
	was, err := fsm.Open(fsm.Options{Dir: filepath.Join(dir, "state")})
	must(err)
	needsRestore, err := r.Check(was)
	must(err)
	machine, err := fsm.Open(fsm.Options{Dir: filepath.Join(dir, "new", "state")})
	must(err)
	var stream io.ReadCloser
	switch applied, _ := was.Applied(); {
	case needsRestore:
		stream, err = r.Snapshot()
	case applied > 0:
		out, in := io.Pipe()
		go func() {
			_, err := was.WriteSnapshot(in)
			_ = in.CloseWithError(err)
		}()
		stream = out
	}
	must(err)
	if stream != nil {
		must(machine.Restore(stream))
	}
	must(r.Replay(t.Context(), machine))
	var servers []cluster.Server
	members := append([]int{i}, others...)
	slices.Sort(members)
	for _, k := range members {
		servers = append(servers, cluster.Server{ID: clustertest.ID(k), Address: c.Address(k), Voter: true})
	}
	must(r.Found(filepath.Join(dir, "new", "raft"), machine, servers))
	must(errors.Join(was.Close(), machine.Close(), r.Close(), os.Mkdir(filepath.Join(dir, "old"), 0o700)))
	for _, name := range []string{"raft", "state"} {
		must(os.Rename(filepath.Join(dir, name), filepath.Join(dir, "old", name)))
		must(os.Rename(filepath.Join(dir, "new", name), filepath.Join(dir, name)))
	}
}

// A cluster that is founded anew with voters whose folders are empty begins with
// their votes: they may forget what the old one had of them.
func TestRecoverWithEmptyVoters(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 3})
	mustPropose(t, c.Node(0), put("a", "1"))
	index := c.Node(c.Leader()).Status().AppliedIndex
	if err := c.Node(1).WaitApplied(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c.KillNode(i)
	}
	recoverNode(t, c, 1, 0, 2)
	for _, i := range []int{0, 2} {
		if err := os.RemoveAll(c.Dir(i)); err != nil {
			t.Fatal(err)
		}
	}
	c.StartAll()
	sameCluster(t, c)
	mustPropose(t, c.Node(2), put("b", "1"))
	for i := range 3 {
		if got := mustRead(t, c.Node(i), "a"); got != "1" {
			t.Errorf("%s reads %q, want 1", clustertest.ID(i), got)
		}
	}
}

// leaveOneUntold ends all nodes, the leader last, with a write in its log that
// nobody else has. It returns which one that is.
func leaveOneUntold(t *testing.T, c *clustertest.Cluster, name string) int {
	t.Helper()
	for {
		leader := c.Leader()
		for i := range c.Len() {
			if i != leader {
				c.KillNode(i)
			}
		}
		_, err := c.Node(leader).Propose(within(t, time.Second), put(name, "1"))
		if errors.Is(err, cluster.ErrUnknown) {
			c.KillNode(leader)
			return leader
		}
		// It had noticed that it is alone before the write came.
		if !errors.Is(err, cluster.ErrUnavailable) {
			t.Fatalf("a proposal without a majority: %v", err)
		}
		c.StartAll()
		c.WaitReady()
	}
}

// Of three nodes two are lost. The one that is left has everything that was
// acknowledged, what nobody was told of too, and goes on alone: with its state as
// it was, from a snapshot and the log, and from the log alone.
func TestRecover(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ snapshot, stateLost bool }{
		"state":                  {false, false},
		"log":                    {false, true},
		"state after a snapshot": {true, false},
		"snapshot and log":       {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{})
			identified(c)
			leader := c.Leader()
			n := c.Node(leader)
			for i := range 20 {
				mustPropose(t, n, put(fmt.Sprint("acknowledged ", i), "1"))
				for j := 0; i == 10 && tc.snapshot && j < c.Len(); j++ {
					if err := c.Node(j).Snapshot(); err != nil {
						t.Fatal(err)
					}
				}
			}
			id := n.ClusterID()
			leader = leaveOneUntold(t, c, "nobody was told")

			mine, theirs := openRemains(t, c.Dir(leader)), openRemains(t, c.Dir((leader+1)%c.Len()))
			facts, other := mine.Facts(), theirs.Facts()
			if err := errors.Join(mine.Close(), theirs.Close()); err != nil {
				t.Fatal(err)
			}
			if facts.LastIndex <= other.LastIndex || facts.LastTerm < other.LastTerm || len(facts.Servers) != 3 || facts.ChangedMs == 0 || (facts.SnapshotIndex > 0) != tc.snapshot {
				t.Errorf("the one that led has %+v, another %+v", facts, other)
			}
			if tc.stateLost {
				if err := os.RemoveAll(filepath.Join(c.Dir(leader), "state")); err != nil {
					t.Fatal(err)
				}
			}
			if got := identityOf(t, c.Dir(leader)); got != id {
				t.Errorf("it is of cluster %q, not %q", got, id)
			}
			recoverNode(t, c, leader)
			c.StartNode(leader)
			c.WaitReady()
			n = c.Node(leader)
			for i := range 20 {
				if v, _, err := read(t.Context(), n, cluster.Linearizable, fmt.Sprint("acknowledged ", i)); v != "1" || err != nil {
					t.Errorf("entry %d: %q, %v", i, v, err)
				}
			}
			if v, _, err := read(t.Context(), n, cluster.Linearizable, "nobody was told"); v != "1" || err != nil {
				t.Errorf("the last entry: %q, %v", v, err)
			}
			c.Await("the identity", func() string {
				if got := n.ClusterID(); got != id {
					return fmt.Sprintf("cluster %s has become %q", id, got)
				}
				return ""
			})
			mustPropose(t, n, put("goes on", "1"))
			if _, _, err := c.Machine(leader).VerifyChecksum(t.Context()); err != nil {
				t.Error(err)
			}
			c.StopNode(leader)
			c.StartNode(leader)
			c.WaitReady()
			if v, _, err := read(t.Context(), c.Node(leader), cluster.Linearizable, "goes on"); v != "1" || err != nil {
				t.Errorf("after another restart: %q, %v", v, err)
			}

			// What was there before is whole.
			c.StopNode(leader)
			old := openRemains(t, filepath.Join(c.Dir(leader), "old"))
			if again := old.Facts(); again.LastIndex != facts.LastIndex || again.LastTerm != facts.LastTerm {
				t.Errorf("the old log goes to %d, not %d", again.LastIndex, facts.LastIndex)
			}
			if err := old.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNothingToRecoverFrom(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	if _, err := cluster.OpenRemains(t.TempDir(), logger); !errors.Is(err, cluster.ErrNoRemains) {
		t.Errorf("an empty folder: %v", err)
	}
	c := clustertest.Start(t, clustertest.Options{Stopped: true})
	c.StartNode(0)
	c.StopNode(0)
	if _, err := cluster.OpenRemains(filepath.Join(c.Dir(0), "raft"), logger); !errors.Is(err, cluster.ErrNoRemains) {
		t.Errorf("a node that was in no cluster: %v", err)
	}
}
