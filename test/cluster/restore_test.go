package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// restored is what a restore tells.
type restored struct {
	Status        string  `json:"status"`
	ClusterID     string  `json:"cluster_id"`
	Backup        string  `json:"backup"`
	Index         uint64  `json:"index"`
	StateChecksum *string `json:"state_checksum"`
	Entries       uint64  `json:"entries"`
	Tables        uint64  `json:"tables"`
	Checked       uint64  `json:"checked"`
	MissingCount  uint64  `json:"missing_count"`
	Missing       []struct {
		Namespace []string `json:"namespace"`
		Name      string   `json:"name"`
	} `json:"missing"`
}

func (r *restored) checksum() string {
	if r.StateChecksum == nil {
		return "none"
	}
	return *r.StateChecksum
}

// archived waits until the log is archived up to an index.
func archived(t *testing.T, s *cluster.Cluster, index uint64) {
	t.Helper()
	awaitBackup(t, fmt.Sprintf("entry %d in the archive", index), func() error {
		m, err := s.Nodes[s.MustLeader(t)].Metrics(t.Context())
		if err != nil {
			return err
		}
		if at, ok := m["floeberg_log_archive_index"]; !ok || at < float64(index) {
			return fmt.Errorf("it has come to %v", at)
		}
		return nil
	})
}

// indexNow is the log index that a read reflects.
func indexNow(t *testing.T, c *client.Client, ns string) uint64 {
	t.Helper()
	index, err := strconv.ParseUint(do(t, c, http.StatusOK, get(c.NamespacePath(ns))).Header.Get("Floeberg-Index"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// TestLoseAllMachines backs a cluster up, loses all its machines at once, and brings it
// back into new ones: as it was at a moment between two snapshots, with a table that
// was dropped later; from an older snapshot to the very index of the newer one, where the
// checksum must be the lost cluster's; and all that was archived. What must not be done is
// refused.
func TestLoseAllMachines(t *testing.T) {
	t.Parallel()
	needProcesses(t)
	dir := t.TempDir()
	key, store, warehouse := filepath.Join(dir, "key"), "file://"+filepath.Join(dir, "store"), "file://"+filepath.Join(dir, "warehouse")
	if code, _, stderr := floeberg(t, "", "backup", "keygen", "--out", key); code != 0 {
		t.Fatal(stderr)
	}
	options := func(nodes int, key string) cluster.Options {
		return cluster.Options{Nodes: nodes, Warehouse: warehouse, Args: []string{
			"--snapshot-store", store, "--snapshot-key", key, "--log-archive-interval", "1s",
		}}
	}
	lost := start(t, options(3, key))
	c := lost.Client()
	addr := strings.Join(lost.URLs(), ",")
	ns := namespace(t, c)
	kept, _ := table(t, c, ns)
	victim, _ := table(t, c, ns)
	var first, second listed
	asJSON(t, &first, addr, "backup", "create")
	early, _ := table(t, c, ns)
	// Replicated time is the leader's clock, and this machine's.
	time.Sleep(10 * time.Millisecond)
	moment := time.Now().UTC()
	time.Sleep(10 * time.Millisecond)
	do(t, c, http.StatusNoContent, client.Request{Method: http.MethodDelete, Path: c.TablePath(ns, victim)})
	asJSON(t, &second, addr, "backup", "create")
	late, made := table(t, c, ns)
	end := indexNow(t, c, ns)
	archived(t, lost, end)
	for _, n := range lost.Nodes {
		if err := n.Kill9(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(n.Dir); err != nil {
			t.Fatal(err)
		}
	}

	// Three new machines, to the moment before the drop.
	s := start(t, options(3, key))
	addr = strings.Join(s.URLs(), ",")
	c = s.Client()
	refuse := func(addr string, want string, args ...string) {
		t.Helper()
		code, _, stderr := floeberg(t, addr, append([]string{"backup", "restore", "--yes"}, args...)...)
		if code != 1 || strings.Count(stderr, "floeberg:") != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
	refuse(addr, first.ClusterID, "latest")
	refuse(addr, "not a point that can be restored", "--cluster-id", first.ClusterID, "--to-index", fmt.Sprint(end+1000))
	refuse(addr, "there is index ", "--cluster-id", first.ClusterID, "--to-time", "2001-01-01T00:00:00Z")
	refuse(addr, "no such snapshot", "--cluster-id", first.ClusterID, "none")
	refuse(addr, "no folder", "--from", "file://"+filepath.Join(dir, "nowhere"))
	for _, wrong := range [][]string{{"--to-time", "yesterday"}, {"--to-index", "0"}, {"--to-index", "1", "--to-time", "2026-01-01T00:00:00Z"}} {
		if code, _, stderr := floeberg(t, addr, append([]string{"backup", "restore", "--yes"}, wrong...)...); code != 2 {
			t.Errorf("%q: exit code %d, %s", wrong, code, stderr)
		}
	}
	var got restored
	asJSON(t, &got, addr, "backup", "restore", "--yes", "--cluster-id", first.ClusterID, "--to-time", moment.Format(time.RFC3339Nano))
	if got.Status != "done" || got.Backup != first.ID || got.Index <= first.Index || got.Index >= second.Index || got.Tables != 3 || got.Checked != 3 || got.MissingCount != 0 {
		t.Errorf("to %s: %+v", moment, got)
	}
	for i := range s.Nodes {
		for name, want := range map[string]int{kept: http.StatusOK, victim: http.StatusOK, early: http.StatusOK, late: http.StatusNotFound} {
			res, err := c.DoAt(within(t, 30*time.Second), i, get(c.TablePath(ns, name)))
			if err != nil || res.Status != want {
				t.Errorf("%s on node %d: want %d, %v, %s", name, i, want, err, res)
			}
		}
	}
	// It goes on as a cluster of its own, with new tables and backups, and can't be restored into again.
	table(t, c, ns)
	if err := s.Verify(within(t, 30*time.Second)); err != nil {
		t.Error(err)
	}
	var next listed
	asJSON(t, &next, addr, "backup", "create")
	if next.ClusterID == first.ClusterID {
		t.Error("it has taken on the lost cluster's identity")
	}
	refuse(addr, "not empty", "--cluster-id", first.ClusterID)

	// A single machine, over the newer snapshot, which must come out the same.
	one := start(t, options(1, key))
	asJSON(t, &got, one.Nodes[0].URL, "backup", "restore", "--yes", first.ID, "--cluster-id", first.ClusterID, "--to-index", fmt.Sprint(second.Index))
	if got.checksum() != second.StateChecksum || got.Entries != second.Index-first.Index {
		t.Errorf("to the index of %s, %s: %+v, checksum %s", second.ID, second.StateChecksum, got, got.checksum())
	}

	// All that was archived, while a metadata file has gone, with a node that has no key at first.
	if err := os.Remove(strings.TrimPrefix(made.MetadataLocation, "file://")); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if code, _, stderr := floeberg(t, "", "backup", "keygen", "--out", other); code != 0 {
		t.Fatal(stderr)
	}
	last := start(t, options(1, other))
	refuse(last.Nodes[0].URL, "encrypted for other keys", "--cluster-id", first.ClusterID)
	whole := start(t, cluster.Options{Nodes: 1, Warehouse: warehouse, Args: []string{
		"--snapshot-store", "file://" + filepath.Join(dir, "a new store"), "--snapshot-key", key,
	}})
	asJSON(t, &got, whole.Nodes[0].URL, "backup", "restore", "newest", "--yes", "--from", store, "--cluster-id", first.ClusterID, "--to-index", "latest")
	if got.Index < end || got.MissingCount != 1 || len(got.Missing) != 1 || got.Missing[0].Name != late {
		t.Errorf("all that is archived, up to %d: %+v", end, got)
	}
	do(t, whole.Client(), http.StatusOK, get(c.TablePath(ns, kept)))
}

// TestRestoreSurvivesItsNode ends the node that works on a restore: the command that waits
// for it has another one go on.
func TestRestoreSurvivesItsNode(t *testing.T) {
	t.Parallel()
	needProcesses(t)
	dir := t.TempDir()
	args := []string{"--snapshot-store", "file://" + filepath.Join(dir, "store")}
	old := start(t, cluster.Options{Nodes: 1, Args: args})
	c := old.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	var made listed
	asJSON(t, &made, old.Nodes[0].URL, "backup", "create")
	s := start(t, cluster.Options{Args: args})
	ended := make(chan error, 1)
	go func() {
		code, _, stderr := floeberg(t, strings.Join(s.URLs(), ","), "backup", "restore", "--yes", "--cluster-id", made.ClusterID)
		if code != 0 {
			ended <- fmt.Errorf("exit code %d, %s", code, stderr)
			return
		}
		ended <- nil
	}()
	// Wherever it has come by then: the first address is asked first.
	if err := s.Nodes[0].Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := cluster.Await(within(t, 30*time.Second), "the table", func(ctx context.Context) error {
		res, err := s.Client().Do(ctx, get(c.TablePath(ns, name)))
		if err != nil {
			return err
		}
		if res.Status != http.StatusOK {
			return errors.New(res.String())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
