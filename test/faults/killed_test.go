package faults

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

var kills = flag.Int("kills", 8, "how often the leader is killed")

const (
	// Past these a failover is no failover any more; a quiet machine is far below
	// (docs/reliability.md), a busy one loses an election or two.
	usualGap = 3 * time.Second
	worstGap = 10 * time.Second
)

// TestLeaderKilled kills whichever node leads, again and again, while clients
// commit, load, create and drop through all nodes. A client goes to the next
// node, with the same Idempotency-Key, only where a connection is refused or
// breaks. No request may fail.
func TestLeaderKilled(t *testing.T) {
	c, l := start(t, cluster.Options{}, load.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), workers)
	rest(ctx, time.Second)
	var moments []time.Time
	for range *kills {
		// A second node must not die before the first has come back: a majority
		// that is dead serves nobody.
		must(t, c.AwaitReady(within(t, time.Minute)))
		victim := c.Nodes[c.MustLeader(t)]
		moments = append(moments, time.Now())
		must(t, victim.Kill9())
		// Long enough for a successor to be found without it.
		rest(ctx, 1500*time.Millisecond)
		must(t, victim.Start())
	}
	must(t, c.AwaitReady(within(t, time.Minute)))
	rest(ctx, time.Second)
	cancel()
	l.Wait()
	judgeGaps(t, l.Gaps(moments, time.Now()))
	judge(t, c, l, noFailure)
}

func judgeGaps(t *testing.T, gaps load.Gaps) {
	t.Helper()
	t.Logf("longest time without a write after each of %d: P50 %s, worst %s; %v", len(gaps), gaps.P50(), gaps.Worst(), []time.Duration(gaps))
	if gaps.P50() > usualGap || gaps.Worst() > worstGap {
		t.Errorf("writes paused too long: usually %s, at worst %s", gaps.P50(), gaps.Worst())
	}
}

// TestKilled ends nodes in all ways but the one above. What is asked for is what
// the kind of end allows.
func TestKilled(t *testing.T) {
	for name, do := range map[string]struct {
		expect expectation
		end    func(ctx context.Context, t *testing.T, c *cluster.Cluster) []time.Time
	}{
		"rolling restart":       {noFailure, rollingRestart},
		"follower":              {noFailure, killFollower},
		"two at once":           {trouble, killTwo},
		"all at once":           {trouble, killAll},
		"anybody, at any time":  {trouble, killAnybody},
		"leader, asked to stop": {noFailure, termLeader},
	} {
		t.Run(name, func(t *testing.T) {
			c, l := start(t, cluster.Options{}, load.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l.Go(ctx, c.Client(), workers)
			rest(ctx, time.Second)
			moments := do.end(ctx, t, c)
			must(t, c.AwaitReady(within(t, time.Minute)))
			rest(ctx, time.Second)
			cancel()
			l.Wait()
			gaps := l.Gaps(moments, time.Now())
			t.Logf("longest time without a write: P50 %s, worst %s; %v", gaps.P50(), gaps.Worst(), []time.Duration(gaps))
			if do.expect == noFailure {
				judgeGaps(t, gaps)
			}
			judge(t, c, l, do.expect)
		})
	}
}

// termLeader asks the leader to stop: it hands over first.
func termLeader(ctx context.Context, t *testing.T, c *cluster.Cluster) (moments []time.Time) {
	t.Helper()
	for range 2 {
		must(t, c.AwaitReady(within(t, time.Minute)))
		leader := c.Nodes[c.MustLeader(t)]
		moments = append(moments, time.Now())
		must(t, leader.Term(time.Minute))
		rest(ctx, time.Second)
		must(t, leader.Start())
	}
	return moments
}

// rollingRestart is what an upgrade does: one node after the other, the leader
// wherever it comes, each only when all are ready.
func rollingRestart(_ context.Context, t *testing.T, c *cluster.Cluster) (moments []time.Time) {
	t.Helper()
	for _, n := range c.Nodes {
		must(t, c.AwaitReady(within(t, time.Minute)))
		moments = append(moments, time.Now())
		must(t, n.Term(time.Minute))
		must(t, n.Start())
	}
	return moments
}

func killFollower(ctx context.Context, t *testing.T, c *cluster.Cluster) (moments []time.Time) {
	t.Helper()
	for range 2 {
		must(t, c.AwaitReady(within(t, time.Minute)))
		follower := c.Nodes[c.Follower(t)]
		moments = append(moments, time.Now())
		must(t, follower.Kill9())
		rest(ctx, time.Second)
		must(t, follower.Start())
	}
	return moments
}

func killTwo(ctx context.Context, t *testing.T, c *cluster.Cluster) []time.Time {
	t.Helper()
	leader := c.MustLeader(t)
	moment := time.Now()
	kill(t, c, leader, (leader+1)%len(c.Nodes))
	rest(ctx, 3*time.Second)
	restart(t, c, leader, (leader+1)%len(c.Nodes))
	return []time.Time{moment}
}

func killAll(ctx context.Context, t *testing.T, c *cluster.Cluster) []time.Time {
	t.Helper()
	moment := time.Now()
	kill(t, c, every(c)...)
	rest(ctx, time.Second)
	restart(t, c, every(c)...)
	return []time.Time{moment}
}

// killAnybody kills nodes without a look at who leads or how many are left.
func killAnybody(ctx context.Context, t *testing.T, c *cluster.Cluster) (moments []time.Time) {
	t.Helper()
	for range 6 {
		i := rand.IntN(len(c.Nodes))
		moments = append(moments, time.Now())
		if c.Nodes[i].Running() {
			kill(t, c, i)
		}
		rest(ctx, time.Duration(rand.IntN(1000))*time.Millisecond)
		if j := rand.IntN(len(c.Nodes)); !c.Nodes[j].Running() {
			restart(t, c, j)
		}
	}
	for i, n := range c.Nodes {
		if !n.Running() {
			restart(t, c, i)
		}
	}
	return moments
}

// kill ends nodes at the same moment.
func kill(t *testing.T, c *cluster.Cluster, nodes ...int) {
	t.Helper()
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for k, i := range nodes {
		wg.Go(func() { errs[k] = c.Nodes[i].Kill9() })
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
}

func restart(t *testing.T, c *cluster.Cluster, nodes ...int) {
	t.Helper()
	for _, i := range nodes {
		must(t, c.Nodes[i].Start())
	}
}
