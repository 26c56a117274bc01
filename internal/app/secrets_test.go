package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/api/management"
	"github.com/floeberg/floeberg/internal/app"
	"github.com/floeberg/floeberg/internal/config"
)

const secretsPath = "/management/v1/secrets"

// makeKey makes a cluster key in a file.
func makeKey(t *testing.T) (file, name string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "secret.key")
	name, err := app.MakeSecretKey(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, name
}

func TestMakeSecretKey(t *testing.T) {
	t.Parallel()
	file, name := makeKey(t)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if strings.Contains(name, strings.TrimSpace(string(before))) {
		t.Error("its name is the key")
	}
	if _, err := app.MakeSecretKey(file); err == nil || !strings.Contains(err.Error(), "nothing is overwritten") {
		t.Errorf("a second one: %v", err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Error("it was overwritten")
	}
}

// A cluster whose nodes hold its key can keep secrets from the start; each node shows
// that it can, and any of them rotates. The key itself is nowhere but in its file.
func TestSecretKeys(t *testing.T) {
	t.Parallel()
	file, name := makeKey(t)
	nodes := threeNodes(t, flags{"bootstrap-key": adminKey, "secret-key": "file://" + file})
	opened := func() (id string) {
		await(t, "all nodes to open the data key", func() bool {
			s := read[management.SecretStatus](t, nodes[1], secretsPath)
			if len(s.DataKeys) != 1 || len(s.Nodes) != 3 {
				return false
			}
			id = s.DataKeys[0].ID
			for _, n := range s.Nodes {
				if n.ClusterKey == nil || *n.ClusterKey != name || n.Open != 1 || n.Problem != nil {
					return false
				}
			}
			return s.DataKeys[0].Seals && s.DataKeys[0].ClusterKey == name
		})
		return id
	}
	first := opened()
	for i, n := range nodes {
		n.must(t, http.StatusOK, "POST", secretsPath+"/rotate", "")
		if second := opened(); second == first {
			t.Errorf("rotated by node %d: it is still %s", i, first)
		} else {
			first = second
		}
	}
	list := read[management.AuditList](t, nodes[0], "/management/v1/audit?action=ManageSecrets&event=outcome")
	if len(list.Records) != 3 {
		t.Errorf("on record: %+v", list.Records)
	}
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		said := n.log.String() + n.out.String() + n.must(t, 200, "GET", "/metrics", "") + n.must(t, 200, "GET", secretsPath, "")
		if strings.Contains(said, strings.TrimSpace(string(key))) {
			t.Errorf("node %d tells the key", i)
		}
		if got := n.scrape(t)["floeberg_secret_data_keys"]; got != 1 {
			t.Errorf("node %d has %v data keys", i, got)
		}
	}
}

// A node whose key is not the cluster's serves all that needs none, and says so where
// operators look.
func TestWrongSecretKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, name := makeKey(t)
	more := flags{"bootstrap-key": adminKey, "secret-key": "file://" + file}
	n := startReady(t, dir, more)
	await(t, "a data key", func() bool { return len(read[management.SecretStatus](t, n, secretsPath).DataKeys) == 1 })
	n.stop(t)

	other, otherName := makeKey(t)
	more["secret-key"] = "file://" + other
	n = startReady(t, dir, more)
	await(t, "the node to say so", func() bool {
		_, body := n.try(t, "GET", "/ready", "")
		return strings.Contains(body, "cluster key is another one")
	})
	if _, body := n.try(t, "GET", "/ready", ""); strings.Contains(body, "local:") {
		t.Errorf("everybody is told too much: %s", body)
	}
	status := read[management.ClusterStatus](t, n, "/management/v1/cluster")
	warnings := strings.Join(status.Warnings, "\n")
	for _, what := range []string{"node n1", name, otherName, "--secret-key"} {
		if !strings.Contains(warnings, what) {
			t.Errorf("the warnings %q do not say %q", warnings, what)
		}
	}
	n.must(t, http.StatusOK, "POST", namespaces, `{"namespace":["a"]}`)
	if code, body := n.try(t, "POST", secretsPath+"/rotate", ""); code != http.StatusConflict || !strings.Contains(body, "--secret-key-previous") {
		t.Errorf("%d %s", code, body)
	}
	if got := n.scrape(t)["floeberg_secret_data_keys_closed"]; got != 1 {
		t.Errorf("%v data keys are closed", got)
	}
	n.stop(t)

	// With both it goes on, and with the new one alone after a rotation.
	more["secret-key-previous"] = "file://" + file
	n = startReady(t, dir, more)
	await(t, "the data key to be opened", func() bool { return n.scrape(t)["floeberg_secret_data_keys"] == 1 })
	n.must(t, http.StatusOK, "POST", secretsPath+"/rotate", "")
	n.stop(t)
	delete(more, "secret-key-previous")
	n = startReady(t, dir, more)
	await(t, "the data key to be opened", func() bool { return n.scrape(t)["floeberg_secret_data_keys"] == 1 })
}

// A node without a key needs none, until there is something to keep.
func TestNoSecretKey(t *testing.T) {
	t.Parallel()
	n := startReady(t, t.TempDir(), flags{"bootstrap-key": adminKey})
	if code, body := n.try(t, "POST", secretsPath+"/rotate", ""); code != http.StatusConflict || !strings.Contains(body, "floeberg secret keygen") {
		t.Errorf("%d %s", code, body)
	}
	if _, body := n.try(t, "GET", "/ready", ""); strings.Contains(body, "secret") {
		t.Errorf("%s", body)
	}
	if w := read[management.ClusterStatus](t, n, "/management/v1/cluster").Warnings; len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
}

// A key that others may read stops the start with one line that says the mend.
func TestSecretKeyThatOthersMayRead(t *testing.T) {
	t.Parallel()
	file, _ := makeKey(t)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(config.Sources{Flags: map[string]string{"node-id": "n1", "secret-key": "file://" + file}})
	if err == nil || !strings.HasPrefix(err.Error(), "--secret-key: ") || !strings.Contains(err.Error(), "chmod 0600 it") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}
