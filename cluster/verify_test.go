package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
	"github.com/floeberg/floeberg/fsm"
	"github.com/floeberg/floeberg/fsm/fsmtest"
)

func verify(t *testing.T, n *cluster.Node, deep bool) cluster.Verification {
	t.Helper()
	v, err := n.Verify(within(t, 20*time.Second), deep)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func results(v cluster.Verification) map[string]cluster.VerifyResult {
	out := make(map[string]cluster.VerifyResult)
	for _, n := range v.Nodes {
		out[n.ID] = n.Result
	}
	return out
}

// Whichever node is asked, and while writes go on: all have the same state.
func TestVerify(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	writing := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-writing:
				return
			default:
			}
			if _, err := c.Node(i%3).Propose(t.Context(), put("a", strings.Repeat("x", i%50))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range 3 {
		for _, deep := range []bool{false, true} {
			v := verify(t, c.Node(i), deep)
			if !v.OK() || len(v.Nodes) != 3 || v.Index == 0 || len(v.Checksum) != 16 || v.Deep != deep {
				t.Errorf("asked %s: %+v", clustertest.ID(i), v)
			}
		}
	}
	close(writing)
	<-done
	away := c.Follower()
	c.StopNode(away)
	v := verify(t, c.Node(c.Leader()), true)
	if v.OK() || results(v)[clustertest.ID(away)] != cluster.VerifiedUnreachable || len(v.Different()) != 0 {
		t.Errorf("with a node away: %+v", v)
	}
	// A node that was started knows what it applied since, and where it began.
	c.StartNode(away)
	c.WaitReady()
	for i := range 3 {
		if v := verify(t, c.Node(i), false); !v.OK() {
			t.Errorf("asked %s: %+v", clustertest.ID(i), v)
		}
	}
}

func halted(c *clustertest.Cluster, i int) func() string {
	return func() string {
		if c.Halted(i) == nil {
			return clustertest.ID(i) + " goes on"
		}
		return ""
	}
}

// tampered is a cluster that compares its states all the time, and one of whose
// nodes, which does not run yet, has a row that the others don't have.
func tampered(t *testing.T, told bool) (c *clustertest.Cluster, odd int) {
	t.Helper()
	c = clustertest.Start(t, clustertest.Options{Adjust: func(_ int, o *cluster.Options) { o.VerifyInterval = 50 * time.Millisecond }})
	mustPropose(t, c.Node(0), put("a", "1"))
	odd = c.Follower()
	c.StopNode(odd)
	fsmtest.Tamper(t, filepath.Join(c.Dir(odd), "state"), []byte("\x70odd"), []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01x"), told)
	return c, odd
}

// A node whose state differs from what most have is stopped, by whichever leads,
// and does not start again with that state.
func TestOddNodeIsStopped(t *testing.T) {
	t.Parallel()
	c, odd := tampered(t, true)
	c.StartNode(odd)
	c.Await("the odd node to be stopped", halted(c, odd))
	if err := c.Halted(odd); !errors.Is(err, cluster.ErrStopped) || !errors.Is(err, cluster.ErrDiverged) {
		t.Errorf("stopped with %v", err)
	}
	c.StopNode(odd)
	leader := c.Leader()
	for i := range 3 {
		if i != odd && c.Halted(i) != nil {
			t.Errorf("%s was stopped too: %v", clustertest.ID(i), c.Halted(i))
		}
	}
	mustPropose(t, c.Node(leader), put("a", "2"))
	for range 2 {
		err := c.TryStartNode(odd)
		if !errors.Is(err, cluster.ErrStopped) || !strings.Contains(err.Error(), "STOPPED says") || !strings.Contains(err.Error(), "cluster remove") {
			t.Errorf("another start: %v", err)
		}
	}
}

// A leader that finds itself to be the odd one stops as well.
func TestOddLeaderStops(t *testing.T) {
	t.Parallel()
	c, odd := tampered(t, true)
	others := (odd + 1) % 3
	c.StopNode(others) // so that nothing is known before the odd one leads
	c.StartNode(odd)
	c.Leader()
	c.Await("the odd node to lead", func() string {
		if c.Node(odd).Status().State == "Leader" {
			return ""
		}
		// It may take a few: a transfer fails where the other one is not caught up.
		_ = c.Node(3-odd-others).Transfer(within(t, time.Second), clustertest.ID(odd))
		return "not yet"
	})
	c.Await("the difference to be seen", func() string {
		if f, err := c.Node(odd).Figures(); err != nil || f.Different != 2 {
			return "not yet"
		}
		return ""
	})
	if c.Halted(odd) != nil || c.Halted(3-odd-others) != nil {
		t.Error("one of two was stopped, though nobody knows which is right")
	}
	c.StartNode(others)
	c.Await("the odd node to be stopped", halted(c, odd))
	c.StopNode(odd)
	mustPropose(t, c.Node(others), put("a", "3"))
}

// A row that nobody wrote, with a checksum that does not know of it, is found by
// reading everything: when it is asked for, and before it gets into a snapshot.
func TestDeepVerifyFindsWhatIsNotInTheChecksum(t *testing.T) {
	t.Parallel()
	for name, find := range map[string]func(c *clustertest.Cluster, odd int){
		"verify": func(c *clustertest.Cluster, odd int) {
			for range 3 { // the automatic comparison finds nothing
				if v := verify(t, c.Node(odd), false); !v.OK() {
					t.Errorf("%+v", v)
				}
			}
			v := verify(t, c.Node(c.Leader()), true)
			if got := results(v)[clustertest.ID(odd)]; got != cluster.VerifiedDamaged || v.OK() {
				t.Errorf("%+v", v)
			}
		},
		"asked itself": func(c *clustertest.Cluster, odd int) {
			v := verify(t, c.Node(odd), true)
			if got := results(v)[clustertest.ID(odd)]; got != cluster.VerifiedDamaged {
				t.Errorf("%+v", v)
			}
		},
		"snapshot": func(c *clustertest.Cluster, odd int) {
			res := mustPropose(t, c.Node(odd), put("b", "1"))
			if err := c.Node(odd).WaitApplied(within(t, 20*time.Second), res.Index); err != nil {
				t.Fatal(err)
			}
			if err := c.Node(odd).Snapshot(); err == nil || !strings.Contains(err.Error(), fsm.ErrCorrupt.Error()) {
				t.Errorf("snapshot: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, odd := tampered(t, false)
			c.StartNode(odd)
			c.WaitReady()
			find(c, odd)
			c.Await("the odd node to stop", halted(c, odd))
			c.StopNode(odd)
			if err := c.TryStartNode(odd); !errors.Is(err, cluster.ErrStopped) {
				t.Errorf("another start: %v", err)
			}
			mustPropose(t, c.Node(c.Leader()), put("a", "2"))
		})
	}
}

// A byte that was flipped on the disk of a running node is found, though what was
// read before it was flipped is in memory.
func TestDeepVerifyFindsFlippedBytes(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, dir string){
		"state": func(t *testing.T, dir string) {
			tables, err := filepath.Glob(filepath.Join(dir, "state", "state-*", "*.sst"))
			if err != nil || len(tables) == 0 {
				t.Fatal(tables, err)
			}
			for _, table := range tables {
				file, err := os.OpenFile(table, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 1)
				_, err = file.ReadAt(b, 10)
				b[0] ^= 0x01
				if err == nil {
					_, err = file.WriteAt(b, 10)
				}
				if err := errors.Join(err, file.Close()); err != nil {
					t.Fatal(err)
				}
			}
		},
		"log": func(t *testing.T, dir string) {
			flipByte(t, filepath.Join(dir, "raft", "raft.db"), "damaged-on-one-node-")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, clustertest.Options{})
			mustPropose(t, c.Node(0), put("a", "damaged-on-one-node-"+strings.Repeat("x", 300)))
			for i := range 3 {
				mustRead(t, c.Node(i), "a")
				if err := c.Machine(i).Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if v := verify(t, c.Node(0), true); !v.OK() {
				t.Errorf("before: %+v", v)
			}
			i := c.Follower()
			damage(t, c.Dir(i))
			v := verify(t, c.Node(c.Leader()), true)
			if got := results(v)[clustertest.ID(i)]; got != cluster.VerifiedDamaged || v.OK() {
				t.Errorf("%+v", v)
			}
			for _, n := range v.Nodes {
				if n.Result == cluster.VerifiedDamaged && !strings.Contains(n.Why, c.Dir(i)) {
					t.Errorf("it does not name the file: %s", n.Why)
				}
			}
			c.Await("the node to stop", halted(c, i))
			c.StopNode(i)
			if err := c.TryStartNode(i); !errors.Is(err, cluster.ErrStopped) && !errors.Is(err, fsm.ErrCorrupt) {
				t.Errorf("another start: %v", err)
			}
		})
	}
}
