package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/s3server"
)

// listed is what is read of a snapshot in a list.
type listed struct {
	ID            string  `json:"id"`
	ClusterID     string  `json:"cluster_id"`
	Index         uint64  `json:"index"`
	Node          string  `json:"node"`
	StateChecksum string  `json:"state_checksum"`
	Object        string  `json:"object"`
	Problem       *string `json:"problem"`
}

// backups runs "backup list" with further arguments.
func backups(t *testing.T, addr string, args ...string) []listed {
	t.Helper()
	var list []listed
	asJSON(t, &list, addr, append([]string{"backup", "list"}, args...)...)
	return list
}

// asJSON runs a command that must succeed and reads what it prints.
func asJSON(t *testing.T, into any, addr string, args ...string) {
	t.Helper()
	code, stdout, stderr := floeberg(t, addr, append(args, "--output", "json")...)
	if code != 0 {
		t.Fatalf("%v: exit code %d, %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		t.Fatalf("%v: %v: %q", args, err, stdout)
	}
}

// TestSnapshotsToAFolder lets a cluster write its snapshots, encrypted, into a
// folder: the first comes by itself, one on demand; a trial of each succeeds, by a
// node and without any, until a byte is flipped.
func TestSnapshotsToAFolder(t *testing.T) {
	t.Parallel()
	needProcesses(t)
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if code, _, stderr := floeberg(t, "", "backup", "keygen", "--out", key); code != 0 {
		t.Fatal(stderr)
	}
	store := filepath.Join(dir, "snapshots")
	url := "file://" + store
	s := start(t, cluster.Options{Args: []string{"--snapshot-store", url, "--snapshot-key", key, "--snapshot-keep", "2"}})
	c := s.Client()
	ns := namespace(t, c)
	table(t, c, ns)
	addr := strings.Join(s.URLs(), ",")
	var first []listed
	awaitBackup(t, "the first snapshot", func() error {
		if first = backups(t, addr); len(first) == 0 {
			return errors.New("there is none")
		}
		return nil
	})

	table(t, c, ns)
	var made listed
	for i := range s.Nodes { // Whichever is asked, the leader does it.
		asJSON(t, &made, s.Nodes[i].URL, "backup", "create")
	}
	list := backups(t, addr)
	if len(list) != 2 || list[0].ID != made.ID || list[0].Index <= first[0].Index {
		t.Fatalf("of four snapshots two are to be kept, the newest %s: %+v", made.ID, list)
	}
	var trial struct {
		Backup        string `json:"backup"`
		StateChecksum string `json:"state_checksum"`
	}
	asJSON(t, &trial, addr, "backup", "verify")
	if trial.Backup != made.ID || trial.StateChecksum != made.StateChecksum {
		t.Errorf("a trial of the newest found %+v, it is %+v", trial, made)
	}
	// Without a cluster, as after the loss of all machines.
	asJSON(t, &trial, "http://127.0.0.1:1", "backup", "verify", list[1].ID, "--from", url, "--snapshot-key", key)
	if trial.Backup != list[1].ID || trial.StateChecksum != list[1].StateChecksum {
		t.Errorf("a trial from the store found %+v, it is %+v", trial, list[1])
	}
	if code, _, stderr := floeberg(t, "", "backup", "verify", "--from", url); code != 1 || !strings.Contains(stderr, "no secret key") {
		t.Errorf("a trial without the key: exit code %d, %s", code, stderr)
	}

	object := filepath.Join(store, made.ClusterID, "snapshots", made.Object)
	body, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)/2] ^= 1
	if err := os.WriteFile(object, body, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"backup", "verify", made.ID}, {"backup", "verify", "--from", url, "--snapshot-key", key}} {
		if code, _, stderr := floeberg(t, addr, args...); code != 1 || !strings.Contains(stderr, "SHA-256") {
			t.Errorf("%v of a flipped byte: exit code %d, %s", args, code, stderr)
		}
	}
}

func awaitBackup(t *testing.T, what string, holds func() error) {
	t.Helper()
	if err := cluster.Await(within(t, 30*time.Second), what, func(context.Context) error { return holds() }); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotStoreAway takes an S3 store away while snapshots are written to it:
// the catalog goes on as if nothing were, metrics and readiness tell of it, and with
// the store snapshots are back by themselves. A leader that is killed in an upload
// leaves nothing that anybody could take for a snapshot, and its successor goes on.
func TestSnapshotStoreAway(t *testing.T) {
	t.Parallel()
	needProcesses(t)
	store := s3server.Start(t)
	store.CreateBucket(t, "vault")
	s := start(t, cluster.Options{
		S3:   &cluster.S3{Endpoint: store.Endpoint, Region: store.Region, AccessKey: store.AccessKey, SecretKey: store.SecretKey},
		Args: []string{"--snapshot-store", "s3://vault/floeberg", "--snapshot-upload-interval", "1s", "--snapshot-keep", "3"},
	})
	c := s.Client()
	ns := namespace(t, c)
	addr := strings.Join(s.URLs(), ",")
	written := func(after uint64) listed {
		t.Helper()
		var newest listed
		awaitBackup(t, fmt.Sprintf("a snapshot after index %d", after), func() error {
			table(t, c, ns) // There is only something to do where something changes.
			list := backups(t, addr)
			if len(list) == 0 || list[0].Index <= after {
				return fmt.Errorf("there are %+v", list)
			}
			newest = list[0]
			return nil
		})
		return newest
	}
	before := written(0)

	store.Stop()
	// Whoever leads: a busy machine may have an election meanwhile.
	awaitBackup(t, "failures to be told", func() error {
		table(t, c, ns)
		leader := s.Nodes[s.MustLeader(t)]
		m, err := leader.Metrics(t.Context())
		if err != nil {
			return err
		}
		status, body, err := leader.Get(t.Context(), "/ready")
		switch {
		case err != nil:
			return err
		case m["floeberg_snapshot_upload_failures_total"] < 1:
			return errors.New("no upload has failed")
		case status != http.StatusOK || !strings.Contains(body, "snapshots can't be written"):
			return fmt.Errorf("/ready says %d %s", status, body)
		}
		return nil
	})
	awaitBackup(t, "a follower to tell of it", func() error {
		var status struct {
			Age      *float64 `json:"snapshot_age_seconds"`
			Warnings []string `json:"warnings"`
		}
		asJSON(t, &status, s.Nodes[s.Follower(t)].URL, "cluster", "status")
		if status.Age == nil || !strings.Contains(strings.Join(status.Warnings, "\n"), "snapshots can't be written") {
			return fmt.Errorf("cluster status: %+v", status)
		}
		return nil
	})
	if code, _, stderr := floeberg(t, addr, "backup", "create", "--timeout", "30s"); code != 1 || strings.Count(stderr, "floeberg:") != 1 {
		t.Errorf("create without a store: exit code %d, %s", code, stderr)
	}
	store.Restart(t)
	after := written(before.Index)
	awaitBackup(t, "all to be well", func() error {
		for _, n := range s.Nodes {
			_, body, err := n.Get(t.Context(), "/ready")
			if err != nil {
				return err
			}
			if strings.Contains(body, "can't be written") {
				return fmt.Errorf("%s says %s", n.ID, body)
			}
		}
		return nil
	})

	// Killed with an upload under way, more likely than not: it writes one every second.
	leader := s.Nodes[s.MustLeader(t)]
	if err := leader.Kill9(); err != nil {
		t.Fatal(err)
	}
	last := written(after.Index)
	if last.Node == leader.ID {
		t.Errorf("%s was written by the leader that is dead", last.ID)
	}
	for _, b := range backups(t, addr) {
		if b.Problem != nil {
			t.Errorf("%s: %s", b.ID, *b.Problem)
		}
	}
	if code, _, stderr := floeberg(t, addr, "backup", "verify", last.ID); code != 0 {
		t.Errorf("a trial of %s: %s", last.ID, stderr)
	}
	do(t, c, http.StatusOK, client.NamespaceRequest(c, nil, fresh("after")))
}
