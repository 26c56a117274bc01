package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/ops/audit"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// trial is a sink that does as a test says.
type trial struct {
	mu     sync.Mutex
	lines  []string
	fail   bool
	hold   chan struct{} // writes wait for it to be closed, where it is not nil
	inside chan struct{} // is told of each write that begins
}

var errTrial = errors.New("no room left")

func (s *trial) Name() string { return "trial" }

func (s *trial) Write(lines []byte) error {
	s.mu.Lock()
	hold, inside := s.hold, s.inside
	s.mu.Unlock()
	if inside != nil {
		inside <- struct{}{}
	}
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return errTrial
	}
	s.lines = append(s.lines, strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")...)
	return nil
}

func (s *trial) Sync() error   { return nil }
func (s *trial) Reopen() error { return nil }
func (s *trial) Close() error  { return nil }

func (s *trial) setFail(fail bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *trial) events(t testing.TB) []audit.Event {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []audit.Event
	for _, raw := range s.lines {
		out = append(out, parse(t, raw).Event)
	}
	return out
}

func parse(t testing.TB, raw string) *audit.Line {
	t.Helper()
	line, err := audit.ParseLine([]byte(raw))
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return line
}

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// open opens a log that ends with the test.
func open(t testing.TB, opts audit.Options) *audit.Log {
	t.Helper()
	if opts.Node == "" {
		opts.Node = "n1"
	}
	log, err := audit.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's own has ended
		defer cancel()
		if err := log.Close(ctx); err != nil && !errors.Is(err, errTrial) {
			t.Logf("closing the log: %v", err)
		}
	})
	return log
}

// openFile opens the file sink of a folder.
func openFile(t testing.TB, dir string, c *clock, adjust ...func(*audit.FileOptions)) *audit.File {
	t.Helper()
	opts := audit.FileOptions{Path: filepath.Join(dir, "audit.jsonl"), Now: c.Now}
	for _, a := range adjust {
		a(&opts)
	}
	f, err := audit.OpenFile(opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// life is one process's: it writes n records and stops.
func life(t testing.TB, dir string, c *clock, n int, adjust ...func(*audit.FileOptions)) []audit.Mark {
	t.Helper()
	log, err := audit.Open(audit.Options{Node: "n1", Sinks: []audit.Sink{openFile(t, dir, c, adjust...)}, Now: c.Now, OnFailure: audit.Refuse})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		c.pass(time.Millisecond)
		if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision, Decision: audit.Allow, Action: "CommitTable", Principal: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return log.Marks()
}

// files are the contents of a folder's files, in the order of their names.
func files(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := audit.Files(filepath.Join(dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func lines(t testing.TB, paths ...string) []string {
	t.Helper()
	var out []string
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")...)
	}
	for i := range out {
		out[i] = strings.TrimSuffix(out[i], "\n")
	}
	return out
}

// heads are what the cluster remembers of marks.
func heads(marks ...[]audit.Mark) []audit.Head {
	h := audit.Head{Node: "n1", Sink: "file"}
	for _, run := range marks {
		for _, m := range run {
			h.Kept = m.Kept
			h.Runs = append(h.Runs, audit.RunHead{Run: m.Run, First: m.First, Seq: m.Seq, Hash: m.Hash.String()})
		}
	}
	return []audit.Head{h}
}

func find(t testing.TB, log *audit.Log, q audit.Query, after audit.Position, most int) []audit.Record {
	t.Helper()
	found, err := log.Find(t.Context(), q, after, most)
	if err != nil {
		t.Fatal(err)
	}
	return found.Records
}
