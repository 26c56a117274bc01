package cluster_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// identified waits until all nodes know the cluster's id, which comes through the
// log: a node is ready without it.
func identified(c *clustertest.Cluster) {
	c.Await("one identity on all nodes", func() string {
		for i := range c.Len() {
			if id := c.Node(i).ClusterID(); id == "" || id != c.Node(0).ClusterID() {
				return fmt.Sprintf("%s has %q, %s has %q", clustertest.ID(0), c.Node(0).ClusterID(), clustertest.ID(i), id)
			}
		}
		return ""
	})
}

// sameCluster checks that all nodes are in one cluster, with the same members.
func sameCluster(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	c.WaitReady()
	identified(c)
	// A founder that was killed before it had anything on disk has its vote back only
	// after it was let in again.
	want := []string{"n1", "n2", "n3"}
	for i := range c.Len() {
		c.Await("the members as "+clustertest.ID(i)+" sees them", func() string {
			var members []string
			for _, p := range c.Node(i).Status().Peers {
				if p.Member && p.Voter {
					members = append(members, p.ID)
				}
			}
			return cmp.Diff(want, members)
		})
	}
}

func TestBootstrapInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{Stopped: true})
			for k, i := range order {
				c.StartNode(i)
				if k < 2 {
					// Before all are there, none may become a cluster of its own.
					if err := c.Node(i).Ready(); err == nil {
						t.Fatalf("%s is ready with %d of 3 nodes", clustertest.ID(i), k+1)
					}
				}
			}
			sameCluster(t, c)
		})
	}
}

func TestBootstrapWithRestarts(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := clustertest.Start(t, clustertest.Options{Stopped: true, Adjust: quick(3)})
	for range 8 {
		i := random.IntN(3)
		if c.Running(i) {
			c.KillNode(i)
		} else {
			c.StartNode(i)
		}
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond) // whatever has happened by then
	}
	c.StartAll()
	sameCluster(t, c)
	mustPropose(t, c.Node(0), put("a", "1"))
	if got := mustRead(t, c.Node(2), "a"); got != "1" {
		t.Errorf("read %q, want 1", got)
	}
}

// A node that was killed while it wrote the founding configuration has a term and
// nothing else on disk.
func TestFoundingThatWasCutShort(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{Nodes: nodes, Stopped: true})
			dir := filepath.Join(c.Dir(0), "raft")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			bolt, err := raftboltdb.NewBoltStore(filepath.Join(dir, "raft.db"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(bolt.SetUint64([]byte("CurrentTerm"), 1), bolt.Close()); err != nil {
				t.Fatal(err)
			}
			c.StartAll()
			c.WaitReady()
			mustPropose(t, c.Node(0), put("a", "1"))
		})
	}
}

func TestRestartFindsItsState(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	id := c.Node(0).ClusterID()
	mustPropose(t, c.Node(1), put("a", "1"))
	for i := range c.Len() {
		c.StopNode(i)
	}
	c.StartAll()
	sameCluster(t, c)
	if got := c.Node(0).ClusterID(); got != id && id != "" {
		t.Errorf("the cluster's id is %s, was %s", got, id)
	}
	for i := range c.Len() {
		if got := mustRead(t, c.Node(i), "a"); got != "1" {
			t.Errorf("%s reads %q, want 1", clustertest.ID(i), got)
		}
	}
}

// A new node must not found a second cluster beside the one that it sees, whatever
// it expects: it is let in there.
func TestNewNodeDoesNotFoundASecondCluster(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	identified(c)
	for _, expect := range []int{1, 3, cluster.NeverFound} {
		other := clustertest.Start(t, clustertest.Options{Nodes: 1, Stopped: true, Adjust: func(_ int, o *cluster.Options) {
			o.ID, o.BootstrapExpect, o.Join = fmt.Sprintf("late%d", expect), expect, []string{c.GossipAddress(0)}
		}})
		other.StartNode(0)
		other.WaitReady()
		identified(other)
		if got, want := other.Node(0).ClusterID(), c.Node(0).ClusterID(); got != want {
			t.Errorf("with bootstrap-expect %d it is in cluster %q, not %q", expect, got, want)
		}
		if err := c.Node(0).Remove(t.Context(), fmt.Sprintf("late%d", expect)); err != nil {
			t.Error(err)
		}
		other.StopNode(0)
	}
}

func TestLabelsKeepClustersApart(t *testing.T) {
	t.Parallel()
	red := clustertest.Start(t, clustertest.Options{Stopped: true, Nodes: 3, Adjust: func(_ int, o *cluster.Options) { o.ClusterName = "red" }})
	blue := clustertest.Start(t, clustertest.Options{Stopped: true, Nodes: 3, Adjust: func(i int, o *cluster.Options) {
		o.ClusterName, o.ID = "blue", fmt.Sprintf("b%d", i+1)
		// Every node is told of all nodes of both.
		for k := range red.Len() {
			o.Join = append(o.Join, red.GossipAddress(k))
		}
	}})
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(2)
		go func() { defer wg.Done(); _ = red.TryStartNode(i) }()
		go func() { defer wg.Done(); _ = blue.TryStartNode(i) }()
	}
	wg.Wait()
	red.WaitReady()
	blue.WaitReady()
	for i := range 3 {
		for _, p := range red.Node(i).Status().Peers {
			if strings.HasPrefix(p.ID, "b") {
				t.Errorf("a red node knows %s", p.ID)
			}
		}
	}
}

func TestMoreFoundersThanExpectedWait(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 3, Stopped: true, Adjust: func(_ int, o *cluster.Options) { o.BootstrapExpect = 2 }})
	c.StartNode(0)
	// The second and third see each other before the first two can agree.
	c.Network.Isolate(c.Address(0), c.Address(1), c.Address(2))
	c.StartNode(1)
	c.StartNode(2)
	c.Await("all three to see each other", func() string {
		for i := range 3 {
			if n := len(c.Node(i).Status().Peers); n != 3 {
				return fmt.Sprintf("%s sees %d", clustertest.ID(i), n)
			}
		}
		return ""
	})
	c.Network.Heal(c.Address(0))
	for i := range 3 {
		if term := c.Node(i).Status().Term; term != 0 {
			t.Errorf("%s is in term %d of some cluster", clustertest.ID(i), term)
		}
	}
}
