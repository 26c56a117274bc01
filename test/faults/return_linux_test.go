package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/load"
	"github.com/floeberg/floeberg/test/network"
)

var (
	away    = flag.Duration("away", 3*time.Second, "how long a node is away under load before it comes back")
	returns = flag.Int("returns", 1, "how often one does")
)

// lackedOnReturn is how many entries a node must lack to need longer over bad wires
// than it waits for a leader.
const lackedOnReturn = 700

// shortLogs are the settings with which a node that was away for long is sent a
// snapshot, since the others have cut their logs, and says so.
var shortLogs = []string{
	"--raft-trailing-logs", "64", "--raft-snapshot-threshold", "128", "--raft-snapshot-interval", "1s", "--log-level", "debug",
}

// TestLongAway kills a follower and starts it again long after: it gets what it
// lacks from the log, or by a snapshot. Nobody notices that it is back before it
// has it.
func TestLongAway(t *testing.T) {
	for name, args := range map[string][]string{"log": nil, "snapshot": shortLogs} {
		t.Run(name, func(t *testing.T) {
			c, l := start(t, cluster.Options{Args: args}, load.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l.Go(ctx, c.Client(), workers)
			var gaps load.Gaps
			for range *returns {
				must(t, c.AwaitReady(within(t, time.Minute)))
				i := c.Follower(t)
				had := look(t, c.At(i)).Commit
				must(t, c.Nodes[i].Kill9())
				rest(ctx, *away)
				lacks := look(t, c.But(i)).Commit - had
				began := time.Now()
				must(t, c.Nodes[i].Start())
				opened := shutUntilReady(t, c.Nodes[i])
				rest(ctx, time.Second)
				gap := l.LongestGap(began, time.Now())
				t.Logf("away for %s, then %d entries behind: no client was let in for %s, longest time without a write %s",
					*away, lacks, opened.Sub(began).Round(time.Millisecond), gap)
				gaps = append(gaps, gap)
			}
			cancel()
			l.Wait()
			judgeGaps(t, gaps)
			judge(t, c, l, noFailure)
			if args != nil && !strings.Contains(c.Logs(1<<20), "Installed remote snapshot") {
				t.Error("no snapshot was sent")
			}
		})
	}
}

// standing is how a cluster is, as one of its nodes shows it.
type standing struct {
	Commit  uint64 `json:"commit_index"`
	Members []struct {
		ID      string  `json:"id"`
		Applied *uint64 `json:"applied_index"`
	} `json:"members"`
}

func look(t *testing.T, c *client.Client) (s standing) {
	t.Helper()
	res, err := c.Do(within(t, time.Minute), client.Request{Method: http.MethodGet, Path: "/management/v1/cluster"})
	must(t, err)
	must(t, res.Decode(&s))
	return s
}

// applied is the last entry that a member has applied; 0 where it does not answer.
func (s standing) applied(id string) uint64 {
	for _, m := range s.Members {
		if m.ID == id && m.Applied != nil {
			return *m.Applied
		}
	}
	return 0
}

// shutUntilReady waits until a node that was started lets clients in, and is
// ready in that moment.
func shutUntilReady(t *testing.T, n *cluster.Node) (opened time.Time) {
	t.Helper()
	status, body := letIn(t, n)
	opened = time.Now()
	if status != http.StatusOK {
		t.Errorf("%s let clients in before it was ready: %s", n.ID, strings.TrimSpace(body))
	}
	return opened
}

// letIn waits until a node answers; until then it refuses connections.
func letIn(t *testing.T, n *cluster.Node) (status int, body string) {
	t.Helper()
	must(t, cluster.Await(within(t, time.Minute), n.ID+" to let clients in", func(ctx context.Context) (err error) {
		status, body, err = n.Get(ctx, "/ready")
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s does not let clients in, and says so with %v", n.ID, err)
		}
		return err
	}))
	return status, body
}

// TestSlowReturn has a node come back over bad wires, so that it needs longer than
// it would wait for a leader. As long as it comes nearer it refuses connections,
// and the others say how far it is; it can be stopped meanwhile; and where the
// others are lost meanwhile, it serves what it has.
func TestSlowReturn(t *testing.T) {
	m := mesh(t, 3, cluster.Options{})
	i := m.Follower(t)
	n, but := m.Nodes[i], m.But(i)
	had := look(t, but).Commit
	must(t, n.Kill9())

	busy, err := load.New(within(t, time.Minute), but, load.Options{Namespace: "busy"})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	busy.Go(ctx, but, 4*workers)
	must(t, cluster.Await(within(t, time.Minute), "enough to catch up with", func(context.Context) error {
		if lacks := look(t, but).Commit - had; lacks < lackedOnReturn {
			return fmt.Errorf("%d entries", lacks)
		}
		return nil
	}))
	cancel()
	busy.Wait()

	far := others(m.Cluster, i)
	for _, other := range far {
		m.network.Between(i, other, network.Link{Delay: 100 * time.Millisecond})
	}
	// comingBack starts the node and returns when it is on its way.
	comingBack := func() {
		t.Helper()
		must(t, n.Start())
		from := had
		must(t, cluster.Await(within(t, time.Minute), n.ID+" to catch up", func(context.Context) error {
			if now := look(t, but).applied(n.ID); now > from {
				had = now
				return nil
			}
			return errors.New("it has nothing new")
		}))
		if _, _, err := n.Get(t.Context(), "/health"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a node that catches up is asked for its health: %v", err)
		}
	}
	comingBack()
	kill(t, m.Cluster, far...)
	if status, body := letIn(t, n); status != http.StatusServiceUnavailable || !strings.Contains(body, "leader") {
		t.Errorf("without the others: %d %s", status, body)
	}
	own := m.At(i)
	res, err := own.Do(within(t, 10*time.Second), client.Request{
		Method: http.MethodGet, Path: own.NamespacePath(), Header: http.Header{"Floeberg-Consistency": {"stale"}},
	})
	if err != nil || res.Status != http.StatusOK {
		t.Errorf("without the others it does not give what it has: %v %v", res, err)
	}
	must(t, n.Kill9())
	restart(t, m.Cluster, far...)
	for _, other := range far {
		must(t, cluster.Await(within(t, time.Minute), "the others to be ready", m.Nodes[other].Ready))
	}

	calm, err := load.New(within(t, time.Minute), but, load.Options{Namespace: "calm", Pause: 100 * time.Millisecond})
	must(t, err)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	calm.Go(ctx, m.Client(), workers)
	comingBack()
	must(t, n.Term(10*time.Second))
	began := time.Now()
	comingBack()
	opened := shutUntilReady(t, n)
	m.network.Heal() // what was slow from now on would be the wires
	t.Logf("no client was let in for %s", opened.Sub(began).Round(time.Millisecond))
	rest(ctx, time.Second)
	cancel()
	calm.Wait()
	judgeGaps(t, load.Gaps{calm.LongestGap(began, time.Now())})
	judge(t, m.Cluster, busy, noFailure)
	judge(t, m.Cluster, calm, noFailure)
}
