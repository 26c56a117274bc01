package cluster_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

// A leader whose snapshot is damaged does not send it: it takes another one, and
// the node that needs it gets that.
func TestDamagedSnapshotIsReplaced(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Adjust: func(_ int, o *cluster.Options) { o.TrailingLogs = 1 }})
	leader := c.Leader()
	away := (leader + 1) % 3
	c.StopNode(away)
	for i := range 20 {
		mustPropose(t, c.Node(leader), put("a", strings.Repeat("x", i)))
	}
	if err := c.Node(leader).Snapshot(); err != nil {
		t.Fatal(err)
	}
	snapshots := filepath.Join(c.Dir(leader), "raft", "snapshots", "*", "state.bin")
	files, err := filepath.Glob(snapshots)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	flipByte(t, files[0], "floesnap")
	c.StartNode(away)
	c.Await("the damaged snapshot to be set aside", func() string {
		kept, err := filepath.Glob(filepath.Join(c.Dir(leader), "raft", "damaged-snapshots", "*", "state.bin"))
		if err != nil || len(kept) != 1 {
			return "it is not"
		}
		return ""
	})
	mustPropose(t, c.Node(leader), put("a", "last")) // without anything new there is nothing to take a snapshot of
	c.Await("the node to get another one", func() string {
		got, _, err := read(t.Context(), c.Node(away), cluster.Stale, "a")
		if err != nil || got != "last" {
			return "it reads " + got
		}
		return ""
	})
	for i := range 3 {
		if err := c.Halted(i); err != nil {
			t.Errorf("%s has ended: %v", clustertest.ID(i), err)
		}
	}
	sumsAgree(t, c)
}

// A node that has lost its state, and finds its newest snapshot damaged, goes on
// from the one before and the log.
func TestOlderSnapshotIsUsed(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	i := c.Follower()
	for round := range 2 {
		for k := range 10 {
			mustPropose(t, c.Node(i), put("a", strings.Repeat("x", 10*round+k)))
		}
		res := mustPropose(t, c.Node(i), put("b", strings.Repeat("y", round+1)))
		if err := errors.Join(c.Node(i).WaitApplied(within(t, 20*time.Second), res.Index), c.Node(i).Snapshot()); err != nil {
			t.Fatal(err)
		}
	}
	c.StopNode(i)
	loseState(t, c.Dir(i))
	files, err := filepath.Glob(filepath.Join(c.Dir(i), "raft", "snapshots", "*", "state.bin"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	newest := files[0]
	for _, file := range files {
		if indexOf(t, file) > indexOf(t, newest) {
			newest = file
		}
	}
	flipByte(t, newest, "floesnap")
	c.StartNode(i)
	c.WaitReady()
	if got := mustRead(t, c.Node(i), "b"); got != "yy" {
		t.Errorf("read %q", got)
	}
	sumsAgree(t, c)
}

// indexOf is the index of a snapshot: the second number of its folder's name.
func indexOf(t *testing.T, file string) int {
	t.Helper()
	index, err := strconv.Atoi(strings.Split(filepath.Base(filepath.Dir(file)), "-")[1])
	if err != nil {
		t.Fatal(err)
	}
	return index
}
