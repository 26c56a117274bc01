package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/floeberg/floeberg/test/output"
	"github.com/floeberg/floeberg/test/port"
)

// process is the program in a process of its own.
type process struct {
	*exec.Cmd
	stdout, stderr output.Buffer
	ended          chan error
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, args...), ended: make(chan error, 1)}
	p.Env = append(os.Environ(), asProgram+"=yes", "FLOEBERG_BOOTSTRAP_KEY="+testKey)
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		p.ended <- p.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		// SIGTERM first: the dev command's children end with it.
		_ = p.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			_ = p.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%v printed:\n%s%s", args, p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

const testKey = "fb_test_0123456789abcdef"

// exit waits for the end and gives the exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0
	case <-time.After(60 * time.Second):
		t.Fatalf("it did not end:\n%s", p.stderr.String())
		return -1
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func request(t *testing.T, key, method, url, body string) (code int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(raw)
}

func TestServeAsAProcess(t *testing.T) {
	t.Parallel()
	dir, at := filepath.Join(t.TempDir(), "data"), port.Address(t)
	args := []string{"serve", "--data-dir", dir, "--http-listen", at, "--cluster-listen", "127.0.0.1:0", "--gossip-listen", "127.0.0.1:0"}
	p := launch(t, args...)
	await(t, "readiness", func() bool {
		code, _ := request(t, testKey, "GET", "http://"+at+"/ready", "")
		return code == http.StatusOK
	})
	if code, answer := request(t, testKey, "POST", "http://"+at+"/v1/default/namespaces", `{"namespace":["a"]}`); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}

	args[4] = "127.0.0.1:0"
	second := launch(t, args...)
	if code := second.exit(t); code != exitFailed {
		t.Errorf("a second process in the folder exits with %d", code)
	}
	last := lastLine(second.stderr.String())
	if !strings.Contains(last, fmt.Sprintf("pid %d", p.Process.Pid)) || !strings.Contains(last, dir) {
		t.Errorf("it says %q", last)
	}

	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != exitDone {
		t.Errorf("after SIGTERM it exits with %d", code)
	}
	if p.stdout.String() != "" {
		t.Errorf("standard output: %q", p.stdout.String())
	}
}

func lastLine(text string) string {
	last := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		last = lines.Text()
	}
	return last
}

// The cluster that `dev` shows takes a write while one of its nodes is gone, and
// the node that comes back has it.
func TestDevClusterSurvivesAKilledNode(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	t.Parallel()
	p := launch(t, "dev")
	await(t, "the cluster", func() bool { return strings.Contains(p.stdout.String(), "Ctrl-C stops") })
	shown := p.stdout.String()
	nodes := regexp.MustCompile(`(?m)^  node\d  (http\S+)   kill -9 (\d+)`).FindAllStringSubmatch(shown, -1)
	key := regexp.MustCompile(`Admin key:  (\S+)`).FindStringSubmatch(shown)
	dir := regexp.MustCompile(`nodes in (\S+) `).FindStringSubmatch(shown)
	if len(nodes) != 3 || key == nil || dir == nil {
		t.Fatalf("not all is shown:\n%s", shown)
	}
	ask := func(url, method, path, body string) (int, string) {
		t.Helper()
		return request(t, key[1], method, url+path, body)
	}
	var pid int
	if _, err := fmt.Sscan(nodes[0][2], &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code, answer := ask(nodes[1][1], "POST", "/v1/default/namespaces", `{"namespace":["a"]}`); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
	await(t, "the node to come back", func() bool { return strings.Contains(p.stdout.String(), "node1 is ready") })
	if code, answer := ask(nodes[0][1], "GET", "/v1/default/namespaces/a", ""); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != exitDone {
		t.Errorf("after Ctrl-C it exits with %d", code)
	}
	if _, err := os.Stat(dir[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is left: %v", err)
	}
	for _, n := range nodes {
		if code, _ := ask(n[1], "GET", "/health", ""); code != 0 {
			t.Errorf("%s is left behind", n[1])
		}
	}
}
