package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm/command"
)

func TestKilledLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	for round := range 3 {
		leader := c.Leader()
		follower := (leader + 1) % 3
		mustPropose(t, c.Node(follower), put("a", fmt.Sprint(round)))
		start := time.Now()
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			c.KillNode(leader)
		}()
		c.Await("the kill", func() string {
			if c.Running(leader) {
				return "it runs"
			}
			return ""
		})
		// No retry here: the proposal itself waits for the next leader.
		mustPropose(t, c.Node(follower), put("b", fmt.Sprint(round)))
		t.Logf("first write %v after the kill", time.Since(start))
		<-killed
		if got := mustRead(t, c.Node(follower), "a"); got != fmt.Sprint(round) {
			t.Errorf("round %d: the acknowledged write is gone: %q", round, got)
		}
		c.StartNode(leader)
		c.WaitReady()
		if got := mustRead(t, c.Node(leader), "b"); got != fmt.Sprint(round) {
			t.Errorf("round %d: the restarted node reads %q", round, got)
		}
	}
}

func TestShutdownHandsLeadershipOver(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	leader := c.Leader()
	start := time.Now()
	c.Node(leader).HandOver(within(t, 5*time.Second))
	if err := c.Node(leader).Ready(); !errors.Is(err, cluster.ErrNotReady) {
		t.Errorf("a draining node is ready: %v", err)
	}
	// It goes on to serve what is under way, through the new leader.
	mustPropose(t, c.Node(leader), put("a", "1"))
	t.Logf("first write %v after the hand-over began", time.Since(start))
	if s := c.Node(leader).Status(); s.State == "Leader" {
		t.Errorf("it still leads")
	}
	c.StopNode(leader)
	if got := mustRead(t, c.Node((leader+1)%3), "a"); got != "1" {
		t.Errorf("read %q, want 1", got)
	}
}

func TestTransferToANamedNode(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	leader := c.Leader()
	to := (leader + 1) % 3
	if err := c.Node(leader).Transfer(within(t, 5*time.Second), clustertest.ID(to)); err != nil {
		t.Fatal(err)
	}
	c.Await("the named node to lead", func() string {
		if s := c.Node(to).Status(); s.State != "Leader" {
			return s.State
		}
		return ""
	})
	if err := c.Node(to).Transfer(within(t, time.Second), "nobody"); !errors.Is(err, cluster.ErrNoSuchNode) {
		t.Errorf("a transfer to a node that does not exist gives %v, want ErrNoSuchNode", err)
	}
}

func others(c *clustertest.Cluster) []string {
	var out []string
	for i := range c.Len() {
		out = append(out, c.Address(i))
	}
	return out
}

func TestDeposedLeaderRefuses(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	old := c.Leader()
	mustPropose(t, c.Node(old), put("a", "before"))
	c.Network.Isolate(c.Address(old), others(c)...)
	// The other side goes on.
	mustPropose(t, c.Node((old+1)%3), put("a", "after"))

	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	if v, _, err := read(ctx, c.Node(old), cluster.Linearizable, "a"); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("the deposed leader reads %q, error %v; want ErrUnavailable", v, err)
	}
	if v, _, err := read(within(t, time.Second), c.Node(old), cluster.Stale, "a"); err != nil || v != "before" {
		t.Errorf("a stale read on it gives %q, %v; want the old value", v, err)
	}
	c.Network.Heal(c.Address(old))
	if got := mustRead(t, c.Node(old), "a"); got != "after" {
		t.Errorf("after the partition it reads %q, want after", got)
	}
}

// What an isolated leader has put in its log may or may not survive; what an
// isolated follower wanted to propose certainly does not.
func TestOutcomesWithoutQuorum(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	leader := c.Leader()
	follower := (leader + 1) % 3
	c.Network.Isolate(c.Address(leader), others(c)...)

	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
	defer cancel()
	_, err := c.Node(leader).Propose(ctx, put("leader", "1"))
	if !errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("a proposal on an isolated leader ends with %v, want ErrUnknown", err)
	}

	c.Network.Heal(c.Address(leader))
	c.WaitReady()
	c.Network.Isolate(c.Address(follower), others(c)...)
	c.Await("the follower to miss its leader", func() string {
		if s := c.Node(follower).Status(); s.LeaderID != "" {
			return "it still has " + s.LeaderID
		}
		return ""
	})
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err = c.Node(follower).Propose(ctx, put("follower", "1"))
	if !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("a proposal on an isolated follower ends with %v, want ErrUnavailable", err)
	}
	if errors.Is(err, cluster.ErrUnknown) {
		t.Error("and is not definite")
	}
	c.Network.Heal(c.Address(follower))
	c.WaitReady()
	if got := mustRead(t, c.Node(follower), "follower"); got != "" {
		t.Errorf("what was unavailable was applied: %q", got)
	}
}

func TestDeadlineInThePastIsNotApplied(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	for i := range c.Len() {
		tx := put("late", "1")
		tx.DeadlineMs = c.Node(i).NowMs() - 1000
		r, err := c.Node(i).Propose(within(t, 5*time.Second), tx)
		if err == nil && r.Outcome == command.Applied || err != nil && !errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("through %s: outcome %v, error %v", clustertest.ID(i), r.Outcome, err)
		}
	}
	if got := mustRead(t, c.Node(0), "late"); got != "" {
		t.Errorf("it was applied: %q", got)
	}
}

func TestLogLostIsRefused(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	mustPropose(t, c.Node(0), put("a", "1"))
	c.StopNode(2)
	loseLog(t, c.Dir(2))
	if err := c.TryStartNode(2); !errors.Is(err, cluster.ErrLogLost) {
		t.Errorf("a start without the log gives %v, want ErrLogLost", err)
	}
}

func TestFolderInUse(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Nodes: 1})
	opts := cluster.Options{ID: "other", Dir: c.Dir(0) + "/raft", Listen: "127.0.0.1:0"}
	node, err := cluster.Start(within(t, 10*time.Second), opts, c.Machine(0))
	if !errors.Is(err, cluster.ErrInUse) {
		t.Errorf("a second node on the folder gives %v, %v; want ErrInUse", node, err)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: func(_ int, o *cluster.Options) { o.TrailingLogs = 1 }})
	away := c.Follower()
	c.StopNode(away)
	leader := c.Leader()
	for i := range 50 {
		mustPropose(t, c.Node(leader), put(fmt.Sprintf("k%d", i), "1"))
	}
	if err := c.Node(leader).Snapshot(); err != nil {
		t.Fatal(err)
	}
	mustPropose(t, c.Node(leader), put("after", "1"))
	// The entries that it lacks are gone: it gets the snapshot.
	c.StartNode(away)
	c.WaitReady()
	if got := mustRead(t, c.Node(away), "k49") + mustRead(t, c.Node(away), "after"); got != "11" {
		t.Errorf("after the snapshot was installed: %q", got)
	}
	// The lost state machine of a node comes back from its own snapshot and log.
	c.StopNode(away)
	loseState(t, c.Dir(away))
	c.StartNode(away)
	c.WaitReady()
	if got := mustRead(t, c.Node(away), "k0"); got != "1" {
		t.Errorf("after the state was lost: %q", got)
	}
	sumsAgree(t, c)
}

func sumsAgree(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	c.Await("equal checksums at one index", func() string {
		sum, index := c.Machine(0).Checksum()
		for i := 1; i < c.Len(); i++ {
			if s, at := c.Machine(i).Checksum(); at != index || s != sum {
				return fmt.Sprintf("%x at %d and %x at %d", sum, index, s, at)
			}
		}
		return ""
	})
}
