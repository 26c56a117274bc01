package cluster_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/test/cluster"
)

// keyFiles are the cluster keys of each node, which an operator changes between starts.
type keyFiles struct {
	t   *testing.T
	dir string
}

func (k *keyFiles) args(id string) []string {
	return []string{"--secret-key", "file://" + k.path(id, "present"), "--secret-key-previous", "file://" + k.path(id, "previous")}
}

func (k *keyFiles) path(id, which string) string { return filepath.Join(k.dir, id+"."+which) }

func (k *keyFiles) give(id, present, previous string) {
	k.t.Helper()
	for which, text := range map[string]string{"present": present, "previous": previous} {
		if err := os.WriteFile(k.path(id, which), []byte(text), 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
}

// generate makes a key by command.
func (k *keyFiles) generate() (text, name string) {
	k.t.Helper()
	file := filepath.Join(k.t.TempDir(), "secret.key")
	code, stdout, stderr := floeberg(k.t, "", "secret", "keygen", "--out", file, "--output", "json")
	var made struct{ File, Name string }
	if err := json.Unmarshal([]byte(stdout), &made); code != 0 || err != nil || made.File != file {
		k.t.Fatalf("exit code %d, %v, %q %q", code, err, stdout, stderr)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(raw), made.Name
}

// TestClusterKeyIsChanged changes the cluster key of three nodes as operators do, by
// restarts one after the other and one command; a step that would leave a node behind is
// refused. A node that is given another key says so, and the leader may be killed right
// after a rotation. Neither key is in anything that the nodes write.
func TestClusterKeyIsChanged(t *testing.T) {
	needProcesses(t)
	dir, k := t.TempDir(), &keyFiles{t: t, dir: t.TempDir()}
	old, oldName := k.generate()
	next, nextName := k.generate()
	for _, id := range []string{"n1", "n2", "n3"} {
		k.give(id, old, old)
	}
	c := start(t, cluster.Options{
		Dir: dir, ArgsOf: k.args, Args: []string{"--snapshot-store", "file://" + filepath.Join(dir, "snapshots"), "--log-archive-interval", "1s"},
	})
	addr := strings.Join(c.URLs(), ",")
	status := func() (s management.SecretStatus) {
		code, stdout, stderr := floeberg(t, addr, "secret", "status", "--output", "json")
		if err := json.Unmarshal([]byte(stdout), &s); code != 0 || err != nil {
			t.Fatalf("exit code %d, %v, %q %q", code, err, stdout, stderr)
		}
		return s
	}
	// opened waits until all nodes can open the one data key, wrapped by this key.
	opened := func(by string) (id string) {
		t.Helper()
		err := cluster.Await(within(t, 30*time.Second), "all nodes to open the data key", func(context.Context) error {
			s := status()
			if len(s.DataKeys) != 1 || s.DataKeys[0].ClusterKey != by || !s.DataKeys[0].Seals || len(s.Nodes) != 3 {
				return fmt.Errorf("%+v", s)
			}
			id = s.DataKeys[0].ID
			for _, n := range s.Nodes {
				if n.Open != 1 || n.Problem != nil {
					return fmt.Errorf("%s: %+v", n.Node, n)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	restart := func(n *cluster.Node, present, previous string) {
		t.Helper()
		if err := n.Term(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		k.give(n.ID, present, previous)
		if err := errors.Join(n.Start(), c.AwaitReady(within(t, time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(n *cluster.Node) (code int, stderr string) {
		t.Helper()
		code, _, stderr = floeberg(t, n.URL, "secret", "rotate")
		return code, stderr
	}
	first := opened(oldName)

	restart(c.Nodes[0], next, old)
	restart(c.Nodes[1], next, old)
	if code, stderr := rotate(c.Nodes[0]); code != 1 || !strings.Contains(stderr, c.Nodes[2].ID+" can't open what "+nextName+" wraps") {
		t.Errorf("a node does not have the new key: exit code %d, %q", code, stderr)
	}
	if opened(oldName) != first {
		t.Error("something was changed")
	}
	restart(c.Nodes[2], next, old)
	if code, stderr := rotate(c.Nodes[1]); code != 0 {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	if opened(nextName) == first {
		t.Error("the data key is the same")
	}

	// The leader is gone right after the next one; the others go on.
	before := opened(nextName)
	leader := c.Nodes[c.MustLeader(t)]
	if code, stderr := rotate(c.Nodes[c.Follower(t)]); code != 0 {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	if err := errors.Join(leader.Kill9(), leader.Start(), c.AwaitReady(within(t, time.Minute))); err != nil {
		t.Fatal(err)
	}
	if opened(nextName) == before {
		t.Error("the data key is the same")
	}

	// Without the old key all is well; with another one a node says so.
	for _, n := range c.Nodes {
		restart(n, next, next)
	}
	opened(nextName)
	restart(c.Nodes[1], old, old)
	err := cluster.Await(within(t, 30*time.Second), "a warning", func(context.Context) error {
		_, stdout, _ := floeberg(t, addr, "cluster", "status")
		for _, says := range []string{"node " + c.Nodes[1].ID, nextName, oldName} {
			if !strings.Contains(stdout, says) {
				return errors.New(stdout)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	namespace(t, c.At(1))
	restart(c.Nodes[1], next, next)
	opened(nextName)

	for _, args := range [][]string{{"backup", "create"}, {"debug", "bundle", "--out", filepath.Join(dir, "bundle.tar.gz")}} {
		if code, _, stderr := floeberg(t, addr, args...); code != 0 {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	if err := c.Verify(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	for _, n := range c.Nodes {
		if err := n.Term(20 * time.Second); err != nil {
			t.Error(err)
		}
	}
	nowhere(t, dir, old, next)
}

// nowhere looks for keys in all files of a folder, as they are written and as they are used.
func nowhere(t *testing.T, dir string, keys ...string) {
	t.Helper()
	var wanted [][]byte
	for _, key := range keys {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
		if err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, raw, []byte(strings.TrimSpace(key)))
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, key := range wanted {
			if bytes.Contains(content, key) {
				t.Errorf("a key is in %s", path)
			}
		}
		return err
	})
	if err != nil || files < 20 {
		t.Errorf("looked into %d files, %v", files, err)
	}
}
