package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// awaitRemoved waits until a node says that it was removed, and checks that it
// serves nothing any more.
func awaitRemoved(t *testing.T, c *clustertest.Cluster, i int) {
	t.Helper()
	n := c.Node(i)
	c.Await(clustertest.ID(i)+" to know that it was removed", func() string {
		if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "was removed") || !strings.Contains(err.Error(), "--join") {
			return fmt.Sprint(err)
		}
		return ""
	})
	for _, consistency := range []cluster.Consistency{cluster.Linearizable, cluster.Bounded, cluster.Stale} {
		view, err := n.View(t.Context(), consistency, time.Hour)
		if err == nil {
			view.Close()
		}
		if !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, cluster.ErrRemoved) {
			t.Errorf("a read of consistency %d on a removed node: %v", consistency, err)
		}
	}
	if _, err := n.Propose(t.Context(), put("a", "removed")); !errors.Is(err, cluster.ErrUnavailable) || errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("a proposal on a removed node: %v", err)
	}
	if _, err := n.Overview(t.Context()); !errors.Is(err, cluster.ErrRemoved) {
		t.Errorf("a look at the cluster: %v", err)
	}
	if err := n.Leave(t.Context()); err != nil {
		t.Errorf("leaving again: %v", err)
	}
	if err := c.Halted(i); err != nil {
		t.Errorf("it wants to end: %v", err)
	}
}

// terms are the terms of all running nodes but one.
func termOf(t *testing.T, c *clustertest.Cluster) uint64 {
	t.Helper()
	return c.Node(c.Leader()).Status().Term
}

// A node that was removed knows it, whether it was there, cut off or stopped, and
// leads to no election.
func TestARemovedNodeKnowsIt(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"there", "cut off", "stopped", "leaving"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{Adjust: quick(3, func(_ int, o *cluster.Options) {
				o.HeartbeatTimeout = 2 * time.Second // so that a busy machine leads to none either
			})})
			leader := c.Leader()
			gone, stays := (leader+1)%3, (leader+2)%3
			term := termOf(t, c)
			remove := func() error { return c.Node(stays).Remove(t.Context(), clustertest.ID(gone)) }
			switch how {
			case "leaving":
				remove = func() error { return c.Node(gone).Leave(t.Context()) }
			case "cut off":
				c.Network.Isolate(c.Address(gone), c.Address(leader), c.Address(stays))
			case "stopped":
				c.KillNode(gone)
			}
			if err := remove(); err != nil {
				t.Fatal(err)
			}
			mustPropose(t, c.Node(stays), put("a", "1"))
			switch how {
			case "cut off":
				c.Network.Heal(c.Address(gone))
			case "stopped":
				c.StartNode(gone)
			}
			awaitRemoved(t, c, gone)
			if got := termOf(t, c); got != term {
				t.Errorf("there were elections: term %d, it was %d", got, term)
			}
			// It knows it again after a restart, and comes back with an empty folder.
			c.StopNode(gone)
			c.StartNode(gone)
			awaitRemoved(t, c, gone)
			c.StopNode(gone)
			if err := os.RemoveAll(c.Dir(gone)); err != nil {
				t.Fatal(err)
			}
			c.StartNode(gone)
			awaitRoles(t, c, stays, voters("n1", "n2", "n3"))
			if got := mustRead(t, c.Node(gone), "a"); got != "1" {
				t.Errorf("it reads %q, want 1", got)
			}
		})
	}
}

// A node that can't ask a leader is not removed, however long that lasts.
func TestWithoutALeaderNobodyIsRemoved(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	leader := c.Leader()
	alone, dead := (leader+1)%3, (leader+2)%3
	c.KillNode(dead)
	c.KillNode(leader)
	c.Await("a question that nobody answers", func() string {
		if err := c.Node(alone).Ready(); err == nil {
			return "it is ready"
		}
		return ""
	})
	time.Sleep(time.Second) // several rounds of questions
	if err := c.Node(alone).Ready(); err == nil || strings.Contains(err.Error(), "removed") {
		t.Errorf("ready: %v", err)
	}
	c.StartNode(dead)
	c.StartNode(leader)
	c.WaitReady()
}

// The address of a node that is started with another one is followed, the
// leader's and a nonvoter's too, and all of them at once.
func TestAddressesAreFollowed(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all %v", all), func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{Nodes: 4, Adjust: quick(3, func(i int, o *cluster.Options) { o.Nonvoter = i == 3 })})
			want := voters("n1", "n2", "n3")
			want["n4"] = cluster.RoleNonvoter
			awaitRoles(t, c, 0, want)
			mustPropose(t, c.Node(0), put("a", "1"))
			moved := []int{c.Leader(), 3}
			if all {
				moved = []int{0, 1, 2, 3}
			}
			for _, i := range moved {
				c.KillNode(i)
			}
			for _, i := range moved {
				c.Move(i)
				c.StartNode(i)
			}
			c.Await("the members at their new addresses", func() string {
				o, err := c.Node(1).Overview(t.Context())
				if err != nil {
					return err.Error()
				}
				for i, m := range o.Members {
					if m.Cluster != c.Address(i) || m.Health != cluster.HealthHealthy {
						return fmt.Sprintf("%+v is not at %s", m, c.Address(i))
					}
				}
				return ""
			})
			awaitRoles(t, c, 2, want)
			mustPropose(t, c.Node(3), put("a", "2"))
			for i := range 4 {
				if got := mustRead(t, c.Node(i), "a"); got != "2" {
					t.Errorf("%s reads %q, want 2", clustertest.ID(i), got)
				}
			}
		})
	}
}

// A voter that comes back with an empty disk, under its id and address, has no
// vote before it has everything again: nothing may rest on what it forgot.
func TestAVoterThatLostItsDiskBeginsAnew(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3, func(_ int, o *cluster.Options) { o.StabilizeAfter = time.Hour })})
	leader := c.Leader()
	wiped, other := (leader+1)%3, (leader+2)%3
	mustPropose(t, c.Node(leader), put("a", "1"))
	c.KillNode(wiped)
	if err := os.RemoveAll(c.Dir(wiped)); err != nil {
		t.Fatal(err)
	}
	// As long as there is no quorum without it, nobody may elect with its help.
	c.KillNode(other)
	c.StartNode(wiped)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := c.Node(leader).Propose(ctx, put("a", "2")); err == nil {
		t.Error("a write was acknowledged with the help of a voter that has lost its disk")
	}
	if s := c.Node(wiped).Status(); s.Term != 0 || s.LeaderID != "" {
		t.Errorf("it takes part: %+v", s)
	}
	c.StartNode(other)
	want := voters(clustertest.ID(leader), clustertest.ID(other))
	want[clustertest.ID(wiped)] = cluster.RoleNonvoter
	awaitRoles(t, c, other, want)
	c.WaitReady()
	if err := c.Node(wiped).Promote(t.Context(), clustertest.ID(wiped)); err != nil {
		t.Fatal(err)
	}
	mustPropose(t, c.Node(wiped), put("a", "3"))
	for i := range 3 {
		if got := mustRead(t, c.Node(i), "a"); got != "3" {
			t.Errorf("%s reads %q, want 3", clustertest.ID(i), got)
		}
	}
}

// A second node with the id of a member does not take its place.
func TestASecondNodeOfTheSameID(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	twin := clustertest.Start(t, clustertest.Options{Nodes: 1, Stopped: true, Adjust: func(_ int, o *cluster.Options) {
		o.ID, o.BootstrapExpect, o.Join = "n2", cluster.NeverFound, []string{c.GossipAddress(0)}
	}})
	twin.StartNode(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := twin.Node(0).Join(ctx, []string{c.GossipAddress(0)}); err == nil {
		t.Error("it was let in")
	}
	o, err := c.Node(0).Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range o.Members {
		if m.Cluster != c.Address(i) || m.Role == cluster.RoleNonvoter || m.Health != cluster.HealthHealthy {
			t.Errorf("%+v", m)
		}
	}
}

// Nodes of another cluster are neither let in nor sent anything, also where they
// sit at the address of a member.
func TestForeignNodes(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: quick(3)})
	leader := c.Leader()
	gone := (leader + 1) % 3
	c.StopNode(gone)
	foreign := clustertest.Start(t, clustertest.Options{Nodes: 1, Adjust: func(_ int, o *cluster.Options) {
		o.ID, o.Listen = clustertest.ID(gone), c.Address(gone)
	}})
	mustPropose(t, foreign.Node(0), put("a", "foreign"))
	mustPropose(t, c.Node(leader), put("a", "own"))
	c.Await("the leader to see that another one sits there", func() string {
		o, err := c.Node(leader).Overview(t.Context())
		if err != nil {
			return err.Error()
		}
		for _, m := range o.Members {
			if m.ID == clustertest.ID(gone) && m.Health == cluster.HealthUnreachable && strings.Contains(m.Reason, "another cluster") {
				return ""
			}
		}
		return fmt.Sprintf("%+v", o)
	})
	if got := mustRead(t, foreign.Node(0), "a"); got != "foreign" {
		t.Errorf("the other cluster's node reads %q", got)
	}
	wantRefusal(t, "a voter of another cluster", foreign.Node(0).Join(t.Context(), []string{c.GossipAddress(leader)}), "another cluster")
}
