package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/fsm/fsmtest"
	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

// flipAt flips a bit of a file in place, also under a program that has it open.
func flipAt(t *testing.T, path string, at int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = file.ReadAt(b, at)
	b[0] ^= 0x08
	if err == nil {
		_, err = file.WriteAt(b, at)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatalf("%s, byte %d: %v", path, at, err)
	}
}

// only is the one file of a node that a pattern names.
func only(t *testing.T, n *cluster.Node, pattern string) (path string, size int64) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(n.Dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s of %s: %v, %v", pattern, n.ID, found, err)
	}
	info, err := os.Stat(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return found[len(found)-1], info.Size()
}

// lastWords is what a node that has ended said last; a stack trace is no way to end.
func lastWords(t *testing.T, n *cluster.Node, code int) string {
	t.Helper()
	log := n.Log(12)
	lines := strings.Split(log, "\n")
	last := lines[len(lines)-1]
	if code != 1 || strings.Contains(log, "goroutine ") || !strings.HasPrefix(last, "floeberg: ") {
		t.Errorf("%s ended with exit code %d and\n%s", n.ID, code, log)
	}
	return last
}

// readyOrEnded waits until a node is ready, or has ended by itself, and tells
// which, with its last words.
func readyOrEnded(t *testing.T, n *cluster.Node) (ready bool, words string) {
	t.Helper()
	err := cluster.Await(within(t, 40*time.Second), n.ID+" to be ready or to end", func(ctx context.Context) error {
		if !n.Running() {
			return nil
		}
		return n.Ready(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.Running() {
		return true, ""
	}
	code, err := n.Exit(within(t, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return false, lastWords(t, n, code)
}

// TestDamagedFiles starts a follower again and again on a folder in which
// something else is wrong each time: it ends with the file's name, or it serves
// what is right. The others go on.
func TestDamagedFiles(t *testing.T) {
	s := start(t, cluster.Options{})
	c := s.Client()
	ns := namespace(t, c)
	var tables []string
	for range 8 {
		name, _ := table(t, c, ns)
		tables = append(tables, name)
	}
	i := (s.MustLeader(t) + 1) % 3
	n := s.Nodes[i]
	// The others go on by themselves from here.
	c = c.With(func(o *client.Options) { o.URLs = []string{s.Nodes[(i+1)%3].URL, s.Nodes[(i+2)%3].URL} })
	if err := n.Term(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	whole := t.TempDir()
	if err := os.CopyFS(whole, os.DirFS(n.Dir)); err != nil {
		t.Fatal(err)
	}
	const log, state = "raft/raft.db", "state/state-*/"
	// Bolt leaves older copies of its pages where they were: all are damaged.
	inLog := func(t *testing.T, mark string, behind int) {
		t.Helper()
		path, _ := only(t, n, log)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flipped := 0
		for at := 0; ; at++ {
			next := bytes.Index(data[at:], []byte(mark))
			if next < 0 {
				break
			}
			at += next
			flipAt(t, path, int64(at+behind))
			flipped++
		}
		if flipped == 0 {
			t.Fatalf("no %q in %s", mark, path)
		}
	}
	for name, tc := range map[string]struct {
		damage func(t *testing.T)
		// ends is what the last words must hold; "" is that the node may be ready too.
		ends string
	}{
		"an entry":              {func(t *testing.T) { inLog(t, tables[3], 0) }, "raft/raft.db: log entry "},
		"the checksums":         {func(t *testing.T) { inLog(t, "\xf1sum", 6) }, "raft/raft.db: "},
		"first page of the log": {func(t *testing.T) { path, _ := only(t, n, log); flipAt(t, path, 20); flipAt(t, path, 4096+20) }, "raft/raft.db: "},
		"a page of the log":     {func(t *testing.T) { path, size := only(t, n, log); flipAt(t, path, size/2/4096*4096+8) }, ""},
		"log cut short": {func(t *testing.T) {
			path, _ := only(t, n, log)
			if err := os.Truncate(path, 12288); err != nil {
				t.Fatal(err)
			}
		}, "raft.db"},
		"log lost": {func(t *testing.T) {
			path, _ := only(t, n, log)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "the raft log is behind the state machine"},
		"a block of the state":      {func(t *testing.T) { path, _ := only(t, n, state+"*.sst"); flipAt(t, path, 30) }, "state/state-"},
		"the end of a table":        {func(t *testing.T) { path, size := only(t, n, state+"*.sst"); flipAt(t, path, size-30) }, "state/state-"},
		"the state's list of files": {func(t *testing.T) { path, _ := only(t, n, state+"MANIFEST-*"); flipAt(t, path, 12) }, "state/state-"},
		"CURRENT":                   {func(t *testing.T) { path, _ := only(t, n, "state/CURRENT"); flipAt(t, path, 3) }, "state/CURRENT"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(n.Dir), os.CopyFS(n.Dir, os.DirFS(whole))); err != nil {
				t.Fatal(err)
			}
			tc.damage(t)
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
			added, _ := table(t, c, ns) // meanwhile
			ready, words := readyOrEnded(t, n)
			if tc.ends != "" && (ready || !strings.Contains(words, tc.ends)) {
				t.Errorf("ready: %t, last words: %s", ready, words)
			}
			if ready {
				for _, name := range append(tables, added) {
					if got, want := load(t, s.At(i), ns, name), load(t, c, ns, name); got.MetadataLocation != want.MetadataLocation {
						t.Errorf("it serves %s, not %s", got.MetadataLocation, want.MetadataLocation)
					}
				}
				if err := n.Kill9(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("ready: %t, last words: %s", ready, words)
		})
	}
}

// verified is what "cluster verify --output json" prints.
type verified struct {
	OK       bool    `json:"ok"`
	Index    uint64  `json:"index"`
	Checksum *string `json:"checksum"`
	Deep     bool    `json:"deep"`
	Nodes    []struct {
		ID       string  `json:"id"`
		Index    *uint64 `json:"index"`
		Checksum *string `json:"checksum"`
		Result   string  `json:"result"`
		Reason   *string `json:"reason"`
	} `json:"nodes"`
}

// verifyAt runs "cluster verify" and checks its exit code.
func verifyAt(t *testing.T, n *cluster.Node, code int, args ...string) (v verified, results string) {
	t.Helper()
	got, stdout, stderr := floeberg(t, n.URL, append([]string{"cluster", "verify", "--output", "json"}, args...)...)
	if got != code {
		t.Errorf("verify %v at %s: exit code %d, want %d: %s%s", args, n.ID, got, code, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	var out []string
	for _, n := range v.Nodes {
		out = append(out, n.ID+" "+n.Result)
	}
	return v, strings.Join(out, ", ")
}

// TestOddNodeIsStoppedAndReplaced follows a node whose state was changed behind
// its back from its first start to its replacement, and then one whose disk goes
// bad while it runs, with requests under way.
func TestOddNodeIsStoppedAndReplaced(t *testing.T) {
	s := start(t, cluster.Options{Args: []string{"--verify-interval", "200ms", "--stabilize-after", "200ms"}})
	c := s.Client()
	ns := namespace(t, c)
	name, _ := table(t, c, ns)
	if v, results := verifyAt(t, s.Nodes[0], 0, "--deep"); !v.OK || !v.Deep || results != "n1 ok, n2 ok, n3 ok" || v.Checksum == nil {
		t.Errorf("at the begin: %+v", v)
	}
	if text := mustRun(t, s.Nodes[1], "cluster", "verify"); !strings.Contains(text, "all are the same at index ") {
		t.Errorf("as text: %s", text)
	}

	leader := s.MustLeader(t)
	odd, other := s.Nodes[(leader+1)%3], s.Nodes[(leader+2)%3]
	if err := odd.Term(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	fsmtest.Tamper(t, filepath.Join(odd.Dir, "state"), []byte("\x70odd"), []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01x"), true)
	for _, says := range []string{"its state is not that of the others: at entry ", "STOPPED says: "} {
		if err := odd.Start(); err != nil {
			t.Fatal(err)
		}
		code, err := odd.Exit(within(t, 40*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if words := lastWords(t, odd, code); !strings.Contains(words, says) || !strings.Contains(words, "cluster remove") {
			t.Errorf("it ended with: %s", words)
		}
	}
	if log := s.Nodes[leader].Log(400); !strings.Contains(log, "THE STATE OF A NODE DIFFERS") {
		t.Errorf("no alarm in the log of the leader")
	}
	if _, results := verifyAt(t, other, 1); !strings.Contains(results, odd.ID+" unreachable") {
		t.Errorf("with the odd node down: %s", results)
	}

	// As the manual says.
	mustRun(t, other, "cluster", "remove", odd.ID, "--yes")
	if err := os.RemoveAll(odd.Dir); err != nil {
		t.Fatal(err)
	}
	if err := odd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitVoters(t, other, "n1", "n2", "n3")
	if v, results := verifyAt(t, odd, 0, "--deep"); !v.OK {
		t.Errorf("with the replaced node: %s", results)
	}
	if got, want := load(t, s.At((leader+1)%3), ns, name), load(t, c, ns, name); got.MetadataLocation != want.MetadataLocation {
		t.Errorf("it serves %s, not %s", got.MetadataLocation, want.MetadataLocation)
	}

	// A disk that goes bad under a running node, with clients at it.
	if err := errors.Join(other.Term(30*time.Second), other.Start()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Await(within(t, 30*time.Second), other.ID+" to be ready", other.Ready); err != nil {
		t.Fatal(err)
	}
	path, _ := only(t, other, "state/state-*/*.sst")
	flipAt(t, path, 30)
	made := writeUntilItEnds(t, s, (leader+2)%3)
	if v, results := verifyAt(t, s.Nodes[leader], 1, "--deep"); v.OK || !strings.Contains(results, other.ID+" damaged") {
		t.Errorf("with a flipped byte: %s", results)
	}
	code, err := other.Exit(within(t, 40*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if words := lastWords(t, other, code); !strings.Contains(words, filepath.Base(path)) {
		t.Errorf("it ended with: %s", words)
	}
	c = c.With(func(o *client.Options) { o.URLs = []string{s.Nodes[leader].URL, odd.URL} })
	counts := make(map[int]int)
	for ns, status := range made() {
		counts[status]++
		res, err := c.Do(within(t, 30*time.Second), client.Request{Method: http.MethodHead, Path: c.NamespacePath(ns)})
		if err != nil {
			t.Fatal(err)
		}
		there := res.Status == http.StatusNoContent
		switch {
		case status == http.StatusOK && !there:
			t.Errorf("%s was acknowledged and is gone", ns)
		case status == http.StatusServiceUnavailable && there:
			t.Errorf("%s was refused with 503 and is there", ns)
		}
	}
	t.Logf("answers of the node that ended (0 is none): %v", counts)
	if counts[http.StatusOK] == 0 {
		t.Error("it answered nothing before it ended")
	}
}

// writeUntilItEnds makes namespaces at one node until it takes no more
// connections. What is returned gives the answers, by name; 0 is none.
func writeUntilItEnds(t *testing.T, s *cluster.Cluster, i int) (made func() map[string]int) {
	t.Helper()
	c := s.At(i)
	var mu sync.Mutex
	statuses := make(map[string]int)
	begun := make(chan struct{}) // at least one has its answer
	var once sync.Once
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for k := 0; t.Context().Err() == nil && s.Nodes[i].Running(); k++ {
				ns := fmt.Sprintf("w%d_%d", w, k)
				// One attempt, whose answer is about nothing else; where nobody listens, the
				// client goes on for as long as it may.
				req := client.NamespaceRequest(c, nil, ns)
				req.Key = client.NoKey
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				res, err := c.Do(ctx, req)
				cancel()
				mu.Lock()
				statuses[ns] = 0
				if err == nil {
					statuses[ns] = res.Status
				}
				mu.Unlock()
				once.Do(func() { close(begun) })
			}
		})
	}
	<-begun
	return func() map[string]int {
		writers.Wait()
		return statuses
	}
}
