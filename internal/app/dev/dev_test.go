package dev_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/internal/app/dev"
	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/port"
)

// The test's binary plays the node: it listens where it is told to and says
// that it is ready, and drains on SIGTERM.
const (
	asNode = "PLAY_NODE"
	broken = "broken"
	// stranger is a node of some other cluster.
	stranger = "stranger"
)

func TestMain(m *testing.M) {
	switch os.Getenv(asNode) {
	case "":
		os.Exit(m.Run())
	case broken:
		fmt.Println("the disk is gone")
		os.Exit(1)
	}
	playNode()
}

func playNode() {
	arg := func(name string) string { return os.Args[slices.Index(os.Args, name)+1] }
	at := arg("--http-listen")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	server := &http.Server{Addr: at, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Floeberg-Node", arg("--node-id"))
		known := r.Header.Get("Authorization") == "Bearer "+os.Getenv("FLOEBERG_BOOTSTRAP_KEY") && os.Getenv(asNode) != stranger
		if r.URL.Path != "/ready" && !known {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})}
	go func() {
		<-signals
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("drained")
}

// screen is what the user sees.
type screen struct{ output.Buffer }

// await waits until the user sees what the pattern says, and returns its groups.
func (s *screen) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m
		}
	}
	t.Fatalf("%q was not shown:\n%s", pattern, s.String())
	return nil
}

type session struct {
	screen
	signals chan os.Signal
	ended   chan error
}

// rowLength is from the first port of the first of three nodes to the last of the last.
const rowLength = 203

// start runs a cluster. Each test has ports of its own, so that none takes
// another's between their choice and their use.
func start(t *testing.T, opts dev.Options) *session {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{signals: make(chan os.Signal, 2), ended: make(chan error, 1)}
	opts.Program, opts.Out = program, &s.screen
	if opts.Environ == nil {
		opts.Environ = append(os.Environ(), asNode+"=yes")
	}
	opts.RestartAfter = 10 * time.Millisecond
	go func() { s.ended <- dev.Run(context.WithoutCancel(t.Context()), opts, s.signals) }()
	return s
}

func (s *session) stop(t *testing.T) {
	t.Helper()
	s.signals <- os.Interrupt
	s.wait(t)
}

func (s *session) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("it did not end:\n%s", s.String())
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func pids(t *testing.T, s *session) []int {
	t.Helper()
	var out []int
	for _, m := range regexp.MustCompile(`(?m)^  node\d .*kill -9 (\d+)`).FindAllStringSubmatch(s.String(), -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

func TestAClusterFromStartToEnd(t *testing.T) {
	t.Parallel()
	s := start(t, dev.Options{FirstPort: port.Row(t, rowLength)})
	dir := s.await(t, `Starting 3 nodes in (\S+)`)[1]
	s.await(t, `Ctrl-C stops the nodes and removes the data`)
	running := pids(t, s)
	if len(running) != 3 {
		t.Fatalf("three nodes should be shown:\n%s", s.String())
	}
	shown := s.String()
	for _, want := range []string{"from pyiceberg.catalog import load_catalog", `"token": "fb_`, "http://127.0.0.1:", dir} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	for _, file := range []string{"admin.key", "snippet.py", "node1.log"} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}

	if err := syscall.Kill(running[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.await(t, fmt.Sprintf(`node2 \(pid %d\) ended: signal: killed`, running[1]))
	again, err := strconv.Atoi(s.await(t, `node2 runs again: kill -9 (\d+)`)[1])
	if err != nil || again == running[1] {
		t.Errorf("pid %d, %v", again, err)
	}
	s.await(t, `node2 is ready`)

	s.stop(t)
	for _, pid := range []int{running[0], again, running[2]} {
		if alive(pid) {
			t.Errorf("process %d was left behind", pid)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

func TestAKeptFolderRunsAgainAsItWas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cluster")
	type place struct {
		Nodes []struct{ HTTP string }
	}
	read := func() (p place, key string) {
		raw, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		k, err := os.ReadFile(filepath.Join(dir, "admin.key"))
		if err != nil {
			t.Fatal(err)
		}
		return p, string(k)
	}
	opts := dev.Options{Nodes: 2, Dir: dir, FirstPort: port.Row(t, rowLength)}
	first := start(t, opts)
	first.await(t, `Ctrl-C stops the nodes\.`)
	before, key := read()

	other := start(t, opts)
	select {
	case err := <-other.ended:
		if err == nil || !strings.Contains(err.Error(), "does it run already") {
			t.Errorf("a second one in the same folder: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a second one runs in the same folder")
	}
	first.stop(t)
	log, err := os.ReadFile(filepath.Join(dir, "node1.log"))
	if err != nil || !strings.Contains(string(log), "drained") {
		t.Errorf("the nodes were not asked to drain: %q, %v", log, err)
	}

	second := start(t, opts)
	second.await(t, `Ctrl-C stops the nodes\.`)
	after, again := read()
	if fmt.Sprint(before) != fmt.Sprint(after) || key != again {
		t.Errorf("before %v %q, after %v %q", before, key, after, again)
	}
	second.stop(t)

	opts.Nodes = 3
	third := start(t, opts)
	if err := <-third.ended; err == nil || !strings.Contains(err.Error(), "--nodes 2") {
		t.Errorf("another number of nodes: %v", err)
	}
}

// A node's port is free when it is chosen, which is a moment before it is used:
// what answers there must be the node itself.
func TestAnotherProgramAtANodesAddress(t *testing.T) {
	t.Parallel()
	s := start(t, dev.Options{Nodes: 1, FirstPort: port.Row(t, rowLength), ReadyWithin: time.Second, Environ: append(os.Environ(), asNode+"="+stranger)})
	select {
	case err := <-s.ended:
		if err == nil || !strings.Contains(err.Error(), "another program answers at http://127.0.0.1:") {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestANodeThatCantStartIsShown(t *testing.T) {
	t.Parallel()
	s := start(t, dev.Options{Nodes: 1, FirstPort: port.Row(t, rowLength), Environ: append(os.Environ(), asNode+"="+broken)})
	select {
	case err := <-s.ended:
		if err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}
