package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/cluster"
	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/s3server"
)

// suites are the tests of pyiceberg/ that hold on any catalog.
var suites = []string{"test_catalog.py", "test_data.py", "test_moves.py", "test_views.py"}

// TestPyIceberg runs the suite in pyiceberg/ on a local folder and on a real S3
// server, and on the reference server, where it holds as well.
func TestPyIceberg(t *testing.T) {
	python := environment(t, "pyiceberg")
	t.Run("reference", func(t *testing.T) { suite{python: python}.runOnReference(t) })
	t.Run("file", func(t *testing.T) {
		suite{python: python}.run(t, cluster.Start(t, cluster.Options{}), append(suites, "test_purge.py")...)
	})
	t.Run("s3", func(t *testing.T) {
		server := s3server.Start(t)
		server.CreateBucket(t, "lake")
		c := cluster.Start(t, cluster.Options{
			Warehouse: "s3://lake/warehouse",
			S3: &cluster.S3{
				Endpoint: server.Endpoint, Region: server.Region,
				AccessKey: server.AccessKey, SecretKey: server.SecretKey,
			},
		})
		suite{python: python, env: []string{
			"FLOEBERG_TEST_S3_ENDPOINT=" + server.Endpoint,
			"FLOEBERG_TEST_S3_REGION=" + server.Region,
			"FLOEBERG_TEST_S3_ACCESS_KEY=" + server.AccessKey,
			"FLOEBERG_TEST_S3_SECRET_KEY=" + server.SecretKey,
			// The server loses its place on a connection that it keeps after a body with a checksum behind it.
			"AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
		}}.run(t, c, append(suites, "test_purge.py")...)
	})
}

// TestPyIcebergOfAYearAgo runs the suite with a release that is in use still.
func TestPyIcebergOfAYearAgo(t *testing.T) {
	python := tool(t, "python.sh", "pyiceberg/requirements-old.txt")
	t.Run("reference", func(t *testing.T) { suite{python: python}.runOnReference(t) })
	t.Run("file", func(t *testing.T) {
		suite{python: python}.run(t, cluster.Start(t, cluster.Options{}), suites...)
	})
}

// TestPyIcebergSnippet runs the program that docs/clients.md shows, with both
// releases.
func TestPyIcebergSnippet(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	for _, python := range []string{environment(t, "pyiceberg"), tool(t, "python.sh", "pyiceberg/requirements-old.txt")} {
		program := snippet(t, "PyIceberg", c.Nodes[c.Follower(t)].URL, cluster.Key)
		printed, err := exec.CommandContext(t.Context(), python, "-c", program).CombinedOutput()
		if err != nil || !strings.Contains(string(printed), "Fram") {
			t.Errorf("the snippet: %v\n%s\n%s", err, program, printed)
		}
	}
}

// TestPyIcebergWhileLeadersDie appends with PyIceberg while one leader after
// the other is killed: every append that returned is there, once.
func TestPyIcebergWhileLeadersDie(t *testing.T) {
	python := environment(t, "pyiceberg")
	c := cluster.Start(t, cluster.Options{})
	whileLeadersDie(t, c, time.Second, func() {
		suite{python: python, env: []string{"FLOEBERG_TEST_SECONDS=15"}}.run(t, c, "test_failover.py")
	})
}

// whileLeadersDie calls work while one leader after the other is killed. All
// nodes are up again when it returns, also where work ends the test.
func whileLeadersDie(t *testing.T, c *cluster.Cluster, pause time.Duration, work func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- killLeaders(ctx, t, c, pause) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	work()
}

// killLeaders kills the leader and starts it again, over and over. For the length
// of the pause the others go on without it, and then all three.
func killLeaders(ctx context.Context, t *testing.T, c *cluster.Cluster, pause time.Duration) error {
	for wait(ctx, pause) {
		leader, err := awaitLeader(c)
		if err != nil {
			return err
		}
		victim := c.Nodes[leader]
		if err := victim.Kill9(); err != nil {
			return err
		}
		t.Logf("killed %s", victim.ID)
		if _, err := awaitLeader(c); err != nil {
			return err
		}
		// Where the work has ended by now the node starts at once.
		wait(ctx, pause)
		if err := victim.Start(); err != nil {
			return err
		}
		ready, cancel := context.WithTimeout(context.Background(), patience)
		err = c.AwaitReady(ready)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// patience is how long a cluster may take to elect, and a node to be ready.
const patience = 20 * time.Second

func awaitLeader(c *cluster.Cluster) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Leader(ctx)
}

// wait tells whether the time passed before ctx was done.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// TestDevSnippet starts `floeberg dev` as `make run` does, takes the program
// that it prints, and runs it as pasted. Then Ctrl-C ends everything.
func TestDevSnippet(t *testing.T) {
	python := environment(t, "pyiceberg")
	program, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	var out output.Buffer
	dev := exec.Command(program, "dev")
	dev.Stdout, dev.Stderr = &out, &out
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	t.Cleanup(func() {
		// After a good end there is nothing left to kill.
		_ = dev.Process.Kill()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	code := regexp.MustCompile(`(?ms)^import pyarrow.*?^print\(.*?$`)
	pids := regexp.MustCompile(`kill -9 (\d+)`)
	var snippet string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = cluster.Await(ctx, "floeberg dev to print a snippet", func(context.Context) error {
		if snippet = code.FindString(out.String()); snippet == "" {
			return fmt.Errorf("printed so far: %s", out.String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Pasted twice: a user does that.
	for _, want := range []int{3, 6} {
		printed, err := exec.CommandContext(ctx, python, "-c", snippet).CombinedOutput()
		if err != nil {
			t.Fatalf("the snippet: %v\n%s\n%s", err, snippet, printed)
		}
		if got := bytes.Count(printed, []byte("'id'")); got != want {
			t.Errorf("the snippet printed %d rows, want %d:\n%s", got, want, printed)
		}
	}
	if err := dev.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("floeberg dev had not ended 30 s after Ctrl-C")
	}
	for _, m := range pids.FindAllStringSubmatch(out.String(), -1) {
		if _, err := os.Stat(filepath.Join("/proc", m[1], "exe")); err == nil {
			t.Errorf("node %s lives on after Ctrl-C", m[1])
		}
	}
}

// suite is a run of pytest.
type suite struct {
	python string
	env    []string
}

// run runs test files on a cluster, with another node for every request.
func (s suite) run(t *testing.T, c *cluster.Cluster, files ...string) {
	t.Helper()
	rotation := c.Rotate(t)
	s.pytest(t, rotation.URL, nil, files)
	c.AllServed(t, rotation)
}

// runOnReference runs the suites on the reference server.
func (s suite) runOnReference(t *testing.T) {
	t.Helper()
	s.pytest(t, startReference(t).URL, []string{"FLOEBERG_TEST_REFERENCE=1"}, suites)
}

func (s suite) pytest(t *testing.T, url string, env, files []string) {
	t.Helper()
	cmd := exec.Command(s.python, append([]string{
		"-m", "pytest", "-p", "no:cacheprovider", "-ra", "--color=no", "--timeout=180", "--durations=5", "--disable-warnings",
	}, files...)...)
	cmd.Dir = "pyiceberg"
	cmd.Env = append(append(append(os.Environ(), s.env...), env...),
		"PYTHONDONTWRITEBYTECODE=1",
		"FLOEBERG_TEST_URI="+url,
		"FLOEBERG_TEST_TOKEN="+cluster.Key,
	)
	// pytest's own lines are what one wants to see.
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("pytest %s: %v", strings.Join(files, " "), err)
	}
}

// environment is the python that has what a suite needs.
func environment(t *testing.T, suite string) string {
	t.Helper()
	return tool(t, "python.sh", suite+"/requirements.txt")
}
