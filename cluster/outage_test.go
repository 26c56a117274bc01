package cluster_test

import (
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
	time.Sleep(15 * time.Second) // the length of the outage is what this is about
	start := time.Now()
	c.StartNode(away)
	c.WaitReady()
	if got := mustRead(t, c.Node(away), "a"); got != "1" {
		t.Errorf("read %q, want 1", got)
	}
	took := time.Since(start)
	t.Logf("ready %v after the start", took)
}
