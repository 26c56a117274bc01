package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/command"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
)

// TestRollingUpgrade puts the program of a release to come on one node after the
// other, under load. It writes what the program under test does not know, but not
// before the last node runs it: until then nodes can go back, and one does. No
// request may fail. Afterwards the old program refuses the folder.
func TestRollingUpgrade(t *testing.T) {
	c, l := start(t, cluster.Options{}, load.Options{})
	next, err := cluster.NextBinary()
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), workers)
	rest(ctx, time.Second)

	const old, raised = float64(command.FirstVersion), float64(command.FirstVersion + 1)
	var moments []time.Time
	run := func(i int, program string) {
		t.Helper()
		must(t, c.AwaitReady(within(t, time.Minute)))
		moments = append(moments, time.Now())
		must(t, c.Nodes[i].Term(time.Minute))
		c.Nodes[i].Program = program
		must(t, c.Nodes[i].Start())
		must(t, c.AwaitReady(within(t, time.Minute)))
	}
	// The leader last, as one does it.
	order := every(c)
	last := c.MustLeader(t)
	order = append(append(order[:last:last], order[last+1:]...), last)
	run(order[0], next)
	run(order[0], "")
	for done, i := range order {
		run(i, next)
		if done < len(order)-1 {
			for i := range c.Nodes {
				must(t, uses(within(t, time.Minute), c, i, old))
			}
			rest(ctx, time.Second)
		}
	}
	for i := range c.Nodes {
		must(t, cluster.Await(within(t, time.Minute), "the raised version on every node", func(ctx context.Context) error {
			return uses(ctx, c, i, raised)
		}))
	}
	rest(ctx, time.Second)
	// Entries of the new version, across another election.
	run(c.MustLeader(t), next)
	rest(ctx, time.Second)
	cancel()
	l.Wait()
	judgeGaps(t, l.Gaps(moments, time.Now()))
	judge(t, c, l, noFailure)

	back := c.Nodes[c.Follower(t)]
	must(t, back.Term(time.Minute))
	back.Program = ""
	must(t, back.Start())
	code, err := back.Exit(within(t, time.Minute))
	must(t, err)
	said := back.Log(1)
	if code != 1 || !strings.HasPrefix(said, "floeberg: ") ||
		!strings.Contains(said, fmt.Sprintf("version %v", raised)) || !strings.Contains(said, fmt.Sprintf("up to %v", old)) {
		t.Errorf("the old program on a folder of the new one exits with %d and says %q", code, said)
	}
	back.Program = next
	must(t, back.Start())
	must(t, c.AwaitReady(within(t, time.Minute)))
}

// uses is nil where node i applies commands of this version.
func uses(ctx context.Context, c *cluster.Cluster, i int, version float64) error {
	m, err := c.Nodes[i].Metrics(ctx)
	if err != nil {
		return err
	}
	if got := m["floeberg_command_version"]; got != version {
		return fmt.Errorf("%s uses command version %v, not %v", c.Nodes[i].ID, got, version)
	}
	return nil
}
