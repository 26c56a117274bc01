package cluster_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	workload "github.com/floeberg/floeberg/test/load"
)

// keyState is what cluster keyring prints of a node.
type keyState struct {
	Node    string   `json:"node"`
	Primary string   `json:"primary"`
	Keys    []string `json:"keys"`
	Error   *string  `json:"error"`
}

// TestGossipKey changes the key of gossip by command while clients work, with one
// node down in between, which nothing may leave behind. No request fails.
func TestGossipKey(t *testing.T) {
	needProcesses(t)
	generate := func() string {
		t.Helper()
		code, key, stderr := floeberg(t, "", "cluster", "keyring", "generate")
		if code != 0 || stderr != "" || len(strings.TrimSpace(key)) != 44 {
			t.Fatalf("exit code %d, %q %q", code, key, stderr)
		}
		return strings.TrimSpace(key)
	}
	first, second := generate(), generate()
	c := start(t, cluster.Options{Env: []string{"FLOEBERG_GOSSIP_KEY=" + first}})
	addr := strings.Join(c.URLs(), ",")
	keyring := func(args ...string) []keyState {
		t.Helper()
		code, stdout, stderr := floeberg(t, addr, append([]string{"cluster", "keyring", "--output", "json"}, args...)...)
		var state []keyState
		if err := json.Unmarshal([]byte(stdout), &state); code != 0 || err != nil || len(state) != 3 {
			t.Fatalf("%v: exit code %d, %v, %q %q", args, code, err, stdout, stderr)
		}
		if strings.Contains(stdout, first) || strings.Contains(stdout, second) {
			t.Error("a key is shown")
		}
		return state
	}
	all := func(state []keyState, keys ...string) {
		t.Helper()
		for _, k := range state {
			if k.Error != nil || strings.Join(k.Keys, " ") != strings.Join(keys, " ") || k.Primary != keys[0] {
				t.Errorf("%+v, want %v", k, keys)
			}
		}
	}

	l, err := workload.New(within(t, time.Minute), c.Client(), workload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Go(ctx, c.Client(), 6)

	// settle lets probes of gossip and requests of clients go by; each step stands for
	// as long as an operator needs to give the next one.
	settle := func() { time.Sleep(2 * time.Second) }
	settle()
	old := keyring("list")[0].Primary
	all(keyring("list"), old)
	state := keyring("install", second)
	if len(state[0].Keys) != 2 {
		t.Fatalf("%+v", state)
	}
	fresh := state[0].Keys[1]
	all(state, old, fresh)
	settle()
	all(keyring("use", fresh), fresh, old)
	settle()

	down := c.Nodes[c.Follower(t)]
	if err := down.Kill9(); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := floeberg(t, addr, "cluster", "keyring", "remove", old)
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, down.ID+" does not answer: start it") {
		t.Errorf("exit code %d, %q %q", code, stdout, stderr)
	}
	// It comes back with the keys that it had, though it is told the first one only.
	if err := down.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitReady(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	all(keyring("remove", old), fresh)
	settle()
	for name, tc := range map[string][]string{
		"no such key":      {"use", "0123456789ab"},
		"in use":           {"remove", fresh},
		"not a key":        {"install", "abc"},
		"install it first": {"use", old},
	} {
		code, stdout, stderr := floeberg(t, addr, append([]string{"cluster", "keyring"}, tc...)...)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q %q", name, code, stdout, stderr)
		}
	}
	for _, n := range c.Nodes {
		info, err := os.Stat(filepath.Join(n.Dir, "gossip.keyring"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", n.ID, err, info)
		}
		if log := n.Log(1 << 20); strings.Contains(log, first) || strings.Contains(log, second) {
			t.Errorf("%s: a key is in the log", n.ID)
		}
		// Whoever could not decrypt what it got would miss the others.
		for line := range strings.Lines(n.Log(1 << 20)) {
			if strings.Contains(line, "node not seen any more") && !strings.Contains(line, "seen="+down.ID) || strings.Contains(line, "could decrypt") {
				t.Errorf("%s: %s", n.ID, line)
			}
		}
	}
	cancel()
	l.Wait()
	judgeLoad(t, c, l)
}
