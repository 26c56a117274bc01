package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster/clustertest"
)

// Raft's replication to a node that is away backs off up to ten seconds, and a
// node that comes back would wait for that. Its leader must find it at once.
func TestReturningNodeIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	away := c.Follower()
	c.StopNode(away)
	mustPropose(t, c.Node(c.Leader()), put("a", "1"))
	time.Sleep(2 * time.Second) // the length of the outage is what this is about
	start := time.Now()
	c.StartNode(away)
	c.WaitReady()
	if got := mustRead(t, c.Node(away), "a"); got != "1" {
		t.Errorf("read %q, want 1", got)
	}
	took := time.Since(start)
	t.Logf("ready %v after the start", took)
}

// Leadership goes to a node that is there, also where another one is not.
func TestHandOverWithANodeAway(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	leader := c.Leader()
	away, heir := (leader+1)%3, (leader+2)%3
	c.KillNode(away)
	if err := c.Node(leader).Transfer(within(t, 5*time.Second), clustertest.ID(away)); err == nil {
		t.Error("leadership was handed to a node that is away")
	}
	mustPropose(t, c.Node(leader), put("a", "1")) // and writes go on
	c.Node(leader).HandOver(within(t, 5*time.Second))
	c.Await("the other node to lead", func() string { return strings.TrimPrefix(c.Node(heir).Status().State, "Leader") })
	mustPropose(t, c.Node(leader), put("a", "2"))
}
