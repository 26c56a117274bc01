package faults

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/clock"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

// TestClocks sets the wall clock of one node by hours, both ways, under load,
// while it leads and while it does not; then a leader with a wrong clock takes
// over from one with a right one, and the other way round.
func TestClocks(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("FLOEBERG_TOOLS_REQUIRED") == "" {
		t.Skip("the memory of another process is root's to write")
	}
	c, l := start(t, cluster.Options{}, load.Options{Names: -1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	l.Go(ctx, c.Client(), workers)

	leader := c.MustLeader(t)
	followers := others(c, leader)
	set := func(i int, offset time.Duration) {
		t.Helper()
		taken, err := clock.Take(c.Nodes[i].PID())
		must(t, err)
		jump(t, l, c.Nodes[i].ID, taken, offset)
	}
	// Each is another node's, so that each is taken once.
	set(followers[0], 5*time.Hour)
	set(leader, -3*time.Hour)
	set(followers[1], -26*time.Hour)
	// The leader goes, and whoever is next has a wrong clock; the leader comes back
	// with a right one.
	must(t, c.Nodes[leader].Kill9())
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
	must(t, c.Nodes[leader].Start())
	must(t, c.AwaitReady(within(t, time.Minute)))
	set(leader, 8*time.Hour)
	next := c.MustLeader(t)
	must(t, c.Nodes[next].Kill9())
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
	must(t, c.Nodes[next].Start())
	must(t, c.AwaitReady(within(t, time.Minute)))
	cancel()
	l.Wait()
	t.Logf("longest time without a write: %s", l.LongestGap(began, time.Now()))
	judge(t, c, l, trouble)
}

// jump sets a clock and waits until the cluster has gone on under it.
func jump(t *testing.T, l *load.Load, node string, c *clock.Clock, offset time.Duration) {
	t.Helper()
	began := time.Now()
	must(t, c.Set(offset))
	must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
	t.Logf("%s is off by %s; longest time without a write %s", node, offset, l.LongestGap(began, time.Now()))
}
