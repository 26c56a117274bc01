package scale_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/client"
	"github.com/floeberg/floeberg/test/cluster"
)

const (
	// tablesEnv says how many tables there shall be.
	tablesEnv   = "SCALE_TABLES"
	usualTables = 5_000
	// roundsEnv says how often commits without and with a snapshot are compared.
	roundsEnv = "SCALE_ROUNDS"
	// commitsPerSecond is the load, on tables of its own.
	commitsPerSecond = 200
	writers          = 40
)

func tables(t *testing.T) int {
	t.Helper()
	return number(t, tablesEnv, usualTables)
}

// number reads a variable of the environment.
func number(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number of at least 1", name, text)
	}
	return n
}

// TestSnapshotAmongCommits takes a snapshot of very many tables to the snapshot
// store while commits go on, and reports what it took, what commits noticed of it
// and how much memory the leader needed for it. All commits must succeed, and the
// snapshot must hold the state.
func TestSnapshotAmongCommits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	count := tables(t)
	dir := t.TempDir()
	s := cluster.Start(t, cluster.Options{Args: []string{
		"--snapshot-store", "file://" + filepath.Join(dir, "snapshots"), "--snapshot-upload-interval", "24h",
	}})
	ctx := t.Context()
	c := s.Client()
	pattern := fillWith(t, s, count)
	likePattern(t, c, pattern, 0, count/2, count-1)
	commits(t, c, count-1)

	leader := leaderOf(t, s)
	load := newLoad(t, c)
	var made struct {
		ID    string `json:"id"`
		Bytes int64  `json:"bytes"`
	}
	for range number(t, roundsEnv, 1) {
		calm := load.during(ctx, func() { time.Sleep(calmTime(count)) }, leader)
		var took time.Duration
		busy := load.during(ctx, func() {
			begun := time.Now()
			run(t, &made, leader.URL, "backup", "create", "--output", "json")
			took = time.Since(begun)
		}, leader)
		// The log's file, which is mapped, grows with the commits: equally long without
		// a snapshot tells how much of the memory is that.
		after := load.during(ctx, func() { time.Sleep(took) }, leader)
		t.Logf("a snapshot of %d tables: %d bytes in %s", count, made.Bytes, took.Round(time.Millisecond))
		t.Logf("commits before it:  %s", calm)
		t.Logf("commits meanwhile:  %s", busy)
		t.Logf("commits after it:   %s", after)
	}
	load.end(t)

	var trial struct {
		StateChecksum string `json:"state_checksum"`
	}
	begun := time.Now()
	run(t, &trial, leader.URL, "backup", "verify", made.ID, "--output", "json")
	t.Logf("restored into a scratch state in %s", time.Since(begun).Round(time.Millisecond))
}

// calmTime is long enough to compare with.
func calmTime(count int) time.Duration {
	return min(time.Minute, 2*time.Second+time.Duration(count)*50*time.Microsecond)
}

func leaderOf(t *testing.T, s *cluster.Cluster) *cluster.Node {
	t.Helper()
	i, err := s.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Nodes[i]
}

func must(t *testing.T, c *client.Client, r client.Request) *client.Response {
	t.Helper()
	res, err := c.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != http.StatusOK {
		t.Fatalf("%s %s: %s", r.Method, r.Path, res)
	}
	return res
}

// run runs a command and reads the JSON that it prints.
func run(t *testing.T, into any, addr string, args ...string) {
	t.Helper()
	program, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "FLOEBERG_ADDR="+addr, "FLOEBERG_KEY="+cluster.Key)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, stderr.String())
	}
}

// load is commits at a steady rate.
type load struct {
	c     *client.Client
	ticks chan struct{}
	stop  context.CancelFunc
	group sync.WaitGroup

	mu     sync.Mutex
	failed []string
	took   []time.Duration
	missed int
}

func newLoad(t *testing.T, c *client.Client) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{c: c, ticks: make(chan struct{}), stop: cancel}
	must(t, c, client.NamespaceRequest(c, nil, "busy"))
	for i := range writers {
		name := fmt.Sprintf("t%d", i)
		must(t, c, client.CreateTableRequest(c, "busy", name))
		l.group.Go(func() { l.write(ctx, name) })
	}
	l.group.Go(func() {
		tick := time.NewTicker(time.Second / commitsPerSecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case l.ticks <- struct{}{}:
			default:
				l.mu.Lock()
				l.missed++
				l.mu.Unlock()
			}
		}
	})
	return l
}

func (l *load) write(ctx context.Context, name string) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-l.ticks:
		}
		update := client.Object{"action": "set-properties", "updates": client.Object{"n": strconv.Itoa(n)}}
		begun := time.Now()
		res, err := l.c.Do(context.WithoutCancel(ctx), client.CommitRequest(l.c, "busy", name, nil, []client.Object{update}))
		took := time.Since(begun)
		l.mu.Lock()
		l.took = append(l.took, took)
		switch {
		case err != nil:
			l.failed = append(l.failed, err.Error())
		case res.Status != http.StatusOK:
			l.failed = append(l.failed, res.String())
		}
		l.mu.Unlock()
	}
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.group.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%d commits failed, the first with %s", len(l.failed), l.failed[0])
	}
}

// figures are what commits took in a span of time, and the memory of a node.
type figures struct {
	commits, missed    int
	p50, p95, p99, max time.Duration
	over               time.Duration
	// Bytes: what is resident of the process's own memory, and of files mapped into
	// it, at the beginning and at most.
	own, mapped, ownMax, mappedMax, residentMax float64
}

func (f figures) String() string {
	return fmt.Sprintf("%d in %s (%d ticks found all writers busy), P50 %s, P95 %s, P99 %s, worst %s; leader's memory up to %.0f MB (its own %.0f → %.0f, of mapped files %.0f → %.0f)",
		f.commits, f.over.Round(time.Second), f.missed, f.p50.Round(10*time.Microsecond), f.p95.Round(10*time.Microsecond),
		f.p99.Round(10*time.Microsecond), f.max.Round(10*time.Microsecond), f.residentMax/1e6, f.own/1e6, f.ownMax/1e6, f.mapped/1e6, f.mappedMax/1e6)
}

func (l *load) during(ctx context.Context, what func(), leader *cluster.Node) figures {
	l.mu.Lock()
	l.took, l.missed = nil, 0
	l.mu.Unlock()
	watched, stop := context.WithCancel(ctx)
	var f figures
	var group sync.WaitGroup
	group.Go(func() {
		for watched.Err() == nil {
			if m, err := memoryOf(leader.PID()); err == nil {
				if f.residentMax == 0 {
					f.own, f.mapped = m["RssAnon"], m["RssFile"]
				}
				f.residentMax, f.ownMax, f.mappedMax = max(f.residentMax, m["VmRSS"]), max(f.ownMax, m["RssAnon"]), max(f.mappedMax, m["RssFile"])
			}
			select {
			case <-watched.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	begun := time.Now()
	what()
	over := time.Since(begun)
	l.mu.Lock()
	took, missed := slices.Clone(l.took), l.missed
	l.mu.Unlock()
	stop()
	group.Wait()
	f.over, f.missed = over, missed
	slices.Sort(took)
	f.commits = len(took)
	if len(took) > 0 {
		at := func(q float64) time.Duration { return took[min(int(q*float64(len(took))), len(took)-1)] }
		f.p50, f.p95, f.p99, f.max = at(.50), at(.95), at(.99), took[len(took)-1]
	}
	return f
}

// memoryOf reads the kernel's account of a process's memory, in bytes.
func memoryOf(pid int) (map[string]float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
		if err == nil {
			sizes[name] = kb * 1024
		}
	}
	return sizes, nil
}
