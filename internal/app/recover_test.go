package app_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floeberg/floeberg/internal/app"
)

var nowhere = slog.New(slog.DiscardHandler)

// recovered recovers a folder and returns where the old one is kept.
func recovered(t *testing.T, opts app.RecoveryOptions) string {
	t.Helper()
	opts.Logger, opts.Version = nowhere, "test"
	r, err := app.OpenRecovery(opts)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := r.Run(t.Context(), func(string, ...any) {})
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestRecoverAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startReady(t, dir, flags{"bootstrap-key": adminKey})
	n.must(t, 200, "POST", "/v1/default/namespaces", `{"namespace":["polar"]}`)
	_, err := app.OpenRecovery(app.RecoveryOptions{DataDir: dir, Logger: nowhere})
	if !errors.Is(err, app.ErrFolderInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("of a node that runs: %v", err)
	}
	n.stop(t)

	all, best, err := app.Survey([]string{dir}, "test", nowhere)
	if err != nil || best != all[0] || best.NodeID != "n1" || best.ClusterID == "" || best.LastIndex < 3 || best.LastChange == nil || len(best.Members) != 1 {
		t.Fatalf("%+v, %v", best, err)
	}
	kept := recovered(t, app.RecoveryOptions{DataDir: dir})
	again := startReady(t, dir, flags{"bootstrap-key": adminKey})
	again.must(t, 200, "GET", "/v1/default/namespaces/polar", "")
	again.must(t, 200, "POST", "/v1/default/namespaces", `{"namespace":["later"]}`)
	again.stop(t)

	// The way back.
	for _, name := range []string{"raft", "state"} {
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, name)), os.Rename(filepath.Join(kept, name), filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	back := startReady(t, dir, flags{"bootstrap-key": adminKey})
	back.must(t, 200, "GET", "/v1/default/namespaces/polar", "")
	back.must(t, 404, "GET", "/v1/default/namespaces/later", "")
}

// A recovery may be ended between any two of its steps: the node starts as
// recovered, or refuses to start and says what to do.
func TestInterruptedRecovery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startReady(t, dir, flags{"bootstrap-key": adminKey})
	n.must(t, 200, "POST", "/v1/default/namespaces", `{"namespace":["polar"]}`)
	n.stop(t)
	kept := recovered(t, app.RecoveryOptions{DataDir: dir})
	// As it is after the first move …
	if err := os.Rename(filepath.Join(dir, "raft"), filepath.Join(dir, "recovered-raft")); err != nil {
		t.Fatal(err)
	}
	if err := newNode(t, dir, nil).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "raft") {
		t.Errorf("a start without the log: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "raft")); err != nil {
		t.Fatal(err)
	}
	_, err := app.OpenRecovery(app.RecoveryOptions{DataDir: dir, Logger: nowhere})
	if !errors.Is(err, app.ErrNoDataFolder) || !strings.Contains(err.Error(), kept) {
		t.Errorf("another recovery: %v", err)
	}
	// … and after the third: no state yet.
	if err := errors.Join(os.Rename(filepath.Join(dir, "recovered-raft"), filepath.Join(dir, "raft")), os.RemoveAll(filepath.Join(dir, "state"))); err != nil {
		t.Fatal(err)
	}
	again := startReady(t, dir, flags{"bootstrap-key": adminKey})
	again.must(t, 200, "GET", "/v1/default/namespaces/polar", "")
}

func TestRecoveryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startReady(t, dir, flags{"bootstrap-key": adminKey}).stop(t)
	other := t.TempDir()
	startReady(t, other, flags{"bootstrap-key": adminKey}).stop(t)
	newer := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(newer, "raft"), 0o700),
		os.WriteFile(filepath.Join(newer, "format"), []byte("floeberg data 99\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		opts app.RecoveryOptions
		err  error
		says string
	}{
		"no folder":        {app.RecoveryOptions{DataDir: filepath.Join(dir, "x")}, app.ErrNoDataFolder, "there is no raft"},
		"newer format":     {app.RecoveryOptions{DataDir: newer}, app.ErrNewerFolder, "format 99"},
		"another node":     {app.RecoveryOptions{DataDir: dir, NodeID: "n2"}, app.ErrOtherNode, `"n1"`},
		"not among peers":  {app.RecoveryOptions{DataDir: dir, Peers: []app.RecoveryPeer{{ID: "n2", Address: "10.0.0.2:8182"}}}, app.ErrPeers, "n1"},
		"without its vote": {app.RecoveryOptions{DataDir: dir, Peers: []app.RecoveryPeer{{ID: "n2", Address: "10.0.0.2:8182"}, {ID: "n1", Address: "10.0.0.1:8182", NonVoter: true}}}, app.ErrPeers, "has to vote"},
	} {
		tc.opts.Logger, tc.opts.Version = nowhere, "test"
		if _, err := app.OpenRecovery(tc.opts); !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a slip made a folder: %v", err)
	}
	if _, _, err := app.Survey([]string{dir, other}, "test", nowhere); !errors.Is(err, app.ErrOtherCluster) || !strings.Contains(err.Error(), other) {
		t.Errorf("folders of two clusters: %v", err)
	}
	// A folder from before folders said whose they are.
	if err := os.Remove(filepath.Join(dir, "node-id")); err != nil {
		t.Fatal(err)
	}
	if _, err := app.OpenRecovery(app.RecoveryOptions{DataDir: dir, Logger: nowhere}); !errors.Is(err, app.ErrRecovery) || !strings.Contains(err.Error(), "--node-id") {
		t.Errorf("nobody's folder: %v", err)
	}
	if _, err := app.OpenRecovery(app.RecoveryOptions{DataDir: dir, NodeID: "n7", Logger: nowhere}); !errors.Is(err, app.ErrRecovery) || !strings.Contains(err.Error(), "--peers") {
		t.Errorf("a node that its own cluster does not know: %v", err)
	}
	recovered(t, app.RecoveryOptions{DataDir: dir, NodeID: "n1"})
	startReady(t, dir, flags{"bootstrap-key": adminKey})
}

func TestMoreRemains(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b app.Remains
		want int
	}{
		{app.Remains{LastTerm: 3, LastIndex: 10}, app.Remains{LastTerm: 3, LastIndex: 9}, 1},
		{app.Remains{LastTerm: 3, LastIndex: 10}, app.Remains{LastTerm: 4, LastIndex: 9}, -1},
		{app.Remains{LastTerm: 3, LastIndex: 10}, app.Remains{LastTerm: 3, LastIndex: 10}, 0},
	} {
		if got := tc.a.More(&tc.b); got != tc.want {
			t.Errorf("%+v against %+v: %d", tc.a, tc.b, got)
		}
	}
}

func TestReadPeers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	read := func(text string) ([]app.RecoveryPeer, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return app.ReadPeers(path)
	}
	got, err := read(`[{"id":"a","address":"10.0.0.1:8182"},{"id":"b","address":"b.example.com:8182","non_voter":true}]`)
	want := []app.RecoveryPeer{{ID: "a", Address: "10.0.0.1:8182"}, {ID: "b", Address: "b.example.com:8182", NonVoter: true}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for text, says := range map[string]string{
		``:                                      "list such as",
		`{"id":"a"}`:                            "list such as",
		`[{"ID":"a","adress":"x"}]`:             "adress",
		`[] []`:                                 "goes on",
		`[]`:                                    "nobody",
		`[{"address":"10.0.0.1:1"}]`:            "entry 1 has no id",
		`[{"id":"a"}]`:                          "address of a",
		`[{"id":"a","address":"a"}]`:            "address of a",
		`[{"id":"a","address":"a:0"}]`:          "no port",
		`[{"id":"a","address":"a:http"}]`:       "no port",
		`[{"id":"a","address":":8182"}]`:        "no machine",
		`[{"id":"a","address":"0.0.0.0:8182"}]`: "no machine",
		`[{"id":"a","address":"a:1"},{"id":"a","address":"b:1"}]`: "a is there twice",
		`[{"id":"a","address":"a:1"},{"id":"b","address":"a:1"}]`: "same address",
		`[{"id":"a","address":"a:1","non_voter":true}]`:           "nobody",
	} {
		if _, err := read(text); !errors.Is(err, app.ErrPeers) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := app.ReadPeers(path + ".none"); !errors.Is(err, app.ErrPeers) {
		t.Error(err)
	}
}
