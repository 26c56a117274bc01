package scale_test

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
	"github.com/floeberg/floeberg/test/scale"
)

// snapshot and restored are what the commands print, as far as it is read.
type snapshot struct {
	ID            string `json:"id"`
	ClusterID     string `json:"cluster_id"`
	Index         uint64 `json:"index"`
	Bytes         int64  `json:"bytes"`
	StateChecksum string `json:"state_checksum"`
}

type restored struct {
	Index         uint64 `json:"index"`
	StateChecksum string `json:"state_checksum"`
	Entries       uint64 `json:"entries"`
	Tables        uint64 `json:"tables"`
	Checked       uint64 `json:"checked"`
	MissingCount  uint64 `json:"missing_count"`
}

// patience bounds a step: with the usual number of tables each takes seconds.
func patience(count int) time.Duration {
	return 2*time.Minute + time.Duration(count)*5*time.Millisecond
}

func await(t *testing.T, within time.Duration, what string, holds func(context.Context) error) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	begun := time.Now()
	if err := cluster.Await(ctx, what, holds); err != nil {
		t.Fatal(err)
	}
	return time.Since(begun).Round(time.Millisecond)
}

func timed(t *testing.T, into any, addr string, args ...string) time.Duration {
	t.Helper()
	begun := time.Now()
	run(t, into, addr, append(args, "--output", "json")...)
	return time.Since(begun).Round(time.Millisecond)
}

// TestRestore restores a snapshot of very many tables into three empty nodes; while commits go on
// there, lets a node with an empty disk in; loses them all, and restores the point of their
// last snapshot twice: from it, and from the one before and the archived log. What it took
// is in the log; checksums must be equal, and no commit may fail.
func TestRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	count := tables(t)
	dir := t.TempDir()
	options := func(nodes int) cluster.Options {
		return cluster.Options{Nodes: nodes, Warehouse: "file://" + filepath.Join(dir, "warehouse"), Args: []string{
			"--snapshot-store", "file://" + filepath.Join(dir, "snapshots"), "--snapshot-upload-interval", "24h",
			"--snapshot-keep", "0", "--log-archive-interval", "1s", "--log-level", "warn",
		}}
	}
	source := fill(t, options(1), count)
	cutting := options(3)
	// They cut their logs early: a new node has to be sent a snapshot.
	cutting.ArgsOf = func(string) []string {
		return []string{
			"--raft-snapshot-threshold", fmt.Sprint(trailing(count) + trailing(count)/2),
			"--raft-snapshot-interval", "1s", "--raft-trailing-logs", fmt.Sprint(trailing(count)),
		}
	}
	s := cluster.Start(t, cutting)
	addr := strings.Join(s.URLs(), ",")
	var got restored
	took := timed(t, &got, addr, "backup", "restore", source.ID, "--cluster-id", source.ClusterID, "--yes")
	// The metadata files of all but the pattern were never written.
	if got.StateChecksum != source.StateChecksum || got.Tables != uint64(count)+1 || got.Checked != got.Tables || got.MissingCount != uint64(count) {
		t.Errorf("%+v instead of %+v", got, source)
	}
	t.Logf("%d tables, %.1f MB, restored into three empty nodes, each table's metadata file looked for: %s", count, float64(source.Bytes)/1e6, took)

	leader := leaderOf(t, s)
	c := client.New(client.Options{URLs: []string{leader.URL}, Token: cluster.Key})
	load := newLoad(t, c)
	var first, second snapshot
	run(t, &first, addr, "backup", "create", "--output", "json")
	t.Logf("commits by themselves: %s", load.during(t.Context(), func() { time.Sleep(calmTime(count)) }, leader))
	for _, n := range s.Nodes {
		await(t, patience(count), n.ID+" to cut its log", func(ctx context.Context) error { return isCut(ctx, n) })
	}
	t.Logf("commits meanwhile: %s", load.during(t.Context(), func() { join(t, s, count) }, leader))
	run(t, &second, addr, "backup", "create", "--output", "json")
	load.end(t)
	archived(t, s, second.Index)
	for _, n := range s.Nodes {
		if err := n.Kill9(); err != nil {
			t.Fatal(err)
		}
	}

	for _, to := range []struct {
		what string
		args []string
	}{
		{"the newer snapshot", []string{second.ID}},
		{"the same point, from the older snapshot and the log,", []string{first.ID, "--to-index", fmt.Sprint(second.Index)}},
	} {
		one := cluster.Start(t, options(1))
		took := timed(t, &got, one.Nodes[0].URL, append([]string{"backup", "restore", "--yes", "--cluster-id", second.ClusterID}, to.args...)...)
		if got.StateChecksum != second.StateChecksum {
			t.Errorf("%s has checksum %s instead of %s", to.what, got.StateChecksum, second.StateChecksum)
		}
		t.Logf("%s restored into one empty node: %s, with %d log entries", to.what, took, got.Entries)
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fill makes a snapshot of very many tables, and ends the cluster that it is of.
func fill(t *testing.T, o cluster.Options, count int) *snapshot {
	t.Helper()
	s := cluster.Start(t, o)
	pattern := fillWith(t, s, count)
	likePattern(t, s.Client(), pattern, 0, count/2, count-1)
	made := &snapshot{}
	run(t, made, s.Nodes[0].URL, "backup", "create", "--output", "json")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return made
}

// join lets a node with an empty disk in.
func join(t *testing.T, s *cluster.Cluster, count int) {
	t.Helper()
	node, err := s.Grow()
	if err != nil {
		t.Fatal(err)
	}
	took := await(t, patience(count), "the new node to be a voter", func(context.Context) error {
		var members []struct {
			ID   string `json:"id"`
			Role string `json:"role"`
		}
		run(t, &members, s.Nodes[0].URL, "cluster", "members", "--output", "json")
		for _, m := range members {
			if m.ID == node.ID && m.Role == "voter" {
				return nil
			}
		}
		return fmt.Errorf("members are %+v", members)
	})
	ready := await(t, patience(count), "the new node to be ready", node.Ready)
	t.Logf("a node with an empty disk is a voter %s after its start, without an operator, and ready %s later", took, ready)
	c := client.New(client.Options{URLs: []string{node.URL}, Token: cluster.Key})
	must(t, c, client.Request{Method: http.MethodGet, Path: c.TablePath("many", "pattern")})
	must(t, c, client.Request{Method: http.MethodGet, Path: c.TablePath("many", scale.Name(count-1))})
}

// trailing is how many entries of the log nodes keep: fewer than were written
// before the new node comes, and more than are written while it takes a snapshot in.
func trailing(count int) int { return 400 + count/100 }

// isCut tells that the beginning of a node's log is gone.
func isCut(ctx context.Context, n *cluster.Node) error {
	m, err := n.Metrics(ctx)
	if err != nil {
		return err
	}
	if first := m["floeberg_raft_log_first_index"]; first <= 1 {
		return fmt.Errorf("it begins with entry %v", first)
	}
	return nil
}

// archived waits until the log is archived up to an index.
func archived(t *testing.T, s *cluster.Cluster, index uint64) {
	t.Helper()
	await(t, time.Minute, "the log to be archived", func(ctx context.Context) error {
		at := 0.0
		for _, n := range s.Nodes {
			m, err := n.Metrics(ctx)
			if err != nil {
				return err
			}
			at = max(at, m["floeberg_log_archive_index"])
		}
		if at < float64(index) {
			return fmt.Errorf("it has come to %v of %d", at, index)
		}
		return nil
	})
}
