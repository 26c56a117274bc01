package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/command"
)

const (
	older = command.FirstVersion
	newer = command.FirstVersion + 1
)

// programs are which command version the program of each node knows.
type programs []atomic.Uint32

func (p programs) options() clustertest.Options {
	return clustertest.Options{Nodes: len(p), NewestCommand: func(i int) uint32 { return p[i].Load() }}
}

// replace restarts a node with another program.
func (p programs) replace(c *clustertest.Cluster, i int, version uint32) {
	c.StopNode(i)
	p[i].Store(version)
	c.StartNode(i)
	c.WaitReady()
}

// awaitWaits waits until the leader says why no newer version is in use.
func awaitWaits(t *testing.T, c *clustertest.Cluster, what string) {
	t.Helper()
	c.Await("the leader to wait for "+what, func() string {
		for i := range c.Len() {
			if n := c.Node(i); n != nil && strings.Contains(warnings(t, n), what) {
				return ""
			}
		}
		return "the leader warns: " + warnings(t, c.Node(c.Leader()))
	})
}

func warnings(t *testing.T, n *cluster.Node) string {
	t.Helper()
	o, err := n.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(o.Warnings, "; ")
}

func awaitVersion(c *clustertest.Cluster, version uint32) {
	c.Await(fmt.Sprintf("command version %d on all nodes", version), func() string {
		for i := range c.Len() {
			if n := c.Node(i); n != nil && n.Status().CommandVersion != version {
				return fmt.Sprintf("%s has %d", clustertest.ID(i), n.Status().CommandVersion)
			}
		}
		return ""
	})
}

// A cluster is upgraded node by node: as long as one member runs the older
// program, also one that is away, nothing changes and any node can go back. With
// the last one the version goes up, and then none can.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	p := make(programs, 3)
	for i := range p {
		p[i].Store(older)
	}
	c := clustertest.Start(t, p.options())
	write := func(key string) {
		t.Helper()
		res, err := c.Node(c.Leader()).Propose(t.Context(), put(key, "1"))
		if err != nil || res.Outcome != command.Applied {
			t.Fatalf("%s: %+v, %v", key, res, err)
		}
	}
	write("a")
	p.replace(c, 0, newer)
	p.replace(c, 0, older)
	p.replace(c, 0, newer)
	p.replace(c, 1, newer)
	p.replace(c, 2, older) // so that another leads
	awaitWaits(t, c, "n3 knows command versions up to 1")
	write("b")
	c.StopNode(2)
	// What it was when it was last seen counts.
	awaitWaits(t, c, "n3 knows command versions up to 1")
	awaitVersion(c, older)
	p[2].Store(newer)
	c.StartNode(2)
	c.WaitReady()
	awaitVersion(c, newer)
	write("c")

	// The state says so, and the log does where the state is gone or behind.
	for _, want := range []error{fsm.ErrNewerCommands, cluster.ErrTooOld} {
		i := c.Follower()
		c.StopNode(i)
		if errors.Is(want, cluster.ErrTooOld) {
			if err := os.RemoveAll(filepath.Join(c.Dir(i), "state")); err != nil {
				t.Fatal(err)
			}
		}
		p[i].Store(older)
		err := c.TryStartNode(i)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "version 2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("an older program on a newer folder: %v; want %v", err, want)
		}
		p[i].Store(newer)
		c.StartNode(i)
		c.WaitReady()
	}
	awaitVersion(c, newer)
}

// Of a member that no node has seen since the start nothing is known.
func TestUpgradeWaitsForWhoIsAway(t *testing.T) {
	t.Parallel()
	p := make(programs, 3)
	for i := range p {
		p[i].Store(older)
	}
	c := clustertest.Start(t, p.options())
	for i := range p {
		c.StopNode(i)
		p[i].Store(newer)
	}
	c.StartNode(0)
	c.StartNode(1)
	awaitWaits(t, c, "n3 is away")
	awaitVersion(c, older)
	c.StartNode(2)
	c.WaitReady()
	awaitVersion(c, newer)
}

// New nodes that all know more found a cluster in which it is used at once.
func TestANewClusterUsesWhatAllFoundersKnow(t *testing.T) {
	t.Parallel()
	p := make(programs, 3)
	for i, version := range []uint32{newer, newer + 1, newer + 2} {
		p[i].Store(version)
	}
	c := clustertest.Start(t, p.options())
	awaitVersion(c, newer)
}

// Who has no vote applies the same log, so the version waits for it as well; and
// a node that does not know the version in use is not let in.
func TestUpgradeAndWhoJoins(t *testing.T) {
	t.Parallel()
	p := make(programs, 2)
	for i := range p {
		p[i].Store(older)
	}
	opts := p.options()
	opts.Stopped = true
	opts.Adjust = quick(1, func(i int, o *cluster.Options) { o.Nonvoter = i == 1 })
	c := clustertest.Start(t, opts)
	c.StartNode(0)
	c.WaitReady()
	c.StartNode(1)
	c.WaitReady()
	p.replace(c, 0, newer)
	awaitWaits(t, c, "n2 knows command versions up to 1")
	if err := c.Node(0).Remove(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	c.StopNode(1)
	awaitVersion(c, newer)
	for _, name := range []string{"raft", "state"} {
		if err := os.RemoveAll(filepath.Join(c.Dir(1), name)); err != nil {
			t.Fatal(err)
		}
	}
	c.StartNode(1)
	c.Await("the refusal of a program that is too old", func() string {
		err := c.Node(1).Join(within(t, 100*time.Millisecond), []string{c.GossipAddress(0)})
		if err == nil {
			t.Fatal("it was let in")
		}
		if !strings.Contains(err.Error(), "too old: the cluster uses command version 2, and it knows up to 1") {
			return err.Error()
		}
		return ""
	})
	c.StopNode(1)
	p[1].Store(newer)
	c.StartNode(1)
	c.WaitReady()
	awaitVersion(c, newer)
}
