package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/authz/authn"
	"github.com/floeberg/floeberg/test/port"
)

const namespaces = "/v1/default/namespaces"

func readKey(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func TestAMintedKeyIsShownOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.key")
	n := startReady(t, dir, nil)
	await(t, "the key's file", func() bool { return exists(t, path) })
	await(t, "the key to be shown", func() bool { return n.out.String() != "" })
	key := readKey(t, dir)
	if strings.Count(n.out.String(), key) != 1 || strings.Contains(n.log.String(), key) {
		t.Errorf("shown: %q", n.out)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info, err)
	}
	n.must(t, 401, "GET", namespaces, "")
	n.key = key
	n.must(t, 200, "GET", namespaces, "")
	n.stop(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	again := startReady(t, dir, nil)
	again.key = key
	again.must(t, 200, "GET", namespaces, "")
	if again.out.String() != "" || exists(t, path) {
		t.Errorf("minted again: %q", again.out)
	}
}

func TestAGivenKeyIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startReady(t, dir, flags{"bootstrap-key": adminKey})
	n.must(t, 200, "GET", namespaces, "")
	if n.out.String() != "" || exists(t, filepath.Join(dir, "admin.key")) || strings.Contains(n.log.String(), adminKey) {
		t.Errorf("a given key is shown: %q", n.out)
	}
	n.stop(t)

	other := startReady(t, dir, flags{"bootstrap-key": "fb_another_0123456789abcdef"})
	other.must(t, 401, "GET", namespaces, "")
	other.key = adminKey
	other.must(t, 200, "GET", namespaces, "")
}

// threeNodes are a cluster in this process.
func threeNodes(t *testing.T, more flags) []*node {
	t.Helper()
	root := t.TempDir()
	var gossip []string
	for range 3 {
		gossip = append(gossip, port.Address(t))
	}
	var nodes []*node
	for i := range gossip {
		set := flags{
			"node-id": fmt.Sprintf("n%d", i+1), "gossip-listen": gossip[i], "join": strings.Join(gossip, ","),
			"bootstrap-expect": "3", "warehouse": "file://" + root,
		}
		for k, v := range more {
			set[k] = v
		}
		nodes = append(nodes, start(t, t.TempDir(), set))
	}
	for _, n := range nodes {
		n.awaitReady(t)
	}
	return nodes
}

func TestThreeNodesMintOneKey(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t, nil)
	holders := func() (out []*node) {
		for _, n := range nodes {
			if exists(t, filepath.Join(n.dir, "admin.key")) {
				out = append(out, n)
			}
		}
		return out
	}
	await(t, "the key", func() bool { return len(holders()) > 0 })
	for _, n := range nodes {
		await(t, "all candidates to be settled", func() bool { return !exists(t, filepath.Join(n.dir, "admin.key.pending")) })
	}
	have := holders()
	if len(have) != 1 {
		t.Fatalf("%d nodes have a key", len(have))
	}
	key := readKey(t, have[0].dir)
	for _, n := range nodes {
		if shown := strings.Contains(n.out.String(), key); shown != (n == have[0]) {
			t.Errorf("%s shows %q", n.dir, n.out)
		}
		n.key = key
		n.must(t, 200, "GET", namespaces, "")
	}
	nodes[0].must(t, 200, "POST", namespaces, `{"namespace":["a"]}`)
	nodes[1].must(t, 200, "GET", namespaces+"/a", "")
	nodes[2].must(t, 200, "POST", namespaces+"/a/tables", table)
	nodes[0].must(t, 200, "POST", namespaces+"/a/tables/floes", property("k", "v"))
}

func TestABootstrapKeyOnAllNodesMakesOne(t *testing.T) {
	t.Parallel()
	for _, n := range threeNodes(t, flags{"bootstrap-key": adminKey}) {
		var list struct {
			Keys []struct {
				ID string `json:"id"`
			} `json:"keys"`
		}
		if err := json.Unmarshal([]byte(n.must(t, 200, "GET", keysPath, "")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Keys) != 1 || list.Keys[0].ID != authn.KeyID(adminKey) {
			t.Errorf("%s knows the keys %+v", n.dir, list.Keys)
		}
		// Whose proposal was in doubt for a while does not know that it made the key,
		// so that not every run has a line of that.
		if text := n.log.String(); strings.Contains(text, "--bootstrap-key is not used") {
			t.Errorf("%s takes it for another one: %s", n.dir, text)
		}
		if exists(t, filepath.Join(n.dir, "admin.key")) {
			t.Errorf("%s has a file with the key", n.dir)
		}
	}
}

// A node that died between minting and learning the outcome still has its
// candidate.
func TestACandidateThatACrashLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pending := filepath.Join(dir, "admin.key.pending")
	key := authn.MintKey()
	if err := os.WriteFile(pending, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startReady(t, dir, nil)
	await(t, "the key's file", func() bool { return exists(t, filepath.Join(dir, "admin.key")) })
	n.key = key
	n.must(t, 200, "GET", namespaces, "")
	if readKey(t, dir) != key || exists(t, pending) {
		t.Error("another key was minted")
	}
	n.stop(t)

	// It died before it knew that it had won.
	if err := os.Rename(filepath.Join(dir, "admin.key"), pending); err != nil {
		t.Fatal(err)
	}
	won := startReady(t, dir, nil)
	await(t, "the key's file", func() bool { return exists(t, filepath.Join(dir, "admin.key")) })
	await(t, "the key to be shown", func() bool { return strings.Contains(won.out.String(), key) })
	won.stop(t)

	// It died before it knew that another had won.
	if err := os.WriteFile(pending, []byte(authn.MintKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lost := startReady(t, dir, nil)
	await(t, "the candidate to go", func() bool { return !exists(t, pending) })
	if readKey(t, dir) != key || lost.out.String() != "" {
		t.Errorf("shown: %q", lost.out)
	}
	lost.stop(t)

	// It died while writing.
	fresh := t.TempDir()
	if err := os.WriteFile(filepath.Join(fresh, "admin.key.pending"), []byte("fb_"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut := startReady(t, fresh, nil)
	await(t, "the key's file", func() bool { return exists(t, filepath.Join(fresh, "admin.key")) })
	cut.key = readKey(t, fresh)
	if authn.CheckKey(cut.key) != nil {
		t.Errorf("half a key: %q", cut.key)
	}
	cut.must(t, 200, "GET", namespaces, "")
}
