package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestFootprint measures the start of a node that has data, what an idle node
// holds in memory, and the program's size.
func TestFootprint(t *testing.T) {
	c := start(t, cluster.Options{})
	all := c.Client()
	ns := namespace(t, all)
	for i := range 300 {
		do(t, all, http.StatusOK, client.CreateTableRequest(all, ns, fmt.Sprintf("t%d", i)))
	}
	node := c.Nodes[c.Follower(t)]
	if err := node.Term(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 20*time.Second)
	up := func(ctx context.Context) error {
		status, _, err := node.Get(ctx, "/health")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}
	if err := cluster.Await(ctx, "the node to be up", up); err != nil {
		t.Fatal(err)
	}
	health := time.Since(began)
	if err := cluster.Await(ctx, "the node to be ready", node.Ready); err != nil {
		t.Fatal(err)
	}
	ready := time.Since(began)
	t.Logf("start with data: up after %s, ready after %s", health.Round(time.Millisecond), ready.Round(time.Millisecond))
	if ready > 5*time.Second {
		t.Errorf("a node with data needs %s to be ready", ready)
	}

	// An idle node: what the start allocated is given back by and by.
	var rss []int
	for range 3 {
		select {
		case <-t.Context().Done():
		case <-time.After(time.Second):
		}
		rss = rss[:0]
		for _, n := range c.Nodes {
			rss = append(rss, residentKiB(t, n.PID()))
		}
	}
	t.Logf("resident memory of idle nodes: %v KiB", rss)
	for i, kib := range rss {
		if kib > 120<<10 {
			t.Errorf("idle node %s holds %d KiB", c.Nodes[i].ID, kib)
		}
	}

	path, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the program has %.1f MB", float64(info.Size())/1e6)
	if info.Size() > 45_000_000 {
		t.Errorf("the program has %d bytes, want under 45 MB", info.Size())
	}
}

// residentKiB is what the system says that the process holds.
func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc to read memory from: %v", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatalf("no VmRSS of process %d", pid)
	return 0
}
