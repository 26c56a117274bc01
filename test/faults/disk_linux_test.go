package faults

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/disk"
	"github.com/floeberg/floeberg/test/load"
)

// TestDisks spoils the disk of one node in one way after the other, under load:
// first of the leader, then of a follower. The others go on. A node whose disk is
// full stays, says so, and serves what it has; one whose disk is damaged may end
// instead, and says why. With a good disk again all are alike.
func TestDisks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	disks := mountDisks(t, dir)
	c := cluster.Start(t, cluster.Options{Dir: dir})
	for _, bad := range []struct {
		name   string
		faults disk.Faults
		stays  bool // the process must
		ready  bool // the node may be
	}{
		{"full", disk.Faults{Full: true}, true, false},
		{"slow", disk.Faults{Slow: 30 * time.Millisecond}, true, true},
		{"syncs_fail", disk.Faults{SyncFails: true}, false, false},
		{"read_only", disk.Faults{ReadOnly: true}, false, false},
	} {
		for role, pick := range map[string]func(testing.TB) int{"leader": c.MustLeader, "follower": c.Follower} {
			t.Run(bad.name+"_"+role, func(t *testing.T) {
				l, err := load.New(within(t, time.Minute), c.Client(), load.Options{Namespace: bad.name + "_" + role})
				must(t, err)
				i := pick(t)
				n := c.Nodes[i]
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l.Go(ctx, c.But(i), workers)
				must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
				began := time.Now()
				disks[i].Set(bad.faults)
				must(t, l.AwaitWrites(within(t, time.Minute), began.Add(time.Second)))
				if bad.stays && !n.Running() {
					t.Errorf("%s has ended: %s", n.ID, n.Log(5))
				}
				if !bad.ready {
					must(t, cluster.Await(within(t, time.Minute), n.ID+" to notice", noticed(n)))
				}
				if n.Running() {
					ownCopy(t, c, i, l)
					t.Logf("%s goes on", n.ID)
				} else {
					t.Logf("%s has ended: %s", n.ID, lastWords(n))
				}
				disks[i].Set(disk.Faults{})
				if !n.Running() {
					_, err := n.Exit(within(t, time.Minute))
					must(t, err)
					must(t, n.Start())
				}
				must(t, c.AwaitReady(within(t, time.Minute)))
				must(t, cluster.Await(within(t, time.Minute), n.ID+" to take changes", recovered(n)))
				must(t, l.AwaitWrites(within(t, time.Minute), time.Now()))
				cancel()
				l.Wait()
				t.Logf("longest time without a write: %s; %d requests to the disk failed", l.LongestGap(began, time.Now()), disks[i].Met())
				judge(t, c, l, noFailure)
			})
		}
	}
}

// mountDisks gives each node of a cluster in a folder a disk that can fail.
func mountDisks(t *testing.T, dir string) []*disk.Disk {
	t.Helper()
	disks := make([]*disk.Disk, 3)
	for i := range disks {
		id := fmt.Sprintf("n%d", i+1) // what the cluster calls it
		disks[i] = disk.Start(t, filepath.Join(dir, id), filepath.Join(dir, "contents-"+id))
	}
	return disks
}

// noticed is that a node has ended, or is not ready and says why.
func noticed(n *cluster.Node) func(context.Context) error {
	return func(ctx context.Context) error {
		if !n.Running() {
			return nil
		}
		status, body, err := n.Get(ctx, "/ready")
		if err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, "log") {
			return nil
		}
		return unexpected(status, body, err)
	}
}

// recovered is that a node takes changes again: its audit log, which refuses them
// while it can't be written, is tried anew every two seconds.
func recovered(n *cluster.Node) func(context.Context) error {
	return func(ctx context.Context) error {
		status, body, err := n.Get(ctx, "/ready")
		if err == nil && status == http.StatusOK && !strings.Contains(body, "audit log") {
			return nil
		}
		return unexpected(status, body, err)
	}
}

// ownCopy reads a table from what the node has.
func ownCopy(t *testing.T, c *cluster.Cluster, i int, l *load.Load) {
	t.Helper()
	own := c.At(i)
	res, err := own.Do(within(t, 30*time.Second), client.Request{
		Method: http.MethodGet, Path: own.TablePath(l.Namespace(), l.Tables()[0]),
		Header: http.Header{"Floeberg-Consistency": {"stale"}},
	})
	if err != nil || res.Status != http.StatusOK {
		t.Errorf("the node with the bad disk does not give what it has: %v %v", res, err)
	}
}

// lastWords is the last line of a node's log that says what went wrong.
func lastWords(n *cluster.Node) string {
	var last string
	for line := range strings.Lines(n.Log(200)) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "floeberg:") || strings.HasPrefix(line, "panic") {
			last = line
		}
	}
	return strings.TrimSpace(last)
}
