package cluster_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/cluster"
	"github.com/floeberg/floeberg/cluster/clustertest"
)

// flipByte flips a byte behind each place of a file where mark is.
func flipByte(t *testing.T, path, mark string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for at := 0; ; flipped++ {
		next := bytes.Index(data[at:], []byte(mark))
		if next < 0 {
			break
		}
		at += next + len(mark)
		_, err = file.WriteAt([]byte{data[at] ^ 0x20}, int64(at))
	}
	if err := errors.Join(err, file.Close()); err != nil || flipped == 0 {
		t.Fatalf("%d bytes of %s flipped: %v", flipped, path, err)
	}
}

// A leader that finds a damaged entry when it is to send it does not: it stops,
// and the node that needs the entry gets it from another one.
func TestDamagedEntryIsNotSent(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	leader := c.Leader()
	away, third := (leader+1)%3, (leader+2)%3
	c.StopNode(away)
	value := "damaged-on-one-node-" + strings.Repeat("x", 300)
	mustPropose(t, c.Node(third), put("a", value))
	flipByte(t, filepath.Join(c.Dir(leader), "raft", "raft.db"), "damaged-on-one-node-")
	c.StartNode(away)
	c.Await("the leader to stop", func() string {
		if c.Halted(leader) == nil {
			return "it goes on"
		}
		return ""
	})
	err := c.Halted(leader)
	if !errors.Is(err, cluster.ErrDamaged) || !strings.Contains(err.Error(), "raft.db: log entry ") {
		t.Errorf("halted with %v", err)
	}
	if c.Node(leader).Ready() == nil {
		t.Error("it is still ready")
	}
	c.StopNode(leader) // as the program does
	for _, i := range []int{away, third} {
		if got := mustRead(t, c.Node(i), "a"); got != value {
			t.Errorf("%s reads %.40q", clustertest.ID(i), got)
		}
	}
	mustPropose(t, c.Node(away), put("b", "1"))
	if err := c.TryStartNode(leader); err != nil && !errors.Is(err, cluster.ErrDamaged) {
		t.Errorf("another start: %v", err)
	}
}

// A follower whose log is damaged where it has to be read does not start.
func TestDamagedLogDoesNotStart(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	i := c.Follower()
	mustPropose(t, c.Node(i), put("a", "damaged-on-one-node-"+strings.Repeat("x", 300)))
	mustPropose(t, c.Node(i), put("b", "1"))
	c.Await("the follower to have it", func() string {
		got, _, err := read(t.Context(), c.Node(i), cluster.Stale, "b")
		if err != nil || got != "1" {
			return "not yet"
		}
		return ""
	})
	c.StopNode(i)
	path := filepath.Join(c.Dir(i), "raft", "raft.db")
	flipByte(t, path, "damaged-on-one-node-")
	err := c.TryStartNode(i)
	if !errors.Is(err, cluster.ErrDamaged) || !strings.Contains(err.Error(), path+": log entry ") {
		t.Errorf("started with %v", err)
	}
	mustPropose(t, c.Node(c.Leader()), put("b", "2"))
}
