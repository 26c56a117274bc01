package cluster_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// TestLogEntryDoesNotGrowWithHistory appends to a table of ten snapshots and to
// one of ten thousand, and reads from the log's own file what that cost.
func TestLogEntryDoesNotGrowWithHistory(t *testing.T) {
	c := start(t, cluster.Options{Nodes: 1})
	at := c.At(0)
	ns := namespace(t, at)
	small, large := fresh("small"), fresh("large")
	for name, snapshots := range map[string]int{small: 10, large: 10_000} {
		do(t, at, http.StatusOK, client.CreateTableRequest(at, ns, name))
		grow(t, at, ns, name, snapshots)
	}

	began := time.Now()
	res := do(t, at, http.StatusOK, get(at.TablePath(ns, large)+"?snapshots=all"))
	t.Logf("load of all of 10,000 snapshots: %s, %d KiB", time.Since(began).Round(time.Microsecond), len(res.Body)>>10)
	if n := len(tableOf(t, res).Metadata.Snapshots); n != 10_000 {
		t.Fatalf("the table has %d snapshots", n)
	}
	began = time.Now()
	res = do(t, at, http.StatusOK, get(at.TablePath(ns, large)+"?snapshots=refs"))
	refs := time.Since(began)
	t.Logf("load of referenced snapshots only: %s, %d KiB", refs.Round(time.Microsecond), len(res.Body)>>10)
	if n := len(tableOf(t, res).Metadata.Snapshots); n != 1 {
		t.Errorf("snapshots=refs gave %d snapshots", n)
	}
	if refs > time.Second {
		t.Errorf("loading the referenced snapshots took %s", refs)
	}

	appends := map[string][2]uint64{}
	for _, name := range []string{small, large} {
		requirements, updates := load(t, at, ns, name).Append("main", client.NewSnapshotID())
		before := logIndex(t, at, ns)
		took := timed(t, at, client.CommitRequest(at, ns, name, requirements, updates))
		appends[name] = [2]uint64{before, logIndex(t, at, ns)}
		t.Logf("append to %s: %s", name, took.Round(time.Microsecond))
	}
	if err := c.Nodes[0].Term(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	for name, span := range appends {
		size := entrySizes(t, c.Nodes[0].Dir, span[0], span[1])
		t.Logf("log entry of the append to %s: %d bytes", name, size)
		if size == 0 || size >= 16<<10 {
			t.Errorf("the log entry of an append to %s has %d bytes, want under 16 KiB", name, size)
		}
	}
}

// logIndex is the log index that a read reflects.
func logIndex(t *testing.T, c *client.Client, ns string) uint64 {
	t.Helper()
	res := do(t, c, http.StatusOK, get(c.NamespacePath(ns)))
	index, err := strconv.ParseUint(res.Header.Get("Floeberg-Index"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// grow appends snapshots in commits of many, which is faster than one by one.
func grow(t *testing.T, c *client.Client, ns, name string, snapshots int) {
	t.Helper()
	now := load(t, c, ns, name)
	for left := snapshots; left > 0; {
		n := min(left, 250)
		left -= n
		requirements := []client.Object{client.AssertRef("main", now.Metadata.Current())}
		parent, sequence := now.Metadata.Current(), now.Metadata.LastSequenceNumber
		var updates []client.Object
		for range n {
			id := client.NewSnapshotID()
			sequence++
			updates = append(updates, client.Object{"action": "add-snapshot", "snapshot": now.NewSnapshot(id, parent, sequence)})
			parent = id
		}
		updates = append(updates, client.SetRef("main", parent))
		now = tableOf(t, do(t, c, http.StatusOK, client.CommitRequest(c, ns, name, requirements, updates)))
	}
}

// entrySizes is the sum of the entries after one log index up to another, as the
// stopped node's Raft log has them.
func entrySizes(t *testing.T, dir string, after, upTo uint64) int {
	t.Helper()
	db, err := bbolt.Open(logFile(t, dir), 0o600, &bbolt.Options{ReadOnly: true, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	size := 0
	err = db.View(func(tx *bbolt.Tx) error {
		logs := tx.Bucket([]byte("logs"))
		if logs == nil {
			return fmt.Errorf("no logs in %s", db.Path())
		}
		for index := after + 1; index <= upTo; index++ {
			entry := logs.Get(binary.BigEndian.AppendUint64(nil, index))
			if entry == nil {
				return fmt.Errorf("entry %d is not in %s", index, db.Path())
			}
			size += len(entry)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// logFile finds the one bolt file of a data directory.
func logFile(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".db") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("want one bolt file in %s, found %v", dir, found)
	}
	return found[0]
}

// TestLargeCommitBody commits 32 MB, which engines do send, and more than is
// allowed, which gets a clean answer.
func TestLargeCommitBody(t *testing.T) {
	c := start(t, cluster.Options{Nodes: 1})
	at := c.At(0)
	ns := namespace(t, at)
	name, _ := table(t, at, ns)
	body := func(size int) string {
		pad := strings.Repeat(" ", size)
		return `{"requirements":[],` + pad + `"updates":[{"action":"set-properties","updates":{"size":"` + strconv.Itoa(size) + `"}}]}`
	}
	r := client.Request{Method: http.MethodPost, Path: at.TablePath(ns, name), Body: body(32_000_000)}
	do(t, at, http.StatusOK, r)
	if got := load(t, at, ns, name).Metadata.Properties["size"]; got != "32000000" {
		t.Errorf("the property of the large commit is %q", got)
	}
	r.Body = body(80 << 20)
	res, err := at.Do(within(t, 30*time.Second), r)
	if err != nil {
		// The answer may overtake the body: the connection is then closed while the client still sends.
		t.Logf("the oversized body was cut off: %v", err)
	} else if res.Status != http.StatusRequestEntityTooLarge || res.Error().Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 80 MiB: want 413 in an Iceberg error body, got %s", res)
	}
	if got := load(t, at, ns, name).Metadata.Properties["size"]; got != "32000000" {
		t.Errorf("the refused commit changed the property to %q", got)
	}
}
